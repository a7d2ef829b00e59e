/**
 * Backend `etcd`: etcd's v3 store, with the options of Vault's stanza of that name. Under a path keys have Vault's layout;
 * with path "" (and with a URL that has no path) they are etcd's own.
 */
import { StoreError } from '../../transfer/store.js'
import { optionOf, type Backend, type StoreOptions } from '../backend.js'
import { durationOf } from '../duration.js'
import { addressesOf, HttpClient, TLS_OPTIONS, tlsOf } from '../http-client.js'
import { Gateway } from './gateway.js'
import { EtcdStore } from './store.js'

/** An answer of more is asked for in halves. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const CONNECTIONS_MAX = 8

export const backend: Backend = {
  type: 'etcd',
  schemes: ['etcd', 'etcds'],
  summary: 'etcd\'s v3 store, over its JSON gateway',
  options: [
    { name: 'address', summary: 'addresses of the cluster\'s members, with commas between', default: 'http://127.0.0.1:2379', env: 'ETCD_ADDR' },
    { name: 'path', summary: 'what every key begins with, as Vault has it; "" for keys as they are', default: '/vault' },
    { name: 'etcd_api', summary: 'version of the API: v3', default: 'v3' },
    { name: 'username', summary: 'user, where etcd has authentication', env: 'ETCD_USERNAME' },
    { name: 'password', summary: 'its password', env: 'ETCD_PASSWORD', secret: true },
    ...TLS_OPTIONS,
    { name: 'request_timeout', summary: 'how long an answer may take to go on', default: '5s' },
    { name: 'sync', summary: 'accepted for Vault\'s sake: the addresses given are used as they are' },
    { name: 'max_receive_size', summary: 'accepted for Vault\'s sake: answers are asked for in parts' },
    { name: 'ha_enabled', summary: 'accepted for Vault\'s sake' },
    { name: 'lock_timeout', summary: 'accepted for Vault\'s sake' },
  ],

  fromUrl(url: string): StoreOptions {
    const parts = /^(etcds?):\/\/(?:([^@/]*)@)?([^/?#]*)(\/[^?#]*)?(?:\?(.*))?$/i.exec(url)
    if (parts === null) throw new StoreError('usage', 'a URL of etcd is etcd://host:port,host:port/path (etcds: with TLS)')
    const [, scheme, login, hosts, path = '', query] = parts
    const [username, password] = (login ?? '').split(':', 2).map(decodeURIComponent)
    const protocol = scheme.toLowerCase() === 'etcds' ? 'https' : 'http'
    const addresses = (hosts === '' ? '127.0.0.1' : hosts).split(',').map((host) => `${protocol}://${/:\d+$/.test(host) ? host : `${host}:2379`}`)
    return {
      path: path === '/' ? '' : decodeURIComponent(path),
      ...Object.fromEntries(new URLSearchParams(query)),
      address: addresses.join(','),
      ...(login === undefined ? {} : { username, ...(password === undefined ? {} : { password }) }),
    }
  },

  create(options: StoreOptions): EtcdStore {
    const api = optionOf(backend, options, 'etcd_api') ?? ''
    if (api !== 'v3' && api !== '3' && api !== '') throw new StoreError('usage', `option 'etcd_api' of storage "etcd" is '${api}'; only v3 is left (keys of the v2 API: storage "etcd2")`)
    const addresses = addressesOf('etcd', optionOf(backend, options, 'address') ?? '', 'http')
    if (addresses.length === 0) throw new StoreError('usage', 'option \'address\' of storage "etcd" names no address')
    const path = (optionOf(backend, options, 'path') ?? '').replace(/\/+$/, '')
    const hasPath = (optionOf(backend, options, 'path') ?? '') !== ''
    const label = `etcd ${addresses.map((url) => url.host).join(',')}${hasPath ? ` under ${path.startsWith('/') ? path : `/${path}`}` : ''}`
    const limits = { timeoutMs: durationOf(backend, options, 'request_timeout'), answerBytesMax: ANSWER_BYTES_MAX, connectionsMax: CONNECTIONS_MAX }
    const name = optionOf(backend, options, 'username') ?? ''
    const credentials = name === '' ? undefined : { name, password: optionOf(backend, options, 'password') ?? '' }
    const http = new HttpClient(label, addresses, limits, tlsOf(backend, options))
    return new EtcdStore(label, new Gateway(http, credentials), hasPath ? `${path.startsWith('/') || path === '' ? path : `/${path}`}/` : '')
  },
}
