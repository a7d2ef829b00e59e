/**
 * Keys of a database as a batch of RESTORE commands:
 *
 *     *4 RESTORE key ttl payload          *5 ... REPLACE
 *
 * The time to live is what is left when the command is written, at least 1 ms; 0 for none. The keys must not
 * change while the batch lives (the caller holds them). Their names stand in one buffer, so a batch of a
 * thousand keys costs a few allocations, not thousands.
 */
import { integerLength, writeInteger } from '../../../protocol/number.js'
import { Slice } from '../../../protocol/slice.js'
import type { Database } from '../../keyspace/database.js'
import { LargePayload, smallPayloadBytes, writeSmallPayload } from '../../keyspace/payload.js'
import type { BatchSource, Piece } from '../../transfer/batch.js'

/** Names of keys, one behind the other. */
export class KeyNames {
  #bytes: Buffer
  #ends: number[] = []
  #fill = 0

  constructor(bytes = 256) {
    this.#bytes = Buffer.allocUnsafe(bytes)
  }

  get count(): number {
    return this.#ends.length
  }

  add(key: Slice): void {
    const length = key.end - key.start
    if (this.#fill + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#fill + length))
      this.#bytes.copy(larger, 0, 0, this.#fill)
      this.#bytes = larger
    }
    key.buf.copy(this.#bytes, this.#fill, key.start, key.end)
    this.#fill += length
    this.#ends.push(this.#fill)
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

const CRLF = 0x0a0d

/** What stands around key, time to live and payload: without REPLACE, and with it. */
const headOf = (command: string, words: number): Buffer => Buffer.from(`*${words}\r\n$${command.length}\r\n${command}\r\n$`)
const HEADS = {
  RESTORE: [headOf('RESTORE', 4), headOf('RESTORE', 5)],
  'RESTORE-ASKING': [headOf('RESTORE-ASKING', 4), headOf('RESTORE-ASKING', 5)],
} as const
const TAILS = [Buffer.from('\r\n'), Buffer.from('\r\n$7\r\nREPLACE\r\n')] as const

export class RestoreBatch implements BatchSource {
  readonly #head: Buffer
  readonly #tail: Buffer
  readonly #key = new Slice()

  constructor(
    readonly db: Database,
    readonly names: KeyNames,
    /** Which of the names, in order; all when undefined. */
    readonly chosen: readonly number[] | undefined,
    readonly options: RestoreOptions,
  ) {
    this.#head = HEADS[options.command][options.replace ? 1 : 0]
    this.#tail = TAILS[options.replace ? 1 : 0]
  }

  get count(): number {
    return this.chosen === undefined ? this.names.count : this.chosen.length
  }

  /** The number among the names of entry i. */
  nameOf(i: number): number {
    return this.chosen === undefined ? i : this.chosen[i]
  }

  write(i: number, out: Buffer, pos: number): number {
    const { db } = this
    const key = this.names.at(this.nameOf(i), this.#key)
    const ref = db.findKey(key)
    if (ref === 0) return pos
    const payloadBytes = smallPayloadBytes(db, ref, this.options.version)
    if (payloadBytes === 0 || key.length + payloadBytes > 100_000) return -1
    let at = this.#writeFront(key, this.#ttl(ref), out, pos)
    at = writeInteger(payloadBytes, out, at)
    at = out.writeUInt16LE(CRLF, at)
    at = writeSmallPayload(db, ref, this.options.version, out, at)
    this.options.onEncoded?.(this.nameOf(i))
    return at + this.#tail.copy(out, at)
  }

  #ttl(ref: number): number {
    const expiry = this.db.expiryOf(ref)
    return expiry === Infinity ? 0 : Math.max(1, expiry - this.db.services.clock.nowMs)
  }

  /** Everything before the payload's length. */
  #writeFront(key: Slice, ttl: number, out: Buffer, pos: number): number {
    let at = pos + this.#head.copy(out, pos)
    at = writeInteger(key.length, out, at)
    at = out.writeUInt16LE(CRLF, at)
    at += key.buf.copy(out, at, key.start, key.end)
    out[at++] = 13
    out[at++] = 10
    out[at++] = 36
    at = writeInteger(integerLength(ttl), out, at)
    at = out.writeUInt16LE(CRLF, at)
    at = writeInteger(ttl, out, at)
    out[at++] = 13
    out[at++] = 10
    out[at++] = 36
    return at
  }

  *large(i: number): Generator<Piece, void, boolean> {
    const { db, options } = this
    const key = this.names.at(this.nameOf(i), new Slice())
    const ref = db.findKey(key)
    const payload = new LargePayload(db, ref, this.options.version)
    const measure = payload.measure()
    let step = measure.next()
    while (step.done !== true) {
      yield undefined
      step = measure.next()
    }
    const front = Buffer.allocUnsafeSlow(key.length + 128)
    let at = this.#writeFront(key, this.#ttl(ref), front, 0)
    at = writeInteger(step.value, front, at)
    at = front.writeUInt16LE(CRLF, at)
    const cautious = options.cautious === true && step.value > REFUSABLE_BYTES
    if (cautious) yield 'replies'
    yield front.subarray(0, at)
    if (cautious) yield 'refusal'
    const pieces = payload.pieces()
    let isKept = false
    for (let piece = pieces.next(isKept); piece.done !== true; piece = pieces.next(isKept))
      isKept = yield options.onEncoded === undefined ? piece.value : Buffer.from(piece.value)
    options.onEncoded?.(this.nameOf(i))
    // The target may answer the last piece before this generator is asked again.
    yield 'last'
    yield this.#tail
  }
}
