/**
 * Keys collected in memory and sorted there: bytes one behind the other and numbers in typed arrays, so that a
 * million keys are a few objects.
 *
 *     bytes:  | db u32be, key | db u32be, key | ...      in front of the key, so that order by bytes is the order of keys
 *     ends:   where each ends
 *     at:     what a KeyRef said in `at` (NaN: nothing), only when one did
 *
 * Sorting takes four bytes at a time: a 64-bit word of those and the key's number, sorted by the machine
 * (`BigUint64Array.sort`), then each group of equal bytes by its next four. Keys that compare equal stay in the order
 * in which they came.
 */
import type { KeyRef } from './store.js'

/** What a key costs besides its bytes: database, end, word. */
const KEY_OVERHEAD_BYTES = 4 + 4 + 8
/** Groups up to this size are sorted by comparing. */
const SMALL_GROUP = 12
/** Deeper than this, a group is sorted by comparing: keys that share so much are rare, and the stack has an end. */
const DEPTH_MAX = 4096
/** Where the upper half of a 64-bit word lies, in 32-bit halves. */
const UPPER = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0

export class KeyRun {
  bytes: Buffer
  count = 0
  #ends = new Uint32Array(1024)
  #at: Float64Array | undefined
  /** The keys' numbers in order, after `sort`. */
  #words = new BigUint64Array(0)
  #halves = new Uint32Array(0)

  /** `budgetBytes`: how much it may hold, bookkeeping included; at most 1 GB. */
  constructor(readonly budgetBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(Math.min(65536, budgetBytes))
  }

  /** Takes a key, or says that there is no more room. An empty run takes any key. */
  add({ db, key, at }: KeyRef): boolean {
    const { count } = this
    const start = this.endOf(count - 1)
    const end = start + 4 + key.length
    if (count > 0 && end + (count + 1) * KEY_OVERHEAD_BYTES > this.budgetBytes) return false
    if (end > this.bytes.length) this.#growBytes(end)
    const { bytes } = this
    bytes[start] = db >>> 24
    bytes[start + 1] = db >>> 16
    bytes[start + 2] = db >>> 8
    bytes[start + 3] = db
    copyRecord(key, 0, key.length, bytes, start + 4)
    if (count === this.#ends.length) this.#growEnds()
    this.#ends[count] = end
    if (at !== undefined) (this.#at ??= new Float64Array(this.#ends.length).fill(NaN))[count] = at
    this.count++
    return true
  }

  /** Forgets all keys; what was handed out of `bytes` is no longer good. */
  clear(): void {
    this.count = 0
    this.#at?.fill(NaN)
  }

  /** Gives its memory back; it takes no more keys. */
  release(): void {
    this.count = 0
    this.bytes = Buffer.alloc(0)
    this.#ends = new Uint32Array(0)
    this.#at = undefined
    this.#words = new BigUint64Array(0)
    this.#halves = new Uint32Array(0)
  }

  #growBytes(least: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(least, Math.min(this.budgetBytes, this.bytes.length * 2)))
    this.bytes.copy(larger, 0, 0, this.endOf(this.count - 1))
    this.bytes = larger
  }

  #growEnds(): void {
    const { length } = this.#ends
    const ends = new Uint32Array(length * 2)
    ends.set(this.#ends)
    this.#ends = ends
    if (this.#at === undefined) return
    const at = new Float64Array(length * 2).fill(NaN)
    at.set(this.#at)
    this.#at = at
  }

  /** Where record i begins in `bytes`, its database first. */
  startOf(i: number): number {
    return i === 0 ? 0 : this.#ends[i - 1]
  }

  endOf(i: number): number {
    return i < 0 ? 0 : this.#ends[i]
  }

  atOf(i: number): number {
    return this.#at === undefined ? NaN : this.#at[i]
  }

  /** The number of the key at this place of the order. */
  inOrder(place: number): number {
    return this.#halves[2 * place + (1 - UPPER)]
  }

  sort(): void {
    if (this.#words.length < this.count) {
      this.#words = new BigUint64Array(this.#ends.length)
      this.#halves = new Uint32Array(this.#words.buffer)
    }
    const halves = this.#halves
    for (let i = 0; i < this.count; i++) halves[2 * i + (1 - UPPER)] = i
    this.#sortGroup(0, this.count, 0)
  }

  /** Sorts places [from, until), whose keys agree in their first `depth` bytes and are at least that long. */
  #sortGroup(from: number, until: number, depth: number): void {
    let at = depth
    while (until - from > SMALL_GROUP && at < DEPTH_MAX) {
      const same = this.#loadWords(from, until, at)
      if (!same) this.#words.subarray(from, until).sort()
      at += 4
      if (!same) return this.#sortEqualWords(from, until, at)
      // All share these four bytes: on to the next, without those that end here.
      from = this.#shortFirst(from, until, at)
    }
    this.#insertionSort(from, until)
  }

  #sortEqualWords(from: number, until: number, depth: number): void {
    const halves = this.#halves
    for (let start = from; start < until; ) {
      const word = halves[2 * start + UPPER]
      let end = start + 1
      while (end < until && halves[2 * end + UPPER] === word) end++
      if (end - start > 1) this.#sortGroup(end - start > SMALL_GROUP ? this.#shortFirst(start, end, depth) : start, end, depth)
      start = end
    }
  }

  /** Puts the four bytes from `depth` on (zeros behind a key's end) into the words. True when they are all the same. */
  #loadWords(from: number, until: number, depth: number): boolean {
    const { bytes } = this
    const halves = this.#halves
    const ends = this.#ends
    let same = true
    for (let place = from; place < until; place++) {
      const i = halves[2 * place + (1 - UPPER)]
      const start = (i === 0 ? 0 : ends[i - 1]) + depth
      const left = ends[i] - start
      const word = left >= 4
        ? ((bytes[start] << 24) | (bytes[start + 1] << 16) | (bytes[start + 2] << 8) | bytes[start + 3]) >>> 0
        : ((left > 0 ? bytes[start] << 24 : 0) | (left > 1 ? bytes[start + 1] << 16 : 0) | (left > 2 ? bytes[start + 2] << 8 : 0)) >>> 0
      halves[2 * place + UPPER] = word
      if (word !== halves[2 * from + UPPER]) same = false
    }
    return same
  }

