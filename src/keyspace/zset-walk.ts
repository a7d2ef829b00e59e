/**
 * Reading a sorted set in either encoding: size, score and rank of a member, and a walk over any range.
 *
 *     listpack    member, score, member, score ... ascending; the bytes stand in the database
 *     skiplist    a LargeSortedSet
 */
import {
  LP_HEADER, lpCount, lpFind, lpGet, lpIsEnd, lpLast, lpNext, lpPrev, lpSeek,
} from '../../protocol/rdb/listpack.js'
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { OrderCursor } from './order-cursor.js'
import type { LexRange, ScoreRange } from './score-range.js'
import { LISTPACK } from './types.js'
import type { LargeSortedSet } from './zset.js'
import { INTEGER_TEXT_BYTES, packedScore } from './zset-packed.js'

const packed = Slice.scratch()

/** The object of a sorted set in that encoding. */
export function largeSortedSetOf(db: Database, ref: Ref): LargeSortedSet {
  return db.objectOf(ref) as LargeSortedSet
}

/** Number of members of the sorted set at this record. A payload kept as it came is not decoded for it. */
export function sortedSetSize(db: Database, ref: Ref): number {
  if (db.encodingOf(ref) !== LISTPACK) return db.lazyOf(ref)?.size ?? largeSortedSetOf(db, ref).size
  const bytes = db.bytesOf(ref, packed)
  return lpCount(bytes.buf, bytes.start) >>> 1
}

/** The score of a member; NaN when it is none. */
export function sortedSetScore(db: Database, ref: Ref, member: Slice): number {
  if (db.encodingOf(ref) !== LISTPACK) return largeSortedSetOf(db, ref).scoreOf(member)
  const bytes = db.bytesOf(ref, packed)
  const at = lpFind(bytes.buf, bytes.start, bytes.end, member, 1)
  return at < 0 ? NaN : packedScore(bytes.buf, lpNext(bytes.buf, at))
}

/**
 * Walks a sorted set: `walk.open(db, ref); for (let more = walk.seek(0); more; more = walk.next()) ...`, or
 * over what `selectScores` or `selectMembers` found, and `close` at the end. The sorted set (and, when it
 * is packed, every key) must stay unchanged meanwhile.
 */
export class SortedSetWalk {
  /** The member it stands at. */
  readonly member = new Slice()
  /** How many members there are. */
  size = 0
  /** What was selected: so many members from this rank on. */
  first = 0
  count = 0
  readonly #bytes = new Slice()
  readonly #text = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
  readonly #cursor = new OrderCursor()
  #large: LargeSortedSet | undefined
  /** Position of the member in a listpack. */
  #at = 0

