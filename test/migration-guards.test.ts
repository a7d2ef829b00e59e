/**
 * What keeps a migration within its bounds: the rate limit (on a clock of the test's own), the locks (also those of files, which
 * keyferry-server looks at), undo logs and plans that notice what was changed since, and the ends of the program.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { mock } from 'node:test'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { encodePayload } from '../protocol/rdb/encode.js'
import type { TableSource } from '../protocol/rdb/value.js'
import { Slice } from '../protocol/slice.js'
import { sameEntry } from '../src/backends/convert.js'
import { MemoryStore } from '../src/backends/memory/store.js'
import { fingerprintOf } from '../src/cli/fingerprints.js'
import { Copy, type CopyOptions } from '../src/transfer/copy.js'
import { isAlive } from '../src/transfer/is-alive.js'
import type { Rate } from '../src/transfer/pace.js'
import { StoreError, type Entry, type KeyRef, type Store } from '../src/transfer/store.js'
import { undo } from '../src/transfer/undo.js'
import { CHECKPOINT_REF, LOCK_REF, NO_TROUBLE, TroubledStore, UNDO, contentOf, entry, filesOf, filled, migration, start, temporaryFolder, vaultFolder, type Ended } from './migrations.js'
import { skipWithoutEtcd, startEtcd } from './peers-etcd.js'
import { skipWithout, startPeer, type PeerName } from './peers.js'

t.setTimeout(120_000)

// ------------------------------------------------------------------------------------------------ rate

/** Time that passes only while everybody waits for it. */
class VirtualTime {
  now = 1000
  readonly #waiting: { readonly atMs: number; readonly wake: () => void }[] = []

