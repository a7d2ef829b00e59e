/** Building the order of a sorted set from all its entries. */
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import { compareBytes } from './compare-bytes.js'
import { CHUNK_BITS, SLAB_BITS, SLAB_MASK } from './order-chunks.js'
import { BUILD_FILL, type OrderedScores } from './ordered-scores.js'

/**
 * Fills an empty order from a sequence, in as many turns as the caller likes: `add ... add finish`. A
 * sequence that ascends (a listpack, a copy) or descends (an RDB file) costs O(1) an entry; from the first
 * entry out of sequence on, entries are inserted one by one. The order may be used after `finish`.
 *
 *     undecided --second entry--> ascending --out of sequence--> inserting
 *                        \------> descending -----------------/
 */
export class OrderBuilder {
  #mode: 'undecided' | 'ascending' | 'descending' | 'inserting' = 'undecided'
  /** The entry added last. */
  #score = 0
  #ref: Ref = 0
  #count = 0
  /** Descending: complete chunks, the highest first, and the one being filled from its end. */
  #chunks: number[] = []
  #scores: Float64Array | undefined
  #refs: Uint32Array | undefined
  #at = BUILD_FILL
  readonly #a = new Slice()
  readonly #b = new Slice()

  constructor(readonly order: OrderedScores) {}

  /** Adds an entry whose record stands in the ByteMap already. */
  add(score: number, ref: Ref): void {
    if (this.#mode !== 'inserting' && this.#count > 0) {
      const mode = this.#comesAfter(score, ref) ? 'ascending' : 'descending'
      if (this.#mode === 'undecided') this.#start(mode)
      else if (mode !== this.#mode) {
        this.finish()
        this.#mode = 'inserting'
      }
    }
    if (this.#count++ > 0) {
      if (this.#mode === 'ascending') this.order.append(score, ref)
      else if (this.#mode === 'descending') this.#prepend(score, ref)
      else this.order.insert(score, ref)
    }
    this.#score = score
    this.#ref = ref
  }

  #start(mode: 'ascending' | 'descending'): void {
    this.#mode = mode
    if (mode === 'ascending') this.order.append(this.#score, this.#ref)
    else this.#prepend(this.#score, this.#ref)
  }

  #comesAfter(score: number, ref: Ref): boolean {
    if (score !== this.#score) return score > this.#score
    const members = this.order.members
    return compareBytes(members.keyAt(ref, this.#a), members.keyAt(this.#ref, this.#b)) > 0
  }

  #prepend(score: number, ref: Ref): void {
    if (this.#scores === undefined || this.#refs === undefined) {
      this.#scores = new Float64Array(BUILD_FILL)
      this.#refs = new Uint32Array(BUILD_FILL)
    }
    this.#at--
    this.#scores[this.#at] = score
    this.#refs[this.#at] = ref
    if (this.#at === 0) this.#flush()
  }

  #flush(): void {
    if (this.#at === BUILD_FILL || this.#scores === undefined || this.#refs === undefined) return
    const order = this.order
    const id = order.chunks.alloc()
    order.chunks.scores[id >>> SLAB_BITS].set(this.#scores.subarray(this.#at), (id & SLAB_MASK) << CHUNK_BITS)
    order.chunks.refs[id >>> SLAB_BITS].set(this.#refs.subarray(this.#at), (id & SLAB_MASK) << CHUNK_BITS)
    this.#chunks.push(id)
    this.#at = BUILD_FILL
  }

  /** Makes the order complete. */
  finish(): void {
    if (this.#mode === 'undecided' && this.#count === 1) this.order.append(this.#score, this.#ref)
    if (this.#mode !== 'descending') return
    const partial = BUILD_FILL - this.#at
    this.#flush()
    const chunks = this.#chunks
    for (let i = chunks.length - 1; i >= 0; i--)
      this.order.appendChunk(chunks[i], i === chunks.length - 1 && partial > 0 ? partial : BUILD_FILL)
    this.#chunks = []
  }
}
