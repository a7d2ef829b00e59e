/**
 * Into the background, and the file with the process id.
 *
 * Node cannot fork, so `daemonize yes` starts the program again, detached and without a terminal, and the process
 * the user started ends with status 0 once that has begun. The configuration is checked before, so that an error
 * in it still reaches the terminal. Loaded only when it is needed.
 */

import { spawn } from 'node:child_process'
import { unlinkSync, writeFileSync } from 'node:fs'

/** Set in the environment of the process that runs in the background. */
const MARK = 'KEYFERRY_DAEMON'

/** Whether this process is the one in the background. */
export const inBackground = (): boolean => process.env[MARK] === '1'

/** Starts this program again in the background with the same words; `stdin` is what it may read there. */
export async function toBackground(stdin: string | undefined): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: [stdin === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore'],
    env: { ...process.env, [MARK]: '1' }
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  if (stdin !== undefined) await new Promise<void>(resolve => child.stdin?.end(stdin, 'latin1', () => resolve()))
  child.unref()
}

/** Writes the process id; answers the system error. */
export function writePidFile(path: string): unknown {
  try {
    writeFileSync(path, `${process.pid}\n`)
    return undefined
  } catch (error) {
    return error
  }
}

export function removePidFile(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // It is gone, which is what was wanted.
  }
}
