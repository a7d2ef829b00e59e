/**
 * What can go wrong between two servers, by script: a TCP proxy that cuts, resets, stalls, drips, corrupts or inserts at
 * a chosen byte, and a target that answers whatever a test wants.
 *
 *     source ==forth==> FaultProxy ==forth==> target           source ==> ScriptedTarget
 *            <==back===            <==back===
 *
 * Offsets count the bytes of one connection in one direction from its beginning. Everything listens on a free loopback
 * port of its own, since a source keeps its links by address.
 */
import net from 'node:net'

/** From the source to the target, or the replies. */
export type Direction = 'forth' | 'back'

/**
 * What happens when byte `at` is reached (the bytes before it have been passed on):
 * - `cut` both ends are closed in good order; `reset` with RST; `stall` nothing passes any more in this direction;
 * - `corrupt` the byte is passed on with its highest bit flipped; `insert` `bytes` are sent before it;
 * - `drip` from here on one byte per `everyMs`;
 * - `refuse` the connection is closed as soon as it is accepted, after `bytes` when there are any.
 */
export interface Fault {
  readonly kind: 'cut' | 'reset' | 'stall' | 'corrupt' | 'insert' | 'drip' | 'refuse'
  readonly direction: Direction
  readonly at: number
  readonly bytes?: Buffer
  readonly everyMs?: number
  /** Only the first so many connections suffer it. Default: all. */
  readonly connections?: number
}

/** A proxy to `targetPort` on this machine; `fault` may be changed between connections. */
export class FaultProxy {
  /** Connections accepted so far. */
  connections = 0
  /** Bytes of all connections so far, as they came in. */
  readonly bytes: Record<Direction, number> = { forth: 0, back: 0 }
  readonly #sockets = new Set<net.Socket>()

  private constructor(
    private readonly listener: net.Server,
    readonly targetPort: number,
    public fault: Fault | undefined,
  ) {}

  static async start(targetPort: number, fault?: Fault): Promise<FaultProxy> {
    const listener = net.createServer({ noDelay: true })
    const proxy = new FaultProxy(listener, targetPort, fault)
    listener.on('connection', (socket: net.Socket) => proxy.#accept(socket))
    await listening(listener)
    return proxy
  }

  get port(): number {
    return portOf(this.listener)
  }

  /** Sockets that are open, to both sides. */
  get openSockets(): number {
    return this.#sockets.size
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((done) => this.listener.close(() => done()))
  }

  #accept(source: net.Socket): void {
    const number = this.connections++
    const { fault } = this
    const applies = fault !== undefined && number < (fault.connections ?? Infinity) ? fault : undefined
    if (applies?.kind === 'refuse') {
      this.#watch(source)
      source.end(applies.bytes ?? '')
      return
    }
    const target = net.connect({ port: this.targetPort, host: '127.0.0.1', noDelay: true })
    this.#watch(source)
    this.#watch(target)
    this.#pump('forth', source, target, applies?.direction === 'forth' ? applies : undefined)
    this.#pump('back', target, source, applies?.direction === 'back' ? applies : undefined)
  }

  #watch(socket: net.Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
  }

  #pump(direction: Direction, from: net.Socket, to: net.Socket, fault: Fault | undefined): void {
    let seen = 0
    let over = false
    from.on('data', (chunk: Buffer) => {
      const start = seen
      seen += chunk.length
      this.bytes[direction] += chunk.length
      if (over) return
      if (fault === undefined || seen <= fault.at) {
        if (!to.write(chunk)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
        return
      }
      const at = fault.at - start
      if (fault.kind === 'corrupt' || fault.kind === 'insert') {
        if (at < 0) to.write(chunk)
        else to.write(Buffer.concat([chunk.subarray(0, at), changed(fault, chunk[at]), chunk.subarray(at + 1)]))
        return
      }
      if (at > 0) to.write(chunk.subarray(0, at))
      if (fault.kind === 'drip') return drip(chunk.subarray(Math.max(0, at)), from, to, fault.everyMs ?? 1)
      over = true
      if (fault.kind !== 'stall') end(fault.kind, from, to)
    })
    from.on('close', () => to.destroy())
  }
}

function changed(fault: Fault, byte: number): Buffer {
  return fault.kind === 'corrupt' ? Buffer.from([byte ^ 0x80]) : Buffer.concat([fault.bytes ?? Buffer.alloc(0), Buffer.from([byte])])
}

function end(kind: 'cut' | 'reset' | 'refuse', from: net.Socket, to: net.Socket): void {
  if (kind === 'reset') {
    from.resetAndDestroy()
    to.resetAndDestroy()
    return
  }
  // What was passed on arrives before the end does.
  to.end(() => to.destroy())
  from.end(() => from.destroy())
}

function drip(bytes: Buffer, from: net.Socket, to: net.Socket, everyMs: number): void {
  from.pause()
  let at = 0
  const timer = setInterval(() => {
    if (to.destroyed || at === bytes.length) {
      clearInterval(timer)
      from.resume()
      return
    }
    to.write(bytes.subarray(at, ++at))
  }, everyMs)
}

/** What a scripted target does with a command: answers these bytes, says nothing, or ends the connection ('close', 'reset'). */
export type Answer = string | Buffer | undefined

/** Asked per command; `later` answers (in order) when the script itself returned nothing. */
export type Script = (words: readonly string[], number: number, connection: number, later: (bytes: Buffer) => void) => Answer

/** A target whose answers a test writes: `answer` is asked per command, with its words and its number. */
export class ScriptedTarget {
  connections = 0
  /** Every command that came, its words as latin1 text. */
  readonly commands: string[][] = []
  readonly #sockets = new Set<net.Socket>()

  private constructor(
    private readonly listener: net.Server,
    private readonly answer: Script,
  ) {}

  static async start(answer: Script): Promise<ScriptedTarget> {
    const listener = net.createServer({ noDelay: true })
    const target = new ScriptedTarget(listener, answer)
    listener.on('connection', (socket: net.Socket) => target.#accept(socket))
    await listening(listener)
    return target
  }

  get port(): number {
    return portOf(this.listener)
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((done) => this.listener.close(() => done()))
  }

  #accept(socket: net.Socket): void {
    const connection = this.connections++
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
    let kept = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      kept = Buffer.concat([kept, chunk])
      for (;;) {
        const found = firstCommand(kept)
        if (found === undefined || socket.destroyed) return
        kept = kept.subarray(found.end)
        const answer = this.answer(found.words, this.commands.push(found.words) - 1, connection, (bytes) => void socket.write(bytes))
        if (answer === 'close') socket.end(() => socket.destroy())
        else if (answer === 'reset') socket.resetAndDestroy()
        else if (answer !== undefined) socket.write(typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer)
      }
    })
  }
}

/** The first whole multibulk command of a buffer. */
function firstCommand(bytes: Buffer): { words: string[]; end: number } | undefined {
  let at = 0
  const line = (): number | undefined => {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return undefined
    const value = Number(bytes.latin1Slice(at + 1, end))
    at = end + 2
    return value
  }
  const count = line()
  if (count === undefined) return undefined
  const words: string[] = []
  while (words.length < count) {
    const length = line()
    if (length === undefined || at + length + 2 > bytes.length) return undefined
    words.push(bytes.latin1Slice(at, at + length))
    at += length + 2
  }
  return { words, end: at }
}

function listening(listener: net.Server): Promise<void> {
  return new Promise((done, fail) => {
    listener.once('error', fail)
    listener.listen(0, '127.0.0.1', () => done())
  })
}

function portOf(listener: net.Server): number {
  return (listener.address() as net.AddressInfo).port
}
