/**
 * A stream: entries ordered by id in packed nodes, and the groups that read it.
 *
 *     nodes    [ StreamNode ][ StreamNode ] ...    ascending; node i holds the ids from its own up to the next
 *                                                  node's; the new ones go into the last
 *     groups   by name: last delivered id, pending entries, consumers (stream-groups.ts)
 *
 * Invariants
 * - Every node has at least one live entry, except one that an exact trim emptied entry by entry.
 * - `firstId` is the id of the first live entry, 0-0 when there is none; `lastId` never goes back, whatever
 *   is deleted; `maxDeletedId` is the largest id that XDEL removed (trimming does not count).
 * - Searching a node by id is a binary search; the front of the array is consumed by moving `#head`, so that
 *   trimming a long stream costs nothing per node that stays.
 */
import { scratch } from '../../protocol/slice.js'
import { lpGetInteger } from '../../protocol/rdb/listpack.js'
import { addUint64, type Int64 } from '../../protocol/uint64.js'
import { StreamGroups } from './stream-groups.js'
import { compareIds, StreamId } from './stream-id.js'
import { ENTRY_DELETED, StreamNode, type EntryWords } from './stream-node.js'
import { StreamCursor } from './stream-cursor.js'
import type { LargeValue } from './types.js'

/** The largest size of a node, whatever the configuration says; also the limit of one entry. */
export const NODE_BYTES_MAX = 2 ** 30
/** Consumed places at the front of the node array before it is cut. */
const HEAD_MAX = 1024
const NODE_OVERHEAD_BYTES = 160

/** When a node is full (`stream-node-max-bytes`, `stream-node-max-entries`; 0 is no limit). */
interface NodeLimits {
  readonly streamNodeMaxBytes: number
  readonly streamNodeMaxEntries: number
}

/** How far to trim: down to a length, or to ids from `minId` on. */
export interface TrimPlan {
  strategy: 'none' | 'maxlen' | 'minid'
  maxLength: number
  readonly minId: StreamId
  /** Whole nodes only. */
  approximate: boolean
  /** At most this many entries; 0 is no limit. */
  limit: number
}

export class LargeStream implements LargeValue {
  /** Live entries. */
  size = 0
  readonly firstId = new StreamId()
  readonly lastId = new StreamId()
  readonly maxDeletedId = new StreamId()
  /** Entries ever added. */
  entriesAdded: Int64 = 0
  readonly groups = new StreamGroups()
  #nodes: StreamNode[] = []
  #head = 0
  /** Whether the running trim has set `firstId`. */
  #firstFound = false

  /** How many nodes there are. */
  get nodeCount(): number {
    return this.#nodes.length - this.#head
  }

  /** Node `index`, in order of ids. */
  nodeAt(index: number): StreamNode {
    return this.#nodes[this.#head + index]
  }

  /** Adds a node behind all others, as a loader does: `listpack` is verified and owned by the stream from now on. */
  addNode(ms: Int64, seq: Int64, listpack: Buffer): void {
    this.#nodes.push(new StreamNode(ms, seq, listpack))
  }

