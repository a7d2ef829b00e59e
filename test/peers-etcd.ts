/**
 * Starts etcd (Debian's 3.4, with the v2 API) on free loopback ports in a temporary folder of its own, and stops it by its
 * pid. Missing, its tests are skipped by name; with CI=true they fail. Readiness is an answer to /health.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface EtcdPeer {
  readonly port: number
  readonly pid: number
  /** `http://127.0.0.1:port`. */
  readonly address: string
  /** For `keyferry migrate`: keys as they are, without a path. */
  readonly url: string
  /** Its --data-dir. */
  readonly dataDir: string
  /** SIGTERM, after 5 s SIGKILL; removes the folder. */
  stop(): Promise<void>
  /** Ends it and keeps the folder, until `stop`: SIGTERM, or SIGKILL as a crash. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

export interface EtcdPeerOptions {
  /** A data directory that is there already; it is kept. */
  readonly dataDir?: string
  /** Serve clients over TLS, with a certificate that it makes itself. */
  readonly tls?: boolean
  readonly args?: readonly string[]
}

function etcdProgram(): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/usr/bin', '/usr/local/bin']) {
    if (folder !== '' && existsSync(path.join(folder, 'etcd'))) return path.join(folder, 'etcd')
  }
  return undefined
}

/** False when etcd is present; else the reason for tap's `skip`. With CI=true a missing etcd throws instead. */
export function skipWithoutEtcd(): string | false {
  if (etcdProgram() !== undefined) return false
  const reason = 'etcd is not installed (npm run peers)'
  if (process.env['CI'] === 'true') throw new Error(reason)
  return reason
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Starts etcd and waits until it answers. Whoever starts it stops it: `t.teardown(() => peer.stop())`. */
export async function startEtcd(options: EtcdPeerOptions = {}): Promise<EtcdPeer> {
  let failure: Error | undefined
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await launch(options)
    } catch (error) {
      failure = error as Error
      if (!failure.message.includes('address already in use')) break
    }
  }
  throw failure ?? new Error('unreachable')
}

async function launch(options: EtcdPeerOptions): Promise<EtcdPeer> {
  const program = etcdProgram()
  if (program === undefined) throw new Error('etcd is not installed (npm run peers)')
  const [port, peerPort] = await freePorts()
  const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-etcd-'))
  const dataDir = options.dataDir ?? path.join(folder, 'data')
  const address = `${options.tls === true ? 'https' : 'http'}://127.0.0.1:${port}`
  const peer = `http://127.0.0.1:${peerPort}`
  const words = [
    '--name', 'one', '--data-dir', dataDir, '--enable-v2=true', '--logger', 'zap', '--log-level', 'error',
    '--listen-client-urls', address, '--advertise-client-urls', address, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`,
    '--heartbeat-interval', '20', '--election-timeout', '200',
  ]
  const env = { ...process.env }
  delete env['NODE_OPTIONS']
  const child = spawn(program, [...words, ...(options.tls === true ? ['--auto-tls'] : []), ...(options.args ?? [])], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let output = ''
  const keep = (chunk: Buffer): void => { output = (output + chunk.toString('latin1')).slice(-65536) }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(child)
      resolve()
    })
  })
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (!running.has(child)) return
    child.kill(signal)
    const force = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(force)
  }
  const stop = async (): Promise<void> => {
    await end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
  for (let tries = 0; !(await isHealthy(address)); tries++) {
    if (tries > 200 || !running.has(child)) {
      await stop()
      throw new Error(`etcd did not start: ${output.slice(-800)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { port, pid: child.pid as number, address, url: `${options.tls === true ? 'etcds' : 'etcd'}://127.0.0.1:${port}`, dataDir, stop, end }
}

function isHealthy(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const get = address.startsWith('https:') ? https.get : http.get
    const request = get(`${address}/health`, { timeout: 1000, rejectUnauthorized: false }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
  })
}

async function freePorts(): Promise<[number, number]> {
  const servers = [net.createServer(), net.createServer()]
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return [ports[0], ports[1]]
}
