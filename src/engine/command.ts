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
import { newStats, type Command, type CommandSpec, type KeySpec } from './command-spec.js'

export { resetStats, type Command, type CommandGroup, type CommandSpec, type CommandStats, type KeySpec } from './command-spec.js'

/** One key at word `index`. */
export const key = (index: number, flags: string): KeySpec =>
  ({ flags, begin: { index }, find: { last: 0, step: 1, limit: 0 } })

/** Keys from word `index` to `last` (relative to the first; -1 is the last word), every `step` words. */
export const keys = (index: number, last: number, step: number, flags: string): KeySpec =>
  ({ flags, begin: { index }, find: { last, step, limit: 0 } })

/** A count of keys at word `index`, the keys behind it. */
export const numberedKeys = (index: number, flags: string): KeySpec =>
  ({ flags, begin: { index }, find: { keynum: 0, first: 1, step: 1 } })

/** A command's code: reads its words, writes its reply, throws its errors. */
export type Handler = (call: Call) => void

/** Makes a command of its data and its code. A container of subcommands needs no code. */
export function command(spec: CommandSpec, run: Handler = runNothing): Command {
  const flags = new Set(spec.flags === '' ? [] : spec.flags.split(' '))
  return {
    spec,
    fullName: spec.name,
    run,
    flags,
    arity: spec.arity,
    isWrite: flags.has('write'),
    deniesOom: flags.has('denyoom'),
    needsNoAuth: flags.has('no_auth'),
    isFast: flags.has('fast'),
    isTimedByRun: flags.has('fast') || TIMED_BY_RUN.has(spec.name),
    payloadWord: spec.name === 'restore' ? 3 : 0,
    notInMulti: flags.has('no_multi'),
    runsInMulti: RUNS_IN_MULTI.has(spec.name),
    refuse: spec.refuse,
    stats: newStats(),
    subcommands: spec.subcommands === undefined ? undefined : named(spec.name, spec.subcommands),
  }
}

/** Not marked as fast, because their cost grows with their words, but mostly called with few. */
const TIMED_BY_RUN = new Set(['set', 'mset', 'restore'])
const RUNS_IN_MULTI = new Set(['exec', 'discard', 'multi', 'watch', 'quit', 'reset'])

function named(container: string, subcommands: readonly Command[]): ReadonlyMap<string, Command> {
  return new Map(subcommands.map((sub) => [sub.spec.name, {
    ...sub, fullName: `${container}|${sub.spec.name}`, isTimedByRun: sub.isFast, runsInMulti: false,
  }]))
}

function runNothing(): void {}
