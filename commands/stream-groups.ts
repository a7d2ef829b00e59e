/** XGROUP: making, moving and destroying consumer groups and consumers. */
import type { Slice } from '../protocol/slice.js'
import type { Int64 } from '../protocol/uint64.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command, type CommandSpec, type Handler } from '../src/engine/command.js'
import { replyError } from '../src/errors.js'
import { LargeStream } from '../src/keyspace/stream.js'
import { ENTRIES_READ_UNKNOWN, type StreamGroup } from '../src/keyspace/stream-groups.js'
import { StreamId } from '../src/keyspace/stream-id.js'
import { STREAM, STREAM_TREE } from '../src/keyspace/types.js'
import { replyHelp, wrongSubcommand } from './help.js'
import { groupChanged, isChar, MAX_ID, MIN_ID, noGroupOf, readId, writeStream } from './stream-args.js'

const KEY_MISSING = replyError('ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.')
const GROUP_EXISTS = replyError('BUSYGROUP Consumer Group name already exists')
const BAD_ENTRIES_READ = replyError('ERR value for ENTRIESREAD must be positive or -1')
/** CREATE takes no more words than each of its options once. */
const CREATE_WORDS_MAX = 8

const id = new StreamId()

function existing(call: Call, name: Slice): LargeStream {
  const stream = writeStream(call, name)
  if (stream === undefined) throw KEY_MISSING
  return stream
}

function existingGroup(call: Call): StreamGroup {
  const name = call.args.at(2)
  const group = existing(call, name).groups.get(call.args.at(3))
  if (group === undefined) throw noGroupOf(name, call.args.at(3))
  return group
}

let makeStream = false
let entriesRead: Int64 = ENTRIES_READ_UNKNOWN

function readOptions(call: Call, creates: boolean): void {
  const { args } = call
  makeStream = false
  entriesRead = ENTRIES_READ_UNKNOWN
  for (let i = 5; i < args.count; i++) {
    if (creates && args.is(i, 'mkstream')) makeStream = true
    else if (args.is(i, 'entriesread') && i + 1 < args.count) {
      entriesRead = args.exactInteger(++i)
      if (entriesRead < 0 && entriesRead !== ENTRIES_READ_UNKNOWN) throw BAD_ENTRIES_READ
    } else throw wrongSubcommand(call, 'XGROUP')
  }
}

function readGroupId(word: Slice, stream: LargeStream | undefined): StreamId {
  if (!isChar(word, '$')) return readId(word, id)
  return stream === undefined ? id.set(0, 0) : id.copy(stream.lastId)
}

/** SETID, unlike CREATE, takes `-` and `+` for the first and last id there can be. */
function readMovedId(word: Slice, stream: LargeStream): StreamId {
  if (isChar(word, '-')) return MIN_ID
  return isChar(word, '+') ? MAX_ID : readGroupId(word, stream)
}

function subcommand(spec: Pick<CommandSpec, 'name' | 'arity' | 'flags' | 'since' | 'syntax' | 'summary'>
  & Partial<Pick<CommandSpec, 'complexity'>>, keyFlags: string, run: Handler): Command {
  return command({ complexity: 'O(1)', acl: 'stream', group: 'stream', keys: [key(2, keyFlags)], ...spec }, run)
}

// XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]
const create = subcommand({
  name: 'create', arity: -5, flags: 'write denyoom', since: '5.0.0',
  syntax: 'key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]', summary: 'Makes a consumer group.',
}, 'RW INSERT', (call) => {
  const { args } = call
  const name = args.at(2)
  readOptions(call, true)
  let stream = writeStream(call, name)
  if (stream === undefined && !makeStream) throw KEY_MISSING
  if (args.count > CREATE_WORDS_MAX) throw wrongSubcommand(call, 'XGROUP')
  const from = readGroupId(args.at(4), stream)
  if (stream === undefined) {
    stream = new LargeStream()
    call.db.setObject(name, STREAM, STREAM_TREE, stream)
    call.engine.watches.touch(call.db, name)
  }
  if (stream.groups.get(args.at(3)) !== undefined) throw GROUP_EXISTS
  stream.groups.create(args.at(3), from, entriesRead)
  groupChanged(call, name, 'xgroup-create')
  call.reply.ok()
})

