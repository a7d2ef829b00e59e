/** The words of XADD and XTRIM: options, how far to trim, and XADD's id. */
import type { Call } from '../src/engine/call.js'
import { replyError, SYNTAX } from '../src/errors.js'
import type { TrimPlan } from '../src/keyspace/stream.js'
import { readStreamId, StreamId } from '../src/keyspace/stream-id.js'
import { INVALID_ID, isChar, readId } from './stream-args.js'

const TWO_STRATEGIES = replyError('ERR syntax error, MAXLEN and MINID options at the same time are not compatible')
const NO_STRATEGY = replyError('ERR syntax error, XTRIM must be called with a trimming strategy')
const LIMIT_ALONE = replyError('ERR syntax error, LIMIT cannot be used without specifying a trimming strategy')
const LIMIT_EXACT = replyError('ERR syntax error, LIMIT cannot be used without the special ~ option')
const MAXLEN_NEGATIVE = replyError('ERR The MAXLEN argument must be >= 0.')
const LIMIT_NEGATIVE = replyError('ERR The LIMIT argument must be >= 0.')

/** Entries that an approximate trim deletes at most unless LIMIT says otherwise: this many nodes' worth. */
const LIMIT_NODES = 100
const LIMIT_DEFAULT = 10000
const LIMIT_MAX = 1000000

export interface TrimWords {
  readonly trim: TrimPlan
  /** Position of the threshold, and of the word LIMIT; 0 when not there. */
  trimAt: number
  limitAt: number
}

export interface AddWords extends TrimWords {
  noCreate: boolean
  /** `*`, `ms-*` or a whole id. */
  idKind: 'auto' | 'any-seq' | 'given'
  readonly id: StreamId
  idAt: number
}

// One of each: a command is read completely before the next one.
const words: AddWords = {
  trim: { strategy: 'none', maxLength: 0, minId: new StreamId(), approximate: false, limit: 0 },
  trimAt: 0, limitAt: 0, noCreate: false, idKind: 'auto', id: new StreamId(), idAt: 0,
}

function reset(): void {
  words.trim.strategy = 'none'
  words.trim.approximate = false
  words.trim.limit = 0
  words.trimAt = 0
  words.limitAt = 0
  words.noCreate = false
  words.idKind = 'auto'
  words.idAt = 0
}

/** Reads the words of XTRIM from word 2 on. */
export function readTrimWords(call: Call): TrimWords {
  reset()
  for (let i = 2; i < call.args.count; ) {
    const next = readTrimOption(call, i)
    if (next === i) throw SYNTAX
    i = next
  }
  settleLimit(call, true)
  return words
}

/** Reads the words of XADD from word 2 up to the id. `idAt` is past the end when there is none. */
export function readAddWords(call: Call): AddWords {
  const { args } = call
  reset()
  let i = 2
  while (i < args.count) {
    const word = args.at(i)
    if (isChar(word, '*')) break
    const next = readTrimOption(call, i)
    if (next > i) i = next
    else if (word.is('nomkstream')) {
      words.noCreate = true
      i++
    } else {
      const kind = readStreamId(word, words.id, 0)
      if (kind === false) throw INVALID_ID
      words.idKind = kind === true ? 'given' : kind
      break
    }
  }
  words.idAt = i
  settleLimit(call, false)
  return words
}

/** Reads the option at word `i`; returns the position after it, or `i` when it is none. */
function readTrimOption(call: Call, i: number): number {
  const { args } = call
  const { trim } = words
  const more = args.count - 1 - i
  const isMaxlen = args.is(i, 'maxlen')
  if (more > 0 && (isMaxlen || args.is(i, 'minid'))) {
    if (trim.strategy !== 'none') throw TWO_STRATEGIES
    let at = i + 1
    trim.approximate = false
    if (more >= 2 && (isChar(args.at(at), '~') || isChar(args.at(at), '='))) trim.approximate = isChar(args.at(at++), '~')
    if (isMaxlen) {
      trim.maxLength = args.integer(at)
      if (trim.maxLength < 0) throw MAXLEN_NEGATIVE
      trim.strategy = 'maxlen'
    } else {
      readId(args.at(at), trim.minId)
      trim.strategy = 'minid'
    }
    words.trimAt = at
    return at + 1
  }
  if (more > 0 && args.is(i, 'limit')) {
    trim.limit = args.integer(i + 1)
    if (trim.limit < 0) throw LIMIT_NEGATIVE
    words.limitAt = i
    return i + 2
  }
  return i
}

function settleLimit(call: Call, needsStrategy: boolean): void {
  const { trim } = words
  if (trim.limit > 0 && trim.strategy === 'none') throw LIMIT_ALONE
  if (needsStrategy && trim.strategy === 'none') throw NO_STRATEGY
  if (words.limitAt > 0) {
    if (!trim.approximate) throw LIMIT_EXACT
  } else if (trim.approximate) {
    const limit = LIMIT_NODES * call.config.streamNodeMaxEntries
    trim.limit = Math.min(limit > 0 ? limit : LIMIT_DEFAULT, LIMIT_MAX)
  }
}
