/**
 * A cluster as a store: each key is read from and written to the node that has its slot.
 *
 *     keys --slot--> node --> answer
 *       ^              |
 *       \-- MOVED: the map is corrected; ASK: once more, there, with ASKING; node gone: the map is asked for again
 */
import { slotOf } from '../../../protocol/crc16.js'
import { plural } from '../../transfer/plural.js'
import { EntryError, StoreError, type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type WriteOutcome } from '../../transfer/store.js'
import type { Backend, StoreOptions } from '../backend.js'
import { ServerBusy, isPassing, pause, type Connections } from '../redis-protocol/connections.js'
import { ASKING, EntryReader } from '../redis-protocol/dump-batch.js'
import { refusalOf, writeEntries, type WriterOptions } from '../redis-protocol/entry-writer.js'
import { removeLeftovers } from '../redis-protocol/leftovers.js'
import { findingsOf, isForbidden, limitsOf, type Limits } from '../redis-protocol/limits.js'
import { PayloadVersions } from '../redis-protocol/payload-versions.js'
import { entryErrorOf, redirectionOf, type Redirection } from '../redis-protocol/refusals.js'
import { Refusal, ReplyTree } from '../redis-protocol/reply-reader.js'
import { RequestWriter } from '../redis-protocol/request-writer.js'
import { settingsOf, type Settings } from '../redis-protocol/settings.js'
import { storeTraits } from '../redis-protocol/traits.js'
import { clusterKeys, openSlots } from './listing.js'
import { NodeGone, Topology } from './topology.js'

/** How often a key is sent elsewhere before we give up. */
const REDIRECTIONS_MAX = 50
const PAUSE_MS = 20

/** Makes the store that these options describe. Throws StoreError 'usage'. */
export function clusterStore(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions): Store {
  return new ClusterStore(settingsOf(backend, options))
}

/** Work for some keys at one node: an answer each, or where to go instead. */
type NodeWork<Ref, T> = (node: Connections, refs: readonly Ref[], asking: boolean) => Promise<(T | Redirection)[]>

class ClusterStore implements Store {
  readonly label: string
  readonly traits
  readonly #topology: Topology
  readonly #versions = new PayloadVersions()
  #limits: Limits | undefined
  readonly #reader = new EntryReader(false)
  readonly #written = new Set<Connections>()

  constructor(readonly settings: Settings) {
    this.label = `redis-cluster://${settings.addresses.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',')}`
    this.traits = storeTraits(settings, false)
    this.#topology = new Topology(settings, this.label)
  }

