/**
 * The listpack: a run of strings and integers packed into one block of bytes. Small hashes, sets, sorted
 * sets, the nodes of a list and the nodes of a stream are kept in memory, saved and sent in this form.
 *
 *     total bytes u32le | element count u16le | element ... element | 0xFF
 *     element = encoding byte(s), data, back-length
 *
 *     0xxxxxxx                    integer 0..127                 0xF1 +2 bytes   integer, 16 bits LE
 *     10nnnnnn + n bytes          string up to 63                0xF2 +3 bytes   integer, 24 bits LE
 *     110vvvvv + 1 byte           integer -4096..4095            0xF3 +4 bytes   integer, 32 bits LE
 *     1110nnnn + 1 byte + n       string up to 4095              0xF4 +8 bytes   integer, 64 bits LE
 *     0xF0 + u32le + n bytes      string of any length           0xF5..0xFE invalid, 0xFF end
 *
 * The count 65535 means "not known, walk". The back-length repeats the size of encoding and data, seven bits
 * a byte, most significant first, all bytes but the first with bit 7 set, so that it can be read backwards.
 * It has two dialects, which differ at three sizes only: 16383, 2097151 and 268435455 take 3, 4 and 5 bytes
 * in the old one (Redis up to 8.0, Valkey up to 8.1), 2, 3 and 4 in the new one (Valkey 9). Everything here
 * reads both and writes the old one; `lpConvertBackLengths`, also there, makes the new one for those who insist on it.
 *
 * All functions work on `buf[start..end)` and trust the bytes: run `lpValidate` (listpack-check.ts) first on
 * what came from outside. None of them allocates. An element is addressed by the position of its first byte in `buf`.
 * Invariant: a position is either that of an element or that of the end byte.
 */
import { readInt64, readInteger, writeInteger } from '../number.js'
import { Slice } from '../slice.js'

/** Bytes before the first element. */
export const LP_HEADER = 6
/** The byte behind the last element. */
export const LP_END = 0xff
const END = LP_END
/** The header's count of a listpack whose elements must be counted by walking. */
export const COUNT_UNKNOWN = 0xffff

// ------------------------------------------------------------------------------------------------ walking

/** Position of the first element, or of the end byte. */
export function lpFirst(_buf: Buffer, start: number): number {
  return start + LP_HEADER
}

/** Position of the element after the one at `pos`, or of the end byte. */
export function lpNext(buf: Buffer, pos: number): number {
  return pos + lpEntrySize(buf, pos)
}

/** Position of the element before `pos` (which may be the end byte); -1 when `pos` is the first. */
export function lpPrev(buf: Buffer, start: number, pos: number): number {
  if (pos <= start + LP_HEADER) return -1
  let at = pos - 1
  let size = buf[at] & 127
  let scale = 128
  while ((buf[at] & 128) !== 0) {
    at--
    size += (buf[at] & 127) * scale
    scale *= 128
  }
  return at - size
}

/** Position of the last element; -1 when there is none. */
export function lpLast(buf: Buffer, start: number, end: number): number {
  return lpPrev(buf, start, end - 1)
}

export function lpIsEnd(buf: Buffer, pos: number): boolean {
  return buf[pos] === END
}

/** Number of elements: from the header, or by walking when the header does not know. */
export function lpCount(buf: Buffer, start: number): number {
  const stored = buf[start + 4] | (buf[start + 5] << 8)
  if (stored !== COUNT_UNKNOWN) return stored
  let count = 0
  for (let pos = start + LP_HEADER; buf[pos] !== END; pos += lpEntrySize(buf, pos)) count++
  return count
}

/** Total bytes as the header says. */
export function lpBytes(buf: Buffer, start: number): number {
  return buf.readUInt32LE(start)
}

/** Position of element `index` (negative: from the end, -1 is the last); -1 when out of range. Walks from the nearer end. */
export function lpSeek(buf: Buffer, start: number, end: number, index: number): number {
  const count = lpCount(buf, start)
  const at = index < 0 ? count + index : index
  if (at < 0 || at >= count) return -1
  if (at * 2 <= count) {
    let pos = start + LP_HEADER
    for (let i = 0; i < at; i++) pos += lpEntrySize(buf, pos)
    return pos
  }
  let pos = end - 1
  for (let i = count; i > at; i--) pos = lpPrev(buf, start, pos)
  return pos
}

