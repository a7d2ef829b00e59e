/**
 * Time. The only file that asks the machine for it, so that a test can own the clock.
 *
 * A server reads the clock once per turn of its loop (`refresh`), and every command of that turn sees the
 * same instant, as in Valkey: a key can not expire between two lookups of one command.
 */
export class Clock {
  /** Milliseconds since 1970, as of the last refresh. */
  nowMs = Date.now()

  /** Reads the clock and returns the new `nowMs`. */
  refresh(): number {
    return (this.nowMs = Date.now())
  }

  /** Microseconds since 1970, read now (TIME and the slow log need it finer than a turn). */
  preciseUs(): number {
    return Math.round((performance.timeOrigin + performance.now()) * 1000)
  }

  /** Milliseconds with a fraction that only ever grow, for measuring durations. */
  monotonicMs(): number {
    return monotonicMs()
  }
}

/** As `Clock.monotonicMs`, for what has no clock: how long a turn may still go on, how long a link has been idle. */
export function monotonicMs(): number {
  return performance.now()
}
