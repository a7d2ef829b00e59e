/**
 * `keyferry migrate` from server to server, against redis-server moving the same keys itself (MIGRATE COPY, batches of
 * 1,000), from a data directory of etcd's v2 API into a running etcd, and into SQL servers (storage-sql.ts). The program runs as
 * users run it, in a process of its own; its rate is that of its own report, its memory the peak of the process.
 */
import { rmSync } from 'node:fs'
import { WalWriter } from '../test/etcd-wal-writer.js'
import { skipWithoutEtcd, startEtcd } from '../test/peers-etcd.js'
import type { Peer } from '../test/peers.js'
import { fill, strings, verify } from './dataset.js'
import { migrateRequest } from './migrate.js'
import { runMigrate } from './program.js'
import { scaled, startRole, type Bench } from './servers.js'
import type { Figure } from './sheet.js'
import { storageSql } from './storage-sql.js'
import { Wire } from './wire.js'

const KEYS = 1_000_000
const BATCH = 1000
const ETCD_KEYS = 100_000

const COPY: Figure = { name: 'keyferry migrate redis: redis:, 1 M keys of 100 B', unit: 'keys/s', better: 'higher', against: 'ratio', must: 1, goal: 1.8 }
const VERIFY: Figure = { name: 'The same with --verify full: the comparison alone', unit: 'keys/s', better: 'higher', against: 'ratio', rival: 'its copy', must: 0.5 }
const MEMORY: Figure = { name: 'keyferry migrate redis: redis:, 1 M keys: memory of the process', unit: 'MB', better: 'lower', against: 'limit', must: 150 }
const ETCD: Figure = { name: 'keyferry migrate etcd2: etcd:, 100 B values', unit: 'keys/s', better: 'higher', against: 'limit', must: 15_000 }

export async function storage(bench: Bench): Promise<void> {
  const dataset = strings(100)
  const count = scaled(bench, KEYS, 1000)
  const [from, to] = [await startRole(bench, 'redis'), await startRole(bench, 'redis')]
  try {
    await fill(from.port, dataset, count)
    for (let round = 0; round < bench.rounds; round++) {
      await flush(to)
      const copied = await runMigrate([`redis://127.0.0.1:${from.port}`, `redis://127.0.0.1:${to.port}`, '--verify', 'full'])
      // Once with our own eyes; --verify looks every time.
      if (round === 0) await verify(to.port, dataset, count)
      bench.sheet.record(COPY, 'keyferry', (count / copied.report.report.elapsedMs) * 1000)
      bench.sheet.record(VERIFY, 'keyferry', (count / copied.report.comparison.elapsedMs) * 1000)
      bench.sheet.record(VERIFY, 'redis', (count / copied.report.report.elapsedMs) * 1000)
      bench.sheet.record(MEMORY, 'keyferry', copied.peakBytes / 1e6)
      await flush(to)
      bench.sheet.record(COPY, 'redis', await moveWithRedis(from, to, count, (i) => dataset.key(i)))
    }
  } finally {
    await from.stop()
    await to.stop()
  }
  const withoutEtcd = skipWithoutEtcd()
  if (withoutEtcd === false) await etcd(bench)
  else bench.log(`  skipped: ${withoutEtcd}`)
  await storageSql(bench)
}

async function etcd(bench: Bench): Promise<void> {
  const log = new WalWriter()
  const count = scaled(bench, ETCD_KEYS, 200)
  for (let i = 0; i < count; i++) log.put(`/key/${i}`, 'v'.repeat(100))
  log.commit()
  log.save()
  const peer = await startEtcd()
  try {
    const { report } = await runMigrate([`etcd2:${log.folder}`, peer.url])
    bench.sheet.record(ETCD, 'keyferry', (count / report.report.elapsedMs) * 1000)
  } finally {
    await peer.stop()
    rmSync(log.folder, { recursive: true, force: true })
  }
}

async function flush(peer: Peer): Promise<void> {
  const wire = await Wire.connect(peer.port)
  await wire.call('FLUSHALL')
  wire.close()
}

/** The same keys by redis-server's own command; keys per second. They stay at the source: it is asked for copies. */
async function moveWithRedis(from: Peer, to: Peer, count: number, key: (i: number) => string): Promise<number> {
  const wire = await Wire.connect(from.port)
  const startedAt = performance.now()
  for (let at = 0; at < count; at += BATCH) {
    const reply = await wire.ask(migrateRequest(to.port, Array.from({ length: Math.min(BATCH, count - at) }, (_, i) => key(at + i)), true))
    if (String(reply) !== 'OK') throw new Error(`MIGRATE answered ${String(reply)}`)
  }
  wire.close()
  return (count / (performance.now() - startedAt)) * 1000
}
