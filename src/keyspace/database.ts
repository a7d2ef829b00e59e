/**
 * One numbered database: keys with their values. What a record says besides (type, expiry, access clock, hold)
 * is the matter of `Records`, on which this stands.
 *
 * How a value is held follows from the record's flags and its encoding:
 *
 * | flags              | value word                 | value                                             |
 * |--------------------|----------------------------|---------------------------------------------------|
 * | -                  | its length                 | bytes behind the key: strings and packed values    |
 * | SIDE_VALUE         | index in the side table    | a Slice of its own (bytes) or a LargeValue         |
 * | SIDE_VALUE, LAZY   | index in the side table    | a LazyPayload: verified DUMP bytes, not decoded yet |
 *
 * Packed values (listpack, intset) are edited by writing the new bytes elsewhere and storing them with
 * `replaceBytes`; a Slice that points into the database is valid only until the next change of any key.
 */
import { STRIDE_BITS } from '../../protocol/resp/pipeline.js'
import { Slice } from '../../protocol/slice.js'
import { blockBytes, UNIT_BITS, UNIT_MASK, type Ref } from './arena.js'
import { EXPIRY_BYTES, HEADER, LAZY, Records, type RecordServices } from './records.js'
import { HAS_EXPIRY, INLINE_VALUE_MAX, SIDE_KEY, SIDE_VALUE } from './table.js'
import { isBytesEncoding, type Encoding, type LargeValue, type ValueType } from './types.js'

export type { HoldMode } from './records.js'

/** A verified DUMP payload that stands for a value nobody has looked into yet. */
export interface LazyPayload {
  /** The whole payload, footer included. */
  readonly payload: Buffer
  readonly version: number
  /** Elements of the value, when the payload tells without decoding. */
  readonly size: number
}

/** What a database needs from its surroundings. */
export interface KeyspaceServices extends RecordServices {
  readonly stats: KeyspaceStats
  /** True while keys must not expire by themselves (writes paused, a replica). */
  expiryFrozen: boolean
  /** A key was deleted because its time had come. */
  onExpired(db: Database, key: Slice): void
  /** Decodes a lazy payload into the value it stands for. */
  materialise(db: Database, type: ValueType, lazy: LazyPayload): LargeValue
}

export interface KeyspaceStats {
  hits: number
  misses: number
  expired: number
  expiredStalePercent: number
  evicted: number
}

const scratch = Slice.scratch()

export class Database extends Records {
  declare readonly services: KeyspaceServices
  /** Bytes of the values held outside the arena, roughly. */
  sideBytes = 0

  constructor(
    public index: number,
    services: KeyspaceServices,
  ) {
    super(services)
  }

  /** Finds a key for a command that reads: expires it if its time has come, counts hit or miss, touches it. */
  lookupRead(key: Slice): Ref {
    const ref = this.lookup(key)
    if (ref === 0) {
      this.services.stats.misses++
      return 0
    }
    this.services.stats.hits++
    this.touch(ref)
    return ref
  }

  /** Finds a key for a command that writes: as `lookupRead`, but counts neither hit nor miss. */
  lookupWrite(key: Slice): Ref {
    const ref = this.lookup(key)
    if (ref !== 0) this.touch(ref)
    return ref
  }

  /** Finds a key and expires it if its time has come, with no trace of the access. */
  lookup(key: Slice): Ref {
    const ref = this.find(key.buf, key.start, key.end)
    if (ref === 0) return 0
    if ((this.flagsOf(ref) & HAS_EXPIRY) !== 0 && this.isExpired(ref)) {
      if (this.services.expiryFrozen || this.holdOf(ref) !== undefined) return 0
      this.expire(key)
      return 0
    }
    return ref
  }

  /**
   * Readies what a pipeline of commands is about to ask for (see Table.lookAhead): their keys, or the elements of the
   * one key that they are all for, as the first two tell.
   */
  approach(buf: Buffer, bounds: Int32Array, count: number): void {
    if (!isOneKey(buf, bounds)) return this.lookAhead(buf, bounds, count, 1)
    const ref = this.find(buf, bounds[KEY_START], bounds[KEY_END])
    if (ref === 0 || (this.flagsOf(ref) & (SIDE_VALUE | LAZY)) !== SIDE_VALUE || isBytesEncoding(this.encodingOf(ref))) return
    ;(this.side[this.valueWord(ref)] as LargeValue).approach?.(buf, bounds, count)
  }

