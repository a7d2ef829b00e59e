/**
 * The differential fuzzer: round after round of random commands (`round.ts`) to two servers until the time is over or they
 * disagree; then the shortest conversation that shows it.
 */
import { quote, RespClient, type Word } from '../client.js'
import { startPeer, type Peer, type PeerName } from '../peers.js'
import { GROUPS, type Group } from './groups.js'
import { playProtocol } from './protocol.js'
import { makeRound, playRound, type Arena, type Difference, type Round } from './round.js'
import { shrink } from './shrink.js'

/** What to fuzz and for how long. */
export interface FuzzOptions {
  seconds: number
  seed: number
  /** Stop after this many rounds. */
  rounds?: number
  /** Names from GROUPS, and `protocol` for malformed requests. Default: all. */
  groups?: readonly string[]
  left?: PeerName
  right?: PeerName
  /** Steps per round. Default 150. */
  length?: number
  /** Go on after a difference until this many were found. Default 1. */
  differences?: number
  /** Gets lines of text for people. */
  log?: (line: string) => void
}

/** How it went. */
export interface FuzzResult {
  rounds: number
  commands: number
  failures: string[]
}

/** The name of the group of malformed requests. */
const PROTOCOL = 'protocol'
const MAX_PAYLOADS = 200

/** What both servers are told: cheap limits, deep checks of payloads, no compression, so that payloads can be compared. */
const CONFIG = { 'enable-debug-command': 'yes', 'sanitize-dump-payload': 'yes', 'proto-max-bulk-len': '1048576', rdbcompression: 'no' }

/** All group names an option may give. */
export const GROUP_NAMES: readonly string[] = [...GROUPS.map((group) => group.name), PROTOCOL]

/** Runs the fuzzer. Starts both servers and stops them. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const log = options.log ?? ((): void => undefined)
  const peers: Peer[] = []
  try {
    peers.push(await startPeer(options.left ?? 'keyferry', { config: CONFIG }))
    peers.push(await startPeer(options.right ?? 'valkey', { config: CONFIG }))
    const [left, right] = peers
    log(`left ${left.name} ${left.version}, right ${right.name} ${right.version}, seed ${options.seed}, groups ${(options.groups ?? GROUP_NAMES).join(',')}`)
    return await run({ left, right }, options, log)
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()))
  }
}

/** The groups without the commands that one of the servers does not have. */
async function knownToBoth(arena: Arena, groups: readonly Group[], log: (line: string) => void): Promise<Group[]> {
  const [left, right] = await Promise.all([commandNames(arena.left.port), commandNames(arena.right.port)])
  const missing = new Set<string>()
  const known = groups.map((group) => ({
    ...group,
    lines: group.lines.filter(({ nodes: [first] }) => {
      const name = first.kind === 'literal' ? first.text.toLowerCase() : ''
      const isKnown = left.has(name) === right.has(name)
      if (!isKnown) missing.add(name)
      return isKnown
    }),
  }))
  if (missing.size > 0) log(`left out, since one server does not have them: ${[...missing].join(', ')}`)
  return known
}

async function commandNames(port: number): Promise<Set<string>> {
  const client = await RespClient.connect(port)
  const reply = await client.call('COMMAND', 'LIST')
  client.close()
  return new Set(reply.type === 'array' ? reply.items.map((item) => (item.type === 'bulk' ? item.bytes.toString().toLowerCase() : '')) : [])
}

async function run(arena: Arena, options: FuzzOptions, log: (line: string) => void): Promise<FuzzResult> {
  const wanted = options.groups ?? GROUP_NAMES
  const groups = await knownToBoth(arena, GROUPS.filter((group) => wanted.includes(group.name)), log)
  const result: FuzzResult = { rounds: 0, commands: 0, failures: [] }
  const payloads: Buffer[] = []
  const deadline = performance.now() + options.seconds * 1000
  for (let index = 0; index < (options.rounds ?? Infinity) && performance.now() < deadline && result.failures.length < (options.differences ?? 1); index++) {
    const seed = options.seed + index
    result.rounds++
    if (wanted.includes(PROTOCOL) && (groups.length === 0 || index % 8 === 7)) {
      const failure = await playProtocol(arena, seed)
      result.commands++
      if (failure !== undefined) result.failures.push(failure)
      continue
    }
    const round = makeRound(seed, groups, options.length ?? 150, payloads)
    const difference = await playRound(arena, round, (step, received) => {
      if (received.reply.type === 'bulk' && /^dump$/i.test(String(step.words[0])) && payloads.length < MAX_PAYLOADS) payloads.push(received.reply.bytes)
    })
    result.commands += round.steps.length
    if (difference === undefined) continue
    log(`round ${index} (seed ${seed}): a difference; shrinking`)
    const smallest = await shrink(arena, round, difference)
    result.failures.push(report(arena, smallest.round, smallest.difference, options))
  }
  return result
}

/** A failure for people: what was said, who answered what, how to see it again. */
function report(arena: Arena, round: Round, difference: Difference, options: FuzzOptions): string {
  const limits = Object.entries(round.limits).map(([name, value]) => `${name} ${value}`).join(', ')
  const lines = [`${difference.what} differs (RESP${round.resp}${limits === '' ? '' : `; ${limits}`}):`]
  const usesTwo = round.steps.some((step) => step.connection === 1)
  for (const step of round.steps) lines.push(`  ${usesTwo ? `[${step.connection}] ` : ''}${commandLine(step.words)}`)
  lines.push(`  ${arena.left.name.padEnd(9)} ${cut(difference.left, difference.right)}`, `  ${arena.right.name.padEnd(9)} ${cut(difference.right, difference.left)}`)
  lines.push(`  again: npm run fuzz -- --seed ${round.seed} --rounds 1${options.groups === undefined ? '' : ` --groups ${options.groups.join(',')}`}`)
  return lines.join('\n')
}

/** A long text around the first place where it differs from the other. */
function cut(text: string, other: string): string {
  if (text.length <= 400) return text
  let at = 0
  while (at < text.length && text[at] === other[at]) at++
  const from = Math.max(0, at - 150)
  return `${from > 0 ? '...' : ''}${text.slice(from, from + 400)} (${text.length} characters, different from ${at})`
}

function commandLine(words: readonly Word[]): string {
  return words.map((word) => {
    const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word))
    const text = quote(bytes)
    const shown = text.length > 300 ? `<${bytes.length} bytes ${text.slice(0, 40)}...>` : text
    return /^"[!-~]+"$/.test(text) && !/["\\]/.test(text.slice(1, -1)) && text.length <= 300 ? text.slice(1, -1) : shown
  }).join(' ')
}
