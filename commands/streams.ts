/**
 * Streams: adding, reading by range, deleting, trimming. Reading as it grows is in `stream-read.ts`, groups
 * in `stream-groups.ts` and `stream-pending.ts`, XINFO in `stream-info.ts`.
 *
 * Invariant: a stream that becomes empty stays, since its last id must not be forgotten.
 */
import { scratch } from '../protocol/slice.js'
import { UINT64_MAX, type Int64 } from '../protocol/uint64.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command, type KeySpec } from '../src/engine/command.js'
import { NO_SUCH_KEY, replyError, SYNTAX, wrongArity } from '../src/errors.js'
import { LargeStream, NODE_BYTES_MAX } from '../src/keyspace/stream.js'
import { StreamCursor } from '../src/keyspace/stream-cursor.js'
import { replyId, StreamId } from '../src/keyspace/stream-id.js'
import { STREAM, STREAM_TREE } from '../src/keyspace/types.js'
import {
  groupChanged, lastLiveId, readEnd, readId, readIds, readStart, readStream, replyEntry, writeStream,
} from './stream-args.js'
import { groupCommands } from './stream-groups.js'
import { infoCommand } from './stream-info.js'
import { pendingCommands } from './stream-pending.js'
import { readCommands } from './stream-read.js'
import { readAddWords, readTrimWords, type AddWords, type TrimWords } from './stream-trim.js'

const ZERO_ID = replyError('ERR The ID specified in XADD must be greater than 0-0')
const ID_NOT_GREATER = replyError('ERR The ID specified in XADD is equal or smaller than the target stream top item')
const EXHAUSTED = replyError('ERR The stream has exhausted the last possible ID, unable to add more items')
const ENTRY_TOO_LARGE = replyError('ERR Elements are too large to be stored')

const id = new StreamId()
const start = new StreamId()
const end = new StreamId()

/** Chooses the id of a new entry: given, half given, or made from the clock. */
function chooseId(call: Call, words: AddWords, last: StreamId): StreamId {
  if (last.isMax) throw EXHAUSTED
  if (words.idKind === 'auto') {
    const { nowMs } = call.clock
    if (nowMs > last.ms) return id.set(nowMs, 0)
    id.copy(last).increment()
    return id
  }
  id.copy(words.id)
  if (words.idKind === 'any-seq' && id.ms === last.ms) {
    if (last.seq === UINT64_MAX) throw ID_NOT_GREATER
    id.copy(last).increment()
  }
  if (id.compare(last) <= 0) throw ID_NOT_GREATER
  return id
}

function payloadBytes(call: Call, from: number): number {
  let bytes = 0
  for (let i = from; i < call.args.count; i++) bytes += call.args.at(i).length
  return bytes
}

const XADD_KEY: KeySpec = {
  ...key(1, 'RW UPDATE'), notes: 'UPDATE instead of INSERT because of the optional trimming feature',
}
const NO_ENTRIES = new StreamId()

// XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]
const xadd = command({
  name: 'xadd', arity: -5, flags: 'write denyoom fast', acl: 'stream', keys: [XADD_KEY], tips: ['nondeterministic_output'],
  group: 'stream', since: '5.0.0', complexity: 'O(1), or O(N) with trimming, N being the number of entries evicted.',
  syntax: 'key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]',
  summary: 'Adds an entry to a stream, creating the stream when there is none.',
}, (call) => {
  const { args, db } = call
  const name = args.at(1)
  const words = readAddWords(call)
  const from = words.idAt + 1
  const fieldWords = args.count - from
  if (fieldWords < 2 || fieldWords % 2 !== 0) throw wrongArity('xadd')
  if (words.idKind === 'given' && words.id.isZero) throw ZERO_ID
  const known = writeStream(call, name)
  if (known === undefined && words.noCreate) return call.reply.null()
  const chosen = chooseId(call, words, known === undefined ? NO_ENTRIES : known.lastId)
  const bytes = payloadBytes(call, from)
  if (bytes > NODE_BYTES_MAX) throw ENTRY_TOO_LARGE
  const stream = known ?? new LargeStream()
  if (known === undefined) db.setObject(name, STREAM, STREAM_TREE, stream)
  stream.append(chosen, args, from, fieldWords / 2, bytes, call.config)
  replyId(call.reply, chosen.ms, chosen.seq)
  const text = words.idKind === 'given' ? undefined : chosen
  call.changed(name, 't', 'xadd')
  const trimmed = stream.trim(words.trim)
  if (trimmed > 0) call.changed(name, 't', 'xtrim')
  propagateExact(call, words, stream, text, words.idAt)
})

/** What others replay must not depend on their clock or on how full their nodes are. */
function propagateExact(call: Call, words: TrimWords, stream: LargeStream, added?: StreamId, idAt = 0): void {
  const { trim } = words
  const approximate = trim.strategy !== 'none' && trim.approximate
  if (call.engine.services.propagate === undefined || (added === undefined && !approximate)) return
  const exact: (string | Buffer)[] = call.args.copy()
  if (added !== undefined) exact[idAt] = added.toString()
  if (approximate) {
    exact[words.trimAt - 1] = '='
    exact[words.trimAt] = trim.strategy === 'maxlen' ? String(stream.size) : stream.firstId.toString()
    if (words.limitAt > 0) exact.splice(words.limitAt, 2)
  }
  call.propagateAs(exact)
}

// XLEN key
const xlen = command({
  name: 'xlen', arity: 2, flags: 'readonly fast', acl: 'stream', keys: [key(1, 'RO')],
  group: 'stream', since: '5.0.0', complexity: 'O(1)', syntax: 'key', summary: 'Counts the entries of a stream.',
}, (call) => call.reply.integer(readStream(call, call.args.at(1))?.size ?? 0))

