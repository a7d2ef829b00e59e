/** Hashes: reading and writing fields. Walks and random fields are in `hash-walks.ts`. */
import { addLongDouble, formatLongDouble, parseLongDouble, type LongDouble } from '../protocol/long-double.js'
import { readInt64, readInteger, writeInt64, writeInteger } from '../protocol/number.js'
import { Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { NAN_OR_INFINITY, NOT_FLOAT, NOT_INTEGER, OVERFLOW, replyError, wrongArity } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { HashEdit, hashGet, hashSize } from '../src/keyspace/hash.js'
import { HASH } from '../src/keyspace/types.js'
import { hashWalkCommands } from './hash-walks.js'

const HSET_ARITY = wrongArity('hset')
const HMSET_ARITY = wrongArity('hmset')
const VALUE_NOT_INTEGER = replyError('ERR hash value is not an integer')
const VALUE_NOT_FLOAT = replyError('ERR hash value is not a float')
const INCREMENT_NOT_FINITE = replyError('ERR value is NaN or Infinity')

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

const edit = new HashEdit()
const value = Slice.scratch()
const numberText = Buffer.allocUnsafeSlow(32)

// ------------------------------------------------------------------------------------------------ writing

/** Sets the pairs from word 2 on. Returns how many fields are new. */
function setPairs(call: Call): number {
  const { args } = call
  const name = args.at(1)
  const hash = edit.open(call.db, call.write(name, HASH), call.config)
  hash.expect((args.count - 2) >>> 1)
  let created = 0
  for (let i = 2; i < args.count; i += 2) if (hash.set(args.at(i), args.at(i + 1))) created++
  hash.commit(name)
  call.changed(name, 'h', 'hset')
  return created
}

// HSET key field value [field value ...]
const hset = command({
  name: 'hset', arity: -4, flags: 'write denyoom fast', acl: 'hash', keys: [key(1, 'RW UPDATE')],
  group: 'hash', since: '2.0.0', complexity: 'O(1) for each field.', syntax: 'key field value [field value ...]',
  summary: 'Sets fields of a hash and tells how many of them are new.',
}, (call) => {
  if ((call.args.count & 1) === 1) throw HSET_ARITY
  call.reply.integer(setPairs(call))
})

// HMSET key field value [field value ...]
const hmset = command({
  name: 'hmset', arity: -4, flags: 'write denyoom fast', acl: 'hash', keys: [key(1, 'RW UPDATE')],
  group: 'hash', since: '2.0.0', complexity: 'O(N) for N fields.', syntax: 'key field value [field value ...]',
  summary: 'Sets fields of a hash.',
}, (call) => {
  if ((call.args.count & 1) === 1) throw HMSET_ARITY
  setPairs(call)
  call.reply.ok()
})

// HSETNX key field value
const hsetnx = command({
  name: 'hsetnx', arity: 4, flags: 'write denyoom fast', acl: 'hash', keys: [key(1, 'RW INSERT')],
  group: 'hash', since: '2.0.0', complexity: 'O(1)', syntax: 'key field value',
  summary: 'Sets a field of a hash unless it exists.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const hash = edit.open(call.db, call.write(name, HASH), call.config)
  if (hash.has(args.at(2))) {
    hash.close()
    call.reply.integer(0)
    return
  }
  hash.expect(1)
  hash.set(args.at(2), args.at(3))
  hash.commit(name)
  call.changed(name, 'h', 'hset')
  call.reply.integer(1)
})

// HDEL key field [field ...]
const hdel = command({
  name: 'hdel', arity: -3, flags: 'write fast', acl: 'hash', keys: [key(1, 'RW DELETE')],
  group: 'hash', since: '2.0.0', complexity: 'O(N) for N fields.', syntax: 'key field [field ...]',
  summary: 'Removes fields of a hash, and the key with the last of them.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const ref = call.write(name, HASH)
  if (ref === 0) return call.reply.integer(0)
  const hash = edit.open(call.db, ref, call.config)
  let deleted = 0
  for (let i = 2; i < args.count && hash.size > 0; i++) if (hash.delete(args.at(i))) deleted++
  const isEmpty = hash.size === 0
  if (isEmpty) {
    hash.close()
    call.db.delete(name)
  } else hash.commit(name)
  if (deleted > 0) call.changed(name, 'h', 'hdel')
  if (isEmpty) call.changed(name, 'g', 'del')
  call.reply.integer(deleted)
})

/** Puts the text of a number into a field and ends the edit. */
function storeNumber(call: Call, hash: HashEdit, text: Slice, event: string): void {
  const name = call.args.at(1)
  hash.set(call.args.at(2), text)
  hash.commit(name)
  call.changed(name, 'h', event)
}

/** The sum as text in `numberText`; its length, or -1 when it is no 64-bit integer. */
function writeSum(before: number | bigint, by: number | bigint): number {
  if (typeof before === 'number' && typeof by === 'number') {
    const sum = before + by
    if (Number.isSafeInteger(sum)) return writeInteger(sum, numberText, 0)
  }
  const sum = BigInt(before) + BigInt(by)
  return sum < INT64_MIN || sum > INT64_MAX ? -1 : writeInt64(sum, numberText, 0)
}

/** A 64-bit integer, as a number where that is exact. */
function exactInteger(text: Slice): number | bigint | undefined {
  const small = readInteger(text.buf, text.start, text.end)
  return small === small ? small : readInt64(text.buf, text.start, text.end)
}

// HINCRBY key field increment
const hincrby = command({
  name: 'hincrby', arity: 4, flags: 'write denyoom fast', acl: 'hash', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'hash', since: '2.0.0', complexity: 'O(1)', syntax: 'key field increment',
  summary: 'Adds to the integer in a field of a hash; a missing field counts as 0.',
}, (call) => {
  const { args } = call
  const by = exactInteger(args.at(3))
  if (by === undefined) throw NOT_INTEGER
  const ref = call.write(args.at(1), HASH)
  let before: number | bigint | undefined = 0
  if (ref !== 0 && hashGet(call.db, ref, args.at(2), value)) before = exactInteger(value)
  if (before === undefined) throw VALUE_NOT_INTEGER
  const length = writeSum(before, by)
  if (length < 0) throw OVERFLOW
  value.set(numberText, 0, length)
  storeNumber(call, edit.open(call.db, ref, call.config), value, 'hincrby')
  replyNumber(call, length)
})

/** `:<digits>` of the text in `numberText`. */
function replyNumber(call: Call, length: number): void {
  const small = readInteger(numberText, 0, length)
  call.reply.integer(small === small ? small : BigInt(numberText.latin1Slice(0, length)))
}

// HINCRBYFLOAT key field increment
const hincrbyfloat = command({
  name: 'hincrbyfloat', arity: 4, flags: 'write denyoom fast', acl: 'hash', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'hash', since: '2.6.0', complexity: 'O(1)', syntax: 'key field increment',
  summary: 'Adds to the floating-point number in a field of a hash; a missing field counts as 0.',
}, (call) => {
  const { args } = call
  const by = parseLongDouble(args.at(3))
  if (by === undefined) throw NOT_FLOAT
  if (by.kind !== 'finite') throw INCREMENT_NOT_FINITE
  const ref = call.write(args.at(1), HASH)
  const sum = addLongDouble(floatBefore(call, ref), by)
  if (sum.kind !== 'finite') throw NAN_OR_INFINITY
  const text = Slice.from(formatLongDouble(sum), 'latin1')
  storeNumber(call, edit.open(call.db, ref, call.config), text, 'hincrbyfloat')
  call.reply.bulk(text)
  // The result, not the addition, is repeated elsewhere: another machine might round otherwise.
  call.propagateAs(['HSET', args.at(1).copy(), args.at(2).copy(), text.copy()])
})

const ZERO = parseLongDouble(Slice.from('0')) as LongDouble

function floatBefore(call: Call, ref: Ref): LongDouble {
  if (ref === 0 || !hashGet(call.db, ref, call.args.at(2), value)) return ZERO
  const before = parseLongDouble(value)
  if (before === undefined) throw VALUE_NOT_FLOAT
  return before
}

// ------------------------------------------------------------------------------------------------ reading

// HGET key field
const hget = command({
  name: 'hget', arity: 3, flags: 'readonly fast', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  group: 'hash', since: '2.0.0', complexity: 'O(1)', syntax: 'key field',
  summary: 'Returns the value of a field of a hash.',
}, (call) => {
  const ref = call.read(call.args.at(1), HASH)
  if (ref !== 0 && hashGet(call.db, ref, call.args.at(2), value)) call.reply.bulk(value)
  else call.reply.null()
})

// HMGET key field [field ...]
const hmget = command({
  name: 'hmget', arity: -3, flags: 'readonly fast', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  group: 'hash', since: '2.0.0', complexity: 'O(N) for N fields.', syntax: 'key field [field ...]',
  summary: 'Returns the values of fields of a hash.',
}, (call) => {
  const { args, reply } = call
  const ref = call.read(args.at(1), HASH)
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    if (ref !== 0 && hashGet(call.db, ref, args.at(i), value)) reply.bulk(value)
    else reply.null()
  }
})

