/**
 * DEBUG DIGEST and DEBUG DIGEST-VALUE: Valkey's fingerprints of the data, to compare servers with.
 *
 * `mix` and `xor`, and what is done with the elements, stand in keyspace/digest.ts.
 *
 *     value      mix type (u32, big-endian)
 *                the elements; stream: per entry: mix "ms.seq", then mix each field and value
 *                with an expiry: xor "!!expire!!"
 *     data set   per database that has keys: mix index (u32, big-endian), then xor the digest of each key:
 *                mix name, then value
 */
import { Slice } from '../protocol/slice.js'
import { UINT64_MAX } from '../protocol/uint64.js'
import type { Ref } from '../src/keyspace/arena.js'
import type { Database } from '../src/keyspace/database.js'
import { Digest, mixElements } from '../src/keyspace/digest.js'
import type { LargeStream } from '../src/keyspace/stream.js'
import { StreamCursor } from '../src/keyspace/stream-cursor.js'
import { StreamId } from '../src/keyspace/stream-id.js'
import { STREAM } from '../src/keyspace/types.js'
import { valueOf } from '../src/keyspace/values.js'

const EXPIRES = Slice.from('!!expire!!')

/** The digest of all databases. */
export function datasetDigest(databases: readonly Database[]): string {
  const digest = new Digest()
  const name = new Slice()
  for (const db of databases) {
    if (db.size === 0) continue
    mixNumber(digest, db.index)
    for (let position = 0; position < db.positions; position++) {
      const ref = db.refAtPosition(position)
      if (ref === 0) continue
      const one = new Digest()
      one.mix(db.keyAt(ref, name))
      mixValue(one, db, ref)
      digest.xorDigest(one)
    }
  }
  return digest.hex
}

/** Folds the value of a key in. */
export function mixValue(digest: Digest, db: Database, ref: Ref): void {
  const type = db.typeOf(ref)
  mixNumber(digest, type)
  if (type === STREAM) mixStream(digest, db.objectOf(ref) as LargeStream)
  else {
    const value = valueOf(db, ref)
    if (value.type !== 'stream') mixElements(digest, value)
  }
  if (db.expiryOf(ref) !== Infinity) digest.xor(EXPIRES)
}

function mixStream(digest: Digest, stream: LargeStream): void {
  const cursor = new StreamCursor().start(stream, new StreamId(), new StreamId(UINT64_MAX, UINT64_MAX), false)
  const field = new Slice()
  const value = new Slice()
  while (cursor.next()) {
    digest.mix(Slice.from(`${cursor.ms}.${cursor.seq}`))
    for (let i = 0; i < cursor.fieldCount; i++) {
      cursor.nextField(field, value)
      digest.mix(field)
      digest.mix(value)
    }
  }
}

/** Folds in a number as C holds it in network order. */
function mixNumber(digest: Digest, value: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  digest.mix(new Slice(bytes))
}
