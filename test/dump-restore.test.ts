/**
 * DUMP and RESTORE over the socket, beside a real valkey with its deep checks on: every payload that we have, good, old,
 * handmade or corrupt, is restored into both, and both say and hold the same afterwards. Then the options of RESTORE, and
 * large payloads that are kept as they came.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import t from 'tap'
import { show, type RespClient, type Word } from './client.js'
import { LocalServer } from './local-server.js'
import { skipWithout, startPeer } from './peers.js'
import { tables } from './replies.js'

t.setTimeout(120_000)

interface Vector {
  server: string
  type: string
  name: string
  rdbType: number
  config?: Record<string, string>
  unordered?: boolean
  stable: boolean
  payload?: string
}

interface Handmade {
  group: string
  name: string
  type: number
  payload: string
  results: Record<string, { crash?: string } | string>
}

function load(name: string): unknown {
  const file = fileURLToPath(new URL(`../../test/vectors/${name}.json.br`, import.meta.url))
  return JSON.parse(brotliDecompressSync(readFileSync(file)).toString()) as unknown
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

/** Both servers, with the same settings. */
async function both(t: import('tap').Test): Promise<[RespClient, RespClient]> {
  const config = { 'sanitize-dump-payload': 'yes', 'enable-debug-command': 'yes' }
  const clients: RespClient[] = []
  for (const name of ['keyferry', 'valkey'] as const) {
    const peer = await startPeer(name, { config })
    const client = await peer.client()
    clients.push(client)
    t.teardown(async () => {
      client.close()
      await peer.stop()
    })
  }
  return [clients[0], clients[1]]
}

/** Sends the same to both and gives the replies as text, bytes as hex. */
async function ask(clients: readonly RespClient[], commands: readonly Word[][]): Promise<string[][]> {
  return Promise.all(clients.map(async (client) =>
    (await client.pipeline(commands)).map(({ reply }) => (reply.type === 'bulk' ? reply.bytes.toString('hex') : show(reply)))))
}

const settings = (config: Record<string, string>): Word[][] => Object.entries(config).map(([name, value]) => ['CONFIG', 'SET', name, value])

t.test('every payload of every server, beside valkey', { skip: skipWithout('valkey') }, async (t) => {
  const clients = await both(t)
  const wrong: string[] = []
  let dumped = 0
  // Valkey keeps inner nodes of such a list compressed, and writes them so whatever rdbcompression says.
  const vectors = (load('payloads') as Vector[]).filter((vector) => vector.payload !== undefined && vector.name !== 'list_compress_depth_1_nocomp')
  for (const vector of vectors) {
    const payload = hex(vector.payload as string)
    if (vector.config !== undefined) await ask(clients, settings(vector.config))
    await ask(clients, [['DEL', 'k']])
    const [ours, theirs] = await ask(clients, [
      ['RESTORE', 'k', 0, payload], ['DUMP', 'k'], ['OBJECT', 'ENCODING', 'k'], ['DEBUG', 'DIGEST-VALUE', 'k'], ['TYPE', 'k'],
    ])
    // The order of a hash table is the server's own.
    const upTo = vector.unordered === true || vector.rdbType === 2 || vector.rdbType === 4 ? [0, 2, 3, 4] : [0, 1, 2, 3, 4]
    if (upTo.length === 5) dumped++
    for (const i of upTo) if (ours[i] !== theirs[i]) wrong.push(`${vector.server} ${vector.name} [${i}]: ${ours[i].slice(0, 200)} instead of ${theirs[i].slice(0, 200)}`)
    if (vector.config !== undefined) {
      const defaults: Record<string, string> = {}
      for (const name of Object.keys(vector.config)) defaults[name] = DEFAULTS[name] ?? ''
      await ask(clients, settings(defaults))
    }
  }
  t.comment(`${vectors.length} payloads, ${dumped} dumps compared byte for byte`)
  t.same(wrong.slice(0, 20), [])
})

