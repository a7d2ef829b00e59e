/**
 * The connection and server groups: tables on keyferry and valkey, the command table against COMMAND of valkey, digests of
 * every payload of the vectors, and what needs several clients: MONITOR, CLIENT REPLY, PAUSE, KILL, passwords.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { brotliDecompressSync } from 'node:zlib'
import t from 'tap'
import { show, type Reply, type RespClient } from './client.js'
import { peerInstalled, skipWithout, startPeer, type Peer, type PeerName } from './peers.js'
import { tables } from './replies.js'

const CONFIG = { 'enable-debug-command': 'yes' }
const PAIR = ['keyferry', 'valkey'] as const
const withoutPeers = (): string | false => skipWithout('keyferry') || skipWithout('valkey')

t.test('tables', async (t) => {
  const check = await tables(t, { config: CONFIG })

  await check('PING, ECHO, SELECT', [
    ['PING', '+PONG'],
    ['PING a', '"a"'],
    ['PING a b', "-ERR wrong number of arguments for 'ping' command"],
    ['ECHO a', '"a"'],
    ['SELECT 1', '+OK'],
    ['SELECT 16', '-ERR DB index is out of range'],
    ['SELECT -1', '-ERR DB index is out of range'],
    ['SELECT a', '-ERR value is not an integer or out of range'],
    ['SELECT 99999999999', '-ERR value is out of range, value must between -2147483648 and 2147483647'],
  ])

  await check('HELLO, AUTH, RESET', [
    ['HELLO', /^\["server", "valkey", "version", "8.0.1", "proto", :2, "id", :\d+, "mode", "standalone", "role", "master", "modules", \[\]\]$/],
    ['HELLO 3', /^\{"server": "valkey", "version": "8.0.1", "proto": :3, "id": :\d+, "mode": "standalone", "role": "master", "modules": \[\]\}$/],
    ['RESET', '+RESET'],
    ['HELLO a', '-ERR Protocol version is not an integer or out of range'],
    ['HELLO 4', '-NOPROTO unsupported protocol version'],
    ['HELLO 3 AUTH default', "-ERR Syntax error in HELLO option 'AUTH'"],
    ['HELLO 2 AUTH foo x', '-WRONGPASS invalid username-password pair or user is disabled.'],
    ['HELLO 2 SETNAME', 'a b', '-ERR Client names cannot contain spaces, newlines or special characters.'],
    ['HELLO 2 AUTH foo x SETNAME def', '-WRONGPASS invalid username-password pair or user is disabled.'],
    ['CLIENT GETNAME', 'nil'],
    ['HELLO 2 FOO', "-ERR Syntax error in HELLO option 'FOO'"],
    ['AUTH', "-ERR wrong number of arguments for 'auth' command"],
    ['AUTH a', '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?'],
    ['AUTH default a', '+OK'],
    ['AUTH foo a', '-WRONGPASS invalid username-password pair or user is disabled.'],
    ['AUTH a b c', '-ERR syntax error'],
  ])

  await check('CLIENT', [
    ['CLIENT', "-ERR wrong number of arguments for 'client' command"],
    ['CLIENT FOO', "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."],
    ['CLIENT SETNAME', 'a\nb', '-ERR Client names cannot contain spaces, newlines or special characters.'],
    ['CLIENT SETNAME ab', '+OK'],
    ['CLIENT GETNAME', '"ab"'],
    ['CLIENT SETINFO lib-name foo', '+OK'],
    ['CLIENT SETNAME', 'a\0 b\xff', '+OK'],
    ['CLIENT GETNAME', '"a\\x00 b\\xc3\\xbf"'],
    ['CLIENT INFO', / name=a age=/],
    ['CLIENT SETNAME ab', '+OK'],
    ['CLIENT KILL TYPE', 'a\0b', "-ERR Unknown client type 'a'"],
    ['CLIENT SETINFO LIB-VER', '1 0', '-ERR LIB-VER cannot contain spaces, newlines or special characters.'],
    ['CLIENT SETINFO foo bar', "-ERR Unrecognized option 'foo'"],
    ['CLIENT NO-TOUCH on', '+OK'],
    ['CLIENT INFO', /^"id=\d+ addr=127.0.0.1:\d+ laddr=127.0.0.1:\d+ fd=\d+ name=ab age=0 idle=0 flags=T db=\d+ sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=\d+ qbuf-free=\d+ argv-mem=\d+ multi-mem=0 rbs=\d+ rbp=\d+ obl=0 oll=0 omem=0 tot-mem=\d+ events=r cmd=client\|info user=default redir=-1 resp=2 lib-name=foo lib-ver= tot-net-in=\d+ tot-net-out=\d+ tot-cmds=\d+\\n"$/],
    ['CLIENT LIST TYPE primary', '""'],
    ['CLIENT LIST TYPE foo', "-ERR Unknown client type 'foo'"],
    ['CLIENT LIST ID a', '-ERR Invalid client ID'],
    ['CLIENT LIST ID 0 100000', '""'],
    ['CLIENT LIST FOO BAR', '-ERR syntax error'],
    ['CLIENT KILL 1.2.3.4:1', '-ERR No such client'],
    ['CLIENT KILL ID a', '-ERR client-id should be greater than 0'],
    ['CLIENT KILL ID 100000 SKIPME', '-ERR syntax error'],
    ['CLIENT KILL ID 100000 SKIPME a', '-ERR syntax error'],
    ['CLIENT KILL ID 100000 SKIPME yes', ':0'],
    ['CLIENT KILL USER foo', "-ERR No such user 'foo'"],
    ['CLIENT KILL MAXAGE a', '-ERR maxage is not an integer or out of range'],
    ['CLIENT KILL MAXAGE 0', '-ERR maxage should be greater than 0'],
    ['CLIENT KILL ADDR 1.2.3.4:5', ':0'],
    ['CLIENT NO-EVICT foo', '-ERR syntax error'],
    ['CLIENT REPLY foo', '-ERR syntax error'],
    ['CLIENT PAUSE a', '-ERR timeout is not an integer or out of range'],
    ['CLIENT PAUSE -1', '-ERR timeout is negative'],
    ['CLIENT PAUSE 9223372036854775807', '-ERR timeout is out of range'],
    ['CLIENT PAUSE 1 foo', '-ERR CLIENT PAUSE mode must be WRITE or ALL'],
    ['CLIENT PAUSE 1 WRITE b', "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP."],
    ['CLIENT UNPAUSE', '+OK'],
    ['CLIENT GETREDIR', ':-1'],
    ['CLIENT TRACKINGINFO', '["flags", ["off"], "redirect", :-1, "prefixes", []]'],
    ['CLIENT TRACKING off', '+OK'],
    ['CLIENT TRACKING on OPTIN OPTOUT', "-ERR You can't specify both OPTIN mode and OPTOUT mode"],
    ['CLIENT TRACKING on REDIRECT 1000000', '-ERR The client ID you want redirect to does not exist'],
    ['CLIENT TRACKING on PREFIX a', '-ERR PREFIX option requires BCAST mode to be enabled'],
    ['CLIENT CACHING yes', '-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled'],
    ['CLIENT UNBLOCK 1 foo', '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR'],
    ['CLIENT UNBLOCK 100000', ':0'],
    ['CLIENT CAPA redirect', '+OK'],
  ])

  await check('CLIENT NO-TOUCH', [
    ['SET k v', '+OK'],
    ['CLIENT NO-TOUCH on', '+OK'],
    ['GET k', '"v"'],
    ['APPEND k w', ':2'],
    ['OBJECT FREQ k', ':5'],
    ['TOUCH k', ':1'],
    ['OBJECT FREQ k', ':6'],
    ['SET l v', '+OK'],
    ['CLIENT NO-TOUCH off', '+OK'],
    ['GET l', '"v"'],
    ['OBJECT FREQ l', ':6'],
  ], { config: { 'maxmemory-policy': 'allkeys-lfu' } })

  await check('CONFIG', [
    ['CONFIG GET foo', '[]'],
    ['CONFIG GET maxmemory', '["maxmemory", "0"]'],
    ['CONFIG SET foo', "-ERR wrong number of arguments for 'config|set' command"],
    ['CONFIG SET foo bar', "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'"],
    ['CONFIG SET maxmemory 1 foo', '-ERR syntax error'],
    ['CONFIG SET maxmemory abc', "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value"],
    ['CONFIG SET maxmemory 0 maxmemory 1', "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter"],
    ['CONFIG SET hash-max-ziplist-entries 7', '+OK'],
    ['CONFIG GET hash-max-listpack-entries', '["hash-max-listpack-entries", "7"]'],
    ['CONFIG SET hash-max-listpack-entries 512', '+OK'],
    ['CONFIG RESETSTAT', '+OK'],
    ['CONFIG REWRITE', '-ERR The server is running without a config file'],
    ['CONFIG FOO', "-ERR unknown subcommand 'FOO'. Try CONFIG HELP."],
  ])

  await check('SLOWLOG, LATENCY, MEMORY', [
    ['SLOWLOG GET a', '-ERR count should be greater than or equal to -1'],
    ['SLOWLOG GET -2', '-ERR count should be greater than or equal to -1'],
    ['SLOWLOG GET 1 2', "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."],
    ['SLOWLOG RESET', '+OK'],
    ['DEBUG SLEEP 0.03', '+OK'],
    ['SLOWLOG LEN', ':1'],
    ['SLOWLOG GET', /^\[\[:\d+, :\d+, :\d+, \["DEBUG", "SLEEP", "0.03"\], "127.0.0.1:\d+", ""\]\]$/],
    ['CONFIG SET slowlog-max-len 0', '+OK'],
    ['SLOWLOG LEN', ':1'],
    ['LATENCY LATEST', '[]'],
    ['CONFIG SET latency-monitor-threshold 10', '+OK'],
    ['DEBUG SLEEP 0.03', '+OK'],
    ['LATENCY LATEST', /^\[\["command", :\d+, :3\d, :3\d\]\]$/],
    ['LATENCY HISTORY command', /^\[\[:\d+, :3\d\]\]$/],
    ['LATENCY HISTORY none', '[]'],
    ['LATENCY GRAPH command', /^"command - high 3\d ms, low 3\d ms \(all time high 3\d ms\)\\n-{80}\\n \\n \\n \\n_\\n \\n\d\\ns\\n"$/],
    ['LATENCY GRAPH none', "-ERR No samples available for event 'none'"],
    ['LATENCY RESET command none', ':1'],
    ['CONFIG SET latency-monitor-threshold 0', '+OK'],
    ['LATENCY HISTOGRAM debug', /^\["debug", \["calls", :2, "histogram_usec", \[:\d+, :[12](, :\d+, :2)?\]\]\]$/],
    ['LATENCY HISTOGRAM none', '[]'],
    ['MEMORY USAGE none', 'nil'],
    ['SET k v', '+OK'],
    ['MEMORY USAGE k', /^:\d+$/],
    ['MEMORY USAGE k SAMPLES -1', '-ERR syntax error'],
    ['MEMORY USAGE k SAMPLES a', '-ERR value is not an integer or out of range'],
    ['MEMORY USAGE k x', '-ERR syntax error'],
    ['MEMORY PURGE', '+OK'],
  ], { config: { 'slowlog-log-slower-than': 20_000, 'slowlog-max-len': 128 } })

  await check('the server', [
    ['TIME', /^\["\d{10}", "\d{1,6}"\]$/],
    ['LASTSAVE', /^:\d{10}$/],
    ['LOLWUT VERSION a', '-ERR value is not an integer or out of range'],
    ['SHUTDOWN foo', '-ERR syntax error'],
    ['SHUTDOWN SAVE NOSAVE', '-ERR syntax error'],
    ['SHUTDOWN ABORT', '-ERR No shutdown in progress.'],
    ['ROLE', /^\["master", :\d+, \[\]\]$/],
    ['REPLICAOF NO ONE', '+OK'],
    ['REPLICAOF a b', '-ERR Invalid master port'],
    ['WAIT 0 0', ':0'],
    ['WAIT 1 10', ':0'],
    ['WAIT 0 a', '-ERR timeout is not an integer or out of range'],
    ['WAIT 0 -1', '-ERR timeout is negative'],
    ['WAITAOF 1 0 0', '-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.'],
    ['WAITAOF 2 0 0', '-ERR value is out of range, value must between 0 and 1'],
    ['WAITAOF 0 1 10', '[:0, :0]'],
    ['INFO foo', '""'],
    ['INFO cluster', '"# Cluster\\r\\ncluster_enabled:0\\r\\n"'],
    ['SET k v', '+OK'],
    ['INFO KEYSPACE modules', '"# Modules\\r\\n\\r\\n# Keyspace\\r\\ndb0:keys=1,expires=0,avg_ttl=0\\r\\n"'],
    ['MULTI', '+OK'],
    ['MONITOR', '+QUEUED'],
    ['WAIT 1 0', '+QUEUED'],
    ['EXEC', "[-ERR MONITOR isn't allowed for DENY BLOCKING client, :0]"],
  ])

  await check('COMMAND', [
    ['COMMAND INFO get foo', '[["get", :2, [+readonly, +fast], :1, :1, :1, [+@read, +@string, +@fast], [], [["flags", [+RO, +access], "begin_search", ["type", "index", "spec", ["index", :1]], "find_keys", ["type", "range", "spec", ["lastkey", :0, "keystep", :1, "limit", :0]]]], []], nil]'],
    ['COMMAND INFO config|foo get|foo', '[nil, nil]'],
    ['COMMAND DOCS foo', '[]'],
    ['COMMAND LIST foo', '-ERR syntax error'],
    ['COMMAND LIST FILTERBY foo bar', '-ERR syntax error'],
    ['COMMAND LIST FILTERBY MODULE foo', '[]'],
    ['COMMAND LIST FILTERBY ACLCAT foo', '[]'],
    ['COMMAND GETKEYS get', '-ERR Invalid number of arguments specified for command'],
    ['COMMAND GETKEYS foo a', '-ERR Invalid command specified'],
    ['COMMAND GETKEYS config foo', '-ERR Invalid command specified'],
    ['COMMAND GETKEYS ping', '-ERR The command has no key arguments'],
    ['COMMAND GETKEYS mset a b c d', '["a", "c"]'],
    ['COMMAND GETKEYS object encoding a', '["a"]'],
    ['COMMAND GETKEYS sort a by b* get c* store d', '["a", "d"]'],
    ['COMMAND GETKEYS zunionstore d 2 a b weights 1 2', '["d", "a", "b"]'],
    ['COMMAND GETKEYS zunionstore d 2x a b', '["a", "b", "d"]'],
    ['COMMAND GETKEYS zunionstore d 02 a b', '["a", "b", "d"]'],
    ['COMMAND GETKEYSANDFLAGS zunionstore d +1 a', '[["a", []], ["d", []]]'],
    ['COMMAND GETKEYS zunionstore d "" a', '-ERR Invalid arguments specified for command'],
    ['COMMAND GETKEYS zunionstore d 0 a', '-ERR Invalid arguments specified for command'],
    ['COMMAND GETKEYS zunionstore d x a', '-ERR Invalid arguments specified for command'],
    ['COMMAND GETKEYS sintercard 2x a b c', '["a", "b"]'],
    ['COMMAND GETKEYS xread count 1 streams a b 0 0', '["a", "b"]'],
    ['COMMAND GETKEYS xread streams', '-ERR Invalid number of arguments specified for command'],
    ['COMMAND GETKEYS migrate h 1', '', '0', '5', 'keys', 'a', 'b', '["a", "b"]'],
    ['COMMAND GETKEYSANDFLAGS set a b', '[["a", [+OW, +update]]]'],
    ['COMMAND GETKEYSANDFLAGS set a b get', '[["a", [+RW, +access, +update]]]'],
    ['COMMAND GETKEYSANDFLAGS sort a store d', '[["a", [+RO, +access]], ["d", [+OW, +update]]]'],
    ['COMMAND GETKEYSANDFLAGS copy a b', '[["a", [+RO, +access]], ["b", [+OW, +update]]]'],
    ['COMMAND GETKEYSANDFLAGS migrate h 1 k 0 5', '[["k", [+RW, +access, +delete]]]'],
  ])

  await check('DEBUG', [
    ['DEBUG FOO', "-ERR unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG HELP."],
    ['DEBUG OBJECT none', '-ERR no such key'],
    ['RPUSH l 1 2 a', ':3'],
    ['DEBUG OBJECT l', /^\+Value at:0x[0-9a-f]+ refcount:1 encoding:listpack serializedlength:17 lru:\d+ lru_seconds_idle:0 lfu_freq:0 lfu_access_time_minutes:\d+$/],
    ['DEBUG LISTPACK l', '+Listpack structure printed on stdout'],
    ['DEBUG QUICKLIST l', '-ERR Not a quicklist encoded object.'],
    ['DEBUG HTSTATS 16', '-ERR Out of range database'],
    ['DEBUG HTSTATS-KEY l', '-ERR The value stored at the specified key is not represented using an hash table'],
    ['DEBUG POPULATE 2 p 9', '+OK'],
    ['GET p:1', '"value:1\\x00\\x00"'],
    ['DEBUG POPULATE -1', '-ERR value is out of range, must be positive'],
    ['DEBUG QUICKLIST-PACKED-THRESHOLD 4gb', '-ERR argument must be a memory value bigger than 1 and smaller than 4gb'],
    ['DEBUG QUICKLIST-PACKED-THRESHOLD 3b', '+OK'],
    ['RPUSH plain abcd a', ':2'],
    ['OBJECT ENCODING plain', /^"(quicklist|listpack)"$/],
    ['DEBUG QUICKLIST-PACKED-THRESHOLD 0', '+OK'],
    ['DEBUG ERROR', 'FOO\nbar', '-FOO bar'],
    ['DEBUG PROTOCOL push', '-ERR RESP2 is not supported by this command'],
    ['DEBUG PROTOCOL attrib', '"Some real reply following the attribute"'],
    ['DEBUG PROTOCOL foo', '-ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false'],
    ['DEBUG REPLYBUFFER foo bar', "-ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP."],
  ])

  await check('RESP3', [
    ['DEBUG PROTOCOL string', '"Hello World"'],
    ['DEBUG PROTOCOL integer', ':12345'],
    ['DEBUG PROTOCOL double', ',3.141'],
    ['DEBUG PROTOCOL null', 'null'],
    ['DEBUG PROTOCOL set', '~[:0, :1, :2]'],
    ['DEBUG PROTOCOL map', '{:0: #f, :1: #t, :2: #f}'],
    ['DEBUG PROTOCOL verbatim', '="txt:This is a verbatim\\nstring"'],
    ['DEBUG PROTOCOL bignum', '(1234567999999999999999999999999999999'],
    ['INFO cluster', '="txt:# Cluster\\r\\ncluster_enabled:0\\r\\n"'],
    ['CLIENT TRACKINGINFO', '{"flags": ~["off"], "redirect": :-1, "prefixes": []}'],
    ['CLIENT GETNAME', 'null'],
    ['CONFIG GET maxmemory', '{"maxmemory": "0"}'],
    ['COMMAND INFO foo', '[null]'],
    ['COMMAND GETKEYSANDFLAGS get a', '[["a", ~[+RO, +access]]]'],
    ['MEMORY USAGE none', 'null'],
    ['LATENCY HISTOGRAM none', '{}'],
  ], { resp: 3 })
})

type Json = string | number | Json[]

function plain(reply: Reply): Json {
  switch (reply.type) {
    case 'bulk': return reply.bytes.toString('latin1')
    case 'simple': return reply.text
    case 'integer': return Number(reply.value)
    case 'array': return reply.items.map(plain)
    default: return show(reply)
  }
}

/** Every command and subcommand of COMMAND by its name; sets sorted, since their order means nothing. */
async function commandTable(client: RespClient): Promise<Map<string, Json>> {
  const found = new Map<string, Json>()
  const add = (entry: Json[]): void => {
    const [name, arity, flags, first, last, step, acl, tips, keys, subcommands] = entry as [string, number, string[], number, number, number, string[], string[], Json[], Json[][]]
    found.set(name, [arity, flags, first, last, step, acl, tips, keys, subcommands.map((sub) => sub[0] as string).sort()])
    subcommands.forEach(add)
  }
  ;(plain(await client.call('COMMAND')) as Json[][]).forEach(add)
  return found
}

