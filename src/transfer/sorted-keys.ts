/**
 * Keys in order, each once, from a source that lists them in any order and some of them twice; in bounded memory,
 * however many there are.
 *
 *     pages --> KeyRun (in memory, sorted) --> run files --> merge --> pages in order
 *                        \-- all of it fits: no file is made --------/
 *
 * Invariants
 * - Memory: one run's budget, and while merging one read buffer per run. So many runs that the buffers would become
 *   too small are merged into one first.
 * - The files stand in a folder of their own (mode 0700), made when the first run is full, gone when the iteration
 *   ends, in whichever way.
 * - Of keys that are listed twice the first counts, and its `at`.
 *
 * A run file is records: twice the length of database and key u32le, plus one when `at` f64le follows; database u32be, key.
 */
import { mkdtemp, open, rm, unlink, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { KeyRun, compareRecords, copyRecord } from './key-run.js'
import { StoreError, type KeyRef } from './store.js'

export interface SortOptions {
  /** Where the temporary folder is made. */
  readonly folder: string
  /** Bytes of keys and bookkeeping held in memory; 16 MB without it. */
  readonly budgetBytes?: number
  /** Told now and then how many keys have been taken in. */
  readonly onTaken?: (keys: number) => void
}

/** Twice as much sorts no faster, and shows in the process. */
const BUDGET_BYTES = 16 * 1024 * 1024
const PAGE_KEYS = 1000
const PAGE_BYTES = 256 * 1024
const HEAD_BYTES = 12
const LENGTH_BYTES = 4
const WRITE_BYTES = 256 * 1024
const READ_BYTES_MAX = 256 * 1024
/** More runs than these are merged into one before the next. */
const RUNS_MAX = 64

/** The keys of `pages` in order and without doubles. Throws StoreError when the temporary files can not be written. */
export async function* sortedKeys(pages: AsyncIterable<readonly KeyRef[]>, options: SortOptions): AsyncGenerator<readonly KeyRef[], void, void> {
  const run = new KeyRun(Math.min(options.budgetBytes ?? BUDGET_BYTES, 1024 ** 3))
  const files = new RunFiles(options.folder)
  try {
    let taken = 0
    for await (const page of pages) {
      for (const ref of page) {
        if (run.add(ref)) continue
        await files.write(recordsOf(run))
        run.clear()
        run.add(ref)
      }
      taken += page.length
      options.onTaken?.(taken)
    }
    if (files.count === 0) return yield* pagesOf(recordsOf(run))
    if (run.count > 0) await files.write(recordsOf(run))
    run.release()
    yield* pagesOf(files.merged())
  } finally {
    await files.remove()
  }
}

/** A record somewhere in a buffer, good until the next is asked for. */
interface RecordView {
  bytes: Buffer
  start: number
  end: number
  at: number
}

/** A stream of records that only now and then has to wait: `next` is false when `refill` is needed, or at the end. */
interface Records {
  readonly record: RecordView
  next(): boolean
  /** False at the end. */
  refill(): Promise<boolean>
}

/** What a sorted run holds, without doubles. */
function recordsOf(run: KeyRun): Records {
  run.sort()
  const record: RecordView = { bytes: run.bytes, start: 0, end: 0, at: NaN }
  let place = 0
  let last = -1
  return {
    record,
    next() {
      while (place < run.count) {
        const i = run.inOrder(place++)
        if (last >= 0 && run.same(last, i)) continue
        last = i
        record.start = run.startOf(i)
        record.end = run.endOf(i)
        record.at = run.atOf(i)
        return true
      }
      return false
    },
    refill: () => Promise.resolve(false),
  }
}

/** Records as pages of KeyRefs; the keys of a page share a buffer of their own. */
async function* pagesOf(records: Records): AsyncGenerator<readonly KeyRef[], void, void> {
  const { record } = records
  for (let more = true; more; ) {
    const page: KeyRef[] = []
    let bytes = Buffer.allocUnsafeSlow(PAGE_BYTES)
    let fill = 0
    while (page.length < PAGE_KEYS) {
      if (!records.next()) {
        more = await records.refill()
        if (!more) break
        continue
      }
      const length = record.end - record.start - 4
      if (fill + length > bytes.length) {
        bytes = Buffer.allocUnsafeSlow(Math.max(PAGE_BYTES, length))
        fill = 0
      }
      const db = readDb(record.bytes, record.start)
      copyRecord(record.bytes, record.start + 4, record.end, bytes, fill)
      const key = bytes.subarray(fill, fill + length)
      fill += length
      page.push(record.at === record.at ? { db, key, at: record.at } : { db, key })
    }
    if (page.length > 0) yield page
  }
}

function readDb(bytes: Buffer, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

function readLength(bytes: Buffer, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
}

function writeLength(value: number, out: Buffer, at: number): number {
  out[at] = value
  out[at + 1] = value >>> 8
  out[at + 2] = value >>> 16
  out[at + 3] = value >>> 24
  return at + LENGTH_BYTES
}

/** The files of the runs, in a folder that is made with the first. */
class RunFiles {
  #folder: string | undefined
  #paths: string[] = []
  #made = 0
  #open: FileHandle[] = []

  constructor(readonly parent: string) {}

  get count(): number {
    return this.#paths.length
  }

  /** Writes records into a file of their own; when there are many files, they become one first. */
  async write(records: Records): Promise<void> {
    if (this.#paths.length >= RUNS_MAX) {
      const old = this.#paths
      const merged = await this.#writeFile(this.merged())
      await this.#closeAll()
      await this.#guard(() => Promise.all(old.map((file) => unlink(file))))
      this.#paths = [merged]
    }
    this.#paths.push(await this.#writeFile(records))
  }

  async #writeFile(records: Records): Promise<string> {
    this.#folder ??= await this.#guard(() => mkdtemp(path.join(this.parent, 'keyferry-keys-')))
    const file = path.join(this.#folder, `run-${this.#made++}`)
    const handle = await this.#guard(() => open(file, 'wx', 0o600))
    this.#open.push(handle)
    let out = Buffer.allocUnsafeSlow(WRITE_BYTES)
    let fill = 0
    const flush = async (): Promise<void> => {
      for (let at = 0; at < fill; ) at += (await this.#guard(() => handle.write(out, at, fill - at))).bytesWritten
      fill = 0
    }
    const { record } = records
    for (;;) {
      if (!records.next()) {
        if (await records.refill()) continue
        break
      }
      const length = record.end - record.start
      if (fill + HEAD_BYTES + length > out.length) {
        await flush()
        if (HEAD_BYTES + length > out.length) out = Buffer.allocUnsafeSlow(HEAD_BYTES + length)
      }
      const hasAt = record.at === record.at
      fill = writeLength(2 * length + (hasAt ? 1 : 0), out, fill)
      if (hasAt) fill = out.writeDoubleLE(record.at, fill)
      copyRecord(record.bytes, record.start, record.end, out, fill)
      fill += length
    }
    await flush()
    await this.#guard(() => handle.close())
    this.#open.splice(this.#open.indexOf(handle), 1)
    return file
  }

  /** The records of all files in order, without doubles. The files stay. */
  merged(): Records {
    const readBytes = Math.max(16384, Math.min(READ_BYTES_MAX, Math.floor((BUDGET_BYTES / 2) / this.#paths.length)))
    const readers = this.#paths.map((file, order) => new RunReader(async () => {
      const handle = await this.#guard(() => open(file, 'r'))
      this.#open.push(handle)
      return handle
    }, order, readBytes, (work) => this.#guard(work)))
    return new Merge(readers)
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

/** Reads a run file through one buffer. */
class RunReader {
  readonly record: RecordView
  #handle: FileHandle | undefined
  #fill = 0
  #at = 0

  constructor(readonly openFile: () => Promise<FileHandle>, readonly order: number, readBytes: number, readonly guard: <T>(work: () => Promise<T>) => Promise<T>) {
    this.record = { bytes: Buffer.allocUnsafeSlow(readBytes), start: 0, end: 0, at: NaN }
  }

  /** The next record that is in memory already. */
  next(): boolean {
    const { record } = this
    const left = this.#fill - this.#at
    if (left < LENGTH_BYTES) return false
    const word = readLength(record.bytes, this.#at)
    const hasAt = (word & 1) === 1
    const headBytes = hasAt ? HEAD_BYTES : LENGTH_BYTES
    const length = word >>> 1
    if (left < headBytes + length) return false
    record.at = hasAt ? record.bytes.readDoubleLE(this.#at + LENGTH_BYTES) : NaN
    record.start = this.#at + headBytes
    record.end = this.#at = record.start + length
    return true
  }

  /** Reads on; false at the end of the file. */
  async refill(): Promise<boolean> {
    const { record } = this
    this.#handle ??= await this.openFile()
    const kept = this.#fill - this.#at
    const needed = kept >= LENGTH_BYTES ? HEAD_BYTES + (readLength(record.bytes, this.#at) >>> 1) : HEAD_BYTES
    const to = needed > record.bytes.length ? Buffer.allocUnsafeSlow(needed) : record.bytes
    record.bytes.copy(to, 0, this.#at, this.#fill)
    record.bytes = to
    this.#at = 0
    this.#fill = kept
    const handle = this.#handle
    const { bytesRead } = await this.guard(() => handle.read(to, kept, to.length - kept))
    this.#fill += bytesRead
    return bytesRead > 0
  }
}

/** Several sorted streams as one, smallest first: a heap of readers, each with a record at hand. */
class Merge implements Records {
  readonly record: RecordView = { bytes: Buffer.alloc(0), start: 0, end: 0, at: NaN }
  readonly #heap: RunReader[] = []
  /** Readers that have no record at hand. */
  #empty: RunReader[]
  /** The record last handed out, for doubles. */
  #last = Buffer.allocUnsafeSlow(256)
  #lastBytes = -1

  constructor(readers: RunReader[]) {
    this.#empty = readers
  }

  next(): boolean {
    const heap = this.#heap
    while (this.#empty.length === 0 && heap.length > 0) {
      const top = heap[0]
      if (this.#advance) {
        this.#advance = false
        if (!top.next()) {
          this.#empty.push(top)
          const last = heap.pop() as RunReader
          if (heap.length > 0) {
            heap[0] = last
            this.#sink(0)
          }
          return false
        }
        this.#sink(0)
        continue
      }
      this.#advance = true
      const { bytes, start, end, at } = top.record
      if (end - start === this.#lastBytes && compareRecords(bytes, start, end, this.#last, 0, this.#lastBytes) === 0) continue
      this.#lastBytes = end - start
      if (this.#lastBytes > this.#last.length) this.#last = Buffer.allocUnsafeSlow(2 * this.#lastBytes)
      copyRecord(bytes, start, end, this.#last, 0)
      const { record } = this
      record.bytes = bytes
      record.start = start
      record.end = end
      record.at = at
      return true
    }
    return false
  }

  /** The record at the top was handed out: its reader goes on first. */
  #advance = false

  async refill(): Promise<boolean> {
    while (this.#empty.length > 0) {
      const reader = this.#empty[this.#empty.length - 1]
      const more = await reader.refill()
      if (more && !reader.next()) continue
      this.#empty.pop()
      if (more) this.#add(reader)
    }
    return this.#heap.length > 0
  }

  #add(reader: RunReader): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(reader)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent], reader)) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = reader
  }

  /** Moves the reader at this place down to where it belongs. */
  #sink(from: number): void {
    const heap = this.#heap
    const reader = heap[from]
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (isBefore(reader, heap[child])) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = reader
  }
}

function isBefore(a: RunReader, b: RunReader): boolean {
  const x = a.record
  const y = b.record
  const order = compareRecords(x.bytes, x.start, x.end, y.bytes, y.start, y.end)
  return order < 0 || (order === 0 && a.order < b.order)
}
