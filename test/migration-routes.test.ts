/**
 * Data on its way through several stores, with the program: what arrives at the end of the route is what left.
 *
 *     file -> mysql -> postgresql -> etcd -> redis -> rdb -> keyferry -> file          strings of any bytes, byte for byte
 *     redis 7.0 -> keyferry -> valkey 8.0 -> rdb -> redis 7.0, and a cluster             every type, expiry times too
 *
 * KEYFERRY_ROUTE_KEYS makes the first route longer (100000 takes a minute).
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { FileStore } from '../src/backends/file/store.js'
import type { Entry } from '../src/transfer/store.js'
import { Chance } from './fuzz/chance.js'
import { start as run } from './migrations.js'
import { startCluster, stopCluster } from './peers-cluster.js'
import { skipWithoutEtcd, startEtcd } from './peers-etcd.js'
import { skipWithoutSql, startSql } from './peers-sql.js'
import { skipWithout, startPeer, type Peer, type PeerName } from './peers.js'

t.setTimeout(170_000)

const SEED = Number(process.env['SEED'] ?? 20262)
const KEYS = Number(process.env['KEYFERRY_ROUTE_KEYS'] ?? 2000)
const PROGRAM = fileURLToPath(new URL('../bin/keyferry.js', import.meta.url))

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'keyferry-routes-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs `keyferry migrate`; its output, or a failure of the test. */
function migrate(t: Test, ...words: string[]): Promise<string> {
  const env = { ...process.env }
  delete env['NODE_OPTIONS']
  return new Promise((done) => {
    execFile(process.execPath, [PROGRAM, 'migrate', ...words], { env, timeout: 150_000 }, (error, out, err) => {
      const leg = words.slice(-2).map((url) => url.replace(/:.*/s, '')).join(' -> ')
      if (error !== null) t.fail(`${leg}: ${error.message}\n${out}${err}`)
      else t.pass(`${leg}: ${/.*copied.*/.exec(out)?.[0] ?? ''}`)
      done(out)
    })
  })
}

async function start(t: Test, name: PeerName): Promise<Peer> {
  const peer = await startPeer(name)
  t.teardown(() => peer.stop())
  return peer
}

/** Names that every store takes (text, no NUL, segments of moderate length), and values of any bytes. */
function anyEntries(chance: Chance, count: number): Entry[] {
  const words = ['a', 'core', 'log_x', 'logAx', '100%', 'ключ', '日本', 'with space', 'x'.repeat(80), '.', '_u', "qu'ote", 'a!', 'back\\slash']
  const entries = new Map<string, Entry>()
  for (let i = 0; entries.size < count; i++) {
    // The last segment names a file, the others folders: a number in it keeps the two apart.
    const segments = Array.from({ length: chance.below(4) }, () => `${words[chance.below(words.length)]}~`)
    const key = [...segments, `${words[chance.below(words.length)]}${i}`].join('/')
    const value = Buffer.from(Array.from({ length: chance.below(4) === 0 ? chance.below(400) : chance.below(40) }, () => chance.below(256)))
    entries.set(key, { db: 0, key: Buffer.from(key), form: 'raw', value, expiresAtMs: undefined })
  }
  return [...entries.values()]
}

async function contentOf(store: FileStore): Promise<Map<string, string>> {
  await store.open('read')
  const content = new Map<string, string>()
  for await (const page of store.list(undefined))
    for (const found of await store.read(page))
      if (found !== undefined && !(found instanceof Error)) content.set(found.key.toString('latin1'), found.value.toString('latin1'))
  return content
}

const missing = skipWithoutSql('mariadb') || skipWithoutSql('postgresql') || skipWithoutEtcd() || skipWithout('redis')