// HSTRLEN key field
const hstrlen = command({
  name: 'hstrlen', arity: 3, flags: 'readonly fast', acl: 'hash', keys: [key(1, 'RO')],
  group: 'hash', since: '3.2.0', complexity: 'O(1)', syntax: 'key field',
  summary: 'Tells how many bytes the value of a field of a hash has.',
}, (call) => {
  const ref = call.read(call.args.at(1), HASH)
  call.reply.integer(ref !== 0 && hashGet(call.db, ref, call.args.at(2), value) ? value.length : 0)
})

// HEXISTS key field
const hexists = command({
  name: 'hexists', arity: 3, flags: 'readonly fast', acl: 'hash', keys: [key(1, 'RO')],
  group: 'hash', since: '2.0.0', complexity: 'O(1)', syntax: 'key field',
  summary: 'Tells whether a hash has a field.',
}, (call) => {
  const ref = call.read(call.args.at(1), HASH)
  call.reply.integer(ref !== 0 && hashGet(call.db, ref, call.args.at(2), value) ? 1 : 0)
})

// HLEN key
const hlen = command({
  name: 'hlen', arity: 2, flags: 'readonly fast', acl: 'hash', keys: [key(1, 'RO')],
  group: 'hash', since: '2.0.0', complexity: 'O(1)', syntax: 'key',
  summary: 'Counts the fields of a hash.',
}, (call) => {
  const ref = call.read(call.args.at(1), HASH)
  call.reply.integer(ref === 0 ? 0 : hashSize(call.db, ref))
})

export const hashCommands: readonly Command[] = [
  hset, hmset, hsetnx, hdel, hincrby, hincrbyfloat, hget, hmget, hstrlen, hexists, hlen, ...hashWalkCommands,
]
