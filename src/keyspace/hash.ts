/**
 * Hashes: fields with values.
 *
 *     listpack    field, value, field, value ... in order of insertion; the bytes stand in the database
 *     hashtable   a LargeHash: a table with an arena of its own
 *
 * A hash begins packed and becomes a table when it has more than `hash-max-listpack-entries` fields or gets
 * a field or value longer than `hash-max-listpack-value`. It never goes back.
 *
 * Reading: `hashSize`, `hashGet` and `HashWalk` take a record as it is. Writing: a `HashEdit` is opened on a
 * record (or on none), changed, and committed under its key once. Slices that come out of either are valid
 * until the next change of the hash, or of any key for a packed one.
 */
import {
  LP_EMPTY_BYTES, LP_HEADER, lpCount, lpDelete, lpEmpty, lpEncodedSize, lpEntrySize, lpFind, lpGet, lpIsEnd, lpNext,
  lpReplace, lpSplice, lpWriteEntry,
} from '../../protocol/rdb/listpack.js'
import { Slice } from '../../protocol/slice.js'
import type { Random } from '../random.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { PackedDraft, replacePacked } from './packed.js'
import { ElementPositions } from './sample.js'
import { ByteMap } from './byte-map.js'
import { HASH, HASHTABLE, LISTPACK, type LargeValue } from './types.js'

/** The directives that decide when a hash stops being packed; a Config has them. */
export interface HashLimits {
  readonly hashMaxListpackEntries: number
  readonly hashMaxListpackValue: number
}

/** No listpack grows beyond this, whatever the directives say. */
const LISTPACK_BYTES_MAX = 1 << 30
/** Slots moved per deletion while the table is being resized, so that one that only shrinks drains too. */
const MOVE_PER_DELETE = 16

/** A hash too large to be packed. */
export class LargeHash implements LargeValue {
  readonly fields = new ByteMap(true)

  /** The hash of a valid listpack `buf[start..]`, which may hold any number of fields. */
  static fromListpack(buf: Buffer, start: number): LargeHash {
    const hash = new LargeHash()
    for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos);) {
      const valueAt = lpNext(buf, pos)
      hash.fields.set(lpGet(buf, pos, fieldOut, fieldText), lpGet(buf, valueAt, valueOut, valueText))
      pos = lpNext(buf, valueAt)
    }
    return hash
  }

  get size(): number {
    return this.fields.size
  }

  get bytes(): number {
    return this.fields.bytes
  }

  clone(): LargeHash {
    const copy = new LargeHash()
    this.fields.forEach((ref) => {
      copy.fields.set(this.fields.keyAt(ref, fieldOut), this.fields.valueAt(ref, valueOut))
    })
    return copy
  }

  approach(buf: Buffer, bounds: Int32Array, count: number): void {
    this.fields.approach(buf, bounds, count, 2)
  }

  /** Removes a field. False when it was not there. */
  delete(field: Slice): boolean {
    if (!this.fields.delete(field)) return false
    this.fields.move(MOVE_PER_DELETE)
    return true
  }
}

const INTEGER_TEXT_BYTES = 24
const fieldOut = Slice.scratch()
const valueOut = Slice.scratch()
const fieldText = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
const valueText = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
const packed = Slice.scratch()
const NO_FIELDS = new ByteMap()

// ------------------------------------------------------------------------------------------------ reading

/** The table of a hash in that encoding. */
export function largeHashOf(db: Database, ref: Ref): LargeHash {
  return db.objectOf(ref) as LargeHash
}

/** Number of fields of the hash at this record. A payload kept as it came is not decoded for it. */
export function hashSize(db: Database, ref: Ref): number {
  if (db.encodingOf(ref) !== LISTPACK) return db.lazyOf(ref)?.size ?? largeHashOf(db, ref).size
  const bytes = db.bytesOf(ref, packed)
  return lpCount(bytes.buf, bytes.start) >>> 1
}

/** Points `out` at a field's value. False when there is no such field. */
export function hashGet(db: Database, ref: Ref, field: Slice, out: Slice): boolean {
  if (db.encodingOf(ref) === LISTPACK) return packedGet(db.bytesOf(ref, packed), field, out)
  return tableGet(largeHashOf(db, ref).fields, field, out)
}

function packedGet(bytes: Slice, field: Slice, out: Slice): boolean {
  const at = lpFind(bytes.buf, bytes.start, bytes.end, field, 1)
  if (at < 0) return false
  lpGet(bytes.buf, lpNext(bytes.buf, at), out, valueText)
  return true
}

function tableGet(fields: ByteMap, field: Slice, out: Slice): boolean {
  const at = fields.findKey(field)
  if (at === 0) return false
  fields.valueAt(at, out)
  return true
}

