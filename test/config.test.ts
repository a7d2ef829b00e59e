/**
 * The configuration against an installed valkey-server: every directive, under every name, with a battery of
 * values; the grammar and the errors of configuration files; CONFIG REWRITE; the command line.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import {
  Config,
  ConfigFields,
  ConfigFileError,
  ConfigOpenError,
  DIRECTIVES,
  fieldOf,
  quoteArgument,
  splitArguments
} from '../src/config/index.js'
import { RespClient, quote } from './client.js'
import { freePort, peerProgram, skipWithout, startPeer } from './peers.js'

const FOLDER = mkdtempSync(join(tmpdir(), 'keyferry-config-'))
t.teardown(() => rmSync(FOLDER, { recursive: true, force: true }))

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Values for every directive, whatever its type. */
const COMMON = [
  '', ' ', '0', '1', '-1', '5', '05', '+5', ' 5', '5 ', '1.5', 'x', 'yes', 'NO', 'no', 'Yes ', 'default', '100', '101', '128', '129',
  '65535', '65536', '999', '1000', '1001', '2147483647', '2147483648', '-2147483648', '-2147483649', '4294967295',
  '4294967296', '9007199254740993', '9223372036854775807', '9223372036854775808', '-9223372036854775808', '18446744073709551615',
  '18446744073709551616', '99999999999999999999999', '1b', '1K', '1kB', '2m', '2MB', '1g', '1GB', '1tb', 'mb', '-1mb', '1 mb', '1.5gb',
  '17179869184gb', '0%', '50%', '100%', '101%', '-5%', '%', '0777', '888', 'a b', 'a\nb', 'a\x00b', '\xff\xfe', 'a/b', 'a\\b', '"q"'
]

/** More values, for the types and directives that have a grammar. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  'save': ['900 1', '900  1', '900', '0 1', '1 0', '1 -1', '+5 1', '5 1 6 2', '99999999999999999999 5', '5 4294967297', 'a b', '5 1 6', ' 5 1'],
  'client-output-buffer-limit': [
    'normal 0 0 0', 'slave 1mb 2kb 3', 'REPLICA 1 2 3', 'pubsub 32mb 8mb 60 normal 1 1 1', 'master 1 2 3', 'foo 1 2 3',
    'normal 1 2', 'normal 1 2 x', 'normal 1 2 -1', 'normal x 2 1', 'slave 1 1 1 replica 2 2 2', 'normal 1 1 4294967297', 'normal mb  1'
  ],
  'oom-score-adj-values': ['1 2 3', '1  2 3', '2001 1 1', '-2000  0 +5', '-2000 0 +5', '1 2', '1 2 x', '0 200 800', '1 2  '],
  'notify-keyspace-events': ['KEA', 'AKEn', 'nmEAK', 'Kg$lshzxetdnm', 'm', 'Ex', 'Q', 'KEQ', 'g$lshzxetd', 'A', 'K E'],
  'latency-tracking-info-percentiles': [
    '0.1 100.0', '100.1', '-0.1', 'nan', 'inf', '-inf', '0x10', '0x1p2', '1e1', '50 50', '99.9999999', '-0', '1e-9', '.5', '5.', '50  60', '1e400', '1e-400', '0e-400', '5e'
  ],
  'bind': ['127.0.0.1', '127.0.0.1 -::1', Array(17).fill('127.0.0.1').join(' ')],
  'cluster-announce-hostname': ['host.example-1', 'under_score', 'a'.repeat(255), 'a'.repeat(256), 'tr\xe4ger'],
  'cluster-announce-human-nodename': Array.from({ length: 255 }, (_, i) => `a${String.fromCharCode(i + 1)}b`),
  'cluster-announce-client-ipv4': ['127.0.0.1', '256.0.0.1', '::1', '01.2.3.4', '1.2.3'],
  'cluster-announce-client-ipv6': ['::1', '::ffff:1.2.3.4', 'fe80::1', '1.2.3.4', 'fe80::1%lo'],
  'proc-title-template': [
    '{title', 'title}', 'a{{title}}', '{title} {}', '{ title}', 'a}b', '{{', '{title}\\x', 'x {port} {tls-port} {config-file} {unixsocket}',
    '{listen-addr}', '{server-mode}', '{unixsocket}', '{config-file}', '{title}', '{Title}', 'a {listen-addr} {server-mode}', '{{{title}}', '{title}}', '{{}'
  ],
  'locale-collate': ['C', 'POSIX', 'C.UTF-8', 'C.utf8', 'c', 'xx_XX'],
  'shutdown-on-sigint': ['save', 'save nosave', 'now default save', 'FORCE NOW', 'save save', 'now  save', 'default', 'now x'],
  'shutdown-on-sigterm': ['nosave force', 'nosave save'],
  'dir': [FOLDER, '/nonexistent', '/etc/hostname', '/tmp/../tmp', '.', `${FOLDER}/.`],
  'dbfilename': ['b.rdb', '/a', 'a/'],
  'requirepass': [],
  'hz': ['500', '501', '0']
}

/** Directives whose values make valkey-server do what a test does not want: these values alone. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'port': ['x', '', '-1', '65536', '5mb'],
  'tls-port': ['x', '', '-1', '65536', '0'],
  'bind': ['127.0.0.1', '127.0.0.1 -::1', Array(17).fill('127.0.0.1').join(' ')],
  'appendonly': ['x', '', 'no', 'NO'],
  'maxclients': ['x', '0', '-1', '100', '200', '4294967296', ''],
  'requirepass': [''],
  'tls-cluster': ['no', 'x'],
  'tls-replication': ['no', 'x'],
  'watchdog-period': ['0', 'x', '-1'],
  'oom-score-adj': ['', 'x', 'yes', 'Relative', 'absolute', 'no'],
  'dir': []
}

function valuesFor(name: string): string[] {
  const directive = Config.directive(name)
  const only = ONLY[directive!.name]
  const own = OWN[directive!.name] ?? []
  if (only) return [...new Set([...only, ...own])]
  const words = directive?.type === 'enum' ? directive.values.flatMap(word => [word, word.toUpperCase(), `${word} `, `${word} ${word}`]) : []
  return [...new Set([...COMMON, ...words, ...own])]
}

const NAMES = DIRECTIVES.flatMap(d => (d.alias ? [d.name, d.alias] : [d.name]))

/** CONFIG GET of ours, written as the test client shows a reply. */
const shown = (pairs: readonly (readonly [string, string])[]): string =>
  `[${pairs.flatMap(([name, value]) => [quote(bytes(name)), quote(bytes(value))]).join(', ')}]`

