/**
 * A raw RESP client for tests: nothing is hidden, nothing is converted.
 *
 * A typed client (ioredis) turns replies into JavaScript values and so cannot tell `$-1` from `*-1`, `+OK` from a bulk
 * `OK`, or a double from the bulk string of the same digits. Tests that compare servers byte for byte need all of that,
 * so this client gives every reply twice: as a lossless tree (`Reply`) and as the bytes that came over the wire.
 * It shares no code with `protocol/`: a mistake there must not be able to hide itself here.
 *
 * `show()` writes a reply on one line; that text is what the tests compare:
 *
 *   +OK              simple string          "a\x00b"         bulk string, as redis-cli quotes it
 *   -ERR text        error                  nil              null bulk `$-1`
 *   :12              integer                nil-array        null array `*-1`
 *   [a, b]           array                  null             RESP3 null `_`
 *   {k: v}           map                    ,1.5             double
 *   ~[a, b]          set                    #t #f            boolean
 *   >[a, b]          push                   ="txt:text"      verbatim string
 *   (123             big number             !"ERR text"      bulk error
 *   |{k: v} value    attributes, then the value they belong to
 */
import net from 'node:net'

/** One word of a command. Numbers are sent as their decimal text. */
export type Word = string | Buffer | number | bigint

/** A reply without loss: the RESP type and the exact content. */
export type Reply =
  | { type: 'simple' | 'error' | 'double' | 'bignum'; text: string }
  | { type: 'integer'; value: number | bigint }
  | { type: 'bulk' | 'verbatim' | 'blob-error'; bytes: Buffer }
  | { type: 'nil' | 'nil-array' | 'null' }
  | { type: 'boolean'; value: boolean }
  | { type: 'array' | 'set' | 'push'; items: Reply[] }
  | { type: 'map'; entries: [Reply, Reply][] }
  | { type: 'attribute'; entries: [Reply, Reply][]; value: Reply }

/** A reply and the bytes it came as. */
export interface Received {
  reply: Reply
  raw: Buffer
}

/** The server closed the connection, or never let it open. */
export class ConnectionClosed extends Error {}

const CRLF = Buffer.from('\r\n')

/** An aggregate whose items are still arriving. */
interface Frame {
  kind: 'array' | 'set' | 'push' | 'map' | 'attribute'
  left: number
  items: Reply[]
}

/** Reads replies from chunks of any size. Linear in the number of bytes: an unfinished aggregate is kept on a stack. */
export class ReplyReader {
  private buffer = Buffer.alloc(0)
  private filled = 0
  private start = 0
  private at = 0
  private readonly stack: Frame[] = []

  /** Takes a chunk and returns the replies it completes. Throws on bytes that are not RESP. */
  feed(chunk: Buffer): Received[] {
    this.append(chunk)
    const done: Received[] = []
    for (;;) {
      const reply = this.next()
      if (reply === undefined) return done
      done.push({ reply, raw: Buffer.from(this.buffer.subarray(this.start, this.at)) })
      this.start = this.at
    }
  }

  /** How many bytes of an unfinished reply are waiting. */
  get pendingBytes(): number {
    return this.filled - this.start
  }

  private append(chunk: Buffer): void {
    if (this.filled + chunk.length > this.buffer.length) {
      const kept = this.filled - this.start
      const grown = Buffer.allocUnsafe(Math.max(2 * kept, kept + chunk.length, 16384))
      this.buffer.copy(grown, 0, this.start, this.filled)
      this.buffer = grown
      this.at -= this.start
      this.filled = kept
      this.start = 0
    }
    chunk.copy(this.buffer, this.filled)
    this.filled += chunk.length
  }

  /** One whole top-level reply, or undefined when more bytes are needed. */
  private next(): Reply | undefined {
    for (;;) {
      let value = this.scalarOrFrame()
      if (value === undefined) return undefined
      if (value === null) continue
      for (;;) {
        const frame = this.stack.at(-1)
        if (frame === undefined) return value
        frame.items.push(value)
        if (--frame.left > 0) break
        this.stack.pop()
        value = finish(frame)
      }
    }
  }

