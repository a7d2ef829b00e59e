/**
 * Fingerprints of entries. What a server gives back need not be the bytes it was given: another version, another encoding, an
 * envelope, its own order of members. The digest is of what is held, as DEBUG DIGEST-VALUE has it, so that it is the same
 * then. It does not see expiry times of fields, nor what streams carry in newer versions only.
 */
import { createHash } from 'node:crypto'
import { contentOf, sameExpiry } from '../backends/convert.js'
import { encodePayload } from '../../protocol/rdb/encode.js'
import { RdbError } from '../../protocol/rdb/error.js'
import { decodePayload } from '../../protocol/rdb/same-value.js'
import { valueDigest } from '../keyspace/digest.js'
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
    if (value !== undefined) return value.type === 'stream' ? sha1(encodePayload(value, { version: STREAM_VERSION, compressed: false })) : valueDigest(value)
  } catch (error) {
    // Elements of a table are checked as they are pulled.
    if (!(error instanceof RdbError)) throw error
  }
  return sha1(payload)
}

const sha1 = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex')

/** Whether the fingerprint may be that of this entry; expiry times may be `toleranceMs` apart. */
export function fits(print: Fingerprint, entry: Entry, toleranceMs: number): boolean {
  const other = fingerprintOf(entry)
  return print.digest === other.digest && sameExpiry(print, other, toleranceMs)
}
