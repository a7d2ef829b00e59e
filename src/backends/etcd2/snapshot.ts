/**
 * Reads a snapshot of etcd's v2 store, strictly without changing it.
 *
 *     member/snap/<term>-<index>.snap, 16 hexadecimal digits each
 *     1 crc32c(data), 2 data: { 1 the store, 2 metadata { 2 index, 3 term } }
 *     the store as JSON: { Root, CurrentIndex, ... }, a node { CreatedIndex, ModifiedIndex, ExpireTime, Value, Children }
 *
 * JSON has no bytes: whatever was not UTF-8 in a name or value is there as U+FFFD, written as the escape `\ufffd`
 * (a real U+FFFD stands as its three bytes). Such a snapshot says so (`isLossy`), and the log is asked for the rest.
 */
import { isUtf8 } from 'node:buffer'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { crc32c } from '../../../protocol/crc32c.js'
import { plural } from '../../transfer/plural.js'
import { FieldReader, ProtobufError } from './protobuf.js'
import { V2Node, V2Store } from './v2-store.js'

export interface SnapshotFile {
  readonly path: string
  readonly term: number
  readonly index: number
}

export interface Snapshot extends SnapshotFile {
  readonly store: V2Store
  /** Bytes of some names or values were replaced when it was written. */
  readonly isLossy: boolean
}

/** Why a snapshot can not be used. */
export class SnapshotDamage extends Error {}

/** A text of JavaScript can not be longer. */
const JSON_BYTES_MAX = 0x1fffffe8

/** The snapshots of a folder, the newest first; none when there is no folder. */
export async function listSnapshots(folder: string): Promise<SnapshotFile[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const files: SnapshotFile[] = []
  for (const name of names) {
    const numbers = /^([0-9a-f]{16})-([0-9a-f]{16})\.snap$/.exec(name)
    if (numbers !== null) files.push({ path: path.join(folder, name), term: parseInt(numbers[1], 16), index: parseInt(numbers[2], 16) })
  }
  return files.sort((a, b) => b.index - a.index || b.term - a.term)
}

/** Throws SnapshotDamage, with what is wrong and where. */
export async function readSnapshot(file: SnapshotFile): Promise<Snapshot> {
  const bytes = await readFile(file.path)
  try {
    const outer = new FieldReader(bytes)
    let sum = 0
    let data: Buffer | undefined
    while (outer.next()) {
      if (outer.field === 1) sum = outer.number()
      else if (outer.field === 2) data = outer.slice()
      else outer.skip()
    }
    if (data === undefined) throw new SnapshotDamage('it holds nothing')
    if (crc32c(data) !== sum) throw new SnapshotDamage(`the checksum of its ${data.length} ${plural(data.length, 'byte')} differs from the one it carries`)
    let json: Buffer | undefined
    const { index, term } = { index: file.index, term: file.term }
    const inner = new FieldReader(data)
    while (inner.next()) {
      if (inner.field === 1) json = inner.slice()
      else if (inner.field === 2) checkMetadata(inner.slice(), index, term)
      else inner.skip()
    }
    if (json === undefined) throw new SnapshotDamage('it holds no store')
    if (json.length > JSON_BYTES_MAX) throw new SnapshotDamage(`its ${json.length} bytes of JSON are more than can be read at once`)
    return { ...file, store: storeOf(json), isLossy: json.includes('\\ufffd') }
  } catch (error) {
    if (error instanceof ProtobufError || error instanceof SyntaxError) throw new SnapshotDamage(error.message, { cause: error })
    throw error
  }
}

function checkMetadata(bytes: Buffer, index: number, term: number): void {
  const fields = new FieldReader(bytes)
  while (fields.next()) {
    if (fields.field === 2 || fields.field === 3) {
      const isIndex = fields.field === 2
      const value = fields.number()
      if (value !== (isIndex ? index : term)) throw new SnapshotDamage(`it is of ${isIndex ? 'index' : 'term'} ${value}, not as its name says`)
    } else fields.skip()
  }
}

interface JsonNode {
  CreatedIndex?: unknown
  ModifiedIndex?: unknown
  ExpireTime?: unknown
  Value?: unknown
  Children?: unknown
}

function storeOf(json: Buffer): V2Store {
  const parsed = JSON.parse(json.toString('utf8')) as { Root?: JsonNode; CurrentIndex?: unknown } | null
  if (parsed === null || typeof parsed.Root !== 'object' || parsed.Root === null) throw new SnapshotDamage('its store has no root')
  const store = new V2Store()
  store.index = numberOf(parsed.CurrentIndex, 'CurrentIndex')
  const stack: { json: JsonNode; node: V2Node }[] = [{ json: parsed.Root, node: store.root }]
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { node } = item
    for (const [name, child] of Object.entries((item.json.Children ?? {}) as Record<string, JsonNode | null>)) {
      if (typeof child !== 'object' || child === null) throw new SnapshotDamage(`its node '${name}' is none`)
      const isDirectory = typeof child.Children === 'object' && child.Children !== null
      const value = child.Value ?? ''
      if (typeof value !== 'string') throw new SnapshotDamage(`its node '${name}' has a value that is no text`)
      const made = new V2Node(bytesOf(name), node, isDirectory, bytesOf(value), numberOf(child.CreatedIndex, 'CreatedIndex'), expiryOf(child.ExpireTime))
      made.modifiedIndex = numberOf(child.ModifiedIndex, 'ModifiedIndex')
      made.isLossy = value.includes('\ufffd') || name.includes('\ufffd')
      store.adopt(made)
      if (isDirectory) stack.push({ json: child, node: made })
    }
  }
  return store
}

function numberOf(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw new SnapshotDamage(`${name} of one of its nodes is no index`)
  return value
}

/** A text as a string of one character per byte. */
export function bytesOf(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').latin1Slice()
}

/** What Go's JSON makes of bytes: each that is not part of UTF-8 becomes U+FFFD. For strings of one character per byte. */
export function lossyText(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1')
  if (isUtf8(bytes)) return bytes.toString('utf8')
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const lead = bytes[at]
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const piece = bytes.subarray(at, at + length)
    const isWhole = piece.length === length && isUtf8(piece)
    text += isWhole ? piece.toString('utf8') : '\ufffd'
    at += isWhole ? length : 1
  }
  return text
}

/** Nanoseconds of an RFC 3339 time; undefined for Go's zero time and for none. Throws SnapshotDamage. */
export function expiryOf(time: unknown): bigint | undefined {
  if (time === undefined || time === '0001-01-01T00:00:00Z') return undefined
  const parts = typeof time === 'string' ? /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(time) : null
  const ms = parts === null ? NaN : Date.parse(`${parts[1]}${parts[3]}`)
  if (parts === null || Number.isNaN(ms)) throw new SnapshotDamage(`${JSON.stringify(time)} is no time of expiry`)
  return BigInt(ms) * 1000000n + BigInt((parts[2] ?? '').padEnd(9, '0'))
}
