/** MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
import { command, keys, type Command } from '../src/engine/command.js'
import { EXEC_ABORT, replyError } from '../src/errors.js'

const NESTED = replyError('ERR MULTI calls can not be nested')
const EXEC_WITHOUT_MULTI = replyError('ERR EXEC without MULTI')
const DISCARD_WITHOUT_MULTI = replyError('ERR DISCARD without MULTI')
const WATCH_INSIDE_MULTI = replyError('ERR WATCH inside MULTI is not allowed')

/** MULTI */
const multi = command({
  name: 'multi', arity: 1, flags: 'noscript loading stale fast no_multi allow_busy', acl: 'transaction', group: 'transactions',
  since: '1.2.0', complexity: 'O(1)', summary: 'Begins a transaction: the commands that follow are queued.', syntax: '',
}, (call) => {
  const { session } = call
  if (session.queue !== undefined) throw NESTED
  session.queue = []
  session.queueBytes = 0
  session.queueFailed = false
  call.reply.ok()
})

/** EXEC */
const exec = command({
  name: 'exec', arity: 1, flags: 'noscript loading stale skip_slowlog', acl: 'transaction', group: 'transactions',
  since: '1.2.0', complexity: 'That of the queued commands.', summary: 'Executes the queued commands of a transaction.', syntax: '',
}, (call) => {
  const { session, engine } = call
  const { queue } = session
  if (queue === undefined) throw EXEC_WITHOUT_MULTI
  const failed = session.queueFailed
  const broken = session.watchBroken || engine.watches.hasExpired(session)
  session.queue = undefined
  session.queueBytes = 0
  session.queueFailed = false
  engine.watches.forget(session)
  if (failed) throw EXEC_ABORT
  if (broken) return call.reply.nullArray()
  engine.runQueue(session, queue)
})

/** DISCARD */
const discard = command({
  name: 'discard', arity: 1, flags: 'noscript loading stale fast allow_busy', acl: 'transaction', group: 'transactions',
  since: '2.0.0', complexity: 'O(N) in the number of queued commands.', summary: 'Throws the queued commands of a transaction away.', syntax: '',
}, (call) => {
  const { session, engine } = call
  if (session.queue === undefined) throw DISCARD_WITHOUT_MULTI
  session.queue = undefined
  session.queueBytes = 0
  session.queueFailed = false
  engine.watches.forget(session)
  call.reply.ok()
})

/** WATCH key [key ...] */
const watch = command({
  name: 'watch', arity: -2, flags: 'noscript loading stale fast no_multi allow_busy', acl: 'transaction', keys: [keys(1, -1, 1, 'RO')],
  group: 'transactions', since: '2.2.0', complexity: 'O(1) per key',
  summary: 'Makes the next EXEC depend on these keys being unchanged.', syntax: 'key [key ...]',
}, (call) => {
  const { session, engine, args } = call
  if (session.queue !== undefined) throw WATCH_INSIDE_MULTI
  if (!session.watchBroken) for (let i = 1; i < args.count; i++) engine.watches.add(session, call.db, args.at(i))
  call.reply.ok()
})

/** UNWATCH */
const unwatch = command({
  name: 'unwatch', arity: 1, flags: 'noscript loading stale fast allow_busy', acl: 'transaction', group: 'transactions',
  since: '2.2.0', complexity: 'O(1)', summary: 'Forgets the watched keys.', syntax: '',
}, (call) => {
  call.engine.watches.forget(call.session)
  call.reply.ok()
})

export const transactionCommands: readonly Command[] = [multi, exec, discard, watch, unwatch]