/** Bytes of the element at `pos` with its back-length, in whichever dialect it is. */
export function lpEntrySize(buf: Buffer, pos: number): number {
  const b = buf[pos]
  if (b < 0x80) return 2
  if (b < 0xc0) return (b & 63) + 2
  if (b < 0xe0) return 3
  const size = bodySize(buf, pos)
  return size + backLengthBytes(buf, pos, size)
}

/** Bytes of encoding and data of the element at `pos`; -1 for an encoding byte that means nothing. */
export function bodySize(buf: Buffer, pos: number): number {
  const b = buf[pos]
  if (b < 0x80) return 1
  if (b < 0xc0) return (b & 63) + 1
  if (b < 0xe0) return 2
  if (b < 0xf0) return (((b & 15) << 8) | buf[pos + 1]) + 2
  switch (b) {
    case 0xf0:
      return (buf[pos + 1] | (buf[pos + 2] << 8) | (buf[pos + 3] << 16)) + buf[pos + 4] * 0x1000000 + 5
    case 0xf1:
      return 3
    case 0xf2:
      return 4
    case 0xf3:
      return 5
    case 0xf4:
      return 9
    default:
      return -1
  }
}

/** How many bytes the back-length of this element takes: asks the bytes where the dialects differ. */
export function backLengthBytes(buf: Buffer, pos: number, size: number): number {
  const bytes = oldBackLengthBytes(size)
  // At a boundary the new dialect starts with seven set bits, the old one with a zero byte.
  if (isBoundary(size) && buf[pos + size] === 127) return bytes - 1
  return bytes
}

/** Whether the two dialects differ for this size of encoding and data. */
export function isBoundary(size: number): boolean {
  return size === 16383 || size === 2097151 || size === 268435455
}

/** Bytes of the back-length in the old dialect. */
export function oldBackLengthBytes(size: number): number {
  if (size <= 127) return 1
  if (size < 16383) return 2
  if (size < 2097151) return 3
  return size < 268435455 ? 4 : 5
}

// ------------------------------------------------------------------------------------------------ reading

/**
 * Scratch for the text of integer elements: a ring, so that an integer read by `lpGet` without a scratch
 * buffer of its own stays readable until 63 more have been read.
 */
const RING_SLOTS = 64
const RING_SLOT_BYTES = 24
const ring = Buffer.allocUnsafeSlow(RING_SLOTS * RING_SLOT_BYTES)
let ringNext = 0

/**
 * Points `out` at the element's bytes and returns it. A string is a view into `buf`, good as long as `buf`
 * is. An integer becomes text in `scratch` (20 bytes from 0), good until the caller uses `scratch` again, or,
 * without `scratch`, in a shared ring, good until 63 more integers were read that way: copy to keep.
 */
export function lpGet(buf: Buffer, pos: number, out: Slice, scratch?: Buffer): Slice {
  const b = buf[pos]
  if (b >= 0x80 && b < 0xc0) return out.set(buf, pos + 1, pos + 1 + (b & 63))
  if (b >= 0xe0 && b < 0xf0) return out.set(buf, pos + 2, pos + 2 + (((b & 15) << 8) | buf[pos + 1]))
  if (b === 0xf0) return out.set(buf, pos + 5, pos + bodySize(buf, pos))
  let text = scratch
  let at = 0
  if (text === undefined) {
    text = ring
    at = ringNext * RING_SLOT_BYTES
    ringNext = (ringNext + 1) % RING_SLOTS
  }
  if (b !== 0xf4) return out.set(text, at, writeInteger(smallInteger(buf, pos), text, at))
  const value = buf.readBigInt64LE(pos + 1)
  if (value >= MIN_SAFE && value <= MAX_SAFE) return out.set(text, at, writeInteger(Number(value), text, at))
  return out.set(text, at, at + text.latin1Write(value.toString(), at))
}

const MIN_SAFE = BigInt(Number.MIN_SAFE_INTEGER)
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** Whether the element is stored as an integer. */
export function lpIsInteger(buf: Buffer, pos: number): boolean {
  const b = buf[pos]
  return b < 0x80 || (b >= 0xc0 && b < 0xe0) || (b >= 0xf1 && b <= 0xf4)
}

/** The integer at `pos`, or NaN: not an integer (integer-looking strings do count) or not exactly a double. */
export function lpGetInteger(buf: Buffer, pos: number): number {
  const b = buf[pos]
  if (b < 0x80) return b
  if (!lpIsInteger(buf, pos)) {
    lpGet(buf, pos, own)
    return readInteger(own.buf, own.start, own.end)
  }
  if (b !== 0xf4) return smallInteger(buf, pos)
  const value = buf.readInt32LE(pos + 5) * 0x100000000 + buf.readUInt32LE(pos + 1)
  return Number.isSafeInteger(value) ? value : NaN
}

