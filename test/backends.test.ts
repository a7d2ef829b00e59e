/**
 * The stores: one suite for all of them, then the layouts that only one has, to the byte; and the conversion between stores
 * that know types and stores that know bytes.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import mysql from 'mysql2/promise'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { decode } from '../protocol/rdb/decode.js'
import { encodePayload } from '../protocol/rdb/encode.js'
import { RdbError } from '../protocol/rdb/error.js'
import { footerVersion } from '../protocol/rdb/payload.js'
import { samePayload } from '../protocol/rdb/same-value.js'
import { unknownOptions, type StoreOptions } from '../src/backends/backend.js'
import { Connections } from '../src/backends/connections.js'
import { conversion, sameEntry } from '../src/backends/convert.js'
import { loadDriver } from '../src/backends/driver.js'
import { contentOf, fileOf, placeOf, valueOf } from '../src/backends/file/layout.js'
import { backendOfType, backendOfUrl, backendTypes } from '../src/backends/index.js'
import { parseConnection } from '../src/backends/postgresql/connection-url.js'
import { columnsOf, keyOf } from '../src/backends/postgresql/layout.js'
import { walk, type RowKey, type RowPages } from '../src/backends/postgresql/walk.js'
import { ReadSize } from '../src/backends/read-size.js'
import { rowBatches } from '../src/backends/row-batches.js'
import { withoutPassword } from '../src/backends/url.js'
import { storeOfType } from '../src/cli/stores.js'
import { EntryError, NoAnswerError, StoreError, compareKeys, keyText, type Entry, type KeyRef, type Store, type StoreTraits } from '../src/transfer/store.js'
import type { RespClient } from './client.js'
import { ConsulStub } from './consul-stub.js'
import { startCluster, stopCluster } from './peers-cluster.js'
import { start } from './migrations.js'
import { skipWithoutEtcd, startEtcd, type EtcdPeer } from './peers-etcd.js'
import { quickFolder, skipWithoutSql, startSql, type SqlPeer, type SqlPeerName } from './peers-sql.js'
import { skipWithout, startPeer } from './peers.js'
import { conform } from './store-conformance.js'

t.setTimeout(120_000)

async function storeOf(type: string, options: StoreOptions): Promise<Store> {
  return (await backendOfType(type)).create(options)
}

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(path.join(quickFolder(), 'keyferry-stores-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** One server of each kind serves all tests here. */
const servers = new Map<SqlPeerName, Promise<SqlPeer>>()
t.teardown(() => Promise.all([...servers.values()].map(async (server) => (await server).stop())))

function sqlServer(name: SqlPeerName): Promise<SqlPeer> {
  const server = servers.get(name) ?? startSql(name)
  servers.set(name, server)
  return server
}

const mysqlOptions = (peer: SqlPeer, table: string): Record<string, string> => ({ username: peer.user, password: peer.password, address: `127.0.0.1:${peer.port}`, database: 'ferry', table })
const postgresUrl = (peer: SqlPeer, password = peer.password, database = 'postgres'): string => `postgres://${peer.user}:${encodeURIComponent(password)}@127.0.0.1:${peer.port}/${database}?sslmode=prefer`
/** Nobody listens there: the port is taken by nobody that a test starts. */
const NOWHERE = '127.0.0.1:1'

const shared = `suite-${process.pid}`
conform(t, { name: 'memory', start: async () => shared, create: (peer, space) => storeOf('inmem', { name: `${peer}-${space}`, max_value_size: '1000000' }) })
conform(t, { name: 'memory, typed', start: async () => shared, create: (peer, space) => storeOf('inmem', { name: `${peer}-typed-${space}`, typed: 'true' }) })
conform(t, { name: 'file', start: async (t) => temporaryFolder(t), create: (peer, space) => storeOf('file', { path: path.join(peer, space) }) })
conform(t, {
  name: 'etcd', skip: skipWithoutEtcd(), create: (peer: EtcdPeer, space) => storeOf('etcd', { address: peer.address, path: space }),
  start: async (t): Promise<EtcdPeer> => {
    const peer = await startEtcd()
    t.teardown(() => peer.stop())
    return peer
  },
})
conform(t, {
  name: 'consul, a stub of its API', create: (port: number, space) => storeOf('consul', { address: `127.0.0.1:${port}`, path: space }),
  start: async (t) => {
    const stub = new ConsulStub()
    t.teardown(() => stub.stop())
    return stub.start()
  },
})
conform(t, {
  name: 'mysql', skip: skipWithoutSql('mariadb'), start: () => sqlServer('mariadb'), create: (peer, space) => storeOf('mysql', mysqlOptions(peer, space)),
  faults: async (peer) => [
    ['nobody there', await storeOf('mysql', { ...mysqlOptions(peer, 'x'), address: NOWHERE }), 'unreachable'],
    ['wrong password', await storeOf('mysql', { ...mysqlOptions(peer, 'x'), password: 'wrong-secret' }), 'denied'],
    ['unknown user', await storeOf('mysql', { ...mysqlOptions(peer, 'x'), username: 'nobody' }), 'denied'],
  ],
})
conform(t, {
  name: 'postgresql', skip: skipWithoutSql('postgresql'), start: () => sqlServer('postgresql'), create: (peer, space) => storeOf('postgresql', { connection_url: postgresUrl(peer), table: space }),
  faults: async (peer) => [
    ['nobody there', await storeOf('postgresql', { connection_url: `postgres://a:p%40ss@${NOWHERE}/x` }), 'unreachable'],
    ['wrong password', await storeOf('postgresql', { connection_url: postgresUrl(peer, 'wrong-secret') }), 'denied'],
    ['no such database', await storeOf('postgresql', { connection_url: postgresUrl(peer, peer.password, 'nothing') }), 'absent'],
    ['no TLS there', await storeOf('postgresql', { connection_url: postgresUrl(peer).replace('prefer', 'require') }), 'usage'],
    ['no table', await storeOf('postgresql', { connection_url: postgresUrl(peer), table: 'absent', skip_create_table: 'true' }), 'absent'],
  ],
})

/** Redis servers: a space is what the server has since it was emptied for it. */
class Emptied {
  #space: string | undefined

  constructor(readonly options: StoreOptions, readonly clients: readonly RespClient[]) {}

