/**
 * Seeded chance for the fuzzers: the same seed gives the same run on every machine.
 * sfc32 (Chris Doty-Humphrey's small fast counter), four 32-bit words of state, seeded by counting.
 */
export class Chance {
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(seed: number, stream = 0) {
    this.a = seed | 0
    this.b = Math.floor(seed / 2 ** 32) | 0
    this.c = stream | 0
    for (let i = 0; i < 15; i++) this.bits()
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    const mixed = (((this.a + this.b) | 0) + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + mixed) | 0
    return mixed >>> 0
  }

  /** An integer from 0 to below `n`. */
  below(n: number): number {
    return Math.floor((this.bits() / 2 ** 32) * n)
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** True with the given probability. */
  hits(probability: number): boolean {
    return this.bits() / 2 ** 32 < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.bits() & 0xff
    return bytes
  }
}
