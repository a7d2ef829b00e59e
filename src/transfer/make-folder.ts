/**
 * Makes a folder and those around it, one by one. Node's own `recursive` asks again and again where the system says that a
 * folder is missing which is there (/proc), and never comes to an end.
 */
import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'

/** The folders that were made, from the outermost on. Throws system errors. */
export async function makeFolder(folder: string, mode: number): Promise<string[]> {
  const missing: string[] = []
  const made: string[] = []
  const make = async (at: string): Promise<void> => {
    try {
      await mkdir(at, { mode })
      made.push(at)
    } catch (error) {
      const isThere = await stat(at).then((found) => found.isDirectory(), () => false)
      if (!isThere) throw error
    }
  }
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    try {
      await make(at)
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || at === path.dirname(at)) throw error
      missing.push(at)
    }
  }
  for (const at of missing.reverse()) await make(at)
  return made
}
