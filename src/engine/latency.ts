/**
 * The latency monitor: what took longer than `latency-monitor-threshold` milliseconds, by event (`command`,
 * `fast-command`, `expire-cycle` ...). An event keeps one sample per second, the worst of it, and the last
 * 160 of them.
 */
import type { Clock } from '../clock.js'
import type { Config } from '../config/index.js'

const SAMPLES_MAX = 160

interface LatencySample {
  readonly atSeconds: number
  milliseconds: number
}

export interface LatencyEvent {
  /** Oldest first. */
  readonly samples: LatencySample[]
  worstMs: number
}

export class LatencyMonitor {
  readonly events = new Map<string, LatencyEvent>()

  constructor(
    readonly clock: Clock,
    readonly config: Config,
  ) {}

  /** Notes a duration when it is one worth noting. */
  consider(name: string, milliseconds: number): void {
    const threshold = this.config.latencyMonitorThreshold
    if (threshold === 0 || milliseconds < threshold) return
    const atSeconds = Math.floor(this.clock.nowMs / 1000)
    const ms = Math.floor(milliseconds)
    let event = this.events.get(name)
    if (event === undefined) this.events.set(name, (event = { samples: [], worstMs: 0 }))
    event.worstMs = Math.max(event.worstMs, ms)
    const last = event.samples.at(-1)
    if (last !== undefined && last.atSeconds === atSeconds) {
      last.milliseconds = Math.max(last.milliseconds, ms)
      return
    }
    event.samples.push({ atSeconds, milliseconds: ms })
    if (event.samples.length > SAMPLES_MAX) event.samples.shift()
  }

  /** Forgets one event, or all of them; returns how many there were. */
  reset(name?: string): number {
    if (name !== undefined) return this.events.delete(name) ? 1 : 0
    const { size } = this.events
    this.events.clear()
    return size
  }
}
