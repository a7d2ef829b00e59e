/**
 * One connection to a Redis-compatible server: requests go out in batches, each in one write, and replies are read in
 * order. Several batches may be under way.
 *
 *     connecting --> authenticated --> open (exchange, exchange ...) --> closed (fault)
 *
 * - Nothing is sent before AUTH has been acknowledged.
 * - While a reply is due, something must move within the time-out: any byte in either direction counts.
 * - A fault ends all exchanges that are not through; what they had is not known to have been done or not.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { monotonicMs } from '../../clock.js'
import { LinkFault, type FaultKind } from '../../transfer/outcome.js'
import { StoreError } from '../../transfer/store.js'
import { Refusal, ReplyReader, ReplyTree, type Reply, type ReplyReceiver, type ReplySink } from './reply-reader.js'
import { RequestWriter, type Word } from './request-writer.js'

/** Where a server is, and as whom to talk to it. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly password: string | undefined
  /** TLS settings when the connection is to be encrypted. */
  readonly tls: ConnectionOptions | undefined
  /** How long nothing may move, in milliseconds. */
  readonly timeoutMs: number
}

/** What a server says of itself. */
export interface ServerFacts {
  /** Changes when it is started again. */
  readonly runId: string
  readonly version: string
  readonly isValkey: boolean
  readonly isCluster: boolean
}

interface Exchange {
  readonly sink: ReplySink
  left: number
  readonly done: () => void
  readonly fail: (fault: LinkFault) => void
}

/** A write is cut into pieces of this size, so that the progress of a large one shows. */
const WRITE_BYTES_MAX = 1024 * 1024
/** All connections read into one buffer: a chunk is consumed before the next one is read. */
const readBuffer = Buffer.from(new ArrayBuffer(65536))

export class Connection implements ReplyReceiver {
  fault: LinkFault | undefined
  facts: ServerFacts = { runId: '', version: '', isValkey: false, isCluster: false }
  readonly #socket: Socket
  readonly #reader = new ReplyReader()
  readonly #queue: Exchange[] = []
  #first = 0
  #current: Exchange | undefined
  #timer: NodeJS.Timeout | undefined
  #lastProgressMs = monotonicMs()
  #connected = false
  #onConnected: (fault?: Error) => void = () => undefined
  /** A certificate was refused. Of TLS 1.3 a server that refuses ours says so when we are connected already. */
  #denial: StoreError | undefined

