/** The ranges of numbers that the list commands take, with Valkey's errors. */
import type { Args } from '../src/engine/args.js'
import { replyError, type ReplyError } from '../src/errors.js'

const INT64_MIN = -(2n ** 63n)
const OUT_OF_RANGE = replyError(
  'ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807')

/** A signed 64-bit integer that has a counterpart of the other sign. */
export function symmetricInteger(args: Args, i: number): number {
  const value = args.integer(i)
  if (value <= Number(INT64_MIN) && args.int64(i) === INT64_MIN) throw OUT_OF_RANGE
  return value
}

/** An integer of at least `least`; anything else throws `error`. */
export function integerFrom(args: Args, i: number, least: number, error: ReplyError): number {
  const value = args.integer(i, error)
  if (value < least) throw error
  return value
}
