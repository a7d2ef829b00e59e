/**
 * `keyferry demo [--plain]`: two servers on free ports, one filled with keys of every type, everything moved to the other with
 * MIGRATE, both sides compared. It writes nothing to disk and ends with 0 only when every key arrived as it was.
 *
 *   fill the source -> fingerprint every key -> MIGRATE in batches, PING the source meanwhile -> fingerprint at the target
 *
 * A key's fingerprint is its type, its content (DEBUG DIGEST-VALUE, which does not depend on the order of a hash table), and
 * when it expires.
 * --plain prints a line per step and no progress bar, which is also what a pipe gets.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { DemoLink, type LinkReply } from './demo-link.js'
import { LiveLine, bar, wantsColour } from './live-line.js'
import { countText } from './quantities.js'

/** A server of the demo's own. */
interface DemoServer {
  port: number
}

const BATCH = 250
const START_TIMEOUT_MS = 15_000
const MIGRATE_TIMEOUT_MS = 10_000
const DAY_SECONDS = 86_400

/** Runs the demo. Resolves with the exit status. */
export async function runDemo(argv: readonly string[]): Promise<number> {
  if (argv.some((word) => word !== '--plain')) {
    const isQuestion = argv.includes('--help') || argv.includes('-h')
    ;(isQuestion ? process.stdout : process.stderr).write('Usage: keyferry demo [--plain]\n')
    return isQuestion ? 0 : 1
  }
  const screen = new Screen(argv.includes('--plain') || !process.stdout.isTTY)
  const children: ChildProcess[] = []
  const stop = (): void => {
    for (const child of children) child.kill('SIGTERM')
  }
  // However it ends, no server stays: a signal, or nobody who reads what it says.
  process.once('exit', stop)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
  process.stdout.once('error', () => process.exit(1))
  try {
    screen.say('keyferry moves keys. Two servers, one of them full:')
    const [source, target] = await Promise.all([startServer(children), startServer(children)])
    screen.say(`  source  redis://127.0.0.1:${source.port}`)
    screen.say(`  target  redis://127.0.0.1:${target.port}`)
    return await story(screen, source, target)
  } catch (error) {
    screen.say(`The demo could not go on: ${(error as Error).message}`)
    return 1
  } finally {
    stop()
  }
}

async function story(screen: Screen, source: DemoServer, target: DemoServer): Promise<number> {
  const [from, to, pinger] = [await DemoLink.connect(source.port), await DemoLink.connect(target.port), await DemoLink.connect(source.port)]
  try {
    screen.heading('Filling the source')
    const keys = await fill(from, screen)
    screen.heading('Taking every key\'s fingerprint')
    const before = await fingerprints(from, keys)
    screen.say(`  ${keys.length.toLocaleString('en-US')} keys: type, content, expiry`)

    screen.heading(`MIGRATE 127.0.0.1 ${target.port} "" 0 ${MIGRATE_TIMEOUT_MS} KEYS ...`)
    const { seconds, longestPingMs } = await migrateAll(from, pinger, target.port, keys, screen)
    const rate = Math.round(keys.length / seconds).toLocaleString('en-US')
    screen.say(`  ${keys.length.toLocaleString('en-US')} keys in ${seconds.toFixed(2)} s, ${rate} keys/s`)
    screen.say(`  longest PING at the source meanwhile: ${longestPingMs.toFixed(1)} ms`)

    screen.heading('Comparing both sides')
    const left = await from.call('DBSIZE')
    const after = await fingerprints(to, keys)
    const lost = keys.flatMap((key, i) => (isSame(before[i], after[i]) ? [] : [{ key, was: before[i], is: after[i] }]))
    screen.say(`  left at the source: ${String(left)}`)
    screen.say(`  at the target:      ${String(await to.call('DBSIZE'))}, ${keys.length - lost.length} of them equal in type, content and expiry`)
    for (const { key, was, is } of lost.slice(0, 5)) screen.say(`  differs: ${key}: ${Object.values(was).join(' ')} / ${Object.values(is).join(' ')}`)
    const isRight = left === 0 && lost.length === 0
    screen.say(isRight ? 'Every key is at the target, as it was, and gone from the source.' : 'Something went wrong: see above.')
    return isRight ? 0 : 1
  } finally {
    for (const link of [from, to, pinger]) link.close()
  }
}

