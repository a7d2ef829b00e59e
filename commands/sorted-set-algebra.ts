/**
 * Several sorted sets (or sets, whose members all score 1) at once: ZUNION, ZINTER, ZDIFF, their STORE forms
 * and ZINTERCARD.
 *
 * Sums of floating-point numbers depend on the order of adding, so the inputs are taken from small to large,
 * as Valkey does.
 */
import { scratch, type Slice } from '../protocol/slice.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, key, numberedKeys, type Command, type CommandSpec } from '../src/engine/command.js'
import { replyError, SYNTAX, WRONG_TYPE } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import type { Database } from '../src/keyspace/database.js'
import { setHas, setSize, SetWalk } from '../src/keyspace/set.js'
import { SET, ZSET } from '../src/keyspace/types.js'
import { SortedSetLoader, SortedSetTally, type LargeSortedSet } from '../src/keyspace/zset.js'
import { sortedSetScore, sortedSetSize, SortedSetWalk } from '../src/keyspace/zset-walk.js'
import { storeResult } from './sorted-set-writes.js'

const BAD_WEIGHT = replyError('ERR weight value is not a float')
const LIMIT_NEGATIVE = replyError("ERR LIMIT can't be negative")

type Operation = 'union' | 'inter' | 'diff'
type Aggregate = 'sum' | 'min' | 'max'

/** One input: a sorted set, a set, or (ref 0) nothing. */
interface Source {
  readonly ref: Ref
  readonly isSet: boolean
  readonly size: number
  weight: number
}

/** What the words of one of these commands say. */
interface Request {
  readonly operation: Operation
  readonly sources: Source[]
  aggregate: Aggregate
  withScores: boolean
  /** ZINTERCARD: how many members to count at most. */
  limit: number
}

const sortedWalk = scratch(new SortedSetWalk())
const setWalk = scratch(new SetWalk())
const resultWalk = scratch(new SortedSetWalk())

// ------------------------------------------------------------------------------------------------ words

/** Reads the words from the count of keys (word `at`) on. `form` says which options there are. */
function readRequest(call: Call, at: number, operation: Operation, form: 'reply' | 'store' | 'count'): Request {
  const { args } = call
  const count = args.integer(at)
  if (count < 1) throw replyError(`ERR at least 1 input key is needed for '${call.command.fullName}' command`)
  if (count > args.count - (at + 1)) throw SYNTAX
  const sources: Source[] = []
  for (let i = at + 1; i <= at + count; i++) sources.push(readSource(call, args.at(i)))
  const request: Request = { operation, sources, aggregate: 'sum', withScores: false, limit: 0 }
  for (let i = at + 1 + count; i < args.count; i++) {
    const left = args.count - i
    if (operation !== 'diff' && form !== 'count' && left > count && args.is(i, 'weights')) {
      for (const source of sources) source.weight = args.double(++i, BAD_WEIGHT)
    } else if (operation !== 'diff' && form !== 'count' && left >= 2 && args.is(i, 'aggregate'))
      request.aggregate = readAggregate(args, ++i)
    else if (form === 'reply' && args.is(i, 'withscores')) request.withScores = true
    else if (form === 'count' && left >= 2 && args.is(i, 'limit')) {
      request.limit = args.integer(++i, LIMIT_NEGATIVE)
      if (request.limit < 0) throw LIMIT_NEGATIVE
    } else throw SYNTAX
  }
  return request
}

function readSource(call: Call, name: Slice): Source {
  const { db } = call
  const ref = db.lookupRead(name)
  if (ref === 0) return { ref, isSet: false, size: 0, weight: 1 }
  const type = db.typeOf(ref)
  if (type !== SET && type !== ZSET) throw WRONG_TYPE
  const isSet = type === SET
  return { ref, isSet, size: isSet ? setSize(db, ref) : sortedSetSize(db, ref), weight: 1 }
}

function readAggregate(args: Args, i: number): Aggregate {
  if (args.is(i, 'sum')) return 'sum'
  if (args.is(i, 'min')) return 'min'
  if (args.is(i, 'max')) return 'max'
  throw SYNTAX
}

// ------------------------------------------------------------------------------------------------ sources

