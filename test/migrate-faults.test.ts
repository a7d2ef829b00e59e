/**
 * MIGRATE while the network and the target misbehave: at every byte of the exchange, in both directions, it is cut, reset,
 * stalled and corrupted, and after each case every key is looked at on both sides. Then targets that answer what no
 * target may.
 */
import net from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { Slice } from '../protocol/slice.js'
import { KeyNames, RestoreBatch } from '../src/backends/keyspace/restore-batch.js'
import { Batch, type BatchLink, type LinkListener } from '../src/transfer/batch.js'
import { RespClient, show, type Word } from './client.js'
import { FaultProxy, ScriptedTarget, type Answer, type Direction, type Fault } from './fault-proxy.js'
import { LocalServer } from './local-server.js'

t.setTimeout(120_000)

const AT_ONCE = 24
const IDLE_MS = '40'
const IO_ERROR = /^-IOERR error or timeout (connecting to the client|writing to target instance|reading to target instance)$/
const TARGET_ERROR = /^-ERR Target instance replied with error: ./

interface Case {
  readonly fault: Fault
  readonly words: readonly string[]
  readonly number: number
}

/** A value of each kind, different in every case: a small string, a hash, a list, and one as a side value. */
function keysOf(number: number): { name: string; commands: Word[][] }[] {
  const p = `case${number}`
  return [
    { name: `${p}:a`, commands: [['SET', `${p}:a`, `v${number}`]] },
    { name: `${p}:b`, commands: [['HSET', `${p}:b`, 'f', number, 'g', 'x']] },
    { name: `${p}:c`, commands: [['RPUSH', `${p}:c`, number, 'y']] },
  ]
}

/** The exchange without faults, to know how many bytes there are in each direction. */
async function measured(target: LocalServer, client: RespClient, words: readonly string[], number: number): Promise<Record<Direction, number>> {
  const proxy = await FaultProxy.start(target.port)
  const keys = keysOf(number)
  await client.pipeline(keys.flatMap((key) => key.commands))
  const reply = await client.text('MIGRATE', '127.0.0.1', proxy.port, '', 0, 1000, ...words, 'KEYS', ...keys.map((key) => key.name))
  if (reply !== '+OK') throw new Error(reply)
  const { bytes } = proxy
  await proxy.stop()
  return bytes
}

/** Runs one case and returns what is wrong afterwards. */
async function faulty(source: LocalServer, target: LocalServer, client: RespClient, test: Case): Promise<string[]> {
  const { fault, words, number } = test
  const wrong: string[] = []
  const proxy = await FaultProxy.start(target.port, fault)
  const keys = keysOf(number)
  await client.pipeline(keys.flatMap((key) => key.commands))
  const before = keys.map((key) => source.content(key.name))
  const runner = await source.client()
  const reply = await runner.text('MIGRATE', '127.0.0.1', proxy.port, '', 0, IDLE_MS, ...words, 'KEYS', ...keys.map((key) => key.name))
  runner.close()
  if (reply !== '+OK' && !IO_ERROR.test(reply) && !TARGET_ERROR.test(reply)) wrong.push(`reply ${reply}`)
  const copy = words.includes('COPY')
  const intact = fault.kind !== 'corrupt' || fault.direction === 'back'
  keys.forEach((key, i) => {
    const here = source.content(key.name)
    const there = target.content(key.name)
    if (here !== undefined && here !== before[i]) wrong.push(`${key.name} changed here`)
    if (there !== undefined && there !== before[i]) wrong.push(`${key.name} changed there`)
    // A corrupted name or number of the request has no checksum: then the value is looked for under any name.
    if (intact && here === undefined && there === undefined) wrong.push(`${key.name} lost`)
    if (here === undefined && copy) wrong.push(`${key.name} gone in spite of COPY`)
    if (reply === '+OK' && !copy && here !== undefined) wrong.push(`${key.name} still here after OK`)
    if (intact && reply === '+OK' && there === undefined) wrong.push(`${key.name} not there after OK`)
    if (source.isHeld(key.name)) wrong.push(`${key.name} still held`)
  })
  const writes = await client.pipeline(keys.map((key) => ['EXPIRE', key.name, 1000]))
  if (writes.some((write) => write.reply.type !== 'integer')) wrong.push(`write refused: ${writes.map((write) => show(write.reply)).join()}`)
  if (!intact) for (const content of before) expectedSomewhere.push(content as string)
  await proxy.stop()
  return wrong.map((what) => `${JSON.stringify(fault)} ${words.join(' ')}: ${what} (${reply})`)
}