/** The 64-bit integer at `pos`, integer-looking strings included; undefined when it is none. */
export function lpGetInt64(buf: Buffer, pos: number): bigint | undefined {
  if (buf[pos] === 0xf4) return buf.readBigInt64LE(pos + 1)
  if (lpIsInteger(buf, pos)) return BigInt(smallInteger(buf, pos))
  lpGet(buf, pos, own)
  return readInt64(own.buf, own.start, own.end)
}

const own = Slice.scratch()

/** An integer of any width but 64 bits. */
function smallInteger(buf: Buffer, pos: number): number {
  const b = buf[pos]
  if (b < 0x80) return b
  if (b < 0xe0) return ((((b & 31) << 8) | buf[pos + 1]) << 19) >> 19
  if (b === 0xf1) return ((buf[pos + 1] | (buf[pos + 2] << 8)) << 16) >> 16
  if (b === 0xf2) return ((buf[pos + 1] | (buf[pos + 2] << 8) | (buf[pos + 3] << 16)) << 8) >> 8
  return buf[pos + 1] | (buf[pos + 2] << 8) | (buf[pos + 3] << 16) | (buf[pos + 4] << 24)
}

/** Whether the element's text is these bytes, however it is stored. */
export function lpEquals(buf: Buffer, pos: number, slice: Slice): boolean {
  const size = slice.end - slice.start
  if (!lpIsInteger(buf, pos)) return sameBytes(buf, pos, slice, size)
  if (size > 20) return false
  lpGet(buf, pos, own, ownScratch)
  return own.equals(slice)
}

const ownScratch = Buffer.allocUnsafeSlow(RING_SLOT_BYTES)

function sameBytes(buf: Buffer, pos: number, slice: Slice, size: number): boolean {
  const b = buf[pos]
  let at: number
  if (b < 0xc0) {
    if ((b & 63) !== size) return false
    at = pos + 1
  } else if (b < 0xf0) {
    if ((((b & 15) << 8) | buf[pos + 1]) !== size) return false
    at = pos + 2
  } else {
    if (bodySize(buf, pos) - 5 !== size) return false
    at = pos + 5
  }
  const other = slice.buf
  if (size > 48) return buf.compare(other, slice.start, slice.end, at, at + size) === 0
  for (let i = slice.start; i < slice.end; i++, at++) if (buf[at] !== other[i]) return false
  return true
}

/**
 * Position of the first element whose text is `slice`, -1 when there is none. Compares the element at
 * `from`, then leaves out `skip` elements after each comparison (1: fields of a hash, 0: members of a set).
 */
export function lpFind(buf: Buffer, start: number, _end: number, slice: Slice, skip: number, from = start + LP_HEADER): number {
  const size = slice.end - slice.start
  const isInteger = parseNeedle(slice, size)
  const small = needleSmall
  let pos = from
  for (;;) {
    const b = buf[pos]
    if (b === END) return -1
    if (b < 0x80) {
      if (b === small) return pos
      pos += 2
    } else if (b < 0xc0) {
      if ((b & 63) === size && sameBytes(buf, pos, slice, size)) return pos
      pos += (b & 63) + 2
    } else {
      if (b < 0xe0 || b > 0xf0) {
        if (isInteger && (b === 0xf4 ? sameInt64(buf, pos) : smallInteger(buf, pos) === small)) return pos
      } else if (sameBytes(buf, pos, slice, size)) return pos
      pos += lpEntrySize(buf, pos)
    }
    for (let i = 0; i < skip && buf[pos] !== END; i++) pos += lpEntrySize(buf, pos)
  }
}

/** The integer form of the bytes looked for: as a 32-bit value (or NaN) and as two halves of 64 bits. */
let needleSmall = NaN
let needleLow = 0
let needleHigh = 0

function parseNeedle(slice: Slice, size: number): boolean {
  needleSmall = NaN
  if (!maybeInteger(slice, size)) return false
  const value = readInteger(slice.buf, slice.start, slice.end)
  if (value === value) {
    needleLow = value | 0
    needleHigh = Math.floor(value / 0x100000000) | 0
    if (needleLow === value) needleSmall = value
    return true
  }
  const big = size < 16 ? undefined : readInt64(slice.buf, slice.start, slice.end)
  if (big === undefined) return false
  needleLow = Number(BigInt.asIntN(32, big))
  needleHigh = Number(BigInt.asIntN(32, big >> 32n))
  return true
}

