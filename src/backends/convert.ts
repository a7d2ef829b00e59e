/**
 * From what one kind of store keeps to what another kind keeps, without loss.
 *
 *     from    to      a string without expiry       everything else
 *     typed   typed   as it is                      as it is
 *     typed   bytes   raw                           in an envelope (envelope.ts), and so is a string that looks like one
 *     bytes   typed   raw                           out of the envelope again
 *     bytes   bytes   as it is                      as it is; an expiry time that the target can not keep goes into an envelope
 *
 * A string with an expiry time stays raw where the store of bytes keeps expiry times by itself.
 */
import { encodePayload } from '../../protocol/rdb/encode.js'
import { RDB_VERSION, checkFooter } from '../../protocol/rdb/payload.js'
import { decodePayload, samePayload } from '../../protocol/rdb/same-value.js'
import { EntryError, keyText, type Entry, type StoreTraits } from '../transfer/store.js'
import { closeEnvelope, isEnvelope, openEnvelope } from './envelope.js'

/** What makes an entry of a store with the traits `from` into one for a store with the traits `to`. */
export function conversion(from: StoreTraits, to: StoreTraits): (entry: Entry) => Entry | EntryError {
  if (from.typed && to.typed) return (entry) => entry
  if (to.typed) return guarded(opened)
  if (from.typed) return guarded((entry) => closed(entry, to))
  return guarded((entry) => (entry.expiresAtMs === undefined || to.expiry ? entry : closed(opened(entry), to)))
}

/** Errors of this one entry as its outcome. */
function guarded(convert: (entry: Entry) => Entry): (entry: Entry) => Entry | EntryError {
  return (entry) => {
    try {
      return convert(entry)
    } catch (error) {
      if (error instanceof EntryError) return error
      throw error
    }
  }
}

/** As a typed store takes it. */
function opened(entry: Entry): Entry {
  if (entry.form === 'dump' || !isEnvelope(entry.value)) return entry
  const { expiresAtMs, payload } = openEnvelope(entry)
  return { ...entry, form: 'dump', value: payload, expiresAtMs: expiresAtMs ?? entry.expiresAtMs }
}

/** As a store of bytes with the traits `to` takes it. */
function closed(entry: Entry, to: StoreTraits): Entry {
  const text = entry.form === 'raw' ? entry.value : stringOf(entry)
  if (text !== undefined && !isEnvelope(text) && (entry.expiresAtMs === undefined || to.expiry)) return { ...entry, form: 'raw', value: text }
  const payload = entry.form === 'dump' ? entry.value : encodePayload({ type: 'string', bytes: entry.value }, { version: RDB_VERSION, compressed: false })
  const value = closeEnvelope({ expiresAtMs: entry.expiresAtMs, payload })
  return { ...entry, form: 'raw', value, expiresAtMs: to.expiry ? entry.expiresAtMs : undefined }
}

/** The bytes of a payload that is a string; undefined for other types. Throws EntryError 'corrupt': nobody looks at it later. */
function stringOf(entry: Entry): Buffer | undefined {
  const { value } = entry
  if (checkFooter(value, 0, value.length, () => true) !== 'ok')
    throw new EntryError('corrupt', `the payload of key ${keyText(entry.key)} is damaged: its checksum is wrong`)
  if (value[0] !== 0) return undefined
  const decoded = decodePayload(value)
  if (decoded?.type !== 'string') throw new EntryError('corrupt', `the payload of key ${keyText(entry.key)} is damaged: it is no string, though it says so`)
  return decoded.bytes
}

/**
 * Whether two entries are the same: equal values, however they are encoded, in whatever version and form (an envelope is
 * what it holds), and expiry times at most `toleranceMs` apart. Keys are not compared. `typed`: as a store of types has
 * them, to which an envelope is a string like any other.
 */
export function sameEntry(a: Entry, b: Entry, toleranceMs = 0, typed = false): boolean {
  if (a.form === b.form && a.value.equals(b.value) && sameExpiry(a, b, toleranceMs)) return true
  const left = typed ? a : contentOf(a)
  const right = typed ? b : contentOf(b)
  if (!sameExpiry(left, right, toleranceMs)) return false
  if (left.form === 'dump' && right.form === 'dump') return samePayload(left.value, right.value)
  const leftText = textOf(left)
  const rightText = textOf(right)
  return leftText !== undefined && rightText !== undefined && leftText.equals(rightText)
}

/** Whether both expire, at most `toleranceMs` apart, or neither. */
export function sameExpiry(a: Pick<Entry, 'expiresAtMs'>, b: Pick<Entry, 'expiresAtMs'>, toleranceMs: number): boolean {
  if (a.expiresAtMs === undefined || b.expiresAtMs === undefined) return a.expiresAtMs === b.expiresAtMs
  return Math.abs(a.expiresAtMs - b.expiresAtMs) <= toleranceMs
}

/** The entry out of its envelope; a damaged envelope is the bytes it consists of. */
export function contentOf(entry: Entry): Entry {
  const content = guarded(opened)(entry)
  return content instanceof EntryError ? entry : content
}

/** The bytes of a string, whichever form it is in; undefined for what is none. */
export function textOf(entry: Entry): Buffer | undefined {
  if (entry.form === 'raw') return entry.value
  const decoded = entry.value[0] === 0 ? decodePayload(entry.value) : undefined
  return decoded?.type === 'string' ? decoded.bytes : undefined
}
