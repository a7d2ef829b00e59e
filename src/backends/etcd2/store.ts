/**
 * The keys of etcd's v2 API as a store that can only be read: of a data directory, or of a running server.
 *
 * Everything is read at `open` into one sorted list; the source is not touched again. A key is the v2 path with its
 * leading '/', a value its bytes.
 */
import { Clock } from '../../clock.js'
import { StoreError, type Entry, type EntryError, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome } from '../../transfer/store.js'
import type { HttpClient } from '../http-client.js'
import { readDataDir, type DataDirOptions } from './data-dir.js'
import { Listing, placeOf, type V2Key } from './listing.js'
import { readLive } from './live.js'
import type { V2Place, V2Store } from './v2-store.js'

const PAGE_KEYS = 1000

/** A data directory, or a server and what its requests carry. */
export type Etcd2Source =
  | { readonly dir: DataDirOptions }
  | { readonly client: HttpClient; readonly headers: Readonly<Record<string, string>> }

export class Etcd2Store implements Store {
  readonly traits: StoreTraits = {
    typed: false,
    expiry: true,
    databases: false,
    ordered: true,
    createsAtomically: false,
    writable: false,
    vaultLayout: false,
    keyBytesMax: 0,
    valueBytesMax: 0,
    batchEntriesMax: 1000,
    batchBytesMax: 4 * 1024 * 1024,
    parallelMax: 4,
  }
  #listing: Listing | undefined
  #tree: V2Store | undefined

  constructor(
    readonly label: string,
    readonly source: Etcd2Source,
    readonly rules: { readonly includeHidden: boolean; readonly noTtl: boolean },
    readonly clock: Clock = new Clock(),
  ) {}

  async open(access: StoreAccess): Promise<void> {
    if (access === 'write') throw readOnly(this.label)
    const findings: Finding[] = []
    if ('dir' in this.source) {
      const read = await readDataDir(this.source.dir)
      this.#tree = read.store
      findings.push(...read.findings)
    } else {
      this.#tree = await readLive(this.source.client, this.source.headers)
      findings.push({ code: 'hidden-keys', level: 'info', message: `the v2 API of ${this.label} does not list hidden keys (a name that begins with '_'); its data directory has them` })
    }
    this.#listing = new Listing(this.#tree.places(), { ...this.rules, nowMs: this.clock.refresh() })
    this.#listing.findings.push(...findings)
    const users = this.#tree.get('/2')
    if (users !== undefined) this.#listing.findings.push({ code: 'v2-users', level: 'warning', message: `${this.label} has users or roles of the v2 API; they are not copied` })
  }

  close(): Promise<void> {
    if ('client' in this.source) this.source.client.close()
    this.#listing = undefined
    this.#tree = undefined
    return Promise.resolve()
  }

  preflight(): Promise<readonly Finding[]> {
    return Promise.resolve(this.#read().report(this.label))
  }

  count(): Promise<number> {
    return Promise.resolve(this.#read().keys.length)
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    for (let at = from === undefined ? 0 : placeOf(this.#read().keys, from.key.latin1Slice()); at < this.#read().keys.length; at += PAGE_KEYS)
      yield this.#read().keys.slice(at, at + PAGE_KEYS).map(({ path }) => ({ db: 0, key: Buffer.from(path, 'latin1') }))
  }

  read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    const nowMs = this.clock.refresh()
    return Promise.resolve(keys.map(({ db, key }) => {
      const found = this.find(key)
      if (found === undefined || (found.expiresAtMs !== undefined && found.expiresAtMs <= nowMs)) return undefined
      return { db, key, form: 'raw', value: Buffer.from(found.value, 'latin1'), expiresAtMs: found.expiresAtMs }
    }))
  }

  /** A key with its indexes of creation and last change, for who wants to keep a map of them. */
  find(key: Buffer): V2Key | undefined {
    const { keys } = this.#read()
    const path = key.latin1Slice()
    const found = keys[placeOf(keys, path)]
    return found?.path === path ? found : undefined
  }

  /** Every node, directories and hidden ones too, the root first: what a transformer program is given. */
  places(): Iterable<V2Place> {
    this.#read()
    return (this.#tree as V2Store).places()
  }

  write(): Promise<WriteOutcome[]> {
    return Promise.reject(readOnly(this.label))
  }

  remove(): Promise<void> {
    return Promise.reject(readOnly(this.label))
  }

  #read(): Listing {
    if (this.#listing === undefined) throw new StoreError('refused', `${this.label} is not open`)
    return this.#listing
  }
}

const readOnly = (label: string): StoreError => new StoreError('usage', `${label} is only a source: etcd's v2 store is not written to; name the server as etcd:// to write to its v3 store`)
