/**
 * The backends `redis` and `redis-cluster` against real servers: what goes through them arrives as it was, whatever
 * breaks on the way.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { encodePayload } from '../protocol/rdb/encode.js'
import { writeFooter } from '../protocol/rdb/payload.js'
import type { TableSource } from '../protocol/rdb/value.js'
import { Slice } from '../protocol/slice.js'
import { backendOfType, backendOfUrl } from '../src/backends/index.js'
import type { StoreOptions } from '../src/backends/backend.js'
import { ReplyReader, type ReplyReceiver } from '../src/backends/redis-protocol/reply-reader.js'
import { Random } from '../src/random.js'
import { EntryError, type ConflictPolicy, type Entry, type KeyRef, type Store, type StoreAccess, type WriteOutcome } from '../src/transfer/store.js'
import { show, type RespClient, type Word } from './client.js'
import { FaultProxy } from './fault-proxy.js'
import { start } from './migrations.js'
import { meet, slotOfKey, startCluster, startNode, stopCluster, until } from './peers-cluster.js'
import { freePort, skipWithout, startPeer, type Peer, type PeerName, type PeerOptions } from './peers.js'

t.setTimeout(120_000)

const noRedis = skipWithout('redis')
const noPeers = noRedis || skipWithout('valkey')
const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-redis-store-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A server with a client; both end with the test. */
async function running(t: Test, name: PeerName, options: PeerOptions = {}): Promise<{ peer: Peer; client: RespClient; address: string }> {
  const peer = await startPeer(name, options)
  const client = await peer.client()
  t.teardown(async () => {
    client.close()
    await peer.stop()
  })
  return { peer, client, address: `127.0.0.1:${peer.port}` }
}

async function opened(t: Test, options: StoreOptions, access: StoreAccess, type = 'redis'): Promise<Store> {
  const store = (await backendOfType(type)).create(options)
  t.teardown(() => store.close())
  await store.open(access)
  return store
}

async function listed(store: Store): Promise<KeyRef[]> {
  const refs: KeyRef[] = []
  for await (const page of store.list(undefined)) refs.push(...page)
  return refs
}

/** Copies everything, in batches of `size`; the outcomes by name. */
async function copyAll(source: Store, target: Store, policy: ConflictPolicy = 'error', size = 100): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  const refs = await listed(source)
  for (let i = 0; i < refs.length; i += size) {
    const entries = (await readAll(source, refs.slice(i, i + size))).filter((entry): entry is Entry => entry !== undefined && !(entry instanceof EntryError))
    for (const outcome of await target.write(entries, policy)) counts[nameOf(outcome)] = (counts[nameOf(outcome)] ?? 0) + 1
  }
  return counts
}

/** A store may answer for the first of the keys only, and is asked again for the others. */
async function readAll(store: Store, refs: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
  const found: (Entry | EntryError | undefined)[] = []
  while (found.length < refs.length) found.push(...(await store.read(refs.slice(found.length))))
  return found
}

const nameOf = (outcome: WriteOutcome): string => (outcome instanceof EntryError ? `${outcome.code}: ${outcome.message}` : outcome)

/** What a key holds, in an order that does not depend on a hash table. */
async function contentOf(client: RespClient, key: Word): Promise<string> {
  const type = await client.text('TYPE', key)
  const expiry = await client.text('PEXPIRETIME', key)
  const sorted = async (...words: Word[]): Promise<string> => {
    const { reply } = await client.send(words)
    return reply.type === 'array' ? reply.items.map(show).sort().join() : show(reply)
  }
  switch (type) {
    case '+string': return `string ${expiry} ${await client.text('GET', key)}`
    case '+list': return `list ${expiry} ${await client.text('LRANGE', key, 0, -1)}`
    case '+set': return `set ${expiry} ${await sorted('SMEMBERS', key)}`
    case '+hash': return `hash ${expiry} ${await client.text('HLEN', key)} ${await sorted('HGETALL', key)}`
    case '+zset': {
      // Redis 7.0 shows scores with 17 digits, the others the shortest that are the same number.
      const { reply } = await client.send(['ZRANGE', key, 0, -1, 'WITHSCORES'])
      return `zset ${expiry} ${reply.type === 'array' ? reply.items.map((item, i) => (i % 2 === 0 ? show(item) : Number(show(item).slice(1, -1).replace('inf', 'Infinity')))).join() : ''}`
    }
    case '+stream': {
      const groups = (await client.send(['XINFO', 'GROUPS', key])).reply
      const pending: string[] = []
      if (groups.type === 'array') {
        for (const group of groups.items) {
          const name = group.type === 'array' && group.items[1].type === 'bulk' ? group.items[1].bytes : ''
          pending.push(show(group), await client.text('XPENDING', key, name, '-', '+', 1000).then((text) => text.replace(/, :\d+, :(\d+)\]/g, ', :$1]')))
        }
      }
      const info = (await client.text('XINFO', 'STREAM', key)).replace(/"radix-tree-(keys|nodes)", :\d+/g, '')
      return `stream ${expiry} ${await client.text('XRANGE', key, '-', '+')} ${info} ${pending.join(' ')}`
    }
    default: return type
  }
}

async function contents(client: RespClient): Promise<Record<string, string>> {
  const all: Record<string, string> = {}
  for (const db of [0, 1, 5]) {
    await client.call('SELECT', db)
    const keys = (await client.send(['KEYS', '*'])).reply
    if (keys.type !== 'array') throw new Error(show(keys))
    for (const key of keys.items) if (key.type === 'bulk') all[`${db} ${key.bytes.toString('hex')}`] = await contentOf(client, key.bytes)
  }
  await client.call('SELECT', 0)
  return all
}

/** Compares what two servers hold; of differences only the keys and the beginning are shown. */
function sameContents(t: Test, found: Record<string, string | undefined>, wanted: Record<string, string | undefined>, message: string): void {
  const differing = [...new Set([...Object.keys(found), ...Object.keys(wanted)])].filter((key) => found[key] !== wanted[key])
  t.same(differing.map((key) => `${key.slice(0, 60)}: ${found[key]?.slice(0, 300)} instead of ${wanted[key]?.slice(0, 300)}`), [], message)
}