t.test(`${KEYS} keys through every kind of store and back, seed ${SEED}`, { skip: missing }, async (t) => {
  const folder = temporaryFolder(t)
  const [mariadb, postgres, etcd, redis, ours] = await Promise.all([startSql('mariadb'), startSql('postgresql'), startEtcd(), start(t, 'redis'), start(t, 'keyferry')])
  t.teardown(() => Promise.all([mariadb.stop(), postgres.stop(), etcd.stop()]))
  const [first, last] = ['first', 'last'].map((name) => new FileStore(path.join(folder, name)))
  await first.open('write')
  const entries = anyEntries(new Chance(SEED), KEYS)
  for (let at = 0; at < entries.length; at += 250) await first.write(entries.slice(at, at + 250), 'replace')
  const stops = [
    first.label,
    `mysql://${mariadb.user}:${encodeURIComponent(mariadb.password)}@127.0.0.1:${mariadb.port}/ferry`,
    `postgres://${postgres.user}:${encodeURIComponent(postgres.password)}@127.0.0.1:${postgres.port}/postgres`,
    etcd.url,
    `redis://127.0.0.1:${redis.port}`,
    `rdb:${path.join(folder, 'dump.rdb')}`,
    `redis://127.0.0.1:${ours.port}`,
    last.label,
  ]
  // One leg as the users of Vault's command write it.
  const config = path.join(folder, 'migrate.hcl')
  writeFileSync(config, `
    storage_source "mysql" {
      username = "${mariadb.user}"
      password = "${mariadb.password}"
      address  = "127.0.0.1:${mariadb.port}"
      database = "ferry"
    }
    storage_destination "postgresql" {
      connection_url = "${stops[2]}"
    }`)
  for (let i = 1; i < stops.length; i++) await (i === 2 ? migrate(t, '-config', config) : migrate(t, '--verify=full', stops[i - 1], stops[i]))
  for (const stop of stops.filter((url) => !url.startsWith('rdb:')))
    t.match(await run([stop, stop]), { status: 2, out: /^$/, err: /nothing was copied:\nsame-server: source and destination are both / }, `onto itself: ${stop.replace(/:.*/s, '')}`)
  const want = await contentOf(first)
  const have = await contentOf(last)
  t.equal(have.size, KEYS)
  t.same([...have].filter(([key, value]) => want.get(key) !== value), [], 'every value is what it was')
})

t.test(`every type, with expiry times, from server to server and through a file, seed ${SEED}`, { skip: skipWithout('redis') || skipWithout('valkey') }, async (t) => {
  const folder = temporaryFolder(t)
  const [from, ours, valkey, to] = await Promise.all([start(t, 'redis'), start(t, 'keyferry'), start(t, 'valkey'), start(t, 'redis')])
  const client = await from.client()
  const chance = new Chance(SEED)
  const commands: (string | number)[][] = []
  for (let i = 0; i < 60; i++) {
    const many = i % 3 === 0 ? 700 : 5
    const word = (): string => 'w'.repeat(chance.below(30)) + chance.below(1e6)
    const elements = Array.from({ length: many }, word)
    commands.push(['SELECT', chance.below(3)], ['SET', `string:${i}`, word()], ['RPUSH', `list:${i}`, ...elements], ['SADD', `set:${i}`, ...elements],
      ['SADD', `ints:${i}`, ...elements.map(() => chance.below(1e5))], ['HSET', `hash:${i}`, ...elements.flatMap((element) => [element, word()])],
      ['ZADD', `zset:${i}`, ...elements.flatMap((element) => [chance.below(1000) / 8, element])])
    for (let j = 1; j < 8; j++) commands.push(['XADD', `stream:${i}`, `${i}-${j}`, 'field', word(), 'n', j])
    commands.push(['XGROUP', 'CREATE', `stream:${i}`, 'group', 0], ['XREADGROUP', 'GROUP', 'group', 'consumer', 'COUNT', 2, 'STREAMS', `stream:${i}`, '>'],
      ['PEXPIRE', `hash:${i}`, 1e7 + chance.below(1e7)], ['SET', `long:${i}`, word().repeat(i * 100), 'PX', 1e7 + i])
  }
  const refused = (await client.pipeline(commands)).filter(({ reply }) => reply.type === 'error')
  t.same(refused, [])
  const file = path.join(folder, 'all.rdb')
  const stops = [`redis://127.0.0.1:${from.port}`, `valkey://127.0.0.1:${ours.port}`, `valkey://127.0.0.1:${valkey.port}`, `rdb:${file}`, `redis://127.0.0.1:${to.port}`]
  for (let i = 1; i < stops.length; i++) await migrate(t, '--verify=full', stops[i - 1], stops[i])
  t.equal(readFileSync(file).toString('latin1', 0, 9), 'REDIS0011')
  const digests = await Promise.all([from, to].map(async (peer) => (await peer.client()).text('DEBUG', 'DIGEST')))
  t.equal(digests[0], digests[1], "Redis' own digest of all data, expiry times included")
  // A cluster has database 0 alone.
  const nodes = await startCluster('redis', 3)
  t.teardown(() => stopCluster(nodes))
  const out = await migrate(t, '--verify=full', '--db=0', `rdb:${file}`, `redis-cluster://${nodes[1].address}`)
  t.match(out, /no difference/)
})

