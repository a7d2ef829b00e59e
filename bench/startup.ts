/**
 * Start: from spawning the program to its first PONG, and from `createServer()` in a process that is already running to its
 * first PONG (a child process per sample, so that nothing is warm).
 */
import { execFile } from 'node:child_process'
import net from 'node:net'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inTurn, scaled, startRole, type Bench } from './servers.js'
import type { Figure } from './sheet.js'

const SPAWN: Figure = { name: 'Spawn to first PONG', unit: 'ms', better: 'lower', against: 'limit', must: 120, goal: 90 }
const IN_PROCESS: Figure = { name: 'In-process server to first PONG', unit: 'ms', better: 'lower', against: 'limit', must: 20, goal: 10 }
const IMPORT: Figure = { name: "In-process server: import of 'keyferry'", unit: 'ms', better: 'lower', against: 'limit' }
const BARE: Figure = { name: 'Spawn of node with a bare TCP server to first PONG', unit: 'ms', better: 'lower', against: 'limit' }

const SAMPLES = 15
const run = promisify(execFile)
const LIBRARY = new URL('../src/index.js', import.meta.url)

export async function startup(bench: Bench): Promise<void> {
  for (let sample = 0; sample < scaled(bench, SAMPLES, 3); sample++) {
    for (const role of inTurn(bench.roles, sample)) {
      const peer = await startRole(bench, role)
      bench.sheet.record(SPAWN, role, peer.startMs)
      await peer.stop()
    }
    if (!bench.roles.includes('keyferry')) continue
    bench.sheet.record(BARE, 'keyferry', await bareMs())
    if (bench.ours !== 'keyferry' || !existsSync(LIBRARY)) continue
    const { stdout } = await run(process.execPath, [fileURLToPath(import.meta.url), '--in-process'], { timeout: 20_000 })
    const measured = JSON.parse(stdout) as { importMs: number, pongMs: number }
    bench.sheet.record(IN_PROCESS, 'keyferry', measured.pongMs)
    bench.sheet.record(IMPORT, 'keyferry', measured.importMs)
  }
}

/** What node itself takes: the floor under the first figure. */
async function bareMs(): Promise<number> {
  const program = "const s=require('net').createServer(c=>c.on('data',()=>c.write('+PONG\\r\\n'))).listen(0,'127.0.0.1',()=>console.log(s.address().port))"
  const startedAt = performance.now()
  const child = execFile(process.execPath, ['-e', program])
  try {
    const port = await new Promise<number>((resolve) => child.stdout?.once('data', (text: string) => resolve(Number(text))))
    await pong(port)
    return performance.now() - startedAt
  } finally {
    child.kill('SIGKILL')
  }
}

function pong(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}

async function inProcess(): Promise<void> {
  const startedAt = performance.now()
  const { createServer } = (await import(LIBRARY.href)) as typeof import('../src/index.js')
  const importedAt = performance.now()
  const server = await createServer()
  await pong(server.port)
  const pongMs = performance.now() - importedAt
  await server.close()
  process.stdout.write(JSON.stringify({ importMs: importedAt - startedAt, pongMs }))
}

if (process.argv[2] === '--in-process' && process.argv[1] === fileURLToPath(import.meta.url)) await inProcess()
