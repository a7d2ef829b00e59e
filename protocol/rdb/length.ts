/**
 * RDB lengths: how counts, sizes and unsigned integers are written.
 *
 *     00xxxxxx                  6 bits
 *     01xxxxxx + 1 byte         14 bits, the high six first
 *     0x80 + u32be              32 bits
 *     0x81 + u64be              64 bits
 *     11tttttt                  no length: a string in special form t (string.ts)
 *
 * Writers use the shortest form; readers (input.ts) take any.
 */

/** Bytes the length takes. `value` is an integer from 0 to 2^53. */
export function lengthBytes(value: number): number {
  if (value < 64) return 1
  if (value < 16384) return 2
  return value <= 0xffffffff ? 5 : 9
}

/** Writes a length and returns the position after it. */
export function writeLength(value: number, out: Buffer, pos: number): number {
  if (value < 64) {
    out[pos] = value
    return pos + 1
  }
  if (value < 16384) {
    out[pos] = 0x40 | (value >> 8)
    out[pos + 1] = value & 255
    return pos + 2
  }
  if (value <= 0xffffffff) {
    out[pos] = 0x80
    return out.writeUInt32BE(value, pos + 1)
  }
  return writeLength64(BigInt(value), out, pos)
}

/** The same for the whole unsigned 64-bit range: stream ids and counters. */
export function writeLength64(value: bigint, out: Buffer, pos: number): number {
  if (value <= 0xffffffffn) return writeLength(Number(value), out, pos)
  out[pos] = 0x81
  return out.writeBigUInt64BE(value, pos + 1)
}
