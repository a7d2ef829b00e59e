/** `keyferry migrate` as users run it: in a process of its own, whose report says how long it took. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { peakRssBytes } from '../test/peers.js'

const PROGRAM = fileURLToPath(new URL('../bin/keyferry.js', import.meta.url))
const SAMPLE_MS = 20

export interface Ran {
  readonly report: { readonly report: { readonly elapsedMs: number }; readonly comparison: { readonly elapsedMs: number } }
  readonly peakBytes: number
}

/** Runs the program; throws when it does not end well. */
export async function runMigrate(words: readonly string[]): Promise<Ran> {
  const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-storage-'))
  const file = path.join(folder, 'report')
  const child = spawn(process.execPath, [PROGRAM, 'migrate', '--report', file, '-log-level=warn', ...words], { stdio: ['ignore', 'ignore', 'pipe'] })
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  let peakBytes = 0
  const sampling = setInterval(() => {
    if (child.pid !== undefined && existsSync(`/proc/${child.pid}/status`)) peakBytes = Math.max(peakBytes, peakRssBytes(child.pid))
  }, SAMPLE_MS)
  try {
    const status = await new Promise<number | null>((done) => { child.once('close', done) })
    if (status !== 0) throw new Error(`keyferry migrate ended with ${status}: ${err}`)
    return { report: JSON.parse(readFileSync(file, 'utf8')) as Ran['report'], peakBytes }
  } finally {
    clearInterval(sampling)
    rmSync(folder, { recursive: true, force: true })
  }
}
