/**
 * Compares everything two servers hold: in each database the keys; of each key type, encoding, content, time to live, and
 * the DUMP payload, byte for byte where the encoding fixes it (a hash table is dumped in its own order, and a consumer
 * carries the times it was seen).
 */
import { RespClient, show, type Received, type Reply, type Word } from '../client.js'
import { agree } from './agreement.js'

/** Where two data sets part. */
export interface DatasetDifference {
  what: string
  left: string
  right: string
}

const DATABASES = 3
const STABLE_ENCODINGS = new Set(['"int"', '"embstr"', '"raw"', '"listpack"', '"intset"', '"quicklist"', '"skiplist"'])

const READ_BACK: Readonly<Record<string, (key: Word) => Word[][]>> = {
  string: (key) => [['GET', key]],
  list: (key) => [['LRANGE', key, 0, -1]],
  hash: (key) => [['HGETALL', key], ['HLEN', key]],
  set: (key) => [['SMEMBERS', key], ['SCARD', key]],
  zset: (key) => [['ZRANGE', key, 0, -1, 'WITHSCORES'], ['ZCARD', key], ['ZRANK', key, 'm1']],
  stream: (key) => [['XRANGE', key, '-', '+'], ['XINFO', 'STREAM', key, 'FULL', 'COUNT', 0], ['XLEN', key]],
}

/**
 * Undefined when equal. Both connections must speak RESP2. With a `compressDepth` other than 0 a list's payload holds what
 * LZF has made of its inner nodes, and how well one packs is everybody's own affair.
 */
export async function compareDatasets(left: RespClient, right: RespClient, compressDepth: string): Promise<DatasetDifference | undefined> {
  for (let db = 0; db < DATABASES; db++) {
    await both(left, right, [['SELECT', db]])
    const [ours, theirs] = await both(left, right, [['KEYS', '*']])
    const keys = keysOf(ours[0].reply)
    if (showKeys(keys) !== showKeys(keysOf(theirs[0].reply))) {
      return { what: `keys of database ${db}`, left: showKeys(keys), right: showKeys(keysOf(theirs[0].reply)) }
    }
    for (const key of keys) {
      const difference = await compareKey(left, right, key, compressDepth)
      if (difference !== undefined) return { ...difference, what: `${difference.what} of ${JSON.stringify(key.toString('latin1'))} in database ${db}` }
    }
  }
  return undefined
}

async function compareKey(left: RespClient, right: RespClient, key: Buffer, compressDepth: string): Promise<DatasetDifference | undefined> {
  const commands: Word[][] = [['TYPE', key], ['OBJECT', 'ENCODING', key], ['PTTL', key]]
  const [ours, theirs] = await both(left, right, commands)
  const basic = firstDifference(commands, ours, theirs)
  if (basic !== undefined) return basic
  const type = ours[0].reply.type === 'simple' ? ours[0].reply.text : ''
  const readBack = READ_BACK[type]?.(key) ?? []
  const [ourContent, theirContent] = await both(left, right, readBack)
  const content = firstDifference(readBack, ourContent, theirContent)
  if (content !== undefined) return content
  const encoding = show(ours[1].reply)
  const hasNoGroups = type === 'stream' && (await left.text('XINFO', 'GROUPS', key)) === '[]'
  // A packed set made from hash tables (SINTERSTORE) has their order.
  const isStable = STABLE_ENCODINGS.has(encoding) && !(type === 'set' && encoding !== '"intset"') && !(encoding === '"quicklist"' && compressDepth !== '0')
  if (!isStable && !hasNoGroups) return undefined
  const [ourPayload, theirPayload] = await both(left, right, [['DUMP', key]])
  if (ourPayload[0].raw.equals(theirPayload[0].raw)) return undefined
  return { what: `payload (${encoding})`, left: show(ourPayload[0].reply), right: show(theirPayload[0].reply) }
}

function firstDifference(commands: readonly (readonly Word[])[], ours: readonly Received[], theirs: readonly Received[]): DatasetDifference | undefined {
  for (let i = 0; i < commands.length; i++) {
    if (!agree(commands[i], ours[i], theirs[i])) {
      return { what: commands[i].slice(0, commands[i][0] === 'OBJECT' ? 2 : 1).join(' '), left: show(ours[i].reply), right: show(theirs[i].reply) }
    }
  }
  return undefined
}

function both(left: RespClient, right: RespClient, commands: readonly (readonly Word[])[]): Promise<[Received[], Received[]]> {
  return Promise.all([left.pipeline(commands), right.pipeline(commands)])
}

function keysOf(reply: Reply): Buffer[] {
  if (reply.type !== 'array') return []
  return reply.items.flatMap((item) => (item.type === 'bulk' ? [item.bytes] : [])).sort((a, b) => a.compare(b))
}

function showKeys(keys: readonly Buffer[]): string {
  return keys.map((key) => JSON.stringify(key.toString('latin1'))).join(' ')
}
