/**
 * Lists. The commands that add, read and change elements are here; those that remove them are in
 * list-removal.ts, those that move them between keys in list-moves.ts.
 *
 * A list is a listpack or a LargeList (src/keyspace/list-value.ts hides which). Before elements are added the
 * list may have to become large (`growList`), after some were removed it may become packed (`shrinkList`).
 */
import { command, key, type Command } from '../src/engine/command.js'
import type { Call } from '../src/engine/call.js'
import { INDEX_OUT_OF_RANGE, NO_SUCH_KEY, replyError, SYNTAX } from '../src/errors.js'
import { ListCursor } from '../src/keyspace/list-cursor.js'
import {
  createList, growList, insertElement, largeOf, listSize, pushElement, replaceElement, seekList, shrinkList,
} from '../src/keyspace/list-value.js'
import { LIST } from '../src/keyspace/types.js'
import { scratch, Slice } from '../protocol/slice.js'
import { integerFrom, symmetricInteger } from './list-numbers.js'
import { listMoveCommands } from './list-moves.js'
import { listRemovalCommands } from './list-removal.js'

const cursor = scratch(new ListCursor())
const element = Slice.scratch()

// ---- adding ----

/** LPUSH, RPUSH and their X forms: words 2 and following, one after the other, to one end. */
function push(call: Call, atHead: boolean, onlyExisting: boolean, event: string): void {
  const { args, db } = call
  const keyName = args.at(1)
  const limit = call.config.listMaxListpackSize
  let ref = call.write(keyName, LIST)
  if (ref === 0 && onlyExisting) return call.reply.integer(0)
  const large = ref === 0 ? undefined : largeOf(db, ref)
  if (large !== undefined) {
    for (let i = 2; i < args.count; i++) large.push(args.at(i), atHead)
    call.reply.integer(large.size)
    return call.changed(keyName, 'l', event)
  }
  let bytes = 0
  for (let i = 2; i < args.count; i++) bytes += args.at(i).length
  const count = args.count - 2
  let next = 2
  if (ref === 0) ref = createList(db, keyName, limit, args.at(next++), bytes, count)
  else ref = growList(db, ref, limit, bytes, count)
  for (; next < args.count; next++) ref = pushElement(db, ref, args.at(next), atHead)
  call.reply.integer(listSize(db, ref))
  call.changed(keyName, 'l', event)
}

/** LPUSH key element [element ...] */
const lpush = command({
  name: 'lpush', arity: -3, flags: 'write denyoom fast', acl: 'list', keys: [key(1, 'RW INSERT')],
  group: 'list', since: '1.0.0', complexity: 'O(1) for each element added.',
  syntax: 'key element [element ...]',
  summary: 'Adds elements to the head of a list, creating it if need be.',
}, (call) => push(call, true, false, 'lpush'))

/** RPUSH key element [element ...] */
const rpush = command({
  name: 'rpush', arity: -3, flags: 'write denyoom fast', acl: 'list', keys: [key(1, 'RW INSERT')],
  group: 'list', since: '1.0.0', complexity: 'O(1) for each element added.',
  syntax: 'key element [element ...]',
  summary: 'Adds elements to the tail of a list, creating it if need be.',
}, (call) => push(call, false, false, 'rpush'))

/** LPUSHX key element [element ...] */
const lpushx = command({
  name: 'lpushx', arity: -3, flags: 'write denyoom fast', acl: 'list', keys: [key(1, 'RW INSERT')],
  group: 'list', since: '2.2.0', complexity: 'O(1) for each element added.',
  syntax: 'key element [element ...]',
  summary: 'Adds elements to the head of a list that exists.',
}, (call) => push(call, true, true, 'lpush'))

/** RPUSHX key element [element ...] */
const rpushx = command({
  name: 'rpushx', arity: -3, flags: 'write denyoom fast', acl: 'list', keys: [key(1, 'RW INSERT')],
  group: 'list', since: '2.2.0', complexity: 'O(1) for each element added.',
  syntax: 'key element [element ...]',
  summary: 'Adds elements to the tail of a list that exists.',
}, (call) => push(call, false, true, 'rpush'))

/** LINSERT key <BEFORE | AFTER> pivot element */
const linsert = command({
  name: 'linsert', arity: 5, flags: 'write denyoom', acl: 'list', keys: [key(1, 'RW INSERT')],
  group: 'list', since: '2.2.0', complexity: 'O(N) where N is the number of elements before the pivot.',
  syntax: 'key <BEFORE | AFTER> pivot element',
  summary: 'Adds an element before or after the first one that is equal to the pivot.',
}, (call) => {
  const { args, db } = call
  const after = args.is(2, 'after')
  if (!after && !args.is(2, 'before')) throw SYNTAX
  const keyName = args.at(1)
  let ref = call.write(keyName, LIST)
  if (ref === 0) return call.reply.integer(0)
  const value = args.at(4)
  // As in Valkey, a list without the pivot may become large too.
  ref = growList(db, ref, call.config.listMaxListpackSize, value.length, 1)
  const pivot = args.at(3)
  for (seekList(db, ref, 0, cursor); cursor.valid; cursor.next()) {
    if (!cursor.equals(pivot)) continue
    ref = insertElement(db, ref, cursor, value, after)
    call.reply.integer(listSize(db, ref))
    return call.changed(keyName, 'l', 'linsert')
  }
  call.reply.integer(-1)
})

