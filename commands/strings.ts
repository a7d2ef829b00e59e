/**
 * Strings: setting and reading them whole. Editing parts of one is in string-edits.ts, counting in
 * string-counters.ts, LCS in string-lcs.ts.
 *
 * GET and SET are what a server does most: without options neither allocates anything.
 */
import type { Call } from '../src/engine/call.js'
import { command, key, keys, type Command } from '../src/engine/command.js'
import { wrongArity } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { encodingOfString } from '../src/keyspace/string.js'
import { STRING, type Encoding } from '../src/keyspace/types.js'
import { Slice } from '../protocol/slice.js'
import { counterCommands } from './string-counters.js'
import { stringEditCommands } from './string-edits.js'
import { lcs } from './string-lcs.js'
import {
  ANY_TIME, EX, EXAT, GET, KEEPTTL, NX, PERSIST, PX, PXAT, readGetexOptions, readSetOptions, readTime, timeWord, XX,
} from './string-options.js'

const bytes = Slice.scratch()

/**
 * Gives a key a string as its value. `ref` is what a lookup for writing has just found (0: no such key). The
 * time of expiry goes unless `keepExpiry`.
 */
function setString(
  call: Call, ref: Ref, name: Slice, encoding: Encoding, value: Slice, keepExpiry = false,
): Ref {
  const { db } = call
  if (ref !== 0 && db.typeOf(ref) === STRING && (keepExpiry || db.expiryOf(ref) === Infinity))
    return db.replaceBytes(ref, encoding, value)
  return db.setBytes(name, STRING, encoding, value, keepExpiry)
}

function replyValue(call: Call, ref: Ref): void {
  if (ref === 0) call.reply.null()
  else call.reply.bulk(call.db.bytesOf(ref, bytes))
}

/** Whether somebody wants the words that reproduce a command; spares making them otherwise. */
function isPropagating(call: Call): boolean {
  return call.engine.services.propagate !== undefined
}

// ---- setting ----

/** SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT ... | PXAT ... | KEEPTTL] */
const set = command({
  name: 'set', arity: -3, flags: 'write denyoom', acl: 'string',
  keys: [{ ...key(1, 'RW ACCESS UPDATE VARIABLE_FLAGS'), notes: 'RW and ACCESS due to the optional `GET` argument' }],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]',
  summary: 'Gives a key a string as its value, whatever it held before.',
}, (call) => {
  const { args, db } = call
  if (args.count > 3) return setWithOptions(call)
  const name = args.at(1)
  const value = args.at(2)
  setString(call, db.lookupWrite(name), name, encodingOfString(value), value)
  call.reply.ok()
  call.changed(name, '$', 'set')
})

function setWithOptions(call: Call): void {
  const { args, db, reply } = call
  const options = readSetOptions(args)
  const time = options & ANY_TIME
  const at = time === 0 ? 0 : readTime(call, timeWord, time)
  const name = args.at(1)
  const value = args.at(2)
  if ((options & GET) !== 0) replyValue(call, call.read(name, STRING))
  const ref = db.lookupWrite(name)
  if (((options & NX) !== 0 && ref !== 0) || ((options & XX) !== 0 && ref === 0)) {
    if ((options & GET) === 0) reply.null()
    return
  }
  if ((options & GET) === 0) reply.ok()
  if (time !== 0 && at <= call.clock.nowMs) {
    // A time that has passed: nothing is set, and what was there goes.
    if (ref !== 0) remove(call, name)
    return
  }
  const stored = setString(call, ref, name, encodingOfString(value), value, (options & (KEEPTTL | ANY_TIME)) !== 0)
  if (time !== 0) db.setExpiry(stored, at)
  if ((options & (GET | EX | PX | EXAT)) !== 0 && isPropagating(call)) propagateSet(call, options, at)
  call.changed(name, '$', 'set')
  if (time !== 0) call.notify(name, 'g', 'expire')
}

