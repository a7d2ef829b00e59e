/**
 * One migration from its first look at both stores to its report.
 *
 *     open source --> open target --> preflight --> lock both --> [resume]
 *         --> copy --> [verify] --> unlock --> report
 *
 * Locks and connections are given back however it ends; what was copied stays copied, and the checkpoint says how
 * far that is. It knows the stores only by their interface, and neither terminal nor configuration.
 */
import { Checkpoint, disownCheckpoint, folderKeeper, storeKeeper, type Keeper } from './checkpoint.js'
import { Compare, type Comparison } from './compare.js'
import { Copy, TransferError, at, type Choice, type CopyOptions } from './copy.js'
import { emptyLike } from './empty-store.js'
import type { Fingerprint } from './fingerprint.js'
import { JournalWriter, checkPlanEnd, plannedKeys, readJournalHead, type JournalHead } from './journal.js'
import { listing, type ListingOptions } from './keys.js'
import { Lock, LockLostError, resetLock, type LockSurroundings, type Owner } from './lock.js'
import { entryPlace, filePlace, type LockPlace } from './lock-place.js'
import type { Rate } from './pace.js'
import { PreflightError, preflight } from './preflight.js'
import { OUTCOMES, type Listener, type Outcome, type Report } from './report.js'
import { compareKeys, nameOf, StoreError, type ConflictPolicy, type Entry, type EntryError, type Finding, type KeyRef, type Store } from './store.js'

const WRITTEN: readonly Outcome[] = ['created', 'overwritten']

/** Two listings are sorted at a time to be compared. */
const COMPARED_SORT_BYTES = 6 * 1024 * 1024

/** What the engine is handed because it knows no store's forms. */
export interface Forms {
  readonly convert: (entry: Entry) => Entry | EntryError
  readonly same: (a: Entry, b: Entry) => boolean
  readonly fingerprint: (entry: Entry) => Fingerprint
  /** Whether a fingerprint may be that of an entry. */
  readonly fits: (print: Fingerprint, entry: Entry) => boolean
  /** The bytes of a string entry. */
  readonly bytesOf: (entry: Entry) => Buffer | undefined
}

export interface MigrationOptions {
  readonly choice: Choice
  /** The source's name of a key that has its name in the target; needed with `choice.rename`. */
  readonly sourceName?: ((ref: KeyRef) => KeyRef) | undefined
  readonly start?: Buffer | undefined
  /** Undefined: replace in Vault's layouts, error elsewhere. */
  readonly conflict?: ConflictPolicy | undefined
  readonly parallel: number
  readonly batchEntries: number
  readonly unordered: boolean
  readonly dryRun: boolean
  /** Write what a dry run finds into this file; copy what such a file says. */
  readonly planFile?: string | undefined
  readonly applyFile?: string | undefined
  /** Equal for the same choice and names of keys: a plan is for them. */
  readonly selection?: string | undefined
  readonly verify: 'none' | 'quick' | 'full'
  /** Copies only what differs, over what is there. */
  readonly repair: boolean
  readonly undoLog?: string | undefined
  /** For the journals: how the target is opened again, without secrets. */
  readonly reopen: JournalHead['reopen']
  readonly rate?: Rate | undefined
  /** Keeps the checkpoint; without it the target does, where it can. */
  readonly stateFolder?: string | undefined
  /** An empty folder for sorting. */
  readonly spillFolder: string
  readonly owner: Owner
  readonly isAlive: (pid: number) => boolean
  readonly nowMs: () => number
  readonly listener?: Listener
  readonly signal?: AbortSignal
}

export interface MigrationResult {
  readonly report: Report
  readonly comparison: Comparison | undefined
  readonly findings: readonly Finding[]
  readonly conflict: ConflictPolicy
  /** The lock was taken away while it ran: it stopped in order, and was not completed. */
  readonly lost: LockLostError | undefined
}

export interface ResetResult {
  /** The stores that had a lock. */
  readonly labels: readonly string[]
  /** The ends that may have theirs still, and why. */
  readonly failures: readonly TransferError[]
}

export class Migration {
  readonly #locks: Lock[] = []
  #checkpoint: Checkpoint | undefined
  #tookOver = false
  /** Whose lock was in the target. */
  #previousOwner: string | undefined
  /** Both ends are the same store. */
  #isOneStore = false
  /** Not all that is compared in the end is copied: an earlier run did, or the plan leaves it out. */
  #isRest = false
  /** Whether it has come as far as that. */
  isCopying = false
  #lost: LockLostError | undefined
  /** Ends what is under way when the lock is lost. */
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal

