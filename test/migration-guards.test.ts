/**
 * What keeps a migration within its bounds: the rate limit (on a clock of the test's own), the locks (also those of files, which
 * keyferry-server looks at), undo logs and plans that notice what was changed since, and the ends of the program.
 */
import t from 'tap'
import { sameEntry } from '../src/backends/convert.js'
import { MemoryStore } from '../src/backends/memory/store.js'
import { Copy, type CopyOptions } from '../src/transfer/copy.js'
import type { Rate } from '../src/transfer/pace.js'
import { StoreError, type Entry } from '../src/transfer/store.js'
import { NO_TROUBLE, TroubledStore, contentOf, entry, filled, migration } from './migrations.js'

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
