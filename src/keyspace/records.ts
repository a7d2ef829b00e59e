/**
 * The records of a database: what each key says besides its value.
 *
 *     record  [ keyBytes | flags ][ value word ][ meta ]( expiry low, high, position )[ key ][ value ]
 *     meta    type 4 bits | encoding 4 bits | LRU or LFU clock 24 bits
 *     flags   HAS_EXPIRY  SIDE_KEY  SIDE_VALUE  LAZY  HELD  HELD_FOR_READERS
 *
 * Keys with an expiry time stand in `#volatile` too, so that active expiry can draw them at random; the
 * record knows its position there. Setting and taking away the time of expiry moves the record, so both return
 * its new place.
 */
import { Slice } from '../../protocol/slice.js'
import type { Clock } from '../clock.js'
import type { Random } from '../random.js'
import { Arena, UNIT_BITS, UNIT_MASK, type Ref } from './arena.js'
import { HAS_EXPIRY, SIDE_VALUE, Table } from './table.js'
import type { Encoding, ValueType } from './types.js'

/** Record flag: the value is a payload that nobody has decoded. */
export const LAZY = 8
const HELD = 16
const HELD_FOR_READERS = 32

/** Bytes before the key, and how many more an expiry time takes. */
export const HEADER = 12
export const EXPIRY_BYTES = 12

/** What a key in flight is held against: every command, or those that write. */
export type HoldMode = 'all' | 'write'

/** What the records need from their surroundings. */
export interface RecordServices {
  readonly clock: Clock
  readonly random: Random
  /** LFU instead of LRU clocks (`maxmemory-policy allkeys-lfu`, `volatile-lfu`). */
  lfu: boolean
  lfuLogFactor: number
  lfuDecayMinutes: number
  /** True while a client's accesses leave no trace (CLIENT NO-TOUCH). */
  noTouch?: boolean
}

export class Records extends Table {
  /** Refs of the keys with an expiry time, in no order. */
  #volatile: Uint32Array = new Uint32Array(16)
  /** How many keys have an expiry time. */
  volatileSize = 0
  readonly #key = new Slice()

  constructor(readonly services: RecordServices) {
    super(HEADER, new Arena(4096))
  }

  typeOf(ref: Ref): ValueType {
    return (this.metaOf(ref) >>> 28) as ValueType
  }

  encodingOf(ref: Ref): Encoding {
    return ((this.metaOf(ref) >>> 24) & 15) as Encoding
  }

  protected metaOf(ref: Ref): number {
    return this.arena.words[ref >>> UNIT_BITS][((ref & UNIT_MASK) << 1) + 2]
  }

  protected setMeta(ref: Ref, meta: number): void {
    this.arena.words[ref >>> UNIT_BITS][((ref & UNIT_MASK) << 1) + 2] = meta
  }

  protected valueWord(ref: Ref): number {
    return this.arena.words[ref >>> UNIT_BITS][((ref & UNIT_MASK) << 1) + 1]
  }

  /** Copies a record's header and key into a block of `bytes`; the caller frees the old block. */
  protected moveFront(ref: Ref, front: number, bytes: number): Ref {
    this.#findRecord(ref)
    const to = this.arena.alloc(bytes)
    const from = (ref & UNIT_MASK) << 3
    this.arena.slabs[ref >>> UNIT_BITS].copy(
      this.arena.slabs[to >>> UNIT_BITS], (to & UNIT_MASK) << 3, from, from + front)
    this.relink(ref, to)
    if ((this.flagsOf(to) & HAS_EXPIRY) !== 0) this.#volatile[this.#position(to)] = to
    return to
  }

  /** Makes sure that the table's notion of "just found" is this record. */
  #findRecord(ref: Ref): void {
    if (this.foundIn[this.foundAt + 1] === (ref | 0) && (this.foundIn === this.slots || this.foundIn === this.oldSlots))
      return
    const key = this.keyAt(ref, this.#key)
    if (this.find(key.buf, key.start, key.end) !== ref) throw new Error('record is not in its table')
  }

