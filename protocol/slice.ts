/**
 * A Slice is a view of bytes: `buf[start..end)`. It is how keys, values and arguments travel through
 * keyferry without an allocation each: the request parser owns one Slice per argument position and moves
 * it; a Slice that outlives the command that was handed it must be copied (`copy()`), because the bytes
 * under it (a socket's read buffer, an arena slab) are reused.
 */
// Node's own fast paths of Buffer, which its type declarations leave out.
declare global {
  interface Buffer {
    latin1Slice(start?: number, end?: number): string
    utf8Slice(start?: number, end?: number): string
    latin1Write(text: string, offset?: number, length?: number): number
    utf8Write(text: string, offset?: number, length?: number): number
  }
}

/** A view of bytes; valid as long as what lies under it. */
export class Slice {
  buf: Buffer
  start: number
  end: number

  constructor(buf: Buffer = EMPTY, start = 0, end = buf.length) {
    this.buf = buf
    this.start = start
    this.end = end
  }

  /** The bytes of a string, as UTF-8 (or `'latin1'`, one byte a character). */
  static from(text: string, encoding: 'utf8' | 'latin1' = 'utf8'): Slice {
    return new Slice(Buffer.from(text, encoding))
  }

  /** Points this slice elsewhere and returns it. */
  set(buf: Buffer, start: number, end: number): this {
    this.buf = buf
    this.start = start
    this.end = end
    return this
  }

  get length(): number {
    return this.end - this.start
  }

  equals(other: Slice): boolean {
    const length = this.end - this.start
    if (other.end - other.start !== length) return false
    if (length > 64) return this.buf.compare(other.buf, other.start, other.end, this.start, this.end) === 0
    const a = this.buf
    const b = other.buf
    let j = other.start
    for (let i = this.start; i < this.end; i++, j++) if (a[i] !== b[j]) return false
    return true
  }

  /** memcmp order, the shorter first when one is a prefix of the other. */
  compare(other: Slice): number {
    return this.buf.compare(other.buf, other.start, other.end, this.start, this.end)
  }

  /** Whether the bytes are this ASCII text, letter case ignored. `lower` must be lower case. */
  is(lower: string): boolean {
    const length = lower.length
    if (this.end - this.start !== length) return false
    for (let i = 0; i < length; i++) {
      let c = this.buf[this.start + i]
      if (c >= 65 && c <= 90) c |= 32
      if (c !== lower.charCodeAt(i)) return false
    }
    return true
  }

  /** One byte a character: lossless, and what a JavaScript Map key of bytes is made of. */
  latin1(): string {
    return this.buf.latin1Slice(this.start, this.end)
  }

  /** What C prints of it, which ends at the first NUL: for the words that error texts repeat. */
  cText(): string {
    const nul = this.buf.subarray(this.start, this.end).indexOf(0)
    return this.buf.latin1Slice(this.start, nul < 0 ? this.end : this.start + nul)
  }

  toString(): string {
    return this.buf.utf8Slice(this.start, this.end)
  }

  /** A Buffer of its own with these bytes, safe to keep (never from Node's pool). */
  copy(): Buffer {
    const out = Buffer.allocUnsafeSlow(this.end - this.start)
    this.buf.copy(out, 0, this.start, this.end)
    return out
  }

  /** A Buffer over the same memory: valid only as long as the bytes below stay. */
  view(): Buffer {
    return this.buf.subarray(this.start, this.end)
  }
}

const EMPTY = Buffer.alloc(0)
