/** CONFIG: reads and changes the directives of a running server. */
import type { Args } from '../src/engine/args.js'
import { command, resetStats, type Command } from '../src/engine/command.js'
import { Config } from '../src/engine/configuration.js'
import type { Engine } from '../src/engine/engine.js'
import { traffic } from '../src/engine/rates.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { replyHelp } from './help.js'

const ADMIN = 'admin noscript loading stale'
const ON_ALL_NODES = ['request_policy:all_nodes', 'response_policy:all_succeeded']

/** CONFIG GET parameter [parameter ...] */
const get = command({
  name: 'get', arity: -3, flags: ADMIN, acl: '', group: 'server', since: '2.0.0',
  complexity: 'O(N), N being the number of parameters.', summary: 'Tells the values of directives.', syntax: 'parameter [parameter ...]',
}, (call) => {
  const patterns: string[] = []
  for (let i = 2; i < call.args.count; i++) patterns.push(call.args.at(i).latin1())
  const found = call.config.get(...patterns)
  call.reply.map(found.length)
  for (const pair of found) for (const text of pair) {
    const bytes = Buffer.from(text, 'latin1')
    call.reply.bulkRange(bytes, 0, bytes.length)
  }
})

/** Positions of passwords. */
function secrets(args: Args): number[] {
  const positions: number[] = []
  for (let i = 2; i + 1 < args.count; i += 2) if (Config.isSensitive(args.at(i).latin1())) positions.push(i + 1)
  return positions
}

/** CONFIG SET parameter value [parameter value ...] */
const set = command({
  name: 'set', arity: -4, flags: ADMIN, acl: '', group: 'server', since: '2.0.0', tips: ON_ALL_NODES, secrets,
  complexity: 'O(N), N being the number of parameters.', summary: 'Changes directives, all or none.',
  syntax: 'parameter value [parameter value ...]',
}, (call) => {
  const { args, session } = call
  if (args.count % 2 !== 0) throw SYNTAX
  const pairs: [string, string][] = []
  for (let i = 2; i < args.count; i += 2) pairs.push([args.at(i).latin1(), args.at(i + 1).latin1()])
  const refusal = call.config.set(pairs, { local: isLocal(session.link.address) })
  if (refusal !== undefined) throw replyError(refusal)
  call.reply.ok()
})

/** Whether a client at this address is on this machine: over the loopback interface, a unix socket or in process. */
export function isLocal(address: string): boolean {
  return address === '' || /^(127\.|\[::1\]|\/|\[::ffff:127\.)/.test(address)
}

/** CONFIG RESETSTAT */
const resetStat = command({
  name: 'resetstat', arity: 2, flags: ADMIN, acl: '', group: 'server', since: '2.0.0', complexity: 'O(1)', tips: ON_ALL_NODES,
  summary: 'Sets the statistics of INFO back to zero.', syntax: '',
}, (call) => {
  resetStatistics(call.engine)
  call.reply.ok()
})

function resetStatistics(engine: Engine): void {
  const { stats } = engine.keyspace
  stats.hits = stats.misses = stats.expired = stats.expiredStalePercent = stats.evicted = 0
  Object.assign(engine.stats, {
    commands: 0, connections: 0, rejectedConnections: 0, errorReplies: 0, unexpectedErrors: 0, deniedAuth: 0, reads: 0, writes: 0,
    queryLimitCloses: 0, outputLimitCloses: 0,
  })
  const { bytesIn, bytesOut } = traffic(engine.stats, engine.sessions)
  engine.stats.closedBytesIn -= bytesIn
  engine.stats.closedBytesOut -= bytesOut
  engine.rates.reset()
  engine.errorCounts.clear()
  for (const one of engine.registry.all.values()) {
    resetStats(one.stats)
    for (const sub of one.subcommands?.values() ?? []) resetStats(sub.stats)
  }
}

/** CONFIG REWRITE */
const rewrite = command({
  name: 'rewrite', arity: 2, flags: ADMIN, acl: '', group: 'server', since: '2.8.0', complexity: 'O(1)', tips: ON_ALL_NODES,
  summary: 'Writes the directives of now into the configuration file.', syntax: '',
}, (call) => {
  const refusal = call.config.rewrite()
  if (refusal !== undefined) throw replyError(refusal)
  call.reply.ok()
})

/** CONFIG HELP */
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: '', group: 'server', since: '5.0.0', complexity: 'O(1)', syntax: '',
  summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'CONFIG', [
  'GET <pattern>',
  '    Return parameters matching the glob-like <pattern> and their values.',
  'SET <directive> <value>',
  '    Set the configuration <directive> to <value>.',
  'RESETSTAT',
  '    Reset statistics reported by the INFO command.',
  'REWRITE',
  '    Rewrite the configuration file.',
]))

/** CONFIG and its subcommands. */
export const configCommand: Command = command({
  name: 'config', arity: -2, flags: '', acl: '', group: 'server', since: '2.0.0', complexity: 'Depends on the subcommand.',
  syntax: '', summary: 'Reads and changes the directives of the server.', subcommands: [get, set, resetStat, rewrite, help],
})
