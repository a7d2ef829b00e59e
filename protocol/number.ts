/**
 * Numbers as text: what counts as a number in a command's argument or a stored value, and how a number is
 * written. Replies and stored bytes are compared by clients, so the texts are the servers' own.
 *
 * - Integers are canonical: an optional `-`, no leading zero, no `+`, no `-0`, no space. Text that is not
 *   canonical is not an integer, which is also what makes an encoding as integer reversible.
 * - Doubles are read as C's strtod reads them, and written as shortest decimal text (see grisu2.ts).
 */
import { digits, grisu2, result } from './grisu2.js'
import { bitLength, shiftRightToEven } from './long-double.js'

const ZERO = 48
const NINE = 57
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e

/** Exact: 10 to the 22nd is the largest power of ten that a double holds without rounding. */
const POWERS_OF_TEN = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15]

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

/** Room that is enough for any text that the write functions below produce. */
export const MAX_NUMBER_TEXT = 32

/**
 * The canonical integer `buf[start..end)` within ±(2^53 - 1), or NaN for any other text. See `readInt64` for the
 * whole 64-bit range.
 */
export function readInteger(buf: Buffer, start: number, end: number): number {
  let i = start
  const negative = i < end && buf[i] === MINUS
  if (negative) i++
  const length = end - i
  if (length <= 0 || length > 16) return NaN
  let value = buf[i] - ZERO
  if (length === 1 && !negative) return value >= 0 && value <= 9 ? value : NaN
  if (value < 1 || value > 9) return NaN
  for (i++; i < end; i++) {
    const digit = buf[i] - ZERO
    if (digit < 0 || digit > 9) return NaN
    value = value * 10 + digit
  }
  // 16 digits may exceed 2^53; the rounding of the sum above cannot bring it back below.
  if (value > Number.MAX_SAFE_INTEGER) return NaN
  return negative ? -value : value
}

/** The canonical integer `buf[start..end)` of 64 bits, signed; `undefined` for any other text. */
export function readInt64(buf: Buffer, start: number, end: number): bigint | undefined {
  const small = readInteger(buf, start, end)
  if (!Number.isNaN(small)) return BigInt(small)
  const negative = start < end && buf[start] === MINUS
  const first = negative ? start + 1 : start
  const length = end - first
  if (length < 16 || length > 19 || buf[first] === ZERO) return undefined
  for (let i = first; i < end; i++) if (buf[i] < ZERO || buf[i] > NINE) return undefined
  const value = BigInt(buf.latin1Slice(start, end))
  return value >= INT64_MIN && value <= INT64_MAX ? value : undefined
}

/** Number of bytes that `writeInteger` writes for the safe integer n. */
export function integerLength(n: number): number {
  let sign = 0
  if (n < 0) {
    n = -n
    sign = 1
  }
  if (n < 10) return sign + 1
  if (n < 100) return sign + 2
  if (n < 1000) return sign + 3
  let length = 4
  for (let limit = 10000; n >= limit; limit *= 10) length++
  return sign + length
}

/** Writes the safe integer n in decimal at `buf[pos]`; returns the position after it. */
export function writeInteger(n: number, buf: Buffer, pos: number): number {
  const end = pos + integerLength(n)
  if (n < 0) {
    buf[pos] = MINUS
    n = -n
  }
  let i = end
  if (n >= 1000000000) {
    let low = n % 1000000000 | 0
    n = (n - (n % 1000000000)) / 1000000000
    for (let k = 0; k < 9; k++) {
      const next = (low / 10) | 0
      buf[--i] = ZERO + low - next * 10
      low = next
    }
  }
  let rest = n | 0
  do {
    const next = (rest / 10) | 0
    buf[--i] = ZERO + rest - next * 10
    rest = next
  } while (rest !== 0)
  return end
}

