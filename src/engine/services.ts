/** What the engine is given by the server around it, and what it counts. */
import type { Slice } from '../../protocol/slice.js'
import type { Database } from '../keyspace/database.js'

/** Classes of keyspace events, as `notify-keyspace-events` spells them. */
export type EventClass = 'g' | '$' | 'l' | 's' | 'h' | 'z' | 't' | 'x' | 'e' | 'm' | 'n'

/**
 * What became of one key of a MIGRATE: gone to the target; copied there; refused by it (`error` is its line);
 * sent without an answer, so it may be at both; or never sent.
 */
export interface KeyOutcome {
  readonly key: Buffer
  readonly db: number
  readonly target: string
  readonly targetDb: string
  readonly outcome: 'moved' | 'copied' | 'refused' | 'unknown' | 'unsent'
  readonly error?: string
}

/** What persistence, replication and pub/sub add to the engine; the server fills them in. */
export interface EngineServices {
  /** A command changed data: these words (or the command's own) reproduce it. */
  propagate?: (db: Database, words: readonly (string | Buffer)[]) => void
  /** A keyspace event that `notify-keyspace-events` asks for. */
  publishEvent?: (db: Database, key: Slice, event: string) => void
  /** Told what became of every key of a MIGRATE, when somebody wants to know. */
  migrated?: ((outcome: KeyOutcome) => void) | undefined
  /** Bytes in use, as `used_memory` and `maxmemory` count them. */
  usedMemory: () => number
  /** Frees memory by the eviction policy; false when it could not free enough. */
  makeRoom: () => boolean
  /** Reads a file that a directive names. */
  readFile: (path: string) => Buffer
  /** Ends the process (SHUTDOWN). */
  shutdown?: () => void
  /** The most ever in use, and what the process holds of the machine's memory; in bytes. */
  memoryUse?: () => { readonly peakBytes: number; readonly residentBytes: number }
  /** A line for the log (DEBUG LOG). */
  log?: (line: string) => void
}

export interface EngineStats {
  commands: number
  connections: number
  rejectedConnections: number
  errorReplies: number
  unexpectedErrors: number
  /** AUTH and HELLO that failed. */
  deniedAuth: number
  /** Chunks read from and written to sockets. */
  reads: number
  writes: number
  /** Clients closed because their query buffer passed its limit. */
  queryLimitCloses: number
  /** Clients closed because too much output waited for them. */
  outputLimitCloses: number
  /** Bytes of the sessions that have ended. */
  closedBytesIn: number
  closedBytesOut: number
}
