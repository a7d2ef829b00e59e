/**
 * DUMP payloads: from a key's value to the bytes of DUMP, and from RESTORE's bytes to a key.
 *
 * A value of a few kilobytes is written and read at once. A large one goes in pieces: `LargePayload` first
 * measures (a RESTORE must announce its length), then writes, and holds no more than a piece at a time.
 *
 * RESTORE checks the footer and the whole structure before anything changes, whatever the size. A large
 * table is then kept as the payload it came in (`LazyPayload`): most keys that are moved are moved on, or
 * read once much later, and a payload nobody looked into is sent again as it is.
 */
import { Crc64 } from '../../protocol/crc64.js'
import { decode, isPacked, isTable, readPacked } from '../../protocol/rdb/decode.js'
import { encodeBody, encodePayload, encodeSteps, measureSteps, typeFor } from '../../protocol/rdb/encode.js'
import { RdbError } from '../../protocol/rdb/error.js'
import { RdbInput } from '../../protocol/rdb/input.js'
import { lengthBytes, writeLength } from '../../protocol/rdb/length.js'
import { RdbOutput } from '../../protocol/rdb/output.js'
import { checkFooter, FOOTER_BYTES, footerVersion, RDB_VERSION, readerKnows, TYPE, versionCarries, writeFooter } from '../../protocol/rdb/payload.js'
import { readString, StringScratch, stringLength, writeString } from '../../protocol/rdb/string.js'
import { TableVerifier } from '../../protocol/rdb/table.js'
import type { TableSource } from '../../protocol/rdb/value.js'
import { isWhole } from '../../protocol/resp/request.js'
import { Slice } from '../../protocol/slice.js'
import type { Ref } from './arena.js'
import type { Database, LazyPayload } from './database.js'
import { loadPacked, loadOldForm, loadValue, SlicedLoad, type KeyspaceLimits } from './load.js'
import { HASH, HASHTABLE, INTSET, LIST, RAW, SET, SKIPLIST, STRING, ZSET, isBytesEncoding, type Encoding, type LargeValue, type ValueType } from './types.js'
import { encodingOfString } from './string.js'
import { tableEncoderOf, valueOf } from './values.js'

/** Values up to here are encoded in one go; larger ones in pieces. */
const SMALL_PAYLOAD_BYTES = 65536
/** Table payloads from here on are kept as they came. */
const LAZY_BYTES_MIN = 4096
/** What one piece of a large payload holds, about. */
const PIECE_BYTES = 131072
/** Room behind that for the element which completes a piece. */
const PIECE_ROOM_BYTES = 32768
/** A string as large as this is not copied out of the buffer it came in. */
const ADOPT_BYTES_MIN = 65536

export interface PayloadOptions {
  readonly version: number
  readonly compressed: boolean
}

const bytes = Slice.scratch()

// ------------------------------------------------------------------------------------------------ writing

/** The whole payload of a value, as DUMP answers it. */
export function dumpPayload(db: Database, ref: Ref, options: PayloadOptions): Buffer {
  const lazy = db.lazyOf(ref)
  if (lazy !== undefined && lazy.version === options.version) return lazy.payload
  return encodePayload(valueOf(db, ref), options)
}

/** The type byte of a packed value or string, or -1 when the version has no such form. */
function bytesType(type: ValueType, encoding: Encoding, version: number): number {
  const form =
    type === STRING ? TYPE.STRING
    : type === HASH ? TYPE.HASH_LISTPACK
    : type === ZSET ? TYPE.ZSET_LISTPACK
    : type === LIST ? TYPE.LIST_QUICKLIST_2
    : encoding === INTSET ? TYPE.SET_INTSET : TYPE.SET_LISTPACK
  return versionCarries(version, form) && version < 80 ? form : -1
}

/**
 * The length of a small value's payload when it can be written by `writeSmallPayload`, else 0: large
 * values, objects, and forms that the version does not have.
 */
