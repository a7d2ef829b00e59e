/** Rates of the recent past for INFO: operations and bytes a second, averaged over the last 16 samples. */
import type { EngineStats } from './services.js'
import type { Session } from './session.js'

const SAMPLES = 16

/** Bytes that clients have sent and received since the start, those who left included. */
export function traffic(stats: EngineStats, sessions: ReadonlyMap<number, Session>): { bytesIn: number; bytesOut: number } {
  let bytesIn = stats.closedBytesIn
  let bytesOut = stats.closedBytesOut
  for (const session of sessions.values()) {
    bytesIn += session.bytesIn
    bytesOut += session.bytesOut
  }
  return { bytesIn, bytesOut }
}

class Rate {
  readonly #samples = new Float64Array(SAMPLES)
  #next = 0
  #last = 0

  add(total: number, elapsedMs: number): void {
    this.#samples[this.#next] = ((total - this.#last) * 1000) / elapsedMs
    this.#next = (this.#next + 1) % SAMPLES
    this.#last = total
  }

  get perSecond(): number {
    let sum = 0
    for (const sample of this.#samples) sum += sample
    return sum / SAMPLES
  }

  reset(): void {
    this.#samples.fill(0)
    this.#last = 0
  }
}

export class Rates {
  readonly commands = new Rate()
  readonly bytesIn = new Rate()
  readonly bytesOut = new Rate()
  #sampledMs = 0

  /** Takes a sample of the totals; called by the housekeeping, ten times a second. */
  sample(nowMs: number, commands: number, bytesIn: number, bytesOut: number): void {
    const elapsedMs = this.#sampledMs === 0 ? 100 : Math.max(1, nowMs - this.#sampledMs)
    this.#sampledMs = nowMs
    this.commands.add(commands, elapsedMs)
    this.bytesIn.add(bytesIn, elapsedMs)
    this.bytesOut.add(bytesOut, elapsedMs)
  }

  reset(): void {
    this.commands.reset()
    this.bytesIn.reset()
    this.bytesOut.reset()
  }
}
