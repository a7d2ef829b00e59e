/**
 * A value that is too large for one RESTORE: built with commands under a temporary name, piece by piece, so that the
 * server answers others in between; then it gets its expiry time and takes its name in one step.
 *
 *     UNLINK temporary; (commands of a piece; PEXPIRE temporary) ...; PEXPIREAT or PERSIST; RENAME or RENAMENX
 *
 * The temporary key expires by itself when nobody finishes it. Its name stands in the same slot of a cluster as the
 * key's.
 */
import type { Value } from '../../../protocol/rdb/value.js'
import { slotOf } from '../../../protocol/crc16.js'
import { Random } from '../../random.js'
import { EntryError, type ConflictPolicy, type Entry } from '../../transfer/store.js'
import { resultOf, type WriteResult } from './refusals.js'
import { valueOf } from './payload-versions.js'
import { Refusal } from './reply-reader.js'
import type { Connection } from './connection.js'
import { commandsOf, type Command } from './value-commands.js'
import type { Word } from './request-writer.js'

/** How long an unfinished temporary key stays. */
const ABANDONED_MS = 600_000
const PIECE_BYTES = 1024 * 1024

const random = new Random()

/** One value that is written in pieces, over all attempts. */
export class PieceWise {
  #temporary: Buffer | undefined

  /** `argumentBytesMax`: the longest argument the server takes; `pieceBytes`: about how much is sent at once. */
  constructor(
    readonly entry: Entry,
    readonly policy: ConflictPolicy,
    readonly label: string,
    readonly argumentBytesMax: number,
    readonly pieceBytes = PIECE_BYTES,
  ) {}

  /** Why it can not go in pieces either, found without sending any. */
  refusal(): EntryError | undefined {
    const value = this.#value()
    if (value instanceof EntryError) return value
    for (const commands of commandsOf(this.entry.key, value, this.#pieceLength)) if (this.#hasTooLong(commands)) return this.#elementTooLong()
    return undefined
  }

  /** The value, unless it is a string that is too long. */
  #value(): Value | EntryError {
    const { form, value: bytes } = this.entry
    const value = form === 'raw' ? { type: 'string' as const, bytes } : valueOf(bytes)
    if (value instanceof EntryError || value.type !== 'string' || value.bytes.length <= this.argumentBytesMax) return value
    return new EntryError('too-large', `it is a string of ${value.bytes.length} bytes, and ${this.label} takes at most ${this.argumentBytesMax} (proto-max-bulk-len)`)
  }

  get #pieceLength(): number {
    return Math.max(1, Math.min(this.pieceBytes, this.argumentBytesMax))
  }

  #hasTooLong(commands: readonly (readonly Word[])[]): boolean {
    return commands.some((command) => command.some((word) => this.#isTooLong(word)))
  }

  #elementTooLong(): EntryError {
    return new EntryError('too-large', `one of its elements is longer than ${this.label} takes (proto-max-bulk-len is ${this.argumentBytesMax})`)
  }

  /** Writes the value over this connection. Throws LinkFault, ServerBusy, StoreError. May be called again after a fault. */
  async write(connection: Connection): Promise<WriteResult> {
    const { entry: { key }, policy } = this
    if (this.#temporary !== undefined) await connection.call(['UNLINK', this.#temporary])
    if (policy !== 'replace') {
      const there = await connection.call(['EXISTS', key])
      if (there === 1) return 'exists'
      if (there instanceof Refusal) return resultOf(there, this.label)
    }
    const value = this.#value()
    if (value instanceof EntryError) return value
    const temporary = (this.#temporary = temporaryName(key))
    for (const commands of commandsOf(temporary, value, this.#pieceLength)) {
      if (this.#hasTooLong(commands)) {
        await connection.call(['UNLINK', temporary])
        return this.#elementTooLong()
      }
      const replies = await connection.callAll([...commands, ['PEXPIRE', temporary, ABANDONED_MS]])
      const failure = failureOf(commands, replies)
      if (failure === undefined) continue
      await connection.call(['UNLINK', temporary])
      return failure instanceof EntryError ? failure : resultOf(failure, this.label)
    }
    return this.#finish(connection, temporary)
  }

  #isTooLong(word: Word): boolean {
    return typeof word !== 'number' && word.length > this.argumentBytesMax
  }

  async #finish(connection: Connection, temporary: Buffer): Promise<WriteResult> {
    const { entry: { key, expiresAtMs }, policy } = this
    const [expiry, renamed, gone] = await connection.callAll([
      expiresAtMs === undefined ? ['PERSIST', temporary] : ['PEXPIREAT', temporary, expiresAtMs],
      [policy === 'replace' ? 'RENAME' : 'RENAMENX', temporary, key],
      ['EXISTS', key],
    ])
    if (renamed === 0) {
      await connection.call(['UNLINK', temporary])
      return 'exists'
    }
    if (renamed instanceof Refusal) {
      // Its time had come already: as with RESTORE, what was there is replaced by nothing.
      if (expiresAtMs !== undefined && !(expiry instanceof Refusal) && /no such key/.test(renamed.line)) {
        if (policy === 'replace' && gone === 1) await connection.call(['UNLINK', key])
        return 'written'
      }
      await connection.call(['UNLINK', temporary])
      return resultOf(renamed, this.label)
    }
    return 'written'
  }
}

/** The first command that did not do what it should. */
function failureOf(commands: readonly Command[], replies: readonly unknown[]): Refusal | EntryError | undefined {
  for (let i = 0; i < replies.length; i++) {
    const reply = replies[i]
    if (reply instanceof Refusal) return reply
    const command = commands[i]
    // XCLAIM names what it claimed; it passes over an entry that is deleted but still pending.
    if (command?.[0] === 'XCLAIM' && Array.isArray(reply) && reply.length === 0)
      return new EntryError('unsupported', 'one of its groups has a pending entry that was deleted, which commands can not bring back; raise proto-max-bulk-len of the target, or chunk_bytes, so that it goes in one piece')
    if (command?.[0] === 'HPEXPIREAT' && Array.isArray(reply) && reply[0] === 0) return new EntryError('refused', 'the expiry of one of its fields was refused')
  }
  return undefined
}

/** Whether it looks like the name of a value that is being built. */
export function isTemporary(key: Buffer): boolean {
  return key.length < 50 && /^keyferry:\{\d+\}:[0-9a-f]{16}$/.test(key.latin1Slice())
}

/** A name nobody else has, in the slot of `key`. */
function temporaryName(key: Buffer): Buffer {
  const slot = slotOf(key, 0, key.length)
  for (let n = 0; ; n++) {
    const name = Buffer.from(`keyferry:{${n}}:${random.hex(16)}`)
    const open = name.indexOf('{')
    if (slotOf(name, open, name.length) === slot) return name
  }
}
