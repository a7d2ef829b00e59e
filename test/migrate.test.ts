/**
 * MIGRATE between servers in this process: keys in flight and who waits for them, links, what is propagated. What the
 * network can do to it is in migrate-faults.test.ts, the real servers are in migrate-peers.test.ts.
 */
import t from 'tap'
import type { Test } from 'tap'
import { createServer } from '../src/index.js'
import { RespClient, show, type Word } from './client.js'
import { ScriptedTarget } from './fault-proxy.js'
import { LocalServer } from './local-server.js'

t.setTimeout(120_000)

const HOST = '127.0.0.1'
const BUSY = '-ERR Target instance replied with error: BUSYKEY Target key name already exists.'

async function pair(t: Test, directives: Record<string, string> = {}): Promise<{ source: LocalServer; target: LocalServer; client: RespClient; there: RespClient }> {
  const source = await LocalServer.start(directives)
  const target = await LocalServer.start()
  const client = await source.client()
  const there = await target.client()
  t.teardown(async () => {
    client.close()
    there.close()
    await Promise.all([source.stop(), target.stop()])
  })
  return { source, target, client, there }
}

const soon = (ms = 20): Promise<'waits'> => new Promise((done) => setTimeout(() => done('waits'), ms))

/** The reply, or 'waits' when there is none yet. */
const state = (reply: Promise<string>): Promise<string> => Promise.race([reply, soon()])

/** A proxy that holds the replies back until `release`: the keys stay in flight as long as a test wants. */
async function gate(t: Test, port: number): Promise<{ port: number; release: () => void }> {
  let release = (): void => undefined
  const open = new Promise<void>((done) => (release = done))
  const target = await RespClient.connect(port)
  const waiting: Promise<void>[] = []
  let answers = Promise.resolve()
  const scripted = await ScriptedTarget.start((words, _number, _connection, answer) => {
    if (words[0] === 'SELECT') return '+OK\r\n'
    answers = answers.then(() => open).then(async () => answer((await target.send(words.map((word) => Buffer.from(word, 'latin1')))).raw))
    waiting.push(answers)
    return undefined
  })
  t.teardown(async () => {
    release()
    await Promise.all(waiting)
    target.close()
    await scripted.stop()
  })
  return { port: scripted.port, release }
}

t.test('keys in flight', async (t) => {
  const { source, target, client, there } = await pair(t)
  const gated = await gate(t, target.port)
  const [reader, writer, other, watcher, transaction, flusher] = await Promise.all(Array.from({ length: 6 }, () => source.client()))
  t.teardown(() => { for (const c of [reader, writer, other, watcher, transaction, flusher]) c.close(); })
  await client.pipeline([['SET', 'k', 'v'], ['SET', 'l', 'w'], ['SET', 'free', '1']])
  await watcher.text('WATCH', 'k')
  await watcher.text('MULTI')
  await watcher.text('SET', 'free', '2')
  const moving = client.text('MIGRATE', HOST, gated.port, '', 0, 5000, 'KEYS', 'k', 'l', 'missing', 'k')
  await soon()
  const reads = reader.text('GET', 'k')
  const writes = writer.text('APPEND', 'l', 'new')
  await transaction.text('MULTI')
  t.equal(await transaction.text('GET', 'free'), '+QUEUED')
  t.equal(await transaction.text('GET', 'k'), '+QUEUED', 'what is queued does not wait')
  const executed = transaction.text('EXEC')
  t.same(await Promise.all([state(reads), state(writes), state(executed), state(moving)]), ['waits', 'waits', 'waits', 'waits'])
  t.equal(await other.text('PING'), '+PONG', 'everything else goes on')
  t.equal(await other.text('SET', 'free', 'new'), '+OK')
  t.match(await other.text('DBSIZE'), /:3/)
  for (const words of [['RESTORE', 'k', 0, 'x'], ['RESTORE', 'k', 0, 'x', 'REPLACE'], ['RESTORE-ASKING', 'l', 0, 'x']])
    t.equal(await other.text(...words), '-BUSYKEY Target key name already exists.', 'a RESTORE is answered at once')
  const flushed = flusher.text('FLUSHALL')
  t.equal(await state(flushed), 'waits')
  gated.release()
  t.equal(await moving, '+OK', 'a name given twice is sent once (D12)')
  t.same(await Promise.all([reads, writes, executed, flushed]), ['nil', ':3', '["new", nil]', '+OK'])
  t.same(await Promise.all([there.text('GET', 'k'), there.text('GET', 'l')]), ['"v"', '"w"'])
  t.equal(await watcher.text('EXEC'), 'nil-array', 'the move broke the WATCH')
  t.equal(source.server.engine.holds.size, 0)
})

