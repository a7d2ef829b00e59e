/**
 * Writes RDB files (layout in file-reader.ts). The caller says what comes in which order and takes the bytes
 * when it likes: nothing here waits, and nothing but what was not taken yet is held.
 *
 * The order of the servers: aux fields, functions, then per database its number, its sizes and its keys.
 */
import { Crc64 } from '../crc64.js'
import { Slice } from '../slice.js'
import { encodeBody, encodeSteps, typeFor } from './encode.js'
import type { EncodeOptions } from './encode.js'
import { OPCODE } from './file-reader.js'
import { RdbOutput } from './output.js'
import { RDB_VERSION, familyOf } from './payload.js'
import type { Value } from './value.js'

export interface FileWriterOptions extends Partial<EncodeOptions> {
  /** Whether to write a checksum (`rdbchecksum`). */
  checksum?: boolean
}

/** What a key has beside its value. Leave out what it has not. */
export interface KeyAttributes {
  /** Absolute unix time in ms. */
  expireMs?: number
  idleSeconds?: number
  frequency?: number
}

export class RdbFileWriter {
  private readonly out = new RdbOutput(1 << 16)
  private readonly options: EncodeOptions
  private readonly crc: Crc64 | undefined
  private readonly text = new Slice()

  constructor(options: FileWriterOptions = {}) {
    const version = options.version ?? RDB_VERSION
    this.options = { version, compressed: options.compressed ?? true }
    this.crc = options.checksum === false ? undefined : new Crc64()
    const isRedis = familyOf(version) === 'redis'
    const magic = isRedis ? `REDIS${String(version).padStart(4, '0')}` : `VALKEY${String(version).padStart(3, '0')}`
    this.rawText(magic)
  }

  /** Bytes written and not taken yet. */
  get pendingBytes(): number {
    return this.out.pos
  }

  /** The bytes written since the last call, in a Buffer of their own. */
  take(): Buffer {
    const bytes = this.out.take()
    this.crc?.update(bytes, 0, bytes.length)
    return bytes
  }

  aux(name: string, value: string): void {
    this.out.byte(OPCODE.AUX)
    this.string(Buffer.from(name))
    this.string(Buffer.from(value))
  }

  functionLibrary(source: Buffer): void {
    this.out.byte(OPCODE.FUNCTION)
    this.string(source)
  }

  /** The keys that follow are of this database, of which there are unknown numbers. */
  select(db: number): void {
    this.out.byte(OPCODE.DATABASE)
    this.out.length(db)
  }

  database(db: number, keys: number, expiring: number): void {
    this.select(db)
    this.out.byte(OPCODE.RESIZE)
    this.out.length(keys)
    this.out.length(expiring)
  }

  /** A key and its value. Throws RdbError before anything is written when the version cannot carry it. */
  key(key: Slice, value: Value, attributes: KeyAttributes = {}): void {
    const type = typeFor(value, this.options.version)
    this.keyHead(key, type, attributes)
    encodeBody(value, type, this.out, this.options)
  }

  /** The same for large values, in steps of about `stepBytes`: take the bytes between them. */
  *keySteps(key: Slice, value: Value, attributes: KeyAttributes, stepBytes: number): Generator<void, void, void> {
    const type = typeFor(value, this.options.version)
    this.keyHead(key, type, attributes)
    yield* encodeSteps(value, type, this.out, this.options, stepBytes)
  }

  /** A key whose body is there already, as read from a file or payload that this version can carry. */
  keyBody(key: Slice, type: number, body: Slice, attributes: KeyAttributes = {}): void {
    this.keyHead(key, type, attributes)
    this.out.raw(body.buf, body.start, body.end)
  }

  /** Ends the file and returns its last bytes: what was not taken yet, end mark and checksum. */
  end(): Buffer {
    this.out.byte(OPCODE.END)
    const bytes = this.take()
    const tail = Buffer.alloc(8)
    this.crc?.write(tail, 0)
    return Buffer.concat([bytes, tail])
  }

  private keyHead(key: Slice, type: number, attributes: KeyAttributes): void {
    const { out } = this
    if (attributes.expireMs !== undefined && attributes.expireMs !== -1) {
      out.byte(OPCODE.EXPIRE_MS)
      out.ms(attributes.expireMs)
    }
    if (attributes.idleSeconds !== undefined && attributes.idleSeconds >= 0) {
      out.byte(OPCODE.IDLE)
      out.length(attributes.idleSeconds)
    }
    if (attributes.frequency !== undefined && attributes.frequency >= 0) {
      out.byte(OPCODE.FREQ)
      out.byte(attributes.frequency)
    }
    out.byte(type)
    out.string(key, this.options.compressed)
  }

  private string(bytes: Buffer): void {
    this.out.string(this.text.set(bytes, 0, bytes.length), this.options.compressed)
  }

  private rawText(text: string): void {
    const bytes = Buffer.from(text, 'latin1')
    this.out.raw(bytes, 0, bytes.length)
  }
}
