/**
 * MIGRATE of many small keys: keys per second and CPU time of the source per key, against redis-server moving the same keys to
 * another redis-server.
 *
 * keyferry is measured to both targets, to itself and to redis-server. With `inFlight` 8, eight connections each have one
 * MIGRATE going on; the source may overlap them.
 */
import { cpuMicros, type Peer } from '../test/peers.js'
import { fill, hashes, lists, strings, verify, type Dataset } from './dataset.js'
import { inTurn, scaled, startRole, type Bench } from './servers.js'
import type { Figure, Role } from './sheet.js'
import { Wire, command } from './wire.js'

interface Load {
  dataset: Dataset
  keys: number
  batch: number
  inFlight: number
  must: number
  goal: number
}

const KINDS: readonly Dataset[] = [strings(100), hashes(10)]

const LOADS: readonly Load[] = [
  ...KINDS.flatMap((dataset): Load[] => [
    { dataset, keys: 100_000, batch: 1000, inFlight: 1, must: 1.5, goal: 2.5 },
    { dataset, keys: 100_000, batch: 100, inFlight: 1, must: 1.5, goal: 2.5 },
    { dataset, keys: 60_000, batch: 10, inFlight: 1, must: 1.05, goal: 1.5 },
    { dataset, keys: 15_000, batch: 1, inFlight: 1, must: 0.85, goal: 1.05 },
    { dataset, keys: 100_000, batch: 100, inFlight: 8, must: 1.8, goal: 3 },
    { dataset, keys: 60_000, batch: 10, inFlight: 8, must: 1.8, goal: 3 },
    { dataset, keys: 15_000, batch: 1, inFlight: 8, must: 1.8, goal: 3 },
  ]),
  { dataset: lists(1000), keys: 2000, batch: 100, inFlight: 1, must: 0.8, goal: 1.2 },
]

/** Who moves to whom. redis-server and valkey-server move to their like; that is what keyferry is held against. */
const ROUTES: readonly { source: Role, target: Role }[] = [
  { source: 'keyferry', target: 'keyferry' },
  { source: 'keyferry', target: 'redis' },
  { source: 'redis', target: 'redis' },
  { source: 'valkey', target: 'valkey' },
]

const TIMEOUT_MS = 60_000

/** One MIGRATE request of these keys; `copy` leaves them where they are. */
export function migrateRequest(port: number, keys: readonly string[], copy = false): Buffer {
  return command('MIGRATE', '127.0.0.1', port, '', 0, TIMEOUT_MS, ...(copy ? ['COPY'] : []), 'KEYS', ...keys)
}

export async function migrate(bench: Bench): Promise<void> {
  const sources = new Map<Role, Peer>()
  const targets = new Map<Role, Peer>()
  try {
    for (const role of bench.roles) {
      sources.set(role, await startRole(bench, role))
      targets.set(role, await startRole(bench, role))
    }
    for (const load of LOADS) {
      for (let round = 0; round < bench.rounds; round++) {
        for (const { source, target } of inTurn(ROUTES, round)) {
          const from = sources.get(source)
          const to = targets.get(target)
          if (from === undefined || to === undefined) continue
          const measured = await move(bench, from, to, load)
          for (const [rate, cpu] of figuresOf(load, source, target)) {
            bench.sheet.record(rate, source, measured.keysPerSecond)
            bench.sheet.record(cpu, source, measured.sourceMicrosPerKey)
          }
        }
      }
    }
  } finally {
    for (const peer of [...sources.values(), ...targets.values()]) await peer.stop()
  }
}

/** Rate and CPU figures a run counts for: the reference servers' runs count for both of keyferry's targets. */
function figuresOf(load: Load, source: Role, target: Role): [Figure, Figure][] {
  const targets: readonly Role[] = source === 'keyferry' ? [target] : ['keyferry', 'redis']
  return targets.map((to) => {
    const title = `MIGRATE ${load.dataset.name} to ${to}, batch ${load.batch}${load.inFlight > 1 ? `, ${load.inFlight} in flight` : ''}`
    const { must, goal } = load
    return [
      { name: title, unit: 'keys/s', better: 'higher', against: 'ratio', must, goal },
      { name: `${title}: source CPU`, unit: 'us/key', better: 'lower', against: 'ratio' },
    ]
  })
}

async function move(bench: Bench, from: Peer, to: Peer, load: Load): Promise<{ keysPerSecond: number, sourceMicrosPerKey: number }> {
  const { dataset, batch, inFlight } = load
  const count = scaled(bench, load.keys, 2 * inFlight)
  for (const peer of [from, to]) {
    const wire = await Wire.connect(peer.port)
    await wire.call('FLUSHALL')
    wire.close()
  }
  await fill(from.port, dataset, count)
  const requests: Buffer[] = []
  for (let at = 0; at < count; at += batch) {
    requests.push(migrateRequest(to.port, Array.from({ length: Math.min(batch, count - at) }, (_, i) => dataset.key(at + i))))
  }
  const wires = await Promise.all(Array.from({ length: inFlight }, () => Wire.connect(from.port)))
  const cpuBefore = cpuMicros(from.pid)
  const startedAt = performance.now()
  let next = 0
  await Promise.all(wires.map(async (wire) => {
    while (next < requests.length) {
      const reply = await wire.ask(requests[next++])
      if (reply instanceof Error || String(reply) !== 'OK') throw new Error(`MIGRATE answered ${String(reply)}`)
    }
  }))
  const seconds = (performance.now() - startedAt) / 1000
  const cpu = cpuMicros(from.pid) - cpuBefore
  const left = await wires[0].call('DBSIZE')
  for (const wire of wires) wire.close()
  if (left !== 0) throw new Error(`${String(left)} keys are still at the source`)
  await verify(to.port, dataset, count)
  return { keysPerSecond: count / seconds, sourceMicrosPerKey: cpu / count }
}
