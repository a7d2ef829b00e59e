/**
 * `keyferry migrate`: reads the command line, makes both stores, runs the migration and says how it ended.
 *
 *     flags -> ends (file or URLs) -> stores -> Migration -> table, report file, exit status
 *
 * The first SIGINT or SIGTERM lets what is under way end and saves the checkpoint; the second ends the process.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { conversion, sameEntry, textOf } from '../backends/convert.js'
import { withoutPassword } from '../backends/url.js'
import { Random } from '../random.js'
import { TransferError } from '../transfer/copy.js'
import type { Fingerprint } from '../transfer/fingerprint.js'
import { isAlive } from '../transfer/is-alive.js'
import { LockedError } from '../transfer/lock.js'
import { makeFolder } from '../transfer/make-folder.js'
import { Migration, type MigrationResult, type ResetResult } from '../transfer/migration.js'
import { PreflightError } from '../transfer/preflight.js'
import { FAILURES } from '../transfer/report.js'
import { keyText, StoreError, type Entry, type Store } from '../transfer/store.js'
import { collectMoreOften } from './collector.js'
import { EXIT } from './exit-codes.js'
import { ConfigError } from './hcl-tree.js'
import { fingerprintOf, fits } from './fingerprints.js'
import { endsOfFile, endsOfUrls, passwordOptions, storeOfEnd, type MigrateEnd, type MigrateEnds } from './migrate-config.js'
import { readMigrateFlags, UsageError, type MigrateFlags } from './migrate-flags.js'
import { selectionOf } from './migrate-selection.js'
import { jsonKey } from './migrate-log.js'
import { isUsage, resetText } from './migrate-shared.js'
import { MigrateDisplay } from './progress.js'
import { countText, keysText } from './quantities.js'

/** Most stores take fewer, and get fewer. A power of two goes into one SQL statement. */
const BATCH_ENTRIES = 4096

/** Runs the verb; returns its exit status. */
export async function runMigrate(words: readonly string[]): Promise<number> {
  // Whoever lists the processes of the machine reads their command lines, and a URL may have a password.
  process.title = 'keyferry migrate'
  let flags: MigrateFlags
  try {
    flags = readMigrateFlags(words)
    if (flags.help) {
      process.stdout.write((await import('./migrate-help.js')).migrateHelp())
      return EXIT.done
    }
    if (flags.undo !== undefined) return await (await import('./migrate-undo.js')).runUndo(flags, flags.undo)
    const ends = await endsOf(flags)
    return await runEnds(flags, ends, words)
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof ConfigError) && !isUsage(error)) throw error
    process.stderr.write(`keyferry migrate: ${(error as Error).message}\n`)
    return EXIT.usage
  }
}

function endsOf(flags: MigrateFlags): Promise<MigrateEnds> {
  return flags.config === undefined
    ? endsOfUrls(flags.urls?.source ?? '', flags.urls?.destination ?? '')
    : endsOfFile(flags.config)
}

