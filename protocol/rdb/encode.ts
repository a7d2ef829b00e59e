/**
 * From a Value to the body of a payload for a given RDB version: the inverse of decode.ts.
 *
 * The form is the newest that version knows, so that a server of that version writes the same bytes for the
 * same value:
 *
 *     version          9            10            11            12..79 (Redis)     80 (Valkey)
 *     list             14           18            18            18                 18
 *     packed set       2            2             20            20                 20
 *     packed hash      13           16            16            16                 16
 *     packed zset      12           17            17            17                 17
 *     stream           15           19            21            21                 21
 *     field expiries   -            -             -             24, 25             22
 *
 * From 80 on, listpacks carry the new back-lengths. What a version cannot carry is an error that names it.
 */
import { Slice } from '../slice.js'
import { RdbError } from './error.js'
import { lpCount, lpFirst, lpGet, lpGetInteger, lpIsEnd, lpNext } from './listpack.js'
import { lpConvertBackLengths } from './listpack-check.js'
import { ListPacker } from './list-packer.js'
import { ListpackBuilder } from './listpack-builder.js'
import { RdbOutput } from './output.js'
import { FOOTER_BYTES, RDB_VERSION, TYPE, familyOf, writeFooter } from './payload.js'
import type { HashValue, ListNode, ListValue, SetValue, StreamGroup, StreamId, StreamValue, TableSource, Value, ZsetValue } from './value.js'
import { TripleSource } from './triple-source.js'
import { ziplistFromElements } from './ziplist.js'

/** How a value is written. */
export interface EncodeOptions {
  /** RDB version of the payload or file: 9, 10, 11, 12 or 80. */
  version: number
  /** Whether strings over 20 bytes may be compressed (`rdbcompression`). */
  compressed: boolean
}

const DEFAULTS: EncodeOptions = { version: RDB_VERSION, compressed: true }
/** The oldest version that can be written. */
const OLDEST = 9

/** A whole DUMP payload: type, body, footer. */
export function encodePayload(value: Value, options: EncodeOptions = DEFAULTS): Buffer {
  const out = new RdbOutput()
  const type = typeFor(value, options.version)
  out.byte(type)
  encodeBody(value, type, out, options)
  out.ensure(FOOTER_BYTES)
  out.pos = writeFooter(out.buf, 0, out.pos, options.version)
  return out.take()
}

/** Writes the body of `value` as `type`, which must be what `typeFor` said. */
export function encodeBody(value: Value, type: number, out: RdbOutput, options: EncodeOptions = DEFAULTS): void {
  for (const _ of encodeSteps(value, type, out, options, Infinity)) {
    // With an infinite step there is none but the last.
  }
}

/**
 * The same in steps: yields after about every `stepBytes` written, so that the caller can send what is there
 * (`out.take()`) and let others work.
 */
export function* encodeSteps(value: Value, type: number, out: RdbOutput, options: EncodeOptions, stepBytes: number): Generator<void, void, void> {
  switch (value.type) {
    case 'string':
      out.string(slice.set(value.bytes, 0, value.bytes.length), options.compressed)
      return
    case 'list':
      yield* listSteps(value, type, out, options, stepBytes)
      return
    case 'set':
      yield* setSteps(value, type, out, options, stepBytes)
      return
    case 'hash':
      yield* hashSteps(value, type, out, options, stepBytes)
      return
    case 'zset':
      if (value.encoding === 'table') yield* tableSteps(value.table, type, out, options, stepBytes)
      else writeRows(value.blob, type === TYPE.ZSET_ZIPLIST, out, options)
      return
    case 'stream':
      yield* streamSteps(value, type, out, options, stepBytes)
  }
}

/**
 * How many bytes `encodeSteps` will write: what the length in front of a RESTORE argument must say before the
 * first byte of a value that is sent as it is encoded. Writes and forgets, in steps, so it takes as long.
 */
