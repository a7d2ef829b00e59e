/**
 * What the fuzzer says: the syntax of every command, by group (`grammar.ts` reads the lines, `alphabet.ts` the $words).
 *
 * Kept out: commands that wait, and commands whose effect depends on chance or on the second it is. SPOP stays in,
 * followed by a DEL of its key (`settle` in `round.ts`). Ranges by lexicographic order are asked of keys of their own
 * (`$lexKey`), whose members all have score 0: with unequal scores the answer depends on the levels of a skip list.
 */
import { parseSyntax, type Syntax } from './grammar.js'

/** A group of commands and the keys it works on mostly. */
export interface Group {
  name: string
  prefix: string
  lines: Syntax[]
}

function group(name: string, prefix: string, lines: string): Group {
  return { name, prefix, lines: lines.trim().split('\n').map((line) => parseSyntax(line.trim())) }
}

const STRING = group('string', 's', `
  6x SET $key $value [NX | XX] [GET] [EX $seconds | PX $millis | EXAT $atSeconds | PXAT $atMillis | KEEPTTL]
  4x SET $key $bigInteger
  4x GET $key
  SETNX $key $value
  SETEX $key $seconds $value
  PSETEX $key $millis $value
  GETSET $key $value
  GETDEL $key
  GETEX $key [EX $seconds | PX $millis | EXAT $atSeconds | PXAT $atMillis | PERSIST]
  2x MGET {$any}
  2x MSET {$key $value}
  MSETNX {$key $value}
  3x APPEND $key $value
  STRLEN $key
  2x SETRANGE $key $offset $value
  2x GETRANGE $key $index $index
  SUBSTR $key $index $index
  2x INCR $key
  DECR $key
  2x INCRBY $key $bigInteger
  DECRBY $key $bigInteger
  3x INCRBYFLOAT $key $float
  2x SETBIT $key $bitOffset $bit
  GETBIT $key $bitOffset
  2x BITCOUNT $key [$index $index [BYTE | BIT]]
  2x BITPOS $key $bit [$index [$index [BYTE | BIT]]]
  2x BITOP (AND | OR | XOR | NOT) $key {$key}
  2x BITFIELD $key {(GET $bitType $bitPlace | SET $bitType $bitPlace $bigInteger | INCRBY $bitType $bitPlace $bigInteger | OVERFLOW (WRAP | SAT | FAIL | X))}
  BITFIELD_RO $key {GET $bitType $bitPlace}
  LCS $key $key [LEN] [IDX] [MINMATCHLEN $count] [WITHMATCHLEN]
  OBJECT ENCODING $key
`)

const HASH = group('hash', 'h', `
  6x HSET $key {$field $value}
  HMSET $key {$field $value}
  2x HSETNX $key $field $value
  3x HGET $key $field
  2x HMGET $key {$field}
  3x HGETALL $key
  HKEYS $key
  HVALS $key
  2x HLEN $key
  HSTRLEN $key $field
  HEXISTS $key $field
  4x HDEL $key {$field}
  3x HINCRBY $key $field $bigInteger
  3x HINCRBYFLOAT $key $field $float
  HRANDFIELD $key [$count [WITHVALUES]]
  HRANDFIELD $key -4 [WITHVALUES]
  2x HSCAN $key $cursor [MATCH $pattern] [COUNT $scanCount] [NOVALUES]
  OBJECT ENCODING $key
`)

const LIST = group('list', 'l', `
  4x RPUSH $key {$element}
  4x LPUSH $key {$element}
  LPUSHX $key {$element}
  RPUSHX $key {$element}
  2x LPOP $key [$count]
  2x RPOP $key [$count]
  2x LLEN $key
  3x LINDEX $key $index
  3x LSET $key $shortIndex $element
  4x LRANGE $key $index $index
  LRANGE $key 0 -1
  2x LTRIM $key $index $index
  3x LINSERT $key (BEFORE | AFTER | AROUND) $element $element
  3x LREM $key $integer $element
  2x LPOS $key $element [RANK $integer] [COUNT $count] [MAXLEN $count]
  2x LMOVE $key $key (LEFT | RIGHT) (LEFT | RIGHT | UP)
  RPOPLPUSH $key $key
  LMPOP <$key> (LEFT | RIGHT) [COUNT $count]
  2x OBJECT ENCODING $key
`)

