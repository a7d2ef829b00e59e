/**
 * The harness tested on itself and on the real servers: the reply reader at every split of its input, and tables.
 */
import t from 'tap'
import { ReplyReader, quote, show } from './client.js'
import { cpuMicros, peerInstalled, rssBytes, skipWithout, startPeer } from './peers.js'
import { tables, unordered, unorderedPairs } from './replies.js'

const EVERY_TYPE: readonly (readonly [string, string])[] = [
  ['+OK\r\n', '+OK'],
  ['-ERR no\r\n', '-ERR no'],
  [':-12\r\n', ':-12'],
  [':9223372036854775807\r\n', ':9223372036854775807'],
  ['$3\r\na\r\n\r\n', '"a\\r\\n"'],
  ['$0\r\n\r\n', '""'],
  ['$-1\r\n', 'nil'],
  ['*-1\r\n', 'nil-array'],
  ['_\r\n', 'null'],
  ['*0\r\n', '[]'],
  ['*2\r\n*1\r\n:1\r\n$1\r\nx\r\n', '[[:1], "x"]'],
  ['%1\r\n+a\r\n*0\r\n', '{+a: []}'],
  ['~2\r\n:1\r\n:2\r\n', '~[:1, :2]'],
  ['>1\r\n+x\r\n', '>[+x]'],
  [',1.5\r\n', ',1.5'],
  ['#t\r\n', '#t'],
  ['(123\r\n', '(123'],
  ['=5\r\ntxt:a\r\n', '="txt:a"'],
  ['!3\r\nERR\r\n', '!"ERR"'],
  ['|1\r\n+k\r\n:1\r\n:2\r\n', '|{+k: :1} :2'],
]

t.test('replies split at any byte', async (t) => {
  const bytes = Buffer.from(EVERY_TYPE.map(([raw]) => raw).join(''), 'latin1')
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new ReplyReader()
    const seen: [string, string][] = []
    for (let at = 0; at < bytes.length; at += size) {
      for (const { reply, raw } of reader.feed(bytes.subarray(at, at + size))) seen.push([raw.toString('latin1'), show(reply)])
    }
    t.same(seen, EVERY_TYPE, `chunks of ${size}`)
  }
  t.throws(() => new ReplyReader().feed(Buffer.from('HTTP/1.1\r\n')), /not RESP/)
  t.equal(quote(Buffer.from([0, 34, 92, 10, 255])), '"\\x00\\"\\\\\\n\\xff"')
})

t.test('a peer starts, counts its CPU time, and stops', { skip: skipWithout('valkey') }, async (t) => {
  const peer = await startPeer('valkey', { config: { maxmemory: '100mb' } })
  t.match(peer.version, /^\d+\.\d+/)
  const client = await peer.client()
  const before = cpuMicros(peer.pid)
  await client.pipeline(Array.from({ length: 2000 }, (_, i) => ['SET', `k${i}`, i]))
  t.ok(cpuMicros(peer.pid) > before)
  t.ok(rssBytes(peer.pid) > 1e6)
  t.equal(await client.text('CONFIG', 'GET', 'maxmemory'), '["maxmemory", "104857600"]')
  t.equal(await peer.stop(), 0)
  await client.closed
})

t.test('a port that is taken: another one, never the server that has it', { skip: skipWithout('valkey') }, async (t) => {
  const stranger = await startPeer('valkey')
  t.teardown(() => stranger.stop())
  for (const name of ['keyferry', 'valkey'] as const) {
    // A stranger that answers at once, and one that wants a password first.
    for (const password of ['', 'secret']) {
      const client = await stranger.client()
      await client.call('CONFIG', 'SET', 'requirepass', password)
      const peer = await startPeer(name, { port: stranger.port, config: { 'maxmemory': '100mb' } })
      t.not(peer.port, stranger.port, name)
      t.match(await (await peer.client()).text('INFO', 'server'), new RegExp(`process_id:${peer.pid}\\b`))
      await peer.stop()
      await client.call('CONFIG', 'SET', 'requirepass', '')
      client.close()
    }
  }
})

t.test('a lost connection tells what its server said last', { skip: skipWithout('valkey') }, async (t) => {
  const peer = await startPeer('valkey')
  t.teardown(() => peer.stop())
  const client = await peer.client()
  const reply = client.text('DEBUG', 'SLEEP', 10)
  const lost = t.rejects(client.next(), { message: new RegExp(`valkey-server ${peer.pid} on port ${peer.port}.*Ready to accept`, 's') })
  await reply.catch(() => undefined)
  await peer.kill()
  await lost
})

t.test('tables', { skip: peerInstalled('keyferry') ? false : 'the server is not built' }, async (t) => {
  const check = await tables(t)
  await check('replies of every kind', [
    ['SET a 1', '+OK'],
    ['GET a', '"1"'],
    ['GET none', 'nil'],
    ['INCR a', ':2'],
    ['SET', 'b c', Buffer.from([0, 255]), '+OK'],
    ['GET', 'b c', '"\\x00\\xff"'],
    ['LPUSH a x', '-WRONGTYPE Operation against a key holding the wrong kind of value'],
    ['GET', '-ERR wrong number of arguments for \'get\' command'],
    ['SADD s x y', ':2'],
    ['SMEMBERS s', unordered('"x"', '"y"')],
    ['EXPIRE a 100', ':1'],
    ['TTL a', /^:(99|100)$/],
  ])
  await check('RESP3', [
    ['HSET h f v g w', ':2'],
    ['HGETALL h', unorderedPairs({ '"f"': '"v"', '"g"': '"w"' })],
    ['GET none', 'null'],
    ['ZADD z 1.5 m', ':1'],
    ['ZSCORE z m', ',1.5'],
  ], { resp: 3, config: { 'hash-max-listpack-entries': 1 } })
})