/** Copies between two ends; `words` are the command line, for the line that says how to go on. */
export async function runEnds(flags: MigrateFlags, ends: MigrateEnds, words: readonly string[], verb = 'migrate'): Promise<number> {
  collectMoreOften()
  const source = storeOfEnd(ends.source, passwordOptions('source', ends.source))
  const target = storeOfEnd(ends.destination, { ...passwordOptions('destination', ends.destination), ...chunkOptions(ends.destination, flags) })
  // Better now than when all is copied.
  if (flags.report !== undefined) asUsage(() => writeReport(flags.report ?? '', {}))
  const { state } = flags
  if (state !== undefined) {
    await makeFolder(state, 0o700).catch((error: Error) => {
      throw new UsageError(`--state: can not make the folder ${state}: ${error.message}`)
    })
  }
  const display = new MigrateDisplay({ level: flags.logLevel, format: flags.logFormat, isDryRun: isDry(flags) })
  for (const warning of ends.warnings) display.note('warning', warning)
  const stop = new AbortController()
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(EXIT.interrupted)
    process.stderr.write('\n==> Migration shutdown triggered\n')
    stop.abort()
  }
  // Nobody reads any more what is said: `keyferry migrate ... | head`.
  const onClosed = (): void => stop.abort()
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  process.stdout.on('error', onClosed)
  process.stderr.on('error', onClosed)
  const migration = migrationOf(flags, ends, source, target, display, stop.signal)
  const command = commandOf(verb, words)
  try {
    if (flags.reset) return concludeReset(await migration.reset(), verb)
    const result = await migration.run()
    display.report(result.report)
    return conclude(flags, result, { command, goesOn: goesOnText(target), repair: commandOf(verb, repairWords(words)) }, display)
  } catch (error) {
    const report = error instanceof TransferError ? error.report : undefined
    if (report !== undefined) display.report(report)
    try {
      if (report !== undefined && flags.report !== undefined) writeReport(flags.report, { report })
    } catch (another) {
      display.note('warning', (another as Error).message)
    }
    display.close()
    return explain(error, stop.signal.aborted, verb, migration.isCopying && !isDry(flags) ? `${afterFailure(target)}: ${command}` : undefined)
  } finally {
    display.close()
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

const isDry = (flags: MigrateFlags): boolean => flags.dryRun || flags.plan !== undefined

function chunkOptions({ backend }: MigrateEnd, { chunkBytes }: MigrateFlags): MigrateEnd['options'] {
  return chunkBytes === undefined || !backend.options.some(({ name }) => name === 'chunk_bytes') ? {} : { chunk_bytes: String(chunkBytes) }
}

/** Without --db: from the one database of a source into the one of the destination, where each has only one. */
function databasesOf({ databases }: MigrateFlags, source: Store, target: Store): MigrateFlags['databases'] {
  const onlyOf = ({ traits }: Store): number | undefined => traits.onlyDatabase ?? (traits.databases ? undefined : 0)
  const [from, to] = [onlyOf(source), onlyOf(target)]
  return databases.length > 0 || from === undefined || to === undefined || from === to ? databases : [{ from, to }]
}

function migrationOf(flags: MigrateFlags, ends: MigrateEnds, source: Store, target: Store, display: MigrateDisplay, signal: AbortSignal): Migration {
  const databases = databasesOf(flags, source, target)
  const { choice, sourceName } = selectionOf({ ...flags, databases })
  const keys = [flags.start, flags.match, flags.exclude, flags.types, databases, flags.prefixFrom, flags.prefixTo]
  const task = nameOf([source.label, target.label, ...keys, flags.onConflict])
  const toleranceMs = Math.max(source.traits.expiryToleranceMs ?? 0, target.traits.expiryToleranceMs ?? 0)
  const same = (a: Entry, b: Entry): boolean => sameEntry(a, b, toleranceMs, target.traits.typed)
  const forms = { convert: conversion(source.traits, target.traits), same, bytesOf: textOf, fingerprint: fingerprintOf, fits: (print: Fingerprint, entry: Entry) => fits(print, entry, toleranceMs) }
  return new Migration(source, target, forms, {
    choice, sourceName, start: flags.start === undefined ? undefined : Buffer.from(flags.start), conflict: flags.onConflict,
    parallel: flags.maxParallel, batchEntries: flags.batch ?? BATCH_ENTRIES, unordered: flags.unordered, dryRun: isDry(flags),
    planFile: flags.plan, applyFile: flags.apply, selection: nameOf(keys), verify: flags.verify, repair: flags.repair, undoLog: flags.undoLog, reopen: reopenable(ends.destination),
    rate: flags.keysPerSecond === undefined && flags.bytesPerSecond === undefined ? undefined : flags,
    stateFolder: flags.state, spillFolder: flags.state ?? tmpdir(),
    owner: { id: new Random().hex(32), host: hostname(), pid: process.pid, task },
    isAlive, nowMs: Date.now, listener: display, signal,
  })
}

/** A short name for what is in there. */
const nameOf = (content: unknown): string => createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 32)

/** The options without those that are secret: for a journal, which anybody may read. */
function reopenable({ backend, options }: MigrateEnd): { type: string; options: Record<string, string> } {
  const open = Object.entries(options).filter(([name]) => backend.options.find((spec) => spec.name === name)?.secret !== true)
  return { type: backend.type, options: Object.fromEntries(open) }
}

const commandOf = (verb: string, words: readonly string[]): string => `keyferry ${verb} ${words.map((word) => quoted(withoutPassword(word))).join(' ')}`

/** The same command line with --repair, without what that excludes. */
function repairWords(words: readonly string[]): string[] {
  const others = words.filter((word, i) => !/^--?(on-conflict|apply|repair)(=|$)/.test(word) && !/^--?(on-conflict|apply)$/.test(words[i - 1] ?? ''))
  return ['--repair', ...others]
}

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

// ------------------------------------------------------------------------------------------------ how it ended

/** What the same command does after an interruption, and after a failure. */
const goesOnText = ({ traits }: Store): string => traits.startsOver === true ? 'the same command begins again' : 'the same command goes on where it was'
const afterFailure = ({ traits }: Store): string => traits.startsOver === true
  ? 'Nothing of it is at the destination; when that is mended, the same command begins again'
  : 'What was copied stays; when that is mended, the same command copies the rest'

/** How a migration is gone on with. */
interface NextStep {
  readonly command: string
  readonly goesOn: string
  /** The command that copies differences. */
  readonly repair: string
}

