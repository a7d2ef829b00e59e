/**
 * Reading streams as they grow: XREAD, XREADGROUP, and XACK, which ends what XREADGROUP began.
 *
 * BLOCK is read and answered at once, as within a transaction: null when there is nothing to read.
 */
import { scratch } from '../protocol/slice.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command, type KeySpec } from '../src/engine/command.js'
import { replyError, SYNTAX, type ReplyError } from '../src/errors.js'
import type { LargeStream } from '../src/keyspace/stream.js'
import { StreamCursor } from '../src/keyspace/stream-cursor.js'
import { advanceGroup, type StreamConsumer, type StreamGroup } from '../src/keyspace/stream-groups.js'
import { replyId, StreamId } from '../src/keyspace/stream-id.js'
import {
  groupChanged, isChar, lastLiveId, MAX_ID, noGroup, readId, readIds, readStream, replyEntry, replyEntryOf, seenConsumer,
} from './stream-args.js'

const GROUP_IN_XREAD = replyError('ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.')
const NOACK_IN_XREAD = replyError('ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.')
const NEW_IN_XREAD = replyError('ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.')
const GROUP_MISSING = replyError('ERR Missing GROUP option for XREADGROUP')
const BAD_TIMEOUT = replyError('ERR timeout is not an integer or out of range')
const NEGATIVE_TIMEOUT = replyError('ERR timeout is negative')

const meaningless = (id: string): ReplyError => replyError(
  `ERR The ${id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The ${id} ID would just return an empty result set.`)
const END_IN_XREADGROUP = meaningless('$')
const LAST_IS_ZERO = replyError('ERR the stream last element ID is 0-0')
const LAST_IN_XREADGROUP = meaningless('+')

interface ReadWords {
  count: number
  noAck: boolean
  /** Position of the group's name, the consumer's behind it; 0 when not given. */
  groupAt: number
  /** Position of the first key, and how many there are; the ids follow. */
  keysAt: number
  keyCount: number
}

function readWords(args: Args, ofGroup: boolean): ReadWords {
  const words: ReadWords = { count: 0, noAck: false, groupAt: 0, keysAt: 0, keyCount: 0 }
  for (let i = 1; i < args.count && words.keysAt === 0; i++) {
    const more = args.count - i - 1
    if (more >= 1 && args.is(i, 'block')) {
      if (args.integer(++i, BAD_TIMEOUT) < 0) throw NEGATIVE_TIMEOUT
    } else if (more >= 1 && args.is(i, 'count')) words.count = Math.max(0, args.integer(++i))
    else if (more >= 1 && args.is(i, 'streams')) {
      words.keysAt = i + 1
      words.keyCount = more / 2
      if (more % 2 !== 0) throw unbalanced(ofGroup)
    } else if (more >= 2 && args.is(i, 'group')) {
      if (!ofGroup) throw GROUP_IN_XREAD
      words.groupAt = i + 1
      i += 2
    } else if (args.is(i, 'noack')) {
      if (!ofGroup) throw NOACK_IN_XREAD
      words.noAck = true
    } else throw SYNTAX
  }
  if (words.keysAt === 0) throw SYNTAX
  if (ofGroup && words.groupAt === 0) throw GROUP_MISSING
  return words
}

function unbalanced(ofGroup: boolean): ReplyError {
  const [name, id] = ofGroup ? ['xreadgroup', '>'] : ['xread', '$']
  return replyError(`ERR Unbalanced '${name}' list of streams: for each stream key an ID or '${id}' must be specified.`)
}

/** One stream to be read: entries after `after`. */
interface Source {
  readonly keyAt: number
  readonly stream: LargeStream | undefined
  readonly group: StreamGroup | undefined
  readonly after: StreamId
  /** XREADGROUP with `>`: what no consumer of the group was given. */
  readonly onlyNew: boolean
}

function readSources(call: Call, words: ReadWords): Source[] {
  const { args } = call
  const sources: Source[] = []
  for (let i = 0; i < words.keyCount; i++) {
    const name = args.at(words.keysAt + i)
    const stream = readStream(call, name)
    let group: StreamGroup | undefined
    if (words.groupAt > 0) {
      group = stream?.groups.get(args.at(words.groupAt))
      if (group === undefined) throw noGroup(call, name, args.at(words.groupAt))
    }
    const word = args.at(words.keysAt + words.keyCount + i)
    let onlyNew = isChar(word, '>')
    const after = new StreamId()
    if (isChar(word, '$')) {
      if (group !== undefined) throw END_IN_XREADGROUP
      if (stream !== undefined) after.copy(stream.lastId)
    } else if (isChar(word, '+')) {
      if (group !== undefined) throw LAST_IN_XREADGROUP
      // The last id ever given: where its entry was deleted, nothing comes after.
      if (stream !== undefined && !after.copy(stream.lastId).decrement()) throw LAST_IS_ZERO
    } else if (onlyNew) {
      if (group === undefined) throw NEW_IN_XREAD
    } else {
      readId(word, after)
      // Valkey passes `>` on as the largest id, and so takes the one for the other.
      onlyNew = group !== undefined && after.isMax
    }
    sources.push({ keyAt: words.keysAt + i, stream, group, after, onlyNew })
  }
  return sources
}

const lastId = new StreamId()

/** Whether the stream has an entry after this id. */
function hasAfter(stream: LargeStream, id: StreamId): boolean {
  return lastLiveId(stream, lastId) && lastId.compare(id) > 0
}