  sleep(ms: number): Promise<void> {
    return new Promise((wake) => { this.#waiting.push({ atMs: this.now + ms, wake }) })
  }

  /** Moves the time on from sleeper to sleeper until the work is done. */
  async passUntil(work: Promise<unknown>): Promise<void> {
    let isDone = false
    void work.finally(() => { isDone = true }).catch(() => undefined)
    for (let idle = 0; !isDone && idle < 100; idle++) {
      for (let hops = 0; hops < 20; hops++) await new Promise((done) => { setImmediate(done) })
      const next = this.#waiting.sort((a, b) => a.atMs - b.atMs).shift()
      if (next === undefined) continue
      idle = 0
      this.now = Math.max(this.now, next.atMs)
      next.wake()
    }
  }
}

t.test('a rate is never exceeded by more than a quarter of a second\'s worth', async (t) => {
  const cases: readonly (readonly [name: string, keys: number, valueBytes: number, rate: Rate, options: Partial<CopyOptions>])[] = [
    ['4,444 keys', 4444, 10, { keysPerSecond: 3000 }, { batchEntries: 500 }],
    ['a few keys', 30, 10, { keysPerSecond: 3000 }, {}],
    ['a batch is more than a second\'s worth', 120, 10, { keysPerSecond: 50 }, { batchEntries: 500 }],
    ['less than a key a second', 4, 10, { keysPerSecond: 0.5 }, {}],
    ['bytes', 200, 20_000, { bytesPerSecond: 1024 * 1024 }, {}],
    ['values larger than a second\'s worth', 5, 300_000, { bytesPerSecond: 100_000 }, {}],
    ['both', 500, 2000, { keysPerSecond: 1000, bytesPerSecond: 500_000 }, {}],
  ]
  for (const [name, count, valueBytes, rate, options] of cases) {
    const { keysPerSecond = Infinity, bytesPerSecond = Infinity } = rate
    const time = new VirtualTime()
    const source = await filled(count, () => 'x'.repeat(valueBytes))
    let [keys, bytes, exceeded] = [0, 0, '']
    const target = new TroubledStore(new MemoryStore(undefined, false), NO_TROUBLE, { batchEntriesMax: 1000 })
    const write = target.write.bind(target)
    target.write = async (entries: readonly Entry[], conflict) => {
      const [first] = entries
      const allowedMs = time.now - 1000 + 250 + 0.001
      keys += entries.length
      for (const { key, value } of entries) bytes += key.length + value.length
      // What is more than may go at once goes when everything before it is paid for.
      const before = entries.length === 1 ? first.key.length + first.value.length : 0
      const isLarge = before > bytesPerSecond / 4
      if (keys > Math.max(1, (keysPerSecond * allowedMs) / 1000) && keysPerSecond >= 4) exceeded ||= `${keys} keys by ${allowedMs} ms`
      if ((isLarge ? bytes - before : bytes) > (bytesPerSecond * (isLarge ? allowedMs - 250 : allowedMs)) / 1000) exceeded ||= `${bytes} bytes by ${allowedMs} ms`
      return write(entries, conflict)
    }
    const copy = new Copy(source, target, {
      conflict: 'replace', parallel: 8, batchEntries: 100, convert: (each) => each, same: sameEntry, nowMs: Date.now, rate,
      sleep: (ms) => time.sleep(ms), monotonicMs: () => time.now, ...options,
    })
    const run = copy.run(source.list(undefined))
    await time.passUntil(run)
    t.match((await run).counts, { written: count }, name)
    t.equal(exceeded, '', name)
    const leastSeconds = Math.max(count / keysPerSecond, bytes / bytesPerSecond)
    const seconds = (time.now - 1000) / 1000
    t.ok(seconds <= leastSeconds * 1.02 + 0.01, `${name}: nor is it much slower than that, ${seconds} s for ${leastSeconds} s worth`)
  }
})

t.test('keys count against the rate when they are read: those left out by their value do, those left out by their name do not', async (t) => {
  const isTenth = ({ key }: KeyRef): boolean => key.toString().endsWith('0')
  for (const [choice, seconds] of [[{ keepEntry: isTenth }, 10], [{ keepKey: isTenth }, 1]] as const) {
    const [time, source] = [new VirtualTime(), await filled(1000)]
    const run = new Copy(source, new MemoryStore(undefined, false), {
      conflict: 'replace', parallel: 4, batchEntries: 100, convert: (each) => each, same: sameEntry, nowMs: Date.now, rate: { keysPerSecond: 100 },
      sleep: (ms) => time.sleep(ms), monotonicMs: () => time.now, ...choice,
    }).run(source.list(undefined))
    await time.passUntil(run)
    t.match((await run).counts, { written: 100 })
    t.ok(Math.abs((time.now - 1000) / 1000 - seconds) <= 0.3, `${time.now - 1000} ms`)
  }
})

t.test('an interruption ends a wait for the rate, and what was not written is not behind the mark', async (t) => {
  const stop = new AbortController()
  const source = await filled(100, () => 'x'.repeat(1000))
  const inner = new MemoryStore(undefined, false)
  const target = new TroubledStore(inner, { before: (what, count) => { if (what === 'write' && count > 3) stop.abort() } }, { batchEntriesMax: 3 })
  const { report } = await migration(source, target, { rate: { bytesPerSecond: 20_000 }, signal: stop.signal }).run()
  t.equal(report.interrupted, true)
  const written = (await contentOf(inner)).length
  t.ok(written < 30, `${written} keys`)
  await Promise.all([source.open(), inner.open()])
  await migration(source, inner).run()
  t.same(await contentOf(inner), await contentOf(source))
})

t.test('a batch that ends early because another one failed is not behind the mark', async (t) => {
  const source = await filled(60)
  const inner = new MemoryStore(undefined, false)
  // The first batch is read in two parts; the second one fails in between.
  const reader = new TroubledStore(source, NO_TROUBLE)
  let failed = (): void => undefined
  const failure = new Promise<void>((done) => { failed = done })
  const read = reader.read.bind(reader)
  let reads = 0
  reader.read = async (keys) => {
    if (reads++ > 0 || !keys[0].key.toString().endsWith('000000')) return read(keys)
    return (await read(keys)).slice(0, 5)
  }
  const target = new TroubledStore(inner, {
    async before(what) {
      if (what !== 'write') return
      if (target.writes > 0) {
        failed()
        throw new StoreError('refused', 'full')
      }
    },
  })
  const write = target.write.bind(target)
  target.write = async (entries, conflict) => {
    if (entries[0].key.toString().endsWith('000000')) {
      await failure
      await new Promise((done) => { setImmediate(done) })
      return inner.write(entries, conflict)
    }
    target.writes++
    return write(entries, conflict)
  }
  const marks: string[] = []
  const copy = new Copy(reader, target, {
    conflict: 'replace', parallel: 2, batchEntries: 10, convert: (each) => each, same: sameEntry, nowMs: Date.now, onWatermark: ({ key }) => marks.push(key.toString()),
  })
  await t.rejects(copy.run(source.list(undefined)), { message: 'full' })
  t.same(marks, [])
  t.same((await inner.read([entry('key:000007', '')]))[0], undefined)
})

// ------------------------------------------------------------------------------------------------ locks

const turns = async (): Promise<void> => { for (let left = 20; left > 0; left--) await new Promise((done) => { setImmediate(done) }) }

t.test('a lock that is taken away stops the copy at the next heartbeat, and whosever it is now stays', async (t) => {
  const other = { ...LOCK_REF, form: 'raw', value: Buffer.from('{"start":"2026-11-28T04:00:00Z","owner":"y","host":"elsewhere","pid":7}\n'), expiresAtMs: undefined } as const
  for (const side of ['source', 'target'] as const) for (const successor of [undefined, other]) {
    mock.timers.enable({ apis: ['setInterval'] })
    t.teardown(() => mock.timers.reset())
    const stores = { source: await filled(1000), target: new MemoryStore(undefined, false) }
    const target = new TroubledStore(stores.target, {
      async before(what, count) {
        if (what !== 'write' || count !== 20) return
        await stores[side].remove([LOCK_REF])
        if (successor !== undefined) await stores[side].write([successor], 'replace')
        mock.timers.tick(5000)
        await turns()
      },
    })
    const { report, lost } = await migration(stores.source, target, { verify: 'full' }).run()
    mock.timers.reset()
    t.match(lost?.message, successor === undefined ? /lock of this migration in .* was removed/ : /is now held by process 7 on elsewhere/)
    t.ok(report.interrupted && report.keys < 500, `${side}: ${report.keys} keys`)
    await Promise.all([stores.source.open(), stores.target.open()])
    t.same((await stores[side].read([LOCK_REF]))[0]?.value, successor?.value, 'not touched')
  }
})

t.test('a lock that is gone in the end is told, and nothing is made final', async (t) => {
  const folder = temporaryFolder(t)
  const source = path.join(folder, 'source')
  vaultFolder(source, 100)
  const rdb = path.join(folder, 'dump.rdb')
  const words = ['--rate', '100', `file:${source}`]
  for (const destination of [`rdb:${rdb}`, `file:${path.join(folder, 'target')}`]) {
    // As -reset does, as soon as something is copied.
    const { status, err } = await start(['-log-level=debug', ...words, destination], (child) => {
      child.stderr?.on('data', (chunk: Buffer) => { if (chunk.includes('copied key')) rmSync(path.join(source, 'core/_migration'), { force: true }) })
    })
    t.equal(status, 3, err)
    t.match(err, /Stopped: the lock of this migration in .* was removed\. The same command copies what is missing: /)
    t.equal(existsSync(rdb), destination.startsWith('file:'), 'only made by the run that was through')
    t.equal((await start(['--rate', '100000', ...words.slice(2), destination])).status, 0)
  }
})

t.test('a destination that is emptied during the copy: the next run begins at the first key', async (t) => {
  const source = await filled(500)
  for (const ending of ['interrupted', 'killed']) {
    const inner = new MemoryStore(undefined, false)
    const stop = new AbortController()
    let writes = 0
    const target = new TroubledStore(inner, {
      async before(what) {
        if (what !== 'write' || ++writes !== 25) return
        const names = [LOCK_REF, CHECKPOINT_REF]
        for await (const page of inner.list(undefined)) names.push(...page)
        if (ending === 'killed') {
          // Written anew by the run that has not noticed yet, which then ends without a word.
          await inner.write([entry('core/migration-checkpoint', JSON.stringify({ version: 1, task: 'a test', owner: 'gone', watermark: { db: 0, key: Buffer.from('key:000300').toString('base64') } }))], 'replace')
          names.splice(1, 1)
        }
        await inner.remove(names)
        stop.abort()
      },
    })
    const { lost } = await migration(new TroubledStore(source, NO_TROUBLE), target, { signal: stop.signal, conflict: 'replace' }).run()
    t.match(lost?.message, /was removed/)
    await Promise.all([source.open(), inner.open()])
    const { report } = await migration(new TroubledStore(source, NO_TROUBLE), new TroubledStore(inner, NO_TROUBLE), { conflict: 'replace' }).run()
    t.equal(report.keys, 500, ending)
    t.same(await contentOf(inner), await contentOf(source))
  }
})

t.test('a checkpoint of a run that did not end in order goes with its lock', async (t) => {
  const checkpoint = (owner?: string): Entry => entry('core/migration-checkpoint', JSON.stringify({ version: 1, task: 'a test', owner, watermark: { db: 0, key: Buffer.from('key:000299').toString('base64') } }))
  const lock = (owner: string): Entry => entry('core/migration', JSON.stringify({ start: 'then', owner, host: hostname(), pid: 1, task: 'a test' }))
  const gone = { isAlive: () => false, conflict: 'replace' } as const
  const cases: readonly (readonly [string, readonly Entry[], boolean, number])[] = [
    ['with it', [checkpoint('one'), lock('one')], false, 200],
    ['without one', [checkpoint('one')], false, 500],
    ["with another's", [checkpoint('one'), lock('two')], false, 500],
    ['removed by -reset', [checkpoint('one'), lock('one')], true, 200],
    ['of a run that ended in order', [checkpoint()], false, 200],
  ]
  for (const [what, entries, resets, keys] of cases) {
    const target = new MemoryStore(undefined, false)
    await target.write(entries, 'replace')
    if (resets) t.equal((await migration(await filled(1), target, gone).reset()).labels.length, 1)
    await target.open()
    t.equal((await migration(await filled(500), target, gone).run()).report.keys, keys, what)
  }
  const target = new MemoryStore(undefined, false)
  await target.write([checkpoint()], 'replace')
  t.equal((await migration(await filled(500), target, { ...gone, repair: true }).run()).report.keys, 500, 'who repairs looks at all')
})

async function appears(file: string): Promise<void> {
  for (let left = 3000; left > 0 && !existsSync(file); left--) await new Promise((done) => { setTimeout(done, 10) })
}

t.test('a lock is stale when its time is over, even if a process has its number', async (t) => {
  const target = new MemoryStore(undefined, false)
  await target.write([{ ...entry('core/migration', ''), value: Buffer.from(JSON.stringify({ start: 'x', owner: 'x', host: hostname(), pid: 1, task: 'a test', expires: '2020-01-01T00:00:00Z' })) }], 'replace')
  t.match((await migration(await filled(3), target, { isAlive: () => true }).run()).report, { keys: 3 })
})

t.test('a source on a medium that can only be read is read without a lock', { skip: existsSync('/sys/kernel') ? false : 'no such medium here' }, async (t) => {
  const source: Store = Object.assign(await filled(3), { lockFile: '/sys/kernel/keyferry.migration' })
  const notes: string[] = []
  const target = new MemoryStore(undefined, false)
  await migration(source, target, { listener: { note: (level, text) => notes.push(`${level} ${text}`) } }).run()
  t.equal((await contentOf(target)).length, 3)
  t.match(notes.join('\n'), /^info .* is read without a lock: the lock \/sys\/kernel\/keyferry\.migration can not be written/m)
  const locked: Store = Object.assign(new MemoryStore(undefined, false), { lockFile: '/sys/kernel/keyferry.migration' })
  await t.rejects(migration(await filled(3), locked).run(), { side: 'target', message: /can not be written/ }, 'a destination is not')
})

t.test('a source whose user may only read is read without a lock, one that is gone is not', async (t) => {
  const notes: string[] = []
  const listener = { note: (level: string, text: string): void => void notes.push(`${level} ${text}`) }
  const refuses = (fault: 'denied' | 'refused' | 'unreachable'): TroubledStore => new TroubledStore(source, { before: (what) => { if (what === 'write') throw new StoreError(fault, `it says ${fault}`) } })
  const source = await filled(3)
  const target = new MemoryStore(undefined, false)
  t.match(await migration(refuses('denied'), target, { listener, verify: 'full' }).run(), { report: { keys: 3 }, comparison: { counts: { missing: 0 } }, lost: undefined })
  t.match(notes.join('\n'), /^warning .* is read without a lock, for its user may not write one \(it says denied\)\. Nothing keeps others .*core\/migration$/)
  for (const fault of ['refused', 'unreachable'] as const) await t.rejects(migration(refuses(fault), target, { listener }).run(), { side: 'source', message: `it says ${fault}` })
  await t.rejects(migration(await filled(3), refuses('denied')).run(), { side: 'target', message: 'it says denied' }, 'a destination is not')
  await source.open()
  await source.write([{ ...LOCK_REF, form: 'raw', value: Buffer.from('{"start":"x"}'), expiresAtMs: undefined }], 'error')
  await t.rejects(migration(refuses('denied'), target, { listener }).run(), { name: 'LockedError' }, 'somebody else\'s lock counts')
})

const SERVER = fileURLToPath(new URL('../bin/keyferry-server.js', import.meta.url))

/** Starts keyferry-server in a folder; one that starts is stopped when it is ready. */
function startServer(folder: string): Promise<Ended> {
  const child = spawn(process.execPath, [SERVER, '--port', '0', '--bind', '127.0.0.1', '--dir', folder, '--save', ''], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    if (out.includes('Ready to accept connections') && !child.killed) child.kill('SIGTERM')
  })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  return new Promise((done) => { child.once('close', (code, signal) => done({ status: signal ?? code ?? -1, out, err })) })
}

t.test('files under migration: a second migration and keyferry-server refuse and say who it is', async (t) => {
  const folder = temporaryFolder(t)
  const [source, rdb] = [path.join(folder, 'source'), path.join(folder, 'dump.rdb')]
  vaultFolder(source, 200)
  const lock = `${rdb}.migration`
  const ends: readonly (readonly string[])[] = [[`file:${source}`, `rdb:${rdb}`], [`rdb:${rdb}`, `file:${path.join(folder, 'target')}`]]
  for (const [from, to] of ends) {
    let running: ChildProcess | undefined
    const ended = start(['--rate', '10', from, to], (child) => { running = child })
    await appears(lock)
    const pid = running?.pid ?? 0
    t.match(JSON.parse(readFileSync(lock, 'utf8')), { start: String, owner: String, host: hostname(), pid, task: String, heartbeat: String, expires: String })
    const [second, server] = await Promise.all([start([`rdb:${rdb}`, 'memory:']), startServer(folder)])
    if (from.startsWith('rdb:')) {
      t.equal(second.status, 3, second.err)
      t.match(second.err, new RegExp(`storage migration in progress .* in rdb:.*by process ${pid} on ${hostname()}\\..*-reset`))
    }
    t.equal(server.status, 1, server.out)
    t.match(server.out, new RegExp(`# A storage migration of ${rdb}, by process ${pid} on ${hostname()} \\(started: 20.*Z\\), is in progress: start the server when it has ended, or remove ${lock} if`))
    running?.kill('SIGINT')
    t.match(await ended, { status: 130 })
    t.notOk(existsSync(lock))
    t.match(await startServer(folder), { status: 0 })
    if (!existsSync(rdb)) t.match(await start([from, to]), { status: 0 })
  }
  const gone = { start: '2026-11-28T04:00:00Z', owner: 'x', host: 'elsewhere', pid: 1, task: 'x', heartbeat: '2026-11-28T04:00:00Z', expires: '2020-11-28T04:00:30Z' }
  for (const record of [gone, { ...gone, host: hostname(), pid: 2 ** 22 + 1, expires: '2999-01-01T00:00:00Z' }]) {
    writeFileSync(lock, JSON.stringify(record))
    const { status, out } = await startServer(folder)
    t.equal(status, 0)
    t.match(out, /# A storage migration of .*, by process \d+ on .* is gone and left its lock/)
    t.match(await start(ends[1]), { status: 3, err: /process is gone: remove the lock with -reset/ })
    t.match(await start(['-reset', ...ends[1]]), { status: 0 })
    t.notOk(existsSync(lock))
  }
  const folderLock = path.join(folder, 'appendonlydir.migration')
  writeFileSync(folderLock, JSON.stringify({ ...gone, expires: '2999-01-01T00:00:00Z' }))
  t.match(await startServer(folder), { status: 1, out: /appendonlydir, by process 1 on elsewhere/ })
  t.match(await start([`aof:${path.join(folder, 'appendonlydir')}`, 'memory:', '-reset']), { status: 0 })
  t.notOk(existsSync(folderLock))
})

// ------------------------------------------------------------------------------------------------ undo logs and plans

t.test('undoing leaves alone what was changed since, unless it is told to', async (t) => {
  const folder = temporaryFolder(t)
  const now = 1_800_000_000_000
  const make = async (undoLog: string): Promise<MemoryStore> => {
    const source = new MemoryStore(undefined, true)
    const target = new MemoryStore(undefined, true)
    await source.write(['changed', 'deleted', 'new', 'new and changed', 'overwritten', 'ttl'].map((key) => entry(key, 'migrated')), 'replace')
    await source.write([{ ...entry('expired', 'migrated'), expiresAtMs: Date.now() + 1000 }], 'replace')
    await target.write(['changed', 'deleted', 'overwritten', 'ttl', 'expired'].map((key) => entry(key, 'old')), 'replace')
    t.match((await migration(source, target, { undoLog, conflict: 'replace' }).run()).report.counts, { overwritten: 5, created: 2 })
    await target.open()
    await target.write([entry('changed', 'theirs'), entry('new and changed', 'theirs'), { ...entry('ttl', 'migrated'), expiresAtMs: now + 1e6 }], 'replace')
    await target.remove([entry('deleted', ''), entry('expired', '')])
    return target
  }
  const first = path.join(folder, 'first')
  const target = await make(first)
  const report = await undo(target, first, { ...UNDO, nowMs: () => now })
  t.match(report, { restored: 2, removed: 1, changed: 4, failed: [] })
  t.same(report.samples.map(({ key }) => key.toString()).sort(), ['changed', 'deleted', 'new and changed', 'ttl'])
  t.same(await contentOf(target), ['0 changed=theirs', '0 expired=old', '0 new and changed=theirs', '0 overwritten=old', '0 ttl=migrated'])
  t.match(await undo(target, first, { ...UNDO, nowMs: () => now }), { restored: 0, removed: 0, changed: 4 }, 'once more does no harm')
  t.match(await undo(target, first, { ...UNDO, insists: true, signal: AbortSignal.abort() }), { restored: 0, removed: 0 }, 'interrupted')
  const second = path.join(folder, 'second')
  const other = await make(second)
  t.match(await undo(other, second, { ...UNDO, insists: true }), { restored: 5, removed: 2, changed: 0 })
  t.same(await contentOf(other), ['0 changed=old', '0 deleted=old', '0 expired=old', '0 overwritten=old', '0 ttl=old'])
})

/** A hash of these fields with these expiry times, 0 for none, in a version of Redis (12) or Valkey (80). */
function expiringHash(times: Readonly<Record<string, number>>, version = 80): Entry {
  const fields = Object.entries(times)
  let at = -1
  const table: TableSource = {
    count: fields.length, hasExpiry: true, score: 0, first: new Slice(), second: Slice.from('v'),
    get expireMs() { return fields[at][1] === 0 ? -1 : fields[at][1] },
    next() {
      const name = Buffer.from(fields[++at]?.[0] ?? '')
      this.first.set(name, 0, name.length)
      return at < fields.length
    },
    rewind() { at = -1 },
  }
  return { ...entry('hash', ''), form: 'dump', value: encodePayload({ type: 'hash', encoding: 'table', table }, { version, compressed: false }) }
}

t.test('a hash whose fields expire at other times was changed', async (t) => {
  const soon = 1_900_000_000_000
  const digests = [{ a: soon, b: 0 }, { a: soon + 1, b: 0 }, { a: 0, b: soon }, { a: soon, b: soon }, { a: 0, b: 0 }].map((times) => {
    const { digest } = fingerprintOf(expiringHash(times))
    for (const version of [12, 80]) t.equal(fingerprintOf(expiringHash(Object.fromEntries(Object.entries(times).reverse()), version)).digest, digest, 'in any order and version')
    return digest
  })
  t.equal(new Set(digests).size, digests.length)
  for (const [times, end] of [[{ a: soon, b: 0 }, { removed: 1, changed: 0 }], [{ a: soon + 1000, b: 0 }, { removed: 0, changed: 1 }], [{ a: 0, b: 0 }, { removed: 0, changed: 1 }]] as const) {
    const undoLog = path.join(temporaryFolder(t), 'undo')
    const [source, target] = [new MemoryStore(undefined, true), new MemoryStore(undefined, true)]
    await source.write([expiringHash({ a: soon, b: 0 })], 'replace')
    await migration(source, target, { undoLog }).run()
    await target.open()
    await target.write([expiringHash(times, 12)], 'replace')
    t.match(await undo(target, undoLog, UNDO), end)
  }
})

t.test('a key that was written twice in one run ends as it was before', async (t) => {
  const undoLog = path.join(temporaryFolder(t), 'undo')
  const source = await filled(3, () => 'new')
  const target = await filled(3, () => 'old')
  // A source that lists a key twice, and changes in between.
  const twice: Store = Object.assign(new TroubledStore(source, NO_TROUBLE), {
    async *list(): AsyncGenerator<readonly KeyRef[]> {
      for (const round of [0, 1]) {
        if (round === 1) {
          await turns()
          await source.write([entry('key:000001', 'newer')], 'replace')
        }
        yield [{ db: 0, key: Buffer.from('key:000001') }]
      }
    },
  })
  const { report } = await migration(twice, target, { undoLog, conflict: 'replace', unordered: true, batchEntries: 1, parallel: 1 }).run()
  t.equal(report.counts.overwritten, 2)
  await target.open()
  t.match(await undo(target, undoLog, UNDO), { restored: 2, changed: 0 })
  t.same((await contentOf(target))[1], '0 key:000001=old')
})

t.test('an undo log that a run left before its first record is gone on with, wherever its head was cut off', async (t) => {
  const folder = temporaryFolder(t)
  const source = await filled(3, () => 'new')
  const whole = path.join(folder, 'whole')
  const full = new TroubledStore(new MemoryStore(undefined, false), { before: (what, count) => { if (what === 'write' && count > 1) throw new StoreError('refused', 'full') } })
  await t.rejects(migration(source, full, { undoLog: whole }).run(), { message: 'full' })
  const head = readFileSync(whole, 'utf8').split('\n', 1)[0]
  for (const length of [0, 1, 20, head.length - 1, head.length, head.length + 1]) {
    const undoLog = path.join(folder, `cut ${length}`)
    writeFileSync(undoLog, readFileSync(whole))
    truncateSync(undoLog, length)
    const target = new MemoryStore(undefined, false)
    await target.write([entry('key:000001', 'old')], 'replace')
    const before = await contentOf(target)
    await source.open()
    await migration(source, target, { undoLog, conflict: 'replace' }).run()
    await target.open()
    t.match(await undo(target, undoLog, UNDO), { restored: 1, removed: 2, changed: 0 }, `cut off at ${length}`)
    t.same(await contentOf(target), before)
  }
  const foreign = path.join(folder, 'foreign')
  writeFileSync(foreign, 'something else\n')
  await source.open()
  await t.rejects(migration(source, new MemoryStore(undefined, false), { undoLog: foreign }).run(), { fault: 'usage', message: /exists already/ })
  t.equal(readFileSync(foreign, 'utf8'), 'something else\n')
})

t.test('a plan overwrites only what is as it was, also under other names', async (t) => {
  const planFile = path.join(temporaryFolder(t), 'plan')
  const source = new MemoryStore(undefined, false)
  await source.write(['a', 'b', 'c', 'd', 'e'].map((key) => entry(`s:${key}`, 'new')), 'replace')
  const target = new MemoryStore(undefined, false)
  await target.write([entry('t:a', 'old'), entry('t:b', 'old'), entry('t:c', 'old'), entry('t:d', 'new')], 'replace')
  const to = (prefix: string) => (ref: KeyRef): KeyRef => ({ ...ref, key: Buffer.from(prefix + ref.key.subarray(2).toString()) })
  const names = { choice: { rename: to('t:') }, sourceName: to('s:'), conflict: 'replace' as const }
  t.match((await migration(source, target, { ...names, dryRun: true, planFile }).run()).report.counts, { created: 1, overwritten: 3, identical: 1 })
  await Promise.all([source.open(), target.open()])
  await target.write([entry('t:b', 'theirs')], 'replace')
  await target.remove([entry('t:c', '')])
  const { report } = await migration(source, target, { ...names, applyFile: planFile }).run()
  t.match(report, { counts: { written: 1, created: 1, overwritten: 1, conflict: 1 }, samples: { conflict: [{ ref: { key: Buffer.from('t:b') }, reason: /changed since the plan/ }] } })
  t.same(await contentOf(target), ['0 t:a=new', '0 t:b=theirs', '0 t:c=new', '0 t:d=new', '0 t:e=new'])
})

t.test('every store knows again what was written to it: undone, all of it is as it was', { skip: skipWithoutEtcd() || skipWithout('redis') || skipWithout('valkey') }, async (t) => {
  const folder = temporaryFolder(t)
  const names: readonly PeerName[] = ['redis', 'redis', 'redis', 'valkey', 'keyferry']
  const [before, after, ...peers] = await Promise.all(names.map(async (name) => {
    const peer = await startPeer(name)
    t.teardown(() => peer.stop())
    return peer
  }))
  const etcd = await startEtcd()
  t.teardown(() => etcd.stop())
  for (const [peer, seed] of [[before, 3], [after, 5]] as const) {
    const commands: (string | number)[][] = []
    for (let i = 0; i < 8; i++) {
      const elements = Array.from({ length: i < 4 ? 700 : 5 }, (_, j) => (j * seed * 7919) % 100_003)
      commands.push(['SET', `string:${i}`, 'x'.repeat((i + 1) * seed)], ['SET', `timed:${i}`, 'same', 'PX', 1e7 * seed + i], ['RPUSH', `list:${i}`, ...elements], ['SADD', `set:${i}`, ...elements.map((n) => `m${n}`)],
        ['SADD', `ints:${i}`, ...elements], ['HSET', `hash:${i}`, ...elements.flatMap((n) => [`f${n}`, n])], ['ZADD', `zset:${i}`, ...elements.flatMap((n) => [n / 8, `m${n}`])], ['PEXPIRE', `zset:${i}`, 1e7 * seed])
      for (let j = 1; j < 5; j++) commands.push(['XADD', `stream:${i}`, `${seed}-${j}`, 'n', j])
      commands.push(['XGROUP', 'CREATE', `stream:${i}`, 'group', 0], ['XREADGROUP', 'GROUP', 'group', 'consumer', 'COUNT', 2, 'STREAMS', `stream:${i}`, '>'])
    }
    if (peer === after) commands.push(['SET', 'new', 'x'])
    t.same((await (await peer.client()).pipeline(commands)).filter(({ reply }) => reply.type === 'error'), [])
  }
  const url = ({ port }: { readonly port: number }): string => `redis://127.0.0.1:${port}`
  for (const [i, to] of [...peers.map(url), `${etcd.url}/`, `file:${path.join(folder, 'target')}`].entries()) {
    const undoLog = path.join(folder, `undo ${i}`)
    t.match(await start([url(before), to]), { status: 0, out: /64 keys of 64 copied/ }, to)
    t.match(await start(['--on-conflict=replace', '--undo-log', undoLog, url(after), to]), { status: 0, out: /created +1\b/ }, to)
    const undone = await start(['undo', undoLog])
    t.match(undone, { status: 0, out: /is as it was: 64 keys have their former values again, 1 new one is removed/, err: /^$/ }, `${to}: ${undone.out}${undone.err}`)
    // A lease has whole seconds, and is read and granted a little late each time: on a busy machine too late for the 8 that expire.
    t.match(await start(['--dry-run', '--on-conflict=replace', url(before), to]), { out: to.startsWith('etcd:') ? /identical +(64|56)\b/ : /identical +64\b/ }, to)
  }
  const [to] = peers
  t.match(await start(['--undo-log', path.join(folder, 'undo 0'), '--match=timed:*', url(after), url(to)]), { status: 1, err: /exists already/ }, 'the log of another task')
  const plan = path.join(folder, 'plan')
  t.match(await start(['--plan', plan, '--on-conflict=replace', url(after), url(to)]), { status: 0 })
  await (await to.client()).pipeline([['SET', 'string:3', 'theirs'], ['PEXPIRE', 'timed:1', 5e6]])
  t.match(await start(['--apply', plan, url(after), url(to)]), { status: 6, out: /overwritten +62\b.*string:3: the target's value was changed since the plan was made/s, err: /Make a new plan/ })
})

t.test('undoing ends with the status for conflicts, names them, and can be told otherwise', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target, undoLog] = ['source', 'target', 'undo'].map((name) => path.join(folder, name))
  vaultFolder(source, 5)
  t.match(await start(['--undo-log', undoLog, `file:${source}`, `file:${target}`]), { status: 0 })
  writeFileSync(path.join(target, 'dir3/_k3'), JSON.stringify({ Value: 'AAAA' }))
  t.match(await start(['undo', undoLog]), { status: 6, out: /target: 0 keys have their former values again, 4 new ones are removed/, err: /1 key changed since the migration, left as it is; --on-conflict replace puts it back too:\n {2}dir3\/k3\n/ })
  t.match(await start(['undo', undoLog, '--on-conflict=skip']), { status: 0, err: /dir3\/k3/ })
  t.match(await start(['undo', '--on-conflict=replace', undoLog]), { status: 0, out: /is as it was: 0 keys .* 1 new/, err: /^$/ })
})

t.test('undoing takes the lock of the destination, and the checkpoint goes first', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target, undoLog] = ['source', 'target', 'undo'].map((name) => path.join(folder, name))
  vaultFolder(source, 5)
  t.match(await start(['--undo-log', undoLog, `file:${source}`, `file:${target}`]), { status: 0 })
  const lock = path.join(target, 'core/_migration')
  const locked = (record: object): void => {
    mkdirSync(path.dirname(lock), { recursive: true })
    writeFileSync(lock, JSON.stringify({ Value: Buffer.from(JSON.stringify({ start: 'then', owner: 'x', host: hostname(), pid: process.pid, task: 'x', ...record })).toString('base64') }))
  }
  locked({})
  t.match(await start(['undo', undoLog]), { status: 3, out: '', err: /^keyferry migrate: storage migration in progress \(started: then\) .*remove the lock with -reset/ })
  locked({ pid: 2 ** 22 + 1 })
  t.match(await start(['undo', undoLog]), { status: 3, err: /The process is gone: remove the lock with -reset/ })
  t.equal(filesOf(target).length, 6, 'nothing was put back')
  t.match(await start(['undo', '-reset', undoLog]), { status: 0, out: `Success! Migration lock reset in file:${target}.\n` })
  t.match(await start(['undo', '-reset', undoLog]), { status: 0, out: 'Success! There was no migration lock to reset.\n' })
  t.match(await start(['-reset', `file:${source}`, `file:${target}`]), { status: 0, out: 'Success! There was no migration lock to reset.\n' })
  t.match(await start(['-reset', `file:${source}`, `file:${target}/fresh`]), { status: 0, out: /no migration lock/ })
  t.notOk(existsSync(path.join(target, 'fresh')), 'nor is a folder made for it')
  locked({})
  t.match(await start(['-reset', `file:${source}`, `file:${target}`]), { status: 0, out: `Success! Migration lock reset in file:${target}.\n` })
  const { task } = JSON.parse(readFileSync(undoLog, 'utf8').split('\n')[0]) as { task: string }
  locked({ pid: 2 ** 22 + 1, task })
  const checkpoint = JSON.stringify({ version: 1, task, watermark: { db: 0, key: Buffer.from('dir2/k2').toString('base64') }, saved: 'x' })
  writeFileSync(path.join(target, 'core/_migration-checkpoint'), JSON.stringify({ Value: Buffer.from(checkpoint).toString('base64') }))
  mkdirSync(path.join(folder, 'state'))
  writeFileSync(path.join(folder, 'state/checkpoint.json'), checkpoint)
  t.match(await start(['undo', undoLog, '--state', path.join(folder, 'state')]), { status: 0, out: /is as it was.* 5 new/ }, 'the lock of the migration itself, which was killed')
  t.same([...filesOf(target), ...filesOf(path.join(folder, 'state'))], [])
  t.match(await start([`file:${source}`, `file:${target}`]), { status: 0, out: /written +5/ })
})