t.test('into one database of a server: its lock and checkpoint are there too', { skip: skipWithout('redis') }, async (t) => {
  const [from, to] = await Promise.all([start(t, 'redis'), start(t, 'redis')])
  await (await from.client()).pipeline(Array.from({ length: 50 }, (_, i) => ['SET', `key:${i}`, i]))
  const ends = ['--db=0:4', `redis://127.0.0.1:${from.port}`, `redis://127.0.0.1:${to.port}/4`]
  t.match(await migrate(t, '--verify=full', ...ends), /no difference/)
  const client = await to.client()
  t.match(await client.text('DBSIZE'), /\b0$/)
  await client.call('SELECT', 4)
  t.match(await client.text('DBSIZE'), /\b50$/, 'and nothing stays')
})

t.test('from the one database of a source into the one of a destination, whatever their numbers', { skip: skipWithout('redis') }, async (t) => {
  const redis = await start(t, 'redis')
  const url = (db: number): string => `redis://127.0.0.1:${redis.port}/${db}`
  const client = await redis.client()
  await client.pipeline([['SELECT', 3], ...Array.from({ length: 50 }, (_, i) => ['SET', `key:${i}`, i]), ['HSET', 'hash', 'field', 'value']])
  const stops = [url(3), url(5), `file:${mkdtempSync(path.join(tmpdir(), 'keyferry-one-'))}`, url(7)]
  t.teardown(() => rmSync(stops[2].slice('file:'.length), { recursive: true, force: true }))
  for (let i = 1; i < stops.length; i++) t.match(await migrate(t, '--verify=full', stops[i - 1], stops[i]), /no difference/)
  for (const db of [3, 5, 7]) {
    await client.call('SELECT', db)
    t.match(await client.text('DBSIZE'), /\b51$/, `database ${db}`)
  }
  t.match(await migrate(t, '--dry-run', '--db=0:7', stops[2], stops[3]), /identical +51/, 'as told by hand')
})

t.test('expiry times in etcd, which has whole seconds: the same when compared, and when copied again', { skip: skipWithoutEtcd() || skipWithout('redis') }, async (t) => {
  const [redis, etcd] = await Promise.all([start(t, 'redis'), startEtcd()])
  t.teardown(() => etcd.stop())
  const client = await redis.client()
  await client.pipeline(Array.from({ length: 50 }, (_, i) => ['SET', `key:${i}`, 'value', 'PX', 600_000 + 37 * i]))
  const ends = [`redis://127.0.0.1:${redis.port}`, `${etcd.url}/`]
  t.match(await migrate(t, '--verify=full', ...ends), /no difference/)
  t.match(await migrate(t, '--on-conflict=error', ...ends), /identical +50/)
  await client.pipeline([['PEXPIRE', 'key:7', 900_000]])
  t.match(await migrate(t, '--dry-run', '--on-conflict=replace', ...ends), /identical +49/, 'another time is another')
})

t.test('a stream with readers that goes in pieces is the same when compared', { skip: skipWithout('redis') }, async (t) => {
  const [from, to] = await Promise.all([start(t, 'redis'), start(t, 'redis')])
  const client = await from.client()
  await client.pipeline([
    ...Array.from({ length: 500 }, (_, i) => ['XADD', 'stream', `${i + 1}-1`, 'field', `value ${i * i * 7919}`]), ['XGROUP', 'CREATE', 'stream', 'group', '0'],
    ['XREADGROUP', 'GROUP', 'group', 'reader', 'COUNT', 20, 'STREAMS', 'stream', '>'], ['XGROUP', 'CREATECONSUMER', 'stream', 'group', 'idle'],
  ])
  const ends = [`redis://127.0.0.1:${from.port}`, `redis://127.0.0.1:${to.port}`]
  t.match(await migrate(t, '--chunk-bytes=2000', '--verify=full', ...ends), /no difference/)
  t.match(await (await to.client()).text('XPENDING', 'stream', 'group'), /:20, "1-1", "20-1"/)
})
