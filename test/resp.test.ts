/**
 * RESP: the request parser at every split of its input, its limits and errors against valkey, and the reply writer
 * against two independent readers and against what valkey sends.
 */
import t, { type Test } from 'tap'
import net from 'node:net'
import { createRequire } from 'node:module'
import Parser from 'redis-parser'
import { isWhole, RequestParser, splitWords } from '../protocol/resp/request.js'
import { ReplyWriter } from '../protocol/resp/writer.js'
import { Slice } from '../protocol/slice.js'
import { Random } from '../src/random.js'
import { encodeCommand, ReplyReader, show } from './client.js'
import { skipWithout, startPeer, type Peer } from './peers.js'

interface Respjs {
  encodeNull(): Buffer
  encodeInteger(value: number): Buffer
  encodeBufBulk(bytes: Buffer): Buffer
  encodeArray(items: readonly Buffer[]): Buffer
  encodeRequest(words: readonly (string | Buffer)[]): Buffer
}
const respjs = createRequire(import.meta.url)('respjs') as Respjs

const SEED = Number(process.env['SEED'] ?? Date.now() % 1e9)
t.comment(`SEED=${SEED}`)

/** Feeds chunks as a connection does and returns every command as text, with the error that ended it. */
function parse(chunks: readonly Buffer[], parser = new RequestParser()): { commands: string[]; error: string; whole: number } {
  const commands: string[] = []
  let whole = 0
  for (const chunk of chunks) {
    // As with the server's shared read buffer, the bytes are gone after `keep`.
    const shared = Buffer.from(chunk)
    parser.feed(shared, 0, shared.length)
    let found = parser.next()
    for (; found === 'command'; found = parser.next()) {
      commands.push(parser.words.slice(0, parser.count).map((word) => word.latin1()).join('\0|'))
      whole += parser.words.slice(0, parser.count).filter(isWhole).length
    }
    if (found === 'error') return { commands, error: parser.errorText, whole }
    parser.keep()
    shared.fill(0xee)
  }
  return { commands, error: '', whole }
}

function split(bytes: Buffer, sizes: () => number): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, sizes())
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = random.int32()
  return bytes
}

const SIZES = [0, 1, 2, 7, 100, 4095, 4096, 16384, 32766, 32767, 32768, 32769, 65534, 65535, 65536, 65537, 100000]

/** A pipeline of commands of all kinds, and the commands it is. */
function randomPipeline(random: Random, big: boolean): { bytes: Buffer; commands: string[] } {
  const parts: Buffer[] = []
  const commands: string[] = []
  for (let i = 0, n = 1 + random.below(8); i < n; i++) {
    const kind = random.below(10)
    if (kind === 0) parts.push(Buffer.from(['\r\n', '\n', '*0\r\n', '*-1\r\n', '*-12\r\n'][random.below(5)]))
    else if (kind <= 2) {
      const words = Array.from({ length: 1 + random.below(4) }, () => randomBytes(random, 1 + random.below(5)).toString('hex'))
      parts.push(Buffer.from(`${words.map((word) => (random.below(2) === 0 ? `"${word}"` : word)).join(' ')}${random.below(2) === 0 ? '\n' : '\r\n'}`))
      commands.push(words.join('\0|'))
    } else {
      const words = Array.from({ length: 1 + random.below(5) }, () =>
        randomBytes(random, big && random.below(3) === 0 ? SIZES[random.below(SIZES.length)] : random.below(12)))
      parts.push(encodeCommand(words))
      commands.push(words.map((word) => word.toString('latin1')).join('\0|'))
    }
  }
  return { bytes: Buffer.concat(parts), commands }
}