function sameInt64(buf: Buffer, pos: number): boolean {
  return buf.readInt32LE(pos + 1) === needleLow && buf.readInt32LE(pos + 5) === needleHigh
}

/** Sorts out most strings before any digit is parsed. */
function maybeInteger(slice: Slice, size: number): boolean {
  if (size === 0 || size > 20) return false
  const first = slice.buf[slice.start]
  const last = slice.buf[slice.end - 1]
  return last >= 48 && last <= 57 && (first === 45 || (first >= 48 && first <= 57))
}

// ------------------------------------------------------------------------------------------------ writing

/** Bytes the element for `slice` takes, back-length included: an integer when it is the canonical text of one. */
export function lpEncodedSize(slice: Slice): number {
  const size = slice.end - slice.start
  if (maybeInteger(slice, size)) {
    const value = readInteger(slice.buf, slice.start, slice.end)
    if (value === value) return lpIntegerSize(value)
    if (size >= 16 && readInt64(slice.buf, slice.start, slice.end) !== undefined) return 10
  }
  return lpStringSize(size)
}

/** Bytes of an element that holds a string of `size` bytes as a string. */
export function lpStringSize(size: number): number {
  if (size < 64) return size + 2
  const body = size + (size < 4096 ? 2 : 5)
  return body + oldBackLengthBytes(body)
}

/** Bytes of an element that holds this integer. */
export function lpIntegerSize(value: number): number {
  if (value >= 0 && value <= 127) return 2
  if (value >= -4096 && value <= 4095) return 3
  if (value >= -32768 && value <= 32767) return 4
  if (value >= -8388608 && value <= 8388607) return 5
  return value >= -2147483648 && value <= 2147483647 ? 6 : 10
}

/** Writes the element for `slice` at `pos` and returns the position after it. Space: `lpEncodedSize(slice)`. */
export function lpWriteEntry(slice: Slice, out: Buffer, pos: number): number {
  const size = slice.end - slice.start
  if (maybeInteger(slice, size)) {
    const value = readInteger(slice.buf, slice.start, slice.end)
    if (value === value) return lpWriteInteger(value, out, pos)
    const big = size < 16 ? undefined : readInt64(slice.buf, slice.start, slice.end)
    if (big !== undefined) return lpWriteInt64(big, out, pos)
  }
  return lpWriteString(slice, out, pos)
}

/** Writes `slice` as a string even when it looks like an integer. */
function lpWriteString(slice: Slice, out: Buffer, pos: number): number {
  const size = slice.end - slice.start
  let at = pos
  if (size < 64) out[at++] = 0x80 | size
  else if (size < 4096) {
    out[at++] = 0xe0 | (size >> 8)
    out[at++] = size & 255
  } else {
    out[at] = 0xf0
    at = out.writeUInt32LE(size, at + 1)
  }
  if (size > 32) slice.buf.copy(out, at, slice.start, slice.end)
  else for (let i = slice.start, j = at; i < slice.end; i++, j++) out[j] = slice.buf[i]
  at += size
  return writeBackLength(out, at, at - pos, oldBackLengthBytes(at - pos))
}

/** Writes an integer element (any safe integer) and returns the position after it. */
export function lpWriteInteger(value: number, out: Buffer, pos: number): number {
  if (value >= 0 && value <= 127) {
    out[pos] = value
    out[pos + 1] = 1
    return pos + 2
  }
  if (value >= -4096 && value <= 4095) {
    out[pos] = 0xc0 | ((value >> 8) & 31)
    out[pos + 1] = value & 255
    out[pos + 2] = 2
    return pos + 3
  }
  const body = lpIntegerSize(value) - 1
  if (body === 9) return lpWriteInt64(BigInt(value), out, pos)
  out[pos] = 0xee + body
  for (let i = 1, rest = value; i < body; i++, rest >>= 8) out[pos + i] = rest & 255
  out[pos + body] = body
  return pos + body + 1
}

/** Writes a 64-bit integer element in its smallest form. */
export function lpWriteInt64(value: bigint, out: Buffer, pos: number): number {
  if (value >= -2147483648n && value <= 2147483647n) return lpWriteInteger(Number(value), out, pos)
  out[pos] = 0xf4
  out.writeBigInt64LE(value, pos + 1)
  out[pos + 9] = 9
  return pos + 10
}

