/**
 * From a decoded value to what the keyspace holds, in the encodings that Valkey chooses on loading: small
 * tables become packed, packed values over the entry limit are unpacked (the sizes of their elements are not
 * looked at again), everything else stays as it came.
 */
import { lpCount, lpEncodedSize, lpFinish, lpFirst, lpGet, lpIsEnd, lpNext, lpWriteEntry, LP_HEADER } from '../../protocol/rdb/listpack.js'
import { lpGetScore } from '../../protocol/rdb/score.js'
import { intsetCount } from '../../protocol/rdb/intset.js'
import type { HashValue, ListValue, SetValue, TableSource, Value, ZsetValue } from '../../protocol/rdb/value.js'
import { RdbError } from '../../protocol/rdb/error.js'
import { formatScore, readInteger } from '../../protocol/number.js'
import { Slice } from '../../protocol/slice.js'
import type { Config } from '../config/index.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { HashEdit, LargeHash } from './hash.js'
import { LargeList } from './list.js'
import { storeList } from './list-value.js'
import { LargeSet, SetEdit, SetWalk } from './set.js'
import { streamFromValue } from './stream-value.js'
import { EMBSTR, HASH, HASHTABLE, INT, INTSET, LISTPACK, RAW, SET, SKIPLIST, STREAM, STREAM_TREE, STRING, ZSET, type Encoding, type LargeValue } from './types.js'
import { SortedSetLoader } from './zset.js'

const EMBSTR_BYTES_MAX = 44

/** The encoding of a string value: `int` for the canonical text of a 64-bit integer. */
export function stringEncoding(buf: Buffer, start: number, end: number): Encoding {
  const length = end - start
  if (length <= 20 && isInteger(buf, start, end)) return INT
  return length <= EMBSTR_BYTES_MAX ? EMBSTR : RAW
}

function isInteger(buf: Buffer, start: number, end: number): boolean {
  const value = readInteger(buf, start, end)
  if (value === value) return true
  if (end - start < 16) return false
  const text = buf.latin1Slice(start, end)
  return /^-?[1-9][0-9]{15,18}$/.test(text) && BigInt.asIntN(64, BigInt(text)).toString() === text
}

/** Stores a value under a key that does not exist. Throws RdbError when a table names a member twice. */
export function loadValue(db: Database, key: Slice, value: Value, config: Config): Ref {
  switch (value.type) {
    case 'string': {
      const bytes = new Slice(value.bytes)
      return db.setBytes(key, STRING, stringEncoding(bytes.buf, 0, bytes.end), bytes)
    }
    case 'hash':
      return loadHash(db, key, value, config)
    case 'set':
      return loadSet(db, key, value, config)
    case 'zset':
      return loadSortedSet(db, key, value, config)
    case 'list':
      return storeList(db, key, listOf(value, config.listMaxListpackSize), config.listMaxListpackSize)
    case 'stream':
      return db.setObject(key, STREAM, STREAM_TREE, streamFromValue(value))
  }
}

function loadHash(db: Database, key: Slice, value: HashValue, config: Config): Ref {
  if (value.encoding === 'listpack-ttl')
    throw new RdbError('a hash whose fields expire can not be held by this version', 'unsupported')
  if (value.encoding === 'table') {
    if (value.table.hasExpiry) throw new RdbError('a hash whose fields expire can not be held by this version', 'unsupported')
    if (value.table.count > config.hashMaxListpackEntries)
      return db.setObject(key, HASH, HASHTABLE, hashOf(value.table))
    const edit = new HashEdit().open(db, 0, config)
    while (value.table.next()) requireNew(edit.set(value.table.first, value.table.second))
    return edit.commit(key)
  }
  if (lpCount(value.blob, 0) / 2 > config.hashMaxListpackEntries)
    return db.setObject(key, HASH, HASHTABLE, LargeHash.fromListpack(value.blob, 0))
  return db.setBytes(key, HASH, LISTPACK, new Slice(value.blob))
}

function hashOf(table: TableSource): LargeHash {
  const hash = new LargeHash()
  while (table.next()) requireNew(hash.fields.set(table.first, table.second))
  return hash
}

function loadSet(db: Database, key: Slice, value: SetValue, config: Config): Ref {
  if (value.encoding === 'table') {
    const edit = new SetEdit()
    edit.begin(db, value.table.count > config.setMaxIntsetEntries ? HASHTABLE : INTSET, config)
    while (value.table.next()) requireNew(edit.add(value.table.first))
    return edit.commit(key)
  }
  const isIntset = value.encoding === 'intset'
  const count = isIntset ? intsetCount(value.blob, 0) : lpCount(value.blob, 0)
  const limit = isIntset ? config.setMaxIntsetEntries : config.setMaxListpackEntries
  if (count <= limit) return db.setBytes(key, SET, isIntset ? INTSET : LISTPACK, new Slice(value.blob))
  const set = new LargeSet()
  const walk = new SetWalk()
  walk.startPacked(isIntset ? INTSET : LISTPACK, new Slice(value.blob))
  while (walk.next()) set.add(walk.member)
  return db.setObject(key, SET, HASHTABLE, set)
}

function loadSortedSet(db: Database, key: Slice, value: ZsetValue, config: Config): Ref {
  if (value.encoding === 'table') {
    const packed = packSortedSet(value.table, config)
    if (packed !== undefined) return db.setBytes(key, ZSET, LISTPACK, packed)
    return db.setObject(key, ZSET, SKIPLIST, sortedSetOf(value.table))
  }
  if (lpCount(value.blob, 0) / 2 > config.zsetMaxListpackEntries)
    return db.setObject(key, ZSET, SKIPLIST, unpackSortedSet(value.blob))
  return db.setBytes(key, ZSET, LISTPACK, new Slice(value.blob))
}

/** The listpack of a small sorted set with its members in order; undefined when it is too large for one. */
function packSortedSet(table: TableSource, config: Config): Slice | undefined {
  if (table.count > config.zsetMaxListpackEntries) return undefined
  const rows: { member: Slice; score: number; text: Slice }[] = []
  let bytes = LP_HEADER + 1
  while (table.next()) {
    if (table.first.length > config.zsetMaxListpackValue) return undefined
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

function unpackSortedSet(blob: Buffer): LargeValue {
  const loader = new SortedSetLoader()
  const member = new Slice()
  const score = new Slice()
  for (let at = lpFirst(blob, 0); !lpIsEnd(blob, at);) {
    const scoreAt = lpNext(blob, at)
    loader.add(lpGet(blob, at, member), lpGetScore(blob, scoreAt, score))
    at = lpNext(blob, scoreAt)
  }
  return loader.finish()
}

function sortedSetOf(table: TableSource): LargeValue {
  const loader = new SortedSetLoader()
  table.rewind()
  while (table.next()) requireNew(loader.add(table.first, table.score))
  return loader.finish()
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