  constructor(
    readonly source: Store,
    public target: Store,
    readonly forms: Forms,
    readonly options: MigrationOptions,
  ) {
    this.#signal = options.signal === undefined ? this.#stop.signal : AbortSignal.any([options.signal, this.#stop.signal])
  }

  /** Removes the locks of a migration that is gone, whosever they are, at each end that can be reached. */
  async reset(): Promise<ResetResult> {
    const labels: string[] = []
    const failures: TransferError[] = []
    try {
      for (const [side, place] of this.#lockPlaces()) {
        try {
          await at(side, async () => {
            if (!(await this.#isThere(side)) || !(await resetLock(place))) return
            labels.push(place.label)
            if (side === 'target' && this.#keepsState) await disownCheckpoint(this.#keeper)
          })
        } catch (error) {
          if (!(error instanceof TransferError)) throw error
          failures.push(error)
        }
      }
      return { labels, failures }
    } finally {
      await this.#close()
    }
  }

  /** Opens an end as it is: nothing is made where nothing is yet. False for a target that is not there. */
  async #isThere(side: 'source' | 'target'): Promise<boolean> {
    const store = this[side]
    if (store.lockFile !== undefined) return true
    if (side === 'target') return isOpened(store)
    await store.open('read')
    return true
  }

  /** Runs it. Throws TransferError, LockedError, PreflightError. */
  async run(): Promise<MigrationResult> {
    try {
      if (this.options.applyFile !== undefined) await this.#checkPlan(this.options.applyFile)
      await at('source', () => this.source.open('read'))
      await this.#openTarget()
      // Before the locks, which are entries like others to a store that counts what it has.
      const findings = await this.#preflight()
      if (!this.options.dryRun) await this.#lock()
      const report = await this.#copy()
      await this.#checkLocks()
      const through = !report.interrupted && !this.options.dryRun && this.#lost === undefined
      if (through) await at('target', async () => this.target.commit?.())
      if (!through || this.options.verify !== 'full')
        for (const doubt of await at('target', async () => (await this.target.doubts?.()) ?? [])) this.#warn(`${doubt}: see with --verify full whether anything is missing, and copy it with --repair`)
      const comparison = through && this.options.verify !== 'none' ? await this.#verify(this.#isRest ? undefined : report.keys) : undefined
      await this.#checkLocks()
      if (through && this.#lost === undefined && comparison?.interrupted !== true) await this.#checkpoint?.clear()
      return { report, comparison, findings, conflict: this.#conflict, lost: this.#lost }
    } finally {
      await this.#close()
    }
  }

  /** A dry run creates nothing: where there is no file, folder or table yet, the target is taken as empty. */
  async #openTarget(): Promise<void> {
    const { target } = this
    if (!this.options.dryRun) return at('target', () => target.open('write'))
    if (target.traits.startsOver === true) {
      // What is there is replaced as a whole.
      this.target = { ...emptyLike(target), preflight: async (access) => (await target.preflight?.(access)) ?? [] }
      return
    }
    try {
      await this.target.open('read')
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== 'absent') throw error instanceof StoreError ? new TransferError('target', error) : error
      this.options.listener?.note?.('info', `the destination is taken as empty: ${error.message}`)
      this.target = emptyLike(this.target)
    }
  }

  /** Whether the target can keep a lock and a checkpoint. */
  get #keepsState(): boolean {
    return this.target.traits.writable && this.target.traits.startsOver !== true
  }

  get #conflict(): ConflictPolicy {
    if (this.options.repair) return 'replace'
    return this.options.conflict ?? (this.target.traits.vaultLayout ? 'replace' : 'error')
  }

  /** The locks of both ends, as far as they can have one; what is both is locked once. */
  #lockPlaces(): ['source' | 'target', LockPlace][] {
    const { source, target, forms } = this
    const places: ['source' | 'target', LockPlace][] = []
    if (source.lockFile !== undefined) places.push(['source', filePlace(source.label, source.lockFile)])
    else if (source.traits.vaultLayout && source.traits.writable) places.push(['source', entryPlace(source, forms.bytesOf)])
    if (target.lockFile === undefined) {
      if (this.#keepsState && (places.length === 0 || !this.#isOneStore)) places.push(['target', entryPlace(target, forms.bytesOf)])
    } else if (target.lockFile !== source.lockFile) places.push(['target', filePlace(target.label, target.lockFile)])
    return places
  }

