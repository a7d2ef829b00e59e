/**
 * What holds for every store, whatever is behind it. A backend adds one line to the table in backends.test.ts and passes
 * unchanged; what a store can not do it says by its traits, and only that is left out here.
 *
 * READING is for every store; WRITING for those that can be written. A store that starts over is written once: after its
 * `commit` it is read like any other, and that it takes no more is what is tested instead of the rest.
 */
import type { Test } from 'tap'
import { encodePayload } from '../protocol/rdb/encode.js'
import { sameEntry } from '../src/backends/convert.js'
import { EntryError, StoreError, compareKeys, isEntry, keyText, type Entry, type KeyRef, type Store, type StoreAccess, type StoreFault, type WriteOutcome } from '../src/transfer/store.js'

/** A backend under test. */
export interface Subject<P> {
  readonly name: string
  /** Why it can not be tested here; false when it can. */
  readonly skip?: string | false
  /** Starts what the store talks to, and has it stopped by `t.teardown`. */
  start(t: Test): Promise<P>
  /** A store over the space of this name: the same name, the same keys; another name, others. Not opened. */
  create(peer: P, space: string): Store | Promise<Store>
  /** For a store that can only be read: puts raw entries into this space as somebody else would; what became of each. */
  fill?(peer: P, space: string, entries: readonly Entry[]): Promise<WriteOutcome[]>
  /** Stores that can not be opened, and why. */
  faults?(peer: P): Promise<readonly (readonly [what: string, store: Store, fault: StoreFault])[]>
}

/** Runs the whole suite against a backend. */
export function conform<P>(t: Test, subject: Subject<P>): void {
  void t.test(`a store: ${subject.name}`, { skip: subject.skip ?? false }, async (t) => {
    const peer = await subject.start(t)
    const opened: Store[] = []
    const open = async (space: string, access: StoreAccess): Promise<Store> => {
      const store = await subject.create(peer, space)
      opened.push(store)
      await store.open(access)
      return store
    }
    const fill = async (space: string, entries: readonly Entry[]): Promise<Filled> => {
      const outcomes = await subject.fill?.(peer, space, entries)
      const store = await open(space, outcomes === undefined ? 'write' : 'read')
      if (outcomes !== undefined) return { store, outcomes }
      const written = await writeAll(store, entries)
      await store.commit?.()
      return { store, outcomes: written }
    }
    t.teardown(async () => {
      for (const store of opened) await store.close()
    })
    const spaceOf = (name: string): string => name.replace(/\W+/g, '_')
    for (const [name, body] of Object.entries(READING)) await t.test(name, (t) => body(t, (entries) => fill(spaceOf(name), entries), (access) => open(spaceOf(name), access)))
    if (subject.fill === undefined) for (const [name, body] of Object.entries(WRITING)) await t.test(name, (t) => body(t, () => open(spaceOf(name), 'write')))
    await t.test('what can not be opened says why', async (t) => {
      for (const [what, store, fault] of (await subject.faults?.(peer)) ?? []) {
        const error = await store.open('write').then(() => undefined, (error: unknown) => error)
        await store.close()
        t.ok(error instanceof StoreError && error.fault === fault, `${what}: ${fault}`, { found: String(error), code: (error as StoreError | undefined)?.fault ?? '' })
        t.ok(error instanceof Error && error.message.length > 20 && !/p@ss|wrong-secret/.test(error.message), 'a sentence, no secret', { message: String(error) })
      }
    })
  })
}

/** A store with entries in it, open, and what became of each of them. */
interface Filled {
  readonly store: Store
  readonly outcomes: readonly WriteOutcome[]
}

type FillStore = (entries: readonly Entry[]) => Promise<Filled>
type OpenStore = (access: StoreAccess) => Promise<Store>

const raw = (key: Buffer | string, value: Buffer | string, expiresAtMs?: number): Entry => ({ db: 0, key: Buffer.from(key as string), form: 'raw', value: Buffer.from(value as string), expiresAtMs })
const ref = (key: Buffer | string): KeyRef => ({ db: 0, key: Buffer.from(key as string) })

