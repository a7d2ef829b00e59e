/**
 * Sorted sets: adding, removing and looking up members. Ranges are in `sorted-set-ranges.ts`, what takes
 * members off the ends in `sorted-set-pops.ts`, unions and their kin in `sorted-set-algebra.ts`, random
 * members and ZSCAN in `sorted-set-walks.ts`.
 */
import { scratch } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { NOT_FLOAT, replyError, SYNTAX, wrongArity } from '../src/errors.js'
import { ZSET } from '../src/keyspace/types.js'
import {
  INCREMENT, ONLY_EXISTING, ONLY_GREATER, ONLY_LESS, ONLY_NEW, SortedSetEdit,
} from '../src/keyspace/zset-edit.js'
import { sortedSetScore, sortedSetSize, SortedSetWalk } from '../src/keyspace/zset-walk.js'
import { sortedSetAlgebraCommands } from './sorted-set-algebra.js'
import { sortedSetPopCommands } from './sorted-set-pops.js'
import { sortedSetRangeCommands } from './sorted-set-ranges.js'
import { sortedSetWalkCommands } from './sorted-set-walks.js'
import { finishRemoval } from './sorted-set-writes.js'

const NX_AND_XX = replyError('ERR XX and NX options at the same time are not compatible')
const GT_LT_NX = replyError('ERR GT, LT, and/or NX options at the same time are not compatible')
const ONE_PAIR = replyError('ERR INCR option supports a single increment-element pair')
const SCORE_NAN = replyError('ERR resulting score is not a number (NaN)')

const edit = new SortedSetEdit()
const walk = scratch(new SortedSetWalk())

// ------------------------------------------------------------------------------------------------ writing

/** The option words of ZADD as bits; the upper one is ours. */
const CHANGED = 32
let optionsEnd = 2

/** Reads the options from word 2 on; `optionsEnd` is where the pairs begin. */
function readOptions(call: Call): number {
  const { args } = call
  let options = 0
  let i = 2
  for (; i < args.count; i++) {
    const word = args.at(i)
    const length = word.end - word.start
    // A score is seldom two or four letters: most calls end here.
    if (length !== 2 && length !== 4) break
    if (word.is('nx')) options |= ONLY_NEW
    else if (word.is('xx')) options |= ONLY_EXISTING
    else if (word.is('gt')) options |= ONLY_GREATER
    else if (word.is('lt')) options |= ONLY_LESS
    else if (word.is('ch')) options |= CHANGED
    else if (word.is('incr')) options |= INCREMENT
    else break
  }
  optionsEnd = i
  return options
}

function checkOptions(options: number, words: number): void {
  if (words === 0 || (words & 1) === 1) throw SYNTAX
  if ((options & ONLY_NEW) !== 0 && (options & ONLY_EXISTING) !== 0) throw NX_AND_XX
  const orders = options & (ONLY_NEW | ONLY_GREATER | ONLY_LESS)
  if ((orders & (orders - 1)) !== 0) throw GT_LT_NX
  if ((options & INCREMENT) !== 0 && words > 2) throw ONE_PAIR
}

/** The scores of the command at work, parsed before the first change. */
let scores = new Float64Array(64)

/** ZADD and ZINCRBY. */
function add(call: Call, given: number): void {
  const { args } = call
  const options = given | readOptions(call)
  const first = optionsEnd
  checkOptions(options, args.count - first)
  const pairs = (args.count - first) >>> 1
  if (pairs > scores.length) scores = new Float64Array(pairs * 2)
  let longest = 0
  for (let i = 0; i < pairs; i++) {
    scores[i] = args.double(first + i * 2, NOT_FLOAT)
    const member = args.at(first + i * 2 + 1)
    if (member.end - member.start > longest) longest = member.end - member.start
  }
  const name = args.at(1)
  const ref = call.write(name, ZSET)
  if (ref === 0 && (options & ONLY_EXISTING) !== 0) {
    if ((options & INCREMENT) !== 0) call.reply.null()
    else call.reply.integer(0)
    return
  }
  edit.open(call.db, ref, call.config)
  edit.expect(pairs, longest)
  let added = 0
  let updated = 0
  let refused = 0
  const conditions = options & ~CHANGED
  for (let i = 0; i < pairs; i++) {
    const outcome = edit.add(args.at(first + i * 2 + 1), scores[i], conditions)
    if (outcome === 'added') added++
    else if (outcome === 'updated') updated++
    else if (outcome === 'refused') refused++
    else if (outcome === 'not-a-number') {
      edit.commit(name)
      throw SCORE_NAN
    }
  }
  const { score } = edit
  edit.commit(name)
  if (pairs > KEPT_SCORES) scores = new Float64Array(64)
  if (added + updated > 0) call.changed(name, 'z', (options & INCREMENT) !== 0 ? 'zincr' : 'zadd')
  if ((options & INCREMENT) === 0) call.reply.integer((options & CHANGED) !== 0 ? added + updated : added)
  else if (refused > 0) call.reply.null()
  else call.reply.double(score)
}