  async storeOf(type: string, space: string): Promise<Store> {
    if (space !== this.#space) for (const client of this.clients) await client.call('FLUSHALL')
    this.#space = space
    return storeOf(type, this.options)
  }
}

for (const name of ['redis', 'valkey', 'keyferry'] as const) {
  conform(t, {
    name: `redis, ${name}`, skip: skipWithout(name), create: (peer: Emptied, space) => peer.storeOf('redis', space),
    start: async (t) => {
      const peer = await startPeer(name)
      const client = await peer.client()
      t.teardown(async () => {
        client.close()
        await peer.stop()
      })
      return new Emptied({ address: `127.0.0.1:${peer.port}` }, [client])
    },
    faults: async () => [['nobody there', await storeOf('redis', { address: NOWHERE, password: 'wrong-secret' }), 'unreachable']],
  })
}
conform(t, {
  name: 'redis-cluster', skip: skipWithout('redis'), create: (peer: Emptied, space) => peer.storeOf('redis-cluster', space),
  start: async (t) => {
    const nodes = await startCluster('redis', 3)
    t.teardown(() => stopCluster(nodes))
    return new Emptied({ address: nodes[1].address }, nodes.map(({ client }) => client))
  },
  faults: async () => [['nobody there', await storeOf('redis-cluster', { address: NOWHERE, password: 'wrong-secret', timeout: '300ms' }), 'unreachable']],
})
conform(t, {
  name: 'rdb', start: async (t) => temporaryFolder(t), create: (peer, space) => storeOf('rdb', { path: path.join(peer, `${space}.rdb`) }),
  faults: async (peer) => [['a folder', await storeOf('rdb', { path: peer }), 'usage'], ['no folder', await storeOf('rdb', { path: path.join(peer, 'none/x.rdb') }), 'refused']],
})
conform(t, {
  name: 'aof', start: async (t) => temporaryFolder(t), create: async (peer, space) => (await storeOfType('aof')).create({ path: path.join(peer, space) }),
  fill: async (peer, space, entries) => {
    const command = (...words: (Buffer | string)[]): Buffer => Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...words.flatMap((word) => [Buffer.from(`$${Buffer.byteLength(word)}\r\n`), Buffer.from(word as string), Buffer.from('\r\n')])])
    writeFileSync(path.join(peer, space), Buffer.concat([command('SELECT', '0'), ...entries.map(({ key, value }) => command('SET', key, value))]))
    return entries.map(() => 'written')
  },
})

const raw = (key: Buffer | string, value: Buffer | string, expiresAtMs?: number): Entry => ({ db: 0, key: Buffer.from(key as string), form: 'raw', value: Buffer.from(value as string), expiresAtMs })
const dump = (key: string, value: Buffer, expiresAtMs?: number): Entry => ({ ...raw(key, value, expiresAtMs), form: 'dump' })
const ref = (key: Buffer | string): KeyRef => ({ db: 0, key: Buffer.from(key as string) })

async function listed(store: Store, from?: KeyRef): Promise<string[]> {
  const keys: string[] = []
  for await (const page of store.list(from)) keys.push(...page.map(({ key }) => key.toString('latin1')))
  return keys
}

async function opened(t: Test, store: Store, access: 'read' | 'write' = 'write'): Promise<Store> {
  t.teardown(() => store.close())
  await store.open(access)
  return store
}

// ------------------------------------------------------------------------------------------------ conversion

interface Vector { readonly name: string; readonly payload?: string }

function payloads(): Map<string, Buffer> {
  const file = fileURLToPath(new URL('../../test/vectors/payloads.json.br', import.meta.url))
  const vectors = JSON.parse(brotliDecompressSync(readFileSync(file)).toString()) as Vector[]
  return new Map(vectors.filter(({ payload }) => payload !== undefined).map(({ name, payload }, i) => [`${i} ${name}`, Buffer.from(payload as string, 'hex')]))
}

t.test('equal values in other versions and encodings are equal, others are not', (t) => {
  const wrong: string[] = []
  let compared = 0
  const byType = new Map<string, Buffer[]>()
  for (const [name, payload] of payloads()) {
    const value = (): ReturnType<typeof decode> => decode(payload[0], payload, 1, payload.length - 10, footerVersion(payload, payload.length))
    const { type } = value()
    byType.set(type, [...(byType.get(type) ?? []), payload])
    for (const version of [9, 10, 11, 80]) {
      try {
        const other = encodePayload(value(), { version, compressed: version === 10 })
        compared++
        if (!(compared % 2 === 0 ? samePayload(payload, other) : samePayload(other, payload))) wrong.push(`${name} in version ${version}`)
      } catch (error) {
        if (!(error instanceof RdbError)) throw error
      }
    }
  }
  t.same(wrong, [])
  t.comment(`${compared} pairs that are equal`)
  t.ok(compared > 1000)
  // A string that is one byte longer, a list with one element more or fewer: neighbours in the list of vectors.
  const distinct = (bytes: string): Buffer => encodePayload({ type: 'string', bytes: Buffer.from(bytes) })
  t.notOk(samePayload(distinct('a'), distinct('b')))
  for (const [type, all] of byType) for (const other of [...byType].filter(([name]) => name !== type)) t.notOk(samePayload(all[0], other[1][0]), `${type} is no ${other[0]}`)
  t.end()
})

t.test('a set, a hash, a sorted set: the order does not count, every row does', (t) => {
  const table = (type: number, ...rows: string[]): Buffer => Buffer.concat([Buffer.from([type, rows.length / (type === 2 ? 1 : 2)]), ...rows.map((row) => Buffer.from(`${String.fromCharCode(row.length)}${row}`)), Buffer.alloc(10, 11)])
  t.ok(samePayload(table(2, 'a', 'b', 'c'), table(2, 'c', 'a', 'b')))
  t.notOk(samePayload(table(2, 'a', 'b', 'c'), table(2, 'c', 'a', 'd')))
  t.notOk(samePayload(table(2, 'a', 'b'), table(2, 'a', 'b', 'c')))
  t.notOk(samePayload(table(2, 'a', 'a'), table(2, 'a', 'b')), 'a member that is there twice does not stand for another')
  t.ok(samePayload(table(4, 'f', '1', 'g', '2'), table(4, 'g', '2', 'f', '1')))
  t.notOk(samePayload(table(4, 'f', '1', 'g', '2'), table(4, 'g', '1', 'f', '2')))
  t.notOk(samePayload(table(4, 'f', '1'), table(2, 'f', '1')))
  t.notOk(samePayload(Buffer.from('nonsense'), Buffer.from('otherwise')), 'damaged ones are not')
  t.end()
})

const TRAITS: StoreTraits = {
  typed: true, expiry: true, databases: true, ordered: false, createsAtomically: true, writable: true, vaultLayout: false,
  keyBytesMax: 1e9, valueBytesMax: 1e9, batchEntriesMax: 100, batchBytesMax: 1e6, parallelMax: 1,
}
const BYTES: StoreTraits = { ...TRAITS, typed: false, expiry: false, databases: false }
const LEASES: StoreTraits = { ...BYTES, expiry: true }
const LIST = encodePayload({ type: 'list', encoding: 'quicklist', nodes: [{ packed: false, data: Buffer.from('element') }] })
const TEXT = encodePayload({ type: 'string', bytes: Buffer.from('some text that is long enough for compression, compression, compression') })

