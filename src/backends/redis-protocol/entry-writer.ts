/**
 * Entries written as RESTORE commands, a batch in one write; what one RESTORE can not carry goes in pieces.
 *
 *      due --RESTORE...--> +OK       written
 *       ^                  BUSYKEY   exists; or ours, when an answer was lost (see below)
 *       |                  version   encoded again in an older version --> due
 *       |                  MOVED/ASK told to who knows the cluster
 *       \-- broken ------- what was not answered is sent again
 *
 * With another policy than 'replace', a key that was sent and not answered may be there because we wrote it: when a later
 * attempt meets it, here or at another node of a cluster, its value is compared with what was sent.
 */
import { RdbOutput } from '../../../protocol/rdb/output.js'
import { footerVersion, writeFooter } from '../../../protocol/rdb/payload.js'
import { STRING_SLACK } from '../../../protocol/rdb/string.js'
import { Slice } from '../../../protocol/slice.js'
import { EntryError, type ConflictPolicy, type Entry } from '../../transfer/store.js'
import type { Connection } from './connection.js'
import { ServerBusy, isPassing, type Connections } from './connections.js'
import { ASKING, readEntries } from './dump-batch.js'
import { PayloadVersions, isWhole } from './payload-versions.js'
import { PieceWise } from './pieces.js'
import { resultOf, type WriteResult } from './refusals.js'
import { COLON, MINUS, Refusal, type ReplySink } from './reply-reader.js'
import { RequestWriter } from './request-writer.js'
import { sameValue } from './same-value.js'

export interface WriterOptions {
  readonly label: string
  /** Payloads larger than this go in pieces. */
  readonly payloadBytesMax: number
  /** The longest argument the server takes. */
  readonly argumentBytesMax: number
  readonly pieceBytes: number | undefined
  /** Whether one command may set several keys: not in a cluster. */
  readonly severalKeys: boolean
  readonly versions: PayloadVersions
}

const MSET = Buffer.from('$4\r\nMSET\r\n')
const MSETNX = Buffer.from('$6\r\nMSETNX\r\n')
const SET_3 = Buffer.from('*3\r\n$3\r\nSET\r\n')
const SET_4 = Buffer.from('*4\r\n$3\r\nSET\r\n')
const NX = Buffer.from('$2\r\nNX\r\n')
const RESTORE_4 = Buffer.from('*4\r\n$7\r\nRESTORE\r\n')
const RESTORE_5 = Buffer.from('*5\r\n$7\r\nRESTORE\r\n')
const RESTORE_6 = Buffer.from('*6\r\n$7\r\nRESTORE\r\n')
const ABSTTL = Buffer.from('$6\r\nABSTTL\r\n')
const REPLACE = Buffer.from('$7\r\nREPLACE\r\n')
/** Keys that one command sets: more cost a server no less, and hold up its other clients. */
const SET_TOGETHER = 250
const NO_SUCH_COMMAND = /^NOPERM|unknown command/
const NO_EXPIRY = Buffer.from('$1\r\n0\r\n')

/**
 * Writes entries of one database to one server. `doubtful`: entries that were sent before, here or elsewhere, and not
 * answered; those of this call are added when it fails. `asking`: into slots that are being moved there.
 */
export async function writeEntries(connections: Connections, db: number, entries: readonly Entry[], policy: ConflictPolicy, options: WriterOptions, doubtful = new Set<Entry>(), asking = false): Promise<WriteResult[]> {
  const { acknowledged } = connections
  const job = new WriteJob(entries, policy, options, doubtful, asking)
  const isWritten = (i: number): boolean => job.results[i] === 'written'
  let runId: string | undefined
  await acknowledged.guard(connections, db, async (connection) => {
    // What an earlier process acknowledged of this batch.
    if (runId !== undefined && runId !== connection.facts.runId) await acknowledged.find(connection, entries.filter(({ expiresAtMs }, i) => expiresAtMs === undefined && isWritten(i)).map(({ key }) => key))
    ;({ runId } = connection.facts)
    await job.attempt(connection)
  })
  acknowledged.note(db, entries, isWritten)
  return job.results as WriteResult[]
}