t.test('keys in flight in another database', async (t) => {
  const { source, target, client } = await pair(t)
  const gated = await gate(t, target.port)
  const [copier, transaction] = await Promise.all([source.client(), source.client()])
  t.teardown(() => { for (const c of [copier, transaction]) c.close(); })
  await client.pipeline([['SET', 'k', 'here'], ['SELECT', 1], ['SET', 'k', 'v'], ['SET', 'l', 'w']])
  const moving = client.text('MIGRATE', HOST, gated.port, '', 0, 5000, 'KEYS', 'k', 'l')
  await soon()
  const copied = copier.text('COPY', 'k', 'k', 'DB', 1, 'REPLACE')
  await transaction.pipeline([['MULTI'], ['SELECT', 1], ['APPEND', 'l', 'new']])
  const executed = transaction.text('EXEC')
  t.same(await Promise.all([state(copied), state(executed)]), ['waits', 'waits'])
  t.equal(await source.client().then(async (c) => { const reply = await c.text('MOVE', 'k', 1); c.close(); return reply; }), ':0', 'MOVE finds it there')
  gated.release()
  t.same(await Promise.all([moving, copied, executed]), ['+OK', ':1', '[+OK, :3]'])
  t.equal(await client.text('MGET', 'k', 'l'), '["here", "new"]')
  t.equal(source.server.engine.holds.size, 0)
})

t.test('expiry waits for the outcome', async (t) => {
  const { source, target, client, there } = await pair(t)
  const gated = await gate(t, target.port)
  await client.pipeline([['SET', 'k', 'v', 'PX', 30], ['SET', 'm', 'v', 'PX', 30]])
  const moving = client.text('MIGRATE', HOST, gated.port, '', 0, 5000, 'KEYS', 'k', 'm')
  await soon(60)
  source.clock.refresh()
  t.ok(source.isHeld('k'), 'the key is past its time and still there')
  gated.release()
  t.equal(await moving, '+OK')
  t.equal(source.server.engine.holds.size, 0)
  t.match(await there.text('PTTL', 'k'), /^:(-2|\d+)$/)
})

t.test('COPY holds against writes, while it encodes', async (t) => {
  const { source, target, client, there } = await pair(t)
  const gated = await gate(t, target.port)
  const other = await source.client()
  t.teardown(() => other.close())
  await client.pipeline([['SET', 'k', 'v'], ['SET', 'big', Buffer.alloc(6_000_000, 'x')]])
  const copying = client.text('MIGRATE', HOST, gated.port, '', 0, 5000, 'COPY', 'KEYS', 'k')
  await soon()
  t.equal(await state(other.text('GET', 'k')), '"v"')
  t.equal(await state(other.text('APPEND', 'k', 'w')), ':2', 'a small value is encoded at once')
  gated.release()
  t.equal(await copying, '+OK')
  const big = client.text('MIGRATE', HOST, gated.port, 'big', 0, 5000, 'COPY')
  t.equal(await other.text('STRLEN', 'big'), ':6000000')
  t.equal(await other.text('SETRANGE', 'big', 0, 'yyy'), ':6000000')
  t.equal(await big, '+OK')
  t.equal(await there.text('GETRANGE', 'big', 0, 2), '"xxx"', 'the copy is of the moment it was asked for')
  t.equal(source.server.engine.holds.size, 0)
})

t.test('EXEC with MIGRATE is atomic', async (t) => {
  const { source, target, client, there } = await pair(t)
  const gated = await gate(t, target.port)
  const other = await source.client()
  const dropped = await source.client()
  t.teardown(() => other.close())
  await client.pipeline([['SET', 'a', '1'], ['SET', 'b', '2'], ['SET', 'n', '0']])
  const replies = client.pipeline([
    ['MULTI'], ['INCR', 'n'], ['MIGRATE', HOST, gated.port, 'a', 0, 5000], ['INCR', 'n'],
    ['MIGRATE', HOST, gated.port, 'b', 0, 5000], ['GET', 'n'], ['EXEC'], ['GET', 'n'], ['EXISTS', 'a', 'b'],
  ])
  await soon()
  const write = other.text('INCR', 'n')
  t.equal(await state(write), 'waits')
  gated.release()
  const texts = (await replies).map(({ reply }) => show(reply))
  t.same(texts.slice(-3), ['[:1, +OK, :2, +OK, "2"]', texts.at(-2), ':0'])
  t.equal(await write, ':3')
  t.same(await there.text('MGET', 'a', 'b'), '["1", "2"]')
  // The client goes away in the middle: the transaction goes on to its end.
  const second = await gate(t, target.port)
  await dropped.pipeline([['SET', 'c', '3'], ['MULTI'], ['MIGRATE', HOST, second.port, 'c', 0, 5000], ['SET', 'n', 'end']])
  void dropped.sendRaw('EXEC\r\n')
  await soon()
  dropped.close()
  const after = other.text('GET', 'n')
  t.equal(await state(after), 'waits')
  second.release()
  t.equal(await after, '"end"')
  t.equal(await there.text('GET', 'c'), '"3"')
  t.equal(source.server.engine.holds.size, 0)
})

