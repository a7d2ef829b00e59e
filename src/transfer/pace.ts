/**
 * Rate limits: keys and bytes per second. What is to go is paid for before it goes:
 *
 *     what went by now <= rate * (time since the start + 1/4 s)
 *
 * A quarter of a second's worth may go at once, also after a pause; so keys and bytes are dealt in parts of at most that
 * much. A single key or value that is more goes when all before it is paid for, and is waited for afterwards.
 */
import { monotonicMs } from '../clock.js'

/** Limits; undefined for none. */
export interface Rate {
  readonly keysPerSecond?: number | undefined
  readonly bytesPerSecond?: number | undefined
}

const BURST_MS = 250

/** How much may go in one part: a quarter of a second's worth, but `most` at most. */
export function partOf(perSecond: number | undefined, most: number): number {
  return perSecond === undefined ? most : Math.max(1, Math.min(most, Math.floor((perSecond * BURST_MS) / 1000)))
}

/** One limit. Several may wait at once; they go in the order in which they came. */
export class Pace {
  /** When all that was admitted so far is paid for, on the monotonic clock. */
  #dueMs = -Infinity

  constructor(
    readonly perSecond: number | undefined,
    readonly sleep: (ms: number) => Promise<void>,
    readonly nowMs: () => number = monotonicMs,
  ) {}

  /** Resolves when this much may go; undefined when that is now. */
  admit(amount: number): Promise<void> | undefined {
    if (this.perSecond === undefined) return undefined
    const now = this.nowMs()
    const costMs = (amount / this.perSecond) * 1000
    const startMs = Math.max(this.#dueMs, now)
    this.#dueMs = startMs + costMs
    const waitMs = startMs + Math.min(costMs, BURST_MS) - BURST_MS - now
    return waitMs > 0 ? this.sleep(waitMs) : undefined
  }
}
