/** LOLWUT: a ferry with keys aboard, on waves that are never the same. */
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { KEYFERRY_VERSION } from '../src/engine/configuration.js'

const FERRY = [
  '              |\\',
  '              | \\',
  '     o-m o-m  |__\\  m-o',
  '   ___|___|___|_______|___',
  '   \\   o    o    o    o  /',
]
const WIDTH = 44
const WAVES = '~-~^~_'

/** LOLWUT [VERSION version] */
export const lolwut: Command = command({
  name: 'lolwut', arity: -1, flags: 'readonly fast', acl: '', group: 'server', since: '5.0.0', complexity: 'O(1)',
  summary: 'Draws something, and tells the version.', syntax: '[VERSION version]',
}, (call) => {
  // The number of another program's picture is read as it reads it, and answered with ours.
  if (call.args.count >= 3 && call.args.is(1, 'version')) call.args.integer(2)
  call.reply.verbatim(`${picture(call)}\nkeyferry ver. ${KEYFERRY_VERSION}\n`)
})

function picture({ random }: Call): string {
  const indent = ' '.repeat(random.below(WIDTH - 26))
  const lines = FERRY.map((line) => indent + line)
  for (let row = 0; row < 3; row++) {
    let wave = ''
    for (let i = 0; i < WIDTH; i++) wave += WAVES[random.below(WAVES.length)]
    lines.push(row === 0 ? `${wave.slice(0, indent.length + 3)}\\____________________/${wave.slice(indent.length + 25)}` : wave)
  }
  return `${lines.join('\n')}\n`
}
