/**
 * The copy loop: every key of one store, or those chosen, into another.
 *
 *     keys in order --> [chosen?] --> batch n --> read --> convert --> (compare) --> write --> settled
 *                                        |  at most `parallel` under way                        |
 *                                        +------------ low watermark <--------------------------+
 *
 * Invariants
 * - The low watermark: every key at or before it (in the order of the listing) has its outcome. Batches end in
 *   any order; the mark moves when the oldest one ends. A run that begins behind the mark skips nothing, and
 *   writing a key again that had been written does no harm.
 * - What is under way is bounded: `parallel` batches of `batchEntries` keys, each read in parts of at most the
 *   stores' `batchBytesMax`.
 * - The first failure is the one that is thrown; batches that end because of it do not hide it.
 * - A dry run is the same code that stops short of writing.
 * - An interruption lets what is under way finish, so that the report and the watermark are true.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { monotonicMs } from '../clock.js'
import { misplacement } from './keys.js'
import { Pace, partOf, type Rate } from './pace.js'
import { FAILURES, OUTCOMES, type Listener, type Outcome, type Progress, type Report } from './report.js'
import { EntryError, NoAnswerError, StoreError, isEntry, type ConflictPolicy, type Entry, type KeyRef, type Store, type WriteOutcome } from './store.js'

/** Which keys are copied, and under which name. */
export interface Choice {
  /** Whether a key is copied, as far as its name tells. */
  readonly keepKey?: (ref: KeyRef) => boolean
  /** Whether it is, when its value is known. */
  readonly keepEntry?: (entry: Entry) => boolean
  /** Its database and name in the target. */
  readonly rename?: (ref: KeyRef) => KeyRef
  /** The database in the target, as `rename` says it; undefined for one of which nothing is copied. */
  readonly databaseOf?: (db: number) => number | undefined
  /** Names or types leave keys out. */
  readonly isPart?: boolean
  /** Nothing that is written has a name that is chosen, so that both ends may be one store. */
  readonly isApart?: boolean
}

export interface CopyOptions extends Choice {
  readonly conflict: ConflictPolicy
  /** Batches under way at once. */
  readonly parallel: number
  readonly batchEntries: number
  /** From the source's form of an entry to the target's. */
  readonly convert: (entry: Entry) => Entry | EntryError
  /** Whether two entries hold the same: value and expiry time. */
  readonly same: (a: Entry, b: Entry) => boolean
  readonly nowMs: () => number
  /** Reads what the target has before writing, to tell created from overwritten and to leave alone what is identical. */
  readonly compareFirst?: boolean
  readonly dryRun?: boolean
  readonly rate?: Rate
  /** Told of the pre-image of each key about to be written (a dry run: that would be): what the target had, or undefined. Needs `compareFirst`. */
  readonly beforeWrite?: (batch: readonly { readonly entry: Entry; readonly before: Entry | undefined }[]) => Promise<void>
  /** Why what the target has must stay, though the policy is to replace it; undefined when it need not. Needs `compareFirst`. */
  readonly keeps?: (entry: Entry, old: Entry) => string | undefined
  /**
   * Told when the low watermark has moved, until a key could not be copied: a run that goes on is to meet that one again.
   * Must be quick or keep the latest for later.
   */
  readonly onWatermark?: (mark: KeyRef) => void
  /** Told the same whether keys could be copied or not. */
  readonly onSettled?: (mark: KeyRef) => void
  readonly total?: number | undefined
  readonly listener?: Listener
  readonly signal?: AbortSignal
  /** How to wait, for tests that own the time. */
  readonly sleep?: (ms: number) => Promise<void>
  /** The monotonic clock that the rate is kept by, for the same tests. */
  readonly monotonicMs?: () => number
}

/** One side of a transfer failed; `cause` is its StoreError, whose message is the whole story. */
export class TransferError extends Error {
  /** How far a copy had come, when it was one that failed. */
  report: Report | undefined

  constructor(
    readonly side: 'source' | 'target',
    override readonly cause: StoreError,
  ) {
    super(cause.message, { cause })
    this.name = 'TransferError'
  }
}

/** Does something with a store of this side; a StoreError comes as TransferError. */
export async function at<T>(side: 'source' | 'target', work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof StoreError ? new TransferError(side, error) : error
  }
}

const RETRIES = 6
/** A store that has not answered within its own time-out has had as long as it may take: it gets as long again, not six times. */
const NO_ANSWER_RETRIES = 1
const RETRY_MS = 100
const RETRY_MS_MAX = 5000
const PROGRESS_MS = 100
const WARN_AGAIN_MS = 1000
const SAMPLES_MAX = 10

