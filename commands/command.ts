/** COMMAND: what commands there are, and where their keys stand. */
import { globMatch } from '../protocol/glob.js'
import { Slice } from '../protocol/slice.js'
import { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { hasSloppyCount, keyPositions, specPositions } from '../src/engine/keys.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { replyDocs } from './command-docs.js'
import { aclCategories, keyFlags, replyInfo } from './command-info.js'
import { replyHelp } from './help.js'

const FLAGS = 'loading stale'
const UNORDERED = ['nondeterministic_output_order']

/** `get`, or `config|get` for a subcommand. */
function findCommand(call: Call, name: string): Command | undefined {
  const [container, sub, more] = name.toLowerCase().split('|')
  const found = call.engine.registry.findByName(container)
  if (sub === undefined) return found
  return more === undefined ? found?.subcommands?.get(sub) : undefined
}

function replyInfos(call: Call): void {
  const { args, reply, engine } = call
  if (args.count <= 2) {
    reply.array(engine.registry.all.size)
    for (const one of engine.registry.all.values()) replyInfo(reply, one)
    return
  }
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    const found = findCommand(call, args.at(i).latin1())
    if (found === undefined) reply.null()
    else replyInfo(reply, found)
  }
}

/** COMMAND COUNT */
const count = command({
  name: 'count', arity: 2, flags: FLAGS, acl: 'connection', group: 'server', since: '2.8.13', complexity: 'O(1)',
  summary: 'Counts the commands.', syntax: '',
}, (call) => call.reply.integer(call.engine.registry.all.size))

/** COMMAND INFO [command-name [command-name ...]] */
const info = command({
  name: 'info', arity: -2, flags: FLAGS, acl: 'connection', group: 'server', since: '2.8.13', tips: UNORDERED,
  complexity: 'O(N), N being the number of commands asked for.', summary: 'Tells how commands are called, for programs.',
  syntax: '[command-name [command-name ...]]',
}, replyInfos)

/** COMMAND DOCS [command-name [command-name ...]] */
const docs = command({
  name: 'docs', arity: -2, flags: FLAGS, acl: 'connection', group: 'server', since: '7.0.0', tips: UNORDERED,
  complexity: 'O(N), N being the number of commands asked for.', summary: 'Documents commands.',
  syntax: '[command-name [command-name ...]]',
}, (call) => {
  const { args, reply, engine } = call
  const wanted: Command[] = args.count === 2 ? [...engine.registry.all.values()] : []
  for (let i = 2; i < args.count; i++) {
    const found = findCommand(call, args.at(i).latin1())
    if (found !== undefined) wanted.push(found)
  }
  reply.map(wanted.length)
  for (const one of wanted) replyDocs(reply, one)
})

/** COMMAND LIST [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>] */
const list = command({
  name: 'list', arity: -2, flags: FLAGS, acl: 'connection', group: 'server', since: '7.0.0', tips: UNORDERED,
  complexity: 'O(N), N being the number of commands.', summary: 'Names the commands.',
  syntax: '[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]',
}, (call) => {
  const passes = readFilter(call)
  const names: string[] = []
  for (const one of call.engine.registry.all.values()) {
    if (passes(one)) names.push(one.fullName)
    for (const sub of one.subcommands?.values() ?? []) if (passes(sub)) names.push(sub.fullName)
  }
  call.reply.set(names.length)
  for (const name of names) call.reply.bulkText(name)
})

function readFilter({ args }: Call): (one: Command) => boolean {
  if (args.count === 2) return () => true
  if (args.count !== 5 || !args.is(2, 'filterby')) throw SYNTAX
  const wanted = args.at(4)
  if (args.is(3, 'module')) return () => false
  if (args.is(3, 'aclcat')) {
    const category = wanted.latin1().toLowerCase()
    return (one) => aclCategories(one).includes(category)
  }
  if (args.is(3, 'pattern')) return (one) => globMatch(wanted, Slice.from(one.fullName), true)
  throw SYNTAX
}

const UNKNOWN_COMMAND = replyError('ERR Invalid command specified')
const NO_KEYS = replyError('ERR The command has no key arguments')
const BAD_COUNT = replyError('ERR Invalid number of arguments specified for command')
const BAD_WORDS = replyError('ERR Invalid arguments specified for command')

interface FoundKey {
  readonly position: number
  readonly flags: readonly string[]
}

/** The keys of the command in the words from the third on. */
function findKeys(call: Call): { words: Args; keys: FoundKey[] } {
  const words = new Args()
  for (let i = 2; i < call.args.count; i++) {
    const word = call.args.at(i)
    words.slot(i - 2).set(word.buf, word.start, word.end)
  }
  words.count = call.args.count - 2
  const container = call.engine.registry.find(words.at(0))
  const named = container?.subcommands === undefined || words.count < 2 ? container
    : container.subcommands.get(words.at(1).latin1().toLowerCase())
  if (named === undefined) throw UNKNOWN_COMMAND
  const { spec } = named
  if (spec.findKeys === undefined && (spec.keys ?? []).length === 0) throw NO_KEYS
  if (spec.arity > 0 ? words.count !== spec.arity : words.count < -spec.arity) throw BAD_COUNT
  const keys = spec.findKeys === undefined ? keysBySpecs(named, words) : keysByCode(named, words)
  if (keys.length === 0 && !named.flags.has('no_mandatory_keys')) throw BAD_WORDS
  return { words, keys }
}

