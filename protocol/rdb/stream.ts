/**
 * Streams (types 15, 19 and 21): the body of a payload and the check of its nodes.
 *
 *     count nodes x ( string key: 16 bytes, ms u64be and seq u64be | string listpack )
 *     length | last id: 2 lengths | [19+] first id, greatest deleted id: 2 lengths each, entries added
 *     count groups x
 *         string name | last delivered id: 2 lengths | [19+] entries read (2^64-1: not known)
 *         count pending x ( 16 bytes id, ms delivery time, length delivery count )
 *         count consumers x ( string name, ms seen, [21] ms active, count x 16 bytes id )
 *
 * A node's listpack, entries with ids relative to the node's key (differences wrap at 64 bits):
 *
 *     live count | deleted count | number of fields | field ... | 0
 *     { flags (1 deleted, 2 fields as in the head) | ms difference | seq difference |
 *       [number of fields, field, value ... or value ...] | number of elements of this entry before this one }
 *
 * What Valkey 8 loads is loaded, with one repair, since adding to a stream relies on it: the last id is never
 * less than that of the last entry.
 */
import { Slice } from '../slice.js'
import { asSigned, canonical, subtractInt64, type Int64 } from '../uint64.js'
import { RdbError } from './error.js'
import type { RdbInput } from './input.js'
import { LP_HEADER, lpGetInt64, lpGetInteger, lpIsEnd, lpNext } from './listpack.js'
import { lpConvertBackLengths } from './listpack-check.js'
import { checkListpack } from './packed.js'
import { TYPE } from './payload.js'
import { StringScratch, readBlob, readString } from './string.js'
import type { PendingEntries, StreamConsumer, StreamGroup, StreamId, StreamNode, StreamValue } from './value.js'

const FLAG_DELETED = 1
const FLAG_SAME_FIELDS = 2
const ID_BYTES = 16
/** Counts of deliveries are signed in the servers, and doubles here. */
const MOST_DELIVERIES = 2 ** 63

/** Reads and checks a stream. With `keep` false the nodes are only checked and none of them is copied. */
export function readStream(input: RdbInput, type: number, keep: boolean): StreamValue {
  const nodes = readNodes(input, keep)
  const length = input.length()
  if (nodes.length === 0 && length > 0) throw new RdbError('a stream with a length but without nodes')
  const lastId = readId(input)
  const stream: StreamValue = { type: 'stream', nodes, length, lastId, firstId: ZERO, maxDeletedId: ZERO, entriesAdded: length, groups: [] }
  if (type === TYPE.STREAM_1) stream.firstId = firstIdOfOld(stream, keep)
  else {
    stream.firstId = readId(input)
    stream.maxDeletedId = readId(input)
    stream.entriesAdded = canonical(input.length64())
  }
  if (keep) repairLastId(stream)
  const groups = input.count(5)
  const names = new Set<string>()
  for (let i = 0; i < groups; i++) {
    const group = readGroup(input, type, stream)
    addName(names, group.name)
    if (keep) stream.groups.push(group)
  }
  return stream
}

const ZERO: StreamId = { ms: 0n, seq: 0n }
const MOST: StreamId = { ms: 0xffffffffffffffffn, seq: 0xffffffffffffffffn }

/** Order of two ids: negative, 0, positive. */
export function compareIds(a: StreamId, b: StreamId): number {
  if (a.ms !== b.ms) return a.ms < b.ms ? -1 : 1
  return a.seq === b.seq ? 0 : a.seq < b.seq ? -1 : 1
}

function readId(input: RdbInput): StreamId {
  const ms = input.length64()
  return { ms, seq: input.length64() }
}

function readDeliveries(input: RdbInput): number {
  return Math.min(Number(input.length64()), MOST_DELIVERIES)
}

function addName(names: Set<string>, name: Buffer): void {
  const text = name.latin1Slice(0, name.length)
  if (names.has(text)) throw new RdbError('a name that is there twice')
  names.add(text)
}

// ------------------------------------------------------------------------------------------------ nodes

function readNodes(input: RdbInput, keep: boolean): StreamNode[] {
  const count = input.count(2)
  const nodes: StreamNode[] = []
  let ascending = true
  for (let i = 0; i < count; i++) {
    const key = readString(input, slice, scratch)
    if (key.length !== ID_BYTES) throw new RdbError('the key of a stream node is not 16 bytes long')
    const id = { ms: key.buf.readBigUInt64BE(key.start), seq: key.buf.readBigUInt64BE(key.start + 8) }
    if (i > 0 && compareIds(nodes[i - 1].id, id) >= 0) ascending = false
    nodes.push({ id, listpack: readNode(input, keep) })
  }
  if (!ascending) {
    nodes.sort((a, b) => compareIds(a.id, b.id))
    for (let i = 1; i < count; i++) if (compareIds(nodes[i - 1].id, nodes[i].id) === 0) throw new RdbError('a stream node that is there twice')
  }
  return nodes
}

const slice = Slice.scratch()
const scratch = new StringScratch()
const NOTHING = Buffer.alloc(0)

