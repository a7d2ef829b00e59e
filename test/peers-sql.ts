/**
 * Starts a MariaDB or a PostgreSQL for a test: on a free loopback port, in a temporary folder of its own, stopped by its pid.
 * Both refuse to run as root or want to be told, so root starts PostgreSQL as the user `postgres`, which its package creates.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freePort } from './peers.js'

export type SqlPeerName = 'mariadb' | 'postgresql'

export interface SqlPeer {
  readonly port: number
  readonly pid: number
  readonly user: string
  readonly password: string
  /** A certificate for 127.0.0.1 that vouches for itself; `key` is its key. MariaDB uses it, PostgreSQL can be told to. */
  readonly certificate: string
  readonly key: string
  output(): string
  stop(): Promise<void>
}

const PASSWORD = 'f3rry/p@ss'
const START_TIMEOUT_MS = 20_000
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

const isRoot = process.getuid?.() === 0

function found(program: string): string | undefined {
  const postgresql = '/usr/lib/postgresql'
  const versions = existsSync(postgresql) ? readdirSync(postgresql).sort((a, b) => Number(b) - Number(a)).map((version) => path.join(postgresql, version, 'bin')) : []
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', ...versions].map((folder) => path.join(folder, program)).find((file) => existsSync(file))
}

/** Where temporary files cost least: in memory where there is room for them. */
export function quickFolder(): string {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > 512 << 20 ? memory : tmpdir()
}

/** False when the peer is present; else the reason for tap's `skip`. With CI=true a missing peer throws instead. */
export function skipWithoutSql(name: SqlPeerName): string | false {
  const programs = name === 'mariadb' ? ['mariadbd', 'mariadb-install-db'] : ['postgres', 'initdb']
  if (programs.every((program) => found(program) !== undefined)) return false
  const reason = `${name} is not installed (npm run peers)`
  if (process.env['CI'] === 'true') throw new Error(reason)
  return reason
}

/**
 * Starts a server and waits until it takes connections. Whoever starts it stops it. A test wants it quick; `asInstalled`, for
 * a benchmark: durable, on a disk, with the memory and the log that it has by default.
 */
export async function startSql(name: SqlPeerName, asInstalled = false): Promise<SqlPeer> {
  // MariaDB writes its first tables durably, each: five seconds on a disk.
  const folder = mkdtempSync(path.join(name === 'mariadb' && !asInstalled ? quickFolder() : tmpdir(), `keyferry-${name}-`))
  const port = await freePort()
  const data = path.join(folder, 'data')
  const [certificate, key] = [path.join(folder, 'certificate.pem'), path.join(folder, 'key.pem')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=keyferry',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate], { stdio: 'pipe' })
  const run = name === 'mariadb' ? prepareMariadb(folder, data, port, asInstalled) : preparePostgresql(folder, data, port, asInstalled)
  const child = spawn(run[0], run.slice(1), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let output = ''
  const keep = (chunk: Buffer): void => { output = (output + chunk.toString('latin1')).slice(-65536); }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(child)
      resolve()
    })
  })
  const stop = async (): Promise<void> => {
    // What PostgreSQL calls an immediate shutdown: no checkpoint, its children end with it.
    child.kill(name === 'mariadb' ? 'SIGKILL' : 'SIGQUIT')
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await accepts(port, () => {
      if (!running.has(child)) throw new Error(`${name} ended at start: ${output.slice(-800)}`)
      return !/ready for connections|ready to accept connections/.test(output)
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { port, pid: child.pid ?? -1, user: name === 'mariadb' ? 'ferry' : 'postgres', password: PASSWORD, certificate, key, output: () => output, stop }
}

function prepareMariadb(folder: string, data: string, port: number, asInstalled: boolean): string[] {
  const user = isRoot ? ['--user=root'] : []
  const small = asInstalled ? [] : ['--innodb-log-file-size=4M']
  const quick = asInstalled ? [] : ['--innodb-buffer-pool-size=64M', '--max-allowed-packet=32M', '--innodb-flush-log-at-trx-commit=0']
  execFileSync(found('mariadb-install-db') as string,
    ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve', ...user, ...small], { stdio: 'pipe' })
  const init = path.join(folder, 'init.sql')
  // One statement a line.
  writeFileSync(init, `create or replace user ferry@'127.0.0.1' identified by '${PASSWORD}';\ngrant all on *.* to ferry@'127.0.0.1' with grant option;\n`)
  return [
    found('mariadbd') as string, '--no-defaults', `--datadir=${data}`, `--port=${port}`, `--socket=${folder}/socket`, `--pid-file=${folder}/pid`, '--bind-address=127.0.0.1',
    '--skip-name-resolve', `--init-file=${init}`, `--ssl-cert=${folder}/certificate.pem`, `--ssl-key=${folder}/key.pem`, ...user, ...small, ...quick,
  ]
}

function preparePostgresql(folder: string, data: string, port: number, asInstalled: boolean): string[] {
  const secret = path.join(folder, 'secret')
  writeFileSync(secret, PASSWORD, { mode: 0o644 })
  let asUser: string[] = []
  if (isRoot) {
    const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'latin1' }))
    for (const file of [folder, path.join(folder, 'key.pem')]) chownSync(file, id('-u'), id('-g'))
    asUser = [found('setpriv') as string, '--reuid=postgres', '--regid=postgres', '--clear-groups']
  }
  const prepare = [...asUser, found('initdb') as string, '-D', data, '-U', 'postgres', '--no-sync', '-E', 'UTF8', '--locale=C', '--auth=scram-sha-256', `--pwfile=${secret}`]
  execFileSync(prepare[0], prepare.slice(1), { stdio: 'pipe', cwd: folder })
  const settings = [`port=${port}`, 'listen_addresses=127.0.0.1', `unix_socket_directories=${folder}`, ...(asInstalled ? [] : ['fsync=off', 'shared_buffers=32MB', 'autovacuum=off'])]
  return [...asUser, found('postgres') as string, '-D', data, ...settings.flatMap((setting) => ['-c', setting])]
}

/** Waits while `isStarting` until somebody listens at the port. */
async function accepts(port: number, isStarting: () => boolean): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (performance.now() < deadline && isStarting()) await new Promise((resolve) => setTimeout(resolve, 10))
  await new Promise<void>((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}
