/**
 * CRC-32C (Castagnoli), the checksum of etcd's write-ahead log and snapshots.
 *
 * Width 32, polynomial 0x1edc6f41, reflected in and out, initial value and final xor all ones; the checksum of
 * "123456789" is 0xe3069283. Continued from a previous sum as Go's crc32.Update does, so that one running sum goes
 * over many records. Slicing by 4: four tables, made at first use.
 */

/** Entry `k << 8 | byte`. */
let table: Int32Array | undefined

function makeTable(): Int32Array {
  const made = new Int32Array(1024)
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte
    for (let bit = 0; bit < 8; bit++) sum = (sum & 1) === 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1
    made[byte] = sum
  }
  for (let i = 256; i < 1024; i++) made[i] = (made[i - 256] >>> 8) ^ made[made[i - 256] & 0xff]
  return made
}

/** The sum of `bytes`, continued from `previous` (0 to begin); an unsigned 32-bit integer. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const t = (table ??= makeTable())
  let sum = ~previous
  let i = 0
  for (const whole = bytes.length & ~3; i < whole; i += 4) {
    sum ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)
    sum = t[768 | (sum & 0xff)] ^ t[512 | ((sum >>> 8) & 0xff)] ^ t[256 | ((sum >>> 16) & 0xff)] ^ t[sum >>> 24]
  }
  for (; i < bytes.length; i++) sum = (sum >>> 8) ^ t[(sum ^ bytes[i]) & 0xff]
  return ~sum >>> 0
}
