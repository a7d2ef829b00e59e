/**
 * The backends by name and by URL scheme; each is loaded only when a configuration names it.
 */
import { StoreError } from '../transfer/store.js'
import type { Backend } from './backend.js'
import { withoutSecrets } from './url.js'

/** Backend type, its other names and URL schemes -> where it is. */
const BACKENDS: Readonly<Record<string, { readonly schemes: readonly string[]; readonly load: () => Promise<{ backend: Backend }> }>> = {
  inmem: { schemes: ['memory', 'inmem'], load: () => import('./memory/index.js') },
  file: { schemes: ['file'], load: () => import('./file/index.js') },
  mysql: { schemes: ['mysql', 'mariadb'], load: () => import('./mysql/index.js') },
  postgresql: { schemes: ['postgres', 'postgresql'], load: () => import('./postgresql/index.js') },
  redis: { schemes: ['redis', 'rediss', 'valkey', 'valkeys'], load: () => import('./redis/index.js') },
  consul: { schemes: ['consul', 'consuls'], load: () => import('./consul/index.js') },
  etcd: { schemes: ['etcd', 'etcds'], load: () => import('./etcd/index.js') },
  etcd2: { schemes: ['etcd2', 'etcd2+http', 'etcd2+https'], load: () => import('./etcd2/index.js') },
  rdb: { schemes: ['rdb'], load: () => import('./rdb/index.js') },
  'redis-cluster': { schemes: ['redis-cluster', 'rediss-cluster', 'valkey-cluster', 'valkeys-cluster'], load: () => import('./redis-cluster/index.js') },
}

/** Types that a configuration file may name. */
export const backendTypes: readonly string[] = Object.keys(BACKENDS)

/** The backend of this type. Throws StoreError 'usage' with what there is. */
export async function backendOfType(type: string): Promise<Backend> {
  const found = Object.hasOwn(BACKENDS, type) ? BACKENDS[type] : undefined
  if (found === undefined) throw new StoreError('usage', `there is no storage "${type}"; there are ${backendTypes.join(', ')}`)
  return (await found.load()).backend
}

/** The backend that a URL means; `others` are schemes that somebody else knows. Throws StoreError 'usage'. */
export async function backendOfUrl(url: string, others: readonly string[] = []): Promise<Backend> {
  const scheme = /^([a-z][a-z0-9+-]*):/i.exec(url)?.[1].toLowerCase()
  for (const { schemes, load } of Object.values(BACKENDS)) if (scheme !== undefined && schemes.includes(scheme)) return (await load()).backend
  const known = [...Object.values(BACKENDS).flatMap(({ schemes }) => schemes), ...others]
  throw new StoreError('usage', `'${withoutSecrets(url)}' is no store; a store is a URL that begins with ${known.map((name) => `${name}:`).join(', ')}`)
}