  /** A complete scalar; null when an aggregate was opened; undefined when bytes are missing. */
  private scalarOrFrame(): Reply | null | undefined {
    const end = this.buffer.subarray(0, this.filled).indexOf(CRLF, this.at)
    if (end < 0) return undefined
    const sigil = String.fromCharCode(this.buffer[this.at])
    const text = this.buffer.latin1Slice(this.at + 1, end)
    const after = end + 2
    switch (sigil) {
      case '+': case '-': case ',': case '(':
        this.at = after
        return { type: TEXT_TYPES[sigil], text }
      case ':': {
        if (!/^[+-]?\d+$/.test(text)) throw new Error(`not an integer reply: ${text}`)
        const value = Number(text)
        this.at = after
        return { type: 'integer', value: Number.isSafeInteger(value) ? value : BigInt(text) }
      }
      case '#':
        this.at = after
        return { type: 'boolean', value: text === 't' }
      case '_':
        this.at = after
        return { type: 'null' }
      case '$': case '=': case '!': {
        const length = Number(text)
        if (length < 0) {
          this.at = after
          return { type: 'nil' }
        }
        if (this.filled < after + length + 2) return undefined
        this.at = after + length + 2
        return { type: BYTES_TYPES[sigil], bytes: Buffer.from(this.buffer.subarray(after, after + length)) }
      }
      case '*': case '~': case '>': case '%': case '|':
        this.at = after
        return this.open(sigil, Number(text))
      default:
        throw new Error(`not RESP: ${quote(this.buffer.subarray(this.at, Math.min(this.filled, this.at + 64)))}`)
    }
  }

  private open(sigil: string, count: number): Reply | null {
    if (count < 0) return { type: 'nil-array' }
    const kind = FRAME_TYPES[sigil]
    const left = kind === 'map' ? 2 * count : kind === 'attribute' ? 2 * count + 1 : count
    const frame: Frame = { kind, left, items: [] }
    if (left === 0) return finish(frame)
    this.stack.push(frame)
    return null
  }
}

const TEXT_TYPES: Record<string, 'simple' | 'error' | 'double' | 'bignum'> = { '+': 'simple', '-': 'error', ',': 'double', '(': 'bignum' }
const BYTES_TYPES: Record<string, 'bulk' | 'verbatim' | 'blob-error'> = { '$': 'bulk', '=': 'verbatim', '!': 'blob-error' }
const FRAME_TYPES: Record<string, Frame['kind']> = { '*': 'array', '~': 'set', '>': 'push', '%': 'map', '|': 'attribute' }

function finish(frame: Frame): Reply {
  const { kind, items } = frame
  if (kind === 'map') return { type: kind, entries: pairs(items) }
  if (kind === 'attribute') return { type: kind, entries: pairs(items.slice(0, -1)), value: items.at(-1)! }
  return { type: kind, items }
}

function pairs(items: Reply[]): [Reply, Reply][] {
  const entries: [Reply, Reply][] = []
  for (let i = 0; i < items.length; i += 2) entries.push([items[i], items[i + 1]])
  return entries
}

/** The reply on one line, in the notation of the head comment. */
export function show(reply: Reply): string {
  switch (reply.type) {
    case 'simple': return `+${reply.text}`
    case 'error': return `-${reply.text}`
    case 'double': return `,${reply.text}`
    case 'bignum': return `(${reply.text}`
    case 'integer': return `:${reply.value}`
    case 'bulk': return quote(reply.bytes)
    case 'verbatim': return `=${quote(reply.bytes)}`
    case 'blob-error': return `!${quote(reply.bytes)}`
    case 'boolean': return reply.value ? '#t' : '#f'
    case 'array': return `[${reply.items.map(show).join(', ')}]`
    case 'set': return `~[${reply.items.map(show).join(', ')}]`
    case 'push': return `>[${reply.items.map(show).join(', ')}]`
    case 'map': return `{${reply.entries.map(([k, v]) => `${show(k)}: ${show(v)}`).join(', ')}}`
    case 'attribute': return `|{${reply.entries.map(([k, v]) => `${show(k)}: ${show(v)}`).join(', ')}} ${show(reply.value)}`
    default: return reply.type
  }
}

/** Bytes between double quotes, everything but printable ASCII escaped as redis-cli does. */
export function quote(bytes: Buffer): string {
  let text = '"'
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`
    else if (byte === 0x0a) text += '\\n'
    else if (byte === 0x0d) text += '\\r'
    else if (byte === 0x09) text += '\\t'
    else if (byte === 0x07) text += '\\a'
    else if (byte === 0x08) text += '\\b'
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else text += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `${text}"`
}

/** A command as a multibulk request. Strings are sent as UTF-8. */
export function encodeCommand(words: readonly Word[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)]
  for (const word of words) {
    const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF)
  }
  return Buffer.concat(parts)
}

interface Waiter {
  resolve: (received: Received) => void
  reject: (error: Error) => void
}

