/**
 * A process of its own that pings servers all the time and keeps the longest answer: how long a client of theirs had to wait.
 *
 * parent -> 'start' [ports]      child -> 'ready'
 * parent -> 'stop'               child -> { longestMs: { port: ms }, ownLagMs, pings }
 *
 * Each server is pinged again a millisecond after its answer. `ownLagMs` is the longest time this process itself was kept
 * from running (its timer came late): a longest answer below that says nothing about the server.
 */
import { fork } from 'node:child_process'
import net from 'node:net'
import { fileURLToPath } from 'node:url'

/** What a prober has seen. */
export interface Probe {
  longestMs: Record<number, number>
  ownLagMs: number
  pings: number
}

/** Starts a prober on these ports; the function returned stops it and tells what it saw. */
export async function startProber(ports: readonly number[]): Promise<() => Promise<Probe>> {
  const child = fork(fileURLToPath(import.meta.url), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const answer = <T>(): Promise<T> => new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as T))
    child.once('exit', () => reject(new Error('the prober ended')))
  })
  const ready = answer<string>()
  child.send({ start: ports })
  await ready
  return async () => {
    const probe = answer<Probe>()
    child.send({ stop: true })
    const seen = await probe
    child.disconnect()
    return seen
  }
}

const PING = Buffer.from('PING\r\n')

class Pinger {
  longestMs = 0
  pings = 0
  private sentAt = 0

  constructor(private readonly socket: net.Socket) {
    socket.on('data', () => {
      this.longestMs = Math.max(this.longestMs, performance.now() - this.sentAt)
      this.pings++
      this.sentAt = 0
      setTimeout(() => this.ping(), 1)
    })
    this.ping()
  }

  ping(): void {
    this.sentAt = performance.now()
    this.socket.write(PING)
  }

  /** The longest wait, counting one that is still going on. */
  longest(): number {
    return this.sentAt === 0 ? this.longestMs : Math.max(this.longestMs, performance.now() - this.sentAt)
  }
}

function connect(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    socket.once('error', reject)
    socket.once('connect', () => resolve(socket))
  })
}

function serveParent(): void {
  const pingers = new Map<number, Pinger>()
  let ownLagMs = 0
  let last = performance.now()
  setInterval(() => {
    const now = performance.now()
    ownLagMs = Math.max(ownLagMs, now - last - 1)
    last = now
  }, 1)
  process.on('message', (message: { start?: number[]; stop?: true }) => {
    if (message.start !== undefined) {
      const { start } = message
      void Promise.all(start.map(async (port) => pingers.set(port, new Pinger(await connect(port))))).then(() => {
        ownLagMs = 0
        process.send?.('ready')
      })
      return
    }
    const longestMs: Record<number, number> = {}
    let pings = 0
    for (const [port, pinger] of pingers) {
      longestMs[port] = pinger.longest()
      pings += pinger.pings
    }
    process.send?.({ longestMs, ownLagMs, pings })
  })
  process.on('disconnect', () => process.exit(0))
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) serveParent()
