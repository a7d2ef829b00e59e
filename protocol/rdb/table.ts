/**
 * The unpacked forms of lists, sets, hashes and sorted sets: a count and so many elements.
 *
 *     1  list                  string
 *     2  set                   string
 *     3  sorted set            string, text score: u8 n (253 NaN, 254 +inf, 255 -inf), n bytes
 *     4  hash                  string, string
 *     5  sorted set            string, f64le
 *     22 hash, Valkey          string, string, ms (-1: no expiry)
 *     22 hash, Redis 7.4 RC    length ttl (0: none, else absolute), string, string
 *     24 hash, Redis           before the count: ms minimum; then length ttl (0: none, else minimum + ttl - 1), string, string
 *
 * TableReader pulls elements one by one; TableVerifier makes the deep check in slices.
 */
import { Slice } from '../slice.js'
import { DuplicateFinder } from './duplicates.js'
import type { EqualAt } from './duplicates.js'
import { RdbError } from './error.js'
import { RdbInput } from './input.js'
import { TYPE, familyOf } from './payload.js'
import { parseScorePrefix } from './score.js'
import { StringScratch, readString, skipString } from './string.js'
import { arrivedWalks, TableWalk } from './table-walk.js'
import type { TableSource } from './value.js'

/** Highest expiry of a field that Redis loads. */
export const MOST_FIELD_EXPIRE_MS = 2 ** 48 - 1

/** How much faster the walk in WebAssembly is than the check in JavaScript, by a low count. */
const WALK_SPEED = 4

/** Layouts of an element; `ttl-*` come in three, see above. */
type Layout = 'member' | 'pair' | 'text-score' | 'score' | 'ttl-valkey' | 'ttl-rc' | 'ttl-redis'

export class TableReader implements TableSource {
  readonly count: number
  readonly hasExpiry: boolean
  readonly first = new Slice()
  readonly second = new Slice()
  score = 0
  expireMs = -1
  /** Where the member or field last read begins. */
  firstAt = 0

  private readonly input: RdbInput
  private readonly layout: Layout
  private readonly bodyStart: number
  private readonly minExpireMs: number
  private readonly firstScratch = new StringScratch()
  private readonly secondScratch = new StringScratch()
  private left: number

  /** Reads the head of the table; an RdbError of kind `empty` when it has no elements. */
  constructor(type: number, buf: Buffer, start: number, end: number, version: number) {
    this.layout = layoutOf(type, version)
    this.input = new RdbInput(buf, start, end)
    this.minExpireMs = type === TYPE.HASH_TTL ? this.input.ms() : 0
    this.count = this.input.count(LEAST_BYTES[this.layout])
    if (this.count === 0) throw new RdbError('a collection without elements', 'empty')
    this.hasExpiry = this.layout === 'ttl-valkey' || this.layout === 'ttl-rc' || this.layout === 'ttl-redis'
    this.left = this.count
    this.bodyStart = this.input.pos
  }

  /** Position after the element last read. */
  get position(): number {
    return this.input.pos
  }

  next(): boolean {
    if (this.left === 0) return false
    this.left--
    this.advance(false)
    return true
  }

  /** Moves to the next element without looking at its second part, which is only skipped. */
  nextFirst(): boolean {
    if (this.left === 0) return false
    this.left--
    this.advance(true)
    return true
  }

  rewind(): void {
    this.input.pos = this.bodyStart
    this.left = this.count
  }

  private advance(firstOnly: boolean): void {
    const { input, layout } = this
    if (layout === 'ttl-redis' || layout === 'ttl-rc') this.readTtl(layout === 'ttl-redis')
    this.firstAt = input.pos
    readString(input, this.first, this.firstScratch)
    if (layout === 'member') return
    if (layout === 'score') {
      this.score = input.double()
      if (this.score !== this.score) throw new RdbError('a score that is not a number')
      return
    }
    if (layout === 'text-score') {
      this.score = readTextScore(input, this.second)
      return
    }
    if (firstOnly && !isCompressed(input)) skipString(input)
    else readString(input, this.second, this.secondScratch)
    if (layout === 'ttl-valkey') {
      this.expireMs = input.ms()
      if (this.expireMs < -1) throw new RdbError('expiry of a hash field out of range')
    }
  }

