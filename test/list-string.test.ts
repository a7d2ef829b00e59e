/**
 * Lists and strings: every command as a table of command -> reply; the borders between encodings; the nodes of
 * large lists, whose DUMP must be Valkey's to the byte after any sequence of edits; long strings in place.
 */
import t from 'tap'
import { lpValidate } from '../protocol/rdb/listpack-check.js'
import { Slice } from '../protocol/slice.js'
import { ListCursor } from '../src/keyspace/list-cursor.js'
import { LargeList } from '../src/keyspace/list.js'
import { Random } from '../src/random.js'
import type { RespClient, Word } from './client.js'
import { skipWithout, startPeer } from './peers.js'
import { tables } from './replies.js'

const check = await tables(t)
const WRONGTYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value'
const NOT_INTEGER = '-ERR value is not an integer or out of range'
const NOT_POSITIVE = '-ERR value is out of range, must be positive'
const SYNTAX = '-ERR syntax error'
const BAD_TIME = "-ERR invalid expire time in 'set' command"

// ------------------------------------------------------------------------------------------------ lists

await check('LPUSH, RPUSH and their X forms', [
  ['LPUSH l a b c', ':3'],
  ['RPUSH l d', ':4'],
  ['LRANGE l 0 -1', '["c", "b", "a", "d"]'],
  ['LPUSHX l z', ':5'],
  ['RPUSHX l y x', ':7'],
  ['LRANGE l 0 -1', '["z", "c", "b", "a", "d", "y", "x"]'],
  ['LPUSHX none a', ':0'],
  ['RPUSHX none a', ':0'],
  ['EXISTS none', ':0'],
  ['SET s v', '+OK'],
  ['LPUSH s a', WRONGTYPE],
  ['RPUSHX s a', WRONGTYPE],
  ['LPUSH l', "-ERR wrong number of arguments for 'lpush' command"],
  ['RPUSH numbers 0 127 128 -1 4095 4096 -4096 -4097 32767 32768 8388608 2147483648 9223372036854775807 -9223372036854775808 9223372036854775808 007 -0', ':17'],
  ['LRANGE numbers 0 -1', '["0", "127", "128", "-1", "4095", "4096", "-4096", "-4097", "32767", "32768", "8388608", "2147483648", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "007", "-0"]'],
  ['LPOS numbers 9223372036854775807', ':12'],
  ['LPOS numbers 9223372036854775808', ':14'],
  ['LPOS numbers 007', ':15'],
  ['LPOS numbers 7', 'nil'],
  ['LREM numbers 0 4096', ':1'],
  ['LLEN numbers', ':16'],
  ['OBJECT ENCODING numbers', '"listpack"'],
])

await check('LPOP and RPOP', [
  ['RPUSH l 1 2 3 4 5 6 7', ':7'],
  ['LPOP l', '"1"'],
  ['RPOP l', '"7"'],
  ['LPOP l 2', '["2", "3"]'],
  ['RPOP l 2', '["6", "5"]'],
  ['LPOP l 0', '[]'],
  ['LPOP l -1', NOT_POSITIVE],
  ['LPOP l x', NOT_POSITIVE],
  ['LPOP l 1 2', "-ERR wrong number of arguments for 'lpop' command"],
  ['RPOP l 1 2', "-ERR wrong number of arguments for 'rpop' command"],
  ['LPOP none', 'nil'],
  ['LPOP none 1', 'nil-array'],
  ['LPOP none 0', 'nil-array'],
  ['LPOP none -1', NOT_POSITIVE],
  ['LPOP l 100', '["4"]'],
  ['EXISTS l', ':0'],
  ['SET s v', '+OK'],
  ['LPOP s', WRONGTYPE],
  ['LPOP s 0', WRONGTYPE],
  ['LPOP s x', NOT_POSITIVE],
])

await check('LLEN, LINDEX, LRANGE', [
  ['LLEN l', ':0'],
  ['LINDEX l x', 'nil'],
  ['LRANGE l x 0', NOT_INTEGER],
  ['RPUSH l a b c d e', ':5'],
  ['LLEN l', ':5'],
  ['LINDEX l 0', '"a"'],
  ['LINDEX l -1', '"e"'],
  ['LINDEX l 5', 'nil'],
  ['LINDEX l -6', 'nil'],
  ['LINDEX l x', NOT_INTEGER],
  ['LRANGE l 1 3', '["b", "c", "d"]'],
  ['LRANGE l -2 -1', '["d", "e"]'],
  ['LRANGE l -100 1', '["a", "b"]'],
  ['LRANGE l 3 100', '["d", "e"]'],
  ['LRANGE l 3 2', '[]'],
  ['LRANGE l 5 6', '[]'],
  ['LRANGE l 0 9223372036854775807', '["a", "b", "c", "d", "e"]'],
  ['LRANGE l -9223372036854775808 -1', '["a", "b", "c", "d", "e"]'],
  ['LRANGE l 0 9223372036854775808', NOT_INTEGER],
  ['SET s v', '+OK'],
  ['LLEN s', WRONGTYPE],
  ['LINDEX s x', WRONGTYPE],
  ['LRANGE s 0 -1', WRONGTYPE],
])