/** Keys of every type and encoding, small and large, with and without expiry, names of any bytes, in three databases. */
async function fill(client: RespClient, large: number): Promise<number> {
  const random = new Random(11)
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.below(256)))
  const soon = Date.now() + 3_600_000
  const many = (count: number, word: (i: number) => Word[]): Word[] => Array.from({ length: count }, (_, i) => word(i)).flat()
  const commands: Word[][] = [
    ['SET', 's:int', 12345], ['SET', 's:negative', '-1'], ['SET', 's:empty', ''], ['SET', 's:text', 'hällo'], ['SET', 's:expires', 'x', 'PXAT', soon],
    ['SET', '', 'the key without a name'], ['SET', bytes(40), bytes(100)], ['SET', Buffer.from([0, 13, 10, 255]), 'line ends'], ['SET', 'k'.repeat(5000), 'long name'],
    ['SET', 's:large', bytes(large * 50)], ['SETBIT', 's:bits', 1000, 1], ['PFADD', 's:hll', ...many(100, (i) => [`e${i}`])],
    ['RPUSH', 'l:small', 'a', '1', '', bytes(30)], ['RPUSH', 'l:large', ...many(large, (i) => [`element ${i}`])], ['RPUSH', 'l:plain', 'x', bytes(20_000), 'y'],
    ['SADD', 'set:int', 1, 2, 3, -9007199254740993n], ['SADD', 'set:small', 'a', 'b', bytes(10)], ['SADD', 'set:large', ...many(large, (i) => [`m${i}`])],
    ['HSET', 'h:small', 'f', 'v', 'n', 17, bytes(5), bytes(5)], ['HSET', 'h:large', ...many(large, (i) => [`field${i}`, `value ${i}`])],
    ['ZADD', 'z:small', 1, 'a', -1.5, 'b', 'inf', 'c', 3.3333333333333335, 'd'], ['ZADD', 'z:large', ...many(large, (i) => [i * 0.1, `m${i}`])],
    ['XADD', 'x:small', '1-1', 'a', 'b'], ['XADD', 'x:small', '1-2', 'a', 'c', 'd', 'e'], ['XDEL', 'x:small', '1-1'],
    ...Array.from({ length: Math.min(large, 500) }, (_, i): Word[] => ['XADD', 'x:large', `${i + 5}-${i}`, 'n', i, ...(i % 7 === 0 ? ['odd', 'one'] : [])]),
    ['XGROUP', 'CREATE', 'x:large', 'g', '0'], ['XGROUP', 'CREATE', 'x:large', 'other', '$'], ['XGROUP', 'CREATECONSUMER', 'x:large', 'other', 'idle'],
    ['XREADGROUP', 'GROUP', 'g', 'c1', 'COUNT', 10, 'STREAMS', 'x:large', '>'], ['XREADGROUP', 'GROUP', 'g', 'c2', 'COUNT', 5, 'STREAMS', 'x:large', '>'], ['XACK', 'x:large', 'g', '7-2'],
    ['XADD', 'x:empty', '5-5', 'a', 'b'], ['XDEL', 'x:empty', '5-5'], ['PEXPIREAT', 'h:small', soon + 1], ['PEXPIREAT', 'x:small', soon + 2],
    ['SELECT', 1], ['SET', 's:int', 'another database'], ['HSET', 'h', 'f', 'v'], ['SELECT', 5], ['MSET', ...many(2500, (i) => [`n${i}`, i])], ['SELECT', 0],
  ]
  for (const { reply } of await client.pipeline(commands)) if (reply.type === 'error') throw new Error(reply.text)
  return (await Promise.all([0, 1, 5].map(async (db) => Number(/\d+/.exec((await client.pipeline([['SELECT', db], ['DBSIZE'], ['SELECT', 0]])).map(({ reply }) => show(reply))[1])?.[0])))).reduce((a, b) => a + b, 0)
}

t.test('every type, there and back', { skip: noPeers }, async (t) => {
  const servers = { redis: await running(t, 'redis'), valkey: await running(t, 'valkey'), keyferry: await running(t, 'keyferry') }
  const keys = await fill(servers.redis.client, 1500)
  const before = await contents(servers.redis.client)
  // keyferry and valkey write payloads that redis 7.0 does not take: they are converted on the way back.
  const path = ['redis', 'valkey', 'keyferry', 'redis', 'keyferry', 'valkey', 'redis'] as const
  for (let hop = 1; hop < path.length; hop++) {
    const source = await opened(t, { address: servers[path[hop - 1]].address, scan_count: '100' }, 'read')
    const { client, address } = servers[path[hop]]
    await client.call('FLUSHALL')
    const target = await opened(t, { address }, 'write')
    t.equal(await source.count?.(), keys)
    t.same(await copyAll(source, target), { written: keys }, `${path[hop - 1]} to ${path[hop]}`)
    sameContents(t, await contents(client), before, `${path[hop]} holds what the first had`)
    await Promise.all([source.close(), target.close()])
  }
  t.equal(await servers.redis.client.text('OBJECT', 'ENCODING', 'h:small'), '"listpack"')
  t.equal(await servers.redis.client.text('OBJECT', 'ENCODING', 'set:int'), '"intset"')
})

t.test('one database, and databases that the target lacks', { skip: noRedis }, async (t) => {
  const from = await running(t, 'redis', { args: ['--rename-command', 'PEXPIRETIME', ''] })
  const to = await running(t, 'redis', { config: { databases: 2 } })
  await from.client.pipeline([['SELECT', 1], ['SET', 'a', '1', 'PX', 100_000], ['SET', 'b', '2'], ['SELECT', 3], ['SET', 'c', '3']])
  const one = await opened(t, { address: from.address, db: '1' }, 'read')
  const all = await opened(t, { address: from.address }, 'read')
  const target = await opened(t, { address: to.address }, 'write')
  t.same((await listed(one)).map(({ db, key }) => `${db} ${key.toString()}`).sort(), ['1 a', '1 b'])
  t.equal(await one.count?.(), 2)
  t.same((await listed(all)).map(({ db, key }) => `${db} ${key.toString()}`).sort(), ['1 a', '1 b', '3 c'])
  // Without PEXPIRETIME the expiry is reckoned from what is left.
  const [a, missing, b, c] = await readAll(all, [{ db: 1, key: Buffer.from('a') }, { db: 1, key: Buffer.from('missing') }, { db: 1, key: Buffer.from('b') }, { db: 3, key: Buffer.from('c') }])
  t.ok(Math.abs((a as Entry).expiresAtMs as number - Date.now() - 100_000) < 2000)
  t.equal(missing, undefined)
  t.equal((b as Entry).expiresAtMs, undefined)
  t.equal((c as Entry).db, 3)
  t.same(await target.write([a as Entry, b as Entry], 'error'), ['written', 'written'])
  await t.rejects(target.write([c as Entry], 'error'), { fault: 'refused', message: /has no database 3: .*out of range; raise its directive 'databases'/ })
  await target.remove([{ db: 1, key: Buffer.from('a') }, { db: 1, key: Buffer.from('missing') }, { db: 0, key: Buffer.from('b') }])
  await to.client.call('SELECT', 1)
  t.equal(await to.client.text('KEYS', '*'), '["b"]')
  const narrow = await opened(t, { address: to.address, db: '0' }, 'write')
  t.match((await narrow.write([b as Entry], 'error'))[0], { code: 'unsupported' })
})

