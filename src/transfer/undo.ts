/**
 * Puts a store back to what an undo log says it was: what was overwritten is written again, what was new is removed. Latest
 * first, so that of a key with several records the oldest has the last word.
 *
 * | the store has              | what becomes of it                                              |
 * |----------------------------|-----------------------------------------------------------------|
 * | what the migration wrote   | put back                                                        |
 * | what was there before      | nothing: it was never written, or is put back already           |
 * | something else             | left alone, counted and named, unless `insists`                 |
 */
import type { Fingerprint } from './fingerprint.js'
import { undoRecords, type UndoRecord } from './journal.js'
import { nameOf, StoreError, type Entry, type EntryError, type KeyRef, type Store } from './store.js'

export interface UndoOptions {
  /** Whether two entries hold the same. */
  readonly same: (a: Entry, b: Entry) => boolean
  /** Whether a fingerprint may be that of an entry. */
  readonly fits: (print: Fingerprint, entry: Entry) => boolean
  readonly nowMs: () => number
  /** Puts back what somebody else has changed since, too. */
  readonly insists?: boolean
  /** Ends it between two pages of the log. */
  readonly signal?: AbortSignal
}

export interface UndoReport {
  readonly restored: number
  readonly removed: number
  /** Keys that somebody else has changed since, which are left alone; the first ten are named. */
  readonly changed: number
  readonly samples: readonly KeyRef[]
  /** Keys whose former value the store did not take, with the reason: at most ten. */
  readonly failed: readonly { readonly entry: Entry; readonly reason: string }[]
}

const SAMPLES_MAX = 10

/** Throws StoreError when the store or the log can not be used; what was put back by then stays. */
export async function undo(store: Store, file: string, options: UndoOptions): Promise<UndoReport> {
  if (store.traits.startsOver === true) throw new StoreError('usage', `${store.label} can not be put back: it is written as a whole`)
  const run = new Undoing(store, options)
  for await (const page of undoRecords(file)) {
    if (options.signal?.aborted === true) break
    await run.page(page)
  }
  return run.report()
}

class Undoing {
  #restored = 0
  #removed = 0
  /** Keys that were found changed, until an older record of theirs knows them. */
  readonly #changed = new Map<string, KeyRef>()
  readonly #failed: { entry: Entry; reason: string }[] = []

  constructor(
    readonly store: Store,
    readonly options: UndoOptions,
  ) {}

  report(): UndoReport {
    return { restored: this.#restored, removed: this.#removed, changed: this.#changed.size, samples: [...this.#changed.values()].slice(0, SAMPLES_MAX), failed: this.#failed }
  }

  /** In parts that the store takes at a time, in none of which a key is twice. */
  async page(records: readonly UndoRecord[]): Promise<void> {
    const { batchEntriesMax, batchBytesMax } = this.store.traits
    let part: UndoRecord[] = []
    let names = new Set<string>()
    let bytes = 0
    for (const record of records) {
      const name = nameOf(record)
      const size = record.key.length + (record.before?.value.length ?? 0)
      if (part.length > 0 && (part.length >= batchEntriesMax || bytes + size > batchBytesMax || names.has(name))) {
        await this.#put(part)
        part = []
        names = new Set()
        bytes = 0
      }
      part.push(record)
      names.add(name)
      bytes += size
    }
    if (part.length > 0) await this.#put(part)
  }

  async #put(records: readonly UndoRecord[]): Promise<void> {
    const { store } = this
    const present: (Entry | EntryError | undefined)[] = []
    while (present.length < records.length) present.push(...(await store.read(records.slice(present.length))))
    const open = records.filter((record, i) => this.#isToPutBack(record, present[i]))
    const created = open.filter(({ before }) => before === undefined)
    if (created.length > 0) await store.remove(created)
    this.#removed += created.length
    const former = open.flatMap(({ before }) => before ?? [])
    if (former.length === 0) return
    const outcomes = await store.write(former, 'replace')
    for (const [i, entry] of former.entries()) {
      const outcome = outcomes[i]
      if (outcome === 'written') this.#restored++
      else if (this.#failed.length < SAMPLES_MAX) this.#failed.push({ entry, reason: outcome instanceof Error ? outcome.message : 'not taken' })
    }
  }

  #isToPutBack(record: UndoRecord, present: Entry | EntryError | undefined): boolean {
    const { before, wrote } = record
    const { same, insists } = this.options
    const isBack = present === undefined || before === undefined ? present === before : !(present instanceof Error) && same(before, present)
    const isOurs = insists === true || wrote === undefined || this.#isWritten(wrote, present)
    if (isBack || isOurs) this.#changed.delete(nameOf(record))
    else this.#changed.set(nameOf(record), { db: record.db, key: record.key })
    return !isBack && isOurs
  }

  /** Whether the store has what was written, or that has expired meanwhile. */
  #isWritten(wrote: Fingerprint, present: Entry | EntryError | undefined): boolean {
    if (present === undefined) return wrote.expiresAtMs !== undefined && wrote.expiresAtMs <= this.options.nowMs()
    return !(present instanceof Error) && this.options.fits(wrote, present)
  }
}
