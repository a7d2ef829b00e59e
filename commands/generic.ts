/**
 * Commands that treat all types alike: existence, names, types, and whole databases. Walking the keys is in
 * `keys-walk.ts`, OBJECT in `object.ts`, times of expiry in `expiry.ts`, SORT in `sort.ts`.
 *
 * Invariant: a key whose time has come does not exist for any of them, whether or not it was removed yet.
 */
import type { Call } from '../src/engine/call.js'
import { command, key, keys, type Command } from '../src/engine/command.js'
import { BAD_DB_INDEX, NO_SUCH_KEY, replyError, SAME_OBJECT, SYNTAX } from '../src/errors.js'
import type { Database } from '../src/keyspace/database.js'
import { TYPE_NAMES } from '../src/keyspace/types.js'
import { int32 } from './int32.js'
import { walkCommands } from './keys-walk.js'
import { objectCommand } from './object.js'
import { peek } from './peek.js'
import { sortCommands } from './sort.js'

const SHARDS_SUM = ['request_policy:multi_shard', 'response_policy:agg_sum'] as const
const ALL_SHARDS = ['request_policy:all_shards', 'response_policy:all_succeeded'] as const

function deleteKeys(call: Call): void {
  const { args, db } = call
  let deleted = 0
  for (let i = 1; i < args.count; i++) {
    const name = args.at(i)
    if (db.lookup(name) === 0) continue
    db.delete(name)
    deleted++
    call.changed(name, 'g', 'del')
  }
  call.reply.integer(deleted)
}

// DEL key [key ...]
const del = command({
  name: 'del', arity: -2, flags: 'write', acl: 'keyspace', keys: [keys(1, -1, 1, 'RM DELETE')], tips: SHARDS_SUM,
  group: 'generic', since: '1.0.0', complexity: 'O(N), N being the number of keys.', syntax: 'key [key ...]',
  summary: 'Removes keys.',
}, deleteKeys)

// UNLINK key [key ...]
const unlink = command({
  name: 'unlink', arity: -2, flags: 'write fast', acl: 'keyspace', keys: [keys(1, -1, 1, 'RM DELETE')], tips: SHARDS_SUM,
  group: 'generic', since: '4.0.0', complexity: 'O(1) per key, whatever its size.', syntax: 'key [key ...]',
  summary: 'Removes keys; the memory of their values is reclaimed later.',
}, deleteKeys)

// EXISTS key [key ...]
const exists = command({
  name: 'exists', arity: -2, flags: 'readonly fast', acl: 'keyspace', keys: [keys(1, -1, 1, 'RO')], tips: SHARDS_SUM,
  group: 'generic', since: '1.0.0', complexity: 'O(N), N being the number of keys.', syntax: 'key [key ...]',
  summary: 'Counts how many of the named keys exist; a key named twice counts twice.',
}, (call) => {
  let found = 0
  for (let i = 1; i < call.args.count; i++) if (peek(call, call.args.at(i)) !== 0) found++
  call.reply.integer(found)
})

// TOUCH key [key ...]
const touch = command({
  name: 'touch', arity: -2, flags: 'readonly fast', acl: 'keyspace', keys: [keys(1, -1, 1, 'RO')], tips: SHARDS_SUM,
  group: 'generic', since: '3.2.1', complexity: 'O(N), N being the number of keys.', syntax: 'key [key ...]',
  summary: 'Marks keys as just used and counts those that exist.',
}, (call) => {
  let found = 0
  for (let i = 1; i < call.args.count; i++) if (call.db.lookupRead(call.args.at(i)) !== 0) found++
  call.reply.integer(found)
})

// TYPE key
const type = command({
  name: 'type', arity: 2, flags: 'readonly fast', acl: 'keyspace', keys: [key(1, 'RO')],
  group: 'generic', since: '1.0.0', complexity: 'O(1)', syntax: 'key', summary: 'Tells the type of the value of a key.',
}, (call) => {
  const ref = peek(call, call.args.at(1))
  call.reply.simple(ref === 0 ? 'none' : TYPE_NAMES[call.db.typeOf(ref)])
})

