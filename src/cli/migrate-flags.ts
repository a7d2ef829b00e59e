/**
 * The command line of `keyferry migrate`: Vault's flags (-config FILE, -max-parallel=4, -reset) and more, each with one
 * dash or two. One table (`FLAGS`) says what there is; parsing and --help both go by it.
 *
 * As with Vault's own parser a value may follow after `=` or as the next word, and a flag without a value is true unless
 * it says `=false`. Other than there, flags may come behind the URLs too; `--` ends them. The last of a flag that is given
 * twice counts, but for those that collect.
 */
import { withoutSecrets } from '../backends/url.js'
import type { ConflictPolicy } from '../transfer/store.js'
import { suggestion } from './nearest.js'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'
export type LogFormat = 'standard' | 'json'
export type Verification = 'none' | 'quick' | 'full'
export type KeyType = (typeof KEY_TYPES)[number]

/** Keys of database `from` go to database `to`. */
export interface DatabaseMapping {
  readonly from: number
  readonly to: number
}

/** What a command line asked for. What it did not name is undefined, or has the default that --help tells. */
export interface MigrateFlags {
  help: boolean
  /** The file of `keyferry migrate undo FILE`. */
  undo: string | undefined
  urls: { readonly source: string, readonly destination: string } | undefined
  config: string | undefined
  start: string | undefined
  reset: boolean
  maxParallel: number
  logLevel: LogLevel
  logFormat: LogFormat
  state: string | undefined
  onConflict: ConflictPolicy | undefined
  dryRun: boolean
  plan: string | undefined
  apply: string | undefined
  verify: Verification
  repair: boolean
  undoLog: string | undefined
  match: string[]
  exclude: string[]
  types: KeyType[]
  databases: DatabaseMapping[]
  prefixFrom: string | undefined
  prefixTo: string | undefined
  keysPerSecond: number | undefined
  bytesPerSecond: number | undefined
  batch: number | undefined
  unordered: boolean
  chunkBytes: number | undefined
  report: string | undefined
}

/** A command line that can not be run; one sentence. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageError'
  }
}

export interface FlagSpec {
  readonly name: string
  readonly group: string
  /** What stands for its value in --help; undefined for a flag that is on or off. */
  readonly value?: string
  readonly summary: string
  /** As --help tells it. */
  readonly default?: string
  readonly env?: string
  readonly repeats?: boolean
  /** Puts the value ('true' or 'false' for a flag without one) into the result. Throws UsageError. */
  readonly set: (flags: MigrateFlags, text: string, name: string) => void
}

const KEY_TYPES = ['string', 'list', 'set', 'zset', 'hash', 'stream'] as const
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const
const FORMATS = ['standard', 'json'] as const
const POLICIES = ['replace', 'skip', 'error'] as const
const VERIFICATIONS = ['none', 'quick', 'full'] as const
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1000, m: 1e6, g: 1e9, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3, b: 1 }

export const FLAG_GROUPS = ['What to copy', 'Which keys', 'How', 'Safety', 'Output'] as const
const [WHAT, WHICH, HOW, SAFETY, OUTPUT] = FLAG_GROUPS