function readNode(input: RdbInput, keep: boolean): Buffer {
  if (!keep) {
    const blob = readString(input, slice, scratch)
    checkNode(blob.buf, blob.start, blob.end)
    return NOTHING
  }
  const blob = readBlob(input)
  checkNode(blob, 0, blob.length)
  return lpConvertBackLengths(blob, 0, blob.length, 'old') ?? blob
}

/** Checks the listpack of a node from outside: the bytes, then the layout. */
function checkNode(buf: Buffer, start: number, end: number): void {
  if (checkListpack(buf, start, end) === 0) throw new RdbError('a stream node without elements')
  let pos = start + LP_HEADER
  const live = countAt(buf, pos)
  const deleted = countAt(buf, (pos = after(buf, pos)))
  const fields = countAt(buf, (pos = after(buf, pos)))
  pos = skip(buf, after(buf, pos), fields)
  if (lpIsEnd(buf, pos) || lpGetInteger(buf, pos) !== 0) throw badNode()
  pos = after(buf, pos)
  for (let left = live + deleted; left > 0; left--) pos = checkEntry(buf, pos, fields)
  if (!lpIsEnd(buf, pos)) throw badNode()
}

function checkEntry(buf: Buffer, start: number, headFields: number): number {
  let pos = start
  const flags = integerAt(buf, pos)
  pos = after(buf, pos)
  if (lpIsEnd(buf, pos) || lpGetInt64Quick(buf, pos) === undefined) throw badNode()
  pos = after(buf, pos)
  if (lpIsEnd(buf, pos) || lpGetInt64Quick(buf, pos) === undefined) throw badNode()
  pos = after(buf, pos)
  let elements = headFields + 3
  if ((flags & FLAG_SAME_FIELDS) !== 0) pos = skip(buf, pos, headFields)
  else {
    const fields = countAt(buf, pos)
    elements = 2 * fields + 4
    pos = skip(buf, after(buf, pos), 2 * fields)
  }
  if (integerAt(buf, pos) !== elements) throw badNode()
  return after(buf, pos)
}

function lpGetInt64Quick(buf: Buffer, pos: number): number | bigint | undefined {
  const value = lpGetInteger(buf, pos)
  return value === value ? value : lpGetInt64(buf, pos)
}

function integerAt(buf: Buffer, pos: number): number {
  const value = lpIsEnd(buf, pos) ? NaN : lpGetInteger(buf, pos)
  if (value !== value) throw badNode()
  return value
}

function countAt(buf: Buffer, pos: number): number {
  const value = integerAt(buf, pos)
  if (value < 0) throw badNode()
  return value
}

function after(buf: Buffer, pos: number): number {
  return lpNext(buf, pos)
}

function skip(buf: Buffer, start: number, elements: number): number {
  let pos = start
  for (let i = 0; i < elements; i++) {
    if (lpIsEnd(buf, pos)) throw badNode()
    pos = lpNext(buf, pos)
  }
  return pos
}

function badNode(): RdbError {
  return new RdbError('corrupt stream node')
}

/**
 * The id of the first or the last entry of a checked node, undefined when there is none. Deleted entries
 * count only when `deletedToo`.
 */
function edgeEntryId(node: StreamNode, edge: 'first' | 'last', deletedToo: boolean): StreamId | undefined {
  const buf = node.listpack
  let pos = LP_HEADER
  pos = lpNext(buf, lpNext(buf, pos))
  const fields = lpGetInteger(buf, pos)
  pos = lpNext(buf, skip(buf, lpNext(buf, pos), fields))
  let found: StreamId | undefined
  while (!lpIsEnd(buf, pos)) {
    const flags = lpGetInteger(buf, pos)
    const msAt = lpNext(buf, pos)
    const seqAt = lpNext(buf, msAt)
    if (deletedToo || (flags & FLAG_DELETED) === 0) {
      found = { ms: shifted(node.id.ms, buf, msAt), seq: shifted(node.id.seq, buf, seqAt) }
      if (edge === 'first') return found
    }
    pos = lpNext(buf, seqAt)
    if ((flags & FLAG_SAME_FIELDS) !== 0) pos = skip(buf, pos, fields)
    else pos = skip(buf, lpNext(buf, pos), 2 * lpGetInteger(buf, pos))
    pos = lpNext(buf, pos)
  }
  return found
}

function shifted(base: bigint, buf: Buffer, pos: number): bigint {
  return BigInt.asUintN(64, base + (lpGetInt64(buf, pos) ?? 0n))
}

/** Type 15 does not say the first id. The servers show the greatest id for a stream without entries. */
function firstIdOfOld(stream: StreamValue, keep: boolean): StreamId {
  if (!keep) return ZERO
  for (const node of stream.nodes) {
    const first = edgeEntryId(node, 'first', false)
    if (first !== undefined) return first
  }
  return MOST
}

function repairLastId(stream: StreamValue): void {
  const node = stream.nodes[stream.nodes.length - 1]
  const last = node === undefined ? undefined : edgeEntryId(node, 'last', true)
  if (last !== undefined && compareIds(last, stream.lastId) > 0) stream.lastId = last
}

