/**
 * How a store that knows only bytes keeps what is more than bytes: values of other types than string, and expiry times.
 *
 *     offset  bytes
 *     0       C1 FF 00 6B 66        the magic. C1 and FF stand in no UTF-8 text, 00 in no other text: no text begins so
 *     5       01                    version of the envelope
 *     6       83                    msgpack: a map of three, in this order
 *     7       A4 "type"             A3..A6 and the name: string, list, set, zset, hash, stream
 *     ..      A6 "expiry"           C0 (never), or D3 and milliseconds since 1970 as int64, big-endian
 *     ..      A7 "payload"          C6, the length as uint32, big-endian, and the DUMP payload: type, body, version, CRC64
 *
 * Nothing comes behind. A reader takes any msgpack of the same map (integers and binaries of any width). The payload is what
 * RESTORE takes, so any Redis client can put it back; its checksum guards the value. A string without expiry is not put in
 * an envelope unless it begins with the magic itself.
 */
import { Packr } from 'msgpackr/pack'
import { FOOTER_BYTES, TYPE, checkFooter } from '../../protocol/rdb/payload.js'
import { EntryError, keyText, type Entry } from '../transfer/store.js'

const MAGIC = Buffer.from([0xc1, 0xff, 0x00, 0x6b, 0x66])
const VERSION = 1
/** Magic and version. */
const HEAD_BYTES = 6
const NOTHING = Buffer.alloc(0)

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'number' })

/** What an envelope holds. */
export interface Envelope {
  readonly expiresAtMs: number | undefined
  /** A DUMP payload. */
  readonly payload: Buffer
}

/** Whether these bytes begin as an envelope does. */
export function isEnvelope(value: Buffer): boolean {
  return value.length >= MAGIC.length && value[0] === MAGIC[0] && value.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) === 0
}

/** The bytes of an envelope around a payload. One copy of the payload. */
export function closeEnvelope(envelope: Envelope): Buffer {
  const { expiresAtMs, payload } = envelope
  const map = packr.pack({ type: typeName(payload[0]), expiry: expiresAtMs === undefined ? null : BigInt(Math.round(expiresAtMs)), payload: NOTHING })
  // msgpackr keeps the buffer that it grew for a large binary, so the payload is put behind by hand, in place of `C4 00`.
  const size = Buffer.from([0xc6, 0, 0, 0, 0])
  size.writeUInt32BE(payload.length, 1)
  return Buffer.concat([MAGIC, Buffer.from([VERSION]), map.subarray(0, map.length - 2), size, payload])
}

/** What an envelope holds; its payload lies in the same memory as `entry.value`. Throws EntryError 'corrupt'. */
export function openEnvelope(entry: Entry): Envelope {
  const { value } = entry
  const damaged = (what: string): EntryError => new EntryError('corrupt', `the envelope that key ${keyText(entry.key)} holds is damaged: ${what}`)
  if (value.length < HEAD_BYTES + 1) throw damaged('it ends after its magic')
  if (value[MAGIC.length] !== VERSION) throw damaged(`its version is ${value[MAGIC.length]}, only ${VERSION} is known`)
  let map: unknown
  try {
    map = packr.unpack(value.subarray(HEAD_BYTES))
  } catch (error) {
    throw damaged(`its msgpack can not be read (${(error as Error).message})`)
  }
  if (typeof map !== 'object' || map === null) throw damaged('its msgpack is no map')
  const { type, expiry, payload } = map as Record<string, unknown>
  if (!(payload instanceof Uint8Array) || payload.length <= FOOTER_BYTES) throw damaged('it holds no payload')
  if (expiry !== null && (typeof expiry !== 'number' || !Number.isSafeInteger(expiry))) throw damaged('its expiry time is no whole number')
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (checkFooter(bytes, 0, bytes.length, () => true) !== 'ok') throw damaged('the checksum of its payload is wrong')
  if (type !== typeName(bytes[0])) throw damaged(`it says ${JSON.stringify(type)} and holds a ${typeName(bytes[0])}`)
  return { expiresAtMs: expiry ?? undefined, payload: bytes }
}

/** The name of a payload's type, as TYPE answers it. */
function typeName(type: number): string {
  switch (type) {
    case TYPE.STRING:
      return 'string'
    case TYPE.LIST:
    case TYPE.LIST_ZIPLIST:
    case TYPE.LIST_QUICKLIST:
    case TYPE.LIST_QUICKLIST_2:
      return 'list'
    case TYPE.SET:
    case TYPE.SET_INTSET:
    case TYPE.SET_LISTPACK:
      return 'set'
    case TYPE.ZSET_TEXT:
    case TYPE.ZSET:
    case TYPE.ZSET_ZIPLIST:
    case TYPE.ZSET_LISTPACK:
      return 'zset'
    case TYPE.STREAM_1:
    case TYPE.STREAM_2:
    case TYPE.STREAM_3:
      return 'stream'
    case TYPE.MODULE_2:
      return 'module'
    default:
      return 'hash'
  }
}
