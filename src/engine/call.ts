/**
 * One command being executed: its words, where its reply goes, and all it may ask for. There is one Call
 * per engine, pointed at each command in turn; code that outlives the command (MIGRATE) keeps what it
 * needs of it before it returns.
 */
import type { ReplyWriter } from '../../protocol/resp/writer.js'
import type { Slice } from '../../protocol/slice.js'
import type { Clock } from '../clock.js'
import type { Config } from '../config/index.js'
import { WRONG_TYPE } from '../errors.js'
import type { Ref } from '../keyspace/arena.js'
import type { Database } from '../keyspace/database.js'
import type { ValueType } from '../keyspace/types.js'
import type { Random } from '../random.js'
import { Args } from './args.js'
import type { CallFrame } from './call-frame.js'
import type { Command } from './command-spec.js'
import type { Engine } from './engine.js'
import type { EventClass } from './services.js'
import type { Session, Suspension } from './session.js'

export class Call implements CallFrame {
  readonly clock: Clock
  readonly random: Random
  readonly config: Config
  args!: Args
  reply!: ReplyWriter
  db!: Database
  session!: Session
  command!: Command

  constructor(readonly engine: Engine) {
    this.clock = engine.clock
    this.random = engine.random
    this.config = engine.config
  }

  /** Runs the command's code. */
  run(): void {
    ;(this.command.run as (call: Call) => void)(this)
  }

  /** The record of a key for reading, or 0; throws WRONGTYPE when it holds another type. */
  read(key: Slice, type: ValueType): Ref {
    const ref = this.db.lookupRead(key)
    if (ref !== 0 && this.db.typeOf(ref) !== type) throw WRONG_TYPE
    return ref
  }

  /** The record of a key for writing, or 0; throws WRONGTYPE when it holds another type. */
  write(key: Slice, type: ValueType): Ref {
    const ref = this.db.lookupWrite(key)
    if (ref !== 0 && this.db.typeOf(ref) !== type) throw WRONG_TYPE
    return ref
  }

  /**
   * To be called after a key was changed, once per change and event: marks the data as changed, fails the
   * transactions that watch the key and tells the listeners of keyspace events.
   */
  changed(key: Slice, eventClass: EventClass, event: string, db: Database = this.db): void {
    this.engine.changed(db, key, eventClass, event)
  }

  /** A keyspace event without a change of its own (the second event of a command that sends two). */
  notify(key: Slice, eventClass: EventClass, event: string, db: Database = this.db): void {
    this.engine.notify(db, key, eventClass, event)
  }

  /** What replicas and the append-only file get instead of the command's own words; [] for nothing. */
  propagateAs(words: readonly (string | Buffer)[]): void {
    this.engine.rewritten = words
  }

  /**
   * The command answers later: its session waits (its further commands too) until `finish` is called,
   * which writes the reply. Everything else goes on meanwhile.
   */
  suspend(): Suspension {
    return this.engine.suspend(this.session)
  }
}

/**
 * Finishes a suspended command on fresh state: `work` gets a Call with the command's own words (copies),
 * and may throw as a command may. For use within `Suspension.finish`.
 */
export function rerun(
  engine: Engine, session: Session, command: Command, words: readonly Buffer[], reply: ReplyWriter, work: (call: Call) => void,
): void {
  const call = new Call(engine)
  call.args = new Args().load(words)
  call.reply = reply
  call.db = session.db
  call.session = session
  call.command = command
  engine.complete(call, () => work(call))
}
