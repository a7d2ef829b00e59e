/**
 * Keys in flight to another server. A hold on 'all' makes every command that names the key wait; a hold on
 * 'write' (a COPY being encoded) only the writing ones. The hold is a flag of the key's record, so looking
 * for it costs nothing while none is in flight; expiry and eviction see it and leave the key alone.
 */
import type { Slice } from '../../protocol/slice.js'
import type { Ref } from '../keyspace/arena.js'
import type { Database, HoldMode } from '../keyspace/database.js'

export class Holds {
  /** How many keys are held. */
  size = 0

  get(db: Database, key: Slice): HoldMode | undefined {
    if (this.size === 0) return undefined
    const ref = db.findKey(key)
    return ref === 0 ? undefined : db.holdOf(ref)
  }

  add(db: Database, ref: Ref, mode: HoldMode): void {
    if (db.holdOf(ref) === undefined) this.size++
    db.hold(ref, mode)
  }

  release(db: Database, key: Slice): void {
    const ref = db.findKey(key)
    if (ref === 0 || db.holdOf(ref) === undefined) return
    db.hold(ref, undefined)
    this.size--
  }
}
