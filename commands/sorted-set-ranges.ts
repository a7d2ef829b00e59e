/**
 * Ranges of a sorted set, by rank, by score and by member: ZRANGE and the commands it replaces, ZRANGESTORE,
 * ZCOUNT, ZLEXCOUNT and the ZREMRANGE family. Each kind of range is turned into ranks first.
 */
import { readRangeBound } from '../protocol/number.js'
import { scratch, Slice } from '../protocol/slice.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { LexRange, ScoreRange, type LexBound } from '../src/keyspace/score-range.js'
import { ZSET } from '../src/keyspace/types.js'
import { SortedSetLoader } from '../src/keyspace/zset.js'
import { SortedSetEdit } from '../src/keyspace/zset-edit.js'
import { SortedSetWalk } from '../src/keyspace/zset-walk.js'
import { finishRemoval, storeResult } from './sorted-set-writes.js'

const NOT_A_SCORE = replyError('ERR min or max is not a float')
const NOT_A_LEX_BOUND = replyError('ERR min or max not valid string range item')
const LIMIT_MISPLACED =
  replyError('ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX')
const SCORES_MISPLACED = replyError('ERR syntax error, WITHSCORES not supported in combination with BYLEX')

const OPEN_BRACKET = 0x5b
const OPEN_PARENTHESIS = 0x28
const PLUS = 0x2b
const MINUS = 0x2d

const walk = scratch(new SortedSetWalk())
const edit = new SortedSetEdit()
const scoreRange = new ScoreRange()

// ------------------------------------------------------------------------------------------------ bounds

/** Reads `min` and `max`: numbers, infinities, each with `(` before it when it is excluded. */
function readScoreRange(args: Args, minAt: number, maxAt: number): ScoreRange {
  const min = args.at(minAt)
  const max = args.at(maxAt)
  scoreRange.minExclusive = min.end > min.start && min.buf[min.start] === OPEN_PARENTHESIS
  scoreRange.maxExclusive = max.end > max.start && max.buf[max.start] === OPEN_PARENTHESIS
  scoreRange.min = readRangeBound(min.buf, scoreRange.minExclusive ? min.start + 1 : min.start, min.end)
  scoreRange.max = readRangeBound(max.buf, scoreRange.maxExclusive ? max.start + 1 : max.start, max.end)
  if (scoreRange.min !== scoreRange.min || scoreRange.max !== scoreRange.max) throw NOT_A_SCORE
  return scoreRange
}

/** Reads `min` and `max`: `-`, `+`, `[member` or `(member`. */
function readLexRange(args: Args, minAt: number, maxAt: number): LexRange {
  return new LexRange(readLexBound(args.at(minAt)), readLexBound(args.at(maxAt)))
}

function readLexBound(word: Slice): LexBound {
  const { buf, start, end } = word
  const first = end > start ? buf[start] : 0
  if (first === PLUS || first === MINUS) {
    if (end - start > 1 && buf[start + 1] !== 0) throw NOT_A_LEX_BOUND
    return { place: first === PLUS ? 1 : -1, member: word, exclusive: true }
  }
  if (first !== OPEN_BRACKET && first !== OPEN_PARENTHESIS) throw NOT_A_LEX_BOUND
  return { place: 0, member: new Slice(buf, start + 1, end), exclusive: first === OPEN_PARENTHESIS }
}

/** Selects the members with ranks from `start` to `stop`, negative ones counted from the end. */
function selectRanks(start: number, stop: number, reverse: boolean): void {
  const { size } = walk
  const from = Math.max(0, start < 0 ? size + start : start)
  const to = Math.min(size - 1, stop < 0 ? size + stop : stop)
  walk.count = Math.max(0, to - from + 1)
  walk.first = reverse ? size - from - walk.count : from
  if (walk.count === 0) walk.first = 0
}

// ------------------------------------------------------------------------------------------------ ZRANGE

type By = 'rank' | 'score' | 'lex'

