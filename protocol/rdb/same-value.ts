/**
 * Whether two payloads hold the same value, whatever the version, the encoding and the compression they are written in.
 *
 * Equal bodies are equal at once. Otherwise both are decoded and walked side by side, sets, hashes and sorted sets too: two
 * servers often have them in one order. From the first row on that is another, a map of one side's rows is made.
 *
 * What one of the two versions can not carry does not count: a stream's counters before type 19. Nor does when a consumer
 * was last seen or active, which every reading changes, and which commands can not set. Expiry times of fields do.
 */
import { Slice } from '../slice.js'
import { decode } from './decode.js'
import { RdbError } from './error.js'
import { intsetAt, intsetCount } from './intset.js'
import { LP_HEADER, lpFirst, lpGet, lpGetInt64, lpGetInteger, lpIsEnd, lpNext } from './listpack.js'
import { FOOTER_BYTES, TYPE, familyOf, footerVersion } from './payload.js'
import { lpGetScore } from './score.js'
import type { HashValue, ListValue, SetValue, StreamGroup, StreamNode, StreamValue, Value, ZsetValue } from './value.js'

/** Whether two DUMP payloads hold the same value. Damaged ones are the same only when their bytes are. */
export function samePayload(a: Buffer, b: Buffer): boolean {
  if (sameBody(a, b)) return true
  const left = decodePayload(a)
  const right = decodePayload(b)
  if (left === undefined || right === undefined || left.type !== right.type) return false
  try {
    return sameValue(left, right, Math.min(a[0], b[0]))
  } catch (error) {
    // Elements of a table are checked as they are pulled.
    if (error instanceof RdbError) return false
    throw error
  }
}

/** The value of a whole payload, without a look at its checksum; undefined when it is damaged or of an unknown type. */
export function decodePayload(payload: Buffer): Value | undefined {
  if (payload.length <= FOOTER_BYTES) return undefined
  try {
    return decode(payload[0], payload, 1, payload.length - FOOTER_BYTES, footerVersion(payload, payload.length))
  } catch (error) {
    if (error instanceof RdbError) return undefined
    throw error
  }
}

/** The same bytes but for version and checksum, in versions that mean the same by them. */
function sameBody(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length || a.length <= FOOTER_BYTES) return false
  const end = a.length - FOOTER_BYTES
  if (a.compare(b, 0, end, 0, end) !== 0) return false
  return a[0] < TYPE.HASH_TTL_VALKEY || familyOf(footerVersion(a, a.length)) === familyOf(footerVersion(b, b.length))
}

function sameValue(a: Value, b: Value, oldestType: number): boolean {
  switch (a.type) {
    case 'string':
      return a.bytes.equals((b as typeof a).bytes)
    case 'list':
      return sameSequence(listElements(a), listElements(b as ListValue))
    case 'stream':
      return sameStream(a, b as StreamValue, oldestType)
    default:
      return sameRows(rowsOf(a), rowsOf(b as typeof a))
  }
}

/** Both yield the same, to the end. */
function sameSequence(a: Iterator<string>, b: Iterator<string>): boolean {
  for (;;) {
    const left = a.next()
    const right = b.next()
    if (left.done === true || right.done === true) return left.done === right.done
    if (left.value !== right.value) return false
  }
}

function* listElements(list: ListValue): Generator<string> {
  if (list.encoding === 'table') {
    while (list.table.next()) yield list.table.first.latin1()
    return
  }
  const element = new Slice()
  for (const { packed, data } of list.nodes) {
    if (!packed) yield data.latin1Slice()
    else for (let at = lpFirst(data, 0); !lpIsEnd(data, at); at = lpNext(data, at)) yield lpGet(data, at, element).latin1()
  }
}

// ------------------------------------------------------------------------------------------------ rows in any order

/** A member or field, a byte to a character, and what belongs to it: nothing, a score, or a value; and when a field expires, 0 for never. */
type Row = readonly [member: string, content: string | number, expireMs: number]

/** Both yield the same rows, in any order. A member is there once on each side, or the two are not the same. */
function sameRows(a: Iterator<Row>, b: Iterator<Row>): boolean {
  for (;;) {
    const left = a.next()
    const right = b.next()
    if (left.done === true || right.done === true) return left.done === right.done
    if (!sameRow(left.value, right.value)) return sameInAnyOrder(left.value, a, right.value, b)
  }
}

function sameRow(a: Row, b: Row): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2]
}

/** The same for what is left, `left` and `right` included. */
function sameInAnyOrder(left: Row, a: Iterator<Row>, right: Row, b: Iterator<Row>): boolean {
  const rows = new Map<string, Row | undefined>()
  for (let row = left; ;) {
    if (rows.has(row[0])) return false
    rows.set(row[0], row)
    const next = a.next()
    if (next.done === true) break
    row = next.value
  }
  let owed = rows.size
  for (let row = right; ; owed--) {
    const mine = rows.get(row[0])
    if (mine === undefined || !sameRow(mine, row)) return false
    // Not deleted: a map that shrinks is laid out anew.
    rows.set(row[0], undefined)
    const next = b.next()
    if (next.done === true) return owed === 1
    row = next.value
  }
}

