/**
 * CRC-16/XMODEM and the hash slot of a key.
 *
 * Width 16, polynomial 0x1021, not reflected, initial value 0; the checksum of "123456789" is 0x31c3.
 * A cluster has 16384 slots; the slot of a key is its checksum modulo 16384. Hash tag: if the key has a `{`
 * and a `}` somewhere after the first `{` with at least one byte between, only those bytes are hashed, so
 * that keys with the same tag share a slot.
 */

/** The number of hash slots in a cluster. */
const SLOT_COUNT = 16384

const OPEN = 0x7b
const CLOSE = 0x7d

const table = buildTable()

/** The CRC-16/XMODEM of `buf[start..end)`. */
export function crc16(buf: Buffer, start: number, end: number): number {
  let crc = 0
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ table[(crc >>> 8) ^ buf[i]]
  return crc
}

/** The hash slot, 0 to 16383, of the key `buf[start..end)`. */
export function slotOf(buf: Buffer, start: number, end: number): number {
  for (let open = start; open < end; open++) {
    if (buf[open] !== OPEN) continue
    let close = open + 1
    while (close < end && buf[close] !== CLOSE) close++
    if (close < end && close > open + 1) return crc16(buf, open + 1, close) & (SLOT_COUNT - 1)
    break
  }
  return crc16(buf, start, end) & (SLOT_COUNT - 1)
}

function buildTable(): Uint16Array {
  const entries = new Uint16Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
    entries[byte] = crc
  }
  return entries
}
