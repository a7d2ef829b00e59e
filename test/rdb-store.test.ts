/**
 * RDB files and append-only files as a store. What is read from files of every version is what a real server makes of the same file, and real
 * servers load what is written. Damage is told with its place; a file is replaced as a whole or not at all.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { encodePayload } from '../protocol/rdb/encode.js'
import { storeOfType, storeOfUrl } from '../src/cli/stores.js'
import { EntryError, StoreError, compareKeys, type Entry, type KeyRef, type Store, type StoreAccess } from '../src/transfer/store.js'
import type { RespClient } from './client.js'
import { skipWithout, startPeer, type Peer } from './peers.js'

interface Vectors {
  files: Record<string, { file: string }>
  legacy: Record<string, { file: string, results: Record<string, number | string> }>
}

const vectors = JSON.parse(brotliDecompressSync(readFileSync(fileURLToPath(new URL('../../test/vectors/files.json.br', import.meta.url)))).toString()) as Vectors
const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-rdb-store-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Writes a file of the vectors and gives its path. */
function fileOf(name: string): string {
  const { file } = vectors.files[name] ?? vectors.legacy[name]
  return written(`${name}.rdb`, Buffer.from(file, 'hex'))
}

function written(name: string, bytes: Buffer | string): string {
  const target = path.join(folder, name)
  writeFileSync(target, bytes)
  return target
}

async function opened(url: string, access: StoreAccess): Promise<Store> {
  const backend = await storeOfUrl(url)
  const store = backend.create(backend.fromUrl(url))
  await store.open(access)
  return store
}

async function keysOf(store: Store): Promise<KeyRef[]> {
  const keys: KeyRef[] = []
  for await (const page of store.list(undefined)) keys.push(...page)
  return keys
}

/** All entries of a file in the order of their keys, and what could not be read. */
async function entriesOf(url: string): Promise<{ entries: Entry[], errors: EntryError[] }> {
  const store = await opened(url, 'read')
  try {
    const found = await store.read((await keysOf(store)).sort(compareKeys))
    return { entries: found.filter((entry) => entry !== undefined && !(entry instanceof EntryError)) as Entry[], errors: found.filter((entry) => entry instanceof EntryError) }
  } finally {
    await store.close()
  }
}

async function writeAll(url: string, entries: readonly Entry[]): Promise<(string | EntryError)[]> {
  const store = await opened(url, 'write')
  try {
    const outcomes = await store.write(entries, 'replace')
    await store.commit?.()
    return outcomes
  } finally {
    await store.close()
  }
}

async function fault(run: () => Promise<unknown>): Promise<StoreError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof StoreError) return error
    throw error
  }
  throw new Error('no error')
}

// ------------------------------------------------------------------------------------------------ real servers

async function server(t: Test, name: 'redis' | 'valkey'): Promise<[Peer, RespClient]> {
  const peer = await startPeer(name, { config: { 'enable-debug-command': 'yes', 'sanitize-dump-payload': 'yes', 'save': '' } })
  const client = await peer.client()
  t.teardown(async () => {
    client.close()
    await peer.stop()
  })
  return [peer, client]
}

/** What a server holds after loading a file: its digest, or how it refused. */
async function digestOfFile([peer, client]: [Peer, RespClient], file: string): Promise<string> {
  writeFileSync(path.join(peer.folder, 'dump.rdb'), readFileSync(file))
  const loaded = await client.text('DEBUG', 'RELOAD', 'NOSAVE')
  return loaded === '+OK' ? client.text('DEBUG', 'DIGEST') : loaded
}

async function digestOfEntries([, client]: [Peer, RespClient], entries: readonly Entry[]): Promise<string> {
  await client.text('FLUSHALL')
  let db = -1
  for (const entry of entries) {
    if (entry.db !== db) await client.text('SELECT', (db = entry.db))
    const reply = await client.text('RESTORE', entry.key, entry.expiresAtMs ?? 0, entry.value, 'ABSTTL')
    if (reply !== '+OK') return `${entry.key.toString('latin1')}: ${reply}`
  }
  await client.text('SELECT', 0)
  return client.text('DEBUG', 'DIGEST')
}

