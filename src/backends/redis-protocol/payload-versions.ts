/**
 * Which versions of DUMP payloads a target takes, learnt from what it refuses, and payloads written again in a version
 * that it does take.
 *
 * A refusal names no version, so each version that is refused is left out from then on. A payload goes as it is as long
 * as its own version has not been refused; then it is decoded and encoded in the newest version that is left: what
 * that can not carry is an error that names it.
 */
import { RdbError } from '../../../protocol/rdb/error.js'
import { decode } from '../../../protocol/rdb/decode.js'
import { encodePayload } from '../../../protocol/rdb/encode.js'
import { FOOTER_BYTES, TYPE, checkFooter, footerVersion } from '../../../protocol/rdb/payload.js'
import type { Value } from '../../../protocol/rdb/value.js'
import { plural } from '../../transfer/plural.js'
import { EntryError, type Entry } from '../../transfer/store.js'

/** Versions we can write: those that carry field expiries first, for what has some. */
const WRITABLE = [80, 12, 11, 10, 9]
/** Every server since Redis 5 takes it, and a string is the same in all. */
const STRING_VERSION = 9

export class PayloadVersions {
  readonly #refused = new Set<number>()
  /** Strings without expiry go by SET, and several by one MSET, unless the server refuses these commands. */
  takesSet = true
  takesMset = true

  /** The target refused a payload of this version. */
  refuse(version: number): void {
    this.#refused.add(version)
  }

  /** What to send for an entry, or why it can not be sent. */
  payloadFor(entry: Entry): Buffer | EntryError {
    if (entry.form === 'raw') return encodePayload({ type: 'string', bytes: entry.value }, { version: STRING_VERSION, compressed: false })
    const { value } = entry
    if (value.length < FOOTER_BYTES + 2) return new EntryError('corrupt', `its payload is only ${value.length} ${plural(value.length, 'byte')} long`)
    if (this.#refused.size === 0 || !this.#refused.has(footerVersion(value, value.length))) return value
    return this.#converted(value)
  }

  #converted(payload: Buffer): Buffer | EntryError {
    const own = footerVersion(payload, payload.length)
    const value = valueOf(payload)
    if (value instanceof EntryError) return value
    let firstReason: string | undefined
    // A payload without field expiries loses nothing in the versions that every server takes.
    const hasFieldExpiries = value.type === 'hash' && (value.encoding === 'listpack-ttl' || (value.encoding === 'table' && value.table.hasExpiry))
    for (const version of WRITABLE) {
      if (this.#refused.has(version) || (version > 11 && (own < 12 || !hasFieldExpiries))) continue
      try {
        return encodePayload(value, { version, compressed: false })
      } catch (error) {
        if (!(error instanceof RdbError)) throw error
        if (error.kind !== 'unsupported') return new EntryError('corrupt', `its payload is damaged: ${error.message}`)
        firstReason ??= error.message
      }
    }
    return new EntryError('unsupported', firstReason ?? `the target takes no payload of a version that can be written (${WRITABLE.join(', ')})`)
  }
}

/** What a payload holds. A damaged one, or one of a kind that we do not know, is an EntryError. */
export function valueOf(payload: Buffer): Value | EntryError {
  if (!isWhole(payload)) return new EntryError('corrupt', 'the checksum of its payload is wrong')
  const type = payload[0]
  try {
    return decode(type, payload, 1, payload.length, footerVersion(payload, payload.length))
  } catch (error) {
    if (!(error instanceof RdbError)) throw error
    if (type === TYPE.MODULE_2) return new EntryError('unsupported', 'it is a value of a module, which only a server with that module can read')
    if (error.kind === 'unsupported') return new EntryError('unsupported', `its payload can not be converted: ${error.message}`)
    return new EntryError('corrupt', `its payload is damaged: ${error.message}`)
  }
}

/** Whether a payload's checksum is right. */
export function isWhole(payload: Buffer): boolean {
  return checkFooter(payload, 0, payload.length, () => true) === 'ok'
}
