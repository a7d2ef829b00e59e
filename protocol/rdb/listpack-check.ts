/**
 * Listpacks from outside: the deep check that everything in listpack.ts relies on, and the change from one
 * dialect of back-lengths to the other.
 */
import { COUNT_UNKNOWN, LP_EMPTY_BYTES, LP_END, LP_HEADER, backLengthBytes, bodySize, isBoundary, lpFinish, lpNext, oldBackLengthBytes, writeBackLength } from './listpack.js'

/**
 * The deep check of a listpack from outside: header, every encoding, every back-length (either dialect), the
 * end byte and the count. Returns the number of elements, -1 when corrupt. Touches nothing outside the range.
 */
export function lpValidate(buf: Buffer, start: number, end: number): number {
  if (end - start < LP_EMPTY_BYTES || buf.readUInt32LE(start) !== end - start || buf[end - 1] !== LP_END) return -1
  const last = end - 1
  let count = 0
  let pos = start + LP_HEADER
  while (pos < last) {
    const b = buf[pos]
    // The two forms that nearly all elements have; then all others.
    if (b < 0x80) {
      if (buf[pos + 1] !== 1) return -1
      pos += 2
    } else if (b < 0xc0) {
      const size = (b & 63) + 1
      if (pos + size >= last || buf[pos + size] !== size) return -1
      pos += size + 1
    } else {
      pos = validateEntry(buf, pos, last)
      if (pos < 0) return -1
    }
    count++
  }
  if (pos !== last) return -1
  const stored = buf[start + 4] | (buf[start + 5] << 8)
  return stored === COUNT_UNKNOWN || stored === count ? count : -1
}

function validateEntry(buf: Buffer, pos: number, last: number): number {
  // Five bytes of head at most: whatever lies behind `last` is inside the buffer or undefined, never used.
  const size = bodySize(buf, pos)
  if (!(size > 0) || pos + size >= last) return -1
  const bytes = backLengthBytes(buf, pos, size)
  const after = pos + size + bytes
  if (after > last) return -1
  let rest = size
  for (let i = after - 1; i > pos + size; i--) {
    if (buf[i] !== (128 | (rest & 127))) return -1
    rest >>>= 7
  }
  return buf[pos + size] === (rest & 127) ? after : -1
}

/**
 * The same listpack with all back-lengths in one dialect: `'old'`, or `'new'` for RDB versions from 80 on.
 * Returns undefined when the bytes are already right, as all but the largest listpacks are.
 */
export function lpConvertBackLengths(buf: Buffer, start: number, end: number, dialect: 'old' | 'new'): Buffer | undefined {
  if (end - start < 16383) return undefined
  const growth = dialect === 'old' ? 1 : -1
  let changes = 0
  for (let pos = start + LP_HEADER; buf[pos] !== LP_END; pos = lpNext(buf, pos)) if (isForeign(buf, pos, dialect)) changes++
  if (changes === 0) return undefined
  const out = Buffer.allocUnsafeSlow(end - start + changes * growth)
  let at = LP_HEADER
  let count = 0
  for (let pos = start + LP_HEADER; buf[pos] !== LP_END; count++) {
    const next = lpNext(buf, pos)
    if (isForeign(buf, pos, dialect)) {
      const size = bodySize(buf, pos)
      buf.copy(out, at, pos, pos + size)
      at = writeBackLength(out, at + size, size, oldBackLengthBytes(size) - (dialect === 'old' ? 0 : 1))
    } else {
      buf.copy(out, at, pos, next)
      at += next - pos
    }
    pos = next
  }
  lpFinish(out, 0, at, count)
  return out
}

function isForeign(buf: Buffer, pos: number, dialect: 'old' | 'new'): boolean {
  const size = bodySize(buf, pos)
  return isBoundary(size) && (buf[pos + size] === 127) === (dialect === 'old')
}
