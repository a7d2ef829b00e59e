/**
 * What a command is: data that COMMAND, ACL categories, routing and COMPATIBILITY.md are generated from,
 * beside straight-line code that reads its words and writes its reply.
 *
 *     export const hget = command({
 *       name: 'hget', arity: 3, flags: 'readonly fast', acl: 'hash', keys: [key(1, 'RO ACCESS')],
 *       group: 'hash', since: '2.0.0', complexity: 'O(1)', syntax: 'key field',
 *       summary: 'Returns the value of a field of a hash.',
 *     }, call => { ... })
 */
import type { Call } from './call.js'
import { Histogram } from './histogram.js'

export type CommandGroup =
  | 'string' | 'hash' | 'list' | 'set' | 'sorted-set' | 'stream' | 'generic' | 'transactions' | 'connection'
  | 'server' | 'pubsub' | 'scripting' | 'cluster' | 'bitmap' | 'geo' | 'hyperloglog'

/** Where keys stand among the words (a "key specification" of COMMAND INFO). */
export interface KeySpec {
  /** As Valkey prints them: 'RO ACCESS', 'RW UPDATE', 'OW INSERT', 'RM DELETE' ..., 'VARIABLE_FLAGS', 'INCOMPLETE', 'NOT_KEY'. */
  readonly flags: string
  /** The first key: at word `index`, or behind the word `keyword` searched from word `from` (negative: from the end). */
  readonly begin: { readonly index: number } | { readonly keyword: string; readonly from: number } | 'unknown'
  /**
   * `last`: the last key relative to the first (negative: from the end); `step`; `limit` as in Valkey (2: only
   * the first half of what remains). Or a count of keys in the word `keynum` words behind `begin`, the first
   * key `first` words behind it.
   */
  readonly find:
    | { readonly last: number; readonly step: number; readonly limit: number }
    | { readonly keynum: number; readonly first: number; readonly step: number }
    | 'unknown'
  readonly notes?: string
}

/** One key at word `index`. */
export const key = (index: number, flags: string): KeySpec =>
  ({ flags, begin: { index }, find: { last: 0, step: 1, limit: 0 } })

/** Keys from word `index` to `last` (relative to the first; -1 is the last word), every `step` words. */
export const keys = (index: number, last: number, step: number, flags: string): KeySpec =>
  ({ flags, begin: { index }, find: { last, step, limit: 0 } })

/** A count of keys at word `index`, the keys behind it. */
export const numberedKeys = (index: number, flags: string): KeySpec =>
  ({ flags, begin: { index }, find: { keynum: 0, first: 1, step: 1 } })

export interface CommandSpec {
  /** Lower case. A subcommand's own word only ('get' of 'config|get'). */
  readonly name: string
  /** Number of words, the name included; negative: at least that many. */
  readonly arity: number
  /**
   * Words as COMMAND INFO prints them: write readonly denyoom admin fast noscript loading stale blocking
   * movablekeys skip_monitor skip_slowlog no_auth no_async_loading no_multi may_replicate asking
   * no_mandatory_keys allow_busy pubsub.
   */
  readonly flags: string
  /** ACL categories beyond those that follow from the flags (write, read, fast or slow, admin+dangerous, blocking, pubsub): 'keyspace dangerous'. */
  readonly acl: string
  readonly keys?: readonly KeySpec[]
  /** Command tips of COMMAND INFO: 'nondeterministic_output' ... */
  readonly tips?: readonly string[]
  readonly group: CommandGroup
  readonly since: string
  readonly complexity: string
  readonly summary: string
  /**
   * The arguments as the documentation writes them, without the command's name:
   * `key [NX | XX] [GET] [EX seconds | PX milliseconds] field value [field value ...]`.
   */
  readonly syntax: string
  readonly subcommands?: readonly Command[]
  /** Works on all keys without naming one (FLUSHALL, SWAPDB): waits while any key is in flight. */
  readonly touchesAll?: true
  /** Positions of words that MONITOR and SLOWLOG show as `(redacted)`. */
  readonly secrets?: (args: import('./args.js').Args) => number[]
  /**
   * The positions of the keys, where no specification can tell (MIGRATE, SORT ... STORE). Throws the
   * error that COMMAND GETKEYS answers.
   */
  readonly findKeys?: (args: import('./args.js').Args) => number[]
}

export type Handler = (call: Call) => void

export interface Command {
  readonly spec: CommandSpec
  /** `config|get` for a subcommand. */
  readonly fullName: string
  readonly run: Handler
  readonly flags: ReadonlySet<string>
  readonly isWrite: boolean
  readonly deniesOom: boolean
  readonly stats: CommandStats
  readonly subcommands: ReadonlyMap<string, Command> | undefined
}

/** What INFO commandstats prints. */
export interface CommandStats {
  calls: number
  usec: number
  rejected: number
  failed: number
  /** How long its calls took; made with the first one that is counted (`latency-tracking`). */
  latency: Histogram | undefined
}

/** Counts calls of a command that took so long each. */
export function recordLatency(stats: CommandStats, microseconds: number, calls = 1): void {
  stats.latency ??= new Histogram()
  stats.latency.record(microseconds, calls)
}

/** CONFIG RESETSTAT. */
export function resetStats(stats: CommandStats): void {
  stats.calls = stats.usec = stats.rejected = stats.failed = 0
  stats.latency = undefined
}

/** Makes a command of its data and its code. A container of subcommands needs no code. */
export function command(spec: CommandSpec, run: Handler = runNothing): Command {
  const flags = new Set(spec.flags === '' ? [] : spec.flags.split(' '))
  return {
    spec,
    fullName: spec.name,
    run,
    flags,
    isWrite: flags.has('write'),
    deniesOom: flags.has('denyoom'),
    stats: { calls: 0, usec: 0, rejected: 0, failed: 0, latency: undefined },
    subcommands: spec.subcommands === undefined ? undefined : named(spec.name, spec.subcommands),
  }
}

function named(container: string, subcommands: readonly Command[]): ReadonlyMap<string, Command> {
  return new Map(subcommands.map((sub) => [sub.spec.name, { ...sub, fullName: `${container}|${sub.spec.name}` }]))
}

function runNothing(): void {}
