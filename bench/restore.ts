/** RESTORE of a hash of 10,000 fields: CPU time of the server per RESTORE. The payload is what redis-server's DUMP gives. */
import { cpuMicros, type Peer } from '../test/peers.js'
import { fill, hashes } from './dataset.js'
import { inTurn, scaled, startRole, type Bench } from './servers.js'
import type { Figure, Role } from './sheet.js'
import { Wire, command } from './wire.js'

const FIELDS = 10_000
const COPIES = 200

const FIGURE: Figure = { name: `RESTORE of a ${FIELDS}-field hash: CPU`, unit: 'us', better: 'lower', against: 'ratio', must: 8, goal: 12 }

export async function restore(bench: Bench): Promise<void> {
  const dataset = hashes(FIELDS)
  const maker = await startRole(bench, 'redis')
  const peers = new Map<Role, Peer>()
  try {
    await fill(maker.port, dataset, 1)
    const wire = await Wire.connect(maker.port)
    const payload = (await wire.call('DUMP', dataset.key(0))) as Buffer
    wire.close()
    for (const role of bench.roles) peers.set(role, await startRole(bench, role))
    const copies = scaled(bench, COPIES)
    for (let round = 0; round < bench.rounds; round++) {
      for (const role of inTurn(bench.roles, round)) {
        const peer = peers.get(role)
        if (peer !== undefined) bench.sheet.record(FIGURE, role, await measure(peer, payload, copies, dataset))
      }
    }
  } finally {
    for (const peer of [maker, ...peers.values()]) await peer.stop()
  }
}

async function measure(peer: Peer, payload: Buffer, copies: number, dataset: ReturnType<typeof hashes>): Promise<number> {
  const wire = await Wire.connect(peer.port)
  try {
    await wire.call('FLUSHALL')
    const requests = Array.from({ length: copies }, (_, i) => command('RESTORE', `copy:${i}`, 0, payload))
    const before = cpuMicros(peer.pid)
    await wire.stream(copies, (i) => requests[i])
    const micros = (cpuMicros(peer.pid) - before) / copies
    const content = await wire.ask(command('HGETALL', `copy:${copies - 1}`))
    if (!dataset.isRight(0, content)) throw new Error('a restored hash is not what was dumped')
    return micros
  } finally {
    wire.close()
  }
}
