/** Commands that walk the keys of a database: KEYS, SCAN, RANDOMKEY. */
import { globMatch } from '../protocol/glob.js'
import { Slice } from '../protocol/slice.js'
import { lowerWord, readUint64 } from '../protocol/uint64.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import { replyError, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import type { Database } from '../src/keyspace/database.js'
import { TYPE_NAMES } from '../src/keyspace/types.js'
import { NOSCORES_MISPLACED, NOVALUES_MISPLACED } from './element-scan.js'

const INVALID_CURSOR = replyError('ERR invalid cursor')
/** A SCAN call looks at no more than this many times COUNT buckets, however empty they are. */
const BUCKETS_PER_COUNT = 10

const name = Slice.scratch()

function isStar(pattern: Slice): boolean {
  return pattern.length === 1 && pattern.buf[pattern.start] === 42
}

// KEYS pattern
const keysCommand = command({
  name: 'keys', arity: 2, flags: 'readonly', acl: 'keyspace dangerous',
  tips: ['request_policy:all_shards', 'nondeterministic_output_order'],
  group: 'generic', since: '1.0.0', complexity: 'O(N), N being the number of keys of the database.',
  syntax: 'pattern', summary: 'Lists all keys whose names match a glob pattern.',
}, (call) => {
  const { db, reply } = call
  const pattern = call.args.at(1)
  const all = isStar(pattern)
  const mark = reply.begin()
  let found = 0
  db.forEach((ref) => {
    db.keyAt(ref, name)
    if ((!all && !globMatch(pattern, name)) || db.isExpired(ref)) return
    reply.bulk(name)
    found++
  })
  reply.endArray(mark, found)
})

/** A cursor; only its lower 32 bits can mean anything here. */
export function readCursor(args: Args, i: number): number {
  const cursor = readUint64(args.at(i))
  if (cursor === undefined) throw INVALID_CURSOR
  return lowerWord(cursor)
}

interface ScanOptions {
  pattern: Slice | undefined
  count: number
  /** A name that TYPE answers. */
  type: string | undefined
}

function readScanOptions(args: Args): ScanOptions {
  const options: ScanOptions = { pattern: undefined, count: 10, type: undefined }
  for (let i = 2; i < args.count; i += 2) {
    if (args.is(i, 'novalues')) throw NOVALUES_MISPLACED
    if (args.is(i, 'noscores')) throw NOSCORES_MISPLACED
    if (i + 1 >= args.count) throw SYNTAX
    if (args.is(i, 'count')) {
      options.count = args.integer(i + 1)
      if (options.count < 1) throw SYNTAX
    } else if (args.is(i, 'match')) {
      const pattern = args.at(i + 1)
      options.pattern = isStar(pattern) ? undefined : pattern
    } else if (args.is(i, 'type')) options.type = readTypeName(args.at(i + 1))
    else throw SYNTAX
  }
  return options
}

function readTypeName(word: Slice): string {
  for (const type of Object.values(TYPE_NAMES)) if (word.is(type)) return type
  throw replyError(`ERR unknown type name '${word.cText()}'`)
}

// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
const scan = command({
  name: 'scan', arity: -2, flags: 'readonly', acl: 'keyspace',
  tips: ['nondeterministic_output', 'request_policy:special', 'response_policy:special'],
  group: 'generic', since: '2.8.0', complexity: 'O(1) a call, O(N) for all calls until the cursor is 0 again.',
  syntax: 'cursor [MATCH pattern] [COUNT count] [TYPE type]',
  summary: 'Walks over the names of the keys, a few a call.',
}, (call) => {
  const { db, reply } = call
  let cursor = readCursor(call.args, 1)
  const options = readScanOptions(call.args)
  const stale: Slice[] = []
  const found: Ref[] = []
  let seen = 0
  const visit = (ref: Ref): void => {
    seen++
    if (options.pattern !== undefined && !globMatch(options.pattern, db.keyAt(ref, name))) return
    if (options.type !== undefined && TYPE_NAMES[db.typeOf(ref)] !== options.type) return
    if (db.isExpired(ref)) stale.push(new Slice(db.keyAt(ref, name).copy()))
    else found.push(ref)
  }
  let buckets = options.count * BUCKETS_PER_COUNT
  do cursor = db.scanStep(cursor, visit)
  while (cursor !== 0 && --buckets > 0 && seen < options.count)
  reply.array(2)
  reply.bulkInteger(cursor)
  reply.array(found.length)
  for (const ref of found) reply.bulk(db.keyAt(ref, name))
  for (const key of stale) db.lookup(key)
})

/** Where only keys whose time has come are left and none of them may be removed, some draws are enough. */
const DRAWS_MAX = 100

function randomKey(db: Database, call: Call): Ref {
  for (let draws = 0; db.size > 0; draws++) {
    const ref = db.randomRef(call.random)
    if (!db.isExpired(ref)) return ref
    const key = new Slice(db.keyAt(ref, name).copy())
    db.lookup(key)
    if (draws >= DRAWS_MAX && db.findKey(key) !== 0) return db.findKey(key)
  }
  return 0
}

// RANDOMKEY
const randomkey = command({
  name: 'randomkey', arity: 1, flags: 'readonly', acl: 'keyspace',
  tips: ['request_policy:all_shards', 'response_policy:special', 'nondeterministic_output'],
  group: 'generic', since: '1.0.0', complexity: 'O(1)', syntax: '', summary: 'Names a key chosen at random.',
}, (call) => {
  const ref = randomKey(call.db, call)
  if (ref === 0) call.reply.null()
  else call.reply.bulk(call.db.keyAt(ref, name))
})

/** KEYS, SCAN, RANDOMKEY. */
export const walkCommands: readonly Command[] = [keysCommand, scan, randomkey]
