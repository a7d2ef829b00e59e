/**
 * The server: sockets around an engine, and the clockwork that keeps it tidy.
 *
 * `listen` opens the TCP port (0: a free one), the TLS port and the unix socket that the configuration
 * names. Everything a running server owns (sockets, timers, links to other servers) is released by `close`.
 */
import { chmodSync, readFileSync, unlinkSync } from 'node:fs'
import { createServer as createNetServer, Socket, type AddressInfo, type Server as NetServer } from 'node:net'
import type { Logger } from './logger.js'
import { Connection } from './connection.js'
import { Housekeeping } from './housekeeping.js'
import { Clock } from '../clock.js'
import type { Config } from '../config/index.js'
import { Engine } from '../engine/engine.js'
import { Random } from '../random.js'
import { allCommands } from '../../commands/index.js'
import { migrationsOf } from '../../commands/migrate.js'
import { keyspaceServices } from './keyspace-services.js'
import { Memory } from './memory.js'

/** The one buffer that every plain TCP connection reads into. */
const READ_BYTES = 65536

const PROTECTED_MODE_REFUSAL =
  '-DENIED Running in protected mode because protected mode is enabled and no password is set for the default user. ' +
  'In this mode connections are only accepted from the loopback interface. ' +
  'If you want to connect from external computers, you may adopt one of the following solutions: ' +
  "1) Just disable protected mode by sending the command 'CONFIG SET protected-mode no' from the loopback interface " +
  'by connecting from the same host the server is running, however MAKE SURE it is not publicly accessible ' +
  'from internet if you do so. Use CONFIG REWRITE to make this change permanent. ' +
  '2) Alternatively you can just disable the protected mode by editing the configuration file, ' +
  "and setting the protected mode option to 'no', and then restarting the server. " +
  "3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. " +
  '4) Set up an authentication password for the default user. ' +
  'NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n'

