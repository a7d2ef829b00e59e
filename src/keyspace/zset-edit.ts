/**
 * Changing a sorted set in either encoding.
 *
 * A sorted set begins packed and becomes a LargeSortedSet when it has more than `zset-max-listpack-entries`
 * members or gets a member longer than `zset-max-listpack-value`; so it does when one ZADD names that many
 * members or one that long, even if none of them is added. It never goes back; only the results of ZUNIONSTORE
 * and its kin and of ZRANGESTORE are packed where they fit.
 */
import { LP_EMPTY_BYTES, lpCount, lpDelete, lpEmpty, lpFind, lpNext, lpSeek } from '../../protocol/rdb/listpack.js'
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { PackedDraft, replacePacked } from './packed.js'
import { LISTPACK, SKIPLIST, ZSET } from './types.js'
import type { LargeSortedSet } from './zset.js'
import { LISTPACK_BYTES_MAX, packedInsert, packedScore, packSortedSet, unpackSortedSet } from './zset-packed.js'
import { largeSortedSetOf } from './zset-walk.js'

const packed = Slice.scratch()

/** The directives that decide when a sorted set stops being packed; a Config has them. */
export interface SortedSetLimits {
  readonly zsetMaxListpackEntries: number
  readonly zsetMaxListpackValue: number
}

/** What ZADD may be told, as bits. */
export const ONLY_NEW = 1
export const ONLY_EXISTING = 2
export const ONLY_GREATER = 4
export const ONLY_LESS = 8
export const INCREMENT = 16

/**
 * What became of a member: `refused` by one of the conditions; `not-a-number` when the increment gave that.
 * Only `added` and `updated` are changes.
 */
export type AddOutcome = 'added' | 'updated' | 'unchanged' | 'refused' | 'not-a-number'

/**
 * Makes a packed sorted set large whatever its size; returns its record. One that is in flight stays as it is: its
 * bytes are being sent.
 */
export function enlargeSortedSet(db: Database, ref: Ref): Ref {
  if (db.encodingOf(ref) !== LISTPACK || db.holdOf(ref) !== undefined) return ref
  return db.replaceObject(ref, SKIPLIST, unpackSortedSet(db.bytesOf(ref, packed)))
}

/**
 * Changes a sorted set: `open`, then any number of changes, then `commit` under its key (or, when the sorted
 * set became empty, `close` and the deletion of the key). A LargeSortedSet is changed where it is, so a
 * change must not be followed by an error.
 */
export class SortedSetEdit {
  /** The score that the last `add` gave, or would have given, the member. */
  score = 0
  readonly #draft = new PackedDraft()
  #db: Database | undefined
  #ref: Ref = 0
  #large: LargeSortedSet | undefined
  #converted = false
  #limits: SortedSetLimits = { zsetMaxListpackEntries: 128, zsetMaxListpackValue: 64 }

  /** Begins with the sorted set at this record; with none (`ref` 0), an empty one. */
  open(db: Database, ref: Ref, limits: SortedSetLimits): this {
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
    else this.#large = largeSortedSetOf(db, ref)
    return this
  }