/** A connection to a server. Replies are handed out in the order they arrive; RESP3 pushes are kept apart in `pushes`. */
export class RespClient {
  /** RESP3 push messages in the order they came, unless `pushesAreReplies`. */
  readonly pushes: Received[] = []
  /** Set before SUBSCRIBE in RESP3, where the confirmation itself is a push. */
  pushesAreReplies = false
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>

  private readonly reader = new ReplyReader()
  private readonly waiters: Waiter[] = []
  private readonly unclaimed: Received[] = []
  private failure: Error | undefined

  private constructor(private readonly socket: net.Socket, about: (() => string) | undefined) {
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('data', (chunk: Buffer) => this.take(chunk))
    const lost = (reason: string): void => this.fail(new ConnectionClosed(about === undefined ? reason : `${reason}; ${about()}`))
    socket.on('error', (error) => lost(error.message))
    socket.on('close', () => lost('connection closed by the server'))
  }

  /**
   * Connects to 127.0.0.1:port, or to a unix socket when given a path. Rejects with ConnectionClosed.
   * `about` is asked what there is to say about the server when the connection is lost.
   */
  static connect(target: number | string, about?: () => string): Promise<RespClient> {
    return new Promise((resolve, reject) => {
      const socket = typeof target === 'number' ? net.connect({ port: target, host: '127.0.0.1', noDelay: true }) : net.connect(target)
      const refuse = (error: Error): void => reject(new ConnectionClosed(error.message))
      socket.once('error', refuse)
      socket.once('connect', () => {
        socket.removeListener('error', refuse)
        resolve(new RespClient(socket, about))
      })
    })
  }

  /** Sends one command and waits for its reply. */
  send(words: readonly Word[]): Promise<Received> {
    this.socket.write(encodeCommand(words))
    return this.next()
  }

  /** `send`, the tree alone. */
  async call(...words: Word[]): Promise<Reply> {
    return (await this.send(words)).reply
  }

  /** `send`, the reply as the one-line text of `show`. */
  async text(...words: Word[]): Promise<string> {
    return show((await this.send(words)).reply)
  }

  /** Sends all commands in one write and waits for all replies. */
  pipeline(commands: readonly (readonly Word[])[]): Promise<Received[]> {
    this.socket.write(Buffer.concat(commands.map(encodeCommand)))
    return Promise.all(commands.map(() => this.next()))
  }

  /** Sends bytes as they are and waits for as many replies as asked for (default none: see `next`). */
  sendRaw(bytes: Buffer | string, replies = 0): Promise<Received[]> {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return Promise.all(Array.from({ length: replies }, () => this.next()))
  }

  /** The next reply that nobody has claimed. Rejects with ConnectionClosed when there will be none. */
  next(): Promise<Received> {
    const waiting = this.unclaimed.shift()
    if (waiting !== undefined) return Promise.resolve(waiting)
    if (this.failure !== undefined) return Promise.reject(this.failure)
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }))
  }

  /** Everything the server says until it closes the connection, or until it has been silent for `silenceMs`. */
  async rest(silenceMs = 200): Promise<{ replies: Received[]; closed: boolean }> {
    const replies: Received[] = []
    let seen = -1
    while (this.failure === undefined && seen !== this.unclaimed.length) {
      seen = this.unclaimed.length
      await Promise.race([this.closed, new Promise((resolve) => setTimeout(resolve, silenceMs))])
    }
    replies.push(...this.unclaimed.splice(0))
    return { replies, closed: this.failure !== undefined }
  }

  /** Stops and resumes reading, to make the server's output buffer fill. */
  pause(): void { this.socket.pause(); }
  resume(): void { this.socket.resume(); }

  /** Half-closes our side. */
  end(): void { this.socket.end(); }

  /** Drops the connection. */
  close(): void {
    this.failure ??= new ConnectionClosed('closed by the test')
    this.socket.destroy()
  }

  private take(chunk: Buffer): void {
    let arrived: Received[]
    try {
      arrived = this.reader.feed(chunk)
    } catch (error) {
      this.fail(error as Error)
      this.socket.destroy()
      return
    }
    for (const received of arrived) {
      if (received.reply.type === 'push' && !this.pushesAreReplies) this.pushes.push(received)
      else {
        const waiter = this.waiters.shift()
        if (waiter === undefined) this.unclaimed.push(received)
        else waiter.resolve(received)
      }
    }
  }

  private fail(error: Error): void {
    this.failure ??= error
    for (const waiter of this.waiters.splice(0)) waiter.reject(this.failure)
  }
}
