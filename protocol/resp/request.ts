/**
 * The request parser: bytes in, commands out, as (buffer, start, end) words without an allocation each.
 *
 * Input is any sequence of chunks, cut at any byte. A command that lies whole in one chunk is handed out as
 * views into that chunk. What is left of a chunk is copied into a buffer of the parser's own (`#kept`), with
 * the words read so far, so nothing is read twice. A long bulk string that is not all there gets an exact
 * buffer at once and is filled as it arrives; such a word owns its buffer (`isWhole`), and whoever stores it
 * may keep it without a copy.
 *
 *     chunk --feed--> window [ commandStart ... pos ... end ) --next--> words | more | error
 *                       ^ kept bytes + new chunk, when a command was cut
 *
 * Limits and texts are Valkey's (`processMultibulkBuffer`, `processInlineBuffer` as seen from outside).
 */
import { readInt64 } from '../number.js'
import { PayloadArrival } from '../rdb/arrival.js'
import { dataView, Slice } from '../slice.js'
import { Pipeline, STRIDE_BITS } from './pipeline.js'

/** Longer lines (inline commands, count and length headers) are a protocol error. */
const LINE_BYTES_MAX = 65536
/** Bulk strings from here on get a buffer of their own. */
const BIG_BYTES = 32768
const WORDS_MAX = 2147483647
/** So many word objects are kept for the next command. */
const WORDS_KEPT = 256
const UNAUTHENTICATED_WORDS_MAX = 10
const UNAUTHENTICATED_BYTES_MAX = 16384

const CR = 13
const LF = 10
const DOLLAR = 36
const STAR = 42

/** Whether a word owns its buffer: it may be stored as it is. */
export function isWhole(word: Slice): boolean {
  return word.start === 0 && word.end === word.buf.length && word.end >= BIG_BYTES
}

export class RequestParser {
  /** The words of the command that `next` found: the first `count` of `words`. */
  readonly words: Slice[] = []
  count = 0
  /** What was wrong, after `next` returned 'error': the text behind `-ERR `. */
  errorText = ''
  /** The largest bulk string accepted (`proto-max-bulk-len`). */
  bulkBytesMax = 512 * 1024 * 1024
  /** `next` has gone past a request without words, which counts for CLIENT REPLY SKIP. For the caller to reset. */
  passedEmpty = false
  /** Small limits until the client has authenticated. */
  authenticated = true
  /** The commands ahead of `#pos` that have been found already; their words stand in the window. */
  readonly #ahead = new Pipeline()
  #window: Buffer = NOTHING
  /** All of the window. */
  #data = NO_DATA
  #start = 0
  #pos = 0
  #end = 0
  #kept: Buffer = NOTHING
  #keptData = NO_DATA
  #keptEnd = 0
  /** Words still to come, and the length of the one being read or -1. */
  #wanted = 0
  #bulk = -1
  #complete = false
  /** As in Valkey, what follows a line of white space is an inline command even if it begins with `*`. */
  #inline = false
  #big: Buffer | undefined
  /** What is checked of the big word as it arrives, when it is a payload. */
  #arrival: PayloadArrival | undefined
  #bigFill = 0
  #skip = 0

  /** `onAhead` is told of several commands found at once, before `next` hands out the first; see Pipeline for `bounds`. */
  constructor(readonly onAhead?: (window: Buffer, bounds: Int32Array, count: number) => void) {}

