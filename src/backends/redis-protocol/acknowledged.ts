/**
 * Whether a server still has what it acknowledged. One that is started again, or that another one stands in for, may have
 * lost the last second of writes, or all of them; whoever goes on writing then ends with a copy that has a hole.
 *
 * Servers lose from the end: when the key acknowledged last is there, so are those before it. A connection belongs to one
 * process of the server; before the first write to a process with another run id, that key is looked for, and those that a
 * process before acknowledged of the same batch. After a loss nothing is written any more, not even a checkpoint.
 */
import { StoreError, type Entry, type KeyRef } from '../../transfer/store.js'
import type { Connection } from './connection.js'

/** The connections to the server, as far as they are needed here. */
interface Server {
  readonly label: string
  run<T>(db: number, work: (connection: Connection) => Promise<T>): Promise<T>
}

export class Acknowledged {
  /** Processes that have everything. */
  readonly #sound = new Set<string>()
  #last: KeyRef | undefined
  #loss: StoreError | undefined

  constructor(readonly label: string) {}

  /** Whether the process behind this connection may be written to. Throws StoreError 'refused' after a loss. */
  admits({ facts: { runId } }: Connection): boolean {
    if (this.#loss !== undefined) throw this.#loss
    if (this.#last === undefined) this.#sound.add(runId)
    return this.#sound.has(runId)
  }

  /** Looks whether the server, as it is now, has what it acknowledged last. Throws StoreError 'refused'. */
  async look(server: Server): Promise<void> {
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
    this.#loss = new StoreError('refused', `${this.label} was started again while it was written to, and has lost keys that it had acknowledged; start the same command again, it copies them once more`)
    throw this.#loss
  }

  /** Entries were sent; those that `isWritten` names by number have been acknowledged. */
  note(db: number, entries: readonly Entry[], isWritten: (i: number) => boolean): void {
    // One that expires may be gone in good order.
    for (let i = entries.length - 1; i >= 0; i--) {
      if (entries[i].expiresAtMs !== undefined || !isWritten(i)) continue
      this.#last = { db, key: entries[i].key }
      return
    }
  }

  /** These keys are taken away: they will not be missed. */
  forget(removed: readonly KeyRef[]): void {
    const last = this.#last
    if (last !== undefined && removed.some(({ db, key }) => db === last.db && key.equals(last.key))) this.#last = undefined
  }
}
