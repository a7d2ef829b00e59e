/** LMOVE and RPOPLPUSH: one element from an end of one list to an end of another, or of the same. */
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { SYNTAX } from '../src/errors.js'
import { ListCursor } from '../src/keyspace/list-cursor.js'
import { createList, dropElement, growList, listSize, pushElement, seekList } from '../src/keyspace/list-value.js'
import { encodingOfString } from '../src/keyspace/string.js'
import { INT, LIST } from '../src/keyspace/types.js'
import { dataView, scratch, Slice } from '../protocol/slice.js'
import { settleRemoval } from './list-removal.js'

const cursor = scratch(new ListCursor())
const element = Slice.scratch()
const room = Buffer.allocUnsafeSlow(16384)
const roomData = dataView(room)

/** Copies the element under the cursor out of the database, because its list is about to change. */
function takeElement(): Slice {
  cursor.get(element)
  const length = element.length
  if (length > room.length) return element.set(element.copy(), 0, length)
  element.copyTo(room, roomData, 0)
  return element.set(room, 0, length, roomData)
}

function move(call: Call, fromHead: boolean, toHead: boolean): void {
  const { args, db } = call
  const sourceKey = args.at(1)
  const targetKey = args.at(2)
  let source = call.write(sourceKey, LIST)
  if (source === 0) return call.reply.null()
  let target = call.write(targetKey, LIST)
  const isSame = source === target
  seekList(db, source, fromHead ? 0 : listSize(db, source) - 1, cursor)
  const value = takeElement()
  source = dropElement(db, source, fromHead)
  if (isSame) target = source
  // An integer costs nothing in Valkey's reckoning of whether the target must become large.
  const bytes = encodingOfString(value) === INT ? 0 : value.length
  const limit = call.config.listMaxListpackSize
  if (target === 0) createList(db, targetKey, limit, value, bytes, 1)
  else {
    target = pushElement(db, growList(db, target, limit, bytes, 1), value, toHead)
    if (isSame) source = target
  }
  call.changed(targetKey, 'l', toHead ? 'lpush' : 'rpush')
  call.reply.bulk(value)
  settleRemoval(call, sourceKey, source, fromHead ? 'lpop' : 'rpop')
}

/** Whether word i says LEFT; throws a syntax error unless it says RIGHT then. */
function isLeft(call: Call, i: number): boolean {
  if (call.args.is(i, 'left')) return true
  if (call.args.is(i, 'right')) return false
  throw SYNTAX
}

/** LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT> */
const lmove = command({
  name: 'lmove', arity: 5, flags: 'write denyoom', acl: 'list',
  keys: [key(1, 'RW ACCESS DELETE'), key(2, 'RW INSERT')],
  group: 'list', since: '6.2.0', complexity: 'O(1)',
  syntax: 'source destination <LEFT | RIGHT> <LEFT | RIGHT>',
  summary: 'Takes an element from one end of a list, adds it to an end of another and returns it.',
}, (call) => {
  const fromHead = isLeft(call, 3)
  move(call, fromHead, isLeft(call, 4))
})

/** RPOPLPUSH source destination */
const rpoplpush = command({
  name: 'rpoplpush', arity: 3, flags: 'write denyoom', acl: 'list',
  keys: [key(1, 'RW ACCESS DELETE'), key(2, 'RW INSERT')],
  group: 'list', since: '1.2.0', complexity: 'O(1)',
  syntax: 'source destination',
  summary: 'Takes the last element of a list, adds it to the head of another and returns it.',
}, (call) => move(call, false, true))

export const listMoveCommands: readonly Command[] = [lmove, rpoplpush]