export const FLAGS: readonly FlagSpec[] = [
  { name: 'config', group: WHAT, value: 'FILE', summary: 'file with storage_source and storage_destination, HCL or JSON', set: (f, text) => { f.config = text } },
  { name: 'start', group: WHAT, value: 'PREFIX', summary: 'only keys at or after this one', set: (f, text) => { f.start = text } },
  { name: 'state', group: WHAT, value: 'DIR', summary: 'folder for the checkpoint from which the same command goes on', set: (f, text) => { f.state = text } },
  { name: 'reset', group: WHAT, summary: 'remove the lock that a killed migration left, and end', set: (f, text) => { f.reset = text === 'true' } },
  { name: 'match', group: WHICH, value: 'GLOB', repeats: true, summary: 'only keys that one of these patterns fits', set: (f, text) => { f.match.push(text) } },
  { name: 'exclude', group: WHICH, value: 'GLOB', repeats: true, summary: 'no keys that one of these patterns fits', set: (f, text) => { f.exclude.push(text) } },
  { name: 'type', group: WHICH, value: 'TYPE', repeats: true, summary: `only keys of this type: ${KEY_TYPES.join(', ')}; several with commas`, set: (f, text, name) => { f.types.push(...text.split(',').map((word) => oneOf(name, word, KEY_TYPES))) } },
  { name: 'db', group: WHICH, value: 'MAP', repeats: true, summary: 'only this database (2), or this one into another (0:3)', set: setDatabase },
  { name: 'prefix-from', group: WHICH, value: 'TEXT', summary: 'only keys that begin with this; with --prefix-to it is replaced', set: (f, text) => { f.prefixFrom = text } },
  { name: 'prefix-to', group: WHICH, value: 'TEXT', summary: 'what keys begin with at the destination, instead of --prefix-from', set: (f, text) => { f.prefixTo = text } },
  { name: 'max-parallel', group: HOW, value: 'N', default: '10', summary: 'batches under way at once', set: (f, text, name) => { f.maxParallel = wholeNumber(name, text, 1, 1000) } },
  { name: 'batch', group: HOW, value: 'N', summary: 'keys in one batch, at most', set: (f, text, name) => { f.batch = wholeNumber(name, text, 1, 1_000_000) } },
  { name: 'rate', group: HOW, value: 'LIMIT', repeats: true, summary: 'not faster than 5000 (keys read a second), 10MB (written a second), or 5000,10MB', set: setRate },
  { name: 'chunk-bytes', group: HOW, value: 'SIZE', summary: 'larger values go in pieces of this size (64MB)', set: (f, text, name) => { f.chunkBytes = bytes(name, text) } },
  { name: 'unordered', group: HOW, summary: 'copy in the order the source lists its keys, without sorting them', set: (f, text) => { f.unordered = text === 'true' } },
  { name: 'on-conflict', group: SAFETY, value: 'POLICY', default: "replace in Vault's layouts, error elsewhere", summary: 'what to do with a key the destination has: replace, skip, error', set: (f, text, name) => { f.onConflict = oneOf(name, text, POLICIES) } },
  { name: 'dry-run', group: SAFETY, summary: 'write nothing; say what would become of each key', set: (f, text) => { f.dryRun = text === 'true' } },
  { name: 'plan', group: SAFETY, value: 'FILE', summary: 'the same, and write it down in this file', set: (f, text) => { f.plan = text } },
  { name: 'apply', group: SAFETY, value: 'FILE', summary: 'copy what this plan says, and nothing else', set: (f, text) => { f.apply = text } },
  { name: 'verify', group: SAFETY, value: 'HOW', default: 'none', summary: 'compare both sides afterwards: none, quick (names, some values), full (all values)', set: (f, text, name) => { f.verify = oneOf(name, text, VERIFICATIONS) } },
  { name: 'repair', group: SAFETY, summary: 'compare, and copy only what differs', set: (f, text) => { f.repair = text === 'true' } },
  { name: 'undo-log', group: SAFETY, value: 'FILE', summary: 'keep what is overwritten; keyferry migrate undo FILE brings it back', set: (f, text) => { f.undoLog = text } },
  { name: 'log-level', group: OUTPUT, value: 'LEVEL', default: 'info', env: 'VAULT_LOG_LEVEL', summary: `${LOG_LEVELS.join(', ')}; debug writes a line per key`, set: (f, text, name) => { f.logLevel = oneOf(name, text.toLowerCase(), LOG_LEVELS) } },
  { name: 'log-format', group: OUTPUT, value: 'FORMAT', default: 'standard', summary: 'standard, or json: an object per line', set: (f, text, name) => { f.logFormat = oneOf(name, text, FORMATS) } },
  { name: 'report', group: OUTPUT, value: 'FILE', summary: 'write the outcome as JSON', set: (f, text) => { f.report = text } },
  { name: 'help', group: OUTPUT, summary: 'this text', set: (f, text) => { f.help = text === 'true' } },
]

