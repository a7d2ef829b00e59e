/**
 * A stand-in for a Consul agent, because there is no Consul to install here: NOT Consul, only its KV HTTP API written down from
 * its documentation (developer.hashicorp.com/consul/api-docs/kv and /txn), as strictly as that goes. It refuses everything the
 * documentation does not allow: another method, path, parameter, verb or field, a 65th operation, a value or transaction
 * over 512 KiB, base64 that is none, a missing token. What it has been asked for is kept, so that tests can count.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

const LIMIT_BYTES = 512 * 1024
const OPERATIONS_MAX = 64

interface KV {
  Verb: string
  Key: string
  Value?: string
  Index?: number
}

interface Stored {
  value: Buffer
  createIndex: number
  modifyIndex: number
}

/** Fields of a KV operation by verb: what it must have beside Verb and Key, and what it may. */
const VERBS: Readonly<Record<string, { readonly must: readonly string[]; readonly may: readonly string[] }>> = {
  'set': { must: ['Value'], may: ['Flags'] },
  'cas': { must: ['Value', 'Index'], may: ['Flags'] },
  'get': { must: [], may: [] },
  'check-not-exists': { must: [], may: [] },
  'delete': { must: [], may: [] },
}

const lacksWrite = (key: string): string => `Permission denied: token with AccessorID 'anonymous' lacks permission 'key:write' on "${key}"`

class Refusal extends Error {
  constructor(readonly status: number, message: string) {
    super(message)
  }
}

export class ConsulStub {
  readonly keys = new Map<string, Stored>()
  /** `METHOD path?query`, the last thousand. */
  readonly requests: string[] = []
  /** Requests that were refused as not being in the documentation: none, in a good client. */
  readonly outlawed: string[] = []
  index = 10
  #server = http.createServer((request, response) => this.#serve(request, response))

  constructor(
    /** The token that every request must carry, when there is one. */
    readonly token?: string,
    /**
     * Who may not write: this token, as its rules have it, or whoever comes over HTTP, as `allow_write_http_from` has it,
     * which counts every PUT as a write.
     */
    readonly readOnly?: 'token' | 'http',
  ) {}

