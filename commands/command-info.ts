/** COMMAND INFO: a command's specification as clients and cluster proxies read it. */
import type { ReplyWriter } from '../protocol/resp/writer.js'
import type { Command, KeySpec } from '../src/engine/command.js'

/** All ACL categories, in the order in which they are shown. */
const ACL_CATEGORIES = [
  'keyspace', 'read', 'write', 'set', 'sortedset', 'list', 'hash', 'string', 'bitmap', 'hyperloglog', 'geo', 'stream', 'pubsub',
  'admin', 'fast', 'slow', 'blocking', 'dangerous', 'connection', 'transaction', 'scripting',
] as const

/** The ACL categories of a command: those it names and those that follow from its flags. */
export function aclCategories({ spec, flags }: Command): string[] {
  const categories = new Set(spec.acl === '' ? [] : spec.acl.split(' '))
  if (flags.has('write')) categories.add('write')
  // A script may write in spite of being flagged so, so it is not in the category of reading commands.
  if (flags.has('readonly') && !categories.has('scripting')) categories.add('read')
  if (flags.has('admin')) categories.add('admin').add('dangerous')
  if (flags.has('pubsub')) categories.add('pubsub')
  if (flags.has('blocking')) categories.add('blocking')
  categories.add(flags.has('fast') ? 'fast' : 'slow')
  return ACL_CATEGORIES.filter((category) => categories.has(category))
}

/** Positions of the first and the last key and the step between them, as old clients read them; zeros when they can not be told so. */
function keyRange(specs: readonly KeySpec[]): readonly [first: number, last: number, step: number] {
  const only = specs.length === 1 ? rangeOf(specs[0]) : undefined
  if (only !== undefined) return [only.first, only.last, only.step]
  let first = Infinity
  let last = 0
  let previousLast = 0
  for (const spec of specs) {
    const range = rangeOf(spec)
    // Only ranges that follow each other without a gap can be told as one.
    if (range === undefined || range.step !== 1 || (previousLast !== 0 && previousLast !== range.first - 1)) continue
    first = Math.min(first, range.first)
    // A position from the end is beyond all others.
    last = last < 0 || range.last < 0 ? Math.min(last, range.last) : Math.max(last, range.last)
    previousLast = last
  }
  return first === Infinity ? [0, 0, 0] : [first, last, 1]
}

function rangeOf(spec: KeySpec): { first: number; last: number; step: number } | undefined {
  const { begin, find } = spec
  if (begin === 'unknown' || find === 'unknown' || !('index' in begin) || !('last' in find)) return undefined
  return { first: begin.index, last: find.last < 0 ? find.last : begin.index + find.last, step: find.step }
}

/** Writes a command's entry. */
export function replyInfo(reply: ReplyWriter, command: Command): void {
  const { spec } = command
  const specs = spec.keys ?? []
  reply.array(10)
  reply.bulkText(command.fullName)
  reply.integer(spec.arity)
  replyNames(reply, spec.flags === '' ? [] : spec.flags.split(' '))
  for (const position of keyRange(specs)) reply.integer(position)
  replyNames(reply, aclCategories(command).map((category) => `@${category}`))
  const tips = spec.tips ?? []
  reply.set(tips.length)
  for (const tip of tips) reply.bulkText(tip)
  reply.set(specs.length)
  for (const one of specs) replyKeySpec(reply, one)
  reply.set(command.subcommands?.size ?? 0)
  for (const sub of command.subcommands?.values() ?? []) replyInfo(reply, sub)
}

function replyNames(reply: ReplyWriter, names: readonly string[]): void {
  reply.set(names.length)
  for (const name of names) reply.simple(name)
}

/** The flags of a key specification as they are shown: RO, RW, OW and RM in capitals, the rest not. */
export function keyFlags(spec: KeySpec): string[] {
  return spec.flags.split(' ').filter((flag) => flag !== '').map((flag) => (/^(RO|RW|OW|RM)$/.test(flag) ? flag : flag.toLowerCase()))
}

function replyKeySpec(reply: ReplyWriter, spec: KeySpec): void {
  reply.map(spec.notes === undefined ? 3 : 4)
  if (spec.notes !== undefined) {
    reply.bulkText('notes')
    reply.bulkText(spec.notes)
  }
  reply.bulkText('flags')
  replyNames(reply, keyFlags(spec))
  reply.bulkText('begin_search')
  const { begin, find } = spec
  if (begin === 'unknown') replySearch(reply, 'unknown', [])
  else if ('index' in begin) replySearch(reply, 'index', [['index', begin.index]])
  else replySearch(reply, 'keyword', [['keyword', begin.keyword], ['startfrom', begin.from]])
  reply.bulkText('find_keys')
  if (find === 'unknown') replySearch(reply, 'unknown', [])
  else if ('last' in find) replySearch(reply, 'range', [['lastkey', find.last], ['keystep', find.step], ['limit', find.limit]])
  else replySearch(reply, 'keynum', [['keynumidx', find.keynum], ['firstkey', find.first], ['keystep', find.step]])
}

function replySearch(reply: ReplyWriter, type: string, fields: readonly (readonly [string, string | number])[]): void {
  reply.map(2)
  reply.bulkText('type')
  reply.bulkText(type)
  reply.bulkText('spec')
  reply.map(fields.length)
  for (const [name, value] of fields) {
    reply.bulkText(name)
    if (typeof value === 'number') reply.integer(value)
    else reply.bulkText(value)
  }
}
