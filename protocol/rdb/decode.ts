/**
 * From the body of a payload (the bytes after the type byte) to a Value, or to the answer whether there is one.
 *
 * `verify` is the deep check without making anything: what RESTORE pays before it keeps a payload as it came.
 * `decode` makes the Value and checks as it goes, so bytes that were never verified are safe with it too;
 * elements of a table are checked as they are pulled, all but duplicates, for which `verify` is the place.
 * Both follow the verdicts of Valkey 8 with deep checks on: bytes behind the value are left alone, and a
 * value may reach into the footer (pass the end of the whole payload). Stricter than Valkey 8 where it takes
 * what no server writes: a score that is no number, two owners of one pending stream entry (which crash other
 * servers), a special string form where a count is expected, a stream node whose header miscounts its
 * elements, a back-length with the wrong high bit, a compressed string of no bytes.
 *
 * Forms that are written no more come out as their successors: zipmaps and ziplists as listpacks, score text
 * as numbers. A sorted-set listpack out of order is put in order.
 */
import { Slice } from '../slice.js'
import { RdbError } from './error.js'
import { RdbInput } from './input.js'
import { intsetValidate } from './intset.js'
import { LIST_NODE_BYTES, ListPacker } from './list-packer.js'
import { lpFirst, lpGet, lpIsEnd, lpNext } from './listpack.js'
import { lpConvertBackLengths } from './listpack-check.js'
import { checkFieldExpiries, checkListpack, checkRows, checkScores, sortScores } from './packed.js'
import { RDB_VERSION, TYPE, readerKnows } from './payload.js'
import { readStream } from './stream.js'
import { StringScratch, readBlob, readString } from './string.js'
import { TableReader, TableVerifier } from './table.js'
import type { ListNode, Value } from './value.js'
import { ziplistToListpack, ziplistValidate } from './ziplist.js'
import { zipmapToListpack, zipmapValidate } from './zipmap.js'

/** Container of a node of type 18: the string is the element, or a listpack of elements. */
const PLAIN = 1
const PACKED = 2

/**
 * Whether `buf[start..end)` begins with a value of this type that `decode` will take. `version` is that of the
 * footer or file: it decides which types are known and what the bytes from 22 on mean.
 */
export function verify(type: number, buf: Buffer, start: number, end: number, version = RDB_VERSION): boolean {
  try {
    requireValid(type, buf, start, end, version)
    return true
  } catch (error) {
    if (error instanceof RdbError) return false
    throw error
  }
}

/** The same check; throws the RdbError that says what is wrong. */
export function requireValid(type: number, buf: Buffer, start: number, end: number, version = RDB_VERSION): void {
  if (isTable(type) && readerKnows(version, type)) new TableVerifier(type, buf, start, end, version).step(Infinity)
  else checkBody(type, new RdbInput(buf, start, end), version)
}

/** The value in `buf[start..end)`. Throws RdbError and nothing else. A table reads on from `buf`, which must stay. */
export function decode(type: number, buf: Buffer, start: number, end: number, version = RDB_VERSION): Value {
  requireKnown(type, version)
  const input = new RdbInput(buf, start, end)
  if (isTable(type)) return tableValue(type, new TableReader(type, buf, start, end, version))
  switch (type) {
    case TYPE.STRING:
      return { type: 'string', bytes: readBlob(input) }
    case TYPE.LIST_ZIPLIST:
      return { type: 'list', encoding: 'quicklist', nodes: repacked(readNodes(input, type, 1, true)) }
    case TYPE.LIST_QUICKLIST:
    case TYPE.LIST_QUICKLIST_2:
      return { type: 'list', encoding: 'quicklist', nodes: readNodes(input, type, input.count(1), true) }
    case TYPE.STREAM_1:
    case TYPE.STREAM_2:
    case TYPE.STREAM_3:
      return readStream(input, type, true)
    default:
      return packedValue(type, input)
  }
}

/** Whether the type is a count and so many elements, read through a TableReader. */
export function isTable(type: number): boolean {
  return (type >= TYPE.LIST && type <= TYPE.ZSET) || type === TYPE.HASH_TTL_VALKEY || type === TYPE.HASH_TTL
}

function requireKnown(type: number, version: number): void {
  if (!readerKnows(version, type)) throw new RdbError(`unknown type ${type}`, 'unsupported')
  if (type === TYPE.MODULE_2) throw new RdbError('values of modules cannot be loaded', 'unsupported')
}

function tableValue(type: number, table: TableReader): Value {
  switch (type) {
    case TYPE.LIST:
      return { type: 'list', encoding: 'table', table }
    case TYPE.SET:
      return { type: 'set', encoding: 'table', table }
    case TYPE.ZSET:
    case TYPE.ZSET_TEXT:
      return { type: 'zset', encoding: 'table', table }
    default:
      return { type: 'hash', encoding: 'table', table }
  }
}

// ------------------------------------------------------------------------------------------------ packed forms

/** Whether the body is one packed blob in a form that is still written: intset or listpack. */
export function isPacked(type: number): boolean {
  return type === TYPE.SET_INTSET || type === TYPE.HASH_LISTPACK || type === TYPE.ZSET_LISTPACK || type === TYPE.SET_LISTPACK
}

/** Such a blob, checked to the last byte, where it stands: in the input, in `scratch`, or repaired elsewhere. */
export function readPacked(type: number, input: RdbInput, out: Slice, scratch: StringScratch): Slice {
  readString(input, out, scratch)
  const modern = checkBlob(type, out.buf, out.start, out.end, true)
  return modern === undefined ? out : out.set(modern, 0, modern.length)
}