/** Contents that must be on one of both sides in the end. */
const expectedSomewhere: string[] = []

async function runAll(t: Test, source: LocalServer, target: LocalServer, client: RespClient, cases: readonly Case[]): Promise<void> {
  const wrong: string[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < cases.length) wrong.push(...(await faulty(source, target, client, cases[next++])))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  t.same(wrong.slice(0, 20), [], `${cases.length} cases`)
}

t.test('a fault at every byte', async (t) => {
  const source = await LocalServer.start()
  const target = await LocalServer.start()
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const client = await source.client()
  let number = 10_000
  for (const words of [[], ['COPY'], ['REPLACE'], ['COPY', 'REPLACE']]) {
    const bytes = await measured(target, client, words, number++)
    const cases: Case[] = []
    const step = words.length === 0 ? 1 : 5
    for (const direction of ['forth', 'back'] as const)
      for (let at = words.length % step; at < bytes[direction]; at += direction === 'forth' ? step : 1) {
        for (const kind of ['cut', 'reset', 'corrupt', 'stall'] as const) {
          // Half of the broken connections heal at the retry.
          const heals = (kind === 'cut' || kind === 'reset') && at % 2 === 0
          cases.push({ fault: { kind, direction, at, ...(heals && { connections: 1 }) }, words, number: number++ })
        }
      }
    await t.test(`MIGRATE ${words.join(' ')}`, (t) => runAll(t, source, target, client, cases))
  }
  const somewhere = new Set([...source.allContents(), ...target.allContents()])
  t.equal(expectedSomewhere.filter((content) => !somewhere.has(content)).length, 0, 'corrupted requests lost nothing')
  const { engine } = source.server
  t.equal(engine.holds.size, 0, 'nothing is held')
  t.equal(engine.stats.unexpectedErrors + target.server.engine.stats.unexpectedErrors, 0)
  source.clock.shiftMs += 11_000
  source.migrations.links.sweep(source.clock.refresh())
  t.equal(source.migrations.links.size, 0, 'no link is left')
  t.equal(await client.text('PING'), '+PONG')
  client.close()
})

/** Deterministic numbers in [0, 1): the seed is the state (a linear congruential generator). */
function chance(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x80000000
}

t.test('large values, faults here and there', async (t) => {
  const source = await LocalServer.start()
  const target = await LocalServer.start()
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const client = await source.client()
  const seed = 20261
  t.comment(`seed ${seed}`)
  const random = chance(seed)
  const fields = Array.from({ length: 7_000 }, (_, i) => [`field${i}`, `value ${i}`]).flat()
  const wrong: string[] = []
  for (let n = 0; n < 32; n++) {
    await client.call('FLUSHALL')
    const there = await target.client()
    await there.call('FLUSHALL')
    there.close()
    await client.pipeline([
      ['SET', 'string', Buffer.alloc(700_000, 'x')], ['HSET', 'hash', ...fields], ['SET', 'small', n],
    ])
    const kind = (['cut', 'reset', 'stall', 'corrupt'] as const)[n % 4]
    const fault: Fault = n % 6 === 5 ? { kind, direction: 'back', at: Math.floor(random() * 20) }
      : { kind, direction: 'forth', at: Math.floor(random() * 850_000), ...(n % 8 < 4 && { connections: 1 }) }
    const proxy = await FaultProxy.start(target.port, fault)
    const names = n % 3 === 0 ? ['hash', 'string', 'small'] : ['string', 'hash', 'small']
    const before = names.map((name) => source.content(name))
    const words = n % 7 === 6 ? ['COPY'] : []
    const reply = await client.text('MIGRATE', '127.0.0.1', proxy.port, '', 0, 60, ...words, 'KEYS', ...names)
    if (reply !== '+OK' && !IO_ERROR.test(reply) && !TARGET_ERROR.test(reply)) wrong.push(`reply ${reply}`)
    names.forEach((name, i) => {
      const [a, b] = [source.content(name), target.content(name)]
      if (a === undefined && b === undefined && kind !== 'corrupt') wrong.push(`${JSON.stringify(fault)}: ${name} lost`)
      if ([a, b].some((content) => content !== undefined && content !== before[i])) wrong.push(`${JSON.stringify(fault)}: ${name} changed`)
      if (source.isHeld(name)) wrong.push(`${name} held`)
    })
    await proxy.stop()
  }
  t.same(wrong, [])
  t.equal(source.server.engine.holds.size, 0)
  client.close()
})

