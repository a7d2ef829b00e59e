/** Walking over a sorted set from low to high and back. */
import type { Ref } from './arena.js'
import { CHUNK_BITS, SLAB_BITS, SLAB_MASK } from './order-chunks.js'
import type { OrderedScores } from './ordered-scores.js'

/**
 * A place in the order. It is good until the next change of the sorted set; several may be in use at once.
 */
export class OrderCursor {
  /** The entry it stands at. */
  score = 0
  ref: Ref = 0
  #order: OrderedScores | undefined
  #group = 0
  #chunk = 0
  #offset = 0

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.#order = undefined
  }

  /** Goes to the entry at `rank`. False when there is none. */
  seek(order: OrderedScores, rank: number): boolean {
    if (rank < 0 || rank >= order.size) return false
    this.#order = order
    let left = rank
    let g = 0
    while (left >= order.groups[g].entries) left -= order.groups[g++].entries
    const counts = order.groups[g].counts
    let c = 0
    while (left >= counts[c]) left -= counts[c++]
    this.#group = g
    this.#chunk = c
    this.#offset = left
    this.#read(order)
    return true
  }

  /** Goes to the next entry. False when this was the last one. */
  next(): boolean {
    const order = this.#order as OrderedScores
    const group = order.groups[this.#group]
    if (this.#offset + 1 < group.counts[this.#chunk]) this.#offset++
    else {
      if (this.#chunk + 1 < group.chunks) this.#chunk++
      else {
        if (this.#group + 1 >= order.groups.length) return false
        this.#group++
        this.#chunk = 0
      }
      this.#offset = 0
    }
    this.#read(order)
    return true
  }

  /** Goes to the entry before. False when this was the first one. */
  previous(): boolean {
    const order = this.#order as OrderedScores
    if (this.#offset > 0) this.#offset--
    else {
      if (this.#chunk > 0) this.#chunk--
      else {
        if (this.#group === 0) return false
        this.#group--
        this.#chunk = order.groups[this.#group].chunks - 1
      }
      this.#offset = order.groups[this.#group].counts[this.#chunk] - 1
    }
    this.#read(order)
    return true
  }

  /**
   * Takes the next entries from the highest down, those first asked for at the end of the order: fills both arrays from
   * the front and returns how many there were, 0 at the end. Not to be mixed with the other ways to move.
   */
  takeDown(order: OrderedScores, refs: Uint32Array, scores: Float64Array): number {
    if (this.#order === undefined) {
      this.#order = order
      this.#group = order.groups.length
    }
    let count = 0
    while (count < refs.length) {
      if (this.#offset === 0) {
        if (this.#chunk === 0) {
          if (this.#group === 0) break
          this.#chunk = order.groups[--this.#group].chunks
          continue
        }
        this.#offset = order.groups[this.#group].counts[--this.#chunk]
        continue
      }
      const id = order.groups[this.#group].ids[this.#chunk]
      const entries = order.chunks.refs[id >>> SLAB_BITS]
      const values = order.chunks.scores[id >>> SLAB_BITS]
      const first = (id & SLAB_MASK) << CHUNK_BITS
      const taken = Math.min(this.#offset, refs.length - count)
      for (let at = first + this.#offset - 1, i = 0; i < taken; i++, at--) {
        refs[count] = entries[at]
        scores[count++] = values[at]
      }
      this.#offset -= taken
    }
    return count
  }

  #read(order: OrderedScores): void {
    const { chunks } = order
    const id = order.groups[this.#group].ids[this.#chunk]
    const at = ((id & SLAB_MASK) << CHUNK_BITS) + this.#offset
    this.score = chunks.scores[id >>> SLAB_BITS][at]
    this.ref = chunks.refs[id >>> SLAB_BITS][at]
  }
}