t.test('typed to bytes and back', (t) => {
  const [there, back] = [conversion(TRAITS, BYTES), conversion(BYTES, TRAITS)]
  t.same(there(raw('k', 'text')), raw('k', 'text'), 'a string is raw')
  t.same((there(dump('k', TEXT)) as Entry).value.toString(), 'some text that is long enough for compression, compression, compression')
  t.same(back(raw('k', 'text')), raw('k', 'text'))
  const magic = Buffer.from([0xc1, 0xff, 0, 0x6b, 0x66, 1, 2, 3])
  for (const entry of [dump('k', LIST), dump('k', LIST, 1_700_000_000_000), raw('k', 'text', 5), raw('k', '', 4_000_000_000_000), dump('k', TEXT, 12345678901), raw('k', magic)]) {
    const kept = there(entry) as Entry
    t.equal(kept.form, 'raw')
    t.equal(kept.expiresAtMs, undefined)
    t.equal(kept.value.subarray(0, 6).toString('hex'), 'c1ff006b6601')
    t.ok(sameEntry(kept, entry), 'an envelope is the same as what it holds')
    const again = back(kept) as Entry
    t.ok(sameEntry(again, entry) && again.expiresAtMs === entry.expiresAtMs, 'and comes back')
  }
  const golden = there(dump('k', LIST, 1_700_000_000_000)) as Entry
  t.equal(golden.value.toString('hex'), `c1ff006b660183a474797065a46c697374a6657870697279d30000018bcfe56800a77061796c6f6164c6000000${LIST.length.toString(16).padStart(2, '0')}${LIST.toString('hex')}`, 'to the byte')
  t.match((there(dump('k', LIST)) as Entry).value.toString('hex'), /a6657870697279c0a7/, 'never: nil')
  t.same((conversion(TRAITS, LEASES)(raw('k', 'text', 5))), raw('k', 'text', 5), 'a store that keeps expiry times has the string raw')
  t.equal((conversion(TRAITS, LEASES)(dump('k', LIST, 5)) as Entry).expiresAtMs, 5)
  t.end()
})

t.test('bytes to bytes, and what is damaged', (t) => {
  const envelope = conversion(TRAITS, BYTES)(dump('k', LIST, 77)) as Entry
  t.equal(conversion(BYTES, LEASES)(envelope), envelope, 'bytes as they are')
  t.equal(conversion(LEASES, LEASES)(envelope), envelope)
  const leased = conversion(LEASES, BYTES)(raw('k', 'text', 99)) as Entry
  t.ok(sameEntry(conversion(BYTES, TRAITS)(leased) as Entry, raw('k', 'text', 99)), 'an expiry time that the target can not keep')
  t.same(conversion(TRAITS, TRAITS)(dump('k', LIST, 77)), dump('k', LIST, 77))
  const open = conversion(BYTES, TRAITS)
  const { value } = envelope
  const broken: [Buffer, RegExp][] = [
    [value.subarray(0, 5), /ends after its magic/], [value.subarray(0, 6), /ends after its magic/], [Buffer.concat([value.subarray(0, 5), Buffer.from([2]), value.subarray(6)]), /version is 2/],
    [value.subarray(0, 30), /msgpack/], [value.subarray(0, -1), /msgpack/], [Buffer.concat([value, Buffer.from('x')]), /msgpack/],
    [Buffer.concat([value.subarray(0, 6), Buffer.from([0xc1])]), /holds no payload/], [Buffer.concat([value.subarray(0, 6), Buffer.from([5])]), /no map/],
    [Buffer.from(value.toString('hex').replace('a46c697374', 'a3736574'), 'hex'), /says "set" and holds a list/], [Buffer.from(value.map((byte, i) => (i === value.length - 3 ? byte ^ 1 : byte))), /checksum/],
  ]
  for (const [bytes, message] of broken) {
    const outcome = open(raw('some-key', bytes))
    t.ok(outcome instanceof EntryError && outcome.code === 'corrupt' && message.test(outcome.message) && outcome.message.includes('some-key'), (outcome as EntryError).message)
    t.ok(sameEntry(raw('k', bytes), raw('k', bytes)) && !sameEntry(raw('k', bytes), envelope), 'compares as bytes')
  }
  for (let cut = 0; cut < value.length; cut++) open(raw('k', value.subarray(0, cut)))
  const damaged = conversion(TRAITS, BYTES)(dump('k', Buffer.from(TEXT.map((byte, i) => (i === 5 ? byte ^ 1 : byte)))))
  t.ok(damaged instanceof EntryError && damaged.code === 'corrupt', 'a payload that is damaged')
  t.ok(sameEntry(raw('k', 'a', 1000), raw('k', 'a', 1999), 1000) && !sameEntry(raw('k', 'a', 1000), raw('k', 'a', 2001), 1000) && !sameEntry(raw('k', 'a', 1000), raw('k', 'a'), 1000), 'expiry times within the tolerance')
  t.ok(sameEntry(raw('k', '12345'), dump('k', encodePayload({ type: 'string', bytes: Buffer.from('12345') }))), 'whatever the form')
  t.notOk(sameEntry(raw('k', 'element'), dump('k', LIST)))
  t.end()
})

// ------------------------------------------------------------------------------------------------ options

t.test('options and URLs', async (t) => {
  for (const type of backendTypes) {
    const backend = await backendOfType(type)
    t.equal(backend.type, type)
    t.same(unknownOptions(backend, { nonsense: '1' }), ['nonsense'])
  }
  const urls: [string, string, Record<string, string>][] = [
    ['memory:', 'inmem', {}], ['memory:a%20b?typed=true', 'inmem', { name: 'a b', typed: 'true' }], ['file:some/where', 'file', { path: 'some/where' }], ['file:///a%20b', 'file', { path: '/a b' }],
    ['mysql://u:p%40ss@h:1/d?table=x', 'mysql', { username: 'u', password: 'p@ss', address: 'h:1', database: 'd', table: 'x' }], ['mysql://u@[::1]/d', 'mysql', { username: 'u', address: '[::1]:3306', database: 'd' }],
    ['postgres://u:p@h/d?sslmode=require&table=x', 'postgresql', { connection_url: 'postgres://u:p@h/d?sslmode=require', table: 'x' }],
  ]
  for (const [url, type, options] of urls) {
    const backend = await backendOfUrl(url)
    t.equal(backend.type, type)
    t.same(backend.fromUrl(url), options, url)
  }
  const wrong: [string, StoreOptions, RegExp][] = [
    ['file', {}, /'path'/], ['mysql', { password: 'x' }, /'username'/], ['mysql', { username: 'x' }, /'password'/], ['mysql', { username: 'x', password: 'y', address: '::1' }, /'address'/],
    ['mysql', { username: 'x', password: 'y', tls_ca_file: '/nowhere' }, /tls_ca_file.*ENOENT/], ['mysql', { username: 'x', password_file: '/nowhere' }, /password_file.*ENOENT/], ['mysql', { username: 'x', password: 'y', max_parallel: '0' }, /max_parallel/],
    ['postgresql', {}, /connection_url/], ['postgresql', { connection_url: 'postgres://u:secret@h:99999999/x' }, /URL/], ['postgresql', { connection_url: 'host=a nonsense' }, /words/], ['postgresql', { connection_url: 'host=a colour=red' }, /'colour'/],
    ['postgresql', { connection_url: 'postgres://h/x?sslmode=maybe' }, /sslmode 'maybe'/], ['inmem', { typed: 'yes' }, /'typed'/], ['inmem', { max_value_size: '-1' }, /max_value_size/],
  ]
  for (const [type, options, message] of wrong) {
    const error = await storeOf(type, options).then(() => undefined, (error: unknown) => error)
    t.ok(error instanceof StoreError && error.fault === 'usage' && message.test(error.message) && !/secret/.test(error.message), `${type} ${JSON.stringify(options)}`, { found: String(error) })
  }
  await t.rejects(storeOf('nothing', {}), /there is no storage "nothing"/)
  await t.rejects(backendOfUrl('ftp://u:p@h'), /'ftp:\/\/\*\*\*@h' is no store/)
  t.throws(() => storeUrl('mysql://u:p@h/d?colour=1'), /no option 'colour'/)
  t.match(parseConnection(`host=h port=5 user='a b' password='it\\'s' dbname=d sslmode=disable`), { host: 'h', port: 5, user: 'a b', password: "it's", database: 'd', tls: false })
  t.match(parseConnection('postgresql://[::1]:5/d?sslmode=verify-full'), { host: '::1', port: 5, database: 'd', tls: { rejectUnauthorized: true }, plaintextAllowed: false })
  t.equal((await storeOf('mysql', { username: 'x', password: 'y', address: 'db.example' })).label, 'mysql://db.example:3306/vault (table vault)')
})

