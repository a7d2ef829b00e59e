/**
 * Glob patterns as KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL rules use them.
 *
 *   *       any bytes, also none         [abc]    one of these bytes
 *   ?       one byte                     [^abc]   none of these
 *   \x      the byte x itself            [a-z]    a range, also written backwards
 *
 * Quirks of the servers, kept because clients' patterns and ACL rules rely on the same answer everywhere:
 *
 * - an escape at the very end of the pattern, in or out of a class, stands for a backslash;
 * - a class that is not closed ends with the pattern; `[]` matches nothing, `[^]` any byte; there is no way to
 *   close a class with a leading `]`;
 * - a range compares signed bytes, so `[a-\xff]` (97 to -1) is turned round to -1 to 97;
 * - `nocase` does not apply to an escaped byte in a class;
 * - the empty text matches the empty pattern only, not `*` (the callers treat the pattern `*` on its own);
 * - the 1001st star followed by anything matches nothing.
 *
 * When the part after the last star seen fits nowhere, giving an earlier star more bytes cannot help, since
 * that would only leave fewer to choose from. So only the last star is ever retried, and matching takes at most
 * pattern length x text length steps, whatever the pattern.
 */
import { Slice } from './slice.js'

const STAR = 0x2a
const DASH = 0x2d
const QUESTION = 0x3f
const OPEN = 0x5b
const BACKSLASH = 0x5c
const CLOSE = 0x5d
const CARET = 0x5e
const MAX_STARS = 1000

/** Whether `text` matches the glob `pattern`; `nocase` ignores the case of ASCII letters. */
export function globMatch(pattern: Slice, text: Slice, nocase = false): boolean {
  const glob = pattern.buf
  const globEnd = pattern.end
  const bytes = text.buf
  const end = text.end
  let p = pattern.start
  let i = text.start
  if (i === end) return p === globEnd

  let stars = 0
  let afterStar = -1
  let retryAt = 0
  for (;;) {
    if (p < globEnd && glob[p] === STAR) {
      while (p + 1 < globEnd && glob[p + 1] === STAR) p++
      if (p + 1 === globEnd) return true
      if (++stars > MAX_STARS) return false
      afterStar = ++p
      retryAt = i
    }
    const next = p < globEnd ? matchOne(glob, p, globEnd, bytes[i], nocase) : 0
    if (next === 0) {
      if (afterStar < 0) return false
      i = ++retryAt
      if (i === end) return false
      p = afterStar
      continue
    }
    p = next
    if (++i === end) {
      // A later start for the last star leaves even fewer bytes: what remains now decides.
      while (p < globEnd && glob[p] === STAR) p++
      return p === globEnd
    }
  }
}

/** The position after the pattern's element at `p` if it accepts `byte`, otherwise 0. */
function matchOne(glob: Buffer, p: number, globEnd: number, byte: number, nocase: boolean): number {
  const c = glob[p]
  if (c === QUESTION) return p + 1
  if (c === OPEN) return matchClass(glob, p + 1, globEnd, byte, nocase)
  if (c === BACKSLASH && p + 1 < globEnd) p++
  return same(glob[p], byte, nocase) ? p + 1 : 0
}

/** As `matchOne`, for the class whose `[` is just before `p`. */
function matchClass(glob: Buffer, p: number, globEnd: number, byte: number, nocase: boolean): number {
  const negated = p < globEnd && glob[p] === CARET
  if (negated) p++
  let found = false
  for (; p < globEnd && glob[p] !== CLOSE; p++) {
    const c = glob[p]
    if (c === BACKSLASH && p + 1 < globEnd) {
      if (glob[++p] === byte) found = true
    } else if (p + 2 < globEnd && glob[p + 1] === DASH) {
      if (inRange(c, glob[p + 2], byte, nocase)) found = true
      p += 2
    } else if (same(c, byte, nocase)) {
      found = true
    }
  }
  if (found === negated) return 0
  return p < globEnd ? p + 1 : globEnd
}

function inRange(from: number, to: number, byte: number, nocase: boolean): boolean {
  let low = signed(from)
  let high = signed(to)
  let c = signed(byte)
  if (low > high) {
    const swap = low
    low = high
    high = swap
  }
  // The bounds are put in order before their case is dropped, as the servers do.
  if (nocase) {
    low = lower(low)
    high = lower(high)
    c = lower(c)
  }
  return c >= low && c <= high
}

function same(a: number, b: number, nocase: boolean): boolean {
  return a === b || (nocase && lower(a) === lower(b))
}

function signed(byte: number): number {
  return (byte << 24) >> 24
}

function lower(c: number): number {
  return c >= 65 && c <= 90 ? c | 32 : c
}