/** Defaults of the directives that the vectors change. */
const DEFAULTS: Record<string, string> = {
  rdbcompression: 'yes', 'list-max-listpack-size': '-2', 'list-compress-depth': '0', 'hash-max-listpack-entries': '512',
  'hash-max-listpack-value': '64', 'set-max-intset-entries': '512', 'set-max-listpack-entries': '128', 'set-max-listpack-value': '64',
  'zset-max-listpack-entries': '128', 'zset-max-listpack-value': '64', 'stream-node-max-bytes': '4096', 'stream-node-max-entries': '100',
  'maxmemory-policy': 'noeviction',
}

/** Payloads that end Valkey 8: ours must refuse them. */
const ends = (one: Handmade): boolean => typeof one.results['valkey8'] !== 'string' && one.results['valkey8'].crash !== undefined

/** Valkey 8.0 ends with a failed assertion when it is asked for the digest of these. */
const NO_DIGEST = new Set(['stream21_bad pel_time_negative'])

t.test('handmade payloads and footers, beside valkey', { skip: skipWithout('valkey') }, async (t) => {
  const clients = await both(t)
  const { handmade, footers } = load('restore') as { handmade: Handmade[]; footers: Record<string, { payload: string }> }
  const fatal = handmade.filter(ends)
  for (const one of fatal) t.equal(await clients[0].text('RESTORE', 'k', 0, hex(one.payload)), '-ERR Bad data format', `${one.name} ends Valkey`)
  const all = [...handmade.filter((one) => !ends(one)).map((one) => [`${one.group} ${one.name}`, one.payload] as const),
    ...Object.entries(footers).map(([name, { payload }]) => [name, payload] as const)]
  const wrong: string[] = []
  for (const [name, payload] of all) {
    const [ours, theirs] = await ask(clients, [
      ['SET', 'k', 'old'], ['RESTORE', 'k', 0, hex(payload)], ['RESTORE', 'k', 0, hex(payload), 'REPLACE'], ['TYPE', 'k'], ['OBJECT', 'ENCODING', 'k'],
      NO_DIGEST.has(name) ? ['EXISTS', 'k'] : ['DEBUG', 'DIGEST-VALUE', 'k'],
    ])
    const unlike = ours.findIndex((reply, i) => reply !== theirs[i])
    if (unlike >= 0) wrong.push(`${name} [${unlike}]: ${ours[unlike]} instead of ${theirs[unlike]}`)
    if (ours[2].startsWith('-') && ours[3] !== '+string') wrong.push(`${name}: refused, but the old key is gone`)
  }
  t.comment(`${all.length} payloads`)
  t.same(wrong.slice(0, 30), [])
})