await check('LSET and LINSERT', [
  ['LSET none 0 x', '-ERR no such key'],
  ['LSET none x x', '-ERR no such key'],
  ['RPUSH l a b c b', ':4'],
  ['LSET l 0 A', '+OK'],
  ['LSET l -1 B', '+OK'],
  ['LSET l 4 x', '-ERR index out of range'],
  ['LSET l -5 x', '-ERR index out of range'],
  ['LSET l x x', NOT_INTEGER],
  ['LRANGE l 0 -1', '["A", "b", "c", "B"]'],
  ['LINSERT l BEFORE b x', ':5'],
  ['LINSERT l after B y', ':6'],
  ['LINSERT l before A first', ':7'],
  ['LINSERT l after none y', ':-1'],
  ['LINSERT l beside b y', SYNTAX],
  ['LINSERT none before b y', ':0'],
  ['LINSERT none beside b y', SYNTAX],
  ['LRANGE l 0 -1', '["first", "A", "x", "b", "c", "B", "y"]'],
  ['SET s v', '+OK'],
  ['LSET s 0 x', WRONGTYPE],
  ['LINSERT s before a b', WRONGTYPE],
])

await check('LREM and LTRIM', [
  ['RPUSH l a b a c a d a', ':7'],
  ['LREM l 2 a', ':2'],
  ['LRANGE l 0 -1', '["b", "c", "a", "d", "a"]'],
  ['LREM l -1 a', ':1'],
  ['LRANGE l 0 -1', '["b", "c", "a", "d"]'],
  ['LREM l 0 a', ':1'],
  ['LREM l 0 a', ':0'],
  ['LREM l x a', NOT_INTEGER],
  ['LREM l -9223372036854775808 a', '-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807'],
  ['LREM l 9223372036854775808 a', NOT_INTEGER],
  ['LREM none 0 a', ':0'],
  ['RPUSH m a b a c a', ':5'],
  ['LREM m 9223372036854775806 a', ':3'],
  ['LREM m -9223372036854775807 b', ':1'],
  ['LRANGE m 0 -1', '["c"]'],
  ['LTRIM l 1 -1', '+OK'],
  ['LRANGE l 0 -1', '["c", "d"]'],
  ['LTRIM l 0 100', '+OK'],
  ['LTRIM l x 1', NOT_INTEGER],
  ['LTRIM none 0 1', '+OK'],
  ['LTRIM none x 1', NOT_INTEGER],
  ['LTRIM l 5 1', '+OK'],
  ['EXISTS l', ':0'],
  ['RPUSH l a a', ':2'],
  ['LREM l 0 a', ':2'],
  ['EXISTS l', ':0'],
  ['SET s v', '+OK'],
  ['LREM s 0 a', WRONGTYPE],
  ['LTRIM s 0 1', WRONGTYPE],
])

await check('LPOS', [
  ['RPUSH l a b c a b c a', ':7'],
  ['LPOS l a', ':0'],
  ['LPOS l b RANK 2', ':4'],
  ['LPOS l b RANK 3', 'nil'],
  ['LPOS l a RANK -1', ':6'],
  ['LPOS l a RANK -3', ':0'],
  ['LPOS l a COUNT 0', '[:0, :3, :6]'],
  ['LPOS l a COUNT 2', '[:0, :3]'],
  ['LPOS l a COUNT 0 RANK -1', '[:6, :3, :0]'],
  ['LPOS l a COUNT 2 RANK 2', '[:3, :6]'],
  ['LPOS l a COUNT 0 MAXLEN 4', '[:0, :3]'],
  ['LPOS l a COUNT 0 MAXLEN 4 RANK -1', '[:6, :3]'],
  ['LPOS l c MAXLEN 2', 'nil'],
  ['LPOS l x', 'nil'],
  ['LPOS l x COUNT 1', '[]'],
  ['LPOS none a', 'nil'],
  ['LPOS none a COUNT 1', '[]'],
  ['LPOS l a RANK 0', "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"],
  ['LPOS l a RANK x', NOT_INTEGER],
  ['LPOS l a RANK -9223372036854775808', '-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807'],
  ['LPOS l a COUNT -1', "-ERR COUNT can't be negative"],
  ['LPOS l a COUNT x', "-ERR COUNT can't be negative"],
  ['LPOS l a MAXLEN -1', "-ERR MAXLEN can't be negative"],
  ['LPOS l a RANK', SYNTAX],
  ['LPOS l a FOO 1', SYNTAX],
  ['SET s v', '+OK'],
  ['LPOS s a RANK 0', "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"],
  ['LPOS s a', WRONGTYPE],
])