/** Thrown by `listen` when an address can not be used; `code` is the system's. */
export class ListenError extends Error {
  constructor(
    readonly port: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

export class Server {
  readonly engine: Engine
  readonly clock: Clock
  readonly startedMs: number
  /** The TCP port in use once `listen` is through. */
  port = 0
  tlsPort = 0
  readonly #listeners: NetServer[] = []
  readonly #connections = new Set<Connection>()
  readonly #housekeeping: Housekeeping
  readonly #read = Buffer.from(new ArrayBuffer(READ_BYTES))
  /** Called by SHUTDOWN after the server has closed. */
  onShutdown: (() => void) | undefined

  constructor(
    readonly config: Config,
    readonly log: Logger,
    options: { readonly clock?: Clock; readonly random?: Random } = {},
  ) {
    this.clock = options.clock ?? new Clock()
    this.startedMs = this.clock.nowMs
    const random = options.random ?? new Random()
    const memory = new Memory()
    this.engine = new Engine(this.clock, random, config, keyspaceServices(this.clock, random, config), allCommands, {
      usedMemory: () => memory.usedBytes(),
      makeRoom: () => memory.makeRoom(this.engine),
      readFile: (path) => readFileSync(path),
      memoryUse: () => memory,
      log: (line) => log.warning(line),
      shutdown: () => void this.close().then(() => this.onShutdown?.()),
    })
    memory.watch(this.engine)
    this.engine.keyspace.onExpired = (db, key) => this.engine.changed(db, key, 'x', 'expired')
    this.engine.onUnexpected = (command, error) =>
      log.warning(`Unexpected error in '${command.fullName}': ${(error as Error).stack ?? String(error)}`)
    this.#housekeeping = new Housekeeping(this.engine, memory, log)
  }

  /** Opens the sockets of the configuration. Throws ListenError when one is taken or not allowed. */
  async listen(): Promise<void> {
    const { config } = this
    for (const host of bindHosts(config.bind)) await this.#listenTcp(host, this.port === 0 ? config.port : this.port)
    if (config.unixsocket !== '') await this.#listenUnix(config.pathOf(config.unixsocket))
    if (config.tlsPort > 0) await this.#listenTls()
    this.#housekeeping.start()
  }

  async #listenTcp({ host, optional }: BindHost, port: number): Promise<void> {
    const listener = createNetServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#accept(socket, true))
    try {
      await listening(listener, { host, port, backlog: this.config.tcpBacklog, ipv6Only: host === '::' })
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException
      if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT' || code === 'EINVAL')) return
      // A free port chosen on one address may be taken on an address that is optional.
      if (optional && this.port !== 0 && this.config.port === 0) return
      throw new ListenError(port, code, message)
    }
    this.port = (listener.address() as AddressInfo).port
    this.#listeners.push(listener)
  }

  async #listenUnix(path: string): Promise<void> {
    const listener = createNetServer({ pauseOnConnect: true }, (socket) => this.#accept(socket, true))
    try {
      unlinkSync(path)
    } catch {
      // Nothing to remove: the usual case.
    }
    await listening(listener, { path, backlog: this.config.tcpBacklog })
    if (this.config.unixsocketperm !== 0) chmodSync(path, this.config.unixsocketperm)
    this.#listeners.push(listener)
  }

  async #listenTls(): Promise<void> {
    const { config } = this
    const { createServer: createTlsServer } = await import('node:tls')
    const file = (name: string): Buffer | undefined => (name === '' ? undefined : readFileSync(config.pathOf(name)))
    const cert = file(config.tlsCertFile)
    const key = file(config.tlsKeyFile)
    const ca = file(config.tlsCaCertFile)
    const listener = createTlsServer({
      ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }),
      ...(config.tlsKeyFilePass !== '' && { passphrase: config.tlsKeyFilePass }),
      requestCert: config.tlsAuthClients !== 'no',
      rejectUnauthorized: config.tlsAuthClients === 'yes',
    }, (socket) => this.#accept(socket, false))
    listener.on('tlsClientError', () => undefined)
    const [first] = bindHosts(config.bind)
    await listening(listener, { host: first.host, port: config.tlsPort, backlog: config.tcpBacklog })
    this.tlsPort = (listener.address() as AddressInfo).port
    this.#listeners.push(listener)
  }

  #accept(accepted: Socket, plain: boolean): void {
    const refusal = this.#refusal(accepted)
    if (refusal !== undefined) {
      this.engine.stats.rejectedConnections++
      accepted.on('error', () => undefined)
      accepted.end(refusal)
      return
    }
    this.clock.refresh()
    let connection: Connection | undefined
    const socket = plain ? sharingReader(accepted, this.#read, (bytes) => connection?.receive(this.#read, bytes)) : accepted
    socket.setNoDelay(true)
    if (this.config.tcpKeepalive > 0) socket.setKeepAlive(true, this.config.tcpKeepalive * 1000)
    connection = new Connection(this.engine, socket, (closed) => this.#connections.delete(closed), plain)
    this.#connections.add(connection)
    const target = connection
    if (socket === accepted) socket.on('data', (chunk: Buffer) => target.receive(chunk, chunk.length))
    socket.resume()
  }

  #refusal(socket: Socket): string | undefined {
    if (this.#connections.size >= this.config.maxclients) return '-ERR max number of clients reached\r\n'
    const { remoteAddress } = socket
    const local = remoteAddress === undefined || /^(::1|(::ffff:)?127\.)/.test(remoteAddress)
    if (this.config.protectedMode && this.config.requirepass === '' && !local) return PROTECTED_MODE_REFUSAL
    return undefined
  }

  /** Stops listening, closes every connection and link. */
  async close(): Promise<void> {
    this.#housekeeping.stop()
    migrationsOf(this.engine).links.close()
    for (const connection of this.#connections) connection.destroy()
    const closed = this.#listeners.splice(0).map((listener) => new Promise<void>((done) => listener.close(() => done())))
    await Promise.all(closed)
  }
}

interface BindHost {
  readonly host: string
  readonly optional: boolean
}

function bindHosts(bind: readonly string[]): BindHost[] {
  return bind.map((word) => {
    const optional = word.startsWith('-')
    const address = optional ? word.slice(1) : word
    return { host: address === '*' ? '0.0.0.0' : address === '::*' ? '::' : address, optional }
  })
}

function listening(listener: NetServer, options: import('node:net').ListenOptions): Promise<void> {
  return new Promise((done, fail) => {
    listener.once('error', fail)
    listener.listen(options, () => {
      listener.off('error', fail)
      done()
    })
  })
}

/**
 * The same connection with all its reads going to one shared buffer, which saves an allocation and a copy
 * per chunk (about 10 % of the cost of a single request). The handle of an accepted socket is not part of
 * Node's documented interface: without one the socket is used as it is.
 */
function sharingReader(accepted: Socket, buffer: Buffer, onBytes: (bytes: number) => void): Socket {
  const handle = (accepted as unknown as { _handle?: object })._handle
  if (handle === undefined || handle === null) return accepted
  const options = {
    handle,
    allowHalfOpen: false,
    onread: {
      buffer,
      callback: (bytes: number): boolean => {
        onBytes(bytes)
        return true
      },
    },
  }
  const socket = new Socket(options as import('node:net').SocketConstructorOpts)
  // The listener counts the socket it accepted: without this it would never be closed.
  socket.on('close', () => accepted.destroy())
  return socket
}
