/**
 * Takes keys out of an RDB file that come again later in it. In memory are eight bytes per key.
 *
 *     1. a checksum of every key, sorted: equal neighbours may be twins
 *     2. where those keys stand last
 *     3. only if there are twins: the file once more, without those that do not stand last
 */
import { createReadStream } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { Crc64 } from '../../../protocol/crc64.js'
import { RdbFileReader, acceptsKnownFiles, type KeyRecord } from '../../../protocol/rdb/file-reader.js'
import type { RdbFileWriter } from '../../../protocol/rdb/file-writer.js'

const READ_BYTES = 256 * 1024
const FLUSH_BYTES = 256 * 1024

/** Replaces the file by one without the earlier twins, when it has some. */
export async function withoutTwins(path: string, newWriter: () => RdbFileWriter): Promise<void> {
  const suspects = await sharedChecksums(path)
  if (suspects.size === 0) return
  /** Name of a suspect -> how many keys stood before the last of that name. */
  const lastOf = new Map<string, number>()
  let hasTwins = false
  for await (const [record, number] of keysOf(path)) {
    if (!suspects.has(checksum(record))) continue
    const name = nameOf(record)
    hasTwins ||= lastOf.has(name)
    lastOf.set(name, number)
  }
  if (!hasTwins) return
  const writer = newWriter()
  const file = await open(`${path}.2`, 'w')
  try {
    let db = -1
    for await (const [record, number] of keysOf(path)) {
      if (suspects.has(checksum(record)) && lastOf.get(nameOf(record)) !== number) continue
      if (record.db !== db) writer.select((db = record.db))
      writer.keyBody(record.key, record.type, record.body, { expireMs: record.expireMs })
      if (writer.pendingBytes >= FLUSH_BYTES) await file.appendFile(writer.take())
    }
    await file.appendFile(writer.end())
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.2`, path)
}

async function sharedChecksums(path: string): Promise<Set<number>> {
  let sums = new Float64Array(1024)
  let count = 0
  for await (const [record] of keysOf(path)) {
    if (count === sums.length) {
      const grown = new Float64Array(2 * count)
      grown.set(sums)
      sums = grown
    }
    sums[count++] = checksum(record)
  }
  const sorted = sums.subarray(0, count).sort()
  const shared = new Set<number>()
  for (let i = 1; i < count; i++) if (sorted[i] === sorted[i - 1]) shared.add(sorted[i])
  return shared
}

const crc = new Crc64()
const dbBytes = Buffer.alloc(4)

/** 53 bits of the key and its database. */
function checksum({ db, key }: KeyRecord): number {
  dbBytes.writeUInt32LE(db)
  crc.reset().update(dbBytes, 0, 4).update(key.buf, key.start, key.end)
  return (crc.hi >>> 0) * 0x200000 + (crc.lo >>> 11)
}

function nameOf({ db, key }: KeyRecord): string {
  return `${db}:${key.buf.latin1Slice(key.start, key.end)}`
}

async function* keysOf(path: string): AsyncGenerator<[record: KeyRecord, number: number], void, void> {
  const reader = new RdbFileReader({ accept: acceptsKnownFiles, databases: Infinity })
  let number = 0
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
    reader.push(chunk as Buffer)
    for (let record = reader.next(); record !== undefined; record = reader.next()) if (record.kind === 'key') yield [record, number++]
  }
}
