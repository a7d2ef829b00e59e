/**
 * A node of a stream: a run of entries in one listpack, laid out to the byte as the servers do, so that DUMP
 * copies it as it is.
 *
 *     master   [ live | deleted | n | field 1 ... field n | 0 ]
 *     entry    [ flags | ms delta | seq delta | (n | field, value ...) or (value ... value n) | elements ]
 *
 * Flags: 1 deleted, 2 the fields are the master's and only values follow. Deltas are against the node's own
 * id, wrapped to signed 64 bits. `elements` counts the listpack elements of the entry before it, so that the
 * node can be walked backwards; the master's 0 in that place ends such a walk. The first entry of a node
 * defines the master's fields. Deleting sets a flag; the bytes go with the node.
 */
import {
  lpBytes, lpEncodedSize, lpFinish, lpGetInt64, lpGetInteger, lpIntegerSize, lpNext, lpPrev, lpSplice, lpWriteEntry,
  lpWriteInt64, lpWriteInteger, LP_HEADER, lpEquals,
} from '../../protocol/rdb/listpack.js'
import type { Slice } from '../../protocol/slice.js'
import { addUint64, canonical, subtractInt64, type Int64 } from '../../protocol/uint64.js'

export const ENTRY_DELETED = 1
export const ENTRY_SAME_FIELDS = 2

const COUNT_UNKNOWN = 0xffff
const CAPACITY_MIN = 64

/** The fields and values of a new entry: word `from` of these is the first field, its value follows. */
export interface EntryWords {
  at(i: number): Slice
}

export class StreamNode {
  /** The listpack is `buf[0..end)`; the rest is room to grow. */
  buf: Buffer
  end: number
  /** Number of master fields. */
  readonly fieldCount: number

  /** `buf`: a whole listpack, owned by the node. */
  constructor(
    readonly ms: Int64,
    readonly seq: Int64,
    buf: Buffer,
  ) {
    this.buf = buf
    this.end = lpBytes(buf, 0)
    this.fieldCount = lpGetInteger(buf, this.#fieldCountAt())
  }

  /** A node without entries whose master fields are those of the entry to come. */
  static create(ms: Int64, seq: Int64, words: EntryWords, from: number, pairs: number): StreamNode {
    let bytes = LP_HEADER + 1 + 3 * 2 + lpIntegerSize(pairs)
    for (let i = 0; i < pairs; i++) bytes += lpEncodedSize(words.at(from + i * 2))
    const buf = Buffer.allocUnsafeSlow(Math.max(CAPACITY_MIN, bytes))
    let pos = lpWriteInteger(0, buf, LP_HEADER)
    pos = lpWriteInteger(0, buf, pos)
    pos = lpWriteInteger(pairs, buf, pos)
    for (let i = 0; i < pairs; i++) pos = lpWriteEntry(words.at(from + i * 2), buf, pos)
    lpFinish(buf, 0, lpWriteInteger(0, buf, pos), pairs + 4)
    return new StreamNode(ms, seq, buf)
  }

  clone(): StreamNode {
    const buf = Buffer.allocUnsafeSlow(this.end)
    this.buf.copy(buf, 0, 0, this.end)
    return new StreamNode(this.ms, this.seq, buf)
  }

  /** Entries that are not deleted. */
  get live(): number {
    return lpGetInteger(this.buf, LP_HEADER)
  }

  /** Entries marked as deleted. */
  get deleted(): number {
    return lpGetInteger(this.buf, lpNext(this.buf, LP_HEADER))
  }

  /** Position of the first master field. */
  get fieldsAt(): number {
    return lpNext(this.buf, this.#fieldCountAt())
  }

  #fieldCountAt(): number {
    return lpNext(this.buf, lpNext(this.buf, LP_HEADER))
  }

  /** Position of the first entry, or of the end byte. */
  get firstEntryAt(): number {
    let pos = this.fieldsAt
    for (let i = this.fieldCount; i >= 0; i--) pos = lpNext(this.buf, pos)
    return pos
  }

  /** Position of the last entry, or -1. */
  get lastEntryAt(): number {
    return this.entryBefore(this.end - 1)
  }

  /** Position of the entry that ends before `pos` (the position of an entry or of the end byte), or -1. */
  entryBefore(pos: number): number {
    let at = lpPrev(this.buf, 0, pos)
    const elements = lpGetInteger(this.buf, at)
    if (elements === 0) return -1
    for (let i = 0; i < elements; i++) at = lpPrev(this.buf, 0, at)
    return at
  }

  /** Position after the entry at `pos`. */
  entryAfter(pos: number): number {
    const { buf } = this
    const same = (lpGetInteger(buf, pos) & ENTRY_SAME_FIELDS) !== 0
    let at = lpNext(buf, lpNext(buf, lpNext(buf, pos)))
    let skip = this.fieldCount
    if (!same) {
      skip = lpGetInteger(buf, at) * 2
      at = lpNext(buf, at)
    }
    for (; skip >= 0; skip--) at = lpNext(buf, at)
    return at
  }

  /** The milliseconds half of the id of the entry at `pos`. */
  msAt(pos: number): Int64 {
    return addUint64(this.ms, integerAt(this.buf, lpNext(this.buf, pos)))
  }

  /** The sequence half of the id of the entry at `pos`. */
  seqAt(pos: number): Int64 {
    return addUint64(this.seq, integerAt(this.buf, lpNext(this.buf, lpNext(this.buf, pos))))
  }

  /** Adds an entry, whose id must be after all others. */
  append(ms: Int64, seq: Int64, words: EntryWords, from: number, pairs: number): void {
    const same = this.#hasFields(words, from, pairs)
    const msDelta = subtractInt64(ms, this.ms)
    const seqDelta = subtractInt64(seq, this.seq)
    const elements = same ? pairs + 3 : pairs * 2 + 4
    let bytes = 2 + int64Size(msDelta) + int64Size(seqDelta) + lpIntegerSize(elements) + (same ? 0 : lpIntegerSize(pairs))
    for (let i = same ? 1 : 0; i < pairs * 2; i += same ? 2 : 1) bytes += lpEncodedSize(words.at(from + i))
    this.#makeRoom(bytes)
    const { buf } = this
    let pos = lpWriteInteger(same ? ENTRY_SAME_FIELDS : 0, buf, this.end - 1)
    pos = writeInt64(msDelta, buf, pos)
    pos = writeInt64(seqDelta, buf, pos)
    if (!same) pos = lpWriteInteger(pairs, buf, pos)
    for (let i = same ? 1 : 0; i < pairs * 2; i += same ? 2 : 1) pos = lpWriteEntry(words.at(from + i), buf, pos)
    pos = lpWriteInteger(elements, buf, pos)
    const before = buf[4] | (buf[5] << 8)
    this.end = lpFinish(buf, 0, pos, before === COUNT_UNKNOWN ? before : before + elements + 1)
    this.#setInteger(LP_HEADER, this.live + 1)
  }

  #hasFields(words: EntryWords, from: number, pairs: number): boolean {
    if (this.fieldCount !== pairs) return false
    let pos = this.fieldsAt
    for (let i = 0; i < pairs; i++) {
      if (!lpEquals(this.buf, pos, words.at(from + i * 2))) return false
      pos = lpNext(this.buf, pos)
    }
    return true
  }

