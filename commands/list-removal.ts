/** The commands that take elements out of one list: LPOP, RPOP, LREM, LTRIM, and LMPOP, which finds the list. */
import type { Call } from '../src/engine/call.js'
import { command, key, numberedKeys, type Command } from '../src/engine/command.js'
import { NOT_POSITIVE, replyError, SYNTAX, wrongArity } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { ListCursor } from '../src/keyspace/list-cursor.js'
import {
  deleteRange, dropElement, listSize, removedCount, removeElements, seekList, shrinkList,
} from '../src/keyspace/list-value.js'
import { LIST } from '../src/keyspace/types.js'
import { scratch, Slice } from '../protocol/slice.js'
import { integerFrom, symmetricInteger } from './list-numbers.js'

const cursor = scratch(new ListCursor())
const element = Slice.scratch()

/**
 * What follows a removal: an event, and then the list goes if it is empty, or becomes packed if it is small
 * enough by now.
 */
export function settleRemoval(call: Call, keyName: Slice, ref: Ref, event: string): void {
  call.changed(keyName, 'l', event)
  if (listSize(call.db, ref) > 0) shrinkList(call.db, ref, call.config.listMaxListpackSize)
  else {
    call.db.delete(keyName)
    call.changed(keyName, 'g', 'del')
  }
}

/** Replies with the first (or last) `count` elements, in the order they are taken, and deletes them. */
function popMany(call: Call, keyName: Slice, ref: Ref, count: number, atHead: boolean): void {
  const { db, reply } = call
  const size = listSize(db, ref)
  const taken = Math.min(count, size)
  reply.array(taken)
  seekList(db, ref, atHead ? 0 : size - 1, cursor)
  for (let i = 0; i < taken; i++) {
    reply.bulk(cursor.get(element))
    if (atHead) cursor.next()
    else cursor.prev()
  }
  settleRemoval(call, keyName, deleteRange(db, ref, atHead ? 0 : size - taken, taken), atHead ? 'lpop' : 'rpop')
}

const LPOP_ARITY = wrongArity('lpop')
const RPOP_ARITY = wrongArity('rpop')

function pop(call: Call, atHead: boolean): void {
  const { args, db, reply } = call
  if (args.count > 3) throw atHead ? LPOP_ARITY : RPOP_ARITY
  const count = args.count === 3 ? integerFrom(args, 2, 0, NOT_POSITIVE) : -1
  const keyName = args.at(1)
  const ref = call.write(keyName, LIST)
  if (ref === 0) return count < 0 ? reply.null() : reply.nullArray()
  if (count === 0) return reply.array(0)
  if (count > 0) return popMany(call, keyName, ref, count, atHead)
  seekList(db, ref, atHead ? 0 : listSize(db, ref) - 1, cursor)
  reply.bulk(cursor.get(element))
  settleRemoval(call, keyName, dropElement(db, ref, atHead), atHead ? 'lpop' : 'rpop')
}

/** LPOP key [count] */
const lpop = command({
  name: 'lpop', arity: -2, flags: 'write fast', acl: 'list', keys: [key(1, 'RW ACCESS DELETE')],
  group: 'list', since: '1.0.0', complexity: 'O(N) where N is the number of elements returned.',
  syntax: 'key [count]',
  summary: 'Takes elements from the head of a list and returns them.',
}, (call) => pop(call, true))

/** RPOP key [count] */
const rpop = command({
  name: 'rpop', arity: -2, flags: 'write fast', acl: 'list', keys: [key(1, 'RW ACCESS DELETE')],
  group: 'list', since: '1.0.0', complexity: 'O(N) where N is the number of elements returned.',
  syntax: 'key [count]',
  summary: 'Takes elements from the tail of a list and returns them.',
}, (call) => pop(call, false))