  private constructor(readonly endpoint: Endpoint, connectTls: typeof import('node:tls').connect | undefined) {
    const { host, port, tls } = endpoint
    if (tls === undefined || connectTls === undefined) {
      const onread = { buffer: readBuffer, callback: (bytes: number): boolean => this.#receive(readBuffer, bytes) }
      this.#socket = connectTcp({ host, port, noDelay: true, onread })
    } else {
      this.#socket = connectTls({ host, port, ...tls })
      this.#socket.setNoDelay(true)
      this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk, chunk.length))
    }
    this.#socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      this.#connected = true
      this.#progress()
      this.#onConnected()
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    this.#socket.on('close', () => this.#fail('read', false, 'the server closed the connection'))
    this.#armTimer()
  }

  /** Connects and authenticates. Throws LinkFault when the server can not be reached, StoreError 'denied' when it refuses us. */
  static async open(endpoint: Endpoint): Promise<Connection> {
    const tls = endpoint.tls === undefined ? undefined : (await import('node:tls')).connect
    const connection = new Connection(endpoint, tls)
    try {
      await new Promise<void>((done, fail) => {
        connection.#onConnected = (fault) => (fault === undefined ? done() : fail(fault))
      })
      await connection.#authenticate()
      return connection
    } catch (error) {
      connection.close()
      throw connection.#denial ?? error
    }
  }

  async #authenticate(): Promise<void> {
    const { user, password } = this.endpoint
    if (password !== undefined) {
      const reply = await this.call(user === undefined ? ['AUTH', password] : ['AUTH', user, password])
      if (reply instanceof Refusal) throw this.denied(reply)
    }
    const info = await this.call(['INFO'])
    if (info instanceof Refusal && info.code === 'NOAUTH') throw this.denied(info)
    // Who may not ask INFO may still copy; only a restart of the server will not be noticed.
    if (Buffer.isBuffer(info)) this.facts = factsOf(info.latin1Slice())
  }

  /** A refusal of who we are, or of what we may. */
  denied(refusal: Refusal): StoreError {
    const { user, password } = this.endpoint
    const who = password === undefined ? 'no password was given' : user === undefined ? 'a password was given' : `as user '${user}'`
    return new StoreError('denied', `${this.name} refuses us (${who}): ${refusal.line}; check username, password and the permissions of that user`)
  }

  get name(): string {
    return `${this.endpoint.host}:${this.endpoint.port}`
  }

  get isOpen(): boolean {
    return this.fault === undefined
  }

  /** Sends requests that have `replies` replies, which `sink` hears. Resolves when all are there. Throws LinkFault. */
  exchange(parts: readonly Buffer[], replies: number, sink: ReplySink): Promise<void> {
    if (this.fault !== undefined) return Promise.reject(this.fault)
    return new Promise((done, fail) => {
      if (this.#current === undefined) this.#progress()
      const exchange: Exchange = { sink, left: replies, done, fail }
      this.#queue.push(exchange)
      this.#current ??= exchange
      this.#armTimer()
      this.#send(parts)
    })
  }

  /** Runs one command. Throws LinkFault; an error reply is returned. */
  async call(words: readonly Word[]): Promise<Reply> {
    return (await this.callAll([words]))[0]
  }

  /** Runs commands in one write. */
  async callAll(commands: readonly (readonly Word[])[]): Promise<Reply[]> {
    const writer = RequestWriter.take()
    for (const words of commands) writer.command(words)
    const tree = new ReplyTree()
    await this.exchange(writer.parts(), commands.length, tree)
    writer.give()
    return tree.replies
  }

  #send(parts: readonly Buffer[]): void {
    const socket = this.#socket
    if (parts.length > 1) socket.cork()
    for (const part of parts) {
      if (part.length <= WRITE_BYTES_MAX) socket.write(part)
      else for (let at = 0; at < part.length; at += WRITE_BYTES_MAX) socket.write(part.subarray(at, at + WRITE_BYTES_MAX), this.#onWritten)
    }
    if (parts.length > 1) socket.uncork()
  }

  readonly #onWritten = (): void => this.#progress()

  #receive(chunk: Buffer, bytes: number): boolean {
    this.#progress()
    const fault = this.#reader.feed(chunk, bytes, this)
    if (fault !== undefined) this.#fail('protocol', false, `the server sent ${fault}; is it a Redis server?`)
    return this.fault === undefined
  }

  line(kind: number, buf: Buffer, start: number, end: number): void {
    this.#current?.sink.line(kind, buf, start, end)
  }

  bulk(buf: Buffer, start: number, end: number): void {
    this.#current?.sink.bulk(buf, start, end)
  }

  nil(): void {
    this.#current?.sink.nil()
  }

  array(count: number): void {
    this.#current?.sink.array(count)
  }

  replyEnd(): boolean {
    const current = this.#current
    if (current === undefined) {
      this.#fail('protocol', false, 'the server sent more replies than it was asked for')
      return false
    }
    if (--current.left > 0) return true
    this.#shift()
    current.done()
    return this.fault === undefined
  }

  #shift(): void {
    this.#first++
    this.#current = this.#queue[this.#first]
    if (this.#first < 64 && this.#current !== undefined) return
    this.#queue.splice(0, this.#first)
    this.#first = 0
  }

  #progress(): void {
    this.#lastProgressMs = monotonicMs()
  }

  #armTimer(): void {
    if (this.#timer !== undefined || this.fault !== undefined) return
    const leftMs = this.endpoint.timeoutMs - (monotonicMs() - this.#lastProgressMs)
    this.#timer = setTimeout(this.#checkIdle, Math.max(1, Math.min(leftMs, 2147483647)))
  }

  readonly #checkIdle = (): void => {
    this.#timer = undefined
    if (this.#connected && this.#current === undefined) return
    if (monotonicMs() - this.#lastProgressMs >= this.endpoint.timeoutMs)
      return this.#fail(this.#connected ? 'read' : 'connect', true, `nothing moved for ${this.endpoint.timeoutMs} ms${!this.#connected && this.endpoint.tls !== undefined ? ', as where no TLS is spoken' : ''}`)
    this.#armTimer()
  }

  #failed(error: NodeJS.ErrnoException & { readonly reason?: string }): void {
    const { code = '' } = error
    // OpenSSL's message has places in its source and a line break; its reason is what is to be told.
    const message = code.startsWith('ERR_SSL_') ? (error.reason ?? code) : error.message
    if (/^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|ERR_TLS_CERT|ERR_SSL_|EPROTO)/.test(code)) {
      const advice = !/_ALERT_/.test(code) ? 'check the tls options'
        : this.endpoint.tls?.cert === undefined ? 'if the server wants a certificate of its clients, give tls_cert_file and tls_key_file'
          : 'if it is our certificate, check tls_cert_file and tls_key_file'
      this.#denial = new StoreError('denied', `no encrypted connection to ${this.name}: ${message}; ${advice}`, { cause: error })
    }
    this.#fail(this.#connected ? 'read' : 'connect', false, message)
  }

  #fail(kind: FaultKind, timedOut: boolean, message: string): void {
    if (this.fault !== undefined) return
    this.fault = new LinkFault(kind, timedOut, `connection to ${this.name}: ${message}`)
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#socket.destroy()
    this.#onConnected(this.fault)
    for (const { fail } of this.#queue.splice(this.#first)) fail(this.fault)
    this.#current = undefined
  }

  /** Ends it; what is under way fails. */
  close(): void {
    this.#fail('read', false, 'closed by us')
  }
}

function factsOf(info: string): ServerFacts {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1]
  const valkey = field('valkey_version')
  return {
    runId: field('run_id') ?? '',
    version: valkey ?? field('redis_version') ?? '',
    isValkey: valkey !== undefined,
    isCluster: field('cluster_enabled') === '1',
  }
}
