/**
 * SORT: the elements of a list, set or sorted set in another order, with what other keys say about them.
 *
 *     load elements --> weigh each (itself, or BY pattern) --> sort --> LIMIT --> GET patterns --> reply or STORE
 *
 * A pattern names a key by putting the element in the place of its first `*`; `key->field` reads a field of
 * a hash. A BY pattern without `*` means: do not sort.
 */
import { slotOf } from '../protocol/crc16.js'
import { readRangeBound } from '../protocol/number.js'
import { scratch, Slice } from '../protocol/slice.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command, type CommandSpec, type KeySpec } from '../src/engine/command.js'
import { replyError, SYNTAX, WRONG_TYPE } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { hashGet } from '../src/keyspace/hash.js'
import { LargeList } from '../src/keyspace/list.js'
import { ListCursor } from '../src/keyspace/list-cursor.js'
import { seekList, storeList } from '../src/keyspace/list-value.js'
import { SetWalk } from '../src/keyspace/set.js'
import { HASH, LIST, SET, STRING, ZSET } from '../src/keyspace/types.js'
import { enlargeSortedSet } from '../src/keyspace/zset-edit.js'
import { SortedSetWalk } from '../src/keyspace/zset-walk.js'

const NOT_A_NUMBER = replyError("ERR One or more scores can't be converted into double")
const BY_OTHER_SLOT = replyError('ERR BY option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.')
const GET_OTHER_SLOT = replyError('ERR GET option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.')

const STAR = 42
const ARROW = Buffer.from('->')

/** What to look up for an element. */
interface Pattern {
  /** `#`: the element itself. */
  readonly isElement: boolean
  /** The key around the element; undefined when the pattern has no `*` and so never finds anything. */
  readonly prefix: Buffer | undefined
  readonly suffix: Buffer
  readonly field: Slice | undefined
}

interface SortOptions {
  descending: boolean
  alphabetic: boolean
  skip: number
  /** How many elements to return; negative: all. */
  limit: number
  by: Pattern | undefined
  dontSort: boolean
  readonly get: Pattern[]
  /** Position of the key to store into, or 0. */
  storeAt: number
}

function readPattern(word: Slice): Pattern {
  const bytes = word.copy()
  const star = bytes.indexOf(STAR)
  const isElement = bytes.length === 1 && bytes[0] === 35
  if (star < 0) return { isElement, prefix: undefined, suffix: bytes, field: undefined }
  let arrow = bytes.indexOf(ARROW, star + 1)
  if (arrow + ARROW.length === bytes.length) arrow = -1
  return {
    isElement,
    prefix: bytes.subarray(0, star),
    suffix: bytes.subarray(star + 1, arrow < 0 ? bytes.length : arrow),
    field: arrow < 0 ? undefined : new Slice(bytes, arrow + ARROW.length),
  }
}

function readOptions(call: Call, mayStore: boolean): SortOptions {
  const { args } = call
  const options: SortOptions = {
    descending: false, alphabetic: false, skip: 0, limit: -1, by: undefined, dontSort: false, get: [], storeAt: 0,
  }
  for (let i = 2; i < args.count; i++) {
    const more = args.count - i - 1
    if (args.is(i, 'asc')) options.descending = false
    else if (args.is(i, 'desc')) options.descending = true
    else if (args.is(i, 'alpha')) options.alphabetic = true
    else if (args.is(i, 'limit') && more >= 2) {
      options.skip = args.integer(++i)
      options.limit = args.integer(++i)
    } else if (mayStore && args.is(i, 'store') && more >= 1) options.storeAt = ++i
    else if (args.is(i, 'by') && more >= 1) {
      options.by = readPattern(args.at(++i))
      // As in Valkey, one constant BY decides, whatever BY follows.
      if (options.by.prefix === undefined) options.dontSort = true
      else if (isForeign(call, args.at(i))) throw BY_OTHER_SLOT
    } else if (args.is(i, 'get') && more >= 1) {
      options.get.push(readPattern(args.at(++i)))
      if (isForeign(call, args.at(i)) && !args.is(i, '#')) throw GET_OTHER_SLOT
    } else throw SYNTAX
  }
  return options
}

