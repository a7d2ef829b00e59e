/**
 * What is known of a command: the data that COMMAND, ACL categories, routing and COMPATIBILITY.md are generated
 * from, and what is counted of it. How it is written down stands in command.ts.
 */
import type { Config } from '../config/index.js'
import type { ReplyError } from '../errors.js'
import type { Args } from './args.js'
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
  /** What a Redis user would miss, for COMPATIBILITY.md; absent when the command is complete. */
  readonly missing?: string
  /** Works on all keys without naming one (FLUSHALL, SWAPDB): waits while any key is in flight. */
  readonly touchesAll?: true
  /** Positions of words that MONITOR and SLOWLOG show as `(redacted)`. */
  readonly secrets?: (args: Args) => number[]
  /** Why this client may not call the command now; asked before it is queued or run. */
  readonly refuse?: (config: Config, clientAddress: string) => ReplyError | undefined
  /**
   * The positions of the keys, where no specification can tell (MIGRATE, SORT ... STORE). Throws the
   * error that COMMAND GETKEYS answers.
   */
  readonly findKeys?: (args: Args) => number[]
}

export interface Command {
  readonly spec: CommandSpec
  /** `config|get` for a subcommand. */
  readonly fullName: string
  /** Its code. Only a `Call` may run it: whoever else reads the command sees data. */
  readonly run: (call: never) => void
  readonly flags: ReadonlySet<string>
  // What is asked before every call stands here, not in the specification: all commands have these fields in the same place.
  readonly arity: number
  readonly isWrite: boolean
  readonly deniesOom: boolean
  /** Clients that have not authenticated may call it. */
  readonly needsNoAuth: boolean
  readonly isFast: boolean
  /** Fast commands, and a few more, are timed together with their like; see timing.ts. */
  readonly isTimedByRun: boolean
  /** Timed by itself when this word is large; 0 when no word makes it slow. */
  readonly payloadWord: number
  readonly notInMulti: boolean
  /** Runs at once inside a transaction instead of being queued. */
  readonly runsInMulti: boolean
  readonly refuse: CommandSpec['refuse'] | undefined
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

/** Counters at zero. */
export function newStats(): CommandStats {
  return { calls: 0, usec: 0, rejected: 0, failed: 0, latency: undefined }
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
