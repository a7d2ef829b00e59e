/**
 * The running command as the engine sees it: what it is pointed at before the command's code runs. What the
 * code sees of it is `Call`, which knows the engine; so the engine must not know `Call`.
 */
import type { ReplyWriter } from '../../protocol/resp/writer.js'
import type { Database } from '../keyspace/database.js'
import type { Args } from './args.js'
import type { Command } from './command-spec.js'
import type { Session } from './session.js'

export interface CallFrame {
  args: Args
  reply: ReplyWriter
  db: Database
  session: Session
  command: Command
  /** Runs the command's code. */
  run(): void
}
