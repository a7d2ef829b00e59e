/**
 * What MIGRATE does once its words are read: moves the held keys over a link.
 *
 * Invariants
 * 1. A key is at the source, at the target, or, after an I/O error only, at both; never nowhere. It is
 *    deleted here only on `+OK` for exactly its RESTORE.
 * 2. No RESTORE leaves before AUTH and SELECT have been acknowledged on that link.
 * 3. From the first lookup to its outcome a key is held: commands that touch it wait, expiry and eviction
 *    leave it alone. With COPY it is held only against writes, and only until it is encoded.
 * 4. The time-out is idle time: any byte in either direction restarts it.
 * 5. Replies are parsed strictly; what is neither +OK nor an error closes the link and deletes nothing.
 * 6. A batch is streamed: at most about 1 MB waits per link, whatever the size of a key.
 * 7. One retry on a fresh link where Redis would retry, and where the link broke within a large value: then
 *    its length goes ahead, so that a target that refuses it has time to say why. A BUSYKEY for a key whose
 *    first reply was lost is settled by comparing the target's value with ours, on a third link if need be.
 * 8. A payload version that the target refuses is lowered, the value encoded again.
 * 9. What became of every key is told: the reply is Redis' own; statistics and report say more.
 * 10. Commands at the same time share a link, each behind those that have sent all of theirs; whoever wants more of it than
 *     one pass takes another.
 *
 *     [take link that is ready] ----> streamed at once: no promise between the command and its RESTOREs, nor
 *         | there is none             between the last reply and ours; all else goes on below   run, #ended
 *     [take link] --fault--> IOERR connecting / writing
 *         |  #open
 *     [prepare: AUTH, SELECT] --refused--> "Target instance replied with error"
 *         |  #prepare                `--fault--> retry once, or IOERR
 *     [stream RESTOREs, read replies] --fault before any reply, not by time-out--> retry once
 *         |  #stream                   `--other fault--> IOERR (an error reply before it wins)
 *     [version refused by some] --> lower the version, stream those again          #lowerVersion
 *     [BUSYKEY after a lost reply] --> compare                                     #settleBusy
 *         |
 *     [reply]  #finish
 */
import { decode } from '../protocol/rdb/decode.js'
import { RDB_VERSION, footerVersion } from '../protocol/rdb/payload.js'
import { Slice } from '../protocol/slice.js'
import { KeyNames, RestoreBatch } from '../src/backends/keyspace/restore-batch.js'
import type { LinkCache } from '../src/backends/redis/link-cache.js'
import type { Link, Target } from '../src/backends/redis/link.js'
import type { Engine } from '../src/engine/engine.js'
import type { KeyOutcome } from '../src/engine/services.js'
import { ReplyError, replyError } from '../src/errors.js'
import type { Database } from '../src/keyspace/database.js'
import { valueDigest } from '../src/keyspace/digest.js'
import { valueOf } from '../src/keyspace/values.js'
import { Batch, Premature } from '../src/transfer/batch.js'
import { LinkFault, type FaultKind } from '../src/transfer/outcome.js'
import { dumpFrom } from '../src/backends/redis/dump-from.js'

/** The command as its words said it. */
export interface MigrateOrder {
  readonly target: Target
  /** The database there, as the command spelled it. */
  readonly targetDb: string
  readonly timeoutMs: number
  readonly copy: boolean
  readonly replace: boolean
  readonly asking: boolean
}

/** Counters of INFO migrate. */
export interface MigrateStats {
  moved: number
  copied: number
  refused: number
  faults: number
  retries: number
  lastError: string
}

const IO_ERRORS: Record<FaultKind, ReplyError> = {
  connect: replyError('IOERR error or timeout connecting to the client'),
  write: replyError('IOERR error or timeout writing to target instance'),
  read: replyError('IOERR error or timeout reading to target instance'),
  protocol: replyError('IOERR error or timeout reading to target instance'),
}

const VERSION_REFUSED = 'ERR DUMP payload version or checksum are wrong'
/** Versions tried in turn when a target refuses a payload: those of Redis 7.0, 5 to 6.2. */
const OLDER_VERSIONS = [10, 9]

/** Why a copy could not be sent again: somebody else began to move the key. */
const IN_FLIGHT = 'TRYAGAIN Key is in flight to another server.'

