/**
 * Strings: how their bytes are held. All three encodings keep the text itself; what differs is what OBJECT
 * ENCODING answers and what a command may expect.
 *
 *     int      the canonical text of a signed 64-bit integer
 *     embstr   up to 44 bytes, as they were set
 *     raw      longer ones, and whatever was edited in place (APPEND, SETRANGE, SETBIT)
 */
import { readInt64, readInteger } from '../../protocol/number.js'
import type { Slice } from '../../protocol/slice.js'
import { EMBSTR, INT, RAW, type Encoding } from './types.js'

const EMBSTR_BYTES_MAX = 44
/** '-9223372036854775808' */
const INT_TEXT_MAX = 20

/** The encoding of a string that was set as a whole. */
export function encodingOfString(value: Slice): Encoding {
  const length = value.end - value.start
  if (length > EMBSTR_BYTES_MAX) return RAW
  return length <= INT_TEXT_MAX && isIntegerText(value, length) ? INT : EMBSTR
}

/** As `encodingOfString`, for a text that Valkey does not look at for an integer (INCRBYFLOAT's result). */
export function encodingOfText(value: Slice): Encoding {
  return value.end - value.start > EMBSTR_BYTES_MAX ? RAW : EMBSTR
}

function isIntegerText(value: Slice, length: number): boolean {
  // Sorts out most texts by one look at the last byte.
  const last = value.buf[value.end - 1]
  if (length === 0 || last < 48 || last > 57) return false
  const number = readInteger(value.buf, value.start, value.end)
  return number === number || (length >= 16 && readInt64(value.buf, value.start, value.end) !== undefined)
}
