/**
 * Writes a new RDB file. It stands beside the file it will replace until all of it is there:
 *
 *     PATH.PID-N.temp: header | per run of keys of one database: its number, keys ... | end, checksum
 *     commit: fsync, rename to PATH, fsync of the folder          discard: the temporary file is removed
 *
 * What a process left that was killed in the middle is removed by the next one that writes the same file here.
 * A server refuses a file that names a key twice. Keys in the order of (db, key) are compared with the one before; when they
 * come in another order, `commit` looks for twins (duplicates.ts) and writes the file once more without the earlier ones.
 * Writes may overlap; they are done one after the other. After an error of the disk nothing is written any more.
 */
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { RdbError } from '../../../protocol/rdb/error.js'
import { RdbFileWriter } from '../../../protocol/rdb/file-writer.js'
import { Slice } from '../../../protocol/slice.js'
import { Clock } from '../../clock.js'
import { isAlive } from '../../transfer/is-alive.js'
import { EntryError, StoreError, compareKeys, type Entry, type KeyRef, type WriteOutcome } from '../../transfer/store.js'
import { withoutTwins } from './duplicates.js'
import { fileValueOf } from './values.js'

/** Bytes that are collected before they go to the disk. */
const FLUSH_BYTES = 256 * 1024

/** How a file is written. */
export interface SinkOptions {
  readonly version: number
  readonly compress: boolean
}

/** Sinks that this process has made: two may write the same file, each beside the other. */
let sinks = 0

export class RdbSink {
  private readonly writer: RdbFileWriter
  private readonly key = new Slice()
  private queue: Promise<unknown> = Promise.resolve()
  private fault: StoreError | undefined
  private last: KeyRef | undefined
  private isAscending = true

  private constructor(
    private readonly label: string,
    private readonly path: string,
    private readonly temporary: string,
    private readonly file: FileHandle,
    private readonly options: SinkOptions,
  ) {
    this.writer = newWriter(options)
  }

  /** Begins the file, beside the one it is to become. Throws StoreError. */
  static async create(label: string, file: string, options: SinkOptions): Promise<RdbSink> {
    const temporary = `${file}.${process.pid}-${++sinks}.temp`
    try {
      await removeLeftovers(file)
      return new RdbSink(label, file, temporary, await open(temporary, 'w'), options)
    } catch (error) {
      throw writeFault(label, path.dirname(file), error)
    }
  }

  /** Adds entries. The file is new, so there is no conflict. */
  write(entries: readonly Entry[]): Promise<WriteOutcome[]> {
    return this.inTurn(async () => {
      const outcomes: WriteOutcome[] = []
      for (const entry of entries) {
        outcomes.push(this.add(entry))
        if (this.writer.pendingBytes >= FLUSH_BYTES) await this.file.appendFile(this.writer.take())
      }
      return outcomes
    })
  }

  /** Ends the file and puts it in its place. */
  commit(): Promise<void> {
    return this.inTurn(async () => {
      await this.file.appendFile(this.writer.end())
      await this.file.sync()
      await this.file.close()
      if (!this.isAscending) await withoutTwins(this.temporary, () => newWriter(this.options))
      await rename(this.temporary, this.path)
      const folder = await open(path.dirname(this.path), 'r')
      try {
        await folder.sync()
      } finally {
        await folder.close()
      }
    })
  }

  /** Takes back everything. */
  async discard(): Promise<void> {
    await this.queue.catch(() => undefined)
    await this.file.close().catch(() => undefined)
    await rm(this.temporary, { force: true })
  }

  private inTurn<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.queue.then(async () => {
      if (this.fault !== undefined) throw this.fault
      try {
        return await run()
      } catch (error) {
        throw (this.fault = error instanceof StoreError ? error : writeFault(this.label, this.temporary, error))
      }
    })
    this.queue = mine.catch(() => undefined)
    return mine
  }

  private add(entry: Entry): WriteOutcome {
    const { last, writer } = this
    const order = last === undefined ? 1 : compareKeys(entry, last)
    // The same batch, tried again after an error of somebody else.
    if (order === 0) return 'written'
    try {
      const found = fileValueOf(entry, this.options.version)
      if (last?.db !== entry.db) writer.select(entry.db)
      this.key.set(entry.key, 0, entry.key.length)
      const attributes = entry.expiresAtMs === undefined ? {} : { expireMs: entry.expiresAtMs }
      if ('value' in found) writer.key(this.key, found.value, attributes)
      else writer.keyBody(this.key, found.type, found.body, attributes)
    } catch (error) {
      if (error instanceof EntryError) return error
      if (!(error instanceof RdbError)) throw error
      return new EntryError(error.kind === 'unsupported' ? 'unsupported' : 'corrupt', error.kind === 'unsupported' ? error.message : `its payload is damaged: ${error.message}`)
    }
    if (order < 0) this.isAscending = false
    this.last = { db: entry.db, key: entry.key }
    return 'written'
  }
}

/** Removes what processes that are gone have begun of this file. */
async function removeLeftovers(file: string): Promise<void> {
  const folder = path.dirname(file)
  for (const name of await readdir(folder).catch(() => [])) {
    const owner = name.startsWith(`${path.basename(file)}.`) ? /^(\d+)-\d+\.temp$/.exec(name.slice(path.basename(file).length + 1)) : null
    if (owner !== null && !isAlive(Number(owner[1]))) await rm(path.join(folder, name), { force: true })
  }
}

function newWriter({ version, compress }: SinkOptions): RdbFileWriter {
  const writer = new RdbFileWriter({ version, compressed: compress })
  writer.aux('redis-bits', '64')
  writer.aux('ctime', String(Math.floor(new Clock().nowMs / 1000)))
  writer.aux('aof-base', '0')
  return writer
}

/** What the system said about a file that is to be written. */
function writeFault(label: string, where: string, error: unknown): StoreError {
  const { code, message } = error as NodeJS.ErrnoException
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such folder',
    ENOTDIR: 'it is in no folder',
    EACCES: 'this user may not write there',
    EPERM: 'this user may not write there',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
    EDQUOT: 'the quota of this user is used up',
    EISDIR: 'a folder has that name',
  }
  const fault = code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? 'denied' : 'refused'
  return new StoreError(fault, `${label} cannot be written (${where}): ${(code === undefined ? undefined : reasons[code]) ?? message}`, { cause: error })
}
