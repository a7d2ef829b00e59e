/**
 * The words the fuzzer makes commands of. Small sets, so that commands meet each other's keys, fields and members; in each
 * set the ends of every range that matters: integer limits, lengths around the packed encodings' limits, empty and binary.
 *
 * Times to live are either long or already over: a key that expires in the middle of a run would make the two servers
 * differ for no fault of theirs. Counts that make a server write gigabytes are left out.
 */
import type { Word } from '../client.js'
import type { Chance } from './chance.js'

/** What the word makers know. */
export interface Context {
  chance: Chance
  /** The prefix of the keys this group works on mostly: s h l t(set) z x(stream). */
  prefix: string
  /** How many keys a `<...>` has just written, for WEIGHTS. */
  lastCount: number
  /** Payloads that earlier DUMPs have returned. */
  payloads: Buffer[]
  /** Milliseconds since 1970 when the round began, rounded down to the hour so that a seed repeats within it. */
  now: number
}

type Maker = (context: Context) => Word

const PREFIXES = ['s', 'h', 'l', 't', 'z', 'x']
const INT64_ENDS = ['9223372036854775807', '-9223372036854775808', '9223372036854775808', '-9223372036854775809', '9223372036854775806']
const ODD_NUMBERS = ['abc', '', ' 1', '1 ', '+1', '01', '-0', '1.5', '1e3', '0x10', 'nan', 'inf']
const SHORT_TEXT = ['a', 'b', 'foo', 'bar', 'hello world', '', 'é', 'A', '0', '10', '-5', '255', '256', '32767', '-32769', '8388608', '2147483648', '9999', '10000']
const GARBAGE = ['a\0b', 'NOVALUES', 'NOSCORES', '', 'x', '-1', '0', '1', 'LIMIT', 'COUNT', 'WITHSCORES', 'NX', 'XX', 'EX', 'STORE', '*', '$', '(', '[', '9223372036854775807', '9223372036854775808', '1.5', 'nan']

/** A key of the given type's family: few names, so that commands meet. */
function keyOf(chance: Chance, prefix: string): string {
  return prefix + chance.below(5)
}

function text(chance: Chance): Word {
  const luck = chance.below(100)
  if (luck < 60) return chance.pick(SHORT_TEXT)
  if (luck < 75) return `v${chance.below(300)}`
  if (luck < 82) return String(chance.between(-5000, 100000))
  if (luck < 86) return chance.pick(INT64_ENDS)
  if (luck < 90) return 'y'.repeat(chance.pick([4, 8, 39, 43, 44, 45, 62, 63, 64, 65]))
  if (luck < 94) return chance.bytes(chance.between(1, 20))
  if (luck < 99) return 'z'.repeat(chance.between(66, 300))
  return chance.bytes(chance.between(1000, 20000))
}

function member(chance: Chance): Word {
  const luck = chance.below(100)
  if (luck < 65) return `m${chance.below(12)}`
  if (luck < 75) return `m${chance.below(700)}`
  if (luck < 90) return String(chance.between(-3, 40))
  return text(chance)
}

function score(chance: Chance): string {
  const luck = chance.below(100)
  if (luck < 55) return String(chance.between(-5, 20))
  if (luck < 80) return String(chance.between(-40, 40) / 4)
  if (luck < 90) return chance.pick(['inf', '-inf', '+inf', '-0', '0', '1e10', '-1e17', '1e308', '-1e-5', '3.0', '0.1', '9007199254740993', '1e21', '123456789.5'])
  return chance.pick(['0.5', '1.25', '17179869184', '-2147483649', '1e-7'])
}

function streamId(chance: Chance): string {
  const luck = chance.below(100)
  if (luck < 70) return `${chance.between(0, 12)}-${chance.between(0, 5)}`
  if (luck < 85) return String(chance.between(0, 14))
  return chance.pick(['0-0', '0', '18446744073709551615-18446744073709551615', '18446744073709551615', '18446744073709551616-1', '5-*', '0-1', '-1', 'x', '5-', '-', '+', '$', '>', '(3'])
}

