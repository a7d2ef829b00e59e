/**
 * Whether a server still has what it acknowledged, or what it was read from. One that is started again, or that another one
 * stands in for, may have lost the last second of writes, or all of them; whoever goes on then ends with a copy that has a
 * hole, or takes the keys that are left for all there were.
 *
 * Servers lose from the end: when the key acknowledged last is there, so are those before it. A connection belongs to one
 * process of the server; before the first use of a process with another run id, that key is looked for, and those that a
 * process before acknowledged of the same batch. After a loss nothing is done any more, not even a checkpoint saved.
 */
import { StoreError, type Entry, type EntryError, type KeyRef } from '../../transfer/store.js'
import type { Connection } from './connection.js'
import type { Refusal } from './reply-reader.js'

/** The connections to the server, as far as they are needed here. */
interface Server {
  readonly label: string
  run<T>(db: number, work: (connection: Connection) => Promise<T>): Promise<T>
}

/** How often a server may have been started again before a batch is through. */
const LOOKS_MAX = 20

export class Acknowledged {
  /** Processes that have everything. */
  readonly #sound = new Set<string>()
  #last: KeyRef | undefined
  /** Whether there ever was something to look for. */
  isUsed = false
  #loss: StoreError | undefined

  /** `isWritten`: whether the server is one that is written to, by now. */
  constructor(readonly label: string, readonly isWritten: () => boolean) {}

  /** Works on a connection to a process that has everything. Throws StoreError 'refused' after a loss. */
  async guard<T>(server: Server, db: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    for (let looks = 0; looks <= LOOKS_MAX; looks++) {
      const done = await server.run(db, async (connection) => (this.#admits(connection) ? { result: await work(connection) } : undefined))
      if (done !== undefined) return done.result
      await this.#look(server)
    }
    throw new StoreError('unreachable', `${this.label} is started again and again`)
  }

  #admits({ facts: { runId } }: Connection): boolean {
    if (this.#loss !== undefined) throw this.#loss
    if (this.#last === undefined) this.#sound.add(runId)
    return this.#sound.has(runId)
  }

  async #look(server: Server): Promise<void> {
    const last = this.#last
    if (last === undefined) return
    await server.run(last.db, async (connection) => {
      await this.find(connection, [last.key])
      this.#sound.add(connection.facts.runId)
    })
  }

  /** Looks for keys of the connection's database. Throws StoreError 'refused' when one is not there. */
  async find(connection: Connection, keys: readonly Buffer[]): Promise<void> {
    const replies = await Promise.all(keys.map((key) => connection.call(['EXISTS', key])))
    // A refusal says nothing of the key: its slot may be somewhere else by now.
    if (!replies.includes(0)) return
    const [use, advice] = this.isWritten() ? ['written to', 'make sure that it keeps them'] : ['read', 'bring them back']
    this.#loss = new StoreError('refused', `${this.label} was started again while it was ${use}, and has lost keys that it had; ${advice} and start the same command again`)
    throw this.#loss
  }

  /** These entries are there, of those that `isThere` names by number. */
  note(db: number, entries: readonly (Entry | EntryError | Refusal | undefined)[], isThere: (i: number) => boolean = () => true): void {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]
      // One that expires may be gone in good order.
      if (entry === undefined || !('expiresAtMs' in entry) || entry.expiresAtMs !== undefined || !isThere(i)) continue
      this.#last = { db, key: entry.key }
      this.isUsed = true
      return
    }
  }

  /** These keys are taken away: they will not be missed. */
  forget(removed: readonly KeyRef[]): void {
    const last = this.#last
    if (last !== undefined && removed.some(({ db, key }) => db === last.db && key.equals(last.key))) this.#last = undefined
  }
}
