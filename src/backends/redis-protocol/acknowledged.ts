/**
 * Whether a server still has what it acknowledged. One that is started again, or that another one stands in for, may have lost
 * the last second of writes, or all of them; whoever goes on writing then ends with a copy that has a hole.
 *
 * Servers lose from the end: when the keys acknowledged last are there, so are those before them. So the last key of the
 * last batch is remembered, and looked for when the server's run id is another one; and the keys of a batch that was under
 * way, of which the one before may have acknowledged a part. After a loss nothing is written any more through these
 * connections, not even a checkpoint.
 */
import { StoreError, type Entry, type KeyRef } from '../../transfer/store.js'
import type { Connection } from './connection.js'

/** The connections to the server, as far as they are needed here. */
interface Server {
  readonly label: string
  readonly facts: { readonly runId: string }
  run<T>(db: number, work: (connection: Connection) => Promise<T>): Promise<T>
}

export class Acknowledged {
  #runId = ''
  #last: KeyRef | undefined
  #loss: StoreError | undefined

  /** Before something is written. Throws StoreError 'refused' after a loss. */
  check(): void {
    if (this.#loss !== undefined) throw this.#loss
  }

  /**
   * Entries have been sent, of which those that `isWritten` names by number were acknowledged; `runId` is the server's when
   * that began. Throws StoreError 'refused' when keys are lost.
   */
  async note(server: Server, db: number, entries: readonly Entry[], isWritten: (i: number) => boolean, runId: string): Promise<void> {
    // One that expires may be gone in good order.
    const isKept = ({ expiresAtMs }: Entry, i: number): boolean => expiresAtMs === undefined && isWritten(i)
    const now = server.facts.runId
    if (now !== this.#runId || now !== runId) {
      const before = this.#last
      if (this.#runId !== '' && now !== this.#runId && before !== undefined) await this.#look(server, before.db, [before.key])
      if (runId !== '' && now !== runId) await this.#look(server, db, entries.filter(isKept).map(({ key }) => key))
      this.#runId = now
    }
    this.check()
    for (let i = entries.length - 1; i >= 0; i--) {
      if (!isKept(entries[i], i)) continue
      this.#last = { db, key: entries[i].key }
      break
    }
  }

  /** These keys have been taken away: they will not be missed. */
  forget(removed: readonly KeyRef[]): void {
    const last = this.#last
    if (last !== undefined && removed.some(({ db, key }) => db === last.db && key.equals(last.key))) this.#last = undefined
  }

  async #look(server: Server, db: number, keys: readonly Buffer[]): Promise<void> {
    // A refusal says nothing of the key: its slot may be somewhere else by now.
    const replies = await server.run(db, (connection) => Promise.all(keys.map((key) => connection.call(['EXISTS', key]))))
    if (!replies.includes(0)) return
    this.#loss = new StoreError('refused', `${server.label} was started again while it was written to, and has lost keys that it had acknowledged; start the same command again, it copies them once more`)
    throw this.#loss
  }
}