t.test('requests split anywhere are the same requests', (t) => {
  const random = new Random(SEED)
  for (let round = 0; round < 60; round++) {
    const { bytes, commands } = randomPipeline(random, false)
    for (let size = 1; size <= Math.min(bytes.length, 40); size++)
      if (!sameCommands(t, parse(split(bytes, () => size)), commands, `round ${round}, chunks of ${size}`)) return t.end()
    for (let cut = 0; cut < bytes.length; cut++) {
      const chunks = cut === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)]
      if (!sameCommands(t, parse(chunks), commands, `round ${round}, cut at ${cut}`)) return t.end()
    }
  }
  for (let round = 0; round < 150; round++) {
    const { bytes, commands } = randomPipeline(random, true)
    const limit = [100, 5000, 33000, 65536, 200000][random.below(5)]
    if (!sameCommands(t, parse(split(bytes, () => 1 + random.below(limit))), commands, `big round ${round}`)) return t.end()
    if (!sameCommands(t, parse(split(bytes, () => 65536)), commands, `big round ${round}, full chunks`)) return t.end()
  }
  t.end()
})

function sameCommands(t: Test, found: { commands: string[]; error: string }, expected: string[], title: string): boolean {
  const same = found.error === '' && found.commands.length === expected.length && found.commands.every((c, i) => c === expected[i])
  if (!same) {
    const brief = (c: string): string => `${c.length}:${c.slice(0, 30)}`
    t.same(found.commands.map(brief), expected.map(brief), `${title} (SEED=${SEED}) ${found.error}`)
  }
  return same
}

t.test('one parser over many pipelines, chunks ending anywhere', (t) => {
  const random = new Random(SEED + 1)
  const parser = new RequestParser()
  const all: Buffer[] = []
  const expected: string[] = []
  for (let i = 0; i < 300; i++) {
    const { bytes, commands } = randomPipeline(random, i % 3 === 0)
    all.push(bytes)
    expected.push(...commands)
  }
  const found = parse(split(Buffer.concat(all), () => 1 + random.below(70000)), parser)
  sameCommands(t, found, expected, 'stream')
  t.equal(parser.keptBytes, 0, 'nothing is kept at the end')
  t.end()
})

t.test('big words own their buffer, whatever of them is in the first chunk', (t) => {
  const value = randomBytes(new Random(SEED), 40000)
  const bytes = encodeCommand(['SET', 'k', value])
  const next = encodeCommand(['PING'])
  for (let cut = bytes.length - value.length - 8; cut < bytes.length; cut += cut > bytes.length - 6 || cut < bytes.length - value.length ? 1 : 997) {
    for (const pieces of [[bytes.subarray(0, cut), bytes.subarray(cut)], [bytes.subarray(0, cut), Buffer.concat([bytes.subarray(cut), next])]]) {
      const { commands, error, whole } = parse(pieces)
      t.equal(error, '')
      if (commands[0] !== `SET\0|k\0|${value.latin1Slice()}`) t.fail(`cut at ${cut}: ${commands.length} commands`)
      t.equal(commands.length, pieces[1].length > bytes.length - cut ? 2 : 1)
      t.equal(whole, cut < bytes.length - value.length - 2 ? 0 : 1, `cut at ${cut}: the value is whole`)
    }
  }
  // The value may stand anywhere among the words, and there may be several.
  const words = [Buffer.from('MSET'), Buffer.from('a'), value, Buffer.from('b'), value.subarray(1), Buffer.from('c'), Buffer.from('x')]
  const many = encodeCommand(words)
  for (const size of [1000, 32768, 40010, 40060, 65536, 80000]) {
    const { commands } = parse(split(many, () => size))
    t.equal(commands[0], words.map((word) => word.toString('latin1')).join('\0|'), `chunks of ${size}`)
  }
  t.end()
})

