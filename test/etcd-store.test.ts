/**
 * The stores etcd2 (v2 keys of a data directory and of the live API), etcd (v3) and consul.
 *
 * The oracle is Debian's etcd 3.4: its data directories (fixtures, with what etcdctl migrate made of them and what the v2
 * API showed before), and a server that each test starts. Consul can not be installed here: its tests talk to a strict
 * stub of the documented API (consul-stub.ts), which shows that we keep to the documentation, not that Consul does.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { crc32c } from '../protocol/crc32c.js'
import { backend as consul } from '../src/backends/consul/index.js'
import type { EtcdStore } from '../src/backends/etcd/store.js'
import { backend as etcd } from '../src/backends/etcd/index.js'
import { backend as etcd2 } from '../src/backends/etcd2/index.js'
import { Etcd2Store } from '../src/backends/etcd2/store.js'
import { transform } from '../src/backends/etcd2/transformer.js'
import { backendOfType, backendOfUrl } from '../src/backends/index.js'
import { Clock } from '../src/clock.js'
import { Random } from '../src/random.js'
import { EntryError, keyText, StoreError, type Entry, type Finding, type KeyRef, type Store } from '../src/transfer/store.js'
import { ConsulStub } from './consul-stub.js'
import { field, request, WalWriter } from './etcd-wal-writer.js'
import { start } from './migrations.js'
import { skipWithoutEtcd, startEtcd } from './peers-etcd.js'

const FIXTURES = fileURLToPath(new URL('../../test/fixtures/etcd2/', import.meta.url))
/** Shortly after the fixtures were made; their long times to live are an hour. */
const THEN_MS = Date.parse('2026-11-20T17:41:00Z')

class StoppedClock extends Clock {
  constructor(readonly atMs: number) {
    super()
    this.nowMs = atMs
  }

  override refresh(): number {
    return this.atMs
  }
}

const json = (name: string): unknown => JSON.parse(gunzipSync(readFileSync(path.join(FIXTURES, `${name}.json.gz`))).toString('utf8')) as unknown

function temporary(t: Test): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-etcd2-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A fixture's data directory, its log cut behind its records (they are 64 MB of zeros). */
function unpack(t: Test, name: string): string {
  const folder = temporary(t)
  execFileSync('tar', ['-xzSf', path.join(FIXTURES, `${name}.tgz`), '-C', folder])
  const wal = path.join(folder, 'data/member/wal')
  for (const file of readdirSync(wal)) truncateSync(path.join(wal, file), 1 << 20)
  return path.join(folder, 'data')
}

function storeOf(dataDir: string, { nowMs = THEN_MS, includeHidden = false, noTtl = false, uncommitted = false } = {}): Etcd2Store {
  return new Etcd2Store(`etcd2:${dataDir}`, { dir: { dataDir, walDir: undefined, uncommitted } }, { includeHidden, noTtl }, new StoppedClock(nowMs))
}

async function entriesOf(store: Store): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>()
  for await (const page of store.list(undefined)) {
    for (const entry of await store.read(page)) if (entry !== undefined && !(entry instanceof EntryError)) entries.set(entry.key.toString('latin1'), entry)
  }
  return entries
}

const valuesOf = async (store: Store): Promise<Record<string, string>> => Object.fromEntries([...await entriesOf(store)].map(([key, entry]) => [key, entry.value.toString('latin1')]))

const codes = (findings: readonly Finding[]): string[] => findings.map(({ code, level }) => `${level} ${code}`)

const ref = (key: string | Buffer): KeyRef => ({ db: 0, key: Buffer.from(key as string) })
const raw = (key: string | Buffer, value: string | Buffer, expiresAtMs?: number): Entry => ({ ...ref(key), form: 'raw', value: Buffer.from(value as string), expiresAtMs })

const outcome = (result: unknown): unknown => (result instanceof EntryError ? `${result.code}: ${result.message}` : result)

const b64 = (text: string): string => Buffer.from(text, 'base64').toString('latin1')

t.test('crc32c', (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  t.equal(crc32c(Buffer.from('6789'), crc32c(Buffer.from('12345'))), 0xe3069283, 'continued')
  t.equal(crc32c(Buffer.alloc(0)), 0)
  t.end()
})

interface EtcdctlKey { key: string; value?: string; create_revision: number; mod_revision: number }

for (const name of ['v2', 'v2snap']) {
  t.test(`${name}: what etcdctl migrate makes of a data directory, and each of its faults corrected`, async (t) => {
    const dir = unpack(t, `${name}-before`)
    const files = (): unknown => (readdirSync(dir, { recursive: true }) as string[]).map((file) => {
      const stat = statSync(path.join(dir, file))
      return [file, stat.mtimeMs, stat.size, stat.ino, stat.isFile() ? crc32c(readFileSync(path.join(dir, file))) : 0]
    })
    const before = files()
    const store = storeOf(dir)
    await store.open('read')
    const ours = await entriesOf(store)
    const theirs = new Map((json(`${name}-after.get`) as { kvs: EtcdctlKey[] }).kvs.map((kv) => [b64(kv.key), kv]))
    // Native v3 keys are in the same answer; they are no v2 keys.
    for (const key of theirs.keys()) if (!key.startsWith('/') || key.startsWith('/v3/')) theirs.delete(key)
    const wrong = [...theirs].filter(([key, kv]) => {
      const our = ours.get(key)
      const found = store.find(Buffer.from(key, 'latin1'))
      return our === undefined || our.value.toString('latin1') !== b64(kv.value ?? '') || found?.createdIndex !== kv.create_revision || found.modifiedIndex !== kv.mod_revision
    }).map(([key]) => key)
    t.same(wrong.filter((key) => !key.includes('short')), ['/bin'], 'values and indexes are the same, but for the value that is no text')
    t.same([...ours.keys()].filter((key) => !theirs.has(key)), [], 'and nothing else')
    t.same(ours.get('/bin')?.value, Buffer.from('0001fffe62696e', 'hex'), 'non-UTF-8 bytes are as they were (etcdctl: EF BF BD)')

    t.equal(ours.get('/ttl/long')?.expiresAtMs !== undefined, true, 'a time to live is kept (etcdctl: a permanent key)')
    t.ok((ours.get('/ttl/long')?.expiresAtMs as number) > THEN_MS && (ours.get('/ttl/long')?.expiresAtMs as number) < THEN_MS + 3600_000)
    t.ok(Math.abs((ours.get('/ttldir/child')?.expiresAtMs as number) - (ours.get('/ttl/long')?.expiresAtMs as number)) < 2000, 'a directory\'s is inherited')
    t.notOk(ours.has('/ttl/short') || ours.has('/ttldirshort/child'), 'an expired one is gone (etcdctl: back for ever)')
    t.same([...ours.keys()].filter((key) => key.includes('_hid')), [], 'hidden ones are left out')
    const findings = await store.preflight()
    t.same(codes(findings).sort(), ['info directories', 'info expired-keys', 'info expiring-keys', 'warning hidden-keys'].sort())
    t.match(findings.find(({ code }) => code === 'hidden-keys')?.message, /^2 hidden keys/)
    t.equal(await store.count(), ours.size)
    await t.rejects(store.write(), /only a source/)

    const all = storeOf(dir, { includeHidden: true })
    await all.open('read')
    const hidden = [...(await entriesOf(all))].filter(([key]) => !ours.has(key)).map(([key, { value }]) => `${key}=${value.toString()}`)
    t.same(hidden, ['/_hidden/x=hid1', '/dir/_hid2=hid2'], 'hidden keys are carried when asked')
    const lasting = storeOf(dir, { noTtl: true })
    await lasting.open('read')
    t.same([...ours.keys()].filter((key) => !placed(lasting, key)), ['/ttl/long', '/ttldir/child'], 'no_ttl leaves out what expires, by a directory too')
    const later = storeOf(dir, { nowMs: THEN_MS + 7200_000 })
    await later.open('read')
    t.notOk(placed(later, '/ttl/long') || placed(later, '/ttldir/child'), 'two hours later it has expired')
    t.same(files(), before, 'nothing in the source has changed')
  })
}

