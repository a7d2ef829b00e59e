/**
 * The options of SET and GETEX, and the times that SET, SETEX, PSETEX and GETEX take.
 *
 * Options are bits of one number, so that a SET with options allocates nothing; where the time of expiry
 * stands is kept in `timeWord`.
 */
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { replyError, SYNTAX, type ReplyError } from '../src/errors.js'

export const NX = 1
export const XX = 2
export const GET = 4
export const KEEPTTL = 8
export const PERSIST = 16
export const EX = 32
export const PX = 64
export const EXAT = 128
export const PXAT = 256
export const ANY_TIME = EX | PX | EXAT | PXAT

const INT64_MAX = 2n ** 63n - 1n
/** Numbers of seconds and milliseconds up to here can be calculated with as they are. */
const PLAIN_MAX = 2 ** 42

/** The word with the time of expiry that `readSetOptions` or `readGetexOptions` found. */
export let timeWord = 0

/** Reads [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] from word 3 on, in any order. */
export function readSetOptions(args: Args): number {
  let options = 0
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'nx') && (options & XX) === 0) options |= NX
    else if (args.is(i, 'xx') && (options & NX) === 0) options |= XX
    else if (args.is(i, 'get')) options |= GET
    else if (args.is(i, 'keepttl') && (options & ANY_TIME) === 0) options |= KEEPTTL
    else {
      options |= readTimeOption(args, i, options & (KEEPTTL | ANY_TIME))
      timeWord = ++i
    }
  }
  return options
}

/** Reads [EX s | PX ms | EXAT s | PXAT ms | PERSIST] from word 2 on. */
export function readGetexOptions(args: Args): number {
  let options = 0
  for (let i = 2; i < args.count; i++) {
    if (args.is(i, 'persist') && (options & ANY_TIME) === 0) options |= PERSIST
    else {
      options |= readTimeOption(args, i, options)
      timeWord = ++i
    }
  }
  return options
}

/** The bit of a time option at word i; `others` are those it must not meet (itself again is allowed). */
function readTimeOption(args: Args, i: number, others: number): number {
  let option = 0
  if (args.is(i, 'ex')) option = EX
  else if (args.is(i, 'px')) option = PX
  else if (args.is(i, 'exat')) option = EXAT
  else if (args.is(i, 'pxat')) option = PXAT
  if (option === 0 || (others & ~option) !== 0 || i + 1 >= args.count) throw SYNTAX
  return option
}

/**
 * The time of expiry in word i, as `option` (one of the four) means it: milliseconds since 1970, a bigint
 * where a number would not be exact. Throws Valkey's error for what is not positive or too large.
 */
export function readTime(call: Call, i: number, option: number): number | bigint {
  const small = call.args.integer(i)
  const isSeconds = (option & (EX | EXAT)) !== 0
  const isRelative = (option & (EX | PX)) !== 0
  const { nowMs } = call.clock
  if (small <= 0) throw invalidTime(call)
  if (small < PLAIN_MAX) return (isSeconds ? small * 1000 : small) + (isRelative ? nowMs : 0)
  const at = call.args.int64(i) * (isSeconds ? 1000n : 1n) + (isRelative ? BigInt(nowMs) : 0n)
  if (at > INT64_MAX) throw invalidTime(call)
  return at
}

function invalidTime(call: Call): ReplyError {
  return replyError(`ERR invalid expire time in '${call.command.fullName}' command`)
}
