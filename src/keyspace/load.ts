/**
 * From a decoded value to what the keyspace holds, in the encodings that Valkey chooses on loading: small
 * tables become packed, packed values over the entry limit are unpacked (the sizes of their elements are not
 * looked at again), everything else stays as it came.
 */
import { lpCount, lpEncodedSize, lpFinish, lpFirst, lpGet, lpIsEnd, lpNext, lpWriteEntry, LP_HEADER } from '../../protocol/rdb/listpack.js'
import { intsetCount } from '../../protocol/rdb/intset.js'
import type { HashValue, ListValue, SetValue, TableSource, Value, ZsetValue } from '../../protocol/rdb/value.js'
import { RdbError } from '../../protocol/rdb/error.js'
import { TYPE } from '../../protocol/rdb/payload.js'
import { formatScore } from '../../protocol/number.js'
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { HashEdit, LargeHash, type HashLimits } from './hash.js'
import { LargeList } from './list.js'
import { storeList } from './list-value.js'
import { LargeSet, SetEdit, SetWalk, type SetLimits } from './set.js'
import { streamFromValue } from './stream-value.js'
import { encodingOfString } from './string.js'
import { HASH, HASHTABLE, INTSET, LIST, LISTPACK, QUICKLIST, SET, SKIPLIST, STREAM, STREAM_TREE, STRING, ZSET, type LargeValue } from './types.js'
import type { SortedSetLimits } from './zset-edit.js'
import { unpackSortedSet } from './zset-packed.js'
import { SortedSetLoader } from './zset.js'

/** The directives that decide how values are held; a Config has them. */
export interface KeyspaceLimits extends HashLimits, SetLimits, SortedSetLimits {
  readonly listMaxListpackSize: number
}

/** Stores a value under a key that does not exist. Throws RdbError when a table names a member twice. */
export function loadValue(db: Database, key: Slice, value: Value, limits: KeyspaceLimits): Ref {
  switch (value.type) {
    case 'string': {
      const bytes = new Slice(value.bytes)
      return db.setBytes(key, STRING, encodingOfString(bytes), bytes)
    }
    case 'hash':
      return loadHash(db, key, value, limits)
    case 'set':
      return loadSet(db, key, value, limits)
    case 'zset':
      return loadSortedSet(db, key, value, limits)
    case 'list':
      return storeList(db, key, listOf(value, limits.listMaxListpackSize), limits.listMaxListpackSize)
    case 'stream':
      return db.setObject(key, STREAM, STREAM_TREE, streamFromValue(value))
  }
}

/** Stores a checked packed blob (type byte 11, 16, 17 or 20) under a key that does not exist. */
export function loadPacked(db: Database, key: Slice, form: number, blob: Slice, limits: KeyspaceLimits): Ref {
  const { buf, start } = blob
  switch (form) {
    case TYPE.HASH_LISTPACK:
      if (lpCount(buf, start) / 2 <= limits.hashMaxListpackEntries) return db.setBytes(key, HASH, LISTPACK, blob)
      return loadHash(db, key, { type: 'hash', encoding: 'listpack', blob: blob.copy() }, limits)
    case TYPE.ZSET_LISTPACK:
      if (lpCount(buf, start) / 2 <= limits.zsetMaxListpackEntries) return db.setBytes(key, ZSET, LISTPACK, blob)
      return loadSortedSet(db, key, { type: 'zset', encoding: 'listpack', blob: blob.copy() }, limits)
    case TYPE.SET_LISTPACK:
      if (lpCount(buf, start) <= limits.setMaxListpackEntries) return db.setBytes(key, SET, LISTPACK, blob)
      return loadSet(db, key, { type: 'set', encoding: 'listpack', blob: blob.copy() }, limits)
    default:
      if (intsetCount(buf, start) <= limits.setMaxIntsetEntries) return db.setBytes(key, SET, INTSET, blob)
      return loadSet(db, key, { type: 'set', encoding: 'intset', blob: blob.copy() }, limits)
  }
}

function loadHash(db: Database, key: Slice, value: HashValue, limits: KeyspaceLimits): Ref {
  if (value.encoding === 'listpack-ttl')
    throw new RdbError('a hash whose fields expire can not be held by this version', 'unsupported')
  if (value.encoding === 'table') {
    if (value.table.hasExpiry) throw new RdbError('a hash whose fields expire can not be held by this version', 'unsupported')
    if (value.table.count > limits.hashMaxListpackEntries)
      return db.setObject(key, HASH, HASHTABLE, hashOf(value.table))
    const edit = new HashEdit().open(db, 0, limits)
    while (value.table.next()) requireNew(edit.set(value.table.first, value.table.second))
    return edit.commit(key)
  }
  if (lpCount(value.blob, 0) / 2 > limits.hashMaxListpackEntries)
    return db.setObject(key, HASH, HASHTABLE, LargeHash.fromListpack(value.blob, 0))
  return db.setBytes(key, HASH, LISTPACK, new Slice(value.blob))
}

function hashOf(table: TableSource): LargeHash {
  const hash = new LargeHash()
  while (table.next()) requireNew(hash.fields.set(table.first, table.second))
  return hash
}