/** LSET key index element */
const lset = command({
  name: 'lset', arity: 4, flags: 'write denyoom', acl: 'list', keys: [key(1, 'RW UPDATE')],
  group: 'list', since: '1.0.0', complexity: 'O(N) where N is the length of the list; O(1) at both ends.',
  syntax: 'key index element',
  summary: 'Replaces the element at an index of a list.',
}, (call) => {
  const { args, db } = call
  const keyName = args.at(1)
  const limit = call.config.listMaxListpackSize
  let ref = call.write(keyName, LIST)
  if (ref === 0) throw NO_SUCH_KEY
  let index = args.integer(2)
  const value = args.at(3)
  ref = growList(db, ref, limit, value.length, 1)
  const size = listSize(db, ref)
  if (index < 0) index += size
  if (index < 0 || index >= size) throw INDEX_OUT_OF_RANGE
  seekList(db, ref, index, cursor)
  shrinkList(db, replaceElement(db, ref, cursor, value), limit)
  call.reply.ok()
  call.changed(keyName, 'l', 'lset')
})

// ---- reading ----

/** LLEN key */
const llen = command({
  name: 'llen', arity: 2, flags: 'readonly fast', acl: 'list', keys: [key(1, 'RO')],
  group: 'list', since: '1.0.0', complexity: 'O(1)',
  syntax: 'key',
  summary: 'Tells the number of elements of a list.',
}, (call) => {
  const ref = call.read(call.args.at(1), LIST)
  call.reply.integer(ref === 0 ? 0 : listSize(call.db, ref))
})

/** LINDEX key index */
const lindex = command({
  name: 'lindex', arity: 3, flags: 'readonly', acl: 'list', keys: [key(1, 'RO ACCESS')],
  group: 'list', since: '1.0.0', complexity: 'O(N) where N is the distance from the nearer end.',
  syntax: 'key index',
  summary: 'Returns the element at an index of a list.',
}, (call) => {
  const ref = call.read(call.args.at(1), LIST)
  if (ref === 0) return call.reply.null()
  let index = call.args.integer(2)
  const size = listSize(call.db, ref)
  if (index < 0) index += size
  if (index < 0 || index >= size) return call.reply.null()
  seekList(call.db, ref, index, cursor)
  call.reply.bulk(cursor.get(element))
})

/** LRANGE key start stop */
const lrange = command({
  name: 'lrange', arity: 4, flags: 'readonly', acl: 'list', keys: [key(1, 'RO ACCESS')],
  group: 'list', since: '1.0.0',
  complexity: 'O(S+N) where S is the distance of the start from the nearer end and N the number of elements returned.',
  syntax: 'key start stop',
  summary: 'Returns the elements of a list from one index to another.',
}, (call) => {
  let start = call.args.integer(2)
  let stop = call.args.integer(3)
  const ref = call.read(call.args.at(1), LIST)
  if (ref === 0) return call.reply.array(0)
  const size = listSize(call.db, ref)
  if (start < 0) start = Math.max(0, start + size)
  if (stop < 0) stop += size
  if (start > stop || start >= size) return call.reply.array(0)
  stop = Math.min(stop, size - 1)
  call.reply.array(stop - start + 1)
  seekList(call.db, ref, start, cursor)
  for (let i = start; i <= stop; i++, cursor.next()) call.reply.bulk(cursor.get(element))
})

const ZERO_RANK = replyError("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
const NEGATIVE_COUNT = replyError("ERR COUNT can't be negative")
const NEGATIVE_MAXLEN = replyError("ERR MAXLEN can't be negative")

/** LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len] */
const lpos = command({
  name: 'lpos', arity: -3, flags: 'readonly', acl: 'list', keys: [key(1, 'RO ACCESS')],
  group: 'list', since: '6.0.6',
  complexity: 'O(N) where N is the number of elements compared, the length of the list at most.',
  syntax: 'key element [RANK rank] [COUNT num-matches] [MAXLEN len]',
  summary: 'Tells the index of the elements that are equal to a given one.',
}, (call) => {
  const { args, reply } = call
  let rank = 1
  let count = -1
  let maxLength = 0
  for (let i = 3; i < args.count; i += 2) {
    if (i + 1 >= args.count) throw SYNTAX
    if (args.is(i, 'rank')) {
      rank = symmetricInteger(args, i + 1)
      if (rank === 0) throw ZERO_RANK
    } else if (args.is(i, 'count')) count = integerFrom(args, i + 1, 0, NEGATIVE_COUNT)
    else if (args.is(i, 'maxlen')) maxLength = integerFrom(args, i + 1, 0, NEGATIVE_MAXLEN)
    else throw SYNTAX
  }
  const ref = call.read(args.at(1), LIST)
  if (ref === 0) return count < 0 ? reply.null() : reply.array(0)
  const fromTail = rank < 0
  const size = listSize(call.db, ref)
  const last = maxLength === 0 ? size : Math.min(size, maxLength)
  const wanted = args.at(2)
  const mark = reply.begin()
  let skip = Math.abs(rank) - 1
  let found = 0
  seekList(call.db, ref, fromTail ? size - 1 : 0, cursor)
  for (let i = 0; i < last; i++) {
    if (cursor.equals(wanted) && skip-- <= 0) {
      reply.integer(fromTail ? size - 1 - i : i)
      found++
      if (count < 0 || found === count) break
    }
    if (fromTail) cursor.prev()
    else cursor.next()
  }
  if (count >= 0) reply.endArray(mark, found)
  else if (found === 0) reply.null()
})

export const listCommands: readonly Command[] = [
  lpush, rpush, lpushx, rpushx, linsert, lset, llen, lindex, lrange, lpos,
  ...listRemovalCommands, ...listMoveCommands,
]
