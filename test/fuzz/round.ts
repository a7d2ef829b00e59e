/**
 * One round of the differential fuzzer: a list of steps made from a seed alone, and how to play it to a pair of servers.
 *
 * A step is one command on one of two connections; neighbours on the same connection go out in one write, so that
 * pipelines are tested as well. A round starts on empty servers with the same limits, and ends with a comparison of the
 * whole data set (`dataset.ts`). Since a round depends on nothing but its seed and its steps, it can be played again with
 * fewer steps: that is how a difference is shrunk (`shrink.ts`).
 */
import { ConnectionClosed, RespClient, show, type Received, type Word } from '../client.js'
import { Chance } from './chance.js'
import type { Context } from './alphabet.js'
import { agree, agreeOnExec } from './agreement.js'
import { compareDatasets } from './dataset.js'
import { produce, spoil, type Syntax } from './grammar.js'
import { LIMITS, type Group } from './groups.js'

/** A command and the connection (0 or 1) it is sent on. */
export interface Step {
  connection: 0 | 1
  words: Word[]
}

/** Everything a round consists of. */
export interface Round {
  seed: number
  resp: 2 | 3
  groups: string[]
  limits: Record<string, string>
  steps: Step[]
}

/** What the servers disagreed about. */
export interface Difference {
  /** The step, or undefined when the data sets differed at the end. */
  step: number | undefined
  what: string
  left: string
  right: string
}

/** The two servers: ours on the left. */
export interface Arena {
  left: { name: string; port: number }
  right: { name: string; port: number }
}

const MAX_PIPELINE = 16
/** A server that says nothing for this long has lost a reply. */
const REPLY_TIMEOUT_MS = 5_000

/** The round of a seed. `payloads` are added to RESTORE's choice and are not part of the seed. */
export function makeRound(seed: number, groups: readonly Group[], length: number, payloads: Buffer[]): Round {
  const chance = new Chance(seed, groups.length)
  const chosen = chance.hits(0.6) ? [chance.pick(groups)] : [chance.pick(groups), chance.pick(groups), chance.pick(groups)]
  const limits: Record<string, string> = {}
  if (chance.hits(0.8)) {
    for (const [name, values] of Object.entries(LIMITS)) limits[name] = chance.pick(values)
    settleSetLimits(limits)
  }
  const context: Context = { chance, prefix: 's', lastCount: 1, payloads, now: Math.floor(Date.now() / 3_600_000) * 3_600_000 }
  const steps: Step[] = []
  const wheel = new Map(chosen.map((group) => [group, weighted(group.lines)]))
  let connection: 0 | 1 = 0
  const usesTwo = chosen.some((group) => group.name === 'transaction')
  while (steps.length < length) {
    const group = chance.pick(chosen)
    context.prefix = group.prefix
    if (usesTwo && chance.hits(0.2)) connection = connection === 0 ? 1 : 0
    let words = produce(chance.pick(wheel.get(group) ?? []), context)
    if (chance.hits(0.05) && maySpoil(words)) {
      const spoiled = spoil(words, context)
      if (!dependsOnTheMoment(spoiled)) words = spoiled
    }
    if (chance.hits(0.1)) words[0] = String(words[0]).toLowerCase()
    steps.push({ connection, words })
    steps.push(...settle(words, connection))
  }
  return { seed, resp: chance.hits(0.5) ? 2 : 3, groups: [...new Set(chosen.map((group) => group.name))], limits, steps }
}

/**
 * What SUNIONSTORE and SDIFFSTORE make of a hash table would depend on its order, if integers alone could make a set too
 * large to be packed that one other member, coming first, would have left a listpack.
 */
function settleSetLimits(limits: Record<string, string>): void {
  const most = Math.min(Number(limits['set-max-intset-entries']), Number(limits['set-max-listpack-entries']))
  limits['set-max-listpack-entries'] = String(most)
}

/** The steps without those whose `settle` step has been dropped. */
export function settled(steps: readonly Step[]): Step[] {
  return steps.filter((step, i) => {
    const [needed] = settle(step.words, step.connection)
    return needed === undefined || (String(steps[i + 1]?.words[0]) === 'DEL' && String(steps[i + 1].words[1]) === String(needed.words[1]))
  })
}

/**
 * Left alone: what would break a promise the syntax makes. Keys for lexicographic ranges keep one score; a refused AUTH in a
 * pipeline gets no reply at all from a real server (it drops the error when earlier replies are still unsent); LSET's index is
 * cut to 32 bits there.
 */
function maySpoil(words: readonly Word[]): boolean {
  return !String(words[1]).startsWith('lex') && !/^(auth|hello|lset)$/i.test(String(words[0]))
}

/**
 * XADD with `*` takes the time for its id; a RESTORE whose time of expiry overflows is gone whenever active expiry comes by,
 * and one that lasts for moments may be gone on one side alone.
 */
function dependsOnTheMoment(words: readonly Word[]): boolean {
  if (/^restore$/i.test(String(words[0]))) return words[2] === '9223372036854775807' || (Number(words[2]) > 0 && Number(words[2]) < MOMENT_MS)
  return /^xadd$/i.test(String(words[0])) && words.includes('*')
}

/** Longer than a round takes. */
const MOMENT_MS = 60_000

function weighted(lines: readonly Syntax[]): Syntax[] {
  return lines.flatMap((line) => Array.from({ length: line.weight }, () => line))
}

