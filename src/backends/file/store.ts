/**
 * A folder as a store.
 *
 * An entry is written to a file of another name in the same folder, made durable (fsync), then renamed: whatever is stopped
 * when, a key has its old value, its new one or none, never half of one. Then the folder is made durable too, for the
 * rename is a change of the folder: a checkpoint of the transfer may say "done" only when a power cut can not undo it.
 * Creating only (`skip`, `error`) links instead of renaming, which fails when the name is taken.
 *
 * The other name begins with a dot, not with `_`: it is no key, neither here nor in Vault.
 */
import { closeSync, constants, openSync, readFileSync, readSync, type Stats } from 'node:fs'
import { access, link, mkdir, realpath, rmdir, stat, statfs, unlink } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { monotonicMs } from '../../clock.js'
import { makeFolder } from '../../transfer/make-folder.js'
import {
  EntryError, StoreError, keyText,
  type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome,
} from '../../transfer/store.js'
import { isAlive } from '../../transfer/is-alive.js'
import { inParallel } from '../parallel.js'
import { readWhole, renameFile, syncFile, withFile, writePiece } from './calls.js'
import { LAST_SEGMENT_MAX, PATH_MAX, PATH_ROOM, SEGMENT_MAX, contentOf, fileOf, join, misplacedFileOf, ownForm, placeOf, valueOf, type Place } from './layout.js'
import { openFolder, walk } from './walk.js'

const PAGE_KEYS = 1000
/** Files under way at once; more do not help, the system has four threads for them. */
const FILES_AT_ONCE = 8
/** Folders that are remembered as being there. */
const KNOWN_FOLDERS = 10_000
/** How long a turn may read files without giving way. */
const TURN_MS = 2
/** Fewer files than this in a turn is slow. */
const QUICK_FILES = 20
/** How many are read between two looks at how much it is, when they come slowly. */
const SLOW_FILES = 64
const LOW_SPACE_BYTES = 64 << 20

/** Temporary files are named for the process that writes them. */
const TEMPORARY = /^\.keyferry-(\d+)-\d+\.temp$/

/** Where the content of a small file is read to: its value is copied out before the next one. */
const SMALL = Buffer.allocUnsafeSlow(16_384)

/** Counts the names of temporary files in this process. */
let temporaryNames = 0

export class FileStore implements Store {
  readonly label: string
  readonly traits: StoreTraits
  readonly #root: Buffer
  readonly #known = new Set<string>()
  #closed = false

  constructor(private readonly folder: string) {
    this.label = `file:${this.folder}`
    this.#root = Buffer.from(this.folder)
    this.traits = {
      typed: false, expiry: false, databases: false, ordered: true, createsAtomically: true, writable: true, vaultLayout: true,
      keyBytesMax: PATH_MAX - PATH_ROOM - this.#root.length, valueBytesMax: 1 << 30, batchEntriesMax: 2048, batchBytesMax: 16 << 20, parallelMax: 4,
    }
  }

  async open(access: StoreAccess): Promise<void> {
    this.#closed = false
    if (access === 'write') await this.#makeRoot()
    const found = await stat(this.folder).catch((error: NodeJS.ErrnoException) => error)
    if (found instanceof Error) {
      if (found.code === 'ENOENT') throw new StoreError('absent', `${this.label}: there is no such folder; look at the option 'path'`)
      throw this.#fault(found, 'look at the folder')
    }
    if (!found.isDirectory()) throw new StoreError('usage', `${this.label} is a file, and the layout needs a folder; look at the option 'path'`)
  }

