/**
 * Reads the replies of a target strictly: one line each, `+...` or `-...` (or `:...`), of any length. Bytes
 * of a line that is not complete are kept; of an error line at most 64 KB, the rest is counted past.
 *
 * Anything else is a fault, never a success: a MIGRATE deletes a key on the word of these lines.
 */
const CR = 13
const LF = 10
const LINE_BYTES_KEPT = 65536

export type LineKind = '+' | '-' | ':'

export class ReplyLines {
  #partial = ''
  /** The line's length so far, kept or not. */
  #length = 0
  #sawReturn = false

  /** Forgets an unfinished line. */
  reset(): void {
    this.#partial = ''
    this.#length = 0
    this.#sawReturn = false
  }

  /**
   * Hands every complete line to `onLine`: its kind and text, or 'OK' for the usual `+OK`. Returns false when
   * the bytes are no reply. `onLine` may return false to stop (the rest is dropped).
   */
  feed(buf: Buffer, start: number, end: number, onLine: (kind: LineKind, text: string) => boolean): boolean {
    let at = start
    while (at < end) {
      if (this.#length === 0) {
        if (at + 5 <= end && buf[at] === 43 && buf[at + 1] === 79 && buf[at + 2] === 75 && buf[at + 3] === CR && buf[at + 4] === LF) {
          at += 5
          if (!onLine('+', 'OK')) return true
          continue
        }
        const kind = buf[at]
        if (kind !== 43 && kind !== 45 && kind !== 58) return false
      }
      at = this.#readLine(buf, at, end)
      if (at < 0) return false
      if (!this.#complete) return true
      const line = this.#partial
      this.reset()
      this.#complete = false
      if (!onLine(line[0] as LineKind, line.slice(1))) return true
    }
    return true
  }

  #complete = false

  /** Takes bytes up to the line's end. Returns where it stopped, or -1 for a line end that is none. */
  #readLine(buf: Buffer, from: number, end: number): number {
    let at = from
    if (this.#sawReturn) {
      if (buf[at] !== LF) return -1
      this.#complete = true
      return at + 1
    }
    while (at < end && buf[at] !== CR && buf[at] !== LF) at++
    const room = LINE_BYTES_KEPT - this.#partial.length
    if (room > 0) this.#partial += buf.latin1Slice(from, Math.min(at, from + room))
    this.#length += at - from
    if (at === end) return end
    if (buf[at] === LF) return -1
    this.#length++
    this.#sawReturn = true
    at++
    if (at === end) return end
    if (buf[at] !== LF) return -1
    this.#complete = true
    return at + 1
  }
}
