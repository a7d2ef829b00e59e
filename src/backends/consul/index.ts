/** Backend `consul`: Consul's key-value store, with the options of Vault's stanza of that name and Vault's layout. */
import { StoreError } from '../../transfer/store.js'
import { optionOf, type Backend, type StoreOptions } from '../backend.js'
import { durationOf } from '../duration.js'
import { addressesOf, HttpClient, queryOf, TLS_OPTIONS, tlsOf } from '../http-client.js'
import { ConsulStore } from './store.js'

/** All keys of a path come in one answer, which must be read as one text. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024
const CONNECTIONS_MAX = 8

export const backend: Backend = {
  type: 'consul',
  schemes: ['consul', 'consuls'],
  summary: 'Consul\'s key-value store, over its HTTP API',
  options: [
    { name: 'address', summary: 'address of an agent', default: '127.0.0.1:8500', env: 'CONSUL_HTTP_ADDR' },
    { name: 'scheme', summary: 'http or https', default: 'http' },
    { name: 'path', summary: 'what every key begins with; "" for keys as they are', default: 'vault/' },
    { name: 'token', summary: 'token of Consul\'s access control', env: 'CONSUL_HTTP_TOKEN', secret: true },
    { name: 'consistency_mode', summary: 'default, or strong: ask the leader for everything that is read', default: 'default' },
    ...TLS_OPTIONS,
    { name: 'request_timeout', summary: 'how long an answer may take to go on', default: '30s' },
    { name: 'max_parallel', summary: 'accepted for Vault\'s sake' },
    { name: 'session_ttl', summary: 'accepted for Vault\'s sake' },
    { name: 'lock_wait_time', summary: 'accepted for Vault\'s sake' },
    { name: 'tls_min_version', summary: 'accepted for Vault\'s sake: Node\'s own, TLS 1.2 or later' },
  ],

  fromUrl(url: string): StoreOptions {
    let parsed: URL
    try {
      // The schemes of the web are read alike everywhere, those nobody knows are not.
      parsed = new URL(url.replace(/^consul/i, 'http').replace(/^https?:(?!\/\/)/, 'http://'))
    } catch (error) {
      throw new StoreError('usage', 'a URL of Consul is consul://host:port/path (consuls: with TLS)', { cause: error })
    }
    const port = parsed.port === '' ? 8500 : Number(parsed.port)
    return {
      path: decodeURIComponent(parsed.pathname),
      ...queryOf(parsed),
      address: `${parsed.hostname}:${port}`,
      scheme: parsed.protocol.slice(0, -1),
      ...(parsed.password === '' && parsed.username === '' ? {} : { token: decodeURIComponent(parsed.password === '' ? parsed.username : parsed.password) }),
    }
  },

  create(options: StoreOptions): ConsulStore {
    const scheme = optionOf(backend, options, 'scheme') ?? ''
    if (scheme !== 'http' && scheme !== 'https') throw new StoreError('usage', `option 'scheme' of storage "consul" is '${scheme}'; it must be http or https`)
    const mode = optionOf(backend, options, 'consistency_mode') ?? ''
    if (mode !== 'default' && mode !== 'strong' && mode !== '') throw new StoreError('usage', `option 'consistency_mode' of storage "consul" is '${mode}'; it must be default or strong`)
    const addresses = addressesOf('consul', optionOf(backend, options, 'address') ?? '', scheme)
    if (addresses.length === 0) throw new StoreError('usage', 'option \'address\' of storage "consul" names no address')
    const path = (optionOf(backend, options, 'path') ?? '').replace(/^\/+/, '')
    const prefix = path === '' || path.endsWith('/') ? path : `${path}/`
    const label = `consul ${addresses.map((address) => address.host).join(',')}${prefix === '' ? '' : ` under ${prefix}`}`
    const limits = { timeoutMs: durationOf(backend, options, 'request_timeout'), answerBytesMax: ANSWER_BYTES_MAX, connectionsMax: CONNECTIONS_MAX }
    const token = optionOf(backend, options, 'token') ?? ''
    const http = new HttpClient(label, addresses, limits, tlsOf(backend, options))
    return new ConsulStore(label, http, prefix, token === '' ? undefined : token, mode === 'strong')
  },
}