/** Reads the words behind `keyferry migrate`. Throws UsageError. */
export function readMigrateFlags(words: readonly string[], env: Readonly<Record<string, string | undefined>> = process.env): MigrateFlags {
  const flags = defaults()
  const level = env['VAULT_LOG_LEVEL']
  if (level !== undefined && level !== '') flags.logLevel = oneOf('VAULT_LOG_LEVEL', level.toLowerCase(), LOG_LEVELS, '')
  const given = new Set<string>()
  const positionals: string[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    if (word === '--') {
      positionals.push(...words.slice(i + 1))
      break
    }
    if (!word.startsWith('-') || word === '-') {
      positionals.push(word)
      continue
    }
    const spec = flagOf(word)
    const value = valueOf(spec, word, words[i + 1])
    if (value.isNextWord) i++
    given.add(spec.name)
    spec.set(flags, value.text, spec.name)
  }
  if (flags.help) return flags
  setPositionals(flags, positionals)
  refuseContradictions(flags, given)
  return flags
}

function defaults(): MigrateFlags {
  return {
    help: false, undo: undefined, urls: undefined, config: undefined, start: undefined, reset: false, maxParallel: 10, logLevel: 'info', logFormat: 'standard', state: undefined,
    onConflict: undefined, dryRun: false, plan: undefined, apply: undefined, verify: 'none', repair: false, undoLog: undefined, match: [], exclude: [], types: [],
    databases: [], prefixFrom: undefined, prefixTo: undefined, keysPerSecond: undefined, bytesPerSecond: undefined, batch: undefined, unordered: false, chunkBytes: undefined,
    report: undefined,
  }
}

function flagOf(word: string): FlagSpec {
  const name = /^--?([^=]*)/.exec(word)?.[1] ?? ''
  const spec = FLAGS.find((flag) => flag.name === name || (name === 'h' && flag.name === 'help'))
  if (spec !== undefined) return spec
  throw new UsageError(`there is no flag '${word.split('=')[0]}'${suggestion(name, FLAGS.map((flag) => flag.name), '--')}`)
}

function valueOf(spec: FlagSpec, word: string, next: string | undefined): { text: string, isNextWord: boolean } {
  const equals = word.indexOf('=')
  const text = equals < 0 ? undefined : word.slice(equals + 1)
  if (spec.value === undefined) {
    if (text === undefined || /^(true|t|1)$/i.test(text)) return { text: 'true', isNextWord: false }
    if (/^(false|f|0)$/i.test(text)) return { text: 'false', isNextWord: false }
    throw new UsageError(`flag --${spec.name} takes no value but true or false, not '${text}'`)
  }
  if (text !== undefined) return { text, isNextWord: false }
  if (next === undefined) throw new UsageError(`flag --${spec.name} needs a value: --${spec.name} ${spec.value} (${spec.summary})`)
  // A flag where a value should be is a value left out, more likely than a file that is called --dry-run.
  if (/^--?[a-z]/.test(next) && FLAGS.some((flag) => flag.name === /^--?([^=]*)/.exec(next)?.[1]))
    throw new UsageError(`flag --${spec.name} needs a value, and the flag '${next.split('=')[0]}' follows; if that is the value, write --${spec.name}=${next.split('=')[0]}`)
  return { text: next, isNextWord: true }
}

function setPositionals(flags: MigrateFlags, words: readonly string[]): void {
  if (words[0] === 'undo') {
    if (words.length !== 2) throw new UsageError('undo takes one file: keyferry migrate undo FILE, where FILE is what --undo-log wrote')
    flags.undo = words[1]
    return
  }
  if (words.length === 2) flags.urls = { source: words[0], destination: words[1] }
  else if (words.length !== 0)
    throw new UsageError(`${words.length === 1 ? `'${withoutSecrets(words[0])}' stands alone` : `there are ${words.length} words beside the flags`}; keyferry migrate takes two URLs, the source and the destination, or none and -config FILE`)
}

/** The flags that mean something to `undo`. */
const UNDO_FLAGS: readonly string[] = ['config', 'on-conflict', 'state', 'reset']

