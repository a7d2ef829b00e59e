/** The stores a migration can name: the backends of src/backends, and those that need an engine. */
import type { Backend } from '../backends/backend.js'
import { backendOfType, backendOfUrl, backendTypes } from '../backends/index.js'
import { StoreError } from '../transfer/store.js'

const WITH_ENGINE: Readonly<Record<string, () => Promise<{ backend: Backend }>>> = { aof: () => import('./aof-backend.js') }

/** Types that a configuration file may name. */
export const storeTypes: readonly string[] = [...backendTypes, ...Object.keys(WITH_ENGINE)]

/** Those of them that can be a destination. */
export const destinationTypes = storeTypes.filter((type) => type !== 'aof' && type !== 'etcd2')

/** The store of this type. Throws StoreError 'usage' with what there is. */
export async function storeOfType(type: string): Promise<Backend> {
  if (Object.hasOwn(WITH_ENGINE, type)) return (await WITH_ENGINE[type]()).backend
  // Vault's name for it is inmem.
  if (type === 'memory') return backendOfType('inmem')
  if (!storeTypes.includes(type)) throw new StoreError('usage', `there is no storage "${type}"; there are ${storeTypes.join(', ')}`)
  return backendOfType(type)
}

/** The store that a URL means. Throws StoreError 'usage'. */
export async function storeOfUrl(url: string): Promise<Backend> {
  const scheme = /^([a-z][a-z0-9+-]*):/i.exec(url)?.[1].toLowerCase()
  return scheme !== undefined && Object.hasOwn(WITH_ENGINE, scheme) ? (await WITH_ENGINE[scheme]()).backend : backendOfUrl(url, Object.keys(WITH_ENGINE))
}
