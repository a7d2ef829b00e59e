/**
 * GET, SET, HSET, LPUSH, INCR, ZADD driven by redis-benchmark: CPU time of the server per command, and commands per second.
 *
 * CPU time is the robust figure: on a machine with few cores the driver and the server compete, and the rate says as much
 * about the driver.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { cpuMicros, type Peer } from '../test/peers.js'
import { inTurn, scaled, startRole, type Bench } from './servers.js'
import type { Figure, Role } from './sheet.js'
import { Wire } from './wire.js'

const run = promisify(execFile)

interface Load {
  test: 'get' | 'set' | 'hset' | 'lpush' | 'incr' | 'zadd'
  pipeline: number
  requests: number
  must: number
  goal: number
}

const LOADS: readonly Load[] = [
  ...(['set', 'get'] as const).flatMap((test): Load[] => [
    { test, pipeline: 1, requests: 100_000, must: 0.85, goal: 1 },
    { test, pipeline: 16, requests: 600_000, must: 1.1, goal: 1.5 },
    { test, pipeline: 64, requests: 1_000_000, must: 1.4, goal: 2 },
  ]),
  { test: 'hset', pipeline: 16, requests: 600_000, must: 0.9, goal: 1.3 },
  { test: 'lpush', pipeline: 16, requests: 600_000, must: 0.9, goal: 1.3 },
  { test: 'incr', pipeline: 16, requests: 600_000, must: 0.9, goal: 1.3 },
  { test: 'zadd', pipeline: 16, requests: 400_000, must: 0.7, goal: 1.2 },
]

const KEYS = 100_000
const VALUE_BYTES = 100

export async function commands(bench: Bench): Promise<void> {
  const peers = new Map<Role, Peer>()
  try {
    for (const role of bench.roles) peers.set(role, await startRole(bench, role))
    for (const load of LOADS) {
      const title = `${load.test.toUpperCase()}${/[gs]et/.test(load.test) && load.test.length === 3 ? ` ${VALUE_BYTES} B` : ''}, pipeline ${load.pipeline}`
      const cpu: Figure = { name: `${title}: CPU`, unit: 'us/command', better: 'lower', against: 'ratio', must: load.must, goal: load.goal }
      const rate: Figure = { name: `${title}: rate`, unit: 'commands/s', better: 'higher', against: 'ratio', must: load.must, goal: load.goal }
      for (let round = 0; round < bench.rounds; round++) {
        for (const role of inTurn(bench.roles, round)) {
          const peer = peers.get(role)
          if (peer === undefined) continue
          const measured = await drive(bench, peer, load)
          bench.sheet.record(cpu, role, measured.microsPerCommand)
          bench.sheet.record(rate, role, measured.perSecond)
        }
      }
    }
  } finally {
    for (const peer of peers.values()) await peer.stop()
  }
}

async function drive(bench: Bench, peer: Peer, load: Load): Promise<{ microsPerCommand: number; perSecond: number }> {
  const wire = await Wire.connect(peer.port)
  await wire.call('FLUSHALL')
  wire.close()
  if (load.test === 'get') await redisBenchmark(peer.port, 'set', 64, scaled(bench, 4 * KEYS))
  const requests = scaled(bench, load.requests, 2000)
  const before = cpuMicros(peer.pid)
  const perSecond = await redisBenchmark(peer.port, load.test, load.pipeline, requests)
  return { microsPerCommand: (cpuMicros(peer.pid) - before) / requests, perSecond }
}

async function redisBenchmark(port: number, test: string, pipeline: number, requests: number): Promise<number> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-t', test, '-P', String(pipeline), '-n', String(requests), '-r', String(KEYS), '-d', String(VALUE_BYTES), '-c', '50', '--csv']
  const { stdout } = await run('redis-benchmark', args, { timeout: 180_000 })
  const perSecond = Number(/^"[^"]*","([\d.]+)"/m.exec(stdout.split('\n').slice(1).join('\n'))?.[1] ?? Number.NaN)
  if (!(perSecond > 0)) throw new Error(`redis-benchmark said: ${stdout}`)
  return perSecond
}
