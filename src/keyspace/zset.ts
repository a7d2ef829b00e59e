/**
 * A sorted set too large for a listpack (encoding `skiplist`, as OBJECT ENCODING calls it): a ByteMap from
 * member to score, and the order of its records.
 *
 *     members   member -> score, 8 bytes f64le in the record, changed in place
 *     order     (score, record) ascending, see ordered-scores.ts
 *
 * Invariant: the order has exactly one entry per record, under the score that stands in the record. A record
 * does not move when its score changes: old and new value have the same length.
 *
 * A member of n bytes takes 16 + n bytes of record (rounded up to 8), 10 to 20 bytes of hash table and 12 to
 * 24 bytes of order.
 */
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import { OrderBuilder } from './order-builder.js'
import { OrderCursor } from './order-cursor.js'
import { OrderedScores } from './ordered-scores.js'
import { ByteMap } from './byte-map.js'
import type { LargeValue } from './types.js'

const SCORE_BYTES = 8
/** Slots moved per deletion while the table is being resized, so that one that only shrinks drains too. */
const MOVE_PER_DELETE = 16

/** Scores on their way into a record. */
const scoreBytes = Buffer.allocUnsafeSlow(SCORE_BYTES)
const scoreSlice = new Slice(scoreBytes)
const found = Slice.scratch()

export class LargeSortedSet implements LargeValue {
  readonly members = new ByteMap()
  readonly order = new OrderedScores(this.members)

  get size(): number {
    return this.members.size
  }

  get bytes(): number {
    return this.members.bytes + this.order.bytes
  }

  /** The record of a member, or 0. */
  find(member: Slice): Ref {
    return this.members.find(member.buf, member.start, member.end)
  }

  /** The score in a record. */
  scoreAt(ref: Ref): number {
    this.members.valueAt(ref, found)
    return found.buf.readDoubleLE(found.start)
  }

  /** The score of a member; NaN when it is none. */
  scoreOf(member: Slice): number {
    const ref = this.members.find(member.buf, member.start, member.end)
    return ref === 0 ? NaN : this.scoreAt(ref)
  }

  /** How many members come before this one; -1 when it is none. */
  rankOf(member: Slice): number {
    const ref = this.members.find(member.buf, member.start, member.end)
    return ref === 0 ? -1 : this.order.rankOf(this.scoreAt(ref), ref)
  }

  /** Adds the member with this score unless it is there. Returns its record; `added` tells which happened. */
  findOrAdd(member: Slice, score: number): Ref {
    scoreBytes.writeDoubleLE(score, 0)
    const ref = this.members.findOrAdd(member, scoreSlice)
    if (this.members.added) this.order.insert(score, ref)
    return ref
  }

  /** Whether the last `findOrAdd` added a member. */
  get added(): boolean {
    return this.members.added
  }

  /** Gives the member of a record another score. */
  setScore(ref: Ref, score: number): void {
    this.members.valueAt(ref, found)
    const { buf, start } = found
    this.order.update(buf.readDoubleLE(start), score, ref)
    buf.writeDoubleLE(score, start)
  }

  /** Removes a member. False when it was none. */
  delete(member: Slice): boolean {
    const ref = this.members.find(member.buf, member.start, member.end)
    if (ref === 0) return false
    this.order.remove(this.scoreAt(ref), ref)
    this.members.delete(member)
    this.members.move(MOVE_PER_DELETE)
    return true
  }

  /** Removes `count` members from `rank` on; all of them must exist. */
  deleteRange(rank: number, count: number): void {
    const cursor = new OrderCursor()
    const member = new Slice()
    let left = count
    for (let more = left > 0 && cursor.seek(this.order, rank); more && left > 0; more = cursor.next(), left--)
      this.members.delete(this.members.keyAt(cursor.ref, member))
    this.members.move(MOVE_PER_DELETE * count)
    this.order.removeRange(rank, count)
  }

  clone(): LargeSortedSet {
    const loader = new SortedSetLoader()
    const cursor = new OrderCursor()
    const member = new Slice()
    for (let more = cursor.seek(this.order, 0); more; more = cursor.next())
      loader.add(this.members.keyAt(cursor.ref, member), cursor.score)
    return loader.finish()
  }
}

/**
 * Builds a large sorted set from its members in any order, fastest when they ascend or descend by score.
 * May be spread over as many turns as the caller likes.
 */
export class SortedSetLoader {
  readonly #set = new LargeSortedSet()
  readonly #builder = new OrderBuilder(this.#set.order)

  /** Adds a member. False, and nothing done, when it was there already. `score` must not be NaN. */
  add(member: Slice, score: number): boolean {
    scoreBytes.writeDoubleLE(score, 0)
    const ref = this.#set.members.findOrAdd(member, scoreSlice)
    if (!this.#set.members.added) return false
    this.#builder.add(score, ref)
    return true
  }

  /** The finished sorted set; the loader is of no use after it. */
  finish(): LargeSortedSet {
    this.#builder.finish()
    return this.#set
  }
}

/**
 * Adds up scores by member, then puts the members in order: for ZUNION, where a member's score is known only
 * when all inputs have been read.
 */
export class SortedSetTally {
  readonly #set = new LargeSortedSet()

  /** The record of a member; one that is new gets this score. */
  findOrAdd(member: Slice, score: number): Ref {
    scoreBytes.writeDoubleLE(score, 0)
    return this.#set.members.findOrAdd(member, scoreSlice)
  }

  /** Whether the last `findOrAdd` added a member. */
  get added(): boolean {
    return this.#set.members.added
  }

  scoreAt(ref: Ref): number {
    return this.#set.scoreAt(ref)
  }

  setScore(ref: Ref, score: number): void {
    this.#set.members.valueAt(ref, found)
    found.buf.writeDoubleLE(score, found.start)
  }

  /** The finished sorted set; the tally is of no use after it. */
  finish(): LargeSortedSet {
    const set = this.#set
    set.members.forEach((ref) => set.order.insert(set.scoreAt(ref), ref))
    return set
  }
}