const cursor = scratch(new StreamCursor())

function replyRange(call: Call, startAt: number, endAt: number): void {
  const { args, reply } = call
  readStart(args.at(startAt), start)
  readEnd(args.at(endAt), end)
  let count = -1
  for (let i = 4; i < args.count; i += 2) {
    if (!args.is(i, 'count') || i + 1 >= args.count) throw SYNTAX
    count = Math.max(0, args.integer(i + 1))
  }
  const stream = readStream(call, args.at(1))
  if (stream === undefined) return reply.array(0)
  if (count === 0) return reply.nullArray()
  const mark = reply.begin()
  let entries = 0
  for (cursor.start(stream, start, end, startAt > endAt); entries !== count && cursor.next(); entries++)
    replyEntry(reply, cursor)
  reply.endArray(mark, entries)
}

// XRANGE key start end [COUNT count]
const xrange = command({
  name: 'xrange', arity: -4, flags: 'readonly', acl: 'stream', keys: [key(1, 'RO ACCESS')],
  group: 'stream', since: '5.0.0', complexity: 'O(N), N being the number of entries returned.',
  syntax: 'key start end [COUNT count]', summary: 'Returns the entries whose ids are within a range.',
}, (call) => replyRange(call, 2, 3))

// XREVRANGE key end start [COUNT count]
const xrevrange = command({
  name: 'xrevrange', arity: -4, flags: 'readonly', acl: 'stream', keys: [key(1, 'RO ACCESS')],
  group: 'stream', since: '5.0.0', complexity: 'O(N), N being the number of entries returned.',
  syntax: 'key end start [COUNT count]', summary: 'Returns the entries whose ids are within a range, the newest first.',
}, (call) => replyRange(call, 3, 2))

// XDEL key id [id ...]
const xdel = command({
  name: 'xdel', arity: -3, flags: 'write fast', acl: 'stream', keys: [key(1, 'RW DELETE')],
  group: 'stream', since: '5.0.0', complexity: 'O(1) per entry.', syntax: 'key id [id ...]',
  summary: 'Deletes entries of a stream.',
}, (call) => {
  const name = call.args.at(1)
  const stream = writeStream(call, name)
  if (stream === undefined) return call.reply.integer(0)
  let deleted = 0
  for (const one of readIds(call, 2)) if (stream.delete(one)) deleted++
  if (deleted > 0) call.changed(name, 't', 'xdel')
  call.reply.integer(deleted)
})

// XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]
const xtrim = command({
  name: 'xtrim', arity: -4, flags: 'write', acl: 'stream', keys: [key(1, 'RW DELETE')], tips: ['nondeterministic_output'],
  group: 'stream', since: '5.0.0', complexity: 'O(N), N being the number of entries evicted.',
  syntax: 'key (<MAXLEN | MINID> [= | ~] threshold [LIMIT count])', summary: 'Deletes the oldest entries of a stream.',
}, (call) => {
  const name = call.args.at(1)
  const words = readTrimWords(call)
  const stream = writeStream(call, name)
  if (stream === undefined) return call.reply.integer(0)
  const deleted = stream.trim(words.trim)
  if (deleted > 0) {
    propagateExact(call, words, stream)
    call.changed(name, 't', 'xtrim')
  }
  call.reply.integer(deleted)
})

const ENTRIES_ADDED_NEGATIVE = replyError('ERR entries_added must be positive')
const BELOW_GIVEN_DELETED = replyError('ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id')
const BELOW_DELETED = replyError('ERR The ID specified in XSETID is smaller than current max_deleted_entry_id')
const BELOW_TOP = replyError('ERR The ID specified in XSETID is smaller than the target stream top item')
const ADDED_BELOW_LENGTH = replyError('ERR The entries_added specified in XSETID is smaller than the target stream length')

// XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]
const xsetid = command({
  name: 'xsetid', arity: -3, flags: 'write denyoom fast', acl: 'stream', keys: [key(1, 'RW UPDATE')],
  group: 'stream', since: '5.0.0', complexity: 'O(1)',
  syntax: 'key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]',
  summary: 'Sets the last id of a stream; for copying streams.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const last = readId(args.at(2), id)
  const maxDeleted = end.set(0, 0)
  let added: Int64 = -1
  for (let i = 3; i < args.count; i += 2) {
    if (i + 1 >= args.count) throw SYNTAX
    if (args.is(i, 'entriesadded')) {
      added = args.exactInteger(i + 1)
      if (added < 0) throw ENTRIES_ADDED_NEGATIVE
    } else if (args.is(i, 'maxdeletedid')) {
      if (last.compare(readId(args.at(i + 1), maxDeleted)) < 0) throw BELOW_GIVEN_DELETED
    } else throw SYNTAX
  }
  const stream = writeStream(call, name)
  if (stream === undefined) throw NO_SUCH_KEY
  if (last.compare(stream.maxDeletedId) < 0) throw BELOW_DELETED
  if (lastLiveId(stream, start) && last.compare(start) < 0) throw BELOW_TOP
  if (added >= 0 && stream.size > added) throw ADDED_BELOW_LENGTH
  stream.lastId.copy(last)
  if (added >= 0) stream.entriesAdded = added
  if (!maxDeleted.isZero) stream.maxDeletedId.copy(maxDeleted)
  groupChanged(call, name, 'xsetid')
  call.reply.ok()
})

/** The commands of the group. */
export const streamCommands: readonly Command[] = [
  xadd, xlen, xrange, xrevrange, xdel, xtrim, xsetid, ...readCommands, ...groupCommands, ...pendingCommands, infoCommand,
]
