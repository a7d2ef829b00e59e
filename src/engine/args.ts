/**
 * The words of one command, and how its code reads them: each reader throws Redis' own error, so a command
 * that reads its words in Redis' order gives Redis' errors in Redis' order.
 *
 * The slices belong to the connection and are reused: copy what must outlive the command.
 */
import { readDouble, readInt64, readInteger } from '../../protocol/number.js'
import { Slice } from '../../protocol/slice.js'
import { canonical, type Int64 } from '../../protocol/uint64.js'
import { NOT_FLOAT, NOT_INTEGER, type ReplyError } from '../errors.js'

export class Args {
  /** How many words there are, the command's name included. */
  count = 0

  /** Word i is `slices[i]`; there may be more slices than words (a connection shares its parser's). */
  constructor(readonly slices: Slice[] = []) {}

  /** The Slice for word i, made when it is the first of its position. */
  slot(i: number): Slice {
    while (this.slices.length <= i) this.slices.push(new Slice())
    return this.slices[i]
  }

  at(i: number): Slice {
    return this.slices[i]
  }

  /** Whether word i is this option word, letter case ignored. False past the end. */
  is(i: number, lower: string): boolean {
    return i < this.count && this.slices[i].is(lower)
  }

  /** A signed 64-bit integer as a number (rounded beyond 2^53). */
  integer(i: number, error: ReplyError = NOT_INTEGER): number {
    const word = this.slices[i]
    const value = readInteger(word.buf, word.start, word.end)
    if (value === value) return value
    const exact = readInt64(word.buf, word.start, word.end)
    if (exact === undefined) throw error
    return Number(exact)
  }

  /** A signed 64-bit integer, exact: a bigint only beyond the safe range. */
  exactInteger(i: number, error: ReplyError = NOT_INTEGER): Int64 {
    const value = this.integer(i, error)
    return Number.isSafeInteger(value) ? value : canonical(this.int64(i, error))
  }

  /** A signed 64-bit integer as a bigint. */
  int64(i: number, error: ReplyError = NOT_INTEGER): bigint {
    const word = this.slices[i]
    const value = readInt64(word.buf, word.start, word.end)
    if (value === undefined) throw error
    return value
  }

  /** A floating-point number; never NaN. */
  double(i: number, error: ReplyError = NOT_FLOAT): number {
    const word = this.slices[i]
    const value = readDouble(word.buf, word.start, word.end)
    if (value !== value) throw error
    return value
  }

  /** Copies of all words, for a queue that outlives the connection's buffer. */
  copy(): Buffer[] {
    const words: Buffer[] = []
    for (let i = 0; i < this.count; i++) words.push(this.slices[i].copy())
    return words
  }

  /** Points the slices at these words (queued commands, rewritten ones). */
  load(words: readonly Buffer[]): this {
    this.count = words.length
    for (let i = 0; i < words.length; i++) this.slot(i).set(words[i], 0, words[i].length)
    return this
  }
}
