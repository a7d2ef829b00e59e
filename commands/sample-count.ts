/** The count of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER: positive for different elements, negative with repetition. */
import type { Args } from '../src/engine/args.js'
import { OUT_OF_RANGE, replyError } from '../src/errors.js'

const LONG_MAX = 9223372036854775807n
const COUNT_RANGE = replyError(`ERR value is out of range, value must between -${LONG_MAX} and ${LONG_MAX}`)

/** A reply of more elements drawn with repetition is refused; Valkey would try until its memory is gone. */
export const REPEATED_MAX = 1 << 26

/** Reads the count in word `i`. */
export function readSampleCount(args: Args, i: number): bigint {
  const count = args.int64(i)
  if (count < -LONG_MAX) throw COUNT_RANGE
  return count
}

/** Where each element is a pair, twice the count must be a 64-bit integer. */
export function checkPairCount(count: bigint): void {
  if (count > LONG_MAX / 2n || count < -LONG_MAX / 2n) throw OUT_OF_RANGE
}
