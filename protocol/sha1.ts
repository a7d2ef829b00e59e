/**
 * SHA-1 (FIPS 180-4) of many short runs of bytes. Node's takes about a microsecond for the object it makes of each
 * hash, this a quarter of one for up to 55 bytes; long runs go to Node.
 *
 * A digest is five 32-bit words, the first bytes of which are the highest: what is hashed again and again need
 * not become bytes in between.
 */
import { createHash } from 'node:crypto'

/** Node is faster from here on. */
const LONG_BYTES = 256
const BLOCK_BYTES = 64
/** The length of the message, in bits, stands at the end of its last block. */
const LENGTH_AT = 56

/** The message schedule: a block, and what is made of it. */
const schedule = new Int32Array(80)
/** The end of the message with its padding. */
const tail = Buffer.alloc(BLOCK_BYTES)

/** Words of a digest. */
export const SHA1_WORDS = 5

/** Writes the digest of `buf[start..end)` to the five words `out`. */
export function sha1(buf: Buffer, start: number, end: number, out: Int32Array): void {
  const length = end - start
  if (length >= LONG_BYTES) {
    const bytes = createHash('sha1').update(buf.subarray(start, end)).digest()
    for (let i = 0; i < SHA1_WORDS; i++) out[i] = bytes.readInt32BE(i * 4)
    return
  }
  begin(out)
  let at = start
  for (; at + BLOCK_BYTES <= end; at += BLOCK_BYTES) {
    load(buf, at)
    compress(out)
  }
  let filled = 0
  while (at < end) tail[filled++] = buf[at++]
  tail[filled++] = 0x80
  if (filled > LENGTH_AT) {
    tail.fill(0, filled)
    load(tail, 0)
    compress(out)
    filled = 0
  }
  while (filled < LENGTH_AT) tail[filled++] = 0
  load(tail, 0)
  schedule[14] = 0
  schedule[15] = length * 8
  compress(out)
}

/** Replaces a digest by the digest of its 20 bytes. */
export function sha1OfDigest(digest: Int32Array): void {
  schedule.fill(0, 0, 16)
  schedule.set(digest)
  schedule[SHA1_WORDS] = 1 << 31
  schedule[15] = SHA1_WORDS * 32
  begin(digest)
  compress(digest)
}

function begin(state: Int32Array): void {
  state[0] = 0x67452301
  state[1] = 0xefcdab89
  state[2] = 0x98badcfe
  state[3] = 0x10325476
  state[4] = 0xc3d2e1f0
}

function load(buf: Buffer, start: number): void {
  for (let i = 0, at = start; i < 16; i++, at += 4)
    schedule[i] = (buf[at] << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3]
}

/** Folds the block at the beginning of the schedule into the state. A loop a round function: one loop takes twice as long. */
function compress(state: Int32Array): void {
  const w = schedule
  for (let i = 16; i < 80; i++) {
    const word = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]
    w[i] = (word << 1) | (word >>> 31)
  }
  let a = state[0]
  let b = state[1]
  let c = state[2]
  let d = state[3]
  let e = state[4]
  let next = 0
  for (let i = 0; i < 20; i++) {
    next = (((a << 5) | (a >>> 27)) + (d ^ (b & (c ^ d))) + e + w[i] + 0x5a827999) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let i = 20; i < 40; i++) {
    next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + w[i] + 0x6ed9eba1) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let i = 40; i < 60; i++) {
    next = (((a << 5) | (a >>> 27)) + ((b & c) | (d & (b | c))) + e + w[i] - 0x70e44324) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let i = 60; i < 80; i++) {
    next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + w[i] - 0x359d3e2a) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  state[0] += a
  state[1] += b
  state[2] += c
  state[3] += d
  state[4] += e
}
