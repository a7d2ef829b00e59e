/**
 * Finds duplicate members of a set, hash or sorted set in bytes that are not materialised: hashes and offsets
 * in typed arrays, no object per member. This is most of what the deep check of a large payload costs.
 *
 * The bytes come from strangers, who could choose members that collide under a plain hash and make the check
 * quadratic. The hash is therefore HalfSipHash-1-3, keyed; a server sets a random key when it starts.
 */
import type { Slice } from '../slice.js'
import { RdbError } from './error.js'

/** The key, in two halves; see `seedDuplicates`. */
export let key0 = 0x5bd1e995
export let key1 = 0x1b873593

/** Sets the key of the hash: 64 random bits in two halves. Not while a check is under way. */
export function seedDuplicates(low: number, high: number): void {
  key0 = low | 0
  key1 = high | 0
}

/** Whether the members at two offsets are the same text. Asked only where hashes are equal. */
export type EqualAt = (offset: number, other: number) => boolean

/** Up to this many members there is one table, which stays in the processor's cache; beyond, see `settle`. */
const MOST_IN_ONE_TABLE = 1 << 15
/** Members of a part, on average. */
const PART_MEMBERS = 2048
/** A table of this many slots is kept for the next check; larger ones are left to the collector. */
const KEEP_SLOTS = 2048
let kept: Int32Array | undefined
/** How many texts of at most two bytes there are. */
const MOST_SHORT = 1 + 256 + 65536
const NOTHING = new Int32Array(0)

function allocate(length: number): Int32Array {
  try {
    return new Int32Array(length)
  } catch {
    throw new RdbError('too many members to check')
  }
}

/**
 * Told all members of a collection, finds out whether two are equal. A few thousand members go into a table
 * as they come. Of more, hash and offset are noted in order, then sorted into parts by hash, then each part
 * goes through a small table: three passes in memory order are several times faster than as many cache misses
 * as there are members.
 */
export class DuplicateFinder {
  /** Whether two members were found to be equal. */
  found = false
  private readonly equalAt: EqualAt
  /** Open addressing: pairs of hash and offset plus one (0 is a free slot). */
  private table: Int32Array
  private mask = 0
  /** Hash and offset of each member in the order told, when there are too many for one table. */
  private pairs: Int32Array | undefined
  private told = 0
  private short = 0
  private readonly count: number
  /** The same by part: by the high bits of the hash, since the low ones choose the slot of the table. */
  private sorted: Int32Array = NOTHING
  private sortedTo = 0
  private readonly shift: number
  /** While members are told: how much each part holds. While they are sorted: where its next pair goes. Then: its end. */
  private readonly parts: Uint32Array
  private part = 0
  private phase: 'tell' | 'sort' | 'insert' = 'tell'

  /** Room for `count` members. `release()` when done. */
  constructor(count: number, equalAt: EqualAt) {
    this.equalAt = equalAt
    this.table = kept ?? new Int32Array(2 * KEEP_SLOTS)
    kept = undefined
    const isLarge = count > MOST_IN_ONE_TABLE
    let bits = 1
    if (isLarge) while (PART_MEMBERS * 2 ** bits < count) bits++
    this.shift = 32 - bits
    this.parts = new Uint32Array(2 ** bits)
    // The count is only a claim: room is made as members really come.
    this.pairs = isLarge ? allocate(2 * MOST_IN_ONE_TABLE) : undefined
    this.count = count
    if (!isLarge) this.clearTable(count)
  }

  /** Tells the member `slice` found at `offset`. */
  add(slice: Slice, offset: number): void {
    const hash = hashBytes(slice.buf, slice.start, slice.end)
    if (this.pairs === undefined) {
      this.insert(hash, offset)
      return
    }
    // There are not more texts of two bytes at most, so many claimed members cannot be had for a few bytes.
    if (slice.end - slice.start <= 2 && ++this.short > MOST_SHORT) this.found = true
    const pairs = this.told < this.pairs.length ? this.pairs : this.grow(this.pairs)
    pairs[this.told++] = hash
    pairs[this.told++] = offset | 0
    this.parts[hash >>> this.shift] += 2
  }

  /** After the last member: settles what `add` left open, about `members` at a time. False when all is known. */
  settle(members: number): boolean {
    const { pairs, parts, shift } = this
    if (pairs === undefined) return false
    if (this.phase === 'tell') this.startParts()
    const { sorted } = this
    if (this.phase === 'sort') {
      const until = Math.min(this.told, this.sortedTo + 2 * members)
      for (let i = this.sortedTo; i < until; i += 2) {
        const part = pairs[i] >>> shift
        const to = parts[part]
        sorted[to] = pairs[i]
        sorted[to + 1] = pairs[i + 1]
        parts[part] = to + 2
      }
      this.sortedTo = until
      if (until === this.told) this.phase = 'insert'
      return true
    }
    for (let left = members; left > 0 && this.part < parts.length && !this.found; this.part++) {
      const from = this.part === 0 ? 0 : parts[this.part - 1]
      const until = parts[this.part]
      this.clearTable((until - from) / 2)
      for (let i = from; i < until; i += 2) this.insert(sorted[i], sorted[i + 1] >>> 0)
      left -= (until - from) / 2
    }
    return this.part < parts.length && !this.found
  }

  release(): void {
    if (this.table.length === 2 * KEEP_SLOTS) kept = this.table
  }

  private clearTable(members: number): void {
    let slots = 16
    while (slots < members * 1.5) slots *= 2
    if (2 * slots > this.table.length) this.table = new Int32Array(2 * slots)
    else this.table.fill(0, 0, 2 * slots)
    this.mask = slots - 1
  }

  private insert(hash: number, offset: number): void {
    const { table, mask } = this
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const other = table[2 * i + 1]
      if (other === 0) {
        table[2 * i] = hash
        table[2 * i + 1] = (offset + 1) | 0
        return
      }
      if (table[2 * i] === hash && this.equalAt((other - 1) >>> 0, offset)) {
        this.found = true
        return
      }
    }
  }

  /** Turns the sizes of the parts into where they start; each pair put moves that on, to the end at last. */
  private startParts(): void {
    let at = 0
    for (let part = 0; part < this.parts.length; part++) {
      const size = this.parts[part]
      this.parts[part] = at
      at += size
    }
    this.sorted = allocate(this.told)
    this.phase = 'sort'
  }

  private grow(pairs: Int32Array): Int32Array {
    const grown = allocate(Math.min(2 * pairs.length, 2 * this.count))
    grown.set(pairs)
    this.pairs = grown
    return grown
  }
}

/** HalfSipHash-1-3 of `buf[start..end)`, 32 bits, signed. */
export function hashBytes(buf: Buffer, start: number, end: number): number {
  let v0 = key0
  let v1 = key1
  let v2 = 0x6c796765 ^ key0
  let v3 = 0x74656462 ^ key1
  const words = end - 3
  let pos = start
  for (let last = false; !last; pos += 4) {
    let word: number
    if (pos < words) word = buf[pos] | (buf[pos + 1] << 8) | (buf[pos + 2] << 16) | (buf[pos + 3] << 24)
    else {
      last = true
      word = (end - start) << 24
      if (pos < end) word |= buf[pos]
      if (pos + 1 < end) word |= buf[pos + 1] << 8
      if (pos + 2 < end) word |= buf[pos + 2] << 16
    }
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  v2 ^= 0xff
  for (let round = 0; round < 3; round++) {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
  }
  return v1 ^ v3
}