/** What reproduces a SET: an absolute time, and no reply to wait for. */
function propagateSet(call: Call, options: number, at: number | bigint): void {
  const words: (string | Buffer)[] = ['SET', call.args.at(1).copy(), call.args.at(2).copy()]
  if ((options & ANY_TIME) !== 0) words.push('PXAT', String(at))
  else if ((options & KEEPTTL) !== 0) words.push('KEEPTTL')
  call.propagateAs(words)
}

/** SETNX key value */
const setnx = command({
  name: 'setnx', arity: 3, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'OW INSERT')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key value',
  summary: 'Gives a key a string as its value unless the key exists.',
}, (call) => {
  const { args, db } = call
  const name = args.at(1)
  if (db.lookupWrite(name) !== 0) return call.reply.integer(0)
  db.setBytes(name, STRING, encodingOfString(args.at(2)), args.at(2))
  call.reply.integer(1)
  call.changed(name, '$', 'set')
})

function setWithTime(call: Call, option: number): void {
  const { args, db } = call
  const at = readTime(call, 2, option)
  const name = args.at(1)
  const value = args.at(3)
  const ref = setString(call, db.lookupWrite(name), name, encodingOfString(value), value, true)
  db.setExpiry(ref, at)
  call.reply.ok()
  if (isPropagating(call)) call.propagateAs(['SET', name.copy(), value.copy(), 'PXAT', String(at)])
  call.changed(name, '$', 'set')
  call.notify(name, 'g', 'expire')
}

/** SETEX key seconds value */
const setex = command({
  name: 'setex', arity: 4, flags: 'write denyoom', acl: 'string', keys: [key(1, 'OW UPDATE')],
  group: 'string', since: '2.0.0', complexity: 'O(1)',
  syntax: 'key seconds value',
  summary: 'Gives a key a string as its value, and a time to live in seconds.',
}, (call) => setWithTime(call, EX))

/** PSETEX key milliseconds value */
const psetex = command({
  name: 'psetex', arity: 4, flags: 'write denyoom', acl: 'string', keys: [key(1, 'OW UPDATE')],
  group: 'string', since: '2.6.0', complexity: 'O(1)',
  syntax: 'key milliseconds value',
  summary: 'Gives a key a string as its value, and a time to live in milliseconds.',
}, (call) => setWithTime(call, PX))

/** GETSET key value */
const getset = command({
  name: 'getset', arity: 3, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key value',
  summary: 'Gives a key a string as its value and returns the one before.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const value = args.at(2)
  const ref = call.read(name, STRING)
  replyValue(call, ref)
  setString(call, ref, name, encodingOfString(value), value)
  if (isPropagating(call)) call.propagateAs(['SET', name.copy(), value.copy()])
  call.changed(name, '$', 'set')
})

const MSET_ARITY = wrongArity('mset')
const MSETNX_ARITY = wrongArity('msetnx')

function setMany(call: Call): void {
  const { args, db } = call
  for (let i = 1; i < args.count; i += 2) {
    const name = args.at(i)
    const value = args.at(i + 1)
    setString(call, db.lookupWrite(name), name, encodingOfString(value), value)
    call.changed(name, '$', 'set')
  }
}

/** MSET key value [key value ...] */
const mset = command({
  name: 'mset', arity: -3, flags: 'write denyoom', acl: 'string', keys: [keys(1, -1, 2, 'OW UPDATE')],
  tips: ['request_policy:multi_shard', 'response_policy:all_succeeded'],
  group: 'string', since: '1.0.1', complexity: 'O(N) where N is the number of keys.',
  syntax: 'key value [key value ...]',
  summary: 'Gives several keys strings as their values, all at once.',
}, (call) => {
  if (call.args.count % 2 === 0) throw MSET_ARITY
  setMany(call)
  call.reply.ok()
})

/** MSETNX key value [key value ...] */
const msetnx = command({
  name: 'msetnx', arity: -3, flags: 'write denyoom', acl: 'string', keys: [keys(1, -1, 2, 'OW INSERT')],
  group: 'string', since: '1.0.1', complexity: 'O(N) where N is the number of keys.',
  syntax: 'key value [key value ...]',
  summary: 'Gives several keys strings as their values, all at once, unless one of them exists.',
}, (call) => {
  const { args, db } = call
  if (args.count % 2 === 0) throw MSETNX_ARITY
  for (let i = 1; i < args.count; i += 2) if (db.lookupWrite(args.at(i)) !== 0) return call.reply.integer(0)
  setMany(call)
  call.reply.integer(1)
})

