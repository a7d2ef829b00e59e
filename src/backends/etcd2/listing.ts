/**
 * The keys that an etcd2 store offers, and what it counted while it chose them: the same for a data directory and for
 * the live API. Sorted by the bytes of the key.
 */
import { plural } from '../../transfer/plural.js'
import type { Finding } from '../../transfer/store.js'
import type { V2Place } from './v2-store.js'

/** One v2 key. Path and value have one character per byte. */
export interface V2Key {
  readonly path: string
  readonly value: string
  readonly expiresAtMs: number | undefined
  readonly createdIndex: number
  readonly modifiedIndex: number
}

export interface ListingRules {
  readonly includeHidden: boolean
  /** Leave out keys that expire, by themselves or with a directory. */
  readonly noTtl: boolean
  readonly nowMs: number
}

/** The keys chosen and the counts of what was not. */
export class Listing {
  readonly keys: V2Key[] = []
  directories = 0
  hidden = 0
  expired = 0
  expiring = 0
  lossy = 0
  /** What is left to be said of how it was read. */
  readonly findings: Finding[] = []

  constructor(places: Iterable<V2Place>, readonly rules: ListingRules) {
    for (const place of places) this.#consider(place)
  }

  #consider({ path, node, expiresNs, isHidden }: V2Place): void {
    if (node.children !== undefined) {
      if (path !== '') this.directories++
      return
    }
    const { rules } = this
    if (isHidden) this.hidden++
    // A millisecond that has begun is not over.
    const expiresAtMs = expiresNs === undefined ? undefined : Number((expiresNs + 999999n) / 1000000n)
    if (expiresAtMs !== undefined && expiresAtMs <= rules.nowMs) this.expired++
    else if (isHidden && !rules.includeHidden) return
    else {
      if (expiresAtMs !== undefined) this.expiring++
      if (expiresAtMs !== undefined && rules.noTtl) return
      if (node.isLossy) this.lossy++
      this.keys.push({ path, value: node.value, expiresAtMs, createdIndex: node.createdIndex, modifiedIndex: node.modifiedIndex })
    }
  }

  /** What the counts mean to who copies. */
  report(label: string): Finding[] {
    const found: Finding[] = [...this.findings]
    const say = (level: Finding['level'], code: string, message: string): void => void found.push({ code, level, message })
    const { hidden, expired, directories, expiring, lossy, rules } = this
    if (this.keys.length + hidden + expired + expiring === 0)
      say('error', 'empty-source', `${label} has no v2 key at all; check the address or directory (keys of etcd's v3 API are not v2 keys: name the server as etcd:// for those)`)
    if (hidden > 0)
      say(rules.includeHidden ? 'info' : 'warning', 'hidden-keys', rules.includeHidden
        ? `${hidden} hidden ${plural(hidden, 'key')} (a name in the path begins with '_') ${plural(hidden, 'is', 'are')} copied with the others`
        : `${hidden} hidden ${plural(hidden, 'key')} (a name in the path begins with '_') ${plural(hidden, 'is', 'are')} left out; include_hidden = "true" (etcd-migrate: --include-hidden) copies ${plural(hidden, 'it', 'them')}`)
    if (expired > 0) say('info', 'expired-keys', `${expired} ${plural(expired, 'key has expired, by itself or with a directory above it, and is', 'keys have expired, by themselves or with a directory above them, and are')} left out`)
    if (expiring > 0)
      say(rules.noTtl ? 'warning' : 'info', 'expiring-keys', rules.noTtl
        ? `${expiring} ${plural(expiring, 'key that will expire is', 'keys that will expire are')} left out, as no_ttl says`
        : `${expiring} ${plural(expiring, 'key will expire; it keeps its', 'keys will expire; they keep their')} time`)
    if (directories > 0) say('info', 'directories', `${directories} ${plural(directories, 'directory is no key in v3: only the paths of its keys carry it, and when it is empty it is gone', 'directories are no keys in v3: only the paths of their keys carry them, and empty ones are gone')}`)
    if (lossy > 0)
      say('warning', 'lossy-values', `${lossy} ${plural(lossy, 'key was read as JSON and has', 'keys were read as JSON and have')} U+FFFD where etcd may have replaced bytes that are not UTF-8; ${label} has no other copy of ${plural(lossy, 'it', 'them')}`)
    return found
  }
}

/** Where a key is, or would be. */
export function placeOf(keys: readonly V2Key[], path: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle].path < path) low = middle + 1
    else high = middle
  }
  return low
}