function packedValue(type: number, input: RdbInput): Value {
  const minExpireMs = type === TYPE.HASH_LISTPACK_TTL ? input.ms() : 0
  const blob = readBlob(input)
  const modern = checkBlob(type, blob, 0, blob.length, true) ?? blob
  switch (type) {
    case TYPE.SET_INTSET:
      return { type: 'set', encoding: 'intset', blob: modern }
    case TYPE.SET_LISTPACK:
      return { type: 'set', encoding: 'listpack', blob: modern }
    case TYPE.ZSET_ZIPLIST:
    case TYPE.ZSET_LISTPACK:
      return { type: 'zset', encoding: 'listpack', blob: modern }
    case TYPE.HASH_LISTPACK_TTL:
    case TYPE.HASH_LISTPACK_TTL_RC:
      return { type: 'hash', encoding: 'listpack-ttl', blob: modern, minExpireMs }
    default:
      return { type: 'hash', encoding: 'listpack', blob: modern }
  }
}

/**
 * The deep check of a packed blob. With `keep`, returns its modern form when the blob itself is not that;
 * undefined when it is.
 */
function checkBlob(type: number, buf: Buffer, start: number, end: number, keep: boolean): Buffer | undefined {
  switch (type) {
    case TYPE.SET_INTSET:
      if (intsetValidate(buf, start, end) < 0) throw new RdbError('corrupt intset')
      return undefined
    case TYPE.HASH_ZIPMAP: {
      const fields = zipmapValidate(buf, start, end)
      if (fields < 0) throw new RdbError('corrupt zipmap')
      const listpack = zipmapToListpack(buf, start, end, fields)
      checkRows(listpack, 0, listpack.length, 2)
      return listpack
    }
    case TYPE.HASH_ZIPLIST:
    case TYPE.ZSET_ZIPLIST: {
      const listpack = fromZiplist(buf, start, end)
      if (type === TYPE.HASH_ZIPLIST) checkRows(listpack, 0, listpack.length, 2)
      else if (!checkScores(listpack, 0, listpack.length) && keep) return sortScores(listpack, 0, listpack.length)
      return listpack
    }
    case TYPE.ZSET_LISTPACK:
      if (!checkScores(buf, start, end) && keep) return sortScores(buf, start, end)
      break
    case TYPE.SET_LISTPACK:
      checkRows(buf, start, end, 1)
      break
    case TYPE.HASH_LISTPACK:
      checkRows(buf, start, end, 2)
      break
    default:
      checkFieldExpiries(buf, start, end)
  }
  return keep ? lpConvertBackLengths(buf, start, end, 'old') : undefined
}

function fromZiplist(buf: Buffer, start: number, end: number): Buffer {
  const count = ziplistValidate(buf, start, end)
  if (count < 0) throw new RdbError('corrupt ziplist')
  return ziplistToListpack(buf, start, end, count)
}

// ------------------------------------------------------------------------------------------------ lists

function readNodes(input: RdbInput, type: number, count: number, keep: boolean): ListNode[] {
  const nodes: ListNode[] = []
  let found = 0
  for (let i = 0; i < count; i++) {
    const container = type === TYPE.LIST_QUICKLIST_2 ? input.length() : PACKED
    if (container !== PLAIN && container !== PACKED) throw new RdbError('unknown container of a list node')
    const node = keep ? readBlob(input) : undefined
    const blob = node === undefined ? readString(input, slice, scratch) : slice.set(node, 0, node.length)
    if (blob.length === 0) throw new RdbError('an empty list node')
    const data = container === PLAIN ? node : checkListNode(type, blob, node)
    if (container === PACKED && elements === 0) continue
    found++
    if (data !== undefined) nodes.push({ packed: container === PACKED, data })
  }
  if (found === 0) throw new RdbError('a list without elements', 'empty')
  return nodes
}

/** A list that was one ziplist of any size, as nodes of bounded size. */
function repacked(nodes: ListNode[]): ListNode[] {
  const { data } = nodes[0]
  if (data.length <= LIST_NODE_BYTES) return nodes
  const packer = new ListPacker()
  for (let pos = lpFirst(data, 0); !lpIsEnd(data, pos); pos = lpNext(data, pos)) packer.add(lpGet(data, pos, slice))
  return packer.finish()
}

const slice = Slice.scratch()
const scratch = new StringScratch()
/** Elements of the node last checked. */
let elements = 0

function checkListNode(type: number, blob: Slice, node: Buffer | undefined): Buffer | undefined {
  const { buf, start, end } = blob
  if (type === TYPE.LIST_QUICKLIST_2) {
    elements = checkListpack(buf, start, end)
    return node === undefined ? undefined : (lpConvertBackLengths(buf, start, end, 'old') ?? node)
  }
  elements = ziplistValidate(buf, start, end)
  if (elements < 0) throw new RdbError('corrupt ziplist')
  return node === undefined ? undefined : ziplistToListpack(buf, start, end, elements)
}

// ------------------------------------------------------------------------------------------------ checking only

function checkBody(type: number, input: RdbInput, version: number): void {
  requireKnown(type, version)
  switch (type) {
    case TYPE.STRING:
      readString(input, slice, scratch)
      return
    case TYPE.LIST_ZIPLIST:
      readNodes(input, type, 1, false)
      return
    case TYPE.LIST_QUICKLIST:
    case TYPE.LIST_QUICKLIST_2:
      readNodes(input, type, input.count(1), false)
      return
    case TYPE.STREAM_1:
    case TYPE.STREAM_2:
    case TYPE.STREAM_3:
      readStream(input, type, false)
      return
    default: {
      if (type === TYPE.HASH_LISTPACK_TTL) input.ms()
      const blob = readString(input, slice, scratch)
      checkBlob(type, blob.buf, blob.start, blob.end, false)
    }
  }
}
