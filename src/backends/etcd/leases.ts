/**
 * Expiry times as leases, which is how etcd has them.
 *
 * Writing: one lease per distinct second of expiry, granted with the time that is left and shared by all keys of that
 * second; etcd grants no less than about two seconds. Reading: a lease is asked for the time it has left, in whole
 * seconds, so a time read back may be up to a second early.
 */
import { Clock } from '../../clock.js'
import type { Gateway } from './gateway.js'

const LEASES_MAX = 4096
/** Rounded up when it is granted, and down when it is asked for: a second each way. */
export const EXPIRY_TOLERANCE_MS = 2000
/** How long an answer about a lease is believed: somebody may keep it alive. */
const BELIEVED_MS = 10_000
/** etcd grants no more. */
const TTL_SECONDS_MAX = 9_000_000_000

export class Leases {
  readonly #granted = new Map<number, Promise<string>>()
  readonly #asked = new Map<string, { readonly untilMs: number; readonly answer: Promise<number> }>()
  readonly #clock = new Clock()

  constructor(readonly gateway: Gateway) {}

  /** The id of a lease that ends in the second of this time. */
  idFor(expiresAtMs: number): Promise<string> {
    const second = Math.ceil(expiresAtMs / 1000)
    const known = this.#granted.get(second)
    if (known !== undefined) return known
    const granting = this.#grant(second)
    granting.catch(() => this.#granted.delete(second))
    remember(this.#granted, second, granting)
    return granting
  }

  /** The server does not know these leases any more. */
  forget(expiriesMs: readonly number[]): void {
    for (const expiresAtMs of expiriesMs) this.#granted.delete(Math.ceil(expiresAtMs / 1000))
  }

  /** When this lease ends; now, when it is over. */
  expiryOf(id: string): Promise<number> {
    const nowMs = this.#clock.refresh()
    const known = this.#asked.get(id)
    if (known !== undefined && known.untilMs > nowMs) return known.answer
    const answer = this.#ask(id)
    answer.catch(() => this.#asked.delete(id))
    remember(this.#asked, id, { untilMs: nowMs + BELIEVED_MS, answer })
    return answer
  }

  async #grant(second: number): Promise<string> {
    const seconds = Math.min(TTL_SECONDS_MAX, Math.max(2, Math.ceil(second - this.#clock.refresh() / 1000)))
    const { ID } = await this.gateway.call<{ ID: string }>('/lease/grant', `{"TTL":"${seconds}","ID":"0"}`, true)
    return ID
  }

  async #ask(id: string): Promise<number> {
    const { TTL } = await this.gateway.call<{ TTL?: string }>('/lease/timetolive', `{"ID":"${id}"}`, true)
    return this.#clock.refresh() + Math.max(0, Number(TTL ?? 0)) * 1000
  }
}

/** Adds to a map that has a limit: the oldest goes. */
function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= LEASES_MAX) map.delete(map.keys().next().value as K)
  map.set(key, value)
}
