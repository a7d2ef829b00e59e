/** Parts of strings: APPEND, SETRANGE, GETRANGE and its old name SUBSTR. */
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { replyError, STRING_TOO_LONG } from '../src/errors.js'
import { encodingOfString } from '../src/keyspace/string.js'
import { RAW, STRING } from '../src/keyspace/types.js'
import { Slice } from '../protocol/slice.js'

const bytes = Slice.scratch()
const EMPTY = new Slice()

/** A string may not become longer than a client could send it. */
function requireLength(call: Call, length: number): void {
  if (length > call.config.protoMaxBulkLen) throw STRING_TOO_LONG
}

/** APPEND key value */
const append = command({
  name: 'append', arity: 3, flags: 'write denyoom fast', acl: 'string', keys: [key(1, 'RW INSERT')],
  group: 'string', since: '2.0.0', complexity: 'O(1), amortized: a long string grows with room to spare.',
  syntax: 'key value',
  summary: 'Adds bytes to the end of a string, creating it if need be.',
}, (call) => {
  const { args, db } = call
  const name = args.at(1)
  const value = args.at(2)
  const ref = call.write(name, STRING)
  let length = value.length
  if (ref === 0) db.setBytes(name, STRING, encodingOfString(value), value)
  else {
    const before = db.bytesLength(ref)
    length += before
    requireLength(call, length)
    db.bytesOf(db.resizeBytes(ref, RAW, length), bytes)
    value.buf.copy(bytes.buf, bytes.start + before, value.start, value.end)
  }
  call.reply.integer(length)
  call.changed(name, '$', 'append')
})

const NEGATIVE_OFFSET = replyError('ERR offset is out of range')

/** SETRANGE key offset value */
const setrange = command({
  name: 'setrange', arity: 4, flags: 'write denyoom', acl: 'string', keys: [key(1, 'RW UPDATE')],
  group: 'string', since: '2.2.0', complexity: 'O(N) where N is the number of bytes written.',
  syntax: 'key offset value',
  summary: 'Overwrites a part of a string from an offset on; zero bytes fill a gap before it.',
}, (call) => {
  const { args, db } = call
  const offset = args.integer(2)
  if (offset < 0) throw NEGATIVE_OFFSET
  const name = args.at(1)
  const value = args.at(3)
  let ref = call.write(name, STRING)
  const before = ref === 0 ? 0 : db.bytesLength(ref)
  if (value.length === 0) return call.reply.integer(before)
  const length = Math.max(before, offset + value.length)
  requireLength(call, offset + value.length)
  if (ref === 0) ref = db.setBytes(name, STRING, RAW, EMPTY)
  const { buf, start } = db.bytesOf(db.resizeBytes(ref, RAW, length), bytes)
  if (offset > before) buf.fill(0, start + before, start + offset)
  value.buf.copy(buf, start + offset, value.start, value.end)
  call.reply.integer(length)
  call.changed(name, '$', 'setrange')
})

function getRange(call: Call): void {
  const { args, db, reply } = call
  let start = args.integer(2)
  let end = args.integer(3)
  const ref = call.read(args.at(1), STRING)
  if (ref === 0) return reply.bulk(EMPTY)
  db.bytesOf(ref, bytes)
  const { length } = bytes
  if (start < 0 && end < 0 && start > end) return reply.bulk(EMPTY)
  if (start < 0) start = Math.max(0, start + length)
  if (end < 0) end = Math.max(0, end + length)
  end = Math.min(end, length - 1)
  if (start > end || length === 0) return reply.bulk(EMPTY)
  reply.bulkRange(bytes.buf, bytes.start + start, bytes.start + end + 1)
}

/** GETRANGE key start end */
const getrange = command({
  name: 'getrange', arity: 4, flags: 'readonly', acl: 'string', keys: [key(1, 'RO ACCESS')],
  group: 'string', since: '2.4.0', complexity: 'O(N) where N is the number of bytes returned.',
  syntax: 'key start end',
  summary: 'Returns the bytes of a string from one offset to another.',
}, getRange)

/** SUBSTR key start end */
const substr = command({
  name: 'substr', arity: 4, flags: 'readonly', acl: 'string', keys: [key(1, 'RO ACCESS')],
  group: 'string', since: '1.0.0', complexity: 'O(N) where N is the number of bytes returned.',
  syntax: 'key start end',
  summary: 'Returns the bytes of a string from one offset to another; the old name of GETRANGE.',
}, getRange)

export const stringEditCommands: readonly Command[] = [append, setrange, getrange, substr]
