/**
 * Scores as text: in the packed forms of sorted sets (strict) and in the oldest table form (type 3, whose
 * readers always took what strtod makes of a prefix).
 */
import type { Slice } from '../slice.js'
import { lpGet, lpGetInteger, lpIsInteger } from './listpack.js'

const WHOLE = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const PREFIX = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/i
const INFINITE = /^\s*([+-]?)inf/i

/** The score in this text; NaN when it is none. Nothing at all is 0, as the servers read it. */
export function parseScore(text: Slice): number {
  const length = text.length
  if (length === 0) return 0
  if (length > 400) return NaN
  const latin1 = text.latin1()
  if (WHOLE.test(latin1)) return Number(latin1)
  return infinite(latin1)
}

/** The same for the text double of type 3: what follows a number is ignored, nothing at all is no number. */
export function parseScorePrefix(text: Slice): number {
  const latin1 = text.latin1()
  const found = PREFIX.exec(latin1)
  return found === null ? infinite(latin1) : Number(found[0])
}

function infinite(text: string): number {
  const found = INFINITE.exec(text)
  if (found === null) return NaN
  return found[1] === '-' ? -Infinity : Infinity
}

/** The score stored in the listpack element at `pos`; NaN when it is none. */
export function lpGetScore(buf: Buffer, pos: number, text: Slice): number {
  if (lpIsInteger(buf, pos)) {
    const value = lpGetInteger(buf, pos)
    if (value === value) return value
  }
  return parseScore(lpGet(buf, pos, text))
}