  /**
   * Begins with this sorted set as the new value of a key, packed when it fits; `longest` is the length of its
   * longest member. The LargeSortedSet belongs to the edit from now on.
   */
  openNew(db: Database, set: LargeSortedSet, longest: number, limits: SortedSetLimits): this {
    this.open(db, 0, limits)
    if (set.size <= limits.zsetMaxListpackEntries && longest <= limits.zsetMaxListpackValue) packSortedSet(set, this.#draft)
    else this.#large = set
    return this
  }

  /** Announces how many members are about to be added, and the length of the longest. */
  expect(members: number, longest: number): void {
    if (this.#large !== undefined) return
    if (members > this.#limits.zsetMaxListpackEntries || longest > this.#limits.zsetMaxListpackValue) this.#convert()
  }

  get size(): number {
    if (this.#large !== undefined) return this.#large.size
    return lpCount(this.#draft.bytes.buf, this.#draft.bytes.start) >>> 1
  }

  /** Adds a member, or gives it another score, under the conditions of these bits. */
  add(member: Slice, score: number, conditions: number): AddOutcome {
    this.score = score
    if (this.#large !== undefined) return this.#addLarge(this.#large, member, score, conditions)
    const bytes = this.#draft.bytes
    const at = lpFind(bytes.buf, bytes.start, bytes.end, member, 1)
    if (at >= 0) {
      const outcome = this.#decide(packedScore(bytes.buf, lpNext(bytes.buf, at)), score, conditions)
      if (outcome === 'updated') {
        this.#deletePairs(at, 1)
        packedInsert(this.#draft, member, this.score)
      }
      return outcome
    }
    if ((conditions & ONLY_EXISTING) !== 0) return 'refused'
    if (this.#isTooLargeWith(member)) {
      const large = this.#convert()
      large.findOrAdd(member, score)
    } else packedInsert(this.#draft, member, score)
    return 'added'
  }

  #addLarge(set: LargeSortedSet, member: Slice, score: number, conditions: number): AddOutcome {
    let ref: Ref
    if ((conditions & ONLY_EXISTING) !== 0) {
      ref = set.find(member)
      if (ref === 0) return 'refused'
    } else {
      ref = set.findOrAdd(member, score)
      if (set.added) return 'added'
    }
    const outcome = this.#decide(set.scoreAt(ref), score, conditions)
    if (outcome === 'updated') set.setScore(ref, this.score)
    return outcome
  }

  /** What happens to a member that is there with the score `current`. */
  #decide(current: number, score: number, conditions: number): AddOutcome {
    if (conditions !== 0) {
      if ((conditions & ONLY_NEW) !== 0) return 'refused'
      if ((conditions & INCREMENT) !== 0) {
        this.score = current + score
        if (this.score !== this.score) return 'not-a-number'
      }
      if ((conditions & ONLY_LESS) !== 0 && this.score >= current) return 'refused'
      if ((conditions & ONLY_GREATER) !== 0 && this.score <= current) return 'refused'
    }
    return this.score === current ? 'unchanged' : 'updated'
  }

  #isTooLargeWith(member: Slice): boolean {
    const bytes = this.#draft.bytes
    const memberBytes = member.end - member.start
    return this.size + 1 > this.#limits.zsetMaxListpackEntries || memberBytes > this.#limits.zsetMaxListpackValue ||
      bytes.end - bytes.start + memberBytes > LISTPACK_BYTES_MAX
  }

  /** Removes a member. False when it was none. */
  delete(member: Slice): boolean {
    if (this.#large !== undefined) return this.#large.delete(member)
    const bytes = this.#draft.bytes
    const at = lpFind(bytes.buf, bytes.start, bytes.end, member, 1)
    if (at < 0) return false
    this.#deletePairs(at, 1)
    return true
  }

  /** Removes `count` members from `rank` on; all of them must exist. */
  deleteRange(rank: number, count: number): void {
    if (this.#large !== undefined) return this.#large.deleteRange(rank, count)
    const bytes = this.#draft.bytes
    this.#deletePairs(lpSeek(bytes.buf, bytes.start, bytes.end, rank * 2), count)
  }

  #deletePairs(at: number, count: number): void {
    const bytes = this.#draft.bytes
    const room = this.#draft.room(bytes.end - bytes.start)
    this.#draft.move(room, lpDelete(bytes.buf, bytes.start, bytes.end, at, count * 2, room, 0))
  }

  #convert(): LargeSortedSet {
    this.#large = unpackSortedSet(this.#draft.bytes)
    this.#converted = true
    return this.#large
  }

  /** Stores the sorted set under its key and lets it go. One that was there keeps its expiry time. */
  commit(key: Slice): Ref {
    const db = this.#db as Database
    let ref = this.#ref
    if (this.#large !== undefined) {
      if (ref === 0) ref = db.setObject(key, ZSET, SKIPLIST, this.#large)
      else if (this.#converted) ref = db.replaceObject(ref, SKIPLIST, this.#large)
    } else if (ref === 0) ref = db.setBytes(key, ZSET, LISTPACK, this.#draft.bytes)
    else if (this.#draft.moved) ref = replacePacked(db, ref, LISTPACK, this.#draft.bytes)
    this.close()
    return ref
  }

  /** Lets the sorted set go without storing it. */
  close(): void {
    this.#large = undefined
    this.#db = undefined
    this.#draft.close()
  }
}
