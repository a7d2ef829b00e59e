/**
 * The engine and the sockets around it: the order in which a command is refused, transactions and watches, clients that
 * do not read, limits, listening anew, and that a server which is closed lets its process end.
 */
import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createServer, type KeyferryServer } from '../src/index.js'
import { ConnectionClosed, encodeCommand, RespClient, show, type Word } from './client.js'
import { freePort, rssBytes, skipWithout, startPeer, type Peer, type PeerOptions } from './peers.js'

const noPeers = skipWithout('valkey') || skipWithout('keyferry')

async function pair(t: Test, options: PeerOptions = {}): Promise<[Peer, Peer]> {
  const peers = await Promise.all((['keyferry', 'valkey'] as const).map(async (name) => {
    const peer = await startPeer(name, options)
    t.teardown(() => peer.stop())
    return peer
  }))
  return [peers[0], peers[1]]
}

type Line = string | readonly Word[]

const wordsOf = (line: Line): readonly Word[] => (typeof line === 'string' ? line.split(' ') : line)

/** A script over several clients: `b: GET k` is sent by client b. Runs it on both servers and compares every reply. */
async function same(t: Test, peers: readonly Peer[], title: string, script: readonly Line[]): Promise<void> {
  const transcripts = await Promise.all(peers.map(async (peer) => {
    const clients = new Map<string, RespClient>()
    const said: string[] = []
    const admin = await peer.client()
    await admin.call('FLUSHALL')
    for (const line of script) {
      const words = [...wordsOf(line)]
      let who = 'a'
      if (typeof words[0] === 'string' && /^[a-z]:$/.test(words[0])) who = (words.shift() as string)[0]
      let client = clients.get(who)
      if (client === undefined) clients.set(who, (client = await peer.client()))
      if (words[0] === 'SLEEP') await new Promise((next) => setTimeout(next, Number(words[1])))
      else said.push(`${who}: ${words.map((word) => String(word).slice(0, 60)).join(' ')} -> ${(await client.text(...words)).replace(/"id"(:|,) :\d+/g, '"id"')}`)
    }
    for (const client of [...clients.values(), admin]) client.close()
    return said
  }))
  t.same(transcripts[0], transcripts[1], title)
}

t.test('who is refused, in which order and words', { skip: noPeers }, async (t) => {
  const peers = await pair(t, { args: ['--enable-debug-command', 'yes'] })
  const long = 'L'.repeat(200)
  await same(t, peers, 'unknown commands', [
    'nosuch', 'nosuch a b c', ['nosuch', long, long], [long, 'a'], ['no\x00such', 'a\x00b', 'c'], [Buffer.from([0xff, 0xfe, 13, 10]), Buffer.from([10, 0xff])],
    ['x', ...Array.from({ length: 60 }, (_, i) => `arg${i}`)], ['x', '', '', ''], ['', 'a'], ['x', 'a'.repeat(127), 'b'], ['x', 'a'.repeat(123), 'b', 'c'],
    'config nosuch', 'CONFIG', 'config nosuch a b', ['config', long], ['CoNfIg', 'ge\x00t'], 'object nosuch', 'client', 'client nosuch a', 'get', 'get a b', 'GeT', 'config get', 'object encoding', 'config|get a',
    'set a', 'exec a', 'multi a', 'watch', 'discard x',
  ])
  await same(t, peers, 'refused inside MULTI', [
    'MULTI', 'nosuch', 'EXEC', 'MULTI', 'GET', 'SET a 1', 'EXEC', 'EXISTS a', 'MULTI', 'EXEC a', 'EXEC', 'MULTI', 'DISCARD a', 'EXEC', 'MULTI', 'MULTI', 'SET a 1', 'EXEC', 'GET a',
    'MULTI', 'WATCH a', 'INCR a', 'EXEC', 'MULTI', 'CONFIG nosuch', 'EXEC', 'EXEC', 'DISCARD', 'MULTI', 'DISCARD', 'MULTI', 'EXEC', 'MULTI', 'UNWATCH', 'EXEC', 'MULTI', 'SET a x', 'INCR a', 'LPUSH a 1', 'GET a', 'EXEC', 'GET a',
    'MULTI', 'SELECT 1', 'SET b 1', 'EXEC', 'GET b', 'SELECT 0', 'GET b', 'MULTI', 'RESET', 'EXEC', 'MULTI', 'PING', 'EXEC', 'MULTI', 'SET', 'DISCARD', 'MULTI', 'PING', 'EXEC',
  ])
  await same(t, peers, 'MULTI in RESP3', ['HELLO 3 SETNAME x', 'WATCH k', 'b: SET k 1', 'MULTI', 'GET k', 'EXEC', 'MULTI', 'HELLO 2', 'GET none', 'HELLO 3', 'GET none', 'EXEC', 'GET none'].filter((line) => !line.startsWith('HELLO 3 S')))
})

