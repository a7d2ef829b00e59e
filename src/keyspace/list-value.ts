/**
 * A list key, however it is held: a listpack in the database while it is small, a LargeList beyond.
 *
 *     growList     before elements are added    listpack -> large, when the limit would be passed
 *     shrinkList   after elements were removed  large -> listpack, when one node below half the limit is left
 *     storeList    after loading or building    large -> listpack, when it is one node within the limit
 *
 * `limit` is the directive `list-max-listpack-size` as it is now. All functions that change a list return
 * the key's record, which may have moved. A list that became empty is the caller's to delete.
 */
import {
  LP_EMPTY_BYTES, LP_HEADER, lpCount, lpEncodedSize, lpEntrySize, lpPrev, lpSeek, lpWriteEntry, lpWriteHeader,
} from '../../protocol/rdb/listpack.js'
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import type { ListCursor } from './list-cursor.js'
import { countMatches, exceedsNodeLimit, fitsPacked, lastRemoved, removeMatches, type ListNode } from './list-node.js'
import { LargeList } from './list.js'
import { LIST, LISTPACK, QUICKLIST } from './types.js'

const END = 0xff
const bytes = Slice.scratch()
const packed = Slice.scratch()

/** The large list behind a record, or undefined when it is packed. */
export function largeOf(db: Database, ref: Ref): LargeList | undefined {
  return db.encodingOf(ref) === QUICKLIST ? (db.objectOf(ref) as LargeList) : undefined
}

/** Number of elements. */
export function listSize(db: Database, ref: Ref): number {
  const lazy = db.lazyOf(ref)
  if (lazy !== undefined) return lazy.size
  const large = largeOf(db, ref)
  if (large !== undefined) return large.size
  db.bytesOf(ref, bytes)
  return lpCount(bytes.buf, bytes.start)
}

/** Moves the cursor to element `index` (0 to size - 1). */
export function seekList(db: Database, ref: Ref, index: number, cursor: ListCursor): void {
  const large = largeOf(db, ref)
  if (large !== undefined) cursor.seekLarge(large, index)
  else cursor.seekPacked(db.bytesOf(ref, bytes), index)
}

// ---- between the two forms ----

/** Makes a list large if the elements to come, `addCount` of `addBytes` together, would pass the limit. */
export function growList(db: Database, ref: Ref, limit: number, addBytes: number, addCount: number): Ref {
  if (db.encodingOf(ref) === QUICKLIST) return ref
  db.bytesOf(ref, bytes)
  const count = lpCount(bytes.buf, bytes.start)
  if (!exceedsNodeLimit(limit, bytes.length + addBytes, count + addCount)) return ref
  const list = new LargeList(limit)
  if (count > 0) list.appendNode(false, bytes.copy())
  return db.replaceObject(ref, QUICKLIST, list)
}

/** A list that lost elements becomes a listpack again when it is one node below half the limit. */
export function shrinkList(db: Database, ref: Ref, limit: number): Ref {
  const list = largeOf(db, ref)
  if (list === undefined) return ref
  const node = packableNode(list, limit, true)
  return node === undefined ? ref : db.replaceBytes(ref, LISTPACK, packed.set(node.bytes, node.start, node.end))
}

/**
 * Stores a list that was loaded or built apart under its key, in the form Valkey gives it then. The list must
 * not be empty. `keepExpiry` as in `setObject`.
 */
export function storeList(db: Database, key: Slice, list: LargeList, limit: number, keepExpiry = false): Ref {
  const node = packableNode(list, limit, false)
  if (node === undefined) return db.setObject(key, LIST, QUICKLIST, list, keepExpiry)
  return db.setBytes(key, LIST, LISTPACK, packed.set(node.bytes, node.start, node.end), keepExpiry)
}

function packableNode(list: LargeList, limit: number, shrinking: boolean): ListNode | undefined {
  const node = list.head
  if (node === undefined || list.nodeCount !== 1 || node.plain) return undefined
  if (!fitsPacked(limit, node.length, node.count, shrinking)) return undefined
  node.seal()
  return node
}

// ---- adding ----

let scratch = Buffer.allocUnsafeSlow(16384)

/** Creates a list of one element; `addBytes` and `addCount` as for `growList`, this element included. */
export function createList(
  db: Database, key: Slice, limit: number, value: Slice, addBytes: number, addCount: number,
): Ref {
  if (exceedsNodeLimit(limit, LP_EMPTY_BYTES + addBytes, addCount)) {
    const list = new LargeList(limit)
    list.push(value, false)
    return db.setObject(key, LIST, QUICKLIST, list)
  }
  const size = LP_EMPTY_BYTES + lpEncodedSize(value)
  if (size > scratch.length) scratch = Buffer.allocUnsafeSlow(size)
  scratch[lpWriteEntry(value, scratch, LP_HEADER)] = END
  lpWriteHeader(scratch, 0, size, 1)
  return db.setBytes(key, LIST, LISTPACK, packed.set(scratch, 0, size))
}

