/**
 * Where a copy stands, kept outside the process, so that the same command started again goes on there: the low
 * watermark and the counts so far.
 *
 *     {"version":1,"task":"..","watermark":{"db":0,"key":"base64"},"saved":"2026-11-28T04:12:00.123Z"}
 *
 * It is kept in a folder (`FolderCheckpoint`: written beside, synced, renamed, the folder synced) or in the target
 * itself (`StoreCheckpoint`, key core/migration-checkpoint), whose durability is then the copy's own. A checkpoint of
 * another task is not ours to use.
 */
import { open, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { StoreError, type Entry, type KeyRef, type Store } from './store.js'

export const CHECKPOINT_NAME = Buffer.from('core/migration-checkpoint')

const SAVE_EVERY_MS = 1000

/** A place that keeps a few bytes. */
export interface Keeper {
  load(): Promise<Buffer | undefined>
  save(bytes: Buffer): Promise<void>
  clear(): Promise<void>
}

/** Keeps them in a file of this folder, which must exist. */
export function folderKeeper(folder: string): Keeper {
  const file = path.join(folder, 'checkpoint.json')
  const save = async (bytes: Buffer): Promise<void> => {
    const beside = `${file}.temp`
    const handle = await open(beside, 'w', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(beside, file)
    // The name must survive a crash too.
    const entry = await open(folder, 'r')
    try {
      await entry.sync()
    } finally {
      await entry.close()
    }
  }
  return {
    load: () => readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw new StoreError('refused', `can not read the checkpoint ${file}: ${error.message}`, { cause: error })
    }),
    save: (bytes) => save(bytes).catch((error: Error) => {
      throw new StoreError('refused', `can not write ${file}: ${error.message}`, { cause: error })
    }),
    clear: () => rm(file, { force: true }),
  }
}

/** Keeps them in an entry of the store. */
export function storeKeeper(store: Store, bytesOf: (entry: Entry) => Buffer | undefined): Keeper {
  const ref: KeyRef = { db: store.traits.onlyDatabase ?? 0, key: CHECKPOINT_NAME }
  return {
    async load() {
      const [entry] = await store.read([ref])
      return entry === undefined || entry instanceof Error ? undefined : bytesOf(entry)
    },
    async save(value) {
      const [outcome] = await store.write([{ ...ref, form: 'raw', value, expiresAtMs: undefined }], 'replace')
      if (outcome instanceof Error) throw outcome
    },
    clear: () => store.remove([ref]),
  }
}

interface CheckpointRecord {
  readonly version: 1
  readonly task: string
  readonly watermark: { readonly db: number; readonly key: string }
  readonly saved: string
}

export class Checkpoint {
  #latest: KeyRef | undefined
  #saving: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #failure: unknown

  constructor(
    readonly keeper: Keeper,
    /** As the lock's owner: equal for the same command started again. */
    readonly task: string,
    readonly nowMs: () => number,
    readonly onFailure: (error: unknown) => void,
  ) {}

  /** The watermark that an earlier run of this task left, or undefined. */
  async load(): Promise<KeyRef | undefined> {
    return watermarkIn(await this.keeper.load(), this.task)
  }

  /** Notes a watermark; it is saved within a second, the latest one only. */
  note(mark: KeyRef): void {
    this.#latest = mark
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.flush().catch((error: unknown) => {
        if (this.#failure === undefined) this.onFailure(error)
        this.#failure = error
      })
    }, SAVE_EVERY_MS).unref()
  }

  /** Saves what has been noted, now. */
  async flush(): Promise<void> {
    await this.#saving
    const mark = this.#latest
    if (mark === undefined) return
    this.#latest = undefined
    const record: CheckpointRecord = {
      version: 1, task: this.task, watermark: { db: mark.db, key: mark.key.toString('base64') }, saved: new Date(this.nowMs()).toISOString(),
    }
    this.#saving = this.keeper.save(Buffer.from(`${JSON.stringify(record)}\n`)).finally(() => { this.#saving = undefined })
    await this.#saving
  }

  /** The copy is through: nothing to go on with. */
  async clear(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#latest = undefined
    await this.#saving?.catch(() => undefined)
    await this.keeper.clear()
  }

  /** Ends the timer; the latest mark is saved first. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.flush()
  }
}

/** The watermark in a checkpoint of this task. */
function watermarkIn(bytes: Buffer | undefined, task: string): KeyRef | undefined {
  if (bytes === undefined) return undefined
  try {
    const record = JSON.parse(bytes.toString('utf8')) as CheckpointRecord
    if (record.version !== 1 || record.task !== task) return undefined
    return { db: record.watermark.db, key: Buffer.from(record.watermark.key, 'base64') }
  } catch {
    return undefined
  }
}

/** Removes the checkpoint of this task, when what it says is done is about to be undone. */
export async function forgetCheckpoint(keeper: Keeper, task: string): Promise<void> {
  if (watermarkIn(await keeper.load(), task) !== undefined) await keeper.clear()
}
