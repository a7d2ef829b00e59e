/**
 * Where a copy stands, kept outside the process, so that the same command started again goes on there: the low watermark.
 *
 *     {"version":1,"task":"..","owner":"9f..","watermark":{"db":0,"key":"base64"},"saved":"2026-11-28T04:12:00.123Z"}
 *
 * `owner` is the run that is under way, and the owner of its lock in the target. It is left out when that run ends in order.
 * A checkpoint with an owner is believed only when that owner's lock was still there: a target that was emptied during the
 * copy has lost both, and the run, which notices only later, wrote the checkpoint anew.
 *
 * It is kept in a folder (`folderKeeper`: written beside, synced, renamed, the folder synced) or in the target
 * itself (`storeKeeper`, key core/migration-checkpoint), whose durability is then the copy's own. A checkpoint of
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
  readonly owner?: string
  readonly watermark: { readonly db: number; readonly key: string }
  readonly saved: string
}

export class Checkpoint {
  /** What is to be saved, and what was: the same while there is nothing new. */
  #latest: KeyRef | undefined
  #saved: KeyRef | undefined
  #saving: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #failure: unknown

  constructor(
    readonly keeper: Keeper,
    /** As the lock's owner: equal for the same command started again. */
    readonly task: string,
    /** This run. */
    readonly owner: string,
    readonly nowMs: () => number,
    readonly onFailure: (error: unknown) => void,
  ) {}

  /**
   * The watermark that an earlier run of this task left, or undefined; this run's from now on. `previousOwner` is whose lock
   * was there.
   */
  async load(previousOwner: string | undefined): Promise<KeyRef | undefined> {
    const record = recordOf(await this.keeper.load(), this.task)
    if (record === undefined || (record.owner !== undefined && record.owner !== previousOwner)) return undefined
    this.#latest = { db: record.watermark.db, key: Buffer.from(record.watermark.key, 'base64') }
    await this.flush()
    return this.#saved
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
    if (this.#latest !== this.#saved) await this.#save(this.owner)
  }

  async #save(owner: string | undefined): Promise<void> {
    const mark = this.#latest
    if (mark === undefined) return
    const record: CheckpointRecord = {
      version: 1, task: this.task, ...(owner !== undefined && { owner }), watermark: { db: mark.db, key: mark.key.toString('base64') }, saved: new Date(this.nowMs()).toISOString(),
    }
    this.#saving = this.keeper.save(bytesOf(record)).finally(() => { this.#saving = undefined })
    await this.#saving
    this.#saved = mark
  }

  /** The copy is through: nothing to go on with. */
  async clear(): Promise<void> {
    await this.abandon()
    await this.keeper.clear()
  }

  /** Nothing more is saved. */
  async abandon(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = this.#latest = this.#saved = undefined
    await this.#saving?.catch(() => undefined)
  }

  /** This run ends in order: the latest mark is saved as nobody's, for who comes next. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#saving
    await this.#save(undefined)
  }
}

const bytesOf = (record: CheckpointRecord): Buffer => Buffer.from(`${JSON.stringify(record)}\n`)

/** The checkpoint in these bytes, if it is one, and of this task. */
function recordOf(bytes: Buffer | undefined, task?: string): CheckpointRecord | undefined {
  if (bytes === undefined) return undefined
  try {
    const record = JSON.parse(bytes.toString('utf8')) as CheckpointRecord
    const isOurs = record.version === 1 && (task === undefined || record.task === task) && Number.isInteger(record.watermark.db) && typeof record.watermark.key === 'string'
    return isOurs ? record : undefined
  } catch {
    return undefined
  }
}

/** Removes the checkpoint of this task, when what it says is done is about to be undone. */
export async function forgetCheckpoint(keeper: Keeper, task: string): Promise<void> {
  if (recordOf(await keeper.load(), task) !== undefined) await keeper.clear()
}

/** The lock of a run that is gone is about to be removed: what it had copied counts without it. */
export async function disownCheckpoint(keeper: Keeper): Promise<void> {
  const record = recordOf(await keeper.load())
  if (record?.owner === undefined) return
  const { owner: _, ...rest } = record
  await keeper.save(bytesOf(rest))
}
