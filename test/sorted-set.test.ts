/**
 * Sorted sets: every command as a table of command -> reply, the encodings on both sides of each threshold, and
 * the order structure against a sorted array.
 */
import t, { type Test } from 'tap'
import { Slice } from '../protocol/slice.js'
import { OrderCursor } from '../src/keyspace/order-cursor.js'
import { LargeSortedSet, SortedSetLoader } from '../src/keyspace/zset.js'
import { Random } from '../src/random.js'
import { show, type Reply } from './client.js'
import { tables, unordered, type Row } from './replies.js'

const check = await tables(t)
const WRONGTYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value'
const NOT_INTEGER = '-ERR value is not an integer or out of range'
const NOT_FLOAT = '-ERR value is not a valid float'
const NOT_A_BOUND = '-ERR min or max is not a float'
const NOT_A_LEX_BOUND = '-ERR min or max not valid string range item'
const NOT_POSITIVE = '-ERR value is out of range, must be positive'
const SYNTAX = '-ERR syntax error'
const LIMIT_MISPLACED = '-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX'

/** `0 m0 1 m1 ...`: `count` members with their scores. */
const pairs = (count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) => `${from + i} m${from + i}`).join(' ')
/** How a reply of these bulk strings is shown. */
const bulks = (...texts: (string | number)[]): string => `[${texts.map((text) => `"${text}"`).join(', ')}]`

// ------------------------------------------------------------------------------------------------ members

await check('ZADD', [
  ['ZADD z 1 a 2 b', ':2'],
  ['ZADD z 1 a 3 b 4 c', ':1'],
  ['ZADD z CH 1 a 5 b 6 d', ':2'],
  ['ZADD z NX 9 a 7 e', ':1'],
  ['ZSCORE z a', '"1"'],
  ['ZADD z XX 9 a 7 f', ':0'],
  ['ZADD z xx ch 10 a 7 f', ':1'],
  ['ZADD z GT 5 a', ':0'],
  ['ZADD z GT CH 11 a', ':1'],
  ['ZADD z LT CH 12 a', ':0'],
  ['ZADD z LT CH 1 a 3 new', ':2'],
  ['ZADD z INCR 2.5 a', '"3.5"'],
  ['ZADD z INCR NX 2.5 a', 'nil'],
  ['ZADD z INCR XX 2.5 nope', 'nil'],
  ['ZADD z INCR GT -1 a', 'nil'],
  ['ZADD z INCR LT -1 a', '"2.5"'],
  ['ZADD z INCR 0 a', '"2.5"'],
  ['ZADD nokey XX 1 a', ':0'],
  ['ZADD nokey XX INCR 1 a', 'nil'],
  ['EXISTS nokey', ':0'],
  ['ZADD z NX XX 1 a', '-ERR XX and NX options at the same time are not compatible'],
  ['ZADD z GT LT 1 a', '-ERR GT, LT, and/or NX options at the same time are not compatible'],
  ['ZADD z GT NX 1 a', '-ERR GT, LT, and/or NX options at the same time are not compatible'],
  ['ZADD z INCR 1 a 2 b', '-ERR INCR option supports a single increment-element pair'],
  ['ZADD z 1 a 2', SYNTAX],
  ['ZADD z NX', '-ERR wrong number of arguments for \'zadd\' command'],
  ['ZADD z NX CH', SYNTAX],
  ['ZADD z 1 a x b', NOT_FLOAT],
  ['ZADD z nan a', NOT_FLOAT],
  ['ZADD z 1e400 a', NOT_FLOAT],
  ['ZADD z 0x10 hex inf i -inf j', ':3'],
  ['ZSCORE z hex', '"16"'],
  ['ZADD z INCR -inf i', '-ERR resulting score is not a number (NaN)'],
  ['ZSCORE z i', '"inf"'],
  ['ZSCORE z j', '"-inf"'],
  ['SET s x', '+OK'],
  ['ZADD s 1 a', WRONGTYPE],
  ['ZADD s x a', NOT_FLOAT],
])

