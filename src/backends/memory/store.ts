/**
 * A store in this process: a map by key, and the keys in order, which are sorted again when a page is asked for after a
 * change. What it is given it keeps without a copy; an entry's Buffers are written by nobody.
 */
import { Clock } from '../../clock.js'
import { EntryError, StoreError, compareKeys, keyText, nameOf, type ConflictPolicy, type Entry, type KeyRef, type Store, type StoreTraits, type WriteOutcome } from '../../transfer/store.js'

const PAGE_KEYS = 1000

/** What stores of one name share. */
class Shelf {
  readonly entries = new Map<string, Entry>()
  /** Every key of `entries` and perhaps some that were removed; in order unless `disordered`. */
  keys: KeyRef[] = []
  disordered = false
}

/** Shelves with a name stay for the life of the process. */
const named = new Map<string, Shelf>()

export class MemoryStore implements Store {
  readonly label: string
  readonly traits: StoreTraits
  readonly #shelf: Shelf
  readonly #clock = new Clock()
  #closed = false

  constructor(name: string | undefined, typed: boolean, maxValueBytes = 0xffffffff) {
    this.label = name === undefined ? 'memory:' : `memory:${name}`
    this.traits = {
      typed, expiry: typed, databases: typed, ordered: true, createsAtomically: true, writable: true, vaultLayout: !typed,
      keyBytesMax: 0xffffffff, valueBytesMax: maxValueBytes, batchEntriesMax: 1000, batchBytesMax: 16 << 20, parallelMax: 1,
    }
    this.#shelf = name === undefined ? new Shelf() : (named.get(name) ?? new Shelf())
    if (name !== undefined) named.set(name, this.#shelf)
  }

  async open(): Promise<void> {
    this.#closed = false
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  async count(): Promise<number> {
    return this.#shelf.entries.size
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    const shelf = this.#shelf
    let last: KeyRef | undefined
    for (;;) {
      this.#check()
      this.#sort()
      const start = last === undefined ? (from === undefined ? 0 : this.#indexOf(from)) : this.#indexAfter(last)
      const page = shelf.keys.slice(start, start + PAGE_KEYS)
      if (page.length === 0) return
      last = page[page.length - 1]
      const live = page.filter((ref) => this.#get(ref) !== undefined)
      if (live.length > 0) yield live
    }
  }

  async read(keys: readonly KeyRef[]): Promise<(Entry | undefined)[]> {
    this.#check()
    return keys.map((ref) => this.#get(ref))
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    this.#check()
    return entries.map((entry) => {
      const { db, key, form, value, expiresAtMs } = entry
      if (value.length > this.traits.valueBytesMax)
        return new EntryError('too-large', `the value of key ${keyText(key)} has ${value.length} bytes; ${this.label} takes at most ${this.traits.valueBytesMax} (max_value_size)`)
      const there = this.#get(entry) !== undefined
      if (there && conflict !== 'replace') return 'exists'
      const name = nameOf(entry)
      if (!this.#shelf.entries.has(name)) {
        this.#shelf.keys.push({ db, key })
        this.#shelf.disordered = true
      }
      this.#shelf.entries.set(name, { db, key, form, value, expiresAtMs })
      return 'written'
    })
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    this.#check()
    for (const ref of keys) if (this.#shelf.entries.delete(nameOf(ref))) this.#shelf.disordered = true
  }

  #get(ref: KeyRef): Entry | undefined {
    const entry = this.#shelf.entries.get(nameOf(ref))
    if (entry?.expiresAtMs === undefined || entry.expiresAtMs > this.#clock.refresh()) return entry
    this.#shelf.entries.delete(nameOf(ref))
    this.#shelf.disordered = true
    return undefined
  }

  /** Puts the keys in order and drops those that are gone; quick when nearly all are in order already. */
  #sort(): void {
    const shelf = this.#shelf
    if (!shelf.disordered) return
    shelf.keys.sort(compareKeys)
    // A key that was removed and written again is there twice.
    shelf.keys = shelf.keys.filter((ref, i) => shelf.entries.has(nameOf(ref)) && (i === 0 || compareKeys(shelf.keys[i - 1], ref) !== 0))
    shelf.disordered = false
  }

  /** Index of the first key that is not before `ref`. */
  #indexOf(ref: KeyRef): number {
    const { keys } = this.#shelf
    let low = 0
    for (let high = keys.length; low < high;) {
      const middle = (low + high) >>> 1
      if (compareKeys(keys[middle], ref) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #indexAfter(ref: KeyRef): number {
    const at = this.#indexOf(ref)
    const { keys } = this.#shelf
    return at < keys.length && compareKeys(keys[at], ref) === 0 ? at + 1 : at
  }

  #check(): void {
    if (this.#closed) throw new StoreError('refused', `${this.label} is closed`)
  }
}
