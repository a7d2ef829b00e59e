/**
 * Hashes and sets: every command as a table of command -> reply, the encodings on both sides of each threshold,
 * chance, walks that go on while the table grows, and the values behind them.
 */
import t, { type Test } from 'tap'
import { Slice } from '../protocol/slice.js'
import { LargeHash } from '../src/keyspace/hash.js'
import { sampleIndices, sampleRecords } from '../src/keyspace/sample.js'
import { LargeSet } from '../src/keyspace/set.js'
import { Random } from '../src/random.js'
import { show, type Reply, type RespClient, type Word } from './client.js'
import { peerInstalled, skipWithout, startPeer, type Peer, type PeerName } from './peers.js'
import { tables, unordered, unorderedPairs, type Row } from './replies.js'

const check = await tables(t)
const WRONGTYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value'
const NOT_INTEGER = '-ERR value is not an integer or out of range'
const SYNTAX = '-ERR syntax error'
const COUNT_RANGE = '-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807'
const NOT_POSITIVE = '-ERR value is out of range, must be positive'

/** `prefix0 prefix1 ...`, `count` words. */
const words = (count: number, prefix = ''): string => Array.from({ length: count }, (_, i) => `${prefix}${i}`).join(' ')
const pairs = (count: number): string => Array.from({ length: count }, (_, i) => `f${i} v`).join(' ')

// ------------------------------------------------------------------------------------------------ hashes

await check('hash fields', [
  ['HSET h a 1 b 2', ':2'],
  ['HSET h a 3 c', '', ':1'],
  ['HSET h a', '-ERR wrong number of arguments for \'hset\' command'],
  ['HSET h a 1 b', '-ERR wrong number of arguments for \'hset\' command'],
  ['HMSET h a 1 b', '-ERR wrong number of arguments for \'hmset\' command'],
  ['HMSET h d 4 d 5', '+OK'],
  ['HGET h a', '"3"'],
  ['HGET h c', '""'],
  ['HGET h nope', 'nil'],
  ['HGET nokey a', 'nil'],
  ['HMGET h d nope a', '["5", nil, "3"]'],
  ['HMGET nokey a b', '[nil, nil]'],
  ['HLEN h', ':4'],
  ['HSTRLEN h a', ':1'],
  ['HSTRLEN h nope', ':0'],
  ['HEXISTS h a', ':1'],
  ['HEXISTS h nope', ':0'],
  ['HSETNX h a 9', ':0'],
  ['HSETNX h e 9', ':1'],
  ['HGETALL h', '["a", "3", "b", "2", "c", "", "d", "5", "e", "9"]'],
  ['HKEYS h', '["a", "b", "c", "d", "e"]'],
  ['HVALS h', '["3", "2", "", "5", "9"]'],
  ['HSET h a', 'longer than before', ':0'],
  ['HSET h b -9223372036854775808', ':0'],
  ['HVALS h', '["longer than before", "-9223372036854775808", "", "5", "9"]'],
  ['HDEL h a a nope c', ':2'],
  ['HKEYS h', '["b", "d", "e"]'],
  ['HDEL h b d e b', ':3'],
  ['EXISTS h', ':0'],
  ['HDEL h b', ':0'],
  ['HGETALL nokey', '[]'],
  ['HKEYS nokey', '[]'],
  ['HVALS nokey', '[]'],
  ['HLEN nokey', ':0'],
  ['HSET h', '', Buffer.from([0, 13, 10, 255]), ':1'],
  ['HGETALL h', '["", "\\x00\\r\\n\\xff"]'],
])

await check('hash fields, RESP3', [
  ['HSET h a 1 b 2', ':2'],
  ['HGETALL h', '{"a": "1", "b": "2"}'],
  ['HGETALL nokey', '{}'],
  ['HGET h nope', 'null'],
  ['HMGET h a nope', '["1", null]'],
  ['HKEYS h', '["a", "b"]'],
  ['HRANDFIELD h 5', '["a", "b"]'],
  ['HRANDFIELD h 5 WITHVALUES', '[["a", "1"], ["b", "2"]]'],
  ['HRANDFIELD nokey', 'null'],
  ['HRANDFIELD nokey 1', '[]'],
  ['HSCAN h 0', '["0", ["a", "1", "b", "2"]]'],
], { resp: 3 })

