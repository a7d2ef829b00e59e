/**
 * Entries of a batch of keys: DUMP of each, and what tells when it expires, all in one write as long as the values are
 * small. A server keeps all answers to one write in memory, and may evict keys for their sake: so the larger values have
 * been, the fewer are asked for at once.
 *
 *     database with expiries       DUMP key, PEXPIRETIME key, DUMP key, PEXPIRETIME key ...
 *     before Redis 7.0             TIME, DUMP key, PTTL key ...     what is left, from the server's own time on
 *     database without expiries    INFO keyspace, DUMP key, DUMP key ..., INFO keyspace
 *     the same, small strings      INFO keyspace, MGET key key ..., INFO keyspace, then DUMP what is no string
 *
 * The last forms ask half as much of a server, and a quarter. When no key of the database expires before and none after,
 * none of those read between does, or it has been changed since, as it may be after any read; asked only once, a key that
 * expired in between would be taken for one that stays. A database that turns out to have expiries is read in the first
 * form from then on.
 *
 * MGET pays where a command costs more than a value: for small strings. Larger ones travel compressed in a DUMP. A
 * cluster has no MGET across slots.
 */
import type { Entry, EntryError, KeyRef } from '../../transfer/store.js'
import { ServerBusy, isPassing } from './connections.js'
import type { Connection } from './connection.js'
import { COLON, MINUS, Refusal, integerOf, type ReplySink } from './reply-reader.js'
import { RequestWriter } from './request-writer.js'

const DUMP = Buffer.from('*2\r\n$4\r\nDUMP\r\n')
const PEXPIRETIME = Buffer.from('*2\r\n$11\r\nPEXPIRETIME\r\n')
const PTTL = Buffer.from('*2\r\n$4\r\nPTTL\r\n')
const TIME = Buffer.from('*1\r\n$4\r\nTIME\r\n')
const MGET = Buffer.from('$4\r\nMGET\r\n')
const INFO_KEYSPACE = Buffer.from('*2\r\n$4\r\nINFO\r\n$8\r\nkeyspace\r\n')
export const ASKING = Buffer.from('*1\r\n$6\r\nASKING\r\n')

export type ExpiryCommand = 'PEXPIRETIME' | 'PTTL'

/** What a read found, or the refusal of this key, which says for a cluster where else to ask. */
export type ReadResult = Entry | EntryError | Refusal | undefined

/** About how many bytes of answers one write should have. */
const ANSWER_BYTES = 4 * 1024 * 1024
const KEYS_AT_ONCE_MAX = 1000
/** From this size on, on average, strings are read by DUMP. */
const STRING_BYTES_MAX = 1024
/** Batches read by DUMP before it is looked again whether most keys are small strings. */
const BATCHES_OF_DUMPS = 32

/** Reads entries of servers, and remembers in which databases keys expire, and how large values are. */
export class EntryReader {
  #keysAtOnce = 64

  /** What keys are asked with. */
  expiryCommand: ExpiryCommand = 'PEXPIRETIME'
  /** Servers and databases that have expiries, or do not tell. */
  readonly #expiring = new Set<string>()
  /** Batches that are still to be read without trying MGET. */
  #dumpsDue: number

  /** `strings`: whether strings may be read by MGET. */
  constructor(strings: boolean) {
    this.#dumpsDue = strings ? 0 : Infinity
  }