async function keysFrom(store: Store, from?: KeyRef): Promise<string[]> {
  const keys: Buffer[] = []
  for await (const page of store.list(from)) keys.push(...page.map((one) => one.key))
  if (!store.traits.ordered) keys.sort((a, b) => a.compare(b))
  return keys.map((key) => key.toString('latin1'))
}

const inOrder = (keys: readonly Buffer[]): string[] => keys.map((key) => ref(key)).sort(compareKeys).map(({ key }) => key.toString('latin1'))

async function writeAll(store: Store, entries: readonly Entry[]): Promise<WriteOutcome[]> {
  const outcomes: WriteOutcome[] = []
  for (let at = 0; at < entries.length; at += store.traits.batchEntriesMax) outcomes.push(...(await store.write(entries.slice(at, at + store.traits.batchEntriesMax), 'replace')))
  return outcomes
}

/** A store may answer for the first of the keys only, and is asked again for the others. */
async function readAll(store: Store, refs: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
  const found: (Entry | EntryError | undefined)[] = []
  while (found.length < refs.length) found.push(...(await store.read(refs.slice(found.length, found.length + store.traits.batchEntriesMax))))
  return found
}

/** Whether what was written has to do for this test; then that it stays as it is. */
async function isFinal(t: Test, store: Store): Promise<boolean> {
  if (store.traits.writable && store.traits.startsOver !== true) return false
  await t.rejects(store.write([raw('late', 'x')], 'replace'), StoreError, 'it takes no more')
  await t.rejects(store.remove([ref('late')]), StoreError, 'and gives nothing away')
  return true
}

const same = (a: Entry | EntryError | undefined, b: Entry): boolean => a !== undefined && !(a instanceof EntryError) && a.key.equals(b.key) && sameEntry(a, b)
const code = (outcome: WriteOutcome | Entry | undefined): string => outcome instanceof EntryError ? outcome.code : typeof outcome === 'string' ? outcome : outcome === undefined ? 'absent' : 'entry'

/** Names that have been somebody's trouble: wildcards, quotes, separators, beginnings of each other, what is no text. */
const ODD_KEYS: readonly Buffer[] = [
  ...['a', 'a!', 'a!/x', 'a/b', 'a/b/c', 'a/b!', 'a/b0', 'a0', 'ab', 'log_x/1', 'logAx/1', 'log%/1', 'logs/1', '50%_off', 'back\\slash', 'back\\\\', "it's", 'say "x"', '`tick`', '$1', '?', '{tag}',
    'new\nline', ' space ', 'tab\t', 'ünïcödé/日本/😀', '\uffee', '😀', 'x.temp', '_a', '_a_', 'core/x', 'Upper/Case', 'upper/case', 'deep/1/2/3/4/5/6/7/8/9', '.hidden', 'null', '-', 'b/', 'b//c', '/d', 'e..f'].map((key) => Buffer.from(key)),
  Buffer.from([0xff]), Buffer.from([0x80, 0x2f, 0xfe]), Buffer.from([0]), Buffer.from('nul\0inside'), Buffer.from([0xc3]), Buffer.from('\r\n'), Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x2f && byte !== 0x2e).slice(0, 200)),
]

