/**
 * A key's value as the RDB codec sees it (`Value` of protocol/rdb): views of what the keyspace holds, nothing
 * copied. Good until the next change of the key.
 */
import type { TableSource, Value } from '../../protocol/rdb/value.js'
import { decode } from '../../protocol/rdb/decode.js'
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import type { LargeHash } from './hash.js'
import type { LargeList } from './list.js'
import { OrderCursor } from './order-cursor.js'
import type { LargeSet } from './set.js'
import { RecordWalk } from './record-walk.js'
import { streamValue } from './stream-value.js'
import type { ByteMap } from './byte-map.js'
import { TableEncoder } from './table-encoder.js'
import { HASH, HASHTABLE, INTSET, LISTPACK, LIST, SET, SKIPLIST, STREAM, STRING, ZSET, type LargeValue } from './types.js'
import type { LargeSortedSet } from './zset.js'

/** The value of a record. A payload kept as it came is read, not materialised. */
export function valueOf(db: Database, ref: Ref): Value {
  const lazy = db.lazyOf(ref)
  if (lazy !== undefined) return decode(lazy.payload[0], lazy.payload, 1, lazy.payload.length, lazy.version)
  const encoding = db.encodingOf(ref)
  const type = db.typeOf(ref)
  if (type === STRING) return { type: 'string', bytes: db.bytesOf(ref, new Slice()).view() }
  if (encoding !== LISTPACK && encoding !== INTSET) return largeValueOf(type, db.objectOf(ref))
  const blob = db.bytesOf(ref, new Slice()).view()
  if (type === LIST) return { type: 'list', encoding: 'quicklist', nodes: [{ packed: true, data: blob }] }
  if (type === SET) return { type: 'set', encoding: encoding === INTSET ? 'intset' : 'listpack', blob }
  return { type: type === HASH ? 'hash' : 'zset', encoding: 'listpack', blob }
}

/** What writes the body of a large hash, set or sorted set; undefined for every other value. */
export function tableEncoderOf(db: Database, ref: Ref): TableEncoder | undefined {
  const encoding = db.encodingOf(ref)
  if (db.lazyOf(ref) !== undefined || (encoding !== HASHTABLE && encoding !== SKIPLIST)) return undefined
  const value = db.objectOf(ref)
  if (encoding === SKIPLIST) return new TableEncoder((value as LargeSortedSet).members, (value as LargeSortedSet).order)
  return new TableEncoder(db.typeOf(ref) === HASH ? (value as LargeHash).fields : (value as LargeSet).members)
}

function largeValueOf(type: number, value: LargeValue): Value {
  switch (type) {
    case HASH:
      return { type: 'hash', encoding: 'table', table: new MapSource((value as LargeHash).fields, true) }
    case SET:
      return { type: 'set', encoding: 'table', table: new MapSource((value as LargeSet).members, false) }
    case ZSET:
      return { type: 'zset', encoding: 'table', table: new ScoreSource(value as LargeSortedSet) }
    case STREAM:
      return streamValue(value)
    default: {
      const nodes: { packed: boolean; data: Buffer }[] = []
      ;(value as LargeList).forEachNode((plain, buf, start, end) => {
        nodes.push({ packed: !plain, data: buf.subarray(start, end) })
      })
      return { type: 'list', encoding: 'quicklist', nodes }
    }
  }
}

/** The records of a table: fields with their values, or members alone. */
class MapSource implements TableSource {
  readonly hasExpiry = false
  readonly first = new Slice()
  readonly second = new Slice()
  readonly score = 0
  readonly expireMs = -1
  readonly #walk: RecordWalk
  readonly #refs = new Uint32Array(64)
  #count = 0
  #at = 0

  constructor(
    readonly map: ByteMap,
    readonly hasValues: boolean,
  ) {
    this.#walk = new RecordWalk(map)
  }

  get count(): number {
    return this.map.size
  }

  next(): boolean {
    const { map } = this
    if (this.#at === this.#count) {
      this.#at = 0
      this.#count = this.#walk.next(this.#refs)
      if (this.#count === 0) return false
    }
    const ref = this.#refs[this.#at++]
    map.keyAt(ref, this.first)
    if (this.hasValues) map.valueAt(ref, this.second)
    return true
  }

  rewind(): void {
    this.#walk.rewind()
    this.#at = this.#count = 0
  }
}

/** The members of a sorted set from the highest score down: the order in which Valkey writes them. */
class ScoreSource implements TableSource {
  readonly hasExpiry = false
  readonly first = new Slice()
  readonly second = new Slice()
  score = 0
  readonly expireMs = -1
  readonly #cursor = new OrderCursor()
  #begun = false

  constructor(readonly sortedSet: LargeSortedSet) {}

  get count(): number {
    return this.sortedSet.size
  }

  next(): boolean {
    const cursor = this.#cursor
    const more = this.#begun ? cursor.previous() : cursor.seek(this.sortedSet.order, this.sortedSet.size - 1)
    this.#begun = true
    if (!more) return false
    this.score = cursor.score
    this.sortedSet.members.keyAt(cursor.ref, this.first)
    return true
  }

  rewind(): void {
    this.#begun = false
  }
}
