/**
 * Writes etcd's write-ahead log and snapshots for tests: entries that no etcd of today writes any more, logs of several
 * files without 64 MB each, entries that were never committed. Written from the format, not from the reader.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { crc32c } from '../protocol/crc32c.js'

/** One field of a protocol buffer: a number, or bytes. */
export function field(number: number, value: number | bigint | boolean | string | Buffer): Buffer {
  if (typeof value === 'string') return field(number, Buffer.from(value))
  if (Buffer.isBuffer(value)) return Buffer.concat([varint(number * 8 + 2), varint(value.length), value])
  return Buffer.concat([varint(number * 8), varint(value)])
}

function varint(value: number | bigint | boolean): Buffer {
  const bytes: number[] = []
  let left = BigInt.asUintN(64, BigInt(value))
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(left)])
}

export interface RequestFields {
  readonly method: string
  readonly path?: string | Buffer
  readonly value?: string | Buffer
  readonly dir?: boolean
  readonly prevValue?: string
  readonly prevIndex?: number
  readonly prevExist?: boolean
  readonly expiresNs?: bigint
  readonly recursive?: boolean
  readonly timeNs?: bigint
  readonly refresh?: boolean
}

/** A v2 request, bare. */
export function request(fields: RequestFields): Buffer {
  const parts = [field(1, 7), field(2, fields.method), field(3, fields.path ?? ''), field(4, fields.value ?? ''), field(5, fields.dir ?? false)]
  if (fields.prevValue !== undefined) parts.push(field(6, fields.prevValue))
  if (fields.prevIndex !== undefined) parts.push(field(7, fields.prevIndex))
  if (fields.prevExist !== undefined) parts.push(field(8, fields.prevExist))
  if (fields.expiresNs !== undefined) parts.push(field(9, fields.expiresNs))
  if (fields.recursive !== undefined) parts.push(field(12, fields.recursive))
  if (fields.timeNs !== undefined) parts.push(field(15, fields.timeNs))
  if (fields.refresh !== undefined) parts.push(field(17, fields.refresh))
  return Buffer.concat(parts)
}

/** A log under construction. Entries get the next index. */
export class WalWriter {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'keyferry-wal-'))
  index = 0
  #sequence = 0
  #frames: Buffer[] = []
  #sum = 0
  #firstIndex = 0

  constructor(firstIndex = 0) {
    mkdirSync(path.join(this.folder, 'member/wal'), { recursive: true })
    mkdirSync(path.join(this.folder, 'member/snap'), { recursive: true })
    this.#firstIndex = firstIndex
    this.index = Math.max(0, firstIndex - 1)
    this.record(4, Buffer.alloc(0), 0)
    this.record(1, Buffer.concat([field(1, 11), field(2, 22)]))
    if (firstIndex === 0) this.snapshotRecord(0, 0)
  }

  record(type: number, data: Buffer, sum = (this.#sum = crc32c(data, this.#sum))): void {
    const record = Buffer.concat([field(1, type), field(2, sum), ...(type === 4 ? [] : [field(3, data)])])
    const padding = (8 - (record.length % 8)) % 8
    const head = Buffer.alloc(8)
    head.writeUInt32LE(record.length)
    if (padding > 0) head[7] = 0x80 | padding
    this.#frames.push(head, record, Buffer.alloc(padding))
  }

  entry(data: Buffer, { type = 0, index = this.index + 1, term = 2 } = {}): void {
    this.index = index
    this.record(2, Buffer.concat([field(1, type), field(2, term), field(3, index), field(4, data)]))
  }

  /** The path has a character per byte. */
  put(path: string, value: string | Buffer, more: Partial<RequestFields> = {}): void {
    this.entry(request({ method: 'PUT', path: Buffer.from(`/1${path}`, 'latin1'), value, ...more }))
  }

  commit(index = this.index): void {
    this.record(3, Buffer.concat([field(1, 2), field(2, 1), field(3, index)]))
  }

  snapshotRecord(index: number, term: number): void {
    this.record(5, Buffer.concat([field(1, index), field(2, term)]))
  }

  /** The next file begins, with the sum so far. */
  cut(tail = 512): void {
    this.save(tail)
    this.#sequence++
    this.#firstIndex = this.index + 1
    this.#frames = []
    this.record(4, Buffer.alloc(0), this.#sum)
    this.record(1, Buffer.concat([field(1, 11), field(2, 22)]))
  }

  /** Writes the file, with so many zeros behind it; its path. */
  save(tail = 512): string {
    const hex = (value: number): string => value.toString(16).padStart(16, '0')
    const file = path.join(this.folder, 'member/wal', `${hex(this.#sequence)}-${hex(this.#firstIndex)}.wal`)
    writeFileSync(file, Buffer.concat([...this.#frames, Buffer.alloc(tail)]))
    return file
  }

  /** Writes a snapshot of this JSON; its path. */
  snapshot(index: number, term: number, json: string): string {
    const data = Buffer.concat([field(1, json), field(2, Buffer.concat([field(2, index), field(3, term)]))])
    const hex = (value: number): string => value.toString(16).padStart(16, '0')
    const file = path.join(this.folder, 'member/snap', `${hex(term)}-${hex(index)}.snap`)
    writeFileSync(file, Buffer.concat([field(1, crc32c(data)), field(2, data)]))
    return file
  }
}
