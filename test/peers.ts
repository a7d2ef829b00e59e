/**
 * Starts the servers that tests and benchmarks talk to, each on a free loopback port in a temporary folder of its own,
 * and stops them by pid.
 *
 * Names: `keyferry` (this build), `redis` and `valkey` (what `npm run peers` installs). A peer that is not installed
 * makes its tests skip by name; with CI=true it fails them (`requirePeer`).
 *
 * Readiness is a PING that is answered, not a line of a log, and answered by the server just started: a port taken by
 * somebody else between choosing and binding has somebody else's server behind it, which answers as well and ends when
 * its own test does. The start is then repeated on another port.
 */
import { spawn, execFileSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Random } from '../src/random.js'
import { RespClient } from './client.js'

/** The servers a test can ask for. */
export type PeerName = 'keyferry' | 'redis' | 'valkey'

/** How to start a peer. */
export interface PeerOptions {
  /** Words after the ones that set port, folder and loopback address, e.g. `['--maxmemory', '1mb']`. */
  args?: readonly string[]
  /** Directives, the same as `--name value` words. */
  config?: Readonly<Record<string, string | number>>
  /** Put all of this into a configuration file instead of the command line. */
  configFile?: string
  /** Flags for node itself (keyferry only), e.g. `['--cpu-prof']`. */
  nodeArgs?: readonly string[]
  /** Start this program instead of the one found (keyferry: a JavaScript file). */
  program?: string
  /** The port to try first. Default: a free one. */
  port?: number
  /** How long readiness may take. Default 10 s. */
  timeoutMs?: number
}

/** A server that runs. */
export interface Peer {
  readonly name: PeerName
  readonly port: number
  readonly pid: number
  /** As its INFO says, e.g. `7.0.15`, `8.0.1`. */
  readonly version: string
  /** Its own temporary folder, also its `dir`. */
  readonly folder: string
  /** Time from spawn to the first +PONG. */
  readonly startMs: number
  /** What it has written to stdout and stderr (the last 64 KB). */
  output(): string
  client(): Promise<RespClient>
  /** SIGTERM, after 5 s SIGKILL; removes the folder. Gives the exit code, or the signal's name. */
  stop(): Promise<number | string>
  /** SIGKILL, folder kept until `stop`. */
  kill(): Promise<void>
}

/** Where `freePort` looks: below 32768 the system gives no port to those who ask for any. */
const FIRST_PORT = 12000
const PORTS = 20000
const BUILT_SERVER = fileURLToPath(new URL('../src/cli/keyferry-server.js', import.meta.url))
const MAX_OUTPUT = 65536

/** The path of a peer's program, or undefined when it is not installed (or, for keyferry, not built). */
export function peerProgram(name: PeerName): string | undefined {
  if (name === 'keyferry') return existsSync(BUILT_SERVER) ? BUILT_SERVER : undefined
  const program = `${name}-server`
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/usr/bin', '/usr/local/bin']) {
    if (folder !== '' && existsSync(path.join(folder, program))) return path.join(folder, program)
  }
  return undefined
}

/** Whether a peer can be started here. */
export function peerInstalled(name: PeerName): boolean {
  return peerProgram(name) !== undefined
}

/** False when the peer is present; else the reason for tap's `skip`. With CI=true a missing peer throws instead. */
export function skipWithout(name: PeerName): string | false {
  if (peerInstalled(name)) return false
  const reason = `${name}-server is not installed (npm run peers)`
  if (process.env['CI'] === 'true') throw new Error(reason)
  return reason
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
// A terminal that is closed: without a listener the process would end without 'exit'. (tap sees to the other signals.)
process.once('SIGHUP', () => process.exit(129))

/** Starts a server and waits until it answers. Whoever starts it stops it: `t.teardown(() => peer.stop())`. */
export async function startPeer(name: PeerName, options: PeerOptions = {}): Promise<Peer> {
  const program = options.program ?? peerProgram(name)
  if (program === undefined) throw new Error(`${name}-server is not installed (npm run peers) or not built (npm run build)`)
  let failure: Error | undefined
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await launch(name, program, (attempt === 0 ? options.port : undefined) ?? await freePort(), options)
    } catch (error) {
      failure = error as Error
      if (!/in use|EADDRINUSE/i.test(failure.message)) break
    }
  }
  throw failure ?? new Error('unreachable')
}

