/**
 * The 80-bit extended floating point of x86, which INCRBYFLOAT and HINCRBYFLOAT calculate in.
 *
 * A number is ±mantissa x 2^exponent with a mantissa of at most 64 bits:
 *
 *   normal      2^63 <= mantissa < 2^64, -16445 <= exponent <= 16320
 *   subnormal   0 < mantissa < 2^63, exponent = -16445
 *   zero        mantissa = 0, either sign
 *
 * Results are rounded to the nearest representable number, ties to the even mantissa, from the exact value:
 * text, sum and output are calculated in whole numbers (bigint) and rounded once.
 */
import { Slice } from './slice.js'

const MANTISSA_BITS = 64
const MIN_EXPONENT = -16445
const MAX_EXPONENT = 16320

/** The longest text that the servers try to read as a number, in bytes. */
const MAX_TEXT = 5 * 1024 - 1
/** Decimals in the output, before zeros at the end are dropped. */
const DECIMALS = 17
const TEN_TO_DECIMALS = 10n ** BigInt(DECIMALS)

/** What a calculation may come to: a finite number, an infinity, or (infinity minus infinity) no number. */
export interface LongDouble {
  readonly kind: 'finite' | 'infinite' | 'nan'
  readonly negative: boolean
  readonly mantissa: bigint
  readonly exponent: number
}

const NAN: LongDouble = { kind: 'nan', negative: false, mantissa: 0n, exponent: 0 }

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i
const INFINITY = /^([+-]?)inf(?:inity)?$/i

/**
 * Reads what C's strtold reads, all of it: decimal or hexadecimal, with or without exponent, `inf`,
 * `infinity`. `undefined` for anything else: NaN, space around, empty or overlong text, and numbers too large
 * or too small to be represented.
 */
export function parseLongDouble(text: Slice): LongDouble | undefined {
  const length = text.length
  if (length === 0 || length > MAX_TEXT) return undefined
  const string = text.latin1()

  let match = DECIMAL.exec(string)
  if (match) {
    const fraction = match[3] ?? ''
    const digits = match[2] + fraction
    if (digits === '') return undefined
    const whole = BigInt(digits)
    return inRange(whole, fromDecimal(match[1] === '-', whole, Number(match[4] ?? 0) - fraction.length))
  }

  match = HEXADECIMAL.exec(string)
  if (match) {
    const fraction = match[3] ?? ''
    const digits = match[2] + fraction
    if (digits === '') return undefined
    const whole = BigInt(`0x${digits}`)
    return inRange(whole, fromBinary(match[1] === '-', whole, Number(match[4] ?? 0) - 4 * fraction.length, false))
  }

  match = INFINITY.exec(string)
  return match ? infinity(match[1] === '-') : undefined
}

/** A double as a long double: always exact. (GEOPOS shows coordinates with `formatLongDouble`.) */
export function toLongDouble(d: number): LongDouble {
  if (Number.isNaN(d)) return NAN
  const negative = d < 0 || Object.is(d, -0)
  if (!Number.isFinite(d)) return infinity(negative)
  const bits = new BigUint64Array(Float64Array.of(d).buffer)[0]
  const biased = Number((bits >> 52n) & 0x7ffn)
  const fraction = bits & 0xfffffffffffffn
  return biased === 0 ? fromBinary(negative, fraction, -1074, false) : fromBinary(negative, fraction | (1n << 52n), biased - 1075, false)
}

/** The sum, rounded once. */
export function addLongDouble(a: LongDouble, b: LongDouble): LongDouble {
  if (a.kind === 'nan' || b.kind === 'nan') return NAN
  if (a.kind === 'infinite') return b.kind === 'infinite' && a.negative !== b.negative ? NAN : a
  if (b.kind === 'infinite') return b
  const exponent = Math.min(a.exponent, b.exponent)
  const sum = signedMantissa(a, exponent) + signedMantissa(b, exponent)
  // Rounding to nearest gives +0 for x + -x, and -0 only for -0 + -0.
  if (sum === 0n) return zero(a.negative && b.negative)
  const negative = sum < 0n
  return fromBinary(negative, negative ? -sum : sum, exponent, false)
}

/**
 * The number as the servers show it: 17 decimals, rounded from the exact value, without zeros at the end;
 * never an exponent.
 */
