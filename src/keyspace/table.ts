/**
 * The hash table under everything that is found by a key of bytes: the keyspace itself, and the fields of a
 * large hash, the members of a large set or sorted set.
 *
 * Open addressing with linear probing over one Int32Array of (hash, ref) pairs; the records live in an
 * arena. Nothing in it is a JavaScript object, so the collector never walks a key.
 *
 *     slots   [ hash | ref ] [ hash | ref ] ...         ref 0: free     ref -1: moved away (old table only)
 *     record  [ keyBytes 24 bits, flags 8 bits | value word | ...header... | key | value ]
 *
 * Invariants
 * - At most 4/5 of the slots are taken. A table that fills up doubles *incrementally*: the old slots stay
 *   beside the new ones and every insertion (and the server's idle time) moves a few, so no call ever pays
 *   for the whole table. A lookup asks both.
 * - Deleting shifts the rest of the probe run back: the new table has no tombstones. The old one, which
 *   only ever drains, marks what left.
 * - `scan` walks home buckets with a reversed-binary cursor, as Redis does: what is in the table from the
 *   first call to the last is returned at least once, however the table grows or shrinks in between.
 */
import type { Random } from '../random.js'
import { COMMANDS_MAX, STRIDE_BITS } from '../../protocol/resp/pipeline.js'
import type { Slice } from '../../protocol/slice.js'
import { Arena, UNIT_BITS, UNIT_MASK, type Ref } from './arena.js'

/** Record flags, the upper byte of the first word. The lowest bit adds 12 header bytes (expiry). */
export const HAS_EXPIRY = 1
export const SIDE_KEY = 2
export const SIDE_VALUE = 4

/** Longer keys and values are Buffers of their own, named by an index in the record. */
export const INLINE_KEY_MAX = 4096
export const INLINE_VALUE_MAX = 16384

const MOVED = -1
const SLOTS_MIN = 8
const MOVE_PER_INSERT = 16

let seed = 0x9e3779b1

/** Fixes the hash seed (tests that want the same table order in every run). */
export function seedHash(value: number): void {
  seed = value | 0
}

/** The key last hashed as 32-bit words, when it is short: it is compared with the records as words. */
const probe = new Int32Array(16)
const PROBE_BYTES_MAX = 64
/** Which bytes of a last word of 0 to 3 bytes count. */
const TAIL_MASKS = new Int32Array([0, 0xff, 0xffff, 0xffffff])

/** What `lookAhead` knows of each key. */
const hashes = new Int32Array(COMMANDS_MAX)
const refs = new Int32Array(COMMANDS_MAX)
/** 32-bit words in a line of the processor's cache. */
const LINE_WORDS = 16