for (const [peerName, column] of [['redis', 'redis7'], ['valkey', 'valkey8']] as const) {
  t.test(`${peerName} makes of every file what the store reads from it`, { skip: skipWithout(peerName) }, async (t) => {
    const real = await server(t, peerName)
    const newest = peerName === 'redis' ? 'redis7' : /^(redis7|valkey8)/
    // Both are asked for: only Redis 7.0 takes an aux field that is nonsense to Valkey and to us.
    const legacy = Object.keys(vectors.legacy).filter((name) => [column, 'valkey8'].every((other) => typeof vectors.legacy[name].results[other] === 'number'))
    const ofServers = Object.keys(vectors.files).filter((name) => name.match(newest) !== null && !name.includes('lp16383'))
    let files = 0
    for (const name of [...legacy, ...ofServers]) {
      const file = fileOf(name)
      const { entries, errors } = await entriesOf(`rdb:${file}`)
      t.same(errors, [], name)
      t.equal(await digestOfEntries(real, entries), await digestOfFile(real, file), name)
      files++
    }
    t.ok(files > 15, `${files} files`)
  })

  t.test(`${peerName} loads what is written`, { skip: skipWithout(peerName) }, async (t) => {
    const real = await server(t, peerName)
    const source = peerName === 'redis' ? 'redis7-default' : 'valkey8-default'
    const { entries } = await entriesOf(`rdb:${fileOf(source)}`)
    const wanted = await digestOfEntries(real, entries)
    for (const query of peerName === 'redis' ? ['version=9', 'version=10', 'version=10&compress=no'] : ['version=9', 'version=10', 'version=11', 'version=11&compress=no']) {
      const target = path.join(folder, 'written.rdb')
      const outcomes = await writeAll(`rdb:${target}?${query}`, entries)
      t.same(outcomes.filter((outcome) => outcome !== 'written'), [], query)
      t.equal(await digestOfFile(real, target), wanted, query)
    }
  })
}

// ------------------------------------------------------------------------------------------------ reading

t.test('entries carry database, key, expiry and a payload of a version that servers take', async (t) => {
  const { entries } = await entriesOf(`rdb:${fileOf('redis7-default')}`)
  t.ok(new Set(entries.map((entry) => entry.db)).size > 1, 'several databases')
  t.ok(entries.some((entry) => entry.expiresAtMs !== undefined && entry.expiresAtMs > 1_700_000_000_000), 'absolute expiry')
  t.ok(entries.every((entry) => entry.form === 'dump' && entry.value.readUInt16LE(entry.value.length - 10) <= 10))
  const old = await entriesOf(`rdb:${fileOf('v4_all')}`)
  t.ok(old.entries.some((entry) => entry.value[0] === 13), 'the type byte of the file stays where servers know it')
})

t.test('fields that expire keep the version that can say so', async (t) => {
  for (const [name, version] of [['redis8-default', 12], ['valkey9-default', 80]] as const) {
    const { entries } = await entriesOf(`rdb:${fileOf(name)}`)
    t.same([...new Set(entries.map((entry) => entry.value.readUInt16LE(entry.value.length - 10)))].sort((a, b) => a - b), [11, version], name)
  }
})

t.test('reading by name alone, by places of another file, and what is not there', async (t) => {
  const store = await opened(`rdb:${fileOf('valkey8-default')}`, 'read')
  t.teardown(() => store.close())
  const keys = await keysOf(store)
  t.equal(await store.count?.(), keys.length)
  const known = await store.read(keys)
  t.same(await store.read(keys.map(({ db, key }) => ({ db, key }))), known.map((entry) => entry), 'by name')
  t.same(await store.read(keys.map(({ db, key }, i) => ({ db, key, at: i * 7 }))), known, 'by wrong places')
  t.same(await store.read([{ db: 0, key: Buffer.from('no such key') }, { db: 99, key: keys[0].key, at: 999_999_999 }]), [undefined, undefined])
  t.same((await store.read([...keys].reverse())).reverse(), known, 'in any order')
})

t.test('findings: what is in the file beside keys', async (t) => {
  const store = await opened(`rdb:${fileOf('valkey9-default')}`, 'read')
  const findings = (await store.preflight?.('read')) ?? []
  t.same(findings.map(({ code, level }) => `${level} ${code}`), ['info rdb-file', 'warning functions-not-copied'])
  t.match(findings[0].message, /RDB version 80, written by valkey 9\.1\.2, saved 20\d\d-/)
  await store.close()
  const modules = await opened(`rdb:${fileOf('v9_module_aux')}`, 'read')
  t.match(await modules.preflight?.('read'), [{ code: 'rdb-file' }, { code: 'module-data-not-copied' }])
  await modules.close()
  const { errors } = await entriesOf(`rdb:${fileOf('v9_module2')}`)
  t.match(errors, [{ code: 'unsupported', message: /the record at byte 11/ }])
})

