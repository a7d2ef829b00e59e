/**
 * A connection that we open to a Redis-compatible server, to send it keys.
 *
 *     connecting --> ready --attend--> in use --release--> ready ...
 *          \______________\______________\__________> closed (fault)
 *
 * AUTH and SELECT are each acknowledged before anything that depends on them is sent. One idle time-out
 * watches over everything: any byte in either direction restarts it. Whatever the target sends that was not
 * asked for is a fault and closes the link.
 *
 * Small batches of several commands share a link: whoever joins sends behind those that have sent all of theirs, and the
 * replies come in that order. What is sent while several others wait for replies leaves together at the end of the loop's turn, so
 * that many commands cost the system, and the target, one packet. A joiner does not restart the idle time-out, for the
 * others' sake, so a link is joined only while its target answers promptly.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import respjs from 'respjs'
import { monotonicMs } from '../../clock.js'
import { SocketWriter } from '../../socket-writer.js'
import type { BatchLink, LinkListener } from '../../transfer/batch.js'
import { LinkFault, type FaultKind } from '../../transfer/outcome.js'
import { ReplyLines, type LineKind } from './reply-lines.js'

/** Whom to connect to, and as whom. Links are only shared between commands that agree on all of it. */
export interface Target {
  /** Host and port as the command named them. */
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly password: string | undefined
  /** TLS settings when the link is to be encrypted. */
  readonly tls: import('node:tls').ConnectionOptions | undefined
}

/** All links read into one buffer: a chunk is consumed before the next one is read. */
const readBuffer = Buffer.from(new ArrayBuffer(65536))

/** Node's timers take no longer time. */
const TIMER_MS_MAX = 2147483647

function ignore(): void {}

const IGNORING: LinkListener = { answered: ignore, rested: ignore, hasRoom: ignore, failed: ignore }

/** Behind so many replies, and so much silence, nobody joins. */
const AHEAD_MAX = 128
const SILENCE_MS = 10
/** What is collected until the end of a turn, and behind how many others: fewer are sooner sent to at once. */
const GATHER_BYTES = 65536
const GATHER_BEHIND = 3

/** Who listens, and for how many replies. */
interface Rider {
  readonly listener: LinkListener
  expected: number
  /** Those of them for which nothing has been sent yet. */
  unsent: number
  /** Replies have come that it has not been told the end of. */
  stirred: boolean
}

export class Link implements BatchLink {
  /** The database selected there, as SELECT named it; undefined when that is not known. */
  db: string | undefined
  authenticated = false
  lastUsedMs = 0
  /** Why it is closed. */
  fault: LinkFault | undefined
  readonly #socket: Socket
  readonly #lines = new ReplyLines()
  /** In the order in which they sent; the last one may still be sending. */
  readonly #riders: Rider[] = []
  #uses = 0
  /** Sent while others wait for replies: leaves at the end of the turn. */
  #gathered: Buffer | undefined
  #gatheredBytes = 0
  /** There is one once the connection stands. */
  #writer: SocketWriter | undefined
  #timer: NodeJS.Timeout | undefined
  #timerDueMs = 0
  #timeoutMs = 0
  #lastProgressMs = 0
  #lastQueued = 0