const setReply = (config: Config, ...pairs: [string, string][]): string => {
  const error = config.set(pairs)
  return error === undefined ? '+OK' : `-${error}`
}

t.test('the table and the fields name the same directives', async t => {
  const fields = Object.keys(new ConfigFields()).sort()
  t.same(DIRECTIVES.map(d => fieldOf(d.name)).sort(), fields)
})

t.test('every directive answers as in valkey', { skip: skipWithout('valkey') }, async t => {
  const peer = await startPeer('valkey', { config: { 'enable-protected-configs': 'yes' }, args: ['--bind', '*', '-::*'] })
  t.teardown(() => peer.stop())
  const client = await peer.client()
  t.teardown(() => client.close())
  const config = new Config()
  config.load(`enable-protected-configs yes\nport ${peer.port}\ndir ${peer.folder}\nsave ""`)
  const names = async (...patterns: string[]): Promise<string[]> => {
    const reply = await client.call('CONFIG', 'GET', ...patterns)
    if (reply.type !== 'array') throw new Error(reply.type)
    return reply.items.map(item => (item.type === 'bulk' ? item.bytes.toString('latin1') : '')).sort()
  }
  for (const patterns of [['*'], ['*max*', 'p?rt', 'PORT'], ['[a-c]*'], ['P*T'], ['use-exit-on-panic', 'watch*'], ['Slave-priority', 'nothing']]) {
    t.same(config.get(...patterns).flat().sort(), await names(...patterns), `CONFIG GET ${patterns.join(' ')}`)
  }
  let compared = 0
  const differences: string[] = []
  for (const name of NAMES) {
    const values = valuesFor(name)
    const replies = await client.pipeline(
      values.flatMap(value => [
        ['CONFIG', 'SET', name, bytes(value)],
        ['CONFIG', 'GET', name]
      ])
    )
    values.forEach((value, i) => {
      const theirs = [replies[2 * i], replies[2 * i + 1]].map(received => received.raw.toString('latin1')).join('')
      const pairs = config.set([[name, value]])
      const printed = config.get(name).flat()
      const ours =
        `${pairs === undefined ? '+OK' : `-${pairs}`}\r\n*${printed.length}\r\n` + printed.map(text => `$${text.length}\r\n${text}\r\n`).join('')
      compared++
      if (ours !== theirs) differences.push(`${name} ${quote(bytes(value))}\n  ours   ${quote(bytes(ours))}\n  theirs ${quote(bytes(theirs))}`)
    })
  }
  t.same(differences, [], `${compared} values`)
  t.same(config.get('*').flat().sort(), await names('*'), 'all values in the end')
  await severalAtOnce(t, client, config)
})

