/**
 * Keys of a database as a batch of RESTORE commands:
 *
 *     RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds | FREQ counter]
 *
 * Expiry times travel as they are, absolute, so that none grows by the time its transfer takes; and how long
 * a key was idle (or how often it was used) travels too, where it is more than nothing. The keys must not
 * change while the batch lives (the caller holds them). Their names stand in one buffer, so a batch of a
 * thousand keys costs a few allocations, not thousands.
 */
import { integerLength, writeInteger } from '../../../protocol/number.js'
import { copyBytes, Slice } from '../../../protocol/slice.js'
import type { Ref } from '../../keyspace/arena.js'
import type { Database } from '../../keyspace/database.js'
import { LargePayload, smallPayloadBytes, writeSmallPayload } from '../../keyspace/payload.js'
import type { BatchSource, Piece } from '../../transfer/batch.js'

/** Keys that are held: their names, one behind the other, and their records, which stay where they are meanwhile. */
export class KeyNames {
  #bytes: Buffer
  readonly #ends: number[] = []
  readonly #refs: Ref[] = []
  #fill = 0

  constructor(bytes = 256) {
    this.#bytes = Buffer.allocUnsafe(bytes)
  }

  get count(): number {
    return this.#ends.length
  }

  add(key: Slice, ref: Ref): void {
    const length = key.end - key.start
    if (this.#fill + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#fill + length))
      this.#bytes.copy(larger, 0, 0, this.#fill)
      this.#bytes = larger
    }
    copyBytes(key.buf, key.start, key.end, this.#bytes, this.#fill)
    this.#fill += length
    this.#ends.push(this.#fill)
    this.#refs.push(ref)
  }

  /** The record of name i while it is held; 0 when it is gone. */
  refOf(i: number): Ref {
    return this.#refs[i]
  }

  /** Name i has been looked up again. */
  setRef(i: number, ref: Ref): void {
    this.#refs[i] = ref
  }

  /** Name i; the slice is good as long as no name is added. */
  at(i: number, out: Slice): Slice {
    return out.set(this.#bytes, i === 0 ? 0 : this.#ends[i - 1], this.#ends[i])
  }
}

export interface RestoreOptions {
  readonly replace: boolean
  /** RESTORE, or RESTORE-ASKING to a cluster node. */
  readonly command: 'RESTORE' | 'RESTORE-ASKING'
  /** RDB version of the payloads. */
  readonly version: number
  /**
   * Told when name i has been encoded, for keys that are held only until then. The pieces of its value are
   * then copies: what follows may change the value before they are sent.
   */
  readonly onEncoded?: (i: number) => void
  /**
   * For a second attempt: a value that the target may refuse for its size alone, and close the connection, is
   * sent only after all before it is settled, and its length alone first, or the refusal would be lost.
   */
  readonly cautious?: boolean
}

/** The smallest `proto-max-bulk-len` that a server can be given. */
const REFUSABLE_BYTES = 1024 * 1024

/** What stands before the key, by the number of words. */
const headOf = (command: string, words: number): Buffer => Buffer.from(`*${words}\r\n$${command.length}\r\n${command}\r\n$`)
const headsOf = (command: string): Buffer[] => [4, 5, 6, 7, 8].map((words) => headOf(command, words))
const HEADS = { RESTORE: headsOf('RESTORE'), 'RESTORE-ASKING': headsOf('RESTORE-ASKING') } as const
const REPLACE = Buffer.from('$7\r\nREPLACE\r\n')
const ABSTTL = Buffer.from('$6\r\nABSTTL\r\n')
const IDLETIME = Buffer.from('$8\r\nIDLETIME\r\n$')
const FREQ = Buffer.from('$4\r\nFREQ\r\n$')
/** Room for all words that may follow the payload. */
const TAIL_BYTES_MAX = 96

export class RestoreBatch implements BatchSource {
  readonly #heads: readonly Buffer[]
  readonly #key = new Slice()

  constructor(
    readonly db: Database,
    readonly names: KeyNames,
    /** Which of the names, in order; all when undefined. */
    readonly chosen: readonly number[] | undefined,
    readonly options: RestoreOptions,
  ) {
    this.#heads = HEADS[options.command]
  }

  get count(): number {
    return this.chosen === undefined ? this.names.count : this.chosen.length
  }

  /** The number among the names of entry i. */
  nameOf(i: number): number {
    return this.chosen === undefined ? i : this.chosen[i]
  }

  write(i: number, out: Buffer, pos: number): number {
    const { db, names } = this
    const ref = names.refOf(this.nameOf(i))
    if (ref === 0) return pos
    const key = names.at(this.nameOf(i), this.#key)
    const payloadBytes = smallPayloadBytes(db, ref, this.options.version)
    if (payloadBytes === 0 || key.length + payloadBytes > 100_000) return -1
    const access = this.#access(ref)
    let at = this.#writeFront(key, ref, access, out, pos)
    at = writeLineEnd(out, writeInteger(payloadBytes, out, at))
    at = writeSmallPayload(this.options.version, out, at)
    at = this.#writeTail(ref, access, out, at)
    this.options.onEncoded?.(this.nameOf(i))
    return at
  }

  /** Seconds since the last access, or the access counter: worth a word when it is not what a new key has. */
  #access(ref: number): number {
    const { db } = this
    if (db.services.lfu) return db.frequency(ref)
    return db.idleSeconds(ref)
  }

  /** Everything before the payload's length. */
  #writeFront(key: Slice, ref: number, access: number, out: Buffer, pos: number): number {
    const { db, options } = this
    const expiry = db.exactExpiryOf(ref)
    const ttl = expiry === undefined ? 0 : expiry <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(expiry) : expiry
    const extra = (options.replace ? 1 : 0) + (expiry === undefined ? 0 : 1) + (access > 0 ? 2 : 0)
    let at = writeText(this.#heads[extra], out, pos)
    at = writeLineEnd(out, writeInteger(key.length, out, at))
    copyBytes(key.buf, key.start, key.end, out, at)
    at = writeLineEnd(out, at + key.length)
    out[at++] = 36
    at = typeof ttl === 'number' ? writeBulkInteger(ttl, out, at) : at + out.latin1Write(`19\r\n${ttl}\r\n`, at)
    out[at++] = 36
    return at
  }

  /** Everything behind the payload. */
  #writeTail(ref: number, access: number, out: Buffer, pos: number): number {
    const { db, options } = this
    let at = writeLineEnd(out, pos)
    if (options.replace) at = writeText(REPLACE, out, at)
    if (db.expiryOf(ref) !== Infinity) at = writeText(ABSTTL, out, at)
    if (access > 0) at = writeBulkInteger(access, out, writeText(db.services.lfu ? FREQ : IDLETIME, out, at))
    return at
  }

  *large(i: number): Generator<Piece, void, boolean> {
    const { db, options } = this
    const key = this.names.at(this.nameOf(i), new Slice())
    const ref = this.names.refOf(this.nameOf(i))
    const payload = new LargePayload(db, ref, this.options.version)
    const measure = payload.measure()
    let step = measure.next()
    while (step.done !== true) {
      yield undefined
      step = measure.next()
    }
    // Once for both ends: the command announces its number of words at the front.
    const access = this.#access(ref)
    const front = Buffer.allocUnsafeSlow(key.length + 128)
    let at = this.#writeFront(key, ref, access, front, 0)
    at = writeLineEnd(front, writeInteger(step.value, front, at))
    const cautious = options.cautious === true && step.value > REFUSABLE_BYTES
    if (cautious) yield 'replies'
    yield front.subarray(0, at)
    if (cautious) yield 'refusal'
    const pieces = payload.pieces()
    let isKept = false
    for (let piece = pieces.next(isKept); piece.done !== true; piece = pieces.next(isKept))
      isKept = yield options.onEncoded === undefined ? piece.value : Buffer.from(piece.value)
    const tail = Buffer.allocUnsafeSlow(TAIL_BYTES_MAX)
    const tailEnd = this.#writeTail(ref, access, tail, 0)
    options.onEncoded?.(this.nameOf(i))
    // The target may answer the last piece before this generator is asked again.
    yield 'last'
    yield tail.subarray(0, tailEnd)
  }
}

/** The length of an integer's text, the text, each with its line end. */
function writeBulkInteger(value: number, out: Buffer, pos: number): number {
  const at = writeLineEnd(out, writeInteger(integerLength(value), out, pos))
  return writeLineEnd(out, writeInteger(value, out, at))
}

function writeText(text: Buffer, out: Buffer, pos: number): number {
  copyBytes(text, 0, text.length, out, pos)
  return pos + text.length
}

function writeLineEnd(out: Buffer, pos: number): number {
  out[pos] = 13
  out[pos + 1] = 10
  return pos + 2
}