const NUMBERS: readonly Row[] = [
  ['HINCRBY h n 5', ':5'],
  ['HINCRBY h n -7', ':-2'],
  ['HINCRBY h n x', NOT_INTEGER],
  ['HINCRBY h n 9223372036854775807', ':9223372036854775805'],
  ['HINCRBY h n 2', ':9223372036854775807'],
  ['HINCRBY h n 1', '-ERR increment or decrement would overflow'],
  ['HINCRBY h n -9007199254740993', ':9214364837600034814'],
  ['HSET h t abc s', ' 1', ':2'],
  ['HINCRBY h t 1', '-ERR hash value is not an integer'],
  ['HINCRBY h s 1', '-ERR hash value is not an integer'],
  ['HINCRBYFLOAT h t 1', '-ERR hash value is not a float'],
  ['HINCRBYFLOAT h s 1', '-ERR hash value is not a float'],
  ['HINCRBYFLOAT h f 0.1', '"0.1"'],
  ['HINCRBYFLOAT h f 0.2', '"0.3"'],
  ['HINCRBYFLOAT h f 5.0e3', '"5000.29999999999999982"'],
  ['HGET h f', '"5000.29999999999999982"'],
  ['HINCRBYFLOAT h f nan', '-ERR value is not a valid float'],
  ['HINCRBYFLOAT h f x', '-ERR value is not a valid float'],
  ['HINCRBYFLOAT h f inf', '-ERR value is NaN or Infinity'],
  ['HSET h i inf', ':1'],
  ['HINCRBYFLOAT h i 1', '-ERR increment would produce NaN or Infinity'],
  ['HINCRBY other n 1', ':1'],
  ['HINCRBYFLOAT third n 1.5', '"1.5"'],
]

await check('numbers in a packed hash', NUMBERS)
await check('numbers in a large hash', NUMBERS, { config: { 'hash-max-listpack-entries': 0 } })

await check('hash encodings', [
  [`HSET h ${pairs(511)}`, ':511'],
  ['HSET h f511 v', ':1'],
  ['OBJECT ENCODING h', '"listpack"'],
  ['HSET h f511 w', ':0'],
  ['OBJECT ENCODING h', '"listpack"'],
  ['HSET h f512 v', ':1'],
  ['OBJECT ENCODING h', '"hashtable"'],
  ['HGET h f0', '"v"'],
  ['HGET h f511', '"w"'],
  [`HDEL h ${words(513, 'f')}`, ':513'],
  ['EXISTS h', ':0'],
  // The number of arguments decides at once, even if fields repeat.
  [`HSET twice ${pairs(257)} ${pairs(256)}`, ':257'],
  ['OBJECT ENCODING twice', '"hashtable"'],
  ['HSET v a', 'x'.repeat(64), ':1'],
  ['OBJECT ENCODING v', '"listpack"'],
  ['HSET v a', 'x'.repeat(65), ':0'],
  ['OBJECT ENCODING v', '"hashtable"'],
  ['HSET v a 1', ':0'],
  ['OBJECT ENCODING v', '"hashtable"'],
  ['HSET f', 'x'.repeat(65), '1', ':1'],
  ['OBJECT ENCODING f', '"hashtable"'],
  ['HSETNX nx a', 'x'.repeat(65), ':1'],
  ['OBJECT ENCODING nx', '"hashtable"'],
  ['HINCRBY incr', 'x'.repeat(65), '1', ':1'],
  ['OBJECT ENCODING incr', '"hashtable"'],
])