const READING: Readonly<Record<string, (t: Test, fill: FillStore, open: OpenStore) => Promise<void>>> = {
  async 'odd keys, their order, and listing from each of them'(t, fill) {
    const entries = ODD_KEYS.map((key, i) => raw(key, `value ${i}`))
    const { store, outcomes } = await fill(entries)
    const kept = entries.filter((_, i) => outcomes[i] === 'written')
    const refused = entries.filter((_, i) => outcomes[i] !== 'written')
    t.same(outcomes.map(code).filter((outcome) => outcome !== 'written' && outcome !== 'unsupported'), [])
    t.ok(kept.length >= 38, `${kept.length} of ${entries.length} kept, not ${refused.map(({ key }) => keyText(key)).join(' ')}`)
    const found = await readAll(store, entries)
    t.same(entries.filter((entry, i) => outcomes[i] === 'written' && !same(found[i], entry)).map(({ key }) => keyText(key)), [], 'each kept key has its value')
    t.same(refused.filter((entry) => found[entries.indexOf(entry)] !== undefined), [], 'what was refused is not there')
    const all = inOrder(kept.map(({ key }) => key))
    t.same(await keysFrom(store), all)
    if (store.traits.ordered) {
      const starts = [...ODD_KEYS, ...['', 'a/', 'a/b/', 'log_', 'log%', 'm', '\uffff', '_'].map((key) => Buffer.from(key)), Buffer.from([0xff, 0xff])]
      for (const start of starts) t.same(await keysFrom(store, ref(start)), all.filter((key) => Buffer.from(key, 'latin1').compare(start) >= 0), `from ${keyText(start)}`)
    }
    if (await isFinal(t, store)) return
    await store.remove([ref('log_x/1'), ref('50%_off'), ref('a')])
    t.same(await keysFrom(store), all.filter((key) => !['log_x/1', '50%_off', 'a'].includes(key)), 'only what was named is gone')
    await store.remove(kept)
    t.same(await keysFrom(store), [])
  },

  async 'ten thousand keys in pages'(t, fill) {
    const keys = Array.from({ length: 10_000 }, (_, i) => Buffer.from(i % 3 === 0 ? `flat-${i}` : `many/${i % 3}/${i % 40}/${i}`))
    const { store, outcomes } = await fill(keys.map((key) => raw(key, key)))
    t.equal(outcomes.filter((outcome) => outcome === 'written').length, keys.length)
    const all = inOrder(keys)
    let listed: string[] = []
    let pages = 0
    let largest = 0
    for await (const page of store.list(undefined)) {
      pages++
      largest = Math.max(largest, page.length)
      listed.push(...page.map(({ key }) => key.toString('latin1')))
    }
    if (!store.traits.ordered) listed = [...new Set(listed)].sort()
    t.ok(listed.length === all.length && listed.every((key, i) => key === all[i]), `all, in order`)
    t.ok(pages > 1 && largest <= 5000, `${pages} pages, the largest of ${largest}`)
    if (store.traits.ordered) {
      t.same((await keysFrom(store, ref(Buffer.from(all[7777], 'latin1')))).length, all.length - 7777)
      t.same(await keysFrom(store, ref('zzz')), [])
    }
    for await (const page of store.list(undefined)) {
      t.ok(page.length > 0)
      break
    }
    const brought: KeyRef[] = []
    for await (const page of store.list(undefined, true)) brought.push(...page)
    t.ok(new Set(brought.map(({ key }) => key.toString('latin1'))).size === keys.length && (!store.traits.ordered || brought.every(({ key }, i) => key.equals(Buffer.from(all[i], 'latin1')))), 'the same, with values')
    t.ok(brought.every((each) => !isEntry(each) || same(each, raw(each.key, each.key))), 'those that came along are right')
    const read = await store.read(keys.slice(5000, 5000 + Math.min(200, store.traits.batchEntriesMax)).map(ref))
    t.ok(read.every((entry, i) => same(entry, raw(keys[5000 + i], keys[5000 + i]))))
    t.same((await readAll(store, [ref('absent'), ref(keys[3]), ref('absent/too'), ref(keys[1])])).map(code), ['absent', 'entry', 'absent', 'entry'], 'in the order asked for')
  },

  async 'closed in the middle, opened again'(t, fill, open) {
    const { store } = await fill(Array.from({ length: 3000 }, (_, i) => raw(`key/${i}`, `${i}`)))
    const pages = store.list(undefined)[Symbol.asyncIterator]()
    t.ok((await pages.next()).done !== true)
    const writing = store.write(Array.from({ length: 50 }, (_, i) => raw(`late/${i}`, 'x')), 'replace').catch((error: unknown) => error)
    await store.close()
    await store.close()
    await writing
    await t.rejects((async () => { while ((await pages.next()).done !== true); throw new StoreError('refused', 'it ended'); })(), StoreError, 'the listing ends')
    await t.rejects(store.read([ref('key/1')]), StoreError)
    await t.rejects(store.write([raw('a', 'b')], 'replace'), StoreError)
    await t.rejects(store.remove([ref('a')]), StoreError)
    const again = await open('read')
    t.ok(same((await again.read([ref('key/7')]))[0], raw('key/7', '7')), 'another store finds what was written')
    t.ok((await keysFrom(again)).length >= 3000)
  },
}