// ------------------------------------------------------------------------------------------------ the program

t.test('a lock is reset at the end that can be reached, when the other can not', async (t) => {
  const there = path.join(temporaryFolder(t), 'there')
  const lock = path.join(there, 'core/_migration')
  vaultFolder(there, 1)
  const [gone, success] = ['consul://127.0.0.1:1/vault', `Success! Migration lock reset in file:${there}.\n`]
  const why = (end: string): string => `keyferry migrate: the lock of the ${end}, if it has one, was not reset: consul 127.0.0.1:1 under vault/ does not answer: `
  for (const [status, end, ...urls] of [[4, 'source', gone, `file:${there}`], [5, 'destination', `file:${there}`, gone]] as const) {
    mkdirSync(path.dirname(lock), { recursive: true })
    writeFileSync(lock, JSON.stringify({ Value: Buffer.from('{"start":"then"}').toString('base64') }))
    const ended = await start(['-reset', ...urls])
    t.match(ended, { status, out: success })
    t.ok(ended.err.startsWith(why(end)), ended.err)
    t.notOk(existsSync(lock))
    t.match(await start(['-reset', ...urls]), { status, out: '' })
  }
  t.match(await start(['-reset', gone, gone.replace(':1/', ':2/')]), { status: 4, out: '', err: /of the source.*\n.*of the destination/ })
  t.match(await start(['-reset', 'redis://127.0.0.1:1', `file:${there}`]), { status: 0, out: /no migration lock/ }, 'a source that gets no lock need not be there')
})