/** After a command that changes data by chance: the key goes, so that the servers stay equal. */
function settle(words: readonly Word[], connection: 0 | 1): Step[] {
  return String(words[0]).toUpperCase() === 'SPOP' && words.length > 1 ? [{ connection, words: ['DEL', words[1]] }] : []
}

/** Plays a round on both servers. Undefined when they agree. `onReply` sees the left server's replies. */
export async function playRound(arena: Arena, round: Round, onReply?: (step: Step, received: Received) => void): Promise<Difference | undefined> {
  const left = await Side.open(arena.left.port, round)
  const right = await Side.open(arena.right.port, round)
  try {
    for (let at = 0; at < round.steps.length;) {
      const batch = batchAt(round.steps, at)
      const [ours, theirs] = await Promise.all([left.play(batch), right.play(batch)])
      for (let i = 0; i < batch.length; i++) {
        const difference = compareStep(left, right, batch[i], ours[i], theirs[i])
        if (difference !== undefined) return { step: at + i, ...difference }
        const received = ours[i]
        if (!(received instanceof Error)) onReply?.(batch[i], received)
      }
      at += batch.length
    }
    const difference = await compareDatasets(left.fresh, right.fresh, round.limits['list-compress-depth'] ?? '0')
      .catch((error: Error) => ({ what: 'reading the data set back', left: error.message, right: '' }))
    return difference === undefined ? undefined : { step: undefined, ...difference }
  } finally {
    left.close()
    right.close()
  }
}

/** Neighbours on one connection, cut at lengths that depend on the place alone, so that shrinking keeps them. */
function batchAt(steps: readonly Step[], at: number): Step[] {
  let end = at + 1
  const longest = 1 + ((at * 7) % MAX_PIPELINE)
  while (end < steps.length && end - at < longest && steps[end].connection === steps[at].connection) end++
  return steps.slice(at, end)
}

type Answer = Received | Error

function compareStep(left: Side, right: Side, step: Step, ours: Answer, theirs: Answer): Omit<Difference, 'step'> | undefined {
  const queued = left.noteAnswer(step, ours)
  right.noteAnswer(step, theirs)
  if (ours instanceof Error || theirs instanceof Error) {
    if (ours instanceof ConnectionClosed && theirs instanceof ConnectionClosed) return undefined
    return { what: 'no reply', left: describe(ours), right: describe(theirs) }
  }
  const same = queued === undefined ? agree(step.words, ours, theirs) : agreeOnExec(queued, ours, theirs)
  return same ? undefined : { what: 'reply', left: describe(ours), right: describe(theirs) }
}

function describe(answer: Answer): string {
  return answer instanceof Error ? `(${answer.message})` : show(answer.reply)
}

/** One server's two connections, and what each has queued in its transaction. */
class Side {
  private readonly queues: Word[][][] = [[], []]

  private constructor(private readonly connections: RespClient[], readonly fresh: RespClient) {}

  static async open(port: number, round: Round): Promise<Side> {
    const fresh = await RespClient.connect(port)
    const setUp: Word[][] = [['FLUSHALL']]
    for (const [name, value] of Object.entries(defaultLimits(round.limits))) setUp.push(['CONFIG', 'SET', name, value])
    for (const { reply } of await within(fresh.pipeline(setUp))) if (reply.type === 'error' && !/Unknown option/.test(reply.text)) throw new Error(`setting up a round: ${reply.text}`)
    const connections = [await RespClient.connect(port), await RespClient.connect(port)]
    if (round.resp === 3) for (const connection of connections) await connection.call('HELLO', 3)
    return new Side(connections, fresh)
  }

  async play(batch: readonly Step[]): Promise<Answer[]> {
    const connection = this.connections[batch[0].connection]
    const sent = batch.map((step) => step.words)
    try {
      return await within(connection.pipeline(sent))
    } catch (error) {
      return batch.map(() => error as Error)
    }
  }

  /** Follows MULTI, so that the replies inside an EXEC can be told apart; gives the queue when this step was its EXEC. */
  noteAnswer(step: Step, answer: Answer): Word[][] | undefined {
    const queue = this.queues[step.connection]
    if (answer instanceof Error) return undefined
    if (answer.reply.type === 'simple' && answer.reply.text === 'QUEUED') {
      queue.push(step.words)
      return undefined
    }
    const name = String(step.words[0]).toUpperCase()
    if (name !== 'EXEC' && name !== 'DISCARD' && name !== 'RESET') return undefined
    this.queues[step.connection] = []
    return name === 'EXEC' ? queue : undefined
  }

  close(): void {
    for (const connection of [...this.connections, this.fresh]) connection.close()
  }
}

/** Limits a round does not set go back to their defaults: the last value in the list of each is not always that. */
const DEFAULTS: Readonly<Record<string, string>> = {
  'hash-max-listpack-entries': '512', 'hash-max-listpack-value': '64', 'list-max-listpack-size': '-2', 'list-compress-depth': '0',
  'set-max-intset-entries': '512', 'set-max-listpack-entries': '128', 'set-max-listpack-value': '64', 'zset-max-listpack-entries': '128',
  'zset-max-listpack-value': '64', 'stream-node-max-entries': '100', 'stream-node-max-bytes': '4096',
}

function defaultLimits(limits: Record<string, string>): Record<string, string> {
  return { ...DEFAULTS, ...limits }
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`silent for ${REPLY_TIMEOUT_MS} ms`)), REPLY_TIMEOUT_MS)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}
