/**
 * A growing buffer that RDB bytes are written to. Who writes much takes what is there from time to time
 * (`take`) and goes on: positions are not kept across that.
 */
import type { Slice } from '../slice.js'
import { writeMs } from './input.js'
import { writeLength, writeLength64 } from './length.js'
import { STRING_SLACK, stringLength, writeString } from './string.js'

export class RdbOutput {
  buf: Buffer
  pos = 0

  constructor(initialBytes = 1024) {
    this.buf = Buffer.allocUnsafeSlow(initialBytes)
  }

  /** Makes room for `size` more bytes behind `pos`. */
  ensure(size: number): void {
    if (this.buf.length - this.pos >= size) return
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.buf.length, this.pos + size))
    this.buf.copy(grown, 0, 0, this.pos)
    this.buf = grown
  }

  byte(value: number): void {
    this.ensure(1)
    this.buf[this.pos++] = value
  }

  length(value: number): void {
    this.ensure(9)
    this.pos = writeLength(value, this.buf, this.pos)
  }

  length64(value: bigint): void {
    this.ensure(9)
    this.pos = writeLength64(value, this.buf, this.pos)
  }

  ms(value: number): void {
    this.ensure(8)
    this.pos = writeMs(value, this.buf, this.pos)
  }

  double(value: number): void {
    this.ensure(8)
    this.pos = this.buf.writeDoubleLE(value, this.pos)
  }

  string(slice: Slice, compressed: boolean): void {
    this.ensure(stringLength(slice) + STRING_SLACK)
    this.pos = writeString(slice, this.buf, this.pos, compressed)
  }

  raw(buf: Buffer, start: number, end: number): void {
    this.ensure(end - start)
    this.pos += buf.copy(this.buf, this.pos, start, end)
  }

  /** The bytes written so far, in a Buffer of their own; the output starts over. */
  take(): Buffer {
    const bytes = Buffer.allocUnsafeSlow(this.pos)
    this.buf.copy(bytes, 0, 0, this.pos)
    this.pos = 0
    return bytes
  }
}
