/** CLIENT KILL: closes connections, by address or by filters. */
import type { Call } from '../src/engine/call.js'
import { command } from '../src/engine/command.js'
import type { Session } from '../src/engine/session.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { clientType, typeOfSession } from './client-list.js'

const NO_SUCH_CLIENT = replyError('ERR No such client')
const BAD_ID = replyError('ERR client-id should be greater than 0')
const MAXAGE_NO_INTEGER = replyError('ERR maxage is not an integer or out of range')
const BAD_MAXAGE = replyError('ERR maxage should be greater than 0')

type Filter = (session: Session) => boolean

/** CLIENT KILL <ip:port | [ID client-id] [TYPE type] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes/no] [MAXAGE maxage] ...> */
export const clientKill = command({
  name: 'kill', arity: -3, flags: 'admin noscript loading stale', acl: 'connection', group: 'connection', since: '2.4.0',
  complexity: 'O(N), N being the number of clients.', summary: 'Closes connections.',
  syntax: '<ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB>] | [USER username] | ' +
    '[ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE maxage] ...>>',
}, (call) => {
  const { args, engine } = call
  if (args.count === 3) {
    const address = args.at(2).latin1()
    if (kill(call, [(session) => session.link.address === address], false) === 0) throw NO_SUCH_CLIENT
    return call.reply.ok()
  }
  const filters: Filter[] = []
  let skipMe = true
  for (let i = 2; i < args.count; i += 2) {
    if (i + 1 >= args.count) throw SYNTAX
    if (args.is(i, 'skipme')) {
      if (!args.is(i + 1, 'yes') && !args.is(i + 1, 'no')) throw SYNTAX
      skipMe = args.is(i + 1, 'yes')
    } else replaceFilter(filters, args.at(i).latin1().toLowerCase(), readFilter(call, i))
  }
  engine.clock.refresh()
  call.reply.integer(kill(call, filters, skipMe))
})

/** An option given twice counts as it was given last. */
function replaceFilter(filters: (Filter & { option?: string })[], option: string, filter: Filter & { option?: string }): void {
  filter.option = option
  const before = filters.findIndex((other) => other.option === option)
  if (before < 0) filters.push(filter)
  else filters[before] = filter
}

function readFilter(call: Call, i: number): Filter {
  const { args } = call
  const value = args.at(i + 1).cText()
  switch (args.at(i).latin1().toLowerCase()) {
    case 'id': {
      const id = args.integer(i + 1, BAD_ID)
      if (id < 1) throw BAD_ID
      return (session) => session.id === id
    }
    case 'maxage': {
      const seconds = args.integer(i + 1, MAXAGE_NO_INTEGER)
      if (seconds <= 0) throw BAD_MAXAGE
      return (session) => Math.floor((call.clock.nowMs - session.createdMs) / 1000) >= seconds
    }
    case 'type': {
      const type = clientType(call, i + 1)
      return (session) => typeOfSession(session) === type
    }
    case 'user':
      if (value !== 'default') throw replyError(`ERR No such user '${value}'`)
      return (session) => session.authenticated && session.user === value
    case 'addr':
      return (session) => session.link.address === value
    case 'laddr':
      return (session) => session.link.localAddress === value
    default:
      throw SYNTAX
  }
}

/** Closes the sessions that pass all filters; this one only after its reply. Returns how many. */
function kill(call: Call, filters: readonly Filter[], skipMe: boolean): number {
  let killed = 0
  for (const session of call.engine.sessions.values()) {
    if ((skipMe && session === call.session) || !filters.every((passes) => passes(session))) continue
    killed++
    if (session === call.session) session.closing = true
    else session.link.destroy()
  }
  return killed
}