t.test('each end has a password of its own in the environment, which goes before the one for both', { skip: skipWithout('redis') }, async (t) => {
  const folder = temporaryFolder(t)
  const [from, to] = await Promise.all(['from here', 'to there'].map(async (requirepass) => {
    const peer = await startPeer('redis')
    t.teardown(() => peer.stop())
    const client = await peer.client()
    await client.pipeline([['SET', 'a', '1'], ['CONFIG', 'SET', 'requirepass', requirepass]])
    return peer
  }))
  const ends = [`redis://127.0.0.1:${from.port}`, `redis://127.0.0.1:${to.port}`]
  const undoLog = path.join(folder, 'undo')
  const both = { KEYFERRY_SOURCE_PASSWORD: 'from here', KEYFERRY_DESTINATION_PASSWORD: 'to there', KEYFERRY_REDIS_PASSWORD: 'neither' }
  t.match(await start(['--undo-log', undoLog, ...ends], undefined, both), { status: 0, out: /identical +1/ })
  t.match(await start(['undo', undoLog], undefined, both), { status: 0 })
  t.match(await start(ends, undefined, { KEYFERRY_SOURCE_PASSWORD: 'from here', KEYFERRY_REDIS_PASSWORD: 'to there' }), { status: 0 }, 'the one for both is for the other end')
  t.match(await start([ends[0], ends[1].replace('//', '//:wrong@')], undefined, both), { status: 2, err: /127\.0\.0\.1/ }, 'what is in the URL goes before')
  t.notMatch((await start(ends, undefined, { KEYFERRY_SOURCE_PASSWORD: 'wrongword' })).err, /wrongword/)
  for (const variable of Object.keys(both).slice(0, 2)) t.match(await start(['--help']), { out: new RegExp(variable) })
})

