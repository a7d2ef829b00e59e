/** Builds a listpack of unknown size element by element, in a Buffer of its own. */
import type { Slice } from '../slice.js'
import { LP_HEADER, lpEncodedSize, lpFinish, lpWriteEntry, lpWriteInteger } from './listpack.js'

export class ListpackBuilder {
  /** Elements added so far. */
  count = 0
  private buf: Buffer
  private pos = LP_HEADER

  constructor(initialBytes = 256) {
    this.buf = Buffer.allocUnsafeSlow(Math.max(initialBytes, LP_HEADER + 1))
  }

  /** Bytes the listpack would have if it were finished now. */
  get bytes(): number {
    return this.pos + 1
  }

  add(element: Slice): void {
    this.ensure(lpEncodedSize(element))
    this.pos = lpWriteEntry(element, this.buf, this.pos)
    this.count++
  }

  /** Any safe integer. */
  addInteger(value: number): void {
    this.ensure(10)
    this.pos = lpWriteInteger(value, this.buf, this.pos)
    this.count++
  }

  /** The listpack, exactly as long as its bytes; the builder starts over. */
  finish(): Buffer {
    const end = lpFinish(this.buf, 0, this.pos, this.count)
    const bytes = Buffer.allocUnsafeSlow(end)
    this.buf.copy(bytes, 0, 0, end)
    this.pos = LP_HEADER
    this.count = 0
    return bytes
  }

  private ensure(size: number): void {
    if (this.pos + size < this.buf.length) return
    const grown = Buffer.allocUnsafeSlow(2 * this.buf.length + size)
    this.buf.copy(grown, 0, 0, this.pos)
    this.buf = grown
  }
}