function loadSet(db: Database, key: Slice, value: SetValue, limits: KeyspaceLimits): Ref {
  if (value.encoding === 'table') {
    const edit = new SetEdit()
    edit.begin(db, value.table.count > limits.setMaxIntsetEntries ? HASHTABLE : INTSET, limits)
    while (value.table.next()) requireNew(edit.add(value.table.first))
    return edit.commit(key)
  }
  const isIntset = value.encoding === 'intset'
  const count = isIntset ? intsetCount(value.blob, 0) : lpCount(value.blob, 0)
  const limit = isIntset ? limits.setMaxIntsetEntries : limits.setMaxListpackEntries
  if (count <= limit) return db.setBytes(key, SET, isIntset ? INTSET : LISTPACK, new Slice(value.blob))
  const set = new LargeSet()
  const walk = new SetWalk()
  walk.startPacked(isIntset ? INTSET : LISTPACK, new Slice(value.blob))
  while (walk.next()) set.add(walk.member)
  return db.setObject(key, SET, HASHTABLE, set)
}

function loadSortedSet(db: Database, key: Slice, value: ZsetValue, limits: KeyspaceLimits): Ref {
  if (value.encoding === 'table') {
    const packed = packSortedSet(value.table, limits)
    if (packed !== undefined) return db.setBytes(key, ZSET, LISTPACK, packed)
    return db.setObject(key, ZSET, SKIPLIST, sortedSetOf(value.table))
  }
  if (lpCount(value.blob, 0) / 2 > limits.zsetMaxListpackEntries)
    return db.setObject(key, ZSET, SKIPLIST, unpackSortedSet(new Slice(value.blob)))
  return db.setBytes(key, ZSET, LISTPACK, new Slice(value.blob))
}

/** The listpack of a small sorted set with its members in order; undefined when it is too large for one. */
function packSortedSet(table: TableSource, limits: KeyspaceLimits): Slice | undefined {
  if (table.count > limits.zsetMaxListpackEntries) return undefined
  const rows: { member: Slice; score: number; text: Slice }[] = []
  let bytes = LP_HEADER + 1
  while (table.next()) {
    if (table.first.length > limits.zsetMaxListpackValue) return undefined
    const text = Slice.from(formatScore(table.score === 0 ? 0 : table.score))
    const member = new Slice(table.first.copy())
    bytes += lpEncodedSize(member) + lpEncodedSize(text)
    rows.push({ member, score: table.score, text })
  }
  rows.sort((a, b) => (a.score === b.score ? a.member.compare(b.member) : a.score - b.score))
  const out = Buffer.allocUnsafeSlow(bytes)
  let at = LP_HEADER
  for (const row of rows) at = lpWriteEntry(row.text, out, lpWriteEntry(row.member, out, at))
  return new Slice(out, 0, lpFinish(out, 0, at, rows.length * 2))
}

function sortedSetOf(table: TableSource): LargeValue {
  const loader = new SortedSetLoader()
  table.rewind()
  while (table.next()) requireNew(loader.add(table.first, table.score))
  return loader.finish()
}

/**
 * Old forms that Valkey does not load as it loads their successors: a zipmap with a long field or value is
 * unpacked, a list of one ziplist stays a quicklist. Undefined for all others.
 */
export function loadOldForm(db: Database, key: Slice, form: number, value: Value, limits: KeyspaceLimits): Ref | undefined {
  if (form === TYPE.LIST_ZIPLIST && value.type === 'list')
    return db.setObject(key, LIST, QUICKLIST, listOf(value, limits.listMaxListpackSize))
  if (form !== TYPE.HASH_ZIPMAP || value.type !== 'hash' || value.encoding !== 'listpack') return undefined
  const element = new Slice()
  for (let at = lpFirst(value.blob, 0); !lpIsEnd(value.blob, at); at = lpNext(value.blob, at))
    if (lpGet(value.blob, at, element).length > limits.hashMaxListpackValue)
      return db.setObject(key, HASH, HASHTABLE, LargeHash.fromListpack(value.blob, 0))
  return undefined
}

function listOf(value: ListValue, fill: number): LargeList {
  if (value.encoding === 'quicklist')
    return LargeList.fromNodes(fill, value.nodes.map((node) => ({ plain: !node.packed, bytes: node.data })))
  const list = new LargeList(fill)
  while (value.table.next()) list.push(value.table.first, false)
  return list
}

function requireNew(isNew: boolean): void {
  if (!isNew) throw new RdbError('a member that is there twice')
}

/**
 * A large value being built from its table in slices: `step` takes up to so many elements. For values kept as
 * payloads, whose elements have been verified.
 */
export class SlicedLoad {
  readonly #hash: LargeHash | undefined
  readonly #set: LargeSet | undefined
  readonly #loader: SortedSetLoader | undefined

  constructor(
    type: number,
    readonly table: TableSource,
  ) {
    if (type === HASH) this.#hash = new LargeHash()
    else if (type === SET) this.#set = new LargeSet()
    else this.#loader = new SortedSetLoader()
  }

  /** The finished value, or undefined while there is more to do. */
  step(elements: number): LargeValue | undefined {
    const { table } = this
    for (let i = 0; i < elements; i++) {
      if (!table.next()) return this.#hash ?? this.#set ?? this.#loader?.finish()
      if (this.#hash !== undefined) this.#hash.fields.set(table.first, table.second)
      else if (this.#set !== undefined) this.#set.add(table.first)
      else this.#loader?.add(table.first, table.score)
    }
    return undefined
  }
}
