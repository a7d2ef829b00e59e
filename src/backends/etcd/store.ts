/**
 * etcd's v3 store as source and target.
 *
 *     list   range of keys only, page by page, all at the revision of the first page
 *     read   one range from the first key to the last where they lie close together, else a transaction of gets
 *     write  a transaction of puts. 'skip' and 'error': on the one condition that no key exists from the first to the last;
 *            where some do, each put in a transaction of its own within it, on the condition that its key does not exist
 *            (server CPU per key of 100 bytes: 32 us, as without a condition; 67 us; a request per key: 390 us)
 *
 * Keys are any bytes but none at all. Under a path (Vault's layout) a key is `path/key`. A request has at most 128
 * operations and about a megabyte, well below what etcd takes.
 */
import { plural } from '../../transfer/plural.js'
import { EntryError, keyText, type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome } from '../../transfer/store.js'
import { AnswerTooLarge } from '../http-client.js'
import { GatewayError, INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, RESOURCE_EXHAUSTED, type Gateway, type Status } from './gateway.js'
import { EXPIRY_TOLERANCE_MS, Leases } from './leases.js'

/** The first page of a listing, the smallest and the largest after it. */
const PAGE_KEYS = 1000
const PAGE_KEYS_MIN = 100
const PAGE_KEYS_MAX = 50_000
/** What etcd may have to read for a page: it reads the values too, and throws them away. */
const PAGE_BYTES = 16 * 1024 * 1024
/** etcd's default --max-txn-ops is 128, and a transaction within one counts for one more. */
const OPERATIONS_MAX = 127
/** After so many requests it is tried again whether keys can be created in one go. */
const CROWDED_REQUESTS = 15
const REQUEST_BYTES_MAX = 1024 * 1024
/** etcd's default --max-request-bytes, less what surrounds a key and its value. */
const ENTRY_BYTES_MAX = 1536 * 1024 - 512
/** Of it, what a value leaves for its key: so a value of the largest size can have any name that is used. */
const KEY_RESERVE_BYTES = 1024
/** How many keys `list` hands out at once: a page of the server comes in slices. */
const SLICE_KEYS = 1000
/** What one answer to `read` should have. */
const ANSWER_BYTES = 8 * 1024 * 1024
/** Keys in between that a range may bring along before single gets are better. */
const STRANGERS_MAX = 16

interface JsonKey {
  readonly key: string
  readonly value?: string
  readonly lease?: string
}

interface RangeAnswer {
  readonly header?: { readonly revision?: string }
  readonly kvs?: readonly JsonKey[]
  readonly more?: boolean
  readonly count?: string
}

interface TxnAnswer {
  readonly responses?: readonly { readonly response_range?: RangeAnswer; readonly response_txn?: TxnAnswer }[]
  readonly succeeded?: boolean
}

interface Put {
  readonly name: Buffer
  /** The operation, as JSON. */
  readonly put: string
}

export class EtcdStore implements Store {
  readonly traits: StoreTraits
  /** How often a listing had to go on at a newer revision, because its own had been compacted. */
  listingRestarts = 0
  readonly #prefix: Buffer
  readonly #leases: Leases
  #status: Status | undefined
  #bytesPerKey = 1024
  /** Transactions within a transaction and conditions on ranges came with etcd 3.3. */
  #hasNested = true
  /** So many more requests find other keys among theirs. */
  #crowded = 0

  constructor(
    readonly label: string,
    readonly gateway: Gateway,
    /** What every key begins with: nothing, or a path that ends in '/'. */
    prefix: string,
  ) {
    this.#prefix = Buffer.from(prefix)
    this.#leases = new Leases(gateway)
    this.traits = {
      typed: false,
      expiry: true,
      databases: false,
      ordered: true,
      createsAtomically: true,
      writable: true,
      vaultLayout: prefix !== '',
      keyBytesMax: ENTRY_BYTES_MAX - this.#prefix.length,
      valueBytesMax: ENTRY_BYTES_MAX - KEY_RESERVE_BYTES - this.#prefix.length,
      batchEntriesMax: OPERATIONS_MAX,
      batchBytesMax: REQUEST_BYTES_MAX,
      parallelMax: 8,
      expiryToleranceMs: EXPIRY_TOLERANCE_MS,
    }
  }

  async open(_access: StoreAccess): Promise<void> {
    this.#status = await this.gateway.connect()
    const [major, minor] = this.#status.version.split('.').map(Number)
    this.#hasNested = major > 3 || (major === 3 && minor >= 3)
  }

