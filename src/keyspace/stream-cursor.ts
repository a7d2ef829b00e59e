/**
 * Walks the live entries of a stream between two ids, forwards or backwards, and the fields of each, without
 * an object per entry. Valid until the stream changes.
 */
import { lpGet, lpGetInteger, lpNext } from '../../protocol/rdb/listpack.js'
import type { Slice } from '../../protocol/slice.js'
import type { Int64 } from '../../protocol/uint64.js'
import { compareIds, StreamId } from './stream-id.js'
import { ENTRY_DELETED, ENTRY_SAME_FIELDS, type StreamNode } from './stream-node.js'

/** What the cursor walks: nodes ordered by id. */
interface NodeSource {
  readonly nodeCount: number
  nodeAt(index: number): StreamNode
  /** Index of the last node whose own id is not after this one; -1 when all are after it. */
  nodeIndexFor(ms: Int64, seq: Int64): number
}

const NO_STREAM: NodeSource = {
  nodeCount: 0,
  nodeAt: () => { throw new RangeError('no stream') },
  nodeIndexFor: () => -1,
}

export class StreamCursor {
  /** The id of the entry here. */
  ms: Int64 = 0
  seq: Int64 = 0
  /** How many fields the entry has. */
  fieldCount = 0
  #stream: NodeSource = NO_STREAM
  #node: StreamNode | undefined
  #index = 0
  /** Position of the entry here; of the end byte before the first step of a backward walk. */
  #pos = 0
  #started = false
  #backward = false
  readonly #low = new StreamId()
  readonly #high = new StreamId()
  /** Where the next field and value are read; `#fieldAt` is 0 when fields stand before their values. */
  #fieldAt = 0
  #valueAt = 0
  #fieldsLeft = 0

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.#stream = NO_STREAM
    this.#node = undefined
  }

  /** Begins a walk over the entries from `low` to `high`, both included. */
  start(stream: NodeSource, low: StreamId, high: StreamId, backward: boolean): this {
    this.#stream = stream
    this.#backward = backward
    this.#low.copy(low)
    this.#high.copy(high)
    const from = backward ? high : low
    this.#index = stream.nodeIndexFor(from.ms, from.seq)
    if (!backward && this.#index < 0) this.#index = 0
    this.#enterNode()
    return this
  }

  #enterNode(): void {
    const inside = this.#index >= 0 && this.#index < this.#stream.nodeCount
    this.#node = inside ? this.#stream.nodeAt(this.#index) : undefined
    this.#started = false
  }

  /** Goes to the next entry. False when there is none. */
  next(): boolean {
    for (let node = this.#node; node !== undefined; node = this.#node) {
      if (!this.#step(node)) {
        this.#index += this.#backward ? -1 : 1
        this.#enterNode()
        continue
      }
      this.ms = node.msAt(this.#pos)
      this.seq = node.seqAt(this.#pos)
      if (this.#isPast()) {
        this.#node = undefined
        return false
      }
      const flags = lpGetInteger(node.buf, this.#pos)
      if ((flags & ENTRY_DELETED) !== 0 || this.#isBefore()) continue
      this.#openFields(node, flags)
      return true
    }
    return false
  }

  #step(node: StreamNode): boolean {
    if (this.#backward) {
      this.#pos = this.#started ? node.entryBefore(this.#pos) : node.lastEntryAt
      this.#started = true
      return this.#pos >= 0
    }
    if (!this.#started) this.#pos = node.firstEntryAt
    // After all fields were read the next entry is known to stand behind the element count.
    else if (this.#fieldsLeft === 0 && this.#valueAt > this.#pos) this.#pos = lpNext(node.buf, this.#valueAt)
    else this.#pos = node.entryAfter(this.#pos)
    this.#started = true
    this.#valueAt = 0
    this.#fieldsLeft = 0
    return this.#pos < node.end - 1
  }

  #isPast(): boolean {
    return this.#backward
      ? compareIds(this.ms, this.seq, this.#low.ms, this.#low.seq) < 0
      : compareIds(this.ms, this.seq, this.#high.ms, this.#high.seq) > 0
  }

  #isBefore(): boolean {
    return this.#backward
      ? compareIds(this.ms, this.seq, this.#high.ms, this.#high.seq) > 0
      : compareIds(this.ms, this.seq, this.#low.ms, this.#low.seq) < 0
  }

  #openFields(node: StreamNode, flags: number): void {
    const { buf } = node
    const content = lpNext(buf, lpNext(buf, lpNext(buf, this.#pos)))
    if ((flags & ENTRY_SAME_FIELDS) !== 0) {
      this.fieldCount = node.fieldCount
      this.#fieldAt = node.fieldsAt
      this.#valueAt = content
    } else {
      this.fieldCount = lpGetInteger(buf, content)
      this.#fieldAt = 0
      this.#valueAt = lpNext(buf, content)
    }
    this.#fieldsLeft = this.fieldCount
  }

  /** Reads the next field and its value of the entry here: views, valid until the stream changes. */
  nextField(field: Slice, value: Slice): void {
    const { buf } = this.#node as StreamNode
    if (this.#fieldAt === 0) {
      lpGet(buf, this.#valueAt, field)
      this.#valueAt = lpNext(buf, this.#valueAt)
    } else {
      lpGet(buf, this.#fieldAt, field)
      this.#fieldAt = lpNext(buf, this.#fieldAt)
    }
    lpGet(buf, this.#valueAt, value)
    this.#valueAt = lpNext(buf, this.#valueAt)
    this.#fieldsLeft--
  }
}
