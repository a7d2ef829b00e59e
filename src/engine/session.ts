/**
 * One client's conversation with the server: what it selected, its protocol, its transaction. It knows no
 * socket; the server's connection is reached through `link`.
 */
import type { ReplyWriter } from '../../protocol/resp/writer.js'
import type { Database } from '../keyspace/database.js'
import type { Command } from './command-spec.js'

/** What a session asks of the connection it belongs to. */
export interface SessionLink {
  /** `ip:port` of the client and of the server's end, as CLIENT LIST prints them; '' in process. */
  readonly address: string
  readonly localAddress: string
  /** The file descriptor, or -1. */
  readonly descriptor: number
  /** Closes the connection once everything written so far is sent. */
  closeAfterReply(): void
  /** Closes the connection now. */
  destroy(): void
  /** Sends bytes outside the handling of a request (a late reply, a MONITOR line). */
  send(bytes: Buffer): void
  /** Lets go of the memory that its last commands took. */
  forget(): void
  /** Closes the connection when more output waits than `client-output-buffer-limit` allows, or for too long. */
  limitOutput(): void
  /** Sends what the engine's reply writer holds, and empties it. */
  sendReply(): void
  /** Bytes of the query buffer in use and its size; bytes of output that wait. */
  readonly queryBytes: number
  readonly queryFreeBytes: number
  readonly outputBytes: number
  /** Goes on with requests that came while the session was suspended. */
  resume(): void
}

/** A session that waits for the reply of a suspended command. */
export interface Suspension {
  /** Writes the reply and lets the session go on. Once only; later calls do nothing. */
  finish(write: (reply: ReplyWriter) => void): void
  /** Called when the session goes away before `finish`. */
  onCancel: (() => void) | undefined
  /** CLIENT UNBLOCK: ends the wait as if its time were over, or with an error. Undefined: it can not be ended so. */
  onUnblock?: (reason: 'timeout' | 'error') => void
}

export interface QueuedCommand {
  readonly command: Command
  readonly words: readonly Buffer[]
}

export interface Watch {
  readonly db: Database
  /** The key as latin1 text. */
  readonly key: string
  /** The key was there but its time had come when it was watched; its removal is no change then. */
  wasExpired: boolean
}

export class Session {
  /** The RESP version its replies are written in. */
  protocol: 2 | 3 = 2
  name = ''
  libName = ''
  libVersion = ''
  user = 'default'
  authenticated = false
  db: Database
  readonly createdMs: number
  lastActiveMs: number
  lastCommand = ''
  /** Commands executed, and bytes in and out. */
  totalCommands = 0
  bytesIn = 0
  bytesOut = 0
  /** The commands queued since MULTI, or undefined outside a transaction. */
  queue: QueuedCommand[] | undefined
  queueBytes = 0
  /** A command could not be queued: EXEC will refuse. */
  queueFailed = false
  watches: Watch[] = []
  /** A watched key was changed: EXEC answers null. */
  watchBroken = false
  /** Executing its EXEC right now. */
  inExec = false
  /** CLIENT REPLY: off until on again; skip the next one; skip is armed by the command before. */
  replyMode: 'on' | 'off' | 'skip-next' | 'skip' = 'on'
  noEvict = false
  noTouch = false
  /** Gets every command as a line (MONITOR). */
  monitor = false
  asking = false
  readonlyMode = false
  /** Waits for a suspended command's reply. */
  suspension: Suspension | undefined
  /** Waits until its next command may run (a key in flight, a pause). */
  waiting = false
  closing = false

  constructor(
    readonly id: number,
    db: Database,
    readonly link: SessionLink,
    nowMs: number,
  ) {
    this.db = db
    this.createdMs = nowMs
    this.lastActiveMs = nowMs
  }

  /** Whether the transaction is to be refused when memory is short. */
  get queueDeniesOom(): boolean {
    return this.queue !== undefined && this.queue.some((queued) => queued.command.deniesOom)
  }
}