/** Whether, in a cluster, keys of this pattern may live in another slot than the key to be sorted. */
function isForeign(call: Call, pattern: Slice): boolean {
  if (!call.config.clusterEnabled) return false
  const name = call.args.at(1)
  const text = pattern.latin1()
  const open = text.indexOf('{')
  const close = open < 0 ? -1 : text.indexOf('}', open + 2)
  // Only a hash tag, before anything that stands for other bytes, fixes the slot.
  const fixed = close < 0 ? text : text.slice(0, close)
  if (/[*?[\\]/.test(fixed)) return true
  return slotOf(pattern.buf, pattern.start, pattern.end) !== slotOf(name.buf, name.start, name.end)
}

// ---- loading and weighing ----

interface Element {
  readonly bytes: Buffer
  /** What it is sorted by: a number, or with ALPHA the bytes; undefined where BY found nothing. */
  score: number
  weight: Buffer | undefined
}

const member = Slice.scratch()
const listCursor = scratch(new ListCursor())
const setWalk = scratch(new SetWalk())
const zsetWalk = scratch(new SortedSetWalk())

function element(bytes: Slice): Element {
  return { bytes: bytes.copy(), score: 0, weight: undefined }
}

/** The elements in their own order; of a list or sorted set that is not to be sorted, backwards for DESC. */
function loadElements(call: Call, ref: Ref, backwards: boolean): Element[] {
  const { db } = call
  const elements: Element[] = []
  if (ref === 0) return elements
  switch (db.typeOf(ref)) {
    case LIST:
      for (seekList(db, ref, 0, listCursor); listCursor.valid; listCursor.next()) elements.push(element(listCursor.get(member)))
      break
    case SET:
      setWalk.start(db, ref)
      while (setWalk.next()) elements.push(element(setWalk.member))
      return elements
    default:
      // A trait of Valkey: a sorted set is large from its first SORT on, whatever its size.
      zsetWalk.open(db, enlargeSortedSet(db, ref))
      for (let more = zsetWalk.seek(0); more; more = zsetWalk.next()) elements.push(element(zsetWalk.member))
      zsetWalk.close()
  }
  return backwards ? elements.reverse() : elements
}

const found = Slice.scratch()
const name = Slice.scratch()

/** What the pattern finds for an element: a view, or undefined. */
function lookUp(call: Call, pattern: Pattern, bytes: Buffer): Slice | undefined {
  if (pattern.isElement) return found.set(bytes, 0, bytes.length)
  if (pattern.prefix === undefined) return undefined
  const key = Buffer.concat([pattern.prefix, bytes, pattern.suffix])
  const ref = call.db.lookupRead(name.set(key, 0, key.length))
  if (ref === 0) return undefined
  const type = call.db.typeOf(ref)
  if (pattern.field !== undefined)
    return type === HASH && hashGet(call.db, ref, pattern.field, found) ? found : undefined
  return type === STRING ? call.db.bytesOf(ref, found) : undefined
}

function weigh(call: Call, elements: readonly Element[], options: SortOptions): void {
  for (const one of elements) {
    const weight = options.by === undefined
      ? found.set(one.bytes, 0, one.bytes.length) : lookUp(call, options.by, one.bytes)
    if (weight === undefined) continue
    if (options.alphabetic) one.weight = options.by === undefined ? one.bytes : weight.copy()
    else one.score = readScore(weight)
  }
}

/** The smallest double of full precision. */
const NORMAL_MIN = 2 ** -1022

/** C's strtod over the whole text: an empty text is 0; what is out of range on either side is refused. */
function readScore(text: Slice): number {
  const score = readRangeBound(text.buf, text.start, text.end)
  const size = Math.abs(score)
  if (size >= NORMAL_MIN && size < Infinity) return score
  // The extremes are rare: is it a plain 0, the word for infinity, or a number out of range?
  const written = text.latin1()
  const isExact = score === 0 ? !/^[^ep]*[1-9]/i.test(written) : size === Infinity && /inf/i.test(written)
  if (!isExact) throw NOT_A_NUMBER
  return score
}

function sortElements(elements: Element[], options: SortOptions): void {
  const sign = options.descending ? -1 : 1
  if (!options.alphabetic)
    elements.sort((a, b) => sign * (a.score === b.score ? Buffer.compare(a.bytes, b.bytes) : a.score < b.score ? -1 : 1))
  else elements.sort((a, b) => sign * compareWeights(a.weight, b.weight))
}

/** What was not found comes first. */
function compareWeights(a: Buffer | undefined, b: Buffer | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1
  return Buffer.compare(a, b)
}

// ---- the command ----

function sort(call: Call, mayStore: boolean): void {
  const { args, db } = call
  const options = readOptions(call, mayStore)
  const ref = db.lookupRead(args.at(1))
  const type = ref === 0 ? LIST : db.typeOf(ref)
  if (type !== LIST && type !== SET && type !== ZSET) throw WRONG_TYPE
  // A set has no order of its own: what is stored must not depend on how it is held.
  if (options.dontSort && type === SET && options.storeAt > 0) {
    options.dontSort = false
    options.alphabetic = true
    options.by = undefined
  }
  const elements = loadElements(call, ref, options.dontSort && options.descending)
  if (!options.dontSort) {
    weigh(call, elements, options)
    sortElements(elements, options)
  }
  const skip = Math.max(0, options.skip)
  const chosen = elements.slice(skip, options.limit < 0 ? elements.length : skip + options.limit)
  if (options.storeAt > 0) store(call, chosen, options)
  else reply(call, chosen, options)
}

function reply(call: Call, elements: readonly Element[], options: SortOptions): void {
  const { reply: out } = call
  out.array(elements.length * Math.max(1, options.get.length))
  for (const { bytes } of elements) {
    if (options.get.length === 0) out.bulkRange(bytes, 0, bytes.length)
    for (const pattern of options.get) {
      const value = lookUp(call, pattern, bytes)
      if (value === undefined) out.null()
      else out.bulk(value)
    }
  }
}

function store(call: Call, elements: readonly Element[], options: SortOptions): void {
  const { args, db } = call
  const target = args.at(options.storeAt)
  const limit = call.config.listMaxListpackSize
  const list = new LargeList(limit)
  const nothing = new Slice()
  for (const { bytes } of elements) {
    if (options.get.length === 0) list.push(member.set(bytes, 0, bytes.length), false)
    for (const pattern of options.get) list.push(lookUp(call, pattern, bytes) ?? nothing, false)
  }
  if (list.size > 0) {
    storeList(db, target, list, limit)
    call.changed(target, 'l', 'sortstore')
  } else if (db.lookup(target) !== 0) {
    db.delete(target)
    call.changed(target, 'g', 'del')
  }
  call.reply.integer(list.size)
}

/** The key to sort, and the last key to store into. */
function sortKeys(args: Args): number[] {
  let storeAt = 0
  for (let i = 2; i < args.count; i++) {
    const more = args.count - i - 1
    if (args.is(i, 'limit')) i += 2
    else if (args.is(i, 'get') || args.is(i, 'by')) i++
    else if (args.is(i, 'store') && more >= 1) storeAt = ++i
  }
  return storeAt === 0 ? [1] : [1, storeAt]
}

const PATTERN_KEYS: KeySpec = {
  flags: 'RO ACCESS', begin: 'unknown', find: 'unknown',
  notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
}
const STORE_KEY: KeySpec = {
  flags: 'OW UPDATE', begin: 'unknown', find: 'unknown',
  notes: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
}
const COMMON = {
  arity: -2, group: 'generic', acl: 'set sortedset list dangerous',
  complexity: 'O(N+M*log(M)), N being the number of elements and M that of those returned.',
} as const satisfies Partial<CommandSpec>
const OPTIONS = 'key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]'

// SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]
const sortCommand = command({
  ...COMMON, name: 'sort', flags: 'write denyoom movablekeys', since: '1.0.0', findKeys: sortKeys,
  keys: [key(1, 'RO ACCESS'), PATTERN_KEYS, STORE_KEY], syntax: `${OPTIONS} [STORE destination]`,
  summary: 'Sorts the elements of a list, set or sorted set; returns or stores them.',
}, (call) => sort(call, true))

// SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA]
const sortRo = command({
  ...COMMON, name: 'sort_ro', flags: 'readonly movablekeys', since: '7.0.0', keys: [key(1, 'RO ACCESS'), PATTERN_KEYS],
  syntax: OPTIONS, summary: 'Returns the elements of a list, set or sorted set, sorted.',
}, (call) => sort(call, false))

/** SORT, SORT_RO. */
export const sortCommands: readonly Command[] = [sortCommand, sortRo]