await check('LMOVE and RPOPLPUSH', [
  ['RPUSH l a b c', ':3'],
  ['LMOVE l m LEFT LEFT', '"a"'],
  ['LMOVE l m RIGHT LEFT', '"c"'],
  ['LMOVE l m LEFT RIGHT', '"b"'],
  ['EXISTS l', ':0'],
  ['LRANGE m 0 -1', '["c", "a", "b"]'],
  ['LMOVE m m LEFT RIGHT', '"c"'],
  ['RPOPLPUSH m m', '"c"'],
  ['RPOPLPUSH m l', '"b"'],
  ['LRANGE m 0 -1', '["c", "a"]'],
  ['LRANGE l 0 -1', '["b"]'],
  ['LMOVE l l LEFT LEFT', '"b"'],
  ['LMOVE l m UP LEFT', SYNTAX],
  ['LMOVE l m LEFT UP', SYNTAX],
  ['LMOVE none m UP LEFT', SYNTAX],
  ['LMOVE none m LEFT LEFT', 'nil'],
  ['SET s v', '+OK'],
  ['LMOVE l s LEFT LEFT', WRONGTYPE],
  ['LMOVE none s LEFT LEFT', 'nil'],
  ['RPOPLPUSH s l', WRONGTYPE],
  ['LRANGE l 0 -1', '["b"]'],
])

await check('LMPOP', [
  ['RPUSH l a b c', ':3'],
  ['LMPOP 2 none l LEFT', '["l", ["a"]]'],
  ['LMPOP 1 l RIGHT COUNT 5', '["l", ["c", "b"]]'],
  ['EXISTS l', ':0'],
  ['LMPOP 2 none l LEFT', 'nil-array'],
  ['LMPOP 0 l LEFT', '-ERR numkeys should be greater than 0'],
  ['LMPOP x l LEFT', '-ERR numkeys should be greater than 0'],
  ['LMPOP 1 l', "-ERR wrong number of arguments for 'lmpop' command"],
  ['LMPOP 1 l UP', SYNTAX],
  ['LMPOP 2 l LEFT', SYNTAX],
  ['LMPOP 1 l LEFT COUNT 0', '-ERR count should be greater than 0'],
  ['LMPOP 1 l LEFT COUNT x', '-ERR count should be greater than 0'],
  ['LMPOP 1 l LEFT COUNT 1 COUNT 2', SYNTAX],
  ['LMPOP 1 l LEFT COUNT', SYNTAX],
  ['SET s v', '+OK'],
  ['LMPOP 2 none s LEFT', WRONGTYPE],
])

await check('the border of the packed list', [
  ['RPUSH', 'k', 'x'.repeat(8185), ':1'],
  ['OBJECT ENCODING k', '"listpack"'],
  ['RPUSH', 'k', '', ':2'],
  ['OBJECT ENCODING k', '"quicklist"'],
  ['RPUSH', 'one', 'x'.repeat(8186), ':1'],
  ['OBJECT ENCODING one', '"quicklist"'],
  ['RPUSH', 'many', ...Array.from({ length: 3000 }, (_, i) => i), ':3000'],
  ['OBJECT ENCODING many', '"quicklist"'],
  ['LTRIM many 0 1020', '+OK'],
  ['OBJECT ENCODING many', '"listpack"'],
  ['LINDEX many 1020', '"1020"'],
  ['LSET', 'many', 5, 'x'.repeat(9000), '+OK'],
  ['OBJECT ENCODING many', '"quicklist"'],
  ['LINDEX many 6', '"6"'],
  ['LSET many 5 5', '+OK'],
  ['LRANGE many 4 6', '["4", "5", "6"]'],
  ['LREM', 'many', 1, 'x'.repeat(9000), ':0'],
  ['LLEN many', ':1021'],
])

// Up to 65,534 elements the header of a listpack knows their number; from then on it has to be counted.
await check('a packed list of more elements than its header can count', [
  ['RPUSH', 'k', ...Array.from({ length: 66_000 }, () => ''), ':66000'],
  ['OBJECT ENCODING k', '"listpack"'],
  ['LPOP k 1000', (reply) => reply.type === 'array' && reply.items.length === 1000],
  ['LLEN k', ':65000'],
  ['RPUSH', 'k', 'end', ':65001'],
  ['OBJECT ENCODING k', '"quicklist"'],
  ['LINDEX k -1', '"end"'],
  ['LREM', 'k', 0, '', ':65000'],
  ['LRANGE k 0 -1', '["end"]'],
])