t.test('slow, but moving', async (t) => {
  const source = await LocalServer.start()
  const target = await LocalServer.start()
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const client = await source.client()
  await client.call('SET', 'k', 'v')
  const proxy = await FaultProxy.start(target.port, { kind: 'drip', direction: 'back', at: 0, everyMs: 100 })
  t.teardown(() => proxy.stop())
  t.equal(await client.text('MIGRATE', '127.0.0.1', proxy.port, 'k', 0, 500), '+OK', 'ten bytes, one per 100 ms, idle time 500 ms')
  t.ok(target.content('k'))
  client.close()
})

t.test('nobody there', async (t) => {
  const source = await LocalServer.start()
  t.teardown(() => source.stop())
  const client = await source.client()
  await client.call('SET', 'k', 'v')
  const refusing = await FaultProxy.start(1, { kind: 'refuse', direction: 'forth', at: 0 })
  t.equal(await client.text('MIGRATE', '127.0.0.1', refusing.port, 'k', 0, 100), '-IOERR error or timeout reading to target instance')
  t.equal(refusing.connections, 2, 'one retry')
  refusing.fault = { kind: 'refuse', direction: 'forth', at: 0, bytes: Buffer.from('-ERR max number of clients reached\r\n') }
  t.equal(await client.text('MIGRATE', '127.0.0.1', refusing.port, 'k', 0, 100),
    '-ERR Target instance replied with error: ERR max number of clients reached')
  const { port } = refusing
  await refusing.stop()
  t.equal(await client.text('MIGRATE', '127.0.0.1', port, 'k', 0, 100), '-IOERR error or timeout writing to target instance')
  t.equal(await client.text('MIGRATE', '', 6379, 'k', 0, 100), '-IOERR error or timeout connecting to the client')
  t.equal(await client.text('MIGRATE', 'no.such.host.invalid', 6379, 'k', 0, 1000), '-IOERR error or timeout connecting to the client')
  t.equal(await client.text('MIGRATE', '127.0.0.1', 'notaport', 'k', 0, 100), '-IOERR error or timeout writing to target instance')
  for (const port of [-1, -70000]) t.equal(await client.text('MIGRATE', '127.0.0.1', port, 'k', 0, 100), '-IOERR error or timeout connecting to the client')
  t.equal(await client.text('MIGRATE', '127.0.0.1', 70000, 'k', 0, 100), '-IOERR error or timeout writing to target instance')
  t.equal(await client.text('MIGRATE', 'a\0b', 6379, 'k', 0, 100), '-IOERR error or timeout connecting to the client')
  const silent = await ScriptedTarget.start(() => undefined)
  const begun = performance.now()
  t.equal(await client.text('MIGRATE', '127.0.0.1', silent.port, 'k', 0, 100), '-IOERR error or timeout reading to target instance')
  t.ok(performance.now() - begun < 400, 'a stalled target is given up after the time-out')
  t.equal(silent.connections, 1, 'and not tried again')
  await silent.stop()
  t.equal(await client.text('GET', 'k'), '"v"')
  t.equal(source.migrations.links.size, 0)
  t.equal(await client.text('MIGRATE', '127.0.0.1', 1, 'gone', 0, 100), '+NOKEY')
  client.close()
})

// ------------------------------------------------------------------------------------------------ links that are shared

const RIDERS = 12