  close(): Promise<void> {
    this.gateway.http.close()
    return Promise.resolve()
  }

  async preflight(access: StoreAccess): Promise<readonly Finding[]> {
    const found: Finding[] = [{ code: 'version', level: 'info', message: `${this.label} is etcd ${this.#status?.version ?? 'of unknown version'}` }]
    const count = await this.count()
    if (access === 'read') return found
    const { alarms = [] } = await this.#call<{ alarms?: readonly { alarm?: string }[] }>('/maintenance/alarm', '{"action":"GET"}', 'asking for alarms')
    for (const { alarm } of alarms)
      found.push({ code: 'etcd-alarm', level: 'error', message: `${this.label} has raised the alarm ${alarm} and takes no writes; see etcdctl alarm list` })
    if (count > 0) found.push({ code: 'target-not-empty', level: 'warning', message: `${this.label} has ${count} ${plural(count, 'key')} already; what happens to those of the same name is up to the conflict policy` })
    return found
  }

  async identity(): Promise<string> {
    return this.label
  }

  async count(): Promise<number> {
    const { count = '0' } = await this.#call<RangeAnswer>('/kv/range', this.#wholeRange(undefined, '"count_only":true'), 'counting its keys')
    return Number(count)
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    let next = from === undefined ? undefined : this.#nameOf(from.key)
    let revision = '0'
    let limit = PAGE_KEYS
    for (;;) {
      let page: RangeAnswer
      try {
        page = await this.gateway.call<RangeAnswer>('/kv/range', this.#wholeRange(next, `"keys_only":true,"limit":"${limit}","revision":"${revision}"`), true)
      } catch (error) {
        if (isTooMuch(error) && limit > 1) {
          limit >>= 1
          continue
        }
        if (!(error instanceof GatewayError) || error.code !== OUT_OF_RANGE || revision === '0') throw this.gateway.failure(error, 'listing its keys')
        // Compacted away meanwhile: on from here with what there is now.
        revision = '0'
        this.listingRestarts++
        continue
      }
      if (revision === '0') revision = page.header?.revision ?? '0'
      const names = (page.kvs ?? []).map(({ key }) => Buffer.from(key, 'base64'))
      for (let at = 0; at < names.length; at += SLICE_KEYS)
        yield names.slice(at, at + SLICE_KEYS).map((name) => ({ db: 0, key: name.subarray(this.#prefix.length) }))
      if (page.more !== true || names.length === 0) return
      // etcd 3.4 walks over all that is left for every page: few large ones, as far as the values are small.
      const bytesPerKey = Number(this.#status?.dbSize ?? 0) / Number(page.count ?? 1)
      limit = Math.max(PAGE_KEYS_MIN, Math.min(PAGE_KEYS_MAX, Math.floor(PAGE_BYTES / bytesPerKey)))
      next = Buffer.concat([names[names.length - 1], ZERO])
    }
  }

  async read(keys: readonly KeyRef[]): Promise<(Entry | undefined)[]> {
    const entries: (Entry | undefined)[] = []
    for (let at = 0; at < keys.length;) {
      const count = Math.max(1, Math.min(OPERATIONS_MAX, Math.floor(ANSWER_BYTES / this.#bytesPerKey)))
      entries.push(...await this.#readSome(keys.slice(at, at + count)))
      at += count
    }
    return entries
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    const outcomes: WriteOutcome[] = []
    for (let at = 0; at < entries.length;) {
      const refusal = this.refusalOf(entries[at])
      if (refusal !== undefined) {
        outcomes.push(refusal)
        at++
        continue
      }
      const end = this.#endOfRequest(entries, at)
      outcomes.push(...await this.#writeSome(entries.slice(at, end), conflict, true))
      at = end
    }
    return outcomes
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    const names = keys.map(({ key }) => this.#nameOf(key)).filter((name) => name.length > 0)
    for (let at = 0; at < names.length; at += OPERATIONS_MAX) {
      const operations = names.slice(at, at + OPERATIONS_MAX).map((name) => `{"request_delete_range":{"key":"${name.toString('base64')}"}}`)
      await this.#call('/kv/txn', `{"success":[${operations.join(',')}]}`, 'deleting keys')
    }
  }

  #nameOf(key: Buffer): Buffer {
    return this.#prefix.length === 0 ? key : Buffer.concat([this.#prefix, key])
  }

  /** A range from `from` (or the first key of ours) to the last key of ours. */
  #wholeRange(from: Buffer | undefined, terms: string): string {
    const prefix = this.#prefix
    const start = from !== undefined && from.length > 0 ? from : prefix.length > 0 ? prefix : ZERO
    const end = Buffer.from(prefix.length > 0 ? prefix : ZERO)
    // The next name after all that begin so; a path ends in '/', which has one. A zero alone means: to the end.
    if (prefix.length > 0) end[end.length - 1]++
    return `{"key":"${start.toString('base64')}","range_end":"${end.toString('base64')}",${terms}}`
  }

  async #call<T>(path: string, body: string, doing: string): Promise<T> {
    try {
      return await this.gateway.call<T>(path, body, true)
    } catch (error) {
      throw this.gateway.failure(error, doing)
    }
  }

  async #readSome(keys: readonly KeyRef[]): Promise<(Entry | undefined)[]> {
    const names = keys.map(({ key }) => this.#nameOf(key))
    let found: Map<string, JsonKey>
    try {
      found = await this.#lookUp(names)
    } catch (error) {
      if (!isTooMuch(error) || keys.length === 1) throw this.gateway.failure(error, 'reading keys')
      const half = keys.length >> 1
      this.#bytesPerKey = Math.max(this.#bytesPerKey, ANSWER_BYTES / half)
      return [...await this.#readSome(keys.slice(0, half)), ...await this.#readSome(keys.slice(half))]
    }
    let bytes = 0
    const entries = names.map(async (name, i): Promise<Entry | undefined> => {
      const json = found.get(name.toString('base64'))
      if (json === undefined) return undefined
      const value = Buffer.from(json.value ?? '', 'base64')
      bytes += name.length + value.length
      const expiresAtMs = json.lease === undefined || json.lease === '0' ? undefined : await this.#leases.expiryOf(json.lease)
      return { db: keys[i].db, key: keys[i].key, form: 'raw', value, expiresAtMs }
    })
    this.#bytesPerKey = Math.max(this.#bytesPerKey / 2, bytes / keys.length, 64)
    try {
      return await Promise.all(entries)
    } catch (error) {
      throw this.gateway.failure(error, 'asking for leases')
    }
  }

  /** What is stored under these names, by base64. */
  async #lookUp(names: readonly Buffer[]): Promise<Map<string, JsonKey>> {
    const found = new Map<string, JsonKey>()
    let rest = names.filter((name) => name.length > 0)
    if (rest.length > 1) {
      const sorted = [...rest].sort((a, b) => a.compare(b))
      const end = Buffer.concat([sorted[sorted.length - 1], ZERO])
      const body = `{"key":"${sorted[0].toString('base64')}","range_end":"${end.toString('base64')}","limit":"${rest.length + STRANGERS_MAX}"}`
      const { kvs = [], more } = await this.gateway.call<RangeAnswer>('/kv/range', body, true)
      for (const json of kvs) found.set(json.key, json)
      if (more !== true || kvs.length === 0) return found
      const last = Buffer.from(kvs[kvs.length - 1].key, 'base64')
      rest = sorted.filter((name) => name.compare(last) > 0)
    }
    if (rest.length === 0) return found
    const operations = rest.map((name) => `{"request_range":{"key":"${name.toString('base64')}"}}`)
    const { responses = [] } = await this.gateway.call<TxnAnswer>('/kv/txn', `{"success":[${operations.join(',')}]}`, true)
    for (const { response_range: range } of responses) for (const json of range?.kvs ?? []) found.set(json.key, json)
    return found
  }

  /** Puts what is not there: in one go where nothing stands between the first key and the last, else each on its own condition. */
  async #create(puts: readonly Put[]): Promise<WriteOutcome[]> {
    const names = puts.map(({ name }) => name).sort((a, b) => a.compare(b))
    if (this.#crowded > 0) this.#crowded--
    else if (this.#hasNested) {
      const end = Buffer.concat([names[names.length - 1], ZERO]).toString('base64')
      const body = `{"compare":[${isNew(names[0], end)}],"success":[${puts.map(({ put }) => put).join(',')}]}`
      if ((await this.gateway.call<TxnAnswer>('/kv/txn', body, false)).succeeded === true) return puts.map(() => 'written')
      this.#crowded = CROWDED_REQUESTS
    }
    const single = puts.map(({ name, put }) => `{"compare":[${isNew(name)}],"success":[${put}]}`)
    const answers: (TxnAnswer | undefined)[] = []
    if (this.#hasNested) {
      const { responses = [] } = await this.gateway.call<TxnAnswer>('/kv/txn', `{"success":[${single.map((txn) => `{"request_txn":${txn}}`).join(',')}]}`, false)
      answers.push(...responses.map((response) => response.response_txn))
    } else for (const txn of single) answers.push(await this.gateway.call<TxnAnswer>('/kv/txn', txn, false))
    return puts.map((_, i) => (answers[i]?.succeeded === true ? 'written' : 'exists'))
  }

  refusalOf({ key, value, form }: Entry): EntryError | undefined {
    if (form !== 'raw') return new EntryError('unsupported', `${keyText(key)} is no string; ${this.label} keeps bytes only`)
    if (key.length + this.#prefix.length === 0) return new EntryError('unsupported', `${this.label} takes no empty key; give it a path`)
    const bytes = this.#prefix.length + key.length + value.length
    if (bytes > ENTRY_BYTES_MAX || value.length > this.traits.valueBytesMax)
      return new EntryError('too-large', `${keyText(key)} and its value have ${bytes} bytes; ${this.label} takes ${ENTRY_BYTES_MAX}, of them ${this.traits.valueBytesMax} for a value (--max-request-bytes of etcd)`)
    return undefined
  }

  /** How far one request may go: by count, by bytes, and with no key twice, which etcd refuses. */
  #endOfRequest(entries: readonly Entry[], start: number): number {
    const names = new Set<string>()
    let bytes = 0
    let end = start
    for (; end < entries.length && end - start < OPERATIONS_MAX; end++) {
      const entry = entries[end]
      const name = entry.key.latin1Slice()
      bytes += entry.key.length + entry.value.length
      if (end > start && (bytes > REQUEST_BYTES_MAX || names.has(name) || this.refusalOf(entry) !== undefined)) break
      names.add(name)
    }
    return end
  }

  async #writeSome(entries: readonly Entry[], conflict: ConflictPolicy, mayRenew: boolean): Promise<WriteOutcome[]> {
    const expiries = entries.flatMap(({ expiresAtMs }) => (expiresAtMs === undefined ? [] : [expiresAtMs]))
    try {
      const leases = await Promise.all(entries.map(async ({ expiresAtMs }) => (expiresAtMs === undefined ? '0' : this.#leases.idFor(expiresAtMs))))
      const puts = entries.map(({ key, value }, i) => {
        const name = this.#nameOf(key)
        return { name, put: `{"request_put":{"key":"${name.toString('base64')}","value":"${value.toString('base64')}","lease":"${leases[i]}"}}` }
      })
      if (conflict !== 'replace') return await this.#create(puts)
      await this.gateway.call<TxnAnswer>('/kv/txn', `{"success":[${puts.map(({ put }) => put).join(',')}]}`, true)
      return entries.map(() => 'written')
    } catch (error) {
      if (error instanceof GatewayError && error.code === NOT_FOUND && expiries.length > 0 && mayRenew) {
        this.#leases.forget(expiries)
        return this.#writeSome(entries, conflict, false)
      }
      const isRequest = error instanceof GatewayError && (error.code === INVALID_ARGUMENT || error.message.includes('larger than max'))
      if (!isRequest) throw this.gateway.failure(error, 'writing keys')
      if (entries.length === 1) {
        const isLarge = /too large|larger than max/.test(error.message)
        return [new EntryError(isLarge ? 'too-large' : 'refused', `${this.label} refuses ${keyText(entries[0].key)}: ${error.message}`)]
      }
      const half = entries.length >> 1
      return [...await this.#writeSome(entries.slice(0, half), conflict, true), ...await this.#writeSome(entries.slice(half), conflict, true)]
    }
  }
}

const ZERO = Buffer.from([0])

/** Whether less should be asked for at a time. */
const isTooMuch = (error: unknown): boolean => error instanceof AnswerTooLarge || (error instanceof GatewayError && error.code === RESOURCE_EXHAUSTED)

/** The condition that this key, or every key up to `end` (base64), was never created or is deleted. */
function isNew(name: Buffer, end?: string): string {
  return `{"key":"${name.toString('base64')}",${end === undefined ? '' : `"range_end":"${end}",`}"target":"CREATE","result":"EQUAL","create_revision":"0"}`
}
