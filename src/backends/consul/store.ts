/**
 * Consul's key-value store as source and target, over its HTTP API, with Vault's layout.
 *
 *     list    GET /v1/kv/PATH?keys: all names at once, which the agent sends in order (there are no pages)
 *     read    PUT /v1/txn of `get`: a key that is gone fails the transaction and is named; the others are asked for again.
 *             Where no PUT is let through (`allow_write_http_from` of the agent) GET /v1/kv/KEY?raw, a key at a time
 *     write   PUT /v1/txn of `set`, or of `cas` with index 0, which sets only what is not there, for 'skip' and 'error':
 *             keys that are there fail the transaction and are named; the others are written then
 *     remove  PUT /v1/txn of `delete`
 *
 * Limits of the server's defaults: 64 operations, 512 KiB for a value and for the whole of a transaction as JSON. A value
 * too large for a transaction goes alone and raw, as PUT /v1/kv/KEY. Keys are text: the API has names in JSON and in URLs.
 */
import { isUtf8 } from 'node:buffer'
import { compareKeys, EntryError, keyText, StoreError, type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome } from '../../transfer/store.js'
import { AnswerTooLarge, type Answer, type HttpClient } from '../http-client.js'

const OPERATIONS_MAX = 64
const VALUE_BYTES_MAX = 512 * 1024
/** Of a transaction's JSON. */
const REQUEST_BYTES_MAX = 512 * 1024
/** Of ours, so that a key fits into any request; the server has none. */
const KEY_BYTES_MAX = 32768
const PAGE_KEYS = 1000

/** A URL path with such a segment would be cleaned by the server: `//`, `.`, `..`. */
const UNCLEAN = /(^|\/)\.{0,2}(\/|$)/

interface Operation {
  readonly name: string
  readonly json: string
}

interface TxnAnswer {
  readonly Results?: readonly { readonly KV?: { readonly Key: string; readonly Value?: string | null } }[] | null
  readonly Errors?: readonly { readonly OpIndex: number; readonly What: string }[] | null
}

export class ConsulStore implements Store {
  readonly traits: StoreTraits
  #readsByGet = false

  constructor(
    readonly label: string,
    readonly http: HttpClient,
    /** What every key begins with: nothing, or a path that ends in '/'. */
    readonly prefix: string,
    readonly token: string | undefined,
    /** Ask the leader for what is certainly the newest. */
    readonly isStrong: boolean,
  ) {
    this.traits = {
      typed: false,
      expiry: false,
      databases: false,
      ordered: true,
      createsAtomically: true,
      writable: true,
      vaultLayout: prefix !== '',
      keyBytesMax: KEY_BYTES_MAX,
      valueBytesMax: VALUE_BYTES_MAX,
      batchEntriesMax: OPERATIONS_MAX,
      batchBytesMax: REQUEST_BYTES_MAX / 2,
      parallelMax: 8,
    }
  }

  async open(_access: StoreAccess): Promise<void> {
    await this.#send('GET', '/v1/kv/', '?keys&separator=/', undefined, 'opening it')
  }

  close(): Promise<void> {
    this.http.close()
    return Promise.resolve()
  }