  isExpired(ref: Ref): boolean {
    return this.services.clock.nowMs > this.expiryOf(ref)
  }

  /** Deletes a key whose time has come and tells about it. */
  expire(key: Slice): void {
    const copy = new Slice(key.copy())
    this.delete(copy)
    this.services.stats.expired++
    this.services.onExpired(this, copy)
  }

  // ---- reading a record ----

  /** The bytes of a string or packed value: a view, valid until the next change of any key. */
  bytesOf(ref: Ref, out: Slice): Slice {
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[slab]
    const flags = words[word] >>> 24
    if ((flags & SIDE_VALUE) !== 0) {
      const own = this.side[words[word + 1]] as Slice
      return out.set(own.buf, own.start, own.end)
    }
    const at = (word << 2) + HEADER + (flags & HAS_EXPIRY) * EXPIRY_BYTES + (words[word] & 0xffffff)
    return out.set(this.arena.slabs[slab], at, at + words[word + 1], this.arena.views[slab])
  }

  /** Length of a string or packed value in bytes. */
  bytesLength(ref: Ref): number {
    return this.bytesOf(ref, scratch).length
  }

  /**
   * The Slice that owns a long byte value and may be written in place and grown (its buffer may be larger
   * than `end`), or undefined when the bytes stand in the arena.
   */
  ownBytesOf(ref: Ref): Slice | undefined {
    if ((this.flagsOf(ref) & SIDE_VALUE) === 0) return undefined
    return this.side[this.valueWord(ref)] as Slice
  }

  /** The object behind a value that is not packed. Decodes a payload that was kept as it came. */
  objectOf(ref: Ref): LargeValue {
    const index = this.valueWord(ref)
    if ((this.flagsOf(ref) & LAZY) === 0) return this.side[index] as LargeValue
    const lazy = this.side[index] as LazyPayload
    const value = this.services.materialise(this, this.typeOf(ref), lazy)
    this.settle(ref, value)
    return value
  }

  /** Puts the decoded value in the place of its payload. */
  settle(ref: Ref, value: LargeValue): void {
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    this.sideBytes -= (this.side[words[word + 1]] as LazyPayload).payload.length
    this.side[words[word + 1]] = value
    words[word] &= ~(LAZY << 24)
  }

  /** The payload of a value that nobody has looked into since RESTORE, or undefined. */
  lazyOf(ref: Ref): LazyPayload | undefined {
    return (this.flagsOf(ref) & LAZY) === 0 ? undefined : (this.side[this.valueWord(ref)] as LazyPayload)
  }

  // ---- writing ----

  /**
   * Creates a key or replaces its value by these bytes (copied; they may point into this database).
   * The expiry time goes unless `keepExpiry`. Returns the new record.
   */
  setBytes(key: Slice, type: ValueType, encoding: Encoding, value: Slice, keepExpiry = false): Ref {
    const ref = this.find(key.buf, key.start, key.end)
    if (ref === 0) return this.#insert(key, type, encoding, value, undefined)
    const cleared = keepExpiry ? ref : this.clearExpiry(ref)
    this.setMeta(cleared, (type << 28) | (encoding << 24) | this.freshClock())
    return this.replaceBytes(cleared, encoding, value)
  }

  /** Creates a key or replaces its value by an object (not a packed value). */
  setObject(key: Slice, type: ValueType, encoding: Encoding, value: LargeValue, keepExpiry = false): Ref {
    return this.#setSide(key, type, encoding, value, 0, keepExpiry)
  }

  /** Creates a key or replaces its value by bytes that it takes over (`value` must own its buffer). */
  setOwnBytes(key: Slice, type: ValueType, encoding: Encoding, value: Slice, keepExpiry = false): Ref {
    return this.#setSide(key, type, encoding, value, 0, keepExpiry)
  }

