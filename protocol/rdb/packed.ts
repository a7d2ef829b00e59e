/**
 * The deep checks of packed blobs: listpacks as sets, hashes and sorted sets, and what is made of older
 * packed forms. Each takes `blob[start..end)` from outside and throws RdbError.
 */
import { Slice } from '../slice.js'
import { DuplicateFinder } from './duplicates.js'
import { RdbError } from './error.js'
import { LP_HEADER, lpEquals, lpFinish, lpGet, lpGetInteger, lpIsEnd, lpIsInteger, lpNext } from './listpack.js'
import { lpValidate } from './listpack-check.js'
import { lpGetScore } from './score.js'
import { MOST_FIELD_EXPIRE_MS } from './table.js'

/**
 * A listpack of rows of `width` elements whose first elements are all different: 1 for a set, 2 for a hash or
 * sorted set, 3 for a hash with expiries. Returns the number of rows.
 */
export function checkRows(buf: Buffer, start: number, end: number, width: number): number {
  const count = checkListpack(buf, start, end)
  if (count === 0) throw new RdbError('a collection without elements', 'empty')
  if (count % width !== 0) throw new RdbError('a row of a packed collection is not complete')
  const rows = count / width
  if (!firstsDiffer(buf, start, rows, width)) throw new RdbError('a member that is there twice')
  return rows
}

/** A listpack of any content; returns the number of elements. */
export function checkListpack(buf: Buffer, start: number, end: number): number {
  const count = lpValidate(buf, start, end)
  if (count < 0) throw new RdbError('corrupt listpack')
  return count
}

function firstsDiffer(buf: Buffer, start: number, rows: number, width: number): boolean {
  if (rows <= FEW_ROWS) return fewFirstsDiffer(buf, start, width)
  const finder = new DuplicateFinder(rows, (offset, other) => lpEquals(buf, start + offset, lpGet(buf, start + other, otherElement, otherScratch)))
  for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos) && !finder.found; ) {
    finder.add(lpGet(buf, pos, element, scratch), pos - start)
    for (let i = 0; i < width; i++) pos = lpNext(buf, pos)
  }
  while (finder.settle(Infinity)) {
    // Two turns at most: sorting, then all parts.
  }
  finder.release()
  return !finder.found
}

/** So few members are compared each with each, by hash first: cheaper than a table, and no choice of them is slow. */
const FEW_ROWS = 32
const fewHashes = new Int32Array(FEW_ROWS)
const fewPositions = new Int32Array(FEW_ROWS)

function fewFirstsDiffer(buf: Buffer, start: number, width: number): boolean {
  let count = 0
  for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos); count++) {
    const { buf: text, start: from, end } = lpGet(buf, pos, element, scratch)
    let hash = end - from
    for (let i = from; i < end; i++) hash = (Math.imul(hash, 31) + text[i]) | 0
    for (let i = 0; i < count; i++)
      if (fewHashes[i] === hash && lpEquals(buf, fewPositions[i], element)) return false
    fewHashes[count] = hash
    fewPositions[count] = pos
    for (let i = 0; i < width; i++) pos = lpNext(buf, pos)
  }
  return true
}

const element = Slice.scratch()
const scratch = Buffer.allocUnsafeSlow(24)
const otherElement = Slice.scratch()
const otherScratch = Buffer.allocUnsafeSlow(24)

/** Member, score ...: every score a number. Returns whether the rows are in order. */
export function checkScores(buf: Buffer, start: number, end: number): boolean {
  checkRows(buf, start, end, 2)
  let ordered = true
  let previous = -Infinity
  let previousAt = -1
  for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos); ) {
    const score = lpGetScore(buf, lpNext(buf, pos), element)
    if (score !== score) throw new RdbError('a score that is not a number')
    if (score < previous || (score === previous && previousAt >= 0 && memberOrder(buf, previousAt, pos) > 0)) ordered = false
    previous = score
    previousAt = pos
    pos = lpNext(buf, lpNext(buf, pos))
  }
  return ordered
}

function memberOrder(buf: Buffer, a: number, b: number): number {
  return lpGet(buf, a, element, scratch).compare(lpGet(buf, b, otherElement, otherScratch))
}

/** The rows of a checked sorted-set listpack in the order every reader relies on, in a Buffer of its own. */
export function sortScores(buf: Buffer, start: number, end: number): Buffer {
  const rows: { at: number; until: number; score: number }[] = []
  for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos); ) {
    const second = lpNext(buf, pos)
    const until = lpNext(buf, second)
    rows.push({ at: pos, until, score: lpGetScore(buf, second, element) })
    pos = until
  }
  rows.sort((a, b) => (a.score === b.score ? memberOrder(buf, a.at, b.at) : a.score < b.score ? -1 : 1))
  const out = Buffer.allocUnsafeSlow(end - start)
  let pos = LP_HEADER
  for (const row of rows) pos += buf.copy(out, pos, row.at, row.until)
  lpFinish(out, 0, pos, 2 * rows.length)
  return out
}

/** Field, value, expiry ...: expiries are integers, ascending, and once there is none (0) none follows. */
export function checkFieldExpiries(buf: Buffer, start: number, end: number): void {
  checkRows(buf, start, end, 3)
  let previous = 1
  for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos); ) {
    const at = lpNext(buf, lpNext(buf, pos))
    const expireMs = lpIsInteger(buf, at) ? lpGetInteger(buf, at) : NaN
    if (!(expireMs >= 0 && expireMs <= MOST_FIELD_EXPIRE_MS)) throw new RdbError('expiry of a hash field out of range')
    if (previous === 0 ? expireMs !== 0 : expireMs !== 0 && expireMs < previous) throw new RdbError('expiries of hash fields out of order')
    previous = expireMs
    pos = lpNext(buf, at)
  }
}
