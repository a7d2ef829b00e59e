/** Which keys a migration takes and what they are called at the destination, as its flags say. */
import { globMatch } from '../../protocol/glob.js'
import { TYPE } from '../../protocol/rdb/payload.js'
import { Slice } from '../../protocol/slice.js'
import type { Choice } from '../transfer/copy.js'
import type { Entry, KeyRef } from '../transfer/store.js'
import type { KeyType, MigrateFlags } from './migrate-flags.js'

export interface Selection {
  readonly choice: Choice
  /** From a destination's name back to the source's. */
  readonly sourceName: ((ref: KeyRef) => KeyRef) | undefined
}

const TYPES: Readonly<Record<number, KeyType>> = {
  [TYPE.STRING]: 'string',
  [TYPE.LIST]: 'list', [TYPE.LIST_ZIPLIST]: 'list', [TYPE.LIST_QUICKLIST]: 'list', [TYPE.LIST_QUICKLIST_2]: 'list',
  [TYPE.SET]: 'set', [TYPE.SET_INTSET]: 'set', [TYPE.SET_LISTPACK]: 'set',
  [TYPE.ZSET]: 'zset', [TYPE.ZSET_TEXT]: 'zset', [TYPE.ZSET_ZIPLIST]: 'zset', [TYPE.ZSET_LISTPACK]: 'zset',
  [TYPE.STREAM_1]: 'stream', [TYPE.STREAM_2]: 'stream', [TYPE.STREAM_3]: 'stream',
}

/** A string for raw bytes; of a payload the type its first byte says, which for all that is left is a hash. */
function typeOf(entry: Entry): KeyType {
  return entry.form === 'raw' ? 'string' : (TYPES[entry.value[0]] ?? 'hash')
}

/** What the flags choose. */
export function selectionOf(flags: MigrateFlags): Selection {
  const match = flags.match.map((pattern) => Slice.from(pattern))
  const exclude = flags.exclude.map((pattern) => Slice.from(pattern))
  const fits = (patterns: readonly Slice[], key: Buffer): boolean => patterns.some((pattern) => pattern.is('*') || globMatch(pattern, new Slice(key)))
  const databases = new Map(flags.databases.map(({ from, to }) => [from, to]))
  const from = flags.prefixFrom === undefined ? undefined : Buffer.from(flags.prefixFrom)
  const to = flags.prefixTo === undefined ? from : Buffer.from(flags.prefixTo)
  const keepName = (key: Buffer): boolean =>
    (from === undefined || startsWith(key, from)) && (match.length === 0 || fits(match, key)) && !fits(exclude, key)
  const keepKey = ({ db, key }: KeyRef): boolean => (databases.size === 0 || databases.has(db)) && keepName(key)
  const renames = (from !== undefined && to !== undefined && !from.equals(to)) || (from === undefined && to !== undefined) || flags.databases.some((map) => map.from !== map.to)
  const backwards = new Map(flags.databases.map(({ from: source, to: target }) => [target, source]))
  const exchange = (ref: KeyRef, numbers: ReadonlyMap<number, number>, old: Buffer, fresh: Buffer): KeyRef => ({
    ...ref, db: numbers.get(ref.db) ?? ref.db,
    key: old.equals(fresh) || !startsWith(ref.key, old) ? ref.key : Buffer.concat([fresh, ref.key.subarray(old.length)]),
  })
  const before = from ?? NOTHING
  const after = to ?? before
  // Every new name begins like this one: where this one is not chosen, none is taken to be.
  const isApart = (databases.size > 0 && ![...databases.values()].some((db) => databases.has(db))) ||
    (!before.equals(after) && !keepName(after))
  return {
    choice: {
      ...((match.length > 0 || exclude.length > 0 || databases.size > 0 || from !== undefined) && { keepKey }),
      ...(flags.types.length > 0 && { keepEntry: (entry: Entry) => flags.types.includes(typeOf(entry)) }),
      ...(databases.size > 0 && { databaseOf: (db: number) => databases.get(db) }),
      isApart,
      isPart: match.length > 0 || exclude.length > 0 || from !== undefined || flags.types.length > 0,
      ...(renames && { rename: (ref: KeyRef) => exchange(ref, databases, before, after) }),
    },
    sourceName: renames ? (ref) => exchange(ref, backwards, after, before) : undefined,
  }
}

const NOTHING = Buffer.alloc(0)

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0
}
