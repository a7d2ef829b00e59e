/** Ranges of a sorted set: by score, and by member where all scores are equal. */
import type { Slice } from '../../protocol/slice.js'
import { compareBytes } from './compare-bytes.js'

/** From `min` to `max`, each included unless said otherwise. */
export class ScoreRange {
  min = 0
  max = 0
  minExclusive = false
  maxExclusive = false

  /** Whether no score can lie in it. */
  get isEmpty(): boolean {
    return this.min > this.max || (this.min === this.max && (this.minExclusive || this.maxExclusive))
  }

  reaches(score: number): boolean {
    return this.minExclusive ? score > this.min : score >= this.min
  }

  /** Whether a score does not lie beyond its end. */
  holds(score: number): boolean {
    return this.maxExclusive ? score < this.max : score <= this.max
  }
}

/** An end of a LexRange: before all members, at a member (included or not), behind all members. */
export interface LexBound {
  readonly place: -1 | 0 | 1
  readonly member: Slice
  readonly exclusive: boolean
}

/** From one member to another. */
export class LexRange {
  constructor(
    readonly min: LexBound,
    readonly max: LexBound,
  ) {}

  /** Whether no member can lie in it. */
  get isEmpty(): boolean {
    const { min, max } = this
    if (min.place > 0 || max.place < 0) return true
    if (min.place < 0 || max.place > 0) return false
    const order = compareBytes(min.member, max.member)
    return order > 0 || (order === 0 && (min.exclusive || max.exclusive))
  }

  reaches(member: Slice): boolean {
    if (this.min.place !== 0) return this.min.place < 0
    const order = compareBytes(member, this.min.member)
    return this.min.exclusive ? order > 0 : order >= 0
  }

  /** Whether a member does not lie beyond its end. */
  holds(member: Slice): boolean {
    if (this.max.place !== 0) return this.max.place > 0
    const order = compareBytes(member, this.max.member)
    return this.max.exclusive ? order < 0 : order <= 0
  }
}
