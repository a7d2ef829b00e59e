/**
 * The body of a large hash, set or sorted set in RDB form, out of its records straight into the bytes:
 *
 *     count, then    field, value | member | member, score f64le       members from the highest score down
 *
 * The same bytes as protocol/rdb/encode.ts writes for it uncompressed, several times faster. Records are taken
 * in groups. Where they do not lie one behind the other (a sorted set, a table that lost elements) each is a
 * cache miss, so a group is first touched in a loop that does nothing else: then the processor waits for all at
 * once. How long the body becomes is known beforehand: the map keeps the sum.
 *
 * The value must not change until the body is written.
 */
import { lengthBytes } from '../../protocol/rdb/length.js'
import { RdbOutput } from '../../protocol/rdb/output.js'
import { writeString } from '../../protocol/rdb/string.js'
import { Slice } from '../../protocol/slice.js'
import { UNIT_BITS, UNIT_MASK } from './arena.js'
import type { ByteMap } from './byte-map.js'
import { OrderCursor } from './order-cursor.js'
import type { OrderedScores } from './ordered-scores.js'
import { RecordWalk } from './record-walk.js'
import { INLINE_KEY_MAX, INLINE_VALUE_MAX } from './table.js'

/** Records of a group: their cache lines fit into the nearest cache. */
const GROUP = 64
const SCORE_BYTES = 8
/** Text of more bytes is no integer of 32 bits. */
const INTEGER_TEXT_MAX = 11
/** What is longer is copied by native code. */
const COPY_WORDS_MAX = 160
/** The most that an element takes whose key and value stand in its record. */
const ELEMENT_MAX = INLINE_KEY_MAX + INLINE_VALUE_MAX + 2 * 5

export class TableEncoder {
  readonly #refs = new Uint32Array(GROUP)
  readonly #scores = new Float64Array(GROUP)
  readonly #walk: RecordWalk
  readonly #cursor = new OrderCursor()
  readonly #slice = new Slice()
  /** The slabs of the map, to be read in words from any byte on. */
  readonly #views: DataView[]
  #outBuf: Buffer | undefined
  #outView: DataView = new DataView(new ArrayBuffer(0))
  #begun = false
  /** The group being written. */
  #count = 0
  #at = 0
  /** Keeps the touching of records from being optimised away. */
  touched = 0

  /** `order`: of a sorted set, whose members `map` has. */
  constructor(
    readonly map: ByteMap,
    readonly order?: OrderedScores,
  ) {
    this.#walk = new RecordWalk(map)
    this.#views = map.arena.slabs.map((slab) => new DataView(slab.buffer, slab.byteOffset, slab.length))
  }

  /** How many bytes `write` will write in all. */
  get bytes(): number {
    const { size, rdbBytes } = this.map
    return lengthBytes(size) + rdbBytes + (this.order === undefined ? 0 : SCORE_BYTES * size)
  }

  /**
   * Writes on behind `out.pos`, count first, until at least `bytes` stand there or the body is complete: false
   * then. What is written is whole elements.
   */
  write(out: RdbOutput, bytes: number): boolean {
    if (!this.#begun) {
      this.#begun = true
      out.length(this.map.size)
    }
    while (out.pos < bytes) {
      if (this.#at === this.#count && !this.#nextGroup()) return false
      const element = this.#at
      out.ensure(ELEMENT_MAX)
      this.#writeGroup(out, Math.min(bytes, out.buf.length - ELEMENT_MAX + 1))
      if (this.#at === element) this.#writeOdd(out)
    }
    return true
  }

  #nextGroup(): boolean {
    const { order } = this
    this.#at = 0
    this.#count = order === undefined ? this.#walk.next(this.#refs) : this.#cursor.takeDown(order, this.#refs, this.#scores)
    if (order !== undefined || !this.map.arena.isGapless) this.#touch()
    return this.#count > 0
  }

  /** Asks for the first and then for the last word of what will be read of each record. */
  #touch(): void {
    const { words } = this.map.arena
    const hasValues = this.map.valuesCount
    const refs = this.#refs
    const count = this.#count
    let sum = 0
    for (let i = 0; i < count; i++) sum ^= words[refs[i] >>> UNIT_BITS][(refs[i] & UNIT_MASK) << 1]
    for (let i = 0; i < count; i++) {
      const slab = words[refs[i] >>> UNIT_BITS]
      const word = (refs[i] & UNIT_MASK) << 1
      const head = slab[word]
      if (head >>> 24 === 0) sum ^= slab[word + ((7 + head + (hasValues ? slab[word + 1] : 0)) >>> 2)]
    }
    this.touched = sum
  }

  /** Writes elements until `limit` is reached, the group is through, or one is not all in its record. */
  #writeGroup(out: RdbOutput, limit: number): void {
    const { words, slabs } = this.map.arena
    const hasValues = this.map.valuesCount
    const hasScores = this.order !== undefined
    const refs = this.#refs
    const count = this.#count
    const { buf } = out
    const to = this.#viewOf(buf)
    let i = this.#at
    let pos = out.pos
    for (; i < count && pos < limit; i++) {
      const slab = refs[i] >>> UNIT_BITS
      const word = (refs[i] & UNIT_MASK) << 1
      const head = words[slab][word]
      if (head >>> 24 !== 0) break
      const from = this.#views[slab]
      const at = (word << 2) + 8
      pos = this.#writeText(slabs[slab], from, at, head, buf, to, pos)
      if (hasValues) pos = this.#writeText(slabs[slab], from, at + head, words[slab][word + 1], buf, to, pos)
      else if (hasScores) {
        to.setFloat64(pos, this.#scores[i], true)
        pos += SCORE_BYTES
      }
    }
    this.#at = i
    out.pos = pos
  }

  #writeText(slab: Buffer, from: DataView, at: number, length: number, buf: Buffer, to: DataView, pos: number): number {
    if ((length <= INTEGER_TEXT_MAX && from.getUint8(at) < 58) || length > COPY_WORDS_MAX)
      return writeString(this.#slice.set(slab, at, at + length), buf, pos, false)
    let start = pos
    if (length < 64) to.setUint8(start++, length)
    else {
      to.setUint16(start, 0x4000 | length)
      start += 2
    }
    // In words, the last of which may overlap the one before.
    const last = length - 4
    if (last < 0) for (let i = 0; i < length; i++) to.setUint8(start + i, from.getUint8(at + i))
    else {
      for (let i = 0; i < last; i += 4) to.setInt32(start + i, from.getInt32(at + i, true), true)
      to.setInt32(start + last, from.getInt32(at + last, true), true)
    }
    return start + length
  }

  #viewOf(buf: Buffer): DataView {
    if (this.#outBuf !== buf) {
      this.#outBuf = buf
      this.#outView = new DataView(buf.buffer, buf.byteOffset, buf.length)
    }
    return this.#outView
  }

  /** Writes an element whose key or value stands in a Buffer of its own. */
  #writeOdd(out: RdbOutput): void {
    const { map } = this
    const i = this.#at++
    const ref = this.#refs[i]
    out.string(map.keyAt(ref, this.#slice), false)
    if (map.valuesCount) out.string(map.valueAt(ref, this.#slice), false)
    else if (this.order !== undefined) out.double(this.#scores[i])
  }
}