export function* measureSteps(value: Value, type: number, options: EncodeOptions, stepBytes: number): Generator<void, number, void> {
  const out = new RdbOutput()
  let bytes = 0
  for (const _ of encodeSteps(value, type, out, options, stepBytes)) {
    bytes += out.pos
    out.pos = 0
    yield
  }
  return bytes + out.pos
}

const slice = Slice.scratch()

// ------------------------------------------------------------------------------------------------ types

/**
 * The type byte for this value in this version. Throws RdbError of kind `unsupported`, with the field's name,
 * when a hash has an expiry on a field and the version cannot carry one. Walks a table that may have some.
 */
export function typeFor(value: Value, version: number): number {
  if (version < OLDEST) throw new RdbError(`RDB version ${version} cannot be written`, 'unsupported')
  switch (value.type) {
    case 'string':
      return TYPE.STRING
    case 'list':
      return version < 10 ? TYPE.LIST_QUICKLIST : TYPE.LIST_QUICKLIST_2
    case 'set':
      return setType(value, version)
    case 'hash':
      return hashType(value, version)
    case 'zset':
      return zsetType(value, version)
    case 'stream':
      return version < 10 ? TYPE.STREAM_1 : version < 11 ? TYPE.STREAM_2 : TYPE.STREAM_3
  }
}

function setType(value: SetValue, version: number): number {
  if (value.encoding === 'intset') return TYPE.SET_INTSET
  return value.encoding === 'listpack' && version >= 11 ? TYPE.SET_LISTPACK : TYPE.SET
}

function zsetType(value: ZsetValue, version: number): number {
  if (value.encoding === 'table') return TYPE.ZSET
  return version < 10 ? TYPE.ZSET_ZIPLIST : TYPE.ZSET_LISTPACK
}

function hashType(value: HashValue, version: number): number {
  if (value.encoding === 'listpack') return version < 10 ? TYPE.HASH_ZIPLIST : TYPE.HASH_LISTPACK
  const inTable = value.encoding === 'table'
  if (familyOf(version) === 'redis' && version >= 12 && !inTable) return TYPE.HASH_LISTPACK_TTL
  const field = inTable ? firstExpiring(value.table) : firstExpiringRow(value.blob)
  if (field !== undefined) {
    if (familyOf(version) === 'valkey') return TYPE.HASH_TTL_VALKEY
    if (version >= 12) return TYPE.HASH_TTL
    throw new RdbError(`RDB version ${version} cannot carry the expiry of hash field '${field}'`, 'unsupported')
  }
  if (inTable || familyOf(version) === 'valkey') return TYPE.HASH
  return version < 10 ? TYPE.HASH_ZIPLIST : TYPE.HASH_LISTPACK
}

function firstExpiring(table: TableSource): string | undefined {
  if (!table.hasExpiry) return undefined
  table.rewind()
  while (table.next()) if (table.expireMs >= 0) return table.first.toString()
  return undefined
}

/** Rows with an expiry come first in a listpack of triples. */
function firstExpiringRow(blob: Buffer): string | undefined {
  const pos = lpFirst(blob, 0)
  if (lpIsEnd(blob, pos) || lpGetInteger(blob, lpNext(blob, lpNext(blob, pos))) === 0) return undefined
  return lpGet(blob, pos, slice).toString()
}

// ------------------------------------------------------------------------------------------------ bodies

/** Writes a listpack as it is, in the version's back-lengths, or as a ziplist. */
function writeRows(blob: Buffer, asZiplist: boolean, out: RdbOutput, options: EncodeOptions): void {
  const bytes = asZiplist ? ziplistFromElements((each) => eachElement(blob, each)) : inDialect(blob, options.version)
  out.string(slice.set(bytes, 0, bytes.length), options.compressed)
}

function inDialect(blob: Buffer, version: number): Buffer {
  return lpConvertBackLengths(blob, 0, blob.length, version >= 80 ? 'new' : 'old') ?? blob
}

