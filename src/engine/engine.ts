/**
 * The engine: takes one command at a time from a session, decides whether it may run, runs it and writes
 * its reply. It knows no socket and no command: the server hands it the table.
 *
 *     execute --> admit? --no--> error line
 *                   |  `--wait--> the session keeps the command and tries again when woken
 *                   v
 *                 in MULTI? --> queue, QUEUED
 *                   v
 *                 run --> reply | suspended (the reply comes later, the session's next commands wait)
 *
 * A key in flight to another server (`holds`) makes the commands that touch it wait; everything else goes
 * on. Waiting sessions are woken together and try again in the order they came.
 */
import { ReplyWriter } from '../../protocol/resp/writer.js'
import { Slice } from '../../protocol/slice.js'
import type { Clock } from '../clock.js'
import { parseKeyspaceEvents, type Config } from '../config/index.js'
import { BUSY_KEY, NO_AUTH, OUT_OF_MEMORY, ReplyError, replyError, wrongArity } from '../errors.js'
import { Database, type KeyspaceServices } from '../keyspace/database.js'
import type { Random } from '../random.js'
import { Args } from './args.js'
import type { CallFrame } from './call-frame.js'
import type { Command } from './command-spec.js'
import { Holds } from './holds.js'
import type { LatencyMonitor } from './latency.js'
import { Monitor } from './monitor.js'
import { Rates } from './rates.js'
import { Registry } from './registry.js'
import type { EngineServices, EngineStats, EventClass } from './services.js'
import { Session, type QueuedCommand, type SessionLink, type Suspension } from './session.js'
import type { SlowLog } from './slowlog.js'
import { Timing } from './timing.js'
import { dropHttp, isHttp, unknownCommand } from './unknown-command.js'
import { Watches } from './watches.js'

/** What `execute` did with a command. */
export type Outcome = 'done' | 'suspended' | 'wait'

export type { EngineServices, EngineStats } from './services.js'

export class Engine {
  readonly reply = new ReplyWriter()
  readonly registry: Registry
  readonly databases: Database[] = []
  readonly sessions = new Map<number, Session>()
  readonly holds = new Holds(this.databases)
  readonly watches = new Watches()
  readonly monitor = new Monitor()
  readonly slowLog: SlowLog
  readonly latency: LatencyMonitor
  readonly rates = new Rates()
  /** Names this run of the server. */
  readonly runId: string
  /** Names the history of its data. */
  replicationId: string
  readonly startedMs: number
  readonly stats: EngineStats = {
    commands: 0, connections: 0, rejectedConnections: 0, errorReplies: 0, unexpectedErrors: 0,
    deniedAuth: 0, reads: 0, writes: 0, queryLimitCloses: 0, outputLimitCloses: 0, closedBytesIn: 0, closedBytesOut: 0,
  }
  /** Error replies by code, for INFO errorstats. */
  readonly errorCounts = new Map<string, number>()
  /** Changes since the last save. */
  dirty = 0
  /** The words to propagate instead of the running command's own. */
  rewritten: readonly (string | Buffer)[] | undefined
  /** Only this session runs (an EXEC that waits for its MIGRATE). */
  exclusive: Session | undefined
  /** CLIENT PAUSE: until when, and whether writes only. */
  pausedUntilMs = 0
  pauseWritesOnly = false
  /** DEBUG SET-SKIP-CHECKSUM-VALIDATION. */
  skipChecksum = false
  /** DEBUG SET-ACTIVE-EXPIRE. */
  activeExpiry = true
  /** DEBUG PAUSE-CRON. */
  cronPaused = false
  readonly #call: CallFrame
  /** The session whose chunk is being worked on, and those to go on with afterwards. */
  #current: Session | undefined
  readonly #later: Session[] = []
  readonly #waiting = new Set<Session>()
  #nextSessionId = 1
  readonly #timing: Timing

  constructor(
    readonly clock: Clock,
    readonly random: Random,
    readonly config: Config,
    readonly keyspace: KeyspaceServices,
    commands: readonly Command[],
    readonly services: EngineServices,
    newCall: (engine: Engine) => CallFrame,
  ) {
    this.registry = new Registry(commands)
    this.#timing = new Timing(clock, config)
    this.slowLog = this.#timing.slowLog
    this.latency = this.#timing.latency
    this.runId = random.hex(40)
    this.replicationId = random.hex(40)
    this.startedMs = clock.nowMs
    this.#followConfig()
    for (let i = 0; i < config.databases; i++) this.databases.push(new Database(i, keyspace))
    this.#call = newCall(this)
  }

