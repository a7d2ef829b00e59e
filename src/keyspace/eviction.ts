/**
 * Eviction: chooses keys to delete when memory is over `maxmemory`.
 *
 * No list orders the keys by use; instead a few are sampled each round and the best candidates ever seen are
 * kept in a small pool, sorted by how much each deserves to go. The pool approximates a true order well,
 * since a good candidate that lost against a better one stays and is taken in a later round.
 *
 *     sample --> score --> pool [ low ... high ] --> take the highest that still exists
 *
 * | policy | score                                   |
 * |--------|-----------------------------------------|
 * | lru    | seconds since the last access           |
 * | lfu    | 255 minus the decayed access counter    |
 * | ttl    | the sooner it expires the higher        |
 * | random | none: any key drawn is taken            |
 *
 * Invariant: a key that is in flight to another server is never evicted.
 */
import { Slice } from '../../protocol/slice.js'
import type { Random } from '../random.js'
import type { Ref } from './arena.js'
import type { Database } from './database.js'

const POOL_SIZE = 16
/** How long one call may take. */
const TURN_MS = 1
/** Draws of the random policies until one is not held, before a database counts as having nothing to give. */
const RANDOM_DRAWS = 16

type Scoring = 'lru' | 'lfu' | 'ttl' | 'random'

interface Candidate {
  readonly db: Database
  readonly key: Buffer
  readonly score: number
}

/** What eviction asks of its surroundings. */
interface EvictionHooks {
  readonly random: Random
  /** Told of each key after it is gone. */
  onEvicted(db: Database, key: Slice): void
}

const pools = new WeakMap<readonly Database[], Eviction>()

/**
 * Deletes keys by the policy (`allkeys-lru` ... `volatile-ttl`, `noeviction`) until `neededBytes` are free.
 * False when no key is left that may go. True also when the turn's time is up before enough is free: the
 * command may run then, and the next one goes on evicting, as in Valkey.
 */
export function evict(
  databases: readonly Database[], policy: string, samples: number, neededBytes: number, hooks: EvictionHooks,
): boolean {
  if (policy === 'noeviction') return false
  let eviction = pools.get(databases)
  if (eviction === undefined) pools.set(databases, (eviction = new Eviction(databases)))
  return eviction.run(policy, samples, neededBytes, hooks)
}

class Eviction {
  /** Candidates by score, ascending. */
  #pool: Candidate[] = []
  #scoring: Scoring | undefined
  #volatileOnly = false
  #nextDatabase = 0
  readonly #key = new Slice()

  constructor(readonly databases: readonly Database[]) {}

  run(policy: string, samples: number, neededBytes: number, hooks: EvictionHooks): boolean {
    this.#adopt(policy)
    const { clock } = this.databases[0].services
    const endMs = clock.monotonicMs() + TURN_MS
    let freedBytes = 0
    for (let evicted = 1; freedBytes < neededBytes; evicted++) {
      const victim = this.#scoring === 'random' ? this.#anyKey(hooks) : this.#bestKey(samples, hooks)
      if (victim === undefined) return false
      const key = new Slice(victim.key)
      freedBytes += victim.db.recordBytes(victim.db.findKey(key))
      victim.db.delete(key)
      hooks.onEvicted(victim.db, key)
      if ((evicted & 15) === 0 && clock.monotonicMs() >= endMs) return true
    }
    return true
  }

  /** Scores of one policy mean nothing to another: a change empties the pool. */
  #adopt(policy: string): void {
    const scoring = policy.slice(policy.indexOf('-') + 1) as Scoring
    const volatileOnly = policy.startsWith('volatile')
    if (scoring === this.#scoring && volatileOnly === this.#volatileOnly) return
    this.#scoring = scoring
    this.#volatileOnly = volatileOnly
    this.#pool = []
  }

  #sample(db: Database, random: Random): Ref {
    return this.#volatileOnly ? db.randomVolatile(random) : db.randomRef(random)
  }

  #bestKey(samples: number, hooks: EvictionHooks): Candidate | undefined {
    // Every round samples; one that finds no candidate means that there is none, or that all are held.
    for (let round = 0; round < RANDOM_DRAWS; round++) {
      let available = 0
      for (const db of this.databases) {
        const size = this.#volatileOnly ? db.volatileSize : db.size
        available += size
        if (size > 0) this.#fillPool(db, Math.min(samples, size), hooks.random)
      }
      if (available === 0) return undefined
      for (let best = this.#pool.pop(); best !== undefined; best = this.#pool.pop())
        if (this.#mayGo(best)) return best
    }
    return undefined
  }

  #mayGo(candidate: Candidate): boolean {
    const key = this.#key.set(candidate.key, 0, candidate.key.length)
    const ref = candidate.db.findKey(key)
    if (ref === 0 || candidate.db.holdOf(ref) !== undefined) return false
    return !this.#volatileOnly || candidate.db.expiryOf(ref) !== Infinity
  }

  #fillPool(db: Database, samples: number, random: Random): void {
    for (let i = 0; i < samples; i++) {
      const ref = this.#sample(db, random)
      const score = this.#score(db, ref)
      if (this.#pool.length === POOL_SIZE && score <= this.#pool[0].score) continue
      const key = db.keyAt(ref, this.#key)
      if (this.#pool.some((other) => other.db === db && other.key.compare(key.buf, key.start, key.end) === 0)) continue
      if (this.#pool.length === POOL_SIZE) this.#pool.shift()
      let at = this.#pool.length
      while (at > 0 && this.#pool[at - 1].score > score) at--
      this.#pool.splice(at, 0, { db, key: key.copy(), score })
    }
  }

  #score(db: Database, ref: Ref): number {
    if (this.#scoring === 'lru') return db.idleSeconds(ref)
    return this.#scoring === 'lfu' ? 255 - db.frequency(ref) : -db.expiryOf(ref)
  }

  /** Random policies take from each database in turn. */
  #anyKey(hooks: EvictionHooks): Candidate | undefined {
    for (let i = 0; i < this.databases.length; i++) {
      const db = this.databases[this.#nextDatabase++ % this.databases.length]
      for (let draw = 0; draw < RANDOM_DRAWS; draw++) {
        const ref = this.#sample(db, hooks.random)
        if (ref === 0) break
        if (db.holdOf(ref) === undefined) return { db, key: db.keyAt(ref, this.#key).copy(), score: 0 }
      }
    }
    return undefined
  }
}
