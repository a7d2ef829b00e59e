/**
 * The keys of a folder in the order of their bytes, with the memory of the folders on the way: names of a folder are sorted
 * as they stand in a key, a folder's with the `/` behind it. Then plain depth-first order is the order of whole keys: of
 * `a`, `a!` and `a/b`, the folder `a/` comes after `a!` because `/` is greater than `!`.
 */
import { opendir, readFile, stat } from 'node:fs/promises'
import { join, valueOf } from './layout.js'

const SLASH = '/'
const LEFT_OVER = '.temp'

/** Every key below `folder`, which stands for the key prefix `prefix`, that is not before `from`. Throws system errors. */
export async function* walk(folder: Buffer, prefix: Buffer, from: Buffer | undefined): AsyncGenerator<Buffer> {
  for (const name of await sortedNames(folder)) {
    const bytes = Buffer.from(name, 'latin1')
    const key = Buffer.concat([prefix, bytes])
    if (name.endsWith(SLASH)) {
      if (from === undefined || from.compare(key) <= 0 || from.subarray(0, key.length).equals(key)) yield* walk(join(folder, bytes.subarray(0, -1)), key, from)
    } else if (from === undefined || from.compare(key) <= 0) yield key
  }
}

/** The names in a folder as they stand in a key, in order: one byte a character, so that text order is byte order. */
async function sortedNames(folder: Buffer): Promise<string[]> {
  const names: string[] = []
  for await (const entry of await openFolder(folder)) {
    const { name } = entry
    let [isFolder, isFile] = [entry.isDirectory(), entry.isFile()]
    if (!isFolder && !isFile) {
      // Vault follows links.
      const target = await stat(join(folder, Buffer.from(name, 'latin1'))).catch(() => undefined)
      isFolder = target?.isDirectory() === true
      isFile = target?.isFile() === true
    }
    if (isFolder) names.push(name + SLASH)
    else if (isFile && name.length > 1 && name.startsWith('_') && !(await isLeftOver(folder, name))) names.push(name.slice(1))
  }
  return names.sort((a, b) => (a < b ? -1 : 1))
}

/** What is in a folder, names as latin1; one that is gone since it was listed is empty. */
export async function openFolder(folder: Buffer): Promise<AsyncIterable<import('node:fs').Dirent>> {
  try {
    return await opendir(folder, { encoding: 'latin1', bufferSize: 1024 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return { async *[Symbol.asyncIterator]() {} }
  }
}

/**
 * Whether the file is what Vault left behind when it was stopped while writing. A key may end in `.temp` too, and its file
 * looks the same from outside, so a whole entry is taken for a key: one too many can be deleted, one too few is a loss.
 */
async function isLeftOver(folder: Buffer, name: string): Promise<boolean> {
  if (!name.endsWith(LEFT_OVER)) return false
  try {
    return valueOf(await readFile(join(folder, Buffer.from(name, 'latin1')))) === undefined
  } catch {
    return true
  }
}
