/**
 * Sets: members without values.
 *
 *     intset      sorted integers of 2, 4 or 8 bytes; while all members are integers
 *     listpack    members in order of insertion
 *     hashtable   a LargeSet: a table with an arena of its own
 *
 *        new set --integer first--> intset --other member, few enough--> listpack
 *           |                         |                                     |
 *           |                         `-- too many, or too long ---.        | too many, or too long
 *           |--few arguments, other first--> listpack              v        v
 *           `--many arguments, other first----------------------> hashtable
 *
 * Limits: `set-max-intset-entries`, `set-max-listpack-entries`, `set-max-listpack-value`. No arrow goes back,
 * except that SINTERSTORE packs a result of integers only, and SPOP builds the few it leaves anew.
 *
 * Reading: `setSize`, `setHas` and `SetWalk` take a record as it is. Writing: a `SetEdit` is opened on a
 * record (or on none), changed, and committed under a key once. Slices that come out of either are valid
 * until the next change of the set, or of any key for a packed one.
 */
import {
  INTSET_HEADER, intsetAdd, intsetAt, intsetBytesWith, intsetContains, intsetCount, intsetEmpty, intsetGet, intsetParse,
  intsetRemove, intsetSearch, intsetWrite, type Integer,
} from '../../protocol/rdb/intset.js'
import {
  LP_EMPTY_BYTES, LP_HEADER, lpAppend, lpCount, lpDelete, lpEmpty, lpEncodedSize, lpFind, lpFinish, lpGet, lpIsEnd,
  lpNext, lpSeek, lpWriteInt64, lpWriteInteger,
} from '../../protocol/rdb/listpack.js'
import { scratch, Slice } from '../../protocol/slice.js'
import type { Random } from '../random.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { PackedDraft, replacePacked } from './packed.js'
import { ElementPositions } from './sample.js'
import { ByteMap } from './byte-map.js'
import { HASHTABLE, INTSET, LISTPACK, SET, type LargeValue } from './types.js'

/** The directives that decide how a set is held; a Config has them. */
export interface SetLimits {
  readonly setMaxIntsetEntries: number
  readonly setMaxListpackEntries: number
  readonly setMaxListpackValue: number
}

export type SetEncoding = typeof INTSET | typeof LISTPACK | typeof HASHTABLE

/** No listpack and no intset grows beyond these, whatever the directives say. */
const LISTPACK_BYTES_MAX = 1 << 30
const INTSET_ENTRIES_MAX = 1 << 30
/** Slots moved per deletion while the table is being resized, so that one that only shrinks drains too. */
const MOVE_PER_DELETE = 16
/** An integer's listpack element at its longest. */
const LISTPACK_INTEGER_BYTES = 10

const NOTHING = new Slice()

/** A set too large to be packed. */
export class LargeSet implements LargeValue {
  readonly members = new ByteMap()

  get size(): number {
    return this.members.size
  }

  get bytes(): number {
    return this.members.bytes
  }

  /** Adds a member. True when it is new. */
  add(member: Slice): boolean {
    return this.members.set(member, NOTHING)
  }

  /** Removes a member. False when it was not there. */
  delete(member: Slice): boolean {
    if (!this.members.delete(member)) return false
    this.members.move(MOVE_PER_DELETE)
    return true
  }

  clone(): LargeSet {
    const copy = new LargeSet()
    this.members.forEach((ref) => {
      copy.add(this.members.keyAt(ref, memberOut))
    })
    return copy
  }
}

const INTEGER_TEXT_BYTES = 24
const memberOut = Slice.scratch()
const memberText = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
const packed = Slice.scratch()
const NO_MEMBERS = new ByteMap()

// ------------------------------------------------------------------------------------------------ reading

/** The table of a set in that encoding. */
export function largeSetOf(db: Database, ref: Ref): LargeSet {
  return db.objectOf(ref) as LargeSet
}

