/** COMMAND DOCS: what a command is for and how it is called, from its specification. */
import type { ReplyWriter } from '../protocol/resp/writer.js'
import type { Command } from '../src/engine/command.js'
import { argumentsOf, type Argument } from './syntax-tree.js'

/** Writes a command's name and its documentation: an entry of the map that COMMAND DOCS answers. */
export function replyDocs(reply: ReplyWriter, command: Command): void {
  const { spec } = command
  const args = argumentsOf(command)
  const texts: [string, string][] = [
    ['summary', spec.summary], ['since', spec.since], ['group', spec.group], ['complexity', spec.complexity],
  ]
  reply.bulkText(command.fullName)
  reply.map(texts.length + (args.length > 0 ? 1 : 0) + (command.subcommands === undefined ? 0 : 1))
  for (const pair of texts) for (const text of pair) reply.bulkText(text)
  if (args.length > 0) {
    reply.bulkText('arguments')
    replyArguments(reply, args)
  }
  if (command.subcommands === undefined) return
  reply.bulkText('subcommands')
  reply.map(command.subcommands.size)
  for (const sub of command.subcommands.values()) replyDocs(reply, sub)
}

function replyArguments(reply: ReplyWriter, args: readonly Argument[]): void {
  reply.array(args.length)
  for (const argument of args) replyArgument(reply, argument)
}

function replyArgument(reply: ReplyWriter, argument: Argument): void {
  const texts: [string, string][] = [['name', argument.name], ['type', argument.type]]
  if (argument.arguments === undefined) texts.push(['display_text', argument.name])
  const flags: string[] = []
  if (argument.optional === true) flags.push('optional')
  if (argument.multiple === true) flags.push('multiple')
  if (argument.multipleToken === true) flags.push('multiple_token')
  const parts = [argument.keySpecIndex, argument.token, argument.arguments].filter((part) => part !== undefined).length
  reply.map(texts.length + parts + (flags.length > 0 ? 1 : 0))
  for (const pair of texts) for (const text of pair) reply.bulkText(text)
  if (argument.keySpecIndex !== undefined) {
    reply.bulkText('key_spec_index')
    reply.integer(argument.keySpecIndex)
  }
  if (argument.token !== undefined) {
    reply.bulkText('token')
    reply.bulkText(argument.token)
  }
  if (flags.length > 0) {
    reply.bulkText('flags')
    reply.set(flags.length)
    for (const flag of flags) reply.simple(flag)
  }
  if (argument.arguments === undefined) return
  reply.bulkText('arguments')
  replyArguments(reply, argument.arguments)
}