/** What ZRANGE's words say. One object, filled anew by each call. */
const wanted = {
  by: 'rank' as By,
  reverse: false,
  withScores: false,
  offset: 0,
  limit: -1,
  start: 0,
  stop: 0,
  lex: undefined as LexRange | undefined,
}

/**
 * Reads the words of a range command whose minimum is word `at`. `by` and `reverse` are undefined where the
 * command lets the caller say (ZRANGE, ZRANGESTORE).
 */
function readRange(call: Call, at: number, by: By | undefined, reverse: boolean | undefined, storing: boolean): void {
  const { args } = call
  let isReverse = reverse
  let kind = by
  wanted.withScores = false
  wanted.offset = 0
  wanted.limit = -1
  for (let i = at + 2; i < args.count; i++) {
    if (!storing && args.is(i, 'withscores')) wanted.withScores = true
    else if (args.is(i, 'limit') && i + 2 < args.count) {
      wanted.offset = args.integer(i + 1)
      wanted.limit = args.integer(i + 2)
      i += 2
    } else if (isReverse === undefined && args.is(i, 'rev')) isReverse = true
    else if (kind === undefined && args.is(i, 'bylex')) kind = 'lex'
    else if (kind === undefined && args.is(i, 'byscore')) kind = 'score'
    else throw SYNTAX
  }
  wanted.by = kind ?? 'rank'
  wanted.reverse = isReverse ?? false
  if (wanted.limit !== -1 && wanted.by === 'rank') throw LIMIT_MISPLACED
  if (wanted.withScores && wanted.by === 'lex') throw SCORES_MISPLACED
  // By score and by member a reversed range is given with its maximum first.
  const minAt = wanted.reverse ? at + 1 : at
  const maxAt = wanted.reverse ? at : at + 1
  if (wanted.by === 'score') readScoreRange(args, minAt, maxAt)
  else if (wanted.by === 'lex') wanted.lex = readLexRange(args, minAt, maxAt)
  else {
    wanted.start = args.integer(at)
    wanted.stop = args.integer(at + 1)
  }
}

/** Selects what `wanted` says in the sorted set that `walk` has open. */
function select(): void {
  const { by, reverse } = wanted
  if (by === 'rank') return selectRanks(wanted.start, wanted.stop, reverse)
  if (by === 'score') walk.selectScores(scoreRange, reverse)
  else if (wanted.lex !== undefined) walk.selectMembers(wanted.lex, reverse)
  wanted.lex = undefined
  const left = Math.max(0, walk.count - skipped())
  const count = wanted.limit < 0 ? left : Math.min(left, wanted.limit)
  if (!reverse) walk.first += walk.count - left
  else walk.first += left - count
  walk.count = count
}

/** How many members LIMIT leaves out. A negative offset leaves out all, but counts from the end in a skiplist. */
function skipped(): number {
  if (wanted.offset >= 0) return wanted.offset
  return walk.isPacked || walk.count + wanted.offset < 0 ? walk.count : walk.count + wanted.offset
}

function range(call: Call, by: By | undefined, reverse: boolean | undefined): void {
  readRange(call, 2, by, reverse, false)
  const ref = call.read(call.args.at(1), ZSET)
  if (ref === 0) return call.reply.array(0)
  walk.open(call.db, ref)
  select()
  replySelected(call, wanted.reverse, wanted.withScores)
  walk.close()
}

/** Replies the selected members; with scores a flat array in RESP2, an array of pairs in RESP3. */
function replySelected(call: Call, reverse: boolean, withScores: boolean): void {
  const { reply } = call
  const { first, count } = walk
  const nested = withScores && reply.version === 3
  reply.array(withScores && !nested ? count * 2 : count)
  if (count === 0) return
  walk.seek(reverse ? first + count - 1 : first)
  for (let left = count; ; ) {
    if (nested) reply.array(2)
    reply.bulk(walk.member)
    if (withScores) reply.double(walk.score)
    if (--left === 0) return
    if (reverse) walk.previous()
    else walk.next()
  }
}

const RANGE_COMPLEXITY = 'O(log(N)+M), N being the size of the sorted set, M the number of members returned.'

// ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]
const zrange = command({
  name: 'zrange', arity: -4, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '1.2.0', complexity: RANGE_COMPLEXITY,
  syntax: 'key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]',
  summary: 'Returns the members of a sorted set in a range of ranks, scores or members.',
}, (call) => range(call, undefined, undefined))

// ZREVRANGE key start stop [WITHSCORES]
const zrevrange = command({
  name: 'zrevrange', arity: -4, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '1.2.0', complexity: RANGE_COMPLEXITY, syntax: 'key start stop [WITHSCORES]',
  summary: 'Returns the members of a sorted set in a range of ranks, from the highest score down.',
}, (call) => range(call, 'rank', true))

// ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]
const zrangebyscore = command({
  name: 'zrangebyscore', arity: -4, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '1.0.5', complexity: RANGE_COMPLEXITY,
  syntax: 'key min max [WITHSCORES] [LIMIT offset count]',
  summary: 'Returns the members of a sorted set in a range of scores.',
}, (call) => range(call, 'score', false))

// ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]
const zrevrangebyscore = command({
  name: 'zrevrangebyscore', arity: -4, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.2.0', complexity: RANGE_COMPLEXITY,
  syntax: 'key max min [WITHSCORES] [LIMIT offset count]',
  summary: 'Returns the members of a sorted set in a range of scores, from the highest down.',
}, (call) => range(call, 'score', true))

// ZRANGEBYLEX key min max [LIMIT offset count]
const zrangebylex = command({
  name: 'zrangebylex', arity: -4, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.8.9', complexity: RANGE_COMPLEXITY, syntax: 'key min max [LIMIT offset count]',
  summary: 'Returns the members of a sorted set between two members, where all scores are equal.',
}, (call) => range(call, 'lex', false))

// ZREVRANGEBYLEX key max min [LIMIT offset count]
const zrevrangebylex = command({
  name: 'zrevrangebylex', arity: -4, flags: 'readonly', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.8.9', complexity: RANGE_COMPLEXITY, syntax: 'key max min [LIMIT offset count]',
  summary: 'Returns the members of a sorted set between two members in reverse, where all scores are equal.',
}, (call) => range(call, 'lex', true))

// ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]
const zrangestore = command({
  name: 'zrangestore', arity: -5, flags: 'write denyoom', acl: 'sortedset',
  keys: [key(1, 'OW UPDATE'), key(2, 'RO ACCESS')],
  group: 'sorted-set', since: '6.2.0',
  complexity: 'O(log(N)+M), N being the size of the sorted set, M the number of members stored.',
  syntax: 'dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]',
  summary: 'Stores a range of a sorted set under another key.',
}, (call) => {
  readRange(call, 3, undefined, undefined, true)
  const ref = call.read(call.args.at(2), ZSET)
  if (ref === 0) return storeResult(call, undefined, 0, 'zrangestore')
  walk.open(call.db, ref)
  select()
  storeRange(call)
})

/**
 * Stores the selected members. Valkey adds them one by one to a sorted set that, unless their number is known and too
 * large, begins packed; so a score of -0 becomes 0 as long as it is.
 */
function storeRange(call: Call): void {
  const { zsetMaxListpackEntries, zsetMaxListpackValue } = call.config
  const { reverse } = wanted
  const { first, count } = walk
  const loader = new SortedSetLoader()
  let isPacked = wanted.by !== 'rank' || count <= zsetMaxListpackEntries
  let longest = 0
  let more = count > 0 && walk.seek(reverse ? first + count - 1 : first)
  for (let added = 0; more && added < count; added++) {
    longest = Math.max(longest, walk.member.length)
    if (added >= zsetMaxListpackEntries || longest > zsetMaxListpackValue) isPacked = false
    loader.add(walk.member, isPacked && walk.score === 0 ? 0 : walk.score)
    more = reverse ? walk.previous() : walk.next()
  }
  walk.close()
  storeResult(call, loader.finish(), longest, 'zrangestore')
}

// ------------------------------------------------------------------------------------------------ counting