/**
 * Walks the fields of a hash: `walk.start(db, ref); while (walk.next()) use(walk.field, walk.value)`. The
 * order is that of the listpack or the table. The hash must not change meanwhile. Record 0 has no fields.
 */
export class HashWalk {
  readonly field = new Slice()
  readonly value = new Slice()
  readonly #bytes = new Slice()
  readonly #fieldText = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
  readonly #valueText = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
  /** The table, or undefined while a listpack is walked. */
  #fields: ByteMap | undefined = NO_FIELDS
  #at = 0
  #end = 0

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.startTable(NO_FIELDS)
    for (const slice of [this.field, this.value, this.#bytes]) slice.forget()
  }

  /** Begins with the first field of the hash at this record. Returns the number of fields. */
  start(db: Database, ref: Ref): number {
    if (ref === 0) return this.startTable(NO_FIELDS)
    if (db.encodingOf(ref) !== LISTPACK) return this.startTable(largeHashOf(db, ref).fields)
    const bytes = db.bytesOf(ref, this.#bytes)
    this.#fields = undefined
    this.#at = bytes.start + LP_HEADER
    return lpCount(bytes.buf, bytes.start) >>> 1
  }

  /** Begins with the first field of a table. */
  startTable(fields: ByteMap): number {
    this.#fields = fields
    this.#at = 0
    this.#end = fields.positions
    return fields.size
  }

  /** Moves on to the next field. False, and a table let go, after the last. */
  next(): boolean {
    const fields = this.#fields
    if (fields === undefined) return this.#nextPacked()
    while (this.#at < this.#end) {
      const ref = fields.refAtPosition(this.#at++)
      if (ref === 0) continue
      fields.keyAt(ref, this.field)
      fields.valueAt(ref, this.value)
      return true
    }
    this.startTable(NO_FIELDS)
    return false
  }

  #nextPacked(): boolean {
    const buf = this.#bytes.buf
    if (lpIsEnd(buf, this.#at)) return false
    lpGet(buf, this.#at, this.field, this.#fieldText)
    const valueAt = lpNext(buf, this.#at)
    lpGet(buf, valueAt, this.value, this.#valueText)
    this.#at = lpNext(buf, valueAt)
    return true
  }
}

/**
 * Draws fields with repetition, all equally likely: `draw.start(db, ref, random); draw.next()`, any number of
 * times. The hash must have a field and must not change meanwhile.
 */
export class HashDraw {
  readonly field = new Slice()
  readonly value = new Slice()
  readonly #bytes = new Slice()
  readonly #positions = new ElementPositions()
  #fields: ByteMap | undefined

  start(db: Database, ref: Ref): void {
    if (db.encodingOf(ref) === LISTPACK) {
      this.#fields = undefined
      this.#positions.read(db.bytesOf(ref, this.#bytes), 2)
    } else this.#fields = largeHashOf(db, ref).fields
  }

  next(random: Random): void {
    const fields = this.#fields
    if (fields !== undefined) {
      const at = fields.randomRef(random)
      fields.keyAt(at, this.field)
      fields.valueAt(at, this.value)
      return
    }
    const { buf } = this.#bytes
    const at = this.#positions.draw(random)
    lpGet(buf, at, this.field, fieldText)
    lpGet(buf, lpNext(buf, at), this.value, valueText)
  }

  /** Lets the hash go. */
  close(): void {
    this.#fields = undefined
  }

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.close()
    for (const slice of [this.field, this.value, this.#bytes]) slice.forget()
  }
}

// ------------------------------------------------------------------------------------------------ writing

/**
 * Changes a hash: `open` or `create`, then any number of `set` and `delete`, then `commit` (or, when the
 * hash became empty, `close` and the deletion of the key). Table fields and packed values of unchanged size
 * are written where they stand, so a change must not be followed by an error.
 */
export class HashEdit {
  readonly #draft = new PackedDraft()
  #db: Database | undefined
  #ref: Ref = 0
  #large: LargeHash | undefined
  #converted = false
  #limits: HashLimits = { hashMaxListpackEntries: 512, hashMaxListpackValue: 64 }

  /** Begins with the hash at this record; with none (`ref` 0), an empty one. */
  open(db: Database, ref: Ref, limits: HashLimits): this {
    this.#limits = limits
    this.#db = db
    this.#ref = ref
    this.#converted = false
    this.#large = undefined
    const bytes = this.#draft.open()
    if (ref === 0) {
      const room = this.#draft.room(LP_EMPTY_BYTES)
      this.#draft.move(room, lpEmpty(room, 0))
    } else if (db.encodingOf(ref) === LISTPACK) db.bytesOf(ref, bytes)
    else this.#large = largeHashOf(db, ref)
    return this
  }

  /** Announces how many pairs are about to be set: too many for a listpack make it a table at once. */
  expect(pairs: number): void {
    if (this.#large === undefined && pairs > this.#limits.hashMaxListpackEntries) this.#convert()
  }

  get size(): number {
    if (this.#large !== undefined) return this.#large.size
    const bytes = this.#draft.bytes
    return lpCount(bytes.buf, bytes.start) >>> 1
  }

  has(field: Slice): boolean {
    if (this.#large !== undefined) return this.#large.fields.findKey(field) !== 0
    const bytes = this.#draft.bytes
    return lpFind(bytes.buf, bytes.start, bytes.end, field, 1) >= 0
  }

  /** Points `out` at a field's value. False when there is no such field. */
  get(field: Slice, out: Slice): boolean {
    if (this.#large !== undefined) return tableGet(this.#large.fields, field, out)
    return packedGet(this.#draft.bytes, field, out)
  }

  /** Sets a field. True when it is new. Neither slice may point into this hash. */
  set(field: Slice, value: Slice): boolean {
    if (this.#large === undefined && this.#isTooLong(field, value)) this.#convert()
    if (this.#large !== undefined) return this.#large.fields.set(field, value)
    const bytes = this.#draft.bytes
    const at = lpFind(bytes.buf, bytes.start, bytes.end, field, 1)
    if (at < 0) this.#append(field, value)
    else this.#overwrite(lpNext(bytes.buf, at), value)
    if (this.size > this.#limits.hashMaxListpackEntries) this.#convert()
    return at < 0
  }

  #isTooLong(field: Slice, value: Slice): boolean {
    const longest = this.#limits.hashMaxListpackValue
    const fieldBytes = field.end - field.start
    const valueBytes = value.end - value.start
    if (fieldBytes > longest || valueBytes > longest) return true
    const bytes = this.#draft.bytes
    return bytes.end - bytes.start + fieldBytes + valueBytes > LISTPACK_BYTES_MAX
  }

  #append(field: Slice, value: Slice): void {
    const bytes = this.#draft.bytes
    const added = lpEncodedSize(field) + lpEncodedSize(value)
    const end = bytes.end - bytes.start + added
    const room = this.#draft.room(end)
    const gap = lpSplice(bytes.buf, bytes.start, bytes.end, bytes.end - 1, bytes.end - 1, added, 2, room, 0)
    lpWriteEntry(value, room, lpWriteEntry(field, room, gap))
    this.#draft.move(room, end)
  }

  #overwrite(at: number, value: Slice): void {
    const bytes = this.#draft.bytes
    const before = lpEntrySize(bytes.buf, at)
    const after = lpEncodedSize(value)
    if (before === after) {
      lpWriteEntry(value, bytes.buf, at)
      return
    }
    const room = this.#draft.room(bytes.end - bytes.start + after - before)
    this.#draft.move(room, lpReplace(bytes.buf, bytes.start, bytes.end, at, value, room, 0))
  }

  /** Removes a field. False when it was not there. */
  delete(field: Slice): boolean {
    if (this.#large !== undefined) return this.#large.delete(field)
    const bytes = this.#draft.bytes
    const at = lpFind(bytes.buf, bytes.start, bytes.end, field, 1)
    if (at < 0) return false
    const room = this.#draft.room(bytes.end - bytes.start)
    this.#draft.move(room, lpDelete(bytes.buf, bytes.start, bytes.end, at, 2, room, 0))
    return true
  }

  #convert(): void {
    const bytes = this.#draft.bytes
    this.#large = LargeHash.fromListpack(bytes.buf, bytes.start)
    this.#converted = true
  }

  /** Stores the hash under its key, expiry time untouched, and lets it go. Returns its record. */
  commit(key: Slice): Ref {
    const db = this.#db as Database
    let ref = this.#ref
    if (this.#large !== undefined) {
      if (ref === 0) ref = db.setObject(key, HASH, HASHTABLE, this.#large)
      else if (this.#converted) ref = db.replaceObject(ref, HASHTABLE, this.#large)
    } else if (ref === 0) ref = db.setBytes(key, HASH, LISTPACK, this.#draft.bytes)
    else if (this.#draft.moved) ref = replacePacked(db, ref, LISTPACK, this.#draft.bytes)
    this.close()
    return ref
  }

  /** Lets the hash go without storing it. */
  close(): void {
    this.#large = undefined
    this.#db = undefined
    this.#draft.close()
  }
}
