/** Sets: adding, removing and asking for members. Random members: `set-random.ts`; several sets: `set-algebra.ts`. */
import { globMatch } from '../protocol/glob.js'
import { scratch, Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import type { Ref } from '../src/keyspace/arena.js'
import { largeSetOf, SetEdit, setHas, setSize, SetWalk } from '../src/keyspace/set.js'
import { HASHTABLE, SET } from '../src/keyspace/types.js'
import { readElementScan, replyEmptyScan, scanTable, type ElementScan } from './element-scan.js'
import { readCursor } from './keys-walk.js'
import { setAlgebraCommands } from './set-algebra.js'
import { setRandomCommands } from './set-random.js'

const edit = new SetEdit()
const walk = scratch(new SetWalk())
const member = Slice.scratch()

// SADD key member [member ...]
const sadd = command({
  name: 'sadd', arity: -3, flags: 'write denyoom fast', acl: 'set', keys: [key(1, 'RW INSERT')],
  group: 'set', since: '1.0.0', complexity: 'O(1) for each member.', syntax: 'key member [member ...]',
  summary: 'Adds members to a set and tells how many of them are new.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const ref = call.write(name, SET)
  if (ref === 0) edit.create(call.db, args.at(2), args.count - 2, call.config)
  else edit.open(call.db, ref, call.config).expect(args.count - 2)
  let added = 0
  for (let i = 2; i < args.count; i++) if (edit.add(args.at(i))) added++
  edit.commit(name)
  if (added > 0) call.changed(name, 's', 'sadd')
  call.reply.integer(added)
})

// SREM key member [member ...]
const srem = command({
  name: 'srem', arity: -3, flags: 'write fast', acl: 'set', keys: [key(1, 'RW DELETE')],
  group: 'set', since: '1.0.0', complexity: 'O(N) for N members.', syntax: 'key member [member ...]',
  summary: 'Removes members of a set, and the key with the last of them.',
}, (call) => {
  const { args } = call
  const name = args.at(1)
  const ref = call.write(name, SET)
  if (ref === 0) return call.reply.integer(0)
  edit.open(call.db, ref, call.config)
  let removed = 0
  for (let i = 2; i < args.count && edit.size > 0; i++) if (edit.delete(args.at(i))) removed++
  if (removed > 0) finishRemoval(call, name, 'srem')
  else edit.close()
  call.reply.integer(removed)
})

/** Stores what is left, or deletes the key when nothing is, and tells of both. */
function finishRemoval(call: Call, name: Slice, event: string): void {
  const isEmpty = edit.size === 0
  if (isEmpty) {
    edit.close()
    call.db.delete(name)
  } else edit.commit(name)
  call.changed(name, 's', event)
  if (isEmpty) call.changed(name, 'g', 'del')
}

// SMOVE source destination member
const smove = command({
  name: 'smove', arity: 4, flags: 'write fast', acl: 'set',
  keys: [key(1, 'RW ACCESS DELETE'), key(2, 'RW INSERT')],
  group: 'set', since: '1.0.0', complexity: 'O(1)', syntax: 'source destination member',
  summary: 'Moves a member from one set to another.',
}, (call) => {
  const { args, db, reply } = call
  const source = args.at(1)
  const target = args.at(2)
  const moved = args.at(3)
  const from = call.write(source, SET)
  if (from === 0) return reply.integer(0)
  const to = call.write(target, SET)
  if (from === to) return reply.integer(setHas(db, from, moved) ? 1 : 0)
  if (!edit.open(db, from, call.config).delete(moved)) {
    edit.close()
    return reply.integer(0)
  }
  finishRemoval(call, source, 'srem')
  if (to === 0) edit.create(db, moved, 1, call.config)
  else edit.open(db, to, call.config)
  const added = edit.add(moved)
  edit.commit(target)
  if (added) call.changed(target, 's', 'sadd')
  reply.integer(1)
})

// SISMEMBER key member
const sismember = command({
  name: 'sismember', arity: 3, flags: 'readonly fast', acl: 'set', keys: [key(1, 'RO')],
  group: 'set', since: '1.0.0', complexity: 'O(1)', syntax: 'key member',
  summary: 'Tells whether a set has a member.',
}, (call) => {
  const ref = call.read(call.args.at(1), SET)
  call.reply.integer(ref !== 0 && setHas(call.db, ref, call.args.at(2)) ? 1 : 0)
})

// SMISMEMBER key member [member ...]
const smismember = command({
  name: 'smismember', arity: -3, flags: 'readonly fast', acl: 'set', keys: [key(1, 'RO ACCESS')],
  group: 'set', since: '6.2.0', complexity: 'O(N) for N members.', syntax: 'key member [member ...]',
  summary: 'Tells of each of several members whether a set has it.',
}, (call) => {
  const { args, reply } = call
  const ref = call.read(args.at(1), SET)
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) reply.integer(ref !== 0 && setHas(call.db, ref, args.at(i)) ? 1 : 0)
})