function conclude(flags: MigrateFlags, { report, comparison, conflict, lost }: MigrationResult, { command, goesOn, repair }: NextStep, display: MigrateDisplay): number {
  if (flags.report !== undefined) writeReport(flags.report, { report, comparison })
  const say = (text: string): void => { process.stderr.write(`${text}\n`) }
  if (lost !== undefined) {
    say(`Stopped: ${lost.message}. The same command copies what is missing: ${command}`)
    return EXIT.locked
  }
  if (report.interrupted || comparison?.interrupted === true) {
    say(`Interrupted; ${goesOn}: ${command}`)
    return EXIT.interrupted
  }
  const failed = FAILURES.reduce((sum, outcome) => sum + report.counts[outcome], 0)
  const differences = comparison === undefined ? 0 : comparison.counts.missing + comparison.counts.extra + comparison.counts.differing
  if (comparison !== undefined && flags.logFormat === 'json') display.log.log('info', 'verified', { keys: comparison.keys, compared: comparison.compared, ...comparison.counts })
  else if (comparison !== undefined && flags.logLevel !== 'error') {
    process.stdout.write(`Verified ${keysText(comparison.keys)}, ${countText(comparison.compared)} by value: ${
      differences === 0 ? 'no difference' : `${comparison.counts.missing} missing, ${comparison.counts.differing} differing, ${comparison.counts.extra} only at the destination`}\n`)
    for (const [kind, refs] of Object.entries(comparison.samples))
      for (const ref of refs) process.stdout.write(`  ${kind}  ${keyText(ref.key)}${ref.db === 0 ? '' : ` (database ${ref.db})`}\n`)
  }
  if (failed > report.counts.conflict) say(`Some keys were not copied. When the reasons above are dealt with, this copies what is missing: ${command}`)
  else if (report.counts.conflict > 0 && flags.apply !== undefined) say('The destination was changed since the plan was made; what it has there is left as it is. Make a new plan for it.')
  else if (report.counts.conflict > 0 && conflict === 'error') say('The destination has other values under some keys: say --on-conflict replace to write over them, or skip to leave them.')
  if (failed > report.counts.conflict) return EXIT.partial
  if (report.counts.conflict > 0) return EXIT.conflicts
  if (differences > 0) {
    if (comparison !== undefined && comparison.counts.extra < differences && !flags.repair) say(`This copies what is missing and what differs: ${repair}`)
    return EXIT.differences
  }
  if (!isDry(flags) && flags.logFormat === 'standard' && flags.logLevel !== 'error') process.stdout.write('Success! All of the keys have been migrated.\n')
  return EXIT.done
}

/** The status is that of the first end that failed. */
function concludeReset({ labels, failures }: ResetResult, verb: string): number {
  if (labels.length > 0 || failures.length === 0) process.stdout.write(resetText(labels))
  const statuses = failures.map((error) => explain(error, false, verb, undefined, `the lock of the ${error.side === 'source' ? 'source' : 'destination'}, if it has one, was not reset: `))
  return statuses[0] ?? EXIT.done
}

function asUsage(run: () => void): void {
  try {
    run()
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function writeReport(file: string, content: object): void {
  const plain = (_: string, value: unknown): unknown => {
    const { key, ...others } = (value ?? {}) as { readonly key?: unknown }
    return Buffer.isBuffer(key) ? { ...others, ...jsonKey('key', key) } : value
  }
  try {
    writeFileSync(file, `${JSON.stringify(content, plain, 2)}\n`, { mode: 0o600 })
  } catch (error) {
    throw new StoreError('refused', `can not write the report ${file}: ${(error as Error).message}`)
  }
}

/** `next`: how to go on, when something was copied already. `what`: what comes of it, for messages. */
function explain(error: unknown, interrupted: boolean, verb: string, next?: string, what = ''): number {
  const say = (text: string): void => { process.stderr.write(`keyferry ${verb}: ${text}\n`) }
  if (error instanceof LockedError) {
    say(error.message)
    return EXIT.locked
  }
  if (error instanceof PreflightError) {
    say(`nothing was copied:\n${error.message}`)
    return EXIT.failed
  }
  const cause = error instanceof TransferError ? error.cause : error
  if (!(cause instanceof StoreError)) throw error
  say(what + cause.message)
  if (next !== undefined && !isUsage(cause)) process.stderr.write(`${next}\n`)
  if (interrupted) return EXIT.interrupted
  if (isUsage(cause)) return EXIT.usage
  if ((cause.fault === 'unreachable' || cause.fault === 'absent') && error instanceof TransferError) return error.side === 'source' ? EXIT.sourceUnreachable : EXIT.destinationUnreachable
  return EXIT.failed
}