// ------------------------------------------------------------------------------------------------ strings

await check('SET', [
  ['SET k v', '+OK'],
  ['GET k', '"v"'],
  ['SET k 2 NX', 'nil'],
  ['SET k 2 XX', '+OK'],
  ['SET none 2 XX', 'nil'],
  ['SET k 3 NX NX', 'nil'],
  ['SET k 3 NX XX', SYNTAX],
  ['SET k 3 GET', '"2"'],
  ['SET new 3 GET', 'nil'],
  ['SET new 4 NX GET', '"3"'],
  ['GET new', '"3"'],
  ['SET k v EX 100', '+OK'],
  ['SET k v KEEPTTL', '+OK'],
  ['TTL k', /^:(99|100)$/],
  ['SET k v', '+OK'],
  ['TTL k', ':-1'],
  ['SET k v ex 10 EX 200', '+OK'],
  ['TTL k', /^:(199|200)$/],
  ['SET k v EX 10 PX 20', SYNTAX],
  ['SET k v EX', SYNTAX],
  ['SET k v KEEPTTL EX 10', SYNTAX],
  ['SET k v FOO', SYNTAX],
  ['SET k v EX 0', BAD_TIME],
  ['SET k v EX -1', BAD_TIME],
  ['SET k v EX x', NOT_INTEGER],
  ['SET k v EX 9223372036854775807', BAD_TIME],
  ['SET k v PX 9223372036854775807', BAD_TIME],
  ['SET k v EXAT 9223372036854776', BAD_TIME],
  ['SET k v PXAT 9223372036854775807', '+OK'],
  ['PEXPIRETIME k', ':9223372036854775807'],
  ['SET k v EXAT 9223372036854775', '+OK'],
  ['PEXPIRETIME k', ':9223372036854775000'],
  ['SET k v PXAT 9007199254740993', '+OK'],
  ['PEXPIRETIME k', ':9007199254740993'],
  ['SET k v PXAT 1', '+OK'],
  ['EXISTS k', ':0'],
  ['DBSIZE', ':1'],
  ['SET k v PXAT 1 GET', 'nil'],
  ['SET k v PXAT 1 XX', 'nil'],
  ['SET k v', '+OK'],
  ['SET k v PXAT 1 NX', 'nil'],
  ['SET k v PXAT 1 GET', '"v"'],
  ['EXISTS k', ':0'],
  ['LPUSH l a', ':1'],
  ['SET l v GET', WRONGTYPE],
  ['SET l v EX 0 GET', BAD_TIME],
  ['SET l v NX GET', WRONGTYPE],
  ['SET l v', '+OK'],
  ['TYPE l', '+string'],
])

await check('SETNX, SETEX, PSETEX, GETSET', [
  ['SETNX k v', ':1'],
  ['SETNX k w', ':0'],
  ['SETEX k 100 x', '+OK'],
  ['TTL k', /^:(99|100)$/],
  ['PSETEX k 100000 y', '+OK'],
  ['TTL k', /^:(99|100)$/],
  ['SETEX k 0 x', "-ERR invalid expire time in 'setex' command"],
  ['SETEX k x x', NOT_INTEGER],
  ['PSETEX k -1 x', "-ERR invalid expire time in 'psetex' command"],
  ['GETSET k z', '"y"'],
  ['TTL k', ':-1'],
  ['GETSET none z', 'nil'],
  ['LPUSH l a', ':1'],
  ['SETNX l v', ':0'],
  ['GETSET l v', WRONGTYPE],
  ['SETEX l 100 v', '+OK'],
  ['TYPE l', '+string'],
])

await check('MSET, MSETNX, MGET', [
  ['MSET a 1 b 2 a 3', '+OK'],
  ['MGET a b none', '["3", "2", nil]'],
  ['MSETNX c 1 a 2', ':0'],
  ['EXISTS c', ':0'],
  ['MSETNX c 1 d 2 c 3', ':1'],
  ['MGET c d', '["3", "2"]'],
  ['MSET a', "-ERR wrong number of arguments for 'mset' command"],
  ['MSET a 1 b', "-ERR wrong number of arguments for 'mset' command"],
  ['MSETNX a 1 b', "-ERR wrong number of arguments for 'msetnx' command"],
  ['LPUSH l a', ':1'],
  ['MGET a l b', '["3", nil, "2"]'],
  ['MSET l 1', '+OK'],
  ['GET l', '"1"'],
])