t.test('WATCH', { skip: noPeers }, async (t) => {
  const peers = await pair(t, { args: ['--enable-debug-command', 'yes'] })
  const attempt = ['MULTI', 'PING', 'EXEC']
  await same(t, peers, 'changed or not', [
    'WATCH k', 'SET k 1', ...attempt, 'WATCH k', 'b: SET k 2', ...attempt, 'WATCH k', 'b: GET k', ...attempt, 'WATCH k', 'b: SET k 2', 'UNWATCH', ...attempt,
    'WATCH k', 'b: DEL none', ...attempt, 'WATCH none', 'b: DEL none', ...attempt, 'WATCH k', 'b: DEL k', ...attempt, 'WATCH k', 'b: SET k 1', 'b: DEL k', ...attempt,
    'SET k v', 'WATCH k', 'b: EXPIRE k 100', ...attempt, 'WATCH k', 'b: PERSIST k', ...attempt, 'WATCH k', 'b: RENAME k l', ...attempt, 'WATCH k l', 'b: RENAME l k', ...attempt,
    'WATCH k', 'b: SELECT 1', 'b: SET k other', ...attempt, 'WATCH k', 'SELECT 1', 'b: SET k 3', ...attempt, 'SELECT 0', 'WATCH k', 'b: SELECT 0', 'b: MULTI', 'b: SET k 9', ...attempt, 'WATCH k', 'b: EXEC', ...attempt,
    'WATCH k', 'b: SADD s 1', 'WATCH s', 'b: SADD s 1', ...attempt, 'WATCH s', 'b: SREM s 2', ...attempt, 'WATCH k', 'MULTI', 'DISCARD', 'b: SET k 4', ...attempt, 'WATCH k k k', 'b: SET k 4', ...attempt, ...attempt,
  ])
  await same(t, peers, 'FLUSHALL, FLUSHDB, SWAPDB', [
    'WATCH k', 'b: FLUSHALL', ...attempt, 'SET k 1', 'WATCH k', 'b: FLUSHALL', ...attempt, 'SET k 1', 'WATCH k', 'b: FLUSHDB', ...attempt, 'WATCH k', 'b: SWAPDB 0 1', ...attempt,
    'SET k 1', 'WATCH k', 'b: SWAPDB 0 1', ...attempt, 'WATCH k', 'b: SWAPDB 0 1', ...attempt, 'SELECT 1', 'SET k 2', 'WATCH k', 'b: SWAPDB 0 1', ...attempt, 'WATCH none', 'b: SWAPDB 0 1', ...attempt, 'WATCH k', 'b: SWAPDB 3 4', ...attempt, 'SELECT 0', 'b: SELECT 1', 'WATCH k', 'b: FLUSHDB', ...attempt,
  ])
  await same(t, peers, 'keys whose time has come', [
    'DEBUG SET-ACTIVE-EXPIRE 0', 'SET k v PX 1', 'SLEEP 5', 'WATCH k', ...attempt, 'WATCH k', 'b: GET k', ...attempt, 'SET k v PX 1', 'SLEEP 5', 'WATCH k', 'b: GET k', 'b: SET k v', ...attempt,
    'SET k v PX 30', 'WATCH k', 'SLEEP 50', ...attempt, 'SET k v PX 30', 'WATCH k', 'SLEEP 50', 'b: GET k', ...attempt, 'SET k v PX 1', 'SLEEP 5', 'WATCH k', 'b: FLUSHALL', ...attempt,
    'SET k v PX 1', 'SLEEP 5', 'WATCH k', 'b: SWAPDB 0 1', ...attempt, 'SELECT 1', 'WATCH k', 'b: SWAPDB 0 1', ...attempt, 'SELECT 0', 'SET k v', 'WATCH k', 'b: SELECT 1', 'b: SET k v PX 1', 'SLEEP 5', 'b: SWAPDB 0 1', ...attempt,
    'DEBUG SET-ACTIVE-EXPIRE 1', 'SET k v PX 20', 'WATCH k', 'SLEEP 150', ...attempt,
  ])
})

