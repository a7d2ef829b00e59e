/**
 * Reads RDB files: those of SAVE, the base of an append-only file, the body of a full synchronisation.
 *
 *     "REDIS" + 4 digits or "VALKEY" + 3 digits | record ... | 0xFF | [version 5 on] crc64 u64le
 *
 *     0xFE database: length          0xFB sizes: length keys, length expiring     0xFA aux: string, string
 *     0xFD expiry: i32le seconds     0xFC expiry: ms        0xF9 frequency: u8    0xF8 idle: length seconds
 *     0xF7 module aux                0xF6 functions of release candidates: refused
 *     0xF5 function library: string  0xF4 [12 on] slot: 3 lengths                 0xF3 [Valkey 9] slot import
 *     else a type: string key, body; the modifiers (expiry, frequency, idle) before it are its own
 *
 * The checksum covers everything before it; a stored 0 means that none was made. What follows it is left
 * alone. Bytes may come in any pieces: a record is handed out as soon as all of it is there, and the bytes of
 * one record at most are held. Bodies are only cut out: `decode` or `verify` looks inside.
 */
import { Crc64 } from '../crc64.js'
import { Slice } from '../slice.js'
import { RdbError } from './error.js'
import { RdbInput } from './input.js'
import { RDB_VERSION, familyOf } from './payload.js'
import type { Family } from './payload.js'
import { skipBody, skipModuleValues } from './skip.js'
import { StringScratch, readBlob, readString } from './string.js'

/** Record bytes in front of a key, and everything that is no key. */
export const OPCODE = {
  SLOT_IMPORT: 243,
  SLOT_INFO: 244,
  FUNCTION: 245,
  FUNCTION_RC: 246,
  MODULE_AUX: 247,
  IDLE: 248,
  FREQ: 249,
  AUX: 250,
  RESIZE: 251,
  EXPIRE_MS: 252,
  EXPIRE_SECONDS: 253,
  DATABASE: 254,
  END: 255,
} as const

/** One key. The record and all it points to are good until the reader is used again: copy to keep. */
export interface KeyRecord {
  kind: 'key'
  db: number
  key: Slice
  type: number
  /** The value's bytes behind the type byte. */
  body: Slice
  /** Absolute unix time in ms, -1 for none. */
  expireMs: number
  /** Seconds since the last use, -1 when the file does not say. */
  idleSeconds: number
  /** LFU counter, -1 when the file does not say. */
  frequency: number
}

export type RdbRecord =
  | KeyRecord
  | { kind: 'aux'; name: string; value: string }
  | { kind: 'function'; source: Buffer }
  | { kind: 'database'; db: number }
  | { kind: 'sizes'; keys: number; expiring: number }
  | { kind: 'slot'; slot: number; keys: number; expiring: number }
  | { kind: 'slot-import'; job: string; ranges: [number, number][] }
  | { kind: 'module-aux'; module: string }
  | { kind: 'end'; checksum: 'checked' | 'none' }

export interface FileReaderOptions {
  /** Which files to take; by default those Valkey 8.0 takes, version 1 to 11 of REDIS. */
  accept?: (family: Family, version: number) => boolean
  /** A database number from this on is refused. By default 16. */
  databases?: number
  /** A record that is longer is called corrupt instead of being waited for. By default any length is. */
  recordBytesMax?: number
}

/** For `FileReaderOptions.accept`: every file whose records this reader knows. */
export function acceptsKnownFiles(family: Family, version: number): boolean {
  return family === 'redis' ? version >= 1 && version <= 12 : version === 80
}

const NOTHING = Buffer.alloc(0)
const MAGIC_BYTES = 9
/** From so many bytes of one incomplete record on, it is not looked at again before a quarter more is there. */
const PATIENCE_BYTES = 1 << 20

export class RdbFileReader {
  /** Version of the file, 0 until its first nine bytes are there. */
  version = 0
  private readonly accept: (family: Family, version: number) => boolean
  private readonly databases: number
  private readonly recordBytesMax: number
  private readonly input = new RdbInput(NOTHING)
  private crc: Crc64 | undefined = new Crc64()
  private readonly scratch = new StringScratch()
  private readonly key: KeyRecord = { kind: 'key', db: 0, key: new Slice(), type: 0, body: new Slice(), expireMs: -1, idleSeconds: -1, frequency: -1 }
  private isComplete = false
  private isDone = false
  private waitUntil = 0
  private recordAt = 0
  private nextRecordAt = 0

