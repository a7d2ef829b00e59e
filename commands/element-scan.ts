/** What HSCAN and SSCAN (and any other walk over the elements of one key) have in common. */
import { globMatch } from '../protocol/glob.js'
import type { ReplyWriter } from '../protocol/resp/writer.js'
import { Slice } from '../protocol/slice.js'
import type { Args } from '../src/engine/args.js'
import { replyError, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import type { ByteMap } from '../src/keyspace/byte-map.js'

export const NOVALUES_MISPLACED = replyError('ERR NOVALUES option can only be used in HSCAN')
export const NOSCORES_MISPLACED = replyError('ERR NOSCORES option can only be used in ZSCAN')
const COUNT_DEFAULT = 10
/** A call looks at no more than this many times COUNT buckets, however empty they are. */
const BUCKETS_PER_COUNT = 10

/** The options behind the cursor. */
export interface ElementScan {
  /** Undefined when everything matches. */
  readonly pattern: Slice | undefined
  readonly count: number
  readonly withValues: boolean
}

/**
 * Reads `[MATCH pattern] [COUNT count] [bare]` from word 3 on, where `bare` is the word that asks for the elements
 * without what belongs to them: `novalues` of a hash, `noscores` of a sorted set, none of a set.
 */
export function readElementScan(args: Args, bare: 'novalues' | 'noscores' | undefined): ElementScan {
  let pattern: Slice | undefined
  let count = COUNT_DEFAULT
  let withValues = true
  for (let i = 3; i < args.count; i++) {
    const hasNext = i + 1 < args.count
    if (hasNext && args.is(i, 'count')) {
      count = args.integer(++i)
      if (count < 1) throw SYNTAX
    } else if (hasNext && args.is(i, 'match')) pattern = args.at(++i)
    else if (bare !== undefined && args.is(i, bare)) withValues = false
    else if (args.is(i, 'novalues')) throw NOVALUES_MISPLACED
    else if (args.is(i, 'noscores')) throw NOSCORES_MISPLACED
    else throw SYNTAX
  }
  if (pattern !== undefined && pattern.length === 1 && pattern.buf[pattern.start] === 42) pattern = undefined
  return { pattern, count, withValues }
}

/** `[0, []]`: the answer for a key that does not exist. */
export function replyEmptyScan(reply: ReplyWriter): void {
  reply.array(2)
  reply.bulkInteger(0)
  reply.array(0)
}

const element = Slice.scratch()

/** One step over a table: collects the records to answer and returns the next cursor. */
export function scanTable(table: ByteMap, from: number, scan: ElementScan, found: Ref[]): number {
  let seen = 0
  const visit = (ref: Ref): void => {
    seen++
    if (scan.pattern === undefined || globMatch(scan.pattern, table.keyAt(ref, element))) found.push(ref)
  }
  let cursor = from
  let buckets = scan.count * BUCKETS_PER_COUNT
  do cursor = table.scanStep(cursor, visit)
  while (cursor !== 0 && buckets-- > 0 && seen < scan.count)
  return cursor
}