/** Calls `visit` with every member of a source and its score, until it returns false. */
function forEachMember(db: Database, source: Source, visit: (member: Slice, score: number) => boolean): void {
  if (source.ref === 0) return
  if (source.isSet) {
    setWalk.start(db, source.ref)
    while (setWalk.next()) if (!visit(setWalk.member, 1)) return
    return
  }
  sortedWalk.open(db, source.ref)
  for (let more = sortedWalk.seek(0); more; more = sortedWalk.next())
    if (!visit(sortedWalk.member, sortedWalk.score)) break
  sortedWalk.close()
}

/** The score of a member in a source; NaN when it is none. */
function scoreIn(db: Database, source: Source, member: Slice): number {
  if (source.ref === 0) return NaN
  if (source.isSet) return setHas(db, source.ref, member) ? 1 : NaN
  return sortedSetScore(db, source.ref, member)
}

/** Infinity times 0 counts as 0. */
function weighted(score: number, weight: number): number {
  const product = score * weight
  return product === product ? product : 0
}

/** `score` may be NaN here, which leaves minimum and maximum as they are and makes a sum 0. */
function aggregated(total: number, score: number, aggregate: Aggregate): number {
  if (aggregate === 'min') return score < total ? score : total
  if (aggregate === 'max') return score > total ? score : total
  const sum = total + score
  return sum === sum ? sum : 0
}

function fromSmallToLarge(sources: readonly Source[]): Source[] {
  return [...sources].sort((a, b) => a.size - b.size)
}

// ------------------------------------------------------------------------------------------------ operations

/** Length of the longest member of the last result. */
let longest = 0

function union(db: Database, request: Request): LargeSortedSet {
  const tally = new SortedSetTally()
  longest = 0
  for (const source of fromSmallToLarge(request.sources)) {
    forEachMember(db, source, (member, score) => {
      const value = weighted(score, source.weight)
      const ref = tally.findOrAdd(member, value)
      if (tally.added) longest = Math.max(longest, member.length)
      else tally.setScore(ref, aggregated(tally.scoreAt(ref), value, request.aggregate))
      return true
    })
  }
  return tally.finish()
}

/** Visits the members that all sources have, with their scores, until `visit` returns false. */
function forEachCommon(db: Database, request: Request, visit: (member: Slice, score: number) => boolean): void {
  const [smallest, ...others] = fromSmallToLarge(request.sources)
  if (smallest.size === 0) return
  forEachMember(db, smallest, (member, score) => {
    let total = weighted(score, smallest.weight)
    for (const other of others) {
      const found = other.ref === smallest.ref ? score : scoreIn(db, other, member)
      if (found !== found) return true
      total = aggregated(total, found * other.weight, request.aggregate)
    }
    return visit(member, total)
  })
}

function inter(db: Database, request: Request): LargeSortedSet {
  const loader = new SortedSetLoader()
  longest = 0
  forEachCommon(db, request, (member, score) => {
    loader.add(member, score)
    longest = Math.max(longest, member.length)
    return true
  })
  return loader.finish()
}

function diff(db: Database, request: Request): LargeSortedSet {
  const loader = new SortedSetLoader()
  const [first, ...others] = request.sources
  longest = 0
  forEachMember(db, first, (member, score) => {
    for (const other of others) {
      if (other.ref === first.ref || !Number.isNaN(scoreIn(db, other, member))) return true
    }
    loader.add(member, score)
    longest = Math.max(longest, member.length)
    return true
  })
  return loader.finish()
}

function perform(call: Call, request: Request): LargeSortedSet {
  const { operation } = request
  return operation === 'union' ? union(call.db, request)
    : operation === 'inter' ? inter(call.db, request) : diff(call.db, request)
}

/** The commands that reply the result. */
function performAndReply(call: Call, operation: Operation): void {
  const request = readRequest(call, 1, operation, 'reply')
  const { reply } = call
  const { withScores } = request
  const nested = withScores && reply.version === 3
  resultWalk.openLarge(perform(call, request))
  reply.array(withScores && !nested ? resultWalk.size * 2 : resultWalk.size)
  for (let more = resultWalk.seek(0); more; more = resultWalk.next()) {
    if (nested) reply.array(2)
    reply.bulk(resultWalk.member)
    if (withScores) reply.double(resultWalk.score)
  }
  resultWalk.close()
}

