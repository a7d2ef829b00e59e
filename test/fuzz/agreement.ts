/**
 * When two replies to the same command agree. The rule is: byte for byte. This file is the list of exceptions, each with
 * its reason; whatever is not listed here has no excuse.
 *
 *   unordered   the order is that of a hash table, whose hash is seeded by chance: equal as multisets
 *   pairs       the same, of field-value pairs
 *   shape       chosen by chance, or a matter of the server's own identity: same types and lengths
 *   scan        SCAN and its sisters: cursors are private, items are compared when both scans were complete
 *   clock       integers that count time may differ by CLOCK_SLACK_MS (or two seconds, where they count seconds)
 *   fields      XINFO, XPENDING: as `clock`, for the fields that are times
 *   identity    HELLO, CLIENT INFO: the same fields, values that name the server left out
 */
import { show, type Received, type Reply, type Word } from '../client.js'

/** Two servers are asked one after the other, on a machine that may be busy. */
const CLOCK_SLACK_MS = 3000

type Rule = (left: Reply, right: Reply, words: readonly Word[]) => boolean

const RULES: Readonly<Record<string, Rule>> = {
  SMEMBERS: unordered, SINTER: unordered, SUNION: unordered, SDIFF: unordered, KEYS: unordered, HKEYS: unordered, HVALS: unordered,
  HGETALL: pairs,
  SRANDMEMBER: shape, HRANDFIELD: shape, ZRANDMEMBER: shape, RANDOMKEY: shape, SPOP: shape,
  SCAN: scan, HSCAN: scan, SSCAN: scan, ZSCAN: scan,
  TTL: clock, PTTL: clock, EXPIRETIME: clock, PEXPIRETIME: clock,
  'OBJECT IDLETIME': idle,
  'OBJECT REFCOUNT': shared,
  XINFO: fields, XPENDING: fields,
  // A set has no order to sort nothing by, and elements of equal text weights come in the order the sort leaves them.
  SORT: sorted, SORT_RO: sorted,
  HELLO: identity, 'CLIENT INFO': identity, 'CLIENT LIST': identity, 'CLIENT ID': shape, 'CONFIG GET': configuration, COMMAND: commandInfo,
  // A payload holds a hash table in its own order.
  DUMP: shape,
}

/** Whether the two servers may both be right. `words` is the command that was asked. */
export function agree(words: readonly Word[], left: Received, right: Received): boolean {
  return left.raw.equals(right.raw) || agreeOn(words, left.reply, right.reply)
}

/** The same for an EXEC: its reply holds the replies of the commands that were queued. */
export function agreeOnExec(queued: readonly (readonly Word[])[], left: Received, right: Received): boolean {
  if (left.raw.equals(right.raw)) return true
  if (left.reply.type !== 'array' || right.reply.type !== 'array') return false
  const [ours, theirs] = [left.reply.items, right.reply.items]
  return ours.length === theirs.length && ours.length === queued.length && queued.every((words, i) => agreeOn(words, ours[i], theirs[i]))
}

function agreeOn(words: readonly Word[], left: Reply, right: Reply): boolean {
  if (show(left) === show(right)) return true
  const name = String(words[0]).toUpperCase()
  if (left.type === 'error' || right.type === 'error') return name.startsWith('SORT') && hasStaleErrno(left, right, words)
  const rule = RULES[name] ?? RULES[`${name} ${String(words[1]).toUpperCase()}`]
  return rule !== undefined && rule(left, right, words)
}

/** Valkey does not share a small integer that COPY made; a value here has no history, so every small integer counts as shared. */
function shared(left: Reply, right: Reply): boolean {
  return show(left) === ':2147483647' && show(right) === ':1'
}

/** Small integers are one object in Valkey, whose access clock stands at zero until one of its keys is read. */
function idle(left: Reply, right: Reply): boolean {
  return clock(left, right) || (left.type === 'integer' && right.type === 'integer' && left.value <= CLOCK_SLACK_MS / 1000 && right.value > CLOCK_SLACK_MS)
}

/** What is a number beyond doubt; no text at all counts as zero. */
const SOUND_WEIGHT = /^"([+-]?(inf|\d+(\.\d+)?(e[+-]?\d\d?)?))?"$/i

/** The real servers look at errno after reading a weight, and what they see may be older: then a sound SORT fails. */
function hasStaleErrno(left: Reply, right: Reply, words: readonly Word[]): boolean {
  if (right.type !== 'error' || right.text !== "ERR One or more scores can't be converted into double") return false
  const weightsAreHidden = words.some((word) => /^(BY|GET|STORE|LIMIT)$/i.test(String(word)))
  return weightsAreHidden || (items(left) ?? []).every((item) => SOUND_WEIGHT.test(show(item)))
}

function items(reply: Reply): Reply[] | undefined {
  return reply.type === 'array' || reply.type === 'set' || reply.type === 'push' ? reply.items : undefined
}

function unordered(left: Reply, right: Reply): boolean {
  const [a, b] = [items(left), items(right)]
  return a !== undefined && b !== undefined && left.type === right.type && a.map(show).sort().join() === b.map(show).sort().join()
}

function pairs(left: Reply, right: Reply): boolean {
  return left.type === right.type && pairTexts(left).sort().join() === pairTexts(right).sort().join()
}