  async preflight(access: StoreAccess): Promise<readonly Finding[]> {
    const { status } = await this.#send('GET', '/v1/kv/', '?keys&separator=/', undefined, 'looking for keys')
    if (access === 'read' || status === 404) return []
    return [{ code: 'target-not-empty', level: 'warning', message: `${this.label} has keys already; what happens to those of the same name is up to the conflict policy` }]
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    const { status, body } = await this.#send('GET', '/v1/kv/', '?keys', undefined, 'listing its keys')
    if (status === 404) return
    const names = this.#parse(body) as readonly string[]
    const start = Buffer.byteLength(this.prefix)
    for (let at = 0; at < names.length; at += PAGE_KEYS) {
      if (this.http.isClosed) throw new StoreError('unreachable', `${this.label} was closed`)
      const page = names.slice(at, at + PAGE_KEYS).map((name) => ({ db: 0, key: Buffer.from(name).subarray(start) }))
      const wanted = from === undefined ? page : page.filter((ref) => compareKeys(ref, from) >= 0)
      if (wanted.length > 0) yield wanted
    }
  }

  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    const entries: (Entry | EntryError | undefined)[] = []
    for (let at = 0; at < keys.length; at += OPERATIONS_MAX) entries.push(...await this.#readSome(keys.slice(at, at + OPERATIONS_MAX)))
    return entries
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    const outcomes: WriteOutcome[] = []
    let waiting: { readonly operation: Operation; readonly at: number }[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      const failed = await this.#transact(waiting.map(({ operation }) => operation), 'writing keys')
      for (const { operation, at } of waiting) {
        const reason = failed.get(operation.name)
        outcomes[at] = reason === undefined ? 'written' : conflict !== 'replace' && isTaken(reason) ? 'exists' : new EntryError('refused', `${this.label} refuses ${keyText(entries[at].key)}: ${reason}`)
      }
      waiting = []
      bytes = 0
    }
    for (const [at, entry] of entries.entries()) {
      const refusal = this.refusalOf(entry)
      if (refusal !== undefined) {
        outcomes[at] = refusal
        continue
      }
      const name = this.prefix + entry.key.toString('utf8')
      const json = operationOf(conflict === 'replace' ? 'set' : 'cas', name, `,"Value":"${entry.value.toString('base64')}"${conflict === 'replace' ? '' : ',"Index":0'}`)
      const size = Buffer.byteLength(json) + 1
      if (size + 2 > REQUEST_BYTES_MAX) outcomes[at] = await this.#putAlone(entry, name, conflict)
      else {
        if (waiting.length === OPERATIONS_MAX || bytes + size + 2 > REQUEST_BYTES_MAX || waiting.some(({ operation }) => operation.name === name)) await flush()
        waiting.push({ operation: { name, json }, at })
        bytes += size
      }
    }
    if (waiting.length > 0) await flush()
    return outcomes
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    const names = keys.filter(({ key }) => isUtf8(key)).map(({ key }) => this.prefix + key.toString('utf8')).filter((name) => name !== '')
    for (let at = 0; at < names.length; at += OPERATIONS_MAX) {
      const failed = await this.#transact(names.slice(at, at + OPERATIONS_MAX).map((name) => ({ name, json: operationOf('delete', name, '') })), 'deleting keys')
      for (const [name, reason] of failed) throw new StoreError('refused', `${this.label} does not delete ${keyText(Buffer.from(name))}: ${reason}`)
    }
  }

