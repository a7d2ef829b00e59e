/** CLIENT LIST and CLIENT INFO: a line per client. */
import type { Call } from '../src/engine/call.js'
import { command } from '../src/engine/command.js'
import type { Engine } from '../src/engine/engine.js'
import type { Session } from '../src/engine/session.js'
import { replyError, SYNTAX } from '../src/errors.js'

/** What CLIENT LIST TYPE and CLIENT KILL TYPE tell apart. */
type ClientType = 'normal' | 'replica' | 'pubsub' | 'primary'

const TYPE_WORDS: Readonly<Record<string, ClientType>> = {
  normal: 'normal', slave: 'replica', replica: 'replica', pubsub: 'pubsub', master: 'primary', primary: 'primary',
}

/** The type that word i names; throws the error for an unknown one. */
export function clientType(call: Call, i: number): ClientType {
  const word = call.args.at(i).cText()
  const type = TYPE_WORDS[word.toLowerCase()] as ClientType | undefined
  if (type === undefined) throw replyError(`ERR Unknown client type '${word}'`)
  return type
}

/** Which type a session is of. */
export function typeOfSession(_session: Session): ClientType {
  return 'normal'
}

function flagsOf(session: Session): string {
  let flags = ''
  if (session.monitor) flags += 'O'
  if (session.queue !== undefined) flags += 'x'
  if (session.suspension !== undefined) flags += 'b'
  if (session.watchBroken) flags += 'd'
  if (session.closing) flags += 'c'
  if (session.link.localAddress.startsWith('/')) flags += 'U'
  if (session.readonlyMode) flags += 'r'
  if (session.noEvict) flags += 'e'
  if (session.noTouch) flags += 'T'
  return flags === '' ? 'N' : flags
}

const HIDDEN = '*redacted*'

/** A name as C prints it. */
function untilNul(name: string): string {
  const nul = name.indexOf('\0')
  return nul < 0 ? name : name.slice(0, nul)
}

/** One client's line, without its end. In the log it may have to keep names to itself. */
export function describeClient(engine: Engine, session: Session, hidesNames = false): string {
  const { link } = session
  const now = engine.clock.nowMs
  const output = link.outputBytes
  const queryBytes = link.queryBytes + link.queryFreeBytes
  const fields: readonly (readonly [string, string | number])[] = [
    ['id', session.id],
    ['addr', link.address],
    ['laddr', link.localAddress],
    ['fd', link.descriptor],
    ['name', hidesNames ? HIDDEN : untilNul(session.name)],
    ['age', Math.floor((now - session.createdMs) / 1000)],
    ['idle', Math.floor((now - session.lastActiveMs) / 1000)],
    ['flags', flagsOf(session)],
    ['db', session.db.index],
    ['sub', 0],
    ['psub', 0],
    ['ssub', 0],
    ['multi', session.queue === undefined ? -1 : session.queue.length],
    ['watch', session.watches.length],
    ['qbuf', link.queryBytes],
    ['qbuf-free', link.queryFreeBytes],
    ['argv-mem', 0],
    ['multi-mem', session.queueBytes],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', 0],
    ['oll', output > 0 ? 1 : 0],
    ['omem', output],
    ['tot-mem', queryBytes + output + session.queueBytes],
    ['events', 'r'],
    ['cmd', session.lastCommand === '' ? 'NULL' : session.lastCommand],
    ['user', hidesNames ? HIDDEN : session.user],
    ['redir', -1],
    ['resp', session.protocol],
    ['lib-name', untilNul(session.libName)],
    ['lib-ver', untilNul(session.libVersion)],
    ['tot-net-in', session.bytesIn],
    ['tot-net-out', session.bytesOut],
    ['tot-cmds', session.totalCommands - 1],
  ]
  return fields.map(([name, value]) => `${name}=${value}`).join(' ')
}

const BAD_ID = replyError('ERR Invalid client ID')

/** CLIENT LIST [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]] */
export const clientList = command({
  name: 'list', arity: -2, flags: 'admin noscript loading stale', acl: 'connection', tips: ['nondeterministic_output'],
  group: 'connection', since: '2.4.0', complexity: 'O(N), N being the number of clients.',
  summary: 'Describes the clients, a line each.',
  syntax: '[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]',
}, (call) => {
  const { args, engine } = call
  let sessions: Iterable<Session> = engine.sessions.values()
  if (args.count === 4 && args.is(2, 'type')) {
    const type = clientType(call, 3)
    sessions = [...sessions].filter((session) => typeOfSession(session) === type)
  } else if (args.count > 3 && args.is(2, 'id')) {
    const found: Session[] = []
    for (let i = 3; i < args.count; i++) {
      const session = engine.sessions.get(args.integer(i, BAD_ID))
      if (session !== undefined) found.push(session)
    }
    sessions = found
  } else if (args.count !== 2) throw SYNTAX
  let text = ''
  for (const session of sessions) text += `${describeClient(engine, session)}\n`
  call.reply.verbatim(text)
})

/** CLIENT INFO */
export const clientInfo = command({
  name: 'info', arity: 2, flags: 'noscript loading stale', acl: 'connection', tips: ['nondeterministic_output'],
  group: 'connection', since: '6.2.0', complexity: 'O(1)', summary: 'Describes this connection.', syntax: '',
}, (call) => call.reply.verbatim(`${describeClient(call.engine, call.session)}\n`))