const { backend: mysqlBackend } = await import('../src/backends/mysql/index.js')
const storeUrl = (url: string): StoreOptions => mysqlBackend.fromUrl(url)

t.test('a command line without its passwords', (t) => {
  for (const [word, shown] of [
    ['redis://ro@h:1', 'redis://ro@h:1'], ['redis://ro:secret@h', 'redis://ro:***@h'], ['redis://:secret@h', 'redis://:***@h'], ['redis://u:a/b@c@h', 'redis://u:***@h'],
    ['redis://a/secret@h', 'redis://***@h'], ['consul://h?token=secret&dc=1', 'consul://h?token=***&dc=1'], ['consuls://secret@h/vault', 'consuls://***@h/vault'], ['file:/a/b', 'file:/a/b'],
  ]) t.equal(withoutPassword(word), shown)
  t.end()
})

t.test('a driver that is not there', async (t) => {
  const name = 'no-such-package-of-ours'
  await t.rejects(loadDriver('mysql', name, () => import(name)), { fault: 'missing', message: /npm install no-such-package-of-ours/ })
  await t.rejects(loadDriver('mysql', name, () => Promise.reject(new TypeError('another reason'))), TypeError)
})

t.test('rows of a statement come in powers of two', (t) => {
  const sizes = (count: number, mostRows: number, mostBytes = 1e9): number[] => rowBatches(Array.from({ length: count }, () => 10), mostRows, mostBytes, (bytes) => bytes).map((batch) => batch.length)
  t.same(sizes(0, 8), [])
  t.same(sizes(13, 8), [8, 4, 1])
  t.same(sizes(20, 8), [8, 8, 4])
  t.same(sizes(5, 8, 35), [2, 2, 1])
  t.same(sizes(3, 8, 1), [1, 1, 1], 'one that is too large goes alone')
  t.end()
})

// ------------------------------------------------------------------------------------------------ file

t.test("Vault's folder, to the byte", async (t) => {
  const folder = path.join(temporaryFolder(t), 'new', 'vault')
  const store = await opened(t, await storeOf('file', { path: folder }))
  t.same(await store.write([raw('a/b/c', 'hello'), raw('top', ''), raw('core/_migration', Buffer.from([0xfb, 0xff, 0xfe])), raw(Buffer.from([0x64, 0x2f, 0xff]), 'binary')], 'replace'), ['written', 'written', 'written', 'written'])
  t.equal(readFileSync(path.join(folder, 'a/b/_c'), 'latin1'), '{"Value":"aGVsbG8="}\n')
  t.equal(readFileSync(path.join(folder, '_top'), 'latin1'), '{"Value":""}\n')
  t.equal(readFileSync(path.join(folder, 'core/__migration'), 'latin1'), '{"Value":"+//+"}\n')
  t.equal(readFileSync(Buffer.concat([Buffer.from(path.join(folder, 'd/_')), Buffer.from([0xff])]), 'latin1'), '{"Value":"YmluYXJ5"}\n')
  t.same(['', 'a', 'a/b', 'a/b/_c', '_top'].map((name) => (statSync(path.join(folder, name)).mode & 0o777).toString(8)), ['700', '700', '700', '600', '600'])
  t.same(readdirSync(folder).sort(), ['_top', 'a', 'core', 'd'], 'nothing temporary is left')
  await store.remove([ref('a/b/c'), ref(Buffer.from([0x64, 0x2f, 0xff]))])
  t.same(readdirSync(folder).sort(), ['_top', 'core'], 'empty folders go')
  t.same(await store.write([raw('a', '1'), raw('_b/c', '1')], 'replace'), ['written', 'written'])
  for (const policy of ['replace', 'error'] as const) for (const key of ['_a/b', 'b']) t.equal(((await store.write([raw(key, '2')], policy))[0] as EntryError).code, 'refused', 'a and _a/b exclude each other')
  t.same((await store.write([raw('core', '1'), raw('x/y', '2'), raw('s'.repeat(249), '3'), raw('s'.repeat(250), '4'), raw(`${'d'.repeat(255)}/x`, '5'), raw(`${'d'.repeat(256)}/x`, '6')], 'error')).map((one) => (one instanceof EntryError ? one.code : one)),
    ['written', 'written', 'written', 'too-large', 'written', 'too-large'])
  for (const key of ['', '/', 'a/', '/a', 'a//b', './a', 'a/.', '../a', 'a/../b', 'a..b', 'nul\0'])
    t.ok(((await store.write([raw(key, 'x')], 'replace'))[0] as EntryError).code === 'unsupported' && (await store.read([ref(key)]))[0] === undefined, `${keyText(Buffer.from(key))} has no place`)
})

t.test('what a killed process left in a folder is removed by the next that writes there', async (t) => {
  const folder = temporaryFolder(t)
  const gone = spawnSync('true').pid
  mkdirSync(path.join(folder, 'a'))
  const left = [`.keyferry-${gone}-1.temp`, `a/.keyferry-${gone}-2.temp`, `a/.keyferry-${process.pid}-999.temp`]
  for (const name of left) writeFileSync(path.join(folder, name), 'half')
  const store = await opened(t, await storeOf('file', { path: folder }))
  await store.write([raw('top', '1'), raw('a/b', '2')], 'replace')
  t.same(new Set(readdirSync(folder, { recursive: true, encoding: 'utf8' })), new Set(['_top', 'a', `a/.keyferry-${process.pid}-999.temp`, 'a/_b']))
})

