/**
 * Active expiry: removes keys whose time has come though nobody asks for them.
 *
 * Keys are drawn at random from those with an expiry time. As long as more of a draw is stale than is
 * acceptable, another follows; so little work is done where little is stale, and the share of stale keys
 * stays bounded where much is. A turn ends with its time budget; the next one goes on with the database
 * where it stopped.
 *
 * | effort (`active-expire-effort`)  | 1     | 10    |
 * |----------------------------------|-------|-------|
 * | keys of a draw                   | 20    | 65    |
 * | acceptable share of stale keys   | 10 %  | 1 %   |
 */
import { Slice } from '../../protocol/slice.js'
import type { Database } from './database.js'

const KEYS_PER_DRAW = 20
const ACCEPTABLE_PERCENT = 10
/** The clock is read once per so many keys: well under 50 µs. */
const KEYS_PER_CLOCK_READ = 16
/** Weight of the newest draw in the running estimate of `expired_stale_perc`. */
const NEWEST_WEIGHT = 0.05

const cycles = new WeakMap<readonly Database[], Cycle>()

/**
 * One turn over the databases of a server, of at most about `budgetMs`; `effort` is 1 to 10. True when the
 * time ran out while much was stale: another turn soon is worth it.
 */
export function expireCycle(databases: readonly Database[], budgetMs: number, effort = 1): boolean {
  let cycle = cycles.get(databases)
  if (cycle === undefined) cycles.set(databases, (cycle = new Cycle(databases)))
  return cycle.run(budgetMs, effort)
}

class Cycle {
  #nextDatabase = 0
  #effort = 1
  /** Keys looked at since the clock was read. */
  #unclocked = 0
  readonly #key = new Slice()

  constructor(readonly databases: readonly Database[]) {}

  run(budgetMs: number, effort: number): boolean {
    const services = this.databases[0].services
    if (services.expiryFrozen) return false
    this.#effort = effort
    const endMs = services.clock.monotonicMs() + budgetMs
    let drawn = 0
    let stale = 0
    let outOfTime = false
    for (let i = 0; i < this.databases.length && !outOfTime; i++) {
      const db = this.databases[this.#nextDatabase]
      for (let again = true; again && !outOfTime; ) {
        const wanted = Math.min(this.#keysPerDraw, db.volatileSize)
        const found = this.#draw(db, wanted)
        drawn += wanted
        stale += found
        again = wanted > 0 && found * 100 > wanted * this.#acceptablePercent
        outOfTime = again && this.#isPast(endMs)
      }
      if (!outOfTime) this.#nextDatabase = (this.#nextDatabase + 1) % this.databases.length
    }
    const percent = drawn === 0 ? 0 : (stale * 100) / drawn
    const stats = services.stats
    stats.expiredStalePercent = percent * NEWEST_WEIGHT + stats.expiredStalePercent * (1 - NEWEST_WEIGHT)
    return outOfTime
  }

  get #keysPerDraw(): number {
    return KEYS_PER_DRAW + ((KEYS_PER_DRAW / 4) * (this.#effort - 1))
  }

  get #acceptablePercent(): number {
    return ACCEPTABLE_PERCENT - (this.#effort - 1)
  }

  /** Draws `count` keys and removes those whose time has come; returns how many that were. */
  #draw(db: Database, count: number): number {
    const { random } = db.services
    let stale = 0
    for (let i = 0; i < count; i++) {
      const ref = db.randomVolatile(random)
      if (ref === 0) break
      if (!db.isExpired(ref)) continue
      const key = db.keyAt(ref, this.#key)
      // A key in flight to another server stays until its outcome is known.
      if (db.holdOf(ref) !== undefined) continue
      db.expire(key)
      stale++
    }
    this.#unclocked += count
    return stale
  }

  #isPast(endMs: number): boolean {
    if (this.#unclocked < KEYS_PER_CLOCK_READ) return false
    this.#unclocked = 0
    return this.databases[0].services.clock.monotonicMs() >= endMs
  }
}