  /** Creates a key or replaces its value by a payload to be decoded when somebody needs its elements. */
  setLazy(key: Slice, type: ValueType, encoding: Encoding, lazy: LazyPayload): Ref {
    return this.#setSide(key, type, encoding, lazy, LAZY, false)
  }

  #setSide(key: Slice, type: ValueType, encoding: Encoding, value: unknown, lazy: number, keepExpiry: boolean): Ref {
    let ref = this.find(key.buf, key.start, key.end)
    if (ref === 0) return this.#insert(key, type, encoding, undefined, value, lazy)
    if (!keepExpiry) ref = this.clearExpiry(ref)
    this.setMeta(ref, (type << 28) | (encoding << 24) | this.freshClock())
    return this.#replaceSide(ref, value, lazy)
  }

  /** New bytes for an existing key; type, expiry and access clock stay. */
  replaceBytes(ref: Ref, encoding: Encoding, value: Slice): Ref {
    this.setMeta(ref, (this.metaOf(ref) & ~0x0f000000) | (encoding << 24))
    const length = value.end - value.start
    if (length > INLINE_VALUE_MAX) return this.#replaceSide(ref, new Slice(value.copy()), 0)
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[slab]
    const flags = words[word] >>> 24
    const front = HEADER + (flags & HAS_EXPIRY) * EXPIRY_BYTES + (words[word] & 0xffffff)
    const before = (flags & SIDE_VALUE) !== 0 ? front : front + words[word + 1]
    if (blockBytes(before) === blockBytes(front + length)) {
      if ((flags & SIDE_VALUE) !== 0) {
        this.#dropSide(ref)
        words[word] &= ~((SIDE_VALUE | LAZY) << 24)
      }
      words[word + 1] = length
      const bytes = this.arena.slabs[slab]
      if (value.buf === bytes) bytes.copyWithin((word << 2) + front, value.start, value.end)
      else value.copyTo(bytes, this.arena.views[slab], (word << 2) + front)
      return ref
    }
    const to = this.moveFront(ref, front, front + length)
    if ((flags & SIDE_VALUE) !== 0) this.#dropSide(to)
    const toSlab = to >>> UNIT_BITS
    const toWord = (to & UNIT_MASK) << 1
    const toWords = this.arena.words[toSlab]
    toWords[toWord] &= ~((SIDE_VALUE | LAZY) << 24)
    toWords[toWord + 1] = length
    // The old block is freed last: the new bytes may have stood in it.
    value.copyTo(this.arena.slabs[toSlab], this.arena.views[toSlab], (toWord << 2) + front)
    this.arena.free(ref, before)
    return to
  }

  /** An object as the new value of an existing key; type, expiry and access clock stay. */
  replaceObject(ref: Ref, encoding: Encoding, value: LargeValue): Ref {
    this.setMeta(ref, (this.metaOf(ref) & ~0x0f000000) | (encoding << 24))
    return this.#replaceSide(ref, value, 0)
  }

  /**
   * Hands bytes over without a copy: `value` is kept as it is (it must own its buffer). For long strings
   * only; a short one goes into the arena.
   */
  replaceOwnBytes(ref: Ref, encoding: Encoding, value: Slice): Ref {
    this.setMeta(ref, (this.metaOf(ref) & ~0x0f000000) | (encoding << 24))
    return this.#replaceSide(ref, value, 0)
  }

  /**
   * Changes the length of a byte value where it stands: the old bytes stay as far as they fit, new ones at the
   * end are undefined. A long value grows with room to spare. Type, expiry and access clock stay.
   */
  resizeBytes(ref: Ref, encoding: Encoding, length: number): Ref {
    this.setMeta(ref, (this.metaOf(ref) & ~0x0f000000) | (encoding << 24))
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[slab]
    const flags = words[word] >>> 24
    if ((flags & SIDE_VALUE) !== 0) {
      this.#resizeOwn(this.side[words[word + 1]] as Slice, length)
      return ref
    }
    const front = HEADER + (flags & HAS_EXPIRY) * EXPIRY_BYTES + (words[word] & 0xffffff)
    const before = front + words[word + 1]
    if (length > INLINE_VALUE_MAX) {
      const own = new Slice(Buffer.allocUnsafeSlow(roomyBytes(length)), 0, length)
      this.arena.slabs[slab].copy(own.buf, 0, (word << 2) + front, (word << 2) + before)
      return this.#replaceSide(ref, own, 0)
    }
    if (blockBytes(before) === blockBytes(front + length)) {
      words[word + 1] = length
      return ref
    }
    const to = this.moveFront(ref, Math.min(before, front + length), front + length)
    this.arena.words[to >>> UNIT_BITS][((to & UNIT_MASK) << 1) + 1] = length
    this.arena.free(ref, before)
    return to
  }

  #resizeOwn(own: Slice, length: number): void {
    const capacity = own.buf.length
    if (own.start + length > capacity || length * 4 < capacity) {
      const larger = Buffer.allocUnsafeSlow(roomyBytes(length))
      own.buf.copy(larger, 0, own.start, Math.min(own.end, own.start + length))
      this.sideBytes += larger.length - capacity
      own.set(larger, 0, 0)
    }
    own.end = own.start + length
  }

  #replaceSide(ref: Ref, value: unknown, lazy: number): Ref {
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    const flags = words[word] >>> 24
    let to = ref
    if ((flags & SIDE_VALUE) !== 0) this.#dropSide(ref)
    else {
      const front = HEADER + (flags & HAS_EXPIRY) * EXPIRY_BYTES + (words[word] & 0xffffff)
      const before = front + words[word + 1]
      if (blockBytes(before) !== blockBytes(front)) {
        to = this.moveFront(ref, front, front)
        this.arena.free(ref, before)
      }
    }
    const toWord = (to & UNIT_MASK) << 1
    const toWords = this.arena.words[to >>> UNIT_BITS]
    toWords[toWord] = (toWords[toWord] & ~(LAZY << 24)) | ((SIDE_VALUE | lazy) << 24)
    toWords[toWord + 1] = this.sidePut(value)
    this.sideBytes += ownBytes(value)
    return to
  }

  #insert(
    key: Slice, type: ValueType, encoding: Encoding, bytes: Slice | undefined, object: unknown, lazy = 0,
  ): Ref {
    const keyLength = key.end - key.start
    const keyRoom = this.keyBytesFor(keyLength)
    let length = bytes === undefined ? 0 : bytes.end - bytes.start
    let side = object
    if (bytes !== undefined && length > INLINE_VALUE_MAX) side = new Slice(bytes.copy())
    if (side !== undefined) length = 0
    const ref = this.arena.alloc(HEADER + keyRoom + length)
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[slab]
    const flags = (keyRoom !== keyLength ? SIDE_KEY : 0) | (side !== undefined ? SIDE_VALUE | lazy : 0)
    words[word] = keyRoom | (flags << 24)
    words[word + 1] = side !== undefined ? this.sidePut(side) : length
    words[word + 2] = (type << 28) | (encoding << 24) | this.freshClock()
    this.writeKey(ref, (word << 2) + HEADER, key)
    if (side !== undefined) this.sideBytes += ownBytes(side)
    else if (bytes !== undefined) bytes.copyTo(this.arena.slabs[slab], this.arena.views[slab], (word << 2) + HEADER + keyRoom)
    this.link(ref)
    return ref
  }

  /** Deletes a key. False when it was not there. The slice may point into this database. */
  delete(key: Slice): boolean {
    const ref = this.find(key.buf, key.start, key.end)
    if (ref === 0) return false
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    const flags = words[word] >>> 24
    const front = HEADER + (flags & HAS_EXPIRY) * EXPIRY_BYTES + (words[word] & 0xffffff)
    const bytes = (flags & SIDE_VALUE) !== 0 ? front : front + words[word + 1]
    if ((flags & HAS_EXPIRY) !== 0) this.leaveVolatile(ref)
    if ((flags & SIDE_VALUE) !== 0) this.#dropSide(ref)
    this.unlink()
    this.freeRecord(ref, bytes)
    return true
  }

  /**
   * Gives a key another name, or moves it to another database; what is there under that name is replaced.
   * The expiry time goes with it. Values held outside the arena change hands without a copy. The slices may
   * not point into either database; the key must exist.
   */
  moveKey(key: Slice, target: Database, name: Slice): Ref {
    const ref = this.findKey(key)
    const expiry = this.exactExpiryOf(ref)
    const to = this.#handOver(ref, target, name, false)
    const moved = expiry === undefined ? to : target.setExpiry(to, expiry)
    this.delete(key)
    // Deleting never moves a record, so the ref is still good.
    return moved
  }

  /** As `moveKey`, but the source keeps its key and the target gets a deep copy. */
  copyKey(key: Slice, target: Database, name: Slice): Ref {
    const ref = this.findKey(key)
    const expiry = this.exactExpiryOf(ref)
    const to = this.#handOver(ref, target, name, true)
    return expiry === undefined ? to : target.setExpiry(to, expiry)
  }

  #handOver(ref: Ref, target: Database, name: Slice, copy: boolean): Ref {
    const type = this.typeOf(ref)
    const encoding = this.encodingOf(ref)
    const flags = this.flagsOf(ref)
    if ((flags & SIDE_VALUE) === 0) return target.setBytes(name, type, encoding, this.bytesOf(ref, scratch))
    const value = this.side[this.valueWord(ref)]
    if ((flags & LAZY) !== 0) return target.#setSide(name, type, encoding, value, LAZY, false)
    if (!copy) return target.#setSide(name, type, encoding, value, 0, false)
    if (value instanceof Slice) return target.setBytes(name, type, encoding, value)
    return target.#setSide(name, type, encoding, (value as LargeValue).clone(), 0, false)
  }

  /** Drops everything at once: the arena goes as a whole. */
  clear(): void {
    const empty = new Database(this.index, this.services)
    this.takeFrom(empty)
  }

  /** Becomes the other database's content, and the other becomes this one's (SWAPDB, FLUSHALL). */
  takeFrom(other: Database): void {
    this.swapRecords(other)
    ;[this.sideBytes, other.sideBytes] = [other.sideBytes, this.sideBytes]
  }

  #dropSide(ref: Ref): void {
    const index = this.valueWord(ref)
    this.sideBytes -= ownBytes(this.side[index])
    this.sideDrop(index)
  }

  /** Bytes of the record and its value, for MEMORY USAGE. */
  recordBytes(ref: Ref): number {
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    const flags = words[word] >>> 24
    const front = HEADER + (flags & HAS_EXPIRY) * EXPIRY_BYTES + (words[word] & 0xffffff)
    if ((flags & SIDE_VALUE) === 0) return blockBytes(front + words[word + 1]) + 8
    const value = this.side[words[word + 1]]
    const bytes = (flags & LAZY) === 0 && !isBytesEncoding(this.encodingOf(ref))
      ? (value as LargeValue).bytes : ownBytes(value)
    return blockBytes(front) + 8 + bytes
  }

  /** Bytes taken from the system for keys and values: those in use, and those that stand by. */
  get reservedBytes(): number {
    return this.arena.reservedBytes + this.slotBytes + this.sideBytes + this.volatileBytes
  }

  /** Bytes of all keys and values that are in use. */
  get usedBytes(): number {
    return this.arena.usedBytes + this.slotBytes + this.sideBytes + this.volatileBytes
  }
}

/** Where `bounds` has the key of the first command. */
const KEY_START = 4
const KEY_END = 5
const STRIDE = 1 << STRIDE_BITS

/** Whether the first two of several commands name the same key. */
function isOneKey(buf: Buffer, bounds: Int32Array): boolean {
  if (bounds[0] < 2 || bounds[STRIDE] < 2) return false
  const end = bounds[KEY_END]
  let j = bounds[STRIDE + KEY_START]
  if (bounds[STRIDE + KEY_END] - j !== end - bounds[KEY_START]) return false
  for (let i = bounds[KEY_START]; i < end; i++, j++) if (buf[i] !== buf[j]) return false
  return true
}

/** What a long value that has just grown is given: twice its length, at most 1 MB more. */
function roomyBytes(length: number): number {
  return length + Math.min(length, 1 << 20)
}

/** Bytes of a side value that do not change behind the database's back. */
function ownBytes(value: unknown): number {
  if (value instanceof Slice) return value.buf.length
  const lazy = value as Partial<LazyPayload>
  return lazy.payload === undefined ? 0 : lazy.payload.length
}