t.test('CLIENT REPLY', { skip: noPeers }, async (t) => {
  const peers = await pair(t)
  const scripts: readonly (readonly string[])[] = [
    ['CLIENT REPLY OFF', 'SET a 1', 'nosuch', 'GET', 'CLIENT REPLY ON', 'GET a'],
    ['CLIENT REPLY SKIP', 'GET a', 'GET a'], ['CLIENT REPLY SKIP', 'nosuch', 'PING'], ['CLIENT REPLY SKIP', 'CLIENT REPLY SKIP', 'PING', 'PING'],
    ['CLIENT REPLY OFF', 'CLIENT REPLY SKIP', 'PING', 'PING', 'CLIENT REPLY ON', 'PING'], ['MULTI', 'PING', 'CLIENT REPLY SKIP', 'EXEC', 'PING'],
    ['MULTI', 'PING', 'PING', 'EXEC', 'CLIENT REPLY SKIP', 'EXEC', 'PING'], ['CLIENT REPLY SKIP', 'MULTI', 'PING', 'EXEC', 'PING'],
    ['MULTI', 'INCR x', 'CLIENT REPLY SKIP', 'INCR x', 'EXEC', 'INCR x', 'INCR x'], ['CLIENT REPLY NO', 'CLIENT REPLY'],
  ]
  for (const script of scripts) {
    const said = await Promise.all(peers.map(async (peer) => {
      const client = await peer.client()
      await client.call('FLUSHALL')
      // All in one packet, with a word at the end that no script says.
      client.close()
      return raw(peer.port, Buffer.concat([...script, 'ECHO end'].map((line) => encodeCommand(line.split(' ')))), 'end')
    }))
    t.same(said[0], said[1], script.join('; '))
  }
})

/** What a server says to these bytes, up to the last word of it: a skipped reply may make it no RESP at all. */
async function raw(port: number, bytes: Buffer, last: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  let text = ''
  await new Promise<void>((done) => {
    const timer = setTimeout(done, 3000)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.latin1Slice()
      if (!text.includes(last)) return
      clearTimeout(timer)
      done()
    })
    socket.write(bytes)
  })
  socket.destroy()
  return text
}

t.test('short memory', { skip: noPeers }, async (t) => {
  const peers = await pair(t)
  await same(t, peers, 'noeviction', [
    'SET a 1', 'CONFIG SET maxmemory 1', 'SET a 2', 'GET a', 'DEL a', 'MULTI', 'SET a 2', 'EXEC', 'MULTI', 'GET a', 'EXEC', 'INCR n', 'LPUSH l 1', 'SADD s 1', 'HSET h f v', 'ZADD z 1 m', 'EXPIRE a 1', 'XADD x * f v',
    'CONFIG SET maxmemory 0', 'MULTI', 'SET a 2', 'GET a', 'b: CONFIG SET maxmemory 1', 'EXEC', 'GET a', 'b: CONFIG SET maxmemory 0', 'MULTI', 'GET a', 'b: CONFIG SET maxmemory 1', 'EXEC', 'WATCH a', 'MULTI', 'EXEC', 'nosuch', 'SET',
    'CONFIG SET maxmemory 0', 'SET a 3',
  ])
  await same(t, peers, 'a policy with nothing to evict', ['CONFIG SET maxmemory-policy volatile-lru', 'SET a 1', 'CONFIG SET maxmemory 1', 'SET a 2', 'GET a', 'CONFIG SET maxmemory 0', 'CONFIG SET maxmemory-policy noeviction'])
})