t.test('a waiting command survives what comes after it', (t) => {
  const random = new Random(SEED + 2)
  for (let round = 0; round < 300; round++) {
    const { bytes, commands } = randomPipeline(random, round % 4 === 0)
    const parser = new RequestParser()
    const found: string[] = []
    const text = (): string => parser.words.slice(0, parser.count).map((word) => word.latin1()).join('\0|')
    let waiting = false
    const drain = (): void => {
      // Goes on until it decides to wait; then the same words must still be there when it goes on.
      for (;;) {
        if (!waiting && parser.next() !== 'command') return
        const again = waiting
        waiting = !again && random.below(3) === 0
        parser.wait(waiting)
        if (waiting) return
        found.push(text())
      }
    }
    for (const chunk of split(bytes, () => 1 + random.below(round % 4 === 0 ? 50000 : 60))) {
      const shared = Buffer.from(chunk)
      parser.feed(shared, 0, shared.length)
      if (!waiting || random.below(2) === 0) drain()
      parser.keep()
      shared.fill(0xee)
    }
    for (let i = 0; i < 200 && (waiting || i === 0); i++) {
      drain()
      parser.keep()
    }
    if (!sameCommands(t, { commands: found, error: parser.errorText }, commands, `round ${round}`)) break
  }
  t.end()
})

t.test('commands found ahead are those found byte by byte', (t) => {
  const usual = '*2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n'
  const words = (count: number): string => `*${count}\r\n${'$1\r\nx\r\n'.repeat(count)}`
  const strange = [
    '*2\r\n$3\r\nGET\r\n$0\r\n\r\n', '*0\r\n', '*-1\r\n', '\r\n', 'PING\r\n',
    words(1), words(7), words(8), words(12), '*1\r\n$10\r\n0123456789\r\n', `*1\r\n$16384\r\n${'v'.repeat(16384)}\r\n`, `*1\r\n$16385\r\n${'v'.repeat(16385)}\r\n`,
  ]
  for (const between of strange) {
    const bytes = Buffer.from(usual.repeat(3) + between + usual.repeat(70))
    const ahead: number[] = []
    const parser = new RequestParser((window, bounds, count) => {
      ahead.push(count)
      t.equal(window.latin1Slice(bounds[2], bounds[3]).length > 0, true, 'the first word of the first command')
    })
    const found = parse([bytes], parser)
    t.same(found, parse(split(bytes, () => 1)), JSON.stringify(between.slice(0, 30)))
    t.ok(ahead[0] >= 3 && ahead.length >= 3, `several at once: ${ahead.join(' ')}`)
  }
  for (const wrong of ['*2\r\n$3\r\nGET\r\n$01\r\nk\r\n', '*02\r\n$3\r\nGET\r\n$1\r\nk\r\n', '*2\r\n$3\r\nGET\r\n5\r\n', '*2\r\n$3\r\nGET\r\n$x\r\n', '*x\r\n', '*2\r\n$-1\r\n'])
    t.same(parse([Buffer.from(usual + wrong)]), parse(split(Buffer.from(usual + wrong), () => 1)), JSON.stringify(wrong))
  t.end()
})

t.test('inline words', (t) => {
  const rows: readonly (readonly [string, string[] | undefined])[] = [
    ['', []], ['  a  b ', ['a', 'b']], ['"a b" \'c d\'', ['a b', 'c d']], ['"\\x41\\n\\t\\a\\b\\r\\q"', ['A\n\t\x07\b\rq']],
    ["'it\\'s \\n'", ["it's \\n"]], ['"', undefined], ["'a", undefined], ['"a"b', undefined], ['a"b"', ['ab']], ['"\\x4"', ['x4']],
    ['"\\', undefined], ['""', ['']], ['a\vb', ['a\vb']], ['"a"\vb', ['a', 'b']], ['\v\fa', ['a']],
  ]
  for (const [line, words] of rows) t.same(splitWords(line), words, JSON.stringify(line))
  t.end()
})

/**
 * All that a server says to these bytes on a connection of their own, half-closed behind them. Whether it closed first is
 * seen by a PING at the end: it stays without an answer.
 */