/** CONFIG SET with several pairs: all or nothing, and the order in which Valkey finds fault. */
async function severalAtOnce(t: Test, client: RespClient, config: Config): Promise<void> {
  const sets: [string, string][][] = [
    [['hz', '7'], ['timeout', '9']],
    [['hz', '8'], ['timeout', 'x']],
    [['nothing', '1'], ['other', '2']],
    [['databases', '1'], ['nothing', '2']],
    [['nothing', '2'], ['databases', '1']],
    [['HZ', '1'], ['hz', '2']],
    [['slave-priority', '1'], ['replica-priority', '2']],
    [['Slave-Priority', 'x']],
    [['save', '1 1'], ['notify-keyspace-events', 'K'], ['maxmemory', 'x']],
    [['hz', 'x'], ['timeout', 'x']],
    [['bad\nname', '1']]
  ]
  for (const pairs of sets) {
    const theirs = await client.text('CONFIG', 'SET', ...pairs.flat())
    t.equal(setReply(config, ...pairs), theirs, `CONFIG SET ${pairs.flat().join(' ')}`)
    for (const name of ['hz', 'timeout', 'replica-priority', 'save', 'notify-keyspace-events', 'maxmemory']) {
      t.equal(shown(config.get(name)), await client.text('CONFIG', 'GET', name))
    }
  }
}

t.test('hooks apply what was set, once each, and can refuse it', async t => {
  const config = new Config()
  const calls: string[] = []
  config.onChange(['min-slaves-to-write', 'min-replicas-max-lag'], () => void calls.push(`replicas ${config.minReplicasToWrite}`))
  config.onChange('port', () => (config.port === 1 ? 'Unable to listen on this port. Check server logs.' : void calls.push('port')))
  config.onChange('tls-cert-file', () => void calls.push('tls'))
  t.equal(setReply(config, ['min-replicas-to-write', '1'], ['min-slaves-max-lag', '5']), '+OK')
  t.equal(setReply(config, ['min-replicas-to-write', '1']), '+OK')
  t.same(calls.splice(0), ['replicas 1'], 'not without a change')
  config.set([['tls-cert-file', 'a']])
  config.set([['tls-cert-file', 'a']])
  t.same(calls.splice(0), ['tls', 'tls'], 'always where the file may have changed')
  t.equal(
    setReply(config, ['min-replicas-to-write', '7'], ['port', '1'], ['save', '']),
    "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
  )
  t.same(calls, ['replicas 7', 'replicas 1', 'port'], 'a refusal undoes what was applied')
  t.same([config.port, config.minReplicasToWrite, config.save.length], [6379, 1, 3])
  t.throws(() => config.onChange('nothing', () => undefined))
})

t.test('protected, immutable and loading', async t => {
  const config = new Config()
  const refused = "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"
  t.equal(config.set([['dir', '/tmp']]), refused)
  config.enableProtectedConfigs = 'local'
  t.equal(config.set([['dir', '/tmp']]), refused)
  t.equal(config.set([['dir', '/tmp']], { local: true }), undefined)
  t.equal(config.dir, realpathSync('/tmp'))
  t.equal(config.set([['appendonly', 'yes']], { loading: true }), 'LOADING Valkey is loading the dataset in memory')
  t.equal(config.appendonly, false)
  t.ok(Config.isSensitive('MASTERAUTH'))
  t.notOk(Config.isSensitive('port'))
  config.port = 17
  t.equal(config.value('port'), '17', 'an assigned field is what CONFIG GET shows')
})

