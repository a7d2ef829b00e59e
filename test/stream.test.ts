/**
 * Streams and consumer groups: commands against replies, the layout of nodes against a real server's DUMP, and
 * the table of pending entries against a plain model.
 */
import t from 'tap'
import { Slice } from '../protocol/slice.js'
import { canonical, readUint64, UINT64_MAX } from '../protocol/uint64.js'
import { IdTable } from '../src/keyspace/id-table.js'
import { StreamId } from '../src/keyspace/stream-id.js'
import { Random } from '../src/random.js'
import { peerInstalled, skipWithout, startPeer } from './peers.js'
import { tables } from './replies.js'

const INVALID_ID = '-ERR Invalid stream ID specified as stream command argument'
const NOT_INTEGER = '-ERR value is not an integer or out of range'
const NOT_GREATER = '-ERR The ID specified in XADD is equal or smaller than the target stream top item'
const MAX = '18446744073709551615'
const WRONG_TYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value'
const NO_GROUP = "-NOGROUP No such key 's' or consumer group 'none'"

t.test('commands', { skip: peerInstalled('keyferry') ? false : 'the server is not built' }, async (t) => {
  const check = await tables(t)

  await check('XADD', [
    ['XADD s 1-1 f v', '"1-1"'],
    ['XADD s 1 f v', NOT_GREATER],
    ['XADD s 1-* f v', '"1-2"'],
    ['XADD s 2 f v g w', '"2-0"'],
    ['XADD s * f v', /^"\d{13}-0"$/],
    ['XADD s 0-0 f v', '-ERR The ID specified in XADD must be greater than 0-0'],
    ['XADD s x f v', INVALID_ID],
    ['XADD s - f v', INVALID_ID],
    ['XADD s 3-1 f', "-ERR wrong number of arguments for 'xadd' command"],
    ['XADD s 3-1 f v g', "-ERR wrong number of arguments for 'xadd' command"],
    ['XADD none NOMKSTREAM 1-1 f v', 'nil'],
    ['EXISTS none', ':0'],
    [`XADD m ${MAX}-1 f v`, `"${MAX}-1"`],
    ['XADD m * f v', `"${MAX}-2"`],
    [`XADD m ${MAX}-${MAX} f v`, `"${MAX}-${MAX}"`],
    ['XADD m * f v', '-ERR The stream has exhausted the last possible ID, unable to add more items'],
    [`XRANGE m ${MAX}-2 +`, `[["${MAX}-2", ["f", "v"]], ["${MAX}-${MAX}", ["f", "v"]]]`],
    ['XLEN m', ':3'],
    ['SET k v', '+OK'],
    ['XADD k 1-1 f v', WRONG_TYPE],
    ['XLEN k', WRONG_TYPE],
  ])

  await check('trimming', [
    ['XADD s MAXLEN 2 1-1 f v', '"1-1"'],
    ['XADD s MAXLEN = 2 2-1 f v', '"2-1"'],
    ['XADD s MAXLEN 2 3-1 f v', '"3-1"'],
    ['XLEN s', ':2'],
    ['XADD s MINID 3 4-1 f v', '"4-1"'],
    ['XRANGE s - +', '[["3-1", ["f", "v"]], ["4-1", ["f", "v"]]]'],
    ['XTRIM s MAXLEN ~ 0 LIMIT 1', ':0'],
    ['XTRIM s MAXLEN 1', ':1'],
    ['XTRIM s MINID 4-2', ':1'],
    ['XLEN s', ':0'],
    ['EXISTS s', ':1'],
    ['XADD s MAXLEN x 5-1 f v', NOT_INTEGER],
    ['XADD s MAXLEN -1 5-1 f v', '-ERR The MAXLEN argument must be >= 0.'],
    ['XADD s MAXLEN 2 LIMIT 5 5-1 f v', '-ERR syntax error, LIMIT cannot be used without the special ~ option'],
    ['XADD s MAXLEN 1 MINID 1 5-1 f v', '-ERR syntax error, MAXLEN and MINID options at the same time are not compatible'],
    ['XTRIM s LIMIT 0 LIMIT 0', '-ERR syntax error, XTRIM must be called with a trimming strategy'],
    ['XTRIM s LENGTH 5', '-ERR syntax error'],
  ])

  await check('ranges', [
    ['XADD s 1-1 f 1', '"1-1"'],
    ['XADD s 1-2 f 2', '"1-2"'],
    ['XADD s 3-1 g 3', '"3-1"'],
    ['XRANGE s 1 1', '[["1-1", ["f", "1"]], ["1-2", ["f", "2"]]]'],
    ['XRANGE s (1-1 + COUNT 1', '[["1-2", ["f", "2"]]]'],
    ['XREVRANGE s + (1-1', '[["3-1", ["g", "3"]], ["1-2", ["f", "2"]]]'],
    ['XRANGE s + -', '[]'],
    ['XRANGE s - + COUNT 0', 'nil-array'],
    ['XRANGE none - + COUNT 0', '[]'],
    ['XRANGE s - + COUNT x', NOT_INTEGER],
    ['XRANGE s - + LIMIT 1', '-ERR syntax error'],
    ['XRANGE s (- +', INVALID_ID],
    [`XRANGE s (${MAX}-${MAX} +`, '-ERR invalid start ID for the interval'],
    ['XRANGE s - (0-0', '-ERR invalid end ID for the interval'],
    ['XDEL s 1-2 9-9 1-2', ':1'],
    ['XDEL s 3-1 x', INVALID_ID],
    ['XREVRANGE s + -', '[["3-1", ["g", "3"]], ["1-1", ["f", "1"]]]'],
  ])

  await check('XREAD', [
    ['XADD s 1-1 f 1', '"1-1"'],
    ['XADD s 2-1 f 2', '"2-1"'],
    ['XREAD STREAMS s none 0 0', '[["s", [["1-1", ["f", "1"]], ["2-1", ["f", "2"]]]]]'],
    ['XREAD COUNT 1 STREAMS s 0', '[["s", [["1-1", ["f", "1"]]]]]'],
    ['XREAD STREAMS s $', 'nil-array'],
    ['XREAD STREAMS s +', '[["s", [["2-1", ["f", "2"]]]]]'],
    ['XREAD BLOCK 1 STREAMS s 2-1', 'nil-array'],
    ['XREAD STREAMS s >', /^-ERR The > ID can be specified only when calling XREADGROUP/],
    ['XREAD STREAMS s t 0', "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."],
    ['XREAD BLOCK x STREAMS s 0', '-ERR timeout is not an integer or out of range'],
    ['XREAD BLOCK -1 STREAMS s 0', '-ERR timeout is negative'],
    ['XREAD GROUP g c STREAMS s 0', /^-ERR The GROUP option is only supported by XREADGROUP/],
  ])

  await check('RESP3', [
    ['XADD s 1-1 f 1', '"1-1"'],
    ['XREAD STREAMS s 0', '{"s": [["1-1", ["f", "1"]]]}'],
    ['XREAD STREAMS s 1-1', 'null'],
    ['XGROUP CREATE s g 0', '+OK'],
    ['XINFO GROUPS s', '[{"name": "g", "consumers": :0, "pending": :0, "last-delivered-id": "0-0", "entries-read": null, "lag": :1}]'],
    ['XPENDING s g', '[:0, null, null, null]'],
  ], { resp: 3 })

  await check('groups', [
    ['XGROUP CREATE s g $', /^-ERR The XGROUP subcommand requires the key to exist/],
    ['XGROUP CREATE s g $ MKSTREAM', '+OK'],
    ['XGROUP CREATE s g $', '-BUSYGROUP Consumer Group name already exists'],
    ['XGROUP CREATE s h 0 ENTRIESREAD -2', '-ERR value for ENTRIESREAD must be positive or -1'],
    ['XGROUP CREATE s h 0 NONSENSE', "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP."],
    ['XGROUP CREATECONSUMER s g c', ':1'],
    ['XGROUP CREATECONSUMER s g c', ':0'],
    ['XGROUP DELCONSUMER s g c', ':0'],
    ['XGROUP DELCONSUMER s none c', "-NOGROUP No such consumer group 'none' for key name 's'"],
    ['XGROUP SETID s g 5-5 ENTRIESREAD 3', '+OK'],
    ['XGROUP SETID s g (5', INVALID_ID],
    ['XGROUP CREATE s h +', INVALID_ID],
    ['XINFO GROUPS s', '[["name", "g", "consumers", :0, "pending", :0, "last-delivered-id", "5-5", "entries-read", :3, "lag", :0]]'],
    ['XGROUP SETID s g +', '+OK'],
    ['XINFO GROUPS s', /"last-delivered-id", "18446744073709551615-18446744073709551615", "entries-read", nil/],
    ['XGROUP SETID s g -', '+OK'],
    ['XINFO GROUPS s', /"last-delivered-id", "0-0"/],
    ['XPENDING', 'a\0b', 'g', "-NOGROUP No such key 'a' or consumer group 'g'"],
    ['XGROUP DESTROY s g', ':1'],
    ['XGROUP DESTROY s g', ':0'],
    ['XGROUP HELP', /^\[\+XGROUP <subcommand>/],
  ])

  await check('reading as a group', [
    ['XADD s 1-1 f 1', '"1-1"'],
    ['XADD s 2-1 f 2', '"2-1"'],
    ['XADD s 3-1 f 3', '"3-1"'],
    ['XGROUP CREATE s g 0', '+OK'],
    ['XREADGROUP GROUP g c COUNT 1 STREAMS s >', '[["s", [["1-1", ["f", "1"]]]]]'],
    ['XREADGROUP GROUP g d STREAMS s >', '[["s", [["2-1", ["f", "2"]], ["3-1", ["f", "3"]]]]]'],
    ['XREADGROUP GROUP g d STREAMS s >', 'nil-array'],
    ['XREADGROUP GROUP g c STREAMS s 0', '[["s", [["1-1", ["f", "1"]]]]]'],
    ['XPENDING s g', '[:3, "1-1", "3-1", [["c", "1"], ["d", "2"]]]'],
    ['XPENDING s g - + 10 c', /^\[\["1-1", "c", :\d+, :2\]\]$/],
    ['XPENDING s g IDLE 100000 - + 10', '[]'],
    ['XPENDING s g - +', '-ERR syntax error'],
    ['XPENDING s none', NO_GROUP],
    ['XDEL s 2-1', ':1'],
    ['XREADGROUP GROUP g d STREAMS s 0', '[["s", [["2-1", nil-array], ["3-1", ["f", "3"]]]]]'],
    ['XACK s g 1-1 1-1 9-9', ':1'],
    ['XACK s none x', ':0'],
    ['XREADGROUP GROUP none d STREAMS s 0', `${NO_GROUP} in XREADGROUP with GROUP option`],
    ['XREADGROUP GROUP g d STREAMS s $', /^-ERR The \$ ID is meaningless in the context of XREADGROUP/],
    ['XREADGROUP GROUP g e NOACK STREAMS s >', 'nil-array'],
    ['XINFO CONSUMERS s g', /^\[\["name", "c", "pending", :0, .*"name", "d", "pending", :2.*"name", "e", "pending", :0, "idle", :\d+, "inactive", :-1\]\]$/],
    ['XGROUP DELCONSUMER s g d', ':2'],
    ['XPENDING s g', '[:0, nil, nil, nil-array]'],
  ])

  await check('claiming', [
    ['XADD s 1-1 f 1', '"1-1"'],
    ['XADD s 2-1 f 2', '"2-1"'],
    ['XADD s 3-1 f 3', '"3-1"'],
    ['XGROUP CREATE s g 0', '+OK'],
    ['XREADGROUP GROUP g c STREAMS s >', /^\[\["s"/],
    ['XCLAIM s g d 0 1-1', '[["1-1", ["f", "1"]]]'],
    ['XCLAIM s g d 1000000 2-1', '[]'],
    ['XCLAIM s g d 0 1-1 2-1 9-9 JUSTID', '["1-1", "2-1"]'],
    ['XCLAIM s g d 0 1-1 RETRYCOUNT 7 TIME 1000 JUSTID', '["1-1"]'],
    ['XPENDING s g - + 1', /^\[\["1-1", "d", :\d{13}, :7\]\]$/],
    ['XCLAIM s g d 0 1-1 RETRYCOUNT 9223372036854775807 JUSTID', '["1-1"]'],
    ['XPENDING s g - + 1', /^\[\["1-1", "d", :\d+, :9223372036854775807\]\]$/],
    ['XCLAIM s g d 0 1-1 NONSENSE', "-ERR Unrecognized XCLAIM option 'NONSENSE'"],
    ['XCLAIM s g d x 1-1', '-ERR Invalid min-idle-time argument for XCLAIM'],
    ['XACK s g 3-1', ':1'],
    ['XCLAIM s g d 0 3-1', '[]'],
    ['XCLAIM s g d 0 3-1 FORCE LASTID 8-8', '[["3-1", ["f", "3"]]]'],
    ['XDEL s 1-1', ':1'],
    ['XAUTOCLAIM s g e 0 0 COUNT 1', '["2-1", [], ["1-1"]]'],
    ['XAUTOCLAIM s g e 0 0', '["0-0", [["2-1", ["f", "2"]], ["3-1", ["f", "3"]]], []]'],
    ['XAUTOCLAIM s g e 0 0 COUNT 1 JUSTID', '["3-1", ["2-1"], []]'],
    ['XAUTOCLAIM s g e 1000000 -', '["0-0", [], []]'],
    ['XAUTOCLAIM s g e 0 0 COUNT 0', '-ERR COUNT must be > 0'],
    ['XAUTOCLAIM s none e 0 0', NO_GROUP],
    ['XINFO GROUPS s', /"last-delivered-id", "8-8"/],
  ])

  await check('XINFO and XSETID', [
    ['XADD s 1-1 f 1', '"1-1"'],
    ['XADD s 2-1 f 2', '"2-1"'],
    ['XDEL s 1-1', ':1'],
    ['XINFO STREAM s', '["length", :1, "radix-tree-keys", :1, "radix-tree-nodes", :2, "last-generated-id", "2-1", "max-deleted-entry-id", "1-1", "entries-added", :2, "recorded-first-entry-id", "2-1", "groups", :0, "first-entry", ["2-1", ["f", "2"]], "last-entry", ["2-1", ["f", "2"]]]'],
    ['XGROUP CREATE s g 0', '+OK'],
    ['XREADGROUP GROUP g c STREAMS s >', '[["s", [["2-1", ["f", "2"]]]]]'],
    ['XINFO STREAM s FULL', /"groups", \[\["name", "g", "last-delivered-id", "2-1", "entries-read", :2, "lag", :0, "pel-count", :1, "pending", \[\["2-1", "c", :\d+, :1\]\], "consumers", \[\["name", "c", "seen-time", :\d+, "active-time", :\d+, "pel-count", :1, "pending", \[\["2-1", :\d+, :1\]\]\]\]\]\]\]$/],
    ['XINFO STREAM none', '-ERR no such key'],
    ['XINFO STREAM s NONSENSE', "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP."],
    ['XSETID s 1-1', '-ERR The ID specified in XSETID is smaller than the target stream top item'],
    ['XSETID s 9-9 ENTRIESADDED 0', '-ERR The entries_added specified in XSETID is smaller than the target stream length'],
    ['XSETID s 9-9 ENTRIESADDED 5 MAXDELETEDID 10-0', '-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id'],
    ['XSETID s 9-9 ENTRIESADDED 5 MAXDELETEDID 3-0', '+OK'],
    ['XADD s 9-9 f v', NOT_GREATER],
    ['XINFO STREAM s', /"max-deleted-entry-id", "3-0", "entries-added", :5/],
    ['XADD w 1-1 f v', '"1-1"'],
    ['XGROUP CREATE w g 0 ENTRIESREAD 9223372036854775807', '+OK'],
    ['XINFO GROUPS w', /"entries-read", :9223372036854775807, "lag", :-9223372036854775806/],
    ['XREADGROUP GROUP g c NOACK STREAMS w >', '[["w", [["1-1", ["f", "v"]]]]]'],
    ['XINFO GROUPS w', /"entries-read", :-9223372036854775808, "lag", :-9223372036854775807/],
    ['XSETID s 9-9 ENTRIESADDED 9223372036854775807', '+OK'],
    ['XADD s 10-1 f v', '"10-1"'],
    ['XINFO STREAM s', /"entries-added", :-9223372036854775808/],
  ])
})

/** The words of one random change of a stream whose ids have come to `ms`. */
function randomChange(random: Random, ms: number): (string | number)[] {
  const pick = <T>(of: readonly T[]): T => of[random.below(of.length)]
  const past = Math.max(0, ms - random.below(40))
  switch (random.below(8)) {
    case 0: return ['XDEL', 's', `${past}-0`, `${past}-1`, `${past + 1}-0`]
    case 1: return random.below(4) === 0 ? ['XTRIM', 's', 'MAXLEN', pick(['=', '~']), random.below(60)] : ['XLEN', 's']
    case 2: return random.below(4) === 0 ? ['XTRIM', 's', 'MINID', pick(['=', '~']), past] : ['XLEN', 's']
    default: {
      const value = pick(['', '1', '-70000', '9223372036854775807', '01', 'x'.repeat(random.below(300)), 'y'.repeat(70)])
      const words = pick([['f'], ['f', 'g'], ['f', 'g', 'h'], ['g', 'f']]).flatMap((field) => [field, value])
      return ['XADD', 's', `${ms}-${random.below(3)}`, ...words]
    }
  }
}

t.test('nodes are laid out as Valkey lays them out', {
  skip: peerInstalled('keyferry') ? skipWithout('valkey') : 'the server is not built',
}, async (t) => {
  const seed = Number(process.env['SEED'] ?? new Random().int32())
  t.comment(`seed ${seed}`)
  const random = new Random(seed)
  const peers = [await startPeer('keyferry'), await startPeer('valkey')]
  t.teardown(async () => { for (const peer of peers) await peer.stop() })
  const clients = await Promise.all(peers.map((peer) => peer.client()))
  let ms = 1
  for (let round = 0; round < 12; round++) {
    const changes: (string | number)[][] = []
    for (let i = 0; i < 60; i++) {
      ms += [0, 1, 1, 5, 100000][random.below(5)]
      changes.push(randomChange(random, ms))
    }
    const dumps: string[] = []
    for (const client of clients) {
      for (const words of changes) await client.text(...(words as [string, ...string[]]))
      dumps.push(await client.text('DUMP', 's'))
    }
    if (!t.equal(dumps[0], dumps[1], `round ${round}`)) break
  }
})

t.test('the table of ids against a model', async (t) => {
  const seed = Number(process.env['SEED'] ?? new Random().int32())
  t.comment(`seed ${seed}`)
  const random = new Random(seed)
  const table = new IdTable(1)
  const model = new Map<bigint, number>()
  const id = new StreamId()
  const draw = (): bigint => {
    // Few enough ids to meet again, some on either side of 2^32, 2^53 and 2^64.
    const base = [0n, 2n ** 32n - 8n, 2n ** 53n - 8n, 2n ** 64n - 16n][random.below(4)]
    return ((base + BigInt(random.below(16))) << 64n) | BigInt(random.below(200))
  }
  for (let step = 0; step < 20000; step++) {
    const key = draw()
    id.set(canonical(key >> 64n), canonical(key & (2n ** 64n - 1n)))
    if (random.below(5) < 3) {
      if (table.add(id.ms, id.seq) === model.has(key)) t.fail('add tells whether the id is new')
      table.setWord(0, step)
      model.set(key, step)
    } else if (table.delete(id.ms, id.seq) !== model.delete(key)) t.fail('delete tells whether the id was there')
  }
  t.equal(table.size, model.size)
  const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  const copy = table.clone()
  for (const one of [table, copy]) {
    const seen: [bigint, number][] = []
    for (let more = one.first(); more; more = one.advance()) {
      one.idHere(id)
      seen.push([(BigInt(id.ms) << 64n) | BigInt(id.seq), one.word(0)])
    }
    t.same(seen, expected)
  }
  const middle = expected[expected.length >>> 1]
  id.set(canonical(middle[0] >> 64n), canonical(middle[0] & (2n ** 64n - 1n)))
  t.ok(table.seek(id))
  t.equal(table.word(0), middle[1])
  t.notOk(table.seek(id.set(UINT64_MAX, UINT64_MAX)))
})

const read = (text: string): unknown => readUint64(Slice.from(text))

t.test('ids at their limits', async (t) => {
  const id = new StreamId(5, UINT64_MAX)
  t.ok(id.increment())
  t.equal(id.toString(), '6-0')
  t.ok(id.decrement())
  t.equal(id.toString(), `5-${MAX}`)
  t.ok(id.set(9007199254740991, 9007199254740991).increment())
  t.equal(id.toString(), '9007199254740991-9007199254740992')
  t.ok(id.decrement())
  t.equal(id.seq, 9007199254740991, 'a number again as soon as it is safe')
  t.notOk(id.set(UINT64_MAX, UINT64_MAX).increment())
  t.notOk(id.set(0, 0).decrement())
  t.equal(read('18446744073709551615'), UINT64_MAX)
  t.equal(read('18446744073709551616'), undefined)
  t.equal(read('-1'), undefined)
  t.equal(read(' -3'), 18446744073709551613n)
  t.equal(read('007'), 7)
  t.equal(read(''), undefined)
  t.equal(read('1x'), undefined)
})
