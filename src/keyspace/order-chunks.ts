/**
 * What the order of a sorted set is made of: chunks of entries in slabs of typed arrays, and groups of chunks.
 *
 *     slab     scores f64 x 256 x 64 | refs u32 x 256 x 64      chunk id = slab * 64 + place
 *     group    ids, counts and first scores of up to 128 chunks
 */
import type { Ref } from './arena.js'

export const CHUNK_BITS = 8
/** Entries of a full chunk. */
export const CHUNK = 1 << CHUNK_BITS
export const SLAB_BITS = 6
const SLAB_CHUNKS = 1 << SLAB_BITS
export const SLAB_MASK = SLAB_CHUNKS - 1
/** Chunks of a full group. */
export const GROUP = 128

/** The entries of one order. Entry i of chunk `id` is `scores[id >>> SLAB_BITS][((id & SLAB_MASK) << CHUNK_BITS) + i]`. */
export class ChunkPool {
  readonly scores: Float64Array[] = []
  readonly refs: Uint32Array[] = []
  /** Chunks handed out so far, and the first of those given back (linked through refs[0]), -1 for none. */
  #chunks = 0
  #free = -1

  scoreAt(id: number, offset: number): number {
    return this.scores[id >>> SLAB_BITS][((id & SLAB_MASK) << CHUNK_BITS) + offset]
  }

  refAt(id: number, offset: number): Ref {
    return this.refs[id >>> SLAB_BITS][((id & SLAB_MASK) << CHUNK_BITS) + offset]
  }

  get bytes(): number {
    let bytes = 0
    for (const slab of this.scores) bytes += slab.length * 12
    return bytes
  }

  /** A chunk to fill. */
  alloc(): number {
    const free = this.#free
    if (free >= 0) {
      this.#free = this.refs[free >>> SLAB_BITS][(free & SLAB_MASK) << CHUNK_BITS] - 1
      return free
    }
    const id = this.#chunks++
    const slab = id >>> SLAB_BITS
    const need = ((id & SLAB_MASK) + 1) << CHUNK_BITS
    if (slab === this.scores.length) {
      // The first slab starts with one chunk and doubles: most sorted sets are small.
      const entries = slab === 0 ? CHUNK : CHUNK * SLAB_CHUNKS
      this.scores.push(new Float64Array(entries))
      this.refs.push(new Uint32Array(entries))
    } else if (need > this.scores[slab].length) {
      const scores = new Float64Array(this.scores[slab].length * 2)
      const refs = new Uint32Array(scores.length)
      scores.set(this.scores[slab])
      refs.set(this.refs[slab])
      this.scores[slab] = scores
      this.refs[slab] = refs
    }
    return id
  }

  /** Takes a chunk back. */
  release(id: number): void {
    this.refs[id >>> SLAB_BITS][(id & SLAB_MASK) << CHUNK_BITS] = this.#free + 1
    this.#free = id
  }

  /** Copies entries from one chunk to another. */
  move(from: number, fromOffset: number, count: number, to: number, toOffset: number): void {
    const source = ((from & SLAB_MASK) << CHUNK_BITS) + fromOffset
    const target = ((to & SLAB_MASK) << CHUNK_BITS) + toOffset
    this.scores[to >>> SLAB_BITS].set(this.scores[from >>> SLAB_BITS].subarray(source, source + count), target)
    this.refs[to >>> SLAB_BITS].set(this.refs[from >>> SLAB_BITS].subarray(source, source + count), target)
  }
}

/** Chunks in sequence, with what a search or a rank needs of them. */
export class Group {
  /** How many chunks, and entries in them. */
  chunks = 0
  entries = 0
  ids: Uint32Array
  counts: Uint16Array
  firsts: Float64Array

  constructor(capacity: number) {
    this.ids = new Uint32Array(capacity)
    this.counts = new Uint16Array(capacity)
    this.firsts = new Float64Array(capacity)
  }

  /** Makes a place at index `at`, to be filled by the caller. */
  open(at: number): void {
    if (this.chunks === this.ids.length) this.#grow()
    this.ids.copyWithin(at + 1, at, this.chunks)
    this.counts.copyWithin(at + 1, at, this.chunks)
    this.firsts.copyWithin(at + 1, at, this.chunks)
    this.chunks++
  }

  close(at: number): void {
    this.ids.copyWithin(at, at + 1, this.chunks)
    this.counts.copyWithin(at, at + 1, this.chunks)
    this.firsts.copyWithin(at, at + 1, this.chunks)
    this.chunks--
  }

  /** Appends the chunks of `other` from index `from` on and takes them away there. */
  takeTail(other: Group, from: number): void {
    while (this.ids.length < this.chunks + other.chunks - from) this.#grow()
    this.ids.set(other.ids.subarray(from, other.chunks), this.chunks)
    this.counts.set(other.counts.subarray(from, other.chunks), this.chunks)
    this.firsts.set(other.firsts.subarray(from, other.chunks), this.chunks)
    let moved = 0
    for (let i = from; i < other.chunks; i++) moved += other.counts[i]
    this.chunks += other.chunks - from
    this.entries += moved
    other.chunks = from
    other.entries -= moved
  }

  #grow(): void {
    const { ids, counts, firsts } = this
    const capacity = ids.length * 2
    this.ids = new Uint32Array(capacity)
    this.counts = new Uint16Array(capacity)
    this.firsts = new Float64Array(capacity)
    this.ids.set(ids)
    this.counts.set(counts)
    this.firsts.set(firsts)
  }
}