await check('GETEX and GETDEL', [
  ['SET k v', '+OK'],
  ['GETEX k', '"v"'],
  ['GETEX k EX 100', '"v"'],
  ['TTL k', /^:(99|100)$/],
  ['GETEX k PERSIST', '"v"'],
  ['TTL k', ':-1'],
  ['GETEX k PXAT 9223372036854775807', '"v"'],
  ['PEXPIRETIME k', ':9223372036854775807'],
  ['GETEX k EX 0', "-ERR invalid expire time in 'getex' command"],
  ['GETEX none EX 0', 'nil'],
  ['GETEX k PERSIST EX 1', SYNTAX],
  ['GETEX k EX 1 PERSIST', SYNTAX],
  ['GETEX k KEEPTTL', SYNTAX],
  ['GETEX k EX', SYNTAX],
  ['GETEX k EXAT 1', '"v"'],
  ['EXISTS k', ':0'],
  ['SET k v', '+OK'],
  ['GETDEL k', '"v"'],
  ['GETDEL k', 'nil'],
  ['LPUSH l a', ':1'],
  ['GETEX l', WRONGTYPE],
  ['GETDEL l', WRONGTYPE],
])

await check('APPEND and STRLEN', [
  ['APPEND k 12', ':2'],
  ['OBJECT ENCODING k', '"int"'],
  ['APPEND k 3', ':3'],
  ['OBJECT ENCODING k', '"raw"'],
  ['INCR k', ':124'],
  ['OBJECT ENCODING k', '"int"'],
  ['APPEND k x', ':4'],
  ['GET k', '"124x"'],
  ['STRLEN k', ':4'],
  ['STRLEN none', ':0'],
  ['LPUSH l a', ':1'],
  ['APPEND l x', WRONGTYPE],
  ['STRLEN l', WRONGTYPE],
])

await check('SETRANGE, GETRANGE, SUBSTR', [
  ['SETRANGE k 2 xx', ':4'],
  ['OBJECT ENCODING k', '"raw"'],
  ['GET k', '"\\x00\\x00xx"'],
  ['SETRANGE k 0 abcdef', ':6'],
  ['SETRANGE k 1 X', ':6'],
  ['GET k', '"aXcdef"'],
  ['SETRANGE k -1 x', '-ERR offset is out of range'],
  ['SETRANGE k x x', NOT_INTEGER],
  ['SETRANGE k 536870911 xx', '-ERR string exceeds maximum allowed size (proto-max-bulk-len)'],
  ['SETRANGE none 536870911 xx', '-ERR string exceeds maximum allowed size (proto-max-bulk-len)'],
  ['GETRANGE k 0 2', '"aXc"'],
  ['GETRANGE k -3 -1', '"def"'],
  ['GETRANGE k 2 100', '"cdef"'],
  ['GETRANGE k 5 2', '""'],
  ['GETRANGE k -1 -3', '""'],
  ['GETRANGE k -100 -90', '"a"'],
  ['GETRANGE k 100 200', '""'],
  ['GETRANGE none 0 1', '""'],
  ['GETRANGE k x 1', NOT_INTEGER],
  ['SUBSTR k 1 3', '"Xcd"'],
  ['LPUSH l a', ':1'],
  ['SETRANGE l 0 x', WRONGTYPE],
  ['GETRANGE l 0 1', WRONGTYPE],
])

await check('INCR and its kin', [
  ['INCR n', ':1'],
  ['INCRBY n 10', ':11'],
  ['DECR n', ':10'],
  ['DECRBY n 20', ':-10'],
  ['GET n', '"-10"'],
  ['OBJECT ENCODING n', '"int"'],
  ['SET n 9223372036854775806', '+OK'],
  ['INCR n', ':9223372036854775807'],
  ['INCR n', '-ERR increment or decrement would overflow'],
  ['DECRBY n -1', '-ERR increment or decrement would overflow'],
  ['INCRBY n -9223372036854775808', ':-1'],
  ['DECRBY n -9223372036854775808', '-ERR decrement would overflow'],
  ['INCRBY n 9223372036854775808', NOT_INTEGER],
  ['INCRBY n 1.0', NOT_INTEGER],
  ['SET n 9007199254740991', '+OK'],
  ['INCR n', ':9007199254740992'],
  ['INCR n', ':9007199254740993'],
  ['SET n -9223372036854775808', '+OK'],
  ['DECR n', '-ERR increment or decrement would overflow'],
  ['SET n 007', '+OK'],
  ['INCR n', NOT_INTEGER],
  ['SET n 1.0', '+OK'],
  ['INCR n', NOT_INTEGER],
  ['SET n 5 EX 100', '+OK'],
  ['INCR n', ':6'],
  ['TTL n', /^:(99|100)$/],
  ['LPUSH l a', ':1'],
  ['INCR l', WRONGTYPE],
  ['INCRBY l x', NOT_INTEGER],
])

