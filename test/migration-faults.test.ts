/**
 * `keyferry migrate` between real servers while something breaks: the program is killed, a server dies, hangs or loses what it
 * had, a disk is full. Whatever happens when, the same command started again ends with equal stores, and on the way there the
 * exit status, the first cause and the locks say what is so.
 *
 * Both ends are read without the program's own stores (`contents` below). KEYFERRY_FAULT_ROUNDS makes more rounds of it.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import mysql from 'mysql2/promise'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { crc16 } from '../protocol/crc16.js'
import { show, type RespClient, type Word } from './client.js'
import { ConsulStub } from './consul-stub.js'
import { WalWriter } from './etcd-wal-writer.js'
import { FaultProxy } from './fault-proxy.js'
import { Chance } from './fuzz/chance.js'
import { startCluster, stopCluster, type ClusterNode } from './peers-cluster.js'
import { skipWithoutEtcd, startEtcd, type EtcdPeer } from './peers-etcd.js'
import { quickFolder, skipWithoutSql, startSql, type SqlPeer } from './peers-sql.js'
import { freePort, skipWithout, startPeer, type Peer, type PeerOptions } from './peers.js'

t.setTimeout(600_000)
// Most of the time is spent waiting for limits of rate and time-outs.
t.jobs = 4

const SEED = Number(process.env['SEED'] ?? 20263)
const ROUNDS = Number(process.env['KEYFERRY_FAULT_ROUNDS'] ?? 1)
const PROGRAM = fileURLToPath(new URL('../bin/keyferry.js', import.meta.url))

/** Keys of a store: enough that a checkpoint, saved once a second, is there before the copy ends. */
const KEYS = 1200
const RATE = 500

// ------------------------------------------------------------------------------------------------ the program

interface Ended { readonly status: number | string; readonly out: string; readonly err: string; readonly pid: number }

interface Watch {
  start?(child: ChildProcess): void
  /** So many keys have their outcome. */
  keys?(child: ChildProcess, keys: number): void
}

