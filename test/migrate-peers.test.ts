/**
 * MIGRATE with the real servers: the same words give the same replies, and data of all types and encodings goes round
 * from one to the next and comes back as it was.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import t from 'tap'
import type { Test } from 'tap'
import { RespClient, show, type Word } from './client.js'
import { freePort, skipWithout, startPeer, type Peer, type PeerName, type PeerOptions } from './peers.js'

t.setTimeout(120_000)

const HOST = '127.0.0.1'
const noValkey = skipWithout('valkey')
const noPeers = skipWithout('redis') || noValkey

/** A server with a client; both end with the test. */
async function running(t: Test, name: PeerName, options: PeerOptions = {}): Promise<{ peer: Peer; port: number; client: RespClient }> {
  const peer = await startPeer(name, options)
  const client = await peer.client()
  t.teardown(async () => {
    client.close()
    await peer.stop()
  })
  return { peer, port: peer.port, client }
}

/**
 * Words of MIGRATE commands. RESET empties the target: valkey, refused by SELECT or AUTH, sends its keys all the same (D1,
 * D2). T is the target's port, D one where nobody listens, P one that asks for a password.
 */
const WORDS: readonly (readonly Word[])[] = [
  [], [HOST], [HOST, 'T', 'k', 0], [HOST, 'T', 'missing', 0, 100], [HOST, 'T', '', 0, 100], [HOST, 'T', '', 0, 100, 'KEYS'],
  ['no such host', 'D', 'missing', 0, 100], [HOST, 'T', 'k', 0, 'x'], [HOST, 'T', 'k', 'x', 100], [HOST, 'T', 'k', 'x', 'y'],
  [HOST, 'T', 'k', '1.5', 100], [HOST, 'T', 'k', 0, ''], [HOST, 'T', 'k', 0, '9223372036854775808'], [HOST, 'T', 'k', '-9223372036854775809', 1],
  [HOST, 'T', 'k', 0, 100, 'NONSENSE'], [HOST, 'T', 'k', 'x', 'y', 'NONSENSE'], [HOST, 'T', 'k', 0, 100, 'AUTH'],
  [HOST, 'T', 'k', 0, 100, 'AUTH2', 'u'], [HOST, 'T', 'k', 0, 100, 'COPY', 'AUTH2'], [HOST, 'T', 'k', 0, 100, 'KEYS', 'k'],
  [HOST, 'T', 'k', 'x', 'y', 'KEYS', 'k'], [HOST, 'T', 'missing', 0, 100, 'copy', 'RePlAcE', 'COPY'],
  [HOST, 'T', '', 0, 100, 'KEYS', 'missing', 'COPY', 'REPLACE'], [HOST, 'D', 'k', 0, 2000], ['no.such.host.invalid', 'T', 'k', 0, 1000],
  ['', 'T', 'k', 0, 2000], [HOST, 'notaport', 'k', 0, 2000], [HOST, 0, 'k', 0, 2000], [HOST, 'T', 'busy', 0, 1000],
  [HOST, 'T', 'k', 99, 1000], [HOST, 'T', 'k', 99, 1000, 'REPLACE'], [HOST, 'T', 'k', -5, 1000], [HOST, 'T', 'k', '9223372036854775807', 1000],
  [HOST, 'T', 'k', 0, 1000, 'AUTH', 'wrong'], [HOST, 'T', 'k', 0, 1000, 'AUTH2', 'nobody', 'wrong'],
  [HOST, 'P', 'k', 0, 1000], [HOST, 'P', 'k', 0, 1000, 'AUTH', 'wrong'], [HOST, 'P', 'k', 0, 1000, 'AUTH2', 'default', 'wrong'],
  [HOST, 'P', 'k', 0, 1000, 'COPY', 'AUTH', 'KEYS'], [HOST, 'P', 'k', 0, 1000, 'AUTH2', 'default', 'KEYS', 'COPY', 'REPLACE'],
  [HOST, 'P', 'k', 0, 1000, 'COPY', 'REPLACE', 'AUTH', 'wrong', 'AUTH', 'KEYS'],
  [HOST, 'P', 'k', 0, 1000, 'COPY', 'REPLACE', 'AUTH2', 'nobody', 'x', 'AUTH', 'KEYS'],
  ['RESET'], [HOST, 'T', 'k', 0, 3000, 'COPY'], [HOST, 'T', 'k', 0, 3000, 'COPY'], [HOST, 'T', 'k', 0, -1, 'COPY', 'REPLACE'], [HOST, 'T', 'k', 0, 0, 'COPY', 'REPLACE'],
  [HOST, 'T', '', 0, 1000, 'KEYS', 'h', 'missing', 'busy', 'COPY'], [HOST, 'T', '', 3, 1000, 'KEYS', 'h', 'missing', 'busy', 'COPY'],
  [HOST, 'T', '', 0, 1000, 'REPLACE', 'KEYS', 'h', 'missing', 'busy', 'COPY'], [HOST, 'T', 'k', 0, 1000, 'REPLACE'], [HOST, 'T', 'k', 0, 1000],
  [HOST, 'localhost', 'k', 0, 1000],
]