type Docs = { readonly [name: string]: Docs } | string | number | Docs[]

function docsOf(reply: Reply): Docs {
  if (reply.type === 'map') return Object.fromEntries(reply.entries.map(([name, value]) => [show(name).slice(1, -1), docsOf(value)]))
  if (reply.type === 'array' || reply.type === 'set') return reply.items.map(docsOf)
  return reply.type === 'bulk' ? reply.bytes.toString('latin1') : show(reply)
}

/** What COMMAND DOCS says of arguments, by command: types, tokens and flags. Their names are free, but for group and version. */
async function argumentTrees(client: RespClient): Promise<Map<string, Json>> {
  await client.call('HELLO', 3)
  const trees = new Map<string, Json>()
  const tree = (args: Docs = []): Json => (args as Record<string, Docs>[]).map((one) =>
    [one['type'] as string, (one['token'] ?? '') as string, [...((one['flags'] ?? []) as string[])].sort().join(), tree(one['arguments'])])
  const add = (docs: Docs = {}): void => {
    for (const [name, one] of Object.entries(docs as Record<string, Record<string, Docs>>)) {
      trees.set(name, [one['since'] as string, one['group'] as string, tree(one['arguments'])])
      add(one['subcommands'])
    }
  }
  add(docsOf(await client.call('COMMAND', 'DOCS')))
  return trees
}