/** Writes a bigint of 64 bits in decimal at `buf[pos]`; returns the position after it. */
export function writeInt64(n: bigint, buf: Buffer, pos: number): number {
  const small = Number(n)
  if (Number.isSafeInteger(small)) return writeInteger(small, buf, pos)
  return pos + buf.latin1Write(n.toString(), pos)
}

/**
 * The double `buf[start..end)`, or NaN when the servers would answer "value is not a valid float": decimal or
 * hexadecimal with optional exponent, `inf` or `infinity`, any case, any sign, nothing before or after. A
 * number too large for a double, or so small that it would become 0, is refused; so is NaN.
 */
export function readDouble(buf: Buffer, start: number, end: number): number {
  const quick = readPlainDecimal(buf, start, end)
  if (!Number.isNaN(quick)) return quick
  const value = strtod(buf.latin1Slice(start, end))
  return value.outOfRange ? NaN : value.number
}

/**
 * The double that bounds a range of scores (ZRANGEBYSCORE and its kin), or NaN. Laxer than `readDouble`, as
 * the servers are here: white space before it, overflow to infinity, underflow to 0 and the empty text (0) are
 * accepted, and a NUL byte ends the text.
 */
export function readRangeBound(buf: Buffer, start: number, end: number): number {
  const quick = readPlainDecimal(buf, start, end)
  if (!Number.isNaN(quick)) return quick
  const text = buf.latin1Slice(start, end)
  const nul = text.indexOf('\0')
  const whole = nul < 0 ? text : text.slice(0, nul)
  if (whole === '') return 0
  return strtod(whole.replace(/^[ \t\n\v\f\r]+/, '')).number
}

/**
 * `digits` or `digits.digits` of at most 15 digits; NaN for everything else. Both the digits and the power of
 * ten are exact as doubles then, so that one division gives the correctly rounded result.
 */
