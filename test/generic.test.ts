/**
 * Keys of any type: names, copies, databases, times of expiry, SORT; and how keys leave by themselves: active
 * expiry and eviction, on databases with a clock of the test's own.
 */
import t from 'tap'
import { Slice } from '../protocol/slice.js'
import { Clock } from '../src/clock.js'
import { Database, type HoldMode, type KeyspaceServices } from '../src/keyspace/database.js'
import { evict } from '../src/keyspace/eviction.js'
import { expireCycle } from '../src/keyspace/expiry.js'
import { RAW, STRING } from '../src/keyspace/types.js'
import { Random } from '../src/random.js'
import { peerInstalled } from './peers.js'
import { tables, unordered } from './replies.js'

const NOT_INTEGER = '-ERR value is not an integer or out of range'
const NOT_INT32 = '-ERR value is out of range, value must between -2147483648 and 2147483647'
const NOT_DOUBLE = "-ERR One or more scores can't be converted into double"

t.test('commands', { skip: peerInstalled('keyferry') ? false : 'the server is not built' }, async (t) => {
  const check = await tables(t)

  await check('existence', [
    ['MSET a 1 b 2', '+OK'],
    ['EXISTS a b a nokey', ':3'],
    ['TOUCH a b nokey', ':2'],
    ['DEL a nokey a', ':1'],
    ['UNLINK b', ':1'],
    ['DBSIZE', ':0'],
    ['TYPE a', '+none'],
    ['RANDOMKEY', 'nil'],
    ['XADD x 1-1 f v', '"1-1"'],
    ['TYPE x', '+stream'],
    ['RANDOMKEY', '"x"'],
    ['DEL', "-ERR wrong number of arguments for 'del' command"],
  ])

  await check('names by pattern', [
    ['MSET one 1 two 2 three 3', '+OK'],
    ['KEYS *', unordered('"one"', '"two"', '"three"')],
    ['KEYS t*', unordered('"two"', '"three"')],
    ['KEYS ?n[d-f]', unordered('"one"')],
    ['KEYS', '', '[]'],
    ['SCAN 0', (reply) => reply.type === 'array' && unorderedKeys(reply.items[1], 3)],
    ['SCAN 0 MATCH t* TYPE string', (reply) => reply.type === 'array' && unorderedKeys(reply.items[1], 2)],
    ['SCAN 0 TYPE LIST', '["0", []]'],
    ['SCAN 0 TYPE nothing', "-ERR unknown type name 'nothing'"],
    ['SCAN 0 COUNT 0', '-ERR syntax error'],
    ['SCAN 0 COUNT x', NOT_INTEGER],
    ['SCAN 0 MATCH', '-ERR syntax error'],
    ['SCAN 0 NOVALUES', '-ERR NOVALUES option can only be used in HSCAN'],
    ['SCAN 0 NOSCORES MATCH', '-ERR NOSCORES option can only be used in ZSCAN'],
    ['SCAN 0 TYPE', 'a\0b', "-ERR unknown type name 'a'"],
    ['SCAN x', '-ERR invalid cursor'],
    ['SCAN -1', '-ERR invalid cursor'],
    ['SCAN 18446744073709551616', '-ERR invalid cursor'],
  ])

  await check('RENAME', [
    ['RENAME a b', '-ERR no such key'],
    ['SET a 1 EX 100', '+OK'],
    ['SET b 2', '+OK'],
    ['RENAME a b', '+OK'],
    ['GET b', '"1"'],
    ['TTL b', /^:(99|100)$/],
    ['RENAME b b', '+OK'],
    ['RENAMENX b b', ':0'],
    ['SET a 3', '+OK'],
    ['RENAMENX a b', ':0'],
    ['RENAMENX a c', ':1'],
    ['RENAME c b', '+OK'],
    ['TTL b', ':-1'],
    ['SET long', 'x'.repeat(40000), '+OK'],
    ['RENAME long longer', '+OK'],
    ['STRLEN longer', ':40000'],
    ['EXISTS long', ':0'],
  ])

  await check('COPY and MOVE', [
    ['SET a 1 EX 100', '+OK'],
    ['COPY a a', '-ERR source and destination objects are the same'],
    ['COPY a b', ':1'],
    ['TTL b', /^:(99|100)$/],
    ['COPY a b', ':0'],
    ['SET a 2', '+OK'],
    ['COPY a b REPLACE', ':1'],
    ['GET b', '"2"'],
    ['TTL b', ':-1'],
    ['COPY a b DB 1', ':1'],
    ['COPY a b DB 99', '-ERR DB index is out of range'],
    ['COPY a b DB x', NOT_INTEGER],
    ['COPY a b DB', '-ERR syntax error'],
    ['COPY nokey b', ':0'],
    ['RPUSH l 1 2 3', ':3'],
    ['COPY l m', ':1'],
    ['RPUSH m 4', ':4'],
    ['LLEN l', ':3'],
    ['MOVE a 0', '-ERR source and destination objects are the same'],
    ['MOVE b 1', ':0'],
    ['MOVE a 1', ':1'],
    ['MOVE a 1', ':0'],
    ['MOVE a 99', '-ERR DB index is out of range'],
    ['SELECT 1', '+OK'],
    ['GET a', '"2"'],
    ['SWAPDB 0 1', '+OK'],
    ['EXISTS a', ':0'],
    ['SELECT 0', '+OK'],
    ['GET a', '"2"'],
    ['SWAPDB x 1', '-ERR invalid first DB index'],
    ['SWAPDB 0 y', '-ERR invalid second DB index'],
    ['SWAPDB 0 99', '-ERR DB index is out of range'],
    ['SWAPDB 0 -1', '-ERR DB index is out of range'],
    ['SWAPDB 4294967296 1', '-ERR invalid first DB index'],
    ['SWAPDB 1 9223372036854775807', '-ERR invalid second DB index'],
    ['MOVE a 4294967297', NOT_INT32],
    ['COPY a b DB 2147483648', NOT_INT32],
    ['FLUSHDB SYNC', '+OK'],
    ['DBSIZE', ':0'],
    ['FLUSHALL nonsense', '-ERR syntax error'],
    ['FLUSHALL ASYNC', '+OK'],
  ])

  await check('OBJECT', [
    ['SET a 5', '+OK'],
    ['OBJECT ENCODING a', '"int"'],
    ['OBJECT REFCOUNT a', ':2147483647'],
    ['SET b text', '+OK'],
    ['OBJECT IDLETIME b', /^:[01]$/],
    ['OBJECT FREQ a', /^-ERR An LFU maxmemory policy is not selected/],
    ['OBJECT ENCODING nokey', 'nil'],
    ['OBJECT ENCODING', "-ERR wrong number of arguments for 'object|encoding' command"],
    ['OBJECT nonsense a', "-ERR unknown subcommand 'nonsense'. Try OBJECT HELP."],
    ['OBJECT HELP', /^\[\+OBJECT <subcommand>/],
  ])

  await check('setting a time of expiry', [
    ['SET a 1', '+OK'],
    ['TTL a', ':-1'],
    ['TTL nokey', ':-2'],
    ['EXPIRE a 100', ':1'],
    ['EXPIRE a 50 GT', ':0'],
    ['EXPIRE a 50 LT', ':1'],
    ['EXPIRE a 70 NX', ':0'],
    ['EXPIRE a 70 XX', ':1'],
    ['TTL a', /^:(69|70)$/],
    ['PERSIST a', ':1'],
    ['PERSIST a', ':0'],
    ['EXPIRE a 70 XX', ':0'],
    ['EXPIRE a 70 GT', ':0'],
    ['EXPIRE a 70 LT', ':1'],
    ['PEXPIREAT a 4000000000123', ':1'],
    ['PEXPIRETIME a', ':4000000000123'],
    ['EXPIRETIME a', ':4000000000'],
    ['EXPIREAT a 4000000000', ':1'],
    ['PEXPIRETIME a', ':4000000000000'],
    ['PEXPIREAT a 9223372036854775807', ':1'],
    ['PEXPIRETIME a', ':9223372036854775807'],
    ['EXPIRETIME a', ':9223372036854776'],
    ['EXPIRE nokey 10', ':0'],
  ])

  await check('times of expiry that are refused', [
    ['SET a 1', '+OK'],
    ['EXPIRE a x', NOT_INTEGER],
    ['EXPIRE a x nonsense', '-ERR Unsupported option nonsense'],
    ['EXPIRE a 10 NX XX', '-ERR NX and XX, GT or LT options at the same time are not compatible'],
    ['EXPIRE a 10 GT LT', '-ERR GT and LT options at the same time are not compatible'],
    ['EXPIRE a 9223372036854775807', "-ERR invalid expire time in 'expire' command"],
    ['EXPIRE a -9223372036854775808', "-ERR invalid expire time in 'expire' command"],
    ['PEXPIRE a 9223372036854775807', "-ERR invalid expire time in 'pexpire' command"],
    ['EXPIREAT a 9223372036854776', "-ERR invalid expire time in 'expireat' command"],
    ['TTL a', ':-1'],
    ['EXPIRE a -1', ':1'],
    ['EXISTS a', ':0'],
    ['SET a 1', '+OK'],
    ['EXPIRE a 0 GT', ':0'],
    ['EXPIRE a 0 NX', ':1'],
    ['EXISTS a', ':0'],
  ])

  await check('SORT', [
    ['SORT nokey', '[]'],
    ['RPUSH l 3 1 2 10', ':4'],
    ['SORT l', '["1", "2", "3", "10"]'],
    ['SORT l DESC LIMIT 1 2', '["3", "2"]'],
    ['SORT l ALPHA', '["1", "10", "2", "3"]'],
    ['SORT l BY nosort', '["3", "1", "2", "10"]'],
    ['SORT l BY nosort DESC LIMIT 0 2', '["10", "2"]'],
    ['MSET w_1 9 w_2 8 w_3 7', '+OK'],
    ['HSET h_1 f one', ':1'],
    ['SORT l BY w_*', '["10", "3", "2", "1"]'],
    ['SORT l GET # GET w_* GET h_*->f', '["1", "9", "one", "2", "8", nil, "3", "7", nil, "10", nil, nil]'],
    ['SORT l GET w_* STORE d', ':4'],
    ['LRANGE d 0 -1', '["9", "8", "7", ""]'],
    ['SORT nokey STORE d', ':0'],
    ['EXISTS d', ':0'],
    ['SADD s b a c', ':3'],
    ['SORT s', NOT_DOUBLE],
    ['SORT s ALPHA', '["a", "b", "c"]'],
    ['SORT s BY nosort STORE d', ':3'],
    ['LRANGE d 0 -1', '["a", "b", "c"]'],
    ['ZADD z 2 x 1 y', ':2'],
    ['SORT z BY nosort', '["y", "x"]'],
    ['SORT_RO z BY nosort DESC', '["x", "y"]'],
    ['SORT_RO z STORE d', '-ERR syntax error'],
    ['ZADD p 1 x', ':1'],
    ['SORT p BY nosort STORE', '-ERR syntax error'],
    ['OBJECT ENCODING p', '"listpack"'],
    ['SORT_RO p', NOT_DOUBLE],
    ['OBJECT ENCODING p', '"skiplist"'],
    ['ZRANGE p 0 -1 WITHSCORES', '["x", "1"]'],
    ['SORT l LIMIT 1', '-ERR syntax error'],
    ['SORT l LIMIT x 1', NOT_INTEGER],
    ['SET k v', '+OK'],
    ['SORT k', '-WRONGTYPE Operation against a key holding the wrong kind of value'],
  ])
})

function unorderedKeys(reply: { type: string } | undefined, count: number): boolean {
  return reply !== undefined && 'items' in reply && Array.isArray(reply.items) && reply.items.length === count
}

/** A clock that stands still until it is told. */
class StillClock extends Clock {
  ticksMs = 0
  override monotonicMs(): number {
    return this.ticksMs
  }
}

interface Keyspace {
  readonly databases: Database[]
  readonly clock: StillClock
  readonly services: KeyspaceServices
  readonly expired: string[]
}

function keyspace(seed: number): Keyspace {
  const clock = new StillClock()
  clock.nowMs = 1_000_000
  const expired: string[] = []
  const services: KeyspaceServices = {
    clock,
    random: new Random(seed),
    stats: { hits: 0, misses: 0, expired: 0, expiredStalePercent: 0, evicted: 0 },
    lfu: false, lfuLogFactor: 10, lfuDecayMinutes: 1, expiryFrozen: false,
    onExpired: (_db, key) => expired.push(key.latin1()),
    materialise: () => { throw new Error('nothing is lazy here') },
  }
  const databases = [new Database(0, services), new Database(1, services)]
  return { databases, clock, services, expired }
}

function put(db: Database, name: string, expiresMs?: number, value = 'v'): void {
  const ref = db.setBytes(Slice.from(name), STRING, RAW, Slice.from(value))
  if (expiresMs !== undefined) db.setExpiry(ref, expiresMs)
}

function hold(db: Database, name: string, mode: HoldMode | undefined): void {
  db.hold(db.findKey(Slice.from(name)), mode)
}

t.test('active expiry', async (t) => {
  const space = keyspace(1)
  const [first, second] = space.databases as [Database, Database]
  for (let i = 0; i < 500; i++) {
    put(first, `stale${i}`, 2_000_000)
    put(second, `fresh${i}`, 9_000_000)
    put(second, `lasting${i}`)
  }
  expireCycle(space.databases, 1)
  t.equal(space.expired.length, 0, 'nothing before its time')
  space.clock.nowMs = 2_000_001
  hold(first, 'stale7', 'all')
  for (let turn = 0; turn < 20; turn++) expireCycle(space.databases, 1)
  t.equal(first.size, 1, 'all that are stale, but for the one in flight')
  t.equal(second.size, 1000)
  t.equal(space.services.stats.expired, 499)
  hold(first, 'stale7', undefined)
  space.services.expiryFrozen = true
  expireCycle(space.databases, 1)
  t.equal(first.size, 1, 'nothing while expiry is frozen')
  space.services.expiryFrozen = false
  expireCycle(space.databases, 1)
  t.equal(first.size, 0)
})

t.test('a turn of active expiry ends in time', async (t) => {
  const space = keyspace(2)
  const [first] = space.databases as [Database, Database]
  for (let i = 0; i < 5000; i++) put(first, `stale${i}`, 500_000)
  // Every look at the clock finds 0.1 ms gone.
  space.clock.monotonicMs = () => (space.clock.ticksMs += 0.1)
  t.equal(expireCycle(space.databases, 1), true, 'there is more to do')
  t.ok(space.expired.length > 0 && space.expired.length < 1000, `${space.expired.length} keys in one turn`)
})

const POLICIES = [
  'allkeys-lru', 'allkeys-lfu', 'allkeys-random', 'volatile-lru', 'volatile-lfu', 'volatile-random', 'volatile-ttl',
] as const

t.test('eviction', async (t) => {
  for (const policy of POLICIES) {
    const space = keyspace(3)
    space.services.lfu = policy.endsWith('lfu')
    const [db] = space.databases as [Database, Database]
    for (let i = 0; i < 400; i++) put(db, `plain${i}`)
    for (let i = 0; i < 400; i++) put(db, `volatile${i}`, 5_000_000 + i)
    // The first half of each was used long ago and seldom, the second half now and often.
    for (let i = 0; i < 400; i++) {
      for (const name of [`plain${i}`, `volatile${i}`]) {
        const ref = db.findKey(Slice.from(name))
        if (space.services.lfu) db.setFrequency(ref, i < 200 ? 1 : 100)
        else db.setIdleSeconds(ref, i < 200 ? 1000 - i : 0)
      }
    }
    hold(db, 'volatile0', 'all')
    const gone: string[] = []
    const hooks = {
      random: space.services.random,
      onEvicted: (_db: Database, key: Slice) => { gone.push(key.latin1()) },
    }
    const before = db.usedBytes
    t.equal(evict(space.databases, policy, 5, 4000, hooks), true, policy)
    t.ok(before - db.usedBytes >= 2000, `${policy}: memory was freed`)
    t.equal(db.size, 800 - gone.length)
    t.notOk(gone.includes('volatile0'), `${policy}: a key in flight stays`)
    if (policy.startsWith('volatile')) t.ok(gone.every((name) => name.startsWith('volatile')), policy)
    if (policy.endsWith('lru') || policy.endsWith('lfu') || policy.endsWith('ttl'))
      t.ok(gone.filter((name) => Number(/\d+/.exec(name)) < 200).length > gone.length * 0.9, `${policy}: ${gone.join(' ')}`)
  }
  const space = keyspace(4)
  const [db] = space.databases as [Database, Database]
  for (let i = 0; i < 10; i++) put(db, `plain${i}`)
  const hooks = { random: space.services.random, onEvicted: () => undefined }
  t.equal(evict(space.databases, 'noeviction', 5, 100, hooks), false)
  t.equal(evict(space.databases, 'volatile-lru', 5, 100, hooks), false, 'nothing that may go')
  t.equal(evict(space.databases, 'allkeys-lru', 5, 1e9, hooks), false, 'all keys were not enough')
  t.equal(db.size, 0)
})
