/**
 * The zipmap, the packed hash of Redis 2.4 and before. Read only: it is checked and turned into a listpack.
 *
 *     field count u8 (254 or more: not known) | field, value ... | 0xFF
 *     field = length, bytes;   value = length, free u8, bytes, free bytes of padding
 *     length = u8 below 254, or 0xFE + u32le
 */
import { Slice } from '../slice.js'
import { LP_HEADER, lpFinish, lpStringSize, lpWriteEntry } from './listpack.js'

const END = 0xff

/** Number of fields of a zipmap from outside; -1 when it is corrupt or has none. Duplicates are not looked for. */
export function zipmapValidate(buf: Buffer, start: number, end: number): number {
  if (end - start < 2 || buf[end - 1] !== END) return -1
  const last = end - 1
  let count = 0
  let pos = start + 1
  // The end byte may come before the end of the blob; what follows it is of no meaning.
  while (buf[pos] !== END) {
    pos = afterString(buf, pos, last, false)
    if (pos < 0 || pos >= last) return -1
    pos = afterString(buf, pos, last, true)
    if (pos < 0) return -1
    count++
  }
  if (count === 0 || (buf[start] !== 254 && buf[start] !== count)) return -1
  return count
}

/** Position after the field or value at `pos`, at most `last`; -1 when it does not fit. */
function afterString(buf: Buffer, pos: number, last: number, isValue: boolean): number {
  const head = buf[pos] < 254 ? 1 : 5
  if (buf[pos] === END || pos + head + (isValue ? 1 : 0) > last) return -1
  const after = pos + head + stringSize(buf, pos) + (isValue ? 1 + buf[pos + head] : 0)
  return after <= last ? after : -1
}

function stringSize(buf: Buffer, pos: number): number {
  return buf[pos] < 254 ? buf[pos] : buf.readUInt32LE(pos + 1)
}

/** Turns a checked zipmap of `count` fields into a listpack of field, value ... in a Buffer of its own. */
export function zipmapToListpack(buf: Buffer, start: number, end: number, count: number): Buffer {
  let bytes = LP_HEADER + 1
  for (let pos = start + 1, i = 0; i < 2 * count; i++) {
    bytes += lpStringSize(stringSize(buf, pos)) + 8
    pos = afterString(buf, pos, end - 1, i % 2 === 1)
  }
  const out = Buffer.allocUnsafeSlow(bytes)
  let at = LP_HEADER
  for (let pos = start + 1, i = 0; i < 2 * count; i++) {
    const from = pos + (buf[pos] < 254 ? 1 : 5) + (i % 2)
    at = lpWriteEntry(text.set(buf, from, from + stringSize(buf, pos)), out, at)
    pos = afterString(buf, pos, end - 1, i % 2 === 1)
  }
  return new Slice(out, 0, lpFinish(out, 0, at, 2 * count)).copy()
}

const text = Slice.scratch()
