/**
 * Several sets at once: SINTER, SUNION, SDIFF and their relatives.
 *
 * Which encoding a stored result gets, and the order of a packed one, depend on how Valkey arrives at it;
 * the steps below are therefore taken in its order.
 */
import { intsetParse } from '../protocol/rdb/intset.js'
import { readInt64 } from '../protocol/number.js'
import { scratch, type Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { command, key, keys, numberedKeys, type Command, type CommandSpec } from '../src/engine/command.js'
import { replyError, SYNTAX, type ReplyError } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { SetEdit, setHas, setSize, SetWalk } from '../src/keyspace/set.js'
import { HASHTABLE, INTSET, LISTPACK, SET } from '../src/keyspace/types.js'

const NUMKEYS_RANGE = replyError('ERR numkeys should be greater than 0')
const NUMKEYS_TOO_MANY = replyError("ERR Number of keys can't be greater than number of args")
const LIMIT_NEGATIVE = replyError("ERR LIMIT can't be negative")

const result = new SetEdit()
const walk = scratch(new SetWalk())

/** The records of the sets in words `first` to `last`, 0 where there is none. */
function readSets(call: Call, first: number, last: number): Ref[] {
  const refs: Ref[] = []
  for (let i = first; i <= last; i++) refs.push(call.read(call.args.at(i), SET))
  return refs
}

/** Stores the result under word 1, or deletes that key when the result is empty; replies its size. */
function storeResult(call: Call, event: string): void {
  const target = call.args.at(1)
  const { size } = result
  if (size === 0) {
    result.close()
    return storeNothing(call)
  }
  result.commit(target)
  call.changed(target, 's', event)
  call.reply.integer(size)
}

function storeNothing(call: Call): void {
  const target = call.args.at(1)
  if (call.db.delete(target)) call.changed(target, 'g', 'del')
  call.reply.integer(0)
}

// ------------------------------------------------------------------------------------------------ intersection

/** Whether a member is in all sets but the first (which it came from). */
function isInAll(call: Call, refs: readonly Ref[], member: Slice): boolean {
  for (let i = 1; i < refs.length; i++)
    if (refs[i] !== refs[0] && !setHas(call.db, refs[i], member)) return false
  return true
}

/** The sets from small to large: the members of the smallest are looked for in the others. */
function bySize(call: Call, refs: Ref[]): Ref[] {
  return refs.sort((a, b) => setSize(call.db, a) - setSize(call.db, b))
}

// SINTER key [key ...]
const sinter = command(algebra('sinter', 'O(N*M), N being the size of the smallest set and M the number of sets.',
  'Returns the members that all the sets have.'), (call) => {
  const { reply } = call
  const refs = bySizeOrNone(call, 1, call.args.count - 1)
  if (refs === undefined) return reply.set(0)
  const mark = reply.begin()
  let count = 0
  walk.start(call.db, refs[0])
  while (walk.next()) {
    if (!isInAll(call, refs, walk.member)) continue
    reply.bulk(walk.member)
    count++
  }
  reply.endSet(mark, count)
})

/** The sets by size, or undefined when one of them is missing and the intersection therefore empty. */
function bySizeOrNone(call: Call, first: number, last: number): Ref[] | undefined {
  const refs = readSets(call, first, last)
  return refs.includes(0) ? undefined : bySize(call, refs)
}

// SINTERSTORE destination key [key ...]
const sinterstore = command(algebraStore('sinterstore',
  'O(N*M), N being the size of the smallest set and M the number of sets.',
  'Stores the members that all the sets have as a set of its own.'), (call) => {
  const { db, config } = call
  const refs = bySizeOrNone(call, 2, call.args.count - 1)
  if (refs === undefined) return storeNothing(call)
  result.begin(db, db.encodingOf(refs[0]) === INTSET ? INTSET : LISTPACK, config)
  let onlyIntegers = true
  walk.start(db, refs[0])
  while (walk.next()) {
    if (!isInAll(call, refs, walk.member)) continue
    if (onlyIntegers && intsetParse(walk.member) === undefined) onlyIntegers = false
    result.add(walk.member)
  }
  if (onlyIntegers && result.size > 0) result.packIntegers()
  storeResult(call, 'sinterstore')
})

// SINTERCARD numkeys key [key ...] [LIMIT limit]
const sintercard = command({
  name: 'sintercard', arity: -3, flags: 'readonly movablekeys', acl: 'set', keys: [numberedKeys(1, 'RO ACCESS')],
  group: 'set', since: '7.0.0', complexity: 'O(N*M), N being the size of the smallest set and M the number of sets.',
  syntax: 'numkeys key [key ...] [LIMIT limit]', summary: 'Counts the members that all the sets have.',
}, (call) => {
  const { args, reply } = call
  const keyCount = positive(args.at(1), 1n, NUMKEYS_RANGE)
  if (keyCount > args.count - 2) throw NUMKEYS_TOO_MANY
  let limit = Infinity
  for (let i = 2 + keyCount; i < args.count; i += 2) {
    if (!args.is(i, 'limit') || i + 1 >= args.count) throw SYNTAX
    limit = positive(args.at(i + 1), 0n, LIMIT_NEGATIVE) || Infinity
  }
  const refs = bySizeOrNone(call, 2, 1 + keyCount)
  if (refs === undefined) return reply.integer(0)
  let count = 0
  walk.start(call.db, refs[0])
  while (walk.next()) if (isInAll(call, refs, walk.member) && ++count >= limit) break
  walk.stop()
  reply.integer(count)
})

/** A 64-bit integer of at least `least`; any other text is the same error. */
function positive(word: Slice, least: bigint, error: ReplyError): number {
  const value = readInt64(word.buf, word.start, word.end)
  if (value === undefined || value < least) throw error
  return Number(value)
}

// ------------------------------------------------------------------------------------------------ union

function addAll(call: Call, ref: Ref): void {
  walk.start(call.db, ref)
  while (walk.next()) result.add(walk.member)
}

/**
 * Begins the result of a union or difference. One that is stored begins as an intset and becomes what its
 * members make of it; one that is only returned is a table at once unless all sets are intsets.
 */
function beginResult(call: Call, refs: readonly Ref[], isStored: boolean): void {
  const isIntset = isStored || refs.every((ref) => ref === 0 || call.db.encodingOf(ref) === INTSET)
  result.begin(call.db, isIntset ? INTSET : HASHTABLE, call.config)
}

function replyResult(call: Call): void {
  call.reply.set(result.walk(walk))
  while (walk.next()) call.reply.bulk(walk.member)
  result.close()
}

function unite(call: Call, first: number, isStored: boolean): void {
  const refs = readSets(call, first, call.args.count - 1)
  beginResult(call, refs, isStored)
  for (const ref of refs) addAll(call, ref)
}

// SUNION key [key ...]
const sunion = command(algebra('sunion', 'O(N), N being the number of members of all sets.',
  'Returns the members that at least one of the sets has.'), (call) => {
  unite(call, 1, false)
  replyResult(call)
})

// SUNIONSTORE destination key [key ...]
const sunionstore = command(algebraStore('sunionstore', 'O(N), N being the number of members of all sets.',
  'Stores the members that at least one of the sets has as a set of its own.'), (call) => {
  unite(call, 2, true)
  storeResult(call, 'sunionstore')
})

// ------------------------------------------------------------------------------------------------ difference

function subtract(call: Call, first: number, isStored: boolean): void {
  const refs = readSets(call, first, call.args.count - 1)
  beginResult(call, refs, isStored)
  const minuend = refs[0]
  const others = refs.slice(1)
  if (minuend === 0 || others.includes(minuend)) return
  const sizes = new Map<Ref, number>()
  for (const ref of refs) sizes.set(ref, ref === 0 ? 0 : setSize(call.db, ref))
  const sizeOf = (ref: Ref): number => sizes.get(ref) ?? 0
  const present = others.filter((ref) => ref !== 0)
  const lookups = (sizeOf(minuend) * (present.length + 1)) / 2
  const visits = present.reduce((sum, ref) => sum + sizeOf(ref), sizeOf(minuend))
  if (Math.floor(lookups) <= visits) keepMissing(call, minuend, present.sort((a, b) => sizeOf(b) - sizeOf(a)))
  else removeAll(call, minuend, present)
}

/** Each member of the first set is looked for in the others, the largest first. */
function keepMissing(call: Call, minuend: Ref, others: readonly Ref[]): void {
  walk.start(call.db, minuend)
  while (walk.next()) {
    let isElsewhere = false
    for (let i = 0; i < others.length && !isElsewhere; i++) isElsewhere = setHas(call.db, others[i], walk.member)
    if (!isElsewhere) result.add(walk.member)
  }
}

/** The first set as a whole, then all members of the others are taken out. */
function removeAll(call: Call, minuend: Ref, others: readonly Ref[]): void {
  addAll(call, minuend)
  for (const ref of others) {
    walk.start(call.db, ref)
    while (result.size > 0 && walk.next()) result.delete(walk.member)
  }
  walk.stop()
}

// SDIFF key [key ...]
const sdiff = command(algebra('sdiff', 'O(N), N being the number of members of all sets.',
  'Returns the members of the first set that none of the others has.'), (call) => {
  subtract(call, 1, false)
  replyResult(call)
})

// SDIFFSTORE destination key [key ...]
const sdiffstore = command(algebraStore('sdiffstore', 'O(N), N being the number of members of all sets.',
  'Stores the members of the first set that none of the others has as a set of its own.'), (call) => {
  subtract(call, 2, true)
  storeResult(call, 'sdiffstore')
})

// ------------------------------------------------------------------------------------------------ specifications

function algebra(name: string, complexity: string, summary: string): CommandSpec {
  return {
    name, arity: -2, flags: 'readonly', acl: 'set', keys: [keys(1, -1, 1, 'RO ACCESS')],
    tips: ['nondeterministic_output_order'],
    group: 'set', since: '1.0.0', complexity, syntax: 'key [key ...]', summary,
  }
}

function algebraStore(name: string, complexity: string, summary: string): CommandSpec {
  return {
    name, arity: -3, flags: 'write denyoom', acl: 'set',
    keys: [key(1, 'OW UPDATE'), keys(2, -1, 1, 'RO ACCESS')],
    group: 'set', since: '1.0.0', complexity, syntax: 'destination key [key ...]', summary,
  }
}

/** SINTER, SINTERSTORE, SINTERCARD, SUNION, SUNIONSTORE, SDIFF, SDIFFSTORE. */
export const setAlgebraCommands: readonly Command[] = [
  sinter, sinterstore, sintercard, sunion, sunionstore, sdiff, sdiffstore,
]
