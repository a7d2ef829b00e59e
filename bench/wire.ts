/**
 * A raw connection for benchmarks: requests are bytes made beforehand, replies are counted (and looked at only when asked
 * for), so that the driver costs little beside the server it drives. Replies are read by redis-parser.
 */
import net from 'node:net'
import Parser from 'redis-parser'

/** A reply as redis-parser gives it: Buffer for strings, number, null, Error for error lines, or an array of these. */
export type WireReply = Buffer | number | null | Error | WireReply[]

/** Requests that may be unanswered at one time while a stream of them is sent. */
const WINDOW = 4096

export class Wire {
  private readonly waiting: ((reply: WireReply) => void)[] = []
  private head = 0
  private failure: Error | undefined
  private wake: (() => void) | undefined

  private constructor(private readonly socket: net.Socket) {
    const answer = (reply: WireReply): void => {
      const waiter = this.waiting[this.head++]
      if (this.head > 1024 && this.head * 2 > this.waiting.length) {
        this.waiting.splice(0, this.head)
        this.head = 0
      }
      waiter(reply)
    }
    const parser = new Parser({
      returnBuffers: true,
      returnReply: (reply: WireReply) => answer(reply),
      returnError: (error: Error) => answer(error),
      returnFatalError: (error: Error) => socket.destroy(error),
    })
    socket.on('data', (chunk: Buffer) => {
      parser.execute(chunk)
      this.wake?.()
    })
    const fail = (error: Error): void => {
      this.failure ??= error
      for (const waiter of this.waiting.splice(this.head)) waiter(error)
      this.head = 0
      this.wake?.()
    }
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('the server closed the connection')))
  }

  static connect(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve(new Wire(socket))
      })
    })
  }

  /** One command; throws on an error reply. */
  async call(...words: (string | number | Buffer)[]): Promise<WireReply> {
    const reply = await this.ask(command(...words))
    if (reply instanceof Error) throw reply
    return reply
  }

  /** One request made beforehand; an error line is returned, not thrown. */
  ask(request: Buffer): Promise<WireReply> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    return new Promise((resolve) => {
      this.waiting.push(resolve)
      this.socket.write(request)
    })
  }

  /**
   * Sends `count` requests, at most WINDOW unanswered, about 64 KB per write. Each reply goes to `onReply`; without it an error
   * reply throws.
   */
  async stream(count: number, request: (i: number) => Buffer, onReply?: (reply: WireReply, i: number) => void): Promise<void> {
    let answered = 0
    let problem: Error | undefined
    const take = (reply: WireReply): void => {
      if (onReply !== undefined) onReply(reply, answered)
      else if (reply instanceof Error) problem ??= reply
      answered++
    }
    for (let sent = 0; sent < count;) {
      let bytes = 0
      const parts: Buffer[] = []
      while (sent < count && sent - answered < WINDOW && bytes < 65536) {
        const part = request(sent++)
        parts.push(part)
        bytes += part.length
        this.waiting.push(take)
      }
      if (parts.length > 0) this.socket.write(parts.length === 1 ? parts[0] : Buffer.concat(parts, bytes))
      while (sent - answered >= WINDOW || this.socket.writableLength > 1 << 20 || (sent >= count && answered < sent)) {
        if (this.failure !== undefined) throw this.failure
        await this.progress()
        if (sent < count && sent - answered < WINDOW && this.socket.writableLength <= 1 << 20) break
      }
      if (problem !== undefined) throw problem
    }
  }

  close(): void {
    this.socket.destroy()
  }

  /** Until something arrived, or the output buffer drained. */
  private progress(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.wake = undefined
        this.socket.removeListener('drain', done)
        resolve()
      }
      this.wake = done
      this.socket.once('drain', done)
    })
  }
}

/** A command as a multibulk request. */
export function command(...words: (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)]
  for (const word of words) {
    const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word), 'latin1')
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF)
  }
  return Buffer.concat(parts)
}

const CRLF = Buffer.from('\r\n')
