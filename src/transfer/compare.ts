/**
 * Compares two stores, both directions: keys that the target lacks, keys that only the target has, and keys whose
 * values or expiry times differ.
 *
 *     source keys (in the target's names, in order) --+
 *                                                     +-- merged --> missing | extra | both --> read, same?
 *     target keys (in order) -------------------------+
 *
 * Both listings are walked once, side by side, so memory does not grow with the number of keys. 'quick' compares every
 * name and the values of every hundredth batch; 'full' compares every value.
 */
import { monotonicMs } from '../clock.js'
import type { Listener } from './report.js'
import { compareKeys, EntryError, type Entry, type KeyRef, type Store } from './store.js'
import { at } from './copy.js'

export interface CompareOptions {
  readonly mode: 'quick' | 'full'
  readonly parallel: number
  readonly batchEntries: number
  /** The source's name of a key that is named as in the target. */
  readonly sourceName?: ((ref: KeyRef) => KeyRef) | undefined
  readonly keepEntry?: ((entry: Entry) => boolean) | undefined
  readonly convert: (entry: Entry) => Entry | EntryError
  readonly same: (a: Entry, b: Entry) => boolean
  readonly nowMs: () => number
  readonly total?: number | undefined
  readonly listener?: Listener
  readonly signal?: AbortSignal
}

export type DifferenceKind = 'missing' | 'extra' | 'differing'

export interface Comparison {
  /** Keys looked at; of those, compared by value. */
  readonly keys: number
  readonly compared: number
  readonly counts: Readonly<Record<DifferenceKind, number>>
  /** The first ten of each. */
  readonly samples: Readonly<Record<DifferenceKind, readonly KeyRef[]>>
  readonly elapsedMs: number
  readonly interrupted: boolean
}

const SAMPLES_MAX = 10
/** In quick mode the values of one batch out of so many are compared. */
const QUICK_BATCHES = 100
const PROGRESS_MS = 100

/** Walks pages key by key. */
class Walk {
  #page: readonly KeyRef[] = []
  #at = 0
  readonly #pages: AsyncIterator<readonly KeyRef[]>

  constructor(pages: AsyncIterable<readonly KeyRef[]>, readonly side: 'source' | 'target') {
    this.#pages = pages[Symbol.asyncIterator]()
  }

  /** The present key; undefined means a page has to be fetched, or the end. */
  get key(): KeyRef | undefined {
    return this.#page[this.#at]
  }

  next(): void {
    this.#at++
  }

  /** Fetches pages until there is a key. False at the end. */
  async fill(): Promise<boolean> {
    while (this.#at >= this.#page.length) {
      const { done, value } = await at(this.side, () => this.#pages.next())
      if (done === true) return false
      this.#page = value
      this.#at = 0
    }
    return true
  }

  async end(): Promise<void> {
    await this.#pages.return?.()
  }
}

export class Compare {
  readonly #counts: Record<DifferenceKind, number> = { missing: 0, extra: 0, differing: 0 }
  readonly #samples: Record<DifferenceKind, KeyRef[]> = { missing: [], extra: [], differing: [] }
  readonly #startedMs = monotonicMs()
  readonly #running = new Set<Promise<void>>()
  #keys = 0
  #compared = 0
  #bytes = 0
  #batches = 0
  #toldMs = 0
  #failure: unknown
  #failed = false

  constructor(
    readonly source: Store,
    readonly target: Store,
    readonly options: CompareOptions,
  ) {}