  async open(): Promise<void> {
    await this.#topology.refresh()
    await this.#eachPrimary(async (node) => {
      await node.run(0, async (connection) => {
        const probe = await connection.call(['PEXPIRETIME', ''])
        if (probe instanceof Refusal && isPassing(probe)) throw new ServerBusy(probe.line)
        // One node that is older than the others is enough.
        if (isForbidden(probe)) this.#reader.expiryCommand = 'PTTL'
        // A dry run reads the target and wants to know them too.
        const limits = await limitsOf(connection, this.settings.chunkBytes)
        const known = this.#limits ?? limits
        this.#limits = { argumentBytesMax: Math.min(known.argumentBytesMax, limits.argumentBytesMax), payloadBytesMax: Math.min(known.payloadBytesMax, limits.payloadBytesMax) }
      })
    })
  }

  close(): Promise<void> {
    this.#topology.close()
    return Promise.resolve()
  }

  #eachPrimary<T>(work: (node: Connections) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#topology.primaries().map(work))
  }

  async preflight(access: StoreAccess): Promise<readonly Finding[]> {
    await this.#topology.refresh()
    const findings: Finding[] = []
    const { uncovered } = this.#topology
    if (uncovered > 0) findings.push({ code: 'cluster-slots-missing', level: 'error', message: `${uncovered} ${plural(uncovered, 'slot')} of ${this.label} ${plural(uncovered, 'has', 'have')} no node; repair the cluster (redis-cli --cluster check)` })
    if ((await openSlots(this.#topology)) > 0) findings.push({ code: 'cluster-slots-moving', level: 'warning', message: `slots of ${this.label} are being moved; it is slower, and large values may be refused, until that is over` })
    const perNode = await this.#eachPrimary((node) => node.run(0, async (connection) => findingsOf(connection, node.label, access, await keysOf(connection.call(['DBSIZE'])), this.#reader.expiryCommand)))
    return [...findings, ...perNode.flat()]
  }

  /** The nodes that its keys are read from and written to. */
  async identity(): Promise<string> {
    return this.#topology.primaries().map(({ endpoint: { host, port } }) => `${host}:${port}`).sort().join()
  }

  async count(): Promise<number> {
    const counts = await this.#eachPrimary((node) => node.run(0, (connection) => keysOf(connection.call(['DBSIZE']))))
    return counts.reduce((sum, keys) => sum + keys, 0)
  }

  list(): AsyncGenerator<readonly KeyRef[], void, void> {
    return clusterKeys(this.#topology, this.settings.scanCount)
  }

  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    return this.#route<KeyRef, Entry | EntryError | undefined>(keys, async (node, some, asking) => {
      const found = await node.shown.guard(node, 0, (connection) => this.#reader.read(connection, some, asking))
      node.shown.note(0, found)
      return found.map((each) => (each instanceof Refusal ? (redirectionOf(each) ?? entryErrorOf(each, this.label)) : each))
    })
  }

  refusalOf(entry: Entry): EntryError | undefined {
    return refusalOf(entry, this.#writerOptions())
  }

  #writerOptions(): WriterOptions {
    const { argumentBytesMax, payloadBytesMax } = this.#limits as Limits
    return { label: this.label, argumentBytesMax, payloadBytesMax, pieceBytes: this.settings.chunkBytes, severalKeys: false, versions: this.#versions }
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    const options = this.#writerOptions()
    const foreign = entries.find(({ db }) => db !== 0)
    if (foreign !== undefined) throw new StoreError('usage', `${this.label} has database 0 alone; map database ${foreign.db} to it, or leave it out`)
    const doubtful = new Set<Entry>()
    return this.#route<Entry, WriteOutcome>(entries, (node, some, asking) => {
      this.#written.add(node)
      return writeEntries(node, 0, some, conflict, options, doubtful, asking)
    })
  }

  /** A replica that takes over has what it had got by then. A node whose slots were moved with their keys is a primary still. */
  async doubts(): Promise<string[]> {
    if (this.#written.size === 0) return []
    await this.#topology.refresh(undefined, true)
    const primaries = this.#topology.primaries()
    const others = [...this.#written].filter((node) => !primaries.includes(node))
    const isReplaced = await Promise.all(others.map(async (node) => !(await isPrimary(node).catch(() => false))))
    return others.filter((_, i) => isReplaced[i]).map(({ label }) => `${label} was written to, and a replica stands in for it now, which may lack the last of it`)
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    await this.#route<KeyRef, undefined>(keys, (node, some, asking) => node.run(0, async (connection) => {
      node.acknowledged.forget(some)
      node.shown.forget(some)
      const writer = RequestWriter.take()
      for (const { key } of some) {
        if (asking) writer.fixed(ASKING)
        writer.command(['UNLINK', key])
      }
      const tree = new ReplyTree()
      await connection.exchange(writer.parts(), (asking ? 2 : 1) * some.length, tree)
      writer.give()
      return tree.replies.filter((_, i) => !asking || i % 2 === 1).map((reply) => {
        if (!(reply instanceof Refusal)) return undefined
        const redirection = redirectionOf(reply)
        if (redirection === undefined) throw new StoreError('refused', `${this.label} does not delete keys: ${entryErrorOf(reply, this.label).message}`)
        return redirection
      })
    }))
  }

  async sweep(): Promise<void> {
    await this.#eachPrimary((node) => removeLeftovers(node, 0, this.settings.scanCount))
  }

  /** Sends each key to the node that has its slot, and on to where that one says it is. */
  async #route<Ref extends KeyRef, T>(refs: readonly Ref[], work: NodeWork<Ref, T>): Promise<T[]> {
    const results = new Array<T>(refs.length)
    const asked = new Map<number, string>()
    let due = refs.map((_, i) => i)
    for (let round = 0; due.length > 0; round++) {
      if (round > REDIRECTIONS_MAX) throw new StoreError('unreachable', `${this.label} keeps sending a key from node to node; wait until its slots have settled`)
      if (round > 1) await pause(Math.min(1000, PAUSE_MS * round))
      const groups = new Map<string, { node: Connections; asking: boolean; places: number[] }>()
      for (const i of due) {
        const { key } = refs[i]
        const ask = asked.get(i)
        const node = ask === undefined ? this.#topology.ownerOf(slotOf(key, 0, key.length)) : this.#topology.node(ask)
        const name = `${ask === undefined ? '' : 'ask '}${node.label}`
        const group = groups.get(name)
        if (group === undefined) groups.set(name, { node, asking: ask !== undefined, places: [i] })
        else group.places.push(i)
      }
      asked.clear()
      due = []
      // All groups come to their end before a failure is thrown: nothing is left under way.
      const settled = await Promise.allSettled([...groups.values()].map(async ({ node, asking, places }) => {
        const answers = await this.#atNode(node, places.map((i) => refs[i]), asking, work)
        places.forEach((i, n) => {
          const answer = answers === undefined ? undefined : answers[n]
          if (answers === undefined) due.push(i)
          else if (isRedirection(answer)) {
            this.#follow(answer, node, i, asked)
            due.push(i)
          } else results[i] = answer as T
        })
      }))
      for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason
    }
    return results
  }

  /** Undefined when the node is gone: its keys are somewhere else now. */
  async #atNode<Ref, T>(node: Connections, refs: readonly Ref[], asking: boolean, work: NodeWork<Ref, T>): Promise<(T | Redirection)[] | undefined> {
    try {
      return await work(node, refs, asking)
    } catch (error) {
      if (error instanceof NodeGone) return undefined
      throw error
    }
  }

  #follow({ kind, slot, host, port }: Redirection, node: Connections, i: number, asked: Map<number, string>): void {
    const address = `${host === '' || host === '?' ? node.endpoint.host : host}:${port}`
    if (kind === 'ask') asked.set(i, address)
    else this.#topology.moved(slot, address)
  }
}

async function isPrimary(node: Connections): Promise<boolean> {
  const info = await node.run(0, (connection) => connection.call(['INFO', 'replication']))
  return Buffer.isBuffer(info) && info.includes('role:master')
}

function isRedirection(answer: unknown): answer is Redirection {
  return typeof answer === 'object' && answer !== null && 'kind' in answer && 'slot' in answer
}

async function keysOf(reply: Promise<unknown>): Promise<number> {
  const keys = await reply
  return typeof keys === 'number' ? keys : 0
}