await check('ZINCRBY, ZREM', [
  ['ZINCRBY z 1.5 a', '"1.5"'],
  ['ZINCRBY z -3 a', '"-1.5"'],
  ['ZINCRBY z inf a', '"inf"'],
  ['ZINCRBY z -inf a', '-ERR resulting score is not a number (NaN)'],
  ['ZINCRBY z x a', NOT_FLOAT],
  ['ZINCRBY z nx a', SYNTAX],
  ['ZADD z 1 b 2 c', ':2'],
  ['ZREM z a nope c c', ':2'],
  ['ZREM z nope', ':0'],
  ['ZREM nokey a', ':0'],
  ['ZREM z b', ':1'],
  ['EXISTS z', ':0'],
])

await check('lookups', [
  ['ZADD z 1 a 2 b 2 c 3.25 d', ':4'],
  ['ZCARD z', ':4'],
  ['ZCARD nokey', ':0'],
  ['ZSCORE z d', '"3.25"'],
  ['ZSCORE z nope', 'nil'],
  ['ZMSCORE z d nope a', '["3.25", nil, "1"]'],
  ['ZMSCORE nokey a b', '[nil, nil]'],
  ['ZRANK z c', ':2'],
  ['ZREVRANK z c', ':1'],
  ['ZRANK z c WITHSCORE', '[:2, "2"]'],
  ['ZREVRANK z d withscore', '[:0, "3.25"]'],
  ['ZRANK z nope', 'nil'],
  ['ZRANK z nope WITHSCORE', 'nil-array'],
  ['ZRANK nokey a', 'nil'],
  ['ZRANK z a foo', SYNTAX],
  ['ZRANK z a WITHSCORE x', '-ERR wrong number of arguments for \'zrank\' command'],
  ['SET s x', '+OK'],
  ['ZCARD s', WRONGTYPE],
  ['ZSCORE s a', WRONGTYPE],
  ['ZRANK s a', WRONGTYPE],
  ['ZRANK s a foo', SYNTAX],
])

await check('texts of scores', [
  ['ZADD z 0.1 a 1e21 b 3e-7 c 123456789012345680 d 9e18 e -0 f 1e300 g 5e-324 h 0.30000000000000004 i', ':9'],
  ['ZMSCORE z a b c d e f g h i',
    bulks('0.1', '1e+21', '3e-7', '123456789012345680', '9e+18', '0', '1e+300', '5e-324', '0.30000000000000004')],
])

// ------------------------------------------------------------------------------------------------ ranges

/** The same questions to both encodings: the rows, then again after a long member made it a skiplist. */
const inBothEncodings = async (title: string, fill: string, rows: readonly Row[]): Promise<void> => {
  for (const entries of [128, 2]) {
    await check(`${title}, zset-max-listpack-entries ${entries}`, [
      [fill, /^:/],
      ['OBJECT ENCODING z', entries === 2 ? '"skiplist"' : '"listpack"'],
      ...rows,
    ], { config: { 'zset-max-listpack-entries': entries } })
  }
}

await inBothEncodings('ranges by rank', 'ZADD z 1 a 2 b 3 c 4 d 5 e', [
  ['ZRANGE z 0 -1', bulks('a', 'b', 'c', 'd', 'e')],
  ['ZRANGE z 1 2 WITHSCORES', bulks('b', 2, 'c', 3)],
  ['ZRANGE z -2 100', bulks('d', 'e')],
  ['ZRANGE z -100 0', bulks('a')],
  ['ZRANGE z 3 1', '[]'],
  ['ZRANGE z 5 9', '[]'],
  ['ZRANGE z 0 1 REV', bulks('e', 'd')],
  ['ZRANGE z -1 -1 REV WITHSCORES', bulks('a', 1)],
  ['ZREVRANGE z 1 3 WITHSCORES', bulks('d', 4, 'c', 3, 'b', 2)],
  ['ZRANGE nokey 0 -1', '[]'],
  ['ZRANGE z a 1', NOT_INTEGER],
  ['ZRANGE z 0 -1 LIMIT 0 1', LIMIT_MISPLACED],
  ['ZRANGE z 0 -1 LIMIT 0 -1', bulks('a', 'b', 'c', 'd', 'e')],
  ['ZRANGE z 0 -1 LIMIT 0', SYNTAX],
  ['ZRANGE z 0 -1 REV REV', SYNTAX],
  ['ZREVRANGE z 0 -1 REV', SYNTAX],
  ['ZREVRANGE z 0 -1 LIMIT 1 1', LIMIT_MISPLACED],
  ['SET s x', '+OK'],
  ['ZRANGE s 0 -1', WRONGTYPE],
  ['ZRANGE s a b', NOT_INTEGER],
])

