/**
 * How long commands take. Reading the clock twice costs as much as a fast command itself, so a run of the same
 * fast command within one chunk of input is timed as a whole and shared out; all others, and all commands while
 * the slow log or the latency monitor asks for short times, are timed one by one.
 *
 *     begin(command) --0--> counted with the run, closed by the next other command or by `closeRun`
 *                    `--start--> end(..., start)
 */
import type { Clock } from '../clock.js'
import type { Config } from '../config/index.js'
import type { Args } from './args.js'
import { recordLatency, type Command } from './command-spec.js'
import { LatencyMonitor } from './latency.js'
import type { Session } from './session.js'
import { SlowLog } from './slowlog.js'

/** With a slow log that is asked for shorter times than this, the fast commands are timed one by one too. */
const ALL_TIMED_BELOW_US = 1000
/** A RESTORE of more than this is timed by itself. */
const SMALL_PAYLOAD_BYTES = 4096

export class Timing {
  readonly slowLog: SlowLog
  readonly latency: LatencyMonitor
  #timesEach = false
  #runCommand: Command | undefined
  #runCalls = 0
  #runStartMs = 0

  constructor(
    readonly clock: Clock,
    readonly config: Config,
  ) {
    this.slowLog = new SlowLog(config)
    this.latency = new LatencyMonitor(clock, config)
    const follow = (): void => {
      const slow = config.slowlogLogSlowerThan
      this.#timesEach = config.latencyMonitorThreshold > 0 || (slow >= 0 && slow < ALL_TIMED_BELOW_US)
    }
    follow()
    config.onChange(['slowlog-log-slower-than', 'latency-monitor-threshold'], follow)
  }

  /** A command begins. Returns what `end` must be called with, 0 when it need not be called. */
  begin(command: Command, args: Args): number {
    const { payloadWord } = command
    const isLarge = payloadWord > 0 && args.at(payloadWord).end - args.at(payloadWord).start > SMALL_PAYLOAD_BYTES
    if (command !== this.#runCommand || isLarge) {
      const now = this.clock.monotonicMs()
      if (this.#runCommand !== undefined) this.closeRun(now)
      if (this.#timesEach || !command.isTimedByRun || isLarge) return now
      this.#runCommand = command
      this.#runStartMs = now
    }
    this.#runCalls++
    return 0
  }

  end(session: Session, command: Command, args: Args, startMs: number): void {
    const elapsedUs = (this.clock.monotonicMs() - startMs) * 1000
    command.stats.usec += elapsedUs
    if (this.config.latencyTracking) recordLatency(command.stats, elapsedUs)
    this.latency.consider(command.isFast ? 'fast-command' : 'command', elapsedUs / 1000)
    this.slowLog.consider(this.clock, session, command, args, elapsedUs)
  }

  /** Shares out the time of the run that is open, if one is. */
  closeRun(nowMs = this.clock.monotonicMs()): void {
    const command = this.#runCommand
    if (command === undefined) return
    const elapsedUs = (nowMs - this.#runStartMs) * 1000
    command.stats.usec += elapsedUs
    if (this.config.latencyTracking) recordLatency(command.stats, elapsedUs / this.#runCalls, this.#runCalls)
    this.#runCommand = undefined
    this.#runCalls = 0
  }
}