  /**
   * Entries over a connection whose database is that of the keys. Throws LinkFault, ServerBusy. `asking`: of a slot that
   * is being moved here. With `bytesMax` the first ones only, when they have as many bytes.
   */
  async read(connection: Connection, keys: readonly KeyRef[], asking = false, bytesMax = Infinity): Promise<ReadResult[]> {
    if (keys.length <= this.#keysAtOnce) return this.#readSome(connection, keys, asking)
    const results: ReadResult[] = []
    for (let bytes = 0; results.length < keys.length && bytes < bytesMax; ) {
      for (const each of await this.#readSome(connection, keys.slice(results.length, results.length + this.#keysAtOnce), asking)) {
        results.push(each)
        if (each !== undefined && 'value' in each) bytes += each.value.length
      }
    }
    return results
  }

  async #readSome(connection: Connection, keys: readonly KeyRef[], asking: boolean): Promise<ReadResult[]> {
    if (keys.length === 0) return []
    const database = `${connection.name}/${keys[0].db}`
    let results: ReadResult[] | undefined
    if (!asking && !this.#expiring.has(database)) {
      const byDump = this.#dumpsDue > 0
      if (byDump) this.#dumpsDue--
      results = byDump ? await readUnexpiring(connection, keys, 'dump') : await this.#readStrings(connection, keys)
      if (results === undefined) this.#expiring.add(database)
    }
    results ??= await readEntries(connection, keys, this.expiryCommand, asking)
    let bytes = 0
    for (const result of results) if (result !== undefined && 'value' in result) bytes += result.value.length
    const fitting = Math.floor((ANSWER_BYTES * keys.length) / Math.max(1, bytes))
    this.#keysAtOnce = Math.max(1, Math.min(KEYS_AT_ONCE_MAX, fitting, 4 * this.#keysAtOnce))
    return results
  }

  /** Strings by MGET, and what is none by DUMP; undefined as readUnexpiring has it. */
  async #readStrings(connection: Connection, keys: readonly KeyRef[]): Promise<ReadResult[] | undefined> {
    const results = await readUnexpiring(connection, keys, 'raw')
    if (results === undefined) return undefined
    let [strings, bytes] = [0, 0]
    for (const result of results) {
      if (result === undefined || !('value' in result)) continue
      strings++
      bytes += result.value.length
    }
    if (2 * strings < keys.length || bytes > strings * STRING_BYTES_MAX) this.#dumpsDue = BATCHES_OF_DUMPS
    if (strings === keys.length) return results
    const found = await readUnexpiring(connection, keys.filter((_, i) => results[i] === undefined), 'dump')
    if (found === undefined) return undefined
    for (let i = 0, next = 0; i < keys.length; i++) results[i] ??= found[next++]
    return results
  }
}

/**
 * Without expiries: DUMP of each, or ('raw') an MGET, which leaves undefined what is no string. Undefined when the database
 * turns out to have keys that expire, or this can not be learnt.
 */
async function readUnexpiring(connection: Connection, keys: readonly KeyRef[], form: Entry['form']): Promise<ReadResult[] | undefined> {
  const writer = RequestWriter.take()
  writer.fixed(INFO_KEYSPACE)
  if (form === 'raw') {
    writer.words(1 + keys.length)
    writer.fixed(MGET)
  }
  for (const { key } of keys) {
    if (form === 'dump') writer.fixed(DUMP)
    writer.bulk(key)
  }
  writer.fixed(INFO_KEYSPACE)
  const sink = new UnexpiringSink(keys, form)
  await connection.exchange(writer.parts(), (form === 'raw' ? 1 : keys.length) + 2, sink)
  writer.give()
  if (sink.passing !== undefined) throw new ServerBusy(sink.passing.line)
  return sink.unexpiring === 2 ? sink.results : undefined
}

/** Hears an INFO keyspace, DUMPs or an MGET, and another INFO keyspace. */
class UnexpiringSink implements ReplySink {
  readonly results: ReadResult[]
  passing: Refusal | undefined
  /** How many of the two INFOs say that no key of the database expires. */
  unexpiring = 0
  /** The key whose answer is next; -1 for the first INFO. */
  #i = -1

  constructor(readonly keys: readonly KeyRef[], readonly form: Entry['form']) {
    this.results = new Array<ReadResult>(keys.length)
  }

  bulk(buf: Buffer, start: number, end: number): void {
    const i = this.#i++
    if (i >= 0 && i < this.keys.length) {
      const { db, key } = this.keys[i]
      this.results[i] = { db, key, form: this.form, value: buf.subarray(start, end), expiresAtMs: undefined }
    } else if (saysNoneExpires(buf.latin1Slice(start, end), this.keys[0].db)) this.unexpiring++
  }

  nil(): void {
    this.#i++
  }

  array(): void {}

  line(kind: number, buf: Buffer, start: number, end: number): void {
    const refusal = new Refusal(kind === MINUS ? buf.utf8Slice(start, end) : 'ERR an answer that DUMP does not have')
    if (isPassing(refusal)) this.passing = refusal
    const i = this.#i++
    if (i < 0 || i >= this.keys.length) return
    // An MGET is refused as a whole: DUMP will say of each key why.
    if (this.form === 'raw') this.#i = this.keys.length
    else this.results[i] = refusal
  }
}