t.test('collections without elements are left out, as servers do', async (t) => {
  const { entries, errors } = await entriesOf(`rdb:${fileOf('v9_empty_keys')}`)
  t.same([entries.map((entry) => entry.key.toString()), errors], [['ok'], []])
})

t.test('damage is told with its place, after the keys before it', async (t) => {
  const told = async (name: string): Promise<string> => {
    const store = await opened(`rdb:${fileOf(name)}`, 'read')
    const keys: KeyRef[] = []
    const error = await fault(async () => {
      for await (const page of store.list(undefined)) keys.push(...page)
    })
    await store.close()
    return `${keys.length} ${error.fault}: ${error.message.replace(/rdb:\S*\//, '')}`
  }
  t.equal(await told('v9_truncated'), '4 corrupt: v9_truncated.rdb is damaged in the record at byte 46: the data ends too early; 4 keys were read up to there')
  t.equal(await told('v5_crc_bad'), '6 corrupt: v5_crc_bad.rdb is damaged in the record at byte 70: wrong checksum of an RDB file; 6 keys were read up to there')
  t.equal(await told('v9_type_30'), '0 corrupt: v9_type_30.rdb cannot be read from byte 11 on, it is damaged or of a newer server: unknown type 30; 0 keys were read up to there')
  t.equal(await told('v99'), '0 usage: v99.rdb cannot be read: RDB version 99 cannot be read (RDB versions 1 to 12 and 80 can)')
  t.match(await told('magic_bad'), /^0 usage: .* wrong signature/)
  const broken = await opened(`rdb:${fileOf('v99')}`, 'read')
  t.match(await broken.preflight?.('read'), [{ code: 'rdb-damaged', level: 'error' }])
  await broken.close()
})

t.test('every cut and many a flipped byte of a file: keys, or damage with a place, nothing else', async (t) => {
  const whole = Buffer.from(vectors.legacy['v5_crc'].file, 'hex')
  for (let size = 0; size < whole.length; size++) {
    const store = await opened(`rdb:${written('cut.rdb', whole.subarray(0, size))}`, 'read')
    const error = await fault(() => keysOf(store))
    if (error.fault !== 'corrupt') t.fail(`${size} bytes: ${error.message}`)
    await store.close()
  }
  for (let at = 9; at < whole.length; at += 3) {
    const flipped = Buffer.from(whole)
    flipped[at] ^= 0x55
    const store = await opened(`rdb:${written('flipped.rdb', flipped)}`, 'read')
    const keys: KeyRef[] = []
    const error = await fault(async () => {
      for await (const page of store.list(undefined)) keys.push(...page)
    })
    await store.read(keys)
    if (!/at byte \d+|from byte \d+/.test(error.message)) t.fail(`byte ${at}: ${error.message}`)
    await store.close()
  }
})

t.test('an append-only file that begins as an RDB file is not taken for one', async (t) => {
  const file = written('preamble.aof', Buffer.concat([Buffer.from(vectors.legacy['v5_crc'].file, 'hex'), Buffer.from('*1\r\n$4\r\nPING\r\n')]))
  const store = await opened(`rdb:${file}`, 'read')
  t.match(await fault(() => keysOf(store)), { fault: 'usage', message: /goes on with commands at byte 198: it is an append-only file/ })
  await store.close()
  t.equal((await entriesOf(`rdb:${fileOf('v9_trailing_garbage')}`)).entries.length, 6, 'anything else behind the end is left alone')
})

// ------------------------------------------------------------------------------------------------ writing

const text = (key: string, value = `value of ${key}`, db = 0): Entry => ({ db, key: Buffer.from(key), form: 'raw', value: Buffer.from(value), expiresAtMs: undefined })

t.test('a file of every version reads back as it was', async (t) => {
  const { entries } = await entriesOf(`rdb:${fileOf('valkey9-default')}`)
  for (const version of [9, 10, 11, 12, 80]) {
    const target = `rdb:${path.join(folder, `v${version}.rdb`)}`
    const outcomes = await writeAll(`${target}?version=${version}`, entries)
    const refused = outcomes.filter((outcome) => outcome instanceof EntryError)
    t.equal(refused.length, version >= 12 ? 0 : 2, `${version}: hashes whose fields expire`)
    t.ok(refused.every((error) => error instanceof EntryError && error.code === 'unsupported' && /expiry of hash field/.test(error.message)))
    const back = await entriesOf(target)
    t.same(back.errors, [])
    t.equal(back.entries.length, entries.length - refused.length)
    t.same(back.entries.map(({ db, key, expiresAtMs }) => [db, key, expiresAtMs]), entries.filter((_, i) => outcomes[i] === 'written').map(({ db, key, expiresAtMs }) => [db, key, expiresAtMs]))
  }
})

