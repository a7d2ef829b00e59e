/** SLOWLOG: the commands that took long. */
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { replyError } from '../src/errors.js'
import { replyHelp, wrongSubcommand } from './help.js'

const BAD_COUNT = replyError('ERR count should be greater than or equal to -1')
const DEFAULT_COUNT = 10
const ADMIN = 'admin loading stale'

/** SLOWLOG GET [count] */
const get = command({
  name: 'get', arity: -2, flags: ADMIN, acl: '', group: 'server', since: '2.2.12', syntax: '[count]',
  tips: ['request_policy:all_nodes', 'nondeterministic_output'], complexity: 'O(N), N being the number of entries in the reply.',
  summary: 'Shows the newest entries of the slow log.',
}, (call) => {
  if (call.args.count > 3) throw wrongSubcommand(call, 'SLOWLOG')
  let count = DEFAULT_COUNT
  if (call.args.count === 3) {
    count = call.args.integer(2, BAD_COUNT)
    if (count < -1) throw BAD_COUNT
  }
  replyEntries(call, count)
})

function replyEntries({ reply, engine }: Call, count: number): void {
  const { entries } = engine.slowLog
  const shown = count < 0 ? entries : entries.slice(0, count)
  reply.array(shown.length)
  for (const entry of shown) {
    reply.array(6)
    reply.integer(entry.id)
    reply.integer(entry.atSeconds)
    reply.integer(entry.microseconds)
    reply.array(entry.words.length)
    for (const word of entry.words) reply.bulkRange(word, 0, word.length)
    reply.bulkText(entry.address)
    reply.bulkText(entry.clientName)
  }
}

/** SLOWLOG LEN */
const len = command({
  name: 'len', arity: 2, flags: ADMIN, acl: '', group: 'server', since: '2.2.12', complexity: 'O(1)', syntax: '',
  tips: ['request_policy:all_nodes', 'response_policy:agg_sum', 'nondeterministic_output'], summary: 'Counts the entries of the slow log.',
}, (call) => call.reply.integer(call.engine.slowLog.entries.length))

/** SLOWLOG RESET */
const reset = command({
  name: 'reset', arity: 2, flags: ADMIN, acl: '', group: 'server', since: '2.2.12', syntax: '',
  tips: ['request_policy:all_nodes', 'response_policy:all_succeeded'], complexity: 'O(N), N being the number of entries.',
  summary: 'Empties the slow log.',
}, (call) => {
  call.engine.slowLog.entries.length = 0
  call.reply.ok()
})

/** SLOWLOG HELP */
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: '', group: 'server', since: '6.2.0', complexity: 'O(1)', syntax: '',
  summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'SLOWLOG', [
  'GET [<count>]',
  '    Return top <count> entries from the slowlog (default: 10, -1 mean all).',
  '    Entries are made of:',
  '    id, timestamp, time in microseconds, arguments array, client IP and port,',
  '    client name',
  'LEN',
  '    Return the length of the slowlog.',
  'RESET',
  '    Reset the slowlog.',
]))

/** SLOWLOG and its subcommands. */
export const slowLogCommand: Command = command({
  name: 'slowlog', arity: -2, flags: '', acl: '', group: 'server', since: '2.2.12', complexity: 'Depends on the subcommand.',
  syntax: '', summary: 'Shows the commands that took long.', subcommands: [get, len, reset, help],
})