const SET = group('set', 't', `
  8x SADD $key {$member}
  4x SREM $key {$member}
  2x SISMEMBER $key $member
  SMISMEMBER $key {$member}
  2x SCARD $key
  3x SMEMBERS $key
  2x SMOVE $key $key $member
  SPOP $key [$count]
  SRANDMEMBER $key [$count]
  SRANDMEMBER $key -5
  2x SINTER {$key}
  2x SUNION {$key}
  2x SDIFF {$key}
  2x SINTERSTORE $key {$key}
  2x SUNIONSTORE $key {$key}
  2x SDIFFSTORE $key {$key}
  SINTERCARD <$key> [LIMIT $count]
  2x SSCAN $key $cursor [MATCH $pattern] [COUNT $scanCount] [TYPE $type]
  2x OBJECT ENCODING $key
`)

const ZSET = group('zset', 'z', `
  10x ZADD $key [NX | XX] [GT | LT] [CH] {$score $member}
  2x ZADD $key [NX | XX | GT] [CH] INCR $score $member
  2x ZINCRBY $key $score $member
  4x ZREM $key {$member}
  ZCARD $key
  2x ZSCORE $key $member
  ZMSCORE $key {$member}
  2x ZRANK $key $member [WITHSCORE]
  2x ZREVRANK $key $member [WITHSCORE]
  3x ZRANGE $key $index $index [REV] [WITHSCORES]
  3x ZRANGE $key $scoreBound $scoreBound BYSCORE [REV] [LIMIT $integer $integer] [WITHSCORES]
  3x ZADD $lexKey {0 $member}
  ZREM $lexKey {$member}
  2x ZRANGE $lexKey $lexBound $lexBound BYLEX [REV] [LIMIT $integer $integer]
  2x ZRANGESTORE $key $key $index $index [REV]
  ZRANGESTORE $lexKey $lexKey $lexBound $lexBound BYLEX [REV] [LIMIT $integer $integer]
  2x ZRANGESTORE $key $key $scoreBound $scoreBound BYSCORE [REV] [LIMIT $integer $integer]
  ZREVRANGE $key $index $index [WITHSCORES]
  ZRANGEBYSCORE $key $scoreBound $scoreBound [WITHSCORES] [LIMIT $integer $integer]
  ZREVRANGEBYSCORE $key $scoreBound $scoreBound [WITHSCORES] [LIMIT $integer $integer]
  ZRANGEBYLEX $lexKey $lexBound $lexBound [LIMIT $integer $integer]
  ZREVRANGEBYLEX $lexKey $lexBound $lexBound [LIMIT $integer $integer]
  2x ZCOUNT $key $scoreBound $scoreBound
  ZLEXCOUNT $lexKey $lexBound $lexBound
  ZREMRANGEBYRANK $key $index $index
  ZREMRANGEBYSCORE $key $scoreBound $scoreBound
  ZREMRANGEBYLEX $lexKey $lexBound $lexBound
  ZPOPMIN $key [$count]
  ZPOPMAX $key [$count]
  ZMPOP <$key> (MIN | MAX) [COUNT $count]
  2x ZUNIONSTORE $key <$setOrZset> [WEIGHTS $weight $weight] [AGGREGATE (SUM | MIN | MAX)]
  2x ZINTERSTORE $key <$setOrZset> [WEIGHTS $weight $weight] [AGGREGATE (SUM | MIN | MAX)]
  ZDIFFSTORE $key <$setOrZset>
  2x ZUNION <$setOrZset> [WEIGHTS $weight $weight] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
  2x ZINTER <$setOrZset> [WEIGHTS $weight] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]
  ZDIFF <$setOrZset> [WITHSCORES]
  ZINTERCARD <$setOrZset> [LIMIT $count]
  ZRANDMEMBER $key [$count [WITHSCORES]]
  ZRANDMEMBER $key -4 [WITHSCORES]
  2x ZSCAN $key $cursor [MATCH $pattern] [COUNT $scanCount] [NOSCORES | NOVALUES]
  SADD $set {$member}
  2x OBJECT ENCODING $key
`)

