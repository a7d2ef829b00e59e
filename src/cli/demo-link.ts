/**
 * The demo's connection to its servers: RESP2 requests out, redis-parser's replies in. Small on purpose; what moves the keys
 * is the servers' own MIGRATE.
 */
import net from 'node:net'
import Parser from 'redis-parser'

/** A reply: strings as Buffers. Error replies are thrown. */
export type LinkReply = Buffer | number | null | LinkReply[]

type Word = string | number | Buffer

interface Waiter {
  resolve: (reply: LinkReply) => void
  reject: (error: Error) => void
}

export class DemoLink {
  private readonly waiters: Waiter[] = []

  private constructor(private readonly socket: net.Socket) {
    const parser = new Parser({
      returnBuffers: true,
      returnReply: (reply: LinkReply) => this.waiters.shift()?.resolve(reply),
      returnError: (error: Error) => this.waiters.shift()?.reject(error),
      returnFatalError: (error: Error) => socket.destroy(error)
    })
    socket.on('data', (chunk: Buffer) => parser.execute(chunk))
    const fail = (error: Error): void => {
      for (const waiter of this.waiters.splice(0)) waiter.reject(error)
    }
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('the server closed the connection')))
  }

  static connect(port: number): Promise<DemoLink> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.removeListener('error', reject)
        resolve(new DemoLink(socket))
      })
    })
  }

  /** One command. Rejects with the server's error text. */
  async call(...words: Word[]): Promise<LinkReply> {
    const [reply] = await this.all([words])
    return reply
  }

  /** Many commands in one write. Rejects when any of them is refused. */
  all(commands: readonly (readonly Word[])[]): Promise<LinkReply[]> {
    this.socket.write(Buffer.concat(commands.flatMap(encode)))
    return Promise.all(commands.map(() => new Promise<LinkReply>((resolve, reject) => this.waiters.push({ resolve, reject }))))
  }

  close(): void {
    this.socket.destroy()
  }
}

const CRLF = Buffer.from('\r\n')

function encode(words: readonly Word[]): Buffer[] {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)]
  for (const word of words) {
    const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF)
  }
  return parts
}
