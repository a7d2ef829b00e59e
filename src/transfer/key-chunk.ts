/**
 * Keys collected in memory until there are enough to make a sorted run of them.
 *
 *     bytes:  | db u32be, key | db u32be, key | ...      in front of the key, so that order by bytes is the order of keys
 *     ends:   where each ends
 *     at:     what a KeyRef said in `at` (NaN: nothing), only when one did
 *
 * Sorting takes six bytes at a time, those behind what all keys share: a 64-bit word of them and the key's number,
 * sorted by the machine (`BigUint64Array.sort`), then each group of equal bytes by its next ones. Of keys that are the
 * same the first stays.
 */
import { RECORD_HEAD_MAX, RunWriter, SHARED_MAX, copyBytes, sharedBytes } from './key-run.js'
import type { KeyRef } from './store.js'

/** Sorted in less than a millisecond. A key's number has 16 bits of a word. */
const CHUNK_KEYS_MAX = 4096
/** What a key costs besides its bytes while it is sorted: database, end, word. */
const KEY_OVERHEAD_BYTES = 4 + 4 + 8
const WORD_BYTES = 6
/** Groups up to this size are sorted by comparing. */
const SMALL_GROUP = 12
/** Deeper than this, a group is sorted by comparing: keys that share so much are rare, and the stack has an end. */
const DEPTH_MAX = 64
/** Where the upper half of a 64-bit word lies, in 32-bit halves. */
const UPPER = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0
const LOWER = 1 - UPPER

export class KeyChunk {
  count = 0
  #bytes: Buffer
  #ends = new Uint32Array(256)
  #at: Float64Array | undefined
  #words = new BigUint64Array(0)
  #halves = new Uint32Array(0)
  #run = new RunWriter(0)