// SCARD key
const scard = command({
  name: 'scard', arity: 2, flags: 'readonly fast', acl: 'set', keys: [key(1, 'RO')],
  group: 'set', since: '1.0.0', complexity: 'O(1)', syntax: 'key', summary: 'Counts the members of a set.',
}, (call) => {
  const ref = call.read(call.args.at(1), SET)
  call.reply.integer(ref === 0 ? 0 : setSize(call.db, ref))
})

// SMEMBERS key
const smembers = command({
  name: 'smembers', arity: 2, flags: 'readonly', acl: 'set', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output_order'],
  group: 'set', since: '1.0.0', complexity: 'O(N), N being the number of members.', syntax: 'key',
  summary: 'Returns all members of a set.',
}, (call) => {
  call.reply.set(walk.start(call.db, call.read(call.args.at(1), SET)))
  while (walk.next()) call.reply.bulk(walk.member)
})

// SSCAN key cursor [MATCH pattern] [COUNT count]
const sscan = command({
  name: 'sscan', arity: -3, flags: 'readonly', acl: 'set', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output'],
  group: 'set', since: '2.8.0', complexity: 'O(1) a call, O(N) for all calls until the cursor is 0 again.',
  syntax: 'key cursor [MATCH pattern] [COUNT count]', summary: 'Walks over the members of a set, a few a call.',
}, (call) => {
  const cursor = readCursor(call.args, 2)
  const ref = call.read(call.args.at(1), SET)
  if (ref === 0) return replyEmptyScan(call.reply)
  const scan = readElementScan(call.args, undefined)
  if (call.db.encodingOf(ref) === HASHTABLE) scanLarge(call, ref, cursor, scan)
  else scanPacked(call, ref, scan)
})

/** A packed set comes whole. */
function scanPacked(call: Call, ref: Ref, scan: ElementScan): void {
  const { reply } = call
  reply.array(2)
  reply.bulkInteger(0)
  const mark = reply.begin()
  let elements = 0
  walk.start(call.db, ref)
  while (walk.next()) {
    if (scan.pattern !== undefined && !globMatch(scan.pattern, walk.member)) continue
    reply.bulk(walk.member)
    elements++
  }
  reply.endArray(mark, elements)
}

function scanLarge(call: Call, ref: Ref, cursor: number, scan: ElementScan): void {
  const { reply } = call
  const { members } = largeSetOf(call.db, ref)
  const found: Ref[] = []
  const next = scanTable(members, cursor, scan, found)
  reply.array(2)
  reply.bulkInteger(next)
  reply.array(found.length)
  for (const at of found) reply.bulk(members.keyAt(at, member))
}

export const setCommands: readonly Command[] = [
  sadd, srem, smove, sismember, smismember, scard, smembers, sscan, ...setRandomCommands, ...setAlgebraCommands,
]
