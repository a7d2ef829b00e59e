/**
 * Where the lock of a store lies: in an entry of the store, or in a file beside what the store is made of, where the store
 * can not keep an entry for it (an RDB file, an append-only file).
 *
 *     core/migration                       an entry
 *     /var/lib/redis/dump.rdb.migration    a file that is written beside and then linked or renamed: nobody reads half of one
 */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { StoreError, type Entry, type KeyRef, type Store } from './store.js'

export const LOCK_NAME = Buffer.from('core/migration')

export interface LockPlace {
  /** How messages call what is locked. */
  readonly label: string
  /** How they call the lock itself. */
  readonly name: string
  read(): Promise<Buffer | undefined>
  /** False when there is a lock. Throws StoreError 'denied' where nothing can be written. */
  create(record: Buffer): Promise<boolean>
  replace(record: Buffer): Promise<void>
  remove(): Promise<void>
}

/** `bytesOf`: the bytes of a string entry as this store gives it back; undefined when it is something else. */
export function entryPlace(store: Store, bytesOf: (entry: Entry) => Buffer | undefined): LockPlace {
  const ref: KeyRef = { db: store.traits.onlyDatabase ?? 0, key: LOCK_NAME }
  const name = LOCK_NAME.toString()
  const write = async (value: Buffer, conflict: 'error' | 'replace'): Promise<boolean> => {
    const [outcome] = await store.write([{ ...ref, form: 'raw', value, expiresAtMs: undefined }], conflict)
    if (outcome instanceof Error) throw new StoreError('refused', `${store.label} does not take the lock ${name}: ${outcome.message}`)
    return outcome === 'written'
  }
  return {
    label: store.label, name,
    async read() {
      const [entry] = await store.read([ref])
      const bytes = entry === undefined || entry instanceof Error ? undefined : bytesOf(entry)
      if (entry !== undefined && bytes === undefined) throw new StoreError('corrupt', `the lock ${name} in ${store.label} can not be read: it is no plain value. Look at it, or remove it with -reset`)
      return bytes
    },
    create: (record) => write(record, 'error'),
    replace: async (record) => { await write(record, 'replace') },
    remove: () => store.remove([ref]),
  }
}

const READ_ONLY: readonly (string | undefined)[] = ['EACCES', 'EPERM', 'EROFS']

/** What a file system without hard links says to one. */
const NO_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

export function filePlace(label: string, file: string): LockPlace {
  const beside = `${file}.${process.pid}.temp`
  const fault = (what: string, error: NodeJS.ErrnoException): StoreError =>
    new StoreError(what === 'written' && READ_ONLY.includes(error.code) ? 'denied' : 'refused', `the lock ${file} can not be ${what}: ${error.message}`, { cause: error })
  return {
    label, name: file,
    read: () => readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw fault('read', error)
    }),
    async create(record) {
      try {
        await writeFile(beside, record, { mode: 0o644 })
        await link(beside, file).catch((error: NodeJS.ErrnoException) => {
          if (!NO_LINKS.includes(error.code)) throw error
          return writeFile(file, record, { mode: 0o644, flag: 'wx' })
        })
        return true
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
        throw fault('written', error as NodeJS.ErrnoException)
      } finally {
        await rm(beside, { force: true }).catch(() => undefined)
      }
    },
    async replace(record) {
      try {
        await writeFile(beside, record, { mode: 0o644 })
        await rename(beside, file)
      } catch (error) {
        await rm(beside, { force: true }).catch(() => undefined)
        throw fault('written', error as NodeJS.ErrnoException)
      }
    },
    remove: () => rm(file, { force: true }).catch((error: NodeJS.ErrnoException) => { throw fault('removed', error) }),
  }
}
