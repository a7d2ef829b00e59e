/**
 * The ziplist, forerunner of the listpack (Redis up to 6.2). Read only: it is checked and turned into a
 * listpack.
 *
 *     total bytes u32le | offset of the last entry u32le | entry count u16le | entry ... entry | 0xFF
 *     entry = size of the previous entry (u8 below 254, else 0xFE + u32le), encoding, data
 *
 *     00nnnnnn + n bytes           string              0xC0 i16 | 0xD0 i32 | 0xE0 i64 | 0xF0 i24 | 0xFE i8
 *     01nnnnnn + 1 byte + n        string, 14 bits BE  0xF1..0xFD  integer 0..12
 *     0x80 + u32be + n bytes       string
 *
 * The count 65535 means "not known, walk".
 */
import { Slice } from '../slice.js'
import { LP_HEADER, lpFinish, lpStringSize, lpEncodedSize, lpWriteEntry, lpWriteInt64, lpWriteInteger } from './listpack.js'

const HEADER = 10
const END = 0xff

/** Number of entries of a ziplist from outside, everything checked; -1 when it is corrupt. */
export function ziplistValidate(buf: Buffer, start: number, end: number): number {
  if (end - start < HEADER + 1 || buf.readUInt32LE(start) !== end - start || buf[end - 1] !== END) return -1
  const last = end - 1
  let count = 0
  let previous = 0
  let pos = start + HEADER
  while (pos < last) {
    const head = buf[pos] < 254 ? 1 : 5
    if (buf[pos] === END || pos + head >= last) return -1
    if ((head === 1 ? buf[pos] : buf.readUInt32LE(pos + 1)) !== previous) return -1
    const size = entrySize(buf, pos + head, last)
    if (size < 0) return -1
    previous = head + size
    pos += previous
    count++
  }
  if (pos !== last || buf.readUInt32LE(start + 4) !== (count === 0 ? HEADER : pos - start - previous)) return -1
  const stored = buf.readUInt16LE(start + 8)
  return stored === 65535 || stored === count ? count : -1
}

/** Bytes of encoding and data at `pos`, which must end by `last`; -1 when they do not or mean nothing. */
function entrySize(buf: Buffer, pos: number, last: number): number {
  const b = buf[pos]
  let size: number
  if (b < 0x40) size = 1 + b
  else if (b < 0x80) size = pos + 2 > last ? -1 : 2 + (((b & 63) << 8) | buf[pos + 1])
  else if (b === 0x80) size = pos + 5 > last ? -1 : 5 + buf.readUInt32BE(pos + 1)
  else size = integerSize(b)
  return size > 0 && pos + size <= last ? size : -1
}

function integerSize(b: number): number {
  if (b >= 0xf1 && b <= 0xfd) return 1
  switch (b) {
    case 0xfe:
      return 2
    case 0xc0:
      return 3
    case 0xf0:
      return 4
    case 0xd0:
      return 5
    case 0xe0:
      return 9
    default:
      return -1
  }
}

/** Turns a checked ziplist of `count` entries into a listpack in a Buffer of its own. */
export function ziplistToListpack(buf: Buffer, start: number, end: number, count: number): Buffer {
  const last = end - 1
  let bytes = LP_HEADER + 1
  for (let pos = start + HEADER; pos < last; ) {
    pos += buf[pos] < 254 ? 1 : 5
    const size = entrySize(buf, pos, last)
    // An integer takes at most ten bytes, a string at most what it takes as a string.
    bytes += buf[pos] <= 0x80 ? lpStringSize(size) : 10
    pos += size
  }
  const out = Buffer.allocUnsafeSlow(bytes)
  let at = LP_HEADER
  for (let pos = start + HEADER; pos < last; ) {
    pos += buf[pos] < 254 ? 1 : 5
    const size = entrySize(buf, pos, last)
    at = writeEntry(buf, pos, size, out, at)
    pos += size
  }
  const used = lpFinish(out, 0, at, count)
  return used === bytes ? out : new Slice(out, 0, used).copy()
}

const text = Slice.scratch()

function writeEntry(buf: Buffer, pos: number, size: number, out: Buffer, at: number): number {
  const b = buf[pos]
  if (b <= 0x80) return lpWriteEntry(text.set(buf, pos + (b < 0x40 ? 1 : b < 0x80 ? 2 : 5), pos + size), out, at)
  if (b >= 0xf1 && b <= 0xfd) return lpWriteInteger(b - 0xf1, out, at)
  if (b === 0xe0) return lpWriteInt64(buf.readBigInt64LE(pos + 1), out, at)
  return lpWriteInteger(buf.readIntLE(pos + 1, size - 1), out, at)
}

// ------------------------------------------------------------------------------------------------ writing

/**
 * Writes the entries of a listpack as a ziplist, for servers that know nothing newer (RDB below 10).
 * `elements` calls its argument once per element, in order.
 */
export function ziplistFromElements(elements: (each: (element: Slice) => void) => void): Buffer {
  let bytes = HEADER + 1
  let count = 0
  elements((element) => {
    bytes += element.length + 10
    count++
  })
  const out = Buffer.allocUnsafeSlow(bytes)
  let pos = HEADER
  let previous = 0
  let tail = HEADER
  elements((element) => {
    tail = pos
    if (previous < 254) out[pos++] = previous
    else {
      out[pos] = 0xfe
      pos = out.writeUInt32LE(previous, pos + 1)
    }
    pos = encodeEntry(element, out, pos)
    previous = pos - tail
  })
  out[pos] = END
  out.writeUInt32LE(pos + 1, 0)
  out.writeUInt32LE(tail, 4)
  out.writeUInt16LE(Math.min(count, 65535), 8)
  return new Slice(out, 0, pos + 1).copy()
}

const integerEntry = Buffer.allocUnsafeSlow(16)

function encodeEntry(element: Slice, out: Buffer, pos: number): number {
  const size = element.length
  const packed = size > 0 && size <= 20 ? lpEncodedSize(element) : 0
  if (packed > 0 && packed <= 10) {
    lpWriteEntry(element, integerEntry, 0)
    const b = integerEntry[0]
    if (b < 0x80 || (b >= 0xc0 && b < 0xe0) || b > 0xf0) return encodeInteger(BigInt(element.latin1()), out, pos)
  }
  let at = pos
  if (size < 64) out[at++] = size
  else if (size < 16384) at = out.writeUInt16BE(0x4000 | size, at)
  else {
    out[at] = 0x80
    at = out.writeUInt32BE(size, at + 1)
  }
  element.buf.copy(out, at, element.start, element.end)
  return at + size
}

function encodeInteger(big: bigint, out: Buffer, pos: number): number {
  if (big < -2147483648n || big > 2147483647n) {
    out[pos] = 0xe0
    return out.writeBigInt64LE(big, pos + 1)
  }
  const value = Number(big)
  if (value >= 0 && value <= 12) {
    out[pos] = 0xf1 + value
    return pos + 1
  }
  const width = value >= -128 && value <= 127 ? 1 : value >= -32768 && value <= 32767 ? 2 : value >= -8388608 && value <= 8388607 ? 3 : 4
  out[pos] = [0, 0xfe, 0xc0, 0xf0, 0xd0][width]
  return out.writeIntLE(value, pos + 1, width)
}
