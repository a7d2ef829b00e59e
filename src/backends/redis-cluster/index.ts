/** The backend `redis-cluster`: the primaries of a cluster as one store. */
import type { Backend } from '../backend.js'
import { optionsOfUrl, sharedOptions } from '../redis-protocol/settings.js'
import { clusterStore } from './store.js'

export const backend: Backend = {
  type: 'redis-cluster',
  schemes: ['redis-cluster', 'rediss-cluster', 'valkey-cluster', 'valkeys-cluster'],
  summary: 'a Redis or Valkey cluster: keys go to and come from the node that has their slot',
  options: [{ name: 'address', summary: 'host:port of one or more nodes, with commas between them', default: '127.0.0.1:6379' }, ...sharedOptions],
  fromUrl: (url) => optionsOfUrl(url, backend.options, /^(rediss|valkeys)-/i.test(url)),
  create: (options) => clusterStore(backend, options),
}
