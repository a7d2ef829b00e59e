/** The error for a command, or a subcommand, that does not exist. */
import { replyError, type ReplyError } from '../errors.js'
import type { Slice } from '../../protocol/slice.js'
import type { Args } from './args.js'
import type { Command } from './command-spec.js'
import type { Session } from './session.js'

/** `container`: the command that lacks the subcommand in word 1; undefined when the command itself is unknown. */
export function unknownCommand(container: Command | undefined, args: Args): ReplyError {
  if (container !== undefined) {
    return replyError(`ERR unknown subcommand '${shownWord(args.at(1), 128)}'. Try ${args.at(0).latin1().toUpperCase()} HELP.`)
  }
  let shown = ''
  for (let i = 1; i < args.count && shown.length < 128; i++) shown += `'${shownWord(args.at(i), 128 - shown.length)}' `
  return replyError(`ERR unknown command '${shownWord(args.at(0), 128)}', with args beginning with: ${shown}`)
}

/** The beginning of a word, up to its first NUL as C prints it. A word may be longer than a string can be. */
function shownWord(word: Slice, most: number): string {
  const text = word.buf.latin1Slice(word.start, Math.min(word.end, word.start + most))
  const nul = text.indexOf('\0')
  return nul < 0 ? text : text.slice(0, nul)
}

/** What browsers send when they are made to speak to this port: nobody else begins a request so. */
export function isHttp(args: Args): boolean {
  return args.is(0, 'post') || args.is(0, 'host:')
}

/** Somebody makes a browser send commands here: the connection goes without an answer. */
export function dropHttp(session: Session, log: ((line: string) => void) | undefined): void {
  log?.('Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to keyferry. ' +
    'This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your server. ' +
    `Connection from ${session.link.address} aborted.`)
  session.link.destroy()
}