  async #lock(): Promise<void> {
    const surroundings: LockSurroundings = {
      nowMs: this.options.nowMs, isAlive: this.options.isAlive, onLost: (error) => this.#lose(error),
      onTrouble: (error) => this.#warn(`the lock could not be renewed: ${error.message}`),
    }
    for (const [side, place] of this.#lockPlaces()) {
      try {
        const { lock, previous } = await Lock.take(place, this.options.owner, surroundings)
        this.#locks.push(lock)
        this.#tookOver ||= previous !== undefined
        if (side === 'target' || this.#isOneStore) this.#previousOwner = previous?.owner
      } catch (error) {
        // What can only be read is a source all the same.
        if (side === 'source' && error instanceof StoreError && error.fault === 'denied') this.#goOnUnlocked(error)
        else throw error instanceof StoreError ? new TransferError(side, error) : error
      }
    }
    if (!this.#tookOver) return
    this.#warn('the lock of this same migration was there and its process is gone: going on in its place')
    await this.target.sweep?.().catch((error: Error) => this.#warn(`what it left half written could not be removed: ${error.message}`))
  }

  /** Nobody can write to a medium that can only be read; to a store whose user may only read, others can. */
  #goOnUnlocked({ message }: StoreError): void {
    const { label, lockFile } = this.source
    if (lockFile !== undefined) this.options.listener?.note?.('info', `${label} is read without a lock: ${message}`)
    else this.#warn(`${label} is read without a lock, for its user may not write one (${message}). Nothing keeps others from writing there or migrating it meanwhile: see to it yourself that nobody does, or let the user write and delete the key core/migration`)
  }

  /** From now on somebody else may be at work on the store. */
  #lose(error: LockLostError): void {
    this.#lost ??= error
    this.#stop.abort()
  }