await check('INCRBYFLOAT', [
  ['INCRBYFLOAT f 10', '"10"'],
  ['OBJECT ENCODING f', '"embstr"'],
  ['INCRBYFLOAT f 0.1', '"10.1"'],
  ['INCRBYFLOAT f -5.0e3', '"-4989.89999999999999991"'],
  ['INCRBYFLOAT f x', '-ERR value is not a valid float'],
  ['INCRBYFLOAT f inf', '-ERR increment would produce NaN or Infinity'],
  ['SET f 3.0', '+OK'],
  ['INCRBYFLOAT f 1.00000000000000000001', '"4"'],
  ['SET f abc', '+OK'],
  ['INCRBYFLOAT f 1', '-ERR value is not a valid float'],
  ['SET f 1 EX 100', '+OK'],
  ['INCRBYFLOAT f 1e2', '"101"'],
  ['TTL f', /^:(99|100)$/],
  ['LPUSH l a', ':1'],
  ['INCRBYFLOAT l 1', WRONGTYPE],
])

await check('encodings of strings', [
  ['SET k 12345678901234567890123456789012345678901234', '+OK'],
  ['OBJECT ENCODING k', '"embstr"'],
  ['SET k 123456789012345678901234567890123456789012345', '+OK'],
  ['OBJECT ENCODING k', '"raw"'],
  ['SET k 9223372036854775807', '+OK'],
  ['OBJECT ENCODING k', '"int"'],
  ['SET k 9223372036854775808', '+OK'],
  ['OBJECT ENCODING k', '"embstr"'],
  ['SET k -9223372036854775808', '+OK'],
  ['OBJECT ENCODING k', '"int"'],
  ['SET k -0', '+OK'],
  ['OBJECT ENCODING k', '"embstr"'],
  ['SET k 01', '+OK'],
  ['OBJECT ENCODING k', '"embstr"'],
])

await check('LCS', [
  ['MSET a ohmytext b mynewtext', '+OK'],
  ['LCS a b', '"mytext"'],
  ['LCS a b LEN', ':6'],
  ['LCS a b IDX', '["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]'],
  ['LCS a b IDX WITHMATCHLEN', '["matches", [[[:4, :7], [:5, :8], :4], [[:2, :3], [:0, :1], :2]], "len", :6]'],
  ['LCS a b IDX MINMATCHLEN 4', '["matches", [[[:4, :7], [:5, :8]]], "len", :6]'],
  ['LCS a b IDX MINMATCHLEN -1', '["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]'],
  ['LCS a none', '""'],
  ['LCS a none IDX', '["matches", [], "len", :0]'],
  ['LCS a none LEN', ':0'],
  ['LCS a b LEN IDX', '-ERR If you want both the length and indexes, please just use IDX.'],
  ['LCS a b MINMATCHLEN x', NOT_INTEGER],
  ['LCS a b MINMATCHLEN', SYNTAX],
  ['LCS a b FOO', SYNTAX],
  ['LPUSH l a', ':1'],
  ['LCS l b FOO', '-ERR The specified keys must contain string values'],
])

await check('replies in RESP3', [
  ['LPOP none', 'null'],
  ['LPOP none 1', 'null'],
  ['LMPOP 1 none LEFT', 'null'],
  ['LPOS none a', 'null'],
  ['GET none', 'null'],
  ['MGET none', '[null]'],
  ['MSET a ab b b', '+OK'],
  ['LCS a b IDX', '{"matches": [[[:1, :1], [:0, :0]]], "len": :1}'],
  ['INCRBYFLOAT f 1.5', '"1.5"'],
], { resp: 3 })

await check('strings of bytes', [
  ['SETRANGE', 'k', 0, '', ':0'],
  ['EXISTS k', ':0'],
  ['SETRANGE', 'k', 3, Buffer.from([255]), ':4'],
  ['GET k', '"\\x00\\x00\\x00\\xff"'],
  ['SETRANGE', 'k', 0, '', ':4'],
  ['APPEND', 'k', Buffer.from([0, 13, 10]), ':7'],
  ['GETRANGE k 3 -1', '"\\xff\\x00\\r\\n"'],
  ['APPEND', 'none', '', ':0'],
  ['EXISTS none', ':1'],
  ['OBJECT ENCODING none', '"embstr"'],
  ['APPEND', 'none', '', ':0'],
  ['OBJECT ENCODING none', '"raw"'],
  ['SET', 'spaced', ' 1', '+OK'],
  ['INCR spaced', NOT_INTEGER],
])