/** Why an entry would not be written, as far as its size tells. */
export function refusalOf(entry: Entry, { label, argumentBytesMax, payloadBytesMax, pieceBytes }: WriterOptions): EntryError | undefined {
  if (entry.key.length > argumentBytesMax) return nameTooLong(label)
  return entry.value.length <= payloadBytesMax ? undefined : new PieceWise(entry, 'error', label, argumentBytesMax, pieceBytes).refusal()
}

const nameTooLong = (label: string): EntryError => new EntryError('too-large', `its name is longer than ${label} takes`)

class WriteJob {
  readonly results: (WriteResult | undefined)[]
  /** Entries by number that still have to go, and their payloads. */
  #due: number[] = []
  readonly #payloads: (Buffer | undefined)[]
  /** How the strings of this attempt are sent. */
  #usesSet = false
  #usesMset: boolean
  /** Which of the entries sent each command has: from this place on, up to that of the next. */
  #commands: number[] = []
  readonly #large: { i: number; pieceWise: PieceWise }[] = []

  constructor(readonly entries: readonly Entry[], readonly policy: ConflictPolicy, readonly options: WriterOptions, readonly doubtful: Set<Entry>, readonly asking: boolean) {
    this.results = new Array<WriteResult | undefined>(entries.length)
    this.#payloads = new Array<Buffer | undefined>(entries.length)
    this.#usesMset = options.severalKeys && !asking
    for (let i = 0; i < entries.length; i++) this.#add(i)
  }

