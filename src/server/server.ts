/**
 * The server: sockets around an engine, and the clockwork that keeps it tidy.
 *
 * `listen` opens the TCP port (0: a free one), the TLS port and the unix socket that the configuration
 * names. Everything a running server owns (sockets, timers, links to other servers) is released by `close`.
 */
import { chmodSync, readFileSync, unlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer as createNetServer, isIP, Socket, type AddressInfo, type Server as NetServer } from 'node:net'
import type { Logger } from './logger.js'
import { Connection } from './connection.js'
import { Housekeeping } from './housekeeping.js'
import { Clock } from '../clock.js'
import { ConfigFileError, type Config } from '../config/index.js'
import { Call } from '../engine/call.js'
import { Engine } from '../engine/engine.js'
import { seedDuplicates } from '../../protocol/rdb/duplicates.js'
import { seedHash } from '../keyspace/table.js'
import { quoted } from '../engine/monitor.js'
import type { KeyOutcome } from '../engine/services.js'
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
  #tcpListeners: NetServer[] = []
  #tlsListener: NetServer | undefined
  #unixListener: NetServer | undefined
  /** What the TCP listeners were opened for: `bind` and `port`. */
  #listensFor = ''
  #isListening = false
  readonly #connections = new Set<Connection>()
  readonly #housekeeping: Housekeeping
  readonly #read = Buffer.from(new ArrayBuffer(READ_BYTES))
  /** Called by SHUTDOWN after the server has closed. */
  onShutdown: (() => void) | undefined

  constructor(
    readonly config: Config,
    readonly log: Logger,
    options: { readonly clock?: Clock; readonly random?: Random; readonly onMigrate?: ((outcome: KeyOutcome) => void) | undefined } = {},
  ) {
    this.clock = options.clock ?? new Clock()
    this.startedMs = this.clock.nowMs
    const random = options.random ?? new Random()
    seedHashes(random)
    const memory = new Memory()
    this.engine = new Engine(this.clock, random, config, keyspaceServices(this.clock, random, config), allCommands, {
      usedMemory: () => memory.usedBytes(),
      makeRoom: () => memory.makeRoom(this.engine),
      readFile: (path) => readFileSync(path),
      memoryUse: () => memory,
      log: (line) => log.warning(line),
      shutdown: () => void this.close().then(() => this.onShutdown?.()),
    }, (engine) => new Call(engine))
    this.#applyLines()
    memory.watch(this.engine)
    this.engine.keyspace.onExpired = (db, key) => this.engine.changed(db, key, 'x', 'expired')
    this.engine.onUnexpected = (command, error) =>
      log.warning(`Unexpected error in '${command.fullName}': ${(error as Error).stack ?? String(error)}`)
    this.#tellMigrations(options.onMigrate)
    config.onChange('loglevel', () => this.#tellMigrations(options.onMigrate))
    this.#housekeeping = new Housekeeping(this.engine, memory, log)
    config.onChange('hz', () => this.#housekeeping.followPace())
    config.onChange('port', () => (this.#listenAnew() ? undefined : UNABLE_TO_LISTEN))
    config.onChange('bind', () => (this.#listenAnew() ? undefined : 'Failed to bind to specified addresses.'))
    config.onChange('tls-port', () => this.#listenTlsAnew())
  }

  /** What becomes of each migrated key goes to whoever asked, and from level `verbose` on into the log. */
  #tellMigrations(listener: ((outcome: KeyOutcome) => void) | undefined): void {
    const { config, log, engine } = this
    const isLogged = config.loglevel === 'verbose' || config.loglevel === 'debug'
    engine.services.migrated = listener === undefined && !isLogged ? undefined : (outcome) => {
      listener?.(outcome)
      const { key, db, target, targetDb, error } = outcome
      if (isLogged) log.verbose(`MIGRATE "${quoted(key.latin1Slice())}" of db ${db} to ${target} db ${targetDb}: ${outcome.outcome}${error === undefined ? '' : `, ${error}`}`)
    }
  }

  /** What lines of the configuration file ask for that concerns the commands. Throws ConfigFileError. */
  #applyLines(): void {
    for (const { words, line, text } of this.config.renames) {
      const refusal = this.engine.registry.rename(words[0] ?? '', words[1] ?? '')
      if (refusal !== undefined) throw new ConfigFileError(refusal, line, text)
    }
    const [user] = this.config.users
    if (user !== undefined) throw new ConfigFileError(
      'Users are not supported: there is only the default user, whose password requirepass sets', user.line, user.text)
  }

  /** Opens the sockets of the configuration. Throws ListenError when one is taken or not allowed. */
  async listen(): Promise<void> {
    const { config } = this
    // Port 0 means any free one, unless clients have another way in.
    const wantsTcp = config.port !== 0 || (config.unixsocket === '' && config.tlsPort === 0)
    if (wantsTcp)
      for (const host of bindHosts(config.bind)) await this.#listenTcp(host, this.port === 0 ? config.port : this.port)
    this.#listensFor = tcpAddresses(config.bind, this.port)
    this.#isListening = true
    if (config.unixsocket !== '') await this.#listenUnix(config.pathOf(config.unixsocket))
    if (config.tlsPort > 0) await this.#listenTls()
    this.#housekeeping.start()
  }

  async #listenTcp({ host, optional }: BindHost, port: number): Promise<void> {
    const listener = this.#tcpListener()
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
    this.#tcpListeners.push(listener)
  }

  /** Listens where `bind` and `port` now say, and no longer where they said. False when it cannot. */
  #listenAnew(): boolean {
    const { config } = this
    const wanted = tcpAddresses(config.bind, config.port)
    if (!this.#isListening || wanted === this.#listensFor) return true
    // Closed first: the new addresses may overlap the old ones. What was connected stays.
    for (const listener of this.#tcpListeners.splice(0)) listener.close()
    this.#listensFor = ''
    if (config.port !== 0) {
      for (const { host, optional } of bindHosts(config.bind)) {
        const listener = this.#tcpListener()
        if (listensNow(listener, host, config.port, config.tcpBacklog)) this.#tcpListeners.push(listener)
        else if (!optional) {
          this.log.warning(`Warning: Could not create server TCP listening socket ${host}:${config.port}`)
          for (const opened of this.#tcpListeners.splice(0)) opened.close()
          return false
        }
      }
    }
    this.port = config.port
    this.#listensFor = wanted
    return true
  }

  #tcpListener(): NetServer {
    return createNetServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#accept(socket, true))
  }

  #listenTlsAnew(): string | undefined {
    const { config } = this
    if (!this.#isListening || config.tlsPort === this.tlsPort) return undefined
    this.#tlsListener?.close()
    this.#tlsListener = undefined
    this.tlsPort = 0
    if (config.tlsPort === 0) return undefined
    let listener: NetServer
    try {
      if (config.tlsCertFile === '' || config.tlsKeyFile === '') throw new Error('No tls-cert-file or tls-key-file configured!')
      // A hook cannot wait; a module of Node's own is there at once.
      listener = this.#createTlsListener(createRequire(process.execPath)('node:tls') as typeof import('node:tls'))
    } catch (error) {
      this.log.warning(`Failed to configure TLS: ${(error as Error).message}`)
      return 'Unable to update TLS configuration. Check server logs.'
    }
    const [first] = bindHosts(config.bind)
    if (!listensNow(listener, first.host, config.tlsPort, config.tcpBacklog)) return UNABLE_TO_LISTEN
    this.tlsPort = config.tlsPort
    this.#tlsListener = listener
    return undefined
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
    this.#unixListener = listener
  }

  async #listenTls(): Promise<void> {
    const { config } = this
    const listener = this.#createTlsListener(await import('node:tls'))
    const [first] = bindHosts(config.bind)
    await listening(listener, { host: first.host, port: config.tlsPort, backlog: config.tcpBacklog })
    this.tlsPort = (listener.address() as AddressInfo).port
    this.#tlsListener = listener
  }

  #createTlsListener(tls: typeof import('node:tls')): NetServer {
    const { config } = this
    const file = (name: string): Buffer | undefined => (name === '' ? undefined : readFileSync(config.pathOf(name)))
    const cert = file(config.tlsCertFile)
    const key = file(config.tlsKeyFile)
    const ca = file(config.tlsCaCertFile)
    const listener = tls.createServer({
      ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }),
      ...(config.tlsKeyFilePass !== '' && { passphrase: config.tlsKeyFilePass }),
      requestCert: config.tlsAuthClients !== 'no',
      rejectUnauthorized: config.tlsAuthClients === 'yes',
    }, (socket) => this.#accept(socket, false))
    listener.on('tlsClientError', () => undefined)
    return listener
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
    const listeners = [...this.#tcpListeners.splice(0), this.#tlsListener, this.#unixListener]
    this.#tlsListener = this.#unixListener = undefined
    this.#isListening = false
    await Promise.all(listeners.map((listener) => new Promise<void>((done) => {
      if (listener === undefined) done()
      else listener.close(() => done())
    })))
  }
}

/** libuv's flag. */
const IPV6_ONLY = 1
const UNABLE_TO_LISTEN = 'Unable to listen on this port. Check server logs.'

let hashesAreSeeded = false

/** Once per process: tables that exist already would no longer find their keys. */
function seedHashes(random: Random): void {
  if (hashesAreSeeded) return
  hashesAreSeeded = true
  seedHash(random.int32())
  seedDuplicates(random.int32(), random.int32())
}

const tcpAddresses = (bind: readonly string[], port: number): string => (port === 0 ? '' : `${port} ${bind.join(' ')}`)

/** What Node's own `listen` does once it knows the address; it is there under this name in every version. */
interface ImmediateListener {
  _handle?: object | null
  _listen2?(address: string, port: number, addressType: 4 | 6, backlog: number, fd: undefined, flags: number): void
}

/** Listens at once, without a turn of the event loop in between. False when the address cannot be had. */
function listensNow(listener: NetServer, host: string, port: number, backlog: number): boolean {
  const address = host === 'localhost' ? '127.0.0.1' : host
  const family = isIP(address)
  const immediate = listener as unknown as ImmediateListener
  listener.on('error', () => undefined)
  if (family === 0 || immediate._listen2 === undefined) return false
  immediate._listen2(address, port, family === 4 ? 4 : 6, backlog, undefined, address === '::' ? IPV6_ONLY : 0)
  return immediate._handle !== null && immediate._handle !== undefined
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
  const socket = new Socket(options)
  // The listener counts the socket it accepted: without this it would never be closed.
  socket.on('close', () => accepted.destroy())
  return socket
}