// XGROUP SETID key group id | $ [ENTRIESREAD entries-read]
const setid = subcommand({
  name: 'setid', arity: -5, flags: 'write', since: '5.0.0', syntax: 'key group <id | $> [ENTRIESREAD entries-read]',
  summary: 'Sets the id up to which a group counts as having read.',
}, 'RW UPDATE', (call) => {
  const { args } = call
  const name = args.at(2)
  readOptions(call, false)
  const stream = existing(call, name)
  const group = existingGroup(call)
  if (args.count !== 5 && args.count !== 7) throw wrongSubcommand(call, 'XGROUP')
  group.lastId.copy(readMovedId(args.at(4), stream))
  group.entriesRead = entriesRead
  groupChanged(call, name, 'xgroup-setid')
  call.reply.ok()
})

// XGROUP DESTROY key group
const destroy = subcommand({
  name: 'destroy', arity: 4, flags: 'write', since: '5.0.0', syntax: 'key group', summary: 'Removes a consumer group.',
  complexity: 'O(N), N being the number of pending entries of the group.',
}, 'RW DELETE', (call) => {
  const name = call.args.at(2)
  const stream = existing(call, name)
  const group = stream.groups.get(call.args.at(3))
  if (group === undefined) return call.reply.integer(0)
  stream.groups.remove(group)
  groupChanged(call, name, 'xgroup-destroy')
  call.reply.integer(1)
})

// XGROUP CREATECONSUMER key group consumer
const createconsumer = subcommand({
  name: 'createconsumer', arity: 5, flags: 'write denyoom', since: '6.2.0', syntax: 'key group consumer',
  summary: 'Makes a consumer of a group.',
}, 'RW INSERT', (call) => {
  const group = existingGroup(call)
  const consumer = call.args.at(4)
  if (group.consumers.get(consumer) !== undefined) return call.reply.integer(0)
  group.addConsumer(consumer, call.clock.nowMs)
  groupChanged(call, call.args.at(2), 'xgroup-createconsumer')
  call.reply.integer(1)
})

// XGROUP DELCONSUMER key group consumer
const delconsumer = subcommand({
  name: 'delconsumer', arity: 5, flags: 'write', since: '5.0.0', syntax: 'key group consumer',
  summary: 'Removes a consumer with its pending entries, and counts those.',
}, 'RW DELETE', (call) => {
  const group = existingGroup(call)
  const consumer = group.consumers.get(call.args.at(4))
  if (consumer === undefined) return call.reply.integer(0)
  const pending = group.removeConsumer(consumer)
  groupChanged(call, call.args.at(2), 'xgroup-delconsumer')
  call.reply.integer(pending)
})

// XGROUP HELP
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: 'stream', group: 'stream', since: '5.0.0', complexity: 'O(1)',
  syntax: '', summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'XGROUP', [
  'CREATE <key> <groupname> <id|$> [option]',
  '    Create a new consumer group. Options are:',
  '    * MKSTREAM',
  '      Create the empty stream if it does not exist.',
  '    * ENTRIESREAD entries_read',
  "      Set the group's entries_read counter (internal use).",
  'CREATECONSUMER <key> <groupname> <consumer>',
  '    Create a new consumer in the specified group.',
  'DELCONSUMER <key> <groupname> <consumer>',
  '    Remove the specified consumer.',
  'DESTROY <key> <groupname>',
  '    Remove the specified group.',
  'SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]',
  '    Set the current group ID and entries_read counter.',
]))

/** XGROUP and its subcommands. */
export const groupCommands: readonly Command[] = [command({
  name: 'xgroup', arity: -2, flags: '', acl: '', group: 'stream', since: '5.0.0',
  complexity: 'Depends on the subcommand.', syntax: '', summary: 'Manages consumer groups.',
  subcommands: [create, createconsumer, delconsumer, destroy, help, setid],
})]