/** One command makes a link, then many at once each move a key of their own, `waves` times. Tells the replies. */
async function ride(clients: readonly RespClient[], port: number, name: string, waves: number): Promise<string[]> {
  const replies: string[] = []
  const move = async (client: RespClient, key: string): Promise<void> => {
    await client.call('SET', key, `value of ${key}`)
    replies.push(await client.text('MIGRATE', '127.0.0.1', port, key, 0, 100))
  }
  await move(clients[0], `${name}:first`)
  for (let wave = 0; wave < waves; wave++) await Promise.all(clients.map((client, i) => move(client, `${name}:${wave}:${i}`)))
  for (const reply of replies) if (reply !== '+OK' && !IO_ERROR.test(reply) && !TARGET_ERROR.test(reply)) throw new Error(reply)
  return replies
}

t.test('commands that share a link: each has its own answer', async (t) => {
  const source = await LocalServer.start()
  const target = await LocalServer.start()
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const clients = await Promise.all(Array.from({ length: RIDERS }, () => source.client()))
  const there = await target.client()
  for (const key of ['a:0:3', 'a:0:4', 'a:1:11', 'a:2:0']) await there.call('SET', key, 'was there')
  const { links } = source.migrations
  const replies = await ride(clients, target.port, 'a', 40)
  t.equal(replies.filter((reply) => reply === '+OK').length, 40 * RIDERS + 1 - 4)
  t.equal(replies.filter((reply) => reply === '-ERR Target instance replied with error: BUSYKEY Target key name already exists.').length, 4)
  t.same(['a:0:3', 'a:0:4', 'a:1:11', 'a:2:0'].map((key) => source.content(key) !== undefined), [true, true, true, true])
  t.equal(await clients[0].text('DBSIZE'), ':4')
  t.equal(await there.text('DBSIZE'), `:${40 * RIDERS + 1}`)
  t.ok(links.joined > RIDERS, `${links.joined} commands sent behind others`)
  t.ok(links.size <= RIDERS)
  // A payload that the target does not know is sent again in an older version, by itself.
  let refusals = 0
  const old = await ScriptedTarget.start((command) => {
    if (command[0] !== 'RESTORE') return '+OK\r\n'
    const payload = command[3]
    const isOld = payload.charCodeAt(payload.length - 10) <= 10
    if (!isOld) refusals++
    return isOld ? '+OK\r\n' : '-ERR DUMP payload version or checksum are wrong\r\n'
  })
  t.teardown(() => old.stop())
  for (let wave = 0; wave < 3; wave++)
    t.same(await Promise.all(clients.map(async (client, i) => {
      await client.call('SET', `old:${i}`, 'x')
      return client.text('MIGRATE', '127.0.0.1', old.port, `old:${i}`, 0, 500)
    })), clients.map(() => '+OK'))
  t.ok(refusals > 0)
  for (const client of [...clients, there]) client.close()
})

t.test('a shared link that breaks at any byte: every key is somewhere, and nothing is held', async (t) => {
  const seed = Number(process.env['SEED'] ?? 20_261_128)
  const random = chance(seed)
  const source = await LocalServer.start()
  const target = await LocalServer.start()
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const clients = await Promise.all(Array.from({ length: RIDERS }, () => source.client()))
  const wrong: string[] = []
  let failed = 0
  for (let round = 0; round < 100; round++) {
    const kind = (['cut', 'reset', 'stall', 'corrupt', 'insert'] as const)[round % 5]
    const direction = kind === 'insert' || random() < 0.5 ? 'back' : 'forth'
    const fault: Fault = {
      kind, direction, at: direction === 'back' ? 10 + Math.floor(random() * 120) : 130 + Math.floor(random() * 2500),
      ...(kind === 'insert' && { bytes: Buffer.from('+OK\r\n') }), ...(random() < 0.5 && { connections: 1 }),
    }
    // An answer too many stands for another's, and a byte of a request that is changed may be of a name: no protocol could tell.
    const isTrue = kind !== 'insert' && !(kind === 'corrupt' && direction === 'forth')
    const proxy = await FaultProxy.start(target.port, fault)
    const replies = await ride(clients, proxy.port, `r${round}`, 3)
    failed += replies.filter((reply) => reply !== '+OK').length
    const names = ['first', ...Array.from({ length: 3 * RIDERS }, (_, i) => `${Math.floor(i / RIDERS)}:${i % RIDERS}`)].map((name) => `r${round}:${name}`)
    for (const key of names) {
      const [here, there] = [source.content(key), target.content(key)]
      if (isTrue && here === undefined && there === undefined) wrong.push(`${JSON.stringify(fault)}: ${key} lost`)
      if (here !== undefined && there !== undefined && here !== there) wrong.push(`${JSON.stringify(fault)}: ${key} changed`)
      if (source.isHeld(key)) wrong.push(`${JSON.stringify(fault)}: ${key} still held`)
    }
    await proxy.stop()
  }
  t.same(wrong.slice(0, 20), [], `seed ${seed}`)
  const { joined } = source.migrations.links
  t.ok(joined > 100 && failed > 100, `${joined} commands sent behind others, ${failed} failed`)
  for (const client of clients) client.close()
})

