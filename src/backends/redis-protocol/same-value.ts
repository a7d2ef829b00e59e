/** Whether a key at the target is as it was sent, however its payload is written there. */
import { encodePayload } from '../../../protocol/rdb/encode.js'
import { RDB_VERSION } from '../../../protocol/rdb/payload.js'
import { samePayload } from '../../../protocol/rdb/same-value.js'
import type { Entry } from '../../transfer/store.js'
import type { ReadResult } from './dump-batch.js'

/** A server that is asked for what is left of a time may be wrong by so much. */
const EXPIRY_TOLERANCE_MS = 100

/** Compares an entry with what `readEntries` found at the target: the same value, with the same expiry time. */
export function sameValue(ours: Entry, theirs: ReadResult): boolean {
  if (theirs === undefined || !('value' in theirs)) return false
  if ((ours.expiresAtMs === undefined) !== (theirs.expiresAtMs === undefined)) return false
  if (Math.abs((ours.expiresAtMs ?? 0) - (theirs.expiresAtMs ?? 0)) > EXPIRY_TOLERANCE_MS) return false
  const sent = ours.form === 'dump' ? ours.value : encodePayload({ type: 'string', bytes: ours.value }, { version: RDB_VERSION, compressed: false })
  return samePayload(sent, theirs.value)
}
