/**
 * Grisu2 (Loitsch, "Printing floating-point numbers quickly and accurately with integers", 2010): the decimal
 * digits of a double, enough to read the same double again and nearly always as few as possible.
 *
 * "Nearly" matters: about 2 doubles in 1000 get a digit more than JavaScript prints, and the text of a score is
 * stored and compared as bytes, so the servers' parameters are followed here:
 *
 * - the cached powers are 10^-348, 10^-340 ... 10^340, 64-bit significands rounded to the nearest;
 * - the power is searched from the estimate in `cachedPower` and scales the upper boundary's exponent into
 *   [-60, -32];
 * - products keep their upper half, rounded; the scaled boundaries are moved inwards by one.
 *
 * 64-bit numbers are two unsigned 32-bit halves, each a JavaScript number: `xHi`, `xLo`. Every intermediate
 * result stays below 2^53. Nothing is allocated per call.
 */

const PER_TWO_16 = 1 / 0x10000
const TWO_32 = 0x100000000
/** Exact, as a power of two: multiplying by it and rounding down takes the upper word. `%` is a slow call here. */
const PER_TWO_32 = 1 / TWO_32

const FIRST_POWER = -348
const POWER_STEP = 8
const POWER_COUNT = 87
const MIN_SCALED_EXPONENT = -60
const MAX_SCALED_EXPONENT = -32
const LOG10_OF_2 = 0.30102999566398114

/** The digits of the last call, one decimal digit (0 to 9) an element. */
export const digits = new Uint8Array(24)

/** The number of digits, and the power of ten that they are to be multiplied by, of the last call. */
export const result = { count: 0, exponent: 0 }

const bits = new Float64Array(1)
const words = new Uint32Array(bits.buffer)

/** Significand halves and binary exponents of the cached powers; made at first use. */
let powerHi = new Uint32Array(0)
let powerLo = new Uint32Array(0)
let powerExponent = new Int16Array(0)

/** The upper half of the last product, low word first. (Variables of a module would be boxed at each store.) */
const product = new Uint32Array(2)

/** Finds the digits of |x|, which must be finite and not 0, and leaves them in `digits` and `result`. */
export function grisu2(x: number): void {
  if (powerHi.length === 0) buildPowers()
  bits[0] = x
  const biased = (words[1] >>> 20) & 0x7ff
  let hi = words[1] & 0xfffff
  let lo = words[0]
  let exponent = -1074
  if (biased !== 0) {
    hi |= 0x100000
    exponent = biased - 1075
  }

  // The upper boundary is (2f + 1) x 2^(e-1), normalised to 64 bits.
  const spanHi = 2 * hi + (lo >>> 31)
  const spanLo = ((lo << 1) | 1) >>> 0
  const spanShift = spanHi === 0 ? 32 + Math.clz32(spanLo) : Math.clz32(spanHi)
  const upperExponent = exponent - 1 - spanShift
  const upperHi = shiftLeftHi(spanHi, spanLo, spanShift)
  const upperLo = shiftLeftLo(spanLo, spanShift)

  // The lower one is half as far away when f is a power of two: (4f - 1) x 2^(e-2) instead of (2f - 1) x 2^(e-1).
  const narrow = hi === 0x100000 && lo === 0 ? 2 : 1
  const scaledHi = shiftLeftHi(hi, lo, narrow)
  const scaledLo = shiftLeftLo(lo, narrow)
  const downLo = scaledLo === 0 ? TWO_32 - 1 : scaledLo - 1
  const downHi = scaledLo === 0 ? scaledHi - 1 : scaledHi
  const lowerShift = exponent - narrow - upperExponent
  const lowerHi = shiftLeftHi(downHi, downLo, lowerShift)
  const lowerLo = shiftLeftLo(downLo, lowerShift)

  const ownShift = exponent - upperExponent
  const ownHi = shiftLeftHi(hi, lo, ownShift)
  lo = shiftLeftLo(lo, ownShift)
  hi = ownHi

  const power = cachedPower(upperExponent)
  const pHi = powerHi[power]
  const pLo = powerLo[power]
  multiply(hi, lo, pHi, pLo)
  const wHi = product[1]
  const wLo = product[0]
  multiply(upperHi, upperLo, pHi, pLo)
  const highLo = product[0] === 0 ? TWO_32 - 1 : product[0] - 1
  const highHi = product[0] === 0 ? product[1] - 1 : product[1]
  multiply(lowerHi, lowerLo, pHi, pLo)
  const lowLo = product[0] === TWO_32 - 1 ? 0 : product[0] + 1
  const lowHi = product[0] === TWO_32 - 1 ? product[1] + 1 : product[1]

  result.exponent = -(FIRST_POWER + power * POWER_STEP)
  const fractionBits = -(upperExponent + powerExponent[power] + 64)
  const deltaHi = subHi(highHi, highLo, lowHi, lowLo)
  const gapHi = subHi(highHi, highLo, wHi, wLo)
  generate(highHi, highLo, deltaHi, subLo(highLo, lowLo), gapHi, subLo(highLo, wLo), fractionBits)
}