function refuseContradictions(flags: MigrateFlags, given: ReadonlySet<string>): void {
  const idle = flags.undo === undefined ? undefined : [...given].find((name) => !UNDO_FLAGS.includes(name))
  if (idle !== undefined) throw new UsageError(`undo has no flag --${idle}: the log says what is put back; there are ${UNDO_FLAGS.map((name) => `--${name}`).join(', ')}`)
  if (flags.config !== undefined && /^[a-z][a-z0-9+-]*:\/\//i.test(flags.config)) throw new UsageError('-config takes a file, and this is a URL; two URLs, the source and the destination, stand without a flag')
  if (flags.undo === undefined) {
    if (flags.config !== undefined && flags.urls !== undefined) throw new UsageError('both -config and two URLs name the source and the destination; give one of them')
    if (flags.config === undefined && flags.urls === undefined) throw new UsageError('nothing says what to copy: give -config FILE, or two URLs, the source and the destination (see keyferry migrate --help)')
  }
  const asked = new Set(given)
  if (!flags.dryRun) asked.delete('dry-run')
  if (!flags.repair) asked.delete('repair')
  if (flags.verify === 'none') asked.delete('verify')
  const compares = 'what would be copied is what is missing (created) or differs (overwritten, conflict)'
  const excluded: readonly (readonly [string, string, string])[] = [
    ['plan', 'apply', 'a plan is either made or followed'],
    ['dry-run', 'apply', 'a dry run writes nothing'],
    ...['dry-run', 'plan'].flatMap((dry) => [
      [dry, 'verify', `nothing is copied that could be verified. Leave --verify out: ${compares}`] as const,
      [dry, 'repair', `nothing is written. Leave --repair out: ${compares}`] as const,
      [dry, 'undo-log', 'nothing is overwritten that could be undone'] as const,
    ]),
    ['repair', 'apply', 'both say which keys to copy'],
  ]
  for (const [one, other, reason] of excluded)
    if (asked.has(one) && asked.has(other)) throw new UsageError(`--${one} and --${other} exclude each other: ${reason}`)
  if (flags.repair && flags.onConflict !== undefined && flags.onConflict !== 'replace') throw new UsageError(`--repair and --on-conflict ${flags.onConflict} exclude each other: a repair writes over what differs`)
  if (flags.reset && (flags.dryRun || flags.plan !== undefined || flags.apply !== undefined)) throw new UsageError('-reset only removes the lock; it goes with no --dry-run, --plan or --apply')
  const mapped = flags.databases.map(({ from }) => from)
  const twice = mapped.find((from, i) => mapped.indexOf(from) !== i)
  if (twice !== undefined) throw new UsageError(`--db names database ${twice} twice`)
}

// ------------------------------------------------------------------------------------------------ values

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[], dashes = '--'): T {
  const found = allowed.find((word) => word === text)
  if (found === undefined) throw new UsageError(`${dashes}${name} is '${text}'; it must be one of ${allowed.join(', ')}${suggestion(text, allowed)}`)
  return found
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!/^\d{1,15}$/.test(text) || value < least || value > most) throw new UsageError(`--${name} is '${text}'; it must be a whole number from ${least} to ${most}`)
  return value
}

function bytes(name: string, text: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? []
  const factor = UNITS[unit.toLowerCase()]
  const size = Math.floor(Number(digits) * factor)
  if (digits === undefined || factor === undefined || size < 1 || size > Number.MAX_SAFE_INTEGER)
    throw new UsageError(`--${name} is '${text}'; it must be a size, such as 4096, 512KB, 64MB or 1GB`)
  return size
}

/** A limit with a unit of bytes is a data rate, one without is a rate of keys. */
function setRate(flags: MigrateFlags, text: string, name: string): void {
  for (const limit of text.split(',')) {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb|keys)?(?:\/s)?$/i.exec(limit.trim()) ?? []
    if (amount === undefined || Number(amount) <= 0) throw new UsageError(`--${name} is '${text}'; it must be keys a second (5000), bytes a second (10MB), or both (5000,10MB)`)
    if (unit === undefined || unit.toLowerCase() === 'keys') flags.keysPerSecond = Number(amount)
    else flags.bytesPerSecond = bytes(name, amount + unit)
  }
}

function setDatabase(flags: MigrateFlags, text: string, name: string): void {
  for (const word of text.split(',')) {
    const [, from, to = from] = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(word) ?? []
    if (from === undefined) throw new UsageError(`--${name} is '${text}'; it must be the number of a database (2), or from:to (0:3)`)
    flags.databases.push({ from: Number(from), to: Number(to) })
  }
}
