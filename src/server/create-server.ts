/** Starts a server in this process: what a test needs of it, and nothing on disk. */
import { Config } from '../config/index.js'
import type { KeyOutcome } from '../engine/services.js'
import { silentLog, type Logger } from './logger.js'
import { Server } from './server.js'

export interface ServerOptions {
  /** TCP port; 0 (the default) takes a free one, or none where a TLS port or a unix socket is configured. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 by default. */
  readonly host?: string
  /** Further directives of redis.conf by name: `{ 'maxmemory': '100mb' }`. */
  readonly config?: Readonly<Record<string, string>>
  readonly log?: Logger
  /** Told what became of every key that a MIGRATE from this server named. */
  readonly onMigrate?: (outcome: KeyOutcome) => void
}

export interface KeyferryServer extends AsyncDisposable {
  /** The port of `url`; 0 when it is a unix socket's. */
  readonly port: number
  readonly host: string
  /** `redis://127.0.0.1:port`; where a TLS port or a unix socket takes its place, `rediss://...` or `unix:///path`. */
  readonly url: string
  close(): Promise<void>
}

/** Starts a server. Throws an Error that names a directive it does not know or accept, or a taken port. */
export async function createServer(options: ServerOptions = {}): Promise<KeyferryServer> {
  const host = options.host ?? '127.0.0.1'
  const config = new Config()
  const settings: Record<string, string> = { save: '', ...options.config, port: String(options.port ?? 0), bind: host }
  for (const [name, value] of Object.entries(settings)) {
    const words = name === 'save' && value === '' ? [''] : value.split(' ')
    const refusal = config.assign(name, words)
    if (refusal === undefined) throw new Error(`there is no directive '${name}'`)
    if (typeof refusal === 'string') throw new Error(`directive '${name}' does not take '${value}': ${refusal}`)
  }
  const server = new Server(config, options.log ?? silentLog, { onMigrate: options.onMigrate })
  const close = (): Promise<void> => server.close()
  try {
    await server.listen()
  } catch (error) {
    // The addresses that could be had are given back.
    await close()
    throw error
  }
  const port = server.port || server.tlsPort
  return { port, host, url: urlOf(server, host, port), close, [Symbol.asyncDispose]: close }
}

function urlOf(server: Server, host: string, port: number): string {
  if (port === 0) return `unix://${server.config.pathOf(server.config.unixsocket)}`
  return `${server.port > 0 ? 'redis' : 'rediss'}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
