/** Replication as a server without replicas answers it: ROLE, REPLICAOF NO ONE, WAIT, WAITAOF. */
import type { ReplyWriter } from '../protocol/resp/writer.js'
import type { Call } from '../src/engine/call.js'
import { command, type Command, type CommandSpec } from '../src/engine/command.js'
import { NOT_POSITIVE, replyError } from '../src/errors.js'
import { readTimeoutMs } from './client-modes.js'
import { integerBetween } from './int32.js'

/** ROLE */
const role = command({
  name: 'role', arity: 1, flags: 'noscript loading stale fast', acl: 'admin dangerous', group: 'server', since: '2.8.12',
  complexity: 'O(1)', summary: 'Tells the role in replication.', syntax: '',
}, ({ reply }) => {
  reply.array(3)
  reply.bulkText('master')
  reply.integer(0)
  reply.array(0)
})

const NOT_IN_CLUSTER = replyError('ERR REPLICAOF not allowed in cluster mode.')
const BAD_PRIMARY_PORT = replyError('ERR Invalid master port')
const NO_REPLICATION = replyError('ERR REPLICAOF is not supported: keyferry can not be a replica')

function replicaOf(call: Call): void {
  const { args } = call
  if (call.config.clusterEnabled) throw NOT_IN_CLUSTER
  if (args.is(1, 'no') && args.is(2, 'one')) return call.reply.ok()
  const port = args.integer(2, BAD_PRIMARY_PORT)
  if (port < 0 || port > 65535) throw BAD_PRIMARY_PORT
  throw NO_REPLICATION
}

const REPLICAOF_SPEC: Omit<CommandSpec, 'name' | 'since'> = {
  arity: 3, flags: 'admin noscript stale no_async_loading', acl: '', group: 'server', complexity: 'O(1)',
  summary: 'Ends being a replica; becoming one is not supported.', syntax: '<host port | NO ONE>',
  missing: 'only NO ONE: keyferry can not be a replica',
}

const NO_APPEND_ONLY_FILE = replyError('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.')

/** Answers at once when nothing is waited for or waiting is not allowed, else when the time is over: nobody will acknowledge. */
function waitInVain(call: Call, wanted: number, timeoutMs: number, answer: (reply: ReplyWriter) => void): void {
  if (wanted <= 0 || call.session.inExec) return answer(call.reply)
  const suspension = call.suspend()
  const timer = timeoutMs === 0 ? undefined : setTimeout(() => suspension.finish(answer), timeoutMs)
  suspension.onCancel = () => clearTimeout(timer)
  suspension.onUnblock = (reason) => {
    clearTimeout(timer)
    suspension.finish(reason === 'error' ? (reply) => reply.error('UNBLOCKED client unblocked via CLIENT UNBLOCK') : answer)
  }
}

/** WAIT numreplicas timeout */
const wait = command({
  name: 'wait', arity: 3, flags: 'blocking', acl: 'connection', group: 'generic', since: '3.0.0', complexity: 'O(1)',
  tips: ['request_policy:all_shards', 'response_policy:agg_min'],
  summary: 'Waits until replicas have the writes of this connection.', syntax: 'numreplicas timeout',
}, (call) => {
  const wanted = call.args.integer(1)
  waitInVain(call, wanted, readTimeoutMs(call, 2), (reply) => reply.integer(0))
})

/** WAITAOF numlocal numreplicas timeout */
const waitAof = command({
  name: 'waitaof', arity: 4, flags: 'blocking', acl: 'connection', group: 'generic', since: '7.2.0', complexity: 'O(1)',
  tips: ['request_policy:all_shards', 'response_policy:agg_min'],
  summary: 'Waits until the writes of this connection are on disk, here and at replicas.', syntax: 'numlocal numreplicas timeout',
}, (call) => {
  const local = integerBetween(call.args, 1, 0, 1)
  const replicas = call.args.integer(2, NOT_POSITIVE)
  if (replicas < 0) throw NOT_POSITIVE
  const timeoutMs = readTimeoutMs(call, 3)
  if (local > 0) throw NO_APPEND_ONLY_FILE
  waitInVain(call, replicas, timeoutMs, (reply) => {
    reply.array(2)
    reply.integer(0)
    reply.integer(0)
  })
})

/** The commands of this file. */
export const replicationCommands: readonly Command[] = [
  role,
  command({ ...REPLICAOF_SPEC, name: 'replicaof', since: '5.0.0' }, replicaOf),
  command({ ...REPLICAOF_SPEC, name: 'slaveof', since: '1.0.0' }, replicaOf),
  wait, waitAof,
]
