/** XINFO: what a stream, its groups and their consumers are made of. */
import { scratch } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { NO_SUCH_KEY } from '../src/errors.js'
import type { LargeStream } from '../src/keyspace/stream.js'
import { StreamCursor } from '../src/keyspace/stream-cursor.js'
import { ENTRIES_READ_UNKNOWN, groupLag, type StreamConsumer, type StreamGroup } from '../src/keyspace/stream-groups.js'
import { replyId, StreamId } from '../src/keyspace/stream-id.js'
import { asSigned, upperWord, lowerWord } from '../protocol/uint64.js'
import { replyHelp, wrongSubcommand } from './help.js'
import { MAX_ID, MIN_ID, noGroupOf, readStream, replyEntry } from './stream-args.js'

const FULL_COUNT_DEFAULT = 10

const id = new StreamId()
const cursor = scratch(new StreamCursor())

function existing(call: Call): LargeStream {
  const stream = readStream(call, call.args.at(2))
  if (stream === undefined) throw NO_SUCH_KEY
  return stream
}

// XINFO STREAM key [FULL [COUNT count]]
const streamInfo = command({
  name: 'stream', arity: -3, flags: 'readonly', acl: 'stream', keys: [key(2, 'RO ACCESS')],
  group: 'stream', since: '5.0.0', complexity: 'O(1)', syntax: 'key [FULL [COUNT count]]',
  summary: 'Describes a stream, with FULL its entries, groups and consumers too.',
}, (call) => {
  const { args, reply } = call
  const stream = existing(call)
  const options = args.count - 3
  if (options === 0) {
    reply.map(10)
    replyHead(call, stream)
    reply.bulkText('groups')
    reply.integer(stream.groups.all.length)
    reply.bulkText('first-entry')
    replyEdge(call, stream, false)
    reply.bulkText('last-entry')
    return replyEdge(call, stream, true)
  }
  if ((options !== 1 && options !== 3) || !args.is(3, 'full')) throw wrongSubcommand(call, 'XINFO')
  let count = FULL_COUNT_DEFAULT
  if (options === 3) {
    if (!args.is(4, 'count')) throw wrongSubcommand(call, 'XINFO')
    count = args.integer(5)
    if (count < 0) count = FULL_COUNT_DEFAULT
  }
  replyFull(call, stream, count)
})

/** The seven pairs that both forms begin with. */
function replyHead(call: Call, stream: LargeStream): void {
  const { reply } = call
  reply.bulkText('length')
  reply.integer(stream.size)
  reply.bulkText('radix-tree-keys')
  reply.integer(stream.nodeCount)
  reply.bulkText('radix-tree-nodes')
  reply.integer(radixTreeNodes(stream))
  reply.bulkText('last-generated-id')
  replyId(reply, stream.lastId.ms, stream.lastId.seq)
  reply.bulkText('max-deleted-entry-id')
  replyId(reply, stream.maxDeletedId.ms, stream.maxDeletedId.seq)
  reply.bulkText('entries-added')
  reply.integer(asSigned(stream.entriesAdded))
  reply.bulkText('recorded-first-entry-id')
  replyId(reply, stream.firstId.ms, stream.firstId.seq)
}

function replyEdge(call: Call, stream: LargeStream, last: boolean): void {
  if (cursor.start(stream, MIN_ID, MAX_ID, last).next()) replyEntry(call.reply, cursor)
  else call.reply.null()
}

function replyFull(call: Call, stream: LargeStream, count: number): void {
  const { reply } = call
  reply.map(9)
  replyHead(call, stream)
  reply.bulkText('entries')
  const mark = reply.begin()
  let entries = 0
  cursor.start(stream, MIN_ID, MAX_ID, false)
  while (cursor.next()) {
    replyEntry(reply, cursor)
    if (++entries === count) break
  }
  reply.endArray(mark, entries)
  reply.bulkText('groups')
  reply.array(stream.groups.all.length)
  for (const group of stream.groups.all) replyFullGroup(call, stream, group, count)
}

function replyFullGroup(call: Call, stream: LargeStream, group: StreamGroup, count: number): void {
  const { reply } = call
  reply.map(7)
  reply.bulkText('name')
  reply.bulk(group.name)
  replyProgress(call, stream, group)
  reply.bulkText('pel-count')
  reply.integer(group.pending.size)
  reply.bulkText('pending')
  reply.array(shown(group.pending.size, count))
  let left = count
  for (let more = group.pending.first(); more; more = group.pending.advance()) {
    group.pending.idHere(id)
    reply.array(4)
    replyId(reply, id.ms, id.seq)
    reply.bulk(group.ownerHere().name)
    reply.integer(group.deliveredMsHere())
    reply.integer(group.deliveriesHere())
    if (--left === 0) break
  }
  reply.bulkText('consumers')
  reply.array(group.consumers.all.length)
  for (const consumer of group.consumers.all) replyFullConsumer(call, group, consumer, count)
}

function shown(size: number, count: number): number {
  return count === 0 ? size : Math.min(size, count)
}

function replyFullConsumer(call: Call, group: StreamGroup, consumer: StreamConsumer, count: number): void {
  const { reply } = call
  const { pending } = consumer
  reply.map(5)
  reply.bulkText('name')
  reply.bulk(consumer.name)
  reply.bulkText('seen-time')
  reply.integer(consumer.seenMs)
  reply.bulkText('active-time')
  reply.integer(consumer.activeMs)
  reply.bulkText('pel-count')
  reply.integer(pending.size)
  reply.bulkText('pending')
  reply.array(shown(pending.size, count))
  let left = count
  for (let more = pending.first(); more; more = pending.advance()) {
    pending.idHere(id)
    group.pending.find(id.ms, id.seq)
    reply.array(3)
    replyId(reply, id.ms, id.seq)
    reply.integer(group.deliveredMsHere())
    reply.integer(group.deliveriesHere())
    if (--left === 0) break
  }
}

