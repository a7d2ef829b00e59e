/**
 * Random elements of an aggregate: samples without repetition, every subset equally likely (HRANDFIELD,
 * SRANDMEMBER, SPOP and ZRANDMEMBER with a positive count), and draws with repetition from a listpack (the
 * same with a negative count).
 */
import { LP_HEADER, lpCount, lpIsEnd, lpNext } from '../../protocol/rdb/listpack.js'
import type { Slice } from '../../protocol/slice.js'
import type { Random } from '../random.js'
import type { Ref } from './arena.js'
import type { Table } from './table.js'

/** When more than a third is wanted, shuffling all beats drawing until enough different ones came. */
const SHUFFLE_FACTOR = 3

/** `count` different records of a table (at most its size), in no order. */
export function sampleRecords(table: Table, count: number, random: Random): Uint32Array {
  if (count * SHUFFLE_FACTOR > table.size) return shuffledRecords(table, count, random)
  const chosen = new Set<Ref>()
  while (chosen.size < count) chosen.add(table.randomRef(random))
  return Uint32Array.from(chosen)
}

function shuffledRecords(table: Table, count: number, random: Random): Uint32Array {
  const all = new Uint32Array(table.size)
  let size = 0
  table.forEach((ref) => {
    all[size++] = ref
  })
  for (let i = 0; i < count; i++) {
    const j = i + random.below(size - i)
    const ref = all[j]
    all[j] = all[i]
    all[i] = ref
  }
  return all.subarray(0, count)
}

/** `count` different indices below `size`, ascending (Knuth's algorithm S). */
export function sampleIndices(size: number, count: number, random: Random): Uint32Array {
  const chosen = new Uint32Array(count)
  let taken = 0
  for (let i = 0; taken < count; i++) {
    if (random.below(size - i) < count - taken) chosen[taken++] = i
  }
  return chosen
}

/** Where the elements of a listpack stand, so that each draw from it is one step. */
export class ElementPositions {
  #positions: Uint32Array = new Uint32Array(128)
  #count = 0

  /** Notes every `step`-th element, beginning with the first. */
  read(listpack: Slice, step: number): void {
    const { buf, start } = listpack
    const count = Math.ceil(lpCount(buf, start) / step)
    if (count > this.#positions.length) this.#positions = new Uint32Array(count)
    let pos = start + LP_HEADER
    for (this.#count = 0; !lpIsEnd(buf, pos); this.#count++) {
      this.#positions[this.#count] = pos
      for (let i = 0; i < step; i++) pos = lpNext(buf, pos)
    }
  }

  /** The position of one of them, all equally likely. */
  draw(random: Random): number {
    return this.#positions[random.below(this.#count)]
  }
}