/** Runs `keyferry migrate`. */
function migrate(words: readonly string[], watch: Watch = {}): Promise<Ended> {
  const env = { ...process.env }
  delete env['NODE_OPTIONS']
  const child = spawn(process.execPath, [PROGRAM, 'migrate', ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  let keys = 0
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => {
    const text = chunk.toString()
    err += text
    keys += text.split(' key: path=').length - 1
    watch.keys?.(child, keys)
  })
  watch.start?.(child)
  return new Promise((done) => { child.once('close', (code, signal) => done({ status: signal ?? code ?? -1, out, err, pid: child.pid ?? -1 })) })
}

const wordsFor = (source: Place, target: Place, ...more: string[]): string[] => ['-log-level=debug', '--batch=20', '--max-parallel=4', `--rate=${RATE}`, '--verify=full', ...more, source.url, target.url]

/** What is said of the run when a test fails, without the line per key. */
const said = ({ out, err }: Ended): string => `${err.replace(/.*key: path=.*\n/g, '')}${out}`

// ------------------------------------------------------------------------------------------------ the ends

/** One end of a migration: what the program is told, and what is really there. */
interface Place {
  readonly url: string
  /** Everything in it, a byte of a key or value to a character; of keys that are no plain strings a description. */
  contents(): Promise<Map<string, string>>
  /** Whether a lock is kept there when it is a source. */
  readonly locksSource: boolean
}

const LOCK = 'core/migration'
const STATE = [LOCK, 'core/migration-checkpoint']

const without = (contents: Map<string, string>): Map<string, string> => new Map([...contents].filter(([key]) => !STATE.includes(key)))

/** Names that every store takes, and values of any bytes. */
function strings(chance: Chance, count = KEYS): Map<string, string> {
  const words = ['a', 'log_x', '100%', 'ключ', 'with space', "qu'ote", 'back\\slash', 'core']
  return new Map(Array.from({ length: count }, (_, i) => {
    const key = [...Array.from({ length: chance.below(3) }, () => `${chance.pick(words)}~`), `${chance.pick(words)}${i}`].join('/')
    return [Buffer.from(key).toString('latin1'), chance.bytes(chance.below(60)).toString('latin1')]
  }))
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(path.join(quickFolder(), 'keyferry-faults-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Vault's layout of files. */
function filePlace(folder: string, entries?: Map<string, string>): Place {
  for (const [key, value] of entries ?? []) {
    const file = path.join(folder, path.dirname(bytes(key).toString()), `_${path.basename(bytes(key).toString())}`)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify({ Value: bytes(value).toString('base64') })}\n`)
  }
  return {
    url: `file:${folder}`, locksSource: true,
    async contents() {
      const found = new Map<string, string>()
      if (!existsSync(folder)) return found
      for (const file of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!file.isFile()) continue
        const name = path.join(path.relative(folder, file.parentPath), file.name.replace(/^_/, ''))
        const { Value } = file.name.startsWith('_') ? JSON.parse(readFileSync(path.join(file.parentPath, file.name), 'utf8')) as { Value: string } : { Value: '' }
        found.set(Buffer.from(name).toString('latin1'), Buffer.from(Value, 'base64').toString('latin1'))
      }
      return found
    },
  }
}

async function mysqlPlace(t: Test, peer: SqlPeer, database: string, query = ''): Promise<Place> {
  const admin = await mysql.createConnection({ host: '127.0.0.1', port: peer.port, user: peer.user, password: peer.password })
  t.teardown(() => admin.end())
  return {
    url: `mysql://${peer.user}:${encodeURIComponent(peer.password)}@127.0.0.1:${peer.port}/${database}${query}`, locksSource: true,
    async contents() {
      const [there] = await admin.query<mysql.RowDataPacket[]>('select 1 from information_schema.tables where table_schema = ?', [database])
      if (there.length === 0) return new Map()
      const [rows] = await admin.query<mysql.RowDataPacket[]>({ sql: `select vault_key, vault_value from ${database}.vault`, rowsAsArray: true })
      return new Map((rows as unknown as [Buffer, Buffer][]).map(([key, value]) => [key.toString('latin1'), value.toString('latin1')]))
    },
  }
}

async function postgresPlace(t: Test, peer: SqlPeer, table: string, query = ''): Promise<Place> {
  const admin = new Client({ host: '127.0.0.1', port: peer.port, user: peer.user, password: peer.password, database: 'postgres' })
  await admin.connect()
  t.teardown(() => admin.end())
  return {
    url: `postgres://${peer.user}:${encodeURIComponent(peer.password)}@127.0.0.1:${peer.port}/postgres?sslmode=disable&table=${table}${query}`, locksSource: true,
    async contents() {
      const { rows: [{ there }] } = await admin.query<{ there: string | null }>('select to_regclass($1)::text as there', [table])
      if (there === null) return new Map()
      const { rows } = await admin.query<{ path: string; key: string; value: Buffer }>(`select path, key, value from ${table}`)
      return new Map(rows.map((row) => [Buffer.from(row.path.slice(1) + row.key).toString('latin1'), row.value.toString('latin1')]))
    },
  }
}

/** Keys under this path of an etcd, or all that it has. */
function etcdPlace(peer: EtcdPeer, prefix: string, query = ''): Place {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const range = prefix === '' ? { key: base64('\0'), range_end: base64('\0') } : { key: base64(`/${prefix}/`), range_end: base64(`/${prefix}0`) }
  return {
    url: `${peer.url}${prefix === '' ? '' : `/${prefix}`}${query}`, locksSource: prefix !== '',
    async contents() {
      const answer = await fetch(`${peer.address}/v3/kv/range`, { method: 'POST', body: JSON.stringify(range) })
      const { kvs = [] } = await answer.json() as { kvs?: { key: string; value?: string }[] }
      return new Map(kvs.map(({ key, value = '' }) => [Buffer.from(key, 'base64').toString('latin1').slice(prefix === '' ? 0 : prefix.length + 2), Buffer.from(value, 'base64').toString('latin1')]))
    },
  }
}

function consulPlace(stub: ConsulStub, port: number, prefix: string): Place {
  return {
    url: `consul://127.0.0.1:${port}/${prefix}`, locksSource: true,
    contents: async () => new Map([...stub.keys].filter(([key]) => key.startsWith(`${prefix}/`)).map(([key, { value }]) => [Buffer.from(key.slice(prefix.length + 1)).toString('latin1'), value.toString('latin1')])),
  }
}

/** Puts strings, or a few keys of every other type with them, into a server. */
async function fill(client: RespClient, entries: Map<string, string>, types: boolean): Promise<void> {
  const commands: Word[][] = [...entries].map(([key, value], i): Word[] => {
    if (!types || i % 4 === 0) return ['SET', bytes(key), bytes(value), ...(types && i % 8 === 0 ? ['PXAT', 4_000_000_000_000 + i] : [])]
    if (i % 4 === 1) return ['RPUSH', bytes(key), 'first', bytes(value), i]
    return i % 4 === 2 ? ['HSET', bytes(key), 'field', bytes(value), 'n', i] : ['ZADD', bytes(key), i, bytes(value), 0.5, 'member']
  })
  for (const { reply } of await client.pipeline(commands)) if (reply.type === 'error') throw new Error(reply.text)
}

/** All databases of a server, or one; the key of another database than the first of them begins with its number. */
async function serverContents(client: RespClient, dbs: readonly number[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const db of dbs) {
    await client.call('SELECT', db)
    const { reply } = await client.send(['KEYS', '*'])
    const keys = reply.type === 'array' ? reply.items.flatMap((item) => (item.type === 'bulk' ? [item.bytes] : [])) : []
    const about = await client.pipeline(keys.flatMap((key): Word[][] => [['TYPE', key], ['PEXPIRETIME', key]]))
    const READ: Readonly<Record<string, (key: Buffer) => Word[]>> = { '+string': (key) => ['GET', key], '+list': (key) => ['LRANGE', key, 0, -1], '+hash': (key) => ['HGETALL', key], '+zset': (key) => ['ZRANGE', key, 0, -1, 'WITHSCORES'] }
    const types = keys.map((_, i) => show(about[2 * i].reply))
    const values = await client.pipeline(keys.map((key, i) => READ[types[i]](key)))
    keys.forEach((key, i) => {
      const { reply: value } = values[i]
      const expiry = show(about[2 * i + 1].reply)
      const plain = types[i] === '+string' && expiry === ':-1' && value.type === 'bulk'
      found.set(`${db === dbs[0] ? '' : `${db} `}${key.toString('latin1')}`, plain ? value.bytes.toString('latin1') : `${types[i]} ${expiry} ${show(value)}`)
    })
  }
  await client.call('SELECT', dbs[0])
  return found
}

/** Without a number the whole server, of which tests use two databases. */
function redisPlace(port: number, client: RespClient, db?: number, query = ''): Place {
  return { url: `redis://127.0.0.1:${port}${db === undefined ? '' : `/${db}`}${query}`, locksSource: false, contents: () => serverContents(client, db === undefined ? [0, 3] : [db]) }
}

/** A cluster, whose nodes have each key once. */
function clusterPlace(nodes: readonly ClusterNode[]): Place {
  return {
    url: `redis-cluster://${nodes[1].address}`, locksSource: false,
    async contents() {
      const parts = await Promise.all(nodes.map((node) => serverContents(node.client, [0])))
      const all = new Map(parts.flatMap((part) => [...part]))
      if (all.size !== parts.reduce((sum, part) => sum + part.size, 0)) throw new Error('a key is at two nodes')
      return all
    },
  }
}

/** What a server makes of the file. */
function rdbPlace(file: string, loader: Peer, client: RespClient): Place {
  return {
    url: `rdb:${file}?version=10`, locksSource: false,
    async contents() {
      if (!existsSync(file)) return new Map()
      writeFileSync(path.join(loader.folder, 'dump.rdb'), readFileSync(file))
      const loaded = await client.text('DEBUG', 'RELOAD', 'NOSAVE')
      if (loaded !== '+OK') throw new Error(loaded)
      return serverContents(client, [0, 3])
    },
  }
}

async function server(t: Test, options: PeerOptions = {}): Promise<[Peer, RespClient]> {
  const peer = await startPeer('redis', options)
  const client = await peer.client()
  t.teardown(async () => {
    client.close()
    await peer.stop()
  })
  return [peer, client]
}

/** Compares what two ends hold; of differences only the keys are shown. */
function sameContents(t: Test, have: Map<string, string>, want: Map<string, string>, message: string): void {
  const differing = [...new Set([...have.keys(), ...want.keys()])].filter((key) => have.get(key) !== want.get(key))
  t.same(differing.slice(0, 5), [], `${message} (${have.size} of ${want.size} keys, ${differing.length} differ)`)
}

// ------------------------------------------------------------------------------------------------ killed

/** Kills the program once, somewhere; true when it came to that before it ended. */
async function killSomewhere(chance: Chance, words: readonly string[], keys: number): Promise<Ended> {
  // One of four in the first half second: opening, looking, locking, sorting. The others when so many keys are through.
  const early = chance.below(4) === 0
  const after = early ? chance.below(500) : 1 + chance.below(keys)
  return migrate(words, early
    ? { start: (child) => setTimeout(() => child.kill('SIGKILL'), after) }
    : { keys: (child, done) => { if (done >= after && !child.killed) child.kill('SIGKILL') } })
}

/** Of the locks that killed runs left: whose they are, and that others are told so. */
async function checkLocks(t: Test, source: Place, target: Place, words: readonly string[], dead: ReadonlySet<number>): Promise<number> {
  const locks = [...(source.locksSource ? [await source.contents()] : []), await target.contents()].map((contents) => contents.get(LOCK)).filter((lock) => lock !== undefined)
  for (const lock of locks) {
    const { pid, host, start } = JSON.parse(lock) as { pid: number; host: string; start: string }
    if (!dead.has(pid) || host !== hostname() || !(Date.parse(start) <= Date.now())) t.fail(`a lock that is not true: ${lock}`)
  }
  if (locks.length === 0 || dead.size > 1) return locks.length
  const other = await migrate(['--match', 'nothing', ...words])
  t.equal(other.status, 3, said(other))
  t.match(other.err, new RegExp(`storage migration in progress .* by process (${[...dead].join('|')}) on ${hostname()}\\. The process is gone: remove the lock with -reset`))
  return locks.length
}

/** A pair of stores, filled anew for each round. */
interface Pair {
  readonly name: string
  readonly skip: string | false
  /** What both rounds talk to. */
  readonly start: (t: Test) => Promise<(chance: Chance, round: number) => Promise<{ source: Place; target: Place; more?: readonly string[] }>>
}

const noRedis = skipWithout('redis')
const sql = { mariadb: undefined as Promise<SqlPeer> | undefined, postgresql: undefined as Promise<SqlPeer> | undefined }
const sqlServer = (name: 'mariadb' | 'postgresql'): Promise<SqlPeer> => (sql[name] ??= startSql(name))
let etcd: Promise<EtcdPeer> | undefined
const etcdServer = (): Promise<EtcdPeer> => (etcd ??= startEtcd())
t.teardown(() => Promise.all([sql.mariadb, sql.postgresql, etcd].map(async (peer) => (await peer)?.stop())))

const PAIRS: readonly Pair[] = [
  {
    name: 'redis -> redis', skip: noRedis,
    async start(t) {
      const [[from, fromClient], [to, toClient]] = [await server(t), await server(t)]
      return async (chance) => {
        for (const client of [fromClient, toClient]) await client.call('FLUSHALL')
        await fill(fromClient, strings(chance), true)
        await fromClient.call('SELECT', 3)
        await fill(fromClient, strings(chance, 100), true)
        await toClient.call('SELECT', 0)
        return { source: redisPlace(from.port, fromClient), target: redisPlace(to.port, toClient) }
      }
    },
  },
  {
    name: 'redis -> redis, in pieces', skip: noRedis,
    async start(t) {
      const [[from, fromClient], [to, toClient]] = [await server(t), await server(t)]
      return async (chance) => {
        for (const client of [fromClient, toClient]) await client.call('FLUSHALL')
        for (let i = 0; i < 60; i++) await fromClient.call('RPUSH', `large${i}`, ...Array.from({ length: 400 }, () => chance.bytes(100)))
        return { source: redisPlace(from.port, fromClient), target: redisPlace(to.port, toClient, undefined, '?chunk_bytes=1024'), more: ['--rate=25', '--batch=5'] }
      }
    },
  },
  {
    name: 'file -> file', skip: false,
    start: async (t) => async (chance) => ({ source: filePlace(path.join(temporaryFolder(t), 'from'), strings(chance)), target: filePlace(path.join(temporaryFolder(t), 'to')) }),
  },
  {
    name: 'file -> mysql', skip: skipWithoutSql('mariadb'),
    async start(t) {
      const peer = await sqlServer('mariadb')
      return async (chance, round) => ({ source: filePlace(path.join(temporaryFolder(t), 'from'), strings(chance)), target: await mysqlPlace(t, peer, `round${round}`) })
    },
  },
  {
    name: 'mysql -> postgresql', skip: skipWithoutSql('mariadb') || skipWithoutSql('postgresql'),
    async start(t) {
      const [from, to] = [await sqlServer('mariadb'), await sqlServer('postgresql')]
      const admin = await mysql.createConnection({ host: '127.0.0.1', port: from.port, user: from.user, password: from.password })
      t.teardown(() => admin.end())
      return async (chance, round) => {
        await admin.query(`create database from${round}`)
        await admin.query(`create table from${round}.vault (vault_key varbinary(3072), vault_value mediumblob, primary key (vault_key))`)
        await admin.query(`insert into from${round}.vault values ?`, [[...strings(chance)].map(([key, value]) => [bytes(key), bytes(value)])])
        return { source: await mysqlPlace(t, from, `from${round}`), target: await postgresPlace(t, to, `to${round}`) }
      }
    },
  },
  {
    name: 'postgresql -> etcd', skip: skipWithoutSql('postgresql') || skipWithoutEtcd(),
    async start(t) {
      const [from, to] = [await sqlServer('postgresql'), await etcdServer()]
      const admin = new Client({ host: '127.0.0.1', port: from.port, user: from.user, password: from.password, database: 'postgres' })
      await admin.connect()
      t.teardown(() => admin.end())
      return async (chance, round) => {
        await admin.query(`create table from${round} (parent_path text collate "C" not null, path text collate "C", key text collate "C", value bytea, primary key (path, key))`)
        for (const [key, value] of strings(chance)) {
          const [, folder, name] = /^(.*\/)?([^/]*)$/.exec(bytes(key).toString()) ?? []
          await admin.query(`insert into from${round} values ($1, $2, $3, $4)`, ['', `/${folder ?? ''}`, name, bytes(value)])
        }
        return { source: await postgresPlace(t, from, `from${round}`), target: etcdPlace(to, `pg${round}`) }
      }
    },
  },
  {
    name: 'etcd -> redis', skip: skipWithoutEtcd() || noRedis,
    async start(t) {
      const [from, [to, client]] = [await etcdServer(), await server(t)]
      return async (chance, round) => {
        await client.call('FLUSHALL')
        const puts = [...strings(chance)].map(([key, value]) => ({ request_put: { key: Buffer.concat([Buffer.from(`/from${round}/`), bytes(key)]).toString('base64'), value: bytes(value).toString('base64') } }))
        for (let at = 0; at < puts.length; at += 100) await fetch(`${from.address}/v3/kv/txn`, { method: 'POST', body: JSON.stringify({ success: puts.slice(at, at + 100) }) })
        return { source: etcdPlace(from, `from${round}`), target: redisPlace(to.port, client, 2), more: ['--db=0:2'] }
      }
    },
  },
  {
    name: 'redis -> rdb', skip: noRedis,
    async start(t) {
      const [[from, client], [loader, loaderClient]] = [await server(t), await server(t, { config: { 'enable-debug-command': 'yes' } })]
      return async (chance) => {
        await client.call('FLUSHALL')
        await fill(client, strings(chance), true)
        return { source: redisPlace(from.port, client), target: rdbPlace(path.join(temporaryFolder(t), 'dump.rdb'), loader, loaderClient), more: ['--state', temporaryFolder(t)] }
      }
    },
  },
  {
    name: 'file -> consul, a stub', skip: false,
    async start(t) {
      const stub = new ConsulStub()
      const port = await stub.start()
      t.teardown(() => stub.stop())
      return async (chance, round) => ({ source: filePlace(path.join(temporaryFolder(t), 'from'), strings(chance)), target: consulPlace(stub, port, `to${round}`) })
    },
  },
  {
    name: 'redis -> redis-cluster', skip: noRedis,
    async start(t) {
      const [[from, client], nodes] = [await server(t), await startCluster('redis', 3)]
      t.teardown(() => stopCluster(nodes))
      return async (chance) => {
        for (const each of [client, ...nodes.map((node) => node.client)]) await each.call('FLUSHALL')
        await fill(client, strings(chance), true)
        return { source: redisPlace(from.port, client, 0), target: clusterPlace(nodes) }
      }
    },
  },
  {
    name: 'etcd2 -> etcd', skip: skipWithoutEtcd(),
    async start(t) {
      const to = await startEtcd()
      t.teardown(() => to.stop())
      return async (chance) => {
        await fetch(`${to.address}/v3/kv/deleterange`, { method: 'POST', body: '{"key":"AA==","range_end":"AA=="}' })
        const wal = new WalWriter()
        t.teardown(() => rmSync(wal.folder, { recursive: true, force: true }))
        const entries = new Map(Array.from({ length: KEYS }, (_, i) => [`/dir${chance.below(30)}/key${i}`, chance.bytes(chance.below(60)).toString('latin1')]))
        for (const [key, value] of entries) wal.put(key, bytes(value))
        wal.commit()
        wal.save()
        return { source: { url: `etcd2:${wal.folder}`, locksSource: false, contents: async () => entries }, target: etcdPlace(to, '') }
      }
    },
  },
]

for (const { name, skip, start } of PAIRS) {
  t.test(`killed anywhere: ${name}, seed ${SEED}`, { skip, buffered: true }, async (t) => {
    const make = await start(t)
    const chance = new Chance(SEED, PAIRS.findIndex((pair) => pair.name === name))
    const counts = { killed: 0, locks: 0, resumed: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const { source, target, more = [] } = await make(chance, round)
      const words = wordsFor(source, target, ...more)
      const want = await source.contents()
      const killed = new Set<number>()
      for (let kill = 0; kill < 2 + (round % 2); kill++) {
        const dead = await killSomewhere(chance, words, want.size)
        if (/going on behind its last key/.test(dead.err)) counts.resumed++
        if (dead.status !== 'SIGKILL') {
          t.equal(dead.status, 0, said(dead))
          break
        }
        counts.killed++
        killed.add(dead.pid)
        counts.locks += await checkLocks(t, source, target, words, killed)
        const half = without(await target.contents())
        const wrong = [...half].filter(([key, value]) => want.get(key) !== value && !/(^|\/)\.keyferry-\d+-\d+\.temp$|^keyferry:\{\d+\}:[0-9a-f]{16}$/.test(key))
        t.same(wrong.slice(0, 5), [], 'what is there is as it should be')
      }
      const last = await migrate(words)
      t.equal(last.status, 0, said(last))
      if (/going on behind its last key/.test(last.err)) counts.resumed++
      t.match(last.out, /Verified .*: no difference\nSuccess! All of the keys have been migrated\./)
      sameContents(t, await target.contents(), want, 'the destination has what the source has, and no lock or checkpoint')
      sameContents(t, await source.contents(), want, 'the source is as it was')
      if (target.url.startsWith('rdb:')) t.same(readdirSync(path.dirname(target.url.slice(4))), ['dump.rdb'], 'nothing half is left')
    }
    t.comment(`${name}: killed ${counts.killed} times, ${counts.locks} locks were left, ${counts.resumed} runs went on behind a checkpoint`)
  })
}

// ------------------------------------------------------------------------------------------------ servers that break

/** Runs it, and does something to a server when about so many keys are through. */
function breaking(words: readonly string[], after: number, fault: () => unknown): Promise<Ended> {
  let isDone = false
  return migrate(words, {
    keys: (_, keys) => {
      if (isDone || keys < after) return
      isDone = true
      fault()
    },
  })
}

/** A server that writes down everything before it answers, can be killed, and started again with what it had or without. */
class Mortal {
  peer!: Peer
  client!: RespClient
  readonly folder: string
  port = 0

  constructor(readonly t: Test) {
    this.folder = temporaryFolder(t)
    t.teardown(async () => {
      this.client?.close()
      await this.peer?.stop()
    })
  }

  async start(): Promise<void> {
    this.client?.close()
    await this.peer?.stop()
    this.peer = await startPeer('redis', { ...(this.port === 0 ? {} : { port: this.port }), args: ['--dir', this.folder], config: { appendonly: 'yes', appendfsync: 'always' } })
    if (this.port !== 0 && this.peer.port !== this.port) throw new Error(`port ${this.port} was taken meanwhile`)
    this.port = this.peer.port
    this.client = await this.peer.client()
  }

  kill(): Promise<void> {
    return this.peer.kill()
  }

  forget(): void {
    rmSync(path.join(this.folder, 'appendonlydir'), { recursive: true })
  }

  place(query = ''): Place {
    return { ...redisPlace(this.port, this.client, 0, query), contents: () => serverContents(this.client, [0]) }
  }
}

/** The same command started again completes what a fault left. */
async function completes(t: Test, words: readonly string[], source: Place, target: Place, want: Map<string, string>): Promise<Ended> {
  // Time-outs that are short for the sake of the test.
  const last = await migrate(words.map((word) => word.replace('timeout=500ms', 'timeout=20s')))
  t.equal(last.status, 0, said(last))
  t.match(last.out, /: no difference\nSuccess!/)
  sameContents(t, await target.contents(), want, 'the destination has everything, and no lock')
  sameContents(t, await source.contents(), want, 'the source is as it was')
  return last
}

const FAULTS: Readonly<Record<string, (t: Test, chance: Chance) => Promise<void>>> = {
  async 'the destination dies and stays away'(t, chance) {
    const mortal = new Mortal(t)
    await mortal.start()
    const want = strings(chance)
    const source = filePlace(path.join(temporaryFolder(t), 'from'), want)
    const words = wordsFor(source, mortal.place('?timeout=500ms'))
    const failed = await breaking(words, chance.below(KEYS - 100), () => mortal.kill())
    t.equal(failed.status, 5, said(failed))
    t.match(failed.err, /the same command copies the rest: keyferry migrate /)
    t.match(failed.err, new RegExp(`keyferry migrate: redis://127\\.0\\.0\\.1:${mortal.port}/0: .*check that the server runs`))
    t.notOk((await source.contents()).has(LOCK), 'the source is not locked any more')
    const away = await migrate(words)
    t.equal(away.status, 5, said(away))
    await mortal.start()
    t.equal((JSON.parse((await mortal.place().contents()).get(LOCK) ?? '{}') as { pid?: number }).pid, failed.pid, 'the lock that could not be removed says whose it was')
    await completes(t, words, source, mortal.place(), want)
  },

  async 'the destination dies and is started again with what it had'(t, chance) {
    const mortal = new Mortal(t)
    await mortal.start()
    const want = strings(chance)
    const source = filePlace(path.join(temporaryFolder(t), 'from'), want)
    const words = wordsFor(source, mortal.place())
    let again: Promise<void> | undefined
    const ended = await breaking(words, chance.below(KEYS - 100), () => { again = mortal.kill().then(() => mortal.start()) })
    await again
    t.equal(ended.status, 0, said(ended))
    sameContents(t, await mortal.place().contents(), want, 'the copy has gone on by itself')
    sameContents(t, await source.contents(), want, 'the source is as it was')
  },

  async 'the destination dies and is started again without what it had'(t, chance) {
    const mortal = new Mortal(t)
    await mortal.start()
    const want = strings(chance)
    const source = filePlace(path.join(temporaryFolder(t), 'from'), want)
    const state = path.join(temporaryFolder(t), 'state')
    for (const more of [[], ['--state', state]]) {
      await mortal.client.call('FLUSHALL')
      const words = wordsFor(source, mortal.place(), ...more).filter((word) => word !== '--verify=full')
      let again: Promise<void> | undefined
      const failed = await breaking(words, KEYS / 2 + chance.below(KEYS / 2 - 200), () => {
        again = mortal.kill().then(() => {
          mortal.forget()
          return mortal.start()
        })
      })
      await again
      t.equal(failed.status, 2, said(failed))
      t.match(failed.err, new RegExp(`keyferry migrate: redis://127\\.0\\.0\\.1:${mortal.port}/0 was started again while it was written to, and has lost keys`))
      t.notMatch(failed.err, /while it was read|bring them back/, 'nor does the lock say otherwise, which is read')
      const last = await migrate(words)
      t.equal(last.status, 0, said(last))
      sameContents(t, await mortal.place().contents(), want, `everything is there${more.length === 0 ? '' : ', although the checkpoint was not lost'}`)
    }
  },

  async 'the source dies'(t, chance) {
    const [mortal, [to, client]] = [new Mortal(t), await server(t)]
    await mortal.start()
    await fill(mortal.client, strings(chance), true)
    const want = await mortal.place().contents()
    const target = redisPlace(to.port, client, 1)
    const words = wordsFor(mortal.place('?timeout=500ms'), target, '--db=0:1')
    const failed = await breaking(words, chance.below(KEYS - 100), () => mortal.kill())
    t.equal(failed.status, 4, said(failed))
    t.match(failed.err, /the same command copies the rest: keyferry migrate /)
    t.match(failed.err, new RegExp(`keyferry migrate: redis://127\\.0\\.0\\.1:${mortal.port}/0: .*check that the server runs`))
    t.notOk((await target.contents()).has(LOCK), 'the destination is not locked any more')
    await mortal.start()
    await completes(t, words, mortal.place(), target, want)
  },

  async 'the source dies and is started again without what it had'(t, chance) {
    const [mortal, [to, client]] = [new Mortal(t), await server(t)]
    await mortal.start()
    await fill(mortal.client, strings(chance), true)
    const words = wordsFor(mortal.place(), redisPlace(to.port, client, 0))
    let again: Promise<void> | undefined
    const failed = await breaking(words, 100 + chance.below(KEYS - 300), () => {
      again = mortal.kill().then(() => {
        mortal.forget()
        return mortal.start()
      })
    })
    await again
    t.equal(failed.status, 2, said(failed))
    t.match(failed.err, new RegExp(`keyferry migrate: redis://127\\.0\\.0\\.1:${mortal.port}/0 was started again while it was read, and has lost keys`))
  },

  async 'a server that hangs'(t, chance) {
    const want = strings(chance)
    const [[redis, client], etcdPeer, postgres] = [await server(t), await startEtcd(), await startSql('postgresql')]
    t.teardown(() => Promise.all([etcdPeer.stop(), postgres.stop()]))
    const ends: [string, number, Place, RegExp][] = [
      ['redis', redis.pid, redisPlace(redis.port, client, 0, '?timeout=500ms'), /redis:\/\/127\.0\.0\.1:\d+\/0: .*nothing moved for 500 ms/],
      ['etcd', etcdPeer.pid, etcdPlace(etcdPeer, 'x', '?request_timeout=500ms'), /etcd 127\.0\.0\.1:\d+ under \/x does not answer: .*no answer within 500 ms/],
      ['postgresql', postgres.pid, await postgresPlace(t, postgres, 'x', '&request_timeout=500ms'), /postgres:\/\/127\.0\.0\.1:\d+\/postgres \(table x\) has not answered for 500 ms/],
    ]
    // Its start costs more than the rest of this test.
    if (ROUNDS > 1) {
      const mariadb = await startSql('mariadb')
      t.teardown(() => mariadb.stop())
      ends.push(['mysql', mariadb.pid, await mysqlPlace(t, mariadb, 'x', '?request_timeout=500ms'), /mysql:\/\/127\.0\.0\.1:\d+\/x \(table vault\) has not answered for 500 ms/])
    }
    await Promise.all(ends.map(async ([name, pid, target, message]) => {
      const mine = filePlace(path.join(temporaryFolder(t), name), want)
      const words = wordsFor(mine, target)
      let stopped: number[] = []
      const failed = await breaking(words, chance.below(KEYS - 200), () => {
        stopped = [pid, ...childrenOf(pid)]
        for (const each of stopped) process.kill(each, 'SIGSTOP')
      })
      for (const each of stopped) process.kill(each, 'SIGCONT')
      t.equal(failed.status, 5, `${name}: ${said(failed)}`)
      t.match(failed.err, new RegExp(`^keyferry migrate: .*${message.source}`, 'm'), name)
      await completes(t, words, mine, target, want)
    }))
  },

  async 'a network that stalls, cuts and resets'(t, chance) {
    const [[from, fromClient], [to, toClient]] = [await server(t), await server(t)]
    await fill(fromClient, strings(chance), true)
    const want = await redisPlace(from.port, fromClient, 0).contents()
    for (const side of ['source', 'target'] as const) {
      await toClient.call('FLUSHALL')
      const proxy = await FaultProxy.start(side === 'source' ? from.port : to.port)
      t.teardown(() => proxy.stop())
      const through = (client: RespClient, port: number, isProxied: boolean): Place => redisPlace(isProxied ? proxy.port : port, client, 0, '?timeout=500ms')
      const [source, target] = [through(fromClient, from.port, side === 'source'), through(toClient, to.port, side === 'target')]
      const words = wordsFor(source, target)
      let isWhole = true
      for (const kind of ['stall', 'cut', 'reset'] as const) {
        proxy.fault = { kind, direction: chance.below(2) === 0 ? 'forth' : 'back', at: 4000 + chance.below(60_000) }
        const ended = await migrate(words)
        if (ended.status === 0) continue
        isWhole = false
        t.equal(ended.status, side === 'source' ? 4 : 5, `${side} ${kind}: ${said(ended)}`)
        t.match(ended.err, new RegExp(`keyferry migrate: redis://127\\.0\\.0\\.1:${proxy.port}/0: `))
      }
      t.comment(`${side}: ${isWhole ? 'every fault was survived' : 'some faults ended it'}`)
      proxy.fault = undefined
      await completes(t, words, source, target, want)
    }
  },

  async 'a cluster whose slots move'(t, chance) {
    const [[from, client], nodes] = [await server(t), await startCluster('redis', 3)]
    t.teardown(() => stopCluster(nodes))
    const entries = strings(chance)
    await fill(client, entries, true)
    // Moving a slot, Redis sends the time that is left, which makes it another one.
    await client.pipeline([...entries.keys()].map((key): Word[] => ['PERSIST', bytes(key)]))
    const [source, target] = [redisPlace(from.port, client, 0), clusterPlace(nodes)]
    const want = await source.contents()
    const slots = [...entries.keys()].map((key) => crc16(bytes(key), 0, key.length) % 16384)
    let isOver = false
    const moving = moveSlots(nodes, slots, chance, () => isOver)
    const ended = await migrate(wordsFor(source, target))
    isOver = true
    const moved = await moving
    t.equal(ended.status, 0, said(ended))
    sameContents(t, await target.contents(), want, `everything has arrived, while ${moved} slots moved`)
    const told = (await Promise.all(nodes.map((node) => node.client.text('INFO', 'errorstats')))).join()
    const times = (what: string): number => [...told.matchAll(new RegExp(`errorstat_${what}:count=(\\d+)`, 'g'))].reduce((sum, [, count]) => sum + Number(count), 0)
    t.ok(times('ASK') > 0 && times('MOVED') > 0, `sent elsewhere: ${times('ASK')} times for once, ${times('MOVED')} times for good`)
  },
}

/** Moves slots that have keys from node to node, a few open at a time, until told to stop; how many were moved. */
async function moveSlots(nodes: readonly ClusterNode[], slots: readonly number[], chance: Chance, isOver: () => boolean): Promise<number> {
  const owners = new Map(slots.map((slot) => [slot, nodes.findIndex((_, i) => slot < Math.floor((16384 * (i + 1)) / nodes.length))]))
  let moved = 0
  while (!isOver()) {
    const taker = nodes[chance.below(nodes.length)]
    const some = [...new Set(Array.from({ length: 100 }, () => chance.pick(slots)))].filter((slot) => nodes[owners.get(slot) ?? 0] !== taker)
    for (const slot of some) {
      await taker.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', nodes[owners.get(slot) ?? 0].id)
      await nodes[owners.get(slot) ?? 0].client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', taker.id)
    }
    await new Promise((done) => setTimeout(done, 100))
    for (const slot of some) {
      const giver = nodes[owners.get(slot) ?? 0]
      const { reply } = await giver.client.send(['CLUSTER', 'GETKEYSINSLOT', slot, 1000])
      const keys = reply.type === 'array' ? reply.items.flatMap((item) => (item.type === 'bulk' ? [item.bytes] : [])) : []
      if (keys.length > 0) await giver.client.call('MIGRATE', '127.0.0.1', taker.peer.port, '', 0, 1000, 'KEYS', ...keys)
      for (const node of [taker, giver]) await node.client.call('CLUSTER', 'SETSLOT', slot, 'NODE', taker.id)
      owners.set(slot, nodes.indexOf(taker))
      moved++
    }
  }
  return moved
}

const missing = noRedis || skipWithoutEtcd() || skipWithoutSql('postgresql') || skipWithoutSql('mariadb')
for (const [name, body] of Object.entries(FAULTS))
  for (let round = 0; round < ROUNDS; round++) t.test(`${name}, seed ${SEED + round}`, { skip: missing, buffered: true }, (t) => body(t, new Chance(SEED + round, 100 + name.length)))

/** Processes that this one has started, and theirs. */
function childrenOf(pid: number): number[] {
  const own = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter((word) => word !== '').map(Number)
  return own.flatMap((child) => [child, ...childrenOf(child)])
}

// ------------------------------------------------------------------------------------------------ full disks

/** A small file system in memory, or why there is none. */
function smallDisk(t: Test): { folder: string; grow(): void } | string {
  const folder = temporaryFolder(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,nr_inodes=0', 'keyferry', folder], { stdio: 'pipe' })
  } catch {
    return 'mounting a file system is not allowed here'
  }
  t.teardown(() => void execFileSync('umount', ['--lazy', folder]))
  return { folder, grow: () => void execFileSync('mount', ['-o', 'remount,size=64m', folder]) }
}

/** A part of a disk: what the program writes there, and how that ends. */
interface FullDisk {
  readonly name: string
  readonly status: number
  /** How much of it is taken already. */
  readonly taken: number
  readonly ends: (t: Test, disk: string) => { target: Place; more?: string[] }
  readonly message: RegExp
}

t.test(`a disk that is full, seed ${SEED}`, { skip: noRedis, buffered: true }, async (t) => {
  const chance = new Chance(SEED, 7)
  const want = new Map([...strings(chance)].map(([key, value], i) => [key, i % 3 === 0 ? chance.bytes(5000).toString('latin1') : value]))
  const source = filePlace(path.join(temporaryFolder(t), 'from'), want)
  const [loader, client] = await server(t, { config: { 'enable-debug-command': 'yes' } })
  const elsewhere = (t: Test): Place => filePlace(path.join(temporaryFolder(t), 'to'))
  const DISK_BYTES = 1 << 20
  const cases: readonly FullDisk[] = [
    { name: 'the destination, a folder', status: 2, taken: 0, ends: (_, disk) => ({ target: filePlace(path.join(disk, 'to')) }), message: /^keyferry migrate: file:DISK\/to: could not write DISK\/to\/.*no space left on device.*make room/m },
    { name: 'the destination, an RDB file', status: 2, taken: 0, ends: (_, disk) => ({ target: rdbPlace(path.join(disk, 'dump.rdb'), loader, client) }), message: /^keyferry migrate: rdb:DISK\/dump\.rdb cannot be written .*the disk is full/m },
    { name: 'the undo log', status: 2, taken: DISK_BYTES - 40_960, ends: (t, disk) => ({ target: elsewhere(t), more: ['--undo-log', path.join(disk, 'undo')] }), message: /^keyferry migrate: can not write DISK\/undo: .*no space left on device/m },
    { name: 'the checkpoint', status: 0, taken: DISK_BYTES, ends: (t, disk) => ({ target: elsewhere(t), more: ['--state', disk] }), message: /the checkpoint could not be saved: can not write DISK\/checkpoint\.json: .*no space left on device/ },
  ]
  for (const { name, status, taken, ends, message } of cases) {
    const disk = smallDisk(t)
    if (typeof disk === 'string') {
      t.comment(`${name}: not tested, ${disk}`)
      continue
    }
    if (taken > 0) writeFileSync(path.join(disk.folder, 'taken'), Buffer.alloc(taken))
    const { target, more = [] } = ends(t, disk.folder)
    const words = wordsFor(source, target, ...more)
    const failed = await migrate(words.map((word) => (word.startsWith('--rate') && status !== 0 ? '--rate=1000000' : word)))
    t.equal(failed.status, status, `${name}: ${said(failed)}`)
    t.match(said(failed), new RegExp(message.source.replaceAll('DISK', disk.folder), 'm'), name)
    t.notOk((await source.contents()).has(LOCK), 'the source is not locked any more')
    disk.grow()
    await completes(t, words, source, target, want)
  }
})

// ------------------------------------------------------------------------------------------------ undone, encrypted

t.test(`a copy that was killed is undone: a cluster, consul, seed ${SEED}`, { skip: noRedis, buffered: true }, async (t) => {
  const chance = new Chance(SEED, 8)
  const [[from, client], nodes, stub] = [await server(t), await startCluster('redis', 3), new ConsulStub()]
  const port = await stub.start()
  t.teardown(() => Promise.all([stopCluster(nodes), stub.stop()]))
  const entries = strings(chance)
  await fill(client, entries, true)
  const theirs = new Map([...[...entries.keys()].filter((_, i) => i % 3 === 0), ...Array.from({ length: 50 }, (_, i) => `own/${i}`)].map((key) => [key, `former ${key}`]))
  for (const [key, value] of theirs) {
    const node = nodes[Math.floor(((crc16(bytes(key), 0, key.length) % 16384) * 3) / 16384)]
    await node.client.call('SET', bytes(key), bytes(value), ...(key.length % 2 === 0 ? ['PXAT', 4_000_000_000_000] : []))
    stub.keys.set(`x/${bytes(key).toString()}`, { value: bytes(value), createIndex: 1, modifyIndex: 1 })
  }
  for (const [name, source, target] of [['cluster', redisPlace(from.port, client, 0), clusterPlace(nodes)], ['consul', filePlace(path.join(temporaryFolder(t), 'from'), entries), consulPlace(stub, port, 'x')]] as const) {
    const before = await target.contents()
    t.equal(before.size, theirs.size)
    const log = path.join(temporaryFolder(t), 'undo')
    const words = wordsFor(source, target, '--on-conflict=replace', '--undo-log', log).filter((word) => word !== '--verify=full')
    const dead = await migrate(words, { keys: (child, keys) => { if (keys > 700 && !child.killed) child.kill('SIGKILL') } })
    t.equal(dead.status, 'SIGKILL', said(dead))
    const ended = await migrate(words)
    t.equal(ended.status, 0, said(ended))
    t.equal((await target.contents()).size, entries.size + 50)
    const undone = await migrate(['undo', log])
    t.equal(undone.status, 0, said(undone))
    sameContents(t, await target.contents(), before, `${name} is as it was`)
  }
})

t.test(`encrypted, by a certificate of an authority of one's own, seed ${SEED}`, { skip: noRedis, buffered: true }, async (t) => {
  const chance = new Chance(SEED, 9)
  const folder = temporaryFolder(t)
  const file = (name: string): string => path.join(folder, name)
  const openssl = (...words: string[]): void => void execFileSync('openssl', words, { stdio: 'pipe' })
  const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  for (const authority of ['ours', 'other']) openssl('req', '-x509', ...EC, '-days', '2', '-subj', `/CN=${authority}`, '-keyout', file(`${authority}.key`), '-out', file(`${authority}.pem`))
  openssl('req', ...EC, '-subj', '/CN=server', '-keyout', file('server.key'), '-out', file('server.csr'))
  writeFileSync(file('extensions'), 'subjectAltName=IP:127.0.0.1\n')
  openssl('x509', '-req', '-in', file('server.csr'), '-CA', file('ours.pem'), '-CAkey', file('ours.key'), '-CAcreateserial', '-days', '2', '-extfile', file('extensions'), '-out', file('server.pem'))
  const places = await Promise.all([0, 1].map(async () => {
    const port = await freePort()
    const [, client] = await server(t, { config: { 'tls-port': port, 'tls-cert-file': file('server.pem'), 'tls-key-file': file('server.key'), 'tls-ca-cert-file': file('ours.pem'), 'tls-auth-clients': 'no' } })
    const place = (authority: string): Place => ({ ...redisPlace(port, client, 0), url: `rediss://127.0.0.1:${port}/0${authority === '' ? '' : `?tls_ca_file=${file(`${authority}.pem`)}`}` })
    return { client, place }
  }))
  await fill(places[0].client, strings(chance, 300), true)
  const want = await places[0].place('ours').contents()
  for (const [side, authorities] of [['source', ['other', 'ours']], ['source', ['', 'ours']], ['destination', ['ours', 'other']]] as const) {
    const ended = await migrate(wordsFor(places[0].place(authorities[0]), places[1].place(authorities[1])))
    t.equal(ended.status, 2, said(ended))
    t.match(ended.err, new RegExp(`keyferry migrate: no encrypted connection to ${new URL((side === 'source' ? places[0] : places[1]).place('').url).host}: .*certificate`))
  }
  await completes(t, wordsFor(places[0].place('ours'), places[1].place('ours')), places[0].place('ours'), places[1].place('ours'), want)

  // A server that wants a certificate of ours says so when we are connected, or with an older TLS before.
  await places[0].client.call('CONFIG', 'SET', 'tls-auth-clients', 'yes')
  const [from, to] = places.map(({ place }) => place('ours'))
  const shown = (name: string): Place => ({ ...from, url: `${from.url}&tls_cert_file=${file(`${name}.pem`)}&tls_key_file=${file(`${name}.key`)}` })
  for (const versions of ['TLSv1.3', 'TLSv1.2']) {
    await places[0].client.call('CONFIG', 'SET', 'tls-protocols', versions)
    for (const [source, advice] of [[from, 'if the server wants a certificate of its clients, give'], [shown('other'), 'if it is our certificate, check']] as const) {
      const ended = await migrate(wordsFor(source, to))
      t.equal(ended.status, 2, said(ended))
      t.match(ended.err, new RegExp(`^keyferry migrate: no encrypted connection to \\S+: [^\\n:]*alert[^\\n:]*; ${advice} tls_cert_file and tls_key_file\\n$`), said(ended))
    }
    t.equal((await migrate(wordsFor(shown('server'), to))).status, 0, versions)
  }
})