function placed(store: Etcd2Store, key: string): boolean {
  return store.find(Buffer.from(key, 'latin1')) !== undefined
}

interface TreeNode { key?: string; value?: string; dir?: boolean; nodes?: TreeNode[]; createdIndex?: number; modifiedIndex?: number; expiration?: string }

for (const name of ['v2snap', 'v2expired']) {
  t.test(`${name}: the tree that the v2 API showed`, async (t) => {
    const store = storeOf(unpack(t, `${name}-before`), { nowMs: THEN_MS - 3600_000 })
    await store.open('read')
    const expected: string[] = []
    const walk = (node: TreeNode): void => {
      if (node.dir !== true) expected.push(`${Buffer.from(node.key as string).latin1Slice()} ${node.createdIndex} ${node.modifiedIndex} ${node.key === '/bin' ? '' : Buffer.from(node.value as string).latin1Slice()}`)
      for (const child of node.nodes ?? []) walk(child)
    }
    walk((json(`${name}-before.v2tree`) as { node: TreeNode }).node)
    // The server of the second one went on until it had removed these.
    if (name === 'v2expired') expected.splice(0, Infinity, ...expected.filter((line) => !line.includes('short')))
    const ours = [...(await entriesOf(store)).values()].map(({ key, value }) => {
      const found = store.find(key)
      return `${key.latin1Slice()} ${found?.createdIndex} ${found?.modifiedIndex} ${key.toString() === '/bin' ? '' : value.latin1Slice()}`
    })
    t.same(ours, expected.sort((a, b) => (a.slice(0, a.indexOf(' ')) < b.slice(0, b.indexOf(' ')) ? -1 : 1)))
  })
}

t.test('snapshots: an older one when the newest is damaged, from the log alone when all are, and what is lost said', async (t) => {
  const dir = unpack(t, 'v2snap-before')
  const whole = storeOf(dir)
  await whole.open('read')
  const expected = await valuesOf(whole)
  const snap = path.join(dir, 'member/snap')
  const names = readdirSync(snap).filter((name) => name.endsWith('.snap')).sort()
  for (const [i, name] of names.reverse().entries()) {
    const bytes = readFileSync(path.join(snap, name))
    bytes[1000 + i] ^= 1
    writeFileSync(path.join(snap, name), bytes)
    const store = storeOf(dir)
    await store.open('read')
    t.same(await valuesOf(store), expected, `${i + 1} damaged`)
    const passed = (await store.preflight()).filter(({ code }) => code === 'snapshot-passed-over')
    t.equal(passed.length, i + 1)
    t.match(passed[0].message, names[0])
  }
  // A log that begins after its snapshot.
  const wal = new WalWriter(0x40)
  t.teardown(() => rmSync(wal.folder, { recursive: true, force: true }))
  wal.snapshotRecord(0x3f, 2)
  wal.put('/later', 'x')
  wal.commit()
  wal.save()
  await t.rejects(storeOf(wal.folder).open('read'), { fault: 'corrupt', message: /begins at entry 64, and .* has no snapshot/ })
  wal.snapshot(0x3f, 2, JSON.stringify({ CurrentIndex: 9, Root: node('/', { 1: node('/1', { 'bad\ufffd': node('/1/bad', undefined, 'a\ufffdb') }) }) }).replaceAll('\ufffd', '\\ufffd'))
  const store = storeOf(wal.folder)
  await store.open('read')
  t.same(await valuesOf(store), { [Buffer.from('/bad\ufffd').latin1Slice()]: Buffer.from('a\ufffdb').latin1Slice(), '/later': 'x' })
  t.equal(store.find(Buffer.from('/later'))?.createdIndex, 10, 'the index goes on from the snapshot\'s')
  t.same(codes(await store.preflight()), ['warning lossy-values'])
  wal.snapshot(0x3f, 2, '{"Root":{"Children":{"1":7}},"CurrentIndex":1}')
  await t.rejects(storeOf(wal.folder).open('read'), { fault: 'corrupt', message: /no snapshot can be used: .*0002-000000000000003f\.snap: its node '1' is none/ })
})

function node(at: string, children: Record<string, unknown> | undefined, value = ''): Record<string, unknown> {
  return { Path: at, CreatedIndex: 1, ModifiedIndex: 1, ExpireTime: '0001-01-01T00:00:00Z', Value: value, Children: children ?? null }
}

t.test('replay: every rule that moves the index', async (t) => {
  const wal = new WalWriter()
  t.teardown(() => rmSync(wal.folder, { recursive: true, force: true }))
  const member = field(4, '{"id":10,"peerURLs":["http://x"]}')
  wal.entry(Buffer.concat([field(1, 1), field(2, 0), field(3, 10), member]), { type: 1 }) // 1
  wal.entry(Buffer.concat([field(1, 1), field(2, 0), field(3, 10), member]), { type: 1 }) // a member twice: nothing
  wal.entry(request({ method: 'PUT', path: '/0/members/a/attributes', value: '{"name":"x"}' })) // 2
  wal.entry(request({ method: 'PUT', path: '/0/members/b/attributes', value: '{}' })) // unknown member: nothing
  wal.entry(request({ method: 'PUT', path: '/0/version', value: '3.4.0' })) // 3
  wal.entry(Buffer.alloc(0)) // a new leader's
  wal.put('/a', '1') // 4
  wal.put('/a', '2') // 5, created anew
  wal.put('/a', '3', { prevExist: true }) // 6, updated
  wal.put('/a', '4', { prevExist: false }) // exists: nothing
  wal.put('/none', '4', { prevExist: true }) // is not there: nothing
  wal.put('/a', '5', { prevValue: '3' }) // 7
  wal.put('/a', '6', { prevValue: '3' }) // differs: nothing
  wal.put('/a', '7', { prevIndex: 7, prevExist: true }) // 8
  wal.put('/a/b', 'x') // under a file: nothing
  wal.put('/d/e', 'x') // 9
  wal.put('/d', 'x') // on a directory: nothing
  wal.entry(request({ method: 'POST', path: '/1/q', value: 'first' })) // 10
  wal.entry(field(2, request({ method: 'POST', path: '/1/q', value: Buffer.from([0xff, 0]) }))) // 11, wrapped
  wal.entry(field(3, Buffer.concat([field(1, '/v3')]))) // a v3 range: nothing
  wal.entry(request({ method: 'QGET', path: '/1/a' })) // a read: nothing
  wal.entry(request({ method: 'DELETE', path: '/1/d' })) // a directory, not as one: nothing
  wal.entry(request({ method: 'DELETE', path: '/1/d', dir: true })) // not empty: nothing
  wal.entry(request({ method: 'DELETE', path: '/1/d', recursive: true })) // 12
  wal.entry(request({ method: 'DELETE', path: '/1/a', prevValue: 'no' })) // differs: nothing
  wal.entry(request({ method: 'DELETE', path: '/1', recursive: true })) // the root: nothing
  wal.put('/t', 'x', { expiresNs: 2_000_000_000_000_000_005n }) // 13
  wal.put('/t', '', { expiresNs: 2_000_000_000_000_000_009n, refresh: true, prevExist: true }) // 14, keeps its value
  wal.put('/old', 'x', { expiresNs: 5n }) // 15, before 2000: for ever
  wal.put('/td', '', { dir: true, expiresNs: 2_000_000_000_000_000_001n }) // 16
  wal.put('/td/x', '1', { expiresNs: 2_000_000_000_000_000_002n }) // 17
  wal.put('/ts', '1', { expiresNs: 2_000_000_000_000_000_003n }) // 18
  wal.entry(request({ method: 'SYNC', timeNs: 2_000_000_000_000_000_003n })) // 19 /td with /td/x in it, 20 /ts
  wal.put('//x/./y/../z/', 'cleaned') // 21
  wal.entry(field(1300, field(1, '3.5.0'))) // 22, how 3.5 sets the version
  wal.entry(field(1301, Buffer.concat([field(1, 10), field(2, '')]))) // 23
  wal.entry(Buffer.concat([field(1, 1), field(2, 1), field(3, 10)]), { type: 1 }) // 24 and 25: removed
  wal.put('/\xfe', 'last') // 26, a name that is not UTF-8
  wal.entry(request({ method: 'PUT', path: '/2/users/root', value: '{}' })) // 27
  wal.commit()
  wal.save()
  const store = storeOf(wal.folder)
  await store.open('read')
  const keys = [...(await entriesOf(store)).values()].map(({ key, value, expiresAtMs }) => {
    const { createdIndex, modifiedIndex } = store.find(key) as { createdIndex: number; modifiedIndex: number }
    return `${keyText(key)} ${value.toString('latin1')} ${createdIndex} ${modifiedIndex} ${expiresAtMs ?? '-'}`
  })
  t.same(keys, [
    '/a 7 5 8 -',
    '/old x 15 15 -',
    '/q/00000000000000000010 first 10 10 -',
    '/q/00000000000000000011 \xff\0 11 11 -',
    '/t x 13 14 2000000000001',
    '/x/z cleaned 21 21 -',
    '"/\\xfe" last 26 26 -',
  ])
  t.same(codes(await store.preflight()), ['warning v2-users', 'info expiring-keys', 'info directories'])
})

