/**
 * The external sort of keys: the same order as comparing them all, each key once, in bounded memory, and no file left.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { Random } from '../src/random.js'
import { sortedKeys } from '../src/transfer/sorted-keys.js'
import { compareKeys, type KeyRef } from '../src/transfer/store.js'

const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-sort-test-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

async function* pagesOf(refs: readonly KeyRef[], perPage: number): AsyncGenerator<readonly KeyRef[]> {
  for (let i = 0; i < refs.length; i += perPage) yield await Promise.resolve(refs.slice(i, i + perPage))
}

async function sorted(refs: readonly KeyRef[], budgetBytes?: number, perPage = 100): Promise<KeyRef[]> {
  const out: KeyRef[] = []
  for await (const page of sortedKeys(pagesOf(refs, perPage), budgetBytes === undefined ? { folder } : { folder, budgetBytes })) out.push(...page)
  return out
}

/** What it must be: sorted by comparing, the first of equal keys. */
function expected(refs: readonly KeyRef[]): KeyRef[] {
  return refs.map((ref, i) => ({ ref, i })).sort((a, b) => compareKeys(a.ref, b.ref) || a.i - b.i).map(({ ref }) => ref)
    .filter((ref, i, all) => i === 0 || compareKeys(all[i - 1], ref) !== 0)
}

const shown = (refs: readonly KeyRef[]): string[] => refs.map(({ db, key, at }) => `${db} ${key.toString('hex')} ${at}`)

/** Keys of few letters, common beginnings, ends that are zeros, doubles, several databases. */
function randomRefs(random: Random, count: number): KeyRef[] {
  const alphabet = random.below(2) === 0 ? [0, 1, 255] : [48, 49, 50, 51, 97, 0]
  const dbs = 1 + random.below(3) * random.below(300)
  const prefix = Buffer.alloc(random.below(40), 'key:')
  const longest = 1 + random.below(16)
  return Array.from({ length: count }, () => {
    const key = Buffer.concat([random.below(4) === 0 ? prefix.subarray(0, random.below(prefix.length + 1)) : prefix, Buffer.from(Array.from({ length: random.below(longest + 1) }, () => alphabet[random.below(alphabet.length)]))])
    const db = random.below(dbs) * (random.below(50) === 0 ? 1000 : 1)
    return random.below(3) === 0 ? { db, key, at: random.below(1000) } : { db, key }
  })
}

t.test('the same as comparing them all', async (t) => {
  const seed = new Random().int32()
  const random = new Random(seed)
  for (let round = 0; round < 150; round++) {
    const refs = randomRefs(random, random.below(round < 100 ? 300 : 3000))
    // Budgets from "all in memory" down to many more runs than are merged at once.
    const budget = [undefined, 65536, 4096, 700][random.below(4)]
    const got = shown(await sorted(refs, budget, 1 + random.below(200)))
    if (got.join() !== shown(expected(refs)).join()) t.same(got, shown(expected(refs)), `seed ${seed}, round ${round}`)
  }
  t.same(readdirSync(folder), [], 'no file is left')
})

t.test('keys that are long, the same, or none', async (t) => {
  t.same(await sorted([]), [])
  const same = Array.from({ length: 5000 }, () => ({ db: 0, key: Buffer.from('the same key all the time') }))
  t.equal((await sorted(same)).length, 1)
  t.equal((await sorted(same, 8192)).length, 1)
  const long = Array.from({ length: 40 }, (_, i) => ({ db: 0, key: Buffer.concat([Buffer.alloc(50_000, 'x'), Buffer.from([40 - i])]) }))
  t.same(shown(await sorted(long, 1_000_000)), shown(expected(long)))
  const huge = [{ db: 1, key: Buffer.alloc(700_000, 1) }, { db: 0, key: Buffer.alloc(600_000, 2) }, { db: 0, key: Buffer.alloc(0) }]
  t.same(shown(await sorted(huge, 4096)), shown(expected(huge)))
  t.same(readdirSync(folder), [])
})

t.test('stopped early, and a source that fails', async (t) => {
  const refs = randomRefs(new Random(1), 5000)
  for await (const page of sortedKeys(pagesOf(refs, 100), { folder, budgetBytes: 4096 })) {
    t.equal(page.length > 0, true)
    const [made] = readdirSync(folder)
    t.equal(statSync(path.join(folder, made)).mode & 0o777, 0o700)
    break
  }
  t.same(readdirSync(folder), [], 'nothing is left when the reader stops')
  async function* failing(): AsyncGenerator<readonly KeyRef[]> {
    yield* pagesOf(refs, 100)
    throw new Error('the source broke')
  }
  await t.rejects(async () => { for await (const page of sortedKeys(failing(), { folder, budgetBytes: 4096 })) t.ok(page) }, { message: 'the source broke' })
  t.same(readdirSync(folder), [], 'nor when the source fails')
  const missing = path.join(folder, 'missing')
  await t.rejects(async () => { for await (const page of sortedKeys(pagesOf(refs, 100), { folder: missing, budgetBytes: 4096 })) t.ok(page) }, { name: 'StoreError', fault: 'refused', message: new RegExp(`${missing}.*another folder`) })
})

t.test('memory stays small', async (t) => {
  const keys = 300_000
  async function* many(): AsyncGenerator<readonly KeyRef[]> {
    const random = new Random(7)
    for (let i = 0; i < keys; i += 1000) yield await Promise.resolve(Array.from({ length: 1000 }, (_, n) => ({ db: 0, key: Buffer.from(`key:${random.below(1e9)}:${i + n}`) })))
  }
  mkdirSync(path.join(folder, 'small'))
  let count = 0
  let last: KeyRef | undefined
  let inOrder = true
  let peak = 0
  for await (const page of sortedKeys(many(), { folder: path.join(folder, 'small'), budgetBytes: 1024 * 1024 })) {
    for (const ref of page) {
      if (last !== undefined && compareKeys(last, ref) >= 0) inOrder = false
      last = ref
    }
    count += page.length
    peak = Math.max(peak, process.memoryUsage().arrayBuffers)
  }
  t.equal(count, keys)
  t.equal(inOrder, true)
  t.ok(peak < 64 * 1024 * 1024, `at most ${peak} bytes of buffers`)
})