await inBothEncodings('ranges by score', 'ZADD z 1 a 2 b 2 c 3 d inf e -inf f', [
  ['ZRANGE z 2 3 BYSCORE', bulks('b', 'c', 'd')],
  ['ZRANGE z (2 +inf BYSCORE WITHSCORES', bulks('d', 3, 'e', 'inf')],
  ['ZRANGE z -inf (2 BYSCORE', bulks('f', 'a')],
  ['ZRANGE z (-inf (inf BYSCORE', bulks('a', 'b', 'c', 'd')],
  ['ZRANGE z 3 2 BYSCORE', '[]'],
  ['ZRANGE z (2 2 BYSCORE', '[]'],
  ['ZRANGE z 3 2 BYSCORE REV', bulks('d', 'c', 'b')],
  ['ZRANGE z inf -inf BYSCORE REV LIMIT 1 2', bulks('d', 'c')],
  ['ZRANGE z -inf inf BYSCORE LIMIT 4 -1', bulks('d', 'e')],
  ['ZRANGE z -inf inf BYSCORE LIMIT 9 1', '[]'],
  ['ZRANGE z -inf inf BYSCORE LIMIT 0 0', '[]'],
  ['ZRANGEBYSCORE z 1 2 WITHSCORES LIMIT 1 5', bulks('b', 2, 'c', 2)],
  ['ZREVRANGEBYSCORE z (3 1', bulks('c', 'b', 'a')],
  ['ZRANGEBYSCORE z 1 2 REV', SYNTAX],
  ['ZRANGEBYSCORE z 1 2 LIMIT a 1', NOT_INTEGER],
  ['ZRANGEBYSCORE z x 2', NOT_A_BOUND],
  ['ZRANGEBYSCORE z ((1 2', NOT_A_BOUND],
  ['ZRANGEBYSCORE z nan 2', NOT_A_BOUND],
  ['ZCOUNT z 2 3', ':3'],
  ['ZCOUNT z (2 1e400', ':2'],
  ['ZCOUNT z', '', '3', ':4'],
  ['ZCOUNT z', ' 1', '(', ':0'],
  ['ZCOUNT z 3 2', ':0'],
  ['ZCOUNT nokey 1 2', ':0'],
  ['ZCOUNT nokey 1 x', NOT_A_BOUND],
])

await inBothEncodings('ranges by member', 'ZADD z 0 a 0 b 0 c 0 d 0 ab', [
  ['ZRANGE z - + BYLEX', bulks('a', 'ab', 'b', 'c', 'd')],
  ['ZRANGE z [ab (d BYLEX', bulks('ab', 'b', 'c')],
  ['ZRANGE z (a [b BYLEX', bulks('ab', 'b')],
  ['ZRANGE z + - BYLEX', '[]'],
  ['ZRANGE z + + BYLEX', '[]'],
  ['ZRANGE z - - BYLEX', '[]'],
  ['ZRANGE z [c [b BYLEX', '[]'],
  ['ZRANGE z (b (b BYLEX', '[]'],
  ['ZRANGE z [b [b BYLEX', bulks('b')],
  ['ZRANGE z [ + BYLEX', bulks('a', 'ab', 'b', 'c', 'd')],
  ['ZRANGE z + (b BYLEX REV LIMIT 1 5', bulks('c')],
  ['ZRANGEBYLEX z - (c LIMIT 1 1', bulks('ab')],
  ['ZREVRANGEBYLEX z (c -', bulks('b', 'ab', 'a')],
  ['ZLEXCOUNT z - +', ':5'],
  ['ZLEXCOUNT z (a (c', ':2'],
  ['ZLEXCOUNT z a b', NOT_A_LEX_BOUND],
  ['ZLEXCOUNT z -a +', NOT_A_LEX_BOUND],
  ['ZRANGE z - + BYLEX WITHSCORES', '-ERR syntax error, WITHSCORES not supported in combination with BYLEX'],
  ['ZRANGE z - + BYLEX BYSCORE', SYNTAX],
  ['ZREMRANGEBYLEX z (a (c', ':2'],
  ['ZRANGE z 0 -1', bulks('a', 'c', 'd')],
  ['ZREMRANGEBYLEX z - +', ':3'],
  ['EXISTS z', ':0'],
])

