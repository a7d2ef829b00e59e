/**
 * One server as a store: listed by SCAN, read by DUMP, written by RESTORE.
 *
 * With the option `db` the store is that database alone: its keys carry that number, and so must those written to it.
 */
import { EntryError, StoreError, type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type WriteOutcome } from '../../transfer/store.js'
import { numberOf, type Backend, type StoreOptions } from '../backend.js'
import { Connections, ServerBusy, isPassing } from '../redis-protocol/connections.js'
import { EntryReader } from '../redis-protocol/dump-batch.js'
import { refusalOf, writeEntries, type WriterOptions } from '../redis-protocol/entry-writer.js'
import { removeLeftovers } from '../redis-protocol/leftovers.js'
import { findingsOf, isForbidden, keysPerDatabase, limitsOf, type Limits } from '../redis-protocol/limits.js'
import { PayloadVersions } from '../redis-protocol/payload-versions.js'
import { entryErrorOf, redirectionOf } from '../redis-protocol/refusals.js'
import { Refusal } from '../redis-protocol/reply-reader.js'
import { scanKeys } from '../redis-protocol/scan.js'
import { settingsOf, type Settings } from '../redis-protocol/settings.js'
import { storeTraits } from '../redis-protocol/traits.js'

/** Makes the store that these options describe. Throws StoreError 'usage'. */
export function redisStore(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions): Store {
  const settings = settingsOf(backend, options)
  if (settings.addresses.length > 1) throw new StoreError('usage', `storage "${backend.type}" is one server; option 'address' names ${settings.addresses.length}`)
  return new RedisStore(settings, numberOf(backend, options, 'db', 0))
}

class RedisStore implements Store {
  readonly label: string
  readonly traits
  readonly #connections: Connections
  readonly #versions = new PayloadVersions()
  #limits: Limits | undefined
  readonly #reader = new EntryReader(true)

  constructor(readonly settings: Settings, readonly db: number | undefined) {
    const [{ host, port }] = settings.addresses
    this.label = `redis://${host.includes(':') ? `[${host}]` : host}:${port}${db === undefined ? '' : `/${db}`}`
    this.traits = { ...storeTraits(settings, true), ...(db !== undefined && { onlyDatabase: db }) }
    this.#connections = new Connections({ host, port, user: settings.user, password: settings.password, tls: settings.tls, timeoutMs: settings.timeoutMs }, this.label, settings.connections)
  }