/** The commands that store the result under word 1. */
function performAndStore(call: Call, operation: Operation, event: string): void {
  const result = perform(call, readRequest(call, 2, operation, 'store'))
  storeResult(call, result, longest, event)
}

// ------------------------------------------------------------------------------------------------ commands

const UNION_COMPLEXITY = 'O(N)+O(M*log(M)), N being the sum of the sizes of the inputs, M the size of the result.'
const INTER_COMPLEXITY = 'O(N*K)+O(M*log(M)), N being the smallest of the K inputs, M the size of the result.'
const DIFF_COMPLEXITY = 'O(N*K)+O(M*log(M)), N being the size of the first of the K inputs, M that of the result.'
const COMBINE_SYNTAX = 'numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]'

/** What the specs of the commands that reply have in common. */
const READ: Pick<CommandSpec, 'flags' | 'acl' | 'keys' | 'group'> = {
  flags: 'readonly movablekeys', acl: 'sortedset', keys: [numberedKeys(1, 'RO ACCESS')], group: 'sorted-set',
}
/** What the specs of the commands that store have in common. */
const STORE: Pick<CommandSpec, 'flags' | 'acl' | 'keys' | 'group'> = {
  flags: 'write denyoom movablekeys', acl: 'sortedset', keys: [key(1, 'OW UPDATE'), numberedKeys(2, 'RO ACCESS')],
  group: 'sorted-set',
}

// ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]
const zunion = command({
  ...READ, name: 'zunion', arity: -3, since: '6.2.0', complexity: UNION_COMPLEXITY,
  syntax: `${COMBINE_SYNTAX} [WITHSCORES]`, summary: 'Returns the union of several sorted sets.',
}, (call) => performAndReply(call, 'union'))

// ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]
const zinter = command({
  ...READ, name: 'zinter', arity: -3, since: '6.2.0', complexity: INTER_COMPLEXITY,
  syntax: `${COMBINE_SYNTAX} [WITHSCORES]`, summary: 'Returns the members that several sorted sets have in common.',
}, (call) => performAndReply(call, 'inter'))

// ZDIFF numkeys key [key ...] [WITHSCORES]
const zdiff = command({
  ...READ, name: 'zdiff', arity: -3, since: '6.2.0', complexity: DIFF_COMPLEXITY,
  syntax: 'numkeys key [key ...] [WITHSCORES]',
  summary: 'Returns the members of the first sorted set that none of the others has.',
}, (call) => performAndReply(call, 'diff'))

// ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]
const zunionstore = command({
  ...STORE, name: 'zunionstore', arity: -4, since: '2.0.0', complexity: UNION_COMPLEXITY,
  syntax: `destination ${COMBINE_SYNTAX}`, summary: 'Stores the union of several sorted sets.',
}, (call) => performAndStore(call, 'union', 'zunionstore'))

// ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]
const zinterstore = command({
  ...STORE, name: 'zinterstore', arity: -4, since: '2.0.0', complexity: INTER_COMPLEXITY,
  syntax: `destination ${COMBINE_SYNTAX}`, summary: 'Stores the members that several sorted sets have in common.',
}, (call) => performAndStore(call, 'inter', 'zinterstore'))

// ZDIFFSTORE destination numkeys key [key ...]
const zdiffstore = command({
  ...STORE, name: 'zdiffstore', arity: -4, since: '6.2.0', complexity: DIFF_COMPLEXITY,
  syntax: 'destination numkeys key [key ...]',
  summary: 'Stores the members of the first sorted set that none of the others has.',
}, (call) => performAndStore(call, 'diff', 'zdiffstore'))

// ZINTERCARD numkeys key [key ...] [LIMIT limit]
const zintercard = command({
  ...READ, name: 'zintercard', arity: -3, since: '7.0.0',
  complexity: 'O(N*K), N being the smallest of the K inputs.', syntax: 'numkeys key [key ...] [LIMIT limit]',
  summary: 'Counts the members that several sorted sets have in common.',
}, (call) => {
  const request = readRequest(call, 1, 'inter', 'count')
  let count = 0
  forEachCommon(call.db, request, () => ++count !== request.limit)
  call.reply.integer(count)
})

/** ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD. */
export const sortedSetAlgebraCommands: readonly Command[] = [
  zunion, zinter, zdiff, zunionstore, zinterstore, zdiffstore, zintercard,
]