function verdict(peer: Peer, request: string, pieceBytes = 1 << 30): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ port: peer.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    let text = ''
    const finish = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(text)
    }
    const timer = setTimeout(() => {
      text += '<not closed>'
      finish()
    }, 3000)
    socket.on('data', (chunk: Buffer) => { text += chunk.latin1Slice() })
    socket.on('error', finish)
    socket.on('end', finish)
    socket.on('close', finish)
    const bytes = Buffer.from(`${request}\r\nPING fence-17\r\n`, 'latin1')
    const send = async (): Promise<void> => {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        if (at > 0) await new Promise((next) => setTimeout(next, 5))
        socket.write(bytes.subarray(at, at + pieceBytes))
      }
      socket.end()
    }
    void send()
  })
}

/** keyferry and valkey with the same configuration. */
async function pair(t: Test, config: Record<string, string> = {}): Promise<[Peer, Peer]> {
  const peers = await Promise.all((['keyferry', 'valkey'] as const).map(async (name) => {
    const peer = await startPeer(name, { config })
    t.teardown(() => peer.stop())
    return peer
  }))
  return [peers[0], peers[1]]
}

const noPeers = skipWithout('valkey') || skipWithout('keyferry')

t.test('protocol errors are valkey\'s', { skip: noPeers }, async (t) => {
  const [ours, theirs] = await pair(t)
  const rows: readonly string[] = [
    '*abc\r\n', '*\r\n', '*2147483648\r\n', '*99999999999999999999\r\n', '*-9223372036854775809\r\n', '*-9223372036854775808\r\n', '*-0\r\n', '*+1\r\n',
    '*01\r\n', '* 1\r\n', '*1 \r\n', '*1\n$4\r\nPING\r\n', '*-1\r\n', '*0\r\n', '*1\r\n+PING\r\n', '*1\r\n:4\r\nPING\r\n', '*1\r\nPING\r\n',
    '*1\r\n\r\n', '*1\r\n\n\r\n', '*1\r\n\xff\r\n', '*1\r\n\x01\r\n', '*1\r\n$abc\r\n', '*1\r\n$-1\r\n', '*1\r\n$\r\n', '*1\r\n$536870913\r\n',
    '*1\r\n$99999999999999999999\r\n', '*1\r\n$04\r\nPING\r\n', '*1\r\n$4\rxPING\r\n', '*1\rx$4\r\nPING\r\n', '*1\r\n$4\r\nPINGxx', '*2\r\n$4\r\nPINGxx$1\r\na\r\n',
    'PING "a\r\n', "PING 'a\r\n", 'PING "a"b\r\n', 'PING a"b c"d\r\n', 'PING "\\x41\\x4"\r\n', 'PING a\vb\r\n', '\vPING\r\n', 'ping\r\n\r\n\r\nping\r\n',
    'PING\n', 'PING\r\r\n', 'PING a\rb\r\n', '  \r\n*1\r\n', ' \r\n\r\n*1\r\n$4\r\nPING\r\n', '\t\r\n*0\r\n*0\r\n', '*1\r\n\x004\r\nPING\r\n', '\x00\r\n', 'PING \x00\r\n', '*1\x00\r\n', '$4\r\nPING\r\n', '-ERR\r\n', 'POST / HTTP/1.1\r\n', 'Host: x\r\n', 'GET / HTTP/1.1\r\n',
    `*1${'0'.repeat(70000)}`, `*2\r\n$4\r\nPING\r\n$${'1'.repeat(70000)}`, 'x'.repeat(70000), `PING ${'x'.repeat(60000)}\r\n`, `*${'\xff'.repeat(66000)}`,
    `*1\r\n$${'7'.repeat(30)}\r\n`, '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nab\r\n\r\n', '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n',
  ]
  for (const row of rows)
    t.equal(await verdict(ours, row, 20000), await verdict(theirs, row, 20000), JSON.stringify(row.slice(0, 60)))
})