await check('hash errors', [
  ['RPUSH str x', ':1'],
  ['HSET h a 1', ':1'],
  ...['HSET str a 1', 'HSETNX str a 1', 'HGET str a', 'HMGET str a', 'HMSET str a 1', 'HGETALL str', 'HDEL str a', 'HLEN str',
    'HSTRLEN str a', 'HEXISTS str a', 'HKEYS str', 'HVALS str', 'HINCRBY str a 1', 'HINCRBYFLOAT str a 1', 'HRANDFIELD str',
    'HRANDFIELD str 1', 'HSCAN str 0', 'HSCAN str 0 BOGUS'].map((line): Row => [line, WRONGTYPE]),
  ['HINCRBY str a x', NOT_INTEGER],
  ['HINCRBYFLOAT str a x', '-ERR value is not a valid float'],
  ['HRANDFIELD h x', NOT_INTEGER],
  ['HRANDFIELD h x BOGUS', NOT_INTEGER],
  ['HRANDFIELD h 1 BOGUS', SYNTAX],
  ['HRANDFIELD h 1 WITHVALUES x', SYNTAX],
  ['HRANDFIELD h -9223372036854775808', COUNT_RANGE],
  ['HRANDFIELD h 4611686018427387904 WITHVALUES', '-ERR value is out of range'],
  ['HRANDFIELD h -4611686018427387904 WITHVALUES', '-ERR value is out of range'],
  ['HRANDFIELD h 4611686018427387903 WITHVALUES', '["a", "1"]'],
  ['HRANDFIELD h 9223372036854775807', '["a"]'],
  ['HSCAN h x', '-ERR invalid cursor'],
  ['HSCAN h', '', '-ERR invalid cursor'],
  ['HSCAN h -1', '-ERR invalid cursor'],
  ['HSCAN h 18446744073709551616', '-ERR invalid cursor'],
  ['HSCAN nokey x', '-ERR invalid cursor'],
  ['HSCAN nokey 0 BOGUS', '["0", []]'],
  ['HSCAN h 18446744073709551615', '["0", ["a", "1"]]'],
  ['HSCAN h 0 BOGUS', SYNTAX],
  ['HSCAN h 0 COUNT', SYNTAX],
  ['HSCAN h 0 MATCH', SYNTAX],
  ['HSCAN h 0 COUNT 0', SYNTAX],
  ['HSCAN h 0 COUNT x', NOT_INTEGER],
  ['HSCAN h 0 TYPE hash', SYNTAX],
  ['HSCAN h 0 NOVALUES', '["0", ["a"]]'],
  ['HSCAN h 0 NOVALUES MATCH b* COUNT 100', '["0", []]'],
])

// ------------------------------------------------------------------------------------------------ sets

await check('set members', [
  ['SADD s a b a', ':2'],
  ['SADD s b c', ':1'],
  ['SADD s c', ':0'],
  ['SCARD s', ':3'],
  ['SISMEMBER s a', ':1'],
  ['SISMEMBER s x', ':0'],
  ['SISMEMBER nokey x', ':0'],
  ['SMISMEMBER s a x c', '[:1, :0, :1]'],
  ['SMISMEMBER nokey a b', '[:0, :0]'],
  ['SMEMBERS s', '["a", "b", "c"]'],
  ['SMEMBERS nokey', '[]'],
  ['SREM s b b x', ':1'],
  ['SMEMBERS s', '["a", "c"]'],
  ['SREM s a c a', ':2'],
  ['EXISTS s', ':0'],
  ['SREM s a', ':0'],
  ['SADD i 3 1 2 -5', ':4'],
  ['SMEMBERS i', '["-5", "1", "2", "3"]'],
  ['SISMEMBER i 2', ':1'],
  ['SISMEMBER i 02', ':0'],
  ['SISMEMBER i x', ':0'],
  ['SREM i 1 x 02', ':1'],
  ['SADD i 9223372036854775807 -9223372036854775808', ':2'],
  ['SMEMBERS i', '["-9223372036854775808", "-5", "2", "3", "9223372036854775807"]'],
  ['SISMEMBER i 9223372036854775807', ':1'],
  ['SADD i', '', ':1'],
  ['SMEMBERS i', '["-9223372036854775808", "-5", "2", "3", "9223372036854775807", ""]'],
  ['SMOVE i s 2', ':1'],
  ['SMOVE i s 2', ':0'],
  ['SMOVE i i 3', ':1'],
  ['SMOVE i i 4', ':0'],
  ['SMEMBERS s', '["2"]'],
  ['SMOVE s i 2', ':1'],
  ['EXISTS s', ':0'],
  ['SADD s 3', ':1'],
  ['SMOVE s i 3', ':1'],
  ['SMEMBERS i', '["-9223372036854775808", "-5", "3", "9223372036854775807", "", "2"]'],
  ['SSCAN i 0 MATCH -*', '["0", ["-9223372036854775808", "-5"]]'],
])