const STREAM = group('stream', 'x', `
  10x XADD $key [NOMKSTREAM] [MAXLEN [= | ~] $count | MINID [=] $id] $addId {$field $value}
  XADD $key (MAXLEN | MINID) ~ $count LIMIT $count $addId {$field $value}
  4x XRANGE $key $rangeId $rangeId [COUNT $count]
  2x XREVRANGE $key $rangeId $rangeId [COUNT $count]
  XLEN $key
  2x XDEL $key {$id}
  2x XTRIM $key (MAXLEN | MINID) [= | ~] $id [LIMIT $count]
  XTRIM $key MAXLEN [=] $count
  2x XREAD [COUNT $count] STREAMS $key $id
  XREAD [COUNT $count] STREAMS $key $key $id $id
  XSETID $key $id [ENTRIESADDED $count] [MAXDELETEDID $id]
  6x XGROUP CREATE $key $group $id [MKSTREAM] [ENTRIESREAD $integer]
  XGROUP SETID $key $group $id [ENTRIESREAD $integer]
  XGROUP DESTROY $key $group
  2x XGROUP CREATECONSUMER $key $group $consumer
  XGROUP DELCONSUMER $key $group $consumer
  6x XREADGROUP GROUP $group $consumer [COUNT $count] [NOACK] STREAMS $key >
  2x XREADGROUP GROUP $group $consumer [COUNT $count] STREAMS $key $id
  3x XACK $key $group {$id}
  XPENDING $key $group
  2x XPENDING $key $group [IDLE $minIdle] $rangeId $rangeId $count [$consumer]
  2x XCLAIM $key $group $consumer $minIdle {$id} [IDLE $count] [RETRYCOUNT $count] [FORCE] [JUSTID] [LASTID $id]
  2x XAUTOCLAIM $key $group $consumer $minIdle $id [COUNT $count] [JUSTID]
  2x XINFO STREAM $key
  XINFO STREAM $key FULL [COUNT $count]
  2x XINFO GROUPS $key
  XINFO CONSUMERS $key $group
  XCLAIM $key $group $consumer 0 {$id} [TIME $integer] [RETRYCOUNT $integer] [FORCE] JUSTID
  XSETID $key $id ENTRIESADDED $bigInteger
  OBJECT ENCODING $key
`)

const GENERIC = group('generic', 's', `
  2x DEL {$any}
  UNLINK $any
  2x EXISTS {$any}
  TOUCH {$any}
  3x TYPE $any
  4x OBJECT ENCODING $any
  OBJECT REFCOUNT $any
  OBJECT (FREQ | IDLETIME | NOTHING) $any
  3x EXPIRE $any $seconds [NX | XX | GT | LT] [NX | XX | GT | LT]
  2x PEXPIRE $any $millis [NX | XX | GT | LT]
  2x EXPIREAT $any $atSeconds [NX | XX | GT | LT]
  2x PEXPIREAT $any $atMillis [NX | XX | GT | LT]
  2x TTL $any
  2x PTTL $any
  EXPIRETIME $any
  PEXPIRETIME $any
  2x PERSIST $any
  2x RENAME $any $any
  RENAMENX $any $any
  3x COPY $any $any [DB $db] [REPLACE]
  MOVE $any $db
  KEYS $pattern
  RANDOMKEY
  DBSIZE
  2x SCAN $cursor [MATCH $pattern] [COUNT $scanCount] [TYPE $type]
  SORT $sortable [LIMIT $integer $integer] [ASC | DESC] ALPHA
  2x SORT $sortable [BY (w* | s* | h*->f1 | nosort | #)] [LIMIT $integer $integer] [GET # | GET h*->f1 | GET s*] [ASC | DESC]
  SORT $sortable [LIMIT $integer $integer] [GET # GET s*] [DESC] ALPHA STORE $list
  SORT_RO $sortable [ASC | DESC] [ALPHA]
  4x DUMP $any
  3x RESTORE $any (0 | $longMillis | $longAtMillis ABSTTL) $payload [REPLACE] [IDLETIME $count | FREQ $bit]
  SET $string $value
  2x HSET $hash {$field $value}
  2x RPUSH $list {$element}
  2x SADD $set {$member}
  2x ZADD $zset {$score $member}
  XADD $stream $addId {$field $value}
`)

