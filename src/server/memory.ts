/**
 * How much memory is in use. Asking the system is too dear for every command, so it is asked at the
 * housekeeping's pace, and between two readings the arenas' growth is added.
 */
import type { Engine } from '../engine/engine.js'
import { evict } from '../keyspace/eviction.js'

export class Memory {
  #engine: Engine | undefined
  #readBytes = 0
  #keyspaceBytesThen = 0
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
    this.#readBytes = usage.heapUsed + usage.external
    this.residentBytes = usage.rss
    this.#keyspaceBytesThen = this.#keyspaceBytes()
    this.peakBytes = Math.max(this.peakBytes, this.#readBytes)
  }

  /** Bytes in use, as `used_memory` and `maxmemory` count them. */
  usedBytes(): number {
    return this.#readBytes + this.#keyspaceBytes() - this.#keyspaceBytesThen
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