await check('set encodings', [
  [`SADD i ${words(512)}`, ':512'],
  ['OBJECT ENCODING i', '"intset"'],
  ['SADD i 512', ':1'],
  ['OBJECT ENCODING i', '"hashtable"'],
  [`SREM i ${words(512)}`, ':512'],
  ['OBJECT ENCODING i', '"hashtable"'],
  [`SADD i127 ${words(127)}`, ':127'],
  ['SADD i127 x', ':1'],
  ['OBJECT ENCODING i127', '"listpack"'],
  ['SADD i127 y', ':1'],
  ['OBJECT ENCODING i127', '"hashtable"'],
  [`SADD i128 ${words(128)}`, ':128'],
  ['SADD i128 x', ':1'],
  ['OBJECT ENCODING i128', '"hashtable"'],
  ['SADD long 1', ':1'],
  ['SADD long', 'x'.repeat(64), ':1'],
  ['OBJECT ENCODING long', '"listpack"'],
  ['SADD long', 'x'.repeat(65), ':1'],
  ['OBJECT ENCODING long', '"hashtable"'],
  ['SISMEMBER long 1', ':1'],
  // The first member and the number of arguments decide, even if members repeat.
  [`SADD many x ${'y '.repeat(127)}`, ':2'],
  ['OBJECT ENCODING many', '"listpack"'],
  [`SADD more x ${'y '.repeat(128)}`, ':2'],
  ['OBJECT ENCODING more', '"hashtable"'],
  [`SADD more2 1 ${'2 '.repeat(512)}`, ':2'],
  ['OBJECT ENCODING more2', '"hashtable"'],
  [`SADD grown 1 ${'2 '.repeat(511)}`, ':2'],
  ['OBJECT ENCODING grown', '"intset"'],
  [`SADD grown ${'2 '.repeat(513)}`, ':0'],
  ['OBJECT ENCODING grown', '"hashtable"'],
  ['SADD d 1', ':1'],
  ['SMOVE d e 1', ':1'],
  ['OBJECT ENCODING e', '"intset"'],
])

await check('set algebra', [
  ['SADD a a b c d 1', ':5'],
  ['SADD b c d e', ':3'],
  ['SADD i 1 2 3', ':3'],
  ['SADD j 3 2 9', ':3'],
  ['SINTER a b', '["c", "d"]'],
  ['SINTER i j', '["2", "3"]'],
  ['SINTER a', '["a", "b", "c", "d", "1"]'],
  ['SINTER a a', '["a", "b", "c", "d", "1"]'],
  ['SINTER a nokey', '[]'],
  ['SUNION i j nokey', '["1", "2", "3", "9"]'],
  ['SUNION a b', unordered('"a"', '"b"', '"c"', '"d"', '"e"', '"1"')],
  ['SUNION nokey', '[]'],
  ['SDIFF a b i', unordered('"a"', '"b"')],
  ['SDIFF i j', '["1"]'],
  ['SDIFF nokey a', '[]'],
  ['SDIFF a a', '[]'],
  ['SINTERCARD 2 a b', ':2'],
  ['SINTERCARD 2 a b LIMIT 1', ':1'],
  ['SINTERCARD 2 a b LIMIT 0', ':2'],
  ['SINTERCARD 2 a b LIMIT 1 LIMIT 5', ':2'],
  ['SINTERCARD 2 a nokey', ':0'],
  ['SINTERSTORE out a b', ':2'],
  ['SMEMBERS out', '["c", "d"]'],
  ['SINTERSTORE out i a', ':1'],
  ['OBJECT ENCODING out', '"intset"'],
  ['SADD k 1 x', ':2'],
  ['SINTERSTORE out k a', ':1'],
  ['OBJECT ENCODING out', '"intset"'],
  ['SET out text', '+OK'],
  ['EXPIRE out 100', ':1'],
  ['SUNIONSTORE out i a', ':7'],
  ['TTL out', ':-1'],
  ['SMEMBERS out', '["1", "2", "3", "a", "b", "c", "d"]'],
  ['SUNIONSTORE out out j', ':8'],
  ['SDIFFSTORE out a b', ':3'],
  ['SMEMBERS out', '["a", "b", "1"]'],
  ['SDIFFSTORE out a a', ':0'],
  ['EXISTS out', ':0'],
  ['SINTERSTORE a a nokey', ':0'],
  ['EXISTS a', ':0'],
])

