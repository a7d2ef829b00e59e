/**
 * One node of a large list: a run of packed elements, or one element too large to be packed.
 *
 *     packed   bytes  [ gap | header 6 | element element ... | 0xFF | gap ]
 *                     0     start                             end    bytes.length
 *     plain    bytes  [ the element ]           start = 0, end = its length
 *
 * The gaps are what makes a push at either end cheap: it moves `start` or `end` and writes one element. The
 * header moves with `start` and is only written by `seal`, when somebody wants the listpack as it goes into
 * an RDB file; until then its six bytes are undefined and `count` is what counts.
 *
 * How much goes into a node is Valkey's rule to the byte (`list-max-listpack-size`, here `fill`), because a
 * DUMP shows the borders of the nodes:
 *
 *     fill -1 .. -5    at most 4, 8, 16, 32, 64 KB a node
 *     fill n >= 0      at most n elements (0 means 1), and no more than 8 KB
 */
import {
  LP_EMPTY_BYTES, LP_HEADER, lpEncodedSize, lpEntrySize, lpFind, lpPrev, lpWriteEntry, lpWriteHeader,
} from '../../protocol/rdb/listpack.js'
import type { Slice } from '../../protocol/slice.js'

const END = 0xff
const NODE_BYTES = [4096, 8192, 16384, 32768, 65536]
/** What a node limited by its number of elements may hold at most. */
const SAFETY_LIMIT_BYTES = 8192
/** What Valkey expects an element to cost beyond its bytes. */
const ELEMENT_OVERHEAD = 8
/** First size of a node whose number of elements is limited, not its bytes. */
const SMALL_NODE_BYTES = 512

/** The byte limit of a node for a negative fill. */
function limitBytes(fill: number): number {
  return NODE_BYTES[Math.min(-fill, NODE_BYTES.length) - 1]
}

/** Whether a node of `bytes` and `count` elements is over the limit. */
export function exceedsNodeLimit(fill: number, bytes: number, count: number): boolean {
  if (fill < 0) return bytes > limitBytes(fill)
  return bytes > SAFETY_LIMIT_BYTES || count > Math.max(fill, 1)
}

/** Whether a list of one such node may be held packed. `shrinking`: only when it is below half the limit. */
export function fitsPacked(fill: number, bytes: number, count: number, shrinking: boolean): boolean {
  if (fill < 0) return bytes <= (shrinking ? limitBytes(fill) / 2 : limitBytes(fill))
  const limit = Math.max(fill, 1)
  return count <= (shrinking ? limit >> 1 : limit)
}

let plainThresholdBytes = 0

/** Elements from this size on get a node of their own, whatever the limits say; 0: the limits decide. For tests. */
export function setPlainThreshold(bytes: number): void {
  plainThresholdBytes = bytes
}

/** Whether an element of this many bytes gets a node of its own. */
export function isLargeElement(length: number, fill: number): boolean {
  if (plainThresholdBytes !== 0) return length >= plainThresholdBytes
  return length > (fill < 0 ? limitBytes(fill) : SAFETY_LIMIT_BYTES)
}

export class ListNode {
  prev: ListNode | undefined = undefined
  next: ListNode | undefined = undefined

  constructor(
    readonly plain: boolean,
    public bytes: Buffer,
    public start: number,
    public end: number,
    public count: number,
  ) {}

  /** A node that is one element. */
  static plainOf(value: Slice): ListNode {
    return new ListNode(true, value.copy(), 0, value.end - value.start, 1)
  }

  /** A packed node with one element and its free room behind it, or before it (`growsAtHead`). */
  static packedOf(value: Slice, fill: number, growsAtHead: boolean): ListNode {
    const size = lpEncodedSize(value)
    const least = LP_EMPTY_BYTES + size
    const capacity = Math.max(least, fill < 0 ? limitBytes(fill) + 16 : SMALL_NODE_BYTES)
    const start = growsAtHead ? capacity - least : 0
    const node = new ListNode(false, Buffer.allocUnsafeSlow(capacity), start, start + least, 1)
    node.bytes[lpWriteEntry(value, node.bytes, start + LP_HEADER)] = END
    return node
  }