t.test('limits before authentication are valkey\'s', { skip: noPeers }, async (t) => {
  const [ours, theirs] = await pair(t, { requirepass: 'secret' })
  const auth = encodeCommand(['AUTH', 'secret']).latin1Slice()
  const long = encodeCommand(['PING', 'x'.repeat(16385)]).latin1Slice()
  const many = encodeCommand(['DEL', ...'abcdefghijk']).latin1Slice()
  for (const row of [
    '*10\r\n', '*11\r\n', many, long, encodeCommand(['GET', 'x'.repeat(16384)]).latin1Slice(), `${auth}${many}`, `${auth}${long}`, `${auth}RESET\r\n${many}`,
    'GET a\r\n', 'PING\r\n', 'nosuch\r\n', 'GET\r\n', 'MULTI\r\nEXEC\r\nDISCARD\r\n', 'HELLO\r\n', 'HELLO 3\r\n', 'HELLO 3 AUTH default secret\r\nPING\r\n', 'AUTH bad\r\nGET a\r\n', 'AUTH a b c\r\n', 'QUIT\r\n', 'RESET\r\n',
    'COMMAND COUNT\r\n', 'CONFIG\r\n', 'CONFIG GET port\r\n', 'CONFIG NOSUCH\r\n',
  ]) t.equal(tame(await verdict(ours, row)), tame(await verdict(theirs, row)), JSON.stringify(row.slice(0, 60)))
})

/** Hides what must differ: ids and names in HELLO's map. */
function tame(text: string): string {
  return text.replace(/:\d+\r\n\$4\r\nmode/, ':ID\r\n$4\r\nmode')
}

t.test('sizes that the configuration limits', { skip: noPeers }, async (t) => {
  const [ours, theirs] = await pair(t, { 'proto-max-bulk-len': '1mb', 'client-query-buffer-limit': '1mb' })
  const body = 'x'.repeat(1 << 20)
  for (const row of [
    '*2\r\n$4\r\nPING\r\n$1048577\r\n', `*2\r\n$4\r\nECHO\r\n$524288\r\n${body.slice(0, 524288)}`,
    // Over the query buffer's limit without a single long word: the connection just goes.
    `*30\r\n$4\r\nECHO\r\n${`$100000\r\n${'y'.repeat(100000)}\r\n`.repeat(13)}`,
    `MULTI\r\n${encodeCommand(['SET', 'k', 'z'.repeat(400000)]).latin1Slice().repeat(4)}`,
  ]) {
    const [a, b] = [await verdict(ours, row), await verdict(theirs, row)]
    t.equal(`${a.length} ${a.slice(0, 100)} ${a.slice(-12)}`, `${b.length} ${b.slice(0, 100)} ${b.slice(-12)}`, `${row.length} ${JSON.stringify(row.slice(0, 40))}`)
  }
})

t.test('garbage gets what valkey answers, or redis', { skip: noPeers || skipWithout('redis') }, async (t) => {
  const [ours, theirs] = await pair(t)
  // The two differ behind lines of white space: either will do.
  const redis = await startPeer('redis')
  t.teardown(() => redis.stop())
  const random = new Random(SEED + 3)
  const pieces = ['*', '$', '\r\n', '\n', '\r', '1', '2', '3', '0', '-', '4', 'PING', 'GET', 'k', ' ', '"', "'", '\\x41', '\\', '*1\r\n', '*2\r\n$3\r\nGET\r\n', '$1\r\na\r\n', '$4\r\nPING\r\n', 'ECHO', '\t', '\xff', '\v', ':', '+']
  let differ = 0
  const cases = Array.from({ length: 400 }, () => {
    let text = ''
    for (let i = 1 + random.below(9); i > 0; i--) text += pieces[random.below(pieces.length)]
    return text
  })
  for (let i = 0; i < cases.length; i += 40) {
    await Promise.all(cases.slice(i, i + 40).map(async (text) => {
      const [a, b] = await Promise.all([verdict(ours, text), verdict(theirs, text)])
      if (a !== b && a !== await verdict(redis, text) && differ++ < 5) t.equal(a, b, `${JSON.stringify(text)} SEED=${SEED}`)
    }))
  }
  t.equal(differ, 0, `${cases.length} garbage requests answered alike`)
})