t.test('values travel between Redis 8 and Valkey 9 files, fields that expire included', async (t) => {
  const { entries } = await entriesOf(`rdb:${fileOf('redis8-default')}`)
  await writeAll(`rdb:${path.join(folder, 'x80.rdb')}?version=80`, entries)
  const there = await entriesOf(`rdb:${path.join(folder, 'x80.rdb')}`)
  await writeAll(`rdb:${path.join(folder, 'x12.rdb')}?version=12`, there.entries)
  const back = await entriesOf(`rdb:${path.join(folder, 'x12.rdb')}`)
  t.equal(back.entries.length, entries.length)
  const plain = (all: Entry[]): Buffer[] => all.filter((entry) => entry.value[0] < 22 && entry.value[0] !== 4).map((entry) => entry.value)
  t.same(plain(back.entries), plain(entries))
})

t.test('nothing is there before the commit, and nothing of it after a close without one', async (t) => {
  const file = written('kept.rdb', fileOf('v9_empty') && readFileSync(fileOf('v9_empty')))
  const before = readFileSync(file)
  const store = await opened(`rdb:${file}`, 'write')
  t.match(await store.preflight?.('write'), [{ code: 'rdb-replaced', level: 'warning' }])
  t.same(await store.write([text('a')], 'error'), ['written'])
  t.same([await keysOf(store), await store.read([text('a')]), await store.count?.()], [[], [undefined], 0], 'the file that is replaced is not looked at')
  t.same(readFileSync(file), before)
  await store.close()
  await store.close()
  t.same(readFileSync(file), before)
  t.same(readdirSync(folder).filter((name) => name.includes('temp')), [])
})

t.test('writes that overlap, in several databases', async (t) => {
  const store = await opened(`rdb:${path.join(folder, 'committed.rdb')}`, 'write')
  t.teardown(() => store.close())
  await Promise.all([store.write([text('a'), text('b')], 'error'), store.write([text('c', 'c', 3)], 'error')])
  await store.commit?.()
  t.same((await keysOf(store)).map(({ db, key }) => `${db} ${key.toString()}`), ['0 a', '0 b', '3 c'])
})

t.test('what a killed process left of the same file is removed', async (t) => {
  const place = mkdtempSync(path.join(folder, 'left-'))
  const gone = spawnSync('true').pid
  for (const name of [`x.rdb.${gone}-1.temp`, `x.rdb.${process.pid}-99.temp`, `x.rdb.copy.${gone}-1.temp`, `y.rdb.${gone}-1.temp`]) writeFileSync(path.join(place, name), 'x')
  await writeAll(`rdb:${place}/x.rdb`, [text('a')])
  t.same(readdirSync(place).sort(), ['x.rdb', `x.rdb.${process.pid}-99.temp`, `x.rdb.copy.${gone}-1.temp`, `y.rdb.${gone}-1.temp`].sort())
})

t.test('a key that comes twice is there once, in any order', async (t) => {
  const file = path.join(folder, 'twins.rdb')
  const again = [text('a'), text('b'), text('b'), text('c')]
  await writeAll(`rdb:${file}`, again)
  t.same((await entriesOf(`rdb:${file}`)).entries.map((entry) => entry.key.toString()), ['a', 'b', 'c'])
  const mixed = [text('m', '1'), text('z', 'only', 2), text('a', '2', 1), text('m', '3'), text('b', '4'), text('m', '5', 1), text('a', '6', 1)]
  await writeAll(`rdb:${file}`, mixed)
  const { entries } = await entriesOf(`rdb:${file}`)
  const payload = (value: string): Buffer => encodePayload({ type: 'string', bytes: Buffer.from(value) })
  t.same(entries.map(({ db, key, value }) => [db, key.toString(), value]), [[0, 'b', payload('4')], [0, 'm', payload('3')], [1, 'a', payload('6')], [1, 'm', payload('5')], [2, 'z', payload('only')]])
  t.same(readdirSync(folder).filter((name) => name.includes('temp')), [])
})