type KeyState = 'pending' | 'moved' | 'refused'

type Done = (error: ReplyError | undefined) => void

/** How a pass over a link ended: with a fault of the link, with an error that nothing should throw, or well. */
type StreamEnd = (fault: LinkFault | undefined, failure?: unknown) => void

/** A pass that has ended. */
interface Begun {
  /** The one it was on, when it may be used further. */
  readonly link: Link | undefined
  readonly fault: LinkFault | undefined
  readonly failure: unknown
}

export class MigrateJob {
  readonly #states: KeyState[]
  /** Keys that were sent in an attempt whose replies were lost. */
  #doubtful = new Set<number>()
  readonly #busy: number[] = []
  #firstError: string | undefined
  /** Which keys this job holds. */
  readonly #held: boolean[]
  /** Names of acknowledged keys that have not been propagated yet. */
  #deleted: Buffer[] = []
  #tellDue = false
  #retried = false
  /** The last fault came in the middle of a large value. */
  #brokeWithin = false
  #version: number
  readonly #key = new Slice()

  constructor(
    readonly engine: Engine,
    readonly links: LinkCache,
    readonly stats: MigrateStats,
    readonly db: Database,
    readonly names: KeyNames,
    readonly order: MigrateOrder,
  ) {
    this.#states = new Array<KeyState>(names.count).fill('pending')
    this.#held = new Array<boolean>(names.count).fill(true)
    this.#version = links.versionFor(order.target, RDB_VERSION)
  }

  /**
   * Moves the keys; `done` is told the reply's error, or undefined for +OK, in the turn in which it is known.
   * Never throws.
   */
  run(done: Done): void {
    const { links, order } = this
    const link = links.takeReady(order.target, order.timeoutMs, order.targetDb)
    if (link === undefined) {
      void this.#goOn(undefined, done)
      return
    }
    const batch = this.#stream(link, undefined, (fault, failure) => this.#ended(link, fault, failure, done))
    if (batch.isHanded && !batch.isComplete) links.offer(link)
  }

  /** A pass over a link that was ready, and perhaps shared, has ended. */
  #ended(link: Link, fault: LinkFault | undefined, failure: unknown, done: Done): void {
    const { links, engine } = this
    if (fault !== undefined || failure !== undefined || this.#versionRefused.length > 0) {
      // Half a request may have been sent: nobody can use the link.
      if (failure !== undefined) link.close()
      void this.#goOn({ link: links.keep(link, engine.clock.nowMs), fault, failure }, done)
      return
    }
    // As Redis: after an error the database is selected anew.
    if (this.#firstError !== undefined) link.db = undefined
    links.give(link, engine.clock.nowMs)
    this.#finish()
    const error = this.#firstError === undefined ? undefined : this.#targetError(this.#firstError)
    if (error !== undefined) this.stats.lastError = error.line
    done(error)
  }

