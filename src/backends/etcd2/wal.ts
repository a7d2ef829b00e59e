/**
 * Reads etcd's write-ahead log, strictly without changing it.
 *
 *     <sequence>-<first raft index>.wal, 16 hexadecimal digits each, preallocated with zeros
 *     frame:  int64 little-endian | record | padding        0 as length: the end of this file
 *             low 56 bits: bytes of the record; with the sign bit, bits 56 to 58: bytes of padding
 *     record: 1 type, 2 crc, 3 data
 *
 * The crc is CRC-32C over the data of all records, one running sum through all files; a file begins with a record
 * (type 4) that carries the sum so far. A write that a crash tore, at the very end of the last file (a frame cut off
 * by the end of the file, or with a sector of zeros in it), is where reading stops quietly: nothing after it was
 * acknowledged to anybody. Everything else that does not fit is an error with file and offset. Files are read in
 * pieces; a record is only good until the next one is asked for.
 */
import { open, readdir, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { crc32c } from '../../../protocol/crc32c.js'
import { StoreError } from '../../transfer/store.js'
import { FieldReader, ProtobufError } from './protobuf.js'

export const METADATA = 1
export const ENTRY = 2
export const HARD_STATE = 3
const CRC = 4
export const SNAPSHOT = 5

export interface WalFile {
  readonly path: string
  readonly sequence: number
  /** The raft index of its first entry. */
  readonly index: number
}

export interface WalRecord {
  readonly type: number
  readonly data: Buffer
  readonly file: WalFile
  /** Where its frame begins. */
  readonly offset: number
}

/** Where and how the log ends. */
export interface WalEnd {
  /** The last write was torn by a crash: what is wrong with it, and where. */
  readonly torn: string | undefined
}

const PIECE_BYTES = 262144
const HEAD_BYTES = 8
const RECORD_BYTES_MAX = 10 * 1024 * 1024
const SECTOR_BYTES = 512
const NOTHING = Buffer.alloc(0)
/** How far behind the end a crash may have left bytes of writes that arrived out of order. */
const STRAY_BYTES_MAX = 1024 * 1024

/** The files of a log, in order. Throws StoreError when there are none, or one in the middle is missing. */
export async function listWal(folder: string): Promise<WalFile[]> {
  const files: WalFile[] = []
  for (const name of await readdir(folder)) {
    const numbers = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/.exec(name)
    if (numbers !== null) files.push({ path: path.join(folder, name), sequence: parseInt(numbers[1], 16), index: parseInt(numbers[2], 16) })
  }
  files.sort((a, b) => a.sequence - b.sequence)
  if (files.length === 0)
    throw new StoreError('usage', `${folder} holds no write-ahead log (*.wal); data_dir must be what etcd was started with as --data-dir, wal_dir its --wal-dir if it had one`)
  for (let i = 1; i < files.length; i++) {
    const { sequence, index } = files[i]
    const before = files[i - 1]
    if (sequence !== before.sequence + 1 || index < before.index)
      throw new StoreError('corrupt', `the write-ahead log in ${folder} has a gap: ${path.basename(before.path)} is followed by ${path.basename(files[i].path)}`)
  }
  return files
}

/** Reads these files from beginning to end and gives every record but the checksums' to `take`. */
export async function readWal(files: readonly WalFile[], take: (record: WalRecord) => void): Promise<WalEnd> {
  let sum = 0
  for (const [i, file] of files.entries()) {
    const reader = new FrameReader(file, i === files.length - 1, sum, take)
    const torn = await reader.read()
    if (torn !== undefined) return { torn }
    sum = reader.sum
  }
  return { torn: undefined }
}

/** One file's frames. */
class FrameReader {
  #held: Buffer = NOTHING
  /** Where `#held` begins in the file. */
  #offset = 0
  #isPadded = false

  constructor(
    readonly file: WalFile,
    readonly isLast: boolean,
    /** The running checksum. */
    public sum: number,
    readonly take: (record: WalRecord) => void,
  ) {}

  /** Returns what is torn, or undefined when the file ends as it should. */
  async read(): Promise<string | undefined> {
    const handle = await open(this.file.path, 'r')
    try {
      for (;;) {
        if (!(await this.#fill(handle, HEAD_BYTES))) {
          // Cut off within a length: as if the file ended before it.
          return this.#held.length === 0 ? undefined : this.#cut('ends within the length of a record')
        }
        const low = this.#held.readUInt32LE(0)
        const high = this.#held.readUInt32LE(4)
        if (low === 0 && high === 0) return await this.#strayBytes(handle)
        const recordBytes = low + (high & 0xffffff) * 0x100000000
        const flags = high >>> 24
        const padding = flags & 7
        // Logs of etcd 2 have no padding; where there is some, every frame ends at a multiple of eight bytes.
        if (flags !== 0) this.#isPadded = true
        const isSound = flags === 0 || ((flags & 0xf8) === 0x80 && padding > 0)
        if (!isSound || (this.#isPadded && (recordBytes + padding) % 8 !== 0)) throw this.#corrupt(`no record can have the length ${hex(high)}${hex(low).slice(2)}`)
        if (recordBytes >= RECORD_BYTES_MAX - padding) throw this.#corrupt(`a record says to have ${recordBytes} bytes, and none may have more than ${RECORD_BYTES_MAX}`)
        const frameBytes = HEAD_BYTES + recordBytes + padding
        if (!(await this.#fill(handle, frameBytes))) return this.#cut('ends within a record')
        const torn = this.#record(this.#held.subarray(HEAD_BYTES, HEAD_BYTES + recordBytes), frameBytes)
        if (torn !== undefined) return torn
        this.#held = this.#held.subarray(frameBytes)
        this.#offset += frameBytes
      }
    } finally {
      await handle.close()
    }
  }

  /** Reads on until so many bytes are held; false when the file has no more. */
  async #fill(handle: FileHandle, bytes: number): Promise<boolean> {
    while (this.#held.length < bytes) {
      const piece = Buffer.allocUnsafeSlow(Math.max(PIECE_BYTES, bytes))
      const held = this.#held.copy(piece)
      const { bytesRead } = await handle.read(piece, held, piece.length - held, this.#offset + held)
      if (bytesRead === 0) return false
      this.#held = piece.subarray(0, held + bytesRead)
    }
    return true
  }

  #record(bytes: Buffer, frameBytes: number): string | undefined {
    let type = 0
    let crc = 0
    let data: Buffer = NOTHING
    let problem: string | undefined
    try {
      const fields = new FieldReader(bytes)
      while (fields.next()) {
        if (fields.field === 1) type = fields.number()
        else if (fields.field === 2) crc = fields.number()
        else if (fields.field === 3) data = fields.slice()
        else fields.skip()
      }
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error
      problem = `a record can not be read (${error.message})`
    }
    if (problem === undefined && type === CRC) {
      if (this.sum !== 0 && crc !== this.sum) throw this.#corrupt('the file does not continue the one before it: the checksum of all records so far differs')
      this.sum = crc
      return undefined
    }
    const sum = problem === undefined ? crc32c(data, this.sum) : 0
    if (problem === undefined && sum !== crc) problem = `a record's checksum is ${hex(crc)} and its bytes give ${hex(sum)}`
    if (problem !== undefined) {
      if (this.#isTorn(frameBytes)) return `${this.#where()}: ${problem}, and it has a sector of zeros: the last write before a crash`
      throw this.#corrupt(problem)
    }
    this.sum = sum
    this.take({ type, data, file: this.file, offset: this.#offset })
    return undefined
  }

  /** Whether the frame has a disk sector that is all zeros, in the log's last file. */
  #isTorn(frameBytes: number): boolean {
    if (!this.isLast) return false
    for (let at = HEAD_BYTES; at < frameBytes;) {
      const end = Math.min(frameBytes, at + SECTOR_BYTES - ((this.#offset + at) % SECTOR_BYTES))
      if (this.#held.subarray(at, end).every((byte) => byte === 0)) return true
      at = end
    }
    return false
  }

  /** Behind the end of the records everything is zero, or a crash left some of the last writes there. */
  async #strayBytes(handle: FileHandle): Promise<string | undefined> {
    const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
    const zeros = Buffer.alloc(PIECE_BYTES)
    let lastStray = -1
    for (let at = this.#offset; ;) {
      const { bytesRead } = await handle.read(piece, 0, PIECE_BYTES, at)
      if (bytesRead === 0) break
      if (!piece.subarray(0, bytesRead).equals(zeros.subarray(0, bytesRead))) {
        let i = bytesRead - 1
        while (piece[i] === 0) i--
        lastStray = at + i
      }
      at += bytesRead
    }
    if (lastStray < 0) return undefined
    if (!this.isLast || lastStray - this.#offset > STRAY_BYTES_MAX) throw this.#corrupt(`the records end, but there are bytes up to offset ${lastStray}`)
    return `${this.#where()}: the records end, but there are bytes up to offset ${lastStray}: writes that a crash left incomplete`
  }

  #cut(problem: string): string {
    if (!this.isLast) throw this.#corrupt(`the file ${problem}, and it is not the last one`)
    return `${this.#where()}: the file ${problem}`
  }

  #where(): string {
    return `${this.file.path} at offset ${this.#offset}`
  }

  #corrupt(problem: string): StoreError {
    return new StoreError('corrupt', `${this.#where()}: ${problem}`)
  }
}

const hex = (sum: number): string => `0x${sum.toString(16).padStart(8, '0')}`