await inBothEncodings('removing ranges', 'ZADD z 1 a 2 b 3 c 4 d 5 e 6 f', [
  ['ZREMRANGEBYRANK z 1 2', ':2'],
  ['ZREMRANGEBYRANK z 9 12', ':0'],
  ['ZREMRANGEBYRANK z -1 -1', ':1'],
  ['ZRANGE z 0 -1', bulks('a', 'd', 'e')],
  ['ZREMRANGEBYSCORE z (1 4', ':1'],
  ['ZREMRANGEBYSCORE z -inf inf', ':2'],
  ['EXISTS z', ':0'],
  ['ZREMRANGEBYSCORE nokey 1 2', ':0'],
  ['ZREMRANGEBYRANK nokey a b', NOT_INTEGER],
  ['ZREMRANGEBYSCORE nokey a b', NOT_A_BOUND],
  ['ZREMRANGEBYLEX nokey a b', NOT_A_LEX_BOUND],
])

await check('a negative LIMIT offset', [
  ['ZADD z 1 a 2 b 3 c', ':3'],
  ['ZRANGE z 1 3 BYSCORE LIMIT -1 5', '[]'],
  ['CONFIG SET zset-max-listpack-entries 2', '+OK'],
  ['ZADD z 4 d', ':1'],
  ['ZRANGE z 1 3 BYSCORE LIMIT -2 5', bulks('b', 'c')],
  ['ZRANGE z 3 1 BYSCORE REV LIMIT -2 5', bulks('b', 'a')],
  ['ZRANGE z 1 3 BYSCORE LIMIT -4 5', '[]'],
  ['CONFIG SET zset-max-listpack-entries 128', '+OK'],
])

await check('ZRANGESTORE', [
  ['ZADD z 1 a 2 b 3 c 4 d', ':4'],
  ['ZRANGESTORE d z 1 2', ':2'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('b', 2, 'c', 3)],
  ['EXPIRE d 100', ':1'],
  ['ZRANGESTORE d z (1 +inf BYSCORE REV', ':0'],
  ['EXISTS d', ':0'],
  ['SET d x', '+OK'],
  ['ZRANGESTORE d z +inf (1 BYSCORE REV LIMIT 0 2', ':2'],
  ['ZRANGE d 0 -1', bulks('c', 'd')],
  ['TTL d', ':-1'],
  ['ZRANGESTORE z z 0 0', ':1'],
  ['ZRANGE z 0 -1', bulks('a')],
  ['ZRANGESTORE d nokey 0 -1', ':0'],
  ['EXISTS d', ':0'],
  ['ZRANGESTORE d z 0 -1 WITHSCORES', SYNTAX],
  ['CONFIG SET zset-max-listpack-entries 2', '+OK'],
  ['ZADD n -3 a -0 b -0 c 5 d', ':4'],
  ['ZRANGESTORE d n -inf 0 BYSCORE', ':3'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('a', -3, 'b', 0, 'c', '-0')],
  ['ZRANGESTORE d n 0 2', ':3'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('a', -3, 'b', '-0', 'c', '-0')],
  ['ZRANGESTORE d n 0 -inf BYSCORE REV', ':3'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('a', -3, 'b', 0, 'c', 0)],
  ['ZRANGESTORE d n 1 2', ':2'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('b', 0, 'c', 0)],
  ['CONFIG SET zset-max-listpack-entries 128', '+OK'],
  ['SET s x', '+OK'],
  ['ZRANGESTORE d s 0 -1', WRONGTYPE],
])

// ------------------------------------------------------------------------------------------------ popping

