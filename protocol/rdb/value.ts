/**
 * What a payload holds, between the bytes of the wire and the structures of the keyspace. Packed forms stay
 * packed: a listpack or intset is one Buffer of its own. Tables are sequences read or written one element at
 * a time, so that a million of them can be taken in slices of bounded time.
 */
import type { Slice } from '../slice.js'
import type { Int64 } from '../uint64.js'

export type Value = StringValue | ListValue | SetValue | HashValue | ZsetValue | StreamValue

export interface StringValue {
  type: 'string'
  bytes: Buffer
}

export type ListValue = { type: 'list'; encoding: 'quicklist'; nodes: ListNode[] } | { type: 'list'; encoding: 'table'; table: TableSource }

/** A packed node's data is a listpack, never empty; a plain node's data is its one element. */
export interface ListNode {
  packed: boolean
  data: Buffer
}

/** `intset`: an intset blob. `listpack`: member, member ... `table`: `first` is the member. */
export type SetValue = { type: 'set'; encoding: 'intset' | 'listpack'; blob: Buffer } | { type: 'set'; encoding: 'table'; table: TableSource }

/**
 * `listpack`: field, value ... `listpack-ttl`: field, value, expiry in ms (0: none) ..., those with an expiry
 * first, soonest first; `minExpireMs` is what the payload said, possibly stale. `table`: `first` is the
 * field, `second` the value, `expireMs` the expiry or -1.
 */
export type HashValue =
  | { type: 'hash'; encoding: 'listpack'; blob: Buffer }
  | { type: 'hash'; encoding: 'listpack-ttl'; blob: Buffer; minExpireMs: number }
  | { type: 'hash'; encoding: 'table'; table: TableSource }

/** `listpack`: member, score ..., ascending. `table`: `first` is the member; any order (writers: descending). */
export type ZsetValue = { type: 'zset'; encoding: 'listpack'; blob: Buffer } | { type: 'zset'; encoding: 'table'; table: TableSource }

/**
 * The elements of a table, pulled one by one. After a `next()` that returned true the fields describe the
 * element; the slices are good until the next `next()`.
 */
export interface TableSource {
  /** Number of elements. */
  readonly count: number
  /** Whether an element may have an `expireMs` (hashes only). */
  readonly hasExpiry: boolean
  readonly first: Slice
  readonly second: Slice
  readonly score: number
  /** Absolute unix time in ms, -1 for none. */
  readonly expireMs: number
  next(): boolean
  /** Starts over before the first element. */
  rewind(): void
}

/** An entry id: unsigned 64-bit milliseconds and sequence number. */
export interface StreamId {
  ms: bigint
  seq: bigint
}

export interface StreamValue {
  type: 'stream'
  /** Ascending by id. */
  nodes: StreamNode[]
  /** Live entries, as the stream counts them. */
  length: number
  lastId: StreamId
  /** Id of the first live entry, 0-0 when there is none. */
  firstId: StreamId
  maxDeletedId: StreamId
  entriesAdded: Int64
  groups: StreamGroup[]
}

/** A node: its key (the id its entries are relative to) and its listpack, in the layout described in stream.ts. */
export interface StreamNode {
  id: StreamId
  listpack: Buffer
}

export interface StreamGroup {
  name: Buffer
  lastDeliveredId: StreamId
  /** -1: not known. */
  entriesRead: Int64
  pending: PendingEntries
  consumers: StreamConsumer[]
}

export interface StreamConsumer {
  name: Buffer
  seenTimeMs: number
  /** -1: never active. */
  activeTimeMs: number
}

/**
 * A group's pending entries in columns, ascending by id: no object per entry, of which there may be millions.
 */
export interface PendingEntries {
  count: number
  /** 16 bytes per entry: ms u64be, seq u64be. Compares by memcmp. */
  ids: Buffer
  deliveryTimesMs: Float64Array
  deliveryCounts: Float64Array
  /** Index into the group's consumers. */
  owners: Uint32Array
}