export function smallPayloadBytes(db: Database, ref: Ref, version: number): number {
  const encoding = db.encodingOf(ref)
  smallForm = isBytesEncoding(encoding) ? bytesType(db.typeOf(ref), encoding, version) : -1
  if (smallForm < 0) return encodeAside(db, ref, version)
  db.bytesOf(ref, bytes)
  if (bytes.end - bytes.start > SMALL_PAYLOAD_BYTES) return 0
  return 1 + (smallForm === TYPE.LIST_QUICKLIST_2 ? 2 : 0) + stringLength(bytes) + FOOTER_BYTES
}

/** The type byte of what `smallPayloadBytes` measured last (its bytes are in `bytes`), or -1 when it stands aside. */
let smallForm = -1

/** Where small values that are not one run of bytes are encoded while their length is asked for. */
const aside = new RdbOutput(SMALL_PAYLOAD_BYTES)

/** Encodes a value of moderate size once, to be copied by `writeSmallPayload`. Returns the payload's length. */
function encodeAside(db: Database, ref: Ref, version: number): number {
  aside.pos = 0
  const lazy = db.lazyOf(ref)
  if (lazy !== undefined) {
    if (lazy.payload.length > SMALL_PAYLOAD_BYTES) return 0
  } else if (isBytesEncoding(db.encodingOf(ref))) {
    if (db.bytesLength(ref) > SMALL_PAYLOAD_BYTES) return 0
  } else if (db.objectOf(ref).bytes > SMALL_PAYLOAD_BYTES * 2) return 0
  const value = valueOf(db, ref)
  const type = typeFor(value, version)
  aside.byte(type)
  encodeBody(value, type, aside, { version, compressed: false })
  return aside.pos > SMALL_PAYLOAD_BYTES ? 0 : aside.pos + FOOTER_BYTES
}

/** Writes the payload that `smallPayloadBytes` has just measured, uncompressed, and returns the position after it. */
export function writeSmallPayload(version: number, out: Buffer, pos: number): number {
  if (smallForm < 0) return writeFooter(out, pos, pos + aside.buf.copy(out, pos, 0, aside.pos), version)
  let at = pos
  out[at++] = smallForm
  if (smallForm === TYPE.LIST_QUICKLIST_2) {
    out[at++] = 1
    out[at++] = 2
  }
  return writeFooter(out, pos, writeString(bytes, out, at, false), version)
}

/** A payload in pieces: `measure` until it tells the length, then `pieces` one after the other. */
export class LargePayload {
  readonly #crc = new Crc64()
  /** A payload that is there already. Kept: a reader may have it decoded between measuring and writing. */
  readonly #whole: Buffer | undefined

  constructor(
    readonly db: Database,
    readonly ref: Ref,
    readonly version: number,
  ) {
    const lazy = db.lazyOf(ref)
    if (lazy !== undefined && lazy.version <= version && versionCarries(version, lazy.payload[0])) this.#whole = lazy.payload
  }

  /** Yields between pieces of work; returns the payload's length in bytes. */
  *measure(): Generator<void, number, void> {
    if (this.#whole !== undefined) return this.#whole.length
    if (this.db.typeOf(this.ref) === STRING) {
      const length = this.db.bytesLength(this.ref)
      return 1 + lengthBytes(length) + length + FOOTER_BYTES
    }
    const encoder = tableEncoderOf(this.db, this.ref)
    if (encoder !== undefined) return 1 + encoder.bytes + FOOTER_BYTES
    const value = valueOf(this.db, this.ref)
    const type = typeFor(value, this.version)
    const options = { version: this.version, compressed: false }
    return 1 + (yield* measureSteps(value, type, options, PIECE_BYTES)) + FOOTER_BYTES
  }

  /**
   * The payload's bytes in order; each piece is good until the next is asked for, or until the key changes.
   * Who still needs a piece by then passes true to `next`: its memory is not written again.
   */
  *pieces(): Generator<Buffer, void, boolean> {
    const whole = this.#whole
    if (whole !== undefined) {
      for (let at = 0; at < whole.length; at += PIECE_BYTES) yield whole.subarray(at, at + PIECE_BYTES)
      return
    }
    if (this.db.typeOf(this.ref) === STRING) yield* this.#stringPieces()
    else yield* this.#valuePieces()
    yield this.#footer()
  }

  *#stringPieces(): Generator<Buffer, void, boolean> {
    const value = this.db.bytesOf(this.ref, new Slice())
    const head = Buffer.allocUnsafeSlow(10)
    head[0] = TYPE.STRING
    yield this.#summed(head.subarray(0, writeLength(value.length, head, 1)))
    for (let at = value.start; at < value.end; at += PIECE_BYTES)
      yield this.#summed(value.buf.subarray(at, Math.min(at + PIECE_BYTES, value.end)))
  }