t.test('the content of a file, and where it is', (t) => {
  const wrong: string[] = []
  for (let length = 0; length < 600; length++) {
    const value = Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length * 31) & 0xff))
    const content = Buffer.concat([...contentOf(value)])
    if (content.toString() !== `{"Value":"${value.toString('base64')}"}\n` || valueOf(content)?.equals(value) !== true) wrong.push(`${length} bytes`)
    // Every character of the text has its turn.
    const at = 10 + (length % (content.length - 13 || 1))
    for (const byte of [0x2d, 0x5f, 0x20, 0x80, 0xff, 0x3d]) {
      const other = Buffer.from(content)
      other[at] = byte
      if (!content.equals(other) && at < content.length - 5 && valueOf(other) !== undefined) wrong.push(`${byte} at ${at} of ${content.length}`)
    }
  }
  t.same(wrong, [])
  const root = Buffer.from('/a/root')
  const names = ['', 'a', '.', '..', 'a.', '.a', 'a..b', 'é', 'a\0', 'x'.repeat(249), 'x'.repeat(250), 'x'.repeat(255), 'x'.repeat(256)]
  const keys = names.flatMap((one) => [one, `/${one}`, `${one}/`, ...names.flatMap((two) => [`${one}/${two}`, `b/${one}/${two}/c`])])
  for (const key of [...keys, ...[4030, 4040, 4041, 4050].map((length) => 'y/'.repeat(length / 2) + 'y')].map((text) => Buffer.from(text))) {
    const place = placeOf(root, key)
    const file = fileOf(root, key)
    if (place instanceof EntryError ? file !== undefined : file?.equals(place.file) !== true) wrong.push(keyText(key))
  }
  t.same(wrong, [], 'readers and writers look at one place')
  t.end()
})

t.test('a folder that Vault wrote', async (t) => {
  const folder = temporaryFolder(t)
  const put = (name: string, content: string): void => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), content)
  }
  put('_plain', '{"Value":"aGVsbG8="}\n')
  put('_old', '{"Key":"old","value" : "aGVs\\nbG8="}')
  put('_null', '{"Value":null}\n')
  put('_none', '{"Other":[1,{}]}\n')
  put('_empty', '')
  put('_cut', '{"Value":"aGVs')
  put('_odd', '{"Value":"aGV_bG8="}\n')
  put('_short', '{"Value":"aGVsbG8"}\n')
  put('_number', '{"Value":5}\n')
  put('_list', '[]')
  put('_plain.temp', '{"Value":"aGV')
  put('_gone.temp', '')
  put('_secret.temp', '{"Value":"aGVsbG8="}\n')
  put('_', '{"Value":"aGVsbG8="}\n')
  put('foreign', 'x')
  put('.keyferry-1-2.temp', '{"Value":"aGVsbG8="}\n')
  put('dir/_x', '{"Value":"eA=="}\n')
  put('dir/_x..y', '{"Value":"eA=="}\n')
  put('up..down/_x', '{"Value":"eA=="}\n')
  mkdirSync(path.join(folder, 'bare'))
  symlinkSync(path.join(folder, 'dir'), path.join(folder, 'linked'))
  symlinkSync(path.join(folder, 'nowhere'), path.join(folder, '_dangling'))
  symlinkSync('.', path.join(folder, 'dir/itself'))
  symlinkSync(folder, path.join(folder, 'dir/outer'))
  const before = readdirSync(folder).sort()
  const store = await opened(t, await storeOf('file', { path: folder }), 'read')
  t.same(await listed(store), ['cut', 'dir/x', 'dir/x..y', 'empty', 'linked/x', 'linked/x..y', 'list', 'none', 'null', 'number', 'odd', 'old', 'plain', 'secret.temp', 'short', 'up..down/x'])
  const unreadable = await store.read(['dir/x..y', 'up..down/x', '../x', 'dir/../dir/x', 'x..y'].map(ref))
  t.same(unreadable.map((one) => (one instanceof EntryError ? one.code : one)), ['unsupported', 'unsupported', undefined, undefined, undefined], 'what Vault could not read is told')
  const keys = ['plain', 'old', 'null', 'none', 'empty', 'cut', 'odd', 'short', 'number', 'list', 'linked/x', 'dir', 'plain/x']
  const found = await store.read(keys.map(ref))
  t.same(found.map((one) => (one instanceof EntryError ? one.code : one?.value.toString() ?? 'absent')), ['hello', 'hello', '', '', 'absent', 'corrupt', 'corrupt', 'corrupt', 'corrupt', 'corrupt', 'x', 'absent', 'absent'])
  t.match((found[5] as EntryError).message, /_cut.*damaged/)
  t.same(readdirSync(folder).sort(), before, 'nothing was touched')
  t.same(await store.preflight?.('read'), [])
  const again = await opened(t, await storeOf('file', { path: folder }))
  t.same(await again.write([raw('empty', 'now')], 'error'), ['written'], 'a file without content is no entry')
  await t.rejects((await storeOf('file', { path: path.join(folder, 'absent') })).open('read'), /no such folder/)
  await t.rejects((await storeOf('file', { path: path.join(folder, '_plain') })).open('read'), /is a file/)
  t.ok((await again.preflight?.('write'))?.some(({ code }) => code === 'key-limits'))
})

// ------------------------------------------------------------------------------------------------ SQL

t.test("Vault's table in MySQL", { skip: skipWithoutSql('mariadb') }, async (t) => {
  const peer = await sqlServer('mariadb')
  const admin = await mysql.createConnection({ host: '127.0.0.1', port: peer.port, user: peer.user, password: peer.password })
  t.teardown(() => admin.end())
  const rows = async (sql: string): Promise<unknown> => (await admin.query<mysql.RowDataPacket[]>({ sql, rowsAsArray: true }))[0]
  const options: StoreOptions = { ...mysqlOptions(peer, 'golden`table'), database: 'some-where', max_parallel: '3' }
  await t.rejects((await storeOf('mysql', options)).open('read'), /no such table/, 'reading creates nothing')
  t.same(await rows("select 1 from information_schema.schemata where schema_name = 'some-where'"), [])
  const store = await opened(t, await storeOf('mysql', options))
  await store.write([raw('core/x', 'hello'), raw(Buffer.from([0, 0xff]), '')], 'replace')
  t.same(await rows('select hex(vault_key), hex(vault_value) from `some-where`.`golden``table` order by 1'), [['00FF', ''], ['636F72652F78', '68656C6C6F']])
  t.same(await rows("select column_name, column_type, column_key from information_schema.columns where table_schema = 'some-where' order by ordinal_position"), [['vault_key', 'varbinary(3072)', 'PRI'], ['vault_value', 'mediumblob', '']])
  t.same([store.traits.keyBytesMax, store.traits.valueBytesMax], [3072, 16777215])

  await admin.query('create database small; ').then(() => admin.query('create table small.vault (vault_key varbinary(512) primary key, vault_value blob)'))
  const small = await opened(t, await storeOf('mysql', { ...mysqlOptions(peer, 'vault'), database: 'small' }))
  t.same([small.traits.keyBytesMax, small.traits.valueBytesMax], [512, 65535], 'limits are those of the table that is there')
  await admin.query("insert into small.vault values ('nothing', null)")
  t.equal(((await small.read([ref('nothing')]))[0] as Entry).value.length, 0)

  await rangesAndNames(t, admin, options)
  // Every connection is cut: what is idle, and what works.
  const cut = async (): Promise<void> => {
    for (const [id] of (await rows('select id from information_schema.processlist where id <> connection_id()')) as number[][]) await admin.query(`kill ${id}`).catch(() => undefined)
  }
  await cut()
  t.same(await store.write([raw('after', 'the cut')], 'error'), ['written'], 'another connection is made')
  const busy = Promise.all(Array.from({ length: 20 }, (_, i) => store.write(Array.from({ length: 100 }, (_, j) => raw(`busy/${i}/${j}`, 'x'.repeat(1000))), 'error')))
  await cut()
  t.ok((await busy).flat().every((outcome) => outcome === 'written'), 'what was cut off is done again, and is our own')
  t.equal((await listed(store, ref('busy/'))).filter((key) => key.startsWith('busy/')).length, 2000)

  const secured = { ...options, tls_ca_file: peer.certificate }
  const safe = await opened(t, await storeOf('mysql', secured))
  t.ok(((await safe.read([ref('core/x')]))[0] as Entry).value.equals(Buffer.from('hello')), 'encrypted')
  const other = path.join(temporaryFolder(t), 'password')
  writeFileSync(other, `${peer.password}\n`)
  const { password: _, ...unsaid } = { ...options }
  await opened(t, await storeOf('mysql', { ...unsaid, password_file: other }))
  t.ok(await refusedBy(await storeOf('mysql', { ...secured, address: `localhost:${peer.port}` }), 'denied'), 'a certificate for another host')

  await admin.query('set global max_allowed_packet = 16777216')
  t.match((await (await opened(t, await storeOf('mysql', options))).preflight?.('write'))?.map(({ code, level }) => `${level} ${code}`), ['info value-limit'], 'as servers have it')
  await admin.query('set global max_allowed_packet = 1048576')
  const narrow = await opened(t, await storeOf('mysql', options))
  t.ok(narrow.traits.valueBytesMax < 1048576 && (await narrow.preflight?.('write'))?.some(({ code, level }) => code === 'value-limit' && level === 'warning'), 'max_allowed_packet is a limit')
  t.same(await narrow.write([raw('as large as can be', Buffer.alloc(narrow.traits.valueBytesMax, 1))], 'replace'), ['written'])
  const many = Array.from({ length: 400 }, (_, i) => raw(`many/${i}`, Buffer.alloc(10_000, i)))
  t.ok((await narrow.write(many, 'replace')).every((outcome) => outcome === 'written'), 'statements are cut to it')
  await admin.query('set global max_allowed_packet = 33554432')
})