t.test('the same words, the same replies', { skip: noValkey }, async (t) => {
  const open = await running(t, 'valkey')
  const closed = await running(t, 'valkey', { config: { requirepass: 'KEYS' } })
  const dead = await freePort()
  const replies: Record<string, string[]> = {}
  const left: string[] = []
  await closed.client.call('AUTH', 'KEYS')
  for (const name of ['valkey', 'keyferry'] as const) {
    const { client } = await running(t, name)
    await open.client.call('FLUSHALL')
    await closed.client.call('FLUSHALL')
    await open.client.call('SET', 'busy', 'theirs')
    await client.pipeline([['SET', 'k', 'v'], ['HSET', 'h', 'f', 'v'], ['SET', 'busy', 'ours'], ['SET', 'COPY', '1']])
    replies[name] = []
    for (const words of WORDS) {
      if (words[0] === 'RESET') {
        await open.client.pipeline([['FLUSHALL'], ['SET', 'busy', 'theirs']])
        continue
      }
      const sent = words.map((word) => (word === 'T' ? open.port : word === 'P' ? closed.port : word === 'D' ? dead : word))
      replies[name].push(`${words.join(' ')} -> ${await client.text('MIGRATE', ...sent)}`)
    }
    left.push(show((await client.send(['MGET', 'k', 'busy', 'COPY'])).reply))
    const getKeys: readonly (readonly Word[])[] = [
      ['h', 1, 'k', 0, 1], ['h', 1, '', 0, 1, 'KEYS', 'a', 'b'], ['h', 1, '', 0, 1, 'AUTH', 'KEYS', 'KEYS', 'a'], ['h', 1, 'k', 0, 1, 'KEYS', 'a'],
      ['h', 1, '', 0, 1, 'COPY', 'keys'], ['h', 1], ['h', 1, '', 0, 1, 'AUTH2', 'KEYS', 'b', 'KEYS', 'c', 'd'],
    ]
    for (const words of getKeys) replies[name].push(`GETKEYS ${words.join(' ')} -> ${await client.text('COMMAND', 'GETKEYS', 'MIGRATE', ...words)}`)
    replies[name].push(await client.text('COMMAND', 'INFO', 'migrate'), await client.text('COMMAND', 'INFO', 'dump', 'restore', 'restore-asking'))
  }
  for (let i = 0; i < replies['valkey'].length; i++) t.equal(replies['keyferry'][i], replies['valkey'][i], replies['valkey'][i])
  t.equal(left[1], left[0], 'the same keys are left')
})

