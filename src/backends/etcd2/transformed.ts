/**
 * The keys that a transformer program makes of a v2 store, as a source: the program runs once, at `open`, and what it
 * answers is kept in order. Of a key it gives twice the last counts. A v2 key that the program could only be given damaged
 * is listed too, and reading it is an error. A key that has the name of a v2 key expires with
 * that; leases that the program names are none of the target's, and how many there are is said.
 */
import type { Clock } from '../../clock.js'
import { plural } from '../../transfer/plural.js'
import { compareKeys, EntryError, StoreError, type Entry, type Finding, type KeyRef, type Store, type StoreTraits, type WriteOutcome } from '../../transfer/store.js'
import type { Etcd2Store } from './store.js'
import { transform } from './transformer.js'

const PAGE_KEYS = 1000
/** How long the program may neither read nor write. */
const IDLE_MS = 30_000

export class TransformedStore implements Store {
  readonly label: string
  readonly traits: StoreTraits
  #keys: { readonly ref: KeyRef; readonly entry: Entry | EntryError }[] = []
  #leased = 0

  constructor(
    readonly inner: Etcd2Store,
    readonly program: string,
    readonly clock: Clock,
  ) {
    this.label = `${inner.label} through ${program}`
    this.traits = inner.traits
  }

  async open(): Promise<void> {
    await this.inner.open('read')
    const found = new Map<string, { ref: KeyRef; entry: Entry | EntryError }>()
    const untold: [Buffer, EntryError][] = []
    this.#leased = 0
    const options = {
      ...this.inner.rules, nowMs: this.clock.refresh(), idleMs: IDLE_MS,
      onUntold: (key: Buffer, what: string) => void untold.push([key, new EntryError('unsupported', `its ${what} is not UTF-8, and ${this.program} is told of keys in JSON, which has only text; copied without the transformer it stays as it is`)]),
    }
    for await (const { key, value, lease } of transform(this.program, this.inner.places(), options)) {
      if (lease !== 0n) this.#leased++
      const ref = { db: 0, key }
      found.set(key.latin1Slice(), { ref, entry: { ...ref, form: 'raw', value, expiresAtMs: this.inner.find(key)?.expiresAtMs } })
    }
    for (const [key, entry] of untold) found.set(key.latin1Slice(), { ref: { db: 0, key }, entry })
    this.#keys = [...found.values()].sort((a, b) => compareKeys(a.ref, b.ref))
  }

  async close(): Promise<void> {
    this.#keys = []
    await this.inner.close()
  }

  async preflight(): Promise<readonly Finding[]> {
    const findings = [...(await this.inner.preflight())]
    if (this.#leased > 0)
      findings.push({ code: 'leases', level: 'warning', message: `${this.program} names leases for ${this.#leased} ${plural(this.#leased, 'key')}; there are no such leases; only keys that have the name of a v2 key expire with it` })
    return findings
  }

  count(): Promise<number> {
    return Promise.resolve(this.#keys.length)
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    for (let at = from === undefined ? 0 : this.#placeOf(from); at < this.#keys.length; at += PAGE_KEYS)
      yield this.#keys.slice(at, at + PAGE_KEYS).map(({ ref }) => ref)
  }

  read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    return Promise.resolve(keys.map((ref) => {
      const found = this.#keys.at(this.#placeOf(ref))
      return found !== undefined && compareKeys(found.ref, ref) === 0 ? found.entry : undefined
    }))
  }

  /** Where a key is, or would be. */
  #placeOf(ref: KeyRef): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareKeys(this.#keys[middle].ref, ref) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  write(): Promise<WriteOutcome[]> {
    return Promise.reject(new StoreError('usage', `${this.label} is only a source`))
  }

  remove(): Promise<void> {
    return Promise.reject(new StoreError('usage', `${this.label} is only a source`))
  }
}
