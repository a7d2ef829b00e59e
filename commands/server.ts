/** The server as a whole: TIME, LASTSAVE, MONITOR, SHUTDOWN; larger ones have files of their own. */
import { command, type Command } from '../src/engine/command.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { commandCommand } from './command.js'
import { configCommand } from './config.js'
import { debugCommand } from './debug.js'
import { infoCommand } from './info.js'
import { latencyCommand } from './latency.js'
import { lolwut } from './lolwut.js'
import { memoryCommand } from './memory.js'
import { replicationCommands } from './replication.js'
import { slowLogCommand } from './slowlog.js'

/** TIME */
const time = command({
  name: 'time', arity: 1, flags: 'loading stale fast', acl: '', group: 'server', since: '2.6.0', complexity: 'O(1)',
  tips: ['nondeterministic_output'], summary: 'Tells the time in seconds and microseconds.', syntax: '',
}, ({ reply, clock }) => {
  const microseconds = clock.preciseUs()
  reply.array(2)
  reply.bulkInteger(Math.floor(microseconds / 1e6))
  reply.bulkInteger(microseconds % 1e6)
})

/** LASTSAVE */
const lastSave = command({
  name: 'lastsave', arity: 1, flags: 'loading stale fast', acl: 'admin dangerous', group: 'server', since: '1.0.0',
  complexity: 'O(1)', tips: ['nondeterministic_output'],
  summary: 'Tells when the data was last saved; without saving, when the server was started.', syntax: '',
}, (call) => call.reply.integer(Math.floor(call.engine.startedMs / 1000)))

/** MONITOR */
const monitor = command({
  name: 'monitor', arity: 1, flags: 'admin noscript loading stale', acl: '', group: 'server', since: '1.0.0', complexity: 'O(1)',
  summary: 'Shows every command that the server executes from now on.', syntax: '',
}, ({ engine, session, reply }) => {
  if (session.inExec) throw MONITOR_IN_EXEC
  if (session.monitor) return
  engine.monitor.add(session)
  reply.ok()
})

const MONITOR_IN_EXEC = replyError("ERR MONITOR isn't allowed for DENY BLOCKING client")
const NO_SHUTDOWN_TO_ABORT = replyError('ERR No shutdown in progress.')
const SHUTDOWN_FAILED = replyError('ERR Errors trying to SHUTDOWN. Check logs.')

/** SHUTDOWN [[NOSAVE | SAVE] [NOW] [FORCE] | ABORT] */
const shutdown = command({
  name: 'shutdown', arity: -1, flags: 'admin noscript loading stale no_multi allow_busy', acl: '', group: 'server', since: '1.0.0',
  complexity: 'O(1)', summary: 'Ends the server.', missing: 'SAVE is refused: nothing is saved', syntax: '[[NOSAVE | SAVE] [NOW] [FORCE] | ABORT]',
}, ({ args, engine, session }) => {
  const has = { nosave: false, save: false, now: false, force: false, abort: false }
  for (let i = 1; i < args.count; i++) {
    const word = args.at(i).latin1().toLowerCase()
    if (!(word in has)) throw SYNTAX
    has[word as keyof typeof has] = true
  }
  if ((has.abort && args.count > 2) || (has.save && has.nosave)) throw SYNTAX
  if (has.abort) throw NO_SHUTDOWN_TO_ABORT
  // There is nothing that could save: who insists on it must not lose the data.
  if (engine.services.shutdown === undefined || (has.save && !has.force)) throw SHUTDOWN_FAILED
  session.closing = true
  engine.services.shutdown()
})

/** The commands of the group. */
export const serverCommands: readonly Command[] = [
  time, lastSave, monitor, shutdown, lolwut, configCommand, infoCommand, commandCommand, slowLogCommand, latencyCommand,
  memoryCommand, debugCommand, ...replicationCommands,
]