function read(call: Call, ofGroup: boolean): void {
  const { args, reply } = call
  const words = readWords(args, ofGroup)
  const sources = readSources(call, words)
  const mark = reply.begin()
  let answered = 0
  for (const source of sources) {
    const { stream, group } = source
    if (stream === undefined) continue
    const name = args.at(source.keyAt)
    let consumer: StreamConsumer | undefined
    let ready: boolean
    if (group !== undefined) {
      ready = !source.onlyNew || hasAfter(stream, group.lastId)
      consumer = seenConsumer(call, name, group, args.at(words.groupAt + 1))
    } else ready = hasAfter(stream, source.after)
    if (!ready) continue
    answered++
    if (reply.version === 2) reply.array(2)
    reply.bulk(name)
    if (group === undefined || consumer === undefined) replyAfter(call, stream, source.after, words.count)
    else if (source.onlyNew) deliver(call, stream, group, consumer, words)
    else replyHistory(call, stream, group, consumer, source.after, words.count)
    if (group !== undefined) groupChanged(call, name)
  }
  if (answered === 0) return reply.nullArray()
  if (reply.version === 2) reply.endArray(mark, answered)
  else reply.endMap(mark, answered)
}

const cursor = scratch(new StreamCursor())
const from = new StreamId()
const at = new StreamId()

function replyAfter(call: Call, stream: LargeStream, after: StreamId, count: number): void {
  const mark = call.reply.begin()
  let entries = 0
  if (from.copy(after).increment()) {
    cursor.start(stream, from, MAX_ID, false)
    while (cursor.next()) {
      replyEntry(call.reply, cursor)
      if (++entries === count) break
    }
  }
  call.reply.endArray(mark, entries)
}

/** Gives the consumer what nobody in its group was given yet. */
function deliver(call: Call, stream: LargeStream, group: StreamGroup, consumer: StreamConsumer, words: ReadWords): void {
  const { reply } = call
  const { nowMs } = call.clock
  const mark = reply.begin()
  let entries = 0
  from.copy(group.lastId).increment()
  cursor.start(stream, from, MAX_ID, false)
  while (cursor.next()) {
    advanceGroup(stream, group, at.set(cursor.ms, cursor.seq))
    replyEntry(reply, cursor)
    if (!words.noAck) {
      group.assign(at.ms, at.seq, consumer)
      group.setDeliveredMsHere(nowMs)
      group.setDeliveriesHere(1)
      consumer.activeMs = nowMs
    }
    if (++entries === words.count) break
  }
  reply.endArray(mark, entries)
}

/** Gives the consumer again what it did not acknowledge. */
function replyHistory(
  call: Call, stream: LargeStream, group: StreamGroup, consumer: StreamConsumer, after: StreamId, count: number,
): void {
  const { reply } = call
  const { pending } = consumer
  const mark = reply.begin()
  let entries = 0
  const starts = from.copy(after).increment()
  for (let more = starts && pending.seek(from); more; more = pending.advance()) {
    pending.idHere(at)
    if (replyEntryOf(reply, stream, at)) {
      group.pending.find(at.ms, at.seq)
      group.setDeliveredMsHere(call.clock.nowMs)
      group.setDeliveriesHere(Number(group.deliveriesHere()) + 1)
    } else {
      reply.array(2)
      replyId(reply, at.ms, at.seq)
      reply.nullArray()
    }
    if (++entries === count) break
  }
  reply.endArray(mark, entries)
}

const streamKeys = (flags: string, startFrom: number): KeySpec =>
  ({ flags, begin: { keyword: 'STREAMS', from: startFrom }, find: { last: -1, step: 1, limit: 2 } })

// XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]
const xread = command({
  name: 'xread', arity: -4, flags: 'readonly blocking movablekeys', acl: 'stream', keys: [streamKeys('RO ACCESS', 1)],
  group: 'stream', since: '5.0.0', complexity: 'O(N), N being the number of entries returned.',
  syntax: '[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]',
  summary: 'Returns the entries of streams after given ids.',
}, (call) => read(call, false))

// XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]
const xreadgroup = command({
  name: 'xreadgroup', arity: -7, flags: 'write blocking movablekeys', acl: 'stream', keys: [streamKeys('RO ACCESS', 4)],
  group: 'stream', since: '5.0.0', complexity: 'O(N), N being the number of entries returned, for each stream.',
  syntax: 'GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]',
  summary: 'Gives a consumer of a group new entries, or again those it has not acknowledged.',
}, (call) => read(call, true))

// XACK key group id [id ...]
const xack = command({
  name: 'xack', arity: -4, flags: 'write fast', acl: 'stream', keys: [key(1, 'RW UPDATE')],
  group: 'stream', since: '5.0.0', complexity: 'O(1) per id.', syntax: 'key group id [id ...]',
  summary: 'Acknowledges entries: they are no longer pending.',
}, (call) => {
  const name = call.args.at(1)
  const group = readStream(call, name)?.groups.get(call.args.at(2))
  if (group === undefined) return call.reply.integer(0)
  let acknowledged = 0
  for (const id of readIds(call, 3)) {
    if (!group.acknowledge(id)) continue
    acknowledged++
    groupChanged(call, name)
  }
  call.reply.integer(acknowledged)
})

/** XREAD, XREADGROUP, XACK. */
export const readCommands: readonly Command[] = [xread, xreadgroup, xack]
