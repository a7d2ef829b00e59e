/**
 * An append-only file as a store that can be read: it is applied to an engine of its own, and what is in that engine's
 * databases then is what the store holds. All of it is in memory.
 */
import { dirname, resolve } from 'node:path'
import { Slice } from '../../protocol/slice.js'
import type { Engine } from '../engine/engine.js'
import { dumpPayload } from '../keyspace/payload.js'
import { plural } from '../transfer/plural.js'
import { StoreError, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome } from '../transfer/store.js'
import { aofFiles } from './aof-files.js'
import { AofLoader } from './aof-loader.js'

const PAGE_KEYS = 1000
/** The latest time that is below 2^63 as a double. */
const EXPIRY_MS_MAX = 2 ** 63 - 1024

export class AofStore implements Store {
  readonly label: string
  readonly lockFile: string
  readonly traits: StoreTraits = {
    typed: true, expiry: true, databases: true, ordered: false, createsAtomically: false, writable: false, vaultLayout: false,
    keyBytesMax: 512 * 1024 * 1024, valueBytesMax: 1024 ** 3, batchEntriesMax: 1000, batchBytesMax: 16 * 1024 * 1024, parallelMax: 1,
  }

  private engine: Engine | undefined
  private loader: AofLoader | undefined
  private readonly key = new Slice()

  /** `newEngine` makes an engine with nothing in it whose clock stands at 0. */
  constructor(
    private readonly path: string,
    private readonly newEngine: () => Engine,
  ) {
    this.label = `aof:${path}`
    // One lock for the folder, also where its manifest is named.
    this.lockFile = `${resolve(path.endsWith('.manifest') ? dirname(path) : path)}.migration`
  }

  async open(access: StoreAccess): Promise<void> {
    if (access === 'write') throw new StoreError('usage', `${this.label} can only be read; a server makes such a file itself after CONFIG SET appendonly yes`)
    const files = aofFiles(this.label, this.path)
    const engine = this.newEngine()
    const loader = new AofLoader(this.label, engine)
    try {
      await loader.load(files)
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== 'corrupt') throw error
      throw new StoreError('corrupt', `${error.message}; ${loader.commands} ${plural(loader.commands, 'command was', 'commands were')} applied up to there, and nothing is copied`, { cause: error.cause })
    }
    this.engine = engine
    this.loader = loader
  }

  async close(): Promise<void> {
    this.engine = this.loader = undefined
  }

  async preflight(): Promise<readonly Finding[]> {
    const { label, loader } = this
    if (loader === undefined) throw this.notOpen()
    const findings: Finding[] = [{ code: 'aof-loaded', level: 'info', message: `${label}: ${loader.commands} ${plural(loader.commands, 'command was', 'commands were')} applied; its keys are in memory until the copy is through` }]
    if (loader.tail !== undefined) findings.push({ code: 'aof-cut', level: 'warning', message: `${label}: ${loader.tail}` })
    if (loader.functions > 0)
      findings.push({ code: 'functions-not-copied', level: 'warning', message: `${label} holds function libraries, which are not copied; move them with FUNCTION DUMP and FUNCTION RESTORE` })
    return findings
  }

  async count(): Promise<number | undefined> {
    return this.engine?.databases.reduce((sum, { size }) => sum + size, 0)
  }

  async databases(): Promise<number[]> {
    return (this.engine?.databases ?? []).filter(({ size }) => size > 0).map(({ index }) => index)
  }

  async* list(): AsyncGenerator<readonly KeyRef[], void, void> {
    if (this.engine === undefined) throw this.notOpen()
    let page: KeyRef[] = []
    for (const db of this.engine.databases) {
      for (let at = 0; at < db.positions; at++) {
        const ref = db.refAtPosition(at)
        if (ref === 0) continue
        const { buf, start, end } = db.keyAt(ref, this.key)
        page.push({ db: db.index, key: Buffer.from(buf.subarray(start, end)) })
        if (page.length < PAGE_KEYS) continue
        yield page
        page = []
      }
    }
    if (page.length > 0) yield page
  }

  async read(keys: readonly KeyRef[]): Promise<(Entry | undefined)[]> {
    const { engine } = this
    if (engine === undefined) throw this.notOpen()
    return keys.map(({ db: number, key }): Entry | undefined => {
      const db = engine.databases[number]
      const ref = number < engine.databases.length ? db.findKey(this.key.set(key, 0, key.length)) : 0
      if (ref === 0) return undefined
      const expiry = db.exactExpiryOf(ref)
      const value = dumpPayload(db, ref, { version: 11, compressed: false })
      return { db: number, key, form: 'dump', value, expiresAtMs: expiry === undefined ? undefined : Math.min(Number(expiry), EXPIRY_MS_MAX) }
    })
  }

  async write(): Promise<WriteOutcome[]> {
    throw new StoreError('usage', `${this.label} can only be read`)
  }

  async remove(): Promise<void> {
    throw new StoreError('usage', `${this.label} can only be read`)
  }

  private notOpen(): StoreError {
    return new StoreError('usage', `${this.label} is not open`)
  }
}
