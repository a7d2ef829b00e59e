/**
 * Command tests as tables: command -> reply.
 *
 *   const check = await tables(t);
 *   await check('APPEND', [
 *     ['APPEND k hello',        ':5'],
 *     ['APPEND k', ' world',    ':11'],
 *     ['GET k',                 '"hello world"'],
 *     ['EXPIRE k 100',          ':1'],
 *     ['TTL k',                 /^:(99|100)$/],
 *     ['SMEMBERS s',            unordered('"a"', '"b"')],
 *   ]);
 *
 * A row is the command's words and, last, what comes back, in the notation of `show` (client.ts). The first word is split
 * at blanks, so a simple command is one string; further words are sent as they are (a Buffer for bytes).
 *
 * Every table runs over a socket on keyferry and, where installed, on valkey, with the same expectations and an empty data
 * set each: a table that is wrong about Redis fails on the real server. What must differ is said with `only`.
 */
import type { Test } from 'tap'
import { RespClient, show, type Reply, type Word } from './client.js'
import { peerInstalled, skipWithout, startPeer, type Peer, type PeerName, type PeerOptions } from './peers.js'

/** What a reply must be: the exact text, a pattern of it, or a predicate on the tree. */
export type Expected = string | RegExp | ((reply: Reply) => boolean)

/** Words, then the expectation. */
export type Row = readonly [string, ...Word[], Expected] | readonly [string, Expected]

/** How a table runs. */
export interface TableOptions {
  /** Protocol version, default 2. */
  resp?: 2 | 3
  /** CONFIG SET before the table, set back after it. */
  config?: Readonly<Record<string, string | number>>
  /** Run on these servers alone. */
  only?: readonly PeerName[]
}

/** Runs one table; see the head comment. */
export type Check = (title: string, rows: readonly Row[], options?: TableOptions) => Promise<void>

/** Expects an array or set of exactly these items (texts of `show`) in any order. */
export function unordered(...items: string[]): Expected {
  const wanted = [...items].sort().join(', ')
  return (reply) => (reply.type === 'array' || reply.type === 'set') && reply.items.map(show).sort().join(', ') === wanted
}

/** Expects a flat array of pairs (RESP2) or a map (RESP3) of exactly these entries in any order. */
export function unorderedPairs(entries: Readonly<Record<string, string>>): Expected {
  const wanted = Object.entries(entries).map(([k, v]) => `${k}: ${v}`).sort().join(', ')
  return (reply) => {
    const found: string[] = []
    if (reply.type === 'map') for (const [k, v] of reply.entries) found.push(`${show(k)}: ${show(v)}`)
    else if (reply.type === 'array') for (let i = 0; i + 1 < reply.items.length; i += 2) found.push(`${show(reply.items[i])}: ${show(reply.items[i + 1])}`)
    return found.sort().join(', ') === wanted
  }
}

/** Starts the servers once for a test file and returns the function that runs tables on them. */
export async function tables(t: Test, options: PeerOptions = {}, names: readonly PeerName[] = ['keyferry', 'valkey']): Promise<Check> {
  const peers = new Map<PeerName, Peer>()
  for (const name of names) {
    if (!peerInstalled(name)) continue
    const peer = await startPeer(name, options)
    peers.set(name, peer)
    t.teardown(() => peer.stop())
  }
  return async (title, rows, tableOptions = {}) => {
    for (const name of tableOptions.only ?? names) {
      const peer = peers.get(name)
      await t.test(`${title} on ${name}`, { skip: peer === undefined && skipWithout(name) }, async (table) => {
        if (peer !== undefined) await runTable(table, peer, rows, tableOptions)
      })
    }
  }
}

async function runTable(t: Test, peer: Peer, rows: readonly Row[], options: TableOptions): Promise<void> {
  const client = await peer.client()
  const before: Record<string, string> = {}
  try {
    await client.call('FLUSHALL')
    for (const [name, value] of Object.entries(options.config ?? {})) {
      const reply = await client.call('CONFIG', 'GET', name)
      if (reply.type === 'array' && reply.items[1]?.type === 'bulk') before[name] = reply.items[1].bytes.toString('latin1')
      t.equal(await client.text('CONFIG', 'SET', name, value), '+OK', `CONFIG SET ${name} ${value}`)
    }
    if (options.resp === 3) await client.call('HELLO', 3)
    for (const row of rows) await runRow(t, client, row)
  } finally {
    client.close()
    const after = await peer.client()
    for (const [name, value] of Object.entries(before)) await after.call('CONFIG', 'SET', name, value)
    after.close()
  }
}

async function runRow(t: Test, client: RespClient, row: Row): Promise<void> {
  const expected = row.at(-1) as Expected
  const words = [...row[0].split(' ').filter((word) => word !== ''), ...(row.slice(1, -1) as Word[])]
  const title = words.map((word) => (Buffer.isBuffer(word) ? `<${word.length} bytes>` : String(word))).join(' ').slice(0, 200)
  const reply = await client.call(...words)
  const text = show(reply)
  if (typeof expected === 'string') t.equal(text, expected, title)
  else if (expected instanceof RegExp) t.match(text, expected, title)
  else t.ok(expected(reply), `${title} -> ${text.slice(0, 400)}`)
}
