/** Sets: members at random, SRANDMEMBER to look at them, SPOP to take them out. */
import { scratch, Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { NOT_POSITIVE, OUT_OF_RANGE, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { sampleIndices, sampleRecords } from '../src/keyspace/sample.js'
import { largeSetOf, SetDraw, SetEdit, setRandom, setSize, SetWalk } from '../src/keyspace/set.js'
import { HASHTABLE, INTSET, LISTPACK, SET } from '../src/keyspace/types.js'
import { readSampleCount, REPEATED_MAX } from './sample-count.js'

/** A pop that leaves less than a fifth of what it takes builds the rest as a new set, in Valkey and here. */
const REBUILD_FACTOR = 5

const edit = new SetEdit()
const walk = scratch(new SetWalk())
const draw = scratch(new SetDraw())
const member = Slice.scratch()

// ------------------------------------------------------------------------------------------------ SRANDMEMBER

// SRANDMEMBER key [count]
const srandmember = command({
  name: 'srandmember', arity: -2, flags: 'readonly', acl: 'set', keys: [key(1, 'RO ACCESS')],
  tips: ['nondeterministic_output'],
  group: 'set', since: '1.0.0', complexity: 'O(N), N being the absolute value of the count.',
  syntax: 'key [count]', summary: 'Returns one or more members of a set chosen at random.',
}, (call) => {
  const { args, db, reply } = call
  if (args.count > 3) throw SYNTAX
  const count = args.count === 3 ? readSampleCount(args, 2) : undefined
  const ref = call.read(args.at(1), SET)
  if (count === undefined) {
    if (ref === 0) reply.null()
    else reply.bulk(setRandom(db, ref, call.random, member))
  } else if (ref === 0 || count === 0n) reply.array(0)
  else if (count < 0n) replyRepeated(call, ref, Number(-count))
  else replyDistinct(call, ref, Number(count))
})

function replyRepeated(call: Call, ref: Ref, count: number): void {
  if (count > REPEATED_MAX) throw OUT_OF_RANGE
  call.reply.array(count)
  draw.start(call.db, ref)
  for (let i = 0; i < count; i++) call.reply.bulk(draw.next(call.random))
  draw.close()
}

function replyDistinct(call: Call, ref: Ref, count: number): void {
  const { db, reply } = call
  const size = setSize(db, ref)
  const wanted = Math.min(count, size)
  reply.array(wanted)
  if (wanted === size) {
    walk.start(db, ref)
    while (walk.next()) reply.bulk(walk.member)
  } else if (db.encodingOf(ref) === HASHTABLE) {
    const { members } = largeSetOf(db, ref)
    for (const at of sampleRecords(members, wanted, call.random)) reply.bulk(members.keyAt(at, member))
  } else {
    walk.start(db, ref)
    let at = -1
    for (const index of sampleIndices(size, wanted, call.random)) {
      for (; at < index; at++) walk.next()
      reply.bulk(walk.member)
    }
  }
}

// ------------------------------------------------------------------------------------------------ SPOP

/** What replicas and the append-only file get: the members that went, by name. */
class Removals {
  readonly words: (string | Buffer)[] = []
  readonly #isWanted: boolean

  constructor(call: Call, name: Slice) {
    this.#isWanted = call.engine.services.propagate !== undefined
    if (this.#isWanted) this.words.push('SREM', name.copy())
  }

  add(removed: Slice): void {
    if (this.#isWanted) this.words.push(removed.copy())
  }
}

// SPOP key [count]
const spop = command({
  name: 'spop', arity: -2, flags: 'write fast', acl: 'set', keys: [key(1, 'RW ACCESS DELETE')],
  tips: ['nondeterministic_output'],
  group: 'set', since: '1.0.0', complexity: 'O(N), N being the count.',
  syntax: 'key [count]', summary: 'Removes one or more members chosen at random and returns them.',
}, (call) => {
  const { args, reply } = call
  if (args.count > 3) throw SYNTAX
  const count = args.count === 3 ? args.int64(2, NOT_POSITIVE) : undefined
  if (count !== undefined && count < 0n) throw NOT_POSITIVE
  const name = args.at(1)
  const ref = call.write(name, SET)
  if (count === undefined) {
    if (ref === 0) reply.null()
    else popOne(call, name, ref)
  } else if (ref === 0 || count === 0n) reply.set(0)
  else if (count >= setSize(call.db, ref)) popAll(call, name, ref)
  else popSome(call, name, ref, Number(count))
})

function popOne(call: Call, name: Slice, ref: Ref): void {
  const removals = new Removals(call, name)
  setRandom(call.db, ref, call.random, member)
  call.reply.bulk(member)
  removals.add(member)
  edit.open(call.db, ref, call.config).delete(member)
  const isEmpty = edit.size === 0
  if (isEmpty) {
    edit.close()
    call.db.delete(name)
  } else edit.commit(name)
  call.changed(name, 's', 'spop')
  if (isEmpty) call.changed(name, 'g', 'del')
  call.propagateAs(removals.words)
}

function popAll(call: Call, name: Slice, ref: Ref): void {
  call.reply.set(walk.start(call.db, ref))
  while (walk.next()) call.reply.bulk(walk.member)
  call.db.delete(name)
  call.changed(name, 's', 'spop')
  call.changed(name, 'g', 'del')
  call.propagateAs([call.config.lazyfreeLazyServerDel ? 'UNLINK' : 'DEL', name.copy()])
}

/** Takes fewer than all members. */
function popSome(call: Call, name: Slice, ref: Ref, count: number): void {
  const removals = new Removals(call, name)
  const rebuild = (setSize(call.db, ref) - count) * REBUILD_FACTOR <= count
  call.reply.set(count)
  if (call.db.encodingOf(ref) !== HASHTABLE) popPacked(call, ref, count, rebuild, removals)
  else if (rebuild) popMostOfTable(call, ref, count, removals)
  else popFewOfTable(call, ref, count, removals)
  edit.commit(name)
  call.changed(name, 's', 'spop')
  call.propagateAs(removals.words)
}

function popPacked(call: Call, ref: Ref, count: number, rebuild: boolean, removals: Removals): void {
  const size = walk.start(call.db, ref)
  const chosen = sampleIndices(size, count, call.random)
  edit.open(call.db, ref, call.config)
  // A rebuilt intset is as wide as the members that are left need.
  const rewrites = rebuild && edit.encoding === INTSET
  if (rewrites) edit.restart(INTSET)
  let next = 0
  for (let i = 0; i < size; i++) {
    walk.next()
    if (i === chosen[next]) {
      next++
      call.reply.bulk(walk.member)
      removals.add(walk.member)
    } else if (rewrites) edit.add(walk.member)
  }
  // From the last to the first, so that the indices stay right.
  if (!rewrites) for (let i = count - 1; i >= 0; i--) edit.deleteAt(chosen[i])
}

function popFewOfTable(call: Call, ref: Ref, count: number, removals: Removals): void {
  const set = largeSetOf(call.db, ref)
  edit.open(call.db, ref, call.config)
  for (const at of sampleRecords(set.members, count, call.random)) {
    set.members.keyAt(at, member)
    call.reply.bulk(member)
    removals.add(member)
    set.delete(member)
  }
}

/** The few that stay become a new set, which may be packed again; the old one is the reply. */
function popMostOfTable(call: Call, ref: Ref, count: number, removals: Removals): void {
  const set = largeSetOf(call.db, ref)
  edit.open(call.db, ref, call.config).restart(LISTPACK)
  for (const at of sampleRecords(set.members, set.size - count, call.random)) {
    set.members.keyAt(at, member)
    edit.add(member)
    set.delete(member)
  }
  walk.startTable(set.members)
  while (walk.next()) {
    call.reply.bulk(walk.member)
    removals.add(walk.member)
  }
}

/** SRANDMEMBER, SPOP. */
export const setRandomCommands: readonly Command[] = [srandmember, spop]