  /** A packed node with a copy of this listpack of `count` elements. */
  static packedFrom(buf: Buffer, start: number, end: number, count: number): ListNode {
    const bytes = Buffer.allocUnsafeSlow(end - start)
    buf.copy(bytes, 0, start, end)
    return new ListNode(false, bytes, 0, end - start, count)
  }

  /** Bytes of the listpack, or of the plain element. */
  get length(): number {
    return this.end - this.start
  }

  /** Position of the first element. */
  get first(): number {
    return this.start + LP_HEADER
  }

  /** Writes the header, so that `bytes[start..end)` is a listpack. */
  seal(): void {
    if (!this.plain) lpWriteHeader(this.bytes, this.start, this.end - this.start, this.count)
  }

  clone(): ListNode {
    const bytes = Buffer.allocUnsafeSlow(this.end - this.start)
    this.bytes.copy(bytes, 0, this.start, this.end)
    return new ListNode(this.plain, bytes, 0, bytes.length, this.count)
  }

  /** Whether Valkey would put an element of `length` bytes into this node. */
  accepts(length: number, fill: number): boolean {
    if (this.plain || isLargeElement(length, fill)) return false
    return !exceedsNodeLimit(fill, this.end - this.start + length + ELEMENT_OVERHEAD, this.count + 1)
  }

  /** Whether Valkey would merge these two nodes. */
  accommodates(other: ListNode, fill: number): boolean {
    if (this.plain || other.plain) return false
    return !exceedsNodeLimit(fill, this.length + other.length - LP_EMPTY_BYTES, this.count + other.count)
  }

  /** Position of the element `index` (0 to `count` - 1), walking from the nearer end. */
  positionOf(index: number): number {
    const buf = this.bytes
    if (index * 2 <= this.count) {
      let pos = this.start + LP_HEADER
      for (let i = 0; i < index; i++) pos += lpEntrySize(buf, pos)
      return pos
    }
    let pos = this.end - 1
    for (let i = this.count; i > index; i--) pos = lpPrev(buf, this.start, pos)
    return pos
  }

  append(value: Slice): void {
    const size = lpEncodedSize(value)
    if (this.end + size > this.bytes.length) this.#makeRoom(0, size)
    const at = lpWriteEntry(value, this.bytes, this.end - 1)
    this.bytes[at] = END
    this.end = at + 1
    this.count++
  }

  prepend(value: Slice): void {
    const size = lpEncodedSize(value)
    if (this.start < size) this.#makeRoom(size, 0)
    this.start -= size
    lpWriteEntry(value, this.bytes, this.start + LP_HEADER)
    this.count++
  }

  /** Inserts an element before the one at `pos`, or before the end byte. */
  insertAt(pos: number, value: Slice): void {
    this.splice(pos, pos, value)
    this.count++
  }

  /** Puts `value` in the place of the elements in `from..until`; the caller keeps `count` right. */
  splice(from: number, until: number, value: Slice): void {
    const growth = lpEncodedSize(value) - (until - from)
    let at = from
    if (this.end + growth > this.bytes.length) {
      at -= this.start
      this.#makeRoom(0, growth)
      at += this.start
    }
    this.bytes.copyWithin(at + (until - from) + growth, at + (until - from), this.end)
    lpWriteEntry(value, this.bytes, at)
    this.end += growth
  }

  /** Drops the first element. */
  dropFirst(): void {
    this.start += lpEntrySize(this.bytes, this.start + LP_HEADER)
    this.count--
  }

  /** Drops the last element. */
  dropLast(): void {
    this.end = lpPrev(this.bytes, this.start, this.end - 1) + 1
    this.bytes[this.end - 1] = END
    this.count--
  }

  /** Deletes the elements `index` to `index + count - 1`. */
  delete(index: number, count: number): void {
    const from = this.positionOf(index)
    if (index === 0) this.start = this.positionOf(count) - LP_HEADER
    else if (index + count === this.count) {
      this.bytes[from] = END
      this.end = from + 1
    } else {
      let until = from
      for (let i = 0; i < count; i++) until += lpEntrySize(this.bytes, until)
      this.bytes.copyWithin(from, until, this.end)
      this.end -= until - from
    }
    this.count -= count
  }

