/**
 * Records of fixed size, ordered by stream id: the pending entries of a group and of its consumers. A group
 * may have millions of them, so they are words in typed arrays, not objects.
 *
 *     record   [ ms upper | ms lower | seq upper | seq lower | payload word ... ]
 *     chunks   sorted by id, at most 128 records each; none is empty
 *
 * Ids mostly arrive in order and leave near the front: an append fills the last chunk and starts another, an
 * insertion into a full chunk splits it. A search is two binary searches.
 *
 * A position (`chunk`, `slot`) names a record until the table changes.
 */
import { fromWords, lowerWord, upperWord, type Int64 } from '../../protocol/uint64.js'
import type { StreamId } from './stream-id.js'

const CHUNK_RECORDS = 128
const CHUNK_RECORDS_MIN = 4
const ID_WORDS = 4

interface Chunk {
  words: Uint32Array
  count: number
}

export class IdTable {
  /** How many records there are. */
  size = 0
  /** The position that the last `find`, `seek`, `add` or `advance` came to. */
  chunk = 0
  slot = 0
  #chunks: Chunk[] = []
  readonly #stride: number

  /** `payloadWords`: 32-bit words that each record carries beside its id. */
  constructor(readonly payloadWords: number) {
    this.#stride = ID_WORDS + payloadWords
  }

