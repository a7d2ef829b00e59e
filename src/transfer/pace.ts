/**
 * Rate limits: keys and bytes per second, each a bucket that holds at most a quarter of a second's worth, so that a
 * pause is not followed by a burst.
 */
import { monotonicMs } from '../clock.js'

/** Limits; undefined for none. */
export interface Rate {
  readonly keysPerSecond?: number | undefined
  readonly bytesPerSecond?: number | undefined
}

const BURST_SECONDS = 0.25

export class Pace {
  /** When what has been spent so far is paid for, on the monotonic clock, by bucket. */
  #keysDueMs = 0
  #bytesDueMs = 0

  constructor(
    readonly rate: Rate | undefined,
    readonly sleep: (ms: number) => Promise<void>,
  ) {}

  /** Counts keys and bytes that are on their way. */
  spend(keys: number, bytes: number): void {
    const { keysPerSecond, bytesPerSecond } = this.rate ?? {}
    const earliest = monotonicMs() - BURST_SECONDS * 1000
    if (keysPerSecond !== undefined) this.#keysDueMs = Math.max(this.#keysDueMs, earliest) + (keys / keysPerSecond) * 1000
    if (bytesPerSecond !== undefined) this.#bytesDueMs = Math.max(this.#bytesDueMs, earliest) + (bytes / bytesPerSecond) * 1000
  }

  /** Resolves when more may be spent; undefined when that is now. */
  wait(): Promise<void> | undefined {
    if (this.rate === undefined) return undefined
    const waitMs = Math.max(this.#keysDueMs, this.#bytesDueMs) - monotonicMs()
    return waitMs > 0 ? this.sleep(waitMs) : undefined
  }
}