  async start(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done))
    return (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      this.requests.push(`${request.method} ${request.url}`)
      if (this.requests.length > 1000) this.requests.shift()
      try {
        const { status, json, raw } = this.#answer(request, Buffer.concat(pieces))
        response.writeHead(status, { 'content-type': 'application/json', 'x-consul-index': String(this.index) })
        response.end(raw ?? (json === undefined ? '' : JSON.stringify(json)))
      } catch (error) {
        response.writeHead(error instanceof Refusal ? error.status : 500, { 'content-type': 'text/plain' })
        response.end((error as Error).message)
      }
    })
  }

  #answer(request: http.IncomingMessage, body: Buffer): { status: number; json?: unknown; raw?: Buffer } {
    const url = new URL(request.url as string, 'http://stub')
    if (this.token !== undefined && request.headers['x-consul-token'] !== this.token) throw new Refusal(403, 'Permission denied: token with AccessorID \'anonymous\' lacks permission')
    if (this.readOnly === 'http' && request.method !== 'GET') throw new Refusal(403, 'Access is restricted')
    if (url.pathname === '/v1/txn') return this.#txn(request.method as string, url.searchParams, request.headers['content-length'], body)
    if (!url.pathname.startsWith('/v1/kv/')) return this.#outlaw(404, `no path ${url.pathname}`)
    const key = decodeURIComponent(url.pathname.slice('/v1/kv/'.length))
    if (/(^|\/)\.{1,2}(\/|$)|\/\//.test(key)) return this.#outlaw(301, 'such a path is cleaned and redirected')
    if (request.method === 'GET') return url.searchParams.has('raw') ? this.#get(key, url.searchParams) : this.#list(key, url.searchParams)
    if (request.method === 'PUT') return this.#put(key, url.searchParams, body)
    return this.#outlaw(405, `method ${request.method}`)
  }

  #list(prefix: string, query: URLSearchParams): { status: number; json?: unknown } {
    this.#allow(query, ['keys', 'separator', 'consistent'])
    if (!query.has('keys')) return this.#outlaw(400, 'only listings of keys and raw values are in use')
    const separator = query.get('separator') ?? ''
    const names = new Set<string>()
    for (const name of [...this.keys.keys()].filter((name) => name.startsWith(prefix))) {
      const cut = separator === '' ? -1 : name.indexOf(separator, prefix.length)
      names.add(cut < 0 ? name : name.slice(0, cut + separator.length))
    }
    if (names.size === 0 && prefix !== '') return { status: 404 }
    return { status: 200, json: [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))) }
  }

  #get(key: string, query: URLSearchParams): { status: number; raw?: Buffer } {
    this.#allow(query, ['raw', 'consistent'])
    const raw = this.keys.get(key)?.value
    return raw === undefined ? { status: 404 } : { status: 200, raw }
  }

  #put(key: string, query: URLSearchParams, body: Buffer): { status: number; json?: unknown } {
    this.#allow(query, ['cas', 'flags'])
    if (this.readOnly === 'token') throw new Refusal(403, lacksWrite(key))
    if (key === '') throw new Refusal(400, 'Missing key name')
    if (body.length > LIMIT_BYTES) throw new Refusal(413, `Request body(${body.length} bytes) too large, max size: ${LIMIT_BYTES} bytes.`)
    const cas = query.get('cas')
    if (cas !== null && !this.#matches(key, Number(cas))) return { status: 200, json: false }
    this.#store(key, body)
    return { status: 200, json: true }
  }

  #txn(method: string, query: URLSearchParams, length: string | undefined, body: Buffer): { status: number; json?: unknown } {
    if (method !== 'PUT') return this.#outlaw(405, `method ${method} of /v1/txn`)
    this.#allow(query, ['consistent', 'stale', 'dc'])
    if (Number(length ?? body.length) > LIMIT_BYTES) throw new Refusal(413, `Request body too large, max size: ${LIMIT_BYTES} bytes`)
    const operations = (JSON.parse(body.toString('utf8')) as { KV: KV }[]).map((operation) => {
      if (Object.keys(operation).join() !== 'KV') this.#outlaw(400, `operation ${Object.keys(operation).join()}`)
      return operation.KV
    })
    if (operations.length > OPERATIONS_MAX) throw new Refusal(413, `Transaction contains too many operations (${operations.length} > ${OPERATIONS_MAX})`)
    for (const kv of operations) this.#check(kv)
    const writes = operations.flatMap(({ Verb, Key }, i) => (/^(get|check-not-exists)$/.test(Verb) ? [] : [{ OpIndex: i, What: lacksWrite(Key) }]))
    if (this.readOnly === 'token' && writes.length > 0) return { status: 409, json: { Results: null, Errors: writes } }
    const results: unknown[] = []
    const errors: { OpIndex: number; What: string }[] = []
    const before = new Map(this.keys)
    this.index++
    for (const [i, kv] of operations.entries()) {
      const error = this.#operate(kv, results)
      if (error !== undefined) errors.push({ OpIndex: i, What: error })
    }
    if (errors.length === 0) return { status: 200, json: { Results: results, Errors: null } }
    this.keys.clear()
    for (const [key, stored] of before) this.keys.set(key, stored)
    return { status: 409, json: { Results: null, Errors: errors } }
  }

  #operate({ Verb, Key, Value, Index }: KV, results: unknown[]): string | undefined {
    const stored = this.keys.get(Key)
    const result = (value: string | null): void => {
      const { createIndex = 0, modifyIndex = 0 } = this.keys.get(Key) ?? {}
      results.push({ KV: { LockIndex: 0, Key, Flags: 0, Value: value, CreateIndex: createIndex, ModifyIndex: modifyIndex } })
    }
    if (Verb === 'get') {
      if (stored === undefined) return `key "${Key}" doesn't exist`
      // An empty value is null, as Go writes an empty slice that was never made.
      result(stored.value.length === 0 ? null : stored.value.toString('base64'))
    } else if (Verb === 'check-not-exists') {
      if (stored !== undefined) return `key "${Key}" exists`
    } else if (Verb === 'delete') this.keys.delete(Key)
    else {
      if (Verb === 'cas' && !this.#matches(Key, Index as number)) return `failed to set key "${Key}", index is stale`
      this.#store(Key, Buffer.from(Value as string, 'base64'))
      result(null)
    }
    return undefined
  }

  #check(kv: KV): void {
    const verb = VERBS[kv.Verb]
    if (verb === undefined) this.#outlaw(400, `verb ${kv.Verb}`)
    const fields = Object.keys(kv).filter((field) => field !== 'Verb' && field !== 'Key')
    const strange = fields.filter((field) => !verb.must.includes(field) && !verb.may.includes(field))
    const missing = verb.must.filter((field) => !fields.includes(field))
    if (typeof kv.Key !== 'string' || kv.Key === '' || strange.length + missing.length > 0) this.#outlaw(400, `${kv.Verb} with ${strange.join()} and without ${missing.join()}`)
    if (kv.Value === undefined) return
    const value = Buffer.from(kv.Value, 'base64')
    if (value.toString('base64') !== kv.Value) this.#outlaw(400, 'a value that is no base64')
    if (value.length > LIMIT_BYTES) throw new Refusal(413, `Value for key "${kv.Key}" is too large (${value.length} > ${LIMIT_BYTES} bytes)`)
  }

  #matches(key: string, index: number): boolean {
    return index === 0 ? !this.keys.has(key) : this.keys.get(key)?.modifyIndex === index
  }

  #store(key: string, value: Buffer): void {
    this.keys.set(key, { value, createIndex: this.keys.get(key)?.createIndex ?? this.index, modifyIndex: this.index })
  }

  #allow(query: URLSearchParams, names: readonly string[]): void {
    for (const name of query.keys()) if (!names.includes(name)) this.#outlaw(400, `parameter ${name}`)
  }

  #outlaw(status: number, what: string): never {
    this.outlawed.push(what)
    throw new Refusal(status, `not in the documentation: ${what}`)
  }
}