function eachElement(blob: Buffer, each: (element: Slice) => void): void {
  const element = new Slice()
  for (let pos = lpFirst(blob, 0); !lpIsEnd(blob, pos); pos = lpNext(blob, pos)) each(lpGet(blob, pos, element))
}

function* listSteps(value: ListValue, type: number, out: RdbOutput, options: EncodeOptions, stepBytes: number): Generator<void, void, void> {
  const nodes = value.encoding === 'table' ? packTable(value.table) : value.nodes
  out.length(nodes.length)
  let step = out.pos + stepBytes
  for (const node of nodes) {
    if (type === TYPE.LIST_QUICKLIST_2) {
      out.length(node.packed ? 2 : 1)
      const data = node.packed ? inDialect(node.data, options.version) : node.data
      out.string(slice.set(data, 0, data.length), options.compressed)
    } else {
      const data = ziplistOfNode(node)
      out.string(slice.set(data, 0, data.length), options.compressed)
    }
    if (out.pos >= step) {
      yield
      step = out.pos + stepBytes
    }
  }
}

function packTable(table: TableSource): ListNode[] {
  const packer = new ListPacker()
  table.rewind()
  while (table.next()) packer.add(table.first)
  return packer.finish()
}

function ziplistOfNode(node: ListNode): Buffer {
  if (node.packed) return ziplistFromElements((each) => eachElement(node.data, each))
  const element = new Slice(node.data, 0, node.data.length)
  return ziplistFromElements((each) => each(element))
}

function* setSteps(value: SetValue, type: number, out: RdbOutput, options: EncodeOptions, stepBytes: number): Generator<void, void, void> {
  if (value.encoding === 'table') yield* tableSteps(value.table, type, out, options, stepBytes)
  else if (type === TYPE.SET) {
    out.length(lpCount(value.blob, 0))
    eachElement(value.blob, (member) => out.string(member, options.compressed))
  } else if (value.encoding === 'intset') out.string(slice.set(value.blob, 0, value.blob.length), options.compressed)
  else writeRows(value.blob, false, out, options)
}

function* hashSteps(value: HashValue, type: number, out: RdbOutput, options: EncodeOptions, stepBytes: number): Generator<void, void, void> {
  if (value.encoding === 'table') yield* tableSteps(value.table, type, out, options, stepBytes)
  else if (value.encoding === 'listpack') writeRows(value.blob, type === TYPE.HASH_ZIPLIST, out, options)
  else if (type === TYPE.HASH_LISTPACK_TTL) {
    out.ms(value.minExpireMs)
    writeRows(value.blob, false, out, options)
  } else yield* tableSteps(new TripleSource(value.blob), type, out, options, stepBytes)
}

/** Writes a table; a small hash without expiries as a packed form when `type` says so. */
function* tableSteps(table: TableSource, type: number, out: RdbOutput, options: EncodeOptions, stepBytes: number): Generator<void, void, void> {
  if (type === TYPE.HASH_LISTPACK || type === TYPE.HASH_ZIPLIST) {
    const pairs = pairsOf(table)
    writeRows(pairs, type === TYPE.HASH_ZIPLIST, out, options)
    return
  }
  const minExpireMs = type === TYPE.HASH_TTL ? leastExpiry(table) : 0
  if (type === TYPE.HASH_TTL) out.ms(minExpireMs)
  out.length(table.count)
  table.rewind()
  let step = out.pos + stepBytes
  while (table.next()) {
    if (type === TYPE.HASH_TTL) out.length(table.expireMs < 0 ? 0 : table.expireMs - minExpireMs + 1)
    out.string(table.first, options.compressed)
    if (type === TYPE.ZSET) out.double(table.score)
    else if (type !== TYPE.SET) out.string(table.second, options.compressed)
    if (type === TYPE.HASH_TTL_VALKEY) out.ms(table.expireMs)
    if (out.pos >= step) {
      yield
      step = out.pos + stepBytes
    }
  }
}

