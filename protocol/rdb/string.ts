/**
 * RDB strings: keys, members, values and packed blobs.
 *
 *     length n, n bytes
 *     0xC0 i8 | 0xC1 i16le | 0xC2 i32le                         the decimal text of the integer
 *     0xC3, length c, length n, c bytes                         n bytes compressed by LZF
 *     0xC4..0xFF                                                invalid
 *
 * The writer's choice, which is also that of the servers, so that payloads compare byte for byte: the
 * integer form for 1 to 11 bytes that are the canonical text of a 32-bit integer; else LZF for more than 20
 * bytes when it saves at least four; else the bytes.
 */
import { compress, decompress } from '../lzf.js'
import { readInteger, writeInteger } from '../number.js'
import { Slice } from '../slice.js'
import { RdbError } from './error.js'
import type { RdbInput } from './input.js'
import { lengthBytes, writeLength } from './length.js'

/**
 * The most LZF can do: three bytes that stand for 264. What claims more is a lie, so the claim never decides
 * how much is allocated.
 */
const LZF_MOST = 88
/** No string is longer: it could not be held in a Buffer. */
const MOST_BYTES = 0xffffffff
/** Longer text is no integer of 32 bits. */
const INTEGER_TEXT_MAX = 11
/** A scratch buffer that grew beyond this is not kept for the next string. */
const SCRATCH_KEEP = 1 << 20

/** Where strings that are not there byte for byte (integers, compressed) are put while they are looked at. */
export class StringScratch {
  private bytes = Buffer.allocUnsafeSlow(64)

  /** At least `size` bytes, whose old content is gone. */
  room(size: number): Buffer {
    if (this.bytes.length >= size) return this.bytes
    const bytes = Buffer.allocUnsafeSlow(Math.max(size, Math.min(2 * this.bytes.length, SCRATCH_KEEP)))
    if (size <= SCRATCH_KEEP) this.bytes = bytes
    return bytes
  }
}

/**
 * Reads a string and points `out` at it: into the input's own bytes, or into `scratch`, where it stays until
 * `scratch` serves the next one.
 */
export function readString(input: RdbInput, out: Slice, scratch: StringScratch): Slice {
  const first = input.pos < input.end ? input.buf[input.pos] : 0
  if (first < 0xc0) {
    const size = input.length()
    const at = input.take(size)
    return out.set(input.buf, at, at + size)
  }
  input.pos++
  if (first < 0xc3) {
    const text = scratch.room(16)
    return out.set(text, 0, writeInteger(readIntegerForm(input, first), text, 0))
  }
  if (first !== 0xc3) throw new RdbError('unknown string form')
  const packed = input.length()
  const size = unpackedSize(input, packed)
  const text = scratch.room(size)
  unpack(input, packed, text, size)
  return out.set(text, 0, size)
}

/** Reads a string into a Buffer of its own, safe to keep. */
export function readBlob(input: RdbInput): Buffer {
  if (input.pos < input.end && input.buf[input.pos] === 0xc3) {
    input.pos++
    const packed = input.length()
    const size = unpackedSize(input, packed)
    const bytes = Buffer.allocUnsafeSlow(size)
    unpack(input, packed, bytes, size)
    return bytes
  }
  return readString(input, ownSlice, ownScratch).copy()
}

const ownSlice = Slice.scratch()
const ownScratch = new StringScratch()

/** Moves past a string without looking inside. */
export function skipString(input: RdbInput): void {
  const first = input.pos < input.end ? input.buf[input.pos] : 0
  if (first < 0xc0) {
    input.take(input.length())
  } else if (first < 0xc3) {
    input.take(1 + (1 << (first - 0xc0)))
  } else if (first === 0xc3) {
    input.pos++
    const packed = input.length()
    unpackedSize(input, packed)
    input.pos += packed
  } else throw new RdbError('unknown string form')
}

function readIntegerForm(input: RdbInput, form: number): number {
  if (form === 0xc0) return input.buf.readInt8(input.take(1))
  return form === 0xc1 ? input.buf.readInt16LE(input.take(2)) : input.buf.readInt32LE(input.take(4))
}

/** Reads the size of the original; the compressed bytes, checked to be there, come next. */
function unpackedSize(input: RdbInput, packed: number): number {
  const size = input.length()
  if (packed === 0 || size > MOST_BYTES || size > packed * LZF_MOST) throw new RdbError('impossible sizes of a compressed string')
  if (packed > input.remaining) input.take(packed)
  return size
}

function unpack(input: RdbInput, packed: number, out: Buffer, size: number): void {
  const at = input.take(packed)
  // An original size of 0 is nonsense which the servers take for an empty string.
  if (size > 0 && !decompress(input.buf, at, at + packed, out, 0, size)) throw new RdbError('corrupt compressed string')
}

/** Encoded size when no compression is tried. With it, the two lengths may cost two bytes more than they save: `STRING_SLACK`. */
export function stringLength(slice: Slice): number {
  const size = slice.end - slice.start
  // Usual text, seen without a call.
  if (size > INTEGER_TEXT_MAX || slice.buf[slice.start] > 57) return lengthBytes(size) + size
  const width = integerForm(slice, size)
  return width > 0 ? 1 + width : lengthBytes(size) + size
}

/** Room to leave beside `stringLength` before `writeString`. */
export const STRING_SLACK = 2

/** Writes a string in the form the servers would choose and returns the position after it. */
export function writeString(slice: Slice, out: Buffer, pos: number, compressed: boolean): number {
  const size = slice.end - slice.start
  const width = integerForm(slice, size)
  if (width > 0) {
    out[pos] = width === 4 ? 0xc2 : 0xbf + width
    for (let i = 1, rest = integerValue; i <= width; i++, rest >>= 8) out[pos + i] = rest & 255
    return pos + 1 + width
  }
  if (compressed && size > 20) {
    const end = writeCompressed(slice, size, out, pos, size - 4)
    if (end > 0) return end
  }
  const at = writeLength(size, out, pos)
  if (size > 32) slice.buf.copy(out, at, slice.start, slice.end)
  else for (let i = slice.start, j = at; i < slice.end; i++, j++) out[j] = slice.buf[i]
  return at + size
}

/** Writes the compressed form when it takes at most `limit` bytes; 0 when it does not. */
function writeCompressed(slice: Slice, size: number, out: Buffer, pos: number, limit: number): number {
  const room = packScratch.room(limit)
  const packed = compress(slice.buf, slice.start, slice.end, room, 0, limit)
  if (packed === 0) return 0
  out[pos] = 0xc3
  const at = writeLength(size, out, writeLength(packed, out, pos + 1))
  room.copy(out, at, 0, packed)
  return at + packed
}

const packScratch = new StringScratch()

/** The value found by the last `integerForm` that returned a width. */
let integerValue = 0

/** Bytes of the integer form: 1, 2 or 4; 0 when the string has none. */
function integerForm(slice: Slice, size: number): number {
  if (size === 0 || size > INTEGER_TEXT_MAX) return 0
  const first = slice.buf[slice.start]
  if (first !== 45 && (first < 48 || first > 57)) return 0
  const value = readInteger(slice.buf, slice.start, slice.end)
  integerValue = value
  if (value >= -128 && value <= 127) return 1
  if (value >= -32768 && value <= 32767) return 2
  return value >= -2147483648 && value <= 2147483647 ? 4 : 0
}