/** What the source is filled with: how many keys of a kind, and the commands that make one. */
interface Kind {
  name: string
  count: number
  make(key: string, i: number): (string | number | Buffer)[][]
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

const KINDS: readonly Kind[] = [
  { name: 'string', count: 20_000, make: (key, i) => [['SET', key, `value number ${i}`]] },
  { name: 'session', count: 5000, make: (key, i) => [['SET', key, `{"user":${i},"cart":[1,2,3]}`, 'EX', DAY_SECONDS + i]] },
  { name: 'counter', count: 2000, make: (key, i) => [['SET', key, i * 7]] },
  { name: 'hash', count: 5000, make: (key, i) => [['HSET', key, 'name', `user ${i}`, 'mail', `${i}@example.org`, 'visits', i]] },
  { name: 'list', count: 2000, make: (key, i) => [['RPUSH', key, ...numbers(20).map((n) => `job ${i}.${n}`)]] },
  { name: 'set', count: 2000, make: (key, i) => [['SADD', key, ...numbers(10).map((n) => n * i), `tag ${i}`]] },
  { name: 'zset', count: 2000, make: (key, i) => [['ZADD', key, ...numbers(10).flatMap((n) => [n * 1.5, `player ${i}.${n}`])]] },
  {
    name: 'stream', count: 500,
    make: (key, i) => [
      ...numbers(5).map((n) => ['XADD', key, `${1000 + n}-1`, 'reading', i + n]),
      ['XGROUP', 'CREATE', key, 'readers', 0],
      ['XREADGROUP', 'GROUP', 'readers', 'ann', 'COUNT', 2, 'STREAMS', key, '>']
    ]
  },
  { name: 'big string', count: 3, make: (key, i) => [['SET', key, Buffer.alloc(20_000_000, `block ${i} `)]] },
  { name: 'big hash', count: 1, make: (key) => numbers(400).map((part) => ['HSET', key, ...numbers(500).flatMap((n) => [`field ${part}.${n}`, n])]) },
  { name: 'big zset', count: 1, make: (key) => numbers(400).map((part) => ['ZADD', key, ...numbers(500).flatMap((n) => [n * part, `member ${part}.${n}`])]) }
]

async function fill(link: DemoLink, screen: Screen): Promise<string[]> {
  const keys: string[] = []
  for (const kind of KINDS) {
    let commands: (string | number | Buffer)[][] = []
    for (let i = 0; i < kind.count; i++) {
      const key = `${kind.name}:${i}`
      keys.push(key)
      commands.push(...kind.make(key, i))
      if (commands.length >= 500 || i === kind.count - 1) {
        await link.all(commands)
        commands = []
      }
    }
    screen.say(`  ${kind.count.toLocaleString('en-US').padStart(7)} x ${kind.name}`)
  }
  return keys
}

/** What is compared of a key. */
interface Fingerprint {
  type: string
  content: string
  /** Unix milliseconds; -1 without expiry. */
  expiryMs: number
}

function isSame(was: Fingerprint, is: Fingerprint): boolean {
  return was.type === is.type && was.content === is.content && was.expiryMs === is.expiryMs
}

async function fingerprints(link: DemoLink, keys: readonly string[]): Promise<Fingerprint[]> {
  const found: Fingerprint[] = []
  for (let at = 0; at < keys.length; at += 500) {
    const part = keys.slice(at, at + 500)
    const replies = await link.all(part.flatMap((key) => [['TYPE', key], ['DEBUG', 'DIGEST-VALUE', key], ['PEXPIRETIME', key]]))
    for (let i = 0; i < part.length; i++) {
      const [type, content, expiry] = replies.slice(3 * i, 3 * i + 3).map(text)
      found.push({ type, content, expiryMs: Number(expiry) })
    }
  }
  return found
}

function text(reply: LinkReply): string {
  return Array.isArray(reply) ? reply.map(text).join() : String(reply)
}

async function migrateAll(from: DemoLink, pinger: DemoLink, port: number, keys: readonly string[], screen: Screen): Promise<{ seconds: number, longestPingMs: number }> {
  let longestPingMs = 0
  let isMoving = true
  const pinging = (async () => {
    while (isMoving) {
      const askedAt = performance.now()
      await pinger.call('PING')
      longestPingMs = Math.max(longestPingMs, performance.now() - askedAt)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()
  const startedAt = performance.now()
  try {
    for (let at = 0; at < keys.length; at += BATCH) {
      await from.call('MIGRATE', '127.0.0.1', port, '', 0, MIGRATE_TIMEOUT_MS, 'KEYS', ...keys.slice(at, at + BATCH))
      screen.progress(Math.min(1, (at + BATCH) / keys.length), performance.now() - startedAt, Math.min(keys.length, at + BATCH))
    }
  } finally {
    isMoving = false
  }
  const seconds = (performance.now() - startedAt) / 1000
  await pinging
  screen.endProgress()
  return { seconds, longestPingMs }
}

/** Starts the server program that lies beside this one, on a free port. */
function startServer(children: ChildProcess[]): Promise<DemoServer> {
  const program = fileURLToPath(new URL('keyferry-server.js', import.meta.url))
  const words = [program, '--port', '0', '--bind', '127.0.0.1', '--save', '', '--enable-debug-command', 'local', '--proto-max-bulk-len', '512mb']
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    let output = ''
    const giveUp = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`a server did not start within ${START_TIMEOUT_MS / 1000} s`))
    }, START_TIMEOUT_MS)
    child.stderr.on('data', (chunk: Buffer) => { output += chunk.toString() })
    child.stdout.on('data', (chunk: Buffer) => {
      if (output.length < 100_000) output += chunk.toString()
      const port = /redis:\/\/[\d.]+:(\d+)/.exec(output)?.[1]
      if (port === undefined) return
      clearTimeout(giveUp)
      resolve({ port: Number(port) })
    })
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(giveUp)
      reject(new Error(`a server ended with ${code}: ${output.slice(-500)}`))
    })
  })
}

/** The terminal: headings, lines, and a bar that is drawn over itself, or a line per quarter where there is no terminal. */
class Screen {
  private quarters = 0
  private readonly line = new LiveLine(process.stdout)

  constructor(private readonly isPlain: boolean) {}

  say(line: string): void {
    process.stdout.write(`${line}\n`)
  }

  heading(line: string): void {
    this.say(this.isPlain ? `\n${line}` : `\n\x1b[1m${line}\x1b[0m`)
  }

  progress(part: number, elapsedMs: number, keys: number): void {
    const rate = `${countText((keys / Math.max(1, elapsedMs)) * 1000)} keys/s`
    const percent = `${String(Math.round(part * 100)).padStart(3)} %`
    if (!this.isPlain) {
      const columns = Math.min(40, Math.max(0, this.line.columns - 22 - rate.length))
      this.line.draw(`  ${bar(part, columns, wantsColour(process.stdout))} ${percent}  ${rate}`, columns + percent.length + rate.length + 5)
      return
    }
    if (Math.floor(part * 4) <= this.quarters) return
    this.quarters = Math.floor(part * 4)
    this.say(`  ${percent.trim()}, ${rate}`)
  }

  endProgress(): void {
    this.line.keep()
  }
}
