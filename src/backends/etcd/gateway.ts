/**
 * etcd's v3 API over its JSON gateway: POST, names as in the protocol, bytes as base64, 64-bit numbers as texts.
 *
 *     /v3 since 3.4, /v3beta in 3.3, /v3alpha in 3.2: found out once, by asking for the status
 *     an error is { error, message, code } with gRPC's code
 *
 * A token that has run out is renewed once per request. A server without a leader is asked again a few times, for what
 * does no harm when it happens twice.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { StoreError } from '../../transfer/store.js'
import type { HttpClient } from '../http-client.js'

/** gRPC's codes, as far as somebody here asks for them. */
export const INVALID_ARGUMENT = 3
export const NOT_FOUND = 5
const PERMISSION_DENIED = 7
export const RESOURCE_EXHAUSTED = 8
export const OUT_OF_RANGE = 11
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16

const API_PATHS = ['/v3', '/v3beta', '/v3alpha'] as const
const ATTEMPTS = 4
const FIRST_PAUSE_MS = 100

/** The server answered with an error. */
export class GatewayError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message)
  }
}

export interface Credentials {
  readonly name: string
  readonly password: string
}

export interface Status {
  readonly version: string
  /** Bytes of the database file. */
  readonly dbSize?: string
}

export class Gateway {
  #api: string = API_PATHS[0]
  #token: string | undefined

  constructor(
    readonly http: HttpClient,
    readonly credentials: Credentials | undefined,
  ) {}

  /** Finds out which API there is, and logs in. Throws StoreError. */
  async connect(): Promise<Status> {
    for (const api of API_PATHS) {
      this.#api = api
      try {
        const status = await this.call<Status>('/maintenance/status', '{}', true)
        if (this.credentials !== undefined) await this.#logIn(this.credentials)
        return status
      } catch (error) {
        if (error instanceof GatewayError && error.code === NOT_FOUND) continue
        throw this.failure(error, 'opening it')
      }
    }
    throw new StoreError('refused', `${this.http.label} has no v3 API over HTTP (tried ${API_PATHS.join(', ')}); it needs etcd 3.2 or later, started with its gRPC gateway`)
  }

  /** One call. Throws GatewayError with the server's refusal, StoreError when there is none to be had. */
  async call<T>(path: string, body: string, isRepeatable: boolean): Promise<T> {
    let pauseMs = FIRST_PAUSE_MS
    let mayLogIn = this.credentials !== undefined
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once<T>(path, body, isRepeatable)
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error
        if (error.code === UNAUTHENTICATED && mayLogIn && this.credentials !== undefined && path !== '/auth/authenticate') {
          mayLogIn = false
          await this.#logIn(this.credentials)
          continue
        }
        const isBusy = error.code === RESOURCE_EXHAUSTED && error.message.includes('too many requests')
        if (attempt === ATTEMPTS || !(isBusy || (error.code === UNAVAILABLE && isRepeatable))) throw error
        await wait(pauseMs)
        pauseMs *= 2
      }
    }
  }

  /** What to tell of a failed call: the store's error for the server's. */
  failure(error: unknown, doing: string): Error {
    if (!(error instanceof GatewayError)) return error as Error
    const { label } = this.http
    const text = `${label}: ${doing}: ${error.message}`
    if (error.code === UNAUTHENTICATED || error.code === PERMISSION_DENIED || /authenticat|user name is empty/.test(error.message))
      return new StoreError('denied', `${text}; check username and password, and the user's roles`, { cause: error })
    if (error.code === UNAVAILABLE) return new StoreError('unreachable', `${text}; the cluster may be without a leader`, { cause: error })
    if (error.message.includes('database space exceeded')) return new StoreError('refused', `${text}; compact and defragment it, or raise --quota-backend-bytes, then etcdctl alarm disarm`, { cause: error })
    return new StoreError('refused', text, { cause: error })
  }

  async #logIn({ name, password }: Credentials): Promise<void> {
    const { token } = await this.#once<{ token?: string }>('/auth/authenticate', JSON.stringify({ name, password }), true)
    this.#token = token
  }

  async #once<T>(path: string, body: string, isRepeatable: boolean): Promise<T> {
    const { status, body: answer } = await this.http.send({
      method: 'POST',
      path: this.#api + path,
      body,
      headers: { 'content-type': 'application/json', ...(this.#token === undefined ? {} : { authorization: this.#token }) },
      isRepeatable,
    })
    let parsed: (T & { code?: number; message?: string; error?: string }) | undefined
    try {
      parsed = JSON.parse(answer.toString('utf8')) as typeof parsed
    } catch {
      if (status === 404) throw new GatewayError(NOT_FOUND, `there is no ${this.#api}${path}`)
    }
    if (status === 200 && parsed !== undefined) return parsed
    if (typeof parsed?.code === 'number') throw new GatewayError(parsed.code, parsed.message ?? parsed.error ?? `error ${parsed.code}`)
    throw new StoreError(status >= 500 ? 'unreachable' : 'refused', `${this.http.label} answered ${path} with status ${status} and no JSON; is that address etcd's?`)
  }
}
