/**
 * The order of a large sorted set: its entries by score, and by member where scores are equal, with rank
 * and position in O(log n).
 *
 * Three levels. Entries stand in chunks of at most 256 in typed arrays; a group holds up to 128 chunks with
 * their sizes and first scores; the root is the list of groups. Ten million entries make about 600 groups.
 *
 *     root     group 0                group 1               ...
 *     group    ids, counts, firsts of its chunks, entries below it
 *     chunk    scores f64 x 256 | refs u32 x 256            (64 chunks a slab)
 *
 * A search goes down by bisection on the first entries; a rank adds up the sizes to its left. An entry costs
 * 12 bytes in a full chunk, about 17 after random insertions. Skip-list nodes would be an object of the
 * collector's each; here there are a few hundred objects whatever the size.
 *
 * Invariants
 * - Entries ascend by (score, member bytes); no two are equal. NaN is never a score.
 * - No chunk and no group is empty; `firsts[i]` is the first score of chunk i, `counts[i]` its entries.
 * - A ref names the member's record in the ByteMap, which stays where it is while the member is in the set.
 *   Entries leave the order before (or together, by position, with) their records.
 */
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import { compareBytes } from './compare-bytes.js'
import { CHUNK, CHUNK_BITS, ChunkPool, Group, GROUP, SLAB_BITS, SLAB_MASK } from './order-chunks.js'
import type { ByteMap } from './byte-map.js'

/** Fewer entries are shifted one by one: a native call costs more. */
const SHIFT_BY_HAND = 24
/** Chunks below this are merged with a neighbour when both fit in `MERGED_MAX`. */
const MERGE_BELOW = CHUNK / 4
const MERGED_MAX = (CHUNK * 3) / 4
const GROUP_MERGE_BELOW = GROUP / 4
const GROUP_MERGED_MAX = (GROUP * 3) / 4
/** Entries per chunk that a bulk build leaves: room for the insertions to come. */
export const BUILD_FILL = (CHUNK * 7) / 8

/** What a search does with entries whose score is the one looked for. */
type Tie =
  /** Those with a lower member come before. */
  | 0
  /** None, or all of them. */
  | 1 | 2
  /** Those with a member below the given one, or up to it. */
  | 3 | 4
const BY_RECORD = 0
const NONE = 1
const ALL = 2
const BY_MEMBER = 3
const BY_MEMBER_INCLUDED = 4
/** Looked for in place of a score, it makes every entry a tie: members are compared alone. */
const ANY_SCORE = NaN

export class OrderedScores {
  /** How many entries there are. */
  size = 0
  /** The levels, for cursors; nobody else looks into them. */
  readonly groups: Group[] = []
  readonly chunks = new ChunkPool()
  /** Where the last search ended: group, chunk in it, offset in that. */
  #group = 0
  #chunk = 0
  #offset = 0
  /** What the search looks for: a score, and a record or a member to settle ties. */
  #tie: Tie = BY_RECORD
  #score = 0
  #ref: Ref = 0
  /** The key of `#ref` once a tie has asked for it, or the member given. */
  readonly #member = new Slice()
  #memberKnown = false
  readonly #probe = new Slice()

  constructor(readonly members: ByteMap) {}

  /** Bytes of all levels. */
  get bytes(): number {
    let { bytes } = this.chunks
    for (const group of this.groups) bytes += group.ids.length * 14
    return bytes
  }

  // ---- changing ----

  /** Adds an entry that is not there yet. */
  insert(score: number, ref: Ref): void {
    this.#aim(score, ref)
    this.#insertAimed(score, ref)
  }