  /** Both listings in the order of (db, key), the source's in the names that the keys have in the target. */
  async run(sourceKeys: AsyncIterable<readonly KeyRef[]>, targetKeys: AsyncIterable<readonly KeyRef[]>): Promise<Comparison> {
    const ours = new Walk(sourceKeys, 'source')
    const theirs = new Walk(targetKeys, 'target')
    let both: KeyRef[] = []
    try {
      while (!this.#isStopping) {
        // Both at once: the first time each store lists all its keys.
        if (ours.key === undefined || theirs.key === undefined) await Promise.all([ours.fill(), theirs.fill()])
        const a = ours.key
        const b = theirs.key
        if (a === undefined && b === undefined) break
        const order = a === undefined ? 1 : b === undefined ? -1 : compareKeys(a, b)
        this.#keys++
        if (order === 0) {
          both.push(a as KeyRef)
          theirs.next()
        } else if (order < 0) await this.#missing(a as KeyRef)
        else {
          await this.#extra(b as KeyRef)
          theirs.next()
        }
        if (order <= 0) ours.next()
        if (both.length === this.options.batchEntries) {
          await this.#begin(both)
          both = []
        }
      }
      if (!this.#isStopping && both.length > 0) await this.#begin(both)
    } finally {
      await Promise.all(this.#running)
      await ours.end()
      await theirs.end()
    }
    if (this.#failed) throw this.#failure
    this.#tell(true)
    return {
      keys: this.#keys, compared: this.#compared, counts: this.#counts, samples: this.#samples,
      elapsedMs: monotonicMs() - this.#startedMs, interrupted: this.options.signal?.aborted === true,
    }
  }

  get #isStopping(): boolean {
    return this.#failed || this.options.signal?.aborted === true
  }

  #note(kind: DifferenceKind, ref: KeyRef): void {
    this.#counts[kind]++
    if (this.#samples[kind].length < SAMPLES_MAX) this.#samples[kind].push(ref)
  }

  /** A key the target lacks: a difference unless its time has come, or the source has lost it since, or it is not among the chosen. */
  async #missing(ref: KeyRef): Promise<void> {
    const [entry] = await this.#readSource([ref])
    if (entry instanceof EntryError) return this.#note('missing', ref)
    if (entry === undefined || this.#isExpired(entry) || this.options.keepEntry?.(entry) === false) return
    this.#note('missing', ref)
  }

  /** A key the source lacks: a difference unless it is of a type that is not among the chosen. An envelope does not tell its type. */
  async #extra(ref: KeyRef): Promise<void> {
    const { keepEntry } = this.options
    const [entry] = keepEntry === undefined ? [] : await this.#readTarget([ref])
    if (entry !== undefined && !(entry instanceof EntryError) && (entry.form === 'dump' || this.target.traits.typed) && keepEntry?.(entry) === false) return
    this.#note('extra', ref)
  }

  #readSource(refs: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    return at('source', () => this.source.read(refs.map((ref) => this.#sourceRef(ref))))
  }

  #readTarget(refs: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    return at('target', () => this.target.read(refs))
  }

  #isExpired(entry: Entry): boolean {
    return entry.expiresAtMs !== undefined && entry.expiresAtMs <= this.options.nowMs()
  }

  #sourceRef(ref: KeyRef): KeyRef {
    return this.options.sourceName?.(ref) ?? ref
  }

  async #begin(refs: readonly KeyRef[]): Promise<void> {
    if (this.options.mode === 'quick' && this.#batches++ % QUICK_BATCHES !== 0) return this.#tell(false)
    while (this.#running.size >= this.options.parallel) await Promise.race(this.#running)
    const work: Promise<void> = this.#batch(refs).catch((error: unknown) => {
      if (this.#failed) return
      this.#failed = true
      this.#failure = error
    }).finally(() => this.#running.delete(work))
    this.#running.add(work)
  }

  async #batch(refs: readonly KeyRef[]): Promise<void> {
    for (let done = 0; done < refs.length;) {
      const rest = refs.slice(done)
      const [ours, theirs] = await Promise.all([this.#readSource(rest), this.#readTarget(rest)])
      const count = Math.max(1, Math.min(ours.length, theirs.length))
      for (let i = 0; i < count; i++) this.#judge(rest[i], ours[i], theirs[i])
      done += count
    }
    this.#tell(false)
  }

  #judge(ref: KeyRef, ours: Entry | EntryError | undefined, theirs: Entry | EntryError | undefined): void {
    this.#compared++
    if (ours === undefined || (!(ours instanceof EntryError) && (this.#isExpired(ours) || this.options.keepEntry?.(ours) === false))) return
    if (ours instanceof EntryError || theirs instanceof EntryError) return this.#note('differing', ref)
    if (theirs === undefined) return this.#note('missing', ref)
    this.#bytes += ours.value.length
    const wanted = this.options.convert(ours.key === ref.key ? ours : { ...ours, db: ref.db, key: ref.key })
    if (wanted instanceof EntryError || !this.options.same(wanted, theirs)) this.#note('differing', ref)
  }

  #tell(last: boolean): void {
    const { listener, total } = this.options
    const now = monotonicMs()
    if (listener?.progress === undefined || (!last && now - this.#toldMs < PROGRESS_MS)) return
    this.#toldMs = now
    const { missing, extra, differing } = this.#counts
    listener.progress({
      phase: 'verifying', keys: this.#keys, total, bytes: this.#bytes, errors: missing + extra + differing,
      elapsedMs: now - this.#startedMs, last: undefined,
    })
  }
}
