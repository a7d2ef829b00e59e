/** Sorted sets: members at random, and a few a call. */
import { globMatch } from '../protocol/glob.js'
import { formatDouble17g, formatScore } from '../protocol/number.js'
import { scratch, Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { OUT_OF_RANGE, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { sampleIndices } from '../src/keyspace/sample.js'
import { LISTPACK, ZSET } from '../src/keyspace/types.js'
import { largeSortedSetOf, SortedSetWalk } from '../src/keyspace/zset-walk.js'
import { readElementScan, replyEmptyScan, scanTable, type ElementScan } from './element-scan.js'
import { readCursor } from './keys-walk.js'
import { checkPairCount, readSampleCount, REPEATED_MAX } from './sample-count.js'

const walk = scratch(new SortedSetWalk())
const member = Slice.scratch()

// ------------------------------------------------------------------------------------------------ at random

// ZRANDMEMBER key [count [WITHSCORES]]
const zrandmember = command({
  name: 'zrandmember', arity: -2, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output'],
  group: 'sorted-set', since: '6.2.0', complexity: 'O(N), N being the number of members returned.',
  syntax: 'key [count [WITHSCORES]]', summary: 'Returns one or more members of a sorted set chosen at random.',
}, (call) => {
  const { args, reply } = call
  if (args.count === 2) {
    const ref = call.read(args.at(1), ZSET)
    if (ref === 0) return reply.null()
    walk.open(call.db, ref).seek(call.random.below(walk.size))
    reply.bulk(walk.member)
    return walk.close()
  }
  const count = readSampleCount(args, 2)
  if (args.count > 4 || (args.count === 4 && !args.is(3, 'withscores'))) throw SYNTAX
  const withScores = args.count === 4
  if (withScores) checkPairCount(count)
  const ref = call.read(args.at(1), ZSET)
  if (ref === 0 || count === 0n) return reply.array(0)
  if (count < -BigInt(REPEATED_MAX)) throw OUT_OF_RANGE
  walk.open(call.db, ref)
  if (count < 0n) replyRepeated(call, Number(-count), withScores)
  else replyDistinct(call, Number(count), withScores)
  walk.close()
})

/** RESP2 has members and scores in one flat array, RESP3 an array of pairs. */
function replyLength(call: Call, count: number, withScores: boolean): void {
  call.reply.array(withScores && call.reply.version === 2 ? count * 2 : count)
}

function replyMember(call: Call, withScores: boolean): void {
  if (withScores && call.reply.version === 3) call.reply.array(2)
  call.reply.bulk(walk.member)
  if (withScores) call.reply.double(walk.score)
}

function replyRepeated(call: Call, count: number, withScores: boolean): void {
  replyLength(call, count, withScores)
  for (let i = 0; i < count; i++) {
    walk.seek(call.random.below(walk.size))
    replyMember(call, withScores)
  }
}

/** Where more than this part of all members is wanted, ranks are drawn by a pass over all of them. */
const PASS_FACTOR = 8

function replyDistinct(call: Call, count: number, withScores: boolean): void {
  const { size } = walk
  const wanted = Math.min(count, size)
  replyLength(call, wanted, withScores)
  if (wanted === size) {
    // All of them: from the highest score down, as Valkey walks.
    for (let more = walk.seek(size - 1); more; more = walk.previous()) replyMember(call, withScores)
  } else if (wanted * PASS_FACTOR > size) {
    for (const rank of sampleIndices(size, wanted, call.random)) {
      walk.seek(rank)
      replyMember(call, withScores)
    }
  } else {
    const drawn = new Set<number>()
    while (drawn.size < wanted) drawn.add(call.random.below(size))
    for (const rank of drawn) {
      walk.seek(rank)
      replyMember(call, withScores)
    }
  }
}

// ------------------------------------------------------------------------------------------------ step by step

// ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]
const zscan = command({
  name: 'zscan', arity: -3, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output'],
  group: 'sorted-set', since: '2.8.0', complexity: 'O(1) a call, O(N) for all calls until the cursor is 0 again.',
  syntax: 'key cursor [MATCH pattern] [COUNT count] [NOSCORES]',
  summary: 'Walks over the members of a sorted set with their scores, a few a call.',
}, (call) => {
  const cursor = readCursor(call.args, 2)
  const ref = call.read(call.args.at(1), ZSET)
  if (ref === 0) return replyEmptyScan(call.reply)
  const scan = readElementScan(call.args, 'noscores')
  if (call.db.encodingOf(ref) === LISTPACK) scanPacked(call, ref, scan)
  else scanLarge(call, ref, cursor, scan)
})

/** A packed sorted set comes whole. */
function scanPacked(call: Call, ref: Ref, scan: ElementScan): void {
  const { reply } = call
  reply.array(2)
  reply.bulkInteger(0)
  const mark = reply.begin()
  let elements = 0
  walk.open(call.db, ref)
  for (let more = walk.seek(0); more; more = walk.next()) {
    if (scan.pattern !== undefined && !globMatch(scan.pattern, walk.member)) continue
    reply.bulk(walk.member)
    if (scan.withValues) reply.bulkText(formatScore(walk.score))
    elements += scan.withValues ? 2 : 1
  }
  walk.close()
  reply.endArray(mark, elements)
}

/** Here, and only here, scores are written with 17 digits. */
function scanLarge(call: Call, ref: Ref, cursor: number, scan: ElementScan): void {
  const { reply } = call
  const set = largeSortedSetOf(call.db, ref)
  const found: Ref[] = []
  const next = scanTable(set.members, cursor, scan, found)
  reply.array(2)
  reply.bulkInteger(next)
  reply.array(scan.withValues ? found.length * 2 : found.length)
  for (const at of found) {
    reply.bulk(set.members.keyAt(at, member))
    if (scan.withValues) reply.bulkText(formatDouble17g(set.scoreAt(at)))
  }
}

/** ZRANDMEMBER, ZSCAN. */
export const sortedSetWalkCommands: readonly Command[] = [zrandmember, zscan]
