/** Looking at a key without using it: what EXISTS, TYPE, TTL and OBJECT do. */
import type { Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import type { Ref } from '../src/keyspace/arena.js'

/** Finds a key for a command that only asks about it: counts hit or miss, but is no access. 0 when there is none. */
export function peek(call: Call, name: Slice): Ref {
  const ref = call.db.lookup(name)
  const stats = call.db.services.stats
  if (ref === 0) stats.misses++
  else stats.hits++
  return ref
}