/** Writes a back-length of so many bytes and returns the position after it. */
export function writeBackLength(out: Buffer, pos: number, size: number, bytes: number): number {
  let rest = size
  for (let i = bytes - 1; i > 0; i--) {
    out[pos + i] = 128 | (rest & 127)
    rest >>>= 7
  }
  out[pos] = rest & 127
  return pos + bytes
}

/** Writes the header: `totalBytes` with header and end byte; the count saturates at "not known". */
export function lpWriteHeader(out: Buffer, start: number, totalBytes: number, count: number): void {
  out[start] = totalBytes & 255
  out[start + 1] = (totalBytes >>> 8) & 255
  out[start + 2] = (totalBytes >>> 16) & 255
  out[start + 3] = (totalBytes >>> 24) & 255
  const stored = count < COUNT_UNKNOWN ? count : COUNT_UNKNOWN
  out[start + 4] = stored & 255
  out[start + 5] = stored >> 8
}

/** Bytes of a listpack without elements. */
export const LP_EMPTY_BYTES = 7

/** Writes a listpack without elements and returns the position after it. */
export function lpEmpty(out: Buffer, start: number): number {
  lpWriteHeader(out, start, LP_EMPTY_BYTES, 0)
  out[start + LP_HEADER] = END
  return start + LP_EMPTY_BYTES
}

/** Ends a listpack built by writing entries from `start + LP_HEADER` up to `pos`: end byte and header. */
export function lpFinish(out: Buffer, start: number, pos: number, count: number): number {
  out[pos] = END
  lpWriteHeader(out, start, pos + 1 - start, count)
  return pos + 1
}

// ------------------------------------------------------------------------------------------------ editing

/**
 * The one edit all others are made of. Copies the listpack to `out` at `outStart` without the bytes
 * `from..until` (whole elements) and with a gap of `gapBytes` in their place, updates the header by
 * `countDelta`, and returns the position of the gap, which the caller fills with `lpWriteEntry`. The result
 * takes `end - start - (until - from) + gapBytes` bytes. Works in place too: `out` may be `buf` and
 * `outStart` may be `start`.
 */
export function lpSplice(buf: Buffer, start: number, end: number, from: number, until: number, gapBytes: number, countDelta: number, out: Buffer, outStart: number): number {
  const stored = buf[start + 4] | (buf[start + 5] << 8)
  const gap = outStart + (from - start)
  const total = end - start - (until - from) + gapBytes
  buf.copy(out, gap + gapBytes, until, end)
  if (out !== buf || outStart !== start) buf.copy(out, outStart, start, from)
  lpWriteHeader(out, outStart, total, stored === COUNT_UNKNOWN ? COUNT_UNKNOWN : stored + countDelta)
  return gap
}

/** Appends an element; returns the new end. Space: `end - start + lpEncodedSize(slice)`. */
export function lpAppend(buf: Buffer, start: number, end: number, slice: Slice, out: Buffer, outStart: number): number {
  return lpInsert(buf, start, end, end - 1, slice, out, outStart)
}

/** Inserts an element before the one at `pos` (or before the end byte); returns the new end. */
export function lpInsert(buf: Buffer, start: number, end: number, pos: number, slice: Slice, out: Buffer, outStart: number): number {
  const size = lpEncodedSize(slice)
  lpWriteEntry(slice, out, lpSplice(buf, start, end, pos, pos, size, 1, out, outStart))
  return outStart + (end - start) + size
}

/** Puts `slice` in the place of the element at `pos`; returns the new end. */
export function lpReplace(buf: Buffer, start: number, end: number, pos: number, slice: Slice, out: Buffer, outStart: number): number {
  const size = lpEncodedSize(slice)
  const until = lpNext(buf, pos)
  lpWriteEntry(slice, out, lpSplice(buf, start, end, pos, until, size, 0, out, outStart))
  return outStart + (end - start) + size - (until - pos)
}

/** Deletes up to `count` elements from `pos` on; returns the new end. */
export function lpDelete(buf: Buffer, start: number, end: number, pos: number, count: number, out: Buffer, outStart: number): number {
  let until = pos
  let deleted = 0
  while (deleted < count && buf[until] !== END) {
    until += lpEntrySize(buf, until)
    deleted++
  }
  lpSplice(buf, start, end, pos, until, 0, -deleted, out, outStart)
  return outStart + (end - start) - (until - pos)
}