/** Fields, the first of which expires. */
function expiringTable(): TableSource {
  let at = -1
  return {
    count: 2, hasExpiry: true, score: 0, first: new Slice(), second: Slice.from('v'),
    get expireMs() { return at === 0 ? 1_900_000_000_000 : -1 },
    next() { at++; this.first.set(Buffer.from(`field${at}`), 0, 6); return at < 2 },
    rewind() { at = -1 },
  }
}

t.test('raw values, and what can not be written', { skip: noRedis }, async (t) => {
  const to = await running(t, 'redis')
  const target = await opened(t, { address: to.address }, 'write')
  const raw = (key: string, value: string | Buffer, expiresAtMs?: number): Entry => ({ db: 0, key: Buffer.from(key), form: 'raw', value: Buffer.from(value), expiresAtMs })
  t.same(await target.write([raw('a', 'one'), raw('b', Buffer.alloc(100_000, 'b')), raw('n', '123')], 'error'), ['written', 'written', 'written'])
  t.equal(await to.client.text('MGET', 'a', 'n'), '["one", "123"]')
  t.same(await target.write([raw('a', 'three', Date.now() + 60_000)], 'replace'), ['written'])
  t.equal(await to.client.text('GET', 'a'), '"three"')
  t.match(await to.client.text('PTTL', 'a'), /^:[1-9]\d{4}$/)
  t.same(await target.write([raw('a', 'gone', 1000), raw('e', 'never', 1000)], 'replace'), ['written', 'written'], 'its time has come')
  t.equal(await to.client.text('EXISTS', 'a', 'e'), ':0')

  const dump = (key: string, value: Buffer): Entry => ({ db: 0, key: Buffer.from(key), form: 'dump', value, expiresAtMs: undefined })
  const good = encodePayload({ type: 'string', bytes: Buffer.from('fine') })
  const damaged = Buffer.from(good)
  damaged[3] ^= 1
  const table = { type: 'hash', encoding: 'table', table: expiringTable() } as const
  const fieldExpiry = [encodePayload(table, { version: 12, compressed: false }), encodePayload(table, { version: 80, compressed: false })]
  const newer = [12, 80].map((version) => encodePayload({ type: 'list', encoding: 'table', table: { ...expiringTable(), hasExpiry: false } }, { version, compressed: false }))
  const outcomes = await target.write([dump('ok', good), dump('damaged', damaged), dump('short', Buffer.from('x')), dump('ttl12', fieldExpiry[0]), dump('ttl80', fieldExpiry[1]), dump('new12', newer[0]), dump('new80', newer[1])], 'error')
  t.same(outcomes.map((outcome) => (outcome instanceof EntryError ? outcome.code : outcome)), ['written', 'corrupt', 'corrupt', 'unsupported', 'unsupported', 'written', 'written'])
  t.match(nameOf(outcomes[3]), /cannot carry the expiry of hash field 'field0'/)
  t.match(nameOf(outcomes[1]), /checksum/)
  t.equal(await to.client.text('LRANGE', 'new80', 0, -1), '["field0", "field1"]')
  t.equal(await to.client.text('LRANGE', 'new12', 0, -1), '["field0", "field1"]')
  const module = Buffer.from(good)
  module[0] = 7
  t.match(nameOf((await target.write([dump('module', encodeAgain(module))], 'error'))[0]), /^unsupported: .*module/)
})

/** The payload with a checksum that is right again. */
function encodeAgain(payload: Buffer): Buffer {
  const out = Buffer.from(payload)
  writeFooter(out, 0, out.length - 10, 9)
  return out
}

t.test('values in pieces', { skip: noPeers }, async (t) => {
  const from = await running(t, 'redis')
  await fill(from.client, 6000)
  const before = await contents(from.client)
  for (const [name, options, config] of [['valkey', { chunk_bytes: '4096' }, {}], ['redis', {}, { 'proto-max-bulk-len': '1mb' }]] as const) {
    const to = await running(t, name, { config })
    const source = await opened(t, { address: from.address }, 'read')
    const target = await opened(t, { address: to.address, ...options }, 'write')
    const tooLarge: KeyRef = { db: 0, key: Buffer.from('too:large') }
    if (name === 'redis') {
      // Bytes that can not be compressed: it is the payload's size that counts.
      await from.client.call('SET', tooLarge.key, randomBytes(1_500_000))
      await from.client.call('RPUSH', 'list:large', randomBytes(1_500_000))
      await from.client.call('RPUSH', 'list:fits', ...Array.from({ length: 30 }, () => randomBytes(100_000)))
      const refs = [tooLarge, { db: 0, key: Buffer.from('list:large') }, { db: 0, key: Buffer.from('list:fits') }]
      const outcomes = await target.write((await readAll(source, refs)) as Entry[], 'error')
      t.same(outcomes.map((outcome) => nameOf(outcome).slice(0, 9)), ['too-large', 'too-large', 'written'])
      t.equal(await contentOf(to.client, 'list:fits'), await contentOf(from.client, 'list:fits'))
      await from.client.call('UNLINK', ...refs.map(({ key }) => key))
      await to.client.call('FLUSHALL')
    }
    t.same(await copyAll(source, target), { written: Object.keys(before).length })
    sameContents(t, await contents(to.client), before, `in pieces to ${name}, and no temporary key is left`)
    t.same(await copyAll(source, target, 'skip'), { exists: Object.keys(before).length })
    await to.client.call('SET', 'l:large', 'another')
    t.same(await copyAll(source, target, 'replace'), { written: Object.keys(before).length })
    sameContents(t, await contents(to.client), before, 'nothing is lost or changed')
    await Promise.all([source.close(), target.close()])
  }
})

t.test('connections that break', { skip: noRedis }, async (t) => {
  const from = await running(t, 'redis')
  const to = await running(t, 'redis')
  const keys = await fill(from.client, 2000)
  const before = await contents(from.client)
  for (const policy of ['error', 'replace'] as const) {
    await to.client.call('FLUSHALL')
    const source = await opened(t, { address: from.address, scan_count: '20' }, 'read')
    const target = await opened(t, { address: to.address }, 'write')
    const killer = setInterval(() => {
      for (const { client } of [from, to]) client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes').catch(() => undefined)
    }, 7)
    try {
      t.same(await copyAll(source, target, policy, 50), { written: keys }, `all connections killed again and again, policy ${policy}`)
    } finally {
      clearInterval(killer)
    }
    sameContents(t, await contents(to.client), before, 'nothing is lost or changed')
    await Promise.all([source.close(), target.close()])
  }
})

