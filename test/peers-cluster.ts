/** A cluster of real servers for tests: primaries that share all slots, and more nodes on demand. */
import { crc16 } from '../protocol/crc16.js'
import type { RespClient } from './client.js'
import { freePort, startPeer, type Peer, type PeerName } from './peers.js'

const SLOTS = 16384

export interface ClusterNode {
  readonly peer: Peer
  readonly client: RespClient
  readonly address: string
  readonly id: string
  readonly busPort: number
}

/** Starts a node that knows nobody yet. The bus gets a port of its own: the usual one, 10,000 higher, may not exist. */
export async function startNode(name: PeerName): Promise<ClusterNode> {
  const busPort = await freePort()
  const peer = await startPeer(name, { config: { 'cluster-enabled': 'yes', 'cluster-port': busPort, 'cluster-node-timeout': 1500, 'cluster-require-full-coverage': 'no' } })
  const client = await peer.client()
  const id = (await client.text('CLUSTER', 'MYID')).replaceAll('"', '')
  return { peer, client, address: `127.0.0.1:${peer.port}`, id, busPort }
}

/** Starts so many primaries and waits until they agree. */
export async function startCluster(name: PeerName, primaries: number): Promise<ClusterNode[]> {
  const nodes = await Promise.all(Array.from({ length: primaries }, () => startNode(name)))
  for (let i = 0; i < primaries; i++) {
    const first = Math.floor((SLOTS * i) / primaries)
    const last = Math.floor((SLOTS * (i + 1)) / primaries) - 1
    await nodes[i].client.pipeline([['CLUSTER', 'SET-CONFIG-EPOCH', i + 1], ['CLUSTER', 'ADDSLOTSRANGE', first, last]])
  }
  for (const node of nodes.slice(1)) await meet(node, nodes[0])
  await until(async () => (await Promise.all(nodes.map(({ client }) => client.text('CLUSTER', 'INFO')))).every((info) => info.includes(`cluster_state:ok`) && info.includes(`cluster_known_nodes:${primaries}`)))
  return nodes
}

/** Introduces a node to another. */
export async function meet(node: ClusterNode, other: ClusterNode): Promise<void> {
  await node.client.call('CLUSTER', 'MEET', '127.0.0.1', other.peer.port, other.busPort)
}

/** Waits for something, for at most 15 s. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('the cluster did not come to it within 15 s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The slot of a key without braces. */
export function slotOfKey(key: string): number {
  const bytes = Buffer.from(key)
  return crc16(bytes, 0, bytes.length) % SLOTS
}

export async function stopCluster(nodes: readonly ClusterNode[]): Promise<void> {
  await Promise.all(nodes.map(async ({ client, peer }) => {
    client.close()
    await peer.stop()
  }))
}
