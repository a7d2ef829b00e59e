/** The error for a command, or a subcommand, that does not exist. */
import { replyError, type ReplyError } from '../errors.js'
import type { Args } from './args.js'
import type { Command } from './command.js'

/** `container`: the command that lacks the subcommand in word 1; undefined when the command itself is unknown. */
export function unknownCommand(container: Command | undefined, args: Args): ReplyError {
  if (container !== undefined) {
    const sub = args.at(1).latin1().slice(0, 128)
    return replyError(`ERR unknown subcommand '${sub}'. Try ${container.fullName.toUpperCase()} HELP.`)
  }
  let shown = ''
  for (let i = 1; i < args.count && shown.length < 128; i++) shown += `'${args.at(i).latin1().slice(0, 128 - shown.length)}' `
  return replyError(`ERR unknown command '${args.at(0).latin1().slice(0, 128)}', with args beginning with: ${shown}`)
}