/**
 * Takes digits off the upper boundary until what is left is within `delta`, the distance of the boundaries, and
 * then lowers the last digit while that brings the number closer to the true one, `gap` below the boundary.
 * The boundary has `fractionBits` (32 to 60) bits after its binary point.
 */
function generate(hi: number, lo: number, deltaHi: number, deltaLo: number, gapHi: number, gapLo: number, fractionBits: number): void {
  const split = fractionBits - 32
  const unit = (1 << split) >>> 0
  let whole = hi >>> split
  let restHi = hi & (unit - 1)
  let restLo = lo
  let count = 0

  let kappa = 10
  for (let divisor = 1000000000; kappa > 0; divisor /= 10) {
    const digit = Math.floor(whole / divisor)
    if (digit !== 0 || count !== 0) digits[count++] = digit
    whole -= digit * divisor
    kappa--
    const leftHi = whole * unit + restHi
    if (leftHi < deltaHi || (leftHi === deltaHi && restLo <= deltaLo)) {
      finish(count, kappa)
      roundLast(count, deltaHi, deltaLo, leftHi, restLo, divisor * unit, gapHi, gapLo)
      return
    }
  }

  for (;;) {
    restLo *= 10
    let carry = Math.floor(restLo * PER_TWO_32)
    restLo -= carry * TWO_32
    restHi = restHi * 10 + carry
    deltaLo *= 10
    carry = Math.floor(deltaLo * PER_TWO_32)
    deltaLo -= carry * TWO_32
    deltaHi = deltaHi * 10 + carry
    gapLo *= 10
    carry = Math.floor(gapLo * PER_TWO_32)
    gapLo -= carry * TWO_32
    gapHi = gapHi * 10 + carry
    kappa--
    const digit = restHi >>> split
    if (digit !== 0 || count !== 0) digits[count++] = digit
    restHi -= digit * unit
    if (restHi < deltaHi || (restHi === deltaHi && restLo < deltaLo)) {
      finish(count, kappa)
      roundLast(count, deltaHi, deltaLo, restHi, restLo, unit, gapHi, gapLo)
      return
    }
  }
}

function finish(count: number, kappa: number): void {
  result.count = count
  result.exponent += kappa
}

/** Lowers the last digit, worth `unit` x 2^32, while the remainder `left` stays within `delta` and comes nearer to `gap`. */
function roundLast(
  count: number, deltaHi: number, deltaLo: number, leftHi: number, leftLo: number, unit: number, gapHi: number, gapLo: number
): void {
  for (;;) {
    if (!less(leftHi, leftLo, gapHi, gapLo)) return
    if (subHi(deltaHi, deltaLo, leftHi, leftLo) < unit) return
    const nextHi = leftHi + unit
    if (!less(nextHi, leftLo, gapHi, gapLo)) {
      // Past the true number: only if that is nearer than where it stands.
      const beforeHi = subHi(gapHi, gapLo, leftHi, leftLo)
      const beforeLo = subLo(gapLo, leftLo)
      const afterHi = subHi(nextHi, leftLo, gapHi, gapLo)
      const afterLo = subLo(leftLo, gapLo)
      if (!less(afterHi, afterLo, beforeHi, beforeLo)) return
    }
    digits[count - 1]--
    leftHi = nextHi
  }
}