  constructor(readonly target: Target, connectTls?: typeof import('node:tls').connect) {
    const { host, port, tls } = target
    if (tls === undefined || connectTls === undefined) {
      const onread = { buffer: readBuffer, callback: (bytes: number): boolean => this.#receive(readBuffer, bytes) }
      this.#socket = connectTcp({ host, port, noDelay: true, onread })
    } else {
      this.#socket = connectTls({ host, port, ...tls })
      this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk, chunk.length))
    }
    this.#socket.setNoDelay(true)
    // A link alone keeps no process alive: the server that moves keys does.
    this.#socket.unref()
    // Not earlier: while it tries one address after the other, a socket changes its handle.
    this.#socket.once(this.#connectEvent, () => {
      this.#writer = new SocketWriter(this.#socket, () => this.#hasRoom(), tls === undefined)
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    this.#socket.on('close', () => this.#fail(this.#writer === undefined && tls !== undefined ? 'connect' : this.#direction, false, 'the target closed the connection'))
  }

  /** Waits until the connection stands. Throws LinkFault. */
  ready(): Promise<void> {
    if (this.fault !== undefined) return Promise.reject(this.fault)
    if (this.#writer !== undefined) return Promise.resolve()
    return new Promise((done, failed) => {
      this.onFailure(failed)
      this.#socket.once(this.#connectEvent, () => {
        this.progress()
        done()
      })
    })
  }

  get #connectEvent(): 'connect' | 'secureConnect' {
    return this.target.tls === undefined ? 'connect' : 'secureConnect'
  }

  /** Whether keys for this database may be sent at once: nothing has to be acknowledged before. */
  isReadyFor(db: string): boolean {
    return this.fault === undefined && this.#writer !== undefined && this.db === db &&
      (this.authenticated || this.target.password === undefined)
  }

  /** Whether a batch for this database, under this time-out, may be sent behind those that wait for replies now. */
  isJoinable(db: string, timeoutMs: number): boolean {
    return timeoutMs === this.#timeoutMs && this.isReadyFor(db) && monotonicMs() - this.#lastProgressMs < SILENCE_MS &&
      this.#riders.reduce((ahead, { expected }) => ahead + expected, 0) < AHEAD_MAX
  }

  /** Begins another use beside those that there are. */
  join(): void {
    this.#uses++
  }

  /** How many use it. */
  get uses(): number {
    return this.#uses
  }

  /** Begins a use of the link, which nobody else has, under an idle time-out in milliseconds. */
  acquire(timeoutMs: number): void {
    this.#uses = 1
    this.#timeoutMs = timeoutMs
    this.progress()
    // A timer left by the use before serves this one too, unless it is due too late.
    if (this.#timer !== undefined && this.#timerDueMs <= this.#lastProgressMs + timeoutMs) return
    clearTimeout(this.#timer)
    this.#armTimer(timeoutMs)
  }

  #armTimer(ms: number): void {
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(1, ms))
    this.#timerDueMs = this.#lastProgressMs + this.#timeoutMs
    this.#timer = setTimeout(this.#checkIdle, delayMs).unref()
  }

  /** Ends a use. After the last one the link waits for its next. */
  release(nowMs: number): void {
    this.lastUsedMs = nowMs
    if (--this.#uses === 0) this.#riders.length = 0
  }

  get isOpen(): boolean {
    return this.fault === undefined
  }

  readonly #checkIdle = (): void => {
    this.#timer = undefined
    if (this.#uses === 0 || this.fault !== undefined) return
    // A part of a large write that went out shows in the handle's queue alone.
    const queued = this.waitingBytes + (this.#writer?.queuedBytes ?? 0)
    if (queued !== this.#lastQueued) this.progress()
    this.#lastQueued = queued
    const idleMs = monotonicMs() - this.#lastProgressMs
    if (idleMs >= this.#timeoutMs) {
      const kind = this.#writer !== undefined ? this.#direction : 'connect'
      return this.#fail(kind, true, `nothing moved for ${this.#timeoutMs} ms`)
    }
    this.#armTimer(this.#timeoutMs - idleMs)
  }

  progress(): void {
    this.#lastProgressMs = monotonicMs()
  }

  /** Bytes that the socket has not handed to the system yet. */
  get waitingBytes(): number {
    return this.#gatheredBytes + (this.#writer?.waitingBytes ?? 0)
  }

  send(bytes: Buffer): boolean {
    if (this.fault !== undefined || this.#writer === undefined) return false
    if (this.#riders.length > GATHER_BEHIND && this.#gather(bytes)) return true
    this.#sendGathered()
    const last = this.#riders.at(-1)
    if (last !== undefined) last.unsent = 0
    return this.#writer.write(bytes)
  }

  /** Keeps bytes until the end of the turn; false when they are too many. */
  #gather(bytes: Buffer): boolean {
    if (this.#gatheredBytes + bytes.length > GATHER_BYTES) return false
    this.#gathered ??= Buffer.allocUnsafeSlow(GATHER_BYTES)
    if (this.#gatheredBytes === 0) setImmediate(() => this.#sendGathered())
    this.#gathered.set(bytes, this.#gatheredBytes)
    this.#gatheredBytes += bytes.length
    return true
  }

  #sendGathered(): void {
    if (this.#gatheredBytes === 0 || this.#gathered === undefined || this.fault !== undefined) return
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes)
    this.#gatheredBytes = 0
    for (const rider of this.#riders) rider.unsent = 0
    // What the system has not taken at once is not written over.
    if (this.#writer?.write(bytes) !== true) this.#gathered = undefined
  }

  #hasRoom(): void {
    this.progress()
    this.#riders.at(-1)?.listener.hasRoom()
  }

  attend(listener: LinkListener): void {
    // Who waits for nothing more has gone.
    while (this.#riders.length > 0 && this.#riders[0].expected === 0) this.#riders.shift()
    this.#riders.push({ listener, expected: 0, unsent: 0, stirred: false })
  }

  /** Whom to tell when the link fails while nobody waits for reply lines. */
  onFailure(failed: (fault: LinkFault) => void): void {
    this.attend({ ...IGNORING, failed })
  }

  expect(replies: number): void {
    const last = this.#riders.at(-1)
    if (last === undefined) return
    last.expected += replies
    last.unsent += replies
  }

  /** Sends one command and returns the error line it is answered with, or undefined for success. */
  request(words: readonly (string | Buffer)[]): Promise<string | undefined> {
    return new Promise((answered, failed) => {
      if (this.fault !== undefined) return failed(this.fault)
      this.attend({ ...IGNORING, answered, failed })
      this.expect(1)
      this.sendRequest(words)
    })
  }

  /** Sends one command, its texts as latin1 bytes; the caller reads what comes back. */
  sendRequest(words: readonly (string | Buffer)[]): void {
    this.send(respjs.encodeRequest(words.map((word) => (typeof word === 'string' ? Buffer.from(word, 'latin1') : word))))
  }

  /** Hands what arrives to `reader` instead of reading reply lines, until it is called without one. */
  readRaw(reader: ((chunk: Buffer) => void) | undefined): void {
    this.#raw = reader
  }

  #raw: ((chunk: Buffer) => void) | undefined

  /** AUTH and SELECT as far as they are due. Returns the error line of the one that was refused. */
  async prepare(db: string): Promise<string | undefined> {
    const { user, password } = this.target
    if (password !== undefined && !this.authenticated) {
      const refusal = await this.request(user === undefined ? ['AUTH', password] : ['AUTH', user, password])
      if (refusal !== undefined) return refusal
      this.authenticated = true
    }
    if (this.db === db) return undefined
    const refusal = await this.request(['SELECT', db])
    this.db = refusal === undefined ? db : undefined
    return refusal
  }

  /** Reads what arrived; true, so that Node goes on reading. */
  #receive(chunk: Buffer, bytes: number): boolean {
    this.progress()
    if (this.#raw !== undefined) {
      this.#raw(Buffer.from(chunk.subarray(0, bytes)))
      return true
    }
    if (!this.#lines.feed(chunk, 0, bytes, this.#onLine)) this.#fail('protocol', false, 'the target answered what is no reply')
    this.#rest()
    return true
  }

  /** Tells those who had replies. Whoever has them all goes, but for the last, who may be sending yet. */
  #rest(): void {
    const riders = this.#riders
    const stirred = riders.filter((rider) => rider.stirred)
    while (riders.length > 1 && riders[0].expected === 0) riders.shift()
    for (const rider of stirred) {
      rider.stirred = false
      rider.listener.rested()
    }
  }

  readonly #onLine = (kind: LineKind, text: string): boolean => {
    const rider = this.#riders.find(({ expected }) => expected > 0)
    if (rider === undefined || rider.expected === rider.unsent) {
      this.#fail('protocol', false, 'the target sent more replies than it was asked for')
      return false
    }
    rider.expected--
    rider.stirred = true
    if (kind === '-') rider.listener.answered(text)
    else if (kind === '+' && text === 'OK') rider.listener.answered(undefined)
    else {
      this.#fail('protocol', false, `the target answered ${kind}${text.slice(0, 64)} where only OK or an error is due`)
      return false
    }
    return this.fault === undefined
  }

  get #direction(): FaultKind {
    return this.waitingBytes > 0 ? 'write' : 'read'
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#writer !== undefined) return this.#fail(this.#direction, false, error.message)
    // A name that does not resolve is told apart, and so is all that happens before an encrypted connection stands; a
    // refused connection without encryption shows, as in Redis, when writing.
    const unresolved = error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN' || error.code === 'EAI_NODATA'
    this.#fail(unresolved || this.target.tls !== undefined ? 'connect' : 'write', false, error.message)
  }

  #fail(kind: FaultKind, timedOut: boolean, message: string): void {
    if (this.fault !== undefined) return
    const { host, port } = this.target
    this.fault = new LinkFault(kind, timedOut, `link to ${host}:${port}: ${message}`)
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#socket.destroy()
    for (const { listener } of this.#riders.slice()) listener.failed(this.fault)
  }

  /** Closes the link under the feet of whoever uses it. */
  abort(): void {
    this.#fail(this.#direction, true, 'closed by us')
  }

  /** Closes the link; those who wait for replies are told. */
  close(): void {
    this.#fail('read', false, 'closed by us')
  }
}
