/** CLIENT: a connection's name and number, the list of clients, and what may be done to them. */
import type { Slice } from '../protocol/slice.js'
import { command, type Command } from '../src/engine/command.js'
import { replyError } from '../src/errors.js'
import { clientKill } from './client-kill.js'
import { clientInfo, clientList } from './client-list.js'
import { clientModes } from './client-modes.js'
import { replyHelp } from './help.js'

const PLAIN = 'noscript loading stale'
const ON_ALL_NODES = ['request_policy:all_nodes', 'response_policy:all_succeeded']

export const BAD_CLIENT_NAME = replyError('ERR Client names cannot contain spaces, newlines or special characters.')

/**
 * Whether a name has only characters that keep the lines of CLIENT LIST readable: `!` to `~`. As in Valkey a NUL ends
 * what is looked at, and what is listed.
 */
export function isPrintable(name: Slice): boolean {
  for (let i = name.start; i < name.end && name.buf[i] !== 0; i++) if (name.buf[i] < 0x21 || name.buf[i] > 0x7e) return false
  return true
}

/** CLIENT ID */
const id = command({
  name: 'id', arity: 2, flags: PLAIN, acl: 'connection', group: 'connection', since: '5.0.0', complexity: 'O(1)',
  summary: 'Tells the number of this connection.', syntax: '',
}, (call) => call.reply.integer(call.session.id))

/** CLIENT SETNAME connection-name */
const setName = command({
  name: 'setname', arity: 3, flags: PLAIN, acl: 'connection', group: 'connection', since: '2.6.9', complexity: 'O(1)',
  summary: 'Gives this connection a name; an empty one takes it away.', syntax: 'connection-name', tips: ON_ALL_NODES,
}, (call) => {
  const name = call.args.at(2)
  if (!isPrintable(name)) throw BAD_CLIENT_NAME
  call.session.name = name.latin1()
  call.reply.ok()
})

/** CLIENT GETNAME */
const getName = command({
  name: 'getname', arity: 2, flags: PLAIN, acl: 'connection', group: 'connection', since: '2.6.9', complexity: 'O(1)',
  summary: 'Tells the name of this connection.', syntax: '',
}, (call) => {
  const name = Buffer.from(call.session.name, 'latin1')
  if (name.length === 0) call.reply.null()
  else call.reply.bulkRange(name, 0, name.length)
})

/** CLIENT SETINFO <LIB-NAME libname | LIB-VER libver> */
const setInfo = command({
  name: 'setinfo', arity: 4, flags: PLAIN, acl: 'connection', group: 'connection', since: '7.2.0', complexity: 'O(1)',
  summary: 'Notes the library that this connection is used by.', syntax: '<LIB-NAME libname | LIB-VER libver>', tips: ON_ALL_NODES,
}, (call) => {
  const { args, session } = call
  const option = args.at(2).cText()
  const isName = args.is(2, 'lib-name')
  if (!isName && !args.is(2, 'lib-ver')) throw replyError(`ERR Unrecognized option '${option}'`)
  if (!isPrintable(args.at(3))) throw replyError(`ERR ${option} cannot contain spaces, newlines or special characters.`)
  const value = args.at(3).latin1()
  if (isName) session.libName = value
  else session.libVersion = value
  call.reply.ok()
})

/** CLIENT CAPA capability [capability ...] */
const capa = command({
  name: 'capa', arity: -3, flags: PLAIN, acl: 'connection', group: 'connection', since: '8.0.0', complexity: 'O(1)',
  summary: 'Takes note of what the client can do; none of it concerns keyferry.', syntax: 'capability [capability ...]',
}, (call) => call.reply.ok())

/** CLIENT HELP */
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: 'connection', group: 'connection', since: '5.0.0',
  complexity: 'O(1)', syntax: '', summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'CLIENT', HELP))

const HELP = [
  'CACHING (YES|NO)',
  '    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.',
  'CAPA <option> [options...]',
  '    The client claims its some capability options. Options are:',
  '    * REDIRECT',
  '      The client can handle redirection during primary and replica failover in standalone mode.',
  'GETREDIR',
  '    Return the client ID we are redirecting to when tracking is enabled.',
  'GETNAME',
  '    Return the name of the current connection.',
  'ID',
  '    Return the ID of the current connection.',
  'INFO',
  '    Return information about the current client connection.',
  'KILL <ip:port>',
  '    Kill connection made from <ip:port>.',
  'KILL <option> <value> [<option> <value> [...]]',
  '    Kill connections. Options are:',
  '    * ADDR (<ip:port>|<unixsocket>:0)',
  '      Kill connections made from the specified address',
  '    * LADDR (<ip:port>|<unixsocket>:0)',
  '      Kill connections made to specified local address',
  '    * TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB)',
  '      Kill connections by type.',
  '    * USER <username>',
  '      Kill connections authenticated by <username>.',
  '    * SKIPME (YES|NO)',
  '      Skip killing current connection (default: yes).',
  '    * ID <client-id>',
  '      Kill connections by client id.',
  '    * MAXAGE <maxage>',
  '      Kill connections older than the specified age.',
  'LIST [options ...]',
  '    Return information about client connections. Options:',
  '    * TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB)',
  '      Return clients of specified type.',
  'UNPAUSE',
  '    Stop the current client pause, resuming traffic.',
  'PAUSE <timeout> [WRITE|ALL]',
  '    Suspend all, or just write, clients for <timeout> milliseconds.',
  'REPLY (ON|OFF|SKIP)',
  '    Control the replies sent to the current connection.',
  'SETNAME <name>',
  '    Assign the name <name> to the current connection.',
  'SETINFO <option> <value>',
  '    Set client meta attr. Options are:',
  '    * LIB-NAME: the client lib name.',
  '    * LIB-VER: the client lib version.',
  'UNBLOCK <clientid> [TIMEOUT|ERROR]',
  '    Unblock the specified blocked client.',
  'TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]',
  '         [OPTIN] [OPTOUT] [NOLOOP]',
  '    Control server assisted client side caching.',
  'TRACKINGINFO',
  '    Report tracking status for the current connection.',
  'NO-EVICT (ON|OFF)',
  '    Protect current client connection from eviction.',
  'NO-TOUCH (ON|OFF)',
  '    Will not touch LRU/LFU stats when this mode is on.',
]

/** CLIENT and its subcommands. */
export const clientCommand: Command = command({
  name: 'client', arity: -2, flags: '', acl: '', group: 'connection', since: '2.4.0',
  complexity: 'Depends on the subcommand.', syntax: '', summary: 'Looks at connections and steers them.',
  subcommands: [id, setName, getName, setInfo, capa, help, clientList, clientInfo, clientKill, ...clientModes],
})
