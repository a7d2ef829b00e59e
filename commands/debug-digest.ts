/**
 * DEBUG DIGEST and DEBUG DIGEST-VALUE: Valkey's fingerprints of the data, to compare servers with.
 *
 * A digest is 20 bytes that SHA-1 is folded into in two ways:
 *
 *     mix(digest, bytes)   digest = sha1(digest ^ sha1(bytes))     the order of calls matters
 *     xor(digest, bytes)   digest = digest ^ sha1(bytes)           it does not
 *
 *     value      mix type (u32, big-endian)
 *                string           mix bytes
 *                list             mix each element
 *                set              xor each member
 *                hash             xor mix(mix(0, field), value)
 *                sorted set       xor mix(mix(0, member), score in its shortest digits)
 *                stream           per entry: mix "ms.seq", then mix each field and value
 *                with an expiry   xor "!!expire!!"
 *     data set   per database that has keys: mix index (u32, big-endian), then xor the digest of each key:
 *                mix name, then value
 */
import { createHash } from 'node:crypto'
import { intsetCount, intsetGet } from '../protocol/rdb/intset.js'
import { lpFirst, lpGet, lpIsEnd, lpNext } from '../protocol/rdb/listpack.js'
import { MAX_NUMBER_TEXT, writeShortest } from '../protocol/number.js'
import { parseScore } from '../protocol/rdb/score.js'
import type { ListValue, TableSource, Value } from '../protocol/rdb/value.js'
import { Slice } from '../protocol/slice.js'
import { UINT64_MAX } from '../protocol/uint64.js'
import type { Ref } from '../src/keyspace/arena.js'
import type { Database } from '../src/keyspace/database.js'
import type { LargeStream } from '../src/keyspace/stream.js'
import { StreamCursor } from '../src/keyspace/stream-cursor.js'
import { StreamId } from '../src/keyspace/stream-id.js'
import { STREAM } from '../src/keyspace/types.js'
import { valueOf } from '../src/keyspace/values.js'

const BYTES = 20
const EXPIRES = Buffer.from('!!expire!!')

export class Digest {
  readonly bytes = Buffer.alloc(BYTES)

  xor(bytes: Buffer): void {
    const hash = sha1(bytes)
    for (let i = 0; i < BYTES; i++) this.bytes[i] ^= hash[i]
  }

  mix(bytes: Buffer): void {
    this.xor(bytes)
    sha1(this.bytes).copy(this.bytes)
  }

  /** Folds in a number as C holds it in network order. */
  mixNumber(value: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    this.mix(bytes)
  }

  get hex(): string {
    return this.bytes.toString('hex')
  }
}

function sha1(bytes: Buffer): Buffer {
  return createHash('sha1').update(bytes).digest()
}

/** The digest of all databases. */
export function datasetDigest(databases: readonly Database[]): string {
  const digest = new Digest()
  const name = new Slice()
  for (const db of databases) {
    if (db.size === 0) continue
    digest.mixNumber(db.index)
    for (let position = 0; position < db.positions; position++) {
      const ref = db.refAtPosition(position)
      if (ref === 0) continue
      const one = new Digest()
      one.mix(db.keyAt(ref, name).view())
      mixValue(one, db, ref)
      digest.xor(one.bytes)
    }
  }
  return digest.hex
}

/** Folds the value of a key in. */
export function mixValue(digest: Digest, db: Database, ref: Ref): void {
  const type = db.typeOf(ref)
  digest.mixNumber(type)
  if (type === STREAM) mixStream(digest, db.objectOf(ref) as LargeStream)
  else mixElements(digest, valueOf(db, ref))
  if (db.expiryOf(ref) !== Infinity) digest.xor(EXPIRES)
}

function mixElements(digest: Digest, value: Value): void {
  if (value.type === 'string') return digest.mix(value.bytes)
  if (value.type === 'list') return mixList(digest, value)
  if (value.type === 'stream') return
  if (value.encoding === 'table') return mixTable(digest, value.type, value.table)
  if (value.encoding === 'intset') {
    const member = new Slice()
    const text = Buffer.alloc(24)
    for (let i = 0; i < intsetCount(value.blob, 0); i++) digest.xor(intsetGet(value.blob, 0, i, member, text).view())
    return
  }
  const blob = value.blob
  const first = new Slice()
  const second = new Slice()
  for (let at = lpFirst(blob, 0); !lpIsEnd(blob, at); at = lpNext(blob, at)) {
    lpGet(blob, at, first)
    if (value.type === 'set') {
      digest.xor(first.view())
      continue
    }
    at = lpNext(blob, at)
    lpGet(blob, at, second)
    xorPair(digest, first.view(), value.type === 'hash' ? second.view() : scoreText(parseScore(second)))
    if (value.encoding === 'listpack-ttl') at = lpNext(blob, at)
  }
}

function mixList(digest: Digest, value: ListValue): void {
  if (value.encoding === 'table') {
    while (value.table.next()) digest.mix(value.table.first.view())
    return
  }
  const element = new Slice()
  for (const { packed, data } of value.nodes) {
    if (!packed) digest.mix(data)
    else for (let at = lpFirst(data, 0); !lpIsEnd(data, at); at = lpNext(data, at)) digest.mix(lpGet(data, at, element).view())
  }
}

function mixTable(digest: Digest, type: 'set' | 'hash' | 'zset', table: TableSource): void {
  while (table.next()) {
    if (type === 'set') digest.xor(table.first.view())
    else xorPair(digest, table.first.view(), type === 'hash' ? table.second.view() : scoreText(table.score))
  }
}

function xorPair(digest: Digest, name: Buffer, value: Buffer): void {
  const pair = new Digest()
  pair.mix(name)
  pair.mix(value)
  digest.xor(pair.bytes)
}

function scoreText(score: number): Buffer {
  const text = Buffer.alloc(MAX_NUMBER_TEXT)
  return text.subarray(0, writeShortest(score, text, 0))
}

function mixStream(digest: Digest, stream: LargeStream): void {
  const cursor = new StreamCursor().start(stream, new StreamId(), new StreamId(UINT64_MAX, UINT64_MAX), false)
  const field = new Slice()
  const value = new Slice()
  while (cursor.next()) {
    digest.mix(Buffer.from(`${cursor.ms}.${cursor.seq}`))
    for (let i = 0; i < cursor.fieldCount; i++) {
      cursor.nextField(field, value)
      digest.mix(field.view())
      digest.mix(value.view())
    }
  }
}