  constructor(options: FileReaderOptions = {}) {
    this.accept = options.accept ?? ((family, version) => family === 'redis' && version >= 1 && version <= RDB_VERSION)
    this.databases = options.databases ?? 16
    this.recordBytesMax = options.recordBytesMax ?? Infinity
  }

  /**
   * Where the record that `next` returned begins, modifiers in front of a key included, counted from the first byte that was
   * pushed; after an error where the damaged record begins.
   */
  get position(): number {
    return this.recordAt
  }

  /** Records handed out so far are bytes up to here. */
  get nextPosition(): number {
    return this.nextRecordAt
  }

  /**
   * Goes on elsewhere: what is pushed next begins with a record, in a file of this version. Nothing that was pushed before
   * is kept, there is no checksum any more, and the database of keys is the last one that was read.
   */
  seek(version: number): void {
    this.version = version
    this.crc = undefined
    this.input.set(this.input.buf, 0, 0)
    this.isComplete = this.isDone = false
    this.waitUntil = this.recordAt = this.nextRecordAt = 0
  }

  /** More bytes of the file. They are copied. What earlier records pointed to is gone. */
  push(chunk: Buffer): void {
    const { input } = this
    const held = input.remaining
    if (input.buf.length - input.end < chunk.length) {
      const isRoomy = input.buf.length >= 2 * (held + chunk.length)
      const into = isRoomy ? input.buf : Buffer.allocUnsafeSlow(2 * (held + chunk.length))
      input.buf.copy(into, 0, input.pos, input.end)
      input.set(into, 0, held)
    }
    chunk.copy(input.buf, input.end)
    input.end += chunk.length
  }

  /** No more bytes will come: from here on an incomplete record is an error. */
  end(): void {
    this.isComplete = true
  }

  /** Bytes behind the checksum that were pushed: what follows the file in the stream it came from. */
  get rest(): Buffer {
    return this.input.buf.subarray(this.input.pos, this.input.end)
  }

  /** The next record; undefined when it is not all there yet, and after the end. Throws RdbError. */
  next(): RdbRecord | undefined {
    const { input } = this
    if (this.isDone || (!this.isComplete && input.remaining < this.waitUntil)) return undefined
    let start = input.pos
    this.recordAt = this.nextRecordAt
    try {
      if (this.version === 0) {
        this.readMagic()
        this.crc?.update(input.buf, start, input.pos)
        start = input.pos
        this.recordAt = this.nextRecordAt += MAGIC_BYTES
      }
      const record = this.readRecord()
      if (record.kind === 'end') this.isDone = true
      else this.crc?.update(input.buf, start, input.pos)
      this.nextRecordAt += input.pos - start
      this.waitUntil = 0
      return record
    } catch (error) {
      if (!(error instanceof RdbError) || error.kind !== 'truncated' || this.isComplete) throw error
      input.pos = start
      if (input.remaining > this.recordBytesMax) throw new RdbError(`a record of more than ${this.recordBytesMax} bytes`)
      this.waitUntil = input.remaining < PATIENCE_BYTES ? 0 : input.remaining * 1.25
      return undefined
    }
  }

  /** A file that is there as a whole, read without copying. */
  static read(file: Buffer, options: FileReaderOptions = {}): RdbFileReader {
    const reader = new RdbFileReader(options)
    reader.input.set(file, 0, file.length)
    reader.end()
    return reader
  }

  private readMagic(): void {
    const { input } = this
    const at = input.take(MAGIC_BYTES)
    const magic = input.buf.latin1Slice(at, at + MAGIC_BYTES)
    const found = /^(?:REDIS(\d{4})|VALKEY(\d{3}))$/.exec(magic)
    const family: Family = found?.[1] === undefined ? 'valkey' : 'redis'
    const version = Number(found?.[1] ?? found?.[2])
    if (found === null || (family === 'valkey' && version < 80)) throw new RdbError('wrong signature of an RDB file', 'unsupported')
    if (familyOf(version) !== family || !this.accept(family, version)) throw new RdbError(`RDB version ${version} cannot be read`, 'unsupported')
    this.version = version
  }