t.test('eviction', { skip: skipWithout('keyferry') }, async (t) => {
  for (const policy of ['allkeys-lru', 'allkeys-random', 'volatile-ttl']) {
    const server = await startPeer('keyferry')
    t.teardown(() => server.stop())
    const client = await server.client()
    await client.call('SET', 'stays', 'x')
    const used = Number(/used_memory:(\d+)/.exec(await infoText(client))?.[1])
    await client.call('CONFIG', 'SET', 'maxmemory-policy', policy, 'maxmemory', used + 20_000_000)
    const value = 'x'.repeat(10_000)
    let failed = 0
    for (let i = 0; i < 6; i++) {
      const replies = await client.pipeline(Array.from({ length: 1000 }, (_, j) => ['SET', `k${i}-${j}`, value, 'EX', '1000']))
      failed += replies.filter(({ reply }) => reply.type === 'error').length
    }
    let size = Infinity
    // A turn evicts for so long at most, and goes on in the next ones.
    for (const end = Date.now() + 10_000; size >= 3500 && Date.now() < end;) size = Number((await client.text('DBSIZE')).slice(1))
    t.equal(failed, 0, `${policy}: 60 MB are accepted`)
    t.ok(size > 300 && size < 3500, `${policy}: ${size} of 6000 keys of 10 KB are left of 20 MB`)
    if (policy.startsWith('volatile')) t.equal(await client.text('GET', 'stays'), '"x"', `${policy}: a key without a time stays`)
    client.close()
  }
})

t.test('what has been deleted costs no keys', { skip: skipWithout('keyferry') }, async (t) => {
  const server = await startPeer('keyferry')
  t.teardown(() => server.stop())
  const client = await server.client()
  await client.pipeline(Array.from({ length: 1000 }, (_, i) => ['SET', `k${i}`, 'x'.repeat(1000)]))
  const used = Number(/used_memory:(\d+)/.exec(await infoText(client))?.[1])
  for (const key of ['a', 'b', 'c']) await client.call('SET', key, Buffer.alloc(40_000_000, key))
  await client.call('DEL', 'a', 'b', 'c')
  await client.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru', 'maxmemory', used + 10_000_000)
  // Longer than the server remembers its readings of before.
  for (let i = 0; i < 30; i++) {
    t.equal(await client.text('SET', `k${i}`, 'y'.repeat(1000)), '+OK')
    await new Promise((resolve) => setTimeout(resolve, 40))
  }
  t.equal(await client.text('DBSIZE'), ':1000')
  t.match(await infoText(client), /evicted_keys:0\r/)
  client.close()
})

async function infoText(client: RespClient): Promise<string> {
  const reply = await client.call('INFO')
  return reply.type === 'bulk' ? reply.bytes.toString('latin1') : ''
}

t.test('the reply comes in order, whoever waits', async (t) => {
  await using(t, {}, async (server) => {
    const client = await RespClient.connect(server.port)
    const other = await RespClient.connect(server.port)
    await client.call('SET', 'k', 'v')
    await client.call('CLIENT', 'PAUSE', '60')
    const replies = client.pipeline([['GET', 'k'], ['APPEND', 'k', 'w'], ['ECHO', 'x'.repeat(100_000)], ['GET', 'k']])
    await new Promise((next) => setTimeout(next, 20))
    const late = client.pipeline([['ECHO', 'late'], ['ECHO', 'y'.repeat(200_000)]])
    const others = other.text('GET', 'k')
    t.same((await replies).map(({ reply }) => show(reply).slice(0, 6)), ['"v"', ':2', '"xxxxx', '"vw"'])
    t.same((await late).map(({ reply }) => show(reply).length), [6, 200_002])
    t.match(await others, /^"vw?"$/)
    // A target that never answers: MIGRATE is under way, and what came behind it keeps its place.
    const mute = net.createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const port = (mute.address() as net.AddressInfo).port
    const migrate = client.pipeline([['ECHO', 'first'], ['MIGRATE', '127.0.0.1', port, 'k', 0, 150], ['ECHO', 'behind'], ['GET', 'none'], ['GET', 'k']])
    t.equal(await other.text('ECHO', 'meanwhile'), '"meanwhile"')
    t.same((await migrate).map(({ reply }) => show(reply).slice(0, 8)), ['"first"', '-IOERR e', '"behind"', 'nil', '"vw"'])
    client.close()
    other.close()
    mute.close()
  })
})