function readPlainDecimal(buf: Buffer, start: number, end: number): number {
  const negative = start < end && buf[start] === MINUS
  let i = negative ? start + 1 : start
  if (end - i > 16) return NaN
  let value = 0
  let count = 0
  let point = -1
  for (; i < end; i++) {
    const c = buf[i]
    if (c >= ZERO && c <= NINE) {
      value = value * 10 + (c - ZERO)
      count++
    } else if (c === DOT && point < 0) {
      point = count
    } else {
      return NaN
    }
  }
  if (count === 0 || count > 15) return NaN
  if (point >= 0) value /= POWERS_OF_TEN[count - point]
  return negative ? -value : value
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i
const INFINITY = /^([+-]?)inf(?:inity)?$/i

/** C's strtod of the whole text; `number` is NaN when the text is none. */
function strtod(text: string): { number: number; outOfRange: boolean } {
  if (DECIMAL.test(text)) {
    const number = Number(text)
    const vanished = number === 0 && /^[^e]*[1-9]/i.test(text)
    return { number, outOfRange: vanished || !Number.isFinite(number) }
  }
  const hex = HEXADECIMAL.exec(text)
  if (hex) {
    const fraction = hex[3] ?? ''
    if (hex[2] + fraction === '') return { number: NaN, outOfRange: false }
    const mantissa = BigInt(`0x${hex[2]}${fraction}`)
    const number = scale(mantissa, Number(hex[4] ?? 0) - 4 * fraction.length)
    const outOfRange = !Number.isFinite(number) || (number === 0 && mantissa !== 0n)
    return { number: hex[1] === '-' ? -number : number, outOfRange }
  }
  const infinity = INFINITY.exec(text)
  if (infinity) return { number: infinity[1] === '-' ? -Infinity : Infinity, outOfRange: false }
  return { number: NaN, outOfRange: false }
}

/** mantissa x 2^exponent as the nearest double. */
function scale(mantissa: bigint, exponent: number): number {
  if (mantissa === 0n) return 0
  const length = bitLength(mantissa)
  if (length + exponent > 1024) return Infinity
  if (length + exponent < -1074) return 0
  const target = Math.max(length - 53 + exponent, -1074)
  const drop = target - exponent
  const rounded = drop > 0 ? shiftRightToEven(mantissa, drop, false) : mantissa << BigInt(-drop)
  return Number(rounded) * 2 ** target
}

/**
 * Writes a double as Valkey 7.2 and later show it (scores, RESP2 and RESP3 doubles): integers up to 2^62 in
 * full, others with the digits of Grisu2, plain when that is short and with an exponent otherwise. Returns
 * the position after it; at most MAX_NUMBER_TEXT bytes are written.
 */
export function writeScore(d: number, buf: Buffer, pos: number): number {
  if (Number.isInteger(d) && d >= -0x4000000000000000 && d <= 0x4000000000000000) {
    if (Object.is(d, -0)) buf[pos++] = MINUS
    return Number.isSafeInteger(d) ? writeInteger(d, buf, pos) : writeInt64(BigInt(d), buf, pos)
  }
  return writeShortest(d, buf, pos)
}

/** As `writeScore`, but large integers have an exponent too (`1e+10`): what Valkey's digests are made of. */
export function writeShortest(d: number, buf: Buffer, pos: number): number {
  if (!Number.isFinite(d)) return pos + buf.latin1Write(Number.isNaN(d) ? 'nan' : d < 0 ? '-inf' : 'inf', pos)
  if (d < 0 || Object.is(d, -0)) buf[pos++] = MINUS
  if (d === 0) {
    buf[pos] = ZERO
    return pos + 1
  }
  grisu2(d)
  const { count, exponent } = result
  const scientific = count + exponent - 1
  if (exponent >= 0 && Math.abs(scientific) < count + 7) {
    for (let i = 0; i < count; i++) buf[pos++] = ZERO + digits[i]
    for (let i = 0; i < exponent; i++) buf[pos++] = ZERO
    return pos
  }
  if (exponent < 0 && (exponent > -7 || Math.abs(scientific) < 4)) {
    const whole = count + exponent
    if (whole <= 0) {
      buf[pos++] = ZERO
      buf[pos++] = DOT
      for (let i = whole; i < 0; i++) buf[pos++] = ZERO
    }
    for (let i = 0; i < count; i++) {
      if (i === whole && whole > 0) buf[pos++] = DOT
      buf[pos++] = ZERO + digits[i]
    }
    return pos
  }
  buf[pos++] = ZERO + digits[0]
  if (count > 1) buf[pos++] = DOT
  for (let i = 1; i < count; i++) buf[pos++] = ZERO + digits[i]
  buf[pos++] = 0x65
  buf[pos++] = scientific < 0 ? MINUS : PLUS
  return writeInteger(Math.abs(scientific), buf, pos)
}

const scratch = Buffer.allocUnsafeSlow(MAX_NUMBER_TEXT)

/** The text of `writeScore`. */
export function formatScore(d: number): string {
  return scratch.latin1Slice(0, writeScore(d, scratch, 0))
}

/** C's `%.17g`: the text of scores before 7.2. */
export function formatDouble17g(d: number): string {
  if (!Number.isFinite(d)) return Number.isNaN(d) ? 'nan' : d < 0 ? '-inf' : 'inf'
  const sign = d < 0 || Object.is(d, -0) ? '-' : ''
  if (d === 0) return `${sign}0`
  const [mantissa, power] = Math.abs(d).toExponential(16).split('e')
  const exponent = Number(power)
  const significant = mantissa.replace('.', '').replace(/0+$/, '')
  if (exponent < -4 || exponent >= 17) {
    const fraction = significant.length > 1 ? `.${significant.slice(1)}` : ''
    const width = String(Math.abs(exponent)).padStart(2, '0')
    return `${sign}${significant[0]}${fraction}e${exponent < 0 ? '-' : '+'}${width}`
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${significant}`
  if (significant.length <= exponent + 1) return sign + significant.padEnd(exponent + 1, '0')
  return `${sign}${significant.slice(0, exponent + 1)}.${significant.slice(exponent + 1)}`
}
