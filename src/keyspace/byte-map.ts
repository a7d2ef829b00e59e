/**
 * A table of its own with an arena of its own: field -> value for a large hash, member -> score bytes for a
 * sorted set, member -> nothing for a set. Dropping the object frees everything at once.
 *
 *     record  [ keyBytes | flags ][ valueBytes or side index ][ key ][ value ]
 */
import { stringLength } from '../../protocol/rdb/string.js'
import { Slice } from '../../protocol/slice.js'
import { blockBytes, UNIT_BITS, UNIT_MASK, type Ref } from './arena.js'
import { INLINE_VALUE_MAX, SIDE_KEY, SIDE_VALUE, Table } from './table.js'

/** A value before it is overwritten or deleted. */
const before = Slice.scratch()

export class ByteMap extends Table {
  /**
   * What all keys take as RDB strings, and all values if they count: RESTORE announces the length of its payload,
   * and to read a million elements for that would take as long as to send them.
   */
  rdbBytes = 0

  /** `valuesCount`: in `rdbBytes`. Such values are only changed by `set`. */
  constructor(readonly valuesCount = false) {
    super(8)
  }

  /** Bytes this map occupies. */
  get bytes(): number {
    return this.arena.reservedBytes + this.slotBytes
  }

  /** The value as a view that is valid until the map changes. */
  valueAt(ref: Ref, out: Slice): Slice {
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const length = this.arena.words[slab][word + 1]
    if ((this.flagsOf(ref) & SIDE_VALUE) !== 0) {
      const value = this.side[length] as Buffer
      return out.set(value, 0, value.length)
    }
    const at = (word << 2) + 8 + this.keyRoom(ref)
    return out.set(this.arena.slabs[slab], at, at + length, this.arena.views[slab])
  }

  /** Readies the fields that are word `word` of each of these commands; see Table.lookAhead. */
  approach(buf: Buffer, bounds: Int32Array, count: number, word: number): void {
    this.lookAhead(buf, bounds, count, word)
  }

  /** Sets a field. True when it is new. The slices may not point into this map. */
  set(key: Slice, value: Slice): boolean {
    const ref = this.find(key.buf, key.start, key.end)
    if (ref !== 0) {
      this.#overwrite(ref, value)
      return false
    }
    this.#insert(key, value)
    return true
  }

  /** Adds a key that is known to be absent (its `find` must be the call before this one). */
  #insert(key: Slice, value: Slice): Ref {
    const keyRoom = this.keyBytesFor(key.end - key.start)
    const length = value.end - value.start
    const aside = length > INLINE_VALUE_MAX
    const ref = this.arena.alloc(8 + keyRoom + (aside ? 0 : length))
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[slab]
    words[word] = keyRoom | ((keyRoom !== key.end - key.start ? SIDE_KEY : 0) | (aside ? SIDE_VALUE : 0)) << 24
    words[word + 1] = aside ? this.sidePut(value.copy()) : length
    this.writeKey(ref, (word << 2) + 8, key)
    if (!aside) value.copyTo(this.arena.slabs[slab], this.arena.views[slab], (word << 2) + 8 + keyRoom)
    this.link(ref)
    this.rdbBytes += stringLength(key) + (this.valuesCount ? stringLength(value) : 0)
    return ref
  }

  /** Finds the key or adds it with this value; `added` tells which happened. */
  findOrAdd(key: Slice, value: Slice): Ref {
    const ref = this.find(key.buf, key.start, key.end)
    this.added = ref === 0
    return ref !== 0 ? ref : this.#insert(key, value)
  }

  added = false

  #overwrite(ref: Ref, value: Slice): void {
    const longer = this.valuesCount ? stringLength(value) - stringLength(this.valueAt(ref, before)) : 0
    const slab = ref >>> UNIT_BITS
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[slab]
    const keyRoom = words[word] & 0xffffff
    const flags = words[word] >>> 24
    const length = value.end - value.start
    const room = 8 + keyRoom + ((flags & SIDE_VALUE) !== 0 ? 0 : words[word + 1])
    if ((flags & SIDE_VALUE) !== 0) this.sideDrop(words[word + 1])
    const aside = length > INLINE_VALUE_MAX
    const after = 8 + keyRoom + (aside ? 0 : length)
    let to = ref
    if (blockBytes(room) !== blockBytes(after)) {
      to = this.arena.alloc(after)
      const from = this.arena.slabs[slab]
      from.copy(this.arena.slabs[to >>> UNIT_BITS], (to & UNIT_MASK) << 3, word << 2, (word << 2) + 8 + keyRoom)
      this.arena.free(ref, room)
      this.relink(ref, to)
    }
    const toSlab = to >>> UNIT_BITS
    const toWord = (to & UNIT_MASK) << 1
    const toWords = this.arena.words[toSlab]
    toWords[toWord] = keyRoom | ((flags & SIDE_KEY) | (aside ? SIDE_VALUE : 0)) << 24
    toWords[toWord + 1] = aside ? this.sidePut(value.copy()) : length
    if (!aside) value.copyTo(this.arena.slabs[toSlab], this.arena.views[toSlab], (toWord << 2) + 8 + keyRoom)
    this.rdbBytes += longer
  }

  /** Removes a key. False when it was not there. */
  delete(key: Slice): boolean {
    const ref = this.find(key.buf, key.start, key.end)
    if (ref === 0) return false
    this.rdbBytes -= stringLength(key) + (this.valuesCount ? stringLength(this.valueAt(ref, before)) : 0)
    const word = (ref & UNIT_MASK) << 1
    const words = this.arena.words[ref >>> UNIT_BITS]
    const flags = words[word] >>> 24
    const aside = (flags & SIDE_VALUE) !== 0
    if (aside) this.sideDrop(words[word + 1])
    const bytes = 8 + (words[word] & 0xffffff) + (aside ? 0 : words[word + 1])
    this.unlink()
    this.freeRecord(ref, bytes)
    return true
  }
}