  private readRecord(): RdbRecord {
    const { input } = this
    let expireMs = -1
    let idleSeconds = -1
    let frequency = -1
    for (;;) {
      const opcode = input.byte()
      if (opcode === OPCODE.EXPIRE_MS) expireMs = input.ms()
      else if (opcode === OPCODE.EXPIRE_SECONDS) expireMs = input.buf.readInt32LE(input.take(4)) * 1000
      else if (opcode === OPCODE.IDLE) idleSeconds = input.length()
      else if (opcode === OPCODE.FREQ) frequency = input.byte()
      else if (opcode >= OPCODE.SLOT_IMPORT) return this.readOpcode(opcode)
      else {
        const { key } = this
        key.type = opcode
        readString(input, key.key, this.scratch)
        const start = input.pos
        skipBody(input, opcode, this.version)
        key.body.set(input.buf, start, input.pos)
        key.expireMs = expireMs
        key.idleSeconds = idleSeconds
        key.frequency = frequency
        return key
      }
    }
  }

  private readOpcode(opcode: number): RdbRecord {
    const { input } = this
    switch (opcode) {
      case OPCODE.END:
        return this.readEnd()
      case OPCODE.DATABASE: {
        const db = input.length()
        if (db >= this.databases) throw new RdbError(`database ${db} of ${this.databases}`, 'unsupported')
        this.key.db = db
        return { kind: 'database', db }
      }
      case OPCODE.RESIZE:
        return { kind: 'sizes', keys: input.length(), expiring: input.length() }
      case OPCODE.AUX:
        return auxRecord(readBlob(input).toString(), readBlob(input).toString())
      case OPCODE.FUNCTION:
        return { kind: 'function', source: readBlob(input) }
      case OPCODE.MODULE_AUX: {
        const module = moduleName(input.length64())
        skipModuleValues(input)
        return { kind: 'module-aux', module }
      }
      case OPCODE.SLOT_INFO:
        if (this.version < 12) break
        return { kind: 'slot', slot: input.length(), keys: input.length(), expiring: input.length() }
      case OPCODE.SLOT_IMPORT:
        if (familyOf(this.version) !== 'valkey') break
        return this.readSlotImport()
    }
    throw new RdbError(`unknown opcode ${opcode}`, 'unsupported')
  }

  private readSlotImport(): RdbRecord {
    const { input } = this
    const job = readBlob(input).toString()
    const ranges: [number, number][] = []
    for (let left = input.count(2); left > 0; left--) ranges.push([input.length(), input.length()])
    return { kind: 'slot-import', job, ranges }
  }

  private readEnd(): RdbRecord {
    const { input } = this
    if (this.version < 5) return { kind: 'end', checksum: 'none' }
    const at = input.take(8)
    if (input.buf.readUInt32LE(at) === 0 && input.buf.readUInt32LE(at + 4) === 0) return { kind: 'end', checksum: 'none' }
    if (this.crc === undefined) return { kind: 'end', checksum: 'none' }
    this.crc.update(input.buf, at - 1, at)
    if (!this.crc.matches(input.buf, at)) throw new RdbError('wrong checksum of an RDB file')
    return { kind: 'end', checksum: 'checked' }
  }
}

/** `slot-info` is the one aux field that must make sense: slot, keys, expiring keys. */
function auxRecord(name: string, value: string): RdbRecord {
  if (name === 'slot-info' && !/^\d+,\d+,\d+/.test(value)) throw new RdbError('corrupt slot-info')
  return { kind: 'aux', name, value }
}

/** The nine characters of a module's name, six bits each, above ten bits of version. */
function moduleName(id: bigint): string {
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  let name = ''
  for (let shift = 58n; shift >= 10n; shift -= 6n) name += characters[Number((id >> shift) & 63n)]
  return name
}