  get bytes(): number {
    let bytes = 64
    for (const chunk of this.#chunks) bytes += chunk.words.byteLength + 64
    return bytes
  }

  /** Goes to the record of this id; false when there is none (then at the first one after it). */
  find(ms: Int64, seq: Int64): boolean {
    load(ms, seq)
    this.#locate()
    const chunk = this.#chunks[this.chunk] as Chunk | undefined
    return chunk !== undefined && this.slot < chunk.count && compareNeedle(chunk.words, this.slot * this.#stride) === 0
  }

  /** Goes to the first record at or after this id. False when there is none. */
  seek(id: StreamId): boolean {
    this.find(id.ms, id.seq)
    return this.isHere
  }

  /** Whether the position names a record. */
  get isHere(): boolean {
    const chunk = this.#chunks[this.chunk] as Chunk | undefined
    if (chunk === undefined) return false
    if (this.slot < chunk.count) return true
    if (this.chunk + 1 >= this.#chunks.length) return false
    this.chunk++
    this.slot = 0
    return true
  }

  /** Goes to the next record. False at the end. */
  advance(): boolean {
    this.slot++
    return this.isHere
  }

  /** Goes to the first record. False when the table is empty. */
  first(): boolean {
    this.chunk = 0
    this.slot = 0
    return this.size > 0
  }

  /** Goes to the last record. False when the table is empty. */
  last(): boolean {
    if (this.size === 0) return false
    this.chunk = this.#chunks.length - 1
    this.slot = this.#chunks[this.chunk].count - 1
    return true
  }

  /** The id of the record here. */
  idHere(out: StreamId): StreamId {
    const { words } = this.#chunks[this.chunk]
    const at = this.slot * this.#stride
    return out.set(fromWords(words[at], words[at + 1]), fromWords(words[at + 2], words[at + 3]))
  }

  /** Payload word `i` of the record here. */
  word(i: number): number {
    return this.#chunks[this.chunk].words[this.slot * this.#stride + ID_WORDS + i]
  }

  setWord(i: number, value: number): void {
    this.#chunks[this.chunk].words[this.slot * this.#stride + ID_WORDS + i] = value
  }

  /** Adds a record (payload zero) and goes there; goes to the one that is there already and returns false. */
  add(ms: Int64, seq: Int64): boolean {
    if (this.find(ms, seq)) return false
    this.size++
    if (this.#chunks.length === 0) this.#chunks.push({ words: new Uint32Array(CHUNK_RECORDS_MIN * this.#stride), count: 0 })
    let chunk = this.#chunks[this.chunk]
    if (chunk.count === CHUNK_RECORDS) chunk = this.#split(chunk)
    const stride = this.#stride
    if (chunk.count * stride === chunk.words.length) {
      const larger = new Uint32Array(chunk.words.length * 2)
      larger.set(chunk.words)
      chunk.words = larger
    }
    const at = this.slot * stride
    const { words } = chunk
    words.copyWithin(at + stride, at, chunk.count * stride)
    words.fill(0, at + ID_WORDS, at + stride)
    words[at] = needle0
    words[at + 1] = needle1
    words[at + 2] = needle2
    words[at + 3] = needle3
    chunk.count++
    return true
  }

  /** Makes room in a full chunk and goes to where the record belongs. */
  #split(chunk: Chunk): Chunk {
    const stride = this.#stride
    const keep = this.chunk === this.#chunks.length - 1 && this.slot === CHUNK_RECORDS ? CHUNK_RECORDS : CHUNK_RECORDS / 2
    const moved = CHUNK_RECORDS - keep
    const words = new Uint32Array(moved === 0 ? CHUNK_RECORDS_MIN * stride : CHUNK_RECORDS * stride)
    words.set(chunk.words.subarray(keep * stride, CHUNK_RECORDS * stride))
    chunk.count = keep
    this.#chunks.splice(this.chunk + 1, 0, { words, count: moved })
    if (this.slot < keep || (this.slot === keep && moved > 0)) return chunk
    this.chunk++
    this.slot -= keep
    return this.#chunks[this.chunk]
  }

  /** Removes the record of this id. False when there is none. */
  delete(ms: Int64, seq: Int64): boolean {
    if (!this.find(ms, seq)) return false
    this.deleteHere()
    return true
  }

  /** Removes the record here; the position is that of the next one then (ask `isHere`). */
  deleteHere(): void {
    const chunk = this.#chunks[this.chunk]
    const stride = this.#stride
    chunk.words.copyWithin(this.slot * stride, (this.slot + 1) * stride, chunk.count * stride)
    chunk.count--
    this.size--
    if (chunk.count > 0) return
    this.#chunks.splice(this.chunk, 1)
    this.slot = 0
  }

  clone(): IdTable {
    const copy = new IdTable(this.payloadWords)
    copy.size = this.size
    copy.#chunks = this.#chunks.map((chunk) => ({ words: chunk.words.slice(), count: chunk.count }))
    return copy
  }

  /** Sets the position to the needle's record, or to where it would stand. */
  #locate(): void {
    const chunks = this.#chunks
    const stride = this.#stride
    const last = chunks[chunks.length - 1] as Chunk | undefined
    if (last === undefined || compareNeedle(last.words, (last.count - 1) * stride) > 0) {
      this.chunk = Math.max(0, chunks.length - 1)
      this.slot = last === undefined ? 0 : last.count
      return
    }
    let low = 0
    let high = chunks.length
    // The last chunk whose first record is not after the needle.
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareNeedle(chunks[middle].words, 0) >= 0) low = middle + 1
      else high = middle
    }
    this.chunk = Math.max(0, low - 1)
    const chunk = chunks[this.chunk]
    low = 0
    high = chunk.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareNeedle(chunk.words, middle * stride) > 0) low = middle + 1
      else high = middle
    }
    this.slot = low
  }
}

/** The words of the id that is looked for. */
let needle0 = 0
let needle1 = 0
let needle2 = 0
let needle3 = 0

function load(ms: Int64, seq: Int64): void {
  needle0 = upperWord(ms)
  needle1 = lowerWord(ms)
  needle2 = upperWord(seq)
  needle3 = lowerWord(seq)
}

/** The needle against the id at `words[at]`. */
function compareNeedle(words: Uint32Array, at: number): number {
  if (needle0 !== words[at]) return needle0 < words[at] ? -1 : 1
  if (needle1 !== words[at + 1]) return needle1 < words[at + 1] ? -1 : 1
  if (needle2 !== words[at + 2]) return needle2 < words[at + 2] ? -1 : 1
  if (needle3 !== words[at + 3]) return needle3 < words[at + 3] ? -1 : 1
  return 0
}