/** Number of members of the set at this record. A payload kept as it came is not decoded for it. */
export function setSize(db: Database, ref: Ref): number {
  const encoding = db.encodingOf(ref)
  if (encoding === HASHTABLE) return db.lazyOf(ref)?.size ?? largeSetOf(db, ref).size
  return packedSize(encoding, db.bytesOf(ref, packed))
}

function packedSize(encoding: number, bytes: Slice): number {
  return encoding === INTSET ? intsetCount(bytes.buf, bytes.start) : lpCount(bytes.buf, bytes.start)
}

/** Whether the set at this record has the member. */
export function setHas(db: Database, ref: Ref, member: Slice): boolean {
  const encoding = db.encodingOf(ref)
  if (encoding === HASHTABLE) return largeSetOf(db, ref).members.findKey(member) !== 0
  return packedHas(encoding, db.bytesOf(ref, packed), member)
}

function packedHas(encoding: number, bytes: Slice, member: Slice): boolean {
  if (encoding === LISTPACK) return lpFind(bytes.buf, bytes.start, bytes.end, member, 0) >= 0
  const value = intsetParse(member)
  return value !== undefined && intsetContains(bytes.buf, bytes.start, value)
}

/** Points `out` at a member chosen with equal chance. The set must have one. */
export function setRandom(db: Database, ref: Ref, random: Random, out: Slice): Slice {
  const encoding = db.encodingOf(ref)
  if (encoding === HASHTABLE) {
    const members = largeSetOf(db, ref).members
    return members.keyAt(members.randomRef(random), out)
  }
  const bytes = db.bytesOf(ref, packed)
  const index = random.below(packedSize(encoding, bytes))
  if (encoding === INTSET) return intsetGet(bytes.buf, bytes.start, index, out, memberText)
  return lpGet(bytes.buf, lpSeek(bytes.buf, bytes.start, bytes.end, index), out, memberText)
}

/**
 * Draws members with repetition, all equally likely: `draw.start(db, ref); draw.next(random)`, any number of
 * times. The set must have a member and must not change meanwhile.
 */
export class SetDraw {
  readonly #bytes = new Slice()
  readonly #positions = new ElementPositions()
  readonly #member = new Slice()
  #members: ByteMap | undefined
  #isIntset = false