t.test('a source that is not there: one status, whatever it is; the verb that was called says so', async (t) => {
  const nothing = path.join(temporaryFolder(t), 'nothing')
  for (const scheme of ['file', 'rdb', 'aof', 'etcd2']) t.match(await start([`${scheme}:${nothing}`, 'memory:']), { status: 4, err: /^keyferry migrate: .*nothing/ }, scheme)
  const words = ['--data-dir', nothing, '--endpoints', 'http://127.0.0.1:1']
  t.match(await start(words, undefined, {}, 'etcd-migrate'), { status: 4, err: /^keyferry etcd-migrate: .*nothing/ })
})

t.test('a dry run into a file: it is taken as empty, for it is written anew', async (t) => {
  const folder = temporaryFolder(t)
  const [source, rdb] = [path.join(folder, 'source'), path.join(folder, 'dump.rdb')]
  vaultFolder(source, 5)
  t.match(await start(['--dry-run', `file:${source}`, `rdb:${rdb}`]), { status: 0, out: /created +5/ })
  t.notOk(existsSync(rdb))
  t.match(await start([`file:${source}`, `rdb:${rdb}`]), { status: 0 })
  t.match(await start(['--dry-run', `file:${source}`, `rdb:${rdb}`]), { status: 0, out: /created +5/, err: /rdb-replaced/ })
})