  /** Durable as what is written into it: each folder that was made is known to the one around it. */
  async #makeRoot(): Promise<void> {
    const made = await makeFolder(this.folder, 0o700).catch((error: NodeJS.ErrnoException) => {
      throw this.#fault(error, 'create the folder')
    })
    // What can not be swept is told by `open` and `preflight`.
    if (made.length === 0) return sweep(this.#root).catch(() => undefined)
    for (const folder of made) await this.#syncFolder(Buffer.from(path.dirname(folder)))
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  async identity(): Promise<string | undefined> {
    return realpath(this.folder).catch(() => undefined)
  }

  async preflight(mode: StoreAccess): Promise<Finding[]> {
    const findings: Finding[] = []
    const needed = constants.R_OK | constants.X_OK | (mode === 'write' ? constants.W_OK : 0)
    await access(this.folder, needed).catch((error: Error) => {
      findings.push({ code: 'permission', level: 'error', message: `${this.label} can not be ${mode === 'write' ? 'written to' : 'read'} by this user (${error.message}); change its owner or mode` })
    })
    if (mode === 'read') return findings
    const { bavail, bsize, ffree, files } = await statfs(this.folder)
    if (bavail * bsize < LOW_SPACE_BYTES) findings.push({ code: 'space', level: 'warning', message: `${this.label} has ${bavail * bsize} bytes of free space left` })
    if (files > 0 && ffree < 1000) findings.push({ code: 'space', level: 'warning', message: `the file system of ${this.label} has room for ${ffree} more files` })
    const limits = `a key's last segment may have ${LAST_SEGMENT_MAX} bytes, the others ${SEGMENT_MAX}, all of it ${this.traits.keyBytesMax}; no '..', no NUL, no empty segment`
    findings.push({ code: 'key-limits', level: 'info', message: `${this.label}: ${limits}` })
    return findings
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    try {
      for await (const keys of walk(this.#root, from?.key, PAGE_KEYS)) {
        this.#check()
        yield keys.map((key) => ({ db: 0, key }))
      }
    } catch (error) {
      throw error instanceof StoreError ? error : this.#fault(error as NodeJS.ErrnoException, 'list the folder')
    }
    this.#check()
  }

  /**
   * Files that the system has in memory are read at once, two milliseconds of them in a turn: four times as fast as by way
   * of its threads. Where they come slowly several threads read the next ones at once.
   */
  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    const found: (Entry | EntryError | undefined)[] = []
    const { batchBytesMax } = this.traits
    let bytes = 0
    const take = (entry: Entry | EntryError | undefined): void => {
      found.push(entry)
      if (entry !== undefined && !(entry instanceof EntryError)) bytes += entry.value.length
    }
    let slowly = false
    while (found.length < keys.length && bytes < batchBytesMax) {
      this.#check()
      if (slowly) {
        for (const entry of await inParallel(keys.slice(found.length, found.length + SLOW_FILES), FILES_AT_ONCE, ({ key }) => this.#readOne(key, readWhole))) take(entry)
        continue
      }
      const before = found.length
      for (const end = monotonicMs() + TURN_MS; found.length < keys.length && bytes < batchBytesMax && monotonicMs() < end;) {
        const { key } = keys[found.length]
        const value = this.#readSmall(key)
        take(value === undefined ? await this.#readOne(key, readFileSync) : { db: 0, key, form: 'raw', value, expiresAtMs: undefined })
      }
      slowly = found.length - before < QUICK_FILES
      await nextTurn()
    }
    return found
  }

  /** The value of a small file in the form that we and Vault write; undefined for all else, which `#readOne` looks into. */
  #readSmall(key: Buffer): Buffer | undefined {
    const path = fileOf(this.#root, key)
    if (path === undefined) return undefined
    let file: number | undefined
    try {
      file = openSync(path, 'r')
      return ownForm(SMALL, readSync(file, SMALL, 0, SMALL.length, 0))
    } catch {
      return undefined
    } finally {
      if (file !== undefined) closeSync(file)
    }
  }

  async #readOne(key: Buffer, readFile: (file: Buffer) => Buffer | Promise<Buffer>): Promise<Entry | EntryError | undefined> {
    const place = placeOf(this.#root, key)
    if (place instanceof EntryError) {
      // A file that Vault itself could not read is no reason to drop its key without a word.
      const file = misplacedFileOf(this.#root, key)
      return file !== undefined && (await stat(file).catch(() => undefined))?.isFile() === true ? place : undefined
    }
    let content: Buffer
    try {
      content = await readFile(place.file)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined
      throw this.#fault(error as NodeJS.ErrnoException, `read ${place.file.toString()}`)
    }
    if (content.length === 0) return undefined
    const value = valueOf(content)
    if (value === undefined) return new EntryError('corrupt', `${place.file.toString()} (key ${keyText(key)}) is damaged: it is no JSON object with base64 as its Value`)
    return { db: 0, key, form: 'raw', value, expiresAtMs: undefined }
  }

  refusalOf({ key }: Entry): EntryError | undefined {
    const place = placeOf(this.#root, key)
    return place instanceof EntryError ? place : undefined
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    this.#check()
    const changed = new Map<string, Buffer>()
    const outcomes = await inParallel(entries, FILES_AT_ONCE, async (entry) => {
      const { length } = entry.value
      if (length > this.traits.valueBytesMax)
        return new EntryError('too-large', `the value of key ${keyText(entry.key)} has ${length} bytes; ${this.label} takes ${this.traits.valueBytesMax}`)
      const place = placeOf(this.#root, entry.key)
      if (place instanceof EntryError) return place
      const outcome = await this.#writeOne(entry, place, conflict)
      if (outcome === 'written') changed.set(place.folder.latin1Slice(), place.folder)
      return outcome
    })
    await inParallel([...changed.values()], FILES_AT_ONCE, (folder) => this.#syncFolder(folder))
    return outcomes
  }

  async #writeOne(entry: Entry, place: Place, conflict: ConflictPolicy): Promise<WriteOutcome> {
    for (let attempt = 0; ; attempt++) {
      try {
        if (conflict !== 'replace' && (await sizeOf(place.file)) > 0) return 'exists'
        await this.#makeFolders(place)
        return await this.#put(entry.value, place, conflict)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        // Whoever deletes the last key of a folder deletes the folder.
        if (code === 'ENOENT' && attempt < 5) this.#known.clear()
        else if (code === 'EISDIR' || code === 'ENOTDIR' || code === 'EEXIST')
          return new EntryError('refused', `key ${keyText(entry.key)} can not be written: a file of another key has the name of a folder it needs, or the other way round ('a' and '_a/b' exclude each other)`)
        else if (code === 'ENAMETOOLONG') return new EntryError('too-large', `key ${keyText(entry.key)} is longer than the file system of ${this.label} takes`)
        else throw this.#fault(error as NodeJS.ErrnoException, `write ${place.file.toString()}`)
      }
    }
  }

  async #put(value: Buffer, place: Place, conflict: ConflictPolicy): Promise<WriteOutcome> {
    const temporary = join(place.folder, Buffer.from(`.keyferry-${process.pid}-${temporaryNames++}.temp`))
    try {
      await withFile(temporary, 'w', 0o600, async (file) => {
        for (const piece of contentOf(value)) await writePiece(file, piece)
        await syncFile(file)
      })
      if (conflict === 'replace') {
        await renameFile(temporary, place.file)
        return 'written'
      }
      const created = await link(temporary, place.file).then(() => true, (error: NodeJS.ErrnoException) => { if (error.code === 'EEXIST') return false; throw error; })
      // An empty file is no entry, neither here nor in Vault.
      if (!created && (await sizeOf(place.file)) === 0) await renameFile(temporary, place.file)
      else {
        await unlink(temporary)
        if (!created) return 'exists'
      }
      return 'written'
    } catch (error) {
      await unlink(temporary).catch(() => undefined)
      throw error
    }
  }

  async #makeFolders(place: Place): Promise<void> {
    let parent = this.#root
    for (const folder of place.folders) {
      const name = folder.latin1Slice()
      if (!this.#known.has(name)) {
        const made = await mkdir(folder, { mode: 0o700 }).then(() => true, (error: NodeJS.ErrnoException) => { if (error.code === 'EEXIST') return false; throw error; })
        if (made) await this.#syncFolder(parent)
        else await sweep(folder)
        if (this.#known.size >= KNOWN_FOLDERS) this.#known.clear()
        this.#known.add(name)
      }
      parent = folder
    }
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    this.#check()
    const changed = new Map<string, Buffer>()
    await inParallel(keys, FILES_AT_ONCE, async ({ key }) => {
      const place = placeOf(this.#root, key)
      if (place instanceof EntryError) return
      try {
        await unlink(place.file)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return
        throw this.#fault(error as NodeJS.ErrnoException, `delete ${place.file.toString()}`)
      }
      const left = await this.#removeEmpty(place.folders)
      changed.set(left.latin1Slice(), left)
    })
    await inParallel([...changed.values()], FILES_AT_ONCE, (folder) => this.#syncFolder(folder))
  }

  /** Deletes folders from the innermost on as long as they are empty; the first that stays. */
  async #removeEmpty(folders: readonly Buffer[]): Promise<Buffer> {
    for (let i = folders.length - 1; i >= 0; i--) {
      this.#known.delete(folders[i].latin1Slice())
      if (!(await rmdir(folders[i]).then(() => true, () => false))) return folders[i]
    }
    return this.#root
  }

  async #syncFolder(folder: Buffer): Promise<void> {
    try {
      await withFile(folder, 'r', 0, syncFile)
    } catch (error) {
      // Another writer has emptied it and taken it away.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw this.#fault(error as NodeJS.ErrnoException, `make ${folder.toString()} durable`)
    }
  }

  #fault(error: NodeJS.ErrnoException, what: string): StoreError {
    const unlinked = error.syscall === 'link' && error.code === 'EPERM'
    const denied = (error.code === 'EACCES' || error.code === 'EPERM') && !unlinked
    const advice = unlinked ? 'this file system has no hard links, without which a file can not be created unless it is there; overwrite instead' : denied ? 'change its owner or mode, or run as another user' : ADVICE[error.code ?? ''] ?? 'look at the file system'
    return new StoreError(denied || error.code === 'EROFS' ? 'denied' : 'refused', `${this.label}: could not ${what} (${error.message}); ${advice}`, { cause: error })
  }

  #check(): void {
    if (this.#closed) throw new StoreError('refused', `${this.label} is closed`)
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'the file system is full: make room and start again',
  EDQUOT: 'the quota is used up: make room and start again',
  EROFS: 'the file system is mounted read-only',
  EMFILE: 'too many files are open: raise `ulimit -n`',
}

/** 0 for a file that is not there: an empty one is no entry either. A folder of that name is not there as a file. */
async function sizeOf(file: Buffer): Promise<number> {
  const found: Stats | undefined = await stat(file).catch(() => undefined)
  return found?.isFile() === true ? found.size : 0
}

/** Removes the temporary files that processes of this machine left in a folder when they were killed. */
async function sweep(folder: Buffer): Promise<void> {
  for await (const { name } of await openFolder(folder)) {
    const pid = Number(TEMPORARY.exec(name)?.[1] ?? 0)
    if (pid > 0 && !isAlive(pid)) await unlink(join(folder, Buffer.from(name))).catch(() => undefined)
  }
}
