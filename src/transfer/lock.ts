/**
 * The lock of a store under migration: a record that says who migrates it, so that a second migration, and a server
 * on that store, do not start. It lies in the store itself, or beside it (lock-place.ts).
 *
 *     core/migration   {"start":"2026-11-28T04:12:00.123Z","owner":"9f..","host":"db1","pid":4711,
 *                       "task":"..","heartbeat":"..","expires":".."}
 *
 * Key and `start` are Vault's own; its reader ignores the rest. The owner renews `heartbeat` and `expires` while it
 * lives; when it finds the lock gone, or somebody else's, it has lost it and says so (`onLost`): its store is no longer
 * its own. A lock is stale when its time has passed, or when its process was on this machine and is gone. A stale lock
 * of the same task (the same command, started again) is taken over; any other lock is refused with its owner's name,
 * a stale one with the advice to remove it with -reset. A lock without an owner is Vault's, and never stale.
 */
import { filePlace, type LockPlace } from './lock-place.js'
import { StoreError } from './store.js'

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

export interface LockRecord {
  readonly start: string
  readonly owner?: string
  readonly host?: string
  readonly pid?: number
  readonly task?: string
  readonly heartbeat?: string
  readonly expires?: string
}

/** A store is locked by somebody else. */
export class LockedError extends Error {
  constructor(
    readonly label: string,
    readonly holder: LockRecord,
    readonly isStale: boolean,
  ) {
    const advice = isStale ? 'The process is gone: remove the lock with -reset.' : 'Wait for it, or remove the lock with -reset if you know that it is gone.'
    super(`storage migration in progress (started: ${holder.start}) in ${label}, ${holderText(holder)}. ${advice}`)
    this.name = 'LockedError'
  }
}

/** A lock that had been taken is gone, or somebody else's: `holder`. */
export class LockLostError extends Error {
  constructor(
    readonly label: string,
    readonly holder: LockRecord | undefined,
  ) {
    const what = holder === undefined ? 'was removed' : `is now held ${holderText(holder)} (started: ${holder.start})`
    super(`the lock of this migration in ${label} ${what}`)
    this.name = 'LockLostError'
  }
}

/** By whom a lock is held, for messages. */
export function holderText({ owner, pid, host }: LockRecord): string {
  return owner === undefined ? 'by a migration that left no name' : `by process ${pid ?? '?'} on ${host ?? 'an unknown host'}`
}

/** By what a lock is judged: which machine this is, what time, and which of its processes live. */
export interface Here {
  readonly host: string
  readonly nowMs: () => number
  /** Whether a process of this machine is alive. */
  readonly isAlive: (pid: number) => boolean
}

/** What the lock needs from its surroundings. */
export interface LockSurroundings extends Omit<Here, 'host'> {
  /** The lock is not this owner's any more. */
  readonly onLost: (error: LockLostError) => void
  /** It could not be renewed this time. */
  readonly onTrouble: (error: Error) => void
}

/** The lock as somebody left it, or undefined. Throws StoreError 'corrupt' when it can not be read. */
async function readLock(place: LockPlace): Promise<LockRecord | undefined> {
  const bytes = await place.read()
  if (bytes === undefined) return undefined
  // A file that is just being made where there are no links.
  if (bytes.length === 0) return { start: 'just now' }
  try {
    const record = JSON.parse(bytes.toString('utf8')) as LockRecord
    if (typeof record.start !== 'string') throw new Error('it has no start')
    return record
  } catch (error) {
    throw new StoreError('corrupt', `the lock ${place.name} in ${place.label} can not be read: ${(error as Error).message}. Look at it, or remove it with -reset`)
  }
}

/** The lock in a file, if there is one, and whether it is stale. Throws StoreError when it can not be read. */
export async function lockInFile(file: string, here: Here): Promise<{ holder: LockRecord; isStale: boolean } | undefined> {
  const holder = await readLock(filePlace(file, file))
  return holder === undefined ? undefined : { holder, isStale: isStale(holder, here) }
}

/** Removes a lock, whosever it is and whether it can be read or not; false when there is none. */
export async function resetLock(place: LockPlace): Promise<boolean> {
  const held = await place.read().catch((error: unknown) => {
    if (error instanceof StoreError && error.fault === 'corrupt') return error
    throw error
  })
  if (held === undefined) return false
  await place.remove()
  return true
}

export class Lock {
  #timer: NodeJS.Timeout | undefined
  #renewing: Promise<void> | undefined

  private constructor(
    readonly place: LockPlace,
    readonly owner: Owner,
    readonly surroundings: LockSurroundings,
    readonly start: string,
  ) {}

  /** Takes the lock. Throws LockedError when somebody else has it. `previous` is a stale one of the same task that was there. */
  static async take(place: LockPlace, owner: Owner, surroundings: LockSurroundings): Promise<{ lock: Lock; previous: LockRecord | undefined }> {
    const held = await readLock(place)
    if (held !== undefined) {
      const stale = isStale(held, { ...surroundings, host: owner.host })
      if (!stale || held.task !== owner.task) throw new LockedError(place.label, held, stale)
    }
    const lock = new Lock(place, owner, surroundings, rfc3339(surroundings.nowMs()))
    const isTaken = held !== undefined ? await place.replace(lock.#record()).then(() => true) : await place.create(lock.#record())
    // Between looking and writing somebody else may have come.
    const now = await readLock(place)
    if (!isTaken || now?.owner !== owner.id) throw new LockedError(place.label, now ?? { start: 'just now' }, false)
    lock.#timer = setInterval(() => lock.#renew(), HEARTBEAT_MS).unref()
    return { lock, previous: held }
  }

  #record(): Buffer {
    const { id, host, pid, task } = this.owner
    const now = this.surroundings.nowMs()
    const record: LockRecord = { start: this.start, owner: id, host, pid, task, heartbeat: rfc3339(now), expires: rfc3339(now + EXPIRES_MS) }
    return Buffer.from(`${JSON.stringify(record)}\n`)
  }

  #renew(): void {
    if (this.#renewing !== undefined) return
    const { onLost, onTrouble } = this.surroundings
    this.#renewing = this.#renewNow().catch((error: Error) => {
      if (error instanceof LockLostError) onLost(error)
      else onTrouble(error)
    }).finally(() => {
      this.#renewing = undefined
    })
  }

  async #renewNow(): Promise<void> {
    await this.check()
    await this.place.replace(this.#record())
  }

  /** Looks whether it is still ours. Throws LockLostError. */
  async check(): Promise<void> {
    const held = await readLock(this.place)
    if (held?.owner === this.owner.id) return
    clearInterval(this.#timer)
    throw new LockLostError(this.place.label, held)
  }

  /** Gives the lock back. One that is not ours any more stays: LockLostError. */
  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewing
    await this.check()
    await this.place.remove()
  }
}

function isStale({ owner, host, pid, expires }: LockRecord, here: Here): boolean {
  if (owner === undefined) return false
  if (host === here.host && pid !== undefined && !here.isAlive(pid)) return true
  return expires !== undefined && Date.parse(expires) < here.nowMs()
}

const rfc3339 = (ms: number): string => new Date(ms).toISOString()