function renameKey(call: Call, onlyNew: boolean): void {
  const { args, db, reply } = call
  const from = args.at(1)
  const to = args.at(2)
  if (db.lookupWrite(from) === 0) throw NO_SUCH_KEY
  if (from.equals(to)) {
    if (onlyNew) reply.integer(0)
    else reply.ok()
    return
  }
  if (db.lookupWrite(to) !== 0 && onlyNew) return reply.integer(0)
  db.moveKey(from, db, to)
  call.changed(from, 'g', 'rename_from')
  call.changed(to, 'g', 'rename_to')
  if (onlyNew) reply.integer(1)
  else reply.ok()
}

// RENAME key newkey
const rename = command({
  name: 'rename', arity: 3, flags: 'write', acl: 'keyspace', keys: [key(1, 'RW ACCESS DELETE'), key(2, 'OW UPDATE')],
  group: 'generic', since: '1.0.0', complexity: 'O(1)', syntax: 'key newkey',
  summary: 'Gives a key another name, replacing what has that name.',
}, (call) => renameKey(call, false))

// RENAMENX key newkey
const renamenx = command({
  name: 'renamenx', arity: 3, flags: 'write fast', acl: 'keyspace', keys: [key(1, 'RW ACCESS DELETE'), key(2, 'OW INSERT')],
  group: 'generic', since: '1.0.0', complexity: 'O(1)', syntax: 'key newkey',
  summary: 'Gives a key another name unless that name is taken.',
}, (call) => renameKey(call, true))

function databaseAt(call: Call, index: number): Database {
  const db = call.engine.databases[index] as Database | undefined
  if (db === undefined) throw BAD_DB_INDEX
  return db
}

// COPY source destination [DB destination-db] [REPLACE]
const copy = command({
  name: 'copy', arity: -3, flags: 'write denyoom', acl: 'keyspace', keys: [key(1, 'RO ACCESS'), key(2, 'OW UPDATE')],
  group: 'generic', since: '6.2.0', complexity: 'O(N), N being the number of elements of the value.',
  syntax: 'source destination [DB destination-db] [REPLACE]', summary: 'Copies the value of a key to another key.',
}, (call) => {
  const { args, db, reply } = call
  const from = args.at(1)
  const to = args.at(2)
  let target = db
  let replace = false
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'replace')) replace = true
    else if (args.is(i, 'db') && i + 1 < args.count) target = databaseAt(call, int32(args, ++i))
    else throw SYNTAX
  }
  if (call.config.clusterEnabled && target !== db) throw COPY_IN_CLUSTER
  if (target === db && from.equals(to)) throw SAME_OBJECT
  if (db.lookupRead(from) === 0) return reply.integer(0)
  const replaced = target.lookupWrite(to)
  if (replaced !== 0 && !replace) return reply.integer(0)
  // In this database a key in flight is waited for before the command runs; in another one it must not be lost.
  if (replaced !== 0 && target !== db && target.holdOf(replaced) !== undefined) throw IN_FLIGHT
  db.copyKey(from, target, to)
  call.changed(to, 'g', 'copy_to', target)
  reply.integer(1)
})

const IN_FLIGHT = replyError('TRYAGAIN The destination key is being migrated to another server')
const COPY_IN_CLUSTER = replyError('ERR Copying to another database is not allowed in cluster mode')

