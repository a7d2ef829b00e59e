/** The order of keys, fields and members: by their bytes. */
import type { Slice } from '../../protocol/slice.js'

/** memcmp order, the shorter first when one is a prefix of the other. Short runs without a native call. */
export function compareBytes(a: Slice, b: Slice): number {
  const lengthA = a.end - a.start
  const lengthB = b.end - b.start
  const length = lengthA < lengthB ? lengthA : lengthB
  const bufA = a.buf
  const bufB = b.buf
  if (length > 32) {
    const order = bufA.compare(bufB, b.start, b.start + length, a.start, a.start + length)
    return order !== 0 ? order : lengthA - lengthB
  }
  let j = b.start
  for (let i = a.start, end = a.start + length; i < end; i++, j++) {
    const difference = bufA[i] - bufB[j]
    if (difference !== 0) return difference
  }
  return lengthA - lengthB
}
