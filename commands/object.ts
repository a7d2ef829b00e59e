/** OBJECT: how the value of a key is held and when it was used. */
import { Slice } from '../protocol/slice.js'
import { readInteger } from '../protocol/number.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command, type Handler } from '../src/engine/command.js'
import { replyError } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { ENCODING_NAMES, INT } from '../src/keyspace/types.js'
import { replyHelp } from './help.js'
import { peek } from './peek.js'

const NO_LFU = replyError('ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.')
const NO_LRU = replyError('ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.')
/** What Valkey answers for the integers 0 to 9999, which all keys share. */
const SHARED_COUNT = 2147483647
const SHARED_INTEGERS = 10000

const bytes = Slice.scratch()

function introspection(name: string, since: string, summary: string, answer: (call: Call, ref: Ref) => void): Command {
  const run: Handler = (call) => {
    const ref = peek(call, call.args.at(2))
    if (ref === 0) call.reply.null()
    else answer(call, ref)
  }
  return command({
    name, arity: 3, flags: 'readonly', acl: 'keyspace', keys: [key(2, 'RO')], tips: ['nondeterministic_output'],
    group: 'generic', since, complexity: 'O(1)', syntax: 'key', summary,
  }, run)
}

// OBJECT ENCODING key
const encoding = introspection('encoding', '2.2.3', 'Names the encoding that the value of a key is held in.',
  (call, ref) => call.reply.bulkText(ENCODING_NAMES[call.db.encodingOf(ref)]))

// OBJECT FREQ key
const freq = introspection('freq', '4.0.0', 'Tells the logarithmic access counter of a key.', (call, ref) => {
  if (!call.db.services.lfu) throw NO_LFU
  call.reply.integer(call.db.frequency(ref))
})

// OBJECT IDLETIME key
const idletime = introspection('idletime', '2.2.3', 'Tells the seconds since a key was last used.', (call, ref) => {
  if (call.db.services.lfu) throw NO_LRU
  call.reply.integer(call.db.idleSeconds(ref))
})

// OBJECT REFCOUNT key
const refcount = introspection('refcount', '2.2.3', 'Tells how many references the value of a key has.', (call, ref) => {
  let count = 1
  if (call.db.encodingOf(ref) === INT) {
    call.db.bytesOf(ref, bytes)
    const value = readInteger(bytes.buf, bytes.start, bytes.end)
    if (value >= 0 && value < SHARED_INTEGERS) count = SHARED_COUNT
  }
  call.reply.integer(count)
})

// OBJECT HELP
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: 'keyspace', group: 'generic', since: '6.2.0',
  complexity: 'O(1)', syntax: '', summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'OBJECT', [
  'ENCODING <key>',
  '    Return the kind of internal representation used in order to store the value',
  '    associated with a <key>.',
  'FREQ <key>',
  '    Return the access frequency index of the <key>. The returned integer is',
  '    proportional to the logarithm of the recent access frequency of the key.',
  'IDLETIME <key>',
  '    Return the idle time of the <key>, that is the approximated number of',
  '    seconds elapsed since the last access to the key.',
  'REFCOUNT <key>',
  '    Return the number of references of the value associated with the specified',
  '    <key>.',
]))

/** OBJECT and its subcommands. */
export const objectCommand = command({
  name: 'object', arity: -2, flags: '', acl: '', group: 'generic', since: '2.2.3',
  complexity: 'Depends on the subcommand.', syntax: '', summary: 'Looks into how values are held.',
  subcommands: [encoding, freq, help, idletime, refcount],
})