  /**
   * Keys that agree in their bytes up to `depth`, zeros behind the end taken for bytes: those that end before or at it
   * go first, the shorter the earlier. Returns the place behind them.
   */
  #shortFirst(from: number, until: number, depth: number): number {
    const halves = this.#halves
    const short: number[] = []
    let kept = until
    for (let place = until - 1; place >= from; place--) {
      const i = halves[2 * place + (1 - UPPER)]
      if (this.#ends[i] - this.startOf(i) <= depth) short.push(i)
      else halves[2 * --kept + (1 - UPPER)] = i
    }
    if (short.length === 0) return from
    short.sort((a, b) => this.#lengthOf(a) - this.#lengthOf(b) || a - b)
    for (let n = 0; n < short.length; n++) halves[2 * (from + n) + (1 - UPPER)] = short[n]
    return kept
  }

  #lengthOf(i: number): number {
    return this.#ends[i] - this.startOf(i)
  }

  #insertionSort(from: number, until: number): void {
    const halves = this.#halves
    if (until - from > 4 * SMALL_GROUP) {
      const sorted = Array.from({ length: until - from }, (_, n) => this.inOrder(from + n)).sort((a, b) => this.#compare(a, b))
      for (let n = 0; n < sorted.length; n++) halves[2 * (from + n) + (1 - UPPER)] = sorted[n]
      return
    }
    for (let place = from + 1; place < until; place++) {
      const i = halves[2 * place + (1 - UPPER)]
      let to = place
      for (; to > from && this.#compare(halves[2 * (to - 1) + (1 - UPPER)], i) > 0; to--) halves[2 * to + (1 - UPPER)] = halves[2 * (to - 1) + (1 - UPPER)]
      halves[2 * to + (1 - UPPER)] = i
    }
  }

  #compare(a: number, b: number): number {
    return compareRecords(this.bytes, this.startOf(a), this.#ends[a], this.bytes, this.startOf(b), this.#ends[b]) || a - b
  }

  /** Whether two keys are the same. */
  same(a: number, b: number): boolean {
    return compareRecords(this.bytes, this.startOf(a), this.#ends[a], this.bytes, this.startOf(b), this.#ends[b]) === 0
  }
}

/** Copies bytes: a short key costs less in a loop than the native copy takes to begin. */
export function copyRecord(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > LOOP_BYTES) from.copy(to, at, start, end)
  else for (let i = start, n = at; i < end; i++) to[n++] = from[i]
}

/** Bytes compared one by one before the native comparison, which costs as much as thirty of them, takes over. */
const LOOP_BYTES = 48

/** Order of two records, database and key, by their bytes. */
export function compareRecords(a: Buffer, aStart: number, aEnd: number, b: Buffer, bStart: number, bEnd: number): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart)
  const looped = Math.min(shared, LOOP_BYTES)
  for (let i = 0; i < looped; i++) {
    const difference = a[aStart + i] - b[bStart + i]
    if (difference !== 0) return difference
  }
  if (shared > looped) return a.compare(b, bStart + looped, bEnd, aStart + looped, aEnd)
  return aEnd - aStart - (bEnd - bStart)
}
