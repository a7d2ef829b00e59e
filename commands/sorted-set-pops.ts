/** Taking members off the ends of a sorted set: ZPOPMIN, ZPOPMAX, ZMPOP. */
import { scratch, type Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, numberedKeys, type Command } from '../src/engine/command.js'
import { NOT_POSITIVE, replyError, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { ZSET } from '../src/keyspace/types.js'
import { SortedSetEdit } from '../src/keyspace/zset-edit.js'
import { SortedSetWalk } from '../src/keyspace/zset-walk.js'
import { finishRemoval } from './sorted-set-writes.js'

const NUMKEYS_RANGE = replyError('ERR numkeys should be greater than 0')
const COUNT_RANGE = replyError('ERR count should be greater than 0')

const walk = scratch(new SortedSetWalk())
const edit = new SortedSetEdit()

/**
 * Removes up to `count` members from one end of the sorted set at `ref`, not empty, and writes them to the
 * reply: each as a pair of its own when `nested`, else all in one flat run. Returns how many.
 */
function popMembers(call: Call, name: Slice, ref: Ref, fromMax: boolean, count: number, nested: boolean): number {
  const { reply } = call
  walk.open(call.db, ref)
  const { size } = walk
  const taken = Math.min(count, size)
  walk.seek(fromMax ? size - 1 : 0)
  for (let left = taken; ; ) {
    if (nested) reply.array(2)
    reply.bulk(walk.member)
    reply.double(walk.score)
    if (--left === 0) break
    if (fromMax) walk.previous()
    else walk.next()
  }
  walk.close()
  edit.open(call.db, ref, call.config).deleteRange(fromMax ? size - taken : 0, taken)
  finishRemoval(call, name, edit, taken, fromMax ? 'zpopmax' : 'zpopmin')
  return taken
}

/** ZPOPMIN and ZPOPMAX: without a count one flat pair, with one an array (in RESP3 of pairs). */
function pop(call: Call, fromMax: boolean): void {
  const { args, reply } = call
  if (args.count > 3) throw SYNTAX
  const hasCount = args.count === 3
  const count = hasCount ? args.integer(2, NOT_POSITIVE) : 1
  if (count < 0) throw NOT_POSITIVE
  const name = args.at(1)
  const ref = call.write(name, ZSET)
  if (ref === 0 || count === 0) return reply.array(0)
  const taken = Math.min(count, walk.open(call.db, ref).size)
  const nested = hasCount && reply.version === 3
  reply.array(nested ? taken : taken * 2)
  popMembers(call, name, ref, fromMax, taken, nested)
}

const POP_COMPLEXITY = 'O(log(N)*M), N being the size of the sorted set, M the number of members popped.'

// ZPOPMIN key [count]
const zpopmin = command({
  name: 'zpopmin', arity: -2, flags: 'write fast', acl: 'sortedset', keys: [key(1, 'RW ACCESS DELETE')],
  group: 'sorted-set', since: '5.0.0', complexity: POP_COMPLEXITY, syntax: 'key [count]',
  summary: 'Removes the members with the lowest scores from a sorted set and returns them.',
}, (call) => pop(call, false))

// ZPOPMAX key [count]
const zpopmax = command({
  name: 'zpopmax', arity: -2, flags: 'write fast', acl: 'sortedset', keys: [key(1, 'RW ACCESS DELETE')],
  group: 'sorted-set', since: '5.0.0', complexity: POP_COMPLEXITY, syntax: 'key [count]',
  summary: 'Removes the members with the highest scores from a sorted set and returns them.',
}, (call) => pop(call, true))

/** `key [key ...] <MIN | MAX> [COUNT count]` behind a count of keys, as ZMPOP and BZMPOP take it. */
export interface MultiPop {
  readonly firstKey: number
  readonly keys: number
  readonly fromMax: boolean
  readonly count: number
}

/** Reads the words from the count of keys (word `at`) on. */
function readMultiPop(call: Call, at: number): MultiPop {
  const { args } = call
  const keys = args.integer(at, NUMKEYS_RANGE)
  if (keys < 1) throw NUMKEYS_RANGE
  const where = at + 1 + keys
  if (where >= args.count) throw SYNTAX
  const fromMax = args.is(where, 'max')
  if (!fromMax && !args.is(where, 'min')) throw SYNTAX
  let count = 0
  for (let i = where + 1; i < args.count; i++) {
    if (count > 0 || !args.is(i, 'count') || i + 1 >= args.count) throw SYNTAX
    count = args.integer(++i, COUNT_RANGE)
    if (count < 1) throw COUNT_RANGE
  }
  return { firstKey: at + 1, keys, fromMax, count: Math.max(1, count) }
}

/** Pops from one sorted set and replies `[key, [[member, score] ...]]`; propagated as a ZPOPMIN or ZPOPMAX. */
function popNamed(call: Call, name: Slice, ref: Ref, fromMax: boolean, count: number): void {
  const { reply } = call
  const taken = Math.min(count, walk.open(call.db, ref).size)
  reply.array(2)
  reply.bulk(name)
  reply.array(taken)
  popMembers(call, name, ref, fromMax, taken, true)
  call.propagateAs([fromMax ? 'ZPOPMAX' : 'ZPOPMIN', name.copy(), String(taken)])
}

// ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]
const zmpop = command({
  name: 'zmpop', arity: -4, flags: 'write movablekeys', acl: 'sortedset', keys: [numberedKeys(1, 'RW ACCESS DELETE')],
  group: 'sorted-set', since: '7.0.0',
  complexity: 'O(K) + O(M*log(N)), K being the number of keys, N the size of the sorted set, M the members popped.',
  syntax: 'numkeys key [key ...] <MIN | MAX> [COUNT count]',
  summary: 'Removes members from one end of the first sorted set that is not empty and returns them.',
}, (call) => {
  const { firstKey, keys, fromMax, count } = readMultiPop(call, 1)
  for (let i = firstKey; i < firstKey + keys; i++) {
    const name = call.args.at(i)
    const ref = call.write(name, ZSET)
    if (ref !== 0) return popNamed(call, name, ref, fromMax, count)
  }
  call.reply.nullArray()
})

/** ZPOPMIN, ZPOPMAX, ZMPOP. */
export const sortedSetPopCommands: readonly Command[] = [zpopmin, zpopmax, zmpop]