t.test('words', async t => {
  for (const word of ['', 'a', ' a b ', '"', "'", '\\', '\n\r\t\b\x07\0\xff', 'naïve']) {
    const latin1 = bytes(word).toString('latin1')
    t.same(splitArguments(`x ${quoteArgument(latin1)} y`), ['x', latin1, 'y'])
  }
  t.same(splitArguments(`a'b c' "d\\x41\\q" 'it\\'s' \t`), ['ab c', 'dAq', "it's"])
  for (const line of ['"a', "'a", '"a"b', "'a'b", '"a\\']) t.equal(splitArguments(line), undefined)
  t.same(splitArguments('  '), [])
})

/** Texts of configuration files that are refused. */
const BAD_FILES = [
  'port abc', '# c\n\n  save "1 2', 'nothing', 'nothing 1', 'port', 'port 1 2', 'Port "1', 'save 1', 'save 1 2 3', 'save "1 2 3"', "save '1'",
  'hz 10\nmaxmemory 1zb', 'maxmemory-policy LRU', 'bind\nx', 'appendonly maybe', 'unixsocketperm 8', 'unixsocketperm 1000', 'unixsocketperm ""\nx', 'replicaof localhost',
  'replicaof localhost 99999', 'replicaof localhost 1x', 'slaveof a b c', 'replicaof localhost 1\ncluster-enabled yes', 'client-output-buffer-limit normal 1 2',
  'client-output-buffer-limit foo 1 2 3', 'notify-keyspace-events Q', 'dir /nonexistent', 'dir ""', 'dir a b', 'databases 0', 'loadmodule', 'user',
  'rename-command x', 'include', 'include a b', 'a.b', 'sentinel x y', 'oom-score-adj-values 1 2', 'shutdown-on-sigint save nosave', 'shutdown-on-sigint "x"',
  'latency-tracking-info-percentiles 101', 'list-max-ziplist-entries 5\nlua-replicate-commands yes\nlist-max-ziplist-value 1 2', 'dbfilename a/b', 'cluster-config-file ""',
  '\xe9t\xe9 1', 'port "\\x41"', 'logfile /nonexistent/log', '\tPORT  x ', 'requirepass a b', 'save " "\nx', 'save ""\nx', 'save "a \\"b"\nx', 'list-max-ziplist-size -2\nx', 'port 1 # comment'
]

const messageOf = (text: string, argv?: readonly string[]): string => {
  const config = new Config()
  try {
    if (argv) config.loadCommandLine(argv)
    else config.load(text)
    return 'accepted'
  } catch (error) {
    if (error instanceof ConfigFileError) return error.message
    if (error instanceof ConfigOpenError) return error.message
    throw error
  }
}