/** 32-bit hash of bytes, four at a time, seeded per process so that nobody can aim at one bucket. */
export function hashBytes(buf: Buffer, start: number, end: number): number {
  let h = seed ^ (end - start)
  let i = start
  let word = 0
  for (const last = end - 3; i < last; i += 4) {
    const k = buf[i] | (buf[i + 1] << 8) | (buf[i + 2] << 16) | (buf[i + 3] << 24)
    if (word < 16) probe[word++] = k
    h = Math.imul(h ^ k, 0xcc9e2d51)
    h = (h << 15) | (h >>> 17)
  }
  if (i < end) {
    let k = buf[i]
    if (i + 1 < end) k |= buf[i + 1] << 8
    if (i + 2 < end) k |= buf[i + 2] << 16
    if (word < 16) probe[word] = k
    h = Math.imul(h ^ k, 0x1b873593)
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

export class Table {
  arena: Arena
  /** How many records there are. */
  size = 0
  /** Where the last successful `find` looked, and the hash of the last key asked for. */
  protected foundAt = 0
  protected foundIn: Int32Array
  protected lastHash = 0
  protected slots: Int32Array
  protected mask: number
  protected oldSlots: Int32Array | null = null
  protected oldMask = 0
  #moveAt = 0
  /** Buffers of keys and values too long for the arena, and their free places. */
  protected side: unknown[] = []
  #sideFree: number[] = []

  /** `headerBytes`: what stands before the key in a record without expiry (8 or 12). */
  constructor(
    readonly headerBytes: number,
    arena: Arena = new Arena(),
  ) {
    this.arena = arena
    this.slots = new Int32Array(SLOTS_MIN * 2)
    this.foundIn = this.slots
    this.mask = SLOTS_MIN - 1
  }

  /** The record of this key, or 0. */
  find(buf: Buffer, start: number, end: number): Ref {
    const h = hashBytes(buf, start, end)
    this.lastHash = h
    const ref = this.#probe(this.slots, this.mask, h, buf, start, end)
    if (ref !== 0 || this.oldSlots === null) return ref
    return this.#probe(this.oldSlots, this.oldMask, h, buf, start, end)
  }

  /**
   * Looks at the slots and records of keys that are about to be asked for: `bounds` as a Pipeline has them, and which
   * word of each command is the key. Each look is a wait for memory, and the waits of one loop overlap, as those of the commands
   * themselves would not. It changes nothing, and may look in vain.
   */
  protected lookAhead(buf: Buffer, bounds: Int32Array, count: number, word: number): void {
    const { slots, mask } = this
    const wrap = (mask << 1) | 1
    const slabs = this.arena.words
    for (let i = 0; i < count; i++) {
      const at = i << STRIDE_BITS
      const key = at + 2 + 2 * word
      hashes[i] = bounds[at] > word ? hashBytes(buf, bounds[key], bounds[key + 1]) : 0
    }
    let seen = 0
    for (let i = 0; i < count; i++) seen ^= slots[(hashes[i] & mask) << 1]
    for (let i = 0; i < count; i++) {
      const h = hashes[i]
      let at = (h & mask) << 1
      while (slots[at] !== h && slots[at + 1] !== 0) at = (at + 2) & wrap
      refs[i] = slots[at + 1]
    }
    for (let i = 0; i < count; i++) {
      const ref = refs[i]
      if (ref === 0 || ref === MOVED) continue
      const words = slabs[ref >>> UNIT_BITS]
      const at = (ref & UNIT_MASK) << 1
      const last = words.length - 1
      seen ^= words[at] ^ words[Math.min(at + LINE_WORDS, last)] ^ words[Math.min(at + 2 * LINE_WORDS, last)]
    }
    this.lookSum = seen
  }

  /** Only there so that the looks of `lookAhead` are not left out by a compiler that sees no use in them. */
  protected lookSum = 0

  /** `find` for a key held by a Slice. */
  findKey(key: Slice): Ref {
    return this.find(key.buf, key.start, key.end)
  }

  #probe(slots: Int32Array, mask: number, h: number, buf: Buffer, start: number, end: number): Ref {
    let at = (h & mask) << 1
    const wrap = (mask << 1) | 1
    for (;;) {
      const ref = slots[at + 1]
      if (ref === 0) return 0
      if (slots[at] === h && ref !== MOVED && this.#keyIs(ref, buf, start, end)) {
        this.foundAt = at
        this.foundIn = slots
        return ref >>> 0
      }
      at = (at + 2) & wrap
    }
  }

  #keyIs(ref: number, buf: Buffer, start: number, end: number): boolean {
    const slab = ref >>> UNIT_BITS
    const unit = ref & UNIT_MASK
    const word = this.arena.words[slab][unit << 1]
    const flags = word >>> 24
    if ((flags & SIDE_KEY) !== 0) {
      const key = this.side[this.#sideKey(ref)] as Buffer
      return key.length === end - start && key.compare(buf, start, end) === 0
    }
    const length = end - start
    if ((word & 0xffffff) !== length) return false
    const at = (unit << 3) + this.headerBytes + (flags & HAS_EXPIRY) * 12
    // `find` has just hashed the key, so its words stand in `probe`; keys begin at multiples of four.
    if (length > PROBE_BYTES_MAX) return this.arena.slabs[slab].compare(buf, start, end, at, at + length) === 0
    const words = this.arena.words[slab]
    const first = at >>> 2
    const whole = length >>> 2
    for (let i = 0; i < whole; i++) if (words[first + i] !== probe[i]) return false
    const mask = TAIL_MASKS[length & 3]
    return mask === 0 || (words[first + whole] & mask) === probe[whole]
  }

  /** Byte offset of the record's key within its slab. */
  protected keyOffset(ref: Ref): number {
    const unit = ref & UNIT_MASK
    return (unit << 3) + this.headerBytes + (((this.arena.words[ref >>> UNIT_BITS][unit << 1] >>> 24) & HAS_EXPIRY) * 12)
  }

  /** The key as a view that is valid until the table changes. */
  keyAt(ref: Ref, out: Slice): Slice {
    const slab = ref >>> UNIT_BITS
    const word = this.arena.words[slab][(ref & UNIT_MASK) << 1]
    if (((word >>> 24) & SIDE_KEY) !== 0) {
      const key = this.side[this.#sideKey(ref)] as Buffer
      return out.set(key, 0, key.length)
    }
    const at = this.keyOffset(ref)
    return out.set(this.arena.slabs[slab], at, at + (word & 0xffffff), this.arena.views[slab])
  }

  #sideKey(ref: number): number {
    return this.arena.slabs[ref >>> UNIT_BITS].readUInt32LE(this.keyOffset(ref))
  }

  protected flagsOf(ref: Ref): number {
    return this.arena.words[ref >>> UNIT_BITS][(ref & UNIT_MASK) << 1] >>> 24
  }

  /** Bytes the key takes inside the record. */
  protected keyRoom(ref: Ref): number {
    return this.arena.words[ref >>> UNIT_BITS][(ref & UNIT_MASK) << 1] & 0xffffff
  }

  protected sidePut(item: unknown): number {
    const index = this.#sideFree.pop()
    if (index === undefined) return this.side.push(item) - 1
    this.side[index] = item
    return index
  }

  protected sideDrop(index: number): void {
    this.side[index] = undefined
    this.#sideFree.push(index)
  }

  /** Frees a record's block and its long key; the caller has dropped its value and its slot. */
  protected freeRecord(ref: Ref, bytes: number): void {
    if ((this.flagsOf(ref) & SIDE_KEY) !== 0) this.sideDrop(this.#sideKey(ref))
    this.arena.free(ref, bytes)
  }

  /** Writes the key into a new record: inline, or as the index of a Buffer of its own. Returns its room. */
  protected keyBytesFor(length: number): number {
    return length > INLINE_KEY_MAX ? 4 : length
  }

  protected writeKey(ref: Ref, offset: number, key: Slice): void {
    const slab = ref >>> UNIT_BITS
    const bytes = this.arena.slabs[slab]
    if (key.end - key.start > INLINE_KEY_MAX) bytes.writeUInt32LE(this.sidePut(key.copy()), offset)
    else key.copyTo(bytes, this.arena.views[slab], offset)
  }

  /** Adds a record that `find` has just missed (the hash of that call is used). */
  protected link(ref: Ref): void {
    if (this.oldSlots !== null) this.move(MOVE_PER_INSERT)
    if ((this.size + 1) * 5 > (this.mask + 1) * 4) {
      if (this.oldSlots !== null) this.move(this.oldMask + 1)
      this.#resize((this.mask + 1) * 2)
    }
    this.#place(this.slots, this.mask, this.lastHash, ref | 0)
    this.size++
  }

  #place(slots: Int32Array, mask: number, h: number, ref: number): void {
    let at = (h & mask) << 1
    const wrap = (mask << 1) | 1
    while (slots[at + 1] !== 0) at = (at + 2) & wrap
    slots[at] = h
    slots[at + 1] = ref
  }

  /** The record just found has moved within the arena. */
  protected relink(from: Ref, to: Ref): void {
    if (this.foundIn[this.foundAt + 1] !== (from | 0)) throw new Error('relink without a find before it')
    this.foundIn[this.foundAt + 1] = to | 0
  }

  /** Takes the record just found out of the table. */
  protected unlink(): void {
    this.size--
    if (this.foundIn === this.oldSlots) {
      this.oldSlots[this.foundAt + 1] = MOVED
      return
    }
    const slots = this.slots
    const wrap = (this.mask << 1) | 1
    let hole = this.foundAt
    let at = (hole + 2) & wrap
    while (slots[at + 1] !== 0) {
      const home = (slots[at] & this.mask) << 1
      // The entry may fill the hole unless its home lies (cyclically) after the hole.
      if (((at - home) & wrap) >= ((at - hole) & wrap)) {
        slots[hole] = slots[at]
        slots[hole + 1] = slots[at + 1]
        hole = at
      }
      at = (at + 2) & wrap
    }
    slots[hole] = 0
    slots[hole + 1] = 0
    if (this.oldSlots === null && this.#isSparse) this.shrink()
  }

  /** Starts moving to a table that fits what is left. */
  protected shrink(): void {
    let capacity = SLOTS_MIN
    while (this.size * 2 >= capacity) capacity *= 2
    if (capacity <= this.mask) this.#resize(capacity)
  }

  #resize(capacity: number): void {
    this.oldSlots = this.slots
    this.oldMask = this.mask
    this.#moveAt = 0
    this.slots = new Int32Array(capacity * 2)
    this.mask = capacity - 1
    if (this.oldMask < 64) this.move(this.oldMask + 1)
  }

  /** Moves up to `count` slots of a table that is being resized. False when there is nothing to move. */
  move(count: number): boolean {
    const old = this.oldSlots
    if (old === null) return false
    const end = Math.min(this.#moveAt + count, this.oldMask + 1)
    for (let i = this.#moveAt; i < end; i++) {
      const ref = old[i * 2 + 1]
      if (ref === 0 || ref === MOVED) continue
      this.#place(this.slots, this.mask, old[i * 2], ref)
      old[i * 2 + 1] = MOVED
    }
    this.#moveAt = end
    if (end <= this.oldMask) return true
    this.oldSlots = null
    // What was deleted meanwhile may leave the new table nearly empty.
    if (this.#isSparse) this.shrink()
    return this.oldSlots !== null
  }

  get #isSparse(): boolean {
    return this.mask >= SLOTS_MIN * 2 && this.size * 10 < this.mask
  }

  /** Exchanges the content of two tables. */
  protected swapTable(other: Table): void {
    ;[this.arena, other.arena] = [other.arena, this.arena]
    ;[this.size, other.size] = [other.size, this.size]
    ;[this.slots, other.slots] = [other.slots, this.slots]
    ;[this.mask, other.mask] = [other.mask, this.mask]
    ;[this.oldSlots, other.oldSlots] = [other.oldSlots, this.oldSlots]
    ;[this.oldMask, other.oldMask] = [other.oldMask, this.oldMask]
    ;[this.#moveAt, other.#moveAt] = [other.#moveAt, this.#moveAt]
    ;[this.side, other.side] = [other.side, this.side]
    ;[this.#sideFree, other.#sideFree] = [other.#sideFree, this.#sideFree]
    this.foundIn = this.slots
    other.foundIn = other.slots
    this.foundAt = 0
    other.foundAt = 0
  }

  /** Bytes of the slot arrays. */
  get slotBytes(): number {
    return this.slots.byteLength + (this.oldSlots === null ? 0 : this.oldSlots.byteLength)
  }

  /** Number of slots, and of those of a table still being moved out of. */
  get capacity(): number {
    return this.mask + 1
  }

  /**
   * Visits the records of one home bucket (and of its counterparts in a table being resized) and returns
   * the next cursor; 0 when the walk is complete. Start with cursor 0. `visit` must not change the table.
   */
  scanStep(cursor: number, visit: (ref: Ref) => void): number {
    if (this.oldSlots === null) {
      this.#visitBucket(this.slots, this.mask, cursor & this.mask, visit)
      return nextCursor(cursor, this.mask)
    }
    const oldIsSmall = this.oldMask <= this.mask
    const small = oldIsSmall ? this.oldSlots : this.slots
    const smallMask = oldIsSmall ? this.oldMask : this.mask
    const large = oldIsSmall ? this.slots : this.oldSlots
    const largeMask = oldIsSmall ? this.mask : this.oldMask
    this.#visitBucket(small, smallMask, cursor & smallMask, visit)
    let at = cursor
    do {
      this.#visitBucket(large, largeMask, at & largeMask, visit)
      at = nextCursor(at, largeMask)
    } while ((at & (smallMask ^ largeMask)) !== 0)
    return at
  }

  #visitBucket(slots: Int32Array, mask: number, bucket: number, visit: (ref: Ref) => void): void {
    let at = bucket << 1
    const wrap = (mask << 1) | 1
    for (let steps = 0; steps <= mask; steps++) {
      const ref = slots[at + 1]
      if (ref === 0) return
      if (ref !== MOVED && (slots[at] & mask) === bucket) visit(ref >>> 0)
      at = (at + 2) & wrap
    }
  }

  /** Every record once, in table order. `visit` must not change the table; returning false ends the walk. */
  forEach(visit: (ref: Ref) => boolean | void): void {
    for (const slots of this.oldSlots === null ? [this.slots] : [this.oldSlots, this.slots]) {
      for (let at = 1; at < slots.length; at += 2) {
        const ref = slots[at]
        if (ref !== 0 && ref !== MOVED && visit(ref >>> 0) === false) return
      }
    }
  }

  /** How many positions `refAtPosition` has; stable while the table does not change. */
  get positions(): number {
    return (this.slots.length + (this.oldSlots === null ? 0 : this.oldSlots.length)) / 2
  }

  /** The record at a slot position, or 0 where the slot is free: for walking a table in slices. */
  refAtPosition(position: number): Ref {
    const old = this.oldSlots
    let at = position * 2 + 1
    let ref: number
    if (old !== null && at < old.length) ref = old[at]
    else {
      if (old !== null) at -= old.length
      ref = this.slots[at]
    }
    return ref === MOVED ? 0 : ref >>> 0
  }

  /** A record chosen with (nearly) equal chance, or 0 when there is none. */
  randomRef(random: Random): Ref {
    if (this.size === 0) return 0
    const positions = this.positions
    for (;;) {
      const ref = this.refAtPosition(random.below(positions))
      if (ref !== 0) return ref
    }
  }
}

/** Increments a cursor from its highest bit down, within the table's mask. */
function nextCursor(cursor: number, mask: number): number {
  let v = (cursor | ~mask) >>> 0
  v = reverseBits(v)
  v = (v + 1) >>> 0
  return reverseBits(v)
}

function reverseBits(value: number): number {
  let v = value
  v = ((v >>> 1) & 0x55555555) | ((v & 0x55555555) << 1)
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2)
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4)
  v = ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8)
  return ((v >>> 16) | (v << 16)) >>> 0
}
