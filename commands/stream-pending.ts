/** What was delivered and not acknowledged: XPENDING shows it, XCLAIM and XAUTOCLAIM give it to another consumer. */
import type { Args } from '../src/engine/args.js'
import { addUint64, type Int64 } from '../protocol/uint64.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { replyError, SYNTAX } from '../src/errors.js'
import type { LargeStream } from '../src/keyspace/stream.js'
import type { StreamConsumer, StreamGroup } from '../src/keyspace/stream-groups.js'
import { readStreamId, replyId, StreamId } from '../src/keyspace/stream-id.js'
import { groupChanged, noGroup, readEnd, readId, readStart, readStream, replyEntryOf, seenConsumer } from './stream-args.js'

const id = new StreamId()
const start = new StreamId()
const end = new StreamId()

function streamAndGroup(call: Call): { stream: LargeStream; group: StreamGroup } {
  const stream = readStream(call, call.args.at(1))
  const group = stream?.groups.get(call.args.at(2))
  if (stream === undefined || group === undefined) throw noGroup(call, call.args.at(1), call.args.at(2))
  return { stream, group }
}

/** Milliseconds since the pending entry here was delivered. */
function idleMs(call: Call, group: StreamGroup): number {
  return call.clock.nowMs - Number(group.deliveredMsHere())
}

// XPENDING key group [[IDLE min-idle-time] start end count [consumer]]
const xpending = command({
  name: 'xpending', arity: -3, flags: 'readonly', acl: 'stream', keys: [key(1, 'RO ACCESS')], tips: ['nondeterministic_output'],
  group: 'stream', since: '5.0.0', complexity: 'O(N), N being the number of entries looked at; O(C) for the summary of C consumers.',
  syntax: 'key group [[IDLE min-idle-time] start end count [consumer]]',
  summary: 'Lists the pending entries of a group, or sums them up.',
}, (call) => {
  const { args } = call
  if (args.count !== 3 && (args.count < 6 || args.count > 9)) throw SYNTAX
  if (args.count === 3) return replySummary(call, streamAndGroup(call).group)
  let at = 3
  let minIdle = 0
  if (args.is(3, 'idle')) {
    minIdle = args.integer(4)
    if (args.count < 8) throw SYNTAX
    at = 5
  }
  const count = Math.max(0, args.integer(at + 2))
  readStart(args.at(at), start)
  readEnd(args.at(at + 1), end)
  const { group } = streamAndGroup(call)
  if (at + 3 >= args.count) return replyPending(call, group, undefined, minIdle, count)
  const consumer = group.consumers.get(args.at(at + 3))
  if (consumer === undefined) return call.reply.array(0)
  replyPending(call, group, consumer, minIdle, count)
})

function replySummary(call: Call, group: StreamGroup): void {
  const { reply } = call
  const { pending } = group
  reply.array(4)
  reply.integer(pending.size)
  if (pending.size === 0) {
    reply.null()
    reply.null()
    return reply.nullArray()
  }
  pending.first()
  pending.idHere(id)
  replyId(reply, id.ms, id.seq)
  pending.last()
  pending.idHere(id)
  replyId(reply, id.ms, id.seq)
  const mark = reply.begin()
  let owners = 0
  for (const consumer of group.consumers.all) {
    if (consumer.pending.size === 0) continue
    owners++
    reply.array(2)
    reply.bulk(consumer.name)
    reply.bulkInteger(consumer.pending.size)
  }
  reply.endArray(mark, owners)
}

/** Lists the pending entries from `start` to `end`: of one consumer or of the group. */
function replyPending(
  call: Call, group: StreamGroup, consumer: StreamConsumer | undefined, minIdle: number, count: number,
): void {
  const { reply } = call
  const table = consumer === undefined ? group.pending : consumer.pending
  const mark = reply.begin()
  let entries = 0
  for (let more = table.seek(start); more && entries < count; more = table.advance()) {
    if (table.idHere(id).compare(end) > 0) break
    if (consumer !== undefined) group.pending.find(id.ms, id.seq)
    const idle = idleMs(call, group)
    if (minIdle !== 0 && idle < minIdle) continue
    reply.array(4)
    replyId(reply, id.ms, id.seq)
    reply.bulk(group.ownerHere().name)
    reply.integer(Math.max(0, idle))
    reply.integer(group.deliveriesHere())
    entries++
  }
  reply.endArray(mark, entries)
}