/** Keys close together are read as a range, whatever lies between them; the others by name. */
async function rangesAndNames(t: Test, admin: mysql.Connection, options: StoreOptions): Promise<void> {
  const store = await opened(t, await storeOf('mysql', { ...options, table: 'ranges' }))
  const keys = Array.from({ length: 1000 }, (_, i) => Buffer.from([i >> 8, 0xff - (i % 256), i % 7 === 0 ? 0x25 : 0xff]).toString('latin1')).sort()
  const bytes = (key: string): Buffer => Buffer.from(key, 'latin1')
  const hex = (key: string): string => bytes(key).toString('hex')
  await store.write(keys.map((key) => raw(bytes(key), hex(key))), 'replace')
  await admin.query("insert into `some-where`.ranges values ('no value', null)")
  const wanted: [string, string[]][] = [
    ['all', keys],
    ['all but every third, with others that are not there', keys.flatMap((key, i) => (i % 3 === 0 ? [] : [key, `${key}!`]))],
    ['those at both ends', [...keys.slice(0, 20), ...keys.slice(-20)]],
    ['every hundredth', keys.filter((_, i) => i % 50 === 0)],
    ['against the order, and twice', [...keys.slice(0, 40).reverse(), ...keys.slice(0, 40)]],
    ['none that is there', keys.slice(0, 30).map((key) => `${key}?`)],
    ['before and behind', [...Array.from({ length: 20 }, (_, i) => `\0\0${String.fromCharCode(i)}`), 'no value', ...Array.from({ length: 20 }, (_, i) => `\xff${String.fromCharCode(i)}`)]],
  ]
  const there = new Set(keys)
  // Twice: a range that brings mostly others has the next reads ask by name.
  for (const [what, some] of [...wanted, ...wanted])
    t.same(await readEach(store, some.map((key) => ref(bytes(key)))), some.map((key) => (key === 'no value' ? '' : there.has(key) ? hex(key) : undefined)), what)
  const tail = keys.slice(500)
  const outcomes = await store.write(tail.flatMap((key) => [key, `${key}!`]).map((key) => raw(bytes(key), 'other')), 'skip')
  t.same(outcomes, tail.flatMap(() => ['exists', 'written']), 'those that are there are left')
}

async function refusedBy(store: Store, fault: string): Promise<boolean> {
  const error = await store.open('read').then(() => undefined, (error: unknown) => error)
  await store.close()
  return error instanceof StoreError && error.fault === fault
}