t.test('the client goes away', async (t) => {
  const { source, target, client, there } = await pair(t)
  const gated = await gate(t, target.port)
  const leaving = await source.client()
  await client.call('SET', 'k', 'v')
  leaving.text('MIGRATE', HOST, gated.port, 'k', 0, 5000).catch(() => undefined)
  await soon()
  leaving.close()
  const read = client.text('GET', 'k')
  t.equal(await state(read), 'waits')
  gated.release()
  t.equal(await read, 'nil', 'the move is finished without it')
  t.equal(await there.text('GET', 'k'), '"v"')
  t.equal(source.server.engine.holds.size, 0)
})

t.test('the server stops', async (t) => {
  const { source, client } = await pair(t)
  const silent = await ScriptedTarget.start(() => undefined)
  t.teardown(() => silent.stop())
  await client.call('SET', 'k', 'v')
  const moving = client.text('MIGRATE', HOST, silent.port, 'k', 0, '99999999999999').catch((error: Error) => error.message)
  await soon()
  t.equal(source.migrations.links.size, 1)
  const begun = performance.now()
  await source.stop()
  t.ok(performance.now() - begun < 1000, 'at once')
  t.match(await moving, /closed|reset/i)
  await soon()
  t.equal(source.migrations.links.size, 0)
  t.equal(source.server.engine.holds.size, 0)
  t.equal(source.content('k') === undefined, false)
})

t.test('to oneself, and to each other', async (t) => {
  const { source, target, client, there } = await pair(t)
  await client.pipeline([['SET', 'k', 'v'], ['RPUSH', 'list', 'a', 'b']])
  t.equal(await client.text('MIGRATE', HOST, source.port, '', 1, 1000, 'KEYS', 'k', 'list'), '+OK', 'another database (D10)')
  t.equal(await client.text('DBSIZE'), ':0')
  await client.call('SELECT', 1)
  t.equal(await client.text('LRANGE', 'list', 0, -1), '["a", "b"]')
  const begun = performance.now()
  t.equal(await client.text('MIGRATE', HOST, source.port, 'k', 1, 1000), BUSY, 'the same database')
  t.equal(await client.text('MIGRATE', HOST, source.port, 'k', 1, 1000, 'REPLACE'), BUSY)
  t.ok(performance.now() - begun < 500)
  t.equal(await client.text('GET', 'k'), '"v"')
  await client.call('SELECT', 0)
  const names = Array.from({ length: 200 }, (_, i) => `x${i}`)
  for (const c of [client, there]) await c.pipeline(names.map((name) => ['SET', name, c === client ? 'ours' : 'theirs']))
  const replies = await Promise.all([
    client.text('MIGRATE', HOST, target.port, '', 0, 2000, 'REPLACE', 'KEYS', ...names),
    there.text('MIGRATE', HOST, source.port, '', 0, 2000, 'REPLACE', 'KEYS', ...names),
  ])
  for (const reply of replies) t.ok(reply === '+OK' || reply === BUSY, reply)
  const lost = names.filter((name) => source.content(name) === undefined && target.content(name) === undefined)
  t.same(lost, [], 'nothing is lost')
  t.equal(source.server.engine.holds.size + target.server.engine.holds.size, 0)
})

