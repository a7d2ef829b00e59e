/**
 * Reads an RDB file twice: once from end to end for the keys and where they stand, checksum included, and then key by key
 * at those places, in whatever order is asked for.
 *
 * - What is in memory is a piece of the file, a page of keys, and one record: the largest value decides.
 * - The file stays open, so a server that saves meanwhile (a new file under the old name) changes nothing.
 * - Keys read by name alone (`at` unknown or of another file) are looked up in an index of the whole file, made when the
 *   first such key is asked for.
 */
import { readSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { RdbError } from '../../../protocol/rdb/error.js'
import { RdbFileReader, acceptsKnownFiles, type RdbRecord } from '../../../protocol/rdb/file-reader.js'
import { plural } from '../../transfer/plural.js'
import { EntryError, StoreError, nameOf, type Entry, type Finding, type KeyRef } from '../../transfer/store.js'
import { payloadOfBody } from './values.js'

/** Bytes of the file read at once: for the walk over all, and for one key. */
const WALK_BYTES = 256 * 1024
const PROBE_BYTES = 4 * 1024
const PAGE_KEYS = 1000
/** Buffers that grew beyond this for a large value are not kept for the next one. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024
/** A key and its value, larger than which none is waited for: an impossible length would fill the memory. */
export const RECORD_BYTES_MAX = 1024 ** 3
/** The latest time that is below 2^63 as a double: what PEXPIREAT takes at most is not one. */
const EXPIRY_MS_MAX = 2 ** 63 - 1024
/** More databases than any server has. */
const DATABASES_MAX = 0x7fffffff

export class RdbSource {
  private readonly walker = Buffer.allocUnsafeSlow(WALK_BYTES)
  private probe = Buffer.allocUnsafeSlow(PROBE_BYTES)
  private one = newReader()
  /** Bytes that `one` was last given: it keeps a buffer of that size. */
  private oneBytes = 0
  private version = 0
  private index: Map<string, number> | undefined
  /** Keys of the file, known once it was walked to its end. */
  keys: number | undefined

  private constructor(
    private readonly label: string,
    private readonly file: FileHandle,
    private readonly size: number,
  ) {}

  /** Opens the file. Throws StoreError. */
  static async open(label: string, path: string): Promise<RdbSource> {
    let file: FileHandle | undefined
    try {
      file = await open(path, 'r')
      const stat = await file.stat()
      if (stat.isDirectory()) throw new StoreError('usage', `${label} is a folder; an RDB file is expected there`)
      const source = new RdbSource(label, file, stat.size)
      file = undefined
      return source
    } catch (error) {
      if (error instanceof StoreError) throw error
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') throw new StoreError('unreachable', `${label}: there is no such file`, { cause: error })
      if (code === 'EACCES' || code === 'EPERM') throw new StoreError('denied', `${label} may not be read by this user`, { cause: error })
      throw new StoreError('unreachable', `${label} cannot be opened: ${message}`, { cause: error })
    } finally {
      await file?.close()
    }
  }

  async close(): Promise<void> {
    this.index = undefined
    await this.file.close()
  }

  /** Every key in the order of the file. */
  async* list(): AsyncGenerator<KeyRef[], void, void> {
    let page: KeyRef[] = []
    let count = 0
    try {
      for await (const [record, at] of this.records()) {
        if (record.kind !== 'key') continue
        const { buf, start, end } = record.key
        page.push({ db: record.db, key: Buffer.from(buf.subarray(start, end)), at })
        count++
        if (page.length < PAGE_KEYS) continue
        yield page
        page = []
      }
    } catch (error) {
      // What was whole is told before the damage is.
      if (page.length > 0) yield page
      if (error instanceof DamageError && error.fault === 'corrupt') throw new StoreError('corrupt', `${error.message}; ${count} ${plural(count, 'key was', 'keys were')} read up to there`, { cause: error.cause })
      throw error
    }
    this.keys = count
    if (page.length > 0) yield page
  }

  /** What stands in front of the keys that is no key, and is not copied. */
  async preflight(): Promise<Finding[]> {
    const aux = new Map<string, string>()
    let [functions, modules] = [0, 0]
    let version = 0
    try {
      for await (const [record, , fileVersion] of this.records()) {
        version = fileVersion
        if (record.kind === 'aux') aux.set(record.name, record.value)
        else if (record.kind === 'function') functions++
        else if (record.kind === 'module-aux') modules++
        else break
      }
    } catch (error) {
      if (error instanceof DamageError) return [{ code: 'rdb-damaged', level: 'error', message: error.message }]
      throw error
    }
    const writer = ['valkey-ver', 'redis-ver'].flatMap((name) => (aux.has(name) ? [`${name.split('-')[0]} ${aux.get(name)}`] : []))[0]
    const savedAt = Number(aux.get('ctime'))
    const saved = Number.isSafeInteger(savedAt) && savedAt > 0 ? `, saved ${new Date(savedAt * 1000).toISOString()}` : ''
    const findings: Finding[] = [{ code: 'rdb-file', level: 'info', message: `${this.label}: RDB version ${version}${writer === undefined ? '' : `, written by ${writer}`}${saved}, ${this.size} ${plural(this.size, 'byte')}` }]
    if (functions > 0)
      findings.push({ code: 'functions-not-copied', level: 'warning', message: `${this.label} holds ${functions} function ${plural(functions, 'library, which is not copied; move it', 'libraries, which are not copied; move them')} with FUNCTION DUMP and FUNCTION RESTORE` })
    if (modules > 0)
      findings.push({ code: 'module-data-not-copied', level: 'warning', message: `${this.label} holds data of ${modules} ${plural(modules, 'module')} beside its keys, which is not copied` })
    return findings
  }

  /** The entries of these keys. */
  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    const found: (Entry | EntryError | undefined)[] = []
    for (const ref of keys) {
      let entry = ref.at === undefined ? undefined : this.readAt(ref, ref.at)
      if (entry === undefined) {
        const at = (await this.wholeIndex()).get(nameOf(ref))
        entry = at === undefined ? undefined : this.readAt(ref, at)
      }
      found.push(entry === 'empty' ? undefined : entry)
    }
    return found
  }

  /** The entry that begins at this offset, when it is that of this key. */
  private readAt(ref: KeyRef, at: number): Entry | EntryError | 'empty' | undefined {
    let record: RdbRecord | undefined
    try {
      record = this.recordAt(at)
      if (record?.kind !== 'key' || ref.key.compare(record.key.buf, record.key.start, record.key.end) !== 0) return undefined
      const value = payloadOfBody(record.type, record.body, this.one.version)
      if (value === undefined) return 'empty'
      return { db: ref.db, key: ref.key, at, form: 'dump', value, expiresAtMs: record.expireMs === -1 ? undefined : Math.min(record.expireMs, EXPIRY_MS_MAX) }
    } catch (error) {
      if (!(error instanceof RdbError)) throw error
      // Not at a record: the offset is of another file.
      if (record?.kind !== 'key') return undefined
      const isUnsupported = error.kind === 'unsupported'
      return new EntryError(isUnsupported ? 'unsupported' : 'corrupt', `its value in ${this.label}, in the record at byte ${at}, ${isUnsupported ? 'cannot be copied' : 'is damaged'}: ${error.message}`)
    }
  }

  /**
   * Reads the file from `at` on until a record is whole. Waits for the disk: a key is mostly one read from the cache of
   * the system, for which a turn of the event loop would cost many times as much.
   */
  private recordAt(at: number): RdbRecord | undefined {
    if (this.oneBytes > KEPT_BYTES_MAX) this.one = newReader()
    if (this.probe.length > WALK_BYTES) this.probe = Buffer.allocUnsafeSlow(PROBE_BYTES)
    const { one } = this
    one.seek(this.version)
    for (let pos = at; pos >= 0 && pos < this.size;) {
      const size = readSync(this.file.fd, this.probe, 0, Math.min(this.probe.length, this.size - pos), pos)
      pos += size
      this.oneBytes = pos - at
      if (size === 0 || pos >= this.size) one.end()
      one.push(this.probe.subarray(0, size))
      const record = one.next()
      if (record !== undefined || size === 0) return record
      // A large value: larger and larger pieces.
      if (pos - at >= 4 * this.probe.length) this.probe = Buffer.allocUnsafeSlow(Math.min(pos - at, 64 * WALK_BYTES))
    }
    return undefined
  }

  /** Every record, where it begins, and the file's version. Throws DamageError, and StoreError when the file can not be read. */
  private async* records(): AsyncGenerator<[record: RdbRecord, at: number, version: number], void, void> {
    const reader = newReader()
    let pos = 0
    for (;;) {
      for (;;) {
        const record = this.guarded(reader)
        this.version ||= reader.version
        if (record === undefined) break
        yield [record, reader.position, reader.version]
        if (record.kind === 'end') return this.requireNoCommands(reader)
      }
      const { bytesRead } = await this.file.read(this.walker, 0, WALK_BYTES, pos).catch((error: unknown) => {
        throw new StoreError('unreachable', `${this.label} cannot be read at byte ${pos}: ${(error as Error).message}`, { cause: error })
      })
      pos += bytesRead
      if (bytesRead === 0) reader.end()
      else reader.push(this.walker.subarray(0, bytesRead))
    }
  }

  private guarded(reader: RdbFileReader): RdbRecord | undefined {
    try {
      return reader.next()
    } catch (error) {
      if (!(error instanceof RdbError)) throw error
      const { kind, message } = error
      if (kind === 'unsupported' && reader.version === 0) throw new DamageError('usage', `${this.label} cannot be read: ${message} (RDB versions 1 to 12 and 80 can)`, error)
      if (kind === 'unsupported') throw new DamageError('corrupt', `${this.label} cannot be read from byte ${reader.position} on, it is damaged or of a newer server: ${message}`, error)
      throw new DamageError('corrupt', `${this.label} is damaged in the record at byte ${reader.position}: ${message}`, error)
    }
  }

  /** An append-only file may begin with an RDB file; its commands would be left out in silence. */
  private requireNoCommands(reader: RdbFileReader): void {
    if (/^(\r?\n)?[*#]\d/.test(reader.rest.subarray(0, 8).toString('latin1')))
      throw new StoreError('usage', `${this.label} goes on with commands at byte ${reader.nextPosition}: it is an append-only file: name it as aof:PATH`)
  }

  private async wholeIndex(): Promise<Map<string, number>> {
    if (this.index !== undefined) return this.index
    const index = new Map<string, number>()
    for await (const page of this.list()) for (const ref of page) index.set(nameOf(ref), ref.at ?? -1)
    return (this.index = index)
  }
}

/** The file is damaged; who lists keys adds how many there were. */
class DamageError extends StoreError {
  constructor(fault: 'usage' | 'corrupt', message: string, cause: unknown) {
    super(fault, message, { cause })
  }
}

function newReader(): RdbFileReader {
  return new RdbFileReader({ accept: acceptsKnownFiles, databases: DATABASES_MAX, recordBytesMax: RECORD_BYTES_MAX })
}