// ------------------------------------------------------------------------------------------------ groups

function readGroup(input: RdbInput, type: number, stream: StreamValue): StreamGroup {
  const name = readBlob(input)
  const lastDeliveredId = readId(input)
  const entriesRead = type === TYPE.STREAM_1 ? estimateRead(stream, lastDeliveredId) : asSigned(canonical(input.length64()))
  const pending = readPending(input)
  const owned = new Uint8Array(pending.count)
  const count = input.count(type === TYPE.STREAM_3 ? 18 : 10)
  const consumers: StreamConsumer[] = []
  const names = new Set<string>()
  for (let i = 0; i < count; i++) {
    const consumer = { name: readBlob(input), seenTimeMs: input.ms(), activeTimeMs: 0 }
    consumer.activeTimeMs = type === TYPE.STREAM_3 ? input.ms() : consumer.seenTimeMs
    addName(names, consumer.name)
    consumers.push(consumer)
    readOwned(input, pending, owned, i)
  }
  if (owned.includes(0)) throw new RdbError('a pending entry that no consumer owns')
  return { name, lastDeliveredId, entriesRead, pending, consumers }
}

function readPending(input: RdbInput): PendingEntries {
  const count = input.count(ID_BYTES + 9)
  const ids = Buffer.allocUnsafeSlow(count * ID_BYTES)
  const deliveryTimesMs = new Float64Array(count)
  const deliveryCounts = new Float64Array(count)
  const pending = { count, ids, deliveryTimesMs, deliveryCounts, owners: new Uint32Array(count) }
  let ascending = true
  for (let i = 0; i < count; i++) {
    const at = input.take(ID_BYTES)
    input.buf.copy(ids, i * ID_BYTES, at, at + ID_BYTES)
    if (i > 0 && compareIdAt(ids, i - 1, ids, i * ID_BYTES) >= 0) ascending = false
    deliveryTimesMs[i] = input.ms()
    deliveryCounts[i] = readDeliveries(input)
  }
  if (ascending) return pending
  const sorted = sortPending(pending)
  for (let i = 1; i < count; i++) if (compareIdAt(sorted.ids, i - 1, sorted.ids, i * ID_BYTES) === 0) throw new RdbError('a pending entry that is there twice')
  return sorted
}

function compareIdAt(ids: Buffer, index: number, other: Buffer, at: number): number {
  return ids.compare(other, at, at + ID_BYTES, index * ID_BYTES, (index + 1) * ID_BYTES)
}

function sortPending(pending: PendingEntries): PendingEntries {
  const { count, ids } = pending
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  order.sort((a, b) => compareIdAt(ids, a, ids, b * ID_BYTES))
  const sorted = Buffer.allocUnsafeSlow(ids.length)
  for (let i = 0; i < count; i++) ids.copy(sorted, i * ID_BYTES, order[i] * ID_BYTES, (order[i] + 1) * ID_BYTES)
  const times = Float64Array.from(order, (from) => pending.deliveryTimesMs[from])
  const counts = Float64Array.from(order, (from) => pending.deliveryCounts[from])
  return { count, ids: sorted, deliveryTimesMs: times, deliveryCounts: counts, owners: pending.owners }
}

/** Reads the ids a consumer owns. An id that is not pending, or owned already, would make the servers crash. */
function readOwned(input: RdbInput, pending: PendingEntries, owned: Uint8Array, consumer: number): void {
  const count = input.count(ID_BYTES)
  for (let i = 0; i < count; i++) {
    const index = searchPending(pending, input.buf, input.take(ID_BYTES))
    if (index < 0) throw new RdbError('a consumer owns an entry that is not pending')
    if (owned[index] !== 0) throw new RdbError('a pending entry with two owners')
    owned[index] = 1
    pending.owners[index] = consumer
  }
}

/** Index of the pending entry with the 16-byte id at `buf[at]`, -1 when there is none. */
function searchPending(pending: PendingEntries, buf: Buffer, at: number): number {
  let low = 0
  let high = pending.count
  while (low < high) {
    const middle = (low + high) >>> 1
    const order = compareIdAt(pending.ids, middle, buf, at)
    if (order === 0) return middle
    if (order < 0) low = middle + 1
    else high = middle
  }
  return -1
}

/** Type 15 does not say how many entries a group has read; where the ids tell, this is the number. */
function estimateRead(stream: StreamValue, id: StreamId): Int64 {
  const { entriesAdded, length, lastId, firstId } = stream
  if (entriesAdded === 0) return 0
  const toLast = compareIds(id, lastId)
  if (length === 0 && toLast <= 0) return entriesAdded
  if (toLast === 0) return entriesAdded
  if (toLast > 0) return -1
  const toFirst = compareIds(id, firstId)
  if (toFirst < 0) return subtractInt64(entriesAdded, length)
  return toFirst === 0 ? subtractInt64(entriesAdded, length - 1) : -1
}
