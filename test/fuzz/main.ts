/**
 * `npm run fuzz -- [--seconds N] [--rounds N] [--seed S] [--groups a,b] [--left NAME] [--right NAME] [--length N] [--differences N]`
 *
 * NAME is keyferry, valkey or redis. Ends with 1 when the servers disagreed.
 */
import { parseArgs } from 'node:util'
import type { PeerName } from '../peers.js'
import { GROUP_NAMES, fuzz, type FuzzOptions } from './fuzzer.js'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    rounds: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    groups: { type: 'string' },
    left: { type: 'string', default: 'keyferry' },
    right: { type: 'string', default: 'valkey' },
    length: { type: 'string', default: '150' },
    differences: { type: 'string', default: '1' },
  },
})

const groups = values.groups?.split(',')
const unknown = groups?.filter((name) => !GROUP_NAMES.includes(name)) ?? []
if (unknown.length > 0) {
  console.error(`unknown group ${unknown.join(', ')}; there are ${GROUP_NAMES.join(', ')}`)
  process.exit(2)
}
const options: FuzzOptions = {
  seconds: values.rounds === undefined ? Number(values.seconds) : 3600,
  seed: Number(values.seed),
  left: values.left as PeerName,
  right: values.right as PeerName,
  length: Number(values.length),
  differences: Number(values.differences),
  log: (line) => console.log(line),
  ...(groups === undefined ? {} : { groups }),
  ...(values.rounds === undefined ? {} : { rounds: Number(values.rounds) }),
}
const started = performance.now()
const result = await fuzz(options)
for (const failure of result.failures) console.log(`\n${failure}`)
const seconds = (performance.now() - started) / 1000
console.log(`\n${result.rounds} rounds, ${result.commands} commands in ${seconds.toFixed(1)} s, ${result.failures.length} differences`)
process.exitCode = result.failures.length > 0 ? 1 : 0