/** Room for more scores than this is let go after use. */
const KEPT_SCORES = 65536

// ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]
const zadd = command({
  name: 'zadd', arity: -4, flags: 'write denyoom fast', acl: 'sortedset', keys: [key(1, 'RW UPDATE')],
  group: 'sorted-set', since: '1.2.0', complexity: 'O(log(N)) for each member, N being the size of the sorted set.',
  syntax: 'key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]',
  summary: 'Adds members to a sorted set, or gives them other scores.',
}, (call) => add(call, 0))

// ZINCRBY key increment member
const zincrby = command({
  name: 'zincrby', arity: 4, flags: 'write denyoom fast', acl: 'sortedset', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'sorted-set', since: '1.2.0', complexity: 'O(log(N)), N being the size of the sorted set.',
  syntax: 'key increment member', summary: 'Adds to the score of a member of a sorted set.',
}, (call) => add(call, INCREMENT))

// ZREM key member [member ...]
const zrem = command({
  name: 'zrem', arity: -3, flags: 'write fast', acl: 'sortedset', keys: [key(1, 'RW DELETE')],
  group: 'sorted-set', since: '1.2.0', complexity: 'O(M*log(N)), N being the size of the sorted set, M the members removed.',
  syntax: 'key member [member ...]', summary: 'Removes members from a sorted set.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const ref = call.write(name, ZSET)
  if (ref === 0) return call.reply.integer(0)
  edit.open(call.db, ref, call.config)
  let deleted = 0
  for (let i = 2; i < args.count && edit.size > 0; i++) if (edit.delete(args.at(i))) deleted++
  finishRemoval(call, name, edit, deleted, 'zrem')
  call.reply.integer(deleted)
})

// ------------------------------------------------------------------------------------------------ reading

// ZCARD key
const zcard = command({
  name: 'zcard', arity: 2, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO')],
  group: 'sorted-set', since: '1.2.0', complexity: 'O(1)', syntax: 'key',
  summary: 'Returns the number of members of a sorted set.',
}, (call) => {
  const ref = call.read(call.args.at(1), ZSET)
  call.reply.integer(ref === 0 ? 0 : sortedSetSize(call.db, ref))
})

// ZSCORE key member
const zscore = command({
  name: 'zscore', arity: 3, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '1.2.0', complexity: 'O(1)', syntax: 'key member',
  summary: 'Returns the score of a member of a sorted set.',
}, (call) => {
  const ref = call.read(call.args.at(1), ZSET)
  if (ref === 0) return call.reply.null()
  replyScore(call, sortedSetScore(call.db, ref, call.args.at(2)))
})

function replyScore(call: Call, score: number): void {
  if (score === score) call.reply.double(score)
  else call.reply.null()
}

// ZMSCORE key member [member ...]
const zmscore = command({
  name: 'zmscore', arity: -3, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '6.2.0', complexity: 'O(N), N being the number of members asked for.',
  syntax: 'key member [member ...]', summary: 'Returns the scores of some members of a sorted set.',
}, (call) => {
  const { args } = call
  const ref = call.read(args.at(1), ZSET)
  call.reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) replyScore(call, ref === 0 ? NaN : sortedSetScore(call.db, ref, args.at(i)))
})

/** ZRANK and ZREVRANK. */
function rank(call: Call, reverse: boolean): void {
  const { args, reply } = call
  const withScore = args.count === 4
  if (args.count > 4) throw wrongArity(call.command.fullName)
  if (withScore && !args.is(3, 'withscore')) throw SYNTAX
  const ref = call.read(args.at(1), ZSET)
  const found = ref === 0 ? -1 : walk.open(call.db, ref).rankOf(args.at(2))
  if (found < 0) {
    if (withScore) reply.nullArray()
    else reply.null()
    return walk.close()
  }
  if (withScore) reply.array(2)
  reply.integer(reverse ? walk.size - 1 - found : found)
  if (withScore) reply.double(walk.scoreOf(args.at(2)))
  walk.close()
}

// ZRANK key member [WITHSCORE]
const zrank = command({
  name: 'zrank', arity: -3, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.0.0', complexity: 'O(log(N))', syntax: 'key member [WITHSCORE]',
  summary: 'Returns how many members of a sorted set have a lower score than this one.',
}, (call) => rank(call, false))

// ZREVRANK key member [WITHSCORE]
const zrevrank = command({
  name: 'zrevrank', arity: -3, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.0.0', complexity: 'O(log(N))', syntax: 'key member [WITHSCORE]',
  summary: 'Returns how many members of a sorted set have a higher score than this one.',
}, (call) => rank(call, true))

export const sortedSetCommands: readonly Command[] = [
  zadd, zincrby, zrem, zcard, zscore, zmscore, zrank, zrevrank,
  ...sortedSetRangeCommands, ...sortedSetPopCommands, ...sortedSetAlgebraCommands, ...sortedSetWalkCommands,
]
