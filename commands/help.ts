/**
 * What containers of subcommands share: the reply of HELP (a line on how to call it, then the subcommands, as
 * Valkey lays them out), and the error of a subcommand called the wrong way.
 */
import type { Call } from '../src/engine/call.js'
import { replyError, type ReplyError } from '../src/errors.js'

/** Answers `NAME HELP`. `lines`: a usage line per subcommand, its explanation indented by four spaces. */
export function replyHelp(call: Call, container: string, lines: readonly string[]): void {
  call.reply.array(lines.length + 3)
  call.reply.simple(`${container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`)
  for (const line of lines) call.reply.simple(line)
  call.reply.simple('HELP')
  call.reply.simple('    Print this help.')
}

/** The error of a subcommand that is called the wrong way, though with enough words. */
export function wrongSubcommand(call: Call, container: string): ReplyError {
  const typed = call.args.at(1).cText().slice(0, 128)
  return replyError(`ERR unknown subcommand or wrong number of arguments for '${typed}'. Try ${container} HELP.`)
}