await inBothEncodings('popping', 'ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g', [
  ['ZPOPMIN z', bulks('a', 1)],
  ['ZPOPMAX z', bulks('g', 7)],
  ['ZPOPMIN z 2', bulks('b', 2, 'c', 3)],
  ['ZPOPMAX z 0', '[]'],
  ['ZMPOP 2 nokey z MIN', '["z", [["d", "4"]]]'],
  ['ZMPOP 1 z MAX COUNT 10', '["z", [["f", "6"], ["e", "5"]]]'],
  ['EXISTS z', ':0'],
  ['ZPOPMIN z', '[]'],
  ['ZMPOP 1 z MIN', 'nil-array'],
  ['ZPOPMIN z -1', NOT_POSITIVE],
  ['ZPOPMIN z x', NOT_POSITIVE],
  ['ZPOPMIN z 1 2', SYNTAX],
  ['ZMPOP 0 z MIN', '-ERR numkeys should be greater than 0'],
  ['ZMPOP x z MIN', '-ERR numkeys should be greater than 0'],
  ['ZMPOP 2 z MIN', SYNTAX],
  ['ZMPOP 1 z foo', SYNTAX],
  ['ZMPOP 1 z MIN COUNT 0', '-ERR count should be greater than 0'],
  ['ZMPOP 1 z MIN COUNT', SYNTAX],
  ['ZMPOP 1 z MIN COUNT 1 COUNT 1', SYNTAX],
  ['SET s x', '+OK'],
  ['ZPOPMIN s 0', WRONGTYPE],
  ['ZMPOP 2 nokey s MIN', WRONGTYPE],
])

// ------------------------------------------------------------------------------------------------ algebra

await check('union, intersection, difference', [
  ['ZADD x 1 a 2 b 3 c', ':3'],
  ['ZADD y 10 b 20 c 30 d', ':3'],
  ['SADD s a c', ':2'],
  ['SADD i 1 2', ':2'],
  ['ZUNION 2 x y WITHSCORES', bulks('a', 1, 'b', 12, 'c', 23, 'd', 30)],
  ['ZUNION 3 x s i WITHSCORES', bulks(1, 1, 2, 1, 'a', 2, 'b', 2, 'c', 4)],
  ['ZUNION 2 x y WEIGHTS 2 -1 AGGREGATE MIN WITHSCORES', bulks('d', -30, 'c', -20, 'b', -10, 'a', 2)],
  ['ZINTER 2 x y AGGREGATE max WITHSCORES', bulks('b', 10, 'c', 20)],
  ['ZINTER 3 x y s WEIGHTS 1 1 0.5', bulks('c')],
  ['ZINTER 2 x x WEIGHTS 1 3 WITHSCORES', bulks('a', 4, 'b', 8, 'c', 12)],
  ['ZINTER 2 x nokey', '[]'],
  ['ZDIFF 2 x y WITHSCORES', bulks('a', 1)],
  ['ZDIFF 3 x s i WITHSCORES', bulks('b', 2)],
  ['ZDIFF 2 x x', '[]'],
  ['ZDIFF 2 nokey x', '[]'],
  ['ZINTERCARD 2 x y', ':2'],
  ['ZINTERCARD 2 x y LIMIT 1', ':1'],
  ['ZINTERCARD 2 x y LIMIT 0', ':2'],
  ['ZINTERCARD 2 x nokey', ':0'],
  ['ZUNIONSTORE d 2 x y', ':4'],
  ['ZINTERSTORE d 2 d s WEIGHTS inf 0', ':2'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('a', 'inf', 'c', 'inf')],
  ['ZUNIONSTORE d 1 d WEIGHTS 0', ':2'],
  ['ZRANGE d 0 -1 WITHSCORES', bulks('a', 0, 'c', 0)],
  ['ZDIFFSTORE d 2 x x', ':0'],
  ['EXISTS d', ':0'],
  ['ZADD p inf m', ':1'],
  ['ZADD q -inf m', ':1'],
  ['ZUNION 2 p q WITHSCORES', bulks('m', 0)],
  ['ZUNION 0 x', '-ERR at least 1 input key is needed for \'zunion\' command'],
  ['ZINTERSTORE d -1 x', '-ERR at least 1 input key is needed for \'zinterstore\' command'],
  ['ZUNION a x', NOT_INTEGER],
  ['ZUNION 2 x', SYNTAX],
  ['ZUNION 1 x WEIGHTS', SYNTAX],
  ['ZUNION 1 x WEIGHTS a', '-ERR weight value is not a float'],
  ['ZUNION 1 x AGGREGATE foo', SYNTAX],
  ['ZDIFF 1 x WEIGHTS 1', SYNTAX],
  ['ZUNIONSTORE d 1 x WITHSCORES', SYNTAX],
  ['ZINTERCARD 1 x LIMIT -1', '-ERR LIMIT can\'t be negative'],
  ['ZINTERCARD 1 x LIMIT x', '-ERR LIMIT can\'t be negative'],
  ['ZINTERCARD 1 x WITHSCORES', SYNTAX],
  ['SET str x', '+OK'],
  ['ZUNION 2 x str foo', WRONGTYPE],
  ['ZDIFFSTORE str 1 x', ':3'],
  ['TYPE str', '+zset'],
])