/** LREM key count element */
const lrem = command({
  name: 'lrem', arity: 4, flags: 'write', acl: 'list', keys: [key(1, 'RW DELETE')],
  group: 'list', since: '1.0.0', complexity: 'O(N+M) where N is the length of the list and M the number of elements removed.',
  syntax: 'key count element',
  summary: 'Removes the elements that are equal to a given one: all, or some from the head or the tail on.',
}, (call) => {
  const { args, db } = call
  const count = symmetricInteger(args, 2)
  const keyName = args.at(1)
  const ref = call.write(keyName, LIST)
  if (ref === 0) return call.reply.integer(0)
  const size = listSize(db, ref)
  const left = removeElements(db, ref, args.at(3), count === 0 ? size : Math.min(size, Math.abs(count)), count < 0)
  const removed = removedCount
  if (removed > 0) settleRemoval(call, keyName, left, 'lrem')
  call.reply.integer(removed)
})

/** LTRIM key start stop */
const ltrim = command({
  name: 'ltrim', arity: 4, flags: 'write', acl: 'list', keys: [key(1, 'RW DELETE')],
  group: 'list', since: '1.0.0', complexity: 'O(N) where N is the number of elements removed.',
  syntax: 'key start stop',
  summary: 'Removes all elements of a list that lie outside a range of indexes.',
}, (call) => {
  const { args, db } = call
  let start = args.integer(2)
  let stop = args.integer(3)
  const keyName = args.at(1)
  let ref = call.write(keyName, LIST)
  if (ref === 0) return call.reply.ok()
  const size = listSize(db, ref)
  if (start < 0) start = Math.max(0, start + size)
  if (stop < 0) stop += size
  if (start > stop || start >= size) ref = deleteRange(db, ref, 0, size)
  else {
    if (stop < size - 1) ref = deleteRange(db, ref, stop + 1, size - 1 - stop)
    ref = deleteRange(db, ref, 0, start)
  }
  call.reply.ok()
  settleRemoval(call, keyName, ref, 'ltrim')
})

const FEW_KEYS = replyError('ERR numkeys should be greater than 0')
const LOW_COUNT = replyError('ERR count should be greater than 0')

/** LMPOP numkeys key [key ...] <LEFT | RIGHT> [COUNT count] */
const lmpop = command({
  name: 'lmpop', arity: -4, flags: 'write movablekeys', acl: 'list', keys: [numberedKeys(1, 'RW ACCESS DELETE')],
  group: 'list', since: '7.0.0', complexity: 'O(N+M) where N is the number of keys and M the number of elements returned.',
  syntax: 'numkeys key [key ...] <LEFT | RIGHT> [COUNT count]',
  summary: 'Takes elements from one end of the first list that is not empty.',
}, (call) => {
  const { args, reply } = call
  const keyCount = integerFrom(args, 1, 1, FEW_KEYS)
  const side = keyCount + 2
  if (side >= args.count) throw SYNTAX
  const atHead = args.is(side, 'left')
  if (!atHead && !args.is(side, 'right')) throw SYNTAX
  let count = -1
  for (let i = side + 1; i < args.count; i += 2) {
    if (count !== -1 || !args.is(i, 'count') || i + 1 >= args.count) throw SYNTAX
    count = integerFrom(args, i + 1, 1, LOW_COUNT)
  }
  for (let i = 2; i < side; i++) {
    const keyName = args.at(i)
    const ref = call.write(keyName, LIST)
    if (ref === 0) continue
    const taken = Math.min(count < 0 ? 1 : count, listSize(call.db, ref))
    reply.array(2)
    reply.bulk(keyName)
    popMany(call, keyName, ref, taken, atHead)
    if (call.engine.services.propagate !== undefined)
      call.propagateAs([atHead ? 'LPOP' : 'RPOP', keyName.copy(), String(taken)])
    return
  }
  reply.nullArray()
})

export const listRemovalCommands: readonly Command[] = [lpop, rpop, lrem, ltrim, lmpop]