t.test('the writer speaks RESP2 and RESP3', (t) => {
  const kinds: readonly (readonly [string, (w: ReplyWriter) => void, string, string])[] = [
    ['ok', (w) => w.ok(), '+OK\r\n', '+OK\r\n'],
    ['simple', (w) => w.simple('a simple string that is longer than the short path'), '+a simple string that is longer than the short path\r\n', '+a simple string that is longer than the short path\r\n'],
    ['error', (w) => w.error('ERR a\r\nb'), '-ERR a  b\r\n', '-ERR a  b\r\n'],
    ['integer', (w) => w.integer(-9007199254740991), ':-9007199254740991\r\n', ':-9007199254740991\r\n'],
    ['int64', (w) => w.integer(-9223372036854775808n), ':-9223372036854775808\r\n', ':-9223372036854775808\r\n'],
    ['bulk', (w) => w.bulk(Slice.from('a\r\n\xff', 'latin1')), '$4\r\na\r\n\xff\r\n', '$4\r\na\r\n\xff\r\n'],
    ['text', (w) => w.bulkText('é'), '$2\r\n\xc3\xa9\r\n', '$2\r\n\xc3\xa9\r\n'],
    ['bulk integer', (w) => w.bulkInteger(-120), '$4\r\n-120\r\n', '$4\r\n-120\r\n'],
    ['null', (w) => w.null(), '$-1\r\n', '_\r\n'],
    ['null array', (w) => w.nullArray(), '*-1\r\n', '_\r\n'],
    ['double', (w) => w.double(0.1), '$3\r\n0.1\r\n', ',0.1\r\n'],
    ['infinity', (w) => w.double(-Infinity), '$4\r\n-inf\r\n', ',-inf\r\n'],
    ['boolean', (w) => { w.boolean(true); w.boolean(false) }, ':1\r\n:0\r\n', '#t\r\n#f\r\n'],
    ['verbatim', (w) => w.verbatim('é'), '$2\r\n\xc3\xa9\r\n', '=6\r\ntxt:\xc3\xa9\r\n'],
    ['map', (w) => { w.map(1); w.integer(1); w.integer(2) }, '*2\r\n:1\r\n:2\r\n', '%1\r\n:1\r\n:2\r\n'],
    ['set', (w) => { w.set(1); w.integer(1) }, '*1\r\n:1\r\n', '~1\r\n:1\r\n'],
    ['push', (w) => { w.push(1); w.integer(1) }, '*1\r\n:1\r\n', '>1\r\n:1\r\n'],
    ['nested', (w) => {
      const outer = w.begin()
      const inner = w.begin()
      for (let i = 0; i < 12; i++) w.integer(i)
      w.endSet(inner, 12)
      const map = w.begin()
      w.simple('k')
      w.array(0)
      w.endMap(map, 1)
      w.endArray(outer, 2)
    }, `*2\r\n*12\r\n${Array.from({ length: 12 }, (_, i) => `:${i}\r\n`).join('')}*2\r\n+k\r\n*0\r\n`,
    `*2\r\n~12\r\n${Array.from({ length: 12 }, (_, i) => `:${i}\r\n`).join('')}%1\r\n+k\r\n*0\r\n`],
  ]
  for (const [title, write, two, three] of kinds) {
    for (const [version, expected] of [[2, two], [3, three]] as const) {
      // A tiny buffer makes every write grow it once.
      for (const bytes of [16, 65536]) {
        const writer = new ReplyWriter(bytes)
        writer.version = version
        write(writer)
        t.equal(writer.buf.latin1Slice(0, writer.pos), expected, `${title} in RESP${version}`)
      }
      const shown = new ReplyReader().feed(Buffer.from(expected, 'latin1'))
      t.ok(shown.length > 0 && shown.every(({ reply }) => show(reply) !== ''), `${title} reads back`)
    }
  }
  t.end()
})