  start(db: Database, ref: Ref): void {
    const encoding = db.encodingOf(ref)
    this.#members = encoding === HASHTABLE ? largeSetOf(db, ref).members : undefined
    this.#isIntset = encoding === INTSET
    if (encoding === HASHTABLE) return
    const bytes = db.bytesOf(ref, this.#bytes)
    if (encoding === LISTPACK) this.#positions.read(bytes, 1)
  }

  /** A member, good until the next one. */
  next(random: Random): Slice {
    const { buf, start } = this.#bytes
    if (this.#members !== undefined) return this.#members.keyAt(this.#members.randomRef(random), this.#member)
    if (this.#isIntset) return intsetGet(buf, start, random.below(intsetCount(buf, start)), this.#member, memberText)
    return lpGet(buf, this.#positions.draw(random), this.#member, memberText)
  }

  /** Lets the set go. */
  close(): void {
    this.#members = undefined
  }

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.close()
    for (const slice of [this.#member, this.#bytes]) slice.forget()
  }
}

/**
 * Walks the members of a set: `walk.start(db, ref); while (walk.next()) use(walk.member)`. Integers of an
 * intset come ascending, members of a listpack in order of insertion. The set must not change meanwhile. Record 0 has no
 * members.
 */
export class SetWalk {
  readonly member = new Slice()
  readonly #bytes = new Slice()
  readonly #text = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
  #members = NO_MEMBERS
  #encoding: SetEncoding = HASHTABLE
  #at = 0
  #end = 0

  /** Begins with the first member of the set at this record. Returns the number of members. */
  start(db: Database, ref: Ref): number {
    if (ref === 0) return this.startTable(NO_MEMBERS)
    const encoding = db.encodingOf(ref) as SetEncoding
    if (encoding === HASHTABLE) return this.startTable(largeSetOf(db, ref).members)
    return this.startPacked(encoding, db.bytesOf(ref, this.#bytes))
  }

  /** Begins with the first member of a table. */
  startTable(members: ByteMap): number {
    this.#encoding = HASHTABLE
    this.#members = members
    this.#at = 0
    this.#end = members.positions
    return members.size
  }

  /** Begins with the first member of an intset or listpack. */
  startPacked(encoding: SetEncoding, bytes: Slice): number {
    this.#encoding = encoding
    this.#members = NO_MEMBERS
    this.#bytes.set(bytes.buf, bytes.start, bytes.end)
    const size = packedSize(encoding, bytes)
    this.#at = encoding === INTSET ? 0 : bytes.start + LP_HEADER
    this.#end = size
    return size
  }

  /** Moves on to the next member. False, and a table let go, after the last. */
  next(): boolean {
    const bytes = this.#bytes
    if (this.#encoding === LISTPACK) {
      if (lpIsEnd(bytes.buf, this.#at)) return false
      lpGet(bytes.buf, this.#at, this.member, this.#text)
      this.#at = lpNext(bytes.buf, this.#at)
      return true
    }
    if (this.#encoding === INTSET) {
      if (this.#at === this.#end) return false
      intsetGet(bytes.buf, bytes.start, this.#at++, this.member, this.#text)
      return true
    }
    return this.#nextOfTable()
  }

  #nextOfTable(): boolean {
    while (this.#at < this.#end) {
      const ref = this.#members.refAtPosition(this.#at++)
      if (ref === 0) continue
      this.#members.keyAt(ref, this.member)
      return true
    }
    this.stop()
    return false
  }

  /** Ends the walk before its end: a table is let go. */
  stop(): void {
    this.startTable(NO_MEMBERS)
  }

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.stop()
    for (const slice of [this.member, this.#bytes]) slice.forget()
  }
}

// ------------------------------------------------------------------------------------------------ writing

/**
 * Changes a set, or builds one: `open`, `create` or `begin`, then any number of `add` and `delete`, then
 * `commit` (or, when the set is empty, `close` and the deletion of the key). Tables are written where they
 * stand, so a change must not be followed by an error.
 */
export class SetEdit {
  readonly #draft = new PackedDraft()
  #encoding: SetEncoding = INTSET
  #db: Database | undefined
  #ref: Ref = 0
  #large: LargeSet | undefined
  /** The table is not the one that the record holds. */
  #isNewTable = false
  #limits: SetLimits = { setMaxIntsetEntries: 512, setMaxListpackEntries: 128, setMaxListpackValue: 64 }

  /** Begins with the set at this record. */
  open(db: Database, ref: Ref, limits: SetLimits): this {
    this.#limits = limits
    this.#db = db
    this.#ref = ref
    this.#isNewTable = false
    this.#encoding = db.encodingOf(ref) as SetEncoding
    if (this.#encoding === HASHTABLE) this.#large = largeSetOf(db, ref)
    else db.bytesOf(ref, this.#draft.open())
    return this
  }

  /** Begins with an empty set in the encoding that its first member and the number of members to come suggest. */
  create(db: Database, first: Slice, count: number, limits: SetLimits): this {
    if (count <= limits.setMaxIntsetEntries && intsetParse(first) !== undefined) return this.begin(db, INTSET, limits)
    return this.begin(db, count <= limits.setMaxListpackEntries ? LISTPACK : HASHTABLE, limits)
  }

  /** Begins with an empty set in this encoding. */
  begin(db: Database, encoding: SetEncoding, limits: SetLimits): this {
    this.#limits = limits
    this.#db = db
    this.#ref = 0
    return this.restart(encoding)
  }

  /** Forgets all members, but not the record they came from. */
  restart(encoding: SetEncoding): this {
    this.#encoding = encoding
    this.#isNewTable = encoding === HASHTABLE
    this.#large = this.#isNewTable ? new LargeSet() : undefined
    if (encoding === HASHTABLE) return this
    this.#draft.open()
    const room = this.#draft.room(Math.max(LP_EMPTY_BYTES, INTSET_HEADER))
    this.#draft.move(room, encoding === INTSET ? intsetEmpty(room, 0) : lpEmpty(room, 0))
    return this
  }

  /** Announces how many members may be about to come: too many for the encoding make it a table at once. */
  expect(count: number): void {
    const limits = this.#limits
    if ((this.#encoding === LISTPACK && count > limits.setMaxListpackEntries)
      || (this.#encoding === INTSET && count > limits.setMaxIntsetEntries)) this.#toTable()
  }

  get encoding(): SetEncoding {
    return this.#encoding
  }

  get size(): number {
    return this.#large !== undefined ? this.#large.size : packedSize(this.#encoding, this.#draft.bytes)
  }

  /** Starts a walk over the members as they are now. */
  walk(walk: SetWalk): number {
    if (this.#large !== undefined) return walk.startTable(this.#large.members)
    return walk.startPacked(this.#encoding, this.#draft.bytes)
  }

  /** Adds a member. True when it is new. The slice may not point into this set. */
  add(member: Slice): boolean {
    if (this.#large !== undefined) return this.#large.add(member)
    return this.#encoding === INTSET ? this.#addToIntset(member) : this.#addToListpack(member)
  }

  #addToListpack(member: Slice): boolean {
    const bytes = this.#draft.bytes
    if (lpFind(bytes.buf, bytes.start, bytes.end, member, 0) >= 0) return false
    const length = member.end - member.start
    const limits = this.#limits
    if (lpCount(bytes.buf, bytes.start) >= limits.setMaxListpackEntries || length > limits.setMaxListpackValue
      || bytes.end - bytes.start + length > LISTPACK_BYTES_MAX) return this.#toTable().add(member)
    const room = this.#draft.room(bytes.end - bytes.start + lpEncodedSize(member))
    this.#draft.move(room, lpAppend(bytes.buf, bytes.start, bytes.end, member, room, 0))
    return true
  }

  #addToIntset(member: Slice): boolean {
    const value = intsetParse(member)
    if (value === undefined) {
      if (this.#fitsListpack(member)) this.#toListpack()
      else this.#toTable()
      return this.add(member)
    }
    const bytes = this.#draft.bytes
    if (intsetContains(bytes.buf, bytes.start, value)) return false
    const room = this.#draft.room(intsetBytesWith(bytes.buf, bytes.start, value))
    this.#draft.move(room, intsetAdd(bytes.buf, bytes.start, value, room, 0))
    if (this.size > this.#intsetEntriesMax()) this.#toTable()
    return true
  }

  #intsetEntriesMax(): number {
    return Math.min(this.#limits.setMaxIntsetEntries, INTSET_ENTRIES_MAX)
  }

  /** Whether the intset and one more member may become a listpack. */
  #fitsListpack(member: Slice): boolean {
    const { buf, start } = this.#draft.bytes
    const limits = this.#limits
    const count = intsetCount(buf, start)
    let longest = member.end - member.start
    if (count > 0) {
      longest = Math.max(longest, intsetGet(buf, start, 0, memberOut, memberText).length)
      longest = Math.max(longest, intsetGet(buf, start, count - 1, memberOut, memberText).length)
    }
    return count < limits.setMaxListpackEntries && longest <= limits.setMaxListpackValue
      && count * LISTPACK_INTEGER_BYTES < LISTPACK_BYTES_MAX
  }

  #toListpack(): void {
    const { buf, start } = this.#draft.bytes
    const count = intsetCount(buf, start)
    // The listpack is written while the intset, perhaps in the same room, is still read.
    const out = Buffer.allocUnsafe(LP_EMPTY_BYTES + count * LISTPACK_INTEGER_BYTES)
    let pos = LP_HEADER
    for (let i = 0; i < count; i++) {
      const value = intsetAt(buf, start, i)
      pos = typeof value === 'number' ? lpWriteInteger(value, out, pos) : lpWriteInt64(value, out, pos)
    }
    const end = lpFinish(out, 0, pos, count)
    const room = this.#draft.room(end)
    out.copy(room, 0, 0, end)
    this.#draft.move(room, end)
    this.#encoding = LISTPACK
  }

  #toTable(): LargeSet {
    const large = new LargeSet()
    this.walk(conversionWalk)
    while (conversionWalk.next()) large.add(conversionWalk.member)
    this.#large = large
    this.#isNewTable = true
    this.#encoding = HASHTABLE
    return large
  }

  /** Packs a set whose members are all integers, if there are few enough, as an intset. */
  packIntegers(): void {
    if (this.#encoding === INTSET || this.size > this.#intsetEntriesMax()) return
    const values: Integer[] = []
    this.walk(conversionWalk)
    while (conversionWalk.next()) values.push(intsetParse(conversionWalk.member) as Integer)
    values.sort((a, b) => (a < b ? -1 : 1))
    const room = this.#draft.room(INTSET_HEADER + values.length * 8)
    this.#draft.move(room, intsetWrite(values, room, 0))
    this.#large = undefined
    this.#encoding = INTSET
  }

  /** Removes a member. False when it was not there. */
  delete(member: Slice): boolean {
    if (this.#large !== undefined) return this.#large.delete(member)
    const bytes = this.#draft.bytes
    if (this.#encoding === LISTPACK) {
      const at = lpFind(bytes.buf, bytes.start, bytes.end, member, 0)
      if (at < 0) return false
      const room = this.#draft.room(bytes.end - bytes.start)
      this.#draft.move(room, lpDelete(bytes.buf, bytes.start, bytes.end, at, 1, room, 0))
      return true
    }
    const value = intsetParse(member)
    const index = value === undefined ? -1 : intsetSearch(bytes.buf, bytes.start, value)
    if (index < 0) return false
    this.deleteAt(index)
    return true
  }

  /** Removes member `index` of a packed set. */
  deleteAt(index: number): void {
    const bytes = this.#draft.bytes
    const room = this.#draft.room(bytes.end - bytes.start)
    if (this.#encoding === INTSET) this.#draft.move(room, intsetRemove(bytes.buf, bytes.start, index, room, 0))
    else {
      const at = lpSeek(bytes.buf, bytes.start, bytes.end, index)
      this.#draft.move(room, lpDelete(bytes.buf, bytes.start, bytes.end, at, 1, room, 0))
    }
  }

  /**
   * Stores the set and lets it go: in the record it was opened on, expiry time untouched, or under the key in
   * the place of whatever is there. Returns its record.
   */
  commit(key: Slice): Ref {
    const db = this.#db as Database
    let ref = this.#ref
    if (this.#large !== undefined) {
      if (ref === 0) ref = db.setObject(key, SET, HASHTABLE, this.#large)
      else if (this.#isNewTable) ref = db.replaceObject(ref, HASHTABLE, this.#large)
    } else if (ref === 0) ref = db.setBytes(key, SET, this.#encoding, this.#draft.bytes)
    else if (this.#draft.moved) ref = replacePacked(db, ref, this.#encoding, this.#draft.bytes)
    this.close()
    return ref
  }

  /** Lets the set go without storing it. */
  close(): void {
    this.#large = undefined
    this.#db = undefined
    this.#draft.close()
  }
}

/** For conversions, which may run in the middle of a caller's own walk. */
const conversionWalk = scratch(new SetWalk())
