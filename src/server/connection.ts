/**
 * One client's socket: chunks in, commands to the engine, one write per chunk out.
 *
 * All connections read into one shared buffer (`ReadBuffer`), since a chunk is consumed before the next one
 * is read. A connection whose session waits (a suspended command, a key in flight) stops reading; what it
 * had read already is kept by its parser.
 */
import type { Socket } from 'node:net'
import { describeClient } from '../../commands/client-list.js'
import { RequestParser } from '../../protocol/resp/request.js'
import { Args } from '../engine/args.js'
import type { Engine } from '../engine/engine.js'
import type { Session, SessionLink } from '../engine/session.js'
import { SocketWriter } from '../socket-writer.js'

/**
 * Output that may wait for a slow client before its requests are no longer executed. Plenty, because a client
 * may send all of a long pipeline before it reads the first reply: then neither side would go on.
 */
const OUTPUT_PAUSE_BYTES = 64 * 1024 * 1024
/** Replies to one chunk are sent when they are together, but not more than this at a time. */
const FLUSH_BYTES = 1024 * 1024
/** A reply buffer that grew beyond this is given back. */
const REPLY_KEEP_BYTES = 1024 * 1024
/**
 * A full buffer that took longer than this was many commands: others come before the next one. A full buffer of one
 * long value is copied, and its checksum taken, in less.
 */
const LONG_CHUNK_MS = 0.1
/** Requests that a client may send ahead while its session waits. */
const AHEAD_BYTES_MAX = 65536

export class Connection implements SessionLink {
  readonly session: Session
  readonly parser: RequestParser
  readonly #args: Args
  readonly #writer: SocketWriter
  /** The parser's command has not run yet: it waits. */
  #pending = false
  #running = false
  #closed = false
  #readingPaused = false
  /** Requests wait until the client has read some of its replies. */
  #stalled = false
  /** The second since which more output waits than the soft limit allows; 0: it does not. */
  #overSoftLimitSince = 0