  /** Exchanges the records of two databases. */
  protected swapRecords(other: Records): void {
    this.swapTable(other)
    ;[this.#volatile, other.#volatile] = [other.#volatile, this.#volatile]
    ;[this.volatileSize, other.volatileSize] = [other.volatileSize, this.volatileSize]
  }

  // ---- keys in flight ----

  /** Marks a key as in flight, or no longer; see the engine's Holds. */
  hold(ref: Ref, mode: HoldMode | undefined): void {
    const words = this.arena.words[ref >>> UNIT_BITS]
    const at = (ref & UNIT_MASK) << 1
    const flag = mode === 'all' ? HELD : mode === 'write' ? HELD_FOR_READERS : 0
    words[at] = (words[at] & ~((HELD | HELD_FOR_READERS) << 24)) | (flag << 24)
  }

  holdOf(ref: Ref): HoldMode | undefined {
    const flags = this.flagsOf(ref)
    if ((flags & (HELD | HELD_FOR_READERS)) === 0) return undefined
    return (flags & HELD) !== 0 ? 'all' : 'write'
  }

  // ---- expiry ----

  /** When the key expires, in milliseconds since 1970; Infinity when never. Exact below 2^53. */
  expiryOf(ref: Ref): number {
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    if (((words[word] >>> 24) & HAS_EXPIRY) === 0) return Infinity
    return words[word + 4] * 4294967296 + (words[word + 3] >>> 0)
  }

  /** When the key expires, exact over all 64 bits; undefined when never. */
  exactExpiryOf(ref: Ref): bigint | undefined {
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    if (((words[word] >>> 24) & HAS_EXPIRY) === 0) return undefined
    return (BigInt(words[word + 4]) << 32n) | BigInt(words[word + 3] >>> 0)
  }

  /** Sets the time of expiry: milliseconds since 1970, any signed 64-bit value. */
  setExpiry(ref: Ref, atMs: number | bigint): Ref {
    const to = this.#withExpiry(ref)
    const word = (to & UNIT_MASK) << 1
    const words = this.arena.words[to >>> UNIT_BITS]
    if (typeof atMs === 'bigint') {
      words[word + 3] = Number(BigInt.asIntN(32, atMs))
      words[word + 4] = Number(BigInt.asIntN(32, atMs >> 32n))
    } else {
      words[word + 4] = Math.floor(atMs / 4294967296)
      words[word + 3] = (atMs - words[word + 4] * 4294967296) | 0
    }
    return to
  }

  #withExpiry(ref: Ref): Ref {
    const words = this.arena.words[ref >>> UNIT_BITS]
    const word = (ref & UNIT_MASK) << 1
    const flags = words[word] >>> 24
    if ((flags & HAS_EXPIRY) !== 0) return ref
    this.#findRecord(ref)
    const rest = (words[word] & 0xffffff) + ((flags & SIDE_VALUE) !== 0 ? 0 : words[word + 1])
    const to = this.arena.alloc(HEADER + EXPIRY_BYTES + rest)
    const source = this.arena.slabs[ref >>> UNIT_BITS]
    const target = this.arena.slabs[to >>> UNIT_BITS]
    const toWord = (to & UNIT_MASK) << 1
    source.copy(target, toWord << 2, word << 2, (word << 2) + HEADER)
    source.copy(target, (toWord << 2) + HEADER + EXPIRY_BYTES, (word << 2) + HEADER, (word << 2) + HEADER + rest)
    const toWords = this.arena.words[to >>> UNIT_BITS]
    toWords[toWord] |= HAS_EXPIRY << 24
    if (this.volatileSize === this.#volatile.length) {
      const larger = new Uint32Array(this.#volatile.length * 2)
      larger.set(this.#volatile)
      this.#volatile = larger
    }
    toWords[toWord + 5] = this.volatileSize
    this.#volatile[this.volatileSize++] = to
    this.relink(ref, to)
    this.arena.free(ref, HEADER + rest)
    return to
  }

  /** Takes the time of expiry away. */
  clearExpiry(ref: Ref): Ref {
    const words = this.arena.words[ref >>> UNIT_BITS]
    const word = (ref & UNIT_MASK) << 1
    const flags = words[word] >>> 24
    if ((flags & HAS_EXPIRY) === 0) return ref
    this.#findRecord(ref)
    const rest = (words[word] & 0xffffff) + ((flags & SIDE_VALUE) !== 0 ? 0 : words[word + 1])
    const to = this.arena.alloc(HEADER + rest)
    this.leaveVolatile(ref)
    const source = this.arena.slabs[ref >>> UNIT_BITS]
    const target = this.arena.slabs[to >>> UNIT_BITS]
    const toWord = (to & UNIT_MASK) << 1
    const body = (word << 2) + HEADER + EXPIRY_BYTES
    source.copy(target, toWord << 2, word << 2, (word << 2) + HEADER)
    source.copy(target, (toWord << 2) + HEADER, body, body + rest)
    this.arena.words[to >>> UNIT_BITS][toWord] &= ~(HAS_EXPIRY << 24)
    this.relink(ref, to)
    this.arena.free(ref, HEADER + EXPIRY_BYTES + rest)
    return to
  }

  #position(ref: Ref): number {
    return this.arena.words[ref >>> UNIT_BITS][((ref & UNIT_MASK) << 1) + 5]
  }

  protected leaveVolatile(ref: Ref): void {
    const position = this.#position(ref)
    const last = this.#volatile[--this.volatileSize]
    this.#volatile[position] = last
    this.arena.words[last >>> UNIT_BITS][((last & UNIT_MASK) << 1) + 5] = position
  }

  /** Bytes of the list of keys with an expiry time. */
  protected get volatileBytes(): number {
    return this.#volatile.byteLength
  }

  /** A key with an expiry time, chosen at random, or 0. */
  randomVolatile(random: Random): Ref {
    return this.volatileSize === 0 ? 0 : this.#volatile[random.below(this.volatileSize)]
  }

  // ---- access clocks ----

  /** Marks an access: the LRU clock is set, or the LFU counter decays and perhaps grows. */
  touch(ref: Ref): void {
    if (this.services.noTouch === true) return
    const words = this.arena.words[ref >>> UNIT_BITS]
    const at = ((ref & UNIT_MASK) << 1) + 2
    const meta = words[at]
    words[at] = (meta & ~0xffffff) | (this.services.lfu ? this.#lfuAccess(meta & 0xffffff) : this.#lruNow())
  }

  protected freshClock(): number {
    return this.services.lfu ? (this.#minutes() << 8) | 5 : this.#lruNow()
  }

  #lruNow(): number {
    return (this.services.clock.nowMs / 1000) & 0xffffff
  }

  #minutes(): number {
    return (this.services.clock.nowMs / 60000) & 0xffff
  }

  #lfuDecayed(clock: number): number {
    const counter = clock & 255
    const decay = this.services.lfuDecayMinutes
    if (decay === 0) return counter
    const now = this.#minutes()
    const last = clock >>> 8
    const elapsed = now >= last ? now - last : 65535 - last + now
    return Math.max(0, counter - Math.floor(elapsed / decay))
  }

  #lfuAccess(clock: number): number {
    const counter = this.#lfuDecayed(clock)
    const base = Math.max(0, counter - 5)
    const grows = counter < 255 && this.services.random.unit() < 1 / (base * this.services.lfuLogFactor + 1)
    return (this.#minutes() << 8) | (grows ? counter + 1 : counter)
  }

  /** Seconds since the last access (LRU clocks). */
  idleSeconds(ref: Ref): number {
    return (this.#lruNow() - (this.metaOf(ref) & 0xffffff)) & 0xffffff
  }

  /** The access counter, decayed to now (LFU clocks). */
  frequency(ref: Ref): number {
    return this.#lfuDecayed(this.metaOf(ref) & 0xffffff)
  }

  setIdleSeconds(ref: Ref, seconds: number): void {
    this.setMeta(ref, (this.metaOf(ref) & ~0xffffff) | ((this.#lruNow() - seconds) & 0xffffff))
  }

  setFrequency(ref: Ref, frequency: number): void {
    this.setMeta(ref, (this.metaOf(ref) & ~0xffffff) | (this.#minutes() << 8) | frequency)
  }
}
