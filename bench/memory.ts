/**
 * Memory per key (a million keys of 16 bytes with values of 32), and the longest wait of a client while five million such keys
 * are loaded by another: growing a table is where a server stops to think.
 */
import { rssBytes, type Peer } from '../test/peers.js'
import { startProber } from './prober.js'
import { inTurn, scaled, startRole, type Bench } from './servers.js'
import type { Figure } from './sheet.js'
import { Wire, command } from './wire.js'

const USED: Figure = { name: 'Memory per key, 16 B keys with 32 B values: used_memory', unit: 'B', better: 'lower', against: 'ratio', must: 1 / 0.75, goal: 1 / 0.55 }
const RESIDENT: Figure = { name: 'Memory per key, 16 B keys with 32 B values: resident', unit: 'B', better: 'lower', against: 'ratio', must: 1 / 0.75, goal: 1 / 0.55 }
const STALL: Figure = { name: 'Longest PING while 5 M keys are loaded', unit: 'ms', better: 'lower', against: 'limit', must: 25, goal: 8 }
const LAG: Figure = { name: "Longest PING while 5 M keys are loaded: prober's own lag", unit: 'ms', better: 'lower', against: 'limit' }
const LOADING: Figure = { name: 'Loading 5 M keys, one connection', unit: 'keys/s', better: 'higher', against: 'ratio' }

export async function memory(bench: Bench): Promise<void> {
  const count = scaled(bench, 1_000_000, 20_000)
  for (let round = 0; round < bench.rounds; round++) {
    for (const role of inTurn(bench.roles, round)) {
      const peer = await startRole(bench, role)
      try {
        await load(peer, 1000, 'warm')
        const [used, resident] = [await usedMemory(peer), rssBytes(peer.pid)]
        await load(peer, count, 'key:')
        bench.sheet.record(USED, role, (await usedMemory(peer) - used) / count)
        bench.sheet.record(RESIDENT, role, (rssBytes(peer.pid) - resident) / count)
      } finally {
        await peer.stop()
      }
    }
  }
}

export async function stall(bench: Bench): Promise<void> {
  const count = scaled(bench, 5_000_000, 50_000)
  for (let round = 0; round < Math.min(bench.rounds, 3); round++) {
    for (const role of inTurn(bench.roles, round)) {
      const peer = await startRole(bench, role)
      try {
        const stopProber = await startProber([peer.port])
        const startedAt = performance.now()
        await load(peer, count, 'key:')
        const seconds = (performance.now() - startedAt) / 1000
        const probe = await stopProber()
        bench.sheet.record(STALL, role, probe.longestMs[peer.port])
        bench.sheet.record(LAG, role, probe.ownLagMs)
        bench.sheet.record(LOADING, role, count / seconds)
      } finally {
        await peer.stop()
      }
    }
  }
}

/** SETs of 16-byte keys and 32-byte values, pipelined. */
async function load(peer: Peer, count: number, prefix: string): Promise<void> {
  const wire = await Wire.connect(peer.port)
  try {
    const width = 16 - prefix.length
    await wire.stream(count, (i) => command('SET', prefix + String(i).padStart(width, '0'), `value:${String(i).padStart(26, '0')}`))
    const size = await wire.call('DBSIZE')
    if (Number(size) < count) throw new Error(`${String(size)} keys of ${count} are there`)
  } finally {
    wire.close()
  }
}

async function usedMemory(peer: Peer): Promise<number> {
  const wire = await Wire.connect(peer.port)
  try {
    return Number(/used_memory:(\d+)/.exec(String(await wire.call('INFO', 'memory')))?.[1])
  } finally {
    wire.close()
  }
}