// ------------------------------------------------------------------------------------------------ chance and walks

const membersOf = (reply: Reply): string[] => (reply.type === 'array' ? reply.items.map(show) : [])
const allDifferent = (count: number) => (reply: Reply): boolean =>
  membersOf(reply).length === count && new Set(membersOf(reply)).size === count

await inBothEncodings('random members', `ZADD z ${pairs(30)}`, [
  ['ZRANDMEMBER z', /^"m\d+"$/],
  ['ZRANDMEMBER z 3', allDifferent(3)],
  ['ZRANDMEMBER z 20', allDifferent(20)],
  ['ZRANDMEMBER z 100', allDifferent(30)],
  ['ZRANDMEMBER z -100', (reply) => membersOf(reply).length === 100],
  ['ZRANDMEMBER z -3 WITHSCORES', (reply) => membersOf(reply).length === 6],
  ['ZRANDMEMBER z 0', '[]'],
  ['ZRANDMEMBER nokey', 'nil'],
  ['ZRANDMEMBER nokey 3', '[]'],
  ['ZRANDMEMBER z x', NOT_INTEGER],
  ['ZRANDMEMBER z 1 foo', SYNTAX],
  ['ZRANDMEMBER z 1 WITHSCORES x', SYNTAX],
  ['ZRANDMEMBER z 9223372036854775807 WITHSCORES', '-ERR value is out of range'],
])

await check('ZSCAN', [
  ['ZADD z 1 a 0.1 b', ':2'],
  ['ZSCAN z 0', '["0", ["b", "0.1", "a", "1"]]'],
  ['ZSCAN z 0 MATCH a NOSCORES', '["0", ["a"]]'],
  ['ZSCAN z 0 COUNT 0', SYNTAX],
  ['ZSCAN z 0 COUNT x', NOT_INTEGER],
  ['ZSCAN z 0 MATCH', SYNTAX],
  ['ZSCAN z 0 NOVALUES', '-ERR NOVALUES option can only be used in HSCAN'],
  ['ZSCAN z x', '-ERR invalid cursor'],
  ['ZSCAN nokey 0 foo', '["0", []]'],
  ['CONFIG SET zset-max-listpack-entries 2', '+OK'],
  ['ZADD z inf c', ':1'],
  ['ZSCAN z 0 COUNT 100', (reply) => reply.type === 'array' && reply.items[1]?.type === 'array' &&
    membersOf(reply.items[1]).sort().join(' ') === '"0.10000000000000001" "1" "a" "b" "c" "inf"'],
  ['ZSCAN z 0 COUNT 100 NOSCORES MATCH [ab]', (reply) => reply.type === 'array' && reply.items[1] !== undefined &&
    (unordered('"a"', '"b"') as (items: Reply) => boolean)(reply.items[1])],
  ['CONFIG SET zset-max-listpack-entries 128', '+OK'],
])

// ------------------------------------------------------------------------------------------------ RESP3

