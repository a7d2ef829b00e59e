/**
 * Fingerprints of entries. What a server gives back need not be the bytes it was given: another version, another encoding, an
 * envelope, its own order of members. The digest is of what is held, as DEBUG DIGEST-VALUE has it, so that it is the same
 * then. Behind it is one of the expiry times of fields, where there are any. What streams carry in newer versions only is not seen.
 */
import { createHash } from 'node:crypto'
import { contentOf, sameExpiry } from '../backends/convert.js'
import { encodePayload } from '../../protocol/rdb/encode.js'
import { RdbError } from '../../protocol/rdb/error.js'
import { decodePayload, rowsOf } from '../../protocol/rdb/same-value.js'
import type { HashValue } from '../../protocol/rdb/value.js'
import { Slice } from '../../protocol/slice.js'
import { Digest, valueDigest } from '../keyspace/digest.js'
import type { Fingerprint } from '../transfer/fingerprint.js'
import type { Entry } from '../transfer/store.js'

/** The oldest version that is written: every server keeps what is in it. */
const STREAM_VERSION = 9

export function fingerprintOf(entry: Entry): Fingerprint {
  const { form, value, expiresAtMs } = contentOf(entry)
  return { digest: form === 'raw' ? valueDigest({ type: 'string', bytes: value }) : payloadDigest(value), expiresAtMs }
}

function payloadDigest(payload: Buffer): string {
  const value = decodePayload(payload)
  try {
    if (value?.type === 'hash') return valueDigest(value) + fieldTimesDigest(value)
    if (value !== undefined) return value.type === 'stream' ? sha1(encodePayload(value, { version: STREAM_VERSION, compressed: false })) : valueDigest(value)
  } catch (error) {
    // Elements of a table are checked as they are pulled.
    if (!(error instanceof RdbError)) throw error
  }
  return sha1(payload)
}

/** Of which fields expire when, in any order; nothing when none does. */
function fieldTimesDigest(value: HashValue): string {
  if (value.encoding === 'table' ? !value.table.hasExpiry : value.encoding !== 'listpack-ttl') return ''
  if (value.encoding === 'table') value.table.rewind()
  const digest = new Digest()
  let isEmpty = true
  for (const [field, , expireMs] of rowsOf(value)) {
    if (expireMs === 0) continue
    digest.xor(Slice.from(`${expireMs} ${field}`))
    isEmpty = false
  }
  return isEmpty ? '' : digest.hex
}

const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex')

/** Whether the fingerprint may be that of this entry; expiry times may be `toleranceMs` apart. */
export function fits(print: Fingerprint, entry: Entry, toleranceMs: number): boolean {
  const other = fingerprintOf(entry)
  return print.digest === other.digest && sameExpiry(print, other, toleranceMs)
}