t.test('a store is not copied onto itself, whatever it is called, unless other names or databases keep the two apart', { skip: skipWithout('redis') }, async (t) => {
  const folder = temporaryFolder(t)
  const [source, other] = [path.join(folder, 'source'), path.join(folder, 'other')]
  vaultFolder(source, 3)
  symlinkSync(source, other)
  const refused = { status: 2, out: /^$/, err: /nothing was copied:\nsame-server: file:.*source and file:.*other are the same: keys would be copied over those that they come from/ }
  t.match(await start([`file:${source}`, `file:${other}`]), refused)
  t.match(await start(['--prefix-to=copy/', `file:${source}`, `file:${other}`]), refused, 'what is written would be listed in its turn')
  t.match(await start(['--prefix-to=copy/', '--match=dir*', `file:${source}`, `file:${other}`]), { status: 0, out: /^3 keys of 3/ })
  t.match(await start([`file:${source}`, `file:${source}/within/it`]), { status: 2, err: /same-server: file:.*it lies within file:.*source: what is written would be copied in its turn/ })
  t.match(await start(['--exclude=within/*', '--exclude=copy/*', `file:${source}`, `file:${source}/within/it`]), { status: 0, out: /^3 keys of 3/ })
  const peer = await startPeer('redis')
  t.teardown(() => peer.stop())
  await (await peer.client()).pipeline([['SET', 'a:1', '1'], ['SET', 'a:2', '2']])
  const [here, there] = [`redis://127.0.0.1:${peer.port}`, `redis://localhost:${peer.port}`]
  for (const words of [[], ['--dry-run'], ['--db=0'], ['--db=0:1,1:2'], ['--prefix-to=b:'], ['--prefix-from=a:', '--prefix-to=a:b:']])
    t.match(await start([...words, here, there]), { status: 2, err: /same-server: .* or --db FROM:TO\n/ }, words.join(' '))
  t.match(await start([`${here}/0`, there]), { status: 2, err: /same-server/ })
  t.match(await start([`${here}/0`, `${there}/3`]), { status: 0, out: /written +2/ })
  t.match(await start(['--db=0:1', here, there]), { status: 0, out: /written +2/ })
  t.match(await start(['--db=0', '--prefix-from=a:', '--prefix-to=b:', here, there]), { status: 0, out: /written +2/ })
})