await check('RESP3', [
  ['ZADD z 1 a 2.5 b inf c', ':3'],
  ['ZADD z INCR 1 a', ',2'],
  ['ZADD z INCR NX 1 a', 'null'],
  ['ZSCORE z b', ',2.5'],
  ['ZMSCORE z c nope', '[,inf, null]'],
  ['ZRANGE z 0 -1', '["a", "b", "c"]'],
  ['ZRANGE z 0 -1 WITHSCORES', '[["a", ,2], ["b", ,2.5], ["c", ,inf]]'],
  ['ZREVRANGEBYSCORE z 3 0 WITHSCORES', '[["b", ,2.5], ["a", ,2]]'],
  ['ZRANK z b WITHSCORE', '[:1, ,2.5]'],
  ['ZRANK z nope', 'null'],
  ['ZRANK z nope WITHSCORE', 'null'],
  ['ZUNION 1 z WITHSCORES', '[["a", ,2], ["b", ,2.5], ["c", ,inf]]'],
  ['ZSCAN z 0', '["0", ["a", "2", "b", "2.5", "c", "inf"]]'],
  ['ZRANDMEMBER z 9 WITHSCORES', unordered('["a", ,2]', '["b", ,2.5]', '["c", ,inf]')],
  ['ZPOPMIN z', '["a", ,2]'],
  ['ZPOPMIN z 1', '[["b", ,2.5]]'],
  ['ZMPOP 1 z MAX', '["z", [["c", ,inf]]]'],
  ['ZMPOP 1 z MAX', 'null'],
  ['ZPOPMIN z', '[]'],
], { resp: 3 })

// ------------------------------------------------------------------------------------------------ encodings

await check('encodings at the thresholds', [
  ['ZADD z 1 a 1 b 1 c', ':3'],
  ['OBJECT ENCODING z', '"listpack"'],
  ['ZADD z 1 abcd', ':1'],
  ['OBJECT ENCODING z', '"listpack"'],
  ['ZADD z 1 a 1 a 1 a 1 a', ':0'],
  ['OBJECT ENCODING z', '"listpack"'],
  ['ZADD z 1 e', ':1'],
  ['OBJECT ENCODING z', '"skiplist"'],
  ['ZREM z a b c e', ':4'],
  ['OBJECT ENCODING z', '"skiplist"'],
  ['ZADD many 1 a 1 a 1 a 1 a 1 a', ':1'],
  ['OBJECT ENCODING many', '"skiplist"'],
  ['ZADD few 1 a', ':1'],
  ['ZADD few 1 a 1 a 1 a 1 a 1 a', ':0'],
  ['OBJECT ENCODING few', '"skiplist"'],
  ['ZADD long 1 abcde', ':1'],
  ['OBJECT ENCODING long', '"skiplist"'],
  ['ZADD never 1 abcd', ':1'],
  ['ZADD never XX 1 abcde', ':0'],
  ['OBJECT ENCODING never', '"skiplist"'],
  ['ZADD five 1 a 2 b 3 c 4 d 5 e', ':5'],
  ['ZRANGESTORE d five 0 3', ':4'],
  ['OBJECT ENCODING d', '"listpack"'],
  ['ZRANGESTORE d five 0 4', ':5'],
  ['OBJECT ENCODING d', '"skiplist"'],
  ['ZUNIONSTORE d 1 z', ':1'],
  ['OBJECT ENCODING d', '"listpack"'],
  ['ZUNIONSTORE d 1 long', ':1'],
  ['OBJECT ENCODING d', '"skiplist"'],
  ['ZINTERSTORE d 2 five few', ':1'],
  ['OBJECT ENCODING d', '"listpack"'],
], { config: { 'zset-max-listpack-entries': 4, 'zset-max-listpack-value': 4 } })

// ------------------------------------------------------------------------------------------------ the order itself

interface Entry { readonly name: string; score: number }
const inOrder = (a: Entry, b: Entry): number => a.score - b.score || Buffer.from(a.name).compare(Buffer.from(b.name))