  /** How many elements are equal to `value`. */
  countOf(value: Slice): number {
    if (this.plain) return this.isPlainEqual(value) ? 1 : 0
    return countMatches(this.bytes, this.start, this.end, value)
  }

  /** Deletes up to `max` elements equal to `value`, leaving out the first `skip`; returns how many. */
  remove(value: Slice, skip: number, max: number): number {
    this.end = removeMatches(this.bytes, this.start, this.end, value, skip, max)
    this.count -= lastRemoved
    return lastRemoved
  }

  /** Whether the one element of a plain node is `value`. */
  isPlainEqual(value: Slice): boolean {
    return this.bytes.compare(value.buf, value.start, value.end, this.start, this.end) === 0
  }

  /** Moves the elements from `index` on into a new node. */
  splitAt(index: number): ListNode {
    const from = this.positionOf(index)
    const length = this.end - from + LP_HEADER
    const bytes = Buffer.allocUnsafeSlow(Math.max(length, this.bytes.length))
    this.bytes.copy(bytes, LP_HEADER, from, this.end)
    const node = new ListNode(false, bytes, 0, length, this.count - index)
    this.bytes[from] = END
    this.end = from + 1
    this.count = index
    return node
  }

  /** Takes the elements of the node behind this one. */
  absorb(other: ListNode): void {
    const size = other.end - 1 - other.first
    if (this.end + size > this.bytes.length) this.#makeRoom(0, size)
    other.bytes.copy(this.bytes, this.end - 1, other.first, other.end)
    this.end += size
    this.count += other.count
  }

  /**
   * Makes room for `front` bytes before the elements or `back` bytes behind them: shares what is free
   * between both ends, or moves to a larger buffer when that would be too little to last.
   */
  #makeRoom(front: number, back: number): void {
    const length = this.end - this.start
    const free = this.bytes.length - length - front - back
    const before = this.start
    if (free >= this.bytes.length >> 3) {
      this.start = front + (free >> 1)
      this.bytes.copyWithin(this.start, before, this.end)
    } else {
      const least = length + front + back
      const larger = Buffer.allocUnsafeSlow(least + Math.max(64, least < 4096 ? least : least >> 2))
      const spare = larger.length - least
      // The end that has just run out of room is the one that grows.
      this.start = front > 0 ? front + spare : Math.min(this.start, spare >> 1)
      this.bytes.copy(larger, this.start, before, this.end)
      this.bytes = larger
    }
    this.end = this.start + length
  }
}

/** The ends of a chain of nodes and the number of elements in it. */
export interface NodeChain {
  readonly head: ListNode | undefined
  readonly tail: ListNode | undefined
  readonly size: number
}

/** How many elements of a listpack are equal to `value`. */
export function countMatches(buf: Buffer, start: number, end: number, value: Slice): number {
  let count = 0
  let pos = lpFind(buf, start, end, value, 0)
  for (; pos >= 0; count++) pos = lpFind(buf, start, end, value, 0, pos + lpEntrySize(buf, pos))
  return count
}

/** How many elements the last `removeMatches` removed. */
export let lastRemoved = 0

/**
 * Deletes elements equal to `value` from a listpack in place: up to `max`, leaving out the first `skip`.
 * Returns the new end. The header is left as it was.
 */
export function removeMatches(
  buf: Buffer, start: number, end: number, value: Slice, skip: number, max: number,
): number {
  let removed = 0
  let skipped = 0
  let to = -1
  let kept = 0
  let pos = lpFind(buf, start, end, value, 0)
  while (pos >= 0 && removed < max) {
    const next = pos + lpEntrySize(buf, pos)
    if (skipped < skip) skipped++
    else {
      if (to < 0) to = pos
      else {
        buf.copyWithin(to, kept, pos)
        to += pos - kept
      }
      kept = next
      removed++
    }
    pos = lpFind(buf, start, end, value, 0, next)
  }
  lastRemoved = removed
  if (removed === 0) return end
  buf.copyWithin(to, kept, end)
  return to + end - kept
}