/** Of a table, what is left of it. */
export function* rowsOf(value: SetValue | HashValue | ZsetValue): Generator<Row> {
  if (value.encoding === 'intset') for (let i = 0; i < intsetCount(value.blob, 0); i++) yield [String(intsetAt(value.blob, 0, i)), '', 0]
  else if (value.encoding === 'table') yield* tableRows(value)
  else yield* packedRows(value)
}

function* tableRows(value: Extract<SetValue | HashValue | ZsetValue, { encoding: 'table' }>): Generator<Row> {
  const { table } = value
  while (table.next()) {
    if (value.type === 'set') yield [table.first.latin1(), '', 0]
    else if (value.type === 'zset') yield [table.first.latin1(), table.score, 0]
    else yield [table.first.latin1(), table.second.latin1(), table.hasExpiry ? Math.max(table.expireMs, 0) : 0]
  }
}

function* packedRows(value: { readonly type: 'set' | 'hash' | 'zset'; readonly encoding: string; readonly blob: Buffer }): Generator<Row> {
  const { blob } = value
  const text = new Slice()
  for (let at = lpFirst(blob, 0); !lpIsEnd(blob, at); at = lpNext(blob, at)) {
    const member = lpGet(blob, at, text).latin1()
    if (value.type === 'set') {
      yield [member, '', 0]
      continue
    }
    at = lpNext(blob, at)
    if (value.type === 'zset') yield [member, lpGetScore(blob, at, text), 0]
    else {
      const content = lpGet(blob, at, text).latin1()
      if (value.encoding === 'listpack-ttl') at = lpNext(blob, at)
      yield [member, content, value.encoding === 'listpack-ttl' ? Number(lpGetInt64(blob, at) ?? 0n) : 0]
    }
  }
}

// ------------------------------------------------------------------------------------------------ streams

const FLAG_DELETED = 1
const FLAG_SAME_FIELDS = 2

function sameStream(a: StreamValue, b: StreamValue, oldestType: number): boolean {
  if (a.length !== b.length || !sameId(a.lastId, b.lastId) || a.groups.length !== b.groups.length) return false
  const counts = oldestType > TYPE.STREAM_1
  if (counts && (!sameId(a.maxDeletedId, b.maxDeletedId) || a.entriesAdded !== b.entriesAdded)) return false
  if (!sameSequence(streamEntries(a.nodes), streamEntries(b.nodes))) return false
  const groups = new Map(b.groups.map((group) => [group.name.latin1Slice(), group]))
  return a.groups.every((group) => {
    const other = groups.get(group.name.latin1Slice())
    return other !== undefined && sameGroup(group, other, oldestType)
  })
}

function sameGroup(a: StreamGroup, b: StreamGroup, oldestType: number): boolean {
  if (!sameId(a.lastDeliveredId, b.lastDeliveredId)) return false
  if (oldestType > TYPE.STREAM_1 && a.entriesRead !== b.entriesRead) return false
  const consumers = (group: StreamGroup): Iterator<Row> =>
    group.consumers.map((one): Row => [one.name.latin1Slice(), 0, 0])[Symbol.iterator]()
  if (a.consumers.length !== b.consumers.length || !sameRows(consumers(a), consumers(b))) return false
  if (a.pending.count !== b.pending.count || a.pending.ids.compare(b.pending.ids, 0, 16 * a.pending.count, 0, 16 * a.pending.count) !== 0) return false
  for (let i = 0; i < a.pending.count; i++) {
    if (a.pending.deliveryTimesMs[i] !== b.pending.deliveryTimesMs[i] || a.pending.deliveryCounts[i] !== b.pending.deliveryCounts[i]) return false
    if (!a.consumers[a.pending.owners[i]].name.equals(b.consumers[b.pending.owners[i]].name)) return false
  }
  return true
}

function sameId(a: { ms: bigint; seq: bigint }, b: { ms: bigint; seq: bigint }): boolean {
  return a.ms === b.ms && a.seq === b.seq
}

/** The live entries as texts: id, then each field and value with its length. How they are spread over nodes does not show. */
function* streamEntries(nodes: readonly StreamNode[]): Generator<string> {
  const text = new Slice()
  for (const { id, listpack } of nodes) {
    let at = lpNext(listpack, lpNext(listpack, LP_HEADER))
    const fields: string[] = []
    const step = (): string => {
      const word = lpGet(listpack, at, text).latin1()
      at = lpNext(listpack, at)
      return `${word.length}:${word}`
    }
    const integer = (): number => {
      const value = lpGetInteger(listpack, at)
      at = lpNext(listpack, at)
      return value
    }
    for (let left = integer(); left > 0; left--) fields.push(step())
    for (at = lpNext(listpack, at); !lpIsEnd(listpack, at); at = lpNext(listpack, at)) {
      const flags = integer()
      let entry = `${BigInt.asUintN(64, id.ms + (lpGetInt64(listpack, at) ?? 0n))}`
      at = lpNext(listpack, at)
      entry += `-${BigInt.asUintN(64, id.seq + (lpGetInt64(listpack, at) ?? 0n))}`
      at = lpNext(listpack, at)
      if ((flags & FLAG_SAME_FIELDS) !== 0) for (const field of fields) entry += ` ${field}${step()}`
      else for (let left = integer(); left > 0; left--) entry += ` ${step()}${step()}`
      if ((flags & FLAG_DELETED) === 0) yield entry
    }
  }
}