/** Moves a, b and c to a target that answers RESTORE n with `answers[n]`; tells the reply and which keys stayed. */
async function against(t: Test, answers: readonly Answer[], ...words: Word[]): Promise<{ reply: string; stayed: string; links: number }> {
  const source = await LocalServer.start()
  const client = await source.client()
  await client.pipeline([['SET', 'a', '1'], ['SET', 'b', '2'], ['SET', 'c', '3']])
  let restores = 0
  const target = await ScriptedTarget.start((command) => (command[0] === 'RESTORE' ? answers[restores++] : '+OK\r\n'))
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const reply = await client.text('MIGRATE', '127.0.0.1', target.port, '', 0, 100, ...words, 'KEYS', 'a', 'b', 'c')
  await new Promise((done) => setTimeout(done, 20))
  const stayed = ['a', 'b', 'c'].filter((key) => source.content(key) !== undefined).join('')
  const appends = await client.pipeline([['APPEND', 'a', 'x'], ['APPEND', 'b', 'x'], ['APPEND', 'c', 'x']])
  t.ok(appends.every(({ reply: { type } }) => type === 'integer'), 'nothing is held')
  client.close()
  return { reply, stayed, links: source.migrations.links.size }
}

t.test('targets that answer what no target may', async (t) => {
  const ok = '+OK\r\n'
  const read = '-IOERR error or timeout reading to target instance'
  for (const garbage of [':1\r\n', '+QUEUED\r\n', '$-1\r\n', '+OKAY\r\n', 'garbage\r\n', '+OK\n', '*0\r\n', '\r\n', '+ok\r\n', '+\r\n', '\0'])
    t.same(await against(t, [ok, garbage, ok]), { reply: read, stayed: 'bc', links: 0 }, JSON.stringify(garbage))
  for (const length of [10, 1023, 1024, 2000, 65_535, 65_536, 100_000]) {
    const line = `ERR ${'x'.repeat(length - 4)}`
    const { reply, stayed, links } = await against(t, [`-${line}\r\n`, ok, `-${line}\r\n`])
    t.equal(reply.slice(0, 60_000), `-ERR Target instance replied with error: ${line}`.slice(0, 60_000), `an error of ${length} bytes`)
    t.same({ stayed, links }, { stayed: 'ac', links: 1 })
  }
  t.same(await against(t, [ok, '-A first\r\n', '-B second\r\n']), { reply: '-ERR Target instance replied with error: A first', stayed: 'bc', links: 1 })
  t.same(await against(t, [ok, ok, `${ok}${ok}`]), { reply: '+OK', stayed: '', links: 0 }, 'a reply too many costs the link')
  t.same(await against(t, [ok, ok, `${ok}-ERR late\r\n`]), { reply: '+OK', stayed: '', links: 0 })
  t.same(await against(t, [ok, 'close']), { reply: read, stayed: 'bc', links: 0 }, 'it dies in the middle: no retry')
  t.same(await against(t, ['-ERR no\r\n', 'reset']), { reply: '-ERR Target instance replied with error: ERR no', stayed: 'abc', links: 0 }, 'its error wins')
  t.same(await against(t, [ok, undefined]), { reply: read, stayed: 'bc', links: 0 }, 'it stalls in the middle')
  t.same(await against(t, [ok, ok, ok], 'COPY'), { reply: '+OK', stayed: 'abc', links: 1 })
})