export function formatLongDouble(x: LongDouble): string {
  if (x.kind === 'nan') return 'nan'
  if (x.kind === 'infinite') return x.negative ? '-inf' : 'inf'
  let scaled = x.mantissa * TEN_TO_DECIMALS
  if (x.exponent >= 0) scaled <<= BigInt(x.exponent)
  else scaled = shiftRightToEven(scaled, -x.exponent, false)

  const digits = scaled.toString().padStart(DECIMALS + 1, '0')
  const whole = digits.slice(0, -DECIMALS)
  let stop = digits.length
  while (stop > whole.length && digits.charCodeAt(stop - 1) === 48) stop--
  const text = stop === whole.length ? whole : `${whole}.${digits.slice(whole.length, stop)}`
  return x.negative && text !== '0' ? `-${text}` : text
}

function infinity(negative: boolean): LongDouble {
  return { kind: 'infinite', negative, mantissa: 0n, exponent: 0 }
}

/** Refuses, as strtold's range error does, a number that became infinite, or zero though `digits` is not. */
function inRange(digits: bigint, x: LongDouble): LongDouble | undefined {
  return x.kind === 'infinite' || (x.mantissa === 0n && digits !== 0n) ? undefined : x
}

/** ±whole x 10^exponent, rounded. */
function fromDecimal(negative: boolean, whole: bigint, exponent: number): LongDouble {
  if (whole === 0n) return zero(negative)
  // Decide the hopeless cases before a power of ten is calculated: 10^4933 overflows, 10^-4952 vanishes.
  const magnitude = whole.toString().length + exponent
  if (magnitude > 4940) return infinity(negative)
  if (magnitude < -4960) return zero(negative)
  if (exponent >= 0) return fromBinary(negative, whole * 10n ** BigInt(exponent), 0, false)

  const divisor = 10n ** BigInt(-exponent)
  const shift = Math.max(0, MANTISSA_BITS + 2 + bitLength(divisor) - bitLength(whole))
  const dividend = whole << BigInt(shift)
  const quotient = dividend / divisor
  return fromBinary(negative, quotient, -shift, quotient * divisor !== dividend)
}

/** ±whole x 2^exponent, rounded; `inexact` says that a little more than `whole` is meant. */
function fromBinary(negative: boolean, whole: bigint, exponent: number, inexact: boolean): LongDouble {
  if (whole === 0n) return zero(negative)
  const length = bitLength(whole)
  if (length + exponent > MAX_EXPONENT + MANTISSA_BITS) return infinity(negative)
  if (length + exponent < MIN_EXPONENT - 1) return zero(negative)

  let target = Math.max(length - MANTISSA_BITS + exponent, MIN_EXPONENT)
  const drop = target - exponent
  let mantissa = drop > 0 ? shiftRightToEven(whole, drop, inexact) : whole << BigInt(-drop)
  // Rounding up may need one bit more; the bit that goes is then a zero.
  if (mantissa >> BigInt(MANTISSA_BITS) !== 0n) {
    mantissa >>= 1n
    target++
  }
  if (target > MAX_EXPONENT) return infinity(negative)
  return { kind: 'finite', negative, mantissa, exponent: target }
}

function zero(negative: boolean): LongDouble {
  return { kind: 'finite', negative, mantissa: 0n, exponent: MIN_EXPONENT }
}

function signedMantissa(x: LongDouble, exponent: number): bigint {
  const mantissa = x.mantissa << BigInt(x.exponent - exponent)
  return x.negative ? -mantissa : mantissa
}

/** `whole` / 2^bits, to the nearest, ties to even; `inexact` breaks a tie upwards. */
export function shiftRightToEven(whole: bigint, bits: number, inexact: boolean): bigint {
  const shift = BigInt(bits)
  const quotient = whole >> shift
  const rest = whole - (quotient << shift)
  const half = 1n << (shift - 1n)
  if (rest > half || (rest === half && (inexact || (quotient & 1n) === 1n))) return quotient + 1n
  return quotient
}

/** The number of bits of a positive x. */
export function bitLength(x: bigint): number {
  const hex = x.toString(16)
  return 4 * (hex.length - 1) + (32 - Math.clz32(parseInt(hex[0], 16)))
}
