/**
 * Consumer groups: what was delivered to whom and not acknowledged yet.
 *
 *     group.pending      id -> consumer, time and count of deliveries     all pending entries, by id
 *     consumer.pending   id                                               those of one consumer
 *
 * Invariant: an id is in a consumer's table exactly when the group's record of it names that consumer. The
 * two tables are changed together, here only.
 *
 * Groups and consumers are kept in the order of their names' bytes, as every reply and payload lists them.
 */
import { Slice } from '../../protocol/slice.js'
import { addInt64, asSigned, lowerWord, signedFromWords, subtractInt64, upperWord, type Int64 } from '../../protocol/uint64.js'
import { IdTable } from './id-table.js'
import { StreamId } from './stream-id.js'

/** `entriesRead` of a group whose position in the stream cannot be told. */
export const ENTRIES_READ_UNKNOWN = -1

// Payload words of a pending entry.
const CONSUMER = 0
const TIME_UPPER = 1
const TIME_LOWER = 2
const COUNT_UPPER = 3
const COUNT_LOWER = 4
const PENDING_WORDS = 5

/** Things with a name, in the order of the names' bytes. */
class NameList<T extends { readonly name: Slice }> {
  readonly all: T[] = []

  #position(name: Slice): number {
    let low = 0
    let high = this.all.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.all[middle].name.compare(name) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  get(name: Slice): T | undefined {
    const found = this.all[this.#position(name)] as T | undefined
    return found?.name.equals(name) === true ? found : undefined
  }

  /** Adds what must not be there yet. */
  add(item: T): void {
    this.all.splice(this.#position(item.name), 0, item)
  }

  remove(item: T): void {
    this.all.splice(this.#position(item.name), 1)
  }
}

export class StreamConsumer {
  /** Milliseconds since 1970 of the last attempt to read or claim, and of the last success (-1: never). */
  seenMs: Int64
  activeMs: Int64 = -1
  pending = new IdTable(0)

  constructor(
    readonly name: Slice,
    /** What the group's pending entries know it by. */
    readonly number: number,
    nowMs: Int64,
  ) {
    this.seenMs = nowMs
  }
}

export class StreamGroup {
  readonly lastId = new StreamId()
  readonly consumers = new NameList<StreamConsumer>()
  /** Pending entries; where `pending` stands is the entry that the `...Here` methods speak of. */
  pending = new IdTable(PENDING_WORDS)
  #byNumber: (StreamConsumer | undefined)[] = []

  constructor(
    readonly name: Slice,
    lastId: StreamId,
    /** How many entries of the stream it has read, or ENTRIES_READ_UNKNOWN. */
    public entriesRead: Int64,
  ) {
    this.lastId.copy(lastId)
  }

  get bytes(): number {
    let bytes = 256 + this.pending.bytes
    for (const consumer of this.consumers.all) bytes += 192 + consumer.name.length + consumer.pending.bytes
    return bytes
  }

  /** Adds a consumer whose name is free. */
  addConsumer(name: Slice, nowMs: Int64): StreamConsumer {
    let number = this.#byNumber.indexOf(undefined)
    if (number < 0) number = this.#byNumber.length
    const consumer = new StreamConsumer(new Slice(name.copy()), number, nowMs)
    this.#byNumber[number] = consumer
    this.consumers.add(consumer)
    return consumer
  }

  /** Removes a consumer and forgets its pending entries; returns how many those were. */
  removeConsumer(consumer: StreamConsumer): number {
    const id = new StreamId()
    for (let more = consumer.pending.first(); more; more = consumer.pending.advance()) {
      consumer.pending.idHere(id)
      this.pending.delete(id.ms, id.seq)
    }
    this.consumers.remove(consumer)
    this.#byNumber[consumer.number] = undefined
    return consumer.pending.size
  }

  /** The consumer that owns the pending entry here. */
  ownerHere(): StreamConsumer {
    return this.#byNumber[this.pending.word(CONSUMER)] as StreamConsumer
  }

  /** When the pending entry here was delivered last, in milliseconds since 1970. */
  deliveredMsHere(): Int64 {
    return signedFromWords(this.pending.word(TIME_UPPER), this.pending.word(TIME_LOWER))
  }

  setDeliveredMsHere(ms: Int64): void {
    this.pending.setWord(TIME_UPPER, upperWord(ms))
    this.pending.setWord(TIME_LOWER, lowerWord(ms))
  }

  /** How often the pending entry here was delivered. */
  deliveriesHere(): Int64 {
    return signedFromWords(this.pending.word(COUNT_UPPER), this.pending.word(COUNT_LOWER))
  }

  setDeliveriesHere(count: Int64): void {
    this.pending.setWord(COUNT_UPPER, upperWord(count))
    this.pending.setWord(COUNT_LOWER, lowerWord(count))
  }

  /** Makes an entry pending, or the consumer the owner of one that is; goes to it. Time and count stay. */
  assign(ms: Int64, seq: Int64, consumer: StreamConsumer): void {
    if (!this.pending.add(ms, seq)) {
      const owner = this.ownerHere()
      if (owner === consumer) return
      owner.pending.delete(ms, seq)
    }
    this.pending.setWord(CONSUMER, consumer.number)
    consumer.pending.add(ms, seq)
  }

  /** Forgets the pending entry here; `pending` stands on the next one then. */
  dropHere(): void {
    const id = this.pending.idHere(dropped)
    this.ownerHere().pending.delete(id.ms, id.seq)
    this.pending.deleteHere()
  }

  /** Forgets a pending entry. False when there is none of this id. */
  acknowledge(id: StreamId): boolean {
    if (!this.pending.find(id.ms, id.seq)) return false
    this.dropHere()
    return true
  }

  /** A deep copy. */
  clone(): StreamGroup {
    const copy = new StreamGroup(this.name, this.lastId, this.entriesRead)
    copy.pending = this.pending.clone()
    copy.#byNumber = this.#byNumber.map((consumer) => {
      if (consumer === undefined) return undefined
      const twin = new StreamConsumer(consumer.name, consumer.number, consumer.seenMs)
      twin.activeMs = consumer.activeMs
      twin.pending = consumer.pending.clone()
      copy.consumers.add(twin)
      return twin
    })
    return copy
  }
}

const dropped = new StreamId()

export class StreamGroups extends NameList<StreamGroup> {
  /** Adds a group whose name is free. */
  create(name: Slice, lastId: StreamId, entriesRead: Int64): StreamGroup {
    const group = new StreamGroup(new Slice(name.copy()), lastId, entriesRead)
    this.add(group)
    return group
  }

