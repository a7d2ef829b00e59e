/**
 * How soon V8 collects, in the programs.
 *
 * In the server: V8 looks for garbage when about as much has been created as is in use, and counts the buffers of large values.
 * Nearly all data lies in buffers that are not looked into; the objects take 8 MB. So every 16 MB of large values set off
 * a collection, a third of the cost of a SET of 250 KB. A heap so small may as well grow to a few times its size before it is
 * looked through; one that has grown goes by V8's own rule.
 *
 * In a migration: what a batch needs outlives V8's nursery and dies soon after, so V8 lets the heap grow to four times what
 * is in use, and the buffers that hang on it. Collected at twice as much the process stays small, for two milliseconds more
 * now and then.
 *
 * The process' own business: a program that uses the library keeps its V8 as it is.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'

const SMALL_HEAP_BYTES = 16 * 1024 * 1024
/** How much a small heap may grow. At most 112 MB then; V8 collects for every 64 MB of buffers anyway. */
const GROWTH_PERCENT = 600
const LOOK_AGAIN_MS = 1000

/** Lets the heap grow while it is small, from now on. */
export function collectLessOften(): void {
  let percent = 0
  const follow = (): void => {
    // 0: V8's own rule.
    const wanted = getHeapStatistics().used_heap_size < SMALL_HEAP_BYTES ? GROWTH_PERCENT : 0
    if (wanted === percent) return
    percent = wanted
    setFlagsFromString(`--heap-growing-percent=${percent}`)
  }
  follow()
  setInterval(follow, LOOK_AGAIN_MS).unref()
}

/** Collects as soon as the heap is twice what was in use after the last time. */
export function collectMoreOften(): void {
  setFlagsFromString('--heap-growing-percent=100')
}