  constructor(
    readonly engine: Engine,
    readonly socket: Socket,
    readonly onClose: (connection: Connection) => void,
    plain: boolean,
  ) {
    this.#writer = new SocketWriter(socket, () => this.#onRoom(), plain)
    this.session = engine.openSession(this)
    this.parser = new RequestParser((window, bounds, count) => this.session.db.approach(window, bounds, count))
    this.#args = new Args(this.parser.words)
    socket.on('error', () => this.destroy())
    socket.on('close', () => this.#forget())
    socket.on('end', () => this.#forget())
  }

  get address(): string {
    return endpoint(this.socket.remoteAddress, this.socket.remotePort)
  }

  get localAddress(): string {
    return endpoint(this.socket.localAddress, this.socket.localPort)
  }

  get descriptor(): number {
    const handle = (this.socket as unknown as { _handle?: { fd?: number } })._handle
    return handle?.fd ?? -1
  }

  get queryBytes(): number {
    return this.parser.keptBytes
  }

  get queryFreeBytes(): number {
    return this.parser.freeBytes
  }

  get outputBytes(): number {
    return this.#writer.waitingBytes
  }

  /** A chunk has been read. */
  receive(chunk: Buffer, bytes: number): void {
    if (this.#closed || this.session.closing) return
    this.session.bytesIn += bytes
    this.engine.stats.reads++
    const engine = this.engine
    const startedMs = bytes === chunk.length ? engine.clock.monotonicMs() : 0
    engine.clock.refresh()
    this.parser.bulkBytesMax = engine.config.protoMaxBulkLen
    this.parser.feed(chunk, 0, bytes)
    if (!this.#isBlocked) this.#process()
    this.parser.keep()
    if (this.#isBlocked) this.#maybeRead()
    if (this.parser.keptBytes + this.session.queueBytes > engine.config.clientQueryBufferLimit) {
      engine.stats.queryLimitCloses++
      this.destroy()
    }
    if (startedMs > 0 && engine.clock.monotonicMs() - startedMs > LONG_CHUNK_MS) this.#letOthersRead()
  }

  #process(): void {
    const { engine, session, parser } = this
    engine.enter(session)
    const args = this.#args
    this.#running = true
    for (;;) {
      if (!this.#pending) {
        parser.authenticated = session.authenticated
        const found = parser.next()
        if (parser.passedEmpty) {
          parser.passedEmpty = false
          if (session.replyMode === 'skip') session.replyMode = 'on'
        }
        if (found === 'more') break
        if (found === 'error') {
          if (session.replyMode === 'on') engine.reply.error(`ERR ${parser.errorText}`)
          session.closing = true
          break
        }
        args.count = parser.count
      }
      const outcome = engine.execute(session, args)
      this.#pending = outcome === 'wait'
      parser.wait(this.#pending)
      if (outcome !== 'done' || session.closing || this.#closed) break
      if (engine.reply.pos > FLUSH_BYTES && this.#flushEarly()) break
    }
    this.#running = false
    engine.leave(this.#flush)
    if (session.closing) this.#end()
    else this.#maybeRead()
  }

  /** Sends what there is of the replies. True when the client has to read before it gets more. */
  #flushEarly(): boolean {
    this.#flush()
    this.#stalled = this.#writer.waitingBytes > OUTPUT_PAUSE_BYTES
    return this.#stalled || this.#closed
  }

  #onRoom(): void {
    if (this.#stalled && this.#writer.waitingBytes <= OUTPUT_PAUSE_BYTES) {
      this.#stalled = false
      if (!this.#pending || !this.session.waiting) this.resume()
    }
    this.#maybeRead()
  }

  readonly #flush = (): void => {
    const reply = this.engine.reply
    if (reply.pos === 0) return
    if (!this.#closed) {
      this.session.bytesOut += reply.pos
      this.engine.stats.writes++
      // Written at once: the buffer is free again. Otherwise it belongs to the socket now.
      const isSent = this.#writer.write(reply.buf.subarray(0, reply.pos))
      if (!isSent || reply.buf.length > REPLY_KEEP_BYTES) reply.renew()
      if (!isSent) this.limitOutput()
    }
    reply.pos = 0
  }

  /**
   * Node reads a socket up to 32 times before it looks at another one: with a full buffer of small commands
   * each time, that is 30 ms in which nobody else is served.
   */
  #letOthersRead(): void {
    if (this.#readingPaused || this.#closed) return
    this.#readingPaused = true
    this.socket.pause()
    setImmediate(() => this.#maybeRead())
  }

  #maybeRead(): void {
    const pause =
      (this.#isBlocked && this.parser.keptBytes > AHEAD_BYTES_MAX) || this.#writer.waitingBytes > OUTPUT_PAUSE_BYTES
    if (pause === this.#readingPaused || this.#closed) return
    this.#readingPaused = pause
    if (pause) this.socket.pause()
    else this.socket.resume()
  }

  /** The session waits: its further requests are kept. */
  get #isBlocked(): boolean {
    return this.#pending || this.#stalled || this.session.suspension !== undefined
  }

  sendReply(): void {
    this.#flush()
  }

  send(bytes: Buffer): void {
    if (this.#closed) return
    this.session.bytesOut += bytes.length
    if (!this.#writer.write(bytes)) this.limitOutput()
  }

  forget(): void {
    if (!this.#isBlocked) this.parser.forget()
  }

  limitOutput(): void {
    const { engine, session } = this
    const { hardBytes, softBytes, softSeconds } = engine.config.clientOutputBufferLimit.normal
    const waiting = this.#writer.waitingBytes
    let isOver = hardBytes > 0 && waiting >= hardBytes
    if (softBytes > 0 && waiting >= softBytes) {
      // As in Valkey, whole seconds are counted.
      const second = Math.floor(engine.clock.nowMs / 1000)
      if (this.#overSoftLimitSince === 0) this.#overSoftLimitSince = second
      else if (second - this.#overSoftLimitSince > softSeconds) isOver = true
    } else this.#overSoftLimitSince = 0
    if (!isOver || this.#closed) return
    engine.stats.outputLimitCloses++
    engine.services.log?.(`Client ${describeClient(engine, session, engine.config.hideUserDataFromLog)} closed for overcoming of output buffer limits.`)
    this.destroy()
  }

  resume(): void {
    if (this.#closed || this.#running || this.#stalled || this.session.suspension !== undefined) return
    this.#process()
    this.parser.keep()
  }

  closeAfterReply(): void {
    this.session.closing = true
    if (!this.#running) this.#end()
  }

  #end(): void {
    if (this.#closed) return
    this.socket.end()
    this.#forget()
    setTimeout(() => this.socket.destroy(), 1000).unref()
  }

  destroy(): void {
    this.socket.destroy()
    this.#forget()
  }

  #forget(): void {
    if (this.#closed) return
    this.#closed = true
    this.engine.closeSession(this.session)
    this.onClose(this)
  }
}

function endpoint(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return ''
  const host = address.startsWith('::ffff:') ? address.slice(7) : address
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
