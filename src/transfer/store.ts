/**
 * What the transfer engine asks of a store, be it a server, a file or a folder. One backend is one folder in
 * `backends/` that implements `Store`; the engine knows nothing else of it.
 *
 *     source.list --KeyRef--> [sort] --> batches --> source.read --Entry--> [convert] --> target.write
 *                                                                      \--> target.read (compare, undo)
 *
 * Invariants
 * - A key is bytes; nothing decodes it but for messages (`keyText`).
 * - An entry carries its value without loss: as a DUMP payload, or as raw bytes where the store knows only bytes.
 *   The expiry time is absolute, in milliseconds since 1970; nothing drifts, however long the transfer takes.
 * - `read` and `write` answer per key, in order; a key that is no longer there is undefined, not an error.
 * - A Buffer that a store hands out is the receiver's: it is never written again by the store.
 * - What a store can not do is said by its `traits` before anything is written, never by dropping something.
 */
import { isUtf8 } from 'node:buffer'

/** Names an entry of a store: the bytes of its key, and the numbered database where the store has several (else 0). */
export interface KeyRef {
  readonly db: number
  readonly key: Buffer
  /** Where a source that reads a file finds the entry again (an offset); nobody else looks at it. */
  readonly at?: number
}

/**
 * How a value is written down.
 * 'raw': the bytes of a string. 'dump': a DUMP payload (type, body, version, checksum), of any type.
 */
export type ValueForm = 'raw' | 'dump'

/** One key with its value, on its way from one store to another. */
export interface Entry extends KeyRef {
  readonly form: ValueForm
  readonly value: Buffer
  /** When it expires, in milliseconds since 1970; undefined when never. */
  readonly expiresAtMs: number | undefined
}

/** Whether a listing brought the value along. */
export function isEntry(ref: KeyRef): ref is Entry {
  return 'value' in ref
}

/** What to do with a key that the target already has. */
export type ConflictPolicy = 'replace' | 'skip' | 'error'

/**
 * What became of one written entry. 'exists': the target has the key and the policy is not 'replace'; nothing was
 * written. An EntryError: this entry alone could not be written (too large, refused); the store goes on.
 */
export type WriteOutcome = 'written' | 'exists' | EntryError

/** One entry can not be read or written; the others can. */
export class EntryError extends Error {
  constructor(
    readonly code: 'too-large' | 'unsupported' | 'refused' | 'corrupt',
    message: string,
  ) {
    super(message)
    this.name = 'EntryError'
  }
}

/** Why a store can not go on. */
export type StoreFault =
  /** No connection, or it broke and trying again did not help. Worth a later attempt. */
  | 'unreachable'
  /** There is no such file, folder or table. */
  | 'absent'
  /** Password, certificate or permission refused. */
  | 'denied'
  /** The configuration is wrong: an unknown option, a missing one, a bad value. */
  | 'usage'
  /** A package or program that the backend needs is not there. */
  | 'missing'
  /** What is stored is damaged; the message says where and how. */
  | 'corrupt'
  /** The store refused for a reason of its own (out of memory, read only, disk full). */
  | 'refused'

/** A store as a whole failed. The message names the store (without secrets), what was tried, why, and what to do. */
export class StoreError extends Error {
  constructor(
    readonly fault: StoreFault,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options)
    this.name = 'StoreError'
  }
}

/** The store took what it was asked and said nothing for as long as it may take: it hangs, and will go on to, more likely than not. */
export class NoAnswerError extends StoreError {
  constructor(message: string) {
    super('unreachable', message)
  }
}

/** What a store can do and how much it takes. The engine plans from it. */
export interface StoreTraits {
  /** Keeps every Redis type as it is. False: a store of bytes, where strings go raw and all else in an envelope. */
  readonly typed: boolean
  /** Keeps expiry times by itself. False: they travel in the envelope. */
  readonly expiry: boolean
  /** Has numbered databases. */
  readonly databases: boolean
  /** `list` yields keys in the order of (db, key bytes). False: the engine sorts them. */
  readonly ordered: boolean
  /** 'skip' and 'error' are decided by the store itself in one step, so that two writers can not both create a key. */
  readonly createsAtomically: boolean
  /** `write` and `remove` work. */
  readonly writable: boolean
  /** Key names follow Vault's layout: `core/lock` and names ending in "/" are not copied. */
  readonly vaultLayout: boolean
  /** The longest key and the longest value it takes, in bytes. */
  readonly keyBytesMax: number
  readonly valueBytesMax: number
  /** The most entries, and bytes of keys and values together, that one `read` or `write` should be given. */
  readonly batchEntriesMax: number
  readonly batchBytesMax: number
  /** How many `read`s or `write`s may usefully be under way at once. */
  readonly parallelMax: number
  /**
   * What was written is there only after `commit`; without it, it is gone. A copy that is resumed starts at the beginning.
   */
  readonly startsOver?: boolean
  /** The one of several databases that the store is; lock and checkpoint are there. Without it they are in 0. */
  readonly onlyDatabase?: number
  /** How far the expiry time that is read back may be from the one that was written, in milliseconds; 0 when it is exact. */
  readonly expiryToleranceMs?: number
}