  #add(i: number): void {
    const { label, argumentBytesMax, payloadBytesMax, pieceBytes, versions } = this.options
    const entry = this.entries[i]
    if (entry.key.length > argumentBytesMax) {
      this.results[i] = nameTooLong(label)
      return
    }
    if (entry.value.length <= payloadBytesMax) {
      const payload = entry.form === 'raw' && entry.value.length < RAW_IN_PLACE_BYTES ? undefined : versions.payloadFor(entry)
      if (payload instanceof EntryError) {
        this.results[i] = payload
        return
      }
      if (payload === undefined || payload.length <= payloadBytesMax) {
        this.#payloads[i] = payload
        this.#due.push(i)
        return
      }
    }
    this.#large.push({ i, pieceWise: new PieceWise(entry, this.policy, label, argumentBytesMax, pieceBytes) })
  }

  /** Does what is left to do. Throws LinkFault, ServerBusy, StoreError; may be called again after the first two. */
  async attempt(connection: Connection): Promise<void> {
    while (this.#due.length > 0) {
      const sent = this.#due
      const sink = new RestoreSink(this.asking)
      try {
        await this.#send(connection, sent, sink)
      } finally {
        this.#take(sent, sink)
      }
      await this.#settle(connection, sent, sink)
    }
    while (this.#large.length > 0) {
      const { i, pieceWise } = this.#large[0]
      if (this.asking) this.results[i] = new EntryError('refused', 'it is too large for one RESTORE and its slot is being moved; try again when that is over')
      else await this.#writeLarge(connection, i, pieceWise)
      this.#large.shift()
    }
  }

  async #writeLarge(connection: Connection, i: number, pieceWise: PieceWise): Promise<void> {
    try {
      this.results[i] = await pieceWise.write(connection)
      if (this.results[i] === 'exists') await this.#compareDoubtful(connection, [i])
    } catch (error) {
      this.doubtful.add(this.entries[i])
      throw error
    }
  }

  /** Of keys that exist already: those that were sent before and are there as they were sent are ours. */
  async #compareDoubtful(connection: Connection, existing: readonly number[]): Promise<void> {
    const doubtful = existing.filter((i) => this.doubtful.has(this.entries[i]))
    if (doubtful.length === 0) return
    // Nothing is known of them until they have been compared, which may fail.
    for (const i of doubtful) this.results[i] = undefined
    const theirs = await readEntries(connection, doubtful.map((i) => this.entries[i]), 'PTTL', this.asking)
    for (let n = 0; n < doubtful.length; n++) this.results[doubtful[n]] = sameValue(this.entries[doubtful[n]], theirs[n]) ? 'written' : 'exists'
  }

  async #send(connection: Connection, sent: readonly number[], sink: RestoreSink): Promise<void> {
    const writer = RequestWriter.take()
    const commands: number[] = (this.#commands = [])
    const { takesSet, takesMset } = this.options.versions
    this.#usesSet = takesSet
    this.#usesMset &&= takesMset
    for (let n = 0; n < sent.length; ) {
      commands.push(n)
      let end = n + 1
      if (this.#usesMset && this.#goesBySet(sent[n])) while (end < sent.length && end - n < SET_TOGETHER && this.#goesBySet(sent[end])) end++
      if (end - n > 1) this.#writeTogether(writer, sent, n, end)
      else this.#writeOne(writer, sent[n])
      n = end
    }
    const count = commands.length
    commands.push(sent.length)
    await connection.exchange(writer.parts(), (this.asking ? 2 : 1) * count, sink)
    writer.give()
  }

  #writeTogether(writer: RequestWriter, sent: readonly number[], start: number, end: number): void {
    writer.words(1 + 2 * (end - start))
    writer.fixed(this.policy === 'replace' ? MSET : MSETNX)
    for (let n = start; n < end; n++) {
      const { key, value } = this.entries[sent[n]]
      writer.bulk(key)
      writer.bulk(value)
    }
  }

  #writeOne(writer: RequestWriter, i: number): void {
    const replace = this.policy === 'replace'
    const { key, value, expiresAtMs } = this.entries[i]
    if (this.asking) writer.fixed(ASKING)
    if (this.#goesBySet(i)) {
      writer.fixed(replace ? SET_3 : SET_4)
      writer.bulk(key)
      writer.bulk(value)
      if (!replace) writer.fixed(NX)
      return
    }
    const words = (expiresAtMs === undefined ? 0 : 1) + (replace ? 1 : 0)
    writer.fixed(words === 0 ? RESTORE_4 : words === 1 ? RESTORE_5 : RESTORE_6)
    writer.bulk(key)
    if (expiresAtMs === undefined) writer.fixed(NO_EXPIRY)
    // Zero would mean never.
    else writer.integer(Math.max(1, expiresAtMs))
    writer.bulk(this.#payloads[i] ?? smallRawPayload(value))
    if (expiresAtMs !== undefined) writer.fixed(ABSTTL)
    if (replace) writer.fixed(REPLACE)
  }

  /** Small strings that stay: SET costs a server half of what RESTORE does. */
  #goesBySet(i: number): boolean {
    return this.#payloads[i] === undefined && this.entries[i].expiresAtMs === undefined && this.#usesSet
  }

  /** Notes the answers that came, also when the connection broke after them. */
  #take(sent: readonly number[], sink: RestoreSink): void {
    const { results } = this
    const commands = this.#commands
    const answered = commands[sink.count]
    for (let n = 0; n < answered; n++) results[sent[n]] = 'written'
    const left = sent.slice(answered)
    for (const i of left) this.doubtful.add(this.entries[i])
    this.#due = left
    for (const [command, refusal] of sink.refusals ?? []) {
      for (let n = commands[command]; n < commands[command + 1]; n++) {
        results[sent[n]] = undefined
        // The server closes the connection after this one.
        if (/invalid bulk length/.test(refusal.line)) results[sent[n]] = resultOf(refusal, this.options.label)
        else this.#due.push(sent[n])
      }
    }
  }

  /** Looks at the refusals of a batch that was answered in full. */
  async #settle(connection: Connection, sent: readonly number[], sink: RestoreSink): Promise<void> {
    if (sink.refusals === undefined) return
    const { results } = this
    const existing: number[] = []
    this.#due = []
    let passing: Refusal | undefined
    for (const [command, refusal] of sink.refusals) {
      const n = this.#commands[command]
      const i = sent[n]
      if (results[i] !== undefined) continue
      if (isPassing(refusal)) passing = refusal
      const together = this.#commands[command + 1] - n
      if (together > 1) this.#settleApart(sent.slice(n, n + together), refusal)
      else if (isPassing(refusal)) this.#due.push(i)
      else if (refusal.code === 'BUSYKEY') {
        results[i] = 'exists'
        existing.push(i)
      } else if (this.#goesBySet(i) && NO_SUCH_COMMAND.test(refusal.line)) {
        this.options.versions.takesSet = false
        this.#due.push(i)
      } else if (/payload version or checksum/.test(refusal.line)) this.#refusedPayload(i)
      else if (/Bad data format/.test(refusal.line)) this.results[i] = this.#badData(i, refusal)
      else this.results[i] = resultOf(refusal, this.options.label)
    }
    // Should the comparison fail, they are sent again.
    const { length } = this.#due
    this.#due.push(...existing.filter((i) => this.doubtful.has(this.entries[i])))
    await this.#compareDoubtful(connection, existing)
    this.#due.length = length
    if (passing !== undefined) throw new ServerBusy(passing.line)
  }

  /** Keys that were to be set together and were not, one of them exists or the server has its reasons: each by itself. */
  #settleApart(entries: readonly number[], refusal: Refusal): void {
    this.#usesMset = false
    if (NO_SUCH_COMMAND.test(refusal.line)) this.options.versions.takesMset = false
    this.#due.push(...entries)
  }

  /** The target does not take the payload: its version, or it is damaged. */
  #refusedPayload(i: number): void {
    const payload = this.#payloads[i]
    this.#payloads[i] = undefined
    if (payload === undefined) this.results[i] = new EntryError('refused', `${this.options.label} does not take the payload of a string`)
    else if (isWhole(payload)) {
      this.options.versions.refuse(footerVersion(payload, payload.length))
      this.#add(i)
    } else this.results[i] = new EntryError('corrupt', 'the checksum of its payload is wrong')
  }

  #badData(i: number, refusal: Refusal): EntryError {
    const { value, form } = this.entries[i]
    // Type 7 and 6 are values of modules.
    if (form === 'dump' && (value[0] === 7 || value[0] === 6)) return new EntryError('unsupported', `it is a value of a module, which ${this.options.label} can not read`)
    return new EntryError('refused', `${this.options.label} can not read its payload: ${refusal.line}`)
  }
}

