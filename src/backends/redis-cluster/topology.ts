/**
 * Which node of a cluster has which slots: asked for with CLUSTER SLOTS, corrected by every MOVED, and asked for again
 * when a node can not be reached. The connections to each primary are kept here.
 */
import { monotonicMs } from '../../clock.js'
import { LinkFault } from '../../transfer/outcome.js'
import { StoreError } from '../../transfer/store.js'
import type { Connection } from '../redis-protocol/connection.js'
import { Connections, ServerBusy, isPassing } from '../redis-protocol/connections.js'
import { Refusal, type Reply } from '../redis-protocol/reply-reader.js'
import type { Settings } from '../redis-protocol/settings.js'

const SLOTS = 16384
/** After a fault the map is not asked for again sooner than this. */
const FRESH_MS = 100

/** The node has no slots any more, or can not be reached while another has taken its slots. */
export class NodeGone extends Error {}

export class Topology {
  /** By address; one that has lost its slots stays, and answers MOVED. */
  readonly #nodes = new Map<string, Connections>()
  /** Slot -> address of its primary. */
  #owners: (string | undefined)[] = new Array<string | undefined>(SLOTS)
  #refreshing: Promise<void> | undefined
  #refreshedMs = -Infinity
  #closed = false

  constructor(readonly settings: Settings, readonly label: string) {}

  /** The primaries, each with at least one slot. */
  primaries(): Connections[] {
    return [...new Set(this.#owners)].filter((address) => address !== undefined).map((address) => this.node(address))
  }

  /** Who has this slot. Throws StoreError when nobody has. */
  ownerOf(slot: number): Connections {
    const address = this.#owners[slot]
    if (address === undefined) throw new StoreError('refused', `${this.label} has no node for slot ${slot}; repair the cluster (redis-cli --cluster check)`)
    return this.node(address)
  }

  get uncovered(): number {
    return this.#owners.reduce((count, owner) => count + (owner === undefined ? 1 : 0), 0)
  }

  /** A node told that another has the slot now. */
  moved(slot: number, address: string): void {
    this.#owners[slot] = address
  }

  /** The connections to `host:port`. */
  node(address: string): Connections {
    let node = this.#nodes.get(address)
    if (node === undefined) {
      if (this.#closed) throw new StoreError('unreachable', `${this.label} is closed`)
      const { user, password, tls, timeoutMs, connections } = this.settings
      const colon = address.lastIndexOf(':')
      const endpoint = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)), user, password, tls, timeoutMs }
      node = new Connections(endpoint, `${this.label} (node ${address})`, connections, () => this.#checkNode(address))
      this.#nodes.set(address, node)
    }
    return node
  }

  /** After a fault of a node: whether it is still one that has slots. */
  async #checkNode(address: string): Promise<void> {
    await this.refresh(address).catch(() => undefined)
    if (!this.#owners.includes(address)) throw new NodeGone(`node ${address} has no slots any more`)
  }

  /** Asks for the map; from others than `except` first; `anew`: also when it is fresh. Throws StoreError. */
  refresh(except?: string, anew = false): Promise<void> {
    if (!anew && monotonicMs() - this.#refreshedMs < FRESH_MS) return Promise.resolve()
    this.#refreshing ??= this.#ask(except).finally(() => (this.#refreshing = undefined))
    return this.#refreshing
  }

  async #ask(except: string | undefined): Promise<void> {
    const seeds = this.settings.addresses.map(({ host, port }) => `${host}:${port}`)
    const known = new Set([...new Set(this.#owners)].filter((address) => address !== undefined && address !== except))
    const candidates = [...known, ...seeds.filter((address) => !known.has(address))] as string[]
    let failure: unknown
    for (const address of candidates) {
      try {
        const probe = new Connections({ ...this.node(address).endpoint, timeoutMs: this.settings.timeoutMs }, `${this.label} (node ${address})`, 1)
        try {
          this.#owners = await probe.run(0, (connection) => ownersFrom(connection, this.label))
        } finally {
          probe.close()
        }
        this.#refreshedMs = monotonicMs()
        return
      } catch (error) {
        if (error instanceof StoreError && error.fault !== 'unreachable') throw error
        failure = error
      }
    }
    if (failure instanceof StoreError) throw failure
    throw new StoreError('unreachable', `${this.label}: no node tells where its slots are; check that the cluster runs`, { cause: failure })
  }

  close(): void {
    this.#closed = true
    for (const node of this.#nodes.values()) node.close()
  }
}

async function ownersFrom(connection: Connection, label: string): Promise<(string | undefined)[]> {
  const reply = await connection.call(['CLUSTER', 'SLOTS'])
  if (reply instanceof Refusal) {
    if (isPassing(reply)) throw new ServerBusy(reply.line)
    if (reply.code === 'NOPERM' || reply.code === 'NOAUTH') throw connection.denied(reply)
    throw new StoreError('usage', `${label} is no cluster (${reply.line}); name it with the type redis`)
  }
  const owners = new Array<string | undefined>(SLOTS)
  for (const range of Array.isArray(reply) ? reply : []) {
    const [first, last, primary] = Array.isArray(range) ? range : []
    if (typeof first !== 'number' || typeof last !== 'number' || !Array.isArray(primary)) throw new LinkFault('protocol', false, `${label} answered CLUSTER SLOTS with what is no list of slots`)
    const address = addressOf(primary, connection)
    for (let slot = Math.max(0, first); slot <= Math.min(SLOTS - 1, last); slot++) owners[slot] = address
  }
  return owners
}

/** A node of CLUSTER SLOTS; one that does not know its name is reached as the one that was asked. */
function addressOf([host, port]: Reply[], connection: Connection): string {
  const name = Buffer.isBuffer(host) ? host.latin1Slice() : ''
  return `${name === '' || name === '?' ? connection.endpoint.host : name}:${Number(port)}`
}