  /** Marks the entry at `pos`, which must be live; returns by how much what stands behind it has moved. */
  markDeleted(pos: number): number {
    return this.#setInteger(pos, lpGetInteger(this.buf, pos) | ENTRY_DELETED)
  }

  /** Counts `count` live entries as deleted. */
  countDeleted(count: number): void {
    this.#setInteger(LP_HEADER, this.live - count)
    this.#setInteger(lpNext(this.buf, LP_HEADER), this.deleted + count)
  }

  #setInteger(pos: number, value: number): number {
    const after = lpNext(this.buf, pos)
    const growth = lpIntegerSize(value) - (after - pos)
    if (growth !== 0) {
      if (growth > 0) this.#makeRoom(growth)
      lpSplice(this.buf, 0, this.end, pos, after, after - pos + growth, 0, this.buf, 0)
      this.end += growth
    }
    lpWriteInteger(value, this.buf, pos)
    return growth
  }

  #makeRoom(bytes: number): void {
    const needed = this.end + bytes
    if (needed <= this.buf.length) return
    this.#reallocate(Math.max(needed, this.buf.length * 2))
  }

  /** Gives unused room back: no entry will be added. */
  shrink(): void {
    if (this.end < this.buf.length) this.#reallocate(this.end)
  }

  #reallocate(bytes: number): void {
    const buf = Buffer.allocUnsafeSlow(bytes)
    this.buf.copy(buf, 0, 0, this.end)
    this.buf = buf
  }
}

/** An integer element of up to 64 bits. */
function integerAt(buf: Buffer, pos: number): Int64 {
  const value = lpGetInteger(buf, pos)
  if (value === value) return value
  return canonical(lpGetInt64(buf, pos) ?? 0n)
}

function int64Size(value: Int64): number {
  return typeof value === 'number' ? lpIntegerSize(value) : 10
}

function writeInt64(value: Int64, buf: Buffer, pos: number): number {
  return typeof value === 'number' ? lpWriteInteger(value, buf, pos) : lpWriteInt64(value, buf, pos)
}