  async #readSome(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    if (this.#readsByGet) return Promise.all(keys.map((ref) => this.#readAlone(ref)))
    // A name that is not UTF-8 can not be there.
    const names = keys.map(({ key }) => (isUtf8(key) ? this.prefix + key.toString('utf8') : ''))
    const values = new Map<string, Buffer>()
    try {
      const gets = [...new Set(names)].filter((name) => name !== '').map((name) => ({ name, json: operationOf('get', name, '') }))
      await this.#transact(gets, 'reading keys', ({ Results }) => {
        for (const { KV } of Results ?? []) if (KV !== undefined) values.set(KV.Key, Buffer.from(KV.Value ?? '', 'base64'))
      })
    } catch (error) {
      if (error instanceof StoreError && error.fault === 'denied') {
        this.#readsByGet = true
        return this.#readSome(keys)
      }
      if (!(error instanceof AnswerTooLarge) || keys.length === 1) throw error
      const half = keys.length >> 1
      return [...await this.#readSome(keys.slice(0, half)), ...await this.#readSome(keys.slice(half))]
    }
    return names.map((name, i) => {
      const value = values.get(name)
      return value === undefined ? undefined : { db: keys[i].db, key: keys[i].key, form: 'raw', value: Buffer.from(value), expiresAtMs: undefined }
    })
  }

  async #readAlone({ db, key }: KeyRef): Promise<Entry | EntryError | undefined> {
    const name = isUtf8(key) ? this.prefix + key.toString('utf8') : ''
    if (name === '') return undefined
    if (UNCLEAN.test(name)) return new EntryError('unsupported', `${this.label} lets no transaction through, and the name ${keyText(key)} can not stand in a URL`)
    const { status, body } = await this.#send('GET', pathOf(name), `?raw${this.isStrong ? '&consistent' : ''}`, undefined, 'reading a key')
    return status === 404 ? undefined : { db, key, form: 'raw', value: Buffer.from(body), expiresAtMs: undefined }
  }

  /**
   * Runs a transaction of as many of these operations as can be done, and returns why the others can not, by name. Each
   * round does all that are left or leaves out at least one.
   */
  async #transact(operations: readonly Operation[], doing: string, done?: (answer: TxnAnswer) => void): Promise<Map<string, string>> {
    const failed = new Map<string, string>()
    let left = operations
    while (left.length > 0) {
      const { status, body } = await this.#send('PUT', '/v1/txn', doing === 'reading keys' && this.isStrong ? '?consistent' : '', `[${left.map(({ json }) => json).join(',')}]`, doing)
      const answer = this.#parse(body) as TxnAnswer
      if (status !== 409) {
        done?.(answer)
        break
      }
      const before = failed.size
      for (const { OpIndex, What } of answer.Errors ?? []) {
        if (What.includes('Permission denied')) throw this.#denied(doing, What)
        if (left[OpIndex] !== undefined) failed.set(left[OpIndex].name, What)
      }
      if (failed.size === before) throw new StoreError('refused', `${this.label}: ${doing}: the transaction was rolled back without a reason`)
      left = left.filter(({ name }) => !failed.has(name))
    }
    return failed
  }

  /** A value that fits no transaction. */
  async #putAlone(entry: Entry, name: string, conflict: ConflictPolicy): Promise<WriteOutcome> {
    if (UNCLEAN.test(name)) return new EntryError('too-large', `${keyText(entry.key)} has ${entry.value.length} bytes, too many for a transaction, and its name can not stand in a URL`)
    const { status, body } = await this.#send('PUT', pathOf(name), conflict === 'replace' ? '' : '?cas=0', entry.value, 'writing a large key', false)
    const text = body.toString('utf8', 0, 300).trim()
    if (status === 413 || status === 400) return new EntryError(status === 413 ? 'too-large' : 'refused', `${this.label} refuses ${keyText(entry.key)}: ${text}`)
    return text === 'true' ? 'written' : 'exists'
  }

  refusalOf({ key, value, form }: Entry): EntryError | undefined {
    if (form !== 'raw') return new EntryError('unsupported', `${keyText(key)} is no string; ${this.label} keeps bytes only`)
    if (!isUtf8(key)) return new EntryError('unsupported', `${keyText(key)} is not UTF-8, and keys of ${this.label} are text`)
    if (this.prefix === '' && key.length === 0) return new EntryError('unsupported', `${this.label} takes no empty key; give it a path`)
    if (key.length > KEY_BYTES_MAX) return new EntryError('too-large', `${keyText(key)} is longer than the ${KEY_BYTES_MAX} bytes that a key of ${this.label} is given`)
    if (value.length > VALUE_BYTES_MAX) return new EntryError('too-large', `${keyText(key)} has ${value.length} bytes; ${this.label} takes ${VALUE_BYTES_MAX} (kv_max_value_size of Consul)`)
    return undefined
  }

  /** Sends a request under our path (or to /v1/txn) and deals with what is no answer to it. */
  async #send(method: string, path: string, query: string, body: string | Buffer | undefined, doing: string, mayRepeat = true): Promise<Answer> {
    const isKeys = path === '/v1/kv/'
    const answer = await this.http.send({
      method,
      path: (isKeys ? pathOf(this.prefix) : path) + query + (isKeys && this.isStrong ? '&consistent' : ''),
      ...(body === undefined ? {} : { body }),
      headers: this.token === undefined ? {} : { 'x-consul-token': this.token },
      isRepeatable: mayRepeat,
    })
    const { status } = answer
    if (status === 200 || (status === 404 && method === 'GET') || (status === 409 && path === '/v1/txn')) return answer
    const text = answer.body.toString('utf8', 0, 300).trim()
    if (status === 401 || status === 403) throw this.#denied(doing, text)
    if (!isKeys && path !== '/v1/txn' && (status === 400 || status === 413)) return answer
    throw new StoreError(status === 429 || status >= 500 ? 'unreachable' : 'refused', `${this.label}: ${doing}: ${status} ${text}`)
  }

  #denied(doing: string, text: string): StoreError {
    return new StoreError('denied', `${this.label}: ${doing}: ${text}; check the token (CONSUL_HTTP_TOKEN): it needs key_prefix "${this.prefix}" with read, and write for a target`)
  }

  #parse(body: Buffer): unknown {
    try {
      return JSON.parse(body.toString('utf8')) as unknown
    } catch (error) {
      throw new StoreError('refused', `${this.label} answered with something that is no JSON; is that address Consul's?`, { cause: error })
    }
  }
}

const pathOf = (name: string): string => `/v1/kv/${name.split('/').map(encodeURIComponent).join('/')}`

const operationOf = (verb: string, name: string, more: string): string => `{"KV":{"Verb":"${verb}","Key":${JSON.stringify(name)}${more}}}`

/** What Consul says of a `cas` with index 0 whose key is there. */
const isTaken = (reason: string): boolean => /index is stale/.test(reason)