t.test('links', async (t) => {
  const { source, target, client, there } = await pair(t)
  const { links } = source.migrations
  const move = async (key: string, ...words: Word[]): Promise<string> => {
    await client.call('SET', key, 'v')
    return client.text('MIGRATE', HOST, target.port, key, 0, 1000, ...words)
  }
  t.equal(await move('a'), '+OK')
  t.equal(await move('b'), '+OK')
  t.equal(links.size, 1, 'kept and used again')
  t.equal(target.server.engine.sessions.size, 2)
  t.match(await move('c', 'AUTH', 'secret'), /^-ERR Target instance replied with error: (ERR AUTH|WRONGPASS)/, 'D2: refused')
  t.equal(await there.text('EXISTS', 'c'), ':0', 'and nothing was sent')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'c', 7, 1000), '+OK')
  await client.call('SET', 'a', 'new')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'a', 999, 1000, 'REPLACE'), '-ERR Target instance replied with error: ERR DB index is out of range')
  t.equal(target.content('a', 7), undefined, 'D1: nothing went into the database of the command before')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'a', -1, 1000, 'REPLACE'), '-ERR Target instance replied with error: ERR DB index is out of range')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'a', 0, 1000, 'REPLACE'), '+OK', 'and the link is still good')
  const busyClients = await Promise.all(Array.from({ length: 5 }, () => source.client()))
  await Promise.all(busyClients.map(async (c, i) => {
    await c.call('SET', `many${i}`, 'v')
    t.equal(await c.text('MIGRATE', HOST, target.port, `many${i}`, 0, 1000), '+OK')
    c.close()
  }))
  source.clock.shiftMs = 9_000
  links.sweep(source.clock.refresh())
  t.ok(links.size > 0, 'kept for ten seconds')
  source.clock.shiftMs = 11_000
  links.sweep(source.clock.refresh())
  t.equal(links.size, 0)
  const many: ScriptedTarget[] = []
  for (let i = 0; i < 70; i++) {
    const scripted = await ScriptedTarget.start(() => '+OK\r\n')
    many.push(scripted)
    await client.call('SET', 'k', 'v')
    t.equal(await client.text('MIGRATE', HOST, scripted.port, 'k', 0, 1000), '+OK')
  }
  t.equal(links.size, 64)
  await Promise.all(many.map((scripted) => scripted.stop()))
  await soon()
  await client.call('SET', 'k', 'v')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'k', 0, 1000, 'REPLACE'), '+OK')
  target.server.engine.sessions.forEach((session) => session !== undefined && session.link.address !== '' && session.link.destroy())
  await client.call('SET', 'k', 'v')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'k', 0, 1000, 'REPLACE'), '+OK', 'a link closed by the target is replaced')
})

t.test('what is propagated', async (t) => {
  const { source, target, client } = await pair(t)
  const told: string[] = []
  source.server.engine.services.propagate = (_db, words) => told.push(words.map(String).join(' '))
  await target.client().then(async (c) => {
    await c.call('SET', 'b', 'theirs')
    c.close()
  })
  await client.pipeline([['SET', 'a', '1'], ['SET', 'b', '2'], ['SET', 'c', '3']])
  told.splice(0)
  t.equal(await client.text('MIGRATE', HOST, target.port, '', 0, 1000, 'KEYS', 'a', 'b', 'c', 'd'), BUSY)
  t.same(told.splice(0), ['DEL a c'], 'the acknowledged keys')
  t.equal(await client.text('MIGRATE', HOST, target.port, 'b', 0, 1000, 'COPY', 'REPLACE'), '+OK')
  t.same(told, [])
})

t.test('writers and movers, at the same time', async (t) => {
  const seed = 77
  t.comment(`seed ${seed}`)
  let random = seed
  const below = (limit: number): number => (random = (random * 1103515245 + 12345) & 0x7fffffff) % limit
  const { source, target, client } = await pair(t)
  const servers = [source, target]
  const names = Array.from({ length: 6 }, (_, i) => `list${i}`)
  // Some packed, some large: an element of 6 KB makes a list a chain of nodes.
  await client.pipeline(names.map((name, i) => ['RPUSH', name, i % 2 === 0 ? 'first' : Buffer.alloc(6000, 'first')]))
  const pushed = new Map(names.map((name) => [name, 1]))
  let over = false
  const writer = async (): Promise<void> => {
    const clients = await Promise.all(servers.map((server) => server.client()))
    while (!over) {
      const name = names[below(names.length)]
      // LPUSHX adds only where the list is: what it says was added must be in the list to the end.
      const reply = await clients[below(2)].call('LPUSHX', name, below(3) === 0 ? Buffer.alloc(3000, 'x') : 'small')
      if (reply.type === 'integer' && reply.value !== 0) pushed.set(name, (pushed.get(name) as number) + 1)
      else if (reply.type !== 'integer') t.fail(JSON.stringify(reply))
    }
    for (const c of clients) c.close()
  }
  let moves = 0
  const mover = async (from: number): Promise<void> => {
    const c = await servers[from].client()
    while (!over) {
      const words = below(2) === 0 ? [names[below(names.length)]] : ['', 0, 2000, 'KEYS', ...names.slice(below(3))]
      const reply = await c.text('MIGRATE', HOST, servers[1 - from].port, ...(words.length === 1 ? [...words, 0, 2000] : words))
      if (reply === '+OK') moves++
      else if (reply !== '+NOKEY' && reply !== BUSY) t.fail(reply)
    }
    c.close()
  }
  const work = [writer(), writer(), writer(), mover(0), mover(1)]
  await soon(700)
  over = true
  await Promise.all(work)
  const clients = await Promise.all(servers.map((server) => server.client()))
  for (const name of names) {
    const lengths = await Promise.all(clients.map((c) => c.call('LLEN', name)))
    t.same(lengths.map((reply) => (reply.type === 'integer' ? Number(reply.value) : -1)).sort((a, b) => a - b), [0, pushed.get(name)], name)
  }
  for (const c of clients) c.close()
  t.comment(`${moves} moves`)
  t.ok(moves > 10)
  t.equal(source.server.engine.holds.size + target.server.engine.holds.size, 0)
})