/** The index of the power of ten that scales a 64-bit significand with this exponent into the range. */
function cachedPower(exponent: number): number {
  const estimate = Math.trunc(-(exponent + POWER_COUNT) * LOG10_OF_2)
  let index = Math.trunc((estimate - FIRST_POWER) / POWER_STEP)
  for (;;) {
    const scaled = exponent + powerExponent[index] + 64
    if (scaled < MIN_SCALED_EXPONENT) index++
    else if (scaled > MAX_SCALED_EXPONENT) index--
    else return index
  }
}

/** Sets `product` to the upper 64 bits of the 128-bit product, after adding half of their last bit's worth. */
function multiply(aHi: number, aLo: number, bHi: number, bLo: number): void {
  const middle = upperWord(aLo, bLo) + lowerWord(aLo, bHi) + lowerWord(aHi, bLo) + 0x80000000
  const low = lowerWord(aHi, bHi) + upperWord(aLo, bHi) + upperWord(aHi, bLo) + Math.floor(middle * PER_TWO_32)
  product[0] = low
  product[1] = upperWord(aHi, bHi) + Math.floor(low * PER_TWO_32)
}

/** The upper 32 bits of a 64-bit product. */
function upperWord(a: number, b: number): number {
  return Math.floor(((a >>> 16) * b + Math.floor((a & 0xffff) * b * PER_TWO_16)) * PER_TWO_16)
}

function lowerWord(a: number, b: number): number {
  return Math.imul(a, b) >>> 0
}

function shiftLeftHi(hi: number, lo: number, by: number): number {
  if (by === 0) return hi
  if (by >= 32) return (lo << (by - 32)) >>> 0
  return ((hi << by) | (lo >>> (32 - by))) >>> 0
}

function shiftLeftLo(lo: number, by: number): number {
  return by >= 32 ? 0 : (lo << by) >>> 0
}

function subHi(aHi: number, aLo: number, bHi: number, bLo: number): number {
  return aHi - bHi - (aLo < bLo ? 1 : 0)
}

function subLo(aLo: number, bLo: number): number {
  return aLo < bLo ? aLo + TWO_32 - bLo : aLo - bLo
}

function less(aHi: number, aLo: number, bHi: number, bLo: number): boolean {
  return aHi < bHi || (aHi === bHi && aLo < bLo)
}

function buildPowers(): void {
  powerHi = new Uint32Array(POWER_COUNT)
  powerLo = new Uint32Array(POWER_COUNT)
  powerExponent = new Int16Array(POWER_COUNT)
  for (let i = 0; i < POWER_COUNT; i++) {
    const power = FIRST_POWER + i * POWER_STEP
    const ten = 10n ** BigInt(Math.abs(power))
    // 10^power = ratio x 2^-shift, with a ratio of more than 64 bits that is rounded to 64.
    const shift = power < 0 ? BigInt(ten.toString(2).length + 64) : 70n
    const ratio = power < 0 ? (1n << shift) / ten : ten << shift
    const drop = ratio.toString(2).length - 64
    let significand = ((ratio >> BigInt(drop - 1)) + 1n) >> 1n
    let exponent = drop - Number(shift)
    if (significand >> 64n) {
      significand >>= 1n
      exponent++
    }
    powerHi[i] = Number(significand >> 32n)
    powerLo[i] = Number(significand & 0xffffffffn)
    powerExponent[i] = exponent
  }
}
