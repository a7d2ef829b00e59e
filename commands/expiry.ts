/**
 * When keys expire: EXPIRE, TTL and their kin. All times are kept as milliseconds since 1970.
 *
 * A time may be any signed 64-bit number of milliseconds: those beyond 2^53 travel as bigint, which compares
 * with a number exactly. Whoever sets a time that has passed deletes the key.
 */
import { readInteger } from '../protocol/number.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { replyError } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { peek } from './peek.js'

const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)
/** Times below this many milliseconds are exact as numbers, with room for adding the present time. */
const EXACT_MS = 2 ** 52

const NX_WITH_OTHERS = replyError('ERR NX and XX, GT or LT options at the same time are not compatible')
const GT_WITH_LT = replyError('ERR GT and LT options at the same time are not compatible')

const NX = 1
const XX = 2
const GT = 4
const LT = 8

function readCondition(args: Args): number {
  let condition = 0
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'nx')) condition |= NX
    else if (args.is(i, 'xx')) condition |= XX
    else if (args.is(i, 'gt')) condition |= GT
    else if (args.is(i, 'lt')) condition |= LT
    else throw replyError(`ERR Unsupported option ${args.at(i).cText()}`)
  }
  if ((condition & NX) !== 0 && condition !== NX) throw NX_WITH_OTHERS
  if ((condition & GT) !== 0 && (condition & LT) !== 0) throw GT_WITH_LT
  return condition
}

/** The time that word 2 names, in milliseconds since 1970. */
function readTime(call: Call, unitMs: 1 | 1000, fromMs: number): number | bigint {
  const word = call.args.at(2)
  const small = readInteger(word.buf, word.start, word.end)
  if (Math.abs(small) < EXACT_MS / 1000) return small * unitMs + fromMs
  const ms = call.args.int64(2) * BigInt(unitMs)
  const at = ms + BigInt(fromMs)
  if (ms > INT64_MAX || ms < INT64_MIN || at > INT64_MAX)
    throw replyError(`ERR invalid expire time in '${call.command.fullName}' command`)
  return at > -BigInt(EXACT_MS) && at < BigInt(EXACT_MS) ? Number(at) : at
}

/** The time of expiry of a record, exact; undefined when it has none. */
function expiryOf(call: Call, ref: Ref): number | bigint | undefined {
  const at = call.db.expiryOf(ref)
  if (at === Infinity) return undefined
  return Number.isSafeInteger(at) ? at : call.db.exactExpiryOf(ref)
}

function refuses(condition: number, at: number | bigint, current: number | bigint | undefined): boolean {
  if ((condition & NX) !== 0) return current !== undefined
  if ((condition & XX) !== 0 && current === undefined) return true
  if ((condition & GT) !== 0) return current === undefined || at <= current
  return (condition & LT) !== 0 && current !== undefined && at >= current
}

function expire(call: Call, unitMs: 1 | 1000, fromMs: number): void {
  const { args, db, reply } = call
  const name = args.at(1)
  const condition = readCondition(args)
  const at = readTime(call, unitMs, fromMs)
  const ref = db.lookupWrite(name)
  if (ref === 0 || (condition !== 0 && refuses(condition, at, expiryOf(call, ref)))) return reply.integer(0)
  const propagates = call.engine.services.propagate !== undefined
  if (at <= call.clock.nowMs) {
    db.delete(name)
    if (propagates) call.propagateAs(['DEL', name.copy()])
    call.changed(name, 'g', 'del')
  } else {
    db.setExpiry(ref, at)
    if (propagates) call.propagateAs(['PEXPIREAT', name.copy(), at.toString()])
    call.changed(name, 'g', 'expire')
  }
  reply.integer(1)
}

const CONDITIONS = '[NX | XX | GT | LT]'

function setter(name: string, since: string, word: string, summary: string, run: (call: Call) => void): Command {
  return command({
    name, arity: -3, flags: 'write fast', acl: 'keyspace', keys: [key(1, 'RW UPDATE')], group: 'generic', since,
    complexity: 'O(1)', syntax: `key ${word} ${CONDITIONS}`, summary,
  }, run)
}

// EXPIRE key seconds [NX | XX | GT | LT]
const expireCommand = setter('expire', '1.0.0', 'seconds', 'Lets a key expire after some seconds.',
  (call) => expire(call, 1000, call.clock.nowMs))

// PEXPIRE key milliseconds [NX | XX | GT | LT]
const pexpire = setter('pexpire', '2.6.0', 'milliseconds', 'Lets a key expire after some milliseconds.',
  (call) => expire(call, 1, call.clock.nowMs))

// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
const expireat = setter('expireat', '1.2.0', 'unix-time-seconds', 'Lets a key expire at a time given in Unix seconds.',
  (call) => expire(call, 1000, 0))

// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
const pexpireat = setter('pexpireat', '2.6.0', 'unix-time-milliseconds',
  'Lets a key expire at a time given in Unix milliseconds.', (call) => expire(call, 1, 0))

/** Milliseconds as seconds, rounded to the nearest. */
function toSeconds(ms: number | bigint): number | bigint {
  return typeof ms === 'bigint' ? (ms + 500n) / 1000n : Math.floor((ms + 500) / 1000)
}

function answerTime(call: Call, inSeconds: boolean, remaining: boolean): void {
  const ref = peek(call, call.args.at(1))
  if (ref === 0) return call.reply.integer(-2)
  let at = expiryOf(call, ref)
  if (at === undefined) return call.reply.integer(-1)
  if (remaining) {
    at = typeof at === 'bigint' ? at - BigInt(call.clock.nowMs) : at - call.clock.nowMs
    if (at < 0) at = 0
  }
  call.reply.integer(inSeconds ? toSeconds(at) : at)
}

function getter(name: string, since: string, tips: readonly string[], summary: string, run: (call: Call) => void): Command {
  return command({
    name, arity: 2, flags: 'readonly fast', acl: 'keyspace', keys: [key(1, 'RO ACCESS')], tips, group: 'generic', since,
    complexity: 'O(1)', syntax: 'key', summary,
  }, run)
}

const CHANGES = ['nondeterministic_output']

// TTL key
const ttl = getter('ttl', '1.0.0', CHANGES, 'Tells in how many seconds a key expires.', (call) => answerTime(call, true, true))

// PTTL key
const pttl = getter('pttl', '2.6.0', CHANGES, 'Tells in how many milliseconds a key expires.',
  (call) => answerTime(call, false, true))

// EXPIRETIME key
const expiretime = getter('expiretime', '7.0.0', [], 'Tells at which Unix time in seconds a key expires.',
  (call) => answerTime(call, true, false))

// PEXPIRETIME key
const pexpiretime = getter('pexpiretime', '7.0.0', [], 'Tells at which Unix time in milliseconds a key expires.',
  (call) => answerTime(call, false, false))

// PERSIST key
const persist = command({
  name: 'persist', arity: 2, flags: 'write fast', acl: 'keyspace', keys: [key(1, 'RW UPDATE')],
  group: 'generic', since: '2.2.0', complexity: 'O(1)', syntax: 'key', summary: 'Takes the time of expiry from a key.',
}, (call) => {
  const name = call.args.at(1)
  const ref = call.db.lookupWrite(name)
  if (ref === 0 || call.db.expiryOf(ref) === Infinity) return call.reply.integer(0)
  call.db.clearExpiry(ref)
  call.changed(name, 'g', 'persist')
  call.reply.integer(1)
})

/** The commands of the group. */
export const expiryCommands: readonly Command[] = [
  expireCommand, pexpire, expireat, pexpireat, ttl, pttl, expiretime, pexpiretime, persist,
]
