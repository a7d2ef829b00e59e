/**
 * Chance. The only file that asks for it, so that a test can own it: give `Random` a seed and every
 * random choice of a server repeats.
 */
import { randomBytes } from 'node:crypto'

export class Random {
  #state: number

  /** `seed`: any 32-bit integer; without one the operating system chooses. */
  constructor(seed: number = randomBytes(4).readInt32LE(0)) {
    this.#state = seed | 0
  }

  /** A 32-bit integer, every one equally likely (the mulberry32 generator). */
  int32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let x = this.#state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return x ^ (x >>> 14)
  }

  /** An integer in [0, limit). `limit` at most 2^32. */
  below(limit: number): number {
    return Math.floor(((this.int32() >>> 0) / 4294967296) * limit)
  }

  /** A number in [0, 1). */
  unit(): number {
    return (this.int32() >>> 0) / 4294967296
  }

  /** `length` random hexadecimal characters, for run ids. */
  hex(length: number): string {
    let text = ''
    while (text.length < length) text += (this.int32() >>> 0).toString(16).padStart(8, '0')
    return text.slice(0, length)
  }
}