const long = 'x'.repeat(20_000)
await check('long strings grow in place', [
  ['APPEND', 'k', 'x'.repeat(16_384), ':16384'],
  ['APPEND', 'k', 'y', ':16385'],
  ['APPEND', 'k', long, ':36385'],
  ['GETRANGE k 16383 16386', '"xyxx"'],
  ['SETRANGE', 'k', 16_384, 'z', ':36385'],
  ['SETRANGE', 'k', 40_000, 'end', ':40003'],
  ['GETRANGE k 36383 36386', '"xx\\x00\\x00"'],
  ['GETRANGE k -4 -1', '"\\x00end"'],
  ['COPY k copy', ':1'],
  ['APPEND k more', ':40007'],
  ['STRLEN copy', ':40003'],
  ['SET k short', '+OK'],
  ['GET k', '"short"'],
  ['SET', 'k', long, '+OK'],
  ['STRLEN k', ':20000'],
  ['EXPIRE k 100', ':1'],
  ['APPEND k more', ':20004'],
  ['TTL k', /^:(99|100)$/],
  ['LCS', 'k', 'copy', 'LEN', '-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len'],
])

// ------------------------------------------------------------------------------------------------ nodes

const SEED = Number(process.env['SEED'] ?? 20260)

/** An element of a size that matters: integers of every width, short strings, the borders of a node. */
function someElement(random: Random): string {
  const kind = random.below(20)
  if (kind < 6) return String(random.below(20))
  if (kind < 8) return String(random.below(1e6) - 5e5)
  if (kind < 13) return 'abc'.slice(random.below(3)).repeat(1 + random.below(3))
  if (kind < 18) return 'e'.repeat(random.below(300))
  if (kind < 19) return 'B'.repeat(random.below(4000))
  const sizes = [4095, 4096, 8177, 8178, 8183, 8185, 8186, 8191, 8192, 8193, 16378, 20000]
  return 'L'.repeat(sizes[random.below(sizes.length)])
}

function someIndex(random: Random): number {
  const widths = [3, 30, 600]
  const width = widths[random.below(widths.length)]
  return random.below(width * 2) - width
}

function someListCommand(random: Random): Word[] {
  const key = `k${random.below(3)}`
  const other = `k${random.below(3)}`
  const side = (): string => (random.below(2) === 0 ? 'LEFT' : 'RIGHT')
  const kind = random.below(100)
  if (kind < 35) {
    const count = random.below(8) === 0 ? 1 + random.below(80) : 1 + random.below(3)
    const elements = Array.from({ length: count }, () => someElement(random))
    return [random.below(2) === 0 ? 'LPUSH' : 'RPUSH', key, ...elements]
  }
  if (kind < 47) return ['LSET', key, someIndex(random), someElement(random)]
  if (kind < 62) return ['LINSERT', key, random.below(2) === 0 ? 'BEFORE' : 'AFTER', someElement(random), someElement(random)]
  if (kind < 72) return ['LREM', key, random.below(7) - 3, someElement(random)]
  if (kind < 80) return [random.below(2) === 0 ? 'LPOP' : 'RPOP', key, 1 + random.below(20)]
  if (kind < 84) return ['LTRIM', key, random.below(8), -1 - random.below(8)]
  if (kind < 85) return ['LTRIM', key, someIndex(random), someIndex(random)]
  if (kind < 90) return ['LMOVE', key, other, side(), side()]
  if (kind < 93) return ['LMPOP', 2, key, other, side(), 'COUNT', 1 + random.below(10)]
  if (kind < 96) return ['LRANGE', key, someIndex(random), someIndex(random)]
  return ['LPOS', key, someElement(random), 'RANK', random.below(2) === 0 ? -1 : 2, 'COUNT', 0]
}

for (const limit of [-2, -1, 1, 4, 1000]) {
  const title = `the same nodes as Valkey's with list-max-listpack-size ${limit}, seed ${SEED}`
  await t.test(title, { skip: skipWithout('valkey') }, async (t) => {
    const peers = await Promise.all([
      startPeer('keyferry', { config: { 'list-max-listpack-size': limit } }),
      startPeer('valkey', { config: { 'list-max-listpack-size': limit } }),
    ])
    t.teardown(() => Promise.all(peers.map((peer) => peer.stop())))
    const clients = await Promise.all(peers.map((peer) => peer.client()))
    const random = new Random(SEED + limit)
    const history: string[] = []
    for (let round = 0; round < 30; round++) {
      const commands: Word[][] = []
      for (let i = 0; i < 40; i++) commands.push(someListCommand(random), ['DUMP', 'k0'], ['DUMP', 'k1'], ['DUMP', 'k2'])
      const wrong = await firstDifference(clients, commands)
      if (wrong >= 0) {
        for (const command of commands.slice(Math.max(0, wrong - 12), wrong + 1))
          if (command[0] !== 'DUMP') history.push(command.join(' ').slice(0, 120))
        t.fail(`different replies after\n${history.join('\n')}\nat ${String(commands[wrong][0])}`)
        return
      }
    }
    t.pass('1200 edits, as many DUMPs of three lists')
  })
}

