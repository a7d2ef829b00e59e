/** DEBUG OBJECT, LISTPACK, QUICKLIST, SDSLEN, HTSTATS, HTSTATS-KEY, POPULATE: how keys are held. */
import { Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { NO_SUCH_KEY, NOT_POSITIVE, replyError } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import type { LargeHash } from '../src/keyspace/hash.js'
import type { LargeList } from '../src/keyspace/list.js'
import { dumpPayload } from '../src/keyspace/payload.js'
import type { LargeSet } from '../src/keyspace/set.js'
import { encodingOfText } from '../src/keyspace/string.js'
import type { Table } from '../src/keyspace/table.js'
import { EMBSTR, ENCODING_NAMES, HASH, HASHTABLE, LISTPACK, QUICKLIST, RAW, SET, STRING } from '../src/keyspace/types.js'

const FOOTER_AND_TYPE_BYTES = 11
const PAYLOAD = { version: 11, compressed: true }

function existing(call: Call, key: Slice): Ref {
  const ref = call.db.lookup(key)
  if (ref === 0) throw NO_SUCH_KEY
  return ref
}

/** DEBUG OBJECT key [FAST] */
export function debugObject(call: Call): void {
  const { args, db } = call
  const ref = existing(call, args.at(2))
  const fields = [`Value at:0x${ref.toString(16)} refcount:1 encoding:${ENCODING_NAMES[db.encodingOf(ref)]}`]
  if (!args.is(3, 'fast')) fields.push(`serializedlength:${dumpPayload(db, ref, PAYLOAD).length - FOOTER_AND_TYPE_BYTES}`)
  const { lfu } = db.services
  const idle = lfu ? 0 : db.idleSeconds(ref)
  const now = Math.floor(call.clock.nowMs / 1000)
  fields.push(`lru:${(now - idle) & 0xffffff} lru_seconds_idle:${idle}`)
  fields.push(`lfu_freq:${lfu ? db.frequency(ref) : 0} lfu_access_time_minutes:${lfu ? Math.floor(now / 60) & 0xffff : 0}`)
  if (db.encodingOf(ref) === QUICKLIST) fields.push(quicklistFigures(call, db.objectOf(ref) as LargeList))
  call.reply.simple(fields.join(' '))
}

function quicklistFigures({ config }: Call, list: LargeList): string {
  let nodes = 0
  let bytes = 0
  list.forEachNode((_plain, _buf, start, end) => {
    nodes++
    bytes += end - start
  })
  return `ql_nodes:${nodes} ql_avg_node:${(list.size / nodes).toFixed(2)} ql_listpack_max:${config.listMaxListpackSize} ` +
    `ql_compressed:0 ql_uncompressed_size:${bytes}`
}

const NOT_LISTPACK = replyError('ERR Not a listpack encoded object.')
const NOT_QUICKLIST = replyError('ERR Not a quicklist encoded object.')

/** DEBUG LISTPACK key */
export function debugListpack(call: Call): void {
  const ref = existing(call, call.args.at(2))
  if (call.db.encodingOf(ref) !== LISTPACK) throw NOT_LISTPACK
  const { buf, start, end } = call.db.bytesOf(ref, new Slice())
  call.engine.services.log?.(`listpack of ${end - start} bytes: ${buf.subarray(start, end).toString('hex')}`)
  call.reply.simple('Listpack structure printed on stdout')
}

/** DEBUG QUICKLIST key [0 | 1] */
export function debugQuicklist(call: Call): void {
  const ref = existing(call, call.args.at(2))
  if (call.db.encodingOf(ref) !== QUICKLIST) throw NOT_QUICKLIST
  call.engine.services.log?.(quicklistFigures(call, call.db.objectOf(ref) as LargeList))
  call.reply.simple('Quicklist structure printed on stdout')
}

const NOT_BYTES = replyError('ERR Not an sds encoded string.')

/** DEBUG SDSLEN key */
export function debugSdsLen(call: Call): void {
  const { db, args } = call
  const ref = existing(call, args.at(2))
  const encoding = db.encodingOf(ref)
  if (db.typeOf(ref) !== STRING || (encoding !== RAW && encoding !== EMBSTR)) throw NOT_BYTES
  const key = args.at(2).length
  const value = db.bytesLength(ref)
  const room = db.ownBytesOf(ref)?.buf.length ?? value
  call.reply.simple(
    `key_sds_len:${key}, key_sds_avail:0, key_zmalloc: ${key}, val_sds_len:${value}, val_sds_avail:${room - value}, val_zmalloc: ${room}`)
}

const NO_SUCH_DATABASE = replyError('ERR Out of range database')
const NOT_A_TABLE = replyError('ERR The value stored at the specified key is not represented using an hash table')

function tableFigures(slots: number, elements: number): string {
  return elements === 0 ? '' : `Hash table 0 stats (main hash table):\n table size: ${slots}\n number of elements: ${elements}\n`
}

/** DEBUG HTSTATS dbid [full] */
export function debugTableStats(call: Call): void {
  const index = call.args.integer(2)
  if (index < 0 || index >= call.engine.databases.length) throw NO_SUCH_DATABASE
  const db = call.engine.databases[index]
  call.reply.verbatim(
    `[Dictionary HT]\n${tableFigures(slotsOf(db), db.size)}[Expires HT]\n${tableFigures(db.volatileSize, db.volatileSize)}`)
}

/** DEBUG HTSTATS-KEY key [full] */
export function debugKeyTableStats(call: Call): void {
  const { db } = call
  const ref = existing(call, call.args.at(2))
  const type = db.typeOf(ref)
  if (db.encodingOf(ref) !== HASHTABLE || (type !== SET && type !== HASH)) throw NOT_A_TABLE
  const value = db.objectOf(ref)
  const table = type === SET ? (value as LargeSet).members : (value as LargeHash).fields
  call.reply.verbatim(tableFigures(slotsOf(table), table.size))
}

function slotsOf(table: Table): number {
  return table.capacity
}

/** DEBUG POPULATE count [prefix] [size] */
export function debugPopulate(call: Call): void {
  const { args, db } = call
  const count = args.integer(2, NOT_POSITIVE)
  if (count < 0) throw NOT_POSITIVE
  const size = args.count === 5 ? args.integer(4, NOT_POSITIVE) : 0
  if (size < 0) throw NOT_POSITIVE
  const prefix = args.count > 3 ? args.at(3).latin1() : 'key'
  for (let i = 0; i < count; i++) {
    const key = Slice.from(`${prefix}:${i}`, 'latin1')
    if (db.lookup(key) !== 0) continue
    let value = Buffer.from(`value:${i}`)
    if (size > 0) {
      const sized = Buffer.alloc(size)
      value.copy(sized)
      value = sized
    }
    const text = new Slice(value)
    db.setBytes(key, STRING, encodingOfText(text), text)
    call.changed(key, 'n', 'new')
  }
  call.propagateAs([])
  call.reply.ok()
}