  /** `budgetBytes`: how much it may hold, bookkeeping included; at most 1 GB. */
  constructor(readonly budgetBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(65536, budgetBytes))
  }

  /** Takes a key, or says that there is no more room. An empty chunk takes any key. */
  add({ db, key, at }: KeyRef): boolean {
    const { count } = this
    const start = count === 0 ? 0 : this.#ends[count - 1]
    const end = start + 4 + key.length
    if (count > 0 && (count === CHUNK_KEYS_MAX || end + (count + 1) * KEY_OVERHEAD_BYTES > this.budgetBytes)) return false
    if (end > this.#bytes.length) this.#growBytes(start, end)
    const bytes = this.#bytes
    bytes[start] = db >>> 24
    bytes[start + 1] = db >>> 16
    bytes[start + 2] = db >>> 8
    bytes[start + 3] = db
    copyBytes(key, 0, key.length, bytes, start + 4)
    if (count === this.#ends.length) this.#growNumbers()
    this.#ends[count] = end
    if (at !== undefined) (this.#at ??= new Float64Array(this.#ends.length).fill(NaN))[count] = at
    this.count++
    return true
  }

  #growBytes(used: number, least: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(least, Math.min(this.budgetBytes, this.#bytes.length * 2)))
    this.#bytes.copy(larger, 0, 0, used)
    this.#bytes = larger
  }

  #growNumbers(): void {
    const { length } = this.#ends
    const ends = new Uint32Array(length * 4)
    ends.set(this.#ends)
    this.#ends = ends
    if (this.#at === undefined) return
    const at = new Float64Array(length * 4).fill(NaN)
    at.set(this.#at)
    this.#at = at
  }

  /** What it holds as a run; the chunk is empty then. */
  takeRun(): Buffer {
    this.#sort()
    const largest = (this.count === 0 ? 0 : this.#ends[this.count - 1]) + this.count * RECORD_HEAD_MAX
    const run = this.#run.bytes.length < largest ? (this.#run = new RunWriter(largest)) : this.#run
    run.fill = 0
    const bytes = this.#bytes
    let last = 0
    let lastBytes = 0
    for (let place = 0; place < this.count; place++) {
      const i = this.#inOrder(place)
      const start = this.#startOf(i)
      const length = this.#ends[i] - start
      const shared = sharedBytes(bytes, last, lastBytes, bytes, start, length, 0)
      if (shared === length && shared === lastBytes) continue
      run.add(bytes, start, length, Math.min(shared, SHARED_MAX), this.#at === undefined ? NaN : this.#at[i])
      last = start
      lastBytes = length
    }
    this.count = 0
    this.#at?.fill(NaN)
    return Buffer.from(run.bytes.subarray(0, run.fill))
  }

  #startOf(i: number): number {
    return i === 0 ? 0 : this.#ends[i - 1]
  }

  /** The number of the key at this place of the order. */
  #inOrder(place: number): number {
    return this.#halves[2 * place + LOWER] & 0xffff
  }

  #sort(): void {
    if (this.#words.length < this.count) {
      this.#words = new BigUint64Array(this.#ends.length)
      this.#halves = new Uint32Array(this.#words.buffer)
    }
    const halves = this.#halves
    for (let i = 0; i < this.count; i++) halves[2 * i + LOWER] = i
    this.#sortGroup(0, this.count, 0, 0)
  }

  /** Sorts places [from, until), whose keys agree in their first `depth` bytes and are at least that long. */
  #sortGroup(from: number, until: number, depth: number, level: number): void {
    if (until - from <= SMALL_GROUP || level > DEPTH_MAX) return this.#sortByComparing(from, until)
    const begin = this.#sharedOf(from, until, depth)
    this.#loadWords(from, until, begin)
    this.#words.subarray(from, until).sort()
    const halves = this.#halves
    for (let start = from; start < until; ) {
      const upper = halves[2 * start + UPPER]
      const lower = halves[2 * start + LOWER] >>> 16
      let shortest = this.#lengthOf(start)
      let end = start + 1
      while (end < until && halves[2 * end + UPPER] === upper && halves[2 * end + LOWER] >>> 16 === lower) shortest = Math.min(shortest, this.#lengthOf(end++))
      // Behind a key's end stand zeros: whether they are its own only comparing tells.
      if (end - start > 1) {
        if (shortest >= begin + WORD_BYTES) this.#sortGroup(start, end, begin + WORD_BYTES, level + 1)
        else this.#sortByComparing(start, end)
      }
      start = end
    }
  }

  #lengthOf(place: number): number {
    const i = this.#inOrder(place)
    return this.#ends[i] - this.#startOf(i)
  }

  /** In how many bytes these keys agree; `least` is known. */
  #sharedOf(from: number, until: number, least: number): number {
    const bytes = this.#bytes
    const first = this.#startOf(this.#inOrder(from))
    let shared = this.#lengthOf(from)
    for (let place = from + 1; place < until && shared > least; place++) {
      const i = this.#inOrder(place)
      const start = this.#startOf(i)
      const most = Math.min(shared, this.#ends[i] - start)
      shared = least
      while (shared < most && bytes[start + shared] === bytes[first + shared]) shared++
    }
    return shared
  }

  /** Puts the six bytes from `depth` on (zeros behind a key's end) and the key's number into the words. */
  #loadWords(from: number, until: number, depth: number): void {
    const bytes = this.#bytes
    const halves = this.#halves
    const ends = this.#ends
    for (let place = from; place < until; place++) {
      const i = halves[2 * place + LOWER] & 0xffff
      const at = (i === 0 ? 0 : ends[i - 1]) + depth
      const left = ends[i] - at
      if (left >= WORD_BYTES) {
        halves[2 * place + UPPER] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
        halves[2 * place + LOWER] = (bytes[at + 4] << 24) | (bytes[at + 5] << 16) | i
        continue
      }
      halves[2 * place + UPPER] = (left > 0 ? bytes[at] << 24 : 0) | (left > 1 ? bytes[at + 1] << 16 : 0) | (left > 2 ? bytes[at + 2] << 8 : 0) | (left > 3 ? bytes[at + 3] : 0)
      halves[2 * place + LOWER] = (left > 4 ? bytes[at + 4] << 24 : 0) | i
    }
  }

  #sortByComparing(from: number, until: number): void {
    const halves = this.#halves
    if (until - from > 4 * SMALL_GROUP) {
      const sorted = Array.from({ length: until - from }, (_, n) => this.#inOrder(from + n)).sort((a, b) => this.#compare(a, b))
      for (let n = 0; n < sorted.length; n++) halves[2 * (from + n) + LOWER] = sorted[n]
      return
    }
    for (let place = from + 1; place < until; place++) {
      const i = this.#inOrder(place)
      let to = place
      for (; to > from && this.#compare(this.#inOrder(to - 1), i) > 0; to--) halves[2 * to + LOWER] = halves[2 * (to - 1) + LOWER]
      halves[2 * to + LOWER] = i
    }
  }

  #compare(a: number, b: number): number {
    const [aStart, bStart] = [this.#startOf(a), this.#startOf(b)]
    const [aBytes, bBytes] = [this.#ends[a] - aStart, this.#ends[b] - bStart]
    const bytes = this.#bytes
    const shared = sharedBytes(bytes, aStart, aBytes, bytes, bStart, bBytes, 0)
    if (shared === aBytes || shared === bBytes) return aBytes - bBytes || a - b
    return bytes[aStart + shared] - bytes[bStart + shared]
  }
}