// MOVE key db
const move = command({
  name: 'move', arity: 3, flags: 'write fast', acl: 'keyspace', keys: [key(1, 'RW ACCESS UPDATE')],
  group: 'generic', since: '1.0.0', complexity: 'O(1)', syntax: 'key db', summary: 'Moves a key to another database.',
}, (call) => {
  const { args, db, reply } = call
  const name = args.at(1)
  if (call.config.clusterEnabled) throw MOVE_IN_CLUSTER
  const target = databaseAt(call, int32(args, 2))
  if (target === db) throw SAME_OBJECT
  if (db.lookupWrite(name) === 0 || target.lookupWrite(name) !== 0) return reply.integer(0)
  db.moveKey(name, target, name)
  call.changed(name, 'g', 'move_from')
  call.changed(name, 'g', 'move_to', target)
  reply.integer(1)
})

const MOVE_IN_CLUSTER = replyError('ERR MOVE is not allowed in cluster mode')

// ---- whole databases ----

// DBSIZE
const dbsize = command({
  name: 'dbsize', arity: 1, flags: 'readonly fast', acl: 'keyspace',
  tips: ['request_policy:all_shards', 'response_policy:agg_sum'],
  group: 'server', since: '1.0.0', complexity: 'O(1)', syntax: '', summary: 'Counts the keys of the database.',
}, (call) => call.reply.integer(call.db.size))

// SWAPDB index1 index2
const swapdb = command({
  name: 'swapdb', arity: 3, flags: 'write fast', acl: 'keyspace dangerous', touchesAll: true,
  group: 'server', since: '4.0.0', complexity: 'O(N), N being the number of clients that watch or wait for keys of either.',
  syntax: 'index1 index2', summary: 'Exchanges the content of two databases.',
}, (call) => {
  const { args, engine } = call
  if (call.config.clusterEnabled) throw SWAPDB_IN_CLUSTER
  const first = int32(args, 1, BAD_FIRST_INDEX)
  const second = int32(args, 2, BAD_SECOND_INDEX)
  const a = databaseAt(call, first)
  const b = databaseAt(call, second)
  if (a !== b) {
    engine.watches.touchAll(a, b)
    engine.watches.touchAll(b, a)
    a.takeFrom(b)
  }
  engine.dirty++
  call.reply.ok()
})

const SWAPDB_IN_CLUSTER = replyError('ERR SWAPDB is not allowed in cluster mode')
const BAD_FIRST_INDEX = replyError('ERR invalid first DB index')
const BAD_SECOND_INDEX = replyError('ERR invalid second DB index')

function flush(call: Call, databases: readonly Database[]): void {
  const { args, engine } = call
  if (args.count > 2 || (args.count === 2 && !args.is(1, 'sync') && !args.is(1, 'async'))) throw SYNTAX
  for (const db of databases) {
    engine.watches.touchAll(db)
    engine.dirty += db.size
    db.clear()
  }
  // Counted even when nothing was there, so that replicas hear of it in any case.
  engine.dirty++
  call.reply.ok()
}

// FLUSHDB [ASYNC | SYNC]
const flushdb = command({
  name: 'flushdb', arity: -1, flags: 'write', acl: 'keyspace dangerous', tips: ALL_SHARDS, touchesAll: true,
  group: 'server', since: '1.0.0', complexity: 'O(1): the memory of the database goes as a whole.',
  syntax: '[ASYNC | SYNC]', summary: 'Removes all keys of the database.',
}, (call) => flush(call, [call.db]))

// FLUSHALL [ASYNC | SYNC]
const flushall = command({
  name: 'flushall', arity: -1, flags: 'write', acl: 'keyspace dangerous', tips: ALL_SHARDS, touchesAll: true,
  group: 'server', since: '1.0.0', complexity: 'O(D), D being the number of databases.',
  syntax: '[ASYNC | SYNC]', summary: 'Removes all keys of all databases.',
}, (call) => flush(call, call.engine.databases))

/** The commands of the group. */
export const genericCommands: readonly Command[] = [
  del, unlink, exists, touch, type, rename, renamenx, copy, move, dbsize, swapdb, flushdb, flushall,
  ...walkCommands, objectCommand, ...sortCommands,
]