t.test('what becomes of every key is told', async (t) => {
  const outcomes: string[] = []
  const source = await createServer({
    onMigrate: ({ key, outcome, error, target, targetDb }) => outcomes.push([key, outcome, error ?? '', target, targetDb].join(' ')),
  })
  const target = await createServer()
  const [from, to] = await Promise.all([RespClient.connect(source.port), RespClient.connect(target.port)])
  t.teardown(async () => {
    from.close()
    to.close()
    await Promise.all([source.close(), target.close()])
  })
  const busy = 'BUSYKEY Target key name already exists.'
  const at = `${HOST}:${target.port} 0`
  await from.text('MSET', 'a', 1, 'b', 2, 'c', 3)
  await to.text('SET', 'b', 'theirs')
  t.match(await from.text('MIGRATE', HOST, target.port, '', 0, 1000, 'KEYS', 'a', 'b', 'c', 'missing'), /BUSYKEY/)
  t.same(outcomes.splice(0), [`a moved  ${at}`, `b refused ${busy} ${at}`, `c moved  ${at}`])
  t.equal(await from.text('MIGRATE', HOST, target.port, 'b', 0, 1000, 'COPY', 'REPLACE'), '+OK')
  t.same(outcomes.splice(0), [`b copied  ${at}`])
  t.match(await from.text('MIGRATE', HOST, target.port, 'b', 99, 1000), /DB index is out of range/)
  t.same(outcomes.splice(0), [`b unsent  ${HOST}:${target.port} 99`])
})

t.test('expiry times and idle times arrive as they were', async (t) => {
  const source = await createServer()
  const target = await createServer()
  const [from, to] = await Promise.all([RespClient.connect(source.port), RespClient.connect(target.port)])
  t.teardown(async () => {
    from.close()
    to.close()
    await Promise.all([source.close(), target.close()])
  })
  const at = Date.now() + 3_600_000
  const values: Word[] = ['small', Buffer.alloc(300_000, 'large')]
  for (const [i, value] of values.entries()) {
    await from.text('SET', 'made', value)
    const dump = await from.call('DUMP', 'made')
    if (dump.type !== 'bulk') throw new Error('no payload')
    await from.text('RESTORE', `k${i}`, at, dump.bytes, 'ABSTTL', 'IDLETIME', 500)
    t.equal(await from.text('MIGRATE', HOST, target.port, `k${i}`, 0, 1000), '+OK')
    t.equal(await to.text('PEXPIRETIME', `k${i}`), `:${at}`, 'not a millisecond longer')
    const idle = await to.call('OBJECT', 'IDLETIME', `k${i}`)
    t.ok(idle.type === 'integer' && Number(idle.value) >= 500 && Number(idle.value) < 510, show(idle))
  }
  await from.text('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu')
  await to.text('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu')
  await from.text('SET', 'f', 1)
  const dump = await from.call('DUMP', 'f')
  if (dump.type !== 'bulk') throw new Error('no payload')
  await from.text('RESTORE', 'f', 0, dump.bytes, 'REPLACE', 'FREQ', 200)
  t.equal(await from.text('MIGRATE', HOST, target.port, 'f', 0, 1000, 'REPLACE'), '+OK')
  const frequency = await to.call('OBJECT', 'FREQ', 'f')
  t.ok(frequency.type === 'integer' && Number(frequency.value) >= 199, show(frequency))
})
