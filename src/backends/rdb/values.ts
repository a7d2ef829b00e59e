/**
 * Values between a file and a payload: the same type byte and body where both sides know the form, decoded and encoded
 * again where they do not.
 *
 *     file:    type | key | body                        version in the file's magic
 *     payload: type | body | version | checksum
 *
 * Every body is checked to its last byte on the way, in both directions: a server that loads a file with one bad value
 * does not start.
 */
import { decode, requireValid } from '../../../protocol/rdb/decode.js'
import { encodePayload } from '../../../protocol/rdb/encode.js'
import { RdbError } from '../../../protocol/rdb/error.js'
import { RdbInput } from '../../../protocol/rdb/input.js'
import { FOOTER_BYTES, RDB_VERSION, TYPE, checkFooter, familyOf, footerVersion, versionCarries, writeFooter } from '../../../protocol/rdb/payload.js'
import { skipBody } from '../../../protocol/rdb/skip.js'
import { Slice } from '../../../protocol/slice.js'
import type { Value } from '../../../protocol/rdb/value.js'
import { EntryError, type Entry } from '../../transfer/store.js'

/** Types from here on are numbered by Redis and Valkey each for themselves. */
const FIRST_OF_FAMILY = TYPE.HASH_TTL_VALKEY
/** Forms with listpacks in them, in which Valkey 9 counts some element sizes in another way. */
const WITH_LISTPACKS: readonly number[] = [
  TYPE.HASH_LISTPACK, TYPE.ZSET_LISTPACK, TYPE.LIST_QUICKLIST_2, TYPE.SET_LISTPACK, TYPE.STREAM_1, TYPE.STREAM_2, TYPE.STREAM_3,
]

/**
 * The payload of a value in a file of this version, or undefined for a collection without elements, which servers leave
 * out. Its version is at most 11, but for hashes whose fields expire: those have the version of their family, 12 or 80.
 * Throws RdbError.
 */
export function payloadOfBody(type: number, body: Slice, fileVersion: number): Buffer | undefined {
  const { buf, start, end } = body
  try {
    if (type >= FIRST_OF_FAMILY || (fileVersion >= 80 && WITH_LISTPACKS.includes(type))) return encodedAgain(decode(type, buf, start, end, fileVersion), fileVersion)
    requireValid(type, buf, start, end, fileVersion)
  } catch (error) {
    if (error instanceof RdbError && error.kind === 'empty') return undefined
    throw error
  }
  let version = Math.min(fileVersion, RDB_VERSION)
  while (!versionCarries(version, type)) version++
  const payload = Buffer.allocUnsafeSlow(1 + body.length + FOOTER_BYTES)
  payload[0] = type
  buf.copy(payload, 1, start, end)
  writeFooter(payload, 0, 1 + body.length, version)
  return payload
}

function encodedAgain(value: Value, fileVersion: number): Buffer {
  try {
    return encodePayload(value)
  } catch (error) {
    if (!(error instanceof RdbError) || error.kind !== 'unsupported') throw error
    return encodePayload(value, { version: familyOf(fileVersion) === 'valkey' ? 80 : 12, compressed: true })
  }
}

/** How a value goes into a file: its body as it is, or a value to encode. */
export type FileValue = { readonly type: number; readonly body: Slice } | { readonly value: Value }

/** The value of an entry for a file of this version. Throws EntryError, or RdbError when the version can not carry it. */
export function fileValueOf({ form, value }: Entry, version: number): FileValue {
  if (form === 'raw') return { value: { type: 'string', bytes: value } }
  if (checkFooter(value, 0, value.length, () => true) !== 'ok') throw new EntryError('corrupt', 'the checksum of its payload is wrong')
  const type = value[0]
  // As in RESTORE, the version of an old payload does not limit its type.
  const payloadVersion = Math.max(RDB_VERSION, footerVersion(value, value.length))
  const end = value.length - FOOTER_BYTES
  const input = new RdbInput(value, 1, end)
  skipBody(input, type, payloadVersion)
  requireValid(type, value, 1, end, payloadVersion)
  const isSameForm = familyOf(payloadVersion) === familyOf(version) || (type < FIRST_OF_FAMILY && !WITH_LISTPACKS.includes(type))
  if (isSameForm && versionCarries(version, type)) return { type, body: new Slice(value, 1, input.pos) }
  return { value: decode(type, value, 1, end, payloadVersion) }
}