async function using(t: Test, config: Record<string, string>, work: (server: KeyferryServer) => Promise<void>): Promise<void> {
  const server = await createServer({ config })
  try {
    await work(server)
  } finally {
    await server.close()
  }
  t.pass('closed')
}

t.test('a client that does not read', { skip: skipWithout('keyferry') }, async (t) => {
  const server = await startPeer('keyferry')
  t.teardown(() => server.stop())
  const client = await server.client()
  const value = 'v'.repeat(1_000_000)
  await client.call('SET', 'big', value)
  const before = rssBytes(server.pid)
  const deaf = net.connect(server.port, '127.0.0.1')
  deaf.pause()
  deaf.write(Buffer.concat(Array.from({ length: 400 }, () => encodeCommand(['GET', 'big']))))
  let worst = 0
  for (let i = 0; i < 30; i++) {
    const start = performance.now()
    t.equal(await client.text('PING'), '+PONG')
    worst = Math.max(worst, performance.now() - start)
    await new Promise((next) => setTimeout(next, 5))
  }
  t.ok(rssBytes(server.pid) - before < 200e6, `400 MB of replies takes ${Math.round((rssBytes(server.pid) - before) / 1e6)} MB`)
  t.ok(worst < 2000, `others wait ${worst.toFixed(0)} ms at most`)
  // When it reads at last it gets every byte.
  let got = 0
  deaf.on('data', (chunk: Buffer) => { got += chunk.length })
  const whole = 400 * (value.length + 12)
  deaf.resume()
  for (let i = 0; i < 1000 && got < whole; i++) await new Promise((next) => setTimeout(next, 10))
  t.equal(got, whole)
  deaf.destroy()
  t.equal(await client.text('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 5mb 0 0'), '+OK')
  const limited = net.connect(server.port, '127.0.0.1')
  limited.pause()
  limited.on('error', () => undefined)
  limited.write(Buffer.concat(Array.from({ length: 100 }, () => encodeCommand(['GET', 'big']))))
  const gone = async (): Promise<boolean> => !(await client.text('CLIENT', 'LIST')).includes('cmd=get')
  for (let i = 0; i < 100 && !(await gone()); i++) await new Promise((next) => setTimeout(next, 10))
  t.ok(await gone(), 'over client-output-buffer-limit the connection goes')
  limited.destroy()
  client.close()
})

t.test('what a large value was held by is let go', { skip: skipWithout('keyferry') }, async (t) => {
  const server = await startPeer('keyferry', { args: ['--maxmemory-policy', 'allkeys-lru'] })
  t.teardown(() => server.stop())
  const [client, idle] = [await server.client(), await server.client()]
  for (let i = 0; i < 500; i++) await client.call('SET', `key:${i}`, 'value')
  const large = Buffer.alloc(20_000_000, 'v')
  const uses: Word[][] = [
    ['SET', 'a', large], ['GET', 'a'], ['APPEND', 'a', 'x'], ['DUMP', 'a'], ['HSET', 'h', 'f', large], ['HGETALL', 'h'], ['HRANDFIELD', 'h'],
    ['RPUSH', 'l', large], ['LINDEX', 'l', '0'], ['LPOP', 'l'], ['SADD', 's', large], ['SMEMBERS', 's'], ['ZADD', 'z', '1', large],
    ['ZRANGE', 'z', '0', '-1'], ['XADD', 'x', '*', 'f', large], ['XRANGE', 'x', '-', '+'],
  ]
  for (const [i, use] of uses.entries()) {
    await (i % 2 === 0 ? client : idle).call(...use)
    if (uses.at(i + 1)?.[1] !== use[1]) await client.call('DEL', String(use[1]))
  }
  // A Slice for each of many arguments, too.
  await idle.call('SADD', 'many', ...Array.from({ length: 50_000 }, (_, i) => String(i)))
  await client.call('DEL', 'many')
  const usedBytes = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await client.text('INFO', 'memory'))?.[1])
  // Over the limit it looks for garbage before it evicts a key; the least of eight readings, ten a second, counts.
  await client.call('CONFIG', 'SET', 'maxmemory', '64mb')
  for (let i = 0; i < 15; i++) {
    await client.call('SET', 'key:0', 'value')
    await new Promise((next) => setTimeout(next, 100))
  }
  t.ok((await usedBytes()) < 64e6, `${Math.round((await usedBytes()) / 1e6)} MB in use`)
  t.equal(await client.text('DBSIZE'), ':500', 'nothing had to be evicted')
  client.close()
  idle.close()
})

