/** How commands that take members away, or store a whole new sorted set, end. */
import type { Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import type { LargeSortedSet } from '../src/keyspace/zset.js'
import { SortedSetEdit } from '../src/keyspace/zset-edit.js'

const result = new SortedSetEdit()

/** Stores what a removal has left under its key, or deletes the key, and tells about it. */
export function finishRemoval(call: Call, name: Slice, edit: SortedSetEdit, deleted: number, event: string): void {
  const isEmpty = edit.size === 0
  if (isEmpty) {
    edit.close()
    call.db.delete(name)
  } else edit.commit(name)
  if (deleted > 0) call.changed(name, 'z', event)
  if (isEmpty) call.changed(name, 'g', 'del')
}

/**
 * Stores a result under word 1, or deletes that key when the result is empty, and replies its size.
 * `longest` is the length of its longest member.
 */
export function storeResult(call: Call, set: LargeSortedSet | undefined, longest: number, event: string): void {
  const name = call.args.at(1)
  const size = set === undefined ? 0 : set.size
  if (set !== undefined && size > 0) {
    result.openNew(call.db, set, longest, call.config).commit(name)
    call.changed(name, 'z', event)
  } else if (call.db.delete(name)) call.changed(name, 'g', 'del')
  call.reply.integer(size)
}