t.test('the log: several files, what is not committed, what replaced it, and what is missing', async (t) => {
  const folders: string[] = []
  t.teardown(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))
  const make = (): WalWriter => {
    const wal = new WalWriter()
    folders.push(wal.folder)
    for (let i = 1; i <= 30; i++) {
      wal.put(`/k${i}`, String(i))
      if (i % 3 === 0) wal.commit()
      if (i % 10 === 0) wal.cut()
    }
    return wal
  }
  const wal = make()
  wal.put('/k31', 'lost')
  wal.put('/k32', 'lost')
  wal.entry(request({ method: 'PUT', path: '/1/k31', value: 'kept' }), { index: 31, term: 3 })
  wal.commit()
  wal.entry(request({ method: 'PUT', path: '/1/k33', value: 'hangs' }), { term: 3 })
  wal.save()
  const store = storeOf(wal.folder)
  await store.open('read')
  const values = await valuesOf(store)
  t.equal(Object.keys(values).length, 31)
  t.equal(values['/k31'], 'kept', 'a later entry of the same index replaces what was not committed')
  t.match(await store.preflight(), [{ code: 'uncommitted-entries', message: /^entry 32 of the log is not .* left out; .* have it, uncommitted = "true" takes it$/ }])
  const counted = new WalWriter()
  folders.push(counted.folder)
  counted.put('/dir/_hidden', '1')
  counted.put('/soon', '1', { expiresNs: BigInt(THEN_MS + 1000) * 1_000_000n })
  counted.put('/gone', '1', { expiresNs: BigInt(THEN_MS - 1000) * 1_000_000n })
  counted.commit()
  counted.save()
  const single = storeOf(counted.folder)
  await single.open('read')
  t.same((await single.preflight()).map(({ message }) => message.split(/[,:;] | \(/)[0]), ['1 hidden key', '1 key has expired', '1 key will expire', '1 directory is no key in v3'])
  const all = storeOf(wal.folder, { uncommitted: true })
  await all.open('read')
  t.equal((await valuesOf(all))['/k33'], 'hangs', 'uncommitted entries when asked')
  const alone = new WalWriter()
  folders.push(alone.folder)
  alone.entry(Buffer.concat([field(1, 1), field(2, 0), field(3, 10)]), { type: 1 })
  alone.put('/a', '1')
  alone.commit()
  alone.put('/a', '2')
  alone.save()
  const one = storeOf(alone.folder)
  await one.open('read')
  t.same(await valuesOf(one), { '/a': '2' }, 'the only member has committed what it has written')
  const page: string[] = []
  for await (const refs of store.list(ref('/k30'))) page.push(...refs.map(({ key }) => key.toString()))
  t.same(page, ['/k30', '/k31', '/k4', '/k5', '/k6', '/k7', '/k8', '/k9'], 'a listing from a key on')
  t.same(await store.read([ref('/k1'), ref('/nothing')]).then((read) => read.map((entry) => (entry as Entry | undefined)?.value.toString())), ['1', undefined])

  const log = path.join(wal.folder, 'member/wal')
  const names = readdirSync(log).sort()
  rmSync(path.join(log, names[1]))
  await t.rejects(storeOf(wal.folder).open('read'), { fault: 'corrupt', message: `the write-ahead log in ${log} has a gap: ${names[0]} is followed by ${names[2]}` })
  const cut = make().folder
  truncateSync(path.join(cut, 'member/wal', names[1]), 300)
  await t.rejects(storeOf(cut).open('read'), { fault: 'corrupt', message: /0001-000000000000000b\.wal at offset \d+: the file ends within a record, and it is not the last one \(read up to there: entries to 1\d/ })
  const other = make()
  other.save()
  const first = path.join(other.folder, 'member/wal', names[0])
  copyFileSync(path.join(make().folder, 'member/wal', names[0]), first)
  const bytes = readFileSync(first)
  bytes[bytes.indexOf('/k5')] ^= 1
  writeFileSync(first, bytes)
  await t.rejects(storeOf(other.folder).open('read'), { fault: 'corrupt', message: /0000-0000000000000000\.wal at offset \d+: a record's checksum is 0x\w{8} and its bytes give 0x\w{8} \(read up to there: entries to 4, of which those to 3 are committed; v2 index 3\)/ }, 'a checksum')
})

t.test('the log and snapshots damaged anywhere: a plain answer, never a crash', async (t) => {
  const seed = Number(process.env['SEED'] ?? 20261120)
  const random = new Random(seed)
  const dir = unpack(t, 'v2snap-before')
  const store = storeOf(dir)
  await store.open('read')
  const whole = await valuesOf(store)
  const [log] = readdirSync(path.join(dir, 'member/wal')).map((name) => path.join(dir, 'member/wal', name))
  const sound = readFileSync(log)
  let used = sound.length
  while (sound[used - 1] === 0) used--
  const tail = sound.subarray(0, (used + 1024) & ~7)
  const snap = path.join(dir, 'member/snap')
  const newest = path.join(snap, readdirSync(snap).filter((name) => name.endsWith('.snap')).sort().at(-1) as string)
  const soundSnapshot = readFileSync(newest)
  for (let i = 0; i < 60; i++) {
    const bytes = Buffer.from(soundSnapshot)
    const at = i % 3 === 0 ? random.below(60) : random.below(bytes.length)
    bytes[at] ^= 1 << random.below(8)
    writeFileSync(newest, i % 3 === 1 ? bytes.subarray(0, at) : bytes)
    const other = storeOf(dir)
    await other.open('read')
    if (!codes(await other.preflight()).includes('warning snapshot-passed-over') || JSON.stringify(await valuesOf(other)) !== JSON.stringify(whole)) t.fail(`seed ${seed}: snapshot damaged at ${at}`)
  }
  // Without snapshots everything comes from the log.
  for (const name of readdirSync(snap)) rmSync(path.join(snap, name))
  const counts = { same: 0, fewer: 0, corrupt: 0 }
  const attempt = async (bytes: Buffer, at: number, what: string): Promise<void> => {
    writeFileSync(log, bytes)
    const damaged = storeOf(dir)
    try {
      await damaged.open('read')
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== 'corrupt') return void t.fail(`seed ${seed}: ${what}`, { error })
      const named = Number(/at offset (\d+): /.exec(error.message)?.[1] ?? NaN)
      if (!(named <= at || /no snapshot|begins at entry/.test(error.message))) t.fail(`seed ${seed}: ${what} is said to be at ${named}: ${error.message}`)
      counts.corrupt++
      return
    }
    const values = await valuesOf(damaged)
    if (Object.entries(values).every(([key, value]) => whole[key] === value) && Object.keys(values).length === Object.keys(whole).length) counts.same++
    else if (codes(await damaged.preflight()).includes('warning torn-log')) counts.fewer++
    // Cut right behind a record it is a whole log, only a shorter one.
    else if (what.startsWith('cut')) counts.same++
    else t.fail(`seed ${seed}: ${what} changes the keys without a word`)
  }
  for (let i = 0; i < 250; i++) {
    const bytes = Buffer.from(tail)
    const at = random.below(used)
    bytes[at] ^= 1 << random.below(8)
    await attempt(bytes, at, `bit flipped at ${at}`)
  }
  t.ok(counts.corrupt > 240, `flipped bits are found: ${JSON.stringify(counts)}`)
  for (let i = 0; i < 60; i++) {
    const at = 1 + random.below(used - 1)
    await attempt(tail.subarray(0, at), at, `cut at ${at}`)
  }
  for (let i = 0; i < 60; i++) {
    const bytes = Buffer.from(tail)
    const at = random.below(used - 8)
    if (random.below(2) === 0) bytes.fill(0, at, Math.min(used - 1, at + 1 + random.below(2000)))
    else bytes.fill(0xff, at, at + 8)
    await attempt(bytes, at + 2000, `overwritten at ${at}`)
  }
  t.ok(counts.fewer > 30, `a torn end is told: ${JSON.stringify(counts)}`)
  writeFileSync(log, tail)
  t.teardown(() => t.comment(`seed ${seed}`, counts))
})

t.test('nothing to read', async (t) => {
  const wal = new WalWriter()
  t.teardown(() => rmSync(wal.folder, { recursive: true, force: true }))
  wal.save()
  const store = storeOf(wal.folder)
  await store.open('read')
  t.match(await store.preflight(), [{ code: 'empty-source', level: 'error', message: /has no v2 key at all/ }], 'no v2 key is an error (etcdctl: exit 0)')
  await store.close()
  t.throws(() => store.find(Buffer.from('/a')), /is not open/)
  const folder = temporary(t)
  await t.rejects(storeOf(folder).open('read'), { fault: 'absent', message: /member\/wal does not exist; data_dir must be/ })
  mkdirSync(path.join(folder, 'member/wal'), { recursive: true })
  await t.rejects(storeOf(folder).open('read'), { fault: 'usage', message: /holds no write-ahead log/ })
  await t.rejects(storeOf(folder).open('write'), /only a source/)
})

t.test('a transformer program, as etcdctl runs one', async (t) => {
  const store = storeOf(unpack(t, 'v2-before'))
  await store.open('read')
  const folder = temporary(t)
  const program = (name: string, code: string): string => {
    const file = path.join(folder, name)
    writeFileSync(file, `#!${process.execPath}\n${code}`, { mode: 0o755 })
    return file
  }
  const untold: string[] = []
  const options = { includeHidden: false, noTtl: false, nowMs: THEN_MS, idleMs: 20_000, onUntold: (key: Buffer, what: string) => void untold.push(`${keyText(key)} ${what}`) }
  const run = async (file: string, idleMs = options.idleMs, noTtl = false): Promise<string[]> => {
    const keys: string[] = []
    for await (const { key, value, lease } of transform(file, store.places(), { ...options, idleMs, noTtl })) keys.push(`${key.toString('latin1')}=${value.toString('latin1').slice(0, 20)} ${lease}`)
    return keys
  }
  // Turns every file into a key and drops directories, as etcdctl's own does; writes byte by byte what it says of /foo.
  const good = program('good', `
    let text = ''
    process.stdin.setEncoding('utf8').on('data', (chunk) => { text += chunk }).on('end', () => {
      const varint = (n) => { const out = []; for (; n > 127; n = Math.floor(n / 128)) out.push(n % 128 | 128); return Buffer.from([...out, n]) }
      const bytes = (n, b) => Buffer.concat([Buffer.from([n * 8 + 2]), varint(b.length), b])
      for (const node of JSON.parse('[' + text.replaceAll('}{', '},{') + ']')) {
        if (node.dir) continue
        const kv = Buffer.concat([bytes(1, Buffer.from(node.key)), Buffer.from([16, node.createdIndex]), bytes(5, Buffer.from(node.value)), Buffer.from([48, node.ttl > 0 ? 9 : 0])])
        const head = Buffer.alloc(8); head.writeBigInt64LE(BigInt(kv.length))
        process.stdout.write(head); process.stdout.write(kv)
      }
    })`)
  const keys = await run(good)
  t.same(untold, ['/bin value'], 'a value that is no text is not given as one')
  const ours = [...(await entriesOf(store))].filter(([key]) => key !== '/bin').map(([key, { value }]) => `${key}=${value.toString('latin1').slice(0, 20)} ${key === '/ttl/long' ? 9 : 0}`)
  t.same(keys.sort(), ours.sort())
  const lasting = storeOf(unpack(t, 'v2-before'), { noTtl: true })
  await lasting.open('read')
  t.same((await run(good, options.idleMs, true)).map((key) => key.split('=')[0]).sort(), [...(await entriesOf(lasting)).keys()].filter((key) => key !== '/bin').sort(), 'without what will expire')
  await t.rejects(run(path.join(folder, 'none')), { fault: 'missing', message: /can not be run/ })
  await t.rejects(run(program('bad', 'process.stderr.write("no such thing"); process.exit(3)')), { fault: 'refused', message: /ended with code 3: no such thing/ })
  await t.rejects(run(program('half', 'process.stdout.write(Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 1])); process.stdin.resume()')), { fault: 'refused', message: /ended within a message/ })
  await t.rejects(run(program('huge', 'process.stdout.write(Buffer.alloc(8, 0x7f)); process.stdin.resume()')), { fault: 'refused', message: /announces a message of \d+ bytes/ })
  await t.rejects(run(program('junk', 'process.stdout.write(Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0x0a, 99])); process.stdin.resume()')), { fault: 'refused', message: /no KeyValue/ })
  await t.rejects(run(program('sleep', 'setInterval(() => {}, 1000)'), 300), { fault: 'refused', message: /did nothing for 300 ms/ })
})

t.test('what is no text does not come damaged from a transformer: it is an error of its key', async (t) => {
  const wal = new WalWriter()
  t.teardown(() => rmSync(wal.folder, { recursive: true, force: true }))
  for (const [key, value] of [['/text', '\ufffd'], ['/bytes', Buffer.from([0xff])], ['/\xfe', 'x'], ['/\xfedir/key', 'x']] as const) wal.put(key, value)
  wal.commit()
  wal.save()
  // One key of each file node, called as it is: a head, the key and the value, all shorter than 128 bytes.
  const program = path.join(wal.folder, 'program')
  writeFileSync(program, `#!${process.execPath}
    let text = ''
    process.stdin.setEncoding('utf8').on('data', (chunk) => { text += chunk }).on('end', () => {
      for (const { key, value, dir } of JSON.parse('[' + text.replaceAll('}{', '},{') + ']')) {
        if (dir) continue
        const [name, content] = [Buffer.from(key), Buffer.from(value)]
        process.stdout.write(Buffer.concat([Buffer.from([name.length + content.length + 4, 0, 0, 0, 0, 0, 0, 0, 10, name.length]), name, Buffer.from([42, content.length]), content]))
      }
    })`, { mode: 0o755 })
  const store = await opened(t, etcd2.create({ data_dir: wal.folder, transformer: program }), 'read')
  const keys: KeyRef[] = []
  for await (const page of store.list(undefined)) keys.push(...page)
  const found = (await store.read(keys)).map((entry, i) => `${keyText(keys[i].key)}: ${entry instanceof EntryError ? `${entry.code} ${entry.message.split(',')[0]}` : entry?.value.toString()}`)
  t.same(found, ['/bytes: unsupported its value is not UTF-8', '/text: \ufffd', '"/\\xfe": unsupported its name is not UTF-8', '"/\\xfedir/key": unsupported its name is not UTF-8'])
  t.equal(await store.count?.(), 4)
})

/** What the v2 API of a server is told to do: `PUT /path?query body`. */
async function v2(address: string, method: string, at: string, form?: string): Promise<{ node?: { key: string; createdIndex: number } }> {
  const response = await fetch(`${address}/v2/keys${at}`, { method, ...(form === undefined ? {} : { body: form, headers: { 'content-type': 'application/x-www-form-urlencoded' } }) })
  return await response.json() as { node?: { key: string; createdIndex: number } }
}

async function opened<T extends Store>(t: Test, store: T, access: 'read' | 'write' = 'write'): Promise<T> {
  await store.open(access)
  t.teardown(() => store.close())
  return store
}

const v3 = (t: Test, url: string): Promise<EtcdStore> => opened(t, etcd.create(etcd.fromUrl(url)) as EtcdStore)

t.test('a running etcd: its v2 keys live and from its files, into a live v3 store', { skip: skipWithoutEtcd() }, async (t) => {
  const peer = await startEtcd({ args: ['--snapshot-count', '25'] })
  t.teardown(() => peer.stop())
  const target = await v3(t, peer.url)
  // Native v3 keys, where etcdctl would have put its revisions.
  const native = Array.from({ length: 40 }, (_, i) => raw(`/native/${i}`, `n${i}`))
  t.same(new Set(await target.write(native, 'error')), new Set(['written']))
  await target.write([raw('/a', 'of v3')], 'replace')

  for (const [at, form] of [['/a', 'value=1'], ['/a', 'value=2'], ['/dir/b', 'value=x'], ['/dir/_hid/c', 'value=h'], ['/bin', 'value=%00%01%FE%FF'], ['/uni/%D0%BA', 'value=%D0%B7'],
    ['/ttl', 'value=t&ttl=3000'], ['/soon', 'value=s&ttl=1'], ['/ttldir', 'dir=true&ttl=2000'], ['/ttldir/x/y', 'value=in'], ['/empty', 'dir=true'], ['/a', 'value=3&prevExist=true'], ['/dir-b', 'value=order'],
    ['/r%FFaw', 'value=name']] as const)
    await v2(peer.address, 'PUT', at, form)
  const job = await v2(peer.address, 'POST', '/queue', 'value=job')
  await v2(peer.address, 'PUT', '/gone', 'value=x')
  await v2(peer.address, 'DELETE', '/gone')
  for (let i = 0; i < 60; i++) await v2(peer.address, 'PUT', `/bulk/k${i}`, `value=v${i}`)
  await v2(peer.address, 'PUT', '/bin2', 'value=%80tail')
  await new Promise((resolve) => setTimeout(resolve, 1600))

  const offline = await opened(t, etcd2.create(etcd2.fromUrl(`etcd2:${peer.dataDir}?include_hidden=true`)) as Etcd2Store, 'read')
  const live = await opened(t, (await backendOfUrl('etcd2+http://x')).create(etcd2.fromUrl(`etcd2+${peer.address}`)) as Etcd2Store, 'read')
  const files = await entriesOf(offline)
  const shown = await entriesOf(live)
  t.ok(readdirSync(path.join(peer.dataDir, 'member/snap')).filter((name) => name.endsWith('.snap')).length > 1, 'there are snapshots')
  t.same([...shown.values()].filter(({ key, value, expiresAtMs }) => {
    const found = offline.find(key)
    const same = live.find(key)
    return found?.createdIndex !== same?.createdIndex || found?.modifiedIndex !== same?.modifiedIndex || found?.expiresAtMs !== expiresAtMs || found?.value !== value.latin1Slice()
  }).map(({ key }) => keyText(key)), ['/bin', '/bin2', keyText(Buffer.from('/r\ufffdaw'))], 'live and offline are the same, but where JSON has no bytes')
  t.equal(files.size, shown.size + 1, 'and the hidden one')
  t.same(files.get('/bin')?.value, Buffer.from([0, 1, 0xfe, 0xff]))
  t.same(files.get('/bin2')?.value, Buffer.from('\x80tail', 'latin1'))
  t.ok(files.has('/r\xffaw'), 'a name that is not UTF-8')
  t.same(files.get('/dir/_hid/c')?.value.toString(), 'h')
  t.notOk(files.has('/soon') || files.has('/gone'))
  t.same(files.get(job.node?.key ?? '')?.value.toString(), 'job')
  t.same(codes(await live.preflight()).filter((code) => /lossy|hidden/.test(code)), ['info hidden-keys', 'warning lossy-values'])

  const entries = [...files.values()]
  const outcomes = await target.write(entries, 'skip')
  t.same(entries.filter((_, i) => outcomes[i] !== 'written').map(({ key }) => key.toString()), ['/a'], 'a key of v3 is left alone')
  const copy = await target.read(entries)
  t.same(entries.filter(({ value }, i) => copy[i]?.value.equals(value) !== true).map(({ key }) => key.toString()), ['/a'], 'all values have arrived')
  t.equal((await target.read([ref('/a')]))[0]?.value.toString(), 'of v3')
  t.same((await target.read(native)).map((entry) => entry?.value.toString()), native.map(({ value }) => value.toString()), 'no v3 key is destroyed (etcdctl: five of six)')
  for (const key of ['/ttl', '/ttldir/x/y']) {
    const [there] = await target.read([ref(key)])
    t.ok(Math.abs((there?.expiresAtMs ?? 0) - (files.get(key)?.expiresAtMs ?? NaN)) < 1500, `${key} expires when it did`)
  }
  t.same((await target.read([ref('/dir/b')]))[0]?.expiresAtMs, undefined)

  await v2(peer.address, 'PUT', '/last', 'value=acknowledged')
  await peer.end('SIGKILL')
  const crashed = await opened(t, etcd2.create({ data_dir: peer.dataDir, include_hidden: 'true' }) as Etcd2Store, 'read')
  t.same([...(await entriesOf(crashed)).keys()].filter((key) => key !== '/last'), [...files.keys()], 'the same after a crash')
  t.equal(crashed.find(Buffer.from('/last'))?.value, 'acknowledged', 'with the last write')
  await t.rejects(etcd2.create({ address: peer.address }).open('read'), { fault: 'unreachable', message: /does not answer/ })
})

t.test('etcd as source and target', { skip: skipWithoutEtcd() }, async (t) => {
  const peer = await startEtcd()
  t.teardown(() => peer.stop())
  const store = await v3(t, peer.url)
  const bytes = [Buffer.from([0]), Buffer.from([0, 0]), Buffer.from([0xff]), Buffer.from([0xff, 0xff, 0]), Buffer.from('a'), Buffer.from('a/b'), Buffer.from('a-b'), Buffer.from('\u00e4')]
  t.same(await store.count(), 0)
  t.same(codes(await store.preflight('write')), ['info version'])
  t.same(await store.write(bytes.map((key) => raw(key, Buffer.concat([key, Buffer.from([0xfe])]))), 'error'), bytes.map(() => 'written'))
  const listed = async (from?: KeyRef, of: Store = store): Promise<string[]> => {
    const keys: string[] = []
    for await (const page of of.list(from)) keys.push(...page.map(({ key }) => key.toString('hex')))
    return keys
  }
  const sorted = [...bytes].sort((a, b) => a.compare(b)).map((key) => key.toString('hex'))
  t.same(await listed(), sorted, 'any bytes, in order')
  t.same(await listed(ref('a-b')), sorted.slice(sorted.indexOf('612d62')), 'from a key on, which is included')
  t.same(await listed(ref('a.')), sorted.slice(sorted.indexOf('612d62') + 1))
  t.same((await store.read([...bytes.map((key) => ref(key)), ref('none'), ref('')])).map((entry) => entry?.value.length), [...bytes.map(({ length }) => length + 1), undefined, undefined])

  t.test('policies, refusals, and keys that come twice', async (t) => {
    t.same(await store.write([raw('a', '2'), raw('new1', 'x'), raw('a/b', '2')], 'skip'), ['exists', 'written', 'exists'])
    t.same(await store.write([raw('a', '2'), raw('new2', 'x')], 'error'), ['exists', 'written'])
    t.same(await store.write([raw('a', '2'), raw('a', '3'), raw('new3', 'x'), raw('new3', 'y')], 'replace'), ['written', 'written', 'written', 'written'])
    t.same(await store.write([raw('new4', 'first'), raw('new4', 'second')], 'skip'), ['written', 'exists'])
    t.same((await store.read([ref('a'), ref('new3'), ref('new4')])).map((entry) => entry?.value.toString()), ['3', 'y', 'first'])
    t.same((await store.write([raw('', 'x'), { ...raw('d', 'x'), form: 'dump' }, raw('ok', ''), raw('big', Buffer.alloc(1536 * 1024))], 'replace')).map(outcome), [
      `unsupported: etcd 127.0.0.1:${peer.port} takes no empty key; give it a path`,
      `unsupported: d is no string; etcd 127.0.0.1:${peer.port} keeps bytes only`,
      'written',
      `too-large: big and its value have 1572867 bytes; etcd 127.0.0.1:${peer.port} takes 1572352, of them 1571328 for a value (--max-request-bytes of etcd)`,
    ])
    t.equal((await store.read([ref('ok')]))[0]?.value.length, 0)
    const large = Array.from({ length: 12 }, (_, i) => raw(`large/${i}`, Buffer.alloc(1_500_000, i)))
    t.same(new Set(await store.write(large, 'error')), new Set(['written']), 'values near the limit')
    const read = await store.read(large)
    t.ok(large.every(({ value }, i) => read[i]?.value.equals(value)), '18 MB in one read, fetched in parts')
    await store.remove([...large, ref('none'), ref('')])
    t.same((await store.read(large)).filter((entry) => entry !== undefined), [])
    // Two writers: each key has one who made it.
    const same = Array.from({ length: 300 }, (_, i) => raw(`race/${i}`, 'x'))
    const results = await Promise.all([store.write(same, 'skip'), store.write(same, 'skip'), store.write(same, 'skip')])
    t.ok(same.every((_, i) => results.filter((result) => result[i] === 'written').length === 1), 'created once')
  })

  t.test('leases: one for each second, the time kept, a dead one renewed', async (t) => {
    const leases = async (): Promise<number> => ((await store.gateway.call<{ leases?: unknown[] }>('/lease/leases', '{}', true)).leases ?? []).length
    const at = Date.now() + 600_000
    const entries = Array.from({ length: 500 }, (_, i) => raw(`ttl/${String(i).padStart(3, '0')}`, 'x', Math.floor(at / 1000) * 1000 + (i % 5) * 1000 - (i % 7)))
    await store.write(entries, 'replace')
    t.equal(await leases(), 5)
    const read = await store.read(entries)
    t.ok(entries.every(({ expiresAtMs }, i) => Math.abs((read[i]?.expiresAtMs ?? 0) - (expiresAtMs as number)) < 2000))
    for (const { ID } of (await store.gateway.call<{ leases: { ID: string }[] }>('/lease/leases', '{}', true)).leases) await store.gateway.call('/lease/revoke', JSON.stringify({ ID }), true)
    t.equal((await store.read(entries)).filter((entry) => entry !== undefined).length, 0)
    t.same(new Set(await store.write(entries, 'error')), new Set(['written']), 'the leases it knew are gone, and made again')
    await store.write([raw('ttl/past', 'x', Date.now() - 5000)], 'replace')
    for (let tries = 0; tries < 100 && (await store.read([ref('ttl/past')]))[0] !== undefined; tries++) await new Promise((resolve) => setTimeout(resolve, 100))
    t.same(await store.read([ref('ttl/past')]), [undefined], 'what is past its time does not stay')
  })

  t.test('a listing of many pages, at one revision, and over a compaction', async (t) => {
    const many = Array.from({ length: 3500 }, (_, i) => raw(`many/${String(i).padStart(5, '0')}`, 'x'))
    await store.write(many, 'replace')
    const sparse = many.filter((_, i) => i % 300 === 0)
    t.ok((await store.read([ref('zzz'), ...sparse, ref('many')])).slice(1, -1).every((entry, i) => entry?.key.equals(sparse[i].key)), 'keys far apart')
    const keys: string[] = []
    for await (const page of store.list(ref('many/'))) {
      if (keys.length === 0) await store.write([raw('many/00500x', 'late'), raw('many/03400x', 'late')], 'replace')
      keys.push(...page.map(({ key }) => key.toString()))
    }
    t.same(keys.filter((key) => key.startsWith('many/')), many.map(({ key }) => key.toString()), 'what is written meanwhile is not seen')
    const again: string[] = []
    for await (const page of store.list(ref('many/'))) {
      if (again.length === 0) {
        await store.write([raw('many/03401x', 'later')], 'replace')
        const { header } = await store.gateway.call<{ header: { revision: string } }>('/kv/range', '{"key":"AA=="}', true)
        await store.gateway.call('/kv/compaction', JSON.stringify({ revision: header.revision, physical: true }), true)
      }
      again.push(...page.map(({ key }) => key.toString()))
    }
    t.equal(again.filter((key) => key.startsWith('many/')).length, many.length + 3, 'it goes on with what there is')
    t.equal(store.listingRestarts, 1)
  })

  t.test('Vault\'s layout', async (t) => {
    const vault = await v3(t, `${peer.url}/vault`)
    t.equal(vault.traits.vaultLayout, true)
    await vault.write([raw('core/a', '1'), raw('sys/b', '2')], 'error')
    await store.write([raw('/vault0', 'other'), raw('/vaul', 'other')], 'replace')
    t.same(await listed(undefined, vault), ['core/a', 'sys/b'].map((key) => Buffer.from(key).toString('hex')))
    t.equal(await vault.count(), 2)
    t.equal((await store.read([ref('/vault/core/a')]))[0]?.value.toString(), '1')
    const stanza = await opened(t, etcd.create({ address: `${peer.address},http://127.0.0.1:1`, path: 'vault', etcd_api: 'v3', sync: 'no' }))
    t.same((await stanza.read([ref('sys/b')])).map((entry) => (entry as Entry).value.toString()), ['2'])
    const failing = await opened(t, etcd.create({ address: `http://127.0.0.1:1,${peer.address}` }))
    t.equal((await failing.read([ref('sys/b')])).length, 1, 'an address that does not answer is passed over')
  })
})

t.test('an etcd 3.2, played by a newer one', { skip: skipWithoutEtcd() }, async (t) => {
  const peer = await startEtcd()
  t.teardown(() => peer.stop())
  const bodies: string[] = []
  let failures = 0
  // Only /v3alpha, an old version, and now and then no leader.
  const old = http.createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece)).on('end', () => {
      const body = Buffer.concat(pieces).toString()
      bodies.push(body)
      const answer = (status: number, text: string): void => void response.writeHead(status).end(text)
      if (request.url?.startsWith('/v3alpha/') !== true) return answer(404, '404 page not found')
      if (failures-- > 0) return answer(503, '{"error":"etcdserver: no leader","code":14}')
      void fetch(`${peer.address}${request.url.replace('/v3alpha/', '/v3/')}`, { method: 'POST', body }).then(async (reply) => answer(reply.status, (await reply.text()).replace('"version":"3.4.23"', '"version":"3.2.18"')))
    })
  })
  await new Promise<void>((done) => old.listen(0, '127.0.0.1', done))
  t.teardown(() => old.close())
  const store = await opened(t, etcd.create({ address: `127.0.0.1:${(old.address() as { port: number }).port}`, path: '' }) as EtcdStore)
  t.match((await store.preflight('read'))[0].message, /is etcd 3\.2\.18/)
  t.same(await store.write([raw('a', '1'), raw('b', '1')], 'error'), ['written', 'written'])
  t.same(await store.write([raw('a', '2'), raw('c', '2')], 'skip'), ['exists', 'written'])
  t.notOk(bodies.some((body) => body.includes('request_txn') || body.includes('"range_end":"Yg')), 'a request per key, without what came with 3.3')
  failures = 2
  t.same((await store.read([ref('a'), ref('c')])).map((entry) => (entry as Entry).value.toString()), ['1', '2'], 'a leader is waited for')
  failures = 1
  await t.rejects(store.write([raw('d', '1')], 'error'), { fault: 'unreachable', message: /without a leader/ }, 'what may have happened is not done again')
  failures = 9
  await t.rejects(store.read([ref('a')]), { fault: 'unreachable', message: /no leader/ })
  failures = 0
  old.closeAllConnections()
})