/** What no specification says: which use a key is put to, as the words decide. */
const FLAGS_BY_WORDS: Readonly<Record<string, (words: Args, index: number) => string[]>> = {
  set: (words) => (hasWord(words, 3, 'get') ? ['RW', 'access', 'update'] : ['OW', 'update']),
  bitfield: (words) => (hasWord(words, 2, 'set') || hasWord(words, 2, 'incrby') ? ['RW', 'access', 'update'] : ['RO', 'access']),
  sort: (_words, index) => (index === 0 ? ['RO', 'access'] : ['OW', 'update']),
}

function hasWord(words: Args, from: number, lower: string): boolean {
  for (let i = from; i < words.count; i++) if (words.is(i, lower)) return true
  return false
}

const NOT_SHOWN = new Set(['variable_flags', 'incomplete'])

function keysBySpecs(named: Command, words: Args): FoundKey[] {
  const byWords = FLAGS_BY_WORDS[named.fullName] as ((words: Args, index: number) => string[]) | undefined
  const specs = named.spec.keys ?? []
  if (specs.some((spec) => hasSloppyCount(spec, words)))
    return [...specs].reverse().flatMap((spec) => specPositions(spec, words).map((position) => ({ position, flags: [] })))
  return specs.flatMap((spec) => {
    const flags = keyFlags(spec).filter((flag) => !NOT_SHOWN.has(flag))
    return specPositions(spec, words).map((position, index) => ({ position, flags: byWords?.(words, index) ?? flags }))
  })
}

function keysByCode(named: Command, words: Args): FoundKey[] {
  const byWords = FLAGS_BY_WORDS[named.fullName] as ((words: Args, index: number) => string[]) | undefined
  const [first] = named.spec.keys ?? []
  const flags = first === undefined ? [] : keyFlags(first).filter((flag) => !NOT_SHOWN.has(flag))
  return keyPositions(named, words).map((position, index) => ({ position, flags: byWords?.(words, index) ?? flags }))
}

/** COMMAND GETKEYS command [arg [arg ...]] */
const getKeys = command({
  name: 'getkeys', arity: -3, flags: FLAGS, acl: 'connection', group: 'server', since: '2.8.13',
  complexity: 'O(N), N being the number of words.', summary: 'Finds the keys among the words of a command.',
  syntax: 'command [arg [arg ...]]',
}, (call) => {
  const { words, keys } = findKeys(call)
  call.reply.array(keys.length)
  for (const { position } of keys) call.reply.bulk(words.at(position))
})

/** COMMAND GETKEYSANDFLAGS command [arg [arg ...]] */
const getKeysAndFlags = command({
  name: 'getkeysandflags', arity: -3, flags: FLAGS, acl: 'connection', group: 'server', since: '7.0.0',
  complexity: 'O(N), N being the number of words.', summary: 'Finds the keys among the words of a command, and what it does with each.',
  syntax: 'command [arg [arg ...]]',
}, (call) => {
  const { words, keys } = findKeys(call)
  call.reply.array(keys.length)
  for (const { position, flags } of keys) {
    call.reply.array(2)
    call.reply.bulk(words.at(position))
    call.reply.set(flags.length)
    for (const flag of flags) call.reply.simple(flag)
  }
})

/** COMMAND HELP */
const help = command({
  name: 'help', arity: 2, flags: FLAGS, acl: 'connection', group: 'server', since: '5.0.0', complexity: 'O(1)', syntax: '',
  summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'COMMAND', [
  '(no subcommand)',
  '    Return details about all commands.',
  'COUNT',
  '    Return the total number of commands in this server.',
  'LIST',
  '    Return a list of all commands in this server.',
  'INFO [<command-name> ...]',
  '    Return details about multiple commands.',
  '    If no command names are given, documentation details for all',
  '    commands are returned.',
  'DOCS [<command-name> ...]',
  '    Return documentation details about multiple commands.',
  '    If no command names are given, documentation details for all',
  '    commands are returned.',
  'GETKEYS <full-command>',
  '    Return the keys from a full command.',
  'GETKEYSANDFLAGS <full-command>',
  '    Return the keys and the access flags from a full command.',
]))

/** COMMAND and its subcommands. */
export const commandCommand: Command = command({
  name: 'command', arity: -1, flags: FLAGS, acl: 'connection', group: 'server', since: '2.8.13', tips: UNORDERED,
  complexity: 'O(N), N being the number of commands.', summary: 'Tells about the commands of the server.', syntax: '',
  subcommands: [count, info, docs, list, getKeys, getKeysAndFlags, help],
}, replyInfos)
