/** What the stream commands share: reading ids, finding the stream and the group, writing entries. */
import type { ReplyWriter } from '../protocol/resp/writer.js'
import { scratch, Slice } from '../protocol/slice.js'
import { UINT64_MAX, type Int64 } from '../protocol/uint64.js'
import type { Call } from '../src/engine/call.js'
import { replyError, type ReplyError } from '../src/errors.js'
import type { LargeStream } from '../src/keyspace/stream.js'
import { StreamCursor } from '../src/keyspace/stream-cursor.js'
import type { StreamConsumer, StreamGroup } from '../src/keyspace/stream-groups.js'
import { readStreamId, replyId, StreamId } from '../src/keyspace/stream-id.js'
import { STREAM } from '../src/keyspace/types.js'

export const INVALID_ID = replyError('ERR Invalid stream ID specified as stream command argument')
const INVALID_START = replyError('ERR invalid start ID for the interval')
const INVALID_END = replyError('ERR invalid end ID for the interval')

export const MIN_ID: StreamId = new StreamId()
export const MAX_ID: StreamId = new StreamId(UINT64_MAX, UINT64_MAX)

/** Whether a word is this one character. */
export function isChar(word: Slice, char: string): boolean {
  return word.length === 1 && word.buf[word.start] === char.charCodeAt(0)
}

/** Reads an id; `-` and `+` are none here. The sequence number is `missingSeq` where it is left out. */
export function readId(word: Slice, out: StreamId, missingSeq: Int64 = 0): StreamId {
  if (readStreamId(word, out, missingSeq) !== true) throw INVALID_ID
  return out
}

/** Reads words `from` up to the last as ids. */
export function readIds(call: Call, from: number): StreamId[] {
  const ids: StreamId[] = []
  for (let i = from; i < call.args.count; i++) ids.push(readId(call.args.at(i), new StreamId()))
  return ids
}

const inner = Slice.scratch()
let exclusive = false

function readBound(word: Slice, out: StreamId, missingSeq: Int64): void {
  exclusive = word.length > 1 && word.buf[word.start] === 40
  if (exclusive) readId(inner.set(word.buf, word.start + 1, word.end), out, missingSeq)
  else if (isChar(word, '-')) out.copy(MIN_ID)
  else if (isChar(word, '+')) out.copy(MAX_ID)
  else readId(word, out, missingSeq)
}

/** Reads the start of an interval: an id, `-`, `+` or `(id`, which leaves the id itself out. */
export function readStart(word: Slice, out: StreamId): StreamId {
  readBound(word, out, 0)
  if (exclusive && !out.increment()) throw INVALID_START
  return out
}

/** Reads the end of an interval. */
export function readEnd(word: Slice, out: StreamId): StreamId {
  readBound(word, out, UINT64_MAX)
  if (exclusive && !out.decrement()) throw INVALID_END
  return out
}

/** The stream of a key for reading; undefined when there is no key. */
export function readStream(call: Call, name: Slice): LargeStream | undefined {
  const ref = call.read(name, STREAM)
  return ref === 0 ? undefined : (call.db.objectOf(ref) as LargeStream)
}

/** The stream of a key for writing; undefined when there is no key. */
export function writeStream(call: Call, name: Slice): LargeStream | undefined {
  const ref = call.write(name, STREAM)
  return ref === 0 ? undefined : (call.db.objectOf(ref) as LargeStream)
}

/** The error of a group that is not there, where a missing key counts as that too. */
export function noGroup(call: Call, key: Slice, group: Slice): ReplyError {
  const where = call.command.fullName === 'xreadgroup' ? ' in XREADGROUP with GROUP option' : ''
  return replyError(`NOGROUP No such key '${key.cText()}' or consumer group '${group.cText()}'${where}`)
}

/** The error of a group that is not there though the stream is. */
export function noGroupOf(key: Slice, group: Slice): ReplyError {
  return replyError(`NOGROUP No such consumer group '${group.cText()}' for key name '${key.cText()}'`)
}

/** Counts a change of a group: the key itself does not count as changed for WATCH. */
export function groupChanged(call: Call, key: Slice, event?: string): void {
  call.engine.dirty++
  if (event !== undefined) call.notify(key, 't', event)
}

/** The consumer of this name, made when it is new; its attempt to read counts as now. */
export function seenConsumer(call: Call, key: Slice, group: StreamGroup, name: Slice): StreamConsumer {
  let consumer = group.consumers.get(name)
  if (consumer === undefined) {
    consumer = group.addConsumer(name, call.clock.nowMs)
    groupChanged(call, key, 'xgroup-createconsumer')
  }
  consumer.seenMs = call.clock.nowMs
  return consumer
}

const field = Slice.scratch()
const value = Slice.scratch()

/** Writes the entry a cursor stands on: its id, then its fields and values. */
export function replyEntry(reply: ReplyWriter, cursor: StreamCursor): void {
  reply.array(2)
  replyId(reply, cursor.ms, cursor.seq)
  reply.array(cursor.fieldCount * 2)
  for (let i = cursor.fieldCount; i > 0; i--) {
    cursor.nextField(field, value)
    reply.bulk(field)
    reply.bulk(value)
  }
}

const single = scratch(new StreamCursor())

/** Writes the entry of this id. False, and nothing written, when it is not there. */
export function replyEntryOf(reply: ReplyWriter, stream: LargeStream, id: StreamId): boolean {
  if (!single.start(stream, id, id, false).next()) return false
  replyEntry(reply, single)
  return true
}

/** The id of the last live entry; false when there is none. */
export function lastLiveId(stream: LargeStream, out: StreamId): boolean {
  if (!single.start(stream, MIN_ID, MAX_ID, true).next()) return false
  out.set(single.ms, single.seq)
  return true
}