t.test('a dry run tells what the destination would not take, there or not', { skip: skipWithout('redis') }, async (t) => {
  const [from, to] = await Promise.all([startPeer('redis'), startPeer('redis', { config: { 'proto-max-bulk-len': 1048576 } })])
  t.teardown(() => Promise.all([from.stop(), to.stop()]))
  const client = await from.client()
  // What can not be compressed.
  const noise = randomBytes
  await client.pipeline([['SET', 'plain', 'x'], ['SET', 'large', noise(2_000_000)], ['HSET', 'hash', 'large field', noise(1_200_000)], ['RPUSH', 'list', ...Array.from({ length: 30 }, () => noise(90_000))]])
  client.close()
  const ends = [`redis://127.0.0.1:${from.port}`, `redis://127.0.0.1:${to.port}`]
  for (const words of [['--dry-run', ...ends], ends]) t.match(await start(words), { status: 8, out: /(created|written) +2\n *too-large +2\n/ }, words[0])
  const folder = temporaryFolder(t)
  const source = await startPeer('redis')
  t.teardown(() => source.stop())
  const other = await source.client()
  await other.call('MSET', 'a//b', 1, '../x', 1, 'good', 1)
  other.close()
  const words = [`redis://127.0.0.1:${source.port}`, `file:${path.join(folder, 'new')}`]
  for (const flags of [['--dry-run'], [], ['--dry-run', '--on-conflict=replace']]) t.match(await start([...flags, ...words]), { status: 8, out: /unsupported +2\n/ }, flags.join(' '))
})

t.test('who has ended and is not buried yet holds no lock', { skip: existsSync('/proc/self/stat') ? false : 'no /proc here' }, async (t) => {
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 20'], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => parent.kill())
  const pid = Number(await new Promise<string>((done) => { parent.stdout.once('data', (text: Buffer) => done(text.toString())) }))
  for (let tries = 0; isAlive(pid) && tries < 500; tries++) await new Promise((done) => { setTimeout(done, 10) })
  t.match(readFileSync(`/proc/${pid}/stat`, 'utf8'), /\) Z /)
  t.notOk(isAlive(pid))
  t.ok(isAlive(process.pid) && isAlive(parent.pid as number))
})

t.test('folders where none can be made: told, not tried for ever', { skip: existsSync('/proc/self') ? false : 'no /proc here' }, async (t) => {
  const folder = temporaryFolder(t)
  const source = path.join(folder, 'source')
  vaultFolder(source, 5)
  // A process that hangs in the system can only be killed.
  const within = (child: ChildProcess): void => { setTimeout(() => child.kill('SIGKILL'), 30_000).unref() }
  t.match(await start(['--state', '/proc/keyferry/x', `file:${source}`, 'memory:'], within), { status: 1, err: /^keyferry migrate: --state: can not make the folder \/proc\/keyferry\/x: ENOENT/ })
  t.match(await start([`file:${source}`, 'file:/proc/keyferry'], within), { status: 2, err: /^keyferry migrate: file:\/proc\/keyferry: could not create the folder \(ENOENT/ })
  t.match(await start(['--state', path.join(source, 'dir0/_k0'), `file:${source}`, 'memory:']), { status: 1, err: /can not make the folder .*EEXIST/ })
  t.match(await start(['--state', path.join(folder, 'new/state/'), `file:${source}`, `file:${path.join(folder, 'a/b/c')}`]), { status: 0 })
  t.ok(existsSync(path.join(folder, 'new/state')))
})

t.test('a damaged file ends with the table of what was copied before the damage', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target, rdb, aof] = ['source', 'target', 'dump.rdb', 'commands.aof'].map((name) => path.join(folder, name))
  vaultFolder(source, 5)
  t.match(await start([`file:${source}`, `rdb:${rdb}`]), { status: 0 })
  writeFileSync(rdb, readFileSync(rdb).subarray(0, -12))
  const words = ['--unordered', '--batch=2', `rdb:${rdb}`, `file:${target}`]
  const table = /^Stopped after 4 keys\. 4 keys copied, .*\n {2}written +4\n$/
  t.match(await start(words), { status: 2, out: table, err: /is damaged in the record at byte \d+: .*; 4 keys were read up to there\nWhat was copied stays/ })
  rmSync(target, { recursive: true })
  const report = path.join(folder, 'report')
  t.match(await start(['--unordered', `--report=${report}`, ...words.slice(2)]), { status: 2, out: table }, 'a batch that was not full is copied too')
  t.match(JSON.parse(readFileSync(report, 'utf8')), { report: { keys: 4, failed: true } })
  t.match(JSON.parse((await start(['--log-format=json', ...words])).err.split('\n').filter((line) => line.startsWith('{')).at(-1) ?? ''), { keys: 4, written: 4, failed: true })
  writeFileSync(aof, '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$5\r\nLPUSH\r\n$1\r\na\r\n')
  t.match(await start([`aof:${aof}`, `file:${target}`]), { status: 2, out: /^$/, err: /byte 27: lpush failed.*; 1 command was applied up to there, and nothing is copied\n$/ })
})

