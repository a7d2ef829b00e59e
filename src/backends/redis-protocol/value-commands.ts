/**
 * A value as the commands that build it, in groups of bounded size: how a value travels that is too large for one
 * RESTORE. What commands can not bring back is said (`unsupported`), but for what an append-only file does not keep
 * either: when a stream's consumers were last seen.
 */
import { formatScore } from '../../../protocol/number.js'
import { intsetCount, intsetGet } from '../../../protocol/rdb/intset.js'
import { LP_HEADER, lpFirst, lpGet, lpGetInt64, lpGetInteger, lpIsEnd, lpNext } from '../../../protocol/rdb/listpack.js'
import { lpGetScore } from '../../../protocol/rdb/score.js'
import { TripleSource } from '../../../protocol/rdb/triple-source.js'
import type { HashValue, ListValue, SetValue, StreamGroup, StreamId, StreamNode, StreamValue, TableSource, Value, ZsetValue } from '../../../protocol/rdb/value.js'
import { Slice } from '../../../protocol/slice.js'
import type { Word } from './request-writer.js'

export type Command = readonly Word[]

/** Elements in one command: a server answers nobody else until it is through. */
const ELEMENTS_MAX = 4096

/** One element of a collection: what it is, and what belongs to it. */
interface Element {
  readonly first: Buffer
  /** A hash field's value. */
  readonly second?: Buffer
  readonly score?: number
  /** When a hash field expires; -1 for never. */
  readonly expireMs?: number
}

/** Commands that make `value` under `key`, in groups of about `groupBytes`. */
export function* commandsOf(key: Buffer, value: Value, groupBytes: number): Generator<Command[], void, void> {
  switch (value.type) {
    case 'string':
      for (let at = 0; at === 0 || at < value.bytes.length; at += groupBytes) yield [[at === 0 ? 'SET' : 'APPEND', key, value.bytes.subarray(at, at + groupBytes)]]
      return
    case 'stream':
      yield* streamCommands(key, value, groupBytes)
      return
    default:
      yield* collectionCommands(key, value, groupBytes)
  }
}

const ADDS = { list: 'RPUSH', set: 'SADD', hash: 'HSET', zset: 'ZADD' } as const

function* collectionCommands(key: Buffer, value: Exclude<Value, { type: 'string' | 'stream' }>, groupBytes: number): Generator<Command[], void, void> {
  const add = ADDS[value.type]
  let words: Word[] = [add, key]
  let expiries: Command[] = []
  let bytes = 0
  let count = 0
  for (const { first, second, score, expireMs } of elementsOf(value)) {
    const size = first.length + (second?.length ?? 24)
    if (count > 0 && (bytes + size > groupBytes || count >= ELEMENTS_MAX)) {
      yield [words, ...expiries]
      words = [add, key]
      expiries = []
      bytes = 0
      count = 0
    }
    if (score !== undefined) words.push(formatScore(score), first)
    else if (second !== undefined) words.push(first, second)
    else words.push(first)
    if (expireMs !== undefined && expireMs >= 0) expiries.push(['HPEXPIREAT', key, expireMs, 'FIELDS', 1, first])
    bytes += size
    count++
  }
  if (count > 0) yield [words, ...expiries]
}

/** The elements of a collection, each in a Buffer of its own. */
export function elementsOf(value: Exclude<Value, { type: 'string' | 'stream' }>): Generator<Element, void, void> {
  switch (value.type) {
    case 'list':
      return listElements(value)
    case 'set':
      return setElements(value)
    case 'hash':
      return hashElements(value)
    case 'zset':
      return zsetElements(value)
  }
}

const copy = ({ buf, start, end }: Slice): Buffer => Buffer.from(buf.subarray(start, end))

function* tableElements(table: TableSource, toElement: (table: TableSource) => Element): Generator<Element, void, void> {
  table.rewind()
  while (table.next()) yield toElement(table)
}

function* packedElements(blob: Buffer): Generator<Element, void, void> {
  const slice = new Slice()
  for (let pos = lpFirst(blob, 0); !lpIsEnd(blob, pos); pos = lpNext(blob, pos)) yield { first: copy(lpGet(blob, pos, slice)) }
}

function* listElements(value: ListValue): Generator<Element, void, void> {
  if (value.encoding === 'table') return yield* tableElements(value.table, ({ first }) => ({ first: copy(first) }))
  for (const node of value.nodes) {
    if (node.packed) yield* packedElements(node.data)
    else yield { first: node.data }
  }
}

function* setElements(value: SetValue): Generator<Element, void, void> {
  if (value.encoding === 'table') return yield* tableElements(value.table, ({ first }) => ({ first: copy(first) }))
  if (value.encoding === 'listpack') return yield* packedElements(value.blob)
  const slice = new Slice()
  const scratch = Buffer.allocUnsafeSlow(24)
  for (let i = 0; i < intsetCount(value.blob, 0); i++) yield { first: copy(intsetGet(value.blob, 0, i, slice, scratch)) }
}

