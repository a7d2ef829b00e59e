/** Hashes: all fields at once, some at random, a few a call. */
import { globMatch } from '../protocol/glob.js'
import { scratch, Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { OUT_OF_RANGE, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { HashDraw, HashWalk, largeHashOf } from '../src/keyspace/hash.js'
import { sampleIndices, sampleRecords } from '../src/keyspace/sample.js'
import { HASH, LISTPACK } from '../src/keyspace/types.js'
import { readElementScan, replyEmptyScan, scanTable, type ElementScan } from './element-scan.js'
import { readCursor } from './keys-walk.js'
import { checkPairCount, readSampleCount, REPEATED_MAX } from './sample-count.js'

const walk = scratch(new HashWalk())
const draw = scratch(new HashDraw())
const field = Slice.scratch()
const value = Slice.scratch()

// HGETALL key
const hgetall = command({
  name: 'hgetall', arity: 2, flags: 'readonly', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output_order'],
  group: 'hash', since: '2.0.0', complexity: 'O(N), N being the number of fields.', syntax: 'key',
  summary: 'Returns all fields of a hash with their values.',
}, (call) => {
  call.reply.map(walk.start(call.db, call.read(call.args.at(1), HASH)))
  while (walk.next()) {
    call.reply.bulk(walk.field)
    call.reply.bulk(walk.value)
  }
})

// HKEYS key
const hkeys = command({
  name: 'hkeys', arity: 2, flags: 'readonly', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output_order'],
  group: 'hash', since: '2.0.0', complexity: 'O(N), N being the number of fields.', syntax: 'key',
  summary: 'Returns the names of all fields of a hash.',
}, (call) => {
  call.reply.array(walk.start(call.db, call.read(call.args.at(1), HASH)))
  while (walk.next()) call.reply.bulk(walk.field)
})

// HVALS key
const hvals = command({
  name: 'hvals', arity: 2, flags: 'readonly', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output_order'],
  group: 'hash', since: '2.0.0', complexity: 'O(N), N being the number of fields.', syntax: 'key',
  summary: 'Returns the values of all fields of a hash.',
}, (call) => {
  call.reply.array(walk.start(call.db, call.read(call.args.at(1), HASH)))
  while (walk.next()) call.reply.bulk(walk.value)
})

// ------------------------------------------------------------------------------------------------ at random

// HRANDFIELD key [count [WITHVALUES]]
const hrandfield = command({
  name: 'hrandfield', arity: -2, flags: 'readonly', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output'],
  group: 'hash', since: '6.2.0', complexity: 'O(N), N being the number of fields returned.',
  syntax: 'key [count [WITHVALUES]]', summary: 'Returns one or more fields of a hash chosen at random.',
}, (call) => {
  const { args, reply } = call
  if (args.count === 2) {
    const ref = call.read(args.at(1), HASH)
    if (ref === 0) return reply.null()
    draw.start(call.db, ref)
    draw.next(call.random)
    reply.bulk(draw.field)
    return draw.close()
  }
  const count = readSampleCount(args, 2)
  if (args.count > 4 || (args.count === 4 && !args.is(3, 'withvalues'))) throw SYNTAX
  const withValues = args.count === 4
  if (withValues) checkPairCount(count)
  const ref = call.read(args.at(1), HASH)
  if (ref === 0 || count === 0n) return reply.array(0)
  if (count < 0n) replyRepeated(call, ref, Number(-count), withValues)
  else replyDistinct(call, ref, Number(count), withValues)
})

/** RESP2 has fields and values in one flat array, RESP3 an array of pairs. */
function replyLength(call: Call, count: number, withValues: boolean): void {
  call.reply.array(withValues && call.reply.version === 2 ? count * 2 : count)
}

function replyField(call: Call, name: Slice, content: Slice, withValues: boolean): void {
  if (withValues && call.reply.version === 3) call.reply.array(2)
  call.reply.bulk(name)
  if (withValues) call.reply.bulk(content)
}

function replyRepeated(call: Call, ref: Ref, count: number, withValues: boolean): void {
  if (count > REPEATED_MAX) throw OUT_OF_RANGE
  replyLength(call, count, withValues)
  draw.start(call.db, ref)
  for (let i = 0; i < count; i++) {
    draw.next(call.random)
    replyField(call, draw.field, draw.value, withValues)
  }
  draw.close()
}

function replyDistinct(call: Call, ref: Ref, count: number, withValues: boolean): void {
  const size = walk.start(call.db, ref)
  const wanted = Math.min(count, size)
  replyLength(call, wanted, withValues)
  if (wanted === size) {
    while (walk.next()) replyField(call, walk.field, walk.value, withValues)
  } else if (call.db.encodingOf(ref) === LISTPACK) {
    let at = -1
    for (const index of sampleIndices(size, wanted, call.random)) {
      for (; at < index; at++) walk.next()
      replyField(call, walk.field, walk.value, withValues)
    }
  } else {
    const { fields } = largeHashOf(call.db, ref)
    for (const at of sampleRecords(fields, wanted, call.random))
      replyField(call, fields.keyAt(at, field), fields.valueAt(at, value), withValues)
  }
}

// ------------------------------------------------------------------------------------------------ step by step

// HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]
const hscan = command({
  name: 'hscan', arity: -3, flags: 'readonly', acl: 'hash', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output'],
  group: 'hash', since: '2.8.0', complexity: 'O(1) a call, O(N) for all calls until the cursor is 0 again.',
  syntax: 'key cursor [MATCH pattern] [COUNT count] [NOVALUES]',
  summary: 'Walks over the fields of a hash, a few a call.',
}, (call) => {
  const cursor = readCursor(call.args, 2)
  const ref = call.read(call.args.at(1), HASH)
  if (ref === 0) return replyEmptyScan(call.reply)
  const scan = readElementScan(call.args, 'novalues')
  if (call.db.encodingOf(ref) === LISTPACK) scanPacked(call, ref, scan)
  else scanLarge(call, ref, cursor, scan)
})

/** A packed hash comes whole. */
function scanPacked(call: Call, ref: Ref, scan: ElementScan): void {
  const { reply } = call
  reply.array(2)
  reply.bulkInteger(0)
  const mark = reply.begin()
  let elements = 0
  walk.start(call.db, ref)
  while (walk.next()) {
    if (scan.pattern !== undefined && !globMatch(scan.pattern, walk.field)) continue
    reply.bulk(walk.field)
    if (scan.withValues) reply.bulk(walk.value)
    elements += scan.withValues ? 2 : 1
  }
  reply.endArray(mark, elements)
}

function scanLarge(call: Call, ref: Ref, cursor: number, scan: ElementScan): void {
  const { reply } = call
  const { fields } = largeHashOf(call.db, ref)
  const found: Ref[] = []
  const next = scanTable(fields, cursor, scan, found)
  reply.array(2)
  reply.bulkInteger(next)
  reply.array(scan.withValues ? found.length * 2 : found.length)
  for (const at of found) {
    reply.bulk(fields.keyAt(at, field))
    if (scan.withValues) reply.bulk(fields.valueAt(at, value))
  }
}

/** HGETALL, HKEYS, HVALS, HRANDFIELD, HSCAN. */
export const hashWalkCommands: readonly Command[] = [hgetall, hkeys, hvals, hrandfield, hscan]