t.test('answers that are lost at any byte', { skip: noRedis }, async (t) => {
  const from = await running(t, 'redis')
  const to = await running(t, 'redis')
  await fill(from.client, 500)
  const source = await opened(t, { address: from.address }, 'read')
  const refs = (await listed(source)).filter(({ db }) => db === 0)
  const random = new Random()
  const allTypes = (await readAll(source, refs)) as Entry[]
  // Several are set by one command, some of the commands have been carried out.
  const strings = refs.map((ref, i): Entry => ({ ...ref, form: 'raw', value: Buffer.from(`value ${i}`), expiresAtMs: undefined }))
  for (let round = 0; round < 26; round++) {
    const entries = round < 18 ? allTypes : strings
    // What a connection hears before the first write, and during it.
    const plain = await FaultProxy.start(to.peer.port)
    const measured = await opened(t, { address: `127.0.0.1:${plain.port}` }, 'write')
    const opening = plain.bytes.back
    await measured.write(entries, 'replace')
    const answers = plain.bytes.back - opening
    await measured.close()
    await plain.stop()
    await to.client.call('FLUSHALL')
    const at = opening + random.below(answers + 20)
    const proxy = await FaultProxy.start(to.peer.port, { kind: random.below(2) === 0 ? 'cut' : 'reset', direction: 'back', at, connections: 1 })
    const target = await opened(t, { address: `127.0.0.1:${proxy.port}`, ...(round % 2 === 0 ? { chunk_bytes: '2000' } : {}) }, 'write')
    t.same([...new Set((await target.write(entries, 'error')).map(nameOf))], ['written'], `round ${round}, cut at ${at - opening} of ${answers}`)
    await target.close()
    await proxy.stop()
  }
  t.equal(await to.client.text('DBSIZE'), `:${refs.length}`)
})

t.test('a server that is started again', { skip: noRedis }, async (t) => {
  const options: PeerOptions = { config: { 'enable-debug-command': 'yes' }, args: ['--save', '3600', '1'] }
  const from = await running(t, 'redis', options)
  await from.client.call('MSET', ...Array.from({ length: 3000 }, (_, i) => [`key${i}`, i]).flat())
  const source = await opened(t, { address: from.address, scan_count: '50' }, 'read')
  const seen = new Set<string>()
  let pages = 0
  for await (const page of source.list(undefined)) {
    for (const { key } of page) seen.add(key.toString())
    // Its hash function is another after that, and so is the order of its keys.
    if (++pages === 10) await from.client.call('DEBUG', 'RESTART').catch(() => undefined)
  }
  t.equal(seen.size, 3000, 'every key is listed, although the cursor was void')
  t.ok(pages > 60)
})