/** Adds an element to either end. `value` must not point into the database. Call `growList` first. */
export function pushElement(db: Database, ref: Ref, value: Slice, atHead: boolean): Ref {
  if (db.encodingOf(ref) === QUICKLIST) {
    ;(db.objectOf(ref) as LargeList).push(value, atHead)
    return ref
  }
  const at = atHead ? LP_HEADER : db.bytesLength(ref) - 1
  return splicePacked(db, ref, at, 0, value, 1)
}

/** Inserts an element before or after the one under the cursor. `value` must not point into the database. */
export function insertElement(db: Database, ref: Ref, cursor: ListCursor, value: Slice, after: boolean): Ref {
  const large = largeOf(db, ref)
  if (large !== undefined) {
    large.insert(cursor, value, after)
    return ref
  }
  db.bytesOf(ref, bytes)
  const pos = after ? cursor.pos + lpEntrySize(bytes.buf, cursor.pos) : cursor.pos
  return splicePacked(db, ref, pos - bytes.start, 0, value, 1)
}

/** Replaces the element under the cursor. `value` must not point into the database. */
export function replaceElement(db: Database, ref: Ref, cursor: ListCursor, value: Slice): Ref {
  const large = largeOf(db, ref)
  if (large !== undefined) {
    large.replace(cursor, value)
    return ref
  }
  db.bytesOf(ref, bytes)
  return splicePacked(db, ref, cursor.pos - bytes.start, lpEntrySize(bytes.buf, cursor.pos), value, 0)
}

/** Puts `value` in the place of the `gone` bytes at offset `at` of a packed list. */
function splicePacked(db: Database, ref: Ref, at: number, gone: number, value: Slice, countDelta: number): Ref {
  db.bytesOf(ref, bytes)
  const length = bytes.end - bytes.start
  const count = lpCount(bytes.buf, bytes.start)
  const size = lpEncodedSize(value)
  const total = length + size - gone
  let to = ref
  if (total >= length) to = db.resizeBytes(ref, LISTPACK, total)
  const { buf, start } = db.bytesOf(to, bytes)
  buf.copyWithin(start + at + size, start + at + gone, start + length)
  lpWriteEntry(value, buf, start + at)
  lpWriteHeader(buf, start, total, count + countDelta)
  return total < length ? db.resizeBytes(to, LISTPACK, total) : to
}

// ---- removing ----

/** Deletes `count` elements from index `start` on; both lie within the list. */
export function deleteRange(db: Database, ref: Ref, start: number, count: number): Ref {
  if (count <= 0) return ref
  const large = largeOf(db, ref)
  if (large !== undefined) {
    large.delete(start, count)
    return ref
  }
  const { buf, start: first, end } = db.bytesOf(ref, bytes)
  const total = lpCount(buf, first)
  const from = start === 0 ? first + LP_HEADER : lpSeek(buf, first, end, start)
  let until = end - 1
  if (start + count < total) {
    until = from
    for (let i = 0; i < count; i++) until += lpEntrySize(buf, until)
  }
  return cutPacked(db, ref, from, until, total - count)
}

/** Removes the first or the last element. */
export function dropElement(db: Database, ref: Ref, atHead: boolean): Ref {
  if (db.encodingOf(ref) === QUICKLIST) {
    ;(db.objectOf(ref) as LargeList).drop(atHead)
    return ref
  }
  const { buf, start, end } = db.bytesOf(ref, bytes)
  const count = lpCount(buf, start) - 1
  const first = start + LP_HEADER
  if (atHead) return cutPacked(db, ref, first, first + lpEntrySize(buf, first), count)
  return cutPacked(db, ref, lpPrev(buf, start, end - 1), end - 1, count)
}

/** Takes the bytes `from..until` out of the packed list that `bytes` points at. */
function cutPacked(db: Database, ref: Ref, from: number, until: number, count: number): Ref {
  const { buf, start, end } = bytes
  const total = end - start - (until - from)
  buf.copyWithin(from, until, end)
  lpWriteHeader(buf, start, total, count)
  return db.resizeBytes(ref, LISTPACK, total)
}

/**
 * Deletes up to `max` elements equal to `value`, from the head on or from the tail on. `removedCount` tells
 * how many. `value` must not point into the database.
 */
export function removeElements(db: Database, ref: Ref, value: Slice, max: number, fromTail: boolean): Ref {
  const large = largeOf(db, ref)
  if (large !== undefined) {
    removedCount = large.remove(value, max, fromTail)
    return ref
  }
  const { buf, start, end } = db.bytesOf(ref, bytes)
  const count = lpCount(buf, start)
  const skip = fromTail ? Math.max(0, countMatches(buf, start, end, value) - max) : 0
  const newEnd = removeMatches(buf, start, end, value, skip, max)
  removedCount = lastRemoved
  if (removedCount === 0) return ref
  lpWriteHeader(buf, start, newEnd - start, count - removedCount)
  return db.resizeBytes(ref, LISTPACK, newEnd - start)
}

/** How many elements the last `removeElements` removed. */
export let removedCount = 0
