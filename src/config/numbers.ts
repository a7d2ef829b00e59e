/**
 * Numbers as a configuration writes them. Values are bigint here, because the ranges of Valkey's directives are
 * those of C's 64-bit integers and its error texts print their bounds to the digit.
 */

const MAX_UNSIGNED = (1n << 64n) - 1n
const MAX_SIGNED = (1n << 63n) - 1n
const MIN_SIGNED = -(1n << 63n)

const UNITS: Readonly<Record<string, bigint>> = {
  '': 1n,
  b: 1n,
  k: 1000n,
  kb: 1024n,
  m: 1000n * 1000n,
  mb: 1024n * 1024n,
  g: 1000n * 1000n * 1000n,
  gb: 1024n * 1024n * 1024n
}

/** A whole number in its one canonical spelling: no sign but a minus, no leading zero or space, 64 bits. */
export function parseInteger(text: string): bigint | undefined {
  if (!/^(?:0|-?[1-9]\d{0,18})$/.test(text)) return undefined
  const value = BigInt(text)
  return value > MAX_SIGNED || value < MIN_SIGNED ? undefined : value
}

/**
 * A size: digits and a unit, any letter case; a unit alone is 0, as the empty text is. Wraps at 2^64 as the
 * unsigned arithmetic of C does.
 */
export function parseMemory(text: string): bigint | undefined {
  const match = /^(\d{0,127})([a-z]*)$/i.exec(text)
  const unit = UNITS[match?.[2]?.toLowerCase() ?? '?']
  if (!match || unit === undefined) return undefined
  const digits = BigInt(match[1])
  return BigInt.asUintN(64, (digits > MAX_UNSIGNED ? MAX_UNSIGNED : digits) * unit)
}

/**
 * What C's strtoll makes of a text when nothing may follow the number: leading blanks and a sign are accepted,
 * the empty text is 0, and what is out of range is clamped (`strict` refuses it).
 */
export function parseLongLong(text: string, base: 8 | 10 = 10, strict = false): bigint | undefined {
  const match = (base === 8 ? /^[ \t\n\v\f\r]*([-+]?)([0-7]+)$/ : /^[ \t\n\v\f\r]*([-+]?)(\d+)$/).exec(text)
  if (!match) return text === '' ? 0n : undefined
  const magnitude = BigInt(base === 8 ? `0o${match[2]}` : match[2])
  const value = match[1] === '-' ? -magnitude : magnitude
  if (value >= MIN_SIGNED && value <= MAX_SIGNED) return value
  if (strict) return undefined
  return value < 0n ? MIN_SIGNED : MAX_SIGNED
}

/** A floating-point number as a score is written: no blanks, no NaN, nothing that a double rounds to 0 or infinity. */
export function parseDouble(text: string): number | undefined {
  if (/^[-+]?inf(?:inity)?$/i.test(text)) return text[0] === '-' ? -Infinity : Infinity
  const hex = /^([-+]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([-+]?\d+))?$/i.exec(text)
  if (hex && (hex[2] || hex[3])) {
    const digits = parseInt(`0${hex[2]}${hex[3] ?? ''}`, 16)
    return (hex[1] === '-' ? -1 : 1) * digits * 2 ** (Number(hex[4] ?? 0) - 4 * (hex[3] ?? '').length)
  }
  if (!/^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text)) return undefined
  const value = Number(text)
  const lost = !Number.isFinite(value) || (value === 0 && /^[^e]*[1-9]/i.test(text))
  return lost ? undefined : value
}

/** A number that came from `parseLongLong`: the largest of them is no double. */
export const printLong = (value: number): string =>
  (BigInt(value) > MAX_SIGNED ? MAX_SIGNED : BigInt(value)).toString()

/** `%f` of C without its trailing zeros: how a percentile is printed. */
export const printDouble = (value: number): string =>
  (Object.is(value, -0) ? '-0.0' : value.toFixed(6)).replace(/\.?0+$/, '')

/** A size as CONFIG REWRITE writes it: in gb, mb or kb where that is exact. */
export function formatMemory(bytes: bigint): string {
  if (bytes === 0n) return '0'
  for (const unit of ['gb', 'mb', 'kb']) {
    const size = UNITS[unit]
    if (bytes % size === 0n) return `${bytes / size}${unit}`
  }
  return bytes.toString()
}
