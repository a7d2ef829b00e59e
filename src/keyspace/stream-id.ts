/**
 * The id of a stream entry: two unsigned 64-bit numbers, milliseconds and a sequence number within them.
 * Text form `ms-seq`. Both halves are exact over all 64 bits (see protocol/uint64.ts) and plain numbers in
 * practice.
 */
import type { ReplyWriter } from '../../protocol/resp/writer.js'
import { Slice } from '../../protocol/slice.js'
import { addUint64, readUint64, UINT64_MAX, writeUint64, type Int64 } from '../../protocol/uint64.js'

export class StreamId {
  constructor(
    public ms: Int64 = 0,
    public seq: Int64 = 0,
  ) {}

  set(ms: Int64, seq: Int64): this {
    this.ms = ms
    this.seq = seq
    return this
  }

  copy(other: StreamId): this {
    this.ms = other.ms
    this.seq = other.seq
    return this
  }

  clone(): StreamId {
    return new StreamId(this.ms, this.seq)
  }

  get isZero(): boolean {
    return this.ms === 0 && this.seq === 0
  }

  get isMax(): boolean {
    return this.ms === UINT64_MAX && this.seq === UINT64_MAX
  }

  /** Negative, 0 or positive, as this id is before, at or after the other. */
  compare(other: StreamId): number {
    return compareIds(this.ms, this.seq, other.ms, other.seq)
  }

  /** Becomes the next id. False (and unchanged) when there is none. */
  increment(): boolean {
    if (this.seq !== UINT64_MAX) this.seq = addUint64(this.seq, 1)
    else if (this.ms !== UINT64_MAX) this.set(addUint64(this.ms, 1), 0)
    else return false
    return true
  }

  /** Becomes the id before. False (and unchanged) when there is none. */
  decrement(): boolean {
    if (this.seq !== 0) this.seq = addUint64(this.seq, -1)
    else if (this.ms !== 0) this.set(addUint64(this.ms, -1), UINT64_MAX)
    else return false
    return true
  }

  toString(): string {
    return `${this.ms}-${this.seq}`
  }
}

/** Orders two ids. */
export function compareIds(aMs: Int64, aSeq: Int64, bMs: Int64, bSeq: Int64): number {
  if (aMs !== bMs) return aMs < bMs ? -1 : 1
  if (aSeq === bSeq) return 0
  return aSeq < bSeq ? -1 : 1
}

const TEXT_MAX = 127
const DASH = 45
const STAR = 42
const part = Slice.scratch()

/**
 * Reads `ms-seq` or `ms` (with `missingSeq` for the rest) into `out`; 'any-seq' when it is `ms-*`, which
 * leaves the sequence number 0. False when it is no id.
 */
export function readStreamId(word: Slice, out: StreamId, missingSeq: Int64): boolean | 'any-seq' {
  if (word.length > TEXT_MAX) return false
  const dash = word.buf.subarray(word.start, word.end).indexOf(DASH)
  const ms = readUint64(dash < 0 ? word : part.set(word.buf, word.start, word.start + dash))
  if (ms === undefined) return false
  if (dash < 0) {
    out.set(ms, missingSeq)
    return true
  }
  const from = word.start + dash + 1
  if (word.end - from === 1 && word.buf[from] === STAR) {
    out.set(ms, 0)
    return 'any-seq'
  }
  const seq = readUint64(part.set(word.buf, from, word.end))
  if (seq === undefined) return false
  out.set(ms, seq)
  return true
}

const text = Buffer.allocUnsafeSlow(48)

/** Writes an id as a bulk string. */
export function replyId(reply: ReplyWriter, ms: Int64, seq: Int64): void {
  let end = writeUint64(ms, text, 0)
  text[end++] = DASH
  end = writeUint64(seq, text, end)
  reply.bulkRange(text, 0, end)
}