  get bytes(): number {
    let bytes = 64
    for (const group of this.all) bytes += group.bytes + group.name.length
    return bytes
  }

  /** Adds deep copies of the other's groups. */
  copy(other: StreamGroups): void {
    for (const group of other.all) this.all.push(group.clone())
  }
}

/** What telling a group's progress needs to know of its stream. */
interface StreamExtent {
  readonly size: number
  readonly firstId: StreamId
  readonly lastId: StreamId
  readonly maxDeletedId: StreamId
  readonly entriesAdded: Int64
}

/** Whether XDEL may have removed an entry from `from` on, the stream's first entry still being before it. */
function hasTombstonesFrom(stream: StreamExtent, from: StreamId): boolean {
  if (stream.size === 0 || stream.maxDeletedId.isZero || stream.firstId.compare(stream.maxDeletedId) > 0) return false
  return from.compare(stream.maxDeletedId) <= 0
}

/** How many entries were ever added up to this id, as far as that can be told; else ENTRIES_READ_UNKNOWN. */
function entriesUpTo(stream: StreamExtent, id: StreamId): Int64 {
  if (stream.entriesAdded === 0) return 0
  const toLast = id.compare(stream.lastId)
  if (stream.size === 0 && toLast <= 0) return stream.entriesAdded
  if (toLast === 0) return stream.entriesAdded
  if (toLast > 0) return ENTRIES_READ_UNKNOWN
  const toFirst = id.compare(stream.firstId)
  if (stream.maxDeletedId.isZero || stream.maxDeletedId.compare(stream.firstId) < 0) {
    if (toFirst < 0) return subtractInt64(stream.entriesAdded, stream.size)
    if (toFirst === 0) return subtractInt64(stream.entriesAdded, stream.size - 1)
  }
  return ENTRIES_READ_UNKNOWN
}

/** Notes that a group has been given the entry of this id, which is after all it was given before. */
export function advanceGroup(stream: StreamExtent, group: StreamGroup, id: StreamId): void {
  if (group.entriesRead !== ENTRIES_READ_UNKNOWN && !hasTombstonesFrom(stream, id))
    group.entriesRead = addInt64(group.entriesRead, 1)
  else if (stream.entriesAdded !== 0) group.entriesRead = asSigned(entriesUpTo(stream, id))
  group.lastId.copy(id)
}

/** How many entries wait for a group; undefined when it cannot be told. */
export function groupLag(stream: StreamExtent, group: StreamGroup): Int64 | undefined {
  if (stream.entriesAdded === 0) return 0
  if (group.entriesRead !== ENTRIES_READ_UNKNOWN && !hasTombstonesFrom(stream, group.lastId))
    return subtractInt64(stream.entriesAdded, group.entriesRead)
  const read = entriesUpTo(stream, group.lastId)
  return read === ENTRIES_READ_UNKNOWN ? undefined : subtractInt64(stream.entriesAdded, read)
}