t.test('a bad file is refused in the words of valkey', { skip: skipWithout('valkey') }, async t => {
  const program = peerProgram('valkey')!
  const path = join(FOLDER, 'bad.conf')
  for (const text of BAD_FILES) {
    writeFileSync(path, bytes(`${text}\n`))
    const theirs = spawnSync(program, [path], { cwd: FOLDER, timeout: 3000, encoding: 'latin1' })
    t.equal(messageOf('', [path]), theirs.stderr, text)
    t.equal(theirs.status, 1)
  }
  writeFileSync(join(FOLDER, 'part.conf'), '\nhz x\n')
  for (const name of ['part.conf', '/nonexistent.conf', 'no*.conf', 'p?rt.conf', '[p]art.conf']) {
    writeFileSync(path, `dir ${FOLDER}\n\ninclude ${name}\nnothing\n`)
    const theirs = spawnSync(program, [path], { cwd: FOLDER, timeout: 3000, encoding: 'latin1' })
    const said = theirs.stderr || theirs.stdout.replace(/^\d+:C .{24} # |\n$/g, '')
    t.equal(messageOf('', [path]), said, `include ${name}`)
  }
  writeFileSync(path, `dir ${FOLDER}\ninclude bad.conf\n`)
  t.match(messageOf('', [path]), /Too many levels of included files/)
})

/** Command lines that are refused, which shows how they were understood. */
const BAD_WORDS: readonly (readonly string[])[] = [
  ['--foo', 'bar'], ['--port'], ['--port', '--hz', '5'], ['--port x'], ['--save', '--foo', '1'], ['--save', '', '--foo'], ['-foo', 'bar'], ['-', '--foo', '1'],
  ['--foo', '-'], ['--hz', '5', '-', '--foo'], ['--save', '900', '1', '--foo', 'a b', 'c"d'], ['--hz 5', '--foo', '--bar', '--baz'], ['--', 'x'], ['--hz', '5', '--help'],
  ['--foo', 'na\u00efve'], ['--save', '1', '--'], ['--SAVE', '--Foo', 'x'], ['/nonexistent.conf', '--hz', '5'], ['--user', 'bob', 'on', '--foo']
]

t.test('the command line is read as by valkey', { skip: skipWithout('valkey') }, async t => {
  const program = peerProgram('valkey')!
  for (const words of BAD_WORDS) {
    const theirs = spawnSync(program, words, { cwd: FOLDER, timeout: 3000, encoding: 'latin1', input: 'maxmemory 1mb\n' })
    const said = theirs.stderr || theirs.stdout.replace(/^\d+:C .{24} # |\n$/g, '')
    const config = new Config()
    let ours = 'accepted'
    try {
      config.loadCommandLine(words, { stdin: () => 'maxmemory 1mb\n' })
    } catch (error) {
      ours = (error as Error).message
    }
    t.equal(ours, said, words.join(' '))
    if (words.includes('-') && words[0] !== '--hz') t.equal(config.maxmemory, 1048576)
  }
})

/** A file with a line of every kind, and what it must come to. */
const GOOD_FILE = `# a comment
   port 17000
SAVE 900 1
save 300 10
save "60 10000 30 2"
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit 'pubsub 1mb 1mb 1'
hash-max-ziplist-entries 3
"maxmemory" '1gb'
requirepass "a\\x20b\\"c"
notify-keyspace-events KEA
unixsocketperm 0700
shutdown-on-sigterm nosave now
hz 100000

latency-tracking-info-percentiles 1 2.5
maxmemory-clients 5%
lua-replicate-commands yes
# the end
loglevel verbose
proc-title-template "{title} {port}"
`

/** A file's lines, with what stands in a user line left out: the default user's password is a hash there. */
const linesOf = (path: string): string[] =>
  readFileSync(path, 'latin1')
    .split('\n')
    .map(line => line.replace(/^user default.*/, 'user default'))

t.test('a good file, and CONFIG REWRITE of it', { skip: skipWithout('valkey') }, async t => {
  const folder = mkdtempSync(join(FOLDER, 'rewrite-'))
  const text = `${GOOD_FILE}dir ${folder}\nrename-command DEBUG ""\n`
  const ourFile = join(folder, 'ours.conf')
  writeFileSync(ourFile, text)
  const config = new Config()
  config.loadCommandLine([ourFile])
  t.same(config.renames.map(line => line.words), [['DEBUG', '']])
  const theirFile = join(folder, 'theirs.conf')
  writeFileSync(theirFile, text)
  const port = await freePort()
  const child = spawn(peerProgram('valkey')!, [theirFile, '--port', String(port)], { stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  const client = await connectWhenReady(port)
  t.teardown(() => client.close())
  await client.call('AUTH', 'a b"c')
  config.port = port
  const all = async (): Promise<string[]> => {
    const reply = await client.call('CONFIG', 'GET', '*')
    return reply.type === 'array' ? reply.items.map(item => (item.type === 'bulk' ? item.bytes.toString('latin1') : '')).sort() : []
  }
  t.same(config.get('*').flat().sort(), await all())
  const changes: [string, string][] = [
    ['save', ''], ['maxmemory', '1073741825'], ['timeout', '7'], ['repl-backlog-size', '2mb'], ['loglevel', 'notice'], ['appendfsync', 'always'], ['masterauth', 'x\ny"'],
    ['client-output-buffer-limit', 'normal 1gb 0 0'], ['maxmemory-clients', '0'], ['bind', '127.0.0.1'], ['latency-tracking-info-percentiles', ''], ['oom-score-adj-values', '1 2 3']
  ]
  for (const pair of changes) {
    t.equal(setReply(config, pair), await client.text('CONFIG', 'SET', ...pair), pair.join(' '))
  }
  const users = ['user default on sanitize-payload ~* &* +@all #HASH']
  for (let round = 0; round < 2; round++) {
    t.equal(await client.text('CONFIG', 'REWRITE'), '+OK')
    t.equal(config.rewrite({ users }), undefined)
    const [ours, theirs] = [linesOf(ourFile), linesOf(theirFile)]
    const heading = ours.indexOf('# Generated by CONFIG REWRITE')
    t.same(ours.slice(0, heading), theirs.slice(0, heading), 'the old part')
    t.same(ours.slice(heading).sort(), theirs.slice(heading).sort(), 'the appended part')
  }
  t.same(config.get('*').flat().sort(), await all())
  t.same(readdirSync(folder).sort(), ['ours.conf', 'theirs.conf'], 'no temporary file stays')
  const again = new Config()
  again.loadCommandLine([ourFile])
  again.enableProtectedConfigs = config.enableProtectedConfigs
  t.same(again.get('*'), config.get('*'), 'what was written reads back')
})

t.test('CONFIG REWRITE without a file, of a file that is gone, and where it cannot write', async t => {
  const config = new Config()
  t.equal(config.rewrite(), 'ERR The server is running without a config file')
  config.file = join(FOLDER, 'fresh.conf')
  config.set([['timeout', '3']])
  t.equal(config.rewrite(), undefined)
  t.match(readFileSync(config.file, 'latin1'), /^# Generated by CONFIG REWRITE\n(?:.+\n)*timeout 3\n/)
  config.file = '/nonexistent/x.conf'
  t.equal(config.rewrite(), 'ERR Rewriting config file: No such file or directory')
  config.file = join(FOLDER, 'all.conf')
  t.equal(config.rewrite({ forceAll: true }), undefined)
  t.match(readFileSync(config.file, 'latin1'), /^hash-max-listpack-entries 512$/m)
})

async function connectWhenReady(port: number): Promise<RespClient> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      return await RespClient.connect(port)
    } catch {
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
  throw new Error(`nobody listens on port ${port}`)
}

const SERVER = fileURLToPath(new URL('../src/cli/keyferry-server.js', import.meta.url))
const UMBRELLA = fileURLToPath(new URL('../src/cli/keyferry.js', import.meta.url))

interface Run {
  readonly pid: number
  readonly ended: Promise<{ status: number | null; out: string; err: string }>
  /** Resolves when the output matches, or when the program has ended. */
  until(pattern: RegExp): Promise<string>
  kill(signal: NodeJS.Signals): void
  /** Nobody reads any more what it says. */
  closeOutput(): void
}

/** Runs one of the programs in a folder of its own. */
function run(t: Test, program: string, words: readonly string[], options: { cwd?: string; input?: string } = {}): Run {
  const env = { ...process.env }
  delete env['NODE_OPTIONS']
  const child = spawn(process.execPath, [program, ...words], { cwd: options.cwd ?? emptyFolder(), env })
  t.teardown(() => child.kill('SIGKILL'))
  let out = ''
  let err = ''
  const watchers = new Set<() => void>()
  const wake = (): void => watchers.forEach(watcher => watcher())
  child.stdout.on('data', (chunk: Buffer) => ((out += chunk.toString('latin1')), wake()))
  child.stderr.on('data', (chunk: Buffer) => ((err += chunk.toString('latin1')), wake()))
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  let over = false
  const ended = new Promise<{ status: number | null; out: string; err: string }>(resolve =>
    child.once('close', status => {
      over = true
      wake()
      resolve({ status, out, err })
    })
  )
  const until = (pattern: RegExp): Promise<string> =>
    new Promise(resolve => {
      const check = (): void => {
        if (!pattern.test(out) && !over) return
        watchers.delete(check)
        resolve(out)
      }
      watchers.add(check)
      check()
    })
  return { pid: child.pid ?? 0, ended, until, kill: signal => void child.kill(signal), closeOutput: () => void child.stdout.destroy() }
}

const emptyFolder = (): string => mkdtempSync(join(FOLDER, 'empty-'))

const READY = /keyferry is at redis:\/\/127\.0\.0\.1:(\d+)\n/
const LOG_LINE = /^\d+:[CM] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.\-*#] ./

t.test('keyferry-server from start to end', async t => {
  const cwd = emptyFolder()
  const server = run(t, SERVER, ['--port', '0'], { cwd })
  const out = await server.until(READY)
  const port = Number(READY.exec(out)?.[1])
  const lines = out.trimEnd().split('\n')
  t.match(out, new RegExp(` PID: ${server.pid}\\n[^]*Ready to accept connections tcp\\n`))
  for (const line of lines.slice(0, -1)) t.match(line, LOG_LINE)
  const client = await RespClient.connect(port)
  t.equal(await client.text('PING'), '+PONG')
  t.equal(await client.text('CONFIG', 'GET', 'port'), `["port", "${port}"]`, 'the port it took')
  server.kill('SIGHUP')
  t.equal(await client.text('PING'), '+PONG', 'after SIGHUP')
  const ping = await run(t, UMBRELLA, ['ping', `redis://127.0.0.1:${port}`]).ended
  t.match(ping.out, /^PONG from 127\.0\.0\.1:\d+ in /)
  t.equal(ping.status, 0)

  const taken = await run(t, SERVER, ['--port', String(port)]).ended
  t.match(taken.out, `# Failed listening on port ${port} (tcp), aborting.\n`)
  t.match(taken.out, `listening socket *:${port}: bind: Address already in use\n`)
  t.equal(taken.status, 1)
  client.close()
  server.kill('SIGTERM')
  const end = await server.ended
  t.equal(end.status, 0)
  t.match(end.out, /Received SIGTERM scheduling shutdown\.\.\.\n[^]*ready to exit, bye bye\.\.\.\n$/)
  t.equal(end.err, '')
  t.same(readdirSync(cwd), [], 'nothing is written into the current folder')
  const late = await run(t, UMBRELLA, ['ping', String(port)]).ended
  t.match(late.err, /Could not ping 127\.0\.0\.1:\d+: Connection refused/)
  t.equal(late.status, 1)
})

t.test('keyferry-server: files, SHUTDOWN, SIGINT', async t => {
  const cwd = emptyFolder()
  const port = await freePort()
  const server = run(t, SERVER, ['-', '--pidfile', 'p.pid', '--logfile', 'l.log', '--dir', cwd], { cwd, input: `port ${port}\nloglevel verbose\n` })
  const client = await connectWhenReady(port)
  t.equal(await client.text('CONFIG', 'GET', 'loglevel'), '["loglevel", "verbose"]')
  t.equal(readFileSync(join(cwd, 'p.pid'), 'latin1'), `${server.pid}\n`)
  await client.send(['SHUTDOWN', 'NOSAVE']).catch(() => undefined)
  const end = await server.ended
  t.equal(end.status, 0)
  t.same(readdirSync(cwd), ['l.log'], 'the pid file is gone')
  t.match(readFileSync(join(cwd, 'l.log'), 'latin1'), /Ready to accept connections tcp\n/)
  t.notMatch(end.out, /Ready/)

  const logo = run(t, UMBRELLA, ['server', '--port', '0', '--always-show-logo', 'yes'])
  t.match(await logo.until(READY), new RegExp(` PID: ${logo.pid}\\n`))
  logo.kill('SIGINT')
  t.equal((await logo.ended).status, 0)
})

t.test('keyferry-server in the background', async t => {
  const cwd = emptyFolder()
  const port = await freePort()
  const words = ['--port', String(port), '--daemonize', 'yes', '--pidfile', join(cwd, 'p.pid')]
  t.equal((await run(t, SERVER, words, { cwd }).ended).status, 0)
  const client = await connectWhenReady(port)
  const pid = Number(readFileSync(join(cwd, 'p.pid'), 'latin1'))
  t.equal(await client.text('PING'), '+PONG')
  process.kill(pid, 'SIGTERM')
  await client.closed
  const refused = await run(t, SERVER, [...words, '--nothing', '1'], { cwd }).ended
  t.equal(refused.status, 1, 'an error still reaches the terminal')
  t.match(refused.err, /^>>> 'nothing "1"'$/m)
})

t.test('questions and refusals on the command line', async t => {
  const file = join(FOLDER, 'line.conf')
  writeFileSync(file, 'hz 10\nport x\n')
  const cases: [program: string, words: string[], status: number, out: RegExp, err: RegExp][] = [
    [SERVER, ['--version'], 0, /^keyferry-server v=\d+\.\d+\.\d+ sha=\w+:\d malloc=\S+ bits=64 build=\w+\n$/, /^$/],
    [SERVER, ['-h'], 1, /Usage: keyferry-server \[/, /^$/],
    [SERVER, ['--check-system'], 1, /^$/, /^keyferry-server .*\.\n$/],
    [SERVER, ['--test-memory', '1'], 1, /^$/, /^keyferry-server .*\.\n$/],
    [SERVER, ['--sentinel'], 1, /^$/, /no sentinel mode/],
    [SERVER, [file], 1, /^$/, /^\n\*\*\* FATAL CONFIG FILE ERROR \(Version [\d.]+\) \*\*\*\nReading the configuration file, at line 2\n>>> 'port x'\nargument couldn't be parsed into an integer\n$/],
    [SERVER, ['/nonexistent.conf'], 1, /# Fatal error, can't open config file '\/nonexistent\.conf': No such file or directory\n$/, /^$/],
    [SERVER, ['--loadmodule', '/x.so'], 1, /# Can't load module from \/x\.so: server aborting\n$/, /^$/],
    [SERVER, ['--x.y', '1'], 1, /# Unused Module Configuration: x\.y\n/, /^$/],
    [SERVER, ['--port', '0', '--bind', '192.0.2.1'], 1, /Failed listening on port 0 \(tcp\), aborting\.\n$/, /^$/],
    [UMBRELLA, ['--version'], 0, /^keyferry \d+\.\d+\.\d+\n$/, /^$/],
    [UMBRELLA, ['--help'], 0, /Usage: keyferry <verb>/, /^$/],
    [UMBRELLA, [], 1, /^$/, /Usage: keyferry <verb>/],
    [UMBRELLA, ['pin'], 1, /^$/, /keyferry has no verb 'pin'/],
    [UMBRELLA, ['ping', 'http://x'], 1, /^$/, /^Usage: keyferry ping/],
    [UMBRELLA, ['ping', '-x'], 1, /^$/, /^Usage: keyferry ping/],
    ...['--help', '-h'].flatMap((flag): typeof cases => [
      [UMBRELLA, ['server', flag], 0, /Usage: keyferry-server \[/, /^$/],
      [UMBRELLA, ['ping', flag], 0, /Usage: keyferry ping \[/, /^$/],
      [UMBRELLA, ['demo', flag], 0, /^Usage: keyferry demo/, /^$/],
      [UMBRELLA, ['migrate', flag], 0, /^Usage: keyferry migrate/m, /^$/],
      [UMBRELLA, ['etcd-migrate', flag], 0, /^Usage: keyferry etcd-migrate/m, /^$/]
    ]),
    [UMBRELLA, ['demo', 'fast'], 1, /^$/, /^Usage: keyferry demo/]
  ]
  const runs = cases.map(([program, words]) => run(t, program, words).ended)
  for (const [i, [, words, status, out, err]] of cases.entries()) {
    const end = await runs[i]
    t.equal(end.status, status, words.join(' '))
    t.match(end.out, out)
    t.match(end.err, err)
  }
})

t.test('keyferry-server goes on when nobody reads what it says', async t => {
  const cwd = emptyFolder()
  const server = run(t, SERVER, ['--port', '0', '--unixsocket', join(cwd, 's'), '--loglevel', 'debug'], { cwd })
  server.closeOutput()
  let client: RespClient | undefined
  for (const end = Date.now() + 5000; client === undefined && Date.now() < end; await new Promise(resolve => setTimeout(resolve, 20)))
    client = await RespClient.connect(join(cwd, 's')).catch(() => undefined)
  t.equal(await client?.text('PING'), '+PONG')
  client?.close()
  server.kill('SIGTERM')
  t.match(await server.ended, { status: 0, err: '' })
})

t.test('keyferry demo leaves no server behind, however it ends', async t => {
  const bothPorts = /source +redis:\S+:(\d+)\n +target +redis:\S+:(\d+)\n/
  const stopped = run(t, UMBRELLA, ['demo'])
  const unread = run(t, UMBRELLA, ['demo'])
  const told = [await stopped.until(bothPorts), await unread.until(bothPorts)]
  stopped.kill('SIGTERM')
  unread.closeOutput()
  t.equal((await stopped.ended).status, 1)
  t.same(await unread.ended.then(({ status, err }) => [status, err]), [1, ''])
  for (const [, ...ports] of told.map(out => bothPorts.exec(out)!))
    for (const port of ports) {
      let open = true
      for (const end = Date.now() + 5000; open && Date.now() < end; await new Promise(resolve => setTimeout(resolve, 20)))
        open = await RespClient.connect(Number(port)).then(client => (client.close(), true), () => false)
      t.notOk(open, port)
    }
})
