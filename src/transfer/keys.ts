/**
 * Listings as the engine wants them: in the order of (db, key), beginning where it is told to, without the entries
 * that are no data (lock, checkpoint, what Vault itself leaves out).
 */
import { CHECKPOINT_NAME } from './checkpoint.js'
import { LOCK_NAME } from './lock-place.js'
import { sortedKeys } from './sorted-keys.js'
import { EntryError, compareKeys, type KeyRef, type Store, type StoreTraits } from './store.js'

export interface ListingOptions {
  /** Nothing at or before this key: it was dealt with by an earlier run. */
  readonly after?: KeyRef | undefined
  /** Nothing before this key, in every database. */
  readonly start?: Buffer | undefined
  /** Any order will do. */
  readonly unordered?: boolean
  readonly keepKey?: ((ref: KeyRef) => boolean) | undefined
  /** The values are wanted too, of all keys but those that `keepKey` leaves out: entries, where the store brings them along. */
  readonly withValues?: boolean
  /** Names to list keys under, when they are not the store's own; the order is then that of these names. */
  readonly rename?: ((ref: KeyRef) => KeyRef) | undefined
  /** Where keys are sorted, and how much memory that may take; the sort has its own measure without it. */
  readonly spillFolder: string
  readonly sortBytes?: number
  readonly signal?: AbortSignal | undefined
}

/** The keys of a store, in pages. */
export function listing(store: Store, options: ListingOptions): AsyncIterable<readonly KeyRef[]> {
  const { rename, unordered, spillFolder, sortBytes, after } = options
  const asListed = unordered === true || (store.traits.ordered && rename === undefined)
  // What is sorted is names alone, and of those that are left out nobody wants the values.
  const chosen = filtered(store, { ...options, withValues: options.withValues === true && asListed && options.keepKey === undefined })
  const named = rename === undefined ? chosen : renamed(chosen, rename)
  const ordered = asListed ? named : sortedKeys(named, { folder: spillFolder, ...(sortBytes !== undefined && { budgetBytes: sortBytes }) })
  return after === undefined || unordered === true ? ordered : behind(ordered, after)
}

async function* filtered(store: Store, options: ListingOptions): AsyncGenerator<readonly KeyRef[], void, void> {
  const { start, after, keepKey, withValues, signal } = options
  for await (const page of store.list(firstOf(store, options), withValues)) {
    if (signal?.aborted === true) return
    const kept = page.filter((ref) => {
      if (start !== undefined && ref.key.compare(start) < 0) return false
      if (after !== undefined && compareKeys(ref, after) <= 0 && options.rename === undefined) return false
      return !isReserved(ref, store.traits) && (keepKey === undefined || keepKey(ref))
    })
    if (kept.length > 0) yield kept
  }
}

/** Where a store that lists in order may begin. */
function firstOf(store: Store, { start, after, rename }: ListingOptions): KeyRef | undefined {
  const begin = start === undefined || store.traits.databases ? undefined : { db: 0, key: start }
  if (after === undefined || rename !== undefined) return begin
  return begin !== undefined && compareKeys(begin, after) > 0 ? begin : after
}

async function* renamed(pages: AsyncIterable<readonly KeyRef[]>, rename: (ref: KeyRef) => KeyRef): AsyncGenerator<readonly KeyRef[], void, void> {
  for await (const page of pages) {
    yield page.map((ref) => {
      const name = rename(ref)
      return ref.at === undefined ? name : { ...name, at: ref.at }
    })
  }
}

async function* behind(pages: AsyncIterable<readonly KeyRef[]>, after: KeyRef): AsyncGenerator<readonly KeyRef[], void, void> {
  for await (const page of pages) {
    const rest = page.filter((ref) => compareKeys(ref, after) > 0)
    if (rest.length > 0) yield rest
  }
}

const VAULT_LOCK = Buffer.from('core/lock')
const SLASH = 0x2f

/** Whether an entry of this name is ours or the store's, not data: it is never listed. */
function isReserved({ db, key }: KeyRef, { vaultLayout, onlyDatabase = 0 }: StoreTraits): boolean {
  // The lengths first: a comparison costs as much as all else that is done with a name here.
  const { length } = key
  if (db === onlyDatabase && ((length === LOCK_NAME.length && key.equals(LOCK_NAME)) || (length === CHECKPOINT_NAME.length && key.equals(CHECKPOINT_NAME)))) return true
  return vaultLayout && (length === 0 || key[length - 1] === SLASH || (length === VAULT_LOCK.length && key.equals(VAULT_LOCK)))
}

/** Why a store is not to get a key of this name: it could not be listed there, and so neither verified nor copied back, or it would be another key. */
export function misplacement(ref: KeyRef, { label, traits }: Store): EntryError | undefined {
  if (ref.db !== 0 && !traits.databases) return new EntryError('unsupported', `${label} has database 0 alone; map database ${ref.db} to it (--db ${ref.db}:0), or leave it out (--db 0)`)
  if (!isReserved(ref, traits)) return undefined
  const names = traits.vaultLayout ? `the empty key, ${VAULT_LOCK.toString()} and what ends in '/' are no data in Vault's layout, ${LOCK_NAME.toString()} and ${CHECKPOINT_NAME.toString()} are a migration's own`
    : `${LOCK_NAME.toString()} and ${CHECKPOINT_NAME.toString()} are a migration's own`
  return new EntryError('unsupported', `${label} has no place for a key of this name (${names}); copy it under another name (--prefix-to), or leave it out (--exclude)`)
}