t.test('a target that acknowledges what it has not got', async (t) => {
  const source = await LocalServer.start()
  t.teardown(() => source.stop())
  const liar = net.createServer((socket) => {
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write('+OK\r\n')
      socket.once('data', () => {
        socket.pause()
        socket.write('+OK\r\n')
      })
    })
  })
  await new Promise<void>((done) => liar.listen(0, '127.0.0.1', done))
  t.teardown(() => void liar.close())
  const client = await source.client()
  await client.call('SET', 'k', Buffer.alloc(30_000_000, 1))
  const reply = await client.text('MIGRATE', '127.0.0.1', (liar.address() as net.AddressInfo).port, 'k', 0, 500)
  t.equal(reply, '-IOERR error or timeout reading to target instance')
  t.equal(await client.text('STRLEN', 'k'), ':30000000')
  client.close()
})

t.test('a large value does not pile up in memory (D14)', async (t) => {
  const source = await LocalServer.start()
  t.teardown(() => source.stop())
  const client = await source.client()
  const range = Array.from({ length: 60_000 }, (_, i) => [`field:${i}`, `a value of some length, number ${i}`]).flat()
  await client.call('HSET', 'hash', ...range)
  await client.call('SET', 'string', Buffer.alloc(8_000_000))
  client.close()
  const names = new KeyNames()
  for (const name of ['hash', 'string', 'hash']) names.add(Slice.from(name), source.db().findKey(Slice.from(name)))
  // A link that sends nothing until it is told to.
  let waiting = 0
  let sent = 0
  let most = 0
  let listener: LinkListener | undefined
  const link: BatchLink = {
    send: (bytes) => {
      waiting += bytes.length
      most = Math.max(most, waiting)
      return false
    },
    get waitingBytes() { return waiting; },
    attend: (who) => {
      listener = who
    },
    expect: () => undefined,
    progress: () => undefined,
  }
  let settled = 0
  const batch = new RestoreBatch(source.db(), names, undefined, { replace: false, command: 'RESTORE', version: 11 })
  const finished = new Promise<unknown>((done) =>
    new Batch(batch, link, { settle: () => settled++, settledSome: () => undefined, finished: done, failed: done }).start())
  for (let turn = 0; turn < 2000 && sent < 14_000_000; turn++) {
    await new Promise((done) => setImmediate(done))
    if (waiting < 1_000_000) continue
    sent += waiting
    waiting = 0
    listener?.hasRoom()
  }
  for (let turn = 0; turn < 200; turn++) {
    await new Promise((done) => setImmediate(done))
    waiting = 0
    listener?.hasRoom()
  }
  for (let i = 0; i < 3; i++) listener?.answered(undefined)
  listener?.rested()
  t.equal(await finished, undefined)
  t.equal(settled, 3)
  t.ok(sent > 8_000_000, `${sent} bytes`)
  t.ok(most < 1_500_000, `at most ${most} bytes waited`)
})

t.test('a reply that was lost (D5)', async (t) => {
  const source = await LocalServer.start()
  const target = await LocalServer.start()
  t.teardown(() => Promise.all([source.stop(), target.stop()]))
  const client = await source.client()
  const there = await target.client()
  await client.pipeline([['SET', 'a', '1'], ['HSET', 'h', 'f', 'v'], ['SET', 'b', 'ours'], ['EXPIRE', 'a', '1000']])
  const proxy = await FaultProxy.start(target.port, { kind: 'cut', direction: 'back', at: 5, connections: 1 })
  t.teardown(() => proxy.stop())
  t.equal(await client.text('MIGRATE', '127.0.0.1', proxy.port, '', 0, 500, 'KEYS', 'a', 'h'), '+OK')
  t.equal(proxy.connections, 2)
  t.same(await Promise.all([there.text('GET', 'a'), there.text('HGETALL', 'h'), client.text('EXISTS', 'a', 'h')]), ['"1"', '["f", "v"]', ':0'])
  await there.call('SET', 'b', 'theirs')
  const other = await FaultProxy.start(target.port, { kind: 'cut', direction: 'back', at: 5, connections: 1 })
  t.teardown(() => other.stop())
  t.equal(await client.text('MIGRATE', '127.0.0.1', other.port, 'b', 0, 500), '-ERR Target instance replied with error: BUSYKEY Target key name already exists.')
  t.same([await client.text('GET', 'b'), await there.text('GET', 'b')], ['"ours"', '"theirs"'])
  client.close()
  there.close()
})
