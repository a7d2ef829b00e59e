/**
 * `npm run bench -- [--smoke] [--only NAME[,NAME]] [--rounds N] [--out FOLDER]`
 *
 * Measures the headline figures of the README and writes them into bench/results/DATE.{json,md,svg}. A smoke run takes tiny
 * sizes, shows that everything works, and leaves nothing behind. `--ours valkey` lets another server play keyferry, to test
 * the benchmark itself.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { peerInstalled, startPeer, type PeerName } from '../test/peers.js'
import { circumstances } from './circumstances.js'
import { commands } from './commands.js'
import { large } from './large.js'
import { memory, stall } from './memory.js'
import { migrate } from './migrate.js'
import { table, writeReport } from './report.js'
import { restore } from './restore.js'
import { startup } from './startup.js'
import { storage } from './storage.js'
import type { Bench } from './servers.js'
import { Sheet, type Role } from './sheet.js'

const BENCHMARKS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = { commands, migrate, large, restore, memory, stall, startup, storage }

const { values } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string' },
    ours: { type: 'string', default: 'keyferry' },
  },
})

const only = values.only?.split(',') ?? Object.keys(BENCHMARKS)
const unknown = only.filter((name) => !Object.hasOwn(BENCHMARKS, name))
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(BENCHMARKS).join(', ')}`)
  process.exit(2)
}
const ours = values.ours as PeerName
for (const name of [ours, 'redis'] as const) {
  if (!peerInstalled(name)) {
    console.error(`${name}-server is missing (npm run build, npm run peers)`)
    process.exit(1)
  }
}
const roles: Role[] = peerInstalled('valkey') ? ['keyferry', 'redis', 'valkey'] : ['keyferry', 'redis']

const versions: Record<string, string> = {}
for (const role of roles) {
  const peer = await startPeer(role === 'keyferry' ? ours : role)
  versions[role] = peer.version
  await peer.stop()
}
const where = circumstances(versions)
const log = (line: string): void => console.log(line)
const sheet = new Sheet(log)
const bench: Bench = { sheet, rounds: Number(values.rounds ?? (values.smoke ? 1 : 3)), scale: values.smoke ? 0.01 : 1, roles, ours, log }

let failed = 0
for (const name of only) {
  const startedAt = performance.now()
  console.log(name)
  try {
    await BENCHMARKS[name](bench)
  } catch (error) {
    failed++
    console.error(`${name} failed: ${(error as Error).stack ?? String(error)}`)
  }
  console.log(`${name} took ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
}

const results = sheet.results()
console.log(`\n${table(results, where)}`)
if (!values.smoke || values.out !== undefined) {
  const folder = values.out ?? fileURLToPath(new URL('../../bench/results', import.meta.url))
  const name = values.only === undefined ? where.date : `${where.date}-${only.join('-')}`
  writeReport(folder, name, results, where)
  console.log(`written: bench/results/${name}.{json,md,svg}`)
}
process.exitCode = failed > 0 ? 1 : 0
