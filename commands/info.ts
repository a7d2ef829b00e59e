/**
 * INFO: the state of the server, section by section (info-sections.ts). Without a name the sections that tools
 * expect are shown; `all` adds those that grow with use, `everything` also what is keyferry's own.
 */
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { SECTIONS } from './info-sections.js'

/** INFO [section [section ...]] */
export const infoCommand: Command = command({
  name: 'info', arity: -1, flags: 'loading stale', acl: 'dangerous', group: 'server', since: '1.0.0', complexity: 'O(1)',
  tips: ['nondeterministic_output', 'request_policy:all_shards', 'response_policy:special'],
  summary: 'Tells about the server and its statistics.', syntax: '[section [section ...]]',
}, (call) => call.reply.verbatim(infoText(call, wantedSections(call))))

function wantedSections({ args }: Call): Set<string> {
  const wanted = new Set<string>()
  if (args.count === 1) addSections(wanted, 'default')
  for (let i = 1; i < args.count; i++) addSections(wanted, args.at(i).latin1().toLowerCase())
  return wanted
}

function addSections(wanted: Set<string>, name: string): void {
  for (const section of SECTIONS) {
    const asked = name === 'everything' ? section.shown !== 'named'
      : name === 'all' ? section.shown === 'default' || section.shown === 'all'
      : name === 'default' ? section.shown === 'default'
      : section.name.toLowerCase() === name
    if (asked) wanted.add(section.name)
  }
}

function infoText(call: Call, wanted: ReadonlySet<string>): string {
  const parts: string[] = []
  for (const section of SECTIONS) {
    if (!wanted.has(section.name)) continue
    const lines = section.lines(call).map(([name, value]) => `${name}:${value}\r\n`)
    parts.push(`# ${section.name}\r\n${lines.join('')}`)
  }
  return parts.join('\r\n')
}
