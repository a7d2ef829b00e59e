/**
 * Requests over HTTP to a store that answers at one or several addresses: keep-alive connections, a time-out and a
 * limit of size on everything, and errors that name the address but never what was sent.
 *
 * The addresses are members of one cluster: one that can not be reached is passed over for the next. A request
 * that may be repeated is sent once more when its connection broke; another one only when it was never sent.
 */
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { StoreError } from '../transfer/store.js'
import { optionOf, type Backend, type OptionSpec, type StoreOptions } from './backend.js'

export interface Answer {
  readonly status: number
  readonly body: Buffer
}

export interface HttpRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly body?: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
  /** Sending it twice does no harm. */
  readonly isRepeatable: boolean
}

export interface TlsFiles {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly rejectUnauthorized: boolean
}

/** The options of Vault's stanzas for TLS. */
export const TLS_OPTIONS: readonly OptionSpec[] = [
  { name: 'tls_ca_file', summary: 'file with the certificates (PEM) of who may have signed the server\'s' },
  { name: 'tls_cert_file', summary: 'file with the certificate (PEM) to show to the server' },
  { name: 'tls_key_file', summary: 'file with its private key (PEM)' },
  { name: 'tls_skip_verify', summary: 'take any certificate: true or false', default: 'false' },
]

/** Reads the files that the TLS options name. Throws StoreError 'usage'. */
export function tlsOf(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions): TlsFiles {
  const file = (name: string): Buffer | undefined => {
    const path = optionOf(backend, options, name)
    if (path === undefined || path === '') return undefined
    try {
      return readFileSync(path)
    } catch (error) {
      throw new StoreError('usage', `option '${name}' of storage "${backend.type}" names ${path}, which can not be read: ${(error as Error).message}`, { cause: error })
    }
  }
  const [ca, cert, key] = [file('tls_ca_file'), file('tls_cert_file'), file('tls_key_file')]
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    rejectUnauthorized: !['true', '1'].includes(optionOf(backend, options, 'tls_skip_verify') ?? ''),
  }
}

/** `host:port` or a URL, with one or several commas between. Throws StoreError 'usage'. */
export function addressesOf(type: string, text: string, scheme: string): URL[] {
  return text.split(',').filter((part) => part.trim() !== '').map((part) => {
    const address = part.trim()
    try {
      const url = new URL(address.includes('://') ? address : `${scheme}://${address}`)
      if (url.protocol === 'http:' || url.protocol === 'https:') return url
    } catch {
      // Said below, without what may be a password.
    }
    throw new StoreError('usage', `an address of storage "${type}" is no http:// or https:// address: '${address.replace(/\/\/[^@/]*@/, '//***@')}'`)
  })
}

/** What a URL says behind its question mark. */
export function queryOf(url: URL): Record<string, string> {
  return Object.fromEntries(url.searchParams)
}

/** More bytes than the client is prepared to hold: ask for less. */
export class AnswerTooLarge extends StoreError {
  constructor(message: string) {
    super('refused', message)
  }
}

/** A connection that broke or never was; `wasSent` when the server may have the request, `isStale` when it had been closed while unused. */
class Broken extends Error {
  constructor(message: string, readonly wasSent: boolean, readonly isStale: boolean, cause: unknown) {
    super(message, { cause })
  }
}

export class HttpClient {
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent }
  /** The address that answered last. */
  #current = 0
  isClosed = false

  constructor(
    /** How messages call the store. */
    readonly label: string,
    readonly addresses: readonly URL[],
    readonly limits: { readonly timeoutMs: number; readonly answerBytesMax: number; readonly connectionsMax: number },
    tls: TlsFiles | undefined,
  ) {
    const keep = { keepAlive: true, maxSockets: limits.connectionsMax, timeout: limits.timeoutMs }
    this.#agents = { http: new http.Agent(keep), https: new https.Agent({ ...keep, ...tls }) }
  }

  /** Throws StoreError 'unreachable' when no address answers, AnswerTooLarge. */
  async send(request: HttpRequest): Promise<Answer> {
    let broken: Broken | undefined
    let current = this.#current
    // Every address once, and the first one once more for a kept connection that the server had closed meanwhile.
    for (let attempt = 0; attempt <= this.addresses.length; attempt++) {
      if (this.isClosed) throw new StoreError('unreachable', `${this.label} was closed`)
      try {
        const answer = await this.#sendTo(this.addresses[current], request)
        this.#current = current
        return answer
      } catch (error) {
        if (!(error instanceof Broken)) throw error
        broken = error
        if (broken.wasSent && !request.isRepeatable) break
        if (attempt > 0 || !broken.isStale) current = (current + 1) % this.addresses.length
      }
    }
    throw new StoreError('unreachable', `${this.label} does not answer: ${broken?.message}; check that it runs and that the address is right`, { cause: broken?.cause })
  }

  /** Ends every connection; what is under way fails. */
  close(): void {
    this.isClosed = true
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #sendTo(address: URL, { method, path, body, headers }: HttpRequest): Promise<Answer> {
    const { timeoutMs, answerBytesMax } = this.limits
    const isTls = address.protocol === 'https:'
    return new Promise((done, fail) => {
      const bytes = typeof body === 'string' ? Buffer.from(body) : body
      const request = (isTls ? https : http).request({
        method,
        protocol: address.protocol,
        host: address.hostname.replace(/^\[|\]$/g, ''),
        port: address.port === '' ? (isTls ? 443 : 80) : Number(address.port),
        path: address.pathname.replace(/\/$/, '') + path,
        agent: isTls ? this.#agents.https : this.#agents.http,
        headers: { ...headers, ...(bytes === undefined ? {} : { 'content-length': bytes.length }) },
      })
      let wasSent = false
      // A kept connection that the server had closed before the request came, as Node's documentation tells them apart.
      const isStale = (error: NodeJS.ErrnoException): boolean => request.reusedSocket && error.code === 'ECONNRESET'
      const breaks = (error: NodeJS.ErrnoException & { readonly reason?: string }): void => {
        clearTimeout(timer)
        if (/CERT|SSL|TLS|certificate/.test(`${error.code} ${error.message}`))
          fail(new StoreError('denied', `${this.label}: no TLS with ${address.host}: ${error.code?.startsWith('ERR_SSL_') === true ? error.reason : error.message}; check tls_ca_file, tls_cert_file and tls_key_file`, { cause: error }))
        else fail(new Broken(`${address.host}: ${error.message || error.code}`, wasSent && !isStale(error), isStale(error), error))
      }
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
      request.on('error', breaks)
      request.on('socket', (socket) => {
        if (!socket.connecting) wasSent = true
        else socket.once(isTls ? 'secureConnect' : 'connect', () => { wasSent = true })
      })
      request.on('response', (response) => {
        const pieces: Buffer[] = []
        let size = 0
        response.on('data', (piece: Buffer) => {
          size += piece.length
          timer.refresh()
          if (size <= answerBytesMax) pieces.push(piece)
          else {
            clearTimeout(timer)
            fail(new AnswerTooLarge(`${this.label} answers ${method} ${path.replace(/\?.*/, '')} with more than ${answerBytesMax} bytes`))
            request.destroy()
          }
        })
        response.on('error', breaks)
        response.on('end', () => {
          clearTimeout(timer)
          done({ status: response.statusCode ?? 0, body: pieces.length === 1 ? pieces[0] : Buffer.concat(pieces) })
        })
      })
      request.end(bytes)
    })
  }
}