/** Runs commands on both servers; the index of the first one they answer differently, or -1. */
async function firstDifference(clients: readonly RespClient[], commands: readonly Word[][]): Promise<number> {
  const [ours, theirs] = await Promise.all(clients.map((client) => client.pipeline(commands)))
  return ours.findIndex((reply, i) => !reply.raw.equals(theirs[i].raw))
}

// ------------------------------------------------------------------------------------------------ the chain

/** Checks a large list against an array: its elements both ways, its counts, and that every node is a listpack. */
function faultOf(list: LargeList, model: readonly string[]): string | undefined {
  if (list.size !== model.length) return `size ${list.size} instead of ${model.length}`
  const cursor = new ListCursor()
  const out = new Slice()
  let i = 0
  for (cursor.seekLarge(list, 0); cursor.valid && i < model.length; cursor.next(), i++)
    if (cursor.get(out).latin1() !== model[i]) return `element ${i}`
  if (i !== model.length) return `ends at ${i}`
  cursor.seekLarge(list, model.length - 1)
  for (i = model.length - 1; i >= 0; i--, cursor.prev()) if (cursor.get(out).latin1() !== model[i]) return `element ${i} from the tail`
  let count = 0
  let nodes = 0
  let bad = 0
  list.forEachNode((plain, buf, start, end) => {
    nodes++
    const here = plain ? 1 : lpValidate(buf, start, end)
    if (here <= 0) bad++
    count += here
  })
  if (bad > 0 || count !== model.length || nodes !== list.nodeCount) return `${bad} bad nodes, ${count} elements, ${nodes} nodes`
  return undefined
}

t.test(`a large list is what an array would be, seed ${SEED}`, async (t) => {
  for (const fill of [-2, -1, 1, 5, 200]) {
    const random = new Random(SEED ^ fill)
    let list = new LargeList(fill)
    let model: string[] = []
    const cursor = new ListCursor()
    let fault: string | undefined
    for (let step = 0; step < 4000 && fault === undefined; step++) {
      const text = someElement(random)
      const value = Slice.from(text)
      const kind = random.below(12)
      const at = model.length === 0 ? 0 : random.below(model.length)
      if (kind < 5 || model.length === 0) {
        const atHead = random.below(2) === 0
        list.push(value, atHead)
        if (atHead) model.unshift(text)
        else model.push(text)
      } else if (kind < 7) {
        const after = random.below(2) === 0
        cursor.seekLarge(list, at)
        list.insert(cursor, value, after)
        model.splice(after ? at + 1 : at, 0, text)
      } else if (kind < 9) {
        cursor.seekLarge(list, at)
        list.replace(cursor, value)
        model[at] = text
      } else if (kind < 10) {
        const count = Math.min(model.length - at, 1 + random.below(5))
        list.delete(at, count)
        model.splice(at, count)
      } else if (kind < 11) {
        const atHead = random.below(2) === 0
        list.drop(atHead)
        if (atHead) model.shift()
        else model.pop()
      } else {
        const wanted = model[at]
        const places = model.flatMap((element, i) => (element === wanted ? [i] : []))
        const fromTail = random.below(2) === 0
        const gone = fromTail ? places.slice(-2) : places.slice(0, 2)
        if (list.remove(Slice.from(wanted), 2, fromTail) !== gone.length) fault = `remove ${wanted.slice(0, 40)}`
        model = model.filter((_, i) => !gone.includes(i))
      }
      if (step % 50 === 0) fault ??= faultOf(list, model)
      if (step % 1000 === 999) {
        list = list.clone()
        if (model.length > 100) {
          list.delete(50, model.length - 100)
          model.splice(50, model.length - 100)
        }
      }
    }
    t.equal(fault ?? faultOf(list, model), undefined, `fill ${fill}`)
    const nodes: { plain: boolean; bytes: Buffer }[] = []
    list.forEachNode((plain, buf, start, end) => nodes.push({ plain, bytes: Buffer.from(buf.subarray(start, end)) }))
    t.equal(faultOf(LargeList.fromNodes(fill, nodes), model), undefined, `fill ${fill}, from its nodes`)
  }
})