  /** Looks whether the locks are still this migration's: at its end, and before what can not be taken back. */
  async #checkLocks(): Promise<void> {
    for (const lock of this.#locks) {
      await lock.check().catch((error: Error) => {
        if (error instanceof LockLostError) this.#lose(error)
        else this.#warn(`whether the lock is still there is not known: ${error.message}`)
      })
    }
  }

  #warn(text: string): void {
    this.options.listener?.note?.('warning', text)
  }

  async #preflight(): Promise<readonly Finding[]> {
    const { source, target, options: { choice, listener } } = this
    const { findings, isOneStore } = await preflight(source, target, choice)
    this.#isOneStore = isOneStore
    if (findings.some(({ level }) => level === 'error')) throw new PreflightError(findings)
    for (const { level, code, message } of findings) listener?.note?.(level === 'warning' ? 'warning' : 'info', `${code}: ${message}`)
    return findings
  }

  // ---- copying ----

  async #copy(): Promise<Report> {
    const { planFile, applyFile, undoLog } = this.options
    const head = (kind: JournalHead['keyferry']): JournalHead => ({
      keyferry: kind, version: 1, task: this.options.owner.task, source: this.source.label, target: this.target.label,
      selection: this.options.selection, reopen: this.options.reopen,
    })
    const after = applyFile === undefined ? await this.#resume() : undefined
    const undo = undoLog === undefined ? undefined : await JournalWriter.create(undoLog, head('undo'))
    const plan = planFile === undefined ? undefined : await JournalWriter.create(planFile, head('plan'))
    try {
      this.#isRest = after !== undefined || applyFile !== undefined
      const options = await this.#copyOptions(undo, plan)
      if (applyFile !== undefined) return await this.#apply(applyFile, options)
      const report = await this.#copying(new Copy(this.source, this.target, options), listing(this.source, { ...this.#listing, after, withValues: true }))
      if (!report.interrupted) plan?.end()
      if (report.keys === 0 && after === undefined && !report.interrupted) this.#warn(`${this.source.label} has no keys${this.#isAllChosen ? '' : ' that are chosen'}; look at its address and options`)
      return report
    } finally {
      await undo?.close()
      await plan?.close()
    }
  }

  /** Whether as many keys are copied as the source counts. */
  get #isAllChosen(): boolean {
    const { source, options: { start, choice } } = this
    return start === undefined && choice.isPart !== true && (choice.databaseOf === undefined || !source.traits.databases || source.traits.onlyDatabase !== undefined)
  }

  get #listing(): ListingOptions {
    const { start, unordered, choice, spillFolder } = this.options
    return { start, unordered, keepKey: choice.keepKey, spillFolder, signal: this.#signal }
  }

  async #copyOptions(undo: JournalWriter | undefined, plan: JournalWriter | undefined): Promise<CopyOptions> {
    const { choice, parallel, batchEntries, unordered, dryRun, rate, listener, nowMs, repair } = this.options
    const told: Listener = {
      ...(listener?.progress !== undefined && { progress: (progress) => listener.progress?.(progress) }),
      ...(listener?.note !== undefined && { note: (level, text) => listener.note?.(level, text) }),
      ...((listener?.key !== undefined || plan !== undefined) && {
        key: (ref, outcome, reason) => {
          // Those that would be written are noted with what the target has, below.
          if (!WRITTEN.includes(outcome)) plan?.planned(ref, outcome)
          listener?.key?.(ref, outcome, reason)
        },
      }),
    }
    const total = this.#isAllChosen && !this.#isRest ? await this.source.count?.().catch(() => undefined) : undefined
    return {
      conflict: this.#conflict, parallel: Math.min(parallel, this.source.traits.parallelMax, this.target.traits.parallelMax),
      batchEntries: Math.min(batchEntries, this.source.traits.batchEntriesMax),
      convert: this.forms.convert, same: this.forms.same, nowMs, dryRun, compareFirst: repair || undo !== undefined, total,
      ...(choice.keepEntry !== undefined && { keepEntry: choice.keepEntry }),
      ...(choice.rename !== undefined && { rename: choice.rename }),
      ...(undo !== undefined && { beforeWrite: (batch) => undo.before(batch.map((each) => ({ ...each, wrote: this.forms.fingerprint(each.entry) }))) }),
      ...(plan !== undefined && {
        beforeWrite: async (batch) => {
          for (const { entry, before } of batch)
            plan.planned(entry, before === undefined ? 'created' : 'overwritten', before === undefined ? undefined : this.forms.fingerprint(before))
        },
        onSettled: (mark) => plan.settled(unordered ? undefined : (choice.rename?.(mark) ?? mark)),
      }),
      ...(rate !== undefined && { rate }), signal: this.#signal, listener: told,
      onWatermark: (mark) => this.#checkpoint?.note(mark),
    }
  }

  get #keeper(): Keeper {
    const { stateFolder } = this.options
    return stateFolder === undefined ? storeKeeper(this.target, this.forms.bytesOf) : folderKeeper(stateFolder)
  }

  /** Where an earlier run of the same task stopped. */
  async #resume(): Promise<KeyRef | undefined> {
    const { dryRun, unordered, repair, stateFolder, owner, nowMs } = this.options
    if (dryRun || unordered || !this.#keepsState) return undefined
    const checkpoint = new Checkpoint(this.#keeper, owner.task, owner.id, nowMs, (error) => this.#warn(`the checkpoint could not be saved: ${(error as Error).message}`))
    this.#checkpoint = checkpoint
    // Whoever repairs looks at every key.
    if (repair) return undefined
    const mark = await at('target', () => checkpoint.load(this.#previousOwner))
    if (mark !== undefined && stateFolder !== undefined && !(await this.#hasArrived(mark))) {
      this.#warn('the destination does not have the key at which an earlier run of this migration stopped: beginning at the first one')
      return undefined
    }
    if (mark !== undefined) this.options.listener?.note?.('info', 'an earlier run of this migration got part of the way: going on behind its last key')
    return mark
  }

  /** A checkpoint beside the target may say more than the target has, when that was emptied or restored. */
  async #hasArrived(mark: KeyRef): Promise<boolean> {
    const [found] = await at('target', () => this.target.read([this.options.choice.rename?.(mark) ?? mark]))
    return found !== undefined
  }

  async #copying(copy: Copy, pages: AsyncIterable<readonly KeyRef[]>): Promise<Report> {
    try {
      this.isCopying = true
      return await copy.run(pages)
    } finally {
      await this.#closeCheckpoint()
    }
  }

  /** What it says is true only while the lock is there: who empties a store takes both away. */
  async #closeCheckpoint(): Promise<void> {
    const checkpoint = this.#checkpoint
    if (checkpoint === undefined) return
    try {
      for (const lock of this.#locks) await lock.check()
      await checkpoint.close()
    } catch (error) {
      if (error instanceof LockLostError) this.#lose(error)
      else this.#warn(`the checkpoint could not be saved: ${(error as Error).message}`)
      await checkpoint.abandon()
    }
  }

  /** A plan for other stores or other keys is not followed. */
  async #checkPlan(file: string): Promise<void> {
    const { source, target, selection } = await readJournalHead(file, 'plan')
    await checkPlanEnd(file)
    if (source !== this.source.label || target !== this.target.label)
      throw new StoreError('usage', `${file} is a plan for ${source} to ${target}, not for ${this.source.label} to ${this.target.label}`)
    if (selection !== this.options.selection)
      throw new StoreError('usage', `${file} was made with other flags that choose or rename keys; give --apply the same ones`)
  }

  /** Copies what a plan wanted created, where nothing may be by now, and what it wanted overwritten, where it is what it was. */
  async #apply(file: string, options: CopyOptions): Promise<Report> {
    const { fits } = this.forms
    const sourceName = this.options.sourceName ?? ((ref: KeyRef) => ref)
    /** What the target had, of keys that are under way. */
    const had = new Map<string, Fingerprint>()
    const planned = async function* (outcome: Outcome): AsyncGenerator<readonly KeyRef[], void, void> {
      for await (const page of plannedKeys(file, outcome)) {
        for (const record of page) if (record.had !== undefined) had.set(nameOf(record), record.had)
        yield page.map(({ db, key }) => sourceName({ db, key }))
      }
    }
    const created = await new Copy(this.source, this.target, { ...options, conflict: 'error' }).run(planned('created'))
    if (created.interrupted) return created
    const both = (overwritten: Report): Report => ({
      ...overwritten,
      counts: Object.fromEntries(OUTCOMES.map((name) => [name, created.counts[name] + overwritten.counts[name]])) as Record<Outcome, number>,
      keys: created.keys + overwritten.keys, bytes: created.bytes + overwritten.bytes,
      elapsedMs: created.elapsedMs + overwritten.elapsedMs, samples: bothSamples(created.samples, overwritten.samples),
    })
    return new Copy(this.source, this.target, {
      ...options, conflict: 'replace', compareFirst: true,
      keeps: (entry, old) => {
        const print = had.get(nameOf(entry))
        return print === undefined || fits(print, old) ? undefined : 'the target\'s value was changed since the plan was made'
      },
      listener: {
        ...options.listener,
        key: (ref, outcome, reason) => {
          had.delete(nameOf(ref))
          options.listener?.key?.(ref, outcome, reason)
        },
      },
    }).run(planned('overwritten')).then(both, (error: unknown) => {
      if (error instanceof TransferError && error.report !== undefined) error.report = both(error.report)
      throw error
    })
  }

  // ---- comparing ----

  async #verify(total: number | undefined): Promise<Comparison> {
    const { options, source, target, forms } = this
    const { choice, sourceName, verify, parallel, batchEntries, nowMs, listener } = options
    const signal = this.#signal
    const compare = new Compare(source, target, {
      mode: verify === 'full' ? 'full' : 'quick', convert: forms.convert, same: forms.same, sourceName, nowMs, total,
      // A batch is in memory twice, once from each end.
      parallel: Math.ceil(Math.min(parallel, source.traits.parallelMax, target.traits.parallelMax) / 2),
      batchEntries: Math.min(batchEntries, source.traits.batchEntriesMax, target.traits.batchEntriesMax),
      keepEntry: choice.keepEntry,
      ...(listener !== undefined && { listener }), signal,
    })
    // In the names of the target, and of the target's keys those that a copy with this choice could have written.
    const isOurs = (ref: KeyRef): boolean => {
      const own = sourceName?.(ref) ?? ref
      if (choice.rename !== undefined && compareKeys(choice.rename(own), ref) !== 0) return false
      return (options.start === undefined || own.key.compare(options.start) >= 0) && (choice.keepKey === undefined || choice.keepKey(own))
    }
    const ours = { ...this.#listing, unordered: false, rename: choice.rename, sortBytes: COMPARED_SORT_BYTES }
    const theirs = { spillFolder: options.spillFolder, signal, keepKey: isOurs, sortBytes: COMPARED_SORT_BYTES }
    return compare.run(listing(source, ours), listing(target, theirs))
  }

  async #close(): Promise<void> {
    for (const lock of this.#locks.splice(0)) {
      await lock.release().catch((error: Error) => {
        // Told already, or told in the end.
        if (error instanceof LockLostError && this.#lost !== undefined) return
        this.#warn(error instanceof LockLostError ? error.message : `the lock could not be removed: ${error.message}`)
      })
    }
    await this.source.close().catch(() => undefined)
    await this.target.close()
  }
}

/** The first ten of each, of two. */
function bothSamples(a: Report['samples'], b: Report['samples']): Report['samples'] {
  return Object.fromEntries(OUTCOMES.map((name) => [name, [...(a[name] ?? []), ...(b[name] ?? [])].slice(0, 10)] as const).filter(([, found]) => found.length > 0))
}

/** Opens a store as it is; false when there is none. */
async function isOpened(store: Store): Promise<boolean> {
  try {
    await store.open('read')
    return true
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'absent') return false
    throw error
  }
}