// ZCOUNT key min max
const zcount = command({
  name: 'zcount', arity: 4, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.0.0', complexity: 'O(log(N)), N being the size of the sorted set.',
  syntax: 'key min max', summary: 'Counts the members of a sorted set in a range of scores.',
}, (call) => {
  readScoreRange(call.args, 2, 3)
  const ref = call.read(call.args.at(1), ZSET)
  if (ref === 0) return call.reply.integer(0)
  walk.open(call.db, ref).selectScores(scoreRange)
  call.reply.integer(walk.count)
  walk.close()
})

// ZLEXCOUNT key min max
const zlexcount = command({
  name: 'zlexcount', arity: 4, flags: 'readonly fast', acl: 'sortedset', keys: [key(1, 'RO ACCESS')],
  group: 'sorted-set', since: '2.8.9', complexity: 'O(log(N)), N being the size of the sorted set.',
  syntax: 'key min max', summary: 'Counts the members of a sorted set between two members.',
}, (call) => {
  const lex = readLexRange(call.args, 2, 3)
  const ref = call.read(call.args.at(1), ZSET)
  if (ref === 0) return call.reply.integer(0)
  walk.open(call.db, ref).selectMembers(lex)
  call.reply.integer(walk.count)
  walk.close()
})

// ------------------------------------------------------------------------------------------------ removing

/** Removes the members of a range from the sorted set at word 1; replies how many. */
function removeRange(call: Call, selectRange: () => void, event: string): void {
  const name = call.args.at(1)
  const ref = call.write(name, ZSET)
  if (ref === 0) return call.reply.integer(0)
  walk.open(call.db, ref)
  selectRange()
  const { first, count } = walk
  walk.close()
  if (count > 0) {
    edit.open(call.db, ref, call.config).deleteRange(first, count)
    finishRemoval(call, name, edit, count, event)
  }
  call.reply.integer(count)
}

const REMOVE_COMPLEXITY = 'O(log(N)+M), N being the size of the sorted set, M the number of members removed.'

// ZREMRANGEBYRANK key start stop
const zremrangebyrank = command({
  name: 'zremrangebyrank', arity: 4, flags: 'write', acl: 'sortedset', keys: [key(1, 'RW DELETE')],
  group: 'sorted-set', since: '2.0.0', complexity: REMOVE_COMPLEXITY, syntax: 'key start stop',
  summary: 'Removes the members of a sorted set in a range of ranks.',
}, (call) => {
  const start = call.args.integer(2)
  const stop = call.args.integer(3)
  removeRange(call, () => selectRanks(start, stop, false), 'zremrangebyrank')
})

// ZREMRANGEBYSCORE key min max
const zremrangebyscore = command({
  name: 'zremrangebyscore', arity: 4, flags: 'write', acl: 'sortedset', keys: [key(1, 'RW DELETE')],
  group: 'sorted-set', since: '1.2.0', complexity: REMOVE_COMPLEXITY, syntax: 'key min max',
  summary: 'Removes the members of a sorted set in a range of scores.',
}, (call) => {
  readScoreRange(call.args, 2, 3)
  removeRange(call, () => walk.selectScores(scoreRange), 'zremrangebyscore')
})

// ZREMRANGEBYLEX key min max
const zremrangebylex = command({
  name: 'zremrangebylex', arity: 4, flags: 'write', acl: 'sortedset', keys: [key(1, 'RW DELETE')],
  group: 'sorted-set', since: '2.8.9', complexity: REMOVE_COMPLEXITY, syntax: 'key min max',
  summary: 'Removes the members of a sorted set between two members, where all scores are equal.',
}, (call) => {
  const lex = readLexRange(call.args, 2, 3)
  removeRange(call, () => walk.selectMembers(lex), 'zremrangebylex')
})

/** All commands on ranges. */
export const sortedSetRangeCommands: readonly Command[] = [
  zrange, zrevrange, zrangebyscore, zrevrangebyscore, zrangebylex, zrevrangebylex, zrangestore,
  zcount, zlexcount, zremrangebyrank, zremrangebyscore, zremrangebylex,
]
