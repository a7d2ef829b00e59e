/**
 * 64-bit integers without losing a bit and without paying for it: a value is a plain number as long as it is
 * a safe integer, a bigint beyond. Each value has exactly one such form, so `===` compares values; `<` and
 * its kin compare a number with a bigint exactly.
 */
import { readInteger, writeInt64, writeInteger } from './number.js'
import type { Slice } from './slice.js'

/** An unsigned or signed 64-bit integer: number when safe, else bigint. */
export type Int64 = number | bigint

export const UINT64_MAX: Int64 = 0xffffffffffffffffn

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** The one form of this value. */
export function canonical(value: bigint): Int64 {
  return value <= MAX_SAFE && value >= -MAX_SAFE ? Number(value) : value
}

/** a + b, wrapped to unsigned 64 bits; `b` may be negative. */
export function addUint64(a: Int64, b: Int64): Int64 {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (sum >= 0 && sum <= Number.MAX_SAFE_INTEGER) return sum
  }
  return canonical(BigInt.asUintN(64, BigInt(a) + BigInt(b)))
}

/** a + b, wrapped to signed 64 bits. */
export function addInt64(a: Int64, b: Int64): Int64 {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return canonical(BigInt.asIntN(64, BigInt(a) + BigInt(b)))
}

/** a - b, wrapped to signed 64 bits. */
export function subtractInt64(a: Int64, b: Int64): Int64 {
  if (typeof a === 'number' && typeof b === 'number') {
    const difference = a - b
    if (Number.isSafeInteger(difference)) return difference
  }
  return canonical(BigInt.asIntN(64, BigInt(a) - BigInt(b)))
}

/** The signed 64-bit integer with the bits of this unsigned one. */
export function asSigned(value: Int64): Int64 {
  return typeof value === 'number' ? value : canonical(BigInt.asIntN(64, value))
}

/** The upper 32 bits. */
export function upperWord(value: Int64): number {
  return typeof value === 'number'
    ? Math.floor(value / 4294967296) >>> 0 : Number(BigInt.asUintN(32, value >> 32n))
}

/** The lower 32 bits. */
export function lowerWord(value: Int64): number {
  return typeof value === 'number' ? value >>> 0 : Number(BigInt.asUintN(32, value))
}

/** The unsigned value of two words. */
export function fromWords(upper: number, lower: number): Int64 {
  const high = upper >>> 0
  if (high < 0x200000) return high * 4294967296 + (lower >>> 0)
  return (BigInt(high) << 32n) | BigInt(lower >>> 0)
}

/** The signed value of two words. */
export function signedFromWords(upper: number, lower: number): Int64 {
  return asSigned(fromWords(upper, lower))
}

/** Writes the decimal text at `buf[pos]`; returns the position after it (20 bytes at most). */
export function writeUint64(value: Int64, buf: Buffer, pos: number): number {
  return typeof value === 'number' ? writeInteger(value, buf, pos) : writeInt64(value, buf, pos)
}

/**
 * The unsigned integer in `word`, undefined when it is none. As in the servers, what is not canonical text is
 * read as C's strtoull would: white space before it, a sign and leading zeros are allowed, and a minus wraps.
 */
export function readUint64(word: Slice): Int64 | undefined {
  const plain = readInteger(word.buf, word.start, word.end)
  if (plain >= 0) return plain
  if (plain < 0) return undefined
  const text = word.latin1()
  const match = /^[\t-\r ]*([+-]?)0*([0-9]{1,20})$/.exec(text)
  if (match === null) return undefined
  const value = BigInt(match[2])
  if (value > 0xffffffffffffffffn) return undefined
  if (match[1] !== '-') return canonical(value)
  // Canonical negative text is refused before strtoull sees it.
  if (text[0] === '-' && text[1] !== '0' && value <= 0x8000000000000000n) return undefined
  return canonical(BigInt.asUintN(64, -value))
}
