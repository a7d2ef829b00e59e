/**
 * Backend `etcd2`: the keys of etcd's v2 API, read from a data directory without etcd and without changing it
 * (`etcd2:DATA-DIR`), or from a running server (`etcd2+http://host:port`).
 */
import { StoreError, type Store } from '../../transfer/store.js'
import { optionOf, type Backend, type StoreOptions } from '../backend.js'
import { durationOf } from '../duration.js'
import { addressesOf, HttpClient, queryOf, TLS_OPTIONS, tlsOf } from '../http-client.js'
import { flagOf } from '../option-flag.js'
import { Etcd2Store } from './store.js'
import { TransformedStore } from './transformed.js'

/** The longest text of JavaScript, which JSON must be read as. */
const ANSWER_BYTES_MAX = 0x1fffffe8

export const backend: Backend = {
  type: 'etcd2',
  schemes: ['etcd2', 'etcd2+http', 'etcd2+https'],
  summary: 'keys of etcd\'s v2 API, from a data directory or a running server; only read',
  options: [
    { name: 'data_dir', summary: 'what etcd was started with as --data-dir' },
    { name: 'wal_dir', summary: 'what it was started with as --wal-dir; default DATA_DIR/member/wal' },
    { name: 'address', summary: 'addresses of a running server with the v2 API, with commas between, instead of data_dir' },
    { name: 'include_hidden', summary: 'copy hidden keys too: true or false', default: 'false' },
    { name: 'uncommitted', summary: 'take what was written to the log but is not known to be committed: true or false', default: 'false' },
    { name: 'no_ttl', summary: 'leave out keys that will expire: true or false', default: 'false' },
    { name: 'transformer', summary: 'program that makes v3 keys of the nodes, as for etcdctl migrate --transformer' },
    { name: 'username', summary: 'user of the v2 API', env: 'ETCD_USERNAME' },
    { name: 'password', summary: 'its password', env: 'ETCD_PASSWORD', secret: true },
    ...TLS_OPTIONS,
    { name: 'request_timeout', summary: 'how long an answer may take to go on', default: '30s' },
  ],

  fromUrl(url: string): StoreOptions {
    if (!/^etcd2\+https?:/i.test(url)) {
      const [, dir, query] = /^etcd2:(?:\/\/(?=\/))?([^?]*)(?:\?(.*))?$/i.exec(url) as unknown as [string, string, string | undefined]
      return { ...Object.fromEntries(new URLSearchParams(query)), data_dir: dir }
    }
    try {
      const parsed = new URL(url.replace(/^etcd2\+/i, ''))
      return {
        ...queryOf(parsed),
        address: `${parsed.protocol}//${parsed.host}`,
        ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username), password: decodeURIComponent(parsed.password) }),
      }
    } catch (error) {
      throw new StoreError('usage', 'a URL of a v2 server is etcd2+http://host:port or etcd2+https://host:port', { cause: error })
    }
  },

  create(options: StoreOptions): Store {
    const program = optionOf(backend, options, 'transformer') ?? ''
    const store = storeOf(options)
    return program === '' ? store : new TransformedStore(store, program, store.clock)
  },
}

function storeOf(options: StoreOptions): Etcd2Store {
  const dataDir = optionOf(backend, options, 'data_dir') ?? ''
  const address = optionOf(backend, options, 'address') ?? ''
  const rules = { includeHidden: flagOf(backend, options, 'include_hidden'), noTtl: flagOf(backend, options, 'no_ttl') }
  const uncommitted = flagOf(backend, options, 'uncommitted')
  if ((dataDir === '') === (address === '')) throw new StoreError('usage', 'storage "etcd2" needs either the option \'data_dir\' or the option \'address\'')
  if (dataDir !== '') {
    const walDir = optionOf(backend, options, 'wal_dir')
    return new Etcd2Store(`etcd2:${dataDir}`, { dir: { dataDir, walDir: walDir === '' ? undefined : walDir, uncommitted } }, rules)
  }
  if (rules.includeHidden || uncommitted)
    throw new StoreError('usage', `option '${uncommitted ? 'uncommitted' : 'include_hidden'}' of storage "etcd2" needs a data directory: the v2 API does not show these`)
  const addresses = addressesOf('etcd2', address, 'http')
  const label = `etcd2+${addresses.map((url) => `${url.protocol}//${url.host}`).join(',')}`
  const limits = { timeoutMs: durationOf(backend, options, 'request_timeout'), answerBytesMax: ANSWER_BYTES_MAX, connectionsMax: 1 }
  const username = optionOf(backend, options, 'username') ?? ''
  const login = Buffer.from(`${username}:${optionOf(backend, options, 'password') ?? ''}`).toString('base64')
  return new Etcd2Store(label, { client: new HttpClient(label, addresses, limits, tlsOf(backend, options)), headers: username === '' ? {} : { authorization: `Basic ${login}` } }, rules)
}