/** One thing that a check before the first write found. */
export interface Finding {
  /** A short fixed name to look up and to filter by: `target-not-empty`, `eviction-policy`, `value-too-large`. */
  readonly code: string
  /** An 'error' stops the migration before anything is written. */
  readonly level: 'error' | 'warning' | 'info'
  /** One sentence: what, where, and what to do. */
  readonly message: string
}

/** What `open` is for: a store that is only read is never written to, not even by creating its table. */
export type StoreAccess = 'read' | 'write'

/** A store that keys are copied from or to. Every method may throw StoreError. */
export interface Store {
  /** How messages call it: its type and address, never a password. */
  readonly label: string
  readonly traits: StoreTraits
  /** A file that is the lock of this store while it is under migration, beside what it is made of; without it, an entry is. */
  readonly lockFile?: string
  open(access: StoreAccess): Promise<void>
  /** Ends everything the store owns; what is under way fails. May be called twice. */
  close(): Promise<void>
  /** Looks for what would go wrong, once open: limits, permissions, versions, space. Writes nothing. */
  preflight?(access: StoreAccess): Promise<readonly Finding[]>
  /**
   * Equal for two stores that are one and the same, whatever they are called; one that lies within another has that one's,
   * '/' and more. Undefined where that can not be told. Once open.
   */
  identity?(): Promise<string | undefined>
  /** How many keys there are, about; undefined when finding out costs a walk over all. */
  count?(): Promise<number | undefined>
  /** The numbers of the databases that have keys; absent when finding out costs a walk over all. */
  databases?(): Promise<readonly number[]>
  /**
   * Why nothing can be written into the database of this number, nor of any higher one; undefined when it can. Absent where
   * `traits` say all there is to say.
   */
  databaseRefusal?(db: number): Promise<string | undefined>
  /**
   * Every key, in pages of a size that suits the store. In order when `traits.ordered`, then from `from` on (that
   * key included); otherwise in any order, all of them, perhaps some twice. A slow consumer slows the store down:
   * nothing is read ahead beyond a page. `withValues` says that (nearly) all of the values are wanted too: a store from which
   * they come for little more than the names yields entries then, which need not be read any more.
   */
  list(from: KeyRef | undefined, withValues?: boolean): AsyncIterable<readonly KeyRef[]>
  /**
   * The entries of these keys, in the order asked for; undefined where there is none (any more). May be fewer than
   * asked for, but at least one: a store whose values are large stops at about `batchBytesMax` and is asked again.
   */
  read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]>
  /** Writes entries; one outcome each, in order. A large value never makes the store hold more than a few copies of it. */
  write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]>
  /** Why an entry would not be written, as far as that can be told without trying: what a dry run goes by. */
  refusalOf?(entry: Entry): EntryError | undefined
  /** Deletes keys; those that are not there are passed over. */
  remove(keys: readonly KeyRef[]): Promise<void>
  /** Why something that was written may be missing by now, a sentence each: asked when a copy has ended. */
  doubts?(): Promise<readonly string[]>
  /** Removes what a process that was killed left half written, and only that. Called when a run goes on in its place. */
  sweep?(): Promise<void>
  /**
   * Makes what was written final, all at once: called when a copy is through, before `close`. From then on the store can be
   * listed and read, to be verified. A store without it writes for good at once.
   */
  commit?(): Promise<void>
}

/** Orders keys: by database, then by bytes. */
export function compareKeys(a: KeyRef, b: KeyRef): number {
  return a.db - b.db || a.key.compare(b.key)
}

/** A key as a text of its own, for maps. */
export const nameOf = ({ db, key }: KeyRef): string => `${db}:${key.latin1Slice()}`

/** A key for messages: its text, with quotes and escapes where it is not plain; at most 200 bytes of it. */
export function keyText(key: Buffer): string {
  let end = Math.min(key.length, 200)
  // Not within a character, of which there are four bytes at most.
  while (end < key.length && end > 196 && (key[end] & 0xc0) === 0x80) end--
  const shown = key.subarray(0, end)
  const rest = end < key.length ? `... (${key.length} bytes)` : ''
  // What is no text is told byte by byte.
  const encoding = isUtf8(shown) ? 'utf8' : 'latin1'
  const text = shown.toString(encoding)
  if (encoding === 'utf8' && !/[^\x21-\x7e\u00a1-\uffff]|["'\\]/.test(text)) return text + rest
  const special = encoding === 'utf8' ? /[^\x20-\x7e\u00a1-\uffff]|["\\]/g : /[^\x20-\x7e]|["\\]/g
  const escaped = (one: string): string =>
    (one === '"' || one === '\\' ? `\\${one}` : Buffer.from(one, encoding).toString('hex').replace(/../g, '\\x$&'))
  return `"${text.replace(special, escaped)}"${rest}`
}
