/**
 * Migrations as a whole: the engine on stores in this process, with faults and crashes wherever a seed puts them, and the
 * program `keyferry migrate` in processes of its own that are killed in the middle.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { sameEntry } from '../src/backends/convert.js'
import { MemoryStore } from '../src/backends/memory/store.js'
import { Compare } from '../src/transfer/compare.js'
import { Copy, TransferError } from '../src/transfer/copy.js'
import { LockedError } from '../src/transfer/lock.js'
import type { MigrationOptions } from '../src/transfer/migration.js'
import { NoAnswerError, StoreError, type ConflictPolicy, type Entry, type KeyRef } from '../src/transfer/store.js'
import { undo } from '../src/transfer/undo.js'
import { Chance } from './fuzz/chance.js'
import { LOCK_REF, NO_TROUBLE, TroubledStore, UNDO, contentOf, entry, filesOf, filled, migration, start, temporaryFolder, vaultFolder, type Trouble } from './migrations.js'

t.setTimeout(120_000)

const SEED = Number(process.env['SEED'] ?? 20261)

t.test(`a copy that crashes anywhere and is started again loses nothing, seed ${SEED}`, async (t) => {
  for (let round = 0; round < 60; round++) {
    const chance = new Chance(SEED + round)
    const source = await filled(300)
    const inner = new MemoryStore(undefined, false)
    const crash = (): Trouble => {
      const at = chance.below(60)
      return {
        async before(what, count) {
          // Batches end in any order.
          for (let hops = chance.below(6); hops > 0; hops--) await new Promise((done) => { setImmediate(done) })
          if (what === 'write' && count > at) throw new StoreError('refused', 'crash')
        },
      }
    }
    let runs = 0
    for (;;) {
      const target = new TroubledStore(inner, runs < 8 ? crash() : NO_TROUBLE)
      try {
        runs++
        await migration(new TroubledStore(source, NO_TROUBLE), target, { isAlive: () => false }).run()
        break
      } catch (error) {
        if (!(error instanceof TransferError)) throw error
        if (error.side !== 'target' || error.message !== 'crash') t.fail(`unexpected: ${error.message}`)
      }
    }
    const want = await contentOf(source)
    const have = await contentOf(inner)
    if (want.join() !== have.join()) return t.fail(`round ${round}: ${have.length} keys instead of ${want.length} after ${runs} runs`)
  }
  t.pass('60 copies, crashed up to 8 times each')
})

t.test('a resumed copy begins behind the watermark', async (t) => {
  const source = await filled(1000)
  const inner = new MemoryStore(undefined, false)
  let failures = 0
  const target = new TroubledStore(inner, { before: (what, count) => { if (what === 'write' && count > 60 && failures++ < 1) throw new StoreError('refused', 'full') } })
  await t.rejects(migration(source, target).run(), { message: 'full', side: 'target' })
  target.trouble = NO_TROUBLE
  target.writes = 0
  const { report } = await migration(source, target).run()
  t.ok(target.writes < 900 && report.keys < 900, `${report.keys} keys were left`)
  t.same(await contentOf(inner), await contentOf(source))
})

t.test('a run that goes on meets again what could not be copied', async (t) => {
  const source = await filled(1000)
  const inner = new MemoryStore(undefined, false)
  let crashes = 0
  const refused = new TroubledStore(inner, { before: (what, count) => { if (what === 'write' && count > 60 && crashes++ === 0) throw new StoreError('refused', 'crash') } }, { valueBytesMax: 12 })
  await source.write([entry('key:000300', 'too large for it')], 'replace')
  await t.rejects(migration(source, refused).run(), { message: 'crash' })
  await source.open()
  const { report } = await migration(source, new TroubledStore(inner, NO_TROUBLE)).run()
  t.ok(report.keys > 650 && report.keys < 1000, `${report.keys} keys were left`)
  t.same(await contentOf(inner), await contentOf(source))
})

t.test('a checkpoint beside a target that has lost what it says', async (t) => {
  const stateFolder = temporaryFolder(t)
  for (const isEmptied of [false, true]) {
    const source = await filled(1000)
    const inner = new MemoryStore(undefined, false)
    await t.rejects(migration(source, new TroubledStore(inner, { before: (what, count) => { if (what === 'write' && count > 60) throw new StoreError('refused', 'crash') } }), { stateFolder }).run(), { message: 'crash' })
    const notes: string[] = []
    const target = isEmptied ? new MemoryStore(undefined, false) : inner
    await source.open()
    const { report } = await migration(source, target, { stateFolder, listener: { note: (_, text) => notes.push(text) } }).run()
    t.equal(report.keys === 1000, isEmptied)
    t.match(notes.join(), isEmptied ? /does not have the key at which an earlier run .* stopped: beginning at the first one/ : /going on behind its last key/)
    t.same(await contentOf(target), await contentOf(source))
  }
})

t.test('the first failure is the one that is told', async (t) => {
  const target = new TroubledStore(new MemoryStore(undefined, false), {
    async before(what, count) {
      if (what !== 'write' || count < 6) return
      await new Promise((done) => { setImmediate(done) })
      throw new StoreError('refused', count === 6 ? 'the cause' : 'canceled')
    },
  })
  await t.rejects(migration(new TroubledStore(await filled(500), NO_TROUBLE), target).run(), { message: 'the cause' })
})

t.test('a store that can not be reached for a while is waited for, longer every time', async (t) => {
  const source = await filled(100)
  const inner = new MemoryStore(undefined, false)
  let left = 3
  const target = new TroubledStore(inner, { before: (what, count) => { if (what === 'write' && count > 2 && left-- > 0) throw new StoreError('unreachable', 'connection refused') } })
  const waits: number[] = []
  const notes: string[] = []
  const copy = new Copy(source, target, {
    conflict: 'replace', parallel: 1, batchEntries: 10, convert: (each) => each, same: sameEntry, nowMs: Date.now,
    listener: { note: (_, text) => notes.push(text) }, sleep: async (ms) => { waits.push(ms) },
  })
  t.match(await copy.run(source.list(undefined)), { counts: { written: 100 } })
  t.same(waits, [100, 200, 400])
  t.match(notes[0], /connection refused; trying again in 100 ms/)
  t.same(await contentOf(inner), await contentOf(source))
})

t.test('what a listing brings along is not read again, nor brought where nobody wants it', async (t) => {
  const inner = await filled(500)
  const asked: (boolean | undefined)[] = []
  let reads = 0
  class Bringing extends TroubledStore {
    override async *list(from: KeyRef | undefined, withValues?: boolean): AsyncGenerator<readonly KeyRef[]> {
      asked.push(withValues)
      for await (const page of super.list(from)) yield withValues === true ? ((await inner.read(page)) as Entry[]) : page
    }
    override read(keys: readonly KeyRef[]): ReturnType<TroubledStore['read']> {
      // Beside the lock.
      if (keys.length > 1) reads++
      return super.read(keys)
    }
  }
  const run = async (options: Partial<MigrationOptions>): Promise<number> => {
    const target = new MemoryStore(undefined, false)
    reads = asked.length = 0
    const { report } = await migration(new Bringing(inner, NO_TROUBLE), target, options).run()
    t.equal(report.counts.written, await target.count())
    return report.counts.written
  }
  t.equal(await run({}), 500)
  t.same([reads, asked], [0, [true]])
  const few = await run({ choice: { keepKey: ({ key }) => key[key.length - 1] % 2 === 0 } })
  t.ok(few < 500 && reads > 0, 'of keys that are left out nobody wants the value')
  t.same(asked, [false])
})

t.test('trouble that all batches meet is told once', async (t) => {
  let left = 8
  const target = new TroubledStore(new MemoryStore(undefined, false), { before: (what) => { if (what === 'write' && left-- > 0) throw new StoreError('unreachable', 'connection refused') } })
  const notes: string[] = []
  const copy = new Copy(await filled(80), target, {
    conflict: 'replace', parallel: 4, batchEntries: 10, convert: (each) => each, same: sameEntry, nowMs: Date.now,
    listener: { note: (_, text) => notes.push(text) }, sleep: () => new Promise((done) => { setImmediate(done) }),
  })
  const source = await filled(80)
  t.match(await copy.run(source.list(undefined)), { counts: { written: 80 } })
  t.equal(new Set(notes).size, notes.length, notes.join('\n'))
})

t.test('a store that hangs is tried once more, however long one that refuses connections is waited for', async (t) => {
  const source = await filled(100)
  for (const [errors, end] of [[[hangs, hangs, hangs], 'no answer'], [[refused, hangs, refused, refused, hangs], 'no answer'], [[refused, hangs, refused, refused, refused], 100]] as const) {
    let thrown = 0
    const target = new TroubledStore(new MemoryStore(undefined, false), {
      before(what, count) {
        if (what !== 'write' || count <= 2) return
        if (thrown < errors.length) throw errors[thrown++]()
      },
    })
    const copy = new Copy(source, target, { conflict: 'replace', parallel: 1, batchEntries: 100, convert: (each) => each, same: sameEntry, nowMs: Date.now, sleep: () => Promise.resolve() })
    const ended = await copy.run(source.list(undefined)).then((report) => report.counts.written, (error: Error) => error.message)
    t.equal(ended, end)
    t.equal(thrown, errors[0] === hangs ? 2 : 5)
  }
})

function hangs(): StoreError { return new NoAnswerError('no answer') }
function refused(): StoreError { return new StoreError('unreachable', 'connection refused') }

// ------------------------------------------------------------------------------------------------ policies

t.test('conflict policies: what is there, what becomes of it, what is counted', async (t) => {
  const cases: readonly (readonly [ConflictPolicy, Record<string, number>, string])[] = [
    ['replace', { written: 3 }, 'new'],
    ['skip', { written: 1, identical: 1, skipped: 1 }, 'old'],
    ['error', { written: 1, identical: 1, conflict: 1 }, 'old'],
  ]
  for (const [conflict, counts, other] of cases) {
    for (const dryRun of [false, true]) {
      const source = new MemoryStore(undefined, false)
      await source.write([entry('a', 'same'), entry('b', 'new'), entry('c', 'first')], 'replace')
      const target = new MemoryStore(undefined, false)
      await target.write([entry('a', 'same'), entry('b', 'old')], 'replace')
      const { report } = await migration(source, target, { conflict, dryRun }).run()
      const found = Object.fromEntries(Object.entries(report.counts).filter(([, count]) => count > 0))
      const planned: Record<string, number> = conflict === 'replace' ? { created: 1, overwritten: 1, identical: 1 } : { created: 1, identical: 1, [conflict === 'skip' ? 'skipped' : 'conflict']: 1 }
      t.same(found, dryRun ? planned : counts, `${conflict}${dryRun ? ', dry run' : ''}`)
      t.same(await contentOf(target), dryRun ? ['0 a=same', '0 b=old'] : ['0 a=same', `0 b=${other}`, '0 c=first'])
    }
  }
})

t.test('a plan is in the order of its keys, in whatever order batches end', async (t) => {
  const folder = temporaryFolder(t)
  const source = await filled(500)
  const inner = new MemoryStore(undefined, false)
  await inner.write([entry('key:000007', 'value 7'), entry('key:000123', 'other')], 'replace')
  const chance = new Chance(SEED)
  const trouble: Trouble = {
    async before() {
      for (let hops = chance.below(12); hops > 0; hops--) await new Promise((done) => { setImmediate(done) })
    },
  }
  // Some would not be taken: the order does not end with the first of them.
  const [from, to] = [new TroubledStore(source, trouble), new TroubledStore(inner, trouble, { valueBytesMax: 8 })]
  for (const [name, rename] of [['plain', undefined], ['renamed', ({ db, key }: KeyRef): KeyRef => ({ db, key: Buffer.from(`new:${key.toString()}`) })]] as const) {
    const planFile = path.join(folder, name)
    await migration(from, to, { conflict: 'replace', dryRun: true, planFile, choice: rename === undefined ? {} : { rename } }).run()
    const [, ...lines] = readFileSync(planFile, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { key: string; outcome: string })
    const names = lines.filter(({ outcome }) => outcome === 'created').map(({ key }) => Buffer.from(key, 'base64').toString())
    t.same(names, [...names].sort(), name)
    t.same(lines.pop(), { end: 500 })
    t.equal(lines.length, 500)
    if (rename === undefined) t.same(lines.map(({ key }) => Buffer.from(key, 'base64').toString()), [...await contentOf(source)].map((line) => line.slice(2, 12)))
  }
})

t.test('a plan says what would be written, and is followed to the letter', async (t) => {
  const folder = temporaryFolder(t)
  const source = new MemoryStore(undefined, false)
  await source.write([entry('a', '1'), entry('b', '2'), entry('c', '3')], 'replace')
  const target = new MemoryStore(undefined, false)
  await target.write([entry('b', 'old')], 'replace')
  const planFile = path.join(folder, 'plan')
  await migration(source, target, { conflict: 'replace', dryRun: true, planFile }).run()
  await target.open()
  await source.open()
  await source.write([entry('d', 'came later')], 'replace')
  await target.write([entry('c', 'came in between')], 'replace')
  const { report } = await migration(source, target, { applyFile: planFile }).run()
  t.match(report.counts, { written: 1, overwritten: 1, conflict: 1 })
  t.same(await contentOf(target), ['0 a=1', '0 b=2', '0 c=came in between'])
  await t.rejects(migration(source, target, { dryRun: true, planFile }).run(), { message: /exists already/ }, 'a plan is not overwritten')
  await t.rejects(migration(source, new MemoryStore('other', false), { applyFile: planFile }).run(), { fault: 'usage', message: /is a plan for/ }, 'a plan for other stores')
  await t.rejects(migration(source, target, { applyFile: planFile, selection: 'other keys' }).run(), { fault: 'usage', message: /other flags/ })
  const undoLog = path.join(folder, 'undo')
  await migration(source, target, { undoLog }).run()
  await t.rejects(migration(source, target, { applyFile: undoLog }).run(), { fault: 'usage', message: /is no plan/ })
  for (const name of ['nothing', '.']) await t.rejects(migration(source, target, { applyFile: path.join(folder, name) }).run(), { fault: 'usage', message: /can not read/ })
})

t.test('an undo log brings back what was', async (t) => {
  const folder = temporaryFolder(t)
  const source = await filled(50, () => 'new')
  const target = new MemoryStore(undefined, false)
  await target.write([entry('key:000007', 'old'), entry('other', 'stays')], 'replace')
  const before = await contentOf(target)
  const undoLog = path.join(folder, 'undo')
  const { report } = await migration(source, target, { undoLog }).run()
  t.match(report.counts, { created: 49, overwritten: 1 })
  await target.open()
  t.match(await undo(target, undoLog, UNDO), { restored: 1, removed: 49, failed: [] })
  t.same(await contentOf(target), before)
})

t.test('an undo log of several runs brings back what was before the first', async (t) => {
  const undoLog = path.join(temporaryFolder(t), 'undo')
  const source = await filled(300, () => 'new')
  const target = new MemoryStore(undefined, false)
  await target.write([entry('key:000000', 'old'), entry('key:000200', 'old')], 'replace')
  const before = await contentOf(target)
  for (let run = 0; run < 3; run++) {
    let failures = 0
    const fails = new TroubledStore(target, { before: (what, count) => { if (what === 'write' && count > 20 && failures++ === 0) throw new StoreError('refused', 'full') } }, { parallelMax: 1 })
    await t.rejects(migration(source, fails, { undoLog, conflict: 'replace', isAlive: () => false }).run(), { message: 'full' })
    // What was under way is in the log already. Some of it may have arrived, and the source may change.
    await source.open()
    await target.open()
    const { key } = JSON.parse(readFileSync(undoLog, 'utf8').trimEnd().split('\n').at(-1) ?? '') as { key: string }
    await target.write([entry(Buffer.from(key, 'base64').toString(), run === 0 ? 'new' : `newer ${run - 1}`)], 'replace')
    await source.write(Array.from({ length: 300 }, (_, i) => entry(`key:${String(i).padStart(6, '0')}`, `newer ${run}`)), 'replace')
    appendFileSync(undoLog, '{"db":0,"key":"a2V5OjAw')
  }
  await migration(source, target, { undoLog, conflict: 'replace' }).run()
  await target.open()
  t.match(await undo(target, undoLog, UNDO), { changed: 0 })
  t.same(await contentOf(target), before)
  await migration(source, target, { undoLog, conflict: 'replace' }).run()
  await target.open()
  t.match(await undo(target, undoLog, UNDO), { changed: 0 })
  t.same(await contentOf(target), before, 'a run that begins anew adds too')
  const { owner } = migration(source, target).options
  await t.rejects(migration(source, target, { undoLog, owner: { ...owner, task: 'another' } }).run(), { message: /exists already/ }, 'one of another task does not')
})

// ------------------------------------------------------------------------------------------------ which keys

t.test('what is chosen, renamed, compared', async (t) => {
  const source = new MemoryStore(undefined, true)
  await source.write([entry('a:1', 'x', 0), entry('a:2', 'y', 3), entry('b:1', 'z', 3), entry('a:3', 'w', 5)], 'replace')
  const target = new MemoryStore(undefined, true)
  const choice = {
    keepKey: ({ db, key }: KeyRef) => db === 3 && key.toString().startsWith('a:'),
    rename: (ref: KeyRef) => ({ ...ref, db: 7, key: Buffer.from(`n:${ref.key.subarray(2).toString()}`) }),
  }
  const own = entry('a:9', 'the target\'s own', 3)
  await target.write([own], 'replace')
  const sourceName = (ref: KeyRef): KeyRef => (ref.db === 7 ? { ...ref, db: 3, key: Buffer.from(`a:${ref.key.subarray(2).toString()}`) } : ref)
  const { report, comparison } = await migration(source, target, { choice, sourceName, verify: 'full' }).run()
  t.same(await contentOf(target), ['3 a:9=the target\'s own', '7 n:2=y'])
  t.equal(report.keys, 1)
  t.match(comparison, { compared: 1, counts: { missing: 0, extra: 0, differing: 0 } })
})

t.test('keys that the target would not list are not written there, and told', async (t) => {
  const names = ['', 'a', 'core/lock', 'folder/', '/']
  const source = new MemoryStore(undefined, true)
  await source.write([...names.map((key) => entry(key, 'v')), entry('core/migration', 'not ours', 1), entry('core/migration-checkpoint', 'not ours', 1)], 'replace')
  for (const dryRun of [true, false]) {
    const target = new MemoryStore(undefined, false)
    const { report } = await migration(source, target, { dryRun, choice: { rename: ({ key }) => ({ db: 0, key }) } }).run()
    t.match(report.counts, { unsupported: 6, ...(dryRun ? { created: 1 } : { written: 1 }) })
    t.match(report.samples.unsupported?.[0]?.reason, /has no place for a key of this name .*Vault's layout.*--prefix-to.*--exclude/)
    t.same(await contentOf(target), dryRun ? [] : ['0 a=v'])
  }
  const elsewhere = { traits: { ...source.traits, onlyDatabase: 1 } }
  const typed = Object.assign(new MemoryStore(undefined, true), elsewhere)
  t.match((await migration(source, typed).run()).report.counts, { unsupported: 2, written: 5 }, 'in another layout only what is its own')
  await migration(source, typed, { choice: { keepKey: ({ db }) => db === 1, rename: ({ db, key }) => ({ db, key: Buffer.concat([Buffer.from('x/'), key]) }) } }).run()
  t.ok((await contentOf(typed)).includes('1 x/core/migration=not ours'))
})

t.test('databases that the target does not have', async (t) => {
  const source = new MemoryStore(undefined, true)
  await source.write([entry('a', '0'), entry('a', '1', 1), entry('b', '3', 3)], 'replace')
  const target = new MemoryStore(undefined, false)
  t.match((await migration(source, target).run()).report, { counts: { unsupported: 2, written: 1 }, samples: { unsupported: [{ reason: /has database 0 alone; map database 1 to it \(--db 1:0\)/ }] } })
  t.same(await contentOf(target), ['0 a=0'], 'a key of another database is not taken for one of this')
  const telling = Object.assign(source, { databases: () => Promise.resolve([0, 1, 3]) })
  const message = /^one-database: memory: has database 0 alone, and memory: has keys in databases 1, 3: .*--db 1:0 .*--db 0$/
  await t.rejects(migration(telling, new MemoryStore(undefined, false)).run(), { name: 'PreflightError', message })
  await t.rejects(migration(telling, new MemoryStore(undefined, false), { dryRun: true }).run(), { name: 'PreflightError', message })
  const only = (from: number): Partial<MigrationOptions> => ({ choice: { keepKey: ({ db }) => db === from, rename: ({ key }) => ({ db: 0, key }), databaseOf: (db) => (db === from ? 0 : undefined) } })
  const third = new MemoryStore(undefined, false)
  t.match((await migration(telling, third, only(3)).run()).report.counts, { written: 1 })
  t.same(await contentOf(third), ['0 b=3'])
  t.match((await migration(telling, new MemoryStore(undefined, true)).run()).report.counts, { written: 3 }, 'one that has them')
})

t.test('a comparison finds what is missing, differs, or is only there; a repair mends the first two', async (t) => {
  const source = await filled(1000)
  const target = await filled(1000)
  await target.remove([entry('key:000500', '')])
  await target.write([entry('key:000600', 'changed'), entry('key:9', 'extra')], 'replace')
  // Nothing is copied by a policy that leaves what is there, but the one that is missing.
  const first = await migration(source, target, { conflict: 'skip', start: Buffer.from('key:000501'), verify: 'full' }).run()
  t.match(first.comparison, { counts: { missing: 0, extra: 1, differing: 1 } })
  await Promise.all([source.open(), target.open()])
  const repaired = await migration(source, target, { repair: true, verify: 'full' }).run()
  t.match(repaired.report.counts, { created: 1, overwritten: 1, identical: 998 })
  t.match(repaired.comparison, { counts: { missing: 0, extra: 1, differing: 0 }, samples: { extra: [{ key: Buffer.from('key:9') }] } })
})

t.test('a store that fails while they are compared is named', async (t) => {
  for (const side of ['source', 'target'] as const) {
    const inner = new MemoryStore(undefined, false)
    const fails: Trouble = { before: (what) => { if (what === 'read') throw new StoreError('unreachable', 'gone') } }
    const source = await filled(100)
    await migration(source, inner).run()
    await Promise.all([source.open(), inner.open()])
    const compare = new Compare(new TroubledStore(source, side === 'source' ? fails : NO_TROUBLE), new TroubledStore(inner, side === 'target' ? fails : NO_TROUBLE), { mode: 'full', parallel: 2, batchEntries: 10, convert: (each) => each, same: sameEntry, nowMs: Date.now })
    await t.rejects(compare.run(source.list(undefined), inner.list(undefined)), { message: 'gone', side }, side)
  }
})

// ------------------------------------------------------------------------------------------------ locks

t.test('locks: who may take them over', async (t) => {
  const lockOf = (record: object): Entry => ({ ...LOCK_REF, form: 'raw', value: Buffer.from(`${JSON.stringify(record)}\n`), expiresAtMs: undefined })
  const start = '2026-11-28T04:00:00.5Z'
  const mine = { start, owner: 'x', host: hostname(), pid: 1, task: 'a test', expires: '2999-01-01T00:00:00Z' }
  const cases: readonly (readonly [string, object, boolean, RegExp | undefined])[] = [
    ['of Vault', { start }, false, /in progress \(started: 2026-11-28T04:00:00.5Z\).*left no name.*-reset/],
    ['alive', mine, true, /by process 1 on .*Wait/],
    ['dead, of the same task', mine, false, undefined],
    ['dead, of another task', { ...mine, task: 'other' }, false, /process is gone.*-reset/],
    ['elsewhere, its time over', { ...mine, host: 'other', expires: '2020-01-01T00:00:00Z' }, true, undefined],
    ['elsewhere, its time not over', { ...mine, host: 'other' }, false, /on other/],
  ]
  for (const [name, record, isAlive, refusal] of cases) {
    for (const side of ['source', 'target'] as const) {
      const stores = { source: await filled(3), target: new MemoryStore(undefined, false) }
      await stores[side].write([lockOf(record)], 'replace')
      const run = migration(stores.source, stores.target, { isAlive: () => isAlive }).run()
      if (refusal === undefined) {
        await run
        t.same(await contentOf(stores.target), await contentOf(stores.source), `${name}, ${side}`)
      } else await t.rejects(run, { name: LockedError.name, message: refusal }, `${name}, ${side}`)
      await Promise.all([stores.source.open(), stores.target.open()])
      const locks = [...(await stores.source.read([LOCK_REF])), ...(await stores.target.read([LOCK_REF]))].filter((found) => found !== undefined)
      t.equal(locks.length, refusal === undefined ? 0 : 1, 'and afterwards')
    }
  }
})

// ------------------------------------------------------------------------------------------------ the program

t.test(`killed at any moment, started again: the same at both ends, seed ${SEED}`, async (t) => {
  const chance = new Chance(SEED)
  const folder = temporaryFolder(t)
  const source = path.join(folder, 'source')
  const target = path.join(folder, 'target')
  vaultFolder(source, 1500)
  const words = ['--max-parallel', '4', '--batch', '20', '--rate', '3000', `file:${source}`, `file:${target}`]
  for (let kills = 0; kills < 4; kills++) {
    const { status } = await start(words, (child) => setTimeout(() => child.kill('SIGKILL'), 200 + chance.below(250)))
    if (status !== 'SIGKILL') break
    const locks = [source, target].map((end) => path.join(end, 'core/_migration')).filter((file) => existsSync(file))
    for (const lock of locks) {
      const { Value } = JSON.parse(readFileSync(lock, 'utf8')) as { Value: string }
      t.match(JSON.parse(Buffer.from(Value, 'base64').toString()), { start: String, owner: String, host: hostname(), pid: Number }, 'the lock tells whose it is')
    }
  }
  const last = await start([...words, '--rate', '1000000'])
  t.equal(last.status, 0, last.err)
  t.match(last.out, /Success! All of the keys have been migrated\./)
  t.same(filesOf(target), filesOf(source), 'no key, lock or checkpoint too many or too few')
  for (const file of filesOf(source)) if (!readFileSync(path.join(target, file)).equals(readFileSync(path.join(source, file)))) t.fail(file)
})

t.test('interrupted: status 130, and the same command goes on', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target] = [path.join(folder, 'source'), path.join(folder, 'target')]
  vaultFolder(source, 400)
  const words = ['--batch', '10', '--rate', '400', '-log-level=debug', `file:${source}`, `file:${target}`]
  const first = await start(words, (child) => child.stderr?.on('data', (chunk: Buffer) => { if (chunk.includes('copied key') && !child.killed) child.kill('SIGINT') }))
  t.equal(first.status, 130, first.err)
  t.match(first.err, /copied key: path=dir0\/k.*Migration shutdown triggered.*Interrupted; the same command goes on/s)
  t.notOk(existsSync(path.join(source, 'core/_migration')), 'unlocked')
  const second = await start([...words, '--rate', '100000', '--verify=full'])
  t.equal(second.status, 0, second.err)
  t.match(second.err, /going on behind its last key/)
  t.match(second.out, /Verified 400 keys, 400 by value: no difference/)
  t.notMatch(second.err, /path=dir0\/k0\s/, 'what was done is not done again')
})

t.test('nobody reads what is said: it ends in order', async (t) => {
  const folder = temporaryFolder(t)
  const [source, target] = [path.join(folder, 'source'), path.join(folder, 'target')]
  vaultFolder(source, 400)
  const words = ['--batch', '10', '--rate', '400', '-log-level=debug', `file:${source}`, `file:${target}`]
  const { status } = await start(words, (child) => child.stderr?.once('data', () => child.stderr?.destroy()))
  t.equal(status, 130)
  t.notOk(existsSync(path.join(source, 'core/_migration')), 'unlocked')
})

t.test('how it ends', async (t) => {
  const folder = temporaryFolder(t)
  const source = path.join(folder, 'source')
  vaultFolder(source, 20)
  const lock = path.join(source, 'core/_migration')
  const from = `file:${source}`
  const to = `file:${path.join(folder, 'target')}`
  const check = async (name: string, words: readonly string[], status: number, text: RegExp): Promise<void> => {
    const ended = await start(words)
    t.equal(ended.status, status, `${name}: ${ended.err}`)
    t.match(ended.out + ended.err, text, name)
  }
  await check('no such flag', ['--bacth', '3', from, to], 1, /there is no flag '--bacth'; did you mean '--batch'/)
  await check('one URL', [from], 1, /stands alone/)
  await check('nowhere for the report', ['--report', '/nonexistent/report', from, to], 1, /can not write the report/)
  await check('no undo log', ['undo', path.join(folder, 'nothing')], 1, /^keyferry migrate: can not read .*\n$/)
  await check('no such store', [from, 'nothing://x'], 1, /is no store/)
  await check('help', ['--help'], 0, /Usage: keyferry migrate/)
  await check('nobody there', [from, 'redis://127.0.0.1:1?timeout=1s'], 5, /127\.0\.0\.1:1/)
  mkdirSync(path.dirname(lock))
  writeFileSync(lock, JSON.stringify({ Value: Buffer.from('{"start":"2020-01-02T03:04:05.000000006Z"}\n').toString('base64') }))
  await check('locked by Vault', [from, to], 3, /storage migration in progress \(started: 2020-01-02T03:04:05\.000000006Z\)/)
  await check('reset', ['-reset', from, to], 0, /reset/)
  t.notOk(existsSync(lock))
  await check('dry run', ['--dry-run', from, `${to}/fresh`], 0, /20 keys of 20 would be copied/)
  t.notOk(existsSync(path.join(folder, 'target/fresh')), 'nothing written, not even the folder')
  await check('done', ['--undo-log', path.join(folder, 'undo'), '--report', path.join(folder, 'report'), from, to], 0, /Success!/)
  t.match(JSON.parse(readFileSync(path.join(folder, 'report'), 'utf8')), { report: { counts: { created: 20 } } })
  writeFileSync(path.join(folder, 'target/dir3/_k3'), JSON.stringify({ Value: 'AAAA' }))
  await check('conflict', ['--on-conflict=error', from, to], 6, /dir3\/k3.*--on-conflict replace/s)
  await check('difference', ['--on-conflict=skip', '--verify=full', from, to], 7, /1 differing/)
  await check('repair', ['--repair', '--verify=full', from, to], 0, /no difference/)
  await check('undo', ['undo', path.join(folder, 'undo')], 0, /20 new ones are removed/)
  t.same(existsSync(path.join(folder, 'target')) ? filesOf(path.join(folder, 'target')) : [], [])
})
