/**
 * The intset: a set of integers as a sorted array, the form of small sets whose members are all integers.
 *
 *     width u32le (2, 4 or 8) | count u32le | count x signed little-endian integer of that width, ascending
 *
 * The width is the widest any member ever needed; it never shrinks. Values are numbers where a double holds
 * them exactly and bigints beyond, which JavaScript compares with each other in the right order.
 *
 * Functions work on `buf[start..]`, trust the bytes (`intsetValidate` is for those from outside) and write
 * results to a buffer of the caller, who gets the size to reserve from the `...Bytes` functions.
 */
import { readInt64, readInteger, writeInteger } from '../number.js'
import type { Slice } from '../slice.js'

/** Bytes before the first integer. */
export const INTSET_HEADER = 8

export type Integer = number | bigint

/** Number of members. */
export function intsetCount(buf: Buffer, start: number): number {
  return buf.readUInt32LE(start + 4)
}

/** Member `index` in ascending order. */
export function intsetAt(buf: Buffer, start: number, index: number): Integer {
  const width = buf[start]
  const at = start + INTSET_HEADER + index * width
  if (width === 2) return ((buf[at] | (buf[at + 1] << 8)) << 16) >> 16
  if (width === 4) return buf.readInt32LE(at)
  const value = buf.readInt32LE(at + 4) * 0x100000000 + buf.readUInt32LE(at)
  return Number.isSafeInteger(value) ? value : buf.readBigInt64LE(at)
}

/** Writes the decimal text of member `index` to `scratch` (20 bytes) and points `out` at it. */
export function intsetGet(buf: Buffer, start: number, index: number, out: Slice, scratch: Buffer): Slice {
  const value = intsetAt(buf, start, index)
  if (typeof value === 'number') return out.set(scratch, 0, writeInteger(value, scratch, 0))
  return out.set(scratch, 0, scratch.latin1Write(value.toString(), 0))
}

/** Index of `value`; when it is no member, -1 - the index at which it would be inserted. */
export function intsetSearch(buf: Buffer, start: number, value: Integer): number {
  let low = 0
  let high = intsetCount(buf, start)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (intsetAt(buf, start, middle) < value) low = middle + 1
    else high = middle
  }
  // Mixed comparison: `<` and `>` are exact between a number and a bigint, `===` is never true.
  if (low < intsetCount(buf, start) && !(intsetAt(buf, start, low) > value)) return low
  return -1 - low
}

export function intsetContains(buf: Buffer, start: number, value: Integer): boolean {
  return intsetSearch(buf, start, value) >= 0
}

/** The integer whose canonical decimal text `slice` is, as a set member; undefined when it is none. */
export function intsetParse(slice: Slice): Integer | undefined {
  const length = slice.end - slice.start
  if (length === 0 || length > 20) return undefined
  const value = readInteger(slice.buf, slice.start, slice.end)
  if (value === value) return value
  return length < 16 ? undefined : readInt64(slice.buf, slice.start, slice.end)
}

/** Bytes per member that `value` needs. */
function intsetWidthFor(value: Integer): number {
  if (value >= -32768 && value <= 32767) return 2
  return value >= -2147483648 && value <= 2147483647 ? 4 : 8
}

/** Bytes of an intset of this width and count. */
function intsetBytes(width: number, count: number): number {
  return INTSET_HEADER + width * count
}

/** Bytes of the intset once `value`, not yet a member, is added. */
export function intsetBytesWith(buf: Buffer, start: number, value: Integer): number {
  return intsetBytes(Math.max(buf[start], intsetWidthFor(value)), intsetCount(buf, start) + 1)
}

/** Writes an intset without members (not valid in a payload) and returns the position after it. */
export function intsetEmpty(out: Buffer, start: number): number {
  return writeIntsetHeader(out, start, 2, 0)
}

/**
 * Writes the set with `value` (not yet a member) at `out[outStart]` and returns the end. Space:
 * `intsetBytesWith`. `out` may be `buf` with the same start.
 */
export function intsetAdd(buf: Buffer, start: number, value: Integer, out: Buffer, outStart: number): number {
  const count = intsetCount(buf, start)
  const width = buf[start]
  const newWidth = Math.max(width, intsetWidthFor(value))
  const index = -1 - intsetSearch(buf, start, value)
  const base = outStart + INTSET_HEADER
  if (newWidth === width) {
    const from = start + INTSET_HEADER + index * width
    const end = start + INTSET_HEADER + count * width
    buf.copy(out, base + (index + 1) * width, from, end)
    if (out !== buf || outStart !== start) buf.copy(out, base, start + INTSET_HEADER, from)
  } else {
    // From the last to the first, so that widening in place never overwrites what is still to be read.
    for (let i = count - 1; i >= 0; i--) {
      writeMember(out, base + (i < index ? i : i + 1) * newWidth, newWidth, intsetAt(buf, start, i))
    }
  }
  writeMember(out, base + index * newWidth, newWidth, value)
  return writeIntsetHeader(out, outStart, newWidth, count + 1) + newWidth * (count + 1)
}

/** Writes the set without member `index` at `out[outStart]` and returns the end. Works in place too. */
export function intsetRemove(buf: Buffer, start: number, index: number, out: Buffer, outStart: number): number {
  const count = intsetCount(buf, start)
  const width = buf[start]
  const from = start + INTSET_HEADER + index * width
  const base = outStart + INTSET_HEADER
  if (out !== buf || outStart !== start) buf.copy(out, base, start + INTSET_HEADER, from)
  buf.copy(out, base + index * width, from + width, start + INTSET_HEADER + count * width)
  return writeIntsetHeader(out, outStart, width, count - 1) + width * (count - 1)
}

/** Writes ascending, unique `values` as an intset of the width they need and returns the end. */
export function intsetWrite(values: readonly Integer[], out: Buffer, outStart: number): number {
  let width = 2
  for (const value of values) width = Math.max(width, intsetWidthFor(value))
  let pos = writeIntsetHeader(out, outStart, width, values.length)
  for (const value of values) {
    writeMember(out, pos, width, value)
    pos += width
  }
  return pos
}

/** Number of members of a blob from outside, -1 when it is corrupt or has none. */
export function intsetValidate(buf: Buffer, start: number, end: number): number {
  if (end - start < INTSET_HEADER) return -1
  const width = buf.readUInt32LE(start)
  const count = buf.readUInt32LE(start + 4)
  if ((width !== 2 && width !== 4 && width !== 8) || count === 0 || intsetBytes(width, count) !== end - start) return -1
  let previous = intsetAt(buf, start, 0)
  for (let i = 1; i < count; i++) {
    const value = intsetAt(buf, start, i)
    if (!(previous < value)) return -1
    previous = value
  }
  return count
}

function writeIntsetHeader(out: Buffer, start: number, width: number, count: number): number {
  out.writeUInt32LE(width, start)
  return out.writeUInt32LE(count, start + 4)
}

function writeMember(out: Buffer, pos: number, width: number, value: Integer): void {
  if (width === 8) out.writeBigInt64LE(BigInt(value), pos)
  else if (width === 4) out.writeInt32LE(Number(value), pos)
  else out.writeInt16LE(Number(value), pos)
}