async function launch(name: PeerName, program: string, port: number, options: PeerOptions): Promise<Peer> {
  const folder = mkdtempSync(path.join(tmpdir(), `keyferry-${name}-`))
  const words = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  for (const [directive, value] of Object.entries(options.config ?? {})) words.push(`--${directive}`, ...String(value).split(' '))
  words.push(...(options.args ?? []))
  if (options.configFile !== undefined) {
    writeFileSync(path.join(folder, 'server.conf'), options.configFile)
    words.unshift(path.join(folder, 'server.conf'))
  }
  const env = { ...process.env }
  // The test runner's loader would be preloaded into the server and slow it down.
  delete env['NODE_OPTIONS']
  const [command, args] = name === 'keyferry' ? [process.execPath, [...(options.nodeArgs ?? []), program, ...words]] : [program, words]
  const startedAt = performance.now()
  const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let output = ''
  const keep = (chunk: Buffer): void => { output = (output + chunk.toString('latin1')).slice(-MAX_OUTPUT); }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const exited = new Promise<number | string>((resolve) => {
    // Not 'exit': what it said last, a port in use for instance, may still be in the pipe then.
    child.once('close', (code, signal) => {
      running.delete(child)
      resolve(signal ?? code ?? -1)
    })
    child.once('error', (error) => resolve(error.message))
  })
  const about = (): string => {
    const end = child.signalCode ?? child.exitCode
    return `${name}-server ${child.pid} on port ${port}${end === null ? '' : `, which ended with ${end}`}, said last: ${output.slice(-2000)}`
  }

  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  const stop = async (): Promise<number | string> => {
    // A crash that nobody asked for: its trace came after the tests had lost their connections.
    if (child.exitCode !== null && child.exitCode !== 0) process.stderr.write(`${about()}\n`)
    child.kill('SIGTERM')
    const force = setTimeout(() => child.kill('SIGKILL'), 5000)
    const outcome = await exited
    clearTimeout(force)
    rmSync(folder, { recursive: true, force: true })
    return outcome
  }
  try {
    const isOurs = (pid: string | undefined): boolean => Number(pid) === child.pid || output.includes('Ready to accept connections')
    const { version, pongAt } = await Promise.race([
      ready(port, options.timeoutMs ?? 10_000, isOurs, () => !running.has(child)),
      exited.then((outcome) => { throw new Error(`${name}-server ended at start with ${outcome}: ${output.slice(-800)}`); }),
    ])
    return {
      name, port, folder, version, stop, kill,
      startMs: pongAt - startedAt,
      pid: child.pid ?? -1,
      output: () => output,
      client: () => RespClient.connect(port, about),
    }
  } catch (error) {
    await kill()
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

const random = new Random()

/**
 * A loopback port nobody listens on at this moment, and which the system gives to nobody who asks for any port: below
 * the range it takes those from. Only another call of this function, in another process, may come to the same one.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = FIRST_PORT + random.below(PORTS)
    if (await canListen(port)) return port
  }
  throw new Error('no free port found')
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

/** What a server that is ready has told. */
interface Readiness {
  version: string
  /** When its PONG came, on the clock of `performance.now`. */
  pongAt: number
}

/**
 * Resolves when the server at `port` answers a PING with anything but LOADING and `isOurs` recognises the process id of
 * its INFO (undefined where it wants a password first); gives up when the child is gone.
 */
async function ready(port: number, timeoutMs: number, isOurs: (pid: string | undefined) => boolean, isGone: () => boolean): Promise<Readiness> {
  const deadline = performance.now() + timeoutMs
  let last = 'no connection'
  while (performance.now() < deadline && !isGone()) {
    try {
      const client = await RespClient.connect(port)
      try {
        last = await client.text('PING')
        const pongAt = performance.now()
        const info = last.startsWith('-LOADING') ? '' : await client.text('INFO', 'server')
        const field = (name: string): string | undefined => new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1]
        if (info !== '' && isOurs(field('process_id')))
          return { version: field('keyferry_version') ?? field('valkey_version') ?? field('redis_version') ?? 'unknown', pongAt }
      } finally {
        client.close()
      }
    } catch (error) {
      last = (error as Error).message
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  throw new Error(`no PONG on port ${port} within ${timeoutMs} ms (${last})`)
}

/**
 * CPU time the process has used so far, in microseconds, all its threads, from the scheduler's own account
 * (nanoseconds; /proc/PID/stat counts in ticks of 10 ms, too coarse for a short run).
 */
export function cpuMicros(pid: number): number {
  let nanos = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanos += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0])
    } catch {
      // The thread ended between listing and reading.
    }
  }
  return nanos / 1000
}

/** Resident memory of the process in bytes. */
export function rssBytes(pid: number): number {
  return kilobytesOf(pid, 'VmRSS') * 1024
}

/** The highest resident memory the process has had, in bytes. `resetPeak` starts it anew. */
export function peakRssBytes(pid: number): number {
  return kilobytesOf(pid, 'VmHWM') * 1024
}

/** Makes `peakRssBytes` start again from the present size. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function kilobytesOf(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
}

/** What `PROGRAM --version` prints, for reports. */
export function programVersion(name: 'redis' | 'valkey'): string {
  const program = peerProgram(name)
  return program === undefined ? 'not installed' : execFileSync(program, ['--version'], { encoding: 'latin1' }).trim()
}