  private readTtl(relative: boolean): void {
    const ttl = this.input.length()
    this.expireMs = ttl === 0 ? -1 : relative ? this.minExpireMs + ttl - 1 : ttl
    if (ttl > 0 && !(this.expireMs >= 0 && this.expireMs <= MOST_FIELD_EXPIRE_MS && this.minExpireMs >= 0)) {
      throw new RdbError('expiry of a hash field out of range')
    }
  }
}

const LEAST_BYTES: Record<Layout, number> = { member: 1, pair: 2, 'text-score': 2, score: 9, 'ttl-valkey': 10, 'ttl-rc': 3, 'ttl-redis': 3 }

function layoutOf(type: number, version: number): Layout {
  switch (type) {
    case TYPE.LIST:
    case TYPE.SET:
      return 'member'
    case TYPE.ZSET_TEXT:
      return 'text-score'
    case TYPE.HASH:
      return 'pair'
    case TYPE.ZSET:
      return 'score'
    case TYPE.HASH_TTL_VALKEY:
      return familyOf(version) === 'valkey' ? 'ttl-valkey' : 'ttl-rc'
    case TYPE.HASH_TTL:
      return 'ttl-redis'
    default:
      throw new RdbError(`type ${type} is no table`, 'unsupported')
  }
}

function isCompressed(input: RdbInput): boolean {
  return input.pos < input.end && input.buf[input.pos] === 0xc3
}

function readTextScore(input: RdbInput, text: Slice): number {
  const size = input.byte()
  if (size === 255) return -Infinity
  if (size === 254) return Infinity
  const at = input.take(size === 253 ? 0 : size)
  const score = size === 253 ? NaN : parseScorePrefix(text.set(input.buf, at, at + size))
  if (score !== score) throw new RdbError('a score that is not a number')
  return score
}

/**
 * The deep check of a table: every element readable, no member twice, no score that is no number. Takes as
 * many turns as the caller likes. What the fast walk does not settle is checked again from the start.
 */
export class TableVerifier {
  private readonly reader: TableReader
  private readonly equalAt: EqualAt | undefined
  private finder: DuplicateFinder | undefined
  private walk: TableWalk | undefined
  private readonly start: number

  constructor(type: number, buf: Buffer, start: number, end: number, version: number) {
    this.reader = new TableReader(type, buf, start, end, version)
    this.start = start
    const { position, count } = this.reader
    this.equalAt = type === TYPE.LIST ? undefined : equalStrings(buf, start, end)
    this.walk = arrivedWalks.get(buf)?.resume(type, position, end) ?? TableWalk.begin(type, buf, position, end, count)
    arrivedWalks.delete(buf)
    if (this.walk === undefined) this.startFinder()
  }

  /** Checks up to `elements` more; true when all are done. Throws RdbError when the table is corrupt. */
  step(elements: number): boolean {
    if (this.walk !== undefined) {
      const result = this.walk.step(elements * WALK_SPEED)
      if (result !== 'unsettled') return result === 'sound'
      this.walk = undefined
      this.startFinder()
    }
    const { reader, finder } = this
    for (let i = 0; i < elements; i++) {
      if (!reader.nextFirst()) return this.settle(elements - i)
      if (finder === undefined) continue
      finder.add(reader.first, reader.firstAt - this.start)
      if (finder.found) throw duplicate()
    }
    return false
  }

  /** Position after the last element, once `step` returned true. */
  get position(): number {
    return this.walk?.position ?? this.reader.position
  }

  private startFinder(): void {
    if (this.equalAt !== undefined) this.finder = new DuplicateFinder(this.reader.count, this.equalAt)
  }

  private settle(elements: number): boolean {
    const { finder } = this
    if (finder === undefined) return true
    if (finder.settle(elements)) return elements === Infinity ? this.settle(elements) : false
    if (finder.found) throw duplicate()
    finder.release()
    return true
  }
}

function equalStrings(buf: Buffer, start: number, end: number): EqualAt {
  const at = new RdbInput(buf, start, end)
  const [a, b] = [new Slice(), new Slice()]
  const [scratchA, scratchB] = [new StringScratch(), new StringScratch()]
  return (offset, other) => {
    at.pos = start + offset
    readString(at, a, scratchA)
    at.pos = start + other
    return readString(at, b, scratchB).equals(a)
  }
}

function duplicate(): RdbError {
  return new RdbError('a member that is there twice')
}