/** The three pairs that tell how far a group has read. */
function replyProgress(call: Call, stream: LargeStream, group: StreamGroup): void {
  const { reply } = call
  reply.bulkText('last-delivered-id')
  replyId(reply, group.lastId.ms, group.lastId.seq)
  reply.bulkText('entries-read')
  if (group.entriesRead === ENTRIES_READ_UNKNOWN) reply.null()
  else reply.integer(group.entriesRead)
  reply.bulkText('lag')
  const lag = groupLag(stream, group)
  if (lag === undefined) reply.null()
  else reply.integer(lag)
}

// XINFO GROUPS key
const groups = command({
  name: 'groups', arity: 3, flags: 'readonly', acl: 'stream', keys: [key(2, 'RO ACCESS')],
  group: 'stream', since: '5.0.0', complexity: 'O(1)', syntax: 'key', summary: 'Lists the groups of a stream.',
}, (call) => {
  const { reply } = call
  const stream = existing(call)
  reply.array(stream.groups.all.length)
  for (const group of stream.groups.all) {
    reply.map(6)
    reply.bulkText('name')
    reply.bulk(group.name)
    reply.bulkText('consumers')
    reply.integer(group.consumers.all.length)
    reply.bulkText('pending')
    reply.integer(group.pending.size)
    replyProgress(call, stream, group)
  }
})

// XINFO CONSUMERS key group
const consumers = command({
  name: 'consumers', arity: 4, flags: 'readonly', acl: 'stream', keys: [key(2, 'RO ACCESS')],
  tips: ['nondeterministic_output'], group: 'stream', since: '5.0.0', complexity: 'O(1)', syntax: 'key group',
  summary: 'Lists the consumers of a group.',
}, (call) => {
  const { args, reply, clock } = call
  const group = existing(call).groups.get(args.at(3))
  if (group === undefined) throw noGroupOf(args.at(2), args.at(3))
  reply.array(group.consumers.all.length)
  for (const consumer of group.consumers.all) {
    reply.map(4)
    reply.bulkText('name')
    reply.bulk(consumer.name)
    reply.bulkText('pending')
    reply.integer(consumer.pending.size)
    reply.bulkText('idle')
    reply.integer(Math.max(0, clock.nowMs - Number(consumer.seenMs)))
    reply.bulkText('inactive')
    reply.integer(consumer.activeMs === -1 ? -1 : Math.max(0, clock.nowMs - Number(consumer.activeMs)))
  }
})

// XINFO HELP
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: 'stream', group: 'stream', since: '5.0.0', complexity: 'O(1)',
  syntax: '', summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'XINFO', [
  'CONSUMERS <key> <groupname>',
  '    Show consumers of <groupname>.',
  'GROUPS <key>',
  '    Show the stream consumer groups.',
  'STREAM <key> [FULL [COUNT <count>]',
  '    Show information about the stream.',
]))

/** XINFO and its subcommands. */
export const infoCommand: Command = command({
  name: 'xinfo', arity: -2, flags: '', acl: '', group: 'stream', since: '5.0.0',
  complexity: 'Depends on the subcommand.', syntax: '', summary: 'Looks into streams.',
  subcommands: [consumers, groups, help, streamInfo],
})

const KEY_BYTES = 16

/**
 * How many nodes the radix tree has in which Valkey would hold this stream: it is keyed by the 16 bytes of
 * the nodes' ids, chains of single children being one node.
 *
 * Between neighbours in order the tree branches where their keys part. Each such place is one node, and one
 * more stands before it when bytes in common lie between it and the place above it.
 */
function radixTreeNodes(stream: LargeStream): number {
  const count = stream.nodeCount
  if (count === 0) return 1
  const keys = Buffer.alloc(count * KEY_BYTES)
  for (let i = 0; i < count; i++) {
    const node = stream.nodeAt(i)
    keys.writeUInt32BE(upperWord(node.ms), i * KEY_BYTES)
    keys.writeUInt32BE(lowerWord(node.ms), i * KEY_BYTES + 4)
    keys.writeUInt32BE(upperWord(node.seq), i * KEY_BYTES + 8)
    keys.writeUInt32BE(lowerWord(node.seq), i * KEY_BYTES + 12)
  }
  return subtreeNodes(keys, 0, count, 0)
}

/** Nodes of the subtree of keys `first` to `end` - 1, which agree in their first `depth` bytes. */
function subtreeNodes(keys: Buffer, first: number, end: number, depth: number): number {
  if (end - first === 1) return depth === KEY_BYTES ? 1 : 2
  let fork = depth
  // In order, what the first and the last key have in common all have.
  while (keys[first * KEY_BYTES + fork] === keys[(end - 1) * KEY_BYTES + fork]) fork++
  let nodes = fork > depth ? 2 : 1
  for (let from = first; from < end; ) {
    const byte = keys[from * KEY_BYTES + fork]
    let to = from + 1
    while (to < end && keys[to * KEY_BYTES + fork] === byte) to++
    nodes += subtreeNodes(keys, from, to, fork + 1)
    from = to
  }
  return nodes
}