await check('set algebra, RESP3', [
  ['SADD a 1 2', ':2'],
  ['SADD b 2 3', ':2'],
  ['SMEMBERS a', '~["1", "2"]'],
  ['SMEMBERS nokey', '~[]'],
  ['SINTER a b', '~["2"]'],
  ['SINTER a nokey', '~[]'],
  ['SUNION a b', '~["1", "2", "3"]'],
  ['SDIFF a b', '~["1"]'],
  ['SPOP a 0', '~[]'],
  ['SPOP a 5', '~["1", "2"]'],
  ['SPOP a', 'null'],
  ['SPOP a 1', '~[]'],
  ['SRANDMEMBER b 5', '["2", "3"]'],
  ['SRANDMEMBER a', 'null'],
  ['SMISMEMBER b 2 9', '[:1, :0]'],
  ['SSCAN b 0', '["0", ["2", "3"]]'],
], { resp: 3 })

await check('set errors', [
  ['RPUSH str x', ':1'],
  ['SADD s a', ':1'],
  ...['SADD str a', 'SREM str a', 'SMEMBERS str', 'SISMEMBER str a', 'SMISMEMBER str a', 'SCARD str', 'SPOP str', 'SPOP str 1',
    'SRANDMEMBER str', 'SRANDMEMBER str 1', 'SMOVE str s a', 'SMOVE s str a', 'SMOVE s str nope', 'SSCAN str 0', 'SINTER nokey str',
    'SINTERSTORE d nokey str', 'SINTERCARD 2 nokey str', 'SUNION s str', 'SUNIONSTORE d s str', 'SDIFF nokey str',
    'SDIFFSTORE d s str'].map((line): Row => [line, WRONGTYPE]),
  ['SMOVE nokey str a', ':0'],
  ['SPOP s x', NOT_POSITIVE],
  ['SPOP nokey -1', NOT_POSITIVE],
  ['SPOP s 1 2', SYNTAX],
  ['SRANDMEMBER s x', NOT_INTEGER],
  ['SRANDMEMBER s 1 2', SYNTAX],
  ['SRANDMEMBER s -9223372036854775808', COUNT_RANGE],
  ['SINTERCARD 0 s', '-ERR numkeys should be greater than 0'],
  ['SINTERCARD x s', '-ERR numkeys should be greater than 0'],
  ['SINTERCARD 2 s', '-ERR Number of keys can\'t be greater than number of args'],
  ['SINTERCARD 1 s LIMIT -1', '-ERR LIMIT can\'t be negative'],
  ['SINTERCARD 1 str LIMIT x', '-ERR LIMIT can\'t be negative'],
  ['SINTERCARD 1 s LIMIT', SYNTAX],
  ['SINTERCARD 1 s BOGUS 1', SYNTAX],
  ['SSCAN s 0 NOVALUES', '-ERR NOVALUES option can only be used in HSCAN'],
  ['SSCAN s 0 TYPE set', SYNTAX],
])

// ------------------------------------------------------------------------------------------------ chance

await check('picks', [
  ['SADD s a', ':1'],
  ['SRANDMEMBER s', '"a"'],
  ['SRANDMEMBER s -3', '["a", "a", "a"]'],
  ['SRANDMEMBER s 0', '[]'],
  ['SRANDMEMBER nokey', 'nil'],
  ['SRANDMEMBER nokey -3', '[]'],
  ['SPOP s', '"a"'],
  ['EXISTS s', ':0'],
  ['SPOP s', 'nil'],
  ['SPOP s 3', '[]'],
  ['SADD s 5 6', ':2'],
  ['SPOP s 0', '[]'],
  ['SPOP s 2', '["5", "6"]'],
  ['EXISTS s', ':0'],
  ['HSET h f v', ':1'],
  ['HRANDFIELD h', '"f"'],
  ['HRANDFIELD h -2', '["f", "f"]'],
  ['HRANDFIELD h -2 WITHVALUES', '["f", "v", "f", "v"]'],
  ['HRANDFIELD h 0', '[]'],
  ['HRANDFIELD nokey', 'nil'],
  ['HRANDFIELD nokey 2 WITHVALUES', '[]'],
  // What a large pop leaves is a new set: packed again, and no wider than its members need.
  [`SADD big ${words(600, 'm')}`, ':600'],
  ['SPOP big 590', (reply) => itemsOf(reply).length === 590],
  ['OBJECT ENCODING big', '"listpack"'],
  [`SADD big2 ${words(600)}`, ':600'],
  ['SPOP big2 590', (reply) => new Set(itemsOf(reply)).size === 590],
  ['OBJECT ENCODING big2', '"listpack"'],
  [`SADD big3 ${words(600)}`, ':600'],
  ['SPOP big3 400', (reply) => new Set(itemsOf(reply)).size === 400],
  ['OBJECT ENCODING big3', '"hashtable"'],
  ['SCARD big3', ':200'],
])