/** A batch ends half-way because the copy stops; the reason is told elsewhere. */
class Unfinished extends Error {}

export class Copy {
  readonly #counts = Object.fromEntries(OUTCOMES.map((name) => [name, 0])) as Record<Outcome, number>
  readonly #samples: Partial<Record<Outcome, { ref: KeyRef; reason: string }[]>> = {}
  readonly #startedMs = monotonicMs()
  readonly #keyPace: Pace
  readonly #bytePace: Pace
  readonly #sleep: (ms: number) => Promise<void>
  #keys = 0
  #bytes = 0
  #errors = 0
  #active = 0
  #failure: unknown
  #failed = false
  #wakeUp: (() => void) | undefined
  #last: KeyRef | undefined
  #toldMs = 0
  #warned = ''
  #warnedMs = 0
  /** Numbers of batches: the next one to begin, and the oldest one under way. */
  #next = 0
  #oldest = 0
  readonly #ended = new Map<number, KeyRef>()
  #watermark: KeyRef | undefined

  constructor(
    readonly source: Store,
    readonly target: Store,
    readonly options: CopyOptions,
  ) {
    const { signal } = options
    // An interruption ends a wait at once; what comes after it looks at the signal.
    this.#sleep = options.sleep ?? ((ms) => pause(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined))
    this.#keyPace = new Pace(options.rate?.keysPerSecond, this.#sleep, options.monotonicMs)
    this.#bytePace = new Pace(options.rate?.bytesPerSecond, this.#sleep, options.monotonicMs)
  }

