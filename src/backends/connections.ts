/**
 * Work over connections of a pool that may break: each piece of work has a connection for itself and a time-out; a broken
 * connection is thrown away and the work tried again on another, with growing pauses. So work must be harmless to repeat;
 * it is told which attempt it is. Work that has had no answer in time is not tried again here: a server that hangs does so
 * on the next connection as well, and from then on, until it answers, not taking one in time is no answer either.
 */
import { setMaxListeners } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { NoAnswerError, StoreError } from '../transfer/store.js'

/** Pauses before the second attempt, the third, ... */
const PAUSES_MS = [50, 300, 1500]

/** What the drivers say of a connection that was neither taken nor refused in time. */
const CONNECTING_TIMED_OUT = /ETIMEDOUT|timeout/

/** Where connections come from. */
export interface ConnectionPool<C> {
  take(): Promise<C>
  /** A broken one is not used again. */
  give(connection: C, broken: boolean): void
}

export class Connections<C> {
  readonly #closing = new AbortController()
  /** It has left work unanswered, and has answered none since. */
  #isHanging = false

  /** `faultOf` makes a StoreError or EntryError of what the driver throws; 'unreachable' is what is tried again. */
  constructor(
    private readonly label: string,
    private readonly timeoutMs: number,
    private readonly pool: ConnectionPool<C>,
    private readonly faultOf: (error: unknown) => Error,
  ) {
    // One for each piece of work under way.
    setMaxListeners(0, this.#closing.signal)
  }

  /** Throws what `faultOf` makes of the last failure. */
  async run<T>(work: (connection: C, attempt: number) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.once(work, attempt)
      } catch (error) {
        if (!(error instanceof StoreError) || error.fault !== 'unreachable' || error instanceof NoAnswerError || attempt === PAUSES_MS.length) throw error
      }
      await pause(PAUSES_MS[attempt], undefined, { signal: this.#closing.signal }).catch(() => undefined)
    }
  }

  /** The same without a second attempt: whether the server is there at all. */
  async once<T>(work: (connection: C, attempt: number) => Promise<T>, attempt = 0): Promise<T> {
    const taking = this.pool.take()
    let connection: C
    try {
      connection = await this.#within(taking)
    } catch (error) {
      void taking.then((late) => this.pool.give(late, true), () => undefined)
      const fault = this.faultOf(error)
      throw this.#isHanging && CONNECTING_TIMED_OUT.test(fault.message) ? new NoAnswerError(fault.message) : fault
    }
    let broken = true
    try {
      const result = await this.#within(work(connection, attempt))
      broken = false
      this.#isHanging = false
      return result
    } catch (error) {
      const fault = this.faultOf(error)
      broken = fault instanceof StoreError
      this.#isHanging ||= fault instanceof NoAnswerError
      throw fault
    } finally {
      this.pool.give(connection, broken)
    }
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort()
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  #within<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.#closing
    const { timeoutMs } = this
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(() => reject(new NoAnswerError(`${this.label} has not answered for ${timeoutMs % 1000 === 0 ? `${timeoutMs / 1000} s` : `${timeoutMs} ms`}; look at its load and at locks`))), timeoutMs)
      const onClose = (): void => settle(() => reject(new StoreError('refused', `${this.label} is closed`)))
      const settle = (finish: () => void): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onClose)
        finish()
      }
      if (signal.aborted) onClose()
      else signal.addEventListener('abort', onClose)
      promise.then((value) => settle(() => resolve(value)), (error: unknown) => settle(() => reject(error)))
    })
  }
}