t.test("Vault's table in PostgreSQL", { skip: skipWithoutSql('postgresql') }, async (t) => {
  const peer = await sqlServer('postgresql')
  const admin = new Client({ host: '127.0.0.1', port: peer.port, user: peer.user, password: peer.password, database: 'postgres' })
  await admin.connect()
  t.teardown(() => admin.end())
  const options = { connection_url: postgresUrl(peer), max_parallel: '3' }
  await t.rejects((await storeOf('postgresql', options)).open('read'), /no such table/, 'reading creates nothing')
  const store = await opened(t, await storeOf('postgresql', options))
  await store.write([raw('top', 'hello'), raw('core/x', ''), raw('a/b/c', Buffer.from([0, 255, 92]))], 'replace')
  const { rows } = await admin.query(`select parent_path, path, key, encode(value, 'hex') as value from vault_kv_store order by path`)
  t.same(rows.map((row: Record<string, string>) => [row['parent_path'], row['path'], row['key'], row['value']]), [['', '/', 'top', '68656c6c6f'], ['/a/', '/a/b/', 'c', '00ff5c'], ['/', '/core/', 'x', '']])
  const columns = await admin.query(`select attname || ' ' || format_type(atttypid, atttypmod) || ' ' || coalesce((select collname from pg_collation c where c.oid = attcollation), '') as it from pg_attribute where attrelid = 'vault_kv_store'::regclass and attnum > 0 order by attnum`)
  t.same(columns.rows.map((row: { it: string }) => row.it), ['parent_path text C', 'path text C', 'key text C', 'value bytea '])
  for (const key of ['nul\0', Buffer.from([0xff])]) t.equal(((await store.write([raw(key, 'x')], 'replace'))[0] as EntryError).code, 'unsupported')
  t.same(await store.write([raw('twice', '1'), raw('twice', '2')], 'replace'), ['written', 'written'], 'the last of two with one key')
  t.equal(((await store.read([ref('twice')]))[0] as Entry).value.toString(), '2')
  t.same(await store.write([raw('once', '1'), raw('once', '2')], 'skip'), ['written', 'exists'])

  // A rule of the table refuses some values; the server says so for the whole statement.
  await admin.query(`create table strict (parent_path text not null, path text collate "C", key text collate "C", value bytea, primary key (path, key))`)
  await admin.query(`create function refuse() returns trigger language plpgsql as $$ begin if new.key = 'bad' then raise exception 'no' using errcode = '54000'; end if; return new; end $$`)
  await admin.query('create trigger refuse before insert on strict for each row execute function refuse()')
  const strict = await opened(t, await storeOf('postgresql', { ...options, table: 'strict' }))
  await strict.write([raw('b', 'old')], 'replace')
  t.same((await strict.write(['a', 'b', 'bad', 'c'].map((key) => raw(key, 'new')), 'skip')).map((one) => (one instanceof EntryError ? one.code : one)), ['written', 'exists', 'too-large', 'written'], 'one that the server refuses does not hinder the others')
  t.equal(((await strict.read([ref('b')]))[0] as Entry).value.toString(), 'old')

  await copyOrStatements(t, admin, options)
  const cut = (): Promise<unknown> => admin.query('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = $1', ['client backend'])
  await cut()
  t.same(await store.write([raw('after', 'the cut')], 'error'), ['written'], 'another connection is made')
  const busy = Promise.all(Array.from({ length: 20 }, (_, i) => store.write(Array.from({ length: 100 }, (_, j) => raw(`busy/${i}/${j}`, 'x'.repeat(1000))), 'error')))
  await cut()
  t.ok((await busy).flat().every((outcome) => outcome === 'written'), 'what was cut off is done again, and is our own')
  t.equal((await listed(store, ref('busy/'))).filter((key) => key.startsWith('busy/')).length, 2000)

  // A table that was made without Vault's collation: its own order is that of a dictionary.
  const { rows: collations } = await admin.query(`select from pg_collation where collname = 'en-x-icu'`)
  if (collations.length > 0) {
    await admin.query(`create table plain (parent_path text not null, path text collate "en-x-icu", key text collate "en-x-icu", value bytea, primary key (path, key))`)
    const plain = await opened(t, await storeOf('postgresql', { ...options, table: 'plain' }))
    const keys = ['b', 'B', 'a', 'Z', 'a-b/x', 'ab/x', 'a_b/x', 'A/x', 'é/x', 'z/y']
    await plain.write(keys.map((key) => raw(key, key)), 'replace')
    t.same(await listed(plain), keys.map(ref).sort(compareKeys).map(({ key }) => key.toString('latin1')), 'in the order of bytes')
    t.ok((await plain.preflight?.('write'))?.some(({ code, level }) => code === 'collation' && level === 'warning'), 'and a word about it')
  }
  await admin.query(`alter system set ssl_cert_file = '${peer.certificate}'; `)
  await admin.query(`alter system set ssl_key_file = '${peer.key}'`)
  await admin.query(`alter system set ssl = on`)
  await admin.query('select pg_reload_conf()')
  await new Promise((resolve) => setTimeout(resolve, 300))
  const secured = `${postgresUrl(peer).replace('prefer', 'verify-full')}&sslrootcert=${peer.certificate}`
  const safe = await opened(t, await storeOf('postgresql', { connection_url: secured }))
  t.ok(((await safe.read([ref('top')]))[0] as Entry).value.equals(Buffer.from('hello')), 'encrypted')
  t.ok(await refusedBy(await storeOf('postgresql', { connection_url: secured.replace('127.0.0.1', 'localhost') }), 'denied'), 'a certificate for another host')
  t.ok(await refusedBy(await storeOf('postgresql', { connection_url: postgresUrl(peer).replace('prefer', 'verify-ca') }), 'denied'), 'a certificate that nobody vouches for')
  await opened(t, await storeOf('postgresql', { connection_url: postgresUrl(peer).replace('prefer', 'require') }))
})

/** New rows go by COPY; where one is there already, or COPY can not be, by statements, with the same outcomes. */
async function copyOrStatements(t: Test, admin: Client, options: Record<string, string>): Promise<void> {
  const keys = ['', '/', '/a', 'a', 'a/', 'a//b', 'a/b/c', 'a/b/é', 'a/b/😀', 'a\tb\\n', 'x'.repeat(2000)]
  const odd = await opened(t, await storeOf('postgresql', { ...options, table: 'odd' }))
  const rows = async (): Promise<string[][]> => (await admin.query<string[]>({ text: `select parent_path, path, key, encode(value, 'hex') from odd order by path, key`, rowMode: 'array' })).rows
  t.ok((await odd.write(keys.map((key) => raw(key, `value of ${key}`)), 'replace')).every((outcome) => outcome === 'written'))
  const copied = await rows()
  await odd.remove(keys.map(ref))
  for (const key of keys) await odd.write([raw(key, `value of ${key}`)], 'replace')
  t.equal(copied.length, keys.length)
  t.same(copied, await rows(), 'the columns are the same either way')

  await admin.query(`create table seen (query text)`)
  await admin.query(`create table often (like vault_kv_store including all)`)
  await admin.query(`create function see() returns trigger language plpgsql as $$ begin insert into seen values (current_query()); return null; end $$`)
  await admin.query('create trigger see after insert on often for each statement execute function see()')
  const often = await opened(t, await storeOf('postgresql', { ...options, table: 'often' }))
  const batch = (n: number, value: string): Entry[] => Array.from({ length: 20 }, (_, i) => raw(`batch ${n}/${i}`, value))
  t.same(await often.write(batch(0, 'old').slice(4, 9), 'error'), ['written', 'written', 'written', 'written', 'written'])
  t.match((await admin.query<{ query: string }>('select query from seen')).rows[0].query, /^copy /)
  t.same((await often.write(batch(0, 'new'), 'skip')).map((outcome, i) => outcome === (i >= 4 && i < 9 ? 'exists' : 'written')), Array.from({ length: 20 }, () => true), 'those that were there')
  t.same(new Set(await often.write([...batch(0, 'newer'), raw('batch 0/3', 'newest')], 'replace')), new Set(['written']))
  t.same((await readEach(often, batch(0, ''))).map((value, i) => value === (i === 3 ? 'newest' : 'newer')), Array.from({ length: 20 }, () => true), 'all are replaced, the last of two with one key counts')
  for (let n = 1; n <= 30; n++) t.same(new Set(await often.write(batch(n, 'x'), n % 2 === 0 ? 'skip' : 'replace')), new Set(['written']))
  const copies = await admin.query<{ n: string }>(`select count(*) as n from seen where query like 'copy %'`)
  t.ok(Number(copies.rows[0].n) > 10 && Number(copies.rows[0].n) < 20, 'COPY pauses after it met a row that was there', { found: copies.rows[0].n })

  await admin.query('create view seen_through as select * from often')
  const view = await opened(t, await storeOf('postgresql', { ...options, table: 'seen_through' }))
  t.same(new Set(await view.write(batch(99, 'x'), 'replace')), new Set(['written']), 'a view takes statements only')
  t.same(new Set(await readEach(often, batch(99, ''))), new Set(['x']))
}

async function readEach(store: Store, refs: readonly KeyRef[]): Promise<(string | undefined)[]> {
  const found: (Entry | EntryError | undefined)[] = []
  while (found.length < refs.length) found.push(...(await store.read(refs.slice(found.length))))
  return found.map((entry) => (entry === undefined || entry instanceof EntryError ? undefined : entry.value.toString()))
}