const TRANSACTION = group('transaction', 's', `
  6x MULTI
  7x EXEC
  2x DISCARD
  4x WATCH {$any}
  2x UNWATCH
  3x SET $any $value
  2x INCR $any
  2x GET $any
  RPUSH $list {$element}
  LPOP $list [$count]
  SADD $set {$member}
  ZADD $zset {$score $member}
  HSET $hash {$field $value}
  HGETALL $hash
  DEL {$any}
  EXPIRE $any $seconds
  TTL $any
  SELECT $db
  RENAME $any $any
  NOSUCHCOMMAND $any
  FLUSHDB [ASYNC | SYNC]
`)

const CONNECTION = group('connection', 's', `
  PING [$value]
  PING $value $value
  ECHO $value
  SELECT $db
  2x SELECT 0
  HELLO [2 | 3 | 4 | abc]
  HELLO (2 | 3) SETNAME $field
  HELLO (2 | 3) AUTH default $value
  HELLO 3 NOTHING
  AUTH $value
  AUTH default $value
  CLIENT SETNAME $field
  CLIENT SETNAME $value
  CLIENT GETNAME
  CLIENT SETINFO (LIB-NAME | LIB-VER | LIB-X) $field
  CLIENT NO-EVICT (ON | OFF | X)
  CLIENT NO-TOUCH (ON | OFF | X)
  CLIENT REPLY (ON | X)
  CLIENT ID
  CLIENT INFO
  CLIENT LIST (TYPE x | ID 99999999 | ID abc | ID -1 | ID)
  CLIENT KILL (ID 99999999 | ID abc | ID 0 | nothing | ADDR x)
  CLIENT UNPAUSE
  CLIENT NOTHING
  RESET
  SET $any $value
  GET $any
  SWAPDB $db $db
  DBSIZE
  FLUSHDB [X]
  NOSUCHCOMMAND {$value}
  CONFIG GET (hash-max-listpack-entries | maxmemory | list-max-ziplist-size | nothing)
  CONFIG SET (nothing | slowlog-max-len | hash-max-listpack-entries) $garbage
  CONFIG NOTHING
  OBJECT NOTHING
  COMMAND NOTHING
  COMMAND INFO (get | set | nothing | zadd)
  COMMAND GETKEYS (GET $any | MSET $any $value $any $value | ZUNIONSTORE $any 2 $any $any | PING | NOTHING)
  DEBUG NOTHING
`)

/** All groups, in the order the options name them. */
export const GROUPS: readonly Group[] = [STRING, HASH, LIST, SET, ZSET, STREAM, GENERIC, TRANSACTION, CONNECTION]

/** Encoding limits that a round may set on both servers: small ones meet every conversion within a few commands. */
export const LIMITS: Readonly<Record<string, readonly string[]>> = {
  'hash-max-listpack-entries': ['2', '8', '128', '512'],
  'hash-max-listpack-value': ['8', '64'],
  'list-max-listpack-size': ['-2', '-1', '3', '10', '128'],
  'list-compress-depth': ['0', '0', '1', '2'],
  'set-max-intset-entries': ['3', '16', '512'],
  'set-max-listpack-entries': ['0', '4', '128'],
  'set-max-listpack-value': ['8', '64'],
  'zset-max-listpack-entries': ['0', '4', '128'],
  'zset-max-listpack-value': ['8', '64'],
  'stream-node-max-entries': ['3', '10', '100'],
  'stream-node-max-bytes': ['100', '4096'],
}
