/** Words that C reads into an `int`: database numbers and the like. */
import type { Args } from '../src/engine/args.js'
import { replyError, type ReplyError } from '../src/errors.js'

const OUT_OF_INT_RANGE = replyError('ERR value is out of range, value must between -2147483648 and 2147483647')

/** A signed 32-bit integer; with `error`, that is thrown for whatever is none. */
export function int32(args: Args, i: number, error?: ReplyError): number {
  const value = args.integer(i, error)
  if (value < -2147483648 || value > 2147483647) throw error ?? OUT_OF_INT_RANGE
  return value
}

/** An integer from `low` to `high`, with Valkey's text when it is none of these. */
export function integerBetween(args: Args, i: number, low: number, high: number): number {
  const value = args.integer(i)
  if (value < low || value > high) throw replyError(`ERR value is out of range, value must between ${low} and ${high}`)
  return value
}