/** Every `$name` of the syntax lines. */
export const words: Record<string, Maker> = {
  // Keys: of the group's own type; of a given type; of any.
  key: ({ chance, prefix }) => keyOf(chance, chance.hits(0.95) ? prefix : chance.pick(PREFIXES)),
  any: ({ chance }) => (chance.hits(0.97) ? keyOf(chance, chance.pick(PREFIXES)) : chance.pick(['none', '', 'k\0y', '{s}1'])),
  string: ({ chance }) => keyOf(chance, 's'),
  hash: ({ chance }) => keyOf(chance, 'h'),
  list: ({ chance }) => keyOf(chance, 'l'),
  set: ({ chance }) => keyOf(chance, 't'),
  zset: ({ chance }) => keyOf(chance, 'z'),
  setOrZset: ({ chance }) => keyOf(chance, chance.pick(['t', 'z', 'z'])),
  sortable: ({ chance }) => keyOf(chance, chance.pick(['l', 't', 'z', 'l', 's'])),
  stream: ({ chance }) => keyOf(chance, 'x'),
  lexKey: ({ chance }) => `lex${chance.below(3)}`,
  pattern: ({ chance }) => chance.pick(['*', 's*', '?0', '[st]1', '[^s]*', '*1', 'none', 's\\0', '[a-z]2', '', 'm*', 'f*', '*[0-3]']),

  // Numbers.
  integer: ({ chance }) => (chance.hits(0.85) ? String(chance.between(-3, 12)) : chance.pick([...INT64_ENDS, ...ODD_NUMBERS, '100', '-100'])),
  index: ({ chance }) => (chance.hits(0.93) ? String(chance.between(-8, 12)) : chance.pick([...INT64_ENDS, ...ODD_NUMBERS, '1000', '-1000'])),
  // For LSET: valkey-server cuts its index to 32 bits, so that 9223372036854775806 is -2.
  shortIndex: ({ chance }) => (chance.hits(0.93) ? String(chance.between(-8, 12)) : chance.pick([...ODD_NUMBERS, '1000', '-1000'])),
  count: ({ chance }) => (chance.hits(0.9) ? String(chance.between(0, 8)) : chance.pick(['-1', '-3', '1000', '9223372036854775807', '9223372036854775808', 'abc', '-9223372036854775808'])),
  offset: ({ chance }) => (chance.hits(0.9) ? String(chance.between(0, 80)) : chance.pick(['-1', '1048575', '1048576', '4294967295', '4294967296', '9223372036854775807', 'abc', '3000'])),
  bit: ({ chance }) => (chance.hits(0.95) ? chance.pick(['0', '1']) : chance.pick(['2', '-1', 'x'])),
  bitOffset: ({ chance }) => (chance.hits(0.9) ? String(chance.between(0, 200)) : chance.pick(['-1', '8388607', '8388608', '4294967296', 'abc', '20000'])),
  bitType: ({ chance }) => (chance.hits(0.9) ? chance.pick(['u', 'i']) + chance.pick([1, 4, 5, 8, 16, 31, 32, 33, 63]) : chance.pick(['i64', 'u64', 'u0', 'i65', 'x8', 'u'])),
  bitPlace: ({ chance }) => chance.pick(['', '', '#']) + (chance.hits(0.95) ? chance.between(0, 60) : chance.pick(['-1', 'abc', '8388608', '9223372036854775807'])),
  bigInteger: ({ chance }) => (chance.hits(0.8) ? String(chance.between(-300, 300)) : chance.pick([...INT64_ENDS, ...ODD_NUMBERS])),
  float: ({ chance }) => (chance.hits(0.9) ? String(chance.between(-400, 400) / chance.pick([1, 2, 4, 8, 10])) : chance.pick(['inf', '-inf', 'nan', '1e400', 'abc', '', '1e20', '-1e-10', '5.0e3', '3.14159', '1e300', ' 1'])),
  score: ({ chance }) => (chance.hits(0.97) ? score(chance) : chance.pick(['nan', 'abc', '', '(1', '1e400'])),
  scoreBound: ({ chance }) => (chance.hits(0.4) ? chance.pick(['-inf', '+inf', 'inf', '(-inf', '(inf']) : chance.pick(['', '', '(']) + score(chance)),
  lexBound: ({ chance }) => (chance.hits(0.4) ? chance.pick(['-', '+', '-', '+', 'x', '(', '[', '']) : chance.pick(['[', '(']) + String(member(chance))),
  weight: ({ chance }) => (chance.hits(0.95) ? chance.pick(['1', '2', '0', '-1', '0.5', '3']) : chance.pick(['inf', 'nan', 'abc'])),

  // Times to live: long, over, or refused.
  seconds: ({ chance }) => (chance.hits(0.85) ? String(chance.between(1000, 90000)) : chance.pick(['0', '-1', '9223372036854775807', '9223372036854775', '-9223372036854775808', 'abc'])),
  millis: ({ chance }) => (chance.hits(0.85) ? String(chance.between(1_000_000, 90_000_000)) : chance.pick(['0', '-1', '9223372036854775807', '-9223372036854775808', 'abc'])),
  atSeconds: ({ chance, now }) => (chance.hits(0.85) ? String(Math.floor(now / 1000) + chance.between(10_000, 90_000)) : chance.pick(['0', '1', '-1', '9223372036854775807', '100', 'abc'])),
  atMillis: ({ chance, now }) => (chance.hits(0.85) ? String(now + chance.between(10_000_000, 90_000_000)) : chance.pick(['0', '1', '-1', '9223372036854775807', '100', 'abc'])),
  // For RESTORE, which takes any number: a sum that overflows lies in the past, and the key is gone whenever expiry comes by.
  longMillis: ({ chance }) => (chance.hits(0.95) ? String(chance.between(1_000_000, 90_000_000)) : chance.pick(['-1', 'abc', '9223372036854775808'])),
  longAtMillis: ({ chance, now }) => (chance.hits(0.95) ? String(now + chance.between(10_000_000, 90_000_000)) : chance.pick(['-1', 'abc'])),

  // Content.
  value: ({ chance }) => text(chance),
  field: ({ chance }) => (chance.hits(0.8) ? `f${chance.below(10)}` : chance.hits(0.5) ? `f${chance.below(600)}` : text(chance)),
  member: ({ chance }) => member(chance),
  element: ({ chance }) => (chance.hits(0.5) ? `e${chance.below(8)}` : text(chance)),
  garbage: ({ chance }) => chance.pick(GARBAGE),
  payload: ({ chance, payloads }) => {
    if (payloads.length === 0) return chance.bytes(12)
    const payload = Buffer.from(chance.pick(payloads))
    if (chance.hits(0.2) && payload.length > 0) payload[chance.below(payload.length)] ^= 1 << chance.below(8)
    return payload
  },

  // Cursors, databases, streams.
  cursor: ({ chance }) => (chance.hits(0.9) ? '0' : chance.pick(['1', '17', '-1', 'abc', '18446744073709551615', '18446744073709551616'])),
  scanCount: ({ chance }) => (chance.hits(0.7) ? '100000' : chance.pick(['1', '5', '0', '-1', 'abc'])),
  type: ({ chance }) => chance.pick(['string', 'hash', 'list', 'set', 'zset', 'stream', 'STRING', 'nothing']),
  db: ({ chance }) => (chance.hits(0.9) ? chance.pick(['0', '1', '2']) : chance.pick(['15', '16', '-1', 'abc', '9223372036854775808', '2147483647', '2147483648', '4294967297', '-4294967296'])),
  id: ({ chance }) => streamId(chance),
  addId: ({ chance }) => (chance.hits(0.9) ? `${chance.between(1, 40)}-${chance.pick(['*', '*', '0', '1', '2', '5'])}` : streamId(chance)),
  rangeId: ({ chance }) => (chance.hits(0.4) ? chance.pick(['-', '+']) : chance.pick(['', '', '(']) + streamId(chance)),
  group: ({ chance }) => chance.pick(['g1', 'g2', 'g1', 'g2', 'nogroup']),
  consumer: ({ chance }) => chance.pick(['c1', 'c2', 'c3']),
  minIdle: ({ chance }) => chance.pick(['0', '0', '0', '1000000000', '-1', 'abc']),
}