t.test('etcd: who may, over what, and who is not there', { skip: skipWithoutEtcd() }, async (t) => {
  const peer = await startEtcd({ tls: true, args: ['--auth-token', 'simple'] })
  t.teardown(() => peer.stop())
  await t.rejects(etcd.create(etcd.fromUrl(peer.url)).open('read'), { fault: 'denied', message: /no TLS with .*check tls_ca_file/ })
  const store = await v3(t, `${peer.url}?tls_skip_verify=true`)
  await store.write([raw('a', '1')], 'error')
  for (const [call, body] of [['/auth/user/add', { name: 'root', password: 'secret' }], ['/auth/user/grant', { user: 'root', role: 'root' }], ['/auth/enable', {}]] as const) await store.gateway.call(call, JSON.stringify(body), false)
  await t.rejects(store.read([ref('a')]), { fault: 'denied', message: /check username and password/ })
  const other = `etcds://root:wrong@127.0.0.1:${peer.port}?tls_skip_verify=true`
  const denied = await etcd.create(etcd.fromUrl(other)).open('read').then(() => undefined, (error: StoreError) => error)
  t.equal(denied?.fault, 'denied')
  t.notMatch(String(denied?.message), /wrong/, 'no password in a message')
  const mine = await v3(t, `etcds://root:secret@127.0.0.1:${peer.port}?tls_skip_verify=true`)
  t.notMatch(mine.label, /secret/)
  t.equal((await mine.read([ref('a')]))[0]?.value.toString(), '1')
  const ca = path.join(peer.dataDir, 'fixtures/client/cert.pem')
  const trusting = await v3(t, `etcds://root:secret@127.0.0.1:${peer.port}?tls_ca_file=${encodeURIComponent(ca)}`)
  t.equal((await trusting.read([ref('a')]))[0]?.value.toString(), '1')

  const steps = [['/auth/role/add', { name: 'readers' }], ['/auth/role/grant', { name: 'readers', perm: { permType: 'READ', key: Buffer.from('a').toString('base64'), range_end: Buffer.from('z').toString('base64') } }],
    ['/auth/user/add', { name: 'reader', password: 'r' }], ['/auth/user/grant', { user: 'reader', role: 'readers' }]] as const
  for (const [call, body] of steps) await mine.gateway.call(call, JSON.stringify(body), false)
  const reader = await v3(t, `etcds://reader:r@127.0.0.1:${peer.port}?tls_skip_verify=true`)
  t.equal((await reader.read([ref('a')]))[0]?.value.toString(), '1')
  for (const policy of ['error', 'replace'] as const) await t.rejects(reader.write([raw('core/migration', 'x')], policy), { fault: 'denied', message: /permission denied.*user's roles/ })

  const web = http.createServer((_, response) => response.end('<html>'))
  await new Promise<void>((done) => web.listen(0, '127.0.0.1', done))
  t.teardown(() => web.close())
  const { port } = web.address() as { port: number }
  await t.rejects(etcd.create({ address: `127.0.0.1:${port}` }).open('read'), { fault: 'refused', message: /no JSON; is that address etcd's\?/ })
  await t.rejects(etcd2.create({ address: `http://127.0.0.1:${port}` }).open('read'), { fault: 'refused', message: /no v2 answer/ })
  await t.rejects(etcd.create({ address: '127.0.0.1:1' }).open('read'), { fault: 'unreachable', message: /does not answer: 127\.0\.0\.1:1: connect ECONNREFUSED/ })
  web.removeAllListeners('request').on('request', () => undefined)
  await t.rejects(etcd.create({ address: `127.0.0.1:${port}`, request_timeout: '200ms' }).open('read'), { fault: 'unreachable', message: /no answer within 200 ms/ })
  web.closeAllConnections()
})

t.test('options', async (t) => {
  const usage = (make: () => unknown, message: RegExp): void => void t.throws(make, { fault: 'usage', message })
  usage(() => etcd.create({ etcd_api: 'v2' }), /only v3 is left/)
  usage(() => etcd.create({ address: 'ftp://x' }), /no http:\/\/ or https:\/\/ address: 'ftp:\/\/x'/)
  usage(() => etcd.create({ request_timeout: 'soon' }), /must be a time like 5s/)
  usage(() => etcd.create({ tls_ca_file: '/nowhere/ca.pem' }), /names \/nowhere\/ca\.pem, which can not be read/)
  usage(() => etcd2.create({}), /needs either the option 'data_dir' or the option 'address'/)
  usage(() => etcd2.create({ data_dir: 'x', no_ttl: 'perhaps' }), /must be true or false/)
  usage(() => etcd2.create({ address: 'http://x', include_hidden: 'true' }), /'include_hidden' .* needs a data directory/)
  usage(() => consul.create({ scheme: 'ftp' }), /must be http or https/)
  t.same(etcd2.fromUrl('etcd2:./a/dir?no_ttl=1'), { data_dir: './a/dir', no_ttl: '1' })
  t.same(etcd2.fromUrl('etcd2:///abs/dir'), { data_dir: '/abs/dir' })
  t.same(etcd.fromUrl('etcd://a,b:99/p/q'), { address: 'http://a:2379,http://b:99', path: '/p/q' })
  t.same(etcd.fromUrl('etcds://u:p%40@h/'), { address: 'https://h:2379', path: '', username: 'u', password: 'p@' })
  t.same(consul.fromUrl('consuls://:tok@h/vault'), { address: 'h:8500', scheme: 'https', path: '/vault', token: 'tok' })
  for (const type of ['etcd', 'etcd2', 'consul']) t.equal((await backendOfType(type)).type, type)
})

t.test('consul, against a strict stub of its documented API', async (t) => {
  const stub = new ConsulStub('the-token')
  const port = await stub.start()
  t.teardown(() => stub.stop())
  const store = await opened(t, consul.create({ address: `127.0.0.1:${port}`, token: 'the-token' }))
  t.same(await store.preflight?.('write'), [])
  const keys = ['b', 'a/b', 'a-b', 'a//b', 'sp ace', '\u00e4/\u65e5', 'q"uo\\te', 'a/', 'x?y#z%41']
  t.same(await store.write(keys.map((key) => raw(key, key === 'b' ? '' : Buffer.from([0, 255, key.length]))), 'error'), keys.map(() => 'written'))
  t.ok(stub.keys.has('vault/a//b'), 'under Vault\'s path')
  const listed: string[] = []
  for await (const page of store.list(undefined)) listed.push(...page.map(({ key }) => key.toString()))
  t.same(listed, keys.map((key) => Buffer.from(key)).sort((a, b) => a.compare(b)).map(String), 'in the order of bytes')
  const from: string[] = []
  for await (const page of store.list(ref('q'))) from.push(...page.map(({ key }) => key.toString()))
  t.same(from, listed.slice(listed.indexOf('q"uo\\te')))
  t.same((await store.read([...keys.map(ref), ref('none'), ref(Buffer.from([0xff]))])).map((entry) => (entry as Entry | undefined)?.value.length), [0, 3, 3, 3, 3, 3, 3, 3, 3, undefined, undefined])
  t.same(await store.write([raw('b', 'x'), raw('c', 'x'), raw('c', 'y'), raw('a/b', 'x')], 'skip'), ['exists', 'written', 'exists', 'exists'])
  t.same(await store.write([raw('c', '1'), raw('c', '2')], 'replace'), ['written', 'written'])
  t.same((await store.read([ref('c')])).map((entry) => (entry as Entry).value.toString()), ['2'])
  t.same((await store.write([raw(Buffer.from([0xff]), 'x'), { ...raw('d', 'x'), form: 'dump' }, raw('big', Buffer.alloc(512 * 1024 + 1)), raw('fits', Buffer.alloc(512 * 1024, 7)), raw('a//fits', Buffer.alloc(512 * 1024))], 'replace')).map((result) => (result instanceof EntryError ? result.code : result)),
    ['unsupported', 'unsupported', 'too-large', 'written', 'too-large'])
  t.equal(stub.keys.get('vault/fits')?.value.length, 512 * 1024, 'a value too large for a transaction goes alone')
  t.same(await store.write([raw('fits', Buffer.alloc(500_000)), raw('fits2', Buffer.alloc(500_000))], 'error'), ['exists', 'written'])

  const many = Array.from({ length: 300 }, (_, i) => raw(`many/${i}`, Buffer.alloc(20_000, i)))
  stub.requests.length = 0
  t.same(new Set(await store.write(many, 'skip')), new Set(['written']))
  t.ok(stub.requests.length > 15 && stub.requests.length < 20, `within the limit of a transaction: ${stub.requests.length} requests`)
  const read = await store.read(many)
  t.ok(many.every(({ value }, i) => (read[i] as Entry).value.equals(value)))
  await store.remove([...many, ref('none')])
  t.same([...stub.keys.keys()].filter((key) => key.includes('many')), [])
  t.match(await store.preflight?.('write'), [{ code: 'target-not-empty' }])
  t.same(stub.outlawed, [], 'nothing was asked that is not in the documentation')

  const denied = await consul.create({ address: `127.0.0.1:${port}`, token: 'wrong' }).open('read').then(() => undefined, (error: StoreError) => error)
  t.match(denied, { fault: 'denied', message: /check the token/ })
  t.notMatch(String(denied?.message), /wrong/)
  const strong = await opened(t, consul.create({ address: `127.0.0.1:${port}`, path: '', token: 'the-token', consistency_mode: 'strong' }))
  t.same((await strong.read([ref('vault/c')])).map((entry) => (entry as Entry).value.toString()), ['2'])
  t.match(stub.requests.at(-1), /\/v1\/txn\?consistent/)
  t.same(stub.outlawed, [])
})

t.test('consul that lets nobody write: a source without a lock, and no destination', async (t) => {
  const names = ['a', 'b/c', 'empty', 'sp ace/\u00e4?x#y%41', 'd//e']
  for (const readOnly of ['token', 'http'] as const) {
    const stub = new ConsulStub('the-token', readOnly)
    const port = await stub.start()
    t.teardown(() => stub.stop())
    for (const name of names) stub.keys.set(`vault/${name}`, { value: Buffer.from(name === 'empty' ? '' : `v${name}`), createIndex: 1, modifyIndex: 1 })
    const url = `consul://127.0.0.1:${port}/vault`
    const target = mkdtempSync(path.join(tmpdir(), 'keyferry-consul-'))
    t.teardown(() => rmSync(target, { recursive: true, force: true }))
    const token = { CONSUL_HTTP_TOKEN: 'the-token' }
    t.match(await start(['--exclude=d//*', '--verify=full', url, `file:${target}`], undefined, token), { status: 0, out: /written +4.*no difference/s, err: /\[WARN\] +consul .* is read without a lock, for its user may not write one/ })
    t.match(await start([`file:${target}`, url], undefined, token), { status: 2, err: /^keyferry migrate: consul .*: (Permission denied|Access is restricted).*check the token/m })
    const store = await opened(t, consul.create({ address: `127.0.0.1:${port}`, token: 'the-token', consistency_mode: 'strong' }), 'read')
    t.same((await store.read([...names, 'none'].map(ref))).map((entry) => (entry instanceof EntryError ? entry.code : entry?.value.toString())),
      ['va', 'vb/c', '', 'vsp ace/\u00e4?x#y%41', readOnly === 'http' ? 'unsupported' : 'vd//e', undefined])
    t.same([...stub.keys.keys()].sort(), names.map((name) => `vault/${name}`).sort())
    t.same(stub.outlawed, [])
  }
})
