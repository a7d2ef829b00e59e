/**
 * A packed value (listpack or intset) while it is edited. The codecs in protocol/rdb write the edited bytes
 * to a buffer of the caller; this is that buffer, and it remembers where the value stands at the moment:
 *
 *     bytes -> database record     until the first edit that changes the size
 *     bytes -> room[0 .. end)      from then on; further edits work in place there
 *
 * One draft serves one value at a time, again and again: the room is kept, so an edit allocates nothing.
 */
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'
import { INLINE_VALUE_MAX } from './table.js'
import type { Encoding } from './types.js'

/** A room larger than this is let go after use. */
const KEPT_BYTES = 1 << 20
const FIRST_BYTES = 1024

export class PackedDraft {
  /** The value as it is now. */
  readonly bytes = new Slice()
  /** Whether the value has moved to the room and must be stored again. */
  moved = false
  #room = Buffer.allocUnsafeSlow(FIRST_BYTES)

  /** Begins with bytes that stand elsewhere (usually in a database). The caller points `bytes` at them. */
  open(): Slice {
    this.moved = false
    return this.bytes
  }

  /** A buffer with place for a value of this size. What `bytes` points at stays readable. */
  room(sizeBytes: number): Buffer {
    if (this.#room.length < sizeBytes) this.#room = Buffer.allocUnsafeSlow(sizeBytes * 2)
    return this.#room
  }

  /** The value now stands in `room[0..end)`, which the last call of `room` returned. */
  move(room: Buffer, end: number): void {
    this.bytes.set(room, 0, end)
    this.moved = true
  }

  /** Lets go of the value, and of a room that has grown too large to keep. */
  close(): void {
    if (this.#room.length > KEPT_BYTES) this.#room = Buffer.allocUnsafeSlow(FIRST_BYTES)
    this.bytes.set(this.#room, 0, 0)
  }
}

/**
 * Replaces a packed value by the draft's bytes. Short ones stand in the record. One with a buffer of its own
 * is written over it while it fits, and gets some spare room when it does not, so that a large packed value
 * that grows by small steps is not allocated anew at each.
 */
export function replacePacked(db: Database, ref: Ref, encoding: Encoding, bytes: Slice): Ref {
  const length = bytes.end - bytes.start
  if (length <= INLINE_VALUE_MAX) return db.replaceBytes(ref, encoding, bytes)
  const own = db.encodingOf(ref) === encoding ? db.ownBytesOf(ref) : undefined
  if (own !== undefined && own.buf.length >= length && own.buf.length <= length * 2) {
    bytes.buf.copy(own.buf, 0, bytes.start, bytes.end)
    own.set(own.buf, 0, length)
    return ref
  }
  const buf = Buffer.allocUnsafeSlow(length + (length >>> 3))
  bytes.buf.copy(buf, 0, bytes.start, bytes.end)
  return db.replaceOwnBytes(ref, encoding, new Slice(buf, 0, length))
}
