/**
 * The keys of a folder in the order of their bytes, with the memory of the folders on the way: names of a folder are sorted
 * as they stand in a key, a folder's with the `/` behind it. Then plain depth-first order is the order of whole keys: of
 * `a`, `a!` and `a/b`, the folder `a/` comes after `a!` because `/` is greater than `!`.
 */
import type { Dirent } from 'node:fs'
import { opendir, readFile, readdir, realpath, stat } from 'node:fs/promises'
import { join, valueOf } from './layout.js'

const SLASH = '/'
const LEFT_OVER = '.temp'

/**
 * Every key below `root` that is not before `from`, in runs of at most `most`: handing over one at a time costs more than
 * finding it. Throws system errors.
 */
export async function* walk(root: Buffer, from: Buffer | undefined, most: number): AsyncGenerator<Buffer[]> {
  // One byte a character, as in the names: the order of such texts is the order of bytes.
  const start = from?.latin1Slice() ?? ''
  const folders = [{ folder: root, prefix: '', names: await sortedNames(root), at: 0 }]
  let run: Buffer[] = []
  for (let inner = folders.at(-1); inner !== undefined; inner = folders.at(-1)) {
    if (inner.at === inner.names.length) {
      folders.pop()
      continue
    }
    const name = inner.names[inner.at++]
    const key = inner.prefix + name
    if (name.endsWith(SLASH)) {
      if (key < start && !start.startsWith(key)) continue
      const folder = join(inner.folder, Buffer.from(name.slice(0, -1), 'latin1'))
      folders.push({ folder, prefix: key, names: await sortedNames(folder), at: 0 })
    } else if (key >= start) {
      run.push(Buffer.from(key, 'latin1'))
      if (run.length < most) continue
      yield run
      run = []
    }
  }
  if (run.length > 0) yield run
}

/** The names in a folder as they stand in a key, in order: one byte a character, so that text order is byte order. */
async function sortedNames(folder: Buffer): Promise<string[]> {
  const names: string[] = []
  for (const entry of await entriesOf(folder)) {
    const { name } = entry
    let [isFolder, isFile] = [entry.isDirectory(), entry.isFile()]
    if (!isFolder && !isFile) {
      // Vault follows links. One to a folder around it leads to the same files again and again.
      const link = join(folder, Buffer.from(name, 'latin1'))
      const target = await stat(link).catch(() => undefined)
      isFolder = target?.isDirectory() === true && !(await isAround(link, folder))
      isFile = target?.isFile() === true
    }
    if (isFolder) names.push(name + SLASH)
    else if (isFile && name.length > 1 && name.startsWith('_') && !(await isLeftOver(folder, name))) names.push(name.slice(1))
  }
  return names.sort()
}

/** Whether a link's folder is the other one, or one around that. */
async function isAround(link: Buffer, folder: Buffer): Promise<boolean> {
  const [outer, inner] = await Promise.all([link, folder].map((name) => realpath(name, { encoding: 'latin1' })))
  return inner === outer || inner.startsWith(outer === SLASH ? outer : outer + SLASH)
}

/** What is in a folder, whole, for its names are sorted anyway; one that is gone since it was listed is empty. */
async function entriesOf(folder: Buffer): Promise<Dirent[]> {
  try {
    return await readdir(folder, { encoding: 'latin1', withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return []
  }
}

/** What is in a folder, one by one, names as latin1; one that is gone since it was listed is empty. */
export async function openFolder(folder: Buffer): Promise<AsyncIterable<Dirent>> {
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