  open(db: Database, ref: Ref): this {
    if (db.encodingOf(ref) === LISTPACK) {
      this.#large = undefined
      const bytes = db.bytesOf(ref, this.#bytes)
      this.size = lpCount(bytes.buf, bytes.start) >>> 1
    } else this.openLarge(largeSortedSetOf(db, ref))
    return this
  }

  openLarge(set: LargeSortedSet): this {
    this.#large = set
    this.size = set.size
    return this
  }

  get isPacked(): boolean {
    return this.#large === undefined
  }

  /** Lets the sorted set go. */
  close(): void {
    this.#large = undefined
    this.#bytes.start = this.#bytes.end
  }

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.close()
    this.#cursor.forget()
    for (const slice of [this.member, this.#bytes]) slice.forget()
  }

  /** The score of the member it stands at. */
  get score(): number {
    return this.#large !== undefined ? this.#cursor.score : this.#packedScoreAt(this.#at)
  }

  /** Goes to the member at `rank`. False when there is none. */
  seek(rank: number): boolean {
    if (rank < 0 || rank >= this.size) return false
    if (this.#large === undefined) {
      this.#at = lpSeek(this.#bytes.buf, this.#bytes.start, this.#bytes.end, rank * 2)
      lpGet(this.#bytes.buf, this.#at, this.member, this.#text)
    } else {
      this.#cursor.seek(this.#large.order, rank)
      this.#large.members.keyAt(this.#cursor.ref, this.member)
    }
    return true
  }

  /** Goes to the next member. False after the last. */
  next(): boolean {
    const large = this.#large
    if (large !== undefined) {
      if (!this.#cursor.next()) return false
      large.members.keyAt(this.#cursor.ref, this.member)
      return true
    }
    const buf = this.#bytes.buf
    const at = lpNext(buf, lpNext(buf, this.#at))
    if (lpIsEnd(buf, at)) return false
    this.#at = at
    lpGet(buf, at, this.member, this.#text)
    return true
  }

  /** Goes to the member before. False at the first. */
  previous(): boolean {
    const large = this.#large
    if (large !== undefined) {
      if (!this.#cursor.previous()) return false
      large.members.keyAt(this.#cursor.ref, this.member)
      return true
    }
    const { buf, start } = this.#bytes
    const scoreAt = lpPrev(buf, start, this.#at)
    if (scoreAt < 0) return false
    this.#at = lpPrev(buf, start, scoreAt)
    lpGet(buf, this.#at, this.member, this.#text)
    return true
  }

  /** The score of any member; NaN when it is none. The walk stays where it is. */
  scoreOf(member: Slice): number {
    if (this.#large !== undefined) return this.#large.scoreOf(member)
    const { buf, start, end } = this.#bytes
    const at = lpFind(buf, start, end, member, 1)
    return at < 0 ? NaN : packedScore(buf, lpNext(buf, at))
  }

  /** How many members come before this one; -1 when it is none. The walk stays where it is. */
  rankOf(member: Slice): number {
    if (this.#large !== undefined) return this.#large.rankOf(member)
    const { buf, start, end } = this.#bytes
    const at = lpFind(buf, start, end, member, 1)
    if (at < 0) return -1
    let rank = 0
    for (let pos = start + LP_HEADER; pos < at; pos = lpNext(buf, lpNext(buf, pos))) rank++
    return rank
  }

  // ---- ranges ----

  /** Selects the members with scores in the range. */
  selectScores(range: ScoreRange, reverse = false): void {
    this.first = 0
    this.count = 0
    if (range.isEmpty) return
    if (this.#large !== undefined) {
      const { order } = this.#large
      this.first = order.countBelow(range.min, range.minExclusive)
      this.count = Math.max(0, order.countBelow(range.max, !range.maxExclusive) - this.first)
    } else {
      this.#selectPacked(
        (at) => range.reaches(this.#packedScoreAt(at)), (at) => range.holds(this.#packedScoreAt(at)), reverse)
    }
  }

  /**
   * Selects the members in the range. They must all have one score; where they have not, a packed sorted set
   * gives what Valkey's walk over it from this side would.
   */
  selectMembers(range: LexRange, reverse = false): void {
    this.first = 0
    this.count = 0
    if (range.isEmpty) return
    if (this.#large !== undefined) {
      const { order } = this.#large
      const { min, max } = range
      this.first = min.place < 0 ? 0 : order.countBelowMember(min.member, min.exclusive)
      const until = max.place > 0 ? this.size : order.countBelowMember(max.member, !max.exclusive)
      this.count = Math.max(0, until - this.first)
    } else {
      this.#selectPacked(
        (at) => range.reaches(this.#packedMemberAt(at)), (at) => range.holds(this.#packedMemberAt(at)), reverse)
    }
  }

  /**
   * Walks a listpack from one side: past the members outside the near end of the range, then up to its far
   * end. `reaches` and `holds` say whether the pair at a position is not before, and not behind, the range.
   */
  #selectPacked(reaches: (at: number) => boolean, holds: (at: number) => boolean, reverse: boolean): void {
    const { buf, start, end } = this.#bytes
    const { size } = this
    let at = lpPrev(buf, start, lpLast(buf, start, end))
    if (size === 0 || !reaches(at) || !holds(start + LP_HEADER)) return
    if (reverse) {
      let left = size
      for (; left > 0 && !holds(at); left--) at = lpPrev(buf, start, lpPrev(buf, start, at))
      const until = left
      for (; left > 0 && reaches(at); left--) at = lpPrev(buf, start, lpPrev(buf, start, at))
      this.first = left
      this.count = until - left
      return
    }
    let rank = 0
    at = start + LP_HEADER
    for (; rank < size && !reaches(at); rank++) at = lpNext(buf, lpNext(buf, at))
    this.first = rank
    for (; rank < size && holds(at); rank++) at = lpNext(buf, lpNext(buf, at))
    this.count = rank - this.first
  }

  #packedScoreAt(at: number): number {
    return packedScore(this.#bytes.buf, lpNext(this.#bytes.buf, at))
  }

  #packedMemberAt(at: number): Slice {
    return lpGet(this.#bytes.buf, at, this.member, this.#text)
  }
}