function itemsOf(reply: Reply): string[] {
  return reply.type === 'array' || reply.type === 'set' ? reply.items.map(show) : []
}

const peers = new Map<PeerName, Peer>()

/** Runs on keyferry and on the oracle, with an empty data set each. */
async function onBoth(title: string, run: (client: RespClient, tap: Test) => Promise<void>): Promise<void> {
  for (const name of ['keyferry', 'valkey'] as const) {
    await t.test(`${title} on ${name}`, { skip: !peerInstalled(name) && skipWithout(name) }, async (tap) => {
      const peer = peers.get(name) ?? (await startPeer(name))
      if (!peers.has(name)) t.teardown(() => peer.stop())
      peers.set(name, peer)
      const client = await peer.client()
      await client.call('FLUSHALL')
      await run(client, tap)
      client.close()
    })
  }
}

const REDRAWN: readonly (readonly [string, string[], string])[] = [
  ['intset', ['SADD', 'k', ...words(10).split(' ')], 'SRANDMEMBER'],
  ['packed set', ['SADD', 'k', ...words(10, 'm').split(' ')], 'SRANDMEMBER'],
  ['large set', ['SADD', 'k', ...words(9, 'm').split(' '), 'x'.repeat(65)], 'SRANDMEMBER'],
  ['packed hash', ['HSET', 'k', ...pairs(10).split(' ')], 'HRANDFIELD'],
  ['large hash', ['HSET', 'k', ...pairs(9).split(' '), 'x'.repeat(65), 'v'], 'HRANDFIELD'],
]

await onBoth('draws are fair', async (client, tap) => {
  for (const [title, fill, draw] of REDRAWN) {
    await client.call('DEL', 'k')
    await client.call(...fill)
    const repeated = itemsOf(await client.call(draw, 'k', -5000))
    tap.equal(repeated.length, 5000, title)
    tap.ok(isEven(repeated, 10, 500), `${title}: each of 10 about 500 times in 5000 draws`)
    for (const count of [2, 5, 9]) {
      const replies = await client.pipeline(Array.from({ length: 1000 }, () => [draw, 'k', count]))
      const picked = replies.map(({ reply }) => itemsOf(reply))
      tap.ok(picked.every((items) => new Set(items).size === count), `${title}: ${count} different ones`)
      tap.ok(isEven(picked.flat(), 10, count * 100), `${title}: each as often as any other in samples of ${count}`)
    }
  }
})

/** Whether all `kinds` came up, each between 3/4 and 5/4 of the expected number of times (over 5 sigma here). */
function isEven(drawn: readonly string[], kinds: number, expected: number): boolean {
  const counts = new Map<string, number>()
  for (const item of drawn) counts.set(item, (counts.get(item) ?? 0) + 1)
  return counts.size === kinds && [...counts.values()].every((count) => count > expected * 0.65 && count < expected * 1.35)
}

