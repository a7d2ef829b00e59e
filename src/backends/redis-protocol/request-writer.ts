/**
 * Commands as bytes: many into one buffer, so that a batch is one write. A large value is not copied; it goes to the
 * socket as a part of its own.
 *
 * A writer may be used again (`reset`) when every command in it has been answered, and no earlier.
 */
import { integerLength, writeInteger } from '../../../protocol/number.js'

const FIRST_BYTES = 16384
/** From here on a value is a part of its own. */
const PART_BYTES = 32768
/** Below this a loop is faster than the native copy takes to begin. */
const LOOP_BYTES = 32
/** Writers kept for the next batch, and how large one may have grown to be kept. */
const SPARE_MAX = 16
const SPARE_BYTES_MAX = 1024 * 1024

const spare: RequestWriter[] = []

export class RequestWriter {
  #buf = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #pos = 0
  #partStart = 0
  #parts: Buffer[] = []

  /** One from the spare ones, or a new one. */
  static take(): RequestWriter {
    return spare.pop() ?? new RequestWriter()
  }

  /** Gives it back: all that it held has been answered. */
  give(): void {
    this.reset()
    if (spare.length < SPARE_MAX && this.#buf.length <= SPARE_BYTES_MAX) spare.push(this)
  }

  reset(): void {
    this.#pos = 0
    this.#partStart = 0
    this.#parts = []
  }

  /** What was written, as the parts to send, in order. */
  parts(): readonly Buffer[] {
    this.#endPart()
    return this.#parts
  }

  #endPart(): void {
    if (this.#pos > this.#partStart) this.#parts.push(this.#buf.subarray(this.#partStart, this.#pos))
    this.#partStart = this.#pos
  }

  #ensure(bytes: number): void {
    if (this.#buf.length - this.#pos >= bytes) return
    const open = this.#pos - this.#partStart
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buf.length, open + bytes))
    this.#buf.copy(larger, 0, this.#partStart, this.#pos)
    this.#buf = larger
    this.#pos = open
    this.#partStart = 0
  }

  /** Bytes that are RESP already: the fixed beginning of a command. */
  fixed(bytes: Buffer): void {
    const { length } = bytes
    this.#ensure(length)
    const buf = this.#buf
    let at = this.#pos
    if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) buf[at++] = bytes[i]
    else at += bytes.copy(buf, at)
    this.#pos = at
  }

  /** `$length`, the bytes, each with its line end. */
  bulk(bytes: Buffer): void {
    const { length } = bytes
    this.#ensure(24 + (length < PART_BYTES ? length : 0))
    let buf = this.#buf
    let at = this.#pos
    buf[at++] = 36
    at = writeInteger(length, buf, at)
    buf[at++] = 13
    buf[at++] = 10
    if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) buf[at++] = bytes[i]
    else if (length < PART_BYTES) at += bytes.copy(buf, at)
    else {
      this.#pos = at
      this.#endPart()
      this.#parts.push(bytes)
      this.#ensure(2)
      buf = this.#buf
      at = this.#pos
    }
    buf[at++] = 13
    buf[at++] = 10
    this.#pos = at
  }

  /** An integer as a bulk string. */
  integer(value: number): void {
    this.#ensure(48)
    const buf = this.#buf
    let at = this.#pos
    buf[at++] = 36
    at = writeInteger(integerLength(value), buf, at)
    buf[at++] = 13
    buf[at++] = 10
    at = writeInteger(value, buf, at)
    buf[at++] = 13
    buf[at++] = 10
    this.#pos = at
  }

  /** How many words the next command has. */
  words(count: number): void {
    this.#ensure(16)
    const buf = this.#buf
    let at = this.#pos
    buf[at++] = 42
    at = writeInteger(count, buf, at)
    buf[at++] = 13
    buf[at++] = 10
    this.#pos = at
  }

  text(word: string): void {
    this.bulk(Buffer.from(word))
  }

  /** A whole command. */
  command(words: readonly Word[]): void {
    this.words(words.length)
    for (const word of words) {
      if (typeof word === 'number') this.integer(word)
      else if (typeof word === 'string') this.text(word)
      else this.bulk(word)
    }
  }
}

export type Word = string | number | Buffer