const WRITING: Readonly<Record<string, (t: Test, open: () => Promise<Store>) => Promise<void>>> = {
  async 'empty, then written, read and removed'(t, open) {
    const store = await open()
    t.same(await keysFrom(store), [], 'nothing listed')
    t.same(await store.read([ref('a'), ref('b/c')]), [undefined, undefined], 'nothing there')
    t.same(await store.write([], 'replace'), [])
    await store.remove([])
    for (const finding of (await store.preflight?.('write')) ?? []) t.not(finding.level, 'error', finding.message)
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const entries = [raw('text', 'hello'), raw('empty', ''), raw('bytes', bytes), raw('dir/zeroes', Buffer.alloc(5000)), raw('dir/quotes', `'";\\%_\n`)]
    t.same(await store.write(entries, 'replace'), entries.map(() => 'written'))
    await store.commit?.()
    const found = await store.read([...entries, ref('absent')])
    entries.forEach((entry, i) => t.ok(same(found[i], entry), `${keyText(entry.key)} is as it was`))
    t.equal(found[entries.length], undefined)
    t.same((await store.read([entries[2], ref('absent'), entries[0]])).map(code), ['entry', 'absent', 'entry'], 'in the order asked for')
    t.same(await store.read([]), [])
    const count = await store.count?.()
    t.ok(count === undefined || count >= 0, 'about how many')
    t.ok(store.label.length > 0 && !/p@ss/.test(store.label), store.label)
    if (await isFinal(t, store)) return
    t.same(await store.write([raw('text', 'again')], 'replace'), ['written'])
    t.ok(same((await store.read([ref('text')]))[0], raw('text', 'again')), 'overwritten')
    await store.remove([ref('text'), ref('absent'), ref('dir/zeroes')])
    t.same(await keysFrom(store), inOrder([entries[1].key, entries[2].key, entries[4].key]))
  },

  async 'limits of keys and values'(t, open) {
    const store = await open()
    const { keyBytesMax, valueBytesMax } = store.traits
    if (keyBytesMax < 100_000) {
      const longest = longKey(keyBytesMax)
      t.same((await store.write([raw(longest, 'long'), raw(longKey(keyBytesMax + 1), 'longer')], 'replace')).map(code), ['written', 'too-large'])
      t.ok(same((await store.read([ref(longest)]))[0], raw(longest, 'long')), `a key of ${keyBytesMax} bytes`)
      t.same(await keysFrom(store), [longest.toString('latin1')])
    }
    const size = Math.min(valueBytesMax, 33 << 20)
    const large = Buffer.alloc(size, 'some value that repeats itself ')
    t.same(await store.write([raw('large', large)], 'replace'), ['written'])
    await store.commit?.()
    const [found] = await store.read([ref('large')])
    t.ok(same(found, raw('large', large)), `a value of ${size} bytes`)
    if (size === valueBytesMax) {
      const outcomes = await store.write([raw('before', '1'), raw('larger', Buffer.alloc(size + 1)), raw('after', '2')], 'replace')
      t.same(outcomes.map(code), ['written', 'too-large', 'written'], 'one byte more is refused, its neighbours are not')
      t.match((outcomes[1] as EntryError).message, /larger.*bytes/)
      t.same((await readAll(store, [ref('before'), ref('larger'), ref('after')])).map(code), ['entry', 'absent', 'entry'])
    }
  },

  async 'conflict policies, one outcome each'(t, open) {
    const store = await open()
    await store.write([raw('b', 'old'), raw('d', 'old')], 'replace')
    await store.commit?.()
    if (await isFinal(t, store)) return
    for (const policy of ['skip', 'error'] as const) {
      const entries = ['a', 'b', 'c', 'd', 'e'].map((key) => raw(key, policy))
      t.same(await store.write(entries, policy), ['written', 'exists', 'written', 'exists', 'written'], policy)
      t.same(await store.write([raw('b', policy)], policy), ['exists'])
      t.same(await store.write(entries, policy), entries.map(() => 'exists'))
      t.ok(same((await store.read([ref('b')]))[0], raw('b', 'old')), 'what was there is still there')
      t.ok(same((await store.read([ref('c')]))[0], raw('c', policy)))
      await store.remove(['a', 'c', 'e'].map(ref))
    }
    t.same(await store.write([raw('b', 'new'), raw('x', 'new')], 'replace'), ['written', 'written'])
    t.ok(same((await store.read([ref('b')]))[0], raw('b', 'new')))
  },

  async 'several writers at once'(t, open) {
    const [one, two] = [await open(), await open()]
    const entries = (value: string): Entry[] => Array.from({ length: 100 }, (_, i) => raw(`k/${i}`, value))
    const batches = [0, 1, 2, 3]
    // Of a store that is written as a whole each writer has its own; the one that ends last is what is there.
    if (one.traits.startsOver === true) {
      await Promise.all(batches.map((i) => (i % 2 === 0 ? one : two).write(entries(`w${i}`).slice(50 * (i >> 1), 50 + 50 * (i >> 1)), 'error')))
      await one.commit?.()
      await two.commit?.()
      t.ok((await readAll(one, entries(''))).every((entry, i) => same(entry, raw(`k/${i}`, i < 50 ? 'w0' : 'w2'))), 'the first reads what it wrote')
      t.ok((await readAll(two, entries(''))).every((entry, i) => same(entry, raw(`k/${i}`, i < 50 ? 'w1' : 'w3'))), 'and so does the second')
      return
    }
    const outcomes = await Promise.all(batches.map((i) => (i % 2 === 0 ? one : two).write(i < 2 ? entries(`w${i}`) : entries(`w${i}`).reverse(), 'error')))
    if (one.traits.createsAtomically) {
      const winners = Array.from({ length: 100 }, (_, i) => batches.filter((w) => outcomes[w][w < 2 ? i : 99 - i] === 'written'))
      t.ok(winners.every((won) => won.length === 1), 'each key was created once')
      const found = await one.read(entries(''))
      t.ok(found.every((entry, i) => same(entry, raw(`k/${i}`, `w${winners[i][0]}`))), 'with the value of who created it')
    }
    const replaced = await Promise.all(batches.map((i) => (i % 2 === 0 ? one : two).write(i < 2 ? entries(`r${i}`) : entries(`r${i}`).reverse(), 'replace')))
    t.ok(replaced.flat().every((outcome) => outcome === 'written'), 'all may overwrite')
    await Promise.all([one.remove(entries('')), two.remove(entries('')), two.write([raw('k/deep/er', 'stays')], 'replace')])
    t.same(await keysFrom(one), ['k/deep/er'], 'removing beside a writer')
  },

  async 'types, expiry times and databases, where it keeps them'(t, open) {
    const store = await open()
    const { typed, expiry, databases } = store.traits
    const list = encodePayload({ type: 'list', encoding: 'quicklist', nodes: [{ packed: false, data: Buffer.from('element') }] })
    const types: Entry[] = typed ? [{ ...raw('list', list), form: 'dump' }, { ...raw('string', encodePayload({ type: 'string', bytes: Buffer.from('text') })), form: 'dump' }] : []
    const expiring = expiry ? [raw('expiring', 'x', 4_000_000_000_000)] : []
    const elsewhere = databases ? [{ ...raw('here', 'one'), db: 1 }, { ...raw('here', 'two'), db: 2 }] : []
    const all = [...types, ...expiring, ...elsewhere]
    t.same(await store.write(all, 'replace'), all.map(() => 'written'))
    await store.commit?.()
    const found = await readAll(store, all)
    for (const [i, entry] of all.entries()) {
      const back = found[i]
      t.ok(back !== undefined && !(back instanceof EntryError) && back.db === entry.db && sameEntry(back, entry, store.traits.expiryToleranceMs ?? 0), `${keyText(entry.key)} of database ${entry.db}`)
    }
    if (databases) t.same((await readAll(store, [{ db: 2, key: Buffer.from('here') }, { db: 3, key: Buffer.from('here') }, { db: 0, key: Buffer.from('here') }])).map(code), ['entry', 'absent', 'absent'])
    t.pass(`typed ${typed}, expiry ${expiry}, databases ${databases}`)
  },
}

/** A key of so many bytes in segments of at most 200, none of which compresses. */
function longKey(bytes: number): Buffer {
  const key = Buffer.alloc(bytes)
  for (let i = 0, state = 12345; i < bytes; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    key[i] = i % 201 === 200 && i < bytes - 1 ? 0x2f : 0x61 + ((state >>> 16) % 26)
  }
  return key
}
