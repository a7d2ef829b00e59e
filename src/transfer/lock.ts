/**
 * The lock of a store under migration: an entry that says who migrates it, so that a second migration, and a server
 * on that store, do not start.
 *
 *     core/migration   {"start":"2026-11-28T04:12:00.123Z","owner":"9f..","host":"db1","pid":4711,
 *                       "task":"..","heartbeat":"..","expires":".."}
 *
 * Key and `start` are Vault's own; its reader ignores the rest. The owner renews `heartbeat` and `expires` while it
 * lives. A lock is stale when its time has passed, or when its process was on this machine and is gone. A stale lock
 * of the same task (the same command, started again) is taken over; any other lock is refused with its owner's name,
 * a stale one with the advice to remove it with -reset. A lock without an owner is Vault's, and never stale.
 */
import { StoreError, type Entry, type KeyRef, type Store } from './store.js'

export const LOCK_NAME = Buffer.from('core/migration')

const lockKey = (store: Store): KeyRef => ({ db: store.traits.stateDatabase ?? 0, key: LOCK_NAME })

const HEARTBEAT_MS = 5000
const EXPIRES_MS = 30_000

/** Who takes a lock. */
export interface Owner {
  /** Drawn at random for this run. */
  readonly id: string
  readonly host: string
  readonly pid: number
  /** Names what is being done: equal for the same command started again. */
  readonly task: string
}

/** A store is locked by somebody else. */
export class LockedError extends Error {
  constructor(
    readonly store: Store,
    readonly holder: LockRecord,
    readonly isStale: boolean,
  ) {
    super(lockedText(store, holder, isStale))
    this.name = 'LockedError'
  }
}

export interface LockRecord {
  readonly start: string
  readonly owner?: string
  readonly host?: string
  readonly pid?: number
  readonly task?: string
  readonly heartbeat?: string
  readonly expires?: string
}

function lockedText(store: Store, { start, host, pid, owner }: LockRecord, isStale: boolean): string {
  const who = owner === undefined ? 'by a migration that left no name' : `by process ${pid ?? '?'} on ${host ?? 'an unknown host'}`
  const advice = isStale ? 'The process is gone: remove the lock with -reset.' : 'Wait for it, or remove the lock with -reset if you know that it is gone.'
  return `storage migration in progress (started: ${start}) in ${store.label}, ${who}. ${advice}`
}

/** What the lock needs from its surroundings. */
export interface LockSurroundings {
  /** The bytes of a string entry as this store gives it back; undefined when it is something else. */
  readonly bytesOf: (entry: Entry) => Buffer | undefined
  readonly nowMs: () => number
  /** Whether a process of this machine is alive. */
  readonly isAlive: (pid: number) => boolean
  readonly onLost: (error: Error) => void
}

/** The lock as somebody left it, or undefined. Throws StoreError 'corrupt' when it can not be read. */
async function readLock(store: Store, bytesOf: LockSurroundings['bytesOf']): Promise<LockRecord | undefined> {
  const [entry] = await store.read([lockKey(store)])
  if (entry === undefined) return undefined
  try {
    const text = entry instanceof Error ? undefined : bytesOf(entry)?.toString('utf8')
    if (text === undefined) throw new Error('it is no plain value')
    const record = JSON.parse(text) as LockRecord
    if (typeof record.start !== 'string') throw new Error('it has no start')
    return record
  } catch (error) {
    throw new StoreError('corrupt', `the lock ${LOCK_NAME.toString()} in ${store.label} can not be read: ${(error as Error).message}. Look at it, or remove it with -reset`)
  }
}

/** Removes the lock, whosever it is. */
export async function resetLock(store: Store): Promise<void> {
  await store.remove([lockKey(store)])
}

export class Lock {
  #timer: NodeJS.Timeout | undefined
  #renewing: Promise<void> | undefined

  private constructor(
    readonly store: Store,
    readonly owner: Owner,
    readonly surroundings: LockSurroundings,
    readonly start: string,
  ) {}

  /** Takes the lock. Throws LockedError when somebody else has it. `tookOver` says whether a stale one of ours was there. */
  static async take(store: Store, owner: Owner, surroundings: LockSurroundings): Promise<{ lock: Lock; tookOver: boolean }> {
    const held = await readLock(store, surroundings.bytesOf)
    let tookOver = false
    if (held !== undefined) {
      const stale = isStale(held, owner, surroundings)
      if (!stale || held.task !== owner.task) throw new LockedError(store, held, stale)
      tookOver = true
    }
    const lock = new Lock(store, owner, surroundings, rfc3339(surroundings.nowMs()))
    const [outcome] = await store.write([lock.#entry()], tookOver ? 'replace' : 'error')
    if (outcome instanceof Error) throw new StoreError('refused', `${store.label} does not take the lock ${LOCK_NAME.toString()}: ${outcome.message}`)
    // Between looking and writing somebody else may have come.
    const now = await readLock(store, surroundings.bytesOf)
    if (outcome === 'exists' || now?.owner !== owner.id) throw new LockedError(store, now ?? { start: 'just now' }, false)
    lock.#timer = setInterval(() => lock.#renew(), HEARTBEAT_MS).unref()
    return { lock, tookOver }
  }

  #entry(): Entry {
    const { id, host, pid, task } = this.owner
    const now = this.surroundings.nowMs()
    const record: LockRecord = { start: this.start, owner: id, host, pid, task, heartbeat: rfc3339(now), expires: rfc3339(now + EXPIRES_MS) }
    return { ...lockKey(this.store), form: 'raw', value: Buffer.from(`${JSON.stringify(record)}\n`), expiresAtMs: undefined }
  }

  #renew(): void {
    if (this.#renewing !== undefined) return
    this.#renewing = this.#renewNow().catch((error: unknown) => this.surroundings.onLost(error as Error)).finally(() => {
      this.#renewing = undefined
    })
  }

  async #renewNow(): Promise<void> {
    const held = await readLock(this.store, this.surroundings.bytesOf)
    if (held?.owner !== this.owner.id) {
      clearInterval(this.#timer)
      throw new LockedError(this.store, held ?? { start: 'unknown: the lock was removed' }, false)
    }
    await this.store.write([this.#entry()], 'replace')
  }

  /** Gives the lock back, if it is still ours. */
  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewing
    const held = await readLock(this.store, this.surroundings.bytesOf)
    if (held?.owner === this.owner.id) await this.store.remove([lockKey(this.store)])
  }
}

function isStale(held: LockRecord, owner: Owner, { nowMs, isAlive }: LockSurroundings): boolean {
  if (held.owner === undefined) return false
  if (held.host === owner.host && held.pid !== undefined) return !isAlive(held.pid)
  return held.expires !== undefined && Date.parse(held.expires) < nowMs()
}

const rfc3339 = (ms: number): string => new Date(ms).toISOString()
