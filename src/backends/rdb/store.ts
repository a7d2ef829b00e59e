/**
 * An RDB file as a store: read through an RdbSource, or written anew through an RdbSink.
 *
 *     open('read')  -> source
 *     open('write') -> sink --commit--> source: what was written can be listed and read, to be verified
 *                           --close---> nothing: an existing file is as it was
 */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { plural } from '../../transfer/plural.js'
import { StoreError, type Entry, type EntryError, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome } from '../../transfer/store.js'
import { RdbSink } from './sink.js'
import { RECORD_BYTES_MAX, RdbSource } from './source.js'

export class RdbStore implements Store {
  readonly label: string
  readonly lockFile: string
  readonly traits: StoreTraits = {
    typed: true, expiry: true, databases: true, ordered: false, createsAtomically: true, writable: true, vaultLayout: false,
    keyBytesMax: 512 * 1024 * 1024, valueBytesMax: RECORD_BYTES_MAX - 1024 * 1024, batchEntriesMax: 1000, batchBytesMax: 16 * 1024 * 1024, parallelMax: 1, startsOver: true,
  }

  private source: RdbSource | undefined
  private sink: RdbSink | undefined

  constructor(
    private readonly path: string,
    private readonly version: number,
    private readonly compress: boolean,
  ) {
    this.label = `rdb:${path}`
    this.lockFile = `${resolve(path)}.migration`
  }

  async open(access: StoreAccess): Promise<void> {
    if (access === 'read') {
      this.source = await RdbSource.open(this.label, this.path)
      return
    }
    const existing = await stat(this.path).catch(() => undefined)
    if (existing !== undefined && !existing.isFile()) throw new StoreError('usage', `${this.label} is no file; the path of an RDB file is expected there`)
    this.sink = await RdbSink.create(this.label, this.path, { version: this.version, compress: this.compress })
  }

  async close(): Promise<void> {
    const { source, sink } = this
    this.source = this.sink = undefined
    await sink?.discard()
    await source?.close()
  }

  async preflight(access: StoreAccess): Promise<readonly Finding[]> {
    if (access === 'read') return this.openSource().preflight()
    const existing = await stat(this.path).catch(() => undefined)
    if (existing === undefined) return []
    return [{ code: 'rdb-replaced', level: 'warning', message: `${this.label} exists (${existing.size} ${plural(existing.size, 'byte')}, of ${existing.mtime.toISOString()}) and is replaced as a whole when the copy is complete` }]
  }

  count(): Promise<number | undefined> {
    return Promise.resolve(this.sink === undefined ? this.source?.keys : 0)
  }

  async* list(): AsyncGenerator<readonly KeyRef[], void, void> {
    // A file that is being written begins empty, whatever it will replace.
    if (this.sink === undefined) yield* this.openSource().list()
  }

  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    return this.sink === undefined ? this.openSource().read(keys) : keys.map(() => undefined)
  }

  async write(entries: readonly Entry[]): Promise<WriteOutcome[]> {
    return this.openSink().write(entries)
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    this.openSink()
    if (keys.length > 0) throw new StoreError('refused', `${this.label}: what is in an RDB file cannot be taken out again; write the file anew`)
  }

  async commit(): Promise<void> {
    const sink = this.openSink()
    await sink.commit()
    this.sink = undefined
    this.source = await RdbSource.open(this.label, this.path)
  }

  private openSource(): RdbSource {
    if (this.source === undefined) throw new StoreError('usage', `${this.label} is not open for reading`)
    return this.source
  }

  private openSink(): RdbSink {
    if (this.sink === undefined) throw new StoreError('refused', `${this.label} is not open for writing`)
    return this.sink
  }
}