  #insertAimed(score: number, ref: Ref): void {
    this.size++
    if (this.groups.length === 0) this.#openFirst()
    else this.#search()
    if (this.groups[this.#group].counts[this.#chunk] === CHUNK) this.#split()
    const group = this.groups[this.#group]
    const at = this.#chunk
    const offset = this.#offset
    const id = group.ids[at]
    const base = (id & SLAB_MASK) << CHUNK_BITS
    const scores = this.chunks.scores[id >>> SLAB_BITS]
    const refs = this.chunks.refs[id >>> SLAB_BITS]
    const end = base + group.counts[at]
    const to = base + offset
    if (end - to > SHIFT_BY_HAND) {
      scores.copyWithin(to + 1, to, end)
      refs.copyWithin(to + 1, to, end)
    } else {
      for (let i = end; i > to; i--) {
        scores[i] = scores[i - 1]
        refs[i] = refs[i - 1]
      }
    }
    scores[to] = score
    refs[to] = ref
    group.counts[at]++
    group.entries++
    if (offset === 0) group.firsts[at] = score
  }

  /** Takes the entry of a member out; `score` is the one it stands under. */
  remove(score: number, ref: Ref): void {
    this.#find(score, ref)
    this.#cut(this.#offset, 1)
  }

  /** Gives a member another score. */
  update(from: number, to: number, ref: Ref): void {
    this.#find(from, ref)
    const group = this.groups[this.#group]
    const offset = this.#offset
    const id = group.ids[this.#chunk]
    this.#score = to
    if (
      offset > 0 && offset + 1 < group.counts[this.#chunk] &&
      this.#isBefore(id, offset - 1) && !this.#isBefore(id, offset + 1)
    ) {
      this.chunks.scores[id >>> SLAB_BITS][((id & SLAB_MASK) << CHUNK_BITS) + offset] = to
      return
    }
    this.#cut(offset, 1)
    this.#insertAimed(to, ref)
  }

  /** Takes out `count` entries from `rank` on. Their records are the caller's to delete. */
  removeRange(rank: number, count: number): void {
    let left = count
    while (left > 0) {
      this.#goTo(rank)
      const here = Math.min(left, this.groups[this.#group].counts[this.#chunk] - this.#offset)
      this.#cut(this.#offset, here)
      left -= here
    }
  }

  /** Adds an entry that is known to come after all others, leaving chunks as full as a bulk build does. */
  append(score: number, ref: Ref): void {
    let group = this.groups[this.groups.length - 1]
    if (group === undefined || group.counts[group.chunks - 1] >= BUILD_FILL) {
      this.appendChunk(this.chunks.alloc(), 0)
      group = this.groups[this.groups.length - 1]
    }
    const last = group.chunks - 1
    const offset = group.counts[last]++
    const id = group.ids[last]
    const at = ((id & SLAB_MASK) << CHUNK_BITS) + offset
    this.chunks.scores[id >>> SLAB_BITS][at] = score
    this.chunks.refs[id >>> SLAB_BITS][at] = ref
    if (offset === 0) group.firsts[last] = score
    group.entries++
    this.size++
  }

  /** Adds a whole chunk behind all others; its `count` entries stand in it already. For bulk builds. */
  appendChunk(id: number, count: number): void {
    let group = this.groups[this.groups.length - 1]
    if (group === undefined || group.chunks === GROUP) {
      group = new Group(this.groups.length === 0 ? 4 : GROUP)
      this.groups.push(group)
    }
    group.open(group.chunks)
    const at = group.chunks - 1
    group.ids[at] = id
    group.counts[at] = count
    group.firsts[at] = this.chunks.scoreAt(id, 0)
    group.entries += count
    this.size += count
  }

  // ---- asking ----

  /** How many entries come before this member's. */
  rankOf(score: number, ref: Ref): number {
    this.#find(score, ref)
    return this.#rank()
  }

  /** How many entries have a score below this one (or, with `orEqual`, up to it). */
  countBelow(score: number, orEqual: boolean): number {
    this.#score = score
    this.#tie = orEqual ? ALL : NONE
    return this.#count()
  }

  /** How many members sort below this one (or up to it), given that all scores are equal. */
  countBelowMember(member: Slice, orEqual: boolean): number {
    this.#score = ANY_SCORE
    this.#tie = orEqual ? BY_MEMBER_INCLUDED : BY_MEMBER
    this.#member.set(member.buf, member.start, member.end)
    return this.#count()
  }

  #count(): number {
    if (this.size === 0) return 0
    this.#search()
    return this.#rank()
  }

  #rank(): number {
    let rank = this.#offset
    for (let g = 0; g < this.#group; g++) rank += this.groups[g].entries
    const counts = this.groups[this.#group].counts
    for (let c = 0; c < this.#chunk; c++) rank += counts[c]
    return rank
  }

  // ---- searching ----

  /** Looks for the place of a record under a score. */
  #aim(score: number, ref: Ref): void {
    this.#score = score
    this.#tie = BY_RECORD
    this.#ref = ref
    this.#memberKnown = false
  }

  /** Whether an entry lies before what is looked for. */
  #isBefore(id: number, offset: number): boolean {
    const score = this.chunks.scoreAt(id, offset)
    return score < this.#score || (!(score > this.#score) && this.#tieIsBefore(id, offset))
  }

  #tieIsBefore(id: number, offset: number): boolean {
    const tie = this.#tie
    if (tie === NONE || tie === ALL) return tie === ALL
    const ref = this.chunks.refAt(id, offset)
    if (tie === BY_RECORD) {
      if (ref === this.#ref) return false
      if (!this.#memberKnown) {
        this.members.keyAt(this.#ref, this.#member)
        this.#memberKnown = true
      }
    }
    const order = compareBytes(this.members.keyAt(ref, this.#probe), this.#member)
    return order < 0 || (order === 0 && tie === BY_MEMBER_INCLUDED)
  }

  /**
   * Goes to where the first entry that is not before the aim stands, or would be inserted: in the last chunk
   * whose first entry is before it (so possibly at that chunk's end), else at the very front.
   */
  #search(): void {
    const score = this.#score
    const groups = this.groups
    let low = 0
    let high = groups.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const group = groups[middle]
      const first = group.firsts[0]
      if (first < score || (!(first > score) && this.#tieIsBefore(group.ids[0], 0))) low = middle + 1
      else high = middle
    }
    this.#group = low === 0 ? 0 : low - 1
    const group = groups[this.#group]
    const { firsts } = group
    low = 0
    high = group.chunks
    while (low < high) {
      const middle = (low + high) >>> 1
      const first = firsts[middle]
      if (first < score || (!(first > score) && this.#tieIsBefore(group.ids[middle], 0))) low = middle + 1
      else high = middle
    }
    this.#chunk = low === 0 ? 0 : low - 1
    const id = group.ids[this.#chunk]
    const base = (id & SLAB_MASK) << CHUNK_BITS
    const scores = this.chunks.scores[id >>> SLAB_BITS]
    low = 0
    high = group.counts[this.#chunk]
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = scores[base + middle]
      if (other < score || (!(other > score) && this.#tieIsBefore(id, middle))) low = middle + 1
      else high = middle
    }
    this.#offset = low
  }

  /** Goes to the entry of a member, which must be there. */
  #find(score: number, ref: Ref): void {
    this.#aim(score, ref)
    this.#search()
    const group = this.groups[this.#group]
    if (this.#offset === group.counts[this.#chunk]) {
      this.#offset = 0
      this.#chunk++
      if (this.#chunk === group.chunks) {
        this.#chunk = 0
        this.#group++
      }
    }
    const id = this.groups[this.#group]?.ids[this.#chunk]
    if (id === undefined || this.chunks.refAt(id, this.#offset) !== ref)
      throw new Error('a member is missing in the order of its sorted set')
  }

  /** Goes to the entry at `rank`, which must be below `size`. */
  #goTo(rank: number): void {
    let left = rank
    let g = 0
    while (left >= this.groups[g].entries) left -= this.groups[g++].entries
    const counts = this.groups[g].counts
    let c = 0
    while (left >= counts[c]) left -= counts[c++]
    this.#group = g
    this.#chunk = c
    this.#offset = left
  }

  // ---- chunks and groups ----

  #openFirst(): void {
    const group = new Group(4)
    group.open(0)
    group.ids[0] = this.chunks.alloc()
    group.counts[0] = 0
    this.groups.push(group)
    this.#group = 0
    this.#chunk = 0
    this.#offset = 0
  }

  /**
   * Makes room at the place of insertion in a full chunk. In the middle it is cut in two halves; at either
   * end of the whole order a fresh chunk is begun, so that ascending (or descending) insertion leaves full
   * chunks behind.
   */
  #split(): void {
    if (this.groups[this.#group].chunks === GROUP) this.#splitGroup()
    const group = this.groups[this.#group]
    const at = this.#chunk
    const atEnd = this.#offset === CHUNK && this.#group === this.groups.length - 1 && at === group.chunks - 1
    const atFront = this.#offset === 0 && this.#group === 0 && at === 0
    const id = this.chunks.alloc()
    if (atEnd || atFront) {
      this.#chunk = atEnd ? at + 1 : 0
      group.open(this.#chunk)
      group.ids[this.#chunk] = id
      group.counts[this.#chunk] = 0
      this.#offset = 0
      return
    }
    const half = CHUNK / 2
    const from = group.ids[at]
    this.chunks.move(from, half, CHUNK - half, id, 0)
    group.open(at + 1)
    group.ids[at + 1] = id
    group.counts[at + 1] = CHUNK - half
    group.firsts[at + 1] = this.chunks.scoreAt(id, 0)
    group.counts[at] = half
    if (this.#offset > half) {
      this.#chunk = at + 1
      this.#offset -= half
    }
  }

  /** Cuts a full group in two, as `#split` does with chunks. */
  #splitGroup(): void {
    const group = this.groups[this.#group]
    const last = this.#group === this.groups.length - 1 && this.#chunk === GROUP - 1
    const keep = last ? GROUP - 1 : GROUP / 2
    const next = new Group(GROUP)
    next.takeTail(group, keep)
    this.groups.splice(this.#group + 1, 0, next)
    if (this.#chunk >= keep) {
      this.#group++
      this.#chunk -= keep
    }
  }

  /** Takes `count` entries from `offset` on out of the chunk just found. */
  #cut(offset: number, count: number): void {
    const group = this.groups[this.#group]
    const at = this.#chunk
    const left = group.counts[at] - count
    this.size -= count
    group.entries -= count
    if (left === 0) {
      this.#dropChunk(at)
      return
    }
    const id = group.ids[at]
    const base = (id & SLAB_MASK) << CHUNK_BITS
    const scores = this.chunks.scores[id >>> SLAB_BITS]
    const refs = this.chunks.refs[id >>> SLAB_BITS]
    const to = base + offset
    const end = base + left
    if (end - to > SHIFT_BY_HAND) {
      scores.copyWithin(to, to + count, end + count)
      refs.copyWithin(to, to + count, end + count)
    } else {
      for (let i = to; i < end; i++) {
        scores[i] = scores[i + count]
        refs[i] = refs[i + count]
      }
    }
    group.counts[at] = left
    if (offset === 0) group.firsts[at] = scores[base]
    if (left < MERGE_BELOW) this.#mergeChunk(at)
  }

  /** Takes an emptied chunk away, and its group when that was the last one. */
  #dropChunk(at: number): void {
    const group = this.groups[this.#group]
    this.chunks.release(group.ids[at])
    group.close(at)
    if (group.chunks === 0) this.groups.splice(this.#group, 1)
    else if (group.chunks < GROUP_MERGE_BELOW) this.#mergeGroup()
  }

  /** Joins a chunk that has become small with a neighbour of its group. */
  #mergeChunk(at: number): void {
    const group = this.groups[this.#group]
    const counts = group.counts
    let left = -1
    if (at + 1 < group.chunks && counts[at] + counts[at + 1] <= MERGED_MAX) left = at
    else if (at > 0 && counts[at - 1] + counts[at] <= MERGED_MAX) left = at - 1
    if (left < 0) return
    this.chunks.move(group.ids[left + 1], 0, counts[left + 1], group.ids[left], counts[left])
    counts[left] += counts[left + 1]
    this.#dropChunk(left + 1)
  }

  #mergeGroup(): void {
    const at = this.#group
    const groups = this.groups
    let left = -1
    if (at + 1 < groups.length && groups[at].chunks + groups[at + 1].chunks <= GROUP_MERGED_MAX) left = at
    else if (at > 0 && groups[at - 1].chunks + groups[at].chunks <= GROUP_MERGED_MAX) left = at - 1
    if (left < 0) return
    groups[left].takeTail(groups[left + 1], 0)
    groups.splice(left + 1, 1)
  }
}
