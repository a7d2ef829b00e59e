/**
 * Strings that count: INCR, DECR, INCRBY, DECRBY in signed 64-bit integers, INCRBYFLOAT in 80-bit floating
 * point. Integers are plain numbers as long as those are exact, bigint beyond.
 */
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { NAN_OR_INFINITY, NOT_FLOAT, NOT_INTEGER, OVERFLOW, replyError } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { encodingOfText } from '../src/keyspace/string.js'
import { INT, STRING } from '../src/keyspace/types.js'
import { addLongDouble, formatLongDouble, parseLongDouble } from '../protocol/long-double.js'
import { MAX_NUMBER_TEXT, readInt64, readInteger, writeInt64, writeInteger } from '../protocol/number.js'
import { Slice } from '../protocol/slice.js'

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n
const NEGATION_OVERFLOW = replyError('ERR decrement would overflow')

const bytes = Slice.scratch()
const scratch = Buffer.allocUnsafeSlow(MAX_NUMBER_TEXT)
const text = new Slice(scratch)
const ZERO_TEXT = Slice.from('0')

/** Adds to the integer of a key; the key's present value is read exactly when numbers do not suffice. */
function increment(call: Call, by: number | bigint): void {
  const { db } = call
  const name = call.args.at(1)
  const ref = call.write(name, STRING)
  const value = ref === 0 ? ZERO_TEXT : db.bytesOf(ref, bytes)
  const sum = typeof by === 'number' ? readInteger(value.buf, value.start, value.end) + by : NaN
  if (Number.isSafeInteger(sum)) {
    text.end = writeInteger(sum, scratch, 0)
    call.reply.integer(sum)
  } else {
    const exact = exactSum(value, BigInt(by))
    text.end = writeInt64(exact, scratch, 0)
    call.reply.integer(exact)
  }
  store(call, name, ref)
}

function exactSum(value: Slice, by: bigint): bigint {
  const before = readInt64(value.buf, value.start, value.end)
  if (before === undefined) throw NOT_INTEGER
  const sum = before + by
  if (sum < INT64_MIN || sum > INT64_MAX) throw OVERFLOW
  return sum
}

/** Stores the integer in `text`; the time of expiry stays. */
function store(call: Call, name: Slice, ref: Ref): void {
  if (ref === 0) call.db.setBytes(name, STRING, INT, text)
  else call.db.replaceBytes(ref, INT, text)
  call.changed(name, '$', 'incrby')
}

/** INCR key */
const incr = command({
  name: 'incr', arity: 2, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key',
  summary: 'Adds one to the integer that a key holds; a missing key counts as 0.',
}, (call) => increment(call, 1))

/** DECR key */
const decr = command({
  name: 'decr', arity: 2, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key',
  summary: 'Takes one from the integer that a key holds; a missing key counts as 0.',
}, (call) => increment(call, -1))

/** INCRBY key increment */
const incrby = command({
  name: 'incrby', arity: 3, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key increment',
  summary: 'Adds to the integer that a key holds; a missing key counts as 0.',
}, (call) => {
  const by = call.args.integer(2)
  increment(call, Number.isSafeInteger(by) ? by : call.args.int64(2))
})

/** DECRBY key decrement */
const decrby = command({
  name: 'decrby', arity: 3, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'string', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key decrement',
  summary: 'Takes from the integer that a key holds; a missing key counts as 0.',
}, (call) => {
  const by = call.args.integer(2)
  if (Number.isSafeInteger(by)) return increment(call, -by)
  const exact = call.args.int64(2)
  if (exact === INT64_MIN) throw NEGATION_OVERFLOW
  increment(call, -exact)
})

/** INCRBYFLOAT key increment */
const incrbyfloat = command({
  name: 'incrbyfloat', arity: 3, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'string', since: '2.6.0', complexity: 'O(1)',
  syntax: 'key increment',
  summary: 'Adds to the floating-point number that a key holds; a missing key counts as 0.',
}, (call) => {
  const { args, db } = call
  const name = args.at(1)
  const ref = call.write(name, STRING)
  const before = parseLongDouble(ref === 0 ? ZERO_TEXT : db.bytesOf(ref, bytes))
  const by = parseLongDouble(args.at(2))
  if (before === undefined || by === undefined) throw NOT_FLOAT
  const sum = addLongDouble(before, by)
  if (sum.kind !== 'finite') throw NAN_OR_INFINITY
  const result = Slice.from(formatLongDouble(sum), 'latin1')
  if (ref === 0) db.setBytes(name, STRING, encodingOfText(result), result)
  else db.replaceBytes(ref, encodingOfText(result), result)
  call.reply.bulk(result)
  if (call.engine.services.propagate !== undefined)
    call.propagateAs(['SET', name.copy(), result.copy(), 'KEEPTTL'])
  call.changed(name, '$', 'incrbyfloat')
})

export const counterCommands: readonly Command[] = [incr, decr, incrby, decrby, incrbyfloat]