t.test('client-output-buffer-limit', { skip: noPeers }, async (t) => {
  for (const peer of await pair(t)) await t.test(peer.name, async (t) => {
    const client = await peer.client()
    await client.call('SET', 'big', 'v'.repeat(1_000_000))
    const deaf = (): net.Socket => {
      const socket = net.connect(peer.port, '127.0.0.1')
      socket.pause()
      socket.on('error', () => undefined)
      socket.write(Buffer.concat(Array.from({ length: 30 }, () => encodeCommand(['GET', 'big']))))
      t.teardown(() => socket.destroy())
      return socket
    }
    const isThere = async (): Promise<boolean> => (await client.text('CLIENT', 'LIST')).includes('cmd=get')
    const pauseMs = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms))
    t.equal(await client.text('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 5mb 1'), '+OK')
    const patient = deaf()
    await pauseMs(900)
    t.ok(await isThere(), 'over the soft limit, but not for long')
    for (let i = 0; i < 400 && (await isThere()); i++) await pauseMs(10)
    t.notOk(await isThere(), 'over the soft limit for its seconds')
    t.match(await client.text('INFO', 'stats'), /client_output_buffer_limit_disconnections:1\\r/)
    patient.destroy()
    t.equal(await client.text('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 5mb 0 0'), '+OK')
    deaf()
    for (let i = 0; i < 400 && !/disconnections:2/.test(await client.text('INFO', 'stats')); i++) await pauseMs(10)
    t.match(await client.text('INFO', 'stats'), /client_output_buffer_limit_disconnections:2\\r/)
    t.match(peer.output(), /Client id=\d+ addr=.* name=\*redacted\* .* cmd=get .* closed for overcoming of output buffer limits\./)
    client.close()
  })
})

t.test('limits of connections, ports, time', { skip: noPeers }, async (t) => {
  const peers = await pair(t)
  const said = await Promise.all(peers.map(async (peer) => {
    const client = await peer.client()
    const lines: string[] = [await client.text('CONFIG', 'SET', 'maxclients', '3')]
    const more = [await peer.client(), await peer.client()]
    for (const each of more) lines.push(await each.text('PING'))
    const refused = await peer.client()
    const { replies, closed } = await refused.rest(300)
    lines.push(...replies.map(({ reply }) => show(reply)), String(closed))
    more[0].close()
    await new Promise((next) => setTimeout(next, 50))
    const again = await peer.client()
    lines.push(await again.text('PING'))
    lines.push(await client.text('CONFIG', 'SET', 'maxclients', '100'))
    // Moving to another port: the old one is closed, those who are connected stay.
    const taken = net.createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    lines.push(await client.text('CONFIG', 'SET', 'port', (taken.address() as net.AddressInfo).port), await client.text('PING'))
    await (await peer.client()).text('PING')
    taken.close()
    lines.push(await client.text('CONFIG', 'SET', 'bind', '127.0.0.1 192.0.2.1'))
    lines.push(await client.text('CONFIG', 'SET', 'bind', '127.0.0.1 -192.0.2.1'))
    const port = await freePort()
    lines.push(await client.text('CONFIG', 'SET', 'port', port), await client.text('PING'))
    const moved = await RespClient.connect(port)
    lines.push(await moved.text('PING'))
    lines.push(await RespClient.connect(peer.port).then(() => 'open', (error: unknown) => String(error instanceof ConnectionClosed)))
    lines.push(await client.text('CONFIG', 'SET', 'port', peer.port), await (await peer.client()).text('PING'))
    lines.push(await client.text('CONFIG', 'SET', 'hz', '50'), await client.text('CONFIG', 'GET', 'hz'))
    lines.push(await client.text('CONFIG', 'SET', 'tls-port', await freePort()).then((text) => text.slice(0, 90)))
    // Half-closed: what was asked is answered.
    const half = net.connect(peer.port, '127.0.0.1')
    let text = ''
    half.on('data', (chunk: Buffer) => { text += chunk.toString() })
    half.end(Buffer.concat([encodeCommand(['PING']), encodeCommand(['ECHO', 'x'.repeat(300_000)])]))
    await once(half, 'end')
    lines.push(String(text.length))
    const idle = await peer.client()
    lines.push(await client.text('CONFIG', 'SET', 'timeout', '1'))
    const start = Date.now()
    // The one that asks stays, the one that is silent goes.
    let open = true
    void idle.closed.then(() => { open = false })
    while (open && Date.now() - start < 4000) {
      await client.text('PING')
      await new Promise((next) => setTimeout(next, 100))
    }
    lines.push(`idle ${open ? 'open' : 'closed'}`)
    for (const each of [client, moved, again, ...more]) each.close()
    return lines
  }))
  t.same(said[0], said[1])
})

