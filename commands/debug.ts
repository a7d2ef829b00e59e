/**
 * DEBUG: what test suites need of a server beside its commands. Off unless `enable-debug-command` allows it.
 * What needs files, replicas or the cluster, and what would end the process, is not there.
 */
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { NOT_INTEGER, replyError } from '../src/errors.js'
import { Digest } from '../src/keyspace/digest.js'
import { setPlainThreshold } from '../src/keyspace/list-node.js'
import { isLocal } from './config.js'
import { datasetDigest, mixValue } from './debug-digest.js'
import {
  debugKeyTableStats, debugListpack, debugObject, debugPopulate, debugQuicklist, debugSdsLen, debugTableStats,
} from './debug-objects.js'
import { debugProtocol } from './debug-protocol.js'
import { replyHelp, wrongSubcommand } from './help.js'

const NOT_ALLOWED = replyError(
  'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local ' +
  'connection, otherwise you need to set this option in the configuration file, and then restart the server.')

interface DebugWord {
  /** Fewest and most words, DEBUG and the subcommand included. */
  readonly least: number
  readonly most: number
  readonly run: (call: Call) => void
}

const one = (words: number, run: (call: Call) => void): DebugWord => ({ least: words, most: words, run })
const ok = (words: number): DebugWord => one(words, (call) => call.reply.ok())

/** A C program's atoi: what is no number is 0. */
function flag(call: Call): boolean {
  return (Number.parseInt(call.args.at(2).latin1(), 10) || 0) !== 0
}

function digestValues({ args, db, reply }: Call): void {
  reply.array(args.count - 2)
  for (let i = 2; i < args.count; i++) {
    const digest = new Digest()
    const ref = db.lookup(args.at(i))
    if (ref !== 0) mixValue(digest, db, ref)
    reply.simple(digest.hex)
  }
}

/** The whole server sleeps, as one that hangs does. */
function sleep(call: Call): void {
  const seconds = Number.parseFloat(call.args.at(2).latin1())
  if (seconds > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000)
  call.engine.clock.refresh()
  call.reply.ok()
}

const BAD_THRESHOLD = replyError('ERR argument must be a memory value bigger than 1 and smaller than 4gb')
const UNITS: Readonly<Record<string, number>> = {
  '': 1, b: 1, k: 1000, kb: 1024, m: 1e6, mb: 1024 ** 2, g: 1e9, gb: 1024 ** 3,
}

function packedThreshold(call: Call): void {
  const match = /^(\d*)([a-z]*)$/i.exec(call.args.at(2).latin1())
  const bytes = match === null ? NaN : Number(match[1]) * (UNITS[match[2].toLowerCase()] ?? NaN)
  // `not <` instead of `>=`: NaN must fail too.
  if (!(bytes < 2 ** 32)) throw BAD_THRESHOLD
  setPlainThreshold(bytes)
  call.reply.ok()
}

function replyBuffer(call: Call): void {
  const { args } = call
  if (args.is(2, 'peak-reset-time')) {
    if (!args.is(3, 'never') && !args.is(3, 'reset')) args.integer(3, NOT_INTEGER)
  } else if (!args.is(2, 'resizing')) throw wrongSubcommand(call, 'DEBUG')
  call.reply.ok()
}

const NO_SUCH_TUNABLE = replyError('ERR No such file or directory')

function rewriteAll({ config, reply }: Call): void {
  const refusal = config.rewrite({ forceAll: true })
  if (refusal !== undefined) throw replyError(`ERR CONFIG-REWRITE-FORCE-ALL failed: ${refusal.replace(/^ERR /, '')}`)
  reply.ok()
}

const WORDS: Readonly<Record<string, DebugWord>> = {
  'change-repl-id': one(2, ({ engine, reply }) => {
    engine.replicationId = engine.random.hex(40)
    reply.ok()
  }),
  'config-rewrite-force-all': one(2, rewriteAll),
  'dict-resizing': ok(3),
  'digest': one(2, ({ engine, reply }) => reply.simple(datasetDigest(engine.databases))),
  'digest-value': { least: 2, most: Infinity, run: digestValues },
  // Sent as it is, and not counted as an error that a command answered.
  'error': one(3, ({ args, reply }) => reply.error(args.at(2).latin1())),
  'htstats': { least: 3, most: Infinity, run: debugTableStats },
  'htstats-key': { least: 3, most: Infinity, run: debugKeyTableStats },
  'listpack': one(3, debugListpack),
  'log': one(3, ({ args, engine, reply }) => {
    engine.services.log?.(`DEBUG LOG: ${args.at(2).latin1()}`)
    reply.ok()
  }),
  'mallctl': { least: 3, most: 4, run: () => { throw NO_SUCH_TUNABLE } },
  'object': { least: 3, most: 4, run: debugObject },
  'pause-cron': one(3, (call) => {
    call.engine.cronPaused = flag(call)
    call.reply.ok()
  }),
  'populate': { least: 3, most: 5, run: debugPopulate },
  'protocol': one(3, debugProtocol),
  'quicklist': { least: 3, most: 4, run: debugQuicklist },
  'quicklist-packed-threshold': one(3, packedThreshold),
  'replicate': { least: 3, most: Infinity, run: ({ args, engine, db, reply }) => {
    engine.services.propagate?.(db, args.copy().slice(3))
    reply.ok()
  } },
  'replybuffer': one(4, replyBuffer),
  'sdslen': one(3, debugSdsLen),
  'set-active-expire': one(3, (call) => {
    call.engine.activeExpiry = flag(call)
    call.reply.ok()
  }),
  'set-disable-deny-scripts': ok(3),
  'set-skip-checksum-validation': one(3, (call) => {
    call.engine.skipChecksum = flag(call)
    call.reply.ok()
  }),
  'sleep': one(3, sleep),
  'help': one(2, (call) => replyHelp(call, 'DEBUG', HELP)),
}