// ---- reading ----

/** GET key */
const get = command({
  name: 'get', arity: 2, flags: 'readonly fast', acl: 'string', keys: [key(1, 'RO ACCESS')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key',
  summary: 'Returns the string that a key holds.',
}, (call) => replyValue(call, call.read(call.args.at(1), STRING)))

/** MGET key [key ...] */
const mget = command({
  name: 'mget', arity: -2, flags: 'readonly fast', acl: 'string', keys: [keys(1, -1, 1, 'RO ACCESS')],
  tips: ['request_policy:multi_shard'],
  group: 'string', since: '1.0.0', complexity: 'O(N) where N is the number of keys.',
  syntax: 'key [key ...]',
  summary: 'Returns the strings that several keys hold.',
}, (call) => {
  const { args, db } = call
  call.reply.array(args.count - 1)
  for (let i = 1; i < args.count; i++) {
    const ref = db.lookupRead(args.at(i))
    replyValue(call, ref !== 0 && db.typeOf(ref) === STRING ? ref : 0)
  }
})

/** STRLEN key */
const strlen = command({
  name: 'strlen', arity: 2, flags: 'readonly fast', acl: 'string', keys: [key(1, 'RO')],
  group: 'string', since: '2.2.0', complexity: 'O(1)',
  syntax: 'key',
  summary: 'Tells the number of bytes of a string.',
}, (call) => {
  const ref = call.read(call.args.at(1), STRING)
  call.reply.integer(ref === 0 ? 0 : call.db.bytesLength(ref))
})

/** GETEX key [EX seconds | PX milliseconds | EXAT ... | PXAT ... | PERSIST] */
const getex = command({
  name: 'getex', arity: -2, flags: 'write fast', acl: 'string',
  keys: [{ ...key(1, 'RW ACCESS UPDATE'), notes: 'RW and UPDATE because it changes the TTL' }],
  group: 'string', since: '6.2.0', complexity: 'O(1)',
  syntax: 'key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]',
  summary: 'Returns the string that a key holds and sets or takes away its time of expiry.',
}, (call) => {
  const { args, db } = call
  const options = readGetexOptions(args)
  const name = args.at(1)
  const ref = call.read(name, STRING)
  if (ref === 0) return call.reply.null()
  const time = options & ANY_TIME
  if (time !== 0) {
    const at = readTime(call, timeWord, time)
    replyValue(call, ref)
    if ((time & (EXAT | PXAT)) !== 0 && at <= call.clock.nowMs) return remove(call, name)
    db.setExpiry(ref, at)
    if (isPropagating(call)) call.propagateAs(['PEXPIREAT', name.copy(), String(at)])
    return call.changed(name, 'g', 'expire')
  }
  replyValue(call, ref)
  if ((options & PERSIST) === 0 || db.expiryOf(ref) === Infinity) return
  db.clearExpiry(ref)
  if (isPropagating(call)) call.propagateAs(['PERSIST', name.copy()])
  call.changed(name, 'g', 'persist')
})

function remove(call: Call, name: Slice): void {
  call.db.delete(name)
  if (isPropagating(call)) call.propagateAs(['DEL', name.copy()])
  call.changed(name, 'g', 'del')
}

/** GETDEL key */
const getdel = command({
  name: 'getdel', arity: 2, flags: 'write fast', acl: 'string', keys: [key(1, 'RW ACCESS DELETE')],
  group: 'string', since: '6.2.0', complexity: 'O(1)',
  syntax: 'key',
  summary: 'Returns the string that a key holds and deletes the key.',
}, (call) => {
  const name = call.args.at(1)
  const ref = call.read(name, STRING)
  replyValue(call, ref)
  if (ref !== 0) remove(call, name)
})

export const stringCommands: readonly Command[] = [
  set, setnx, setex, psetex, getset, mset, msetnx, get, mget, strlen, getex, getdel,
  ...stringEditCommands, ...counterCommands, lcs,
]
