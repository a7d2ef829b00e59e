/**
 * How much memory is in use. Asking the system is too dear for every command, so it is asked at the
 * housekeeping's pace for all that is not in the databases' arenas; the arenas tell at any time what they use.
 *
 *     used = least of the last readings of (heap + external memory - what the arenas reserved) + what the arenas use
 *
 * The least, because a reading contains what the collector has not collected yet, and evicting keys would not
 * make that less.
 */
import type { Engine } from '../engine/engine.js'
import { evict } from '../keyspace/eviction.js'

const READINGS = 8

export class Memory {
  #engine: Engine | undefined
  /** The last readings of what is not in the databases, and the least of them. */
  readonly #readings = new Float64Array(READINGS).fill(Infinity)
  #nextReading = 0
  #otherBytes = 0
  /** The most ever in use. */
  peakBytes = 0
  residentBytes = 0

  watch(engine: Engine): void {
    this.#engine = engine
    this.refresh()
  }

  /** Asks the system; called by the housekeeping. */
  refresh(): void {
    const usage = process.memoryUsage()
    let reserved = 0
    for (const db of this.#engine?.databases ?? []) reserved += db.reservedBytes
    this.#readings[this.#nextReading++ % READINGS] = Math.max(0, usage.heapUsed + usage.external - reserved)
    this.#otherBytes = Math.min(...this.#readings)
    this.residentBytes = usage.rss
    this.peakBytes = Math.max(this.peakBytes, this.usedBytes())
  }

  /** Bytes in use, as `used_memory` and `maxmemory` count them. */
  usedBytes(): number {
    return this.#otherBytes + this.#keyspaceBytes()
  }

  /** Whether a command that needs memory may run: evicts keys by the policy when the limit is reached. */
  makeRoom(engine: Engine): boolean {
    const { maxmemory } = engine.config
    const over = this.usedBytes() - maxmemory
    if (maxmemory === 0 || over <= 0) return true
    return evict(engine.databases, engine.config.maxmemoryPolicy, engine.config.maxmemorySamples, over, {
      random: engine.random,
      onEvicted: (db, key) => {
        engine.keyspace.stats.evicted++
        engine.changed(db, key, 'e', 'evicted')
      },
    })
  }

  #keyspaceBytes(): number {
    let bytes = 0
    for (const db of this.#engine?.databases ?? []) bytes += db.usedBytes
    return bytes
  }
}