const XCLAIM_MIN_IDLE = replyError('ERR Invalid min-idle-time argument for XCLAIM')
const XCLAIM_IDLE = replyError('ERR Invalid IDLE option argument for XCLAIM')
const XCLAIM_TIME = replyError('ERR Invalid TIME option argument for XCLAIM')
const XCLAIM_RETRYCOUNT = replyError('ERR Invalid RETRYCOUNT option argument for XCLAIM')

interface ClaimOptions {
  /** The ids are words 5 to `idsEnd` - 1. */
  idsEnd: number
  deliveredMs: number
  /** The count of deliveries to set; negative: one more. */
  retryCount: Int64
  force: boolean
  justId: boolean
  readonly lastId: StreamId
}

function readClaimOptions(args: Args, nowMs: number): ClaimOptions {
  let i = 5
  while (i < args.count && readStreamId(args.at(i), id, 0) === true) i++
  const options: ClaimOptions = {
    idsEnd: i, deliveredMs: -1, retryCount: -1, force: false, justId: false, lastId: new StreamId(),
  }
  for (; i < args.count; i++) {
    const more = i + 1 < args.count
    if (args.is(i, 'force')) options.force = true
    else if (args.is(i, 'justid')) options.justId = true
    else if (more && args.is(i, 'idle')) options.deliveredMs = nowMs - args.integer(++i, XCLAIM_IDLE)
    else if (more && args.is(i, 'time')) options.deliveredMs = args.integer(++i, XCLAIM_TIME)
    else if (more && args.is(i, 'retrycount')) options.retryCount = args.exactInteger(++i, XCLAIM_RETRYCOUNT)
    else if (more && args.is(i, 'lastid')) readId(args.at(++i), options.lastId)
    else throw replyError(`ERR Unrecognized XCLAIM option '${args.at(i).cText()}'`)
  }
  // A time that makes no sense counts as now: clients compute it from clocks of their own.
  if (options.deliveredMs < 0 || options.deliveredMs > nowMs) options.deliveredMs = nowMs
  return options
}

// XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds]
//   [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]
const xclaim = command({
  name: 'xclaim', arity: -6, flags: 'write fast', acl: 'stream', keys: [key(1, 'RW UPDATE')], tips: ['nondeterministic_output'],
  group: 'stream', since: '5.0.0', complexity: 'O(log N), N being the number of pending entries of the group.',
  syntax: 'key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]',
  summary: 'Makes a consumer the owner of pending entries, as if they had been delivered to it.',
}, (call) => {
  const { args, reply } = call
  const { nowMs } = call.clock
  const { stream, group } = streamAndGroup(call)
  const minIdle = args.integer(4, XCLAIM_MIN_IDLE)
  const options = readClaimOptions(args, nowMs)
  if (options.lastId.compare(group.lastId) > 0) {
    group.lastId.copy(options.lastId)
    groupChanged(call, args.at(1))
  }
  const consumer = seenConsumer(call, args.at(1), group, args.at(3))
  const mark = reply.begin()
  let claimed = 0
  for (let i = 5; i < options.idsEnd; i++) {
    readId(args.at(i), id)
    const isPending = group.pending.find(id.ms, id.seq)
    if (!stream.has(id)) {
      if (isPending) {
        group.dropHere()
        groupChanged(call, args.at(1))
      }
      continue
    }
    if (isPending ? minIdle > 0 && idleMs(call, group) < minIdle : !options.force) continue
    group.assign(id.ms, id.seq, consumer)
    group.setDeliveredMsHere(options.deliveredMs)
    if (!isPending) group.setDeliveriesHere(1)
    if (options.retryCount >= 0) group.setDeliveriesHere(options.retryCount)
    else if (!options.justId) group.setDeliveriesHere(addUint64(group.deliveriesHere(), 1))
    replyClaimed(call, stream, options.justId)
    claimed++
    consumer.activeMs = nowMs
    groupChanged(call, args.at(1))
  }
  reply.endArray(mark, claimed)
})