/** Compares the whole order, both ways, and samples of ranks with the model. */
function matches(set: LargeSortedSet, model: Entry[], random: Random, test: Test): void {
  model.sort(inOrder)
  const member = new Slice()
  const cursor = new OrderCursor()
  const forward: string[] = []
  for (let more = cursor.seek(set.order, 0); more; more = cursor.next())
    forward.push(`${set.members.keyAt(cursor.ref, member).toString()} ${cursor.score}`)
  const wanted = model.map((row) => `${row.name} ${row.score}`)
  test.same(forward, wanted, `${model.length} members ascend`)
  const backward: string[] = []
  for (let more = cursor.seek(set.order, set.size - 1); more; more = cursor.previous())
    backward.push(`${set.members.keyAt(cursor.ref, member).toString()} ${cursor.score}`)
  test.same(backward, wanted.reverse(), 'and descend')
  for (let i = 0; i < Math.min(20, model.length); i++) {
    const at = random.below(model.length)
    const { name, score } = model[at]
    if (set.rankOf(Slice.from(name)) !== at) test.fail(`rank of ${name}`)
    if (set.scoreOf(Slice.from(name)) !== score) test.fail(`score of ${name}`)
    if (set.order.countBelow(score, false) !== model.filter((row) => row.score < score).length) test.fail('below')
    if (set.order.countBelow(score, true) !== model.filter((row) => row.score <= score).length) test.fail('up to')
  }
}

t.test('the order against a sorted array', (test) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1000000)
  test.comment(`seed ${seed}`)
  const random = new Random(seed)
  for (const range of [1, 50, 1e9]) {
    const set = new LargeSortedSet()
    const model = new Map<string, Entry>()
    // Grows to some thousands of members, then shrinks to none: chunks split, merge and go.
    for (let step = 0; step < 14000; step++) {
      const growing = step < 8000
      const name = random.below(60) === 0 ? 'long'.repeat(1100) + random.below(50) : `m${random.below(6000)}`
      const key = Slice.from(name)
      if (random.below(10) < (growing ? 8 : 1)) {
        const score = random.below(range)
        const ref = set.findOrAdd(key, score)
        if (!set.added) set.setScore(ref, score)
        model.set(name, { name, score })
      } else if (random.below(40) === 0 && model.size > 0) {
        const count = Math.min(set.size, 1 + random.below(growing ? 20 : 300))
        const rank = random.below(set.size - count + 1)
        for (const row of [...model.values()].sort(inOrder).slice(rank, rank + count)) model.delete(row.name)
        set.deleteRange(rank, count)
      } else if (set.delete(key) !== model.delete(name)) test.fail(`delete ${name}`)
      if (step % 3500 === 0) matches(set, [...model.values()], random, test)
    }
    matches(set, [...model.values()], random, test)
    matches(set.clone(), [...model.values()], random, test)
  }
  test.end()
})

t.test('bulk building from any sequence', (test) => {
  const random = new Random(7)
  const rows: Entry[] = Array.from({ length: 3000 }, (_, i) => ({ name: `m${i}`, score: random.below(500) })).sort(inOrder)
  const shuffled = [...rows].sort(() => random.below(3) - 1)
  const almost = [...rows.slice(0, 2000), ...rows.slice(2500), ...rows.slice(2000, 2500)]
  const sequences = { ascending: rows, descending: [...rows].reverse(), shuffled, almost, back: [...almost].reverse() }
  for (const [name, sequence] of Object.entries(sequences)) {
    for (const size of [0, 1, 2, 224, 225, 3000]) {
      const loader = new SortedSetLoader()
      const part = sequence.slice(0, size)
      const isNew = part.map((row) => loader.add(Slice.from(row.name), row.score))
      test.notOk(isNew.includes(false))
      if (size > 0) test.equal(loader.add(Slice.from(part[0].name), 1), false, 'a member that is there')
      const set = loader.finish()
      test.equal(set.size, size, name)
      matches(set, [...part], random, test)
      for (let i = 0; i < Math.min(size, 100); i++) set.findOrAdd(Slice.from(`x${i}`), random.below(500))
      test.equal(set.order.size, set.size)
    }
  }
  test.end()
})

t.test('ascending insertion fills chunks', (test) => {
  const set = new LargeSortedSet()
  for (let i = 0; i < 100000; i++) set.findOrAdd(Slice.from(`m${i}`), i)
  test.ok(set.order.bytes < 100000 * 14, `${(set.order.bytes / 100000).toFixed(1)} bytes of order per member`)
  set.deleteRange(10, 99980)
  test.equal(set.order.groups.length, 1)
  test.equal(set.rankOf(Slice.from('m99999')), 19)
  test.end()
})
