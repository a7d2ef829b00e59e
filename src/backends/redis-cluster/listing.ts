/**
 * All keys of a cluster, also while slots move.
 *
 *     claims of each primary --> SCAN of each primary --> claims of each primary --> the slots that differ, key by key
 *
 * A key is missed by the walk when its slot goes from a node that has not been walked to one that has. Such a slot is
 * open at that moment, or has another owner afterwards; what counts is what each node says of itself, since the others
 * hear of it later. These slots are listed by themselves, twice: a slot moves one way, so the key that was missed in the
 * first round is where it belongs in the second. Some keys come more than once.
 */
import { StoreError, type KeyRef } from '../../transfer/store.js'
import type { Connections } from '../redis-protocol/connections.js'
import { Refusal } from '../redis-protocol/reply-reader.js'
import { scanKeys } from '../redis-protocol/scan.js'
import { NodeGone, type Topology } from './topology.js'

/** Slots whose keys are asked for at once. */
const SLOTS_AT_ONCE = 32
/** More keys than a slot has. */
const ALL_KEYS = 1_000_000_000

/** What the nodes say. */
interface Claims {
  /** Slot and address of each node that says it has it: `12 10.0.0.1:7000`. */
  readonly held: ReadonlySet<string>
  /** Slots that are on their way from or to a node. */
  readonly open: readonly number[]
  /** Addresses of all nodes that have slots, as far as any of them knows. */
  readonly addresses: ReadonlySet<string>
}

/** Pages of all keys. Throws StoreError. */
export async function* clusterKeys(topology: Topology, scanCount: number): AsyncGenerator<readonly KeyRef[], void, void> {
  await topology.refresh(undefined, true)
  const before = await claimsOf(topology)
  for (const node of topology.primaries()) {
    try {
      yield* scanKeys(node, 0, scanCount)
    } catch (error) {
      // Its slots have another owner now.
      if (!(error instanceof NodeGone)) throw error
    }
  }
  await topology.refresh(undefined, true)
  const after = await claimsOf(topology)
  const moved = new Set([...before.open, ...after.open])
  for (const claim of before.held) if (!after.held.has(claim)) moved.add(Number.parseInt(claim))
  for (const claim of after.held) if (!before.held.has(claim)) moved.add(Number.parseInt(claim))
  for (let round = 0; round < 2 && moved.size > 0; round++) {
    for (const address of after.addresses) {
      try {
        yield* keysInSlots(topology.node(address), [...moved])
      } catch (error) {
        if (!(error instanceof NodeGone)) throw error
      }
    }
  }
}

/** How many slots are on their way. */
export async function openSlots(topology: Topology): Promise<number> {
  return (await claimsOf(topology)).open.length
}

/** Asks every primary for what it has itself. */
async function claimsOf(topology: Topology): Promise<Claims> {
  const held = new Set<string>()
  const open: number[] = []
  const addresses = new Set<string>()
  for (const node of topology.primaries()) {
    let reply
    try {
      reply = await node.run(0, (connection) => connection.call(['CLUSTER', 'NODES']))
    } catch (error) {
      if (error instanceof NodeGone) continue
      throw error
    }
    if (reply instanceof Refusal) throw new StoreError('refused', `${node.label} does not tell its slots: ${reply.line}`)
    const own = `${node.endpoint.host}:${node.endpoint.port}`
    addresses.add(own)
    for (const line of Buffer.isBuffer(reply) ? reply.latin1Slice().split('\n') : []) {
      // id ip:port@busport[,name] flags primary ping pong epoch state slot...
      const [, endpoint = '', flags = '', , , , , , ...slots] = line.split(' ')
      if (slots.length === 0 || /fail(,|$)|noaddr/.test(flags)) continue
      if (!flags.includes('myself')) {
        const address = endpoint.replace(/@.*$/, '')
        if (!address.startsWith(':')) addresses.add(address)
        continue
      }
      for (const range of slots) {
        const moving = /^\[(\d+)-[<>]-/.exec(range)
        if (moving !== null) open.push(Number(moving[1]))
        else for (let [slot, last = slot] = range.split('-').map(Number); slot <= last; slot++) held.add(`${slot} ${own}`)
      }
    }
  }
  return { held, open, addresses }
}

/** The keys that a node has of these slots, its own or not. */
async function* keysInSlots(node: Connections, slots: readonly number[]): AsyncGenerator<readonly KeyRef[], void, void> {
  for (let at = 0; at < slots.length; at += SLOTS_AT_ONCE) {
    const some = slots.slice(at, at + SLOTS_AT_ONCE)
    const replies = await node.run(0, (connection) => connection.callAll(some.map((slot) => ['CLUSTER', 'GETKEYSINSLOT', slot, ALL_KEYS])))
    const refs: KeyRef[] = []
    for (const reply of replies) {
      if (reply instanceof Refusal) throw new StoreError('refused', `${node.label} does not list the keys of a slot that was moved: ${reply.line}`)
      if (Array.isArray(reply)) for (const key of reply) if (Buffer.isBuffer(key)) refs.push({ db: 0, key })
    }
    if (refs.length > 0) yield refs
  }
}