  *#valuePieces(): Generator<Buffer, void, boolean> {
    const encoder = tableEncoderOf(this.db, this.ref)
    const value = valueOf(this.db, this.ref)
    const type = typeFor(value, this.version)
    const out = new RdbOutput(PIECE_BYTES + PIECE_ROOM_BYTES)
    out.byte(type)
    const steps = encodeSteps(value, type, out, { version: this.version, compressed: false }, PIECE_BYTES)
    for (;;) {
      const more = encoder !== undefined ? encoder.write(out, PIECE_BYTES) : steps.next().done !== true
      if (out.pos > 0) {
        const isKept = yield this.#summed(out.buf.subarray(0, out.pos))
        if (isKept && more) out.buf = Buffer.allocUnsafeSlow(PIECE_BYTES + PIECE_ROOM_BYTES)
        out.pos = 0
      }
      if (!more) return
    }
  }

  #summed(piece: Buffer): Buffer {
    this.#crc.update(piece, 0, piece.length)
    return piece
  }

  #footer(): Buffer {
    const footer = Buffer.allocUnsafeSlow(FOOTER_BYTES)
    footer.writeUInt16LE(this.version, 0)
    this.#crc.update(footer, 0, 2)
    this.#crc.write(footer, 2)
    return footer
  }
}

// ------------------------------------------------------------------------------------------------ reading

/** A payload that is good, and how to store it under a key that does not exist. */
export type Verified = (db: Database, key: Slice) => Ref

export type Verdict = Verified | 'footer' | 'data'

/** Elements that one turn of a sliced check looks at: about a millisecond. */
export const ELEMENTS_PER_TURN = 16384

const scratch = new StringScratch()
const text = Slice.scratch()

/**
 * Checks a RESTORE payload to the last byte. `slow` is handed a check that would take long, to be stepped
 * until it is done; without it the check is made at once. The payload's bytes must stay until it is stored.
 */
export function verifyPayload(
  payload: Slice, limits: KeyspaceLimits, skipChecksum = false, accept?: (version: number) => boolean,
): Verdict | SlicedCheck {
  const { buf, start, end } = payload
  if (checkFooter(buf, start, end, accept, skipChecksum) !== 'ok') return 'footer'
  const type = buf[start]
  const version = Math.max(RDB_VERSION, footerVersion(buf, end))
  if (!readerKnows(version, type)) return 'data'
  try {
    if (type === TYPE.STRING) return verifiedString(payload)
    if (isPacked(type)) {
      const blob = readPacked(type, new RdbInput(buf, start + 1, end), text, scratch)
      return (db, key) => loadPacked(db, key, type, blob, limits)
    }
    if (isTable(type) && type !== TYPE.LIST && end - start >= LAZY_BYTES_MIN) return new SlicedCheck(payload, version, limits)
    const value = decode(type, buf, start + 1, end, version)
    if ('table' in value) {
      if (type === TYPE.LIST) walk(value.table)
      else if (!new TableVerifier(type, buf, start + 1, end, version).step(Infinity)) return 'data'
    }
    return (db, key) => loadOldForm(db, key, type, value, limits) ?? loadValue(db, key, value, limits)
  } catch (error) {
    if (error instanceof RdbError) return 'data'
    throw error
  }
}