function* hashElements(value: HashValue): Generator<Element, void, void> {
  if (value.encoding === 'listpack') {
    const { blob } = value
    const slice = new Slice()
    for (let pos = lpFirst(blob, 0); !lpIsEnd(blob, pos); ) {
      const first = copy(lpGet(blob, pos, slice))
      pos = lpNext(blob, pos)
      yield { first, second: copy(lpGet(blob, pos, slice)) }
      pos = lpNext(blob, pos)
    }
    return
  }
  const table = value.encoding === 'table' ? value.table : new TripleSource(value.blob)
  yield* tableElements(table, ({ first, second, expireMs }) => ({ first: copy(first), second: copy(second), expireMs }))
}

function* zsetElements(value: ZsetValue): Generator<Element, void, void> {
  if (value.encoding === 'table') return yield* tableElements(value.table, ({ first, score }) => ({ first: copy(first), score }))
  const { blob } = value
  const slice = new Slice()
  for (let pos = lpFirst(blob, 0); !lpIsEnd(blob, pos); ) {
    const first = copy(lpGet(blob, pos, slice))
    pos = lpNext(blob, pos)
    yield { first, score: lpGetScore(blob, pos, slice) }
    pos = lpNext(blob, pos)
  }
}

// ------------------------------------------------------------------------------------------------ streams

const idText = ({ ms, seq }: StreamId): string => `${ms}-${seq}`

function* streamCommands(key: Buffer, stream: StreamValue, groupBytes: number): Generator<Command[], void, void> {
  let group: Command[] = []
  let bytes = 0
  let isEmpty = true
  const add = function* (command: Command, size: number): Generator<Command[], void, void> {
    if (group.length > 0 && (bytes + size > groupBytes || group.length >= ELEMENTS_MAX)) {
      yield group
      group = []
      bytes = 0
    }
    group.push(command)
    bytes += size
  }
  for (const node of stream.nodes) {
    for (const { id, words, size } of entriesOf(node)) {
      isEmpty = false
      yield* add(['XADD', key, id, ...words], size)
    }
  }
  const { lastId } = stream
  // A stream without entries: one that is trimmed away as it comes.
  if (isEmpty) yield* add(['XADD', key, 'MAXLEN', 0, lastId.ms === 0n && lastId.seq === 0n ? '0-1' : idText(lastId), 'x', 'y'], 0)
  yield* add(['XSETID', key, idText(lastId), 'ENTRIESADDED', String(stream.entriesAdded), 'MAXDELETEDID', idText(stream.maxDeletedId)], 0)
  for (const each of stream.groups) for (const command of groupCommands(key, each)) yield* add(command, 100)
  yield group
}

function* groupCommands(key: Buffer, { name, lastDeliveredId, entriesRead, pending, consumers }: StreamGroup): Generator<Command, void, void> {
  const read = BigInt(entriesRead) < 0n ? [] : ['ENTRIESREAD', String(entriesRead)]
  yield ['XGROUP', 'CREATE', key, name, idText(lastDeliveredId), ...read]
  for (const consumer of consumers) yield ['XGROUP', 'CREATECONSUMER', key, name, consumer.name]
  for (let i = 0; i < pending.count; i++) {
    const id = `${pending.ids.readBigUInt64BE(16 * i)}-${pending.ids.readBigUInt64BE(16 * i + 8)}`
    const owner = consumers[pending.owners[i]]
    yield ['XCLAIM', key, name, owner.name, 0, id, 'TIME', String(pending.deliveryTimesMs[i]), 'RETRYCOUNT', String(Math.min(pending.deliveryCounts[i], Number.MAX_SAFE_INTEGER)), 'FORCE', 'JUSTID']
  }
}

const FLAG_DELETED = 1
const FLAG_SAME_FIELDS = 2

/** The live entries of a node; protocol/rdb/stream.ts draws its layout. */
function* entriesOf({ id, listpack }: StreamNode): Generator<{ id: string; words: Buffer[]; size: number }, void, void> {
  const slice = new Slice()
  let pos = LP_HEADER
  const integer = (): number => {
    const value = lpGetInteger(listpack, pos)
    pos = lpNext(listpack, pos)
    return value
  }
  const long = (): bigint => {
    const value = lpGetInt64(listpack, pos) ?? 0n
    pos = lpNext(listpack, pos)
    return value
  }
  const bytes = (): Buffer => {
    const value = copy(lpGet(listpack, pos, slice))
    pos = lpNext(listpack, pos)
    return value
  }
  integer()
  integer()
  const headFields = Array.from({ length: integer() }, bytes)
  integer()
  while (!lpIsEnd(listpack, pos)) {
    const flags = integer()
    const entryId = idText({ ms: BigInt.asUintN(64, id.ms + long()), seq: BigInt.asUintN(64, id.seq + long()) })
    const same = (flags & FLAG_SAME_FIELDS) !== 0
    const fields = same ? headFields.length : integer()
    const words: Buffer[] = []
    let size = 40
    for (let i = 0; i < fields; i++) {
      const field = same ? headFields[i] : bytes()
      const value = bytes()
      words.push(field, value)
      size += field.length + value.length
    }
    integer()
    if ((flags & FLAG_DELETED) === 0) yield { id: entryId, words, size }
  }
}