  get bytes(): number {
    let bytes = 256 + this.groups.bytes
    for (let i = this.#head; i < this.#nodes.length; i++) bytes += this.#nodes[i].buf.length + NODE_OVERHEAD_BYTES
    return bytes
  }

  clone(): LargeStream {
    const copy = new LargeStream()
    copy.size = this.size
    copy.firstId.copy(this.firstId)
    copy.lastId.copy(this.lastId)
    copy.maxDeletedId.copy(this.maxDeletedId)
    copy.entriesAdded = this.entriesAdded
    for (let i = this.#head; i < this.#nodes.length; i++) copy.#nodes.push(this.#nodes[i].clone())
    copy.groups.copy(this.groups)
    return copy
  }

  /** Index of the last node whose own id is not after this one; -1 when all are after it. */
  nodeIndexFor(ms: Int64, seq: Int64): number {
    let low = this.#head
    let high = this.#nodes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const node = this.#nodes[middle]
      if (compareIds(node.ms, node.seq, ms, seq) <= 0) low = middle + 1
      else high = middle
    }
    return low - 1 - this.#head
  }

  /**
   * Adds an entry of `pairs` fields and values, the first field being word `from`. The id must be after
   * `lastId`. `payloadBytes` is the sum of the words' lengths.
   */
  append(id: StreamId, words: EntryWords, from: number, pairs: number, payloadBytes: number, limits: NodeLimits): void {
    const last = this.#nodes.length > this.#head ? this.#nodes[this.#nodes.length - 1] : undefined
    let node = last
    if (last === undefined || isFull(last, payloadBytes, limits)) {
      last?.shrink()
      node = StreamNode.create(id.ms, id.seq, words, from, pairs)
      this.#nodes.push(node)
    }
    node?.append(id.ms, id.seq, words, from, pairs)
    this.size++
    this.entriesAdded = addUint64(this.entriesAdded, 1)
    this.lastId.copy(id)
    if (this.size === 1) this.firstId.copy(id)
  }

  /** Deletes an entry. False when there is none of this id. `firstId` and `maxDeletedId` follow. */
  delete(id: StreamId): boolean {
    const index = this.nodeIndexFor(id.ms, id.seq)
    if (index < 0) return false
    const node = this.nodeAt(index)
    const pos = findLive(node, id)
    if (pos < 0) return false
    this.size--
    if (node.live === 1) this.#dropNode(index)
    else {
      node.markDeleted(pos)
      node.countDeleted(1)
    }
    if (id.compare(this.maxDeletedId) > 0) this.maxDeletedId.copy(id)
    if (this.size === 0 || id.compare(this.firstId) === 0) this.#findFirst()
    return true
  }

  /** Whether an entry of this id is there. */
  has(id: StreamId): boolean {
    const index = this.nodeIndexFor(id.ms, id.seq)
    return index >= 0 && findLive(this.nodeAt(index), id) >= 0
  }

  /** Deletes entries from the front; returns how many. */
  trim(plan: TrimPlan): number {
    if (plan.strategy === 'none') return 0
    let deleted = 0
    this.#firstFound = false
    while (this.nodeCount > 0) {
      if (plan.strategy === 'maxlen' && this.size <= plan.maxLength) break
      const node = this.nodeAt(0)
      const { live } = node
      if (plan.limit > 0 && deleted + live > plan.limit) break
      if (this.#mayDropWhole(node, live, plan)) {
        this.#dropNode(0)
        this.size -= live
        deleted += live
        continue
      }
      if (!plan.approximate) deleted += this.#trimWithin(node, plan)
      break
    }
    if (deleted > 0 && !this.#firstFound) this.#findFirst()
    return deleted
  }

  #mayDropWhole(node: StreamNode, live: number, plan: TrimPlan): boolean {
    if (plan.strategy === 'maxlen') return this.size - live >= plan.maxLength
    const last = node.lastEntryAt
    return compareIds(node.msAt(last), node.seqAt(last), plan.minId.ms, plan.minId.seq) < 0
  }

  #trimWithin(node: StreamNode, plan: TrimPlan): number {
    let deleted = 0
    for (let pos = node.firstEntryAt; pos < node.end - 1; ) {
      if (plan.strategy === 'maxlen' ? this.size <= plan.maxLength
        : compareIds(node.msAt(pos), node.seqAt(pos), plan.minId.ms, plan.minId.seq) >= 0) {
        this.#noteFirst(node, pos)
        break
      }
      const after = node.entryAfter(pos)
      if (isDeleted(node, pos)) pos = after
      else {
        pos = after + node.markDeleted(pos)
        deleted++
        this.size--
      }
    }
    node.countDeleted(deleted)
    return deleted
  }

  /** Where trimming stops at a live entry, that is the first one now: no need to search for it again. */
  #noteFirst(node: StreamNode, pos: number): void {
    if (isDeleted(node, pos)) return
    this.firstId.set(node.msAt(pos), node.seqAt(pos))
    this.#firstFound = true
  }

  #dropNode(index: number): void {
    if (index > 0) {
      this.#nodes.splice(this.#head + index, 1)
      return
    }
    // The place stays until there are enough of them to cut at once. What it names is alive anyway.
    this.#nodes[this.#head] = this.#nodes[this.#nodes.length - 1]
    this.#head++
    if (this.#head === this.#nodes.length || this.#head >= HEAD_MAX) {
      this.#nodes.splice(0, this.#head)
      this.#head = 0
    }
  }

  /** Sets `firstId` to that of the first live entry. */
  #findFirst(): void {
    if (this.size === 0 || !cursor.start(this, ZERO, MAX, false).next()) this.firstId.set(0, 0)
    else this.firstId.set(cursor.ms, cursor.seq)
  }
}

const ZERO = new StreamId()
const MAX = new StreamId(0xffffffffffffffffn, 0xffffffffffffffffn)
const cursor = scratch(new StreamCursor())

function isFull(node: StreamNode, payloadBytes: number, limits: NodeLimits): boolean {
  const bytes = limits.streamNodeMaxBytes
  const bytesMax = bytes === 0 || bytes > NODE_BYTES_MAX ? NODE_BYTES_MAX : bytes
  if (node.end + payloadBytes >= bytesMax) return true
  return limits.streamNodeMaxEntries > 0 && node.live + node.deleted >= limits.streamNodeMaxEntries
}

function isDeleted(node: StreamNode, pos: number): boolean {
  return (lpGetInteger(node.buf, pos) & ENTRY_DELETED) !== 0
}

/** Position of the live entry of this id within a node, or -1. */
function findLive(node: StreamNode, id: StreamId): number {
  for (let pos = node.firstEntryAt; pos < node.end - 1; pos = node.entryAfter(pos)) {
    const order = compareIds(node.msAt(pos), node.seqAt(pos), id.ms, id.seq)
    if (order > 0) return -1
    if (order === 0 && !isDeleted(node, pos)) return pos
  }
  return -1
}