/** Strings up to this size are made a payload as they are sent. */
const RAW_IN_PLACE_BYTES = 16384
const STRING_VERSION = 9
const slice = new Slice()
const out = new RdbOutput(RAW_IN_PLACE_BYTES + 64)

/** The payload of a string; good until the next is made. */
function smallRawPayload(value: Buffer): Buffer {
  out.pos = 0
  out.byte(0)
  out.ensure(value.length + STRING_SLACK + 32)
  out.string(slice.set(value, 0, value.length), false)
  return out.buf.subarray(0, writeFooter(out.buf, 0, out.pos, STRING_VERSION))
}

const ZERO = 48
const EXISTS = new Refusal('BUSYKEY Target key name already exists.')

/** Hears one reply per RESTORE, SET or MSET (and one per ASKING before it): counts, and keeps what is no success. */
class RestoreSink implements ReplySink {
  /** Commands that were answered. */
  count = 0
  refusals: Map<number, Refusal> | undefined
  #isAsking: boolean

  constructor(readonly asking: boolean) {
    this.#isAsking = asking
  }

  line(kind: number, buf: Buffer, start: number, end: number): void {
    if (this.asking) {
      this.#isAsking = !this.#isAsking
      if (!this.#isAsking) return
    }
    if (kind === MINUS) (this.refusals ??= new Map()).set(this.count, new Refusal(buf.utf8Slice(start, end)))
    // MSETNX has met a key and set none.
    else if (kind === COLON && buf[start] === ZERO) (this.refusals ??= new Map()).set(this.count, EXISTS)
    this.count++
  }

  bulk(): void {
    this.#unexpected()
  }

  /** SET has met a key. */
  nil(): void {
    ;(this.refusals ??= new Map()).set(this.count++, EXISTS)
    this.#isAsking = this.asking
  }

  array(): void {
    this.#unexpected()
  }

  #unexpected(): void {
    ;(this.refusals ??= new Map()).set(this.count++, new Refusal('ERR an answer that RESTORE does not have'))
  }
}