t.test('a server that is not there, that does not answer, that refuses us', { skip: noRedis }, async (t) => {
  const port = await freePort()
  const open = (options: StoreOptions): Promise<Store> => opened(t, options, 'write')
  await t.rejects(open({ address: `127.0.0.1:${port}` }), { name: 'StoreError', fault: 'unreachable', message: new RegExp(`redis://127.0.0.1:${port}: .*ECONNREFUSED.*check that the server runs`) })
  const closed = await running(t, 'redis', { config: { requirepass: 'secret-word' } })
  const stalled = await FaultProxy.start(closed.peer.port, { kind: 'stall', direction: 'back', at: 0 })
  t.teardown(() => stalled.stop())
  await t.rejects(open({ address: `127.0.0.1:${stalled.port}`, password: 'secret-word', timeout: '100ms' }), { fault: 'unreachable', message: /nothing moved for 100 ms/ })
  await t.rejects(open({ address: closed.address }), { fault: 'denied', message: /no password was given.*NOAUTH/ })
  await t.rejects(open({ address: closed.address, password: 'wrong1' }), { fault: 'denied', message: /^(?!.*wrong1).*WRONGPASS.*check username, password/ })
  await t.rejects(open({ address: closed.address, username: 'nobody', password: 'secret-word' }), { fault: 'denied', message: /^(?!.*secret-word).*user 'nobody'/ })
  writeFileSync(path.join(folder, 'password'), 'secret-word\n')
  const store = await open({ address: closed.address, password_file: path.join(folder, 'password') })
  t.notMatch(store.label, /secret/)
  await closed.client.call('AUTH', 'secret-word')
  await closed.client.call('ACL', 'SETUSER', 'reader', 'on', '>pw', '~*', '+@read', '+info', '+select', '+ping')
  const reader = await opened(t, { address: closed.address, username: 'reader', password: 'pw' }, 'write')
  t.match(await reader.preflight?.('write'), [{ code: 'server-version' }, { code: 'permission-missing', level: 'error', message: /refuses RESTORE: NOPERM/ }])
  await t.rejects(reader.write([{ db: 0, key: Buffer.from('k'), form: 'raw', value: Buffer.from('v'), expiresAtMs: undefined }], 'error'), { name: 'StoreError', fault: 'denied' })
  process.env['KEYFERRY_REDIS_PASSWORD'] = 'secret-word'
  t.teardown(() => delete process.env['KEYFERRY_REDIS_PASSWORD'])
  t.equal(await (await open({ address: closed.address })).count?.(), 0)
  const odd = await FaultProxy.start(closed.peer.port, { kind: 'insert', direction: 'back', at: 0, bytes: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') })
  t.teardown(() => odd.stop())
  await t.rejects(open({ address: `127.0.0.1:${odd.port}` }), { fault: 'unreachable', message: /is it a Redis server\?/ })
})

t.test('databases of a server that a cluster does not have', { skip: noRedis }, async (t) => {
  const { client, address } = await running(t, 'redis')
  const nodes = await startCluster('redis', 3)
  t.teardown(() => stopCluster(nodes))
  await client.pipeline([['SET', 'a', '0'], ['SELECT', 2], ['SET', 'a', '2']])
  const cluster = `redis-cluster://${nodes[0].address}`
  const refused = { status: 2, err: /nothing was copied:\none-database: redis-cluster:.* has database 0 alone, and redis:.* has keys in database 2: .*--db 2:0/ }
  for (const words of [[], ['--dry-run'], ['--db=2']]) t.match(await start([...words, `redis://${address}`, cluster]), refused, words.join(' '))
  t.match(await start(['--db=0', `redis://${address}`, cluster]), { status: 0, out: /written +1/ })
  t.match(await start(['--db=2:0', '--prefix-to=two:', '--verify=full', `redis://${address}/2`, cluster]), { status: 0, out: /written +1.*no difference/s })
  t.match(await start([cluster, `redis-cluster://${nodes[1].address}`]), { status: 2, err: /nothing was copied:\nsame-server: redis-cluster:.* and redis-cluster:.* are the same: .* --prefix-to\n/ }, 'a cluster by another of its nodes')
  const file = path.join(folder, 'two.rdb')
  t.match(await start([`redis://${address}`, `rdb:${file}`]), { status: 0 })
  t.match(await start(['--dry-run', `rdb:${file}`, cluster]), { status: 8, out: /identical +1.*unsupported +1.*map database 2 to it/s })
})

t.test('databases of a server that another server does not have', { skip: noRedis }, async (t) => {
  const [from, to] = [await running(t, 'redis'), await running(t, 'redis', { config: { databases: 3 } })]
  await from.client.pipeline([['SET', 'a', '0'], ['SELECT', 2], ['SET', 'a', '2'], ['SELECT', 3], ['SET', 'b', '3'], ['SELECT', 9], ['SET', 'c', '9']])
  await to.client.call('ACL', 'SETUSER', 'default', '-config')
  const ends = [`redis://${from.address}`, `redis://${to.address}`]
  const lacks = (db: number): string => `databases: redis://[\\d.:]+ has no database ${db}: ERR DB index is out of range; raise its directive 'databases', or map that database to another with --db`
  for (const words of [[], ['--dry-run']]) t.match(await start([...words, ...ends]), { status: 2, err: new RegExp(`nothing was copied:\n${lacks(9)}\n${lacks(3)}\n`) }, words.join())
  t.match(await start(['--db=2', '--db=3:4', ...ends]), { status: 2, err: new RegExp(`nothing was copied:\n${lacks(4)}\n`) })
  t.equal(await to.client.text('DBSIZE'), ':0', 'no lock either')
  t.match(await start(['--db=0', '--db=2', '--db=9:1', ...ends]), { status: 0, out: /written +3/ })
})

t.test('a source whose user may not ask for everything', { skip: noRedis }, async (t) => {
  const { client, address } = await running(t, 'redis')
  await client.call('SET', 'a', 'text')
  await client.call('SET', 'b', 'text', 'PX', 100_000)
  await client.call('RPUSH', 'c', 'x')
  const as = async (...rules: string[]): Promise<Store> => {
    await client.call('ACL', 'SETUSER', 'ferry', 'reset', 'on', '>secret', '+@all', ...rules)
    return opened(t, { address, username: 'ferry', password: 'secret' }, 'read')
  }
  const missing = async (store: Store): Promise<string[]> => ((await store.preflight?.('read')) ?? []).flatMap(({ code, level, message }) => (code === 'permission-missing' ? [`${level} ${message}`] : []))
  const blind = await as('~*', '-pexpiretime', '-time')
  t.match(await missing(blind), [/^error .* refuses TIME: NOPERM.*let the user run it \(or PEXPIRETIME instead of PTTL and TIME\)$/])
  await t.rejects(blind.read(await listed(blind)), { name: 'StoreError', fault: 'denied', message: /'ferry'.*NOPERM.*time/ }, 'no key is taken for one that has expired')
  t.match(await blind.read([{ db: 0, key: Buffer.from('c') }]), [{ form: 'dump', expiresAtMs: undefined }])
  t.match(await missing(await as('~*', '-pexpiretime', '-pttl')), [/^error .* refuses PTTL: /])
  const expiry = Number((await client.text('PEXPIRETIME', 'b')).slice(1))
  const whole: (readonly string[])[] = [['~*', '-pttl', '-time'], ['~*', '-pexpiretime'], ['~b*', '-pttl', '-time']]
  for (const rules of whole) {
    const store = await as(...rules)
    t.same(await missing(store), [], rules.join(' '))
    const [found] = await store.read([{ db: 0, key: Buffer.from('b') }])
    t.ok(found !== undefined && 'value' in found && Math.abs((found.expiresAtMs ?? 0) - expiry) < 50, rules.join(' '))
  }
})

t.test('a target that takes no more', { skip: noRedis }, async (t) => {
  const to = await running(t, 'redis', { config: { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' } })
  const target = await opened(t, { address: to.address }, 'write')
  t.match(await target.preflight?.('write'), [{ code: 'server-version', message: /Redis 7\.0/ }, { code: 'target-memory', level: 'info' }, { code: 'eviction-policy', level: 'warning', message: /allkeys-lru/ }])
  await to.client.pipeline([['SET', 'there', '1'], ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'], ['CONFIG', 'SET', 'maxmemory', '500kb']])
  t.match(await target.preflight?.('write'), [{ code: 'server-version' }, { code: 'target-not-empty', level: 'info', message: /has 1 key already/ }, { code: 'target-memory', level: 'error' }])
  const entry: Entry = { db: 0, key: Buffer.from('k'), form: 'raw', value: Buffer.from('v'), expiresAtMs: undefined }
  await t.rejects(target.write([entry], 'error'), { fault: 'refused', message: /takes no more keys: OOM.*give it more memory/ })
  await to.client.pipeline([['CONFIG', 'SET', 'maxmemory', '0'], ['REPLICAOF', '127.0.0.1', await freePort()]])
  t.match((await target.preflight?.('write'))?.find(({ level }) => level === 'error'), { code: 'target-is-replica' })
  await t.rejects(target.write([entry], 'error'), { fault: 'refused', message: /READONLY.*name its primary/ })
})

t.test('options and URLs', async (t) => {
  const create = async (options: StoreOptions): Promise<Store> => (await backendOfType('redis')).create(options)
  for (const [options, message] of [
    [{ address: 'host:99999' }, /option 'address' .* 'host:99999'; it must be host:port/], [{ db: 'x' }, /option 'db'/], [{ timeout: '0' }, /option 'timeout'.*500ms/],
    [{ tls: 'yes' }, /option 'tls'.*true or false/], [{ password_file: '/no/such/file' }, /option 'password_file' .*names a file/], [{ address: 'a:1,b:2' }, /names 2/],
    [{ chunk_bytes: '10' }, /'chunk_bytes'/],
  ] as const) await t.rejects(create(options), { fault: 'usage', message })
  const urlOf = async (url: string): Promise<StoreOptions> => (await backendOfUrl(url)).fromUrl(url)
  t.same(await urlOf('redis://'), { address: '127.0.0.1:6379' })
  t.same(await urlOf('redis://:p%40ss@[::1]:7000/3?timeout=5s'), { address: '[::1]:7000', password: 'p@ss', db: '3', timeout: '5s' })
  t.same(await urlOf('valkeys://user:pw@host'), { address: 'host', username: 'user', password: 'pw', tls: 'true' })
  await t.rejects(urlOf('redis://u:secret@host/0?nonsense=1'), { fault: 'usage', message: /^(?!.*secret).*nonsense/ })
  await t.rejects(urlOf('redis://u:sec%ret@host'), { fault: 'usage', message: /^(?!.*sec).*%/ })
  t.equal((await create({ address: '[::1]:7000', db: '3' })).label, 'redis://[::1]:7000/3')
})

t.test('a cluster', { skip: noPeers }, async (t) => {
  const from = await running(t, 'redis')
  await fill(from.client, 1500)
  await from.client.pipeline([['SELECT', 1], ['FLUSHDB'], ['SELECT', 5], ['FLUSHDB'], ['SELECT', 0], ['MSET', ...Array.from({ length: 3000 }, (_, i) => [`key${i}`, i]).flat()]])
  const before = await contents(from.client)
  const keys = Object.keys(before).length
  const nodes = await startCluster('valkey', 3)
  t.teardown(() => stopCluster(nodes))
  const source = await opened(t, { address: from.address }, 'read')
  const cluster = await opened(t, { address: nodes[1].address, chunk_bytes: '4000', scan_count: '50' }, 'write', 'redis-cluster')
  t.equal(await cluster.count?.(), 0)
  t.same((await cluster.preflight?.('write'))?.map(({ code }) => code), ['server-version', 'server-version', 'server-version'])
  t.same(await copyAll(source, cluster, 'error', 500), { written: keys })
  t.equal(await cluster.count?.(), keys)
  t.match((await Promise.all(nodes.map(({ client }) => client.text('DBSIZE')))).join(), /^:\d{3,},:\d{3,},:\d{3,}$/, 'every node has some')
  t.same(await copyAll(source, cluster, 'skip', 500), { exists: keys })

  const back = async (message: string): Promise<void> => {
    const to = await running(t, 'redis')
    const target = await opened(t, { address: to.address }, 'write')
    const reader = await opened(t, { address: nodes.map(({ address }) => address).join(',') }, 'read', 'redis-cluster')
    const counts = await copyAll(reader, target, 'replace', 500)
    t.ok((counts['written'] ?? 0) >= keys, message)
    sameContents(t, await contents(to.client), before, message)
  }
  await back('there and back')

  // A slot is open: half of its keys are at one node, half at the other, and those asked for are told to ask there.
  const slot = slotOfKey('key7')
  const owner = nodes.findIndex((_, i) => slot < Math.floor((16384 * (i + 1)) / 3))
  const [giver, taker] = [nodes[owner], nodes[(owner + 1) % 3]]
  await taker.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', giver.id)
  await giver.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', taker.id)
  t.equal(await giver.client.text('MIGRATE', '127.0.0.1', taker.peer.port, 'key7', 0, 1000), '+OK')
  t.match((await cluster.preflight?.('write'))?.[0], { code: 'cluster-slots-moving', level: 'warning' })
  const ref: KeyRef = { db: 0, key: Buffer.from('key7') }
  const [asked] = (await cluster.read([ref])) as Entry[]
  t.ok(asked, 'read where it was sent to')
  t.same(await cluster.write([asked], 'skip'), ['exists'])
  t.same(await cluster.write([asked], 'replace'), ['written'])
  await cluster.remove([ref])
  t.same(await cluster.read([ref]), [undefined])
  t.same(await cluster.write([asked], 'error'), ['written'])
  await back('while a slot is open')
  for (const { client } of [taker, giver]) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', taker.id)
  t.same(await cluster.write([asked], 'skip'), ['exists'], 'MOVED is followed')
  await back('after the slot has moved')
  await t.rejects(opened(t, { address: nodes[0].address }, 'read'), { fault: 'usage', message: /redis-cluster/ })
  await t.rejects(opened(t, { address: from.address }, 'read', 'redis-cluster'), { fault: 'usage', message: /is no cluster.*type redis/ })
  await t.rejects(cluster.write([{ ...asked, db: 3 }], 'error'), { fault: 'usage', message: /database 0 alone/ })
})

t.test('a cluster whose slots move and whose nodes die while it is copied', { skip: noRedis }, async (t) => {
  const nodes = await startCluster('redis', 3)
  const replica = await startNode('redis')
  nodes.push(replica)
  t.teardown(() => stopCluster(nodes))
  await meet(replica, nodes[0])
  await until(async () => (await replica.client.text('CLUSTER', 'REPLICATE', nodes[0].id)) === '+OK')
  const cluster = await opened(t, { address: nodes[1].address, scan_count: '20' }, 'write', 'redis-cluster')
  const entries = Array.from({ length: 2000 }, (_, i): Entry => ({ db: 0, key: Buffer.from(`key${i}`), form: 'raw', value: Buffer.from(`value${i}`), expiresAtMs: undefined }))
  t.same([...new Set(await cluster.write(entries.slice(0, 1000), 'error'))], ['written'])

  // All slots of the third node go to the second while keys are listed and written.
  const [, taker, giver] = nodes
  const moving = (async () => {
    for (let slot = 16383; slot >= 16383 - 200; slot--) {
      await taker.client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', giver.id)
      await giver.client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', taker.id)
      const there = (await giver.client.send(['CLUSTER', 'GETKEYSINSLOT', slot, 1000])).reply
      const names = there.type === 'array' ? there.items.flatMap((item) => (item.type === 'bulk' ? [item.bytes] : [])) : []
      if (names.length > 0) await giver.client.call('MIGRATE', '127.0.0.1', taker.peer.port, '', 0, 1000, 'KEYS', ...names)
      for (const { client } of [taker, giver]) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', taker.id)
    }
  })()
  const seen = new Set<string>()
  for (let i = 1000; i < 1500; i += 50) t.same([...new Set(await cluster.write(entries.slice(i, i + 50), 'error'))], ['written'])
  for (const { key } of await listed(cluster)) seen.add(key.toString())
  await moving
  t.equal(seen.size, 1500, 'every key is listed')
  t.same(await cluster.doubts?.(), [], 'slots that were moved have lost nothing')

  // The first node dies; its replica takes over.
  await until(async () => (await nodes[0].client.text('WAIT', 1, 100)) === ':1')
  await nodes[0].peer.kill()
  const writing = cluster.write(entries.slice(1500), 'error')
  const reading = cluster.read(entries)
  await until(async () => (await replica.client.text('CLUSTER', 'FAILOVER', 'TAKEOVER')) === '+OK')
  t.same([...new Set(await writing)], ['written'])
  t.equal((await reading).slice(0, 1500).filter((entry) => entry !== undefined).length, 1500)
  t.equal((await cluster.read(entries)).filter((entry) => entry !== undefined).length, 2000)
  t.equal(new Set((await listed(cluster)).map(({ key }) => key.toString())).size, 2000)
  t.match(await cluster.doubts?.(), [new RegExp(`^redis-cluster:.* \\(node ${nodes[0].address}\\) was written to, and a replica stands in for it now`)])
})

t.test('a replica of a cluster that takes over without the last writes', { skip: noRedis }, async (t) => {
  const nodes = await startCluster('redis', 3)
  const replica = await startNode('redis')
  nodes.push(replica)
  t.teardown(() => stopCluster(nodes))
  await nodes[0].client.call('CONFIG', 'SET', 'repl-diskless-sync-delay', 0)
  await meet(replica, nodes[0])
  await until(async () => (await replica.client.text('CLUSTER', 'REPLICATE', nodes[0].id)) === '+OK')
  await until(async () => (await replica.client.text('INFO', 'replication')).includes('master_link_status:up'))
  await until(async () => (await Promise.all(nodes.map(({ client }) => client.text('CLUSTER', 'INFO')))).every((info) => /cluster_slots_assigned:16384[^]*cluster_known_nodes:4/.test(info)))
  const from = await running(t, 'redis')
  await from.client.pipeline(Array.from({ length: 1500 }, (_, i) => ['SET', `key${i}`, i]))
  const ends = [`redis://${from.address}`, `redis-cluster://${nodes[1].address}`]
  // It hears nothing any more of what its primary is told.
  let takenOver: Promise<void> | undefined
  const ended = await start(['-log-level=debug', '--rate=500', '--batch=20', ...ends], (child) => child.stderr?.on('data', (chunk: Buffer) => {
    if (chunk.includes('key: path=')) takenOver ??= (async () => {
      await nodes[0].client.call('ACL', 'SETUSER', 'default', '-psync', '-sync')
      await nodes[0].client.call('CLIENT', 'KILL', 'TYPE', 'replica')
      await new Promise((done) => { setTimeout(done, 500) })
      await nodes[0].peer.kill()
      await until(async () => (await replica.client.text('CLUSTER', 'FAILOVER', 'TAKEOVER')) === '+OK')
    })()
  }))
  await takenOver
  t.match(ended, { status: 0, err: new RegExp(`\\[WARN\\] +redis-cluster:.* \\(node ${nodes[0].address}\\) was written to, and a replica .*: see with --verify full .*--repair`) })
  const there = await Promise.all(nodes.slice(1).map(({ client }) => client.text('DBSIZE')))
  t.ok(there.reduce((sum, reply) => sum + Number(reply.slice(1)), 0) < 1500, 'it has lost some')
  t.match(await start(['--repair', '--verify=full', ...ends]), { status: 0, out: /no difference/ })
})

/** Hears replies and writes them down. */
class Notes implements ReplyReceiver {
  readonly heard: string[] = []
  readonly kept: { bytes: Buffer; text: string }[] = []
  line(kind: number, buf: Buffer, start: number, end: number): void { this.heard.push(`${String.fromCharCode(kind)}${buf.latin1Slice(start, end)}`) }
  bulk(buf: Buffer, start: number, end: number): void {
    const text = buf.latin1Slice(start, end)
    this.heard.push(text.length > 100 ? `${text.length} ${text.slice(0, 20)}` : `$${text}`)
    this.kept.push({ bytes: buf.subarray(start, end), text })
  }
  nil(): void { this.heard.push('nil') }
  array(count: number): void { this.heard.push(`*${count}`) }
  replyEnd(): boolean { this.heard.push('.'); return true }
}

t.test('replies in any pieces', (t) => {
  const seed = new Random().int32()
  const random = new Random(seed)
  const reply = (depth: number): string => {
    switch (random.below(depth > 3 ? 6 : 8)) {
      case 0: return '+OK\r\n'
      case 1: return `-ERR ${'x'.repeat(random.below(300))}\r\n`
      case 2: return `:${random.below(1000) - 500}\r\n`
      case 3: return random.below(2) === 0 ? '$-1\r\n' : '*-1\r\n'
      case 4: {
        const length = random.below(10) === 0 ? random.below(400_000) : random.below(40)
        return `$${length}\r\n${'b\r\n$'.repeat(length).slice(0, length)}\r\n`
      }
      case 5: return '$0\r\n\r\n'
      default: {
        const items = Array.from({ length: random.below(5) }, () => reply(depth + 1))
        return `*${items.length}\r\n${items.join('')}`
      }
    }
  }
  for (let round = 0; round < 20; round++) {
    const bytes = Buffer.from(Array.from({ length: 60 }, () => reply(0)).join(''), 'latin1')
    const whole = new Notes()
    t.equal(new ReplyReader().feed(bytes, bytes.length, whole), undefined)
    const split = new Notes()
    const reader = new ReplyReader()
    for (let at = 0; at < bytes.length; ) {
      const chunk = bytes.subarray(at, at + 1 + random.below(random.below(3) === 0 ? 3 : 65536))
      if (reader.feed(Buffer.from(chunk), chunk.length, split) !== undefined) break
      at += chunk.length
    }
    if (split.heard.join() !== whole.heard.join()) t.same(split.heard, whole.heard, `seed ${seed}, round ${round}`)
    t.ok([...whole.kept, ...split.kept].every(({ bytes: kept, text }) => kept.latin1Slice() === text), 'what was handed out is never written again')
  }
  for (const bad of ['HTTP/1.1', '$x\r\n', '$-2\r\n', '$99999999999999\r\n', '*99999999\r\n', '*-5\r\n', '+OK\rX', '$1\r\nabc\r\n', '*1\r\n'.repeat(9), `+${'x'.repeat(70_000)}`, '%1\r\n']) {
    const bytes = Buffer.from(bad)
    t.type(new ReplyReader().feed(bytes, bytes.length, new Notes()), 'string', bad.slice(0, 20))
  }
  const before = process.memoryUsage().arrayBuffers
  const reader = new ReplyReader()
  const promise = Buffer.from('$4000000000\r\nabc')
  t.equal(reader.feed(promise, promise.length, new Notes()), undefined)
  t.ok(process.memoryUsage().arrayBuffers - before < 100_000_000, 'what is only announced takes no memory')
  t.end()
})

t.test('encrypted', { skip: noRedis || (existsSync('/usr/bin/openssl') ? false : 'openssl is not installed') }, async (t) => {
  const file = (name: string): string => path.join(folder, name)
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('key.pem'), '-out', file('cert.pem'), '-days', '2', '-subj', '/CN=keyferry.test', '-addext', 'subjectAltName=DNS:keyferry.test'], { stdio: 'ignore' })
  const tlsPort = await freePort()
  const to = await running(t, 'redis', { config: { 'tls-port': tlsPort, 'tls-cert-file': file('cert.pem'), 'tls-key-file': file('key.pem'), 'tls-ca-cert-file': file('cert.pem'), 'tls-auth-clients': 'no' } })
  const address = `127.0.0.1:${tlsPort}`
  const store = await opened(t, { address, tls: 'true', tls_ca_file: file('cert.pem'), tls_server_name: 'keyferry.test' }, 'write')
  const entries = Array.from({ length: 300 }, (_, i): Entry => ({ db: 0, key: Buffer.from(`k${i}`), form: 'raw', value: Buffer.alloc(10_000, i), expiresAtMs: undefined }))
  t.same([...new Set(await store.write(entries, 'error'))], ['written'])
  t.equal(await to.client.text('DBSIZE'), ':300')
  t.equal((await readAll(store, entries)).filter((entry) => entry !== undefined && !(entry instanceof EntryError)).length, 300)
  await t.rejects(opened(t, { address, tls: 'true' }, 'write'), { fault: 'denied', message: /no encrypted connection to .*certificate.*tls options/ })
  await opened(t, { address, tls: 'true', tls_skip_verify: 'true' }, 'write')
  await t.rejects(opened(t, { address: to.address, tls: 'true', timeout: '1s' }, 'write'), { name: 'StoreError', message: /nothing moved for 1000 ms, as where no TLS is spoken/ }, 'a server that does not speak TLS')
})

t.test('a database that gets its first expiry while it is read', { skip: noRedis }, async (t) => {
  const from = await running(t, 'redis')
  await from.client.call('MSET', 'a', 1, 'b', 2)
  const source = await opened(t, { address: from.address }, 'read')
  const refs = ['a', 'b', 'missing'].map((key): KeyRef => ({ db: 0, key: Buffer.from(key) }))
  const expiries = async (): Promise<unknown[]> => (await readAll(source, refs)).map((entry) => entry !== undefined && 'value' in entry && entry.expiresAtMs)
  t.same(await expiries(), [undefined, undefined, false])
  t.notMatch(await from.client.text('INFO', 'commandstats'), /pexpiretime:calls=[2-9]/, 'nobody is asked when none expires')
  await from.client.call('PEXPIREAT', 'b', 4_000_000_000_000)
  t.same(await expiries(), [undefined, 4_000_000_000_000, false])
  await from.client.call('PERSIST', 'b')
  t.same(await expiries(), [undefined, undefined, false])
})

t.test('large values are asked for a few at once, and keys that are not ours to touch', { skip: noRedis }, async (t) => {
  const from = await running(t, 'redis')
  await from.client.call('MSET', ...Array.from({ length: 120 }, (_, i) => [`big${i}`, randomBytes(500_000)]).flat())
  await from.client.call('ACL', 'SETUSER', 'limited', 'on', '>pw', '~big1*', '+@all')
  const source = await opened(t, { address: from.address }, 'read')
  const refs = Array.from({ length: 120 }, (_, i): KeyRef => ({ db: 0, key: Buffer.from(`big${i}`) }))
  await readAll(source, refs.slice(0, 3))
  await from.client.call('CONFIG', 'RESETSTAT')
  const entries = await readAll(source, refs)
  t.equal(entries.filter((entry) => entry !== undefined && 'value' in entry && entry.value.length > 500_000).length, 120)
  const limited = await opened(t, { address: from.address, username: 'limited', password: 'pw' }, 'write')
  const [mine, theirs] = await limited.read([refs[10], refs[20]])
  t.ok(mine !== undefined && 'value' in mine)
  t.match(theirs, { name: 'EntryError', code: 'refused', message: /NOPERM/ })
  t.same((await limited.write([{ ...(entries[10] as Entry) }, { ...(entries[20] as Entry) }], 'replace')).map((outcome) => (outcome instanceof EntryError ? outcome.code : outcome)), ['written', 'refused'])
})

t.test('strings travel as strings, among other types, and arrive whatever the servers let us do', { skip: noRedis }, async (t) => {
  const seed = new Random().int32()
  const random = new Random(seed)
  const from = await running(t, 'redis')
  const to = await running(t, 'redis')
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.below(256)))
  const envelope = Buffer.from([0xc1, 0xff, 0x00, 0x6b, 0x66, 1, 0x80])
  const commands: Word[][] = Array.from({ length: 1500 }, (_, i): Word[] => {
    if (random.below(5) === 0) return ['HSET', `key:${i}`, 'field', bytes(random.below(20))]
    return ['SET', `key:${i}`, [Buffer.from(String(random.below(1e9))), bytes(random.below(100)), bytes(2000), Buffer.alloc(0), envelope][random.below(5)]]
  })
  for (const { reply } of await from.client.pipeline(commands)) if (reply.type === 'error') throw new Error(reply.text)
  const before = await contents(from.client)
  const used = async (server: { client: RespClient }, command: string): Promise<number> => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await server.client.text('INFO', 'commandstats'))?.[1] ?? 0)
  const allowed: [what: string, reads: string[], writes: string[]][] = [
    ['everything', [], []], ['no MSETNX', [], ['-msetnx']], ['no SET', [], ['-set', '-msetnx']], ['no MGET', ['-mget'], []], ['no INFO', ['-info'], []],
  ]
  for (const [what, reads, writes] of allowed) {
    await to.client.call('FLUSHALL')
    for (const [{ client }, rules] of [[from, reads], [to, writes]] as const) {
      await client.call('ACL', 'SETUSER', 'ferry', 'reset', 'on', '>secret', '~*', '+@all', ...rules)
      await client.call('CONFIG', 'RESETSTAT')
    }
    const source = await opened(t, { address: from.address, db: '0', username: 'ferry', password: 'secret' }, 'read')
    const target = await opened(t, { address: to.address, username: 'ferry', password: 'secret' }, 'write')
    t.same(await copyAll(source, target), { written: 1500 }, what)
    sameContents(t, await contents(to.client), before, `${what}, seed ${seed}`)
    t.equal(await used(from, 'mget') > 1, reads.length === 0, `MGET: ${what}`)
    t.same([await used(to, 'msetnx') > 0, await used(to, 'set') > 0], [what === 'everything', what === 'no MSETNX' || what === 'everything'], `MSETNX and SET: ${what}`)
    // Again: nothing is overwritten, and what differs is told apart from what does not.
    await to.client.pipeline([['SET', 'key:1499', 'another'], ['DEL', 'key:1498'], ['DEL', 'key:0'], ['RPUSH', 'key:0', 'a list']])
    t.same(await copyAll(source, target), { exists: 1499, written: 1 }, `${what}: error`)
    t.equal(await to.client.text('GET', 'key:1499'), '"another"')
    t.same(await copyAll(source, target, 'replace'), { written: 1500 }, `${what}: replace`)
    sameContents(t, await contents(to.client), before, `${what}, replaced, seed ${seed}`)
    await Promise.all([source.close(), target.close()])
  }
})
