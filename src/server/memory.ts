/**
 * How much memory is in use. Asking the system is too dear for every command, so it is asked at the
 * housekeeping's pace for all that is not in the databases' arenas; the arenas tell at any time what they use.
 *
 *     used = least of the last readings of (heap + external memory - what the arenas reserved) + what the arenas use
 *
 * The least, because a reading contains what the collector has not collected yet, and evicting keys would not
 * make that less. The collector does not hurry: the buffers of large values may lie there for as long as nothing
 * else is created. So before a key is evicted, or a command refused, it is made to look.
 */
import { createRequire } from 'node:module'
import { forgetScratches } from '../../protocol/slice.js'
import type { Engine } from '../engine/engine.js'
import { evict } from '../keyspace/eviction.js'

const READINGS = 8
/** Growth, as a part of `maxmemory`, of what is not in the databases that makes it worth to collect garbage at once. */
const GROWTH_PART = 1 / 32
/** Of so large a part of `maxmemory` it is worth to ask again every second: what was in use may be garbage since. */
const LARGE_PART = 1 / 4
const COLLECT_AGAIN_MS = 1000

export class Memory {
  #engine: Engine | undefined
  /** The last readings of what is not in the databases, and the least of them. */
  readonly #readings = new Float64Array(READINGS).fill(Infinity)
  #nextReading = 0
  #otherBytes = 0
  /** The same after the last collection that was asked for here. */
  #otherBytesCollected = 0
  #collectedAtMs = -Infinity
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

  /**
   * Between two commands: frees what they left pointing at values until the next one of their kind. A value of 100 MB
   * may hang on a single word.
   */
  letGo(): void {
    forgetScratches()
    for (const session of this.#engine?.sessions.values() ?? []) session.link.forget()
  }

  /** Whether a command that needs memory may run: evicts keys by the policy when the limit is reached. */
  makeRoom(engine: Engine): boolean {
    const { maxmemory } = engine.config
    if (maxmemory === 0) return true
    let over = this.usedBytes() - maxmemory
    if (over > 0 && this.#mayHoldGarbage(maxmemory, engine.clock.nowMs)) {
      this.letGo()
      collectGarbage()
      this.refresh()
      this.#otherBytesCollected = this.#otherBytes
      over = this.usedBytes() - maxmemory
    }
    if (over <= 0) return true
    return evict(engine.databases, engine.config.maxmemoryPolicy, engine.config.maxmemorySamples, over, {
      random: engine.random,
      onEvicted: (db, key) => {
        engine.keyspace.stats.evicted++
        engine.changed(db, key, 'e', 'evicted')
      },
    })
  }

  #mayHoldGarbage(maxmemory: number, nowMs: number): boolean {
    const other = this.#otherBytes
    const isLarge = other > maxmemory * LARGE_PART && Math.abs(nowMs - this.#collectedAtMs) >= COLLECT_AGAIN_MS
    if (!isLarge && other <= this.#otherBytesCollected + maxmemory * GROWTH_PART) return false
    this.#collectedAtMs = nowMs
    return true
  }

  #keyspaceBytes(): number {
    let bytes = 0
    for (const db of this.#engine?.databases ?? []) bytes += db.usedBytes
    return bytes
  }
}

let runCollector: (() => void) | undefined

/** A full collection, now. V8 lends its collector only to contexts that are made after it was asked to. */
function collectGarbage(): void {
  if (runCollector === undefined) {
    const require = createRequire(process.execPath)
    ;(require('node:v8') as typeof import('node:v8')).setFlagsFromString('--expose-gc')
    runCollector = (require('node:vm') as typeof import('node:vm')).runInNewContext('gc') as () => void
  }
  runCollector()
  // Buffers are given back beside the program; a second run waits for that.
  runCollector()
}