  /**
   * Copies these keys; the pages come in the order that the watermark is meant in. Throws TransferError when a store can
   * not go on, and what else goes wrong as it is. May be called once.
   */
  async run(pages: AsyncIterable<readonly KeyRef[]>): Promise<Report> {
    const { keepKey, rate } = this.options
    const batchEntries = partOf(rate?.keysPerSecond, this.options.batchEntries)
    let batch: KeyRef[] = []
    const room = (): Promise<void> | undefined => (this.#active < this.options.parallel ? undefined : this.#batchEnded())
    try {
      for await (const page of pages) {
        for (const ref of page) {
          if (keepKey !== undefined && !keepKey(ref)) continue
          batch.push(ref)
          if (batch.length < batchEntries) continue
          await room()
          await this.#keyPace.admit(batch.length)
          if (this.#isStopping) break
          this.#begin(batch)
          batch = []
        }
        if (this.#isStopping) break
      }
    } catch (error) {
      // What was listed before the damage is copied all the same.
      if (!this.#isStopping && batch.length > 0) this.#begin(batch)
      this.#fail(error instanceof StoreError ? new TransferError('source', error) : error)
    }
    if (!this.#isStopping && batch.length > 0) {
      await room()
      await this.#keyPace.admit(batch.length)
      if (!this.#isStopping) this.#begin(batch)
    }
    while (this.#active > 0) await this.#batchEnded()
    this.#tell(true)
    if (!this.#failed) return this.report()
    if (this.#failure instanceof TransferError) this.#failure.report = this.report()
    throw this.#failure
  }

  /** How it stands, or ended. */
  report(): Report {
    const interrupted = this.options.signal?.aborted === true
    return {
      counts: this.#counts, keys: this.#keys, bytes: this.#bytes, elapsedMs: monotonicMs() - this.#startedMs,
      samples: this.#samples, interrupted, failed: this.#failed, watermark: interrupted || this.#failed ? this.#watermark : undefined,
    }
  }

  get #isStopping(): boolean {
    return this.#failed || this.options.signal?.aborted === true
  }

  #fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#failure = error
  }

  #batchEnded(): Promise<void> {
    return new Promise((done) => { this.#wakeUp = done })
  }

  #begin(refs: readonly KeyRef[]): void {
    const number = this.#next++
    // The name alone: an entry would keep its value in memory.
    const { db, key } = refs[refs.length - 1]
    this.#active++
    void this.#batch(refs).then(
      () => this.#settled(number, { db, key }),
      (error: unknown) => { if (!(error instanceof Unfinished)) this.#fail(error) },
    ).finally(() => {
      this.#active--
      this.#wakeUp?.()
    })
  }

  /** A batch has ended well: the mark moves past every batch that has, from the oldest one on. */
  #settled(number: number, last: KeyRef): void {
    this.#ended.set(number, last)
    let moved = false
    for (let mark = this.#ended.get(this.#oldest); mark !== undefined; mark = this.#ended.get(this.#oldest)) {
      this.#ended.delete(this.#oldest++)
      this.#watermark = mark
      moved = true
    }
    if (moved && this.#watermark !== undefined) {
      this.options.onSettled?.(this.#watermark)
      if (this.#errors === 0) this.options.onWatermark?.(this.#watermark)
    }
    this.#last = last
    this.#tell(false)
  }

  async #batch(refs: readonly KeyRef[]): Promise<void> {
    for (let done = 0; done < refs.length;) {
      const rest = done === 0 ? refs : refs.slice(done)
      const found = rest.every(isEntry) ? rest : await this.#trying('source', () => this.source.read(rest))
      await this.#deliver(this.#admit(rest, found))
      done += Math.max(1, found.length)
      if (this.#failed && done < refs.length) throw new Unfinished()
    }
  }

  /** What of the entries read is to be written, in the target's form; all others have their outcome. */
  #admit(refs: readonly KeyRef[], found: readonly (Entry | EntryError | undefined)[]): Entry[] {
    const { keepEntry, rename, convert } = this.options
    const { keyBytesMax, valueBytesMax } = this.target.traits
    const now = this.options.nowMs()
    const entries: Entry[] = []
    for (let i = 0; i < found.length; i++) {
      const entry = found[i]
      const ref = refs[i]
      if (entry === undefined) this.#count(ref, 'vanished')
      else if (entry instanceof EntryError) this.#count(ref, entry.code, entry.message)
      else if (keepEntry !== undefined && !keepEntry(entry)) continue
      else if (entry.expiresAtMs !== undefined && entry.expiresAtMs <= now) this.#count(ref, 'expired')
      else {
        const name = rename?.(ref) ?? ref
        const named = name === ref ? entry : { ...entry, db: name.db, key: name.key }
        const converted = misplacement(name, this.target) ?? convert(named)
        if (converted instanceof EntryError) this.#count(ref, converted.code, converted.message)
        else if (converted.key.length > keyBytesMax) this.#count(ref, 'too-large', `the key has ${converted.key.length} bytes, ${this.target.label} takes ${keyBytesMax}`)
        else if (converted.value.length > valueBytesMax) this.#count(ref, 'too-large', `the value has ${converted.value.length} bytes, ${this.target.label} takes ${valueBytesMax}`)
        else entries.push(converted)
      }
    }
    return entries
  }

  /** Writes entries in parts that the target takes at a time. */
  async #deliver(entries: readonly Entry[]): Promise<void> {
    const { batchEntriesMax } = this.target.traits
    const batchBytesMax = partOf(this.options.rate?.bytesPerSecond, this.target.traits.batchBytesMax)
    let part: Entry[] = []
    let bytes = 0
    for (const entry of entries) {
      const size = entry.key.length + entry.value.length
      if (part.length > 0 && (part.length >= batchEntriesMax || bytes + size > batchBytesMax)) {
        await this.#write(part, bytes)
        part = []
        bytes = 0
      }
      part.push(entry)
      bytes += size
    }
    if (part.length > 0) await this.#write(part, bytes)
  }

  async #write(entries: readonly Entry[], bytes: number): Promise<void> {
    const { conflict, dryRun, compareFirst, beforeWrite } = this.options
    const wait = this.#bytePace.admit(bytes)
    if (wait !== undefined) {
      await wait
      if (this.#isStopping) throw new Unfinished()
    }
    this.#bytes += bytes
    if (dryRun !== true && compareFirst !== true) {
      const outcomes = await this.#trying('target', () => this.target.write(entries, conflict))
      return this.#settleWritten(entries, outcomes)
    }
    const before = await this.#readTarget(entries)
    const open: { entry: Entry; before: Entry | undefined }[] = []
    for (let i = 0; i < entries.length; i++) {
      const old = before[i]
      if (old instanceof EntryError) this.#count(entries[i], old.code, `what is in the target: ${old.message}`)
      else if (old === undefined || !this.#isSettledBy(entries[i], old)) open.push({ entry: entries[i], before: old })
    }
    if (dryRun === true) return this.#foresee(open)
    if (open.length === 0) return
    await beforeWrite?.(open)
    const outcomes = await this.#trying('target', () => this.target.write(open.map(({ entry }) => entry), conflict))
    await this.#settleWritten(open.map(({ entry }) => entry), outcomes, open.map((each) => each.before))
  }

  /** What would become of entries that nothing else has settled. */
  async #foresee(open: readonly { readonly entry: Entry; readonly before: Entry | undefined }[]): Promise<void> {
    const taken = open.filter(({ entry }) => {
      const refusal = this.target.refusalOf?.(entry)
      if (refusal !== undefined) this.#count(entry, refusal.code, refusal.message)
      return refusal === undefined
    })
    if (taken.length === 0) return
    await this.options.beforeWrite?.(taken)
    for (const { entry, before } of taken) this.#count(entry, before === undefined ? 'created' : 'overwritten')
  }

  /** What the target has under all of these keys. */
  async #readTarget(refs: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    const found: (Entry | EntryError | undefined)[] = []
    while (found.length < refs.length) found.push(...(await this.#trying('target', () => this.target.read(refs.slice(found.length)))))
    return found
  }

  /** Whether what the target has decides the outcome: it is the same, or the policy leaves it alone. */
  #isSettledBy(entry: Entry, old: Entry): boolean {
    const { conflict, same, keeps } = this.options
    if (same(entry, old)) this.#count(entry, 'identical')
    else if (conflict === 'skip') this.#count(entry, 'skipped')
    else {
      const reason = conflict === 'error' ? OTHER_VALUE : keeps?.(entry, old)
      if (reason === undefined) return false
      this.#count(entry, 'conflict', reason)
    }
    return true
  }

  async #settleWritten(entries: readonly Entry[], outcomes: readonly WriteOutcome[], before?: readonly (Entry | undefined)[]): Promise<void> {
    const existing: Entry[] = []
    for (let i = 0; i < entries.length; i++) {
      const outcome = outcomes[i]
      if (outcome === 'written') this.#count(entries[i], before === undefined ? 'written' : before[i] === undefined ? 'created' : 'overwritten')
      else if (outcome === 'exists') existing.push(entries[i])
      else this.#count(entries[i], outcome.code, outcome.message)
    }
    if (existing.length === 0) return
    // An earlier run may have written it, or somebody else just now: the same value is no conflict.
    const found = await this.#readTarget(existing)
    for (let i = 0; i < existing.length; i++) {
      const old = found[i]
      if (old instanceof EntryError || old === undefined || !this.#isSettledBy(existing[i], old))
        this.#count(existing[i], this.options.conflict === 'skip' ? 'skipped' : 'conflict', OTHER_VALUE)
    }
  }

  #count(ref: KeyRef, outcome: Outcome, reason?: string): void {
    this.#keys++
    this.#counts[outcome]++
    const { listener } = this.options
    listener?.key?.(ref, outcome, reason)
    if (!FAILURES.includes(outcome)) return
    this.#errors++
    const samples = (this.#samples[outcome] ??= [])
    // Not the entry, which may be what was counted: its value would stay in memory, and stand in the report.
    if (samples.length < SAMPLES_MAX) samples.push({ ref: { db: ref.db, key: ref.key }, reason: reason ?? '' })
  }

  #tell(last: boolean): void {
    const { listener, total } = this.options
    if (listener?.progress === undefined) return
    const now = monotonicMs()
    if (!last && now - this.#toldMs < PROGRESS_MS) return
    this.#toldMs = now
    const progress: Progress = {
      phase: 'copying', keys: this.#keys, total, bytes: this.#bytes, errors: this.#errors,
      elapsedMs: now - this.#startedMs, last: this.#last,
    }
    listener.progress(progress)
  }

  /** Batches at the same time meet the same trouble: it is told once. */
  #warn(text: string): void {
    const now = monotonicMs()
    if (text === this.#warned && now - this.#warnedMs < WARN_AGAIN_MS) return
    this.#warned = text
    this.#warnedMs = now
    this.options.listener?.note?.('warning', text)
  }

  /** Does something with a store, again and again with growing pauses while it can not be reached. */
  async #trying<T>(side: 'source' | 'target', work: () => Promise<T>): Promise<T> {
    let unanswered = 0
    for (let attempt = 0; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        if (error instanceof NoAnswerError) unanswered++
        if (error.fault !== 'unreachable' || attempt >= RETRIES || unanswered > NO_ANSWER_RETRIES || this.#isStopping) throw new TransferError(side, error)
        const waitMs = Math.min(RETRY_MS * 2 ** attempt, RETRY_MS_MAX)
        this.#warn(`${error.message}; trying again in ${waitMs} ms`)
        await this.#sleep(waitMs)
      }
    }
  }
}

const OTHER_VALUE = 'the target has another value under this key'
