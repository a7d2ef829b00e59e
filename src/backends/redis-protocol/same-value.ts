/** Whether two entries are the same value with the same expiry time, however their payloads are written. */
import { createHash } from 'node:crypto'
import type { Value } from '../../../protocol/rdb/value.js'
import { encodePayload } from '../../../protocol/rdb/encode.js'
import { FOOTER_BYTES } from '../../../protocol/rdb/payload.js'
import { EntryError, type Entry } from '../../transfer/store.js'
import { valueOf } from './payload-versions.js'
import { elementsOf } from './value-commands.js'

/** A server that is asked for what is left of a time may be wrong by so much. */
const EXPIRY_TOLERANCE_MS = 100

/** Compares an entry with what `readEntries` found at the target. */
export function sameValue(ours: Entry, theirs: unknown): boolean {
  if (!isEntry(theirs)) return false
  if ((ours.expiresAtMs === undefined) !== (theirs.expiresAtMs === undefined)) return false
  if (Math.abs((ours.expiresAtMs ?? 0) - (theirs.expiresAtMs ?? 0)) > EXPIRY_TOLERANCE_MS) return false
  if (ours.form === 'dump' && bodyOf(ours.value).equals(bodyOf(theirs.value))) return true
  const a = ours.form === 'raw' ? ({ type: 'string', bytes: ours.value } as const) : valueOf(ours.value)
  const b = valueOf(theirs.value)
  return !(a instanceof EntryError) && !(b instanceof EntryError) && a.type === b.type && fingerprint(a) === fingerprint(b)
}

function isEntry(found: unknown): found is Entry {
  return typeof found === 'object' && found !== null && 'value' in found
}

function bodyOf(payload: Buffer): Buffer {
  return payload.subarray(0, Math.max(0, payload.length - FOOTER_BYTES))
}

/** A hash of the value that does not depend on the order of a table. */
function fingerprint(value: Value): string {
  const hash = createHash('sha1')
  if (value.type === 'string') hash.update(value.bytes)
  else if (value.type === 'stream') hash.update(encodePayload(value, { version: 11, compressed: false }))
  else {
    const elements: string[] = []
    for (const { first, second, score, expireMs } of elementsOf(value)) elements.push(createHash('sha1').update(`${first.length} ${score} ${expireMs ?? -1} `).update(first).update(second ?? '').digest('hex'))
    if (value.type !== 'list') elements.sort()
    for (const element of elements) hash.update(element)
  }
  return hash.digest('hex')
}