function leastExpiry(table: TableSource): number {
  let least = Infinity
  table.rewind()
  while (table.next()) if (table.expireMs >= 0 && table.expireMs < least) least = table.expireMs
  return least
}

function pairsOf(table: TableSource): Buffer {
  const packer = new ListpackBuilder()
  table.rewind()
  while (table.next()) {
    packer.add(table.first)
    packer.add(table.second)
  }
  return packer.finish()
}

// ------------------------------------------------------------------------------------------------ streams

function* streamSteps(value: StreamValue, type: number, out: RdbOutput, options: EncodeOptions, stepBytes: number): Generator<void, void, void> {
  out.length(value.nodes.length)
  let step = out.pos + stepBytes
  for (const node of value.nodes) {
    out.byte(16)
    out.ensure(16)
    out.buf.writeBigUInt64BE(node.id.ms, out.pos)
    out.buf.writeBigUInt64BE(node.id.seq, out.pos + 8)
    out.pos += 16
    writeRows(node.listpack, false, out, options)
    if (out.pos >= step) {
      yield
      step = out.pos + stepBytes
    }
  }
  out.length(value.length)
  writeId(value.lastId, out)
  if (type !== TYPE.STREAM_1) {
    writeId(value.firstId, out)
    writeId(value.maxDeletedId, out)
    out.length64(BigInt(value.entriesAdded))
  }
  out.length(value.groups.length)
  for (const group of byName(value.groups)) {
    out.string(slice.set(group.name, 0, group.name.length), options.compressed)
    writeId(group.lastDeliveredId, out)
    if (type !== TYPE.STREAM_1) out.length64(BigInt.asUintN(64, BigInt(group.entriesRead)))
    const { pending } = group
    out.length(pending.count)
    for (let i = 0; i < pending.count; i++) {
      out.raw(pending.ids, 16 * i, 16 * i + 16)
      out.ms(pending.deliveryTimesMs[i])
      writeDeliveries(pending.deliveryCounts[i], out)
      if (out.pos >= step) {
        yield
        step = out.pos + stepBytes
      }
    }
    writeConsumers(group, type, out, options)
  }
}

function byName<T extends { name: Buffer }>(list: readonly T[]): T[] {
  return list.slice().sort((a, b) => Buffer.compare(a.name, b.name))
}

function writeConsumers(group: StreamGroup, type: number, out: RdbOutput, options: EncodeOptions): void {
  const { pending, consumers } = group
  const owned = new Uint32Array(consumers.length)
  for (let i = 0; i < pending.count; i++) owned[pending.owners[i]]++
  const lists = consumers.map((_, index) => new Uint32Array(owned[index]))
  owned.fill(0)
  for (let i = 0; i < pending.count; i++) lists[pending.owners[i]][owned[pending.owners[i]]++] = i
  out.length(consumers.length)
  const order = consumers.map(({ name }, index) => ({ name, index }))
  for (const { index } of byName(order)) {
    const consumer = consumers[index]
    out.string(slice.set(consumer.name, 0, consumer.name.length), options.compressed)
    out.ms(consumer.seenTimeMs)
    if (type === TYPE.STREAM_3) out.ms(consumer.activeTimeMs)
    out.length(lists[index].length)
    for (const i of lists[index]) out.raw(pending.ids, 16 * i, 16 * i + 16)
  }
}

function writeId(id: StreamId, out: RdbOutput): void {
  out.length64(id.ms)
  out.length64(id.seq)
}

/** A count of deliveries; what a double cannot hold is clamped. */
function writeDeliveries(value: number, out: RdbOutput): void {
  if (value < 0) out.length64(0xffffffffffffffffn)
  else if (value >= 2 ** 63) out.length64(0x7fffffffffffffffn)
  else out.length64(BigInt(value))
}
