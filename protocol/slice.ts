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

const EMPTY = Buffer.alloc(0)
const scratches: Scratch[] = []

/** Longer runs are copied faster by `Buffer.copy`. */
const COPIED_HERE_MAX = 192

/** All of a Buffer as a DataView. */
export function dataView(buf: Buffer): DataView {
  return new DataView(buf.buffer, buf.byteOffset, buf.length)
}

/** A view of bytes; valid as long as what lies under it. */
export class Slice {
  buf: Buffer
  start: number
  end: number
  /** All of `buf`, where whoever set it has a DataView at hand; see `copyTo`. */
  data: DataView | undefined

  constructor(buf: Buffer = EMPTY, start = 0, end = buf.length) {
    this.buf = buf
    this.start = start
    this.end = end
    this.data = undefined
  }

  /**
   * A Slice for a module to point here and there, good until the command that uses it has run: see `forgetScratches`.
   * One to keep, or to make inside a function, is made with `new`.
   */
  static scratch(): Slice {
    return scratch(new Slice())
  }

  /** The bytes of a string, as UTF-8 (or `'latin1'`, one byte a character). */
  static from(text: string, encoding: 'utf8' | 'latin1' = 'utf8'): Slice {
    return new Slice(Buffer.from(text, encoding))
  }

  /** Points this slice elsewhere and returns it. */
  set(buf: Buffer, start: number, end: number, data?: DataView): this {
    this.buf = buf
    this.start = start
    this.end = end
    this.data = data
    return this
  }

  /** Points to nothing. */
  forget(): void {
    this.set(EMPTY, 0, 0)
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

  /**
   * Copies the bytes to `to[at..]`, which they must not overlap; `toData` is all of `to`. `Buffer.copy` makes an
   * object for every call and takes 60 to 90 ns; most values are copied faster in steps of four bytes.
   */
  copyTo(to: Buffer, toData: DataView, at: number): void {
    const from = this.data
    const { start, end } = this
    const length = end - start
    if (length > COPIED_HERE_MAX || (from === undefined && length > 32)) this.buf.copy(to, at, start, end)
    else if (from !== undefined && length >= 4) copyWords(from, start, end, toData, at)
    else for (let i = start, j = at; i < end; i++, j++) to[j] = this.buf[i]
  }

  /** A Buffer over the same memory: valid only as long as the bytes below stay. */
  view(): Buffer {
    return this.buf.subarray(this.start, this.end)
  }
}

/** What a module uses again and again, each time for one command. */
interface Scratch {
  /** Lets go of the bytes and values of the last command. */
  forget(): void
}

/** Makes something a scratch of its module: nothing that it points to stays longer than to the next `forgetScratches`. */
export function scratch<T extends Scratch>(one: T): T {
  scratches.push(one)
  return one
}

/**
 * Between two commands: lets all scratches go. Each of them would keep the last large value that it saw alive for as long
 * as its module sees no other.
 */
export function forgetScratches(): void {
  for (const one of scratches) one.forget()
}

/** Copies bytes where no DataViews are at hand: short runs one by one, which beats a call into native code. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > 32) from.copy(to, at, start, end)
  else for (let i = start, j = at; i < end; i++, j++) to[j] = from[i]
}

/** Copies at least four bytes; the last step may write some of them a second time. */
function copyWords(from: DataView, start: number, end: number, to: DataView, at: number): void {
  let i = start
  let j = at
  for (const last = end - 16; i <= last; i += 16, j += 16) {
    to.setInt32(j, from.getInt32(i, true), true)
    to.setInt32(j + 4, from.getInt32(i + 4, true), true)
    to.setInt32(j + 8, from.getInt32(i + 8, true), true)
    to.setInt32(j + 12, from.getInt32(i + 12, true), true)
  }
  const last = end - 4
  for (; i < last; i += 4, j += 4) to.setInt32(j, from.getInt32(i, true), true)
  to.setInt32(j + last - i, from.getInt32(last, true), true)
}