/** Reads a table to its end and goes back. Throws RdbError when an element is corrupt. */
function walk(table: TableSource): void {
  for (let more = true; more; ) more = table.next()
  table.rewind()
}

function verifiedString(payload: Slice): Verified {
  const input = new RdbInput(payload.buf, payload.start + 1, payload.end)
  const value = readString(input, text, scratch)
  const { buf, start, end } = value
  if (end - start >= ADOPT_BYTES_MIN) {
    const own = isWhole(payload) && buf === payload.buf
    const kept = own ? new Slice(buf, start, end) : new Slice(value.copy())
    return (db, key) => db.setOwnBytes(key, STRING, RAW, kept)
  }
  return (db, key) => db.setBytes(key, STRING, encodingOfString(value), value)
}

/** The deep check of a large table, in slices. */
export class SlicedCheck {
  readonly #verifier: TableVerifier
  readonly #type: number

  /** The payload in a buffer of its own: the check may outlive the command that brought it. */
  readonly payload: Slice

  /** Throws RdbError when the head of the table is corrupt. */
  constructor(
    payload: Slice,
    readonly version: number,
    readonly limits: KeyspaceLimits,
  ) {
    this.payload = isWhole(payload) ? new Slice(payload.buf) : new Slice(payload.copy())
    const { buf, end } = this.payload
    this.#type = buf[0]
    this.#verifier = new TableVerifier(this.#type, buf, 1, end, version)
  }

  /** Checks up to `elements` more; the verdict once it is done. */
  step(elements: number): Verdict | undefined {
    try {
      if (!this.#verifier.step(elements)) return undefined
    } catch (error) {
      if (error instanceof RdbError) return 'data'
      throw error
    }
    const { payload, version, limits } = this
    const type = this.#type
    const value = decode(type, payload.buf, 1, payload.end, version)
    if (!('table' in value) || !staysTable(type, value.table.count, limits))
      return (db, key) => loadValue(db, key, value, limits)
    const lazy: LazyPayload = {
      payload: payload.buf, version: footerVersion(payload.buf, payload.end), size: value.table.count,
    }
    const [valueType, encoding] = TABLE_FORMS[type]
    return (db, key) => db.setLazy(key, valueType, encoding, lazy)
  }
}

const TABLE_FORMS: Record<number, readonly [ValueType, Encoding]> = {
  [TYPE.SET]: [SET, HASHTABLE],
  [TYPE.HASH]: [HASH, HASHTABLE],
  [TYPE.ZSET]: [ZSET, SKIPLIST],
  [TYPE.ZSET_TEXT]: [ZSET, SKIPLIST],
}

/** Whether so many elements are a table for certain, whatever their sizes. */
function staysTable(type: number, count: number, limits: KeyspaceLimits): boolean {
  if (type === TYPE.HASH) return count > limits.hashMaxListpackEntries
  if (type === TYPE.SET) return count > limits.setMaxIntsetEntries && count > limits.setMaxListpackEntries
  return type in TABLE_FORMS && count > limits.zsetMaxListpackEntries
}

/** Decodes a payload that was kept as it came. */
export function materialise(type: ValueType, lazy: LazyPayload): LargeValue {
  return slicedLoad(type, lazy).step(Infinity) as LargeValue
}

/** The same in slices. */
function slicedLoad(type: ValueType, lazy: LazyPayload): SlicedLoad {
  const value = decode(lazy.payload[0], lazy.payload, 1, lazy.payload.length, Math.max(RDB_VERSION, lazy.version))
  if (!('table' in value)) throw new Error('a payload kept as it came is not a table')
  return new SlicedLoad(type, value.table)
}