t.test('the options of RESTORE', async (t) => {
  const check = await tables(t)
  const valid = await validPayload()
  const future = Date.now() + 1_000_000
  await check('errors, in their order', [
    ['RESTORE k 0', "-ERR wrong number of arguments for 'restore' command"],
    ['RESTORE k 0', valid, '+OK'],
    ['RESTORE k 0', valid, '-BUSYKEY Target key name already exists.'],
    ['RESTORE k x', 'garbage', '-BUSYKEY Target key name already exists.'],
    ['RESTORE k x', 'garbage', 'NONSENSE', '-ERR syntax error'],
    ['RESTORE k x', 'garbage', 'REPLACE', '-ERR value is not an integer or out of range'],
    ['RESTORE k -1', 'garbage', 'REPLACE', '-ERR Invalid TTL value, must be >= 0'],
    ['RESTORE k 0', 'garbage', 'REPLACE', '-ERR DUMP payload version or checksum are wrong'],
    ['RESTORE k 0', '', 'REPLACE', '-ERR DUMP payload version or checksum are wrong'],
    ['GET k', '"v"'],
    ['RESTORE n 0', valid, 'IDLETIME', '-ERR syntax error'],
    ['RESTORE n 0', valid, 'IDLETIME', 'x', '-ERR value is not an integer or out of range'],
    ['RESTORE n 0', valid, 'IDLETIME', '-1', '-ERR Invalid IDLETIME value, must be >= 0'],
    ['RESTORE n 0', valid, 'FREQ', '256', '-ERR Invalid FREQ value, must be >= 0 and <= 255'],
    ['RESTORE n 0', valid, 'FREQ', '-1', '-ERR Invalid FREQ value, must be >= 0 and <= 255'],
    ['RESTORE n 0', valid, 'FREQ', '1', 'IDLETIME', '1', '-ERR syntax error'],
    ['RESTORE n 0', valid, 'IDLETIME', '1', 'FREQ', '1', '-ERR syntax error'],
    ['RESTORE n 0', valid, 'replace', 'absttl', 'REPLACE', 'idletime', '5', 'IDLETIME', '6', '+OK'],
    ['RESTORE-ASKING a 0', valid, '+OK'],
    ['DUMP none', 'nil'],
    ['DUMP a b', "-ERR wrong number of arguments for 'dump' command"],
  ])
  await check('times to live', [
    ['RESTORE a 5000', valid, '+OK'], ['PTTL a', /^:(4\d\d\d|5000)$/],
    ['RESTORE b', 3_000_000_000, valid, '+OK'], ['PTTL b', /^:(2999999\d\d\d|3000000000)$/],
    ['RESTORE c', future, valid, 'ABSTTL', '+OK'], ['PEXPIRETIME c', `:${future}`],
    ['RESTORE d 1', valid, 'ABSTTL', '+OK'], ['EXISTS d', ':0'],
    ['RESTORE c 1', valid, 'ABSTTL', 'REPLACE', '+OK'], ['EXISTS c', ':0'],
    ['RESTORE f 9223372036854775808', valid, '-ERR value is not an integer or out of range'],
    ['SET g x PX 100000', '+OK'], ['RESTORE g 0', valid, 'REPLACE', '+OK'], ['TTL g', ':-1'],
  ])
  // Beyond the end of time Redis 7.0 stores nothing; what Valkey does there is up to its compiler.
  await check('overflow', [['RESTORE e 9223372036854775807', valid, '+OK'], ['EXISTS e', ':0']], { only: ['keyferry'] })
  await check('LRU', [
    ['RESTORE a 0', valid, 'IDLETIME', 1000, '+OK'], ['OBJECT IDLETIME a', /^:100[01]$/],
    ['RESTORE b 0', valid, 'FREQ', 100, '+OK'], ['OBJECT IDLETIME b', /^:[01]$/],
  ])
  await check('LFU', [
    ['RESTORE a 0', valid, 'FREQ', 100, '+OK'], ['OBJECT FREQ a', /^:(99|100)$/],
    ['RESTORE b 0', valid, 'IDLETIME', 1000, '+OK'], ['OBJECT FREQ b', /^:\d$/],
  ], { config: { 'maxmemory-policy': 'allkeys-lfu' } })
  await check('blocked and watching', [
    ['SET w x', '+OK'], ['WATCH w', '+OK'], ['RESTORE w 0', valid, 'REPLACE', '+OK'], ['MULTI', '+OK'], ['GET w', '+QUEUED'], ['EXEC', 'nil-array'],
    ['MULTI', '+OK'], ['RESTORE m 0', valid, '+QUEUED'], ['DUMP m', '+QUEUED'], ['EXEC', /^\[\+OK, "\\x00\\x01v/],
  ])
  await check('RESP3', [['DUMP none', 'null']], { resp: 3 })
})

/** The payload of the string 'v'. */
async function validPayload(): Promise<Buffer> {
  const server = await LocalServer.start()
  const client = await server.client()
  await client.call('SET', 'k', 'v')
  const dump = await client.call('DUMP', 'k')
  client.close()
  await server.stop()
  return dump.type === 'bulk' ? dump.bytes : Buffer.alloc(0)
}

t.test('large payloads', async (t) => {
  const server = await LocalServer.start()
  const client = await server.client()
  const other = await server.client()
  t.teardown(async () => {
    client.close()
    other.close()
    await server.stop()
  })
  const range = (count: number, item: (i: number) => Word[]): Word[] => Array.from({ length: count }, (_, i) => item(i)).flat()
  await client.pipeline([
    ['HSET', 'hash', ...range(12_000, (i) => [`field:${i}`, `value:${i}`])], ['SADD', 'set', ...range(12_000, (i) => [`member:${i}`])],
    ['ZADD', 'zset', ...range(12_000, (i) => [i / 3, `member:${i}`])], ['RPUSH', 'list', ...range(5_000, (i) => [`element:${i}`])],
    ['SET', 'string', Buffer.alloc(200_000, 'x')],
  ])
  for (const name of ['hash', 'set', 'zset', 'list', 'string']) {
    const dump = await client.call('DUMP', name)
    if (dump.type !== 'bulk') throw new Error(name)
    const content = server.content(name)
    const restoring = client.text('RESTORE', 'copy', 0, dump.bytes)
    t.equal(await other.text('PING'), '+PONG')
    t.equal(await restoring, '+OK', name)
    t.equal(server.content('copy'), content, 'the same content')
    const again = await client.call('DUMP', 'copy')
    t.ok(again.type === 'bulk' && again.bytes.equals(dump.bytes), 'dumped again alike')
    t.same(await Promise.all([client.text('TYPE', 'copy'), client.text('OBJECT', 'ENCODING', 'copy')]),
      await Promise.all([client.text('TYPE', name), client.text('OBJECT', 'ENCODING', name)]))
    t.equal(await client.text('COPY', 'copy', 'second'), ':1')
    t.equal(await client.text('RENAME', 'copy', 'third'), '+OK')
    t.equal(await client.text('EXPIRE', 'third', 1000), ':1')
    const reads: Record<string, Word[]> = {
      hash: ['HGET', 'third', 'field:11111'], set: ['SISMEMBER', 'third', 'member:11111'], zset: ['ZSCORE', 'third', 'member:11111'],
      list: ['LINDEX', 'third', 1234], string: ['GETRANGE', 'third', 0, 1],
    }
    t.equal(await client.text(...reads[name]), await client.text(...reads[name].map((word) => (word === 'third' ? name : word))))
    const writes: Record<string, Word[]> = {
      hash: ['HSET', 'third', 'new', 'v'], set: ['SADD', 'third', 'new'], zset: ['ZADD', 'third', 1, 'new'], list: ['RPUSH', 'third', 'new'],
      string: ['SETRANGE', 'third', 0, 'new'],
    }
    await client.call(...writes[name])
    t.not(server.content('third'), content)
    t.equal(server.content('second'), content, 'a copy is not touched by it')
    t.equal(server.content(name), content)
    await client.call('DEL', 'second', 'third')
  }
})

t.test('a large RESTORE meets other commands', async (t) => {
  const server = await LocalServer.start()
  const target = await LocalServer.start()
  const [client, other, third] = await Promise.all([server.client(), server.client(), server.client()])
  t.teardown(async () => {
    for (const c of [client, other, third]) c.close()
    await Promise.all([server.stop(), target.stop()])
  })
  const pairs = Array.from({ length: 25_000 }, (_, i) => [`field:${i}`, `value:${i}`]).flat()
  await client.call('HSET', 'hash', ...pairs)
  const dump = await client.call('DUMP', 'hash')
  if (dump.type !== 'bulk') throw new Error('no payload')
  // Another client creates the key meanwhile: the check of RESTORE is made again when it stores.
  const restoring = client.text('RESTORE', 'k', 0, dump.bytes)
  const reply = await Promise.race([restoring, new Promise<string>((done) => setTimeout(() => done('checking'), 1))])
  const created = await other.text('SET', 'k', 'mine')
  const outcome = await restoring
  t.ok((outcome === '+OK' && created === '+OK') || outcome === '-BUSYKEY Target key name already exists.', `${reply}, ${outcome}`)
  // The old value is moved away while the new one is being checked.
  for (let i = 0; i < 5; i++) {
    await client.call('SET', 'k', `old${i}`)
    await target.client().then(async (c) => { await c.call('FLUSHALL'); c.close(); })
    const [restored, moved] = await Promise.all([
      client.text('RESTORE', 'k', 0, dump.bytes, 'REPLACE'), other.text('MIGRATE', '127.0.0.1', target.port, 'k', 0, 1000),
    ])
    t.equal(moved, '+OK')
    const here = server.content('k')
    const there = target.content('k')
    const hash = server.content('hash')
    t.ok(there !== undefined, 'what was moved is there')
    if (restored === '+OK') t.ok(here === hash || there === hash, 'the restored value is here, or moved')
    t.equal(server.server.engine.holds.size, 0)
  }
})
