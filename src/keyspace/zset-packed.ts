/**
 * The listpack of a small sorted set: member, score, member, score ... ascending by (score, member bytes).
 *
 * A score is stored as an integer where it is one below 2^62 (so -0 becomes 0), else as its text.
 */
import {
  LP_HEADER, lpEncodedSize, lpFinish, lpGet, lpGetInteger, lpIntegerSize, lpIsEnd, lpIsInteger, lpNext, lpSplice,
  lpWriteEntry, lpWriteInteger,
} from '../../protocol/rdb/listpack.js'
import { lpGetScore } from '../../protocol/rdb/score.js'
import { MAX_NUMBER_TEXT, readDouble, writeScore } from '../../protocol/number.js'
import { Slice } from '../../protocol/slice.js'
import { compareBytes } from './compare-bytes.js'
import { OrderCursor } from './order-cursor.js'
import type { PackedDraft } from './packed.js'
import { SortedSetLoader, type LargeSortedSet } from './zset.js'

/** Room for the text of an integer element. */
export const INTEGER_TEXT_BYTES = 24
/** No listpack grows beyond this, whatever the directives say. */
export const LISTPACK_BYTES_MAX = 1 << 30

const element = Slice.scratch()
const elementText = Buffer.allocUnsafeSlow(INTEGER_TEXT_BYTES)
const scoreBuffer = Buffer.allocUnsafeSlow(MAX_NUMBER_TEXT)
const scoreText = new Slice(scoreBuffer)

/** The score stored in the element at `pos`. */
export function packedScore(buf: Buffer, pos: number): number {
  if (lpIsInteger(buf, pos)) {
    const value = lpGetInteger(buf, pos)
    if (value === value) return value
  }
  lpGet(buf, pos, element, elementText)
  const value = readDouble(element.buf, element.start, element.end)
  return value === value ? value : lpGetScore(buf, pos, element)
}

/** Prepares a score to be written by `writePackedScore`; returns the bytes of its element. */
function measureScore(score: number): number {
  if (Number.isSafeInteger(score)) return lpIntegerSize(score)
  scoreText.end = writeScore(score, scoreBuffer, 0)
  return lpEncodedSize(scoreText)
}

function writeMeasuredScore(score: number, out: Buffer, pos: number): number {
  return Number.isSafeInteger(score) ? lpWriteInteger(score === 0 ? 0 : score, out, pos) : lpWriteEntry(scoreText, out, pos)
}

/** Inserts a pair whose member is not there yet at its place in the order. */
export function packedInsert(draft: PackedDraft, member: Slice, score: number): void {
  const { buf, start, end } = draft.bytes
  const gapBytes = lpEncodedSize(member) + measureScore(score)
  const at = insertionPoint(draft.bytes, member, score)
  const total = end - start + gapBytes
  const room = draft.room(total)
  const gap = lpSplice(buf, start, end, at, at, gapBytes, 2, room, 0)
  writeMeasuredScore(score, room, lpWriteEntry(member, room, gap))
  draft.move(room, total)
}

/** Position of the first pair behind (score, member), or of the end byte. */
function insertionPoint(bytes: Slice, member: Slice, score: number): number {
  const buf = bytes.buf
  let pos = bytes.start + LP_HEADER
  while (!lpIsEnd(buf, pos)) {
    const scoreAt = lpNext(buf, pos)
    const other = packedScore(buf, scoreAt)
    if (other > score || (other === score && compareBytes(lpGet(buf, pos, element, elementText), member) > 0)) return pos
    pos = lpNext(buf, scoreAt)
  }
  return pos
}

/** The sorted set of a listpack, whatever its size. */
export function unpackSortedSet(bytes: Slice): LargeSortedSet {
  const loader = new SortedSetLoader()
  const { buf, start } = bytes
  for (let pos = start + LP_HEADER; !lpIsEnd(buf, pos); ) {
    const scoreAt = lpNext(buf, pos)
    const score = packedScore(buf, scoreAt)
    loader.add(lpGet(buf, pos, element, elementText), score)
    pos = lpNext(buf, scoreAt)
  }
  return loader.finish()
}

/** Writes the listpack of a sorted set into the draft. */
export function packSortedSet(set: LargeSortedSet, draft: PackedDraft): void {
  const cursor = new OrderCursor()
  let total = LP_HEADER + 1
  for (let more = cursor.seek(set.order, 0); more; more = cursor.next())
    total += lpEncodedSize(set.members.keyAt(cursor.ref, element)) + measureScore(cursor.score)
  const room = draft.room(total)
  let pos = LP_HEADER
  for (let more = cursor.seek(set.order, 0); more; more = cursor.next()) {
    pos = lpWriteEntry(set.members.keyAt(cursor.ref, element), room, pos)
    measureScore(cursor.score)
    pos = writeMeasuredScore(cursor.score, room, pos)
  }
  draft.move(room, lpFinish(room, 0, pos, set.size * 2))
}
