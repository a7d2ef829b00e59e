/**
 * Walks the records of a ByteMap, a group at a time: `while ((count = walk.next(refs)) > 0) use(refs, count)`. May
 * be spread over turns, with no change of the map in between.
 *
 * Where nothing was ever deleted the records are taken as they lie in memory, which is several times faster
 * than the table's order for a map larger than the processor's cache.
 */
import { blockBytes, UNIT_BITS, type Ref } from './arena.js'
import type { ByteMap } from './byte-map.js'
import { SIDE_VALUE } from './table.js'

export class RecordWalk {
  /** Position in the table, or slab and offset in it. */
  #position = 0
  #slab = 0
  #offset = 0

  constructor(readonly map: ByteMap) {}

  /** Fills `refs` from the front with the next records. Returns how many there were: 0 at the end. */
  next(refs: Uint32Array): number {
    return this.map.arena.isGapless ? this.#inMemory(refs) : this.#inTable(refs)
  }

  rewind(): void {
    this.#position = this.#slab = this.#offset = 0
  }

  #inMemory(refs: Uint32Array): number {
    const { arena } = this.map
    let count = 0
    for (; this.#slab < arena.slabs.length; this.#slab++, this.#offset = 0) {
      const slab = this.#slab
      const words = arena.words[slab]
      const end = arena.blocksTo(slab)
      let offset = this.#offset === 0 ? arena.blocksFrom(slab) : this.#offset
      for (; offset < end && count < refs.length; count++) {
        const head = words[offset >>> 2]
        const aside = ((head >>> 24) & SIDE_VALUE) !== 0
        refs[count] = (slab << UNIT_BITS) | (offset >>> 3)
        offset += blockBytes(8 + (head & 0xffffff) + (aside ? 0 : words[(offset >>> 2) + 1]))
      }
      this.#offset = offset
      if (offset < end) break
    }
    return count
  }

  #inTable(refs: Uint32Array): number {
    const { map } = this
    const end = map.positions
    let count = 0
    let at = this.#position
    for (; at < end && count < refs.length; at++) {
      const ref: Ref = map.refAtPosition(at)
      if (ref !== 0) refs[count++] = ref
    }
    this.#position = at
    return count
  }
}