t.test('two servers', { skip: withoutPeers() }, async (t) => {
  const peers = {} as Record<PeerName, Peer>
  for (const name of PAIR) {
    peers[name] = await startPeer(name, { config: { ...CONFIG, 'sanitize-dump-payload': 'yes' } })
    t.teardown(() => peers[name].stop())
  }

  await t.test('every command is specified as in valkey', async (t) => {
    const [ours, theirs] = [await peers.keyferry.client(), await peers.valkey.client()]
    const expected = await commandTable(theirs)
    const table = await commandTable(ours)
    t.ok(table.size > 150, `${table.size} commands and subcommands`)
    for (const [name, entry] of table) t.same(entry, expected.get(name), name)
    ours.close()
    theirs.close()
  })

  await t.test('every command takes the arguments that it takes in valkey', async (t) => {
    const [ours, theirs] = [await peers.keyferry.client(), await peers.valkey.client()]
    const expected = await argumentTrees(theirs)
    for (const [name, tree] of await argumentTrees(ours)) t.same(tree, expected.get(name), name)
    ours.close()
    theirs.close()
  })

  await t.test('digests of every payload', async (t) => {
    const [ours, theirs] = [await peers.keyferry.client(), await peers.valkey.client()]
    const payloads = JSON.parse(brotliDecompressSync(readFileSync(new URL('../../test/vectors/payloads.json.br', import.meta.url))).toString()) as unknown
    let restored = 0
    for (const hex of hexStrings(payloads)) {
      const words = ['RESTORE', `k${restored}`, restored % 3 === 0 ? 10_000_000 : 0, Buffer.from(hex, 'hex')]
      const verdicts = [await ours.text(...words), await theirs.text(...words)]
      if (verdicts[0] !== '+OK' || verdicts[1] !== '+OK') {
        await Promise.all([ours.call('DEL', `k${restored}`), theirs.call('DEL', `k${restored}`)])
        continue
      }
      const digests = [await ours.text('DEBUG', 'DIGEST-VALUE', `k${restored}`), await theirs.text('DEBUG', 'DIGEST-VALUE', `k${restored}`)]
      if (digests[0] !== digests[1]) t.equal(digests[0], digests[1], hex.slice(0, 100))
      restored++
    }
    t.ok(restored > 100, `${restored} payloads`)
    t.equal(await ours.text('DEBUG', 'DIGEST'), await theirs.text('DEBUG', 'DIGEST'), 'the data set')
    ours.close()
    theirs.close()
  })

  await t.test('several clients', async (t) => {
    const [ours, theirs] = [await transcript(peers.keyferry), await transcript(peers.valkey)]
    t.same(ours, theirs)
    t.ok(ours.some((line) => line.includes('(redacted)')), 'secrets are hidden')
  })

  await t.test('INFO has what tools read', async (t) => {
    const [ours, theirs] = [await peers.keyferry.client(), await peers.valkey.client()]
    for (const section of ['server', 'clients', 'memory', 'persistence', 'replication', 'cpu', 'cluster', 'keyspace']) {
      const names = (text: string): string[] => [...text.matchAll(/(?<=\\n|^")([a-z_0-9]+):/g)].map((match) => match[1])
      const present = new Set(names(await ours.text('INFO', section)))
      t.same(names(await theirs.text('INFO', section)).filter((name) => !present.has(name)), [], section)
    }
    const figures = (reply: Reply): string[] => (reply.type === 'array' ? reply.items.filter((_, i) => i % 2 === 0).map(show) : [])
    t.same(figures(await ours.call('MEMORY', 'STATS')).sort(), figures(await theirs.call('MEMORY', 'STATS')).sort(), 'MEMORY STATS')
    t.match(await ours.text('INFO', 'commandstats'), /cmdstat_info:calls=\d+,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0/)
    t.match(await ours.text('INFO', 'latencystats'), /latency_percentiles_usec_info:p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+/)
    t.match(await ours.text('INFO', 'migrate'), /^"# Migrate\\r\\nmigrate_keys_moved:0/)
    t.match(await ours.text('INFO', 'everything'), /# Migrate/)
    t.notMatch(await ours.text('INFO'), /# Migrate|# Commandstats/)
    ours.close()
    theirs.close()
  })
})

function* hexStrings(tree: unknown): Generator<string> {
  if (typeof tree === 'string') {
    if (/^(?:[0-9a-f]{2}){11,}$/.test(tree)) yield tree
  } else if (typeof tree === 'object' && tree !== null) for (const inner of Object.values(tree)) yield* hexStrings(inner)
}

const hidden = (text: string): string => text.replace(/^\+\d+\.\d{6}/, '+TIME').replace(/127\.0\.0\.1:\d+/g, 'ADDRESS').replace(/"id"(,|:) :\d+/, '"id"')

/** What several clients see of one another; the same on both servers. */
async function transcript(peer: Peer): Promise<string[]> {
  const lines: string[] = []
  const admin = await peer.client()
  await monitored(peer, admin, lines)
  await replyModes(peer, lines)
  await passwords(peer, admin, lines)
  await pauses(peer, admin, lines)
  await kills(peer, admin, lines)
  admin.close()
  return lines.map(hidden)
}

async function monitored(peer: Peer, admin: RespClient, lines: string[]): Promise<void> {
  const listener = await peer.client()
  lines.push(await listener.text('MONITOR'))
  await admin.call('CONFIG', 'SET', 'slowlog-log-slower-than', 0)
  await admin.call('SLOWLOG', 'RESET')
  const commands = [
    'SET a b', 'get a', 'NOSUCH x', 'GET', 'CLIENT LIST', 'CLIENT SETNAME joe', 'MULTI', `SET b ${'x'.repeat(200)}`, 'INCR q', 'EXEC',
    'MULTI', 'SET z 1', 'DISCARD', 'CONFIG SET requirepass ', 'AUTH default secret', 'HELLO 2 AUTH default pw', 'SELECT 2',
    'MIGRATE 127.0.0.1 1 none 0 10 AUTH pw', `MSET ${'k '.repeat(40).trim()}`, 'WATCH a', 'UNWATCH', 'RESET', 'OBJECT ENCODING a', 'INCR q',
  ]
  for (const command of commands) await admin.call(...command.split(' '))
  await admin.call('ECHO', Buffer.from('\x00\n"\\\xe9', 'latin1'))
  for (const { reply } of (await listener.rest(100)).replies) lines.push(show(reply))
  const log = await admin.call('SLOWLOG', 'GET', -1)
  if (log.type === 'array') for (const entry of log.items) if (entry.type === 'array') lines.push(entry.items.slice(3).map(show).join(' '))
  await admin.call('CONFIG', 'SET', 'slowlog-log-slower-than', 10_000)
  listener.close()
}

async function replyModes(peer: Peer, lines: string[]): Promise<void> {
  const client = await peer.client()
  const commands = [
    'CLIENT REPLY OFF', 'PING', 'NOSUCH', 'CLIENT REPLY SKIP', 'CLIENT REPLY ON', 'CLIENT REPLY SKIP', 'PING', 'PING x',
    'CLIENT REPLY SKIP', 'NOSUCH', 'PING y', 'MULTI', 'CLIENT REPLY SKIP', 'DISCARD', 'PING z',
    'CLIENT REPLY SKIP', 'RESET', 'CLIENT REPLY SKIP', '', 'PING empty', 'CLIENT REPLY SKIP', '*0', 'PING none', 'CLIENT REPLY SKIP', '  ', 'PING blank',
    'CLIENT REPLY OFF', 'RESET', 'CLIENT REPLY OFF', '*x',
  ]
  await client.sendRaw(commands.map((command) => `${command}\r\n`).join(''))
  lines.push((await client.rest(100)).replies.map(({ reply }) => show(reply)).join(' '))
  client.close()
}

async function passwords(peer: Peer, admin: RespClient, lines: string[]): Promise<void> {
  await admin.call('CONFIG', 'SET', 'requirepass', 'foo')
  const client = await peer.client()
  const commands = [
    'PING', 'NOSUCH', 'GET', 'AUTH x', 'AUTH joe foo', 'HELLO', 'HELLO 3 AUTH default bad', 'HELLO 3 AUTH default foo SETNAME me', 'PING',
    'RESET', 'PING', 'AUTH foo', 'PING', 'RESET', 'CLIENT ID',
  ]
  for (const command of commands) lines.push(`${command}: ${await client.text(...command.split(' '))}`)
  await admin.call('CONFIG', 'SET', 'requirepass', '')
  lines.push(await client.text('PING'))
  client.close()
}

async function pauses(peer: Peer, admin: RespClient, lines: string[]): Promise<void> {
  const client = await peer.client()
  lines.push(await admin.text('CLIENT', 'PAUSE', 400, 'WRITE'))
  const startedMs = performance.now()
  lines.push(await client.text('GET', 'none'), `read at once: ${performance.now() - startedMs < 200}`)
  lines.push(await client.text('SET', 'p', 1), `written later: ${performance.now() - startedMs > 200}`)
  lines.push(await admin.text('CLIENT', 'PAUSE', 300, 'ALL'))
  let answered = false
  const unpause = admin.text('CLIENT', 'UNPAUSE').then((text) => {
    answered = true
    return text
  })
  await delay(100)
  lines.push(`UNPAUSE waits too: ${!answered}`, await unpause)
  const id = (await client.text('CLIENT', 'ID')).slice(1)
  const waiting = client.text('WAIT', 1, 0)
  await delay(50)
  lines.push(await admin.text('CLIENT', 'UNBLOCK', id, 'ERROR'), await waiting)
  client.close()
}

async function kills(peer: Peer, admin: RespClient, lines: string[]): Promise<void> {
  const clients = [await peer.client(), await peer.client(), await peer.client()]
  const ids = await Promise.all(clients.map((client) => client.text('CLIENT', 'ID')))
  lines.push(await admin.text('CLIENT', 'KILL', 'ID', ids[0].slice(1)))
  await clients[0].closed
  const address = / addr=(\S+)/.exec(await clients[1].text('CLIENT', 'INFO'))?.[1] ?? ''
  lines.push(await admin.text('CLIENT', 'KILL', address))
  await clients[1].closed
  lines.push(await clients[2].text('CLIENT', 'KILL', 'ID', ids[2].slice(1), 'SKIPME', 'no'))
  await clients[2].closed
  lines.push(await admin.text('CLIENT', 'KILL', 'TYPE', 'normal', 'USER', 'default'))
}

t.test('starting, refusing and ending', { skip: peerInstalled('keyferry') ? false : 'not built' }, async (t) => {
  const peer = await startPeer('keyferry')
  const client = await peer.client()
  t.equal(await client.text('DEBUG', 'SLEEP', 0),
    '-ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.')
  await client.call('MULTI')
  t.match(await client.text('DEBUG', 'SLEEP', 0), /^-ERR DEBUG command not allowed/)
  t.match(await client.text('EXEC'), /^-EXECABORT/)
  t.equal(await client.text('SHUTDOWN', 'SAVE'), '-ERR Errors trying to SHUTDOWN. Check logs.', 'nothing could save')
  const gone = client.closed
  await client.sendRaw('SHUTDOWN NOSAVE\r\n')
  await gone
  t.equal(await peer.stop(), 0)
})
