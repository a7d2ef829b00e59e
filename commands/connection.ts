/** The connection itself: PING, ECHO, SELECT, QUIT, RESET, AUTH, HELLO. CLIENT has files of its own. */
import { Slice } from '../protocol/slice.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { REDIS_VERSION, VALKEY_VERSION } from '../src/engine/configuration.js'
import { BAD_DB_INDEX, NO_PROTO, replyError, SYNTAX } from '../src/errors.js'
import { authenticate } from './authenticate.js'
import { BAD_CLIENT_NAME, clientCommand, isPrintable } from './client.js'
import { int32 } from './int32.js'

const CONTROL = 'noscript loading stale fast no_auth allow_busy'

/** PING [message] */
const ping = command({
  name: 'ping', arity: -1, flags: 'fast', acl: 'connection', group: 'connection', since: '1.0.0', complexity: 'O(1)',
  summary: 'Answers PONG, or the message.', syntax: '[message]', tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
}, (call) => {
  if (call.args.count > 2) throw PING_ARITY
  if (call.args.count === 2) call.reply.bulk(call.args.at(1))
  else call.reply.simple('PONG')
})

const PING_ARITY = replyError("ERR wrong number of arguments for 'ping' command")

/** ECHO message */
const echo = command({
  name: 'echo', arity: 2, flags: 'loading stale fast', acl: 'connection', group: 'connection', since: '1.0.0',
  complexity: 'O(1)', summary: 'Answers the message.', syntax: 'message',
}, (call) => call.reply.bulk(call.args.at(1)))

/** SELECT index */
const select = command({
  name: 'select', arity: 2, flags: 'loading stale fast', acl: 'connection', group: 'connection', since: '1.0.0', complexity: 'O(1)',
  summary: 'Changes the database of this connection.', syntax: 'index',
}, (call) => {
  const index = int32(call.args, 1)
  if (call.config.clusterEnabled && index !== 0) throw SELECT_IN_CLUSTER
  if (index < 0 || index >= call.engine.databases.length) throw BAD_DB_INDEX
  call.session.db = call.engine.databases[index]
  call.reply.ok()
})

const SELECT_IN_CLUSTER = replyError('ERR SELECT is not allowed in cluster mode')

/** QUIT */
const quit = command({
  name: 'quit', arity: -1, flags: CONTROL, acl: 'connection', group: 'connection', since: '1.0.0', complexity: 'O(1)',
  summary: 'Closes the connection once the reply is sent.', syntax: '',
}, (call) => {
  call.reply.ok()
  call.session.closing = true
})

/** RESET */
const reset = command({
  name: 'reset', arity: 1, flags: CONTROL, acl: 'connection', group: 'connection', since: '6.2.0', complexity: 'O(1)',
  summary: 'Puts the connection into the state of a new one.', syntax: '',
}, (call) => {
  const { session, engine } = call
  engine.monitor.remove(session)
  engine.watches.forget(session)
  session.queue = undefined
  session.queueBytes = 0
  session.queueFailed = false
  session.db = engine.databases[0]
  session.name = ''
  session.asking = session.readonlyMode = false
  session.noEvict = session.noTouch = false
  if (session.replyMode !== 'skip') session.replyMode = 'on'
  session.user = 'default'
  session.authenticated = call.config.requirepass === ''
  session.protocol = call.reply.version = 2
  call.reply.simple('RESET')
})

const DEFAULT_USER = Slice.from('default')
const NO_PASSWORD_SET = replyError(
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?')

/** AUTH [username] password */
const auth = command({
  name: 'auth', arity: -2, flags: CONTROL, acl: 'connection', group: 'connection', since: '1.0.0', complexity: 'O(1)',
  summary: 'Authenticates the connection.', syntax: '[username] password',
  secrets: (args) => (args.count === 2 ? [1] : [1, 2]),
}, (call) => {
  const { args } = call
  if (args.count > 3) throw SYNTAX
  if (args.count === 2 && call.config.requirepass === '') throw NO_PASSWORD_SET
  authenticate(call, args.count === 2 ? DEFAULT_USER : args.at(1), args.at(args.count - 1))
  call.reply.ok()
})

const BAD_PROTOVER = replyError('ERR Protocol version is not an integer or out of range')
const HELLO_NEEDS_AUTH = replyError(
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> ' +
  'option can be used to authenticate the client and select the RESP protocol version at the same time')

function helloSecrets(args: Args): number[] {
  const positions: number[] = []
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, 'auth') && i + 2 < args.count) positions.push(++i, ++i)
    else if (args.is(i, 'setname')) i++
  }
  return positions
}

/** HELLO [protover [AUTH username password] [SETNAME clientname]] */
const hello = command({
  name: 'hello', arity: -1, flags: CONTROL, acl: 'connection', group: 'connection', since: '6.0.0', complexity: 'O(1)',
  summary: 'Chooses the protocol, and tells about the server.',
  syntax: '[protover [AUTH username password] [SETNAME clientname]]', secrets: helloSecrets,
}, (call) => {
  const { args, session } = call
  let version = 0
  if (args.count > 1) {
    version = args.integer(1, BAD_PROTOVER)
    if (version !== 2 && version !== 3) throw NO_PROTO
  }
  let user: Slice | undefined
  let password = DEFAULT_USER
  let name: Slice | undefined
  for (let i = 2; i < args.count; i++) {
    const left = args.count - 1 - i
    if (args.is(i, 'auth') && left >= 2) {
      user = args.at(++i)
      password = args.at(++i)
    } else if (args.is(i, 'setname') && left >= 1) {
      name = args.at(++i)
      if (!isPrintable(name)) throw BAD_CLIENT_NAME
    } else throw replyError(`ERR Syntax error in HELLO option '${args.at(i).cText()}'`)
  }
  if (user !== undefined) authenticate(call, user, password)
  if (!session.authenticated) throw HELLO_NEEDS_AUTH
  if (name !== undefined) session.name = name.latin1()
  if (version === 2 || version === 3) session.protocol = call.reply.version = version
  describeServer(call)
})

function describeServer(call: Call): void {
  const { reply, session, config } = call
  reply.map(config.availabilityZone === '' ? 7 : 8)
  reply.bulkText('server')
  reply.bulkText(config.extendedRedisCompatibility ? 'redis' : 'valkey')
  reply.bulkText('version')
  reply.bulkText(config.extendedRedisCompatibility ? REDIS_VERSION : VALKEY_VERSION)
  reply.bulkText('proto')
  reply.integer(session.protocol)
  reply.bulkText('id')
  reply.integer(session.id)
  reply.bulkText('mode')
  reply.bulkText(config.clusterEnabled ? 'cluster' : 'standalone')
  reply.bulkText('role')
  reply.bulkText('master')
  reply.bulkText('modules')
  reply.array(0)
  if (config.availabilityZone === '') return
  reply.bulkText('availability_zone')
  reply.bulkText(config.availabilityZone)
}

/** The commands of the group. */
export const connectionCommands: readonly Command[] = [ping, echo, select, quit, reset, auth, hello, clientCommand]