  #followConfig(): void {
    const { config } = this
    // Without a password nobody needs to authenticate, those who came before it included.
    config.onChange('requirepass', () => {
      if (config.requirepass === '') for (const session of this.sessions.values()) session.authenticated = true
    })
  }

  /** Begins a conversation. */
  openSession(link: SessionLink): Session {
    const session = new Session(this.#nextSessionId++, this.databases[0], link, this.clock.nowMs)
    session.authenticated = this.config.requirepass === ''
    this.sessions.set(session.id, session)
    this.stats.connections++
    return session
  }

  /** Ends a conversation: what it watched, waited for and monitored is forgotten. */
  closeSession(session: Session): void {
    if (this.sessions.delete(session.id)) {
      this.stats.closedBytesIn += session.bytesIn
      this.stats.closedBytesOut += session.bytesOut
    }
    this.watches.forget(session)
    this.monitor.remove(session)
    this.#waiting.delete(session)
    // Its EXEC goes on to the end without it: nobody sees half a transaction.
    if (this.exclusive === session) return
    session.suspension?.onCancel?.()
    session.suspension = undefined
  }

  /** To be called before the commands of one chunk of input: the reply writer speaks for this session. */
  enter(session: Session): void {
    this.#current = session
    this.reply.version = session.protocol
    session.lastActiveMs = this.clock.nowMs
  }

  /** To be called after them: closes the books on what ran. The reply must have been taken by `flush`. */
  leave(flush: () => void): void {
    this.#timing.closeRun()
    this.#current = undefined
    flush()
    if (this.#later.length > 0) for (const session of this.#later.splice(0)) session.link.resume()
  }

  /** Lets a session go on, after the chunk being worked on when there is one: they share the reply writer. */
  #resume(session: Session): void {
    if (this.#current === undefined) session.link.resume()
    else this.#later.push(session)
  }

  /** Executes one command for a session; its reply is in `reply` unless the outcome says otherwise. */
  execute(session: Session, args: Args): Outcome {
    const mark = this.reply.pos
    const outcome = this.#execute(session, args)
    if (session.replyMode !== 'on' && outcome === 'done') this.#mute(session, mark)
    return outcome
  }

  #execute(session: Session, args: Args): Outcome {
    const command = this.registry.find(args.at(0))
    const target = command?.subcommands === undefined ? command : this.#subcommand(command, args)
    const refusal = this.#refuse(session, target, command, args)
    if (refusal !== undefined) {
      this.#reject(session, target, refusal)
      return 'done'
    }
    const admitted = target as Command
    if (this.#mustWait(session, admitted, args)) {
      session.waiting = true
      this.#waiting.add(session)
      return 'wait'
    }
    if (session.queue !== undefined && !admitted.runsInMulti) {
      this.#enqueue(session, admitted, args)
      return 'done'
    }
    return this.run(session, admitted, args)
  }

  #subcommand(container: Command, args: Args): Command | undefined {
    if (args.count < 2) return container
    const { buf, start, end } = args.at(1)
    return container.subcommands?.get(buf.latin1Slice(start, Math.min(end, start + SUBCOMMAND_BYTES_MAX)).toLowerCase())
  }

  #refuse(session: Session, command: Command | undefined, container: Command | undefined, args: Args): ReplyError | undefined {
    if (command === undefined) {
      if (container === undefined && isHttp(args)) dropHttp(session, this.services.log)
      return unknownCommand(container, args)
    }
    const { arity } = command
    if (arity > 0 ? args.count !== arity : args.count < -arity) return wrongArity(command.fullName)
    if (!session.authenticated && !command.needsNoAuth) return NO_AUTH
    const refusal = command.refuse?.(this.config, session.link.address)
    if (refusal !== undefined) return refusal
    if (session.queue !== undefined && command.notInMulti)
      return replyError('ERR Command not allowed inside a transaction')
    if (this.config.maxmemory === 0) return undefined
    const deniesOom = command.fullName === 'exec' ? session.queueDeniesOom : command.deniesOom
    return deniesOom && !this.services.makeRoom() ? OUT_OF_MEMORY : undefined
  }

  #reject(session: Session, command: Command | undefined, error: ReplyError): void {
    if (command !== undefined) command.stats.rejected++
    if (session.queue !== undefined) session.queueFailed = true
    if (command?.fullName === 'exec') {
      this.watches.forget(session)
      session.queue = undefined
      session.queueBytes = 0
      this.writeError(replyError(`EXECABORT Transaction discarded because of: ${error.line.replace(/^ERR /, '')}`))
    } else this.writeError(error)
  }

  /** Writes an error line and counts it. */
  writeError(error: ReplyError): void {
    this.reply.error(error.line)
    this.countError(error.code)
  }

  countError(code: string): void {
    this.stats.errorReplies++
    this.errorCounts.set(code, (this.errorCounts.get(code) ?? 0) + 1)
  }

  #mustWait(session: Session, command: Command, args: Args): boolean {
    if (this.exclusive !== undefined && this.exclusive !== session) return true
    if (this.pausedUntilMs > 0 && this.#isPaused(session, command)) return true
    if (this.holds.size === 0) return false
    if (session.queue !== undefined && command.fullName !== 'exec') return false
    if (command.spec.touchesAll) return true
    if (command.fullName === 'exec') return this.holds.touchedByQueue(session)
    return this.holds.touchedBy(session.db, command, args)
  }

  #isPaused(session: Session, command: Command): boolean {
    if (this.clock.nowMs >= this.pausedUntilMs) {
      this.unpause()
      return false
    }
    if (!this.pauseWritesOnly) return true
    if (command.fullName === 'exec') return (session.queue ?? []).some((queued) => queued.command.isWrite)
    return command.isWrite || command.flags.has('may_replicate')
  }

  /** CLIENT PAUSE: of two pauses the longer time and the wider reach count. */
  pause(untilMs: number, writesOnly: boolean): void {
    const paused = this.pausedUntilMs > this.clock.nowMs
    this.pauseWritesOnly = writesOnly && (!paused || this.pauseWritesOnly)
    this.pausedUntilMs = paused ? Math.max(this.pausedUntilMs, untilMs) : untilMs
    this.keyspace.expiryFrozen = true
  }

  /** Ends a pause, be its time over or not. */
  unpause(): void {
    if (this.pausedUntilMs === 0) return
    this.pausedUntilMs = 0
    this.keyspace.expiryFrozen = false
    this.wake()
  }

  #enqueue(session: Session, command: Command, args: Args): void {
    const words = args.copy()
    session.queue?.push({ command, words })
    for (const word of words) session.queueBytes += word.length
    this.reply.simple('QUEUED')
  }

  /** Runs an admitted command; also how EXEC runs its queue. */
  run(session: Session, command: Command, args: Args): Outcome {
    const call = this.#call
    call.args = args
    call.reply = this.reply
    call.db = session.db
    call.session = session
    call.command = command
    const timed = this.#timing.begin(command, args)
    if (session.noTouch || this.keyspace.noTouch === true) this.keyspace.noTouch = session.noTouch && command.fullName !== 'touch'
    const dirtyBefore = this.dirty
    const mark = this.reply.pos
    this.rewritten = undefined
    command.stats.calls++
    this.stats.commands++
    session.totalCommands++
    session.lastCommand = command.fullName
    try {
      if (this.holds.size > 0 && this.holds.refuses(session.db, command, args)) throw BUSY_KEY
      call.run()
    } catch (error) {
      this.reply.pos = mark
      this.#writeFailure(command, error)
    }
    if (this.monitor.size > 0) this.monitor.feed(this.clock, session, command, args)
    if (timed > 0) this.#timing.end(session, command, args, timed)
    if (this.dirty !== dirtyBefore && this.services.propagate !== undefined) this.#propagate(session, args)
    return session.suspension === undefined ? 'done' : 'suspended'
  }

  /**
   * Executes a transaction's queue; its replies follow an array header. When a command of it answers later
   * (MIGRATE), nobody else runs until the queue is through, so the transaction stays atomic.
   */
  runQueue(session: Session, queue: readonly QueuedCommand[]): void {
    this.reply.array(queue.length)
    const args = new Args()
    const runFrom = (first: number): void => {
      session.inExec = true
      for (let i = first; i < queue.length; i++) {
        const { command, words } = queue[i]
        if (this.run(session, command, args.load(words)) !== 'suspended') continue
        this.exclusive = session
        session.inExec = false
        this.#afterSuspension = () => runFrom(i + 1)
        return
      }
      session.inExec = false
      if (this.exclusive === session) this.releaseExclusive()
    }
    runFrom(0)
  }

  /** What the exclusive session does once its suspended command has answered. */
  #afterSuspension: (() => void) | undefined

  /** See `rerun` in call.ts: runs the last step of a suspended command and tells what it changed. */
  complete(call: CallFrame, work: () => void): void {
    const dirtyBefore = this.dirty
    this.rewritten = undefined
    this.clock.refresh()
    try {
      work()
    } catch (error) {
      call.command.stats.failed++
      const line = error instanceof ReplyError ? error.line : `ERR internal error in '${call.command.fullName}': ${String(error)}`
      call.reply.error(line)
      this.countError(line.slice(0, Math.max(0, line.indexOf(' '))))
    }
    if (this.dirty !== dirtyBefore && this.services.propagate !== undefined) this.#propagate(call.session, call.args)
  }

  #writeFailure(command: Command, error: unknown): void {
    command.stats.failed++
    if (error instanceof ReplyError) return this.writeError(error)
    this.stats.unexpectedErrors++
    this.onUnexpected?.(command, error)
    this.writeError(replyError(`ERR internal error in '${command.fullName}': ${(error as Error).message}`))
  }

  /** Told of errors that no command should throw; the server logs them. */
  onUnexpected: ((command: Command, error: unknown) => void) | undefined

  #mute(session: Session, mark: number): void {
    if (session.replyMode === 'skip-next') session.replyMode = 'skip'
    else {
      this.reply.pos = mark
      if (session.replyMode === 'skip') session.replyMode = 'on'
    }
  }

  #propagate(session: Session, args: Args): void {
    const words = this.rewritten ?? args.copy()
    if (words.length > 0) this.services.propagate?.(session.db, words)
  }

  // ---- changes, events ----

  /** See Call.changed. */
  changed(db: Database, key: Slice, eventClass: EventClass, event: string): void {
    this.dirty++
    if (this.watches.size > 0) this.watches.touch(db, key)
    this.notify(db, key, eventClass, event)
  }

  notify(db: Database, key: Slice, eventClass: EventClass, event: string): void {
    if (this.config.notifyKeyspaceEvents === 0 || this.services.publishEvent === undefined) return
    const bit = parseKeyspaceEvents(eventClass) ?? 0
    if ((this.config.notifyKeyspaceEvents & bit) !== 0) this.services.publishEvent(db, key, event)
  }

  // ---- waiting ----

  /** See Call.suspend. */
  suspend(session: Session): Suspension {
    const suspension: Suspension = {
      onCancel: undefined,
      finish: (write) => {
        if (session.suspension !== suspension) return
        session.suspension = undefined
        if (this.#current === session) return write(this.reply)
        const silent = session.replyMode !== 'on'
        if (session.replyMode === 'skip') session.replyMode = 'on'
        // Between two chunks the shared writer is free.
        const reply = this.#current === undefined ? this.reply : new ReplyWriter(256)
        reply.version = session.protocol
        reply.pos = 0
        write(reply)
        if (silent) reply.pos = 0
        else if (reply === this.reply) session.link.sendReply()
        else session.link.send(reply.buf.subarray(0, reply.pos))
        if (this.exclusive === session) this.#later.push(session)
        else this.#resume(session)
        this.#continueExclusive(session)
      },
    }
    session.suspension = suspension
    return suspension
  }

  /** Goes on with an EXEC whose command has just answered; what it writes is sent at once. */
  #continueExclusive(session: Session): void {
    const rest = this.#afterSuspension
    if (this.exclusive !== session || rest === undefined) return
    this.#afterSuspension = undefined
    this.enter(session)
    this.reply.pos = 0
    rest()
    this.leave(() => {
      session.link.send(Buffer.from(this.reply.buf.subarray(0, this.reply.pos)))
      this.reply.pos = 0
    })
  }

  /** Wakes the sessions that wait for a key, a pause or an exclusive transaction. */
  wake(): void {
    for (const work of this.#work.splice(0)) work()
    if (this.#waiting.size === 0) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const session of waiting) {
      session.waiting = false
      this.#resume(session)
    }
  }

  /**
   * Does the last step of a suspended command that changes data: at once, or when the transaction or pause
   * that nobody may interrupt is over.
   */
  whenFree(session: Session, command: Command, work: () => void): void {
    const busy = (this.exclusive !== undefined && this.exclusive !== session) ||
      (this.pausedUntilMs > 0 && this.#isPaused(session, command))
    if (busy) this.#work.push(() => this.whenFree(session, command, work))
    else work()
  }

  readonly #work: (() => void)[] = []

  /** How many sessions wait. */
  get waitingSessions(): number {
    return this.#waiting.size
  }

  releaseExclusive(): void {
    this.exclusive = undefined
    this.wake()
  }
}

/** Longer than any subcommand's name. */
const SUBCOMMAND_BYTES_MAX = 64
