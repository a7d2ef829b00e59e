/** The command table: every group in one list. */
import type { Command } from '../src/engine/command.js'
import { connectionCommands } from './connection.js'
import { expiryCommands } from './expiry.js'
import { genericCommands } from './generic.js'
import { hashCommands } from './hashes.js'
import { listCommands } from './lists.js'
import { serverCommands } from './server.js'
import { setCommands } from './sets.js'
import { sortedSetCommands } from './sorted-sets.js'
import { streamCommands } from './streams.js'
import { stringCommands } from './strings.js'
import { transactionCommands } from './transactions.js'
import { transferCommands } from './transfer.js'

export const allCommands: readonly Command[] = [
  ...stringCommands,
  ...hashCommands,
  ...listCommands,
  ...setCommands,
  ...sortedSetCommands,
  ...streamCommands,
  ...genericCommands,
  ...expiryCommands,
  ...transferCommands,
  ...transactionCommands,
  ...connectionCommands,
  ...serverCommands,
]