await onBoth('a pop takes what it returns', async (client, tap) => {
  const members = { intset: words(300), listpack: words(120, 'm'), hashtable: words(700, 'm') }
  for (const [encoding, list] of Object.entries(members)) {
    const all = list.split(' ')
    for (const count of [undefined, 1, 3, Math.floor(all.length / 2), all.length - 2, all.length - 1]) {
      await client.call('DEL', 's')
      await client.call('SADD', 's', ...all)
      tap.equal(await client.text('OBJECT', 'ENCODING', 's'), `"${encoding}"`)
      const reply = await client.call('SPOP', 's', ...(count === undefined ? [] : [count]))
      const popped = reply.type === 'bulk' ? [show(reply)] : itemsOf(reply)
      const left = itemsOf(await client.call('SMEMBERS', 's'))
      tap.equal(popped.length, count ?? 1, `${encoding}: SPOP ${count ?? ''}`)
      tap.same([...popped, ...left].sort(), all.map((word) => `"${word}"`).sort(), `${encoding}: nothing lost, nothing twice`)
    }
  }
  await client.call('DEL', 's')
  await client.call('SADD', 's', '100000', ...words(9).split(' '))
  let narrow = false
  for (let i = 0; i < 60 && !narrow; i++) {
    await client.call('COPY', 's', 'pop', 'REPLACE')
    await client.call('SPOP', 'pop', 9)
    const dump = await client.call('DUMP', 'pop')
    // Type 11, an intset of one member of two bytes: width 2, count 1.
    narrow = dump.type === 'bulk' && dump.bytes.subarray(0, 6).equals(Buffer.from([11, 10, 2, 0, 0, 0]))
  }
  tap.ok(narrow, 'the rest of an intset is as narrow as it can be')
})

// ------------------------------------------------------------------------------------------------ walks

const still = async (): Promise<void> => undefined

/** All elements that a walk with this command returns; `between` runs after each step. */
async function scanAll(client: RespClient, command: Word[], options: Word[], between: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = []
  let cursor = '0'
  for (let steps = 0; steps < 10_000; steps++) {
    const reply = await client.call(...command, cursor, ...options)
    if (reply.type !== 'array' || reply.items[0].type !== 'bulk') throw new Error(show(reply))
    cursor = reply.items[0].bytes.toString()
    seen.push(...itemsOf(reply.items[1]))
    if (cursor === '0') return seen
    await between()
  }
  throw new Error('the walk does not end')
}

await onBoth('what stays is found by a walk however the table changes', async (client, tap) => {
  const fields = Array.from({ length: 1500 }, (_, i) => `field${i}`)
  const wanted = fields.map((field) => `"${field}"`).sort()
  await client.call('HSET', 'h', ...fields.flatMap((field) => [field, 'v']))
  await client.call('SADD', 's', ...fields)
  const found = await scanAll(client, ['HSCAN', 'h'], ['NOVALUES'], still)
  tap.same([...new Set(found)].sort(), wanted, 'HSCAN NOVALUES')
  const withValues = await scanAll(client, ['HSCAN', 'h'], ['COUNT', 100], still)
  tap.equal(withValues.filter((item) => item === '"v"').length, withValues.length / 2, 'HSCAN with values')
  const matching = await scanAll(client, ['SSCAN', 's'], ['MATCH', '*99', 'COUNT', 50], still)
  tap.same([...new Set(matching)].sort(), wanted.filter((field) => field.endsWith('99"')), 'SSCAN MATCH')

  let next = 0
  const grow = (): Promise<unknown> => {
    if (next >= 4000) return still()
    const more = Array.from({ length: 200 }, () => `more${next++}`)
    return client.pipeline([['SADD', 's', ...more], ['HSET', 'h', ...more.flatMap((field) => [field, 'v'])]])
  }
  const grown = new Set(await scanAll(client, ['SSCAN', 's'], ['COUNT', 30], grow))
  tap.ok(wanted.every((member) => grown.has(member)), 'all members while the set grows')
  const shrink = (): Promise<unknown> => {
    if (next === 0) return still()
    next -= 400
    const fewer = Array.from({ length: 400 }, (_, i) => `more${next + i}`)
    return client.pipeline([['SREM', 's', ...fewer], ['HDEL', 'h', ...fewer]])
  }
  const shrunk = new Set(await scanAll(client, ['HSCAN', 'h'], ['COUNT', 30, 'NOVALUES'], shrink))
  tap.ok(wanted.every((field) => shrunk.has(field)), 'all fields while the hash shrinks')
})

