/**
 * Keys in flight to another server. A hold on 'all' makes every command that names the key wait; a hold on
 * 'write' (a COPY being encoded) only the writing ones. The hold is a flag of the key's record, so looking
 * for it costs nothing while none is in flight; expiry and eviction see it and leave the key alone.
 */
import type { Slice } from '../../protocol/slice.js'
import type { Ref } from '../keyspace/arena.js'
import type { Database, HoldMode } from '../keyspace/database.js'
import { Args } from './args.js'
import type { Command } from './command-spec.js'
import { keyPositions } from './keys.js'
import type { Session } from './session.js'

/** These must not wait for a key in flight to their target: the other server may wait for ours. */
const ANSWERS_BUSYKEY = new Set(['restore', 'restore-asking'])

export class Holds {
  /** How many keys are held. */
  size = 0

  constructor(readonly databases: readonly Database[]) {}

  get(db: Database, key: Slice): HoldMode | undefined {
    if (this.size === 0) return undefined
    const ref = db.findKey(key)
    return ref === 0 ? undefined : db.holdOf(ref)
  }

  add(db: Database, ref: Ref, mode: HoldMode): void {
    if (db.holdOf(ref) === undefined) this.size++
    db.hold(ref, mode)
  }

  release(db: Database, ref: Ref): void {
    if (db.holdOf(ref) === undefined) return
    db.hold(ref, undefined)
    this.size--
  }

  /** Whether a command must wait: it names a key that is held against it. */
  touchedBy(db: Database, command: Command, args: Args): boolean {
    if (ANSWERS_BUSYKEY.has(command.fullName)) return false
    let positions: number[]
    try {
      positions = keyPositions(command, args)
    } catch {
      return false
    }
    // COPY ... DB writes into another database: its target waits for a key of that name wherever it is held.
    if (command.fullName === 'copy' && this.databases.some((other) => this.get(other, args.at(2)) !== undefined)) return true
    return positions.some((position) => {
      const held = this.get(db, args.at(position))
      return held === 'all' || (held === 'write' && command.isWrite)
    })
  }

  /** Whether a transaction must wait. */
  touchedByQueue(session: Session): boolean {
    const args = new Args()
    let { db } = session
    return (session.queue ?? []).some(({ command, words }) => {
      // The commands behind a SELECT are for its database.
      if (command.fullName === 'select') db = this.databases[Number(words[1].latin1Slice())] ?? db
      return command.spec.touchesAll === true || this.touchedBy(db, command, args.load(words))
    })
  }

  /** Whether a command answers BUSYKEY because its key is held. */
  refuses(db: Database, command: Command, args: Args): boolean {
    return ANSWERS_BUSYKEY.has(command.fullName) && this.get(db, args.at(1)) !== undefined
  }
}
