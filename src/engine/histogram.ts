/**
 * How long a command took, as a distribution: LATENCY HISTOGRAM and INFO latencystats.
 *
 * Buckets are spaced as in HdrHistogram with two significant digits: the values up to 255 have a bucket each,
 * above that every power of two is divided into 128 buckets, so a value is known to better than 1 %. Values
 * are nanoseconds from 1 µs to 1 s, brought into that range.
 */
const SUB_BUCKETS = 256
const HALF = SUB_BUCKETS / 2
const LOWEST_NS = 1000
const HIGHEST_NS = 1e9
const BUCKETS = SUB_BUCKETS + 22 * HALF

export class Histogram {
  /** Values recorded. */
  count = 0
  readonly #counts = new Float64Array(BUCKETS)

  /** Counts a duration in microseconds, `times` times. */
  record(microseconds: number, times = 1): void {
    const ns = Math.min(HIGHEST_NS, Math.max(LOWEST_NS, Math.round(microseconds * 1000)))
    this.#counts[bucketOf(ns)] += times
    this.count += times
  }

  /** The duration in microseconds that `percent` of the values do not exceed. */
  percentile(percent: number): number {
    const wanted = Math.max(1, Math.floor((percent / 100) * this.count + 0.5))
    let seen = 0
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]
      if (seen >= wanted) return highestOf(i) / 1000
    }
    return 0
  }

  /** Cumulative counts at each power of two of microseconds that holds new values: [microseconds, count] pairs. */
  powersOfTwo(): [microseconds: number, count: number][] {
    const found: [number, number][] = []
    let seen = 0
    let at = 0
    for (let limitNs = 1024; seen < this.count; limitNs *= 2) {
      const before = seen
      const last = Math.min(BUCKETS - 1, bucketOf(limitNs))
      while (at <= last) seen += this.#counts[at++]
      if (seen > before) found.push([Math.floor(highestOf(last) / 1000), seen])
    }
    return found
  }
}

function bucketOf(ns: number): number {
  if (ns < SUB_BUCKETS) return ns
  const power = 31 - Math.clz32(ns) - 7
  return SUB_BUCKETS + (power - 1) * HALF + (ns >>> power) - HALF
}

/** The greatest value that falls into a bucket. */
function highestOf(index: number): number {
  if (index < SUB_BUCKETS) return index
  const power = Math.floor((index - SUB_BUCKETS) / HALF) + 1
  return (((index - SUB_BUCKETS) % HALF) + HALF + 1) * 2 ** power - 1
}