t.test('a report names keys, never their values, and nobody else may read it', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target, report, rdb] = ['source', 'target', 'report', 'dump.rdb'].map((name) => path.join(folder, name))
  const secret = 'MY-SECRET-VALUE'
  for (const [store, value] of [[source, secret], [target, 'other']]) {
    mkdirSync(path.join(store, 'dir'), { recursive: true })
    for (const name of ['_a', '_b']) writeFileSync(path.join(store, 'dir', name), JSON.stringify({ Value: Buffer.from(value).toString('base64') }))
  }
  t.match(await start([`file:${source}`, `rdb:${rdb}`]), { status: 0 })
  for (const from of [`file:${source}`, `rdb:${rdb}`]) {
    t.match(await start(['--report', report, '--on-conflict=error', from, `file:${target}`]), { status: 6 }, from)
    t.same(JSON.parse(readFileSync(report, 'utf8')).report.samples.conflict.map(({ ref }: { ref: object }) => ref), [{ db: 0, key: 'dir/a' }, { db: 0, key: 'dir/b' }], from)
    t.equal(statSync(report).mode & 0o777, 0o600)
    rmSync(report)
  }
  // Damage behind the keys: the run stops, and says how far it came.
  writeFileSync(rdb, readFileSync(rdb).subarray(0, -9))
  t.match(await start(['--report', report, '--on-conflict=replace', '--unordered', '--batch=1', `rdb:${rdb}`, `file:${target}`]), { status: 2 })
  t.match(JSON.parse(readFileSync(report, 'utf8')), { report: { keys: 2, failed: true } })
  for (const encoding of ['utf8', 'base64'] as const) t.notMatch(readFileSync(report, 'utf8'), Buffer.from(secret).toString(encoding))
  t.same(JSON.parse(readFileSync(report, 'utf8')).report.watermark, { db: 0, key: 'dir/b' })
})

t.test('half a plan is not followed', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target, plan, half] = ['source', 'target', 'plan', 'half'].map((name) => path.join(folder, name))
  vaultFolder(source, 50)
  const ends = [`file:${source}`, `file:${target}`]
  t.match(await start([`--plan=${plan}`, ...ends]), { status: 0 })
  const text = readFileSync(plan, 'utf8')
  t.match(text.split('\n').at(-2), /^\{"end":50\}$/)
  const lines = text.split('\n')
  for (const [what, content] of [['cut within a line', text.slice(0, 700)], ['cut behind one', `${lines.slice(0, 20).join('\n')}\n`], ['without its last line', `${lines.slice(0, 51).join('\n')}\n`], ['a record less', [...lines.slice(0, 7), ...lines.slice(8)].join('\n')]] as const) {
    writeFileSync(half, content)
    t.match(await start([`--apply=${half}`, ...ends]), { status: 1, err: /half breaks off before its end, so it is not known what else was planned; make a new plan/ }, what)
  }
  t.notOk(existsSync(target))
  t.match(await start([`--apply=${plan}`, ...ends]), { status: 0, out: /50 keys of 50 copied/ })
})

t.test('what is said in the end is true of this destination', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target, rdb, empty] = ['source', 'target', 'dump.rdb', 'empty'].map((name) => path.join(folder, name))
  vaultFolder(source, 300)
  const interrupted = (child: ChildProcess): void => {
    child.stderr?.once('data', () => child.kill('SIGINT'))
  }
  t.match(await start(['--rate=50', '-log-level=debug', `file:${source}`, `rdb:${rdb}`], interrupted), { status: 130, err: /Interrupted; the same command begins again: keyferry migrate/ })
  t.match(await start(['--rate=50', '-log-level=debug', `file:${source}`, `file:${target}`], interrupted), { status: 130, err: /Interrupted; the same command goes on where it was: keyferry migrate/ })
  mkdirSync(empty)
  t.match(await start([`file:${empty}`, 'memory:']), { status: 0, err: /\[WARN\].* has no keys; look at its address and options/ })
  t.match(await start(['--match=nothing', `file:${source}`, 'memory:']), { status: 0, err: /\[WARN\].* has no keys that are chosen/ })
  const broken = path.join(folder, 'broken.rdb')
  t.match(await start([`file:${source}`, `rdb:${broken}`]), { status: 0 })
  writeFileSync(broken, readFileSync(broken).subarray(0, -12))
  t.match(await start(['--unordered', `rdb:${broken}`, `rdb:${path.join(folder, 'other.rdb')}`]), { status: 2, err: /Nothing of it is at the destination; when that is mended, the same command begins again: / })
  // A key that somebody else wrote meanwhile.
  mkdirSync(path.join(target, 'dir0'), { recursive: true })
  const differs = await start(['--on-conflict=skip', '--verify=full', `file:${source}`, `file:${target}`], (child) => {
    child.stderr?.on('data', () => undefined)
  })
  t.match(differs, { status: 0 })
  writeFileSync(path.join(target, 'dir0/_k0'), '{"Value":"eA=="}\n')
  t.match(await start(['--on-conflict=skip', '--verify=full', `file:${source}`, `file:${target}`]), { status: 7, err: /This copies what is missing and what differs: keyferry migrate --repair --verify=full file:/ })
  const config = path.join(folder, 'config.hcl')
  writeFileSync(config, `storage_source "file" { path = "${source}" }\n`)
  const { err } = await start(['-config', config])
  t.match(err, /there is no storage_destination; .* where TYPE is /)
  t.notMatch(err, /aof|etcd2/)
})

t.test('some keys not copied: status 8, their reasons, the command that goes on; a line a key in the JSON log', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target] = [path.join(folder, 'source'), path.join(folder, 'target')]
  vaultFolder(source, 3)
  writeFileSync(path.join(source, 'dir1/_bad'), 'no JSON at all')
  mkdirSync(path.join(target, 'dir2'), { recursive: true })
  writeFileSync(path.join(target, 'dir2/_k2'), readFileSync(path.join(source, 'dir2/_k2')))
  const plain = await start([`file:${source}`, `file:${target}`])
  t.match(plain, { status: 8, out: /corrupt +1\n.*\ncorrupt:\n {2}dir1\/bad: /s, err: /Some keys were not copied.*this copies what is missing: keyferry migrate file:\S+source file:\S+target\n$/ })
  t.notMatch(plain.out, /Success/)
  const { status, out, err } = await start(['-log-format', 'json', '-log-level', 'debug', '--on-conflict=skip', '--repair=false', `file:${source}`, `file:${target}`])
  t.equal(status, 8)
  t.equal(out, '')
  const lines = err.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>)
  const ofKeys = lines.filter((line) => 'path' in line).sort((a, b) => ((a['path'] as string) < (b['path'] as string) ? -1 : 1))
  const passed = (key: string): object => ({ '@level': 'debug', '@message': 'passed over key', 'path': key, 'outcome': 'identical', '@timestamp': String })
  t.match(ofKeys, [passed('dir0/k0'), { '@level': 'debug', '@message': 'failed key', 'path': 'dir1/bad', 'outcome': 'corrupt', 'reason': /\w/ }, passed('dir1/k1'), passed('dir2/k2')])
  t.match(lines.at(-1), { '@level': 'info', '@message': 'migration ended', 'keys': 4, 'identical': 3, 'corrupt': 1, 'interrupted': false })
  const fresh = await start(['-log-format=json', '-log-level=debug', '--verify=full', '--match=dir0/*', `file:${source}`, 'memory:'])
  t.equal(fresh.status, 0)
  t.match(JSON.parse(fresh.err.trimEnd().split('\n').at(-1) ?? ''), { '@message': 'verified', 'keys': 1, 'compared': 1, 'missing': 0 })
  t.match(fresh.err.split('\n').filter((line) => line.includes('"path"')).map((line) => JSON.parse(line) as unknown), [{ '@message': 'copied key', 'path': 'dir0/k0' }])
})
