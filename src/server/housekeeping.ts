/**
 * What a server does beside serving: expires keys nobody asks for, moves growing tables on, wakes paused
 * clients, closes idle ones and those that do not read. `hz` times a second (10 by default), each turn about a
 * millisecond at most.
 */
import { migrationsOf } from '../../commands/migrate.js'
import type { Engine } from '../engine/engine.js'
import { traffic } from '../engine/rates.js'
import { expireCycle } from '../keyspace/expiry.js'
import type { Logger } from './logger.js'
import type { Memory } from './memory.js'

const MOVE_BUDGET_MS = 1
const MOVE_SLOTS = 1024
const EXPIRE_BUDGET_MS = 1

export class Housekeeping {
  #timer: NodeJS.Timeout | undefined
  #turns = 0

  constructor(
    readonly engine: Engine,
    readonly memory: Memory,
    readonly log: Logger,
  ) {}

  start(): void {
    this.stop()
    this.#timer = setInterval(() => this.turn(), 1000 / this.engine.config.hz)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Goes on at the pace of a changed `hz`. */
  followPace(): void {
    if (this.#timer !== undefined) this.start()
  }

  /** One turn; a test with a clock of its own may call it. */
  turn(): void {
    const { engine } = this
    engine.clock.refresh()
    const { bytesIn, bytesOut } = traffic(engine.stats, engine.sessions)
    engine.rates.sample(engine.clock.nowMs, engine.stats.commands, bytesIn, bytesOut)
    if (engine.cronPaused) return
    this.#limitOutput()
    if (this.#turns++ % engine.config.hz === 0) {
      this.memory.letGo()
      this.memory.refresh()
      this.#closeIdle()
      migrationsOf(engine).links.sweep(engine.clock.nowMs)
    } else if (engine.config.maxmemory > 0) this.memory.refresh()
    if (engine.pausedUntilMs > 0 && engine.clock.nowMs >= engine.pausedUntilMs) engine.unpause()
    if (!engine.keyspace.expiryFrozen && engine.activeExpiry) expireCycle(engine.databases, EXPIRE_BUDGET_MS)
    if (engine.config.activerehashing) this.#moveTables()
  }

  #moveTables(): void {
    const { clock, databases } = this.engine
    const until = clock.monotonicMs() + MOVE_BUDGET_MS
    for (const db of databases)
      while (db.move(MOVE_SLOTS)) if (clock.monotonicMs() > until) return
  }

  #limitOutput(): void {
    const { hardBytes, softBytes } = this.engine.config.clientOutputBufferLimit.normal
    if (hardBytes > 0 || softBytes > 0) for (const session of this.engine.sessions.values()) session.link.limitOutput()
  }

  #closeIdle(): void {
    const { engine } = this
    const seconds = engine.config.timeout
    if (seconds === 0) return
    for (const session of engine.sessions.values()) {
      if (session.suspension !== undefined || session.waiting || session.monitor) continue
      if (engine.clock.nowMs - session.lastActiveMs > seconds * 1000) session.link.destroy()
    }
  }
}
