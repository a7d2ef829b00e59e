/** Which words of a command are its keys: COMMAND GETKEYS, waiting for keys in flight, cluster routing. */
import { readInteger } from '../../protocol/number.js'
import { replyError } from '../errors.js'
import type { Args } from './args.js'
import type { Command, KeySpec } from './command-spec.js'

const BAD_COUNT = replyError('ERR Invalid number of arguments specified for command')
const BAD_WORDS = replyError('ERR Invalid arguments specified for command')

/** Positions of the keys among the words, in order. Throws COMMAND GETKEYS' errors. */
export function keyPositions(command: Command, args: Args): number[] {
  if (command.spec.findKeys !== undefined) return command.spec.findKeys(args)
  const positions: number[] = []
  for (const spec of command.spec.keys ?? []) addPositions(spec, args, positions)
  return positions
}

/** Positions of the keys that one specification finds. */
export function specPositions(spec: KeySpec, args: Args): number[] {
  const positions: number[] = []
  addPositions(spec, args, positions)
  return positions
}

function addPositions(spec: KeySpec, args: Args, positions: number[]): void {
  if (spec.begin === 'unknown' || spec.find === 'unknown' || spec.flags.includes('NOT_KEY')) return
  const first = 'index' in spec.begin ? spec.begin.index : keywordPosition(spec.begin.keyword, spec.begin.from, args)
  if (first < 0) return
  if (first >= args.count) throw BAD_COUNT
  if ('keynum' in spec.find) {
    const count = first + spec.find.keynum < args.count ? countOf(args, first + spec.find.keynum) : NaN
    if (!(count >= 1)) throw BAD_WORDS
    const start = first + spec.find.first
    const end = start + (count - 1) * spec.find.step
    if (end >= args.count) throw BAD_WORDS
    for (let i = start; i <= end; i += spec.find.step) positions.push(i)
    return
  }
  let last = spec.find.last >= 0 ? first + spec.find.last : args.count + spec.find.last
  if (spec.find.last < 0 && spec.find.limit >= 2)
    last = first + Math.floor((args.count - first) / spec.find.limit + spec.find.last)
  if (last >= args.count) throw BAD_COUNT
  for (let i = first; i <= last; i += spec.find.step) positions.push(i)
}

/** A number of keys, read as atoi does where it is no plain number. */
function countOf(args: Args, position: number): number {
  const { buf, start, end } = args.at(position)
  const count = readInteger(buf, start, end)
  return count === count ? count : Number.parseInt(/^\s*[+-]?\d{1,15}/.exec(args.at(position).latin1())?.[0] ?? '0', 10)
}

/** Whether the number of keys is no plain number: then Valkey finds the keys by other code, in another order. */
export function hasSloppyCount(spec: KeySpec, args: Args): boolean {
  if (spec.begin === 'unknown' || spec.find === 'unknown' || !('keynum' in spec.find) || !('index' in spec.begin)) return false
  const position = spec.begin.index + spec.find.keynum
  if (position >= args.count) return false
  const { buf, start, end } = args.at(position)
  return Number.isNaN(readInteger(buf, start, end))
}

function keywordPosition(keyword: string, from: number, args: Args): number {
  const lower = keyword.toLowerCase()
  if (from >= 0) {
    for (let i = from; i < args.count; i++) if (args.is(i, lower)) return i + 1
    return -1
  }
  for (let i = args.count + from; i > 0; i--) if (args.is(i, lower)) return i + 1
  return -1
}