t.test('maxclients and the port at the start', { skip: noPeers }, async (t) => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const port = (taken.address() as net.AddressInfo).port
  await t.rejects(createServer({ port }), /EADDRINUSE/)
  await t.rejects(createServer({ config: { 'no-such-directive': 'x' } }), /no-such-directive/)
  await t.rejects(createServer({ config: { maxmemory: 'plenty' } }), /maxmemory.*plenty/)
  taken.close()
})

t.test('where a server of this process is', async (t) => {
  const port = await freePort()
  await t.rejects(createServer({ port, config: { unixsocket: '/nonexistent/socket' } }))
  const again = await createServer({ port })
  t.equal(again.url, `redis://127.0.0.1:${port}`, 'a start that failed holds no port')
  await again.close()
  const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-url-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const socket = path.join(folder, 'socket')
  const local = await createServer({ config: { unixsocket: socket } })
  t.same([local.port, local.url], [0, `unix://${socket}`])
  const client = await RespClient.connect(socket)
  t.equal(await client.text('PING'), '+PONG')
  client.close()
  await local.close()
  const ip6 = await createServer({ host: '::1' }).catch(() => undefined)
  if (ip6 !== undefined) t.equal(ip6.url, `redis://[::1]:${ip6.port}`)
  await ip6?.close()
})

t.test('rename-command and user lines', { skip: noPeers }, async (t) => {
  const configFile = 'rename-command SET put\nrename-command GET ""\nrename-command CONFIG b840fc\n'
  const peers = await pair(t, { configFile })
  await same(t, peers, 'renamed', ['SET a 1', 'put a 1', 'PUT a', 'GET a', 'b840fc GET port', 'b840fc NOSUCH', 'b840fc', 'CONFIG GET port', 'MULTI', 'put a 2', 'EXEC', 'APPEND a 3'].filter((line) => !line.includes('GET port') || line.startsWith('CONFIG')))
  for (const bad of ['rename-command NOSUCH x\n', 'rename-command SET get\n']) {
    const texts = await Promise.all((['keyferry', 'valkey'] as const).map((name) => startPeer(name, { configFile: bad }).then(
      async (peer) => { await peer.stop(); return 'started' }, (error: unknown) => /at line 1\n>>> '.*'\n.*/.exec(String(error))?.[0])))
    t.equal(texts[0], texts[1], bad.trim())
  }
  await t.rejects(startPeer('keyferry', { configFile: 'user alice on nopass\n' }), /at line 1\n>>> 'user alice on nopass'\nUsers are not supported/)
})

