/**
 * `keyferry migrate undo FILE [-config FILE]`: brings back what an undo log keeps. The log says which destination; the
 * configuration brings its secrets.
 *
 *     log's head -> store -> lock -> checkpoint of the migration forgotten -> undo -> unlock -> exit status
 *
 * The lock is that of the migration whose log it is: one that was killed and left its lock can be undone at once. Its
 * checkpoint goes first, so that the same migration started again copies anew what is taken back here.
 */
import { hostname } from 'node:os'
import { sameEntry, textOf } from '../backends/convert.js'
import { Random } from '../random.js'
import { folderKeeper, forgetCheckpoint, storeKeeper } from '../transfer/checkpoint.js'
import { isAlive } from '../transfer/is-alive.js'
import { readJournalHead } from '../transfer/journal.js'
import { Lock, LockedError, LockLostError, resetLock } from '../transfer/lock.js'
import { entryPlace } from '../transfer/lock-place.js'
import { plural } from '../transfer/plural.js'
import { keyText, StoreError, type Store } from '../transfer/store.js'
import { undo, type UndoReport } from '../transfer/undo.js'
import { EXIT } from './exit-codes.js'
import { fits } from './fingerprints.js'
import { endsOfFile, passwordOptions, storeOfEnd, type MigrateEnd } from './migrate-config.js'
import { UsageError, type MigrateFlags } from './migrate-flags.js'
import { isUsage, resetText } from './migrate-shared.js'
import { keysText } from './quantities.js'
import { storeOfType } from './stores.js'

const say = (text: string): void => { process.stderr.write(`${text}\n`) }

/** Runs it; returns the exit status. Throws UsageError, StoreError 'usage' or 'missing'. */
export async function runUndo(flags: MigrateFlags, file: string): Promise<number> {
  const head = await readJournalHead(file, 'undo')
  const end = flags.config === undefined
    ? { backend: await storeOfType(head.reopen.type), options: head.reopen.options }
    : (await endsOfFile(flags.config)).destination
  const store = undoStore(end, flags.config === undefined)
  if (store.label !== head.target) throw new UsageError(`${file} belongs to ${head.target}, and this is ${store.label}`)
  if (store.traits.startsOver === true) throw new StoreError('usage', `${store.label} can not be put back: it is written as a whole`)
  try {
    await store.open('write')
    if (flags.reset) {
      process.stdout.write(resetText(await resetLock(entryPlace(store, textOf)) ? [store.label] : []))
      return EXIT.done
    }
    return await putBack(store, flags, file, head.task)
  } catch (error) {
    if (!(error instanceof LockedError) && (!(error instanceof StoreError) || isUsage(error))) throw error
    say(`keyferry migrate: ${error.message}`)
    if (error instanceof LockedError) return EXIT.locked
    return error.fault === 'unreachable' || error.fault === 'absent' ? EXIT.destinationUnreachable : EXIT.failed
  } finally {
    await store.close()
  }
}

/** The log has no secrets: what is required and secret has to come from elsewhere. */
function undoStore(end: MigrateEnd, isOfLog: boolean): Store {
  try {
    return storeOfEnd(end, passwordOptions('destination', end))
  } catch (error) {
    if (!isOfLog || !(error instanceof StoreError)) throw error
    throw new UsageError(`${error.message}; an undo log has no secrets, give -config FILE with the configuration of the migration`)
  }
}

/** Under the lock. The first SIGINT or SIGTERM lets what is under way end, the second ends the process. */
async function putBack(store: Store, flags: MigrateFlags, file: string, task: string): Promise<number> {
  const stop = new AbortController()
  let lost: LockLostError | undefined
  const lose = (error: LockLostError): void => {
    lost ??= error
    stop.abort()
  }
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted)
    stop.abort()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  const owner = { id: new Random().hex(32), host: hostname(), pid: process.pid, task }
  try {
    const { lock } = await Lock.take(entryPlace(store, textOf), owner, {
      nowMs: Date.now, isAlive, onLost: lose, onTrouble: (error) => say(`the lock could not be renewed: ${error.message}`),
    })
    try {
      await forgetCheckpoint(storeKeeper(store, textOf), task)
      if (flags.state !== undefined) await forgetCheckpoint(folderKeeper(flags.state), task)
      const toleranceMs = store.traits.expiryToleranceMs ?? 0
      const report = await undo(store, file, {
        same: (a, b) => sameEntry(a, b, toleranceMs, store.traits.typed), fits: (print, entry) => fits(print, entry, toleranceMs), nowMs: Date.now,
        insists: flags.onConflict === 'replace', signal: stop.signal,
      })
      await lock.check().catch((error: unknown) => {
        if (!(error instanceof LockLostError)) throw error
        lose(error)
      })
      return conclude(store.label, report, flags, lost, stop.signal.aborted)
    } finally {
      await lock.release().catch((error: Error) => {
        if (!(error instanceof LockLostError)) say(`the lock could not be removed: ${error.message}`)
      })
    }
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

function conclude(label: string, report: UndoReport, flags: MigrateFlags, lost: LockLostError | undefined, stopped: boolean): number {
  const { restored, removed, changed, samples, failed } = report
  process.stdout.write(`${label}${changed + failed.length === 0 && !stopped ? ' is as it was' : ''}: ${restored} ${plural(restored, 'key has its former value', 'keys have their former values')} again, ${removed} new ${plural(removed, 'one is', 'ones are')} removed\n`)
  for (const { entry, reason } of failed) say(`  not put back: ${keyText(entry.key)}: ${reason}`)
  if (changed > 0) say(`${keysText(changed)} changed since the migration, left as ${plural(changed, 'it is', 'they are')}${flags.onConflict === 'skip' ? '' : `; --on-conflict replace puts ${plural(changed, 'it', 'them')} back too`}:`)
  for (const { db, key } of samples) say(`  ${keyText(key)}${db === 0 ? '' : ` (database ${db})`}`)
  if (stopped) say(`${lost === undefined ? 'Interrupted' : `Stopped: ${lost.message}`}; the same command puts back what is left`)
  if (lost !== undefined) return EXIT.locked
  if (stopped) return EXIT.interrupted
  if (failed.length > 0) return EXIT.partial
  return changed > 0 && flags.onConflict !== 'skip' ? EXIT.conflicts : EXIT.done
}
