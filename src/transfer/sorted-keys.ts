/**
 * Keys in order, each once, from a source that lists them in any order and some of them twice; in bounded memory,
 * however many there are.
 *
 *     pages --> chunk, sorted when it is full --> runs in memory --> merge --> pages in order
 *                                                      \-- too many --> merge --> a run in a file --^
 *
 * Invariants
 * - Memory: the budget, and while files are merged one read buffer for each. When there are so many files that the
 *   buffers would become too small, they are merged into one first.
 * - The files stand in a folder of their own (mode 0700), made for the first of them, gone when the iteration ends, in
 *   whichever way.
 * - Of keys that are listed twice the first counts, and its `at`.
 * - Most of the sorting is done while keys still come (a chunk takes a few milliseconds), and the merging while they are
 *   asked for: between the last key that comes and the first that goes only one chunk is sorted.
 */
import { mkdtemp, open, rm, unlink, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { KeyChunk } from './key-chunk.js'
import { KeyMerge, type MergeSource } from './key-merge.js'
import { RECORD_HEAD_MAX, RunReader, RunWriter, copyBytes } from './key-run.js'
import { StoreError, type KeyRef } from './store.js'

export interface SortOptions {
  /** Where the temporary folder is made. */
  readonly folder: string
  /** Bytes of keys and bookkeeping held in memory; 16 MB without it. */
  readonly budgetBytes?: number
}

/** Three million keys of twenty bytes. */
const BUDGET_BYTES = 16 * 1024 * 1024
const BUDGET_BYTES_MAX = 1024 ** 3
const PAGE_KEYS = 1000
const PAGE_BYTES = 64 * 1024
const WRITE_BYTES = 256 * 1024
const READ_BYTES_MAX = 256 * 1024
const READ_BYTES_MIN = 16 * 1024
/** More files than these are merged into one before the next. */
const FILES_MAX = 64

/** The keys of `pages` in order and without doubles. Throws StoreError when the temporary files can not be written. */
export async function* sortedKeys(pages: AsyncIterable<readonly KeyRef[]>, options: SortOptions): AsyncGenerator<readonly KeyRef[], void, void> {
  const budgetBytes = Math.min(options.budgetBytes ?? BUDGET_BYTES, BUDGET_BYTES_MAX)
  const chunk = new KeyChunk(Math.floor(budgetBytes / 4))
  const files = new RunFiles(options.folder)
  let runs: Buffer[] = []
  let runBytes = 0
  try {
    for await (const page of pages) {
      for (const ref of page) {
        if (chunk.add(ref)) continue
        runs.push(chunk.takeRun())
        runBytes += runs[runs.length - 1].length
        chunk.add(ref)
        if (runBytes <= budgetBytes / 2) continue
        await files.write(new KeyMerge(runs.map(inMemory)))
        runs = []
        runBytes = 0
      }
    }
    runs.push(chunk.takeRun())
    yield* pagesOf(new KeyMerge([...files.sources(), ...runs.map(inMemory)]))
  } finally {
    await files.remove()
  }
}

function inMemory(run: Buffer): MergeSource {
  return { reader: new RunReader(run), refill: () => Promise.resolve(false) }
}

/** Keys as pages of KeyRefs; the keys of a page share a buffer of their own. */
async function* pagesOf(merge: KeyMerge): AsyncGenerator<readonly KeyRef[], void, void> {
  for (let more = true; more; ) {
    const page: KeyRef[] = []
    let bytes = Buffer.allocUnsafeSlow(PAGE_BYTES)
    let fill = 0
    while (page.length < PAGE_KEYS) {
      if (!merge.next()) {
        more = await merge.refill()
        if (!more) break
        continue
      }
      const { key: record, length, at } = merge.current
      if (fill + length > bytes.length) {
        bytes = Buffer.allocUnsafeSlow(Math.max(PAGE_BYTES, length))
        fill = 0
      }
      const db = ((record[0] << 24) | (record[1] << 16) | (record[2] << 8) | record[3]) >>> 0
      copyBytes(record, 4, length, bytes, fill)
      const key = bytes.subarray(fill, fill + length - 4)
      fill += length - 4
      page.push(at === at ? { db, key, at } : { db, key })
    }
    if (page.length > 0) yield page
  }
}

/** The runs that are files, in a folder that is made with the first. */
class RunFiles {
  #folder: string | undefined
  #paths: string[] = []
  #made = 0
  #open: FileHandle[] = []

  constructor(readonly parent: string) {}

  /** Writes keys into a file of their own; when there are many files, they become one first. */
  async write(merge: KeyMerge): Promise<void> {
    if (this.#paths.length >= FILES_MAX) {
      const old = this.#paths
      const merged = await this.#writeFile(new KeyMerge(this.sources()))
      await this.#closeAll()
      await this.#guard(() => Promise.all(old.map((file) => unlink(file))))
      this.#paths = [merged]
    }
    this.#paths.push(await this.#writeFile(merge))
  }

  async #writeFile(merge: KeyMerge): Promise<string> {
    this.#folder ??= await this.#guard(() => mkdtemp(path.join(this.parent, 'keyferry-keys-')))
    const file = path.join(this.#folder, `run-${this.#made++}`)
    const handle = await this.#guard(() => open(file, 'wx', 0o600))
    this.#open.push(handle)
    let out = new RunWriter(WRITE_BYTES)
    const flush = async (): Promise<void> => {
      for (let at = 0; at < out.fill; ) at += (await this.#guard(() => handle.write(out.bytes, at, out.fill - at))).bytesWritten
      out.fill = 0
    }
    for (;;) {
      if (!merge.next()) {
        if (await merge.refill()) continue
        break
      }
      const { key, length, at } = merge.current
      if (!out.hasRoomFor(length)) {
        await flush()
        if (!out.hasRoomFor(length)) out = new RunWriter(RECORD_HEAD_MAX + length)
      }
      out.add(key, 0, length, merge.shared, at)
    }
    await flush()
    await this.#guard(() => handle.close())
    this.#open.splice(this.#open.indexOf(handle), 1)
    return file
  }

  /** All files, to be merged; they stay. */
  sources(): MergeSource[] {
    const readBytes = Math.max(READ_BYTES_MIN, Math.min(READ_BYTES_MAX, Math.floor((BUDGET_BYTES / 2) / this.#paths.length)))
    return this.#paths.map((file) => new RunFile(readBytes, async () => {
      const handle = await this.#guard(() => open(file, 'r'))
      this.#open.push(handle)
      return handle
    }, (work) => this.#guard(work)))
  }

  async #closeAll(): Promise<void> {
    await Promise.all(this.#open.map((handle) => handle.close().catch(() => undefined)))
    this.#open = []
  }

  async remove(): Promise<void> {
    await this.#closeAll()
    const folder = this.#folder
    this.#folder = undefined
    this.#paths = []
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const folder = this.parent
      if (code === 'ENOSPC' || code === 'EDQUOT')
        throw new StoreError('refused', `the disk is full while keys are sorted in ${folder}; make room there, or name another folder for temporary files`, { cause: error })
      throw new StoreError('refused', `keys can not be sorted in ${folder}: ${(error as Error).message}; name another folder for temporary files`, { cause: error })
    }
  }
}

/** A run in a file, read through one buffer. */
class RunFile implements MergeSource {
  readonly reader: RunReader
  #handle: FileHandle | undefined

  constructor(readBytes: number, readonly openFile: () => Promise<FileHandle>, readonly guard: <T>(work: () => Promise<T>) => Promise<T>) {
    this.reader = new RunReader(Buffer.allocUnsafeSlow(readBytes), 0)
  }

  async refill(): Promise<boolean> {
    const { reader } = this
    const handle = (this.#handle ??= await this.openFile())
    const kept = reader.fill - reader.position
    const to = reader.neededBytes > reader.bytes.length ? Buffer.allocUnsafeSlow(reader.neededBytes) : reader.bytes
    reader.bytes.copy(to, 0, reader.position, reader.fill)
    const { bytesRead } = await this.guard(() => handle.read(to, kept, to.length - kept))
    reader.bytes = to
    reader.position = 0
    reader.fill = kept + bytesRead
    return bytesRead > 0
  }
}