t.test('port 0 with a unix socket opens no port', { skip: skipWithout('keyferry') }, async (t) => {
  const folder = t.testdir({})
  const program = fileURLToPath(new URL('../src/cli/keyferry-server.js', import.meta.url))
  const socketPath = path.join(folder, 's.sock')
  const child = spawn(process.execPath, [program, '--port', '0', '--unixsocket', socketPath, '--unixsocketperm', '700', '--save', ''], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  for (let i = 0; i < 500 && !output.includes('Ready to accept'); i++) await new Promise((next) => setTimeout(next, 10))
  t.match(output, /Ready to accept connections unix/)
  t.notMatch(output, /connections tcp|redis:\/\//)
  const client = await RespClient.connect(socketPath)
  t.equal(await client.text('PING'), '+PONG')
  t.equal(tcpListeners(child.pid ?? 0), 0)
  client.close()
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
  t.notOk(existsSync(socketPath), 'the socket is gone')
})

/** Listening TCP sockets of a process (Linux). */
function tcpListeners(pid: number): number {
  const lines = readFileSync(`/proc/${pid}/net/tcp`, 'latin1').split('\n').filter((line) => / 0A /.test(line))
  const inodes = new Set(lines.map((line) => line.trim().split(/\s+/)[9]))
  let own = 0
  for (let fd = 0; fd < 64; fd++) {
    try {
      const link = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')
      const inode = /^ino:\s*(\d+)/m.exec(link)?.[1]
      if (inode !== undefined && inodes.has(inode)) own++
    } catch {
      // No such descriptor.
    }
  }
  return own
}

t.test('many connections come and go', async (t) => {
  await using(t, {}, async (server) => {
    const admin = await RespClient.connect(server.port)
    for (let round = 0; round < 3; round++) {
      const clients = await Promise.all(Array.from({ length: 500 }, () => RespClient.connect(server.port)))
      const replies = await Promise.all(clients.map((client, i) => client.pipeline([['WATCH', 'k'], ['MULTI'], ['SET', `k${i}`, 'x'.repeat(50)], i % 2 === 0 ? ['EXEC'] : ['PING']])))
      t.equal(replies.filter((each) => show(each[3].reply) === '[+OK]').length, 250)
      for (const [i, client] of clients.entries()) {
        if (i % 3 === 0) client.end()
        else client.close()
      }
      let left = ''
      for (let i = 0; i < 200 && left !== 'connected_clients:1'; i++) {
        await new Promise((next) => setTimeout(next, 10))
        left = /connected_clients:\d+/.exec(await infoText(admin))?.[0] ?? ''
      }
      t.equal(left, 'connected_clients:1')
    }
    t.match(await infoText(admin), /watching_clients:0\r\n|connected_clients:1/)
    admin.close()
  })
})

t.test('servers in one process are strangers, and a closed one lets the process end', async (t) => {
  const [a, b] = await Promise.all([createServer(), createServer()])
  const [ca, cb] = await Promise.all([RespClient.connect(a.port), RespClient.connect(b.port)])
  for (let i = 0; i < 200; i++) await ca.call('SET', `key${i}`, String(i))
  const c = await createServer()
  t.equal(await ca.text('GET', 'key150'), '"150"', 'another server does not change how keys are found')
  t.equal(await cb.text('DBSIZE'), ':0')
  await Promise.all([a.close(), c.close()])
  await ca.closed
  await t.rejects(RespClient.connect(a.port), /ECONNREFUSED/)
  t.equal(await cb.text('PING'), '+PONG')
  await b.close()
  const door = pathToFileURL(fileURLToPath(new URL('../src/index.js', import.meta.url))).href
  const script = `
    import net from 'node:net'
    const { createServer } = await import(process.argv[1])
    const server = await createServer()
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('SET k v EX 100\\r\\nMIGRATE 127.0.0.1 1 k 0 100\\r\\nCLIENT PAUSE 100000\\r\\nGET k\\r\\n')
    await new Promise((next) => socket.once('data', next))
    await server.close()
    await server.close()
    console.log('closed')`
  const start = performance.now()
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, door], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  const force = setTimeout(() => child.kill('SIGKILL'), 5000)
  const [code] = await once(child, 'exit') as [number | null]
  clearTimeout(force)
  t.equal(code, 0)
  t.equal(output, 'closed\n')
  t.ok(performance.now() - start < 4000)
})