t.test('damaged entries are refused one by one', async (t) => {
  const good = encodePayload({ type: 'string', bytes: Buffer.from('x') })
  const flipped = Buffer.from(good)
  flipped[1] ^= 1
  const cut = Buffer.from([4, 3, 0xff])
  const entry = (key: string, value: Buffer): Entry => ({ ...text(key), form: 'dump', value })
  const file = path.join(folder, 'some.rdb')
  const outcomes = await writeAll(`rdb:${file}`, [entry('a', good), entry('b', flipped), entry('c', cut), entry('d', good)])
  t.match(outcomes, ['written', { code: 'corrupt' }, { code: 'corrupt' }, 'written'])
  t.same((await entriesOf(`rdb:${file}`)).entries.map(({ key }) => key.toString()), ['a', 'd'])
})

t.test('URLs and options', async (t) => {
  const backend = await storeOfType('rdb')
  t.same(backend.fromUrl('rdb:dump.rdb'), { path: 'dump.rdb' })
  t.same(backend.fromUrl('rdb:///var/dump.rdb?version=10&compress=no'), { path: '/var/dump.rdb', version: '10', compress: 'no' })
  t.same(backend.fromUrl('rdb:odd?name'), { path: 'odd?name' })
  for (const url of ['rdb:', 'rdb://host/x', 'rdb:x?version=9&port=1']) t.throws(() => backend.fromUrl(url), { name: 'StoreError', fault: 'usage' }, url)
  for (const options of [{}, { path: '' }, { path: 'x', version: '8' }, { path: 'x', version: 'new' }, { path: 'x', compress: 'maybe' }] as Record<string, string>[])
    t.throws(() => backend.create(options), { name: 'StoreError', fault: 'usage' }, JSON.stringify(options))
})

t.test('files that can not be opened', async (t) => {
  t.match(await fault(() => opened(`rdb:${folder}/none.rdb`, 'read')), { fault: 'unreachable', message: /there is no such file/ })
  t.match(await fault(() => opened(`rdb:${folder}`, 'read')), { fault: 'usage', message: /is a folder/ })
  t.match(await fault(() => opened(`rdb:${folder}`, 'write')), { fault: 'usage', message: /is no file/ })
  t.match(await fault(() => opened(`rdb:${folder}/none/x.rdb`, 'write')), { fault: 'refused', message: /there is no such folder/ })
  const closed = path.join(folder, 'closed')
  mkdirSync(closed)
  chmodSync(closed, 0o500)
  if (process.getuid?.() !== 0) t.match(await fault(() => opened(`rdb:${closed}/x.rdb`, 'write')), { fault: 'denied' })
  if (existsSync('/dev/full')) t.match(await fault(() => opened('rdb:/dev/full', 'write')), { fault: 'usage' })
})

// ------------------------------------------------------------------------------------------------ append-only files

/** Writes what a server then has in an append-only file; gives that folder and the server's digest. */
async function appendOnly(t: Test, name: 'redis' | 'valkey'): Promise<{ peer: Peer, client: RespClient, files: string }> {
  const peer = await startPeer(name, { config: { 'enable-debug-command': 'yes', 'appendonly': 'yes', 'appendfsync': 'always', 'auto-aof-rewrite-percentage': '0' } })
  const client = await peer.client()
  t.teardown(async () => {
    client.close()
    await peer.stop()
  })
  return { peer, client, files: path.join(peer.folder, 'appendonlydir') }
}

const WORDS = [
  'SET a 1', 'INCRBYFLOAT a 0.5', 'SET gone x PX 1', 'SET kept y PX 30', 'PERSIST kept', 'SET later z EX 100000', 'APPEND later more', 'RPUSH l a b c d', 'LMOVE l m LEFT RIGHT',
  'LTRIM l 0 1', 'SADD s 1 2 3 x', 'SPOP s', 'ZADD z 1 a 2 b 3 c', 'ZPOPMIN z', 'HSET h f v g w', 'HINCRBY h n 5', 'HDEL h g', 'XADD x * f v', 'XADD x * f w', 'XGROUP CREATE x g 0',
  'XREADGROUP GROUP g me COUNT 1 STREAMS x >', 'SELECT 3', 'SET three 3', 'MULTI', 'SET in multi', 'DEL three', 'EXEC', 'COPY in out', 'RENAME out ou', 'SELECT 0', 'GETDEL a', 'SWAPDB 3 4',
]