  /** Hands in a chunk. Its bytes are only used until `keep` is called. */
  feed(chunk: Buffer, start: number, end: number): void {
    let from = start
    if (this.#big !== undefined) {
      from += this.#fillBig(chunk, start, end)
      if (from === end) return
    }
    if (this.#keptEnd === 0) {
      if (chunk !== lastChunk) {
        lastChunk = chunk
        lastData = dataView(chunk)
      }
      this.#window = chunk
      this.#data = lastData
      this.#start = this.#pos = from
      this.#end = end
      return
    }
    this.#reserve(end - from)
    chunk.copy(this.#kept, this.#keptEnd, from, end)
    this.#keptEnd += end - from
    this.#end = this.#keptEnd
  }

  #fillBig(chunk: Buffer, start: number, end: number): number {
    const big = this.#big as Buffer
    const bytes = Math.min(end - start, big.length - this.#bigFill)
    chunk.copy(big, this.#bigFill, start, start + bytes)
    this.#bigFill += bytes
    this.#arrival?.take(this.#bigFill)
    return bytes
  }

  /** Finds the next command. 'more': the input ends before it does. */
  next(): 'command' | 'more' | 'error' {
    if (this.#complete) {
      this.#complete = false
      this.count = 0
      this.#start = this.#pos
    }
    if (this.#wanted === 0 && this.#skip === 0 && this.#big === undefined && this.#takeAhead()) return 'command'
    for (;;) {
      if (this.#big !== undefined) {
        if (!this.#takeBig()) return 'more'
        if (this.#wanted === 0) return this.#finish()
      }
      if (this.#skip > 0) this.#skipLineEnd()
      if (this.#wanted > 0) return this.#readWords()
      this.#start = this.#pos
      if (this.#pos >= this.#end) return 'more'
      if (this.#inline || this.#window[this.#pos] !== STAR) {
        const found = this.#readInline()
        if (found !== 'empty') return found
        continue
      }
      const count = this.#readHeader('mbulk')
      if (count === undefined) return this.errorText === '' ? 'more' : 'error'
      if (count > WORDS_MAX || Number.isNaN(count)) return this.#fail('invalid multibulk length')
      if (!this.authenticated && count > UNAUTHENTICATED_WORDS_MAX) return this.#fail('unauthenticated multibulk length')
      if (count > 0) this.#wanted = count
      else this.passedEmpty = true
    }
  }

  /** The next command the quick way, if it looks as usual and is all there. */
  #takeAhead(): boolean {
    const ahead = this.#ahead
    if (ahead.taken === ahead.count) {
      if (this.#inline) return false
      ahead.find(this.#window, this.#pos, this.#end, this.bulkBytesMax)
      if (ahead.count === 0) return false
      if (ahead.count > 1) this.onAhead?.(this.#window, ahead.bounds, ahead.count)
    }
    const { bounds } = ahead
    const window = this.#window
    const data = this.#data
    let at = ahead.taken++ << STRIDE_BITS
    const count = bounds[at]
    const { words } = this
    while (words.length < count) words.push(new Slice())
    let end = 0
    for (let i = 0; i < count; i++) {
      at += 2
      end = bounds[at + 1]
      words[i].set(window, bounds[at], end, data)
    }
    this.count = count
    this.#start = this.#pos
    this.#pos = end + 2
    this.#complete = true
    return true
  }

  #takeBig(): boolean {
    const big = this.#big as Buffer
    if (this.#bigFill < big.length) return false
    this.#addWord(big, 0, big.length)
    this.#arrival?.finish()
    this.#big = this.#arrival = undefined
    this.#bigFill = 0
    this.#skip = 2
    return true
  }

  #readWords(): 'command' | 'more' | 'error' {
    const window = this.#window
    while (this.#wanted > 0) {
      if (this.#skip > 0 && !this.#skipLineEnd()) return 'more'
      if (this.#bulk < 0) {
        if (this.#pos >= this.#end) return 'more'
        const kind = window[this.#pos]
        const length = kind === 0 ? this.#readOddHeader('bulk') : this.#readHeader('bulk')
        if (length === undefined) return this.errorText === '' ? 'more' : 'error'
        if (kind !== DOLLAR) return this.#fail(`expected '$', got '${String.fromCharCode(kind)}'`)
        if (!(length >= 0 && length <= this.bulkBytesMax)) return this.#fail('invalid bulk length')
        if (!this.authenticated && length > UNAUTHENTICATED_BYTES_MAX) return this.#fail('unauthenticated bulk length')
        this.#bulk = length
      }
      const available = this.#end - this.#pos
      if (available < this.#bulk + 2) {
        if (this.#bulk >= BIG_BYTES) return this.#beginBig()
        return 'more'
      }
      this.#addWord(window, this.#pos, this.#pos + this.#bulk)
      this.#pos += this.#bulk + 2
      this.#bulk = -1
    }
    return this.#finish()
  }

  #finish(): 'command' {
    // The line end behind a big word may come later, and need not be waited for.
    this.#skipLineEnd()
    this.#complete = true
    return 'command'
  }

  #skipLineEnd(): boolean {
    const skipped = Math.min(this.#skip, this.#end - this.#pos)
    this.#pos += skipped
    this.#skip -= skipped
    return this.#skip === 0
  }

  #addWord(buf: Buffer, start: number, end: number): void {
    if (this.words.length === this.count) this.words.push(new Slice())
    this.words[this.count++].set(buf, start, end)
    this.#wanted--
  }

  #beginBig(): 'command' | 'more' | 'error' {
    let big: Buffer
    try {
      big = Buffer.allocUnsafeSlow(this.#bulk)
    } catch {
      return this.#fail('out of memory')
    }
    const have = Math.min(this.#end - this.#pos, this.#bulk)
    this.#window.copy(big, 0, this.#pos, this.#pos + have)
    this.#pos += have
    this.#big = big
    this.#bigFill = have
    this.#bulk = -1
    const isPayload = this.count > 0 && (this.words[0].is('restore') || this.words[0].is('restore-asking'))
    this.#arrival = isPayload ? new PayloadArrival(big) : undefined
    this.#arrival?.take(have)
    if (have < big.length) return 'more'
    this.#takeBig()
    return this.#wanted > 0 ? 'more' : this.#finish()
  }

  /** `*12\r\n` or `$5\r\n`: the number, NaN when it is none, undefined when the line is not all there. */
  #readHeader(kind: 'mbulk' | 'bulk'): number | undefined {
    const window = this.#window
    const end = this.#end
    let at = this.#pos + 1
    let value = 0
    const first = window[at]
    // The usual header: a few digits, no sign, no leading zero.
    if (first >= 49 && first <= 57) {
      while (at < end && value < 1e9) {
        const digit = window[at] - 48
        if (digit < 0 || digit > 9) break
        value = value * 10 + digit
        at++
      }
      if (at + 1 < end && window[at] === CR) {
        this.#pos = at + 2
        return value
      }
    } else if (first === 48 && at + 2 < end && window[at + 1] === CR) {
      // The empty word: the key of every MIGRATE ... KEYS.
      this.#pos = at + 3
      return 0
    }
    return this.#readOddHeader(kind)
  }

  #readOddHeader(kind: 'mbulk' | 'bulk'): number | undefined {
    const lineEnd = this.#findLineEnd(CR)
    if (lineEnd < 0) {
      if (this.#end - this.#pos > LINE_BYTES_MAX) this.#fail(`too big ${kind} count string`)
      return undefined
    }
    if (lineEnd + 1 >= this.#end) return undefined
    const value = readInt64(this.#window, Math.min(this.#pos + 1, lineEnd), lineEnd)
    this.#pos = lineEnd + 2
    return value === undefined ? NaN : Number(value)
  }

  #readInline(): 'command' | 'more' | 'error' | 'empty' {
    const newline = this.#findLineEnd(LF)
    if (newline < 0) {
      if (this.#end - this.#pos > LINE_BYTES_MAX) return this.#fail('too big inline request')
      return 'more'
    }
    const end = newline > this.#pos && this.#window[newline - 1] === CR ? newline - 1 : newline
    const words = splitWords(this.#window.latin1Slice(this.#pos, end))
    this.#inline = words?.length === 0 && end > this.#pos
    this.#pos = newline + 1
    if (words === undefined) return this.#fail('unbalanced quotes in request')
    if (words.length === 0) {
      if (!this.#inline) this.passedEmpty = true
      return 'empty'
    }
    for (const word of words) {
      const bytes = Buffer.from(word, 'latin1')
      this.#wanted++
      this.#addWord(bytes, 0, bytes.length)
    }
    this.#complete = true
    return 'command'
  }

  /** Where the line at `#pos` ends, or -1. As in Valkey a NUL hides what follows it, for ever. */
  #findLineEnd(mark: number): number {
    const rest = this.#window.subarray(this.#pos, this.#end)
    const at = rest.indexOf(mark)
    return at < 0 || rest.subarray(0, at).includes(0) ? -1 : this.#pos + at
  }

  #fail(text: string): 'error' {
    this.errorText = `Protocol error: ${text}`
    return 'error'
  }

  /**
   * To be called before the chunk's memory is used again: copies what is not consumed, the words of an
   * unfinished or waiting command included.
   */
  keep(): void {
    // What has been found ahead and not taken is kept as bytes.
    this.#ahead.count = this.#ahead.taken = 0
    if (this.#complete && !this.#waiting) {
      this.#complete = false
      this.count = 0
      this.#start = this.#pos
    }
    if (this.#window !== this.#kept) {
      const bytes = this.#end - this.#start
      if (bytes > 0) {
        this.#reserve(bytes)
        this.#window.copy(this.#kept, 0, this.#start, this.#end)
        this.#rebase(this.#window, this.#kept, -this.#start)
      }
      this.#keptEnd = bytes
    } else if (this.#start === this.#end) this.#keptEnd = 0
    else if (this.#start > 0 && (this.#start > 65536 || this.#start * 2 > this.#end)) {
      this.#kept.copyWithin(0, this.#start, this.#end)
      this.#rebase(this.#kept, this.#kept, -this.#start)
      this.#keptEnd = this.#end - this.#start
    } else return
    if (this.#keptEnd === 0 && this.#kept.length > LINE_BYTES_MAX) {
      this.#kept = NOTHING
      this.#keptData = NO_DATA
    }
    const consumed = this.#pos - this.#start
    this.#window = this.#kept
    this.#data = this.#keptData
    this.#start = 0
    this.#pos = consumed
    this.#end = this.#keptEnd
  }

  /** The command that `next` found has not run yet: its words must survive `keep`. */
  wait(waiting: boolean): void {
    this.#waiting = waiting
  }

  #waiting = false

  #reserve(bytes: number): void {
    if (this.#keptEnd + bytes <= this.#kept.length) return
    let size = Math.max(4096, this.#kept.length)
    while (size < this.#keptEnd + bytes) size *= 2
    const larger = Buffer.allocUnsafeSlow(size)
    this.#kept.copy(larger, 0, 0, this.#keptEnd)
    this.#rebase(this.#kept, larger, 0)
    this.#keptData = dataView(larger)
    if (this.#window === this.#kept) {
      this.#window = larger
      this.#data = this.#keptData
    }
    this.#kept = larger
  }

  #rebase(from: Buffer, to: Buffer, delta: number): void {
    for (let i = 0; i < this.count; i++) {
      const word = this.words[i]
      if (word.buf === from) word.set(to, word.start + delta, word.end + delta)
    }
  }

  /** Between two commands: lets go of the values that the last ones brought, and of all but the usual number of words. */
  forget(): void {
    const { words } = this
    if (this.count > 0 || this.#wanted > 0 || this.#waiting) return
    if (words.length > WORDS_KEPT) words.length = WORDS_KEPT
    for (const word of words) word.set(NOTHING, 0, 0)
  }

  /** Bytes held for a command that is not complete. */
  get keptBytes(): number {
    return this.#keptEnd + this.#bigFill
  }

  /** Bytes reserved for keeping, beyond those in use. */
  get freeBytes(): number {
    return this.#kept.length - this.#keptEnd
  }
}

const NOTHING = Buffer.alloc(0)
const NO_DATA = dataView(NOTHING)
/** The chunk that came last, from whomever: mostly all come in the same buffer. */
let lastChunk: Buffer = NOTHING
let lastData = NO_DATA

/** Splits an inline command as Valkey's `sdssplitargs` does; undefined when quotes do not balance. */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = []
  let at = 0
  for (;;) {
    while (at < line.length && isSpace(line[at])) at++
    if (at >= line.length || line[at] === '\0') return words
    let word = ''
    let quote = ''
    for (; ; at++) {
      const c = line[at]
      if (quote !== '') {
        if (c === undefined) return undefined
        if (quote === '"' && c === '\\') {
          const hex = /^\\x([0-9a-fA-F]{2})/.exec(line.slice(at, at + 4))
          if (hex !== null) {
            word += String.fromCharCode(parseInt(hex[1], 16))
            at += 3
          } else if (at + 1 < line.length) word += ESCAPED[line[++at]] ?? line[at]
          else return undefined
        } else if (quote === "'" && c === '\\' && line[at + 1] === "'") {
          word += "'"
          at++
        } else if (c === quote) {
          if (at + 1 < line.length && !isSpace(line[at + 1])) return undefined
          at++
          break
        } else word += c
      } else if (c === undefined || c === ' ' || c === '\n' || c === '\r' || c === '\t' || c === '\0') break
      else if (c === '"' || c === "'") quote = c
      else word += c
    }
    words.push(word)
  }
}

const ESCAPED: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

function isSpace(c: string): boolean {
  return c === ' ' || c === '\n' || c === '\r' || c === '\t' || c === '\v' || c === '\f'
}