function pairTexts(reply: Reply): string[] {
  if (reply.type === 'map') return reply.entries.map(([k, v]) => `${show(k)}:${show(v)}`)
  const texts: string[] = []
  const list = items(reply) ?? []
  for (let i = 0; i < list.length; i += 2) texts.push(`${show(list[i])}:${i + 1 < list.length ? show(list[i + 1]) : '?'}`)
  return texts
}

function shape(left: Reply, right: Reply): boolean {
  if (left.type !== right.type) return false
  const [a, b] = [items(left), items(right)]
  if (a === undefined || b === undefined) return true
  return a.length === b.length && a.every((item, i) => shape(item, b[i]))
}

function scan(left: Reply, right: Reply, words: readonly Word[]): boolean {
  const [a, b] = [items(left), items(right)]
  if (a?.length !== 2 || b?.length !== 2) return false
  const startsAtZero = String(words[/^SCAN$/i.test(String(words[0])) ? 1 : 2]) === '0'
  if (!startsAtZero || show(a[0]) !== '"0"' || show(b[0]) !== '"0"') return shape(a[0], b[0]) && a[1].type === b[1].type
  const isPairs = /^[HZ]SCAN$/i.test(String(words[0])) && !words.some((word) => /^NO(VALUES|SCORES)$/i.test(String(word)))
  return isPairs ? pairs(a[1], b[1]) : unordered(a[1], b[1])
}

function clock(left: Reply, right: Reply): boolean {
  if (left.type !== 'integer' || right.type !== 'integer') return false
  return left.value >= 0 && right.value >= 0 && Math.abs(Number(left.value) - Number(right.value)) <= CLOCK_SLACK_MS
}

const TIME_FIELDS = new Set(['"idle"', '"inactive"', '"seen-time"', '"active-time"'])
/** How a stream node is packed and spread over the radix tree shows here; nothing depends on it. */
const PRIVATE_FIELDS = new Set(['"radix-tree-nodes"'])

/** Trees equal but for times: integers beyond 2001 in milliseconds, fields named so, and the idle time of a pending entry. */
function fields(left: Reply, right: Reply): boolean {
  if (left.type === 'integer' && right.type === 'integer') return left.value === right.value || (left.value > 1e12 && clock(left, right))
  if (left.type !== right.type) return false
  if (left.type === 'map' && right.type === 'map') {
    const theirs = right.entries
    return left.entries.length === theirs.length && left.entries.every(([k, v], i) => show(k) === show(theirs[i][0]) && field(show(k), v, theirs[i][1]))
  }
  const [a, b] = [items(left), items(right)]
  if (a === undefined || b === undefined) return show(left) === show(right)
  if (a.length !== b.length) return false
  const isPending = a.length === 4 && a[0].type === 'bulk' && a[1].type === 'bulk' && a[2].type === 'integer' && a[3].type === 'integer'
  return a.every((item, i) => (isPending && i === 2 ? clock(item, b[2]) : field(i > 0 ? show(a[i - 1]) : '', item, b[i])))
}

function field(name: string, left: Reply, right: Reply): boolean {
  return PRIVATE_FIELDS.has(name) || (TIME_FIELDS.has(name) && clock(left, right)) || fields(left, right)
}

function sorted(left: Reply, right: Reply, words: readonly Word[]): boolean {
  const options = words.slice(2).map((word) => String(word).toUpperCase())
  const by = options.indexOf('BY')
  // Texts are compared up to their first NUL unless they are stored.
  const hasNul = options.includes('ALPHA') && /\\x00/.test(show(left) + show(right))
  if (hasNul) return options.includes('LIMIT') || options.includes('GET') ? shapeLength(left, right) : unordered(left, right)
  if (by < 0 || (options[by + 1]?.includes('*') && !options.includes('ALPHA'))) return false
  return options.includes('LIMIT') || options.includes('GET') ? shapeLength(left, right) : unordered(left, right)
}

function shapeLength(left: Reply, right: Reply): boolean {
  return left.type === right.type && items(left)?.length === items(right)?.length
}

/** The names of the fields, in order; of CLIENT INFO's text the names before `=`. */
function identity(left: Reply, right: Reply): boolean {
  return fieldNames(left) === fieldNames(right)
}

function fieldNames(reply: Reply): string {
  if (reply.type === 'bulk' || reply.type === 'verbatim') return reply.bytes.toString('latin1').split('\n')[0].replace(/=\S*/g, '')
  if (reply.type === 'map') return reply.entries.map(([k]) => show(k)).join()
  return (items(reply) ?? []).filter((_, i) => i % 2 === 0).map(show).join()
}

/** The table of directives has a test of its own, and CONFIG GET * names the folder and the port. */
function configuration(left: Reply, right: Reply, words: readonly Word[]): boolean {
  return words.some((word) => String(word).includes('*')) ? left.type === right.type : pairs(left, right)
}

/** COMMAND INFO: flags, categories and hints are sets. The whole table has a test of its own. */
function commandInfo(left: Reply, right: Reply, words: readonly Word[]): boolean {
  if (words.length <= 2) return left.type === right.type
  return String(words[1]).toUpperCase() === 'INFO' && canonical(left) === canonical(right)
}

function canonical(reply: Reply): string {
  const list = items(reply)
  if (list === undefined) return show(reply)
  const texts = list.map(canonical)
  return `[${(list.every((item) => item.type === 'simple') ? texts.sort() : texts).join()}]`
}