t.test('credentials', { skip: noValkey }, async (t) => {
  const closed = await running(t, 'valkey', { config: { requirepass: 'pässword' } })
  const { client } = await running(t, 'keyferry')
  await closed.client.call('AUTH', 'pässword')
  await closed.client.call('ACL', 'SETUSER', 'mover', 'on', '>s3cret', '~*', '+restore', '+select')
  await client.pipeline([['SET', 'a', '1'], ['SET', 'b', '2'], ['SET', 'c', '3']])
  t.equal(await client.text('MIGRATE', HOST, closed.port, 'a', 0, 1000, 'AUTH', 'pässword'), '+OK')
  t.match(await client.text('MIGRATE', HOST, closed.port, 'b', 0, 1000), /NOAUTH/, 'D4: the link of who gave a password is not shared')
  t.equal(await client.text('MIGRATE', HOST, closed.port, 'b', 0, 1000, 'AUTH2', 'mover', 's3cret'), '+OK')
  await closed.client.call('ACL', 'SETUSER', 'mover', '-restore')
  t.match(await client.text('MIGRATE', HOST, closed.port, 'c', 0, 1000, 'AUTH2', 'mover', 's3cret'), /^-ERR Target instance replied with error: NOPERM/)
  t.equal(await client.text('GET', 'c'), '"3"')
  t.equal(await closed.client.text('MGET', 'a', 'b'), '["1", "2"]')
  await client.call('CONFIG', 'SET', 'slowlog-log-slower-than', 0)
  const watching = await RespClient.connect((await client.text('CONFIG', 'GET', 'port')).match(/"(\d+)"\]/)?.[1] === undefined ? 0 : Number((await client.text('CONFIG', 'GET', 'port')).match(/"(\d+)"\]/)?.[1]))
  t.teardown(() => watching.close())
  t.equal(await watching.text('MONITOR'), '+OK')
  await client.text('MIGRATE', HOST, closed.port, 'c', 0, 1000, 'AUTH2', 'mover', 's3cret', 'KEYS')
  const shown = show((await watching.next()).reply) + (await client.text('SLOWLOG', 'GET', 20))
  t.match(shown, /\(redacted\)/)
  t.notMatch(shown, /s3cret|pässword|mover/, 'secrets are not shown')
})

t.test('refused for its size, refused at the door', { skip: noValkey }, async (t) => {
  const small = await running(t, 'valkey', { config: { 'proto-max-bulk-len': '1mb' } })
  const { client } = await running(t, 'keyferry')
  await client.pipeline([['SET', 'a', '1'], ['SET', 'big', Buffer.alloc(3_000_000, 1)], ['SET', 'c', '3']])
  const reply = await client.text('MIGRATE', HOST, small.port, '', 0, 2000, 'KEYS', 'a', 'big', 'c')
  t.match(reply, /^-(ERR Target instance replied with error: ERR Protocol error: invalid bulk length|IOERR error or timeout writing to target instance)$/, 'D6')
  t.equal(await client.text('EXISTS', 'a', 'big', 'c'), ':2', 'what was acknowledged is gone, the rest is here')
  t.equal(await small.client.text('EXISTS', 'a', 'big', 'c'), ':1')
  const full = await running(t, 'valkey', { config: { maxclients: 1 } })
  const refused = await client.text('MIGRATE', HOST, full.port, 'c', 0, 1000)
  t.equal(refused, '-ERR Target instance replied with error: ERR max number of clients reached', 'D7')
})

t.test('TLS', { skip: noValkey }, async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const encrypted = (name: string): Record<string, string> => {
    const [key, cert] = [path.join(folder, `${name}-key.pem`), path.join(folder, `${name}.pem`)]
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
      '-days', '2', '-subj', `/CN=${name}`], { stdio: 'ignore' })
    return { 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert, 'tls-cluster': 'yes' }
  }
  const tls = encrypted('ours')
  const ports = [await freePort(), await freePort(), await freePort()]
  const names = ['keyferry', 'valkey', 'keyferry'] as const
  const servers = []
  // One of them is the program that ships: in its one file, what is loaded late must be found as well.
  const program = fileURLToPath(new URL('../bin/keyferry-server.js', import.meta.url))
  for (let i = 0; i < 3; i++)
    servers.push(await running(t, names[i], { config: { ...tls, 'tls-port': ports[i] }, ...(i === 2 && { program }) }))
  const value = Buffer.alloc(300_000, 'tls')
  await servers[0].client.pipeline([['SET', 'k', 'v'], ['SET', 'big', value], ['HSET', 'h', 'f', 'v']])
  for (let i = 0; i < 3; i++) {
    const reply = await servers[i].client.text('MIGRATE', HOST, ports[(i + 1) % 3], '', 0, 2000, 'KEYS', 'k', 'big', 'h')
    t.equal(reply, '+OK', `from ${names[i]} to ${names[(i + 1) % 3]}`)
  }
  t.equal(await servers[0].client.text('HGET', 'h', 'f'), '"v"')
  t.equal(await servers[0].client.text('STRLEN', 'big'), ':300000')
  await servers[1].client.call('SET', 'other', 'v')
  t.equal(await servers[0].client.text('MIGRATE', HOST, servers[1].port, 'k', 0, 300),
    await servers[1].client.text('MIGRATE', HOST, servers[0].port, 'other', 0, 300), 'TLS to a plain port')
  const strangersPort = await freePort()
  await running(t, 'valkey', { config: { ...encrypted('strangers'), 'tls-auth-clients': 'no', 'tls-port': strangersPort } })
  for (const [what, port] of [['a certificate that is not trusted', strangersPort], ['nobody there', 1]] as const) {
    const [ours, theirs] = [await servers[0].client.text('MIGRATE', HOST, port, 'k', 0, 300), await servers[1].client.text('MIGRATE', HOST, port, 'other', 0, 300)]
    t.equal(ours, theirs, what)
  }
  await servers[0].client.call('CONFIG', 'SET', 'tls-cluster', 'no')
  t.equal(await servers[0].client.text('MIGRATE', HOST, ports[1], 'k', 0, 300), '-IOERR error or timeout reading to target instance', 'plain to a TLS port')
  t.equal(await servers[0].client.text('MIGRATE', HOST, servers[1].port, 'k', 0, 300), '+OK', 'plain to a plain port')
})