type Tree = number | string | null | Tree[]

t.test('random replies: respjs writes the same, redis-parser reads the same', (t) => {
  const random = new Random(SEED + 4)
  const make = (depth: number): Tree => {
    const kind = random.below(depth > 3 ? 3 : 5)
    if (kind === 0) return random.int32()
    if (kind === 1) return randomBytes(random, random.below(40)).toString('hex')
    if (kind === 2) return null
    return Array.from({ length: random.below(6) }, () => make(depth + 1))
  }
  const write = (writer: ReplyWriter, tree: Tree, late: boolean): void => {
    if (tree === null) writer.null()
    else if (typeof tree === 'number') writer.integer(tree)
    else if (typeof tree === 'string') writer.bulkText(tree)
    else {
      const mark = writer.begin()
      if (!late) writer.array(tree.length)
      for (const item of tree) write(writer, item, late)
      if (late) writer.endArray(mark, tree.length)
    }
  }
  for (let round = 0; round < 300; round++) {
    const tree = make(0)
    const writer = new ReplyWriter(64)
    write(writer, tree, round % 2 === 0)
    const bytes = Buffer.from(writer.buf.subarray(0, writer.pos))
    const replies: unknown[] = []
    const parser = new Parser({ returnReply: (reply: unknown) => replies.push(reply), returnError: (error) => { throw error } })
    parser.execute(bytes)
    if (JSON.stringify(replies) !== JSON.stringify([tree])) return finishWith(t, replies, [tree])
    const second = encoded(tree)
    if (!second.equals(bytes)) return finishWith(t, bytes.latin1Slice(), second.latin1Slice())
  }
  t.pass('300 trees')
  // A request is an array of bulk strings: respjs as the client.
  const words = ['SET', 'k', 'x'.repeat(40000)]
  const request = respjs.encodeRequest(words)
  t.equal(parse(split(request, () => 777)).commands[0], words.join('\0|'))
  t.end()
})

function finishWith(t: Test, found: unknown, expected: unknown): void {
  t.same(found, expected, `SEED=${SEED}`)
  t.end()
}

function encoded(tree: Tree): Buffer {
  if (tree === null) return respjs.encodeNull()
  if (typeof tree === 'number') return respjs.encodeInteger(tree)
  return typeof tree === 'string' ? respjs.encodeBufBulk(Buffer.from(tree)) : respjs.encodeArray(tree.map(encoded))
}

t.test('every kind as valkey sends it', { skip: noPeers }, async (t) => {
  const theirs = await startPeer('valkey', { args: ['--enable-debug-command', 'yes'] })
  t.teardown(() => theirs.stop())
  const writes: Record<string, (w: ReplyWriter) => void> = {
    string: (w) => w.bulkText('Hello World'),
    integer: (w) => w.integer(12345),
    double: (w) => w.double(3.141),
    null: (w) => w.null(),
    array: (w) => { w.array(3); for (let i = 0; i < 3; i++) w.integer(i) },
    set: (w) => { w.set(3); for (let i = 0; i < 3; i++) w.integer(i) },
    map: (w) => { w.map(3); for (let i = 0; i < 3; i++) { w.integer(i); w.boolean(i === 1) } },
    true: (w) => w.boolean(true),
    false: (w) => w.boolean(false),
    verbatim: (w) => w.verbatim('This is a verbatim\nstring'),
  }
  for (const version of [2, 3] as const) {
    const client = await theirs.client()
    if (version === 3) await client.call('HELLO', 3)
    for (const [kind, write] of Object.entries(writes)) {
      const writer = new ReplyWriter()
      writer.version = version
      write(writer)
      const { raw } = await client.send(['DEBUG', 'PROTOCOL', kind])
      t.equal(writer.buf.latin1Slice(0, writer.pos), raw.latin1Slice(), `${kind} in RESP${version}`)
    }
    client.close()
  }
})