  /** All that takes more than one pass over a link that was there; begins with how that pass ended, if there was one. */
  async #goOn(begun: Begun | undefined, done: Done): Promise<void> {
    let error: ReplyError | undefined
    try {
      error = await this.#attempt(begun)
    } catch (unexpected) {
      error = replyError(`ERR internal error in 'migrate': ${(unexpected as Error).message}`)
      this.engine.stats.unexpectedErrors++
    }
    this.#finish()
    if (error !== undefined) this.stats.lastError = error.line
    done(error)
  }

  async #attempt(first: Begun | undefined): Promise<ReplyError | undefined> {
    for (let begun = first; ; begun = undefined) {
      const outcome = await this.#useLink((link) => this.#move(link, begun), begun?.link)
      if (outcome === undefined || outcome instanceof ReplyError) return outcome
      if (this.#busy.length > 0 && !outcome.timedOut) await this.#useLink((link) => this.#settleBusy(link))
      this.stats.faults++
      if (this.#firstError !== undefined) return this.#targetError(this.#firstError)
      if (!this.#mayRetry(outcome)) return IO_ERRORS[outcome.kind]
      this.#retried = true
      this.stats.retries++
    }
  }

  #mayRetry(fault: LinkFault): boolean {
    if (this.#retried || fault.timedOut || fault.kind === 'protocol' || fault.kind === 'connect') return false
    // Broken off within a value: the target's reason is worth asking for, even if keys before it have moved.
    if (fault.kind === 'write' && this.#brokeWithin) return true
    return !this.#states.includes('moved')
  }

  /** Does `work` on a prepared link of its own, or on the one that is in use already. */
  async #useLink(
    work: (link: Link) => Promise<LinkFault | undefined>, inUse?: Link,
  ): Promise<ReplyError | LinkFault | undefined> {
    const { order, links } = this
    let link = inUse
    try {
      if (link === undefined) {
        link = await links.take(order.target, order.timeoutMs, this.#retried)
        await link.ready()
        const refusal = await link.prepare(order.targetDb)
        if (refusal !== undefined) {
          link.db = undefined
          return this.#targetError(refusal)
        }
      }
      const fault = await work(link)
      if (fault !== undefined) return fault
      if (this.#firstError === undefined) return undefined
      link.db = undefined
      return this.#targetError(this.#firstError)
    } catch (fault) {
      if (fault instanceof LinkFault) return fault
      // Half a request may have been sent: nobody else can use the link.
      link?.close()
      throw fault
    } finally {
      if (link !== undefined) links.give(link, this.engine.clock.nowMs)
    }
  }

  async #move(link: Link, begun: Begun | undefined): Promise<LinkFault | undefined> {
    if (begun?.failure !== undefined) throw begun.failure
    let fault = begun === undefined ? await this.#streamed(link, undefined) : begun.fault
    while (fault === undefined) {
      const again = this.#lowerVersion()
      if (again === undefined) return this.#settleBusy(link)
      fault = await this.#streamed(link, again)
      if (again.some((i) => this.#states[i] === 'moved')) this.links.learnVersion(this.order.target, this.#version)
    }
    return fault
  }

  #targetError(line: string): ReplyError {
    return replyError(`ERR Target instance replied with error: ${line}`)
  }

  // ---- streaming ----

  #versionRefused: number[] = []

  #streamed(link: Link, chosen: readonly number[] | undefined): Promise<LinkFault | undefined> {
    return new Promise((done, fail) => this.#stream(link, chosen, (fault, failure) => {
      if (failure === undefined) done(fault)
      else fail(failure)
    }))
  }

  /** Sends all keys, or the chosen ones, and settles their replies. `end` is told how it ended, once. */
  #stream(link: Link, chosen: readonly number[] | undefined, end: StreamEnd): Batch {
    const { order } = this
    const again = chosen ?? (this.#retried ? this.#pending() : undefined)
    const source = new RestoreBatch(this.db, this.names, again?.filter((i) => this.#holdAgain(i)), {
      replace: order.replace, command: order.asking ? 'RESTORE-ASKING' : 'RESTORE', version: this.#version,
      cautious: this.#retried,
      ...(order.copy && { onEncoded: (i: number) => this.#releaseEncoded(i) }),
    })
    this.#versionRefused = []
    const batch = new Batch(source, link, {
      settle: (i, error) => this.#settle(source.nameOf(i), error),
      settledSome: () => this.#tell(),
      finished: (failure) => {
        if (!(failure instanceof Premature)) return end(undefined, failure)
        link.close()
        end(new LinkFault('protocol', false, failure.message))
      },
      failed: (fault) => {
        this.#brokeWithin = batch.brokeWithin
        for (let i = 0; i < source.count; i++)
          if (batch.wasSent(i) && this.#states[source.nameOf(i)] === 'pending') this.#doubtful.add(source.nameOf(i))
        end(fault.kind === 'read' && !batch.allSent ? new LinkFault('write', fault.timedOut, fault.message) : fault)
      },
    })
    if (link.fault === undefined || batch.isComplete) batch.start()
    else batch.failed(link.fault)
    return batch
  }

  #pending(): number[] {
    const pending: number[] = []
    for (let i = 0; i < this.#states.length; i++) if (this.#states[i] === 'pending') pending.push(i)
    return pending
  }

  #settle(i: number, error: string | undefined): void {
    if (error === undefined) return this.#acknowledge(i)
    if (error === VERSION_REFUSED && this.#olderVersion() !== undefined) {
      this.#versionRefused.push(i)
      return
    }
    if (this.#doubtful.has(i) && error.startsWith('BUSYKEY')) {
      this.#busy.push(i)
      return
    }
    this.#refuse(i, error)
  }

  #refuse(i: number, error: string): void {
    this.#states[i] = 'refused'
    this.stats.refused++
    this.#firstError ??= error
    this.#report(i, 'refused', error)
  }

  #report(i: number, outcome: KeyOutcome['outcome'], error?: string): void {
    const { target, targetDb } = this.order
    this.engine.services.migrated?.({
      key: this.names.at(i, this.#key).copy(), db: this.db.index, target: `${target.host}:${target.port}`, targetDb, outcome,
      ...(error !== undefined && { error }),
    })
  }

  /** The target has the key: it goes here, and whoever waits for it may go on. */
  #acknowledge(i: number): void {
    const { engine, db, order } = this
    this.#states[i] = 'moved'
    this.#release(i)
    if (engine.services.migrated !== undefined) this.#report(i, order.copy ? 'copied' : 'moved')
    if (order.copy) {
      this.stats.copied++
      return
    }
    this.stats.moved++
    const key = this.names.at(i, this.#key)
    if (!db.delete(key)) return
    engine.changed(db, key, 'g', 'del')
    if (engine.services.propagate !== undefined) this.#deleted.push(key.copy())
  }

  /** The key is no longer held by this job. Whoever waits for it is woken by `#tell`, before this turn is over. */
  #release(i: number): void {
    if (!this.#held[i]) return
    this.#held[i] = false
    this.engine.holds.release(this.db, this.names.refOf(i))
  }

  /** A copy of the key is on its way: the key itself is free. */
  #releaseEncoded(i: number): void {
    this.#release(i)
    if (this.#tellDue) return
    this.#tellDue = true
    queueMicrotask(() => {
      this.#tellDue = false
      this.#tell()
    })
  }

  /** A copy that is sent a second time is held again; false when somebody else holds the key by now. */
  #holdAgain(i: number): boolean {
    if (this.#held[i]) return true
    const ref = this.db.lookup(this.names.at(i, this.#key))
    this.names.setRef(i, ref)
    if (ref === 0) return true
    if (this.db.holdOf(ref) !== undefined) {
      this.#refuse(i, IN_FLIGHT)
      return false
    }
    this.engine.holds.add(this.db, ref, 'write')
    this.#held[i] = true
    return true
  }

  /**
   * Tells replicas what is gone and lets go on who waited for it: before anybody else can create a key of
   * the same name, or its DEL would come too late.
   */
  #tell(): void {
    if (this.#deleted.length > 0) this.engine.services.propagate?.(this.db, ['DEL', ...this.#deleted.splice(0)])
    this.engine.wake()
  }

  // ---- older payload versions ----

  #olderVersion(): number | undefined {
    return OLDER_VERSIONS.find((version) => version < this.#version)
  }

  /** The keys to send again in an older version, or undefined when there are none. */
  #lowerVersion(): number[] | undefined {
    const older = this.#olderVersion()
    if (this.#versionRefused.length === 0 || older === undefined) return undefined
    this.#version = older
    return this.#versionRefused
  }

  // ---- a reply that was lost ----

  /**
   * The target already has keys whose first reply we never saw: where its value equals ours, our first
   * RESTORE is what it has, and the key has moved.
   */
  async #settleBusy(link: Link): Promise<undefined> {
    for (const i of this.#busy.splice(0)) {
      const key = this.names.at(i, new Slice())
      const payload = await dumpFrom(link, key.copy())
      const ref = this.db.findKey(key)
      if (payload !== undefined && ref !== 0 && this.#equals(ref, payload)) this.#acknowledge(i)
      else this.#refuse(i, 'BUSYKEY Target key name already exists.')
      this.#tell()
    }
  }

  #equals(ref: number, payload: Buffer): boolean {
    try {
      const theirs = decode(payload[0], payload, 1, payload.length, Math.max(RDB_VERSION, footerVersion(payload, payload.length)))
      return valueDigest(theirs) === valueDigest(valueOf(this.db, ref))
    } catch {
      return false
    }
  }

  // ---- the end ----

  #finish(): void {
    if (this.engine.services.migrated !== undefined)
      for (const i of this.#pending()) this.#report(i, this.#doubtful.has(i) ? 'unknown' : 'unsent')
    for (let i = 0; i < this.#held.length; i++) this.#release(i)
    this.#tell()
  }
}
