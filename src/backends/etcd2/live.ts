/**
 * Reads the users' tree through etcd's v2 API: one recursive GET, so that all of it is of one moment.
 *
 *     GET /v2/keys/?recursive=true&sorted=true&quorum=true
 *     { node: { dir, nodes: [{ key, value, dir, nodes, expiration, createdIndex, modifiedIndex }] } }
 *
 * What JSON can not carry is lost here (bytes that are not UTF-8 come as U+FFFD), and hidden keys are never listed:
 * the data directory has both.
 */
import { StoreError } from '../../transfer/store.js'
import type { Answer, HttpClient } from '../http-client.js'
import { bytesOf, expiryOf, SnapshotDamage } from './snapshot.js'
import { V2Node, V2Store } from './v2-store.js'

interface JsonNode {
  readonly key?: string
  readonly value?: string
  readonly dir?: boolean
  readonly nodes?: readonly JsonNode[]
  readonly expiration?: string
  readonly createdIndex?: number
  readonly modifiedIndex?: number
}

/** The store with the users' tree in it. Throws StoreError. */
export async function readLive(client: HttpClient, headers: Readonly<Record<string, string>>): Promise<V2Store> {
  const answer = await client.send({ method: 'GET', path: '/v2/keys/?recursive=true&sorted=true&quorum=true', headers, isRepeatable: true })
  if (answer.status !== 200) throw refusal(client.label, answer)
  try {
    const { node } = JSON.parse(answer.body.toString('utf8')) as { node?: JsonNode }
    if (typeof node !== 'object' || node === null) throw new SnapshotDamage('it has no node')
    return storeOf(node)
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof SnapshotDamage)) throw error
    throw new StoreError('refused', `${client.label} answered /v2/keys/ with something that is no v2 answer: ${error.message}`, { cause: error })
  }
}

function storeOf(root: JsonNode): V2Store {
  const store = new V2Store()
  const stack: { json: JsonNode; node: V2Node }[] = [{ json: root, node: store.root.children?.get('1') as V2Node }]
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { node } = item
    for (const json of item.json.nodes ?? []) {
      const { key, value = '' } = json
      if (typeof key !== 'string' || typeof value !== 'string') throw new SnapshotDamage('a node has no key')
      const name = key.slice(key.lastIndexOf('/') + 1)
      const made = new V2Node(bytesOf(name), node, json.dir === true, bytesOf(value), json.createdIndex ?? 0, expiryOf(json.expiration))
      made.modifiedIndex = json.modifiedIndex ?? 0
      made.isLossy = key.includes('\ufffd') || value.includes('\ufffd')
      store.adopt(made)
      if (json.dir === true) stack.push({ json, node: made })
    }
  }
  return store
}

function refusal(label: string, { status, body }: Answer): StoreError {
  const text = body.toString('utf8', 0, 300).trim()
  if (status === 401 || status === 403) return new StoreError('denied', `${label} refuses to list its keys (${status} ${text}); check username and password`)
  if (status === 404) return new StoreError('refused', `${label} has no v2 API (404); start etcd with --enable-v2=true, or read its data directory with etcd2:DIR`)
  return new StoreError(status >= 500 ? 'unreachable' : 'refused', `${label} can not list its keys: ${status} ${text}`)
}