t.test('how much is read at once goes by how large it was', async (t) => {
  const reads = new ReadSize(1 << 20)
  const keys = Array.from({ length: 5000 }, (_, i) => ref(`key/${i}`))
  let underWay = 0
  let most = 0
  const read = async (bytes: number): Promise<number> => (await reads.read(keys, async (some) => {
    most = Math.max(most, (underWay += some.length))
    await new Promise((resume) => setImmediate(resume))
    underWay -= some.length
    return some.map(({ key }) => raw(key, Buffer.alloc(bytes)))
  })).length
  t.equal(await read(10), 128, 'nothing is known yet')
  while (await read(10) < keys.length);
  await Promise.all(Array.from({ length: 10 }, () => read(10)))
  t.equal(most, 5000, 'no two such reads at once')
  await read(500)
  t.ok(await read(100_000) < 2200 && await read(100_000) === 10, 'as many as have a megabyte')
  await t.rejects(reads.read(keys, () => Promise.reject(new StoreError('unreachable', 'gone'))), StoreError)
  t.equal(await read(2 << 20), 10)
  t.equal(await read(2 << 20), 1, 'one at least')
})

t.test('a table as a source: not there, or only to be read', { skip: skipWithoutSql('mariadb') || skipWithoutSql('postgresql') }, async (t) => {
  const [maria, postgres] = await Promise.all([sqlServer('mariadb'), sqlServer('postgresql')])
  const url = (user: string, password: string, rest = ''): string => `mysql://${user}:${encodeURIComponent(password)}@127.0.0.1:${maria.port}/ferry?table=${rest}`
  for (const nothing of [url(maria.user, maria.password, 'nothing'), `${postgresUrl(postgres)}&table=nothing`]) {
    t.match(await start([nothing, 'memory:']), { status: 4, err: /no such table.*look at the options '(database|connection_url)' and 'table'\n$/ })
    t.match(await start(['--dry-run', 'memory:', nothing]), { status: 0, err: /taken as empty/ })
  }
  for (const store of [await storeOf('mysql', mysqlOptions(maria, 'readable')), await storeOf('postgresql', { connection_url: postgresUrl(postgres), table: 'readable' })])
    await (await opened(t, store)).write([raw('a', '1'), raw('b', '2')], 'error')
  const admin = await mysql.createConnection({ host: '127.0.0.1', port: maria.port, user: maria.user, password: maria.password })
  const client = new Client({ connectionString: postgresUrl(postgres).replace(/\?.*/, '') })
  await client.connect()
  t.teardown(() => Promise.all([admin.end(), client.end()]))
  await admin.query("create user 'reader' identified by 'r'")
  await admin.query("grant select on ferry.* to 'reader'")
  await client.query("create user reader password 'r'; grant select on readable to reader; create user still password 'r'; grant all on readable to still; alter user still set default_transaction_read_only = on")
  const unlocked = /\[WARN\].* is read without a lock, for its user may not write one \(.*(denied|permission|read-only).*\)/i
  const sources = [url('reader', 'r', 'readable'), ...['reader', 'still'].map((user) => `postgres://${user}:r@127.0.0.1:${postgres.port}/postgres?sslmode=prefer&table=readable`)]
  for (const source of sources)
    t.match(await start(['--verify=full', source, 'memory:']), { status: 0, out: /written +2.*no difference/s, err: unlocked }, source)
})

t.test('the order of whole keys from the order of (path, key), with pages of three rows', async (t) => {
  let state = 4711
  const random = (below: number): number => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) % below
  const wrong: string[] = []
  let asked = 0
  for (let round = 0; round < 60; round++) {
    const words = ['a', 'b', '!', 'a!', 'a0', '', 'é', '😀', '\uffee', '~']
    const keys = [...new Set(Array.from({ length: 1 + random(60) }, () => Array.from({ length: 1 + random(5) }, () => words[random(round % 2 === 0 ? 3 : words.length)]).join('/')))]
    const order = (a: string, b: string): number => compareKeys(ref(a), ref(b))
    const table = keys.map((key) => columnsOf(key)).sort((a, b) => order(a.path, b.path) || order(a.key, b.key))
    const after = (word: string, than: string, strictly: boolean): boolean => (strictly ? order(word, than) > 0 : order(word, than) >= 0)
    const pages: RowPages = {
      pageRows: 3,
      rows: async (start, strictly) => (asked++, table.filter((row) => after(row.path, start, strictly)).slice(0, 3).map((row): RowKey => [row.path, row.key])),
      keys: async (folder, start, strictly) => (asked++, table.filter((row) => row.path === folder && after(row.key, start, strictly)).slice(0, 3).map((row) => row.key)),
    }
    if (!table.every((row, i) => keyOf(row.path, row.key) === keyOf(row.path, table[i].key))) wrong.push('split')
    for (const start of ['', keys[0], keys[keys.length >> 1], `${keys[0]}/`, 'a/', '/', 'a/!', 'zz']) {
      const walked: string[] = []
      for await (const key of walk(pages, start)) walked.push(key)
      const expected = keys.filter((key) => order(key, start) >= 0).sort(order)
      if (JSON.stringify(walked) !== JSON.stringify(expected)) wrong.push(`round ${round} from ${start}: ${JSON.stringify(walked)} instead of ${JSON.stringify(expected)}`)
    }
  }
  t.same(wrong.slice(0, 3), [])
  t.comment(`${asked} pages`)
})

t.test('a server that hangs: what it left unanswered is not tried again, nor are connections that can not be made, until it answers', async (t) => {
  let hangs = false
  let taken = 0
  const connections = new Connections<number>('a server', 20, {
    take: () => (taken++, hangs && taken > 1 ? Promise.reject(new Error('connect ETIMEDOUT')) : Promise.resolve(taken)),
    give: () => undefined,
  }, (error) => (error instanceof StoreError ? error : new StoreError('unreachable', (error as Error).message)))
  const work = (): Promise<string> => (hangs ? new Promise(() => undefined) : Promise.resolve('done'))
  const failure = (): Promise<unknown> => connections.run(work).catch((error: unknown) => error)
  hangs = true
  for (const message of [/^a server has not answered for 20 ms/, /^connect ETIMEDOUT/]) {
    const error = await failure()
    t.ok(error instanceof NoAnswerError && message.test(error.message), String(error))
  }
  t.equal(taken, 2)
  hangs = false
  t.equal(await connections.run(work), 'done')
  hangs = true
  t.notOk(await failure() instanceof NoAnswerError, 'it has answered since: a connection that can not be made is nothing but that')
  t.equal(taken, 7)
})

t.test('a server that goes away', { skip: skipWithoutSql('mariadb') || skipWithoutSql('postgresql') }, async (t) => {
  const [mariadb, postgresql] = [await sqlServer('mariadb'), await sqlServer('postgresql')]
  const stores = [await storeOf('mysql', mysqlOptions(mariadb, 'going')), await storeOf('postgresql', { connection_url: postgresUrl(postgresql), table: 'going' })]
  for (const store of stores) await opened(t, store)
  await Promise.all([mariadb.stop(), postgresql.stop()])
  const errors = await Promise.all(stores.flatMap((store) => [store.write([raw('a', 'b')], 'replace'), store.read([ref('a')]), listed(store)].map((work) => work.then(() => undefined, (error: unknown) => error))))
  errors.forEach((error) => t.ok(error instanceof StoreError && error.fault === 'unreachable', String(error)))
})