/** DEBUG subcommand [arg [arg ...]] */
export const debugCommand: Command = command({
  name: 'debug', arity: -2, flags: 'admin noscript loading stale', acl: '', group: 'server', since: '1.0.0',
  complexity: 'Depends on the subcommand.', syntax: '', missing: 'no subcommands that crash the server or need files, replicas or the cluster bus',
  summary: 'Looks inside the server and changes what only tests change.',
  refuse: (config, clientAddress) => {
    const allowed = config.enableDebugCommand === 'yes' || (config.enableDebugCommand === 'local' && isLocal(clientAddress))
    return allowed ? undefined : NOT_ALLOWED
  },
}, (call) => {
  const { args } = call
  const word = WORDS[args.at(1).latin1().toLowerCase()] as DebugWord | undefined
  if (word === undefined || args.count < word.least || args.count > word.most) throw wrongSubcommand(call, 'DEBUG')
  word.run(call)
})

const HELP = [
  'CHANGE-REPL-ID',
  '    Change the replication IDs of the instance.',
  '    Dangerous: should be used only for testing the replication subsystem.',
  'CONFIG-REWRITE-FORCE-ALL',
  '    Like CONFIG REWRITE but writes all configuration options, including',
  '    keywords not listed in original configuration file or default values.',
  'DIGEST',
  '    Output a hex signature representing the current DB content.',
  'DIGEST-VALUE <key> [<key> ...]',
  '    Output a hex signature of the values of all the specified keys.',
  'ERROR <string>',
  '    Return a RESP protocol error with <string> as message. Useful for clients',
  '    unit tests to simulate error replies.',
  'LOG <message>',
  '    Write <message> to the server log.',
  'HTSTATS <dbid> [full]',
  '    Return hash table statistics of the specified database.',
  'HTSTATS-KEY <key> [full]',
  "    Like HTSTATS but for the hash table stored at <key>'s value.",
  'REPLICATE <string>',
  '    Replicates the provided string to replicas, allowing data divergence.',
  'MALLCTL <key> [<val>]',
  '    Get or set a malloc tuning integer.',
  'OBJECT <key> [fast]',
  '    Show low level info about `key` and associated value.',
  '    Some fields of the default behavior may be time consuming to fetch,',
  '    and `fast` can be passed to avoid fetching them.',
  'POPULATE <count> [<prefix>] [<size>]',
  '    Create <count> string keys named key:<num>. If <prefix> is specified then',
  "    it is used instead of the 'key' prefix. These are not propagated to",
  '    replicas. Cluster slots are not respected so keys not belonging to the',
  '    current node can be created in cluster mode.',
  'PROTOCOL <type>',
  '    Reply with a test value of the specified type. <type> can be: string,',
  '    integer, double, bignum, null, array, set, map, attrib, push, verbatim,',
  '    true, false.',
  'SDSLEN <key>',
  '    Show low level SDS string info representing `key` and value.',
  'SET-ACTIVE-EXPIRE <0|1>',
  '    Setting it to 0 disables expiring keys in background when they are not',
  '    accessed (otherwise the behavior). Setting it to 1 reenables back the',
  '    default.',
  'QUICKLIST-PACKED-THRESHOLD <size>',
  '    Sets the threshold for elements to be inserted as plain vs packed nodes',
  '    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.',
  'SET-SKIP-CHECKSUM-VALIDATION <0|1>',
  "    Enables or disables checksum checks for RDB files and RESTORE's payload.",
  'SLEEP <seconds>',
  '    Stop the server for <seconds>. Decimals allowed.',
  'LISTPACK <key>',
  '    Show low level info about the listpack encoding of <key>.',
  'QUICKLIST <key> [<0|1>]',
  '    Show low level info about the quicklist encoding of <key>.',
  '    The optional argument (0 by default) sets the level of detail',
  'PAUSE-CRON <0|1>',
  '    Stop periodic cron job processing.',
  'REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>',
  '    Sets the time (in milliseconds) to wait between client reply buffer peak resets.',
  '    In case NEVER is provided the last observed peak will never be reset',
  '    In case RESET is provided the peak reset time will be restored to the default value',
  'REPLYBUFFER RESIZING <0|1>',
  '    Enable or disable the reply buffer resize cron job',
  'DICT-RESIZING <0|1>',
  '    Enable or disable the main dict and expire dict resizing.',
]
