/** Whether a process of this machine that left a lock, or something half written, is still there. */
import { readFileSync } from 'node:fs'

/** Whether a process of this machine is alive; one that has ended and whose parent has not looked yet (a zombie) is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return stateOf(pid) !== 'Z'
  } catch (error) {
    // Somebody else's process is alive too.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The letter that Linux has for what a process does; undefined where that can not be learnt. */
function stateOf(pid: number): string | undefined {
  try {
    // The name stands in parentheses, and may have some itself.
    return /^.*\) (.)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1]
  } catch {
    return undefined
  }
}
