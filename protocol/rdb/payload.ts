/**
 * The envelope of DUMP and RESTORE: one value, its type in front and ten bytes behind.
 *
 *     type u8 | body | version u16le | crc64 u64le over everything before it
 *
 * No key, no expiry. FUNCTION DUMP uses the same ten bytes behind its libraries. Which versions a server
 * takes is its own choice; the tables below say which types a version can carry, so that a value for an older
 * server is written in a form that server knows.
 */
import { arrivedChecksums, Crc64 } from '../crc64.js'

/** Bytes of version and checksum. */
export const FOOTER_BYTES = 10

/** RDB version of our own payloads and files: that of Valkey 8.0 and Redis 7.2. */
export const RDB_VERSION = 11

/** The versions Valkey 8.0 takes: everything up to its own, even 0, which nobody ever wrote. */
function acceptsVersion(version: number): boolean {
  return version >= 0 && version <= RDB_VERSION
}

/**
 * Checks the last ten bytes of `buf[start..end)`. A checksum of zero has no special meaning here, unlike in
 * files. `skipChecksum` leaves the checksum out but not the version.
 */
export function checkFooter(buf: Buffer, start: number, end: number, accept: (version: number) => boolean = acceptsVersion, skipChecksum = false): 'ok' | 'version-or-checksum' {
  if (end - start < FOOTER_BYTES || !accept(footerVersion(buf, end))) return 'version-or-checksum'
  if (skipChecksum) return 'ok'
  const arrived = start === 0 && end === buf.length ? arrivedChecksums.get(buf) : undefined
  const sum = arrived ?? crc.reset().update(buf, start, end - 8)
  return sum.matches(buf, end - 8) ? 'ok' : 'version-or-checksum'
}

const crc = new Crc64()

/** The version in a footer that ends at `end`. */
export function footerVersion(buf: Buffer, end: number): number {
  return buf[end - 10] | (buf[end - 9] << 8)
}

/** Writes version and checksum behind the payload `out[start..pos)` and returns the position after them. */
export function writeFooter(out: Buffer, start: number, pos: number, version: number): number {
  out[pos] = version & 255
  out[pos + 1] = version >> 8
  crc.reset()
  crc.update(out, start, pos + 2)
  crc.write(out, pos + 2)
  return pos + FOOTER_BYTES
}

/** Type bytes of values. Where two families use one number for two things, the name says whose it is. */
export const TYPE = {
  STRING: 0,
  LIST: 1,
  SET: 2,
  ZSET_TEXT: 3,
  HASH: 4,
  ZSET: 5,
  MODULE_2: 7,
  HASH_ZIPMAP: 9,
  LIST_ZIPLIST: 10,
  SET_INTSET: 11,
  ZSET_ZIPLIST: 12,
  HASH_ZIPLIST: 13,
  LIST_QUICKLIST: 14,
  STREAM_1: 15,
  HASH_LISTPACK: 16,
  ZSET_LISTPACK: 17,
  LIST_QUICKLIST_2: 18,
  STREAM_2: 19,
  SET_LISTPACK: 20,
  STREAM_3: 21,
  /** Valkey 9: hash whose fields may expire. */
  HASH_TTL_VALKEY: 22,
  /** Redis 7.4 release candidates; the number Valkey 9 uses for something else. */
  HASH_TTL_RC: 22,
  HASH_LISTPACK_TTL_RC: 23,
  /** Redis 7.4 and later. */
  HASH_TTL: 24,
  HASH_LISTPACK_TTL: 25,
} as const

/**
 * Who defines the type bytes from 22 on: Redis, for versions up to 79, or Valkey, from 80 on. The version
 * comes from the payload's footer or the file's magic.
 */
export type Family = 'redis' | 'valkey'

export function familyOf(version: number): Family {
  return version >= 80 ? 'valkey' : 'redis'
}

/** The version that introduced each type byte up to 21, for writers. 0: never written, cannot be read. */
const SINCE = [1, 1, 1, 1, 1, 8, 0, 8, 0, 2, 2, 2, 2, 4, 7, 9, 10, 10, 10, 10, 11, 11]

/** Whether a value of this type may be written into a payload or file of this version. */
export function versionCarries(version: number, type: number): boolean {
  if (type < SINCE.length) return SINCE[type] > 0 && version >= SINCE[type]
  if (familyOf(version) === 'valkey') return type === TYPE.HASH_TTL_VALKEY
  return version >= 12 && (type === TYPE.HASH_TTL || type === TYPE.HASH_LISTPACK_TTL)
}

/**
 * Whether a loader knows the type in bytes of this version. As on the servers, everything up to 21 is known
 * whatever version the bytes name; from 22 on the version says whose numbers they are. Valkey 8 (11) knows
 * none of those.
 */
export function readerKnows(version: number, type: number): boolean {
  if (type < SINCE.length) return SINCE[type] > 0
  if (familyOf(version) === 'valkey') return type === TYPE.HASH_TTL_VALKEY
  return version >= 12 && type <= TYPE.HASH_LISTPACK_TTL
}
