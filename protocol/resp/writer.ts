/**
 * Writes replies, RESP2 or RESP3 (`version` says which), into one growing buffer.
 *
 * A reply is written front to back: a container is announced with its length, then its elements follow.
 * Where the length is not known yet, `begin` leaves room for it and `end*` fills it in.
 *
 * The RESP3-only kinds fall back to what Valkey sends a RESP2 client: a map is a flat array, a set an
 * array, a double a bulk string, a boolean an integer, a push an array, null is `$-1` or `*-1`.
 */
import { integerLength, MAX_NUMBER_TEXT, writeInteger, writeInt64, writeScore } from '../number.js'
import { dataView, type Slice } from '../slice.js'

const CR = 13
const LF = 10

export class ReplyWriter {
  version: 2 | 3 = 2
  buf: Buffer
  pos = 0
  /** All of `buf`. */
  #data: DataView
  /** Errors written so far: the engine counts what a command answered. */
  errors = 0
  /** While true nothing is written (CLIENT REPLY OFF and SKIP). */
  muted = false

  constructor(bytes = 65536) {
    this.buf = Buffer.from(new ArrayBuffer(bytes))
    this.#data = dataView(this.buf)
  }

  /** Goes on with a new buffer: the old one belongs to somebody else now. */
  renew(bytes = 65536): void {
    this.buf = Buffer.from(new ArrayBuffer(bytes))
    this.#data = dataView(this.buf)
    this.pos = 0
  }

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    if (this.pos + bytes > this.buf.length) this.#grow(bytes)
  }

  #grow(bytes: number): void {
    let size = this.buf.length * 2
    while (size < this.pos + bytes) size *= 2
    const larger = Buffer.from(new ArrayBuffer(size))
    this.buf.copy(larger, 0, 0, this.pos)
    this.buf = larger
    this.#data = dataView(larger)
  }

  #ascii(text: string): void {
    const length = text.length
    if (length < 24) {
      const buf = this.buf
      let at = this.pos
      for (let i = 0; i < length; i++) buf[at++] = text.charCodeAt(i)
      this.pos = at
    } else this.pos += this.buf.latin1Write(text, this.pos)
  }

  #crlf(): void {
    this.buf[this.pos] = CR
    this.buf[this.pos + 1] = LF
    this.pos += 2
  }

  #head(kind: number, length: number): void {
    this.reserve(24)
    this.buf[this.pos] = kind
    this.pos = writeInteger(length, this.buf, this.pos + 1)
    this.#crlf()
  }

  /** `+OK` */
  ok(): void {
    this.reserve(5)
    const buf = this.buf
    const at = this.pos
    buf[at] = 43
    buf[at + 1] = 79
    buf[at + 2] = 75
    buf[at + 3] = CR
    buf[at + 4] = LF
    this.pos = at + 5
  }

  /** A simple string; `text` is ASCII without CR and LF. */
  simple(text: string): void {
    this.reserve(text.length + 3)
    this.buf[this.pos++] = 43
    this.#ascii(text)
    this.#crlf()
  }

  /** An error line, without its leading minus: `ERR syntax error`. UTF-8; CR and LF become spaces. */
  error(line: string): void {
    this.errors++
    const text = Buffer.from(line.replace(/[\r\n]/g, ' '), 'latin1')
    this.reserve(text.length + 3)
    this.buf[this.pos++] = 45
    this.pos += text.copy(this.buf, this.pos)
    this.#crlf()
  }

  /** An integer; safe integers as number, others as bigint. */
  integer(value: number | bigint): void {
    this.reserve(24)
    this.buf[this.pos] = 58
    this.pos = typeof value === 'number'
      ? writeInteger(value, this.buf, this.pos + 1) : writeInt64(value, this.buf, this.pos + 1)
    this.#crlf()
  }

  /** A bulk string of these bytes (copied). */
  bulk(value: Slice): void {
    const length = value.end - value.start
    this.#bulkHead(length)
    value.copyTo(this.buf, this.#data, this.pos)
    this.pos += length
    this.#crlf()
  }

  bulkRange(from: Buffer, start: number, end: number): void {
    this.#bulkHead(end - start)
    from.copy(this.buf, this.pos, start, end)
    this.pos += end - start
    this.#crlf()
  }

  /** Begins a bulk string and makes room for all of it. */
  #bulkHead(length: number): void {
    this.reserve(length + 24)
    const buf = this.buf
    buf[this.pos] = 36
    const at = writeInteger(length, buf, this.pos + 1)
    buf[at] = CR
    buf[at + 1] = LF
    this.pos = at + 2
  }

  /** A bulk string of a text, as UTF-8. */
  bulkText(text: string): void {
    const bytes = Buffer.byteLength(text)
    this.#head(36, bytes)
    this.reserve(bytes + 2)
    this.pos += this.buf.utf8Write(text, this.pos, bytes)
    this.#crlf()
  }

  /** A bulk string of an integer's decimal text. */
  bulkInteger(value: number | bigint): void {
    if (typeof value === 'bigint') return this.bulkText(value.toString())
    this.#head(36, integerLength(value))
    this.reserve(24)
    this.pos = writeInteger(value, this.buf, this.pos)
    this.#crlf()
  }

  /** No value: `$-1` or `_`. */
  null(): void {
    this.reserve(5)
    this.#ascii(this.version === 3 ? '_\r\n' : '$-1\r\n')
  }

  /** No array: `*-1` or `_`. */
  nullArray(): void {
    this.reserve(5)
    this.#ascii(this.version === 3 ? '_\r\n' : '*-1\r\n')
  }

  array(length: number): void {
    this.#head(42, length)
  }

  /** A map of `pairs` keys with their values. */
  map(pairs: number): void {
    if (this.version === 3) this.#head(37, pairs)
    else this.#head(42, pairs * 2)
  }

  set(length: number): void {
    this.#head(this.version === 3 ? 126 : 42, length)
  }

  push(length: number): void {
    this.#head(this.version === 3 ? 62 : 42, length)
  }

  /** A floating-point number: a RESP3 double, or a bulk string, in the text of scores. */
  double(value: number): void {
    this.reserve(MAX_NUMBER_TEXT + 8)
    const buf = this.buf
    if (this.version === 3) {
      buf[this.pos] = 44
      this.pos = writeScore(value, buf, this.pos + 1)
      return this.#crlf()
    }
    // The text is written where it stands when its length has two digits, and moved up when it has one.
    const start = this.pos
    let end = writeScore(value, buf, start + 5)
    const length = end - start - 5
    buf[start] = 36
    const at = writeInteger(length, buf, start + 1)
    buf[at] = CR
    buf[at + 1] = LF
    if (length < 10) {
      for (let i = start + 4; i < end - 1; i++) buf[i] = buf[i + 1]
      end--
    }
    this.pos = end
    this.#crlf()
  }

  boolean(value: boolean): void {
    if (this.version === 2) return this.integer(value ? 1 : 0)
    this.reserve(4)
    this.#ascii(value ? '#t\r\n' : '#f\r\n')
  }

  /** A text with its format ('txt' or 'mkd'); a bulk string in RESP2. */
  verbatim(text: string, format: 'txt' | 'mkd' = 'txt'): void {
    if (this.version === 2) return this.bulkText(text)
    const bytes = Buffer.byteLength(text)
    this.#head(61, bytes + 4)
    this.reserve(bytes + 6)
    this.#ascii(`${format}:`)
    this.pos += this.buf.utf8Write(text, this.pos, bytes)
    this.#crlf()
  }

  /** Bytes that are a reply already. */
  raw(bytes: Buffer): void {
    this.reserve(bytes.length)
    this.pos += bytes.copy(this.buf, this.pos)
  }

  /**
   * Starts a container whose length will be known at its end. Returns the mark to hand to
   * `endArray`, `endMap` or `endSet`. Marks nest.
   */
  begin(): number {
    return this.pos
  }

  endArray(mark: number, length: number): void {
    this.#insertHead(mark, 42, length)
  }

  endMap(mark: number, pairs: number): void {
    this.#insertHead(mark, this.version === 3 ? 37 : 42, this.version === 3 ? pairs : pairs * 2)
  }

  endSet(mark: number, length: number): void {
    this.#insertHead(mark, this.version === 3 ? 126 : 42, length)
  }

  #insertHead(mark: number, kind: number, length: number): void {
    const bytes = integerLength(length) + 3
    this.reserve(bytes)
    this.buf.copyWithin(mark + bytes, mark, this.pos)
    this.buf[mark] = kind
    const at = writeInteger(length, this.buf, mark + 1)
    this.buf[at] = CR
    this.buf[at + 1] = LF
    this.pos += bytes
  }
}
