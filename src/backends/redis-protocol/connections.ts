/**
 * The connections to one server, shared by everything that a store does at once.
 *
 * - A piece of work gets a connection with its database selected, and the SELECT acknowledged, before it sends
 *   anything; while one works on it nobody selects another database there.
 * - When a connection breaks, or the server is busy or loading, the work is done again on another one, with growing
 *   pauses, as long as the time-out allows. Work must be able to stand that.
 */
import { monotonicMs } from '../../clock.js'
import { LinkFault } from '../../transfer/outcome.js'
import { StoreError } from '../../transfer/store.js'
import { Acknowledged } from './acknowledged.js'
import { Connection, type Endpoint, type ServerFacts } from './connection.js'
import { Refusal } from './reply-reader.js'

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000

/** The server can not answer just now: it loads its data, runs a script, or its cluster has no majority. */
export class ServerBusy extends Error {}

/** Refusals that pass. */
export function isPassing(refusal: Refusal): boolean {
  return /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)$/.test(refusal.code)
}

interface Slot {
  db: number
  users: number
  ready: Promise<Connection> | undefined
  connection: Connection | undefined
}

export class Connections {
  readonly #slots: Slot[] = []
  readonly #waiting: (() => void)[] = []
  #closed = false
  #everOpen = false
  #facts: ServerFacts | undefined
  readonly acknowledged: Acknowledged
  readonly shown: Acknowledged

  /**
   * `label` is what messages call the server; `atMost` how many connections are opened; `onFault` is asked before work is
   * tried again, and may throw instead.
   */
  constructor(readonly endpoint: Endpoint, readonly label: string, readonly atMost: number, readonly onFault?: () => Promise<void>) {
    this.acknowledged = new Acknowledged(label, () => true)
    // A destination is read too: its lock, and to verify.
    this.shown = new Acknowledged(label, () => this.acknowledged.isUsed)
  }

  /** What the server said when we connected last. */
  get facts(): ServerFacts {
    return this.#facts ?? { runId: '', version: '', isValkey: false, isCluster: false }
  }

  /**
   * Does work on a connection with this database selected; again when the connection breaks. Throws StoreError
   * 'unreachable' in the end, and what the work throws.
   */
  async run<T>(db: number, work: (connection: Connection, attempt: number) => Promise<T>): Promise<T> {
    let pauseMs = FIRST_PAUSE_MS
    let firstFaultMs: number | undefined
    for (let attempt = 0; ; attempt++) {
      const slot = await this.#take(db)
      try {
        const connection = await (slot.ready as Promise<Connection>)
        return await work(connection, attempt)
      } catch (error) {
        if (this.#closed) throw new StoreError('unreachable', `${this.label} was closed while it was used`, { cause: error })
        if (!(error instanceof LinkFault) && !(error instanceof ServerBusy)) throw error
        firstFaultMs ??= monotonicMs()
        await this.onFault?.()
        // A first connection that fails is told at once: more likely a wrong address than a passing fault.
        if ((!this.#everOpen && this.onFault === undefined) || monotonicMs() - firstFaultMs + pauseMs > this.endpoint.timeoutMs)
          throw new StoreError('unreachable', `${this.label}: ${error.message}; check that the server runs and can be reached`, { cause: error })
      } finally {
        this.#give(slot)
      }
      await pause(pauseMs)
      pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)
    }
  }

  async #take(db: number): Promise<Slot> {
    for (;;) {
      if (this.#closed) throw new StoreError('unreachable', `${this.label} is closed`)
      const slot = this.#choose(db)
      if (slot !== undefined) {
        slot.users++
        if (slot.ready === undefined || slot.db !== db || slot.connection?.isOpen === false) {
          slot.db = db
          const ready = (slot.ready = this.#prepare(slot, db))
          ready.catch(() => {
            if (slot.ready === ready) slot.ready = undefined
          })
        }
        return slot
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** The least used slot for this database, an unused one, a new one, or none for now. */
  #choose(db: number): Slot | undefined {
    let best: Slot | undefined
    let unused: Slot | undefined
    for (const slot of this.#slots) {
      if (slot.users === 0) unused ??= slot
      if (slot.db === db && (best === undefined || slot.users < best.users)) best = slot
    }
    if (best !== undefined && best.users === 0) return best
    if (this.#slots.length < this.atMost) {
      const slot: Slot = { db, users: 0, ready: undefined, connection: undefined }
      this.#slots.push(slot)
      return slot
    }
    return unused ?? best
  }

  #give(slot: Slot): void {
    slot.users--
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async #prepare(slot: Slot, db: number): Promise<Connection> {
    let { connection } = slot
    let isFresh = false
    if (connection === undefined || !connection.isOpen) {
      slot.connection = undefined
      connection = await Connection.open(this.endpoint)
      isFresh = true
      slot.connection = connection
      if (this.#closed) connection.close()
      this.#everOpen = true
      this.#facts = connection.facts
    }
    if (db !== 0 || !isFresh) {
      const reply = await connection.call(['SELECT', db])
      if (reply instanceof Refusal) {
        if (isPassing(reply)) throw new ServerBusy(reply.line)
        // Which database is selected is not known any more.
        connection.close()
        throw reply.code === 'NOPERM' || reply.code === 'NOAUTH' ? connection.denied(reply)
          : new StoreError('refused', `${this.label} has no database ${db}: ${reply.line}; raise its directive 'databases', or map that database to another with --db`)
      }
    }
    return connection
  }

  /** Closes all connections for good. */
  close(): void {
    this.#closed = true
    for (const { connection } of this.#slots) connection?.close()
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