function saysNoneExpires(info: string, db: number): boolean {
  const expires = new RegExp(`^db${db}:keys=\\d+,expires=(\\d+)`, 'm').exec(info)?.[1]
  // A database without keys is not listed.
  return info.startsWith('# Keyspace') && (expires === undefined || expires === '0')
}

/** DUMP and expiry of each. Throws LinkFault, ServerBusy, and StoreError 'denied' when the time that an expiry counts from is kept from us. */
export async function readEntries(connection: Connection, keys: readonly KeyRef[], command: ExpiryCommand, asking = false): Promise<ReadResult[]> {
  const writer = RequestWriter.take()
  const expiry = command === 'PTTL' ? PTTL : PEXPIRETIME
  if (command === 'PTTL') writer.fixed(TIME)
  for (const { key } of keys) {
    if (asking) writer.fixed(ASKING)
    writer.fixed(DUMP)
    writer.bulk(key)
    if (asking) writer.fixed(ASKING)
    writer.fixed(expiry)
    writer.bulk(key)
  }
  const sink = new DumpSink(keys, command === 'PTTL')
  const replies = (asking ? 4 : 2) * keys.length + (command === 'PTTL' ? 1 : 0)
  await connection.exchange(writer.parts(), replies, sink)
  writer.give()
  if (sink.passing !== undefined) throw new ServerBusy(sink.passing.line)
  // What is left of a time means nothing without it.
  if (sink.timeRefusal !== undefined && sink.results.some((each) => each !== undefined && 'expiresAtMs' in each && each.expiresAtMs !== undefined))
    throw connection.denied(sink.timeRefusal)
  return sink.results
}

class DumpSink implements ReplySink {
  readonly results: ReadResult[]
  /** A refusal that will pass: the whole batch is read again. */
  passing: Refusal | undefined
  /** Of TIME: expiries are then wrong. */
  timeRefusal: Refusal | undefined
  #i = 0
  #payload: Buffer | undefined
  #refusal: Refusal | undefined
  #isExpiryNext = false
  /** The server's time, in parts, when it is told at the front. */
  #time: number[] = []
  #timeDue: number
  #serverMs = 0

  constructor(readonly keys: readonly KeyRef[], relative: boolean) {
    this.results = new Array<ReadResult>(keys.length)
    this.#timeDue = relative ? 2 : 0
  }

  bulk(buf: Buffer, start: number, end: number): void {
    if (this.#timeDue > 0) {
      this.#time.push(integerOf(buf, start, end))
      if (--this.#timeDue === 0) this.#serverMs = this.#time[0] * 1000 + Math.floor(this.#time[1] / 1000)
      return
    }
    this.#payload = buf.subarray(start, end)
    this.#isExpiryNext = true
  }

  nil(): void {
    this.#isExpiryNext = true
  }

  array(): void {}

  line(kind: number, buf: Buffer, start: number, end: number): void {
    if (kind === MINUS) {
      const refusal = new Refusal(buf.utf8Slice(start, end))
      if (isPassing(refusal)) this.passing = refusal
      if (this.#timeDue > 0) {
        this.#timeDue = 0
        this.timeRefusal = refusal
      } else if (this.#isExpiryNext) this.#finish(undefined, this.#refusal ?? refusal)
      else {
        this.#refusal = refusal
        this.#isExpiryNext = true
      }
    } else if (kind === COLON && this.#isExpiryNext) this.#finish(integerOf(buf, start, end), this.#refusal)
    // What is left is the answer to ASKING.
  }

  #finish(expiry: number | undefined, refusal: Refusal | undefined): void {
    const { db, key } = this.keys[this.#i]
    const value = this.#payload
    if (refusal !== undefined) this.results[this.#i] = refusal
    else if (value !== undefined && expiry !== undefined && expiry !== -2)
      this.results[this.#i] = { db, key, form: 'dump', value, expiresAtMs: expiry < 0 ? undefined : Math.min(Number.MAX_SAFE_INTEGER, expiry + this.#serverMs) }
    this.#i++
    this.#payload = undefined
    this.#refusal = undefined
    this.#isExpiryNext = false
  }
}
