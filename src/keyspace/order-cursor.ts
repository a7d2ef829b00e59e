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

  #read(order: OrderedScores): void {
    const { chunks } = order
    const id = order.groups[this.#group].ids[this.#chunk]
    const at = ((id & SLAB_MASK) << CHUNK_BITS) + this.#offset
    this.score = chunks.scores[id >>> SLAB_BITS][at]
    this.ref = chunks.refs[id >>> SLAB_BITS][at]
  }
}