// ------------------------------------------------------------------------------------------------ round trip

interface Vector {
  server: string
  type: string
  name: string
  version: number
  config?: Record<string, string>
  payload?: string
}

function vectors(): Vector[] {
  const file = fileURLToPath(new URL('../../test/vectors/payloads.json.br', import.meta.url))
  return JSON.parse(brotliDecompressSync(readFileSync(file)).toString()) as Vector[]
}

/** Fills a server with every payload that redis 7.0 wrote, and with larger values; returns the keys. */
async function fill(client: RespClient): Promise<string[]> {
  const mine = vectors().filter((vector) => vector.server === 'redis7' && vector.payload !== undefined)
  const commands: Word[][] = mine.map((vector, i) => ['RESTORE', `${vector.type}:${i}`, i % 3 === 0 ? 1_000_000 + i : 0, Buffer.from(vector.payload as string, 'hex')])
  const range = (count: number, item: (i: number) => Word[]): Word[] => Array.from({ length: count }, (_, i) => item(i)).flat()
  commands.push(
    ['HSET', 'large:hash', ...range(6_000, (i) => [`field:${i}`, `value:${i * 7}`])], ['SADD', 'large:set', ...range(6_000, (i) => [`member:${i}`])],
    ['ZADD', 'large:zset', ...range(6_000, (i) => [Math.sin(i) * 1e6, `member:${i}`])], ['RPUSH', 'large:list', ...range(6_000, (i) => [`element ${i}`])],
    ['SADD', 'large:ints', ...range(6_000, (i) => [i * 1_000_003])], ['SET', 'large:string', Buffer.alloc(2_000_000, 'abcdefgh ')],
    ['RPUSH', 'large:plain', Buffer.alloc(100_000, 'p'), 'x', Buffer.alloc(20_000, 'q')], ['HSET', 'odd:\r\n $key', '', Buffer.from([0, 255, 13, 10])],
  )
  for (let i = 0; i < 400; i++) commands.push(['XADD', 'large:stream', `${i + 1}-1`, 'field', `value ${i}`, `extra${i % 7}`, i])
  commands.push(['XGROUP', 'CREATE', 'large:stream', 'g', '0'], ['XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 50, 'STREAMS', 'large:stream', '>'])
  const replies = await client.pipeline(commands)
  for (const { reply } of replies) if (reply.type === 'error') throw new Error(reply.text)
  const keys = await client.call('KEYS', '*')
  return keys.type === 'array' ? keys.items.map((item) => (item.type === 'bulk' ? item.bytes.toString('latin1') : '')).sort() : []
}

interface Shape {
  digests: string[]
  encodings: string[]
  ttls: number[]
}

async function shape(client: RespClient, keys: readonly string[]): Promise<Shape> {
  const names = keys.map((key) => Buffer.from(key, 'latin1'))
  const text = async (words: (name: Buffer) => Word[]): Promise<string[]> =>
    (await client.pipeline(names.map(words))).map(({ reply }) => show(reply))
  return {
    digests: await text((name) => ['DEBUG', 'DIGEST-VALUE', name]),
    encodings: await text((name) => ['OBJECT', 'ENCODING', name]),
    ttls: (await text((name) => ['PTTL', name])).map((reply) => Number(reply.slice(1))),
  }
}

t.test('round: redis 7.0, keyferry, valkey 8.0, keyferry, redis 7.0', { skip: noPeers }, async (t) => {
  const debug = { config: { 'enable-debug-command': 'yes' } }
  const stops = [await running(t, 'redis', debug), await running(t, 'keyferry', debug), await running(t, 'valkey', debug),
    await running(t, 'keyferry', debug), await running(t, 'redis', debug)]
  const keys = await fill(stops[0].client)
  const first = await shape(stops[0].client, keys)
  t.ok(keys.length > 300, `${keys.length} keys`)
  let before = performance.now()
  let then: Shape | undefined
  for (let i = 0; i + 1 < stops.length; i++) {
    const [from, to] = [stops[i], stops[i + 1]]
    for (let at = 0; at < keys.length; at += 100) {
      const names = keys.slice(at, at + 100).map((key) => Buffer.from(key, 'latin1'))
      const reply = await from.client.text('MIGRATE', HOST, to.port, '', 0, 10_000, 'KEYS', ...names)
      if (reply !== '+OK') t.fail(`${from.peer.name} to ${to.peer.name}, keys from ${at}: ${reply}`)
    }
    t.equal(await from.client.text('DBSIZE'), ':0', `${from.peer.name} is empty`)
    const now = await shape(to.client, keys)
    const took = performance.now() - before
    before = performance.now()
    const where = `after ${to.peer.name} (${i + 1})`
    then ??= now
    // 7.0 writes scores into its digests in another way.
    const same = to.peer.name === 'redis' ? first : then
    t.same(keys.filter((_, k) => now.digests[k] !== same.digests[k]), [], `equal content ${where}`)
    t.same(keys.filter((key, k) => !key.includes('zset') && now.digests[k] !== first.digests[k]), [], `equal to the first ${where}`)
    t.same(keys.filter((_, k) => (first.ttls[k] < 0 ? now.ttls[k] !== first.ttls[k] : now.ttls[k] > first.ttls[k] + 200 || now.ttls[k] < first.ttls[k] - 60_000)), [],
      `times to live ${where}, ${Math.round(took)} ms`)
    t.same(keys.filter((_, k) => now.encodings[k] !== same.encodings[k]).map((key) => key.slice(0, 40)), [], `encodings ${where}`)
  }
})

t.test('large values in pieces', { skip: noValkey }, async (t) => {
  const source = await running(t, 'keyferry')
  const target = await running(t, 'keyferry')
  const valkey = await running(t, 'valkey')
  const pairs = Array.from({ length: 50_000 }, (_, i) => [`field:${i}`, `value:${i}`]).flat()
  for (let at = 0; at < pairs.length; at += 20_000) await source.client.call('HSET', 'hash', ...pairs.slice(at, at + 20_000))
  await source.client.call('SET', 'string', Buffer.alloc(10_000_000, 'string '))
  const probe = await source.peer.client()
  const probeThere = await target.peer.client()
  t.teardown(() => { probe.close(); probeThere.close(); })
  let longest = 0
  let done = false
  const pinging = (async () => {
    while (!done)
      for (const client of [probe, probeThere]) {
        const begun = performance.now()
        await client.call('PING')
        longest = Math.max(longest, performance.now() - begun)
      }
  })()
  t.equal(await source.client.text('MIGRATE', HOST, target.port, '', 0, 5000, 'KEYS', 'hash', 'string'), '+OK')
  done = true
  await pinging
  t.comment(`longest PING meanwhile ${longest.toFixed(1)} ms`)
  t.ok(longest < 250, 'both servers answer meanwhile')
  t.equal(await target.client.text('HLEN', 'hash'), ':50000')
  t.equal(await target.client.text('MIGRATE', HOST, valkey.port, '', 0, 5000, 'KEYS', 'hash', 'string'), '+OK', 'a payload nobody looked into is sent on')
  t.equal(await valkey.client.text('HGET', 'hash', 'field:49999'), '"value:49999"')
  t.equal(await valkey.client.text('MIGRATE', HOST, source.port, '', 0, 5000, 'KEYS', 'hash', 'string'), '+OK')
  t.equal(await source.client.text('HGET', 'hash', 'field:37777'), '"value:37777"')
  t.equal(await source.client.text('STRLEN', 'string'), ':10000000')
})