await onBoth('large hashes and sets', async (client, tap) => {
  const fields = Array.from({ length: 5000 }, (_, i) => `f${i}`)
  const long = 'v'.repeat(20_000)
  await client.pipeline(fields.map((field, i) => ['HSET', 'h', field, i]))
  await client.call('HSET', 'h', 'long', long, 'k'.repeat(5000), 'long field')
  tap.equal(await client.text('HLEN', 'h'), ':5002')
  tap.equal(await client.text('HGET', 'h', 'long'), `"${long}"`)
  tap.equal(await client.text('HSTRLEN', 'h', 'long'), ':20000')
  tap.equal(await client.text('HSET', 'h', 'long', 'short'), ':0')
  tap.equal(await client.text('HGET', 'h', 'long'), '"short"')
  tap.equal(await client.text('HGET', 'h', 'k'.repeat(5000)), '"long field"')
  const all = await client.call('HGETALL', 'h')
  const entries: Record<string, string> = { '"long"': '"short"', [`"${'k'.repeat(5000)}"`]: '"long field"' }
  fields.forEach((field, i) => { entries[`"${field}"`] = `"${i}"` })
  tap.ok((unorderedPairs(entries) as (reply: Reply) => boolean)(all), 'HGETALL')
  const gone = await client.pipeline(fields.slice(100).map((field) => ['HDEL', 'h', field]))
  tap.ok(gone.every(({ reply }) => show(reply) === ':1'))
  tap.equal((itemsOf(await client.call('HKEYS', 'h'))).length, 102)
  tap.equal(await client.text('HGET', 'h', 'f99'), '"99"')
  tap.equal(await client.text('HGET', 'h', 'f100'), 'nil')
  await client.call('SADD', 's1', ...fields)
  await client.call('SADD', 's2', ...fields.slice(2500), 'other')
  tap.equal(await client.text('SINTERCARD', 2, 's1', 's2'), ':2500')
  tap.equal(await client.text('SDIFFSTORE', 'd', 's1', 's2'), ':2500')
  tap.equal(await client.text('SDIFFSTORE', 'd', 's2', 's1', 's1', 's1'), ':1')
  tap.equal(await client.text('SUNIONSTORE', 'u', 's1', 's2'), ':5001')
  tap.equal(await client.text('COPY', 'u', 'copy'), ':1')
  tap.equal(await client.text('SREM', 'u', ...fields), ':5000')
  tap.equal(await client.text('SMEMBERS', 'u'), '["other"]')
  tap.equal(await client.text('SCARD', 'copy'), ':5001')
})

// ------------------------------------------------------------------------------------------------ the values

t.test('large values are copied in depth', async (t) => {
  const hash = new LargeHash()
  const set = new LargeSet()
  for (let i = 0; i < 1000; i++) {
    hash.fields.set(Slice.from(`f${i}`), Slice.from(`v${i}`))
    set.add(Slice.from(`m${i}`))
  }
  const hashCopy = hash.clone()
  const setCopy = set.clone()
  t.equal(hash.delete(Slice.from('f5')), true)
  t.equal(hash.delete(Slice.from('f5')), false)
  t.equal(set.delete(Slice.from('m5')), true)
  t.same([hash.size, set.size, hashCopy.size, setCopy.size], [999, 999, 1000, 1000])
  const value = hashCopy.fields.valueAt(hashCopy.fields.findKey(Slice.from('f5')), new Slice())
  t.equal(value.toString(), 'v5')
  t.not(setCopy.members.findKey(Slice.from('m5')), 0)
  t.ok(hash.bytes > 1000 * 8)
})

t.test('samples', async (t) => {
  const seed = new Random().int32()
  t.comment(`seed ${seed}`)
  const random = new Random(seed)
  for (const [size, count] of [[1, 1], [10, 0], [10, 3], [10, 10], [1000, 999]]) {
    const chosen = sampleIndices(size, count, random)
    t.equal(chosen.length, count)
    t.ok(chosen.every((index, i) => index < size && (i === 0 || index > chosen[i - 1])), `${count} of ${size}, ascending`)
  }
  const set = new LargeSet()
  for (let i = 0; i < 300; i++) set.add(Slice.from(`m${i}`))
  for (const count of [1, 50, 200, 300])
    t.equal(new Set(sampleRecords(set.members, count, random)).size, count, `${count} different records of 300`)
})

t.test('a table that only shrinks drains', async (t) => {
  const set = new LargeSet()
  for (let i = 0; i < 20_000; i++) set.add(Slice.from(`m${i}`))
  for (let i = 0; i < 19_990; i++) set.delete(Slice.from(`m${i}`))
  t.equal(set.size, 10)
  t.ok(set.members.positions < 1000, `${set.members.positions} slots for 10 members`)
})