  async open(): Promise<void> {
    await this.#connections.run(this.db ?? 0, async (connection) => {
      const { isCluster } = connection.facts
      if (isCluster) throw new StoreError('usage', `${this.label} is a node of a cluster; name it with the type redis-cluster`)
      const probe = await connection.call(['PEXPIRETIME', ''])
      if (probe instanceof Refusal) {
        if (isPassing(probe)) throw new ServerBusy(probe.line)
        if (probe.code === 'NOAUTH') throw connection.denied(probe)
        // A key that is not ours to touch says nothing of the command.
        if (probe.code !== 'NOPERM' || isForbidden(probe)) this.#reader.expiryCommand = 'PTTL'
      }
      // A dry run reads the target and wants to know them too.
      this.#limits = await limitsOf(connection, this.settings.chunkBytes)
    })
  }

  close(): Promise<void> {
    this.#connections.close()
    return Promise.resolve()
  }

  preflight(access: StoreAccess): Promise<readonly Finding[]> {
    return this.#connections.run(this.db ?? 0, async (connection) => {
      const counts = await this.#counts()
      return findingsOf(connection, this.label, access, [...counts.values()].reduce((sum, keys) => sum + keys, 0), this.#reader.expiryCommand)
    })
  }

  async identity(): Promise<string> {
    return this.#connections.facts.runId || this.label
  }

  async count(): Promise<number> {
    return [...(await this.#counts()).values()].reduce((sum, keys) => sum + keys, 0)
  }

  async databases(): Promise<number[]> {
    return [...(await this.#counts())].filter(([, keys]) => keys > 0).map(([db]) => db)
  }

  /** Asked by SELECT, which nobody is refused: CONFIG GET often is. */
  async databaseRefusal(db: number): Promise<string | undefined> {
    try {
      await this.#connections.run(db, () => Promise.resolve())
      return undefined
    } catch (error) {
      if (error instanceof StoreError && error.fault === 'refused') return error.message
      throw error
    }
  }

  /** Keys of each database that the store has. */
  #counts(): Promise<Map<number, number>> {
    return this.#connections.run(this.db ?? 0, async (connection) => {
      const counts = await keysPerDatabase(connection)
      if (counts instanceof Refusal) throw isPassing(counts) ? new ServerBusy(counts.line) : connection.denied(counts)
      if (this.db !== undefined) return new Map([[this.db, counts.get(this.db) ?? 0]])
      return counts
    })
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[], void, void> {
    const dbs = this.db === undefined ? [...(await this.#counts()).keys()].sort((a, b) => a - b) : [this.db]
    for (const db of dbs) if (from === undefined || db >= from.db) yield* scanKeys(this.#connections, db, this.settings.scanCount)
  }

  /** As many of the keys as are in one database and make one batch. */
  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    if (keys.length === 0) return []
    const [{ db }] = keys
    const end = keys.findIndex((ref) => ref.db !== db)
    const some = end < 0 ? keys : keys.slice(0, end)
    const { shown } = this.#connections
    const found = await shown.guard(this.#connections, db, (connection) => this.#reader.read(connection, some, false, this.traits.batchBytesMax))
    shown.note(db, found)
    return found.map((each) => (each instanceof Refusal ? this.#entryError(each) : each))
  }

  refusalOf(entry: Entry): EntryError | undefined {
    return refusalOf(entry, this.#writerOptions())
  }

  write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    return eachDatabase(entries, async (db, some) => {
      if (this.db !== undefined && db !== this.db) return some.map(() => new EntryError('unsupported', `${this.label} is database ${this.db} alone; map database ${db} to it`))
      const results = await writeEntries(this.#connections, db, some, conflict, this.#writerOptions())
      return results.map((result) => (typeof result === 'object' && 'kind' in result ? this.#entryError(new Refusal(`${result.kind.toUpperCase()} ${result.slot}`)) : result))
    })
  }

  #writerOptions(): WriterOptions {
    const { argumentBytesMax, payloadBytesMax } = this.#limits as Limits
    return { label: this.label, argumentBytesMax, payloadBytesMax, pieceBytes: this.settings.chunkBytes, severalKeys: true, versions: this.#versions }
  }

  #entryError(refusal: Refusal): EntryError {
    if (refusal.code === 'MOVED' || redirectionOf(refusal) !== undefined) throw new StoreError('usage', `${this.label} has become a node of a cluster (${refusal.line}); name it with the type redis-cluster`)
    return entryErrorOf(refusal, this.label)
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    this.#connections.acknowledged.forget(keys)
    this.#connections.shown.forget(keys)
    await eachDatabase(keys, async (db, some) => {
      await this.#connections.run(db, async (connection) => {
        const reply = await connection.call(['UNLINK', ...some.map(({ key }) => key)])
        if (reply instanceof Refusal) throw new StoreError('refused', `${this.label} does not delete keys: ${this.#entryError(reply).message}`)
      })
      return some
    })
  }

  async sweep(): Promise<void> {
    for (const db of (await this.#counts()).keys()) await removeLeftovers(this.#connections, db, this.settings.scanCount)
  }
}

/** Does work for the refs of each database and puts the answers in the order of the refs. */
async function eachDatabase<Ref extends KeyRef, T>(refs: readonly Ref[], work: (db: number, refs: readonly Ref[]) => Promise<T[] | readonly T[]>): Promise<T[]> {
  if (refs.length === 0) return []
  const [{ db: first }] = refs
  if (refs.every(({ db }) => db === first)) return (await work(first, refs)) as T[]
  const places = new Map<number, number[]>()
  refs.forEach(({ db }, i) => {
    const list = places.get(db)
    if (list === undefined) places.set(db, [i])
    else list.push(i)
  })
  const results = new Array<T>(refs.length)
  for (const [db, list] of places) {
    const some = await work(db, list.map((i) => refs[i]))
    list.forEach((i, n) => (results[i] = some[n]))
  }
  return results
}
