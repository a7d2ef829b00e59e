/**
 * MIGRATE of few large values: how long it takes, how long the clients of either server wait meanwhile (a prober in a process
 * of its own), and how much memory the source takes for it (the kernel's own peak).
 */
import { cpuMicros, peakRssBytes, resetPeak, rssBytes, type Peer } from '../test/peers.js'
import { fill, hashes, sortedSets, strings, verify, type Dataset } from './dataset.js'
import { migrateRequest } from './migrate.js'
import { startProber } from './prober.js'
import { inTurn, scaled, startRole, type Bench } from './servers.js'
import type { Figure, Role } from './sheet.js'
import { Wire } from './wire.js'

interface Load {
  dataset: Dataset
  keys: number
  /** The bars for the time it takes, against redis-server as it comes. */
  must: number
  goal: number
  /** The bars against a redis-server with rdbcompression no, where that matters. */
  plain?: { must: number, goal: number }
}

/** All of a full size, or of a hundredth of it for a smoke run. */
function loads(bench: Bench): Load[] {
  return [
    { dataset: strings(scaled(bench, 50_000_000, 500_000)), keys: 4, must: 3, goal: 6, plain: { must: 1.2, goal: 1.7 } },
    { dataset: hashes(scaled(bench, 1_000_000, 10_000)), keys: 1, must: 5, goal: 10 },
    { dataset: sortedSets(scaled(bench, 1_000_000, 10_000)), keys: 1, must: 5, goal: 10 },
  ]
}

interface Route {
  source: Role
  target: Role
  config: Record<string, string>
}

const PLAIN = { rdbcompression: 'no' }
const ROUTES: readonly Route[] = [
  { source: 'keyferry', target: 'keyferry', config: {} },
  { source: 'redis', target: 'redis', config: {} },
  { source: 'redis', target: 'redis', config: PLAIN },
  { source: 'valkey', target: 'valkey', config: {} },
]

interface Measured {
  ms: number
  sourceCpuMs: number
  sourceWaitMs: number
  targetWaitMs: number
  growthBytes: number
  ownLagMs: number
}

export async function large(bench: Bench): Promise<void> {
  for (const load of loads(bench)) {
    for (let round = 0; round < bench.rounds; round++) {
      for (const route of inTurn(ROUTES, round)) {
        if (!bench.roles.includes(route.source)) continue
        if (route.config === PLAIN && load.plain === undefined) continue
        record(bench, load, route, await measure(bench, load, route))
      }
    }
  }
}

function record(bench: Bench, load: Load, route: Route, measured: Measured): void {
  const { sheet } = bench
  const title = `MIGRATE ${load.keys} ${load.dataset.name}`
  const time = (name: string, bars: { must: number, goal: number }): Figure => ({ name, unit: 'ms', better: 'lower', against: 'ratio', must: bars.must, goal: bars.goal })
  if (load.plain !== undefined && (route.config === PLAIN || route.source === 'keyferry')) {
    sheet.record(time(`${title} (rdbcompression no)`, load.plain), route.source, measured.ms)
    if (route.config === PLAIN) return
  }
  sheet.record(time(title, load), route.source, measured.ms)
  sheet.record({ name: `${title}: source CPU`, unit: 'ms', better: 'lower', against: 'ratio' }, route.source, measured.sourceCpuMs)
  const wait = { unit: 'ms', better: 'lower', against: 'limit', must: 25, goal: 5 } as const
  sheet.record({ name: `${title}: longest PING at source`, ...wait }, route.source, measured.sourceWaitMs)
  sheet.record({ name: `${title}: longest PING at target`, ...wait }, route.source, measured.targetWaitMs)
  sheet.record({ name: `${title}: prober's own lag`, unit: 'ms', better: 'lower', against: 'limit' }, route.source, measured.ownLagMs)
  sheet.record({ name: `${title}: memory growth of source`, unit: 'MB', better: 'lower', against: 'limit', must: 16, goal: 4 }, route.source, measured.growthBytes / 1e6)
}

async function measure(bench: Bench, load: Load, route: Route): Promise<Measured> {
  const peers: Peer[] = []
  try {
    peers.push(await startRole(bench, route.source, route.config), await startRole(bench, route.target, route.config))
    const [source, target] = peers
    await fill(source.port, load.dataset, load.keys)
    const wire = await Wire.connect(source.port)
    // One small key first: the link, and code that has run once.
    await wire.call('SET', 'first', 'x')
    await wire.ask(migrateRequest(target.port, ['first']))
    await new Promise((resolve) => setTimeout(resolve, bench.scale < 1 ? 50 : 500))
    const stopProber = await startProber([source.port, target.port])
    const rss = rssBytes(source.pid)
    resetPeak(source.pid)
    const cpu = cpuMicros(source.pid)
    const startedAt = performance.now()
    const reply = await wire.ask(migrateRequest(target.port, Array.from({ length: load.keys }, (_, i) => load.dataset.key(i))))
    const ms = performance.now() - startedAt
    const sourceCpuMs = (cpuMicros(source.pid) - cpu) / 1000
    const probe = await stopProber()
    if (String(reply) !== 'OK') throw new Error(`MIGRATE answered ${String(reply)}`)
    wire.close()
    await verify(target.port, load.dataset, load.keys)
    return {
      ms, sourceCpuMs,
      sourceWaitMs: probe.longestMs[source.port],
      targetWaitMs: probe.longestMs[target.port],
      growthBytes: Math.max(0, peakRssBytes(source.pid) - rss),
      ownLagMs: probe.ownLagMs,
    }
  } finally {
    for (const peer of peers) await peer.stop()
  }
}
