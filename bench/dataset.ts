/**
 * Data sets for MIGRATE: filled, moved, and then read back element by element. Every value follows from its key's number, so
 * that nothing has to be kept to compare with.
 */
import { Wire, command, type WireReply } from './wire.js'

/** One kind of data set. */
export interface Dataset {
  name: string
  key(i: number): string
  /** The requests that make entry `i`. */
  fill(i: number): Buffer[]
  /** The request that reads entry `i` back whole. */
  read(i: number): Buffer
  /** Whether that is what it says. */
  isRight(i: number, reply: WireReply): boolean
}

/** The bytes of a value: pseudo-random, not compressible, the same for the same seed. */
export function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = (seed * 2654435761 + 12345) >>> 0 || 1
  let i = 0
  for (; i + 4 <= length; i += 4) {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    bytes.writeUInt32LE(state, i)
  }
  for (; i < length; i++) bytes[i] = state & 0xff
  return bytes
}

const sameBytes = (reply: WireReply, wanted: Buffer): boolean => Buffer.isBuffer(reply) && reply.equals(wanted)

/** Strings of `length` incompressible bytes. */
export function strings(length: number): Dataset {
  return {
    name: `${length >= 1e6 ? `${length / 1e6} M` : `${length} `}B strings`,
    key: (i) => `string:${i}`,
    fill: (i) => [command('SET', `string:${i}`, noise(i, length))],
    read: (i) => command('GET', `string:${i}`),
    isRight: (i, reply) => sameBytes(reply, noise(i, length)),
  }
}

/** Hashes of `count` short fields. */
export function hashes(count: number): Dataset {
  const words = (i: number): string[] => Array.from({ length: count }, (_, f) => [`field:${f}`, `value:${i}:${f}`]).flat()
  return {
    name: `${count}-field hashes`,
    key: (i) => `hash:${i}`,
    fill: (i) => inBatches('HSET', `hash:${i}`, words(i), 200),
    read: (i) => command('HGETALL', `hash:${i}`),
    isRight: (i, reply) => sameItems(reply, words(i), 2),
  }
}

/** Sorted sets of `count` members. */
export function sortedSets(count: number): Dataset {
  const words = (i: number): string[] => Array.from({ length: count }, (_, m) => [String((m * 7919) % 1_000_003), `member:${i}:${m}`]).flat()
  return {
    name: `sorted sets of ${count}`,
    key: (i) => `zset:${i}`,
    fill: (i) => inBatches('ZADD', `zset:${i}`, words(i), 200),
    read: (i) => command('ZRANGE', `zset:${i}`, 0, -1, 'WITHSCORES'),
    isRight: (i, reply) => {
      const members: string[] = []
      const list = words(i)
      for (let at = 0; at < list.length; at += 2) members.push(list[at + 1], list[at])
      return sameItems(reply, members, 2)
    },
  }
}

/** Lists of `count` elements that compress well. */
export function lists(count: number): Dataset {
  const words = (i: number): string[] => Array.from({ length: count }, (_, e) => `job:${String(i * count + e).padStart(9, '0')}`)
  return {
    name: `lists of ${count} compressible elements`,
    key: (i) => `list:${i}`,
    fill: (i) => inBatches('RPUSH', `list:${i}`, words(i), 200),
    read: (i) => command('LRANGE', `list:${i}`, 0, -1),
    isRight: (i, reply) => sameItems(reply, words(i), 0),
  }
}

function inBatches(name: string, key: string, words: string[], size: number): Buffer[] {
  const requests: Buffer[] = []
  for (let at = 0; at < words.length; at += size) requests.push(command(name, key, ...words.slice(at, at + size)))
  return requests
}

/** Equal item for item (`group` 0), or in groups of that many items in any order. */
function sameItems(reply: WireReply, wanted: string[], group: number): boolean {
  if (!Array.isArray(reply) || reply.length !== wanted.length) return false
  const found = reply.map((item) => (Buffer.isBuffer(item) ? item.toString('latin1') : String(item)))
  if (group === 0) return found.every((item, i) => item === wanted[i])
  const join = (items: string[]): Map<string, string> => new Map(Array.from({ length: items.length / group }, (_, i) => [items[i * group], items[i * group + 1]]))
  const theirs = join(found)
  for (const [name, value] of join(wanted)) if (theirs.get(name) !== value) return false
  return true
}

/** Fills a server. */
export async function fill(port: number, dataset: Dataset, count: number): Promise<void> {
  const wire = await Wire.connect(port)
  try {
    for (let i = 0; i < count;) {
      const requests: Buffer[] = []
      while (i < count && requests.length < 2000) requests.push(...dataset.fill(i++))
      await wire.stream(requests.length, (at) => requests[at])
    }
  } finally {
    wire.close()
  }
}

/** Reads all entries back and throws unless each is what was filled in. */
export async function verify(port: number, dataset: Dataset, count: number): Promise<void> {
  const wire = await Wire.connect(port)
  let wrong = 0
  try {
    await wire.stream(count, (i) => dataset.read(i), (reply, i) => { if (!dataset.isRight(i, reply)) wrong++; })
  } finally {
    wire.close()
  }
  if (wrong > 0) throw new Error(`${wrong} of ${count} ${dataset.name} did not arrive as they were`)
}