function replyClaimed(call: Call, stream: LargeStream, justId: boolean): void {
  if (justId) replyId(call.reply, id.ms, id.seq)
  else replyEntryOf(call.reply, stream, id)
}

const XAUTOCLAIM_MIN_IDLE = replyError('ERR Invalid min-idle-time argument for XAUTOCLAIM')
const BAD_COUNT = replyError('ERR COUNT must be > 0')
const COUNT_DEFAULT = 100
/** 2^63 / 16: Valkey sizes a transient array of ids by COUNT. */
const COUNT_MAX = 2 ** 59
/** Pending entries looked at for one that is claimed, at most, on average. */
const ATTEMPTS_PER_COUNT = 10

// XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]
const xautoclaim = command({
  name: 'xautoclaim', arity: -6, flags: 'write fast', acl: 'stream', keys: [key(1, 'RW DELETE')],
  tips: ['nondeterministic_output'], group: 'stream', since: '6.2.0', complexity: 'O(1) if COUNT is small.',
  syntax: 'key group consumer min-idle-time start [COUNT count] [JUSTID]',
  summary: 'Makes a consumer the owner of pending entries that have been idle for long.',
}, (call) => {
  const { args, reply } = call
  const minIdle = args.integer(4, XAUTOCLAIM_MIN_IDLE)
  readStart(args.at(5), start)
  let count = COUNT_DEFAULT
  let justId = false
  for (let i = 6; i < args.count; i++) {
    if (args.is(i, 'count') && i + 1 < args.count) {
      count = args.integer(++i, BAD_COUNT)
      if (count < 1 || count >= COUNT_MAX) throw BAD_COUNT
    } else if (args.is(i, 'justid')) justId = true
    else throw SYNTAX
  }
  const { stream, group } = streamAndGroup(call)
  const consumer = seenConsumer(call, args.at(1), group, args.at(3))
  const { pending } = group
  const gone: StreamId[] = []
  const mark = reply.begin()
  let claimed = 0
  let more = pending.seek(start)
  for (let attempts = count * ATTEMPTS_PER_COUNT; more && attempts > 0 && claimed + gone.length < count; attempts--) {
    pending.idHere(id)
    if (!stream.has(id)) {
      gone.push(id.clone())
      group.dropHere()
      groupChanged(call, args.at(1))
      more = pending.isHere
      continue
    }
    if (minIdle <= 0 || idleMs(call, group) >= minIdle) {
      group.assign(id.ms, id.seq, consumer)
      group.setDeliveredMsHere(call.clock.nowMs)
      if (!justId) group.setDeliveriesHere(addUint64(group.deliveriesHere(), 1))
      replyClaimed(call, stream, justId)
      claimed++
      consumer.activeMs = call.clock.nowMs
      groupChanged(call, args.at(1))
    }
    more = pending.advance()
  }
  reply.endArray(mark, claimed)
  finishAutoclaim(call, mark, more ? pending.idHere(id) : id.set(0, 0), gone)
})

/** Puts the cursor before the claimed entries, which are written already, and the deleted ids after them. */
function finishAutoclaim(call: Call, mark: number, next: StreamId, gone: readonly StreamId[]): void {
  const { reply } = call
  const claimed = Buffer.from(reply.buf.subarray(mark, reply.pos))
  reply.pos = mark
  reply.array(3)
  replyId(reply, next.ms, next.seq)
  reply.raw(claimed)
  reply.array(gone.length)
  for (const one of gone) replyId(reply, one.ms, one.seq)
}

/** XPENDING, XCLAIM, XAUTOCLAIM. */
export const pendingCommands: readonly Command[] = [xpending, xclaim, xautoclaim]