for (const name of ['redis', 'valkey'] as const) {
  t.test(`aof: what ${name} wrote, before and after a rewrite`, { skip: skipWithout(name) || skipWithout('valkey') }, async (t) => {
    const { peer, client, files } = await appendOnly(t, name)
    const target = await server(t, 'valkey')
    for (const round of ['commands', 'rewritten', 'both']) {
      if (round !== 'rewritten') for (const words of WORDS) await client.text(...words.split(' '))
      else {
        await client.text('BGREWRITEAOF')
        for (let i = 0; i < 100 && /aof_rewrite_in_progress:1|aof_rewrite_scheduled:1/.test(await client.text('INFO', 'persistence')); i++) await new Promise((resolve) => setTimeout(resolve, 20))
      }
      await new Promise((resolve) => setTimeout(resolve, 60))
      await client.text('EXISTS', 'gone', 'kept')
      const { entries, errors } = await entriesOf(`aof:${files}`)
      t.same(errors, [])
      t.ok(entries.some((entry) => entry.key.toString() === 'kept' && entry.expiresAtMs === undefined), `${round}: a key that was made persistent in time`)
      t.equal(await digestOfEntries(target, entries), await client.text('DEBUG', 'DIGEST'), round)
    }
    t.ok(existsSync(peer.folder))
  })
}

t.test('aof: a single file, annotations, an RDB file in front, an end that is cut', async (t) => {
  const command = (...words: string[]): string => `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
  const commands = `#TS:1700000000\r\n${command('SELECT', '0')}${command('SET', 'a', '1')}`
  const read = async (bytes: string | Buffer): Promise<[string[], string[]]> => {
    const store = await opened(`aof:${written('single.aof', bytes)}`, 'read')
    const found: [string[], string[]] = [(await keysOf(store)).map(({ key }) => key.toString()).sort(), ((await store.preflight?.('read')) ?? []).map(({ code, message }) => `${code} ${message.replace(/\S*\//g, '')}`)]
    await store.close()
    return found
  }
  t.same(await read(commands), [['a'], ['aof-loaded single.aof: 2 commands were applied; its keys are in memory until the copy is through']])
  const cut = commands + command('SET', 'b', '2').slice(0, -3)
  t.match(await read(cut), [['a'], [{}, `aof-cut single.aof: single.aof ends in the middle of a command, which counts up to byte ${commands.length} of ${cut.length}`]].map((part, i) => (i === 0 ? part : [/^aof-loaded/, part[1]])))
  const transaction = commands + command('MULTI') + command('SET', 'b', '2')
  t.match((await read(transaction))[1][1], `middle of a transaction, which counts up to byte ${commands.length} of ${transaction.length}`)
  const preamble = Buffer.from(vectors.legacy['v10_quicklist2'].file, 'hex')
  t.match((await read(Buffer.concat([preamble, Buffer.from(commands)])))[0], ['a'].concat(['']).slice(0, 1))
  const faults: Record<string, RegExp> = {
    [commands + command('CONFIG', 'SET', 'dir', '/')]: /byte \d+: there is the command "config", which no server writes/,
    [commands + command('MIGRATE', 'h', '1', 'a', '0', '1')]: /the command "migrate"/,
    [commands + command('NOSUCH', 'a')]: new RegExp(`byte ${commands.length}: keyferry has no command "nosuch"`),
    [commands + command('LPUSH', 'a', 'b')]: /lpush failed: WRONGTYPE/,
    [`${commands}*x\r\n`]: new RegExp(`damaged at byte ${commands.length}: `),
    [`${commands}*1\r\n\n3\r\n`]: new RegExp(`damaged at byte ${commands.length}: .*expected '\\$', got '\\\\x0a'; `),
  }
  for (const [bytes, message] of Object.entries(faults)) t.match(await fault(() => read(bytes)), { message })
  t.match(await fault(() => opened(`aof:${folder}/none`, 'read')), { fault: 'unreachable' })
  t.match(await fault(() => opened(`aof:${folder}`, 'read')), { fault: 'usage', message: /no manifest/ })
  t.match(await fault(() => opened(`aof:${folder}/x`, 'write')), { fault: 'usage', message: /can only be read/ })
  t.match(await fault(() => opened(`aof:${written('x.manifest', 'file ../x seq 1 type i\n')}`, 'read')), { fault: 'corrupt', message: /line 1 of its manifest/ })
})
