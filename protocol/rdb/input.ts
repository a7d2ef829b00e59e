/**
 * A cursor over RDB bytes: `buf[pos..end)`. Every read is checked against `end` before anything is allocated
 * or touched; what does not fit throws an RdbError of kind `truncated`, what cannot be right one of kind
 * `corrupt`. Strings are in string.ts.
 */
import { RdbError } from './error.js'

export class RdbInput {
  buf: Buffer
  pos: number
  end: number

  constructor(buf: Buffer, start = 0, end = buf.length) {
    this.buf = buf
    this.pos = start
    this.end = end
  }

  /** Points the cursor elsewhere and returns it. */
  set(buf: Buffer, start: number, end: number): this {
    this.buf = buf
    this.pos = start
    this.end = end
    return this
  }

  get remaining(): number {
    return this.end - this.pos
  }

  byte(): number {
    if (this.pos >= this.end) throw truncated()
    return this.buf[this.pos++]
  }

  /** Moves past `size` bytes and returns the position of the first. */
  take(size: number): number {
    const at = this.pos
    if (size > this.end - at) throw truncated()
    this.pos = at + size
    return at
  }

  /** A length of at most 2^53 - 1. */
  length(): number {
    const first = this.byte()
    if (first < 0x40) return first
    if (first < 0x80) return ((first & 63) << 8) | this.byte()
    if (first === 0x80) return this.buf.readUInt32BE(this.take(4))
    if (first !== 0x81) throw new RdbError('a length is expected here')
    const at = this.take(8)
    const value = this.buf.readUInt32BE(at) * 0x100000000 + this.buf.readUInt32BE(at + 4)
    if (!Number.isSafeInteger(value)) throw new RdbError('length out of range')
    return value
  }

  /** A length of the whole unsigned 64-bit range. */
  length64(): bigint {
    if (this.pos < this.end && this.buf[this.pos] === 0x81) {
      this.pos++
      return this.buf.readBigUInt64BE(this.take(8))
    }
    return BigInt(this.length())
  }

  /**
   * The number of elements that follow. Each takes at least `leastBytes`, so a count that the rest of the
   * bytes cannot hold is refused before anybody makes room for it.
   */
  count(leastBytes: number): number {
    const count = this.length()
    if (count * leastBytes > this.end - this.pos) throw truncated()
    return count
  }

  /** Signed 64-bit milliseconds. Beyond 2^53 the nearest double. */
  ms(): number {
    const at = this.take(8)
    return this.buf.readInt32LE(at + 4) * 0x100000000 + this.buf.readUInt32LE(at)
  }

  double(): number {
    return this.buf.readDoubleLE(this.take(8))
  }
}

function truncated(): RdbError {
  return new RdbError('the data ends too early', 'truncated')
}

/** Writes signed 64-bit milliseconds; a double beyond the range is clamped to it. */
export function writeMs(value: number, out: Buffer, pos: number): number {
  if (Number.isSafeInteger(value)) {
    const high = Math.floor(value / 0x100000000)
    out.writeUInt32LE(value - high * 0x100000000, pos)
    return out.writeInt32LE(high, pos + 4)
  }
  return out.writeBigInt64LE(value > 0 ? clampHigh(value) : clampLow(value), pos)
}

function clampHigh(value: number): bigint {
  return value >= 2 ** 63 ? 0x7fffffffffffffffn : BigInt(value)
}

function clampLow(value: number): bigint {
  return value <= -(2 ** 63) ? -0x8000000000000000n : BigInt(value)
}
