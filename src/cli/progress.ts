/**
 * What a migration shows while it runs, and the table it ends with.
 *
 * | log level   | on a terminal                               | elsewhere                        |
 * |-------------|---------------------------------------------|----------------------------------|
 * | trace,debug | a line per key                              | the same                         |
 * | info        | one line drawn over itself, 10 times a second at most | a line every 10 seconds |
 * | warn, error | only notes of that level                    | the same                         |
 *
 * With the format json nothing is drawn; everything is a line, the table too. Lines and bar go to `err`, the table to `out`.
 *
 *     copying  ███████░░░░░  58 %  12,345 / 21,000 keys  3.4 MB  8,123 keys/s  2.1 MB/s  ETA 0:12  2 errors
 *
 * Where the terminal is too narrow, the bar shrinks, and then the parts that matter least go.
 */
import { plural } from '../transfer/plural.js'
import { keyText, type KeyRef } from '../transfer/store.js'
import { FAILURES, OUTCOMES, type Listener, type Outcome, type Progress, type Report } from '../transfer/report.js'
import { LiveLine, bar, wantsColour, type TerminalStream } from './live-line.js'
import type { LogFormat, LogLevel } from './migrate-flags.js'
import { jsonKey, MigrateLog, type LogPairs } from './migrate-log.js'
import { bytesText, clockText, countText, durationText, keysText } from './quantities.js'

export interface ProgressOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Whether the outcomes are what would become of the keys. */
  readonly isDryRun?: boolean
  readonly out?: TerminalStream
  readonly err?: TerminalStream
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

const DRAW_MS = 100
const LINE_MS = 10_000
/** Rates are those of the last seconds. */
const RATE_WINDOW_MS = 5000
const BAR_COLUMNS_MAX = 40
const BAR_COLUMNS_MIN = 8

/** Outcomes whose keys now are at the target with the source's value. */
const COPIED: readonly Outcome[] = ['created', 'overwritten', 'written']

/** Shows a copy to a person or a log. `close` at the end, whatever the end is. */
export class MigrateDisplay implements Listener {
  readonly log: MigrateLog
  private readonly line: LiveLine | undefined
  private readonly rates = new RecentRates()
  private readonly now: () => number
  private latest: Progress | undefined
  private drawnAtMs = -Infinity
  /** When the last line came, or when there was first something to say. */
  private lineAtMs: number | undefined

  constructor(private readonly options: ProgressOptions) {
    const err = options.err ?? process.stderr
    this.now = options.now ?? Date.now
    const isDrawn = err.isTTY === true && options.format === 'standard' && options.level === 'info' && (options.env ?? process.env)['TERM'] !== 'dumb'
    this.line = isDrawn ? new LiveLine(err, () => this.draw()) : undefined
    this.log = new MigrateLog(options.level, options.format, (text) => {
      if (this.line === undefined) err.write(`${text}\n`)
      else this.line.say(text)
    }, this.now)
  }

  key(ref: KeyRef, outcome: Outcome, reason?: string): void {
    if (!this.log.isOn('debug')) return
    const isCopied = COPIED.includes(outcome)
    const message = isCopied ? (this.options.isDryRun === true ? 'would copy key' : 'copied key') : FAILURES.includes(outcome) ? 'failed key' : 'passed over key'
    this.log.log('debug', message, { ...this.log.keyPairs('path', ref.key), db: ref.db === 0 ? undefined : ref.db, outcome: isCopied ? undefined : outcome, reason })
  }

  progress(progress: Progress): void {
    if (progress.phase !== this.latest?.phase) this.rates.restart()
    this.latest = progress
    this.rates.add(progress)
    const now = this.now()
    if (this.line !== undefined) {
      if (now - this.drawnAtMs >= DRAW_MS) this.draw()
      return
    }
    this.lineAtMs ??= now
    if (now - this.lineAtMs < LINE_MS) return
    this.lineAtMs = now
    this.log.log('info', progress.phase, this.progressPairs(progress))
  }

  note(level: 'info' | 'warning', text: string): void {
    this.log.log(level === 'info' ? 'info' : 'warn', text)
    this.draw()
  }

  /** The table at the end. */
  report(report: Report): void {
    this.line?.clear()
    this.latest = undefined
    const { out = process.stdout, isDryRun = false, format, level, env } = this.options
    if (format === 'json') this.log.log('info', isDryRun ? 'dry run ended' : 'migration ended', reportPairs(report))
    else if (level !== 'error') out.write(reportTable(report, isDryRun, wantsColour(out, env)))
  }

  /** Takes away what is drawn. May be called twice, also from a signal's handler. */
  close(): void {
    this.latest = undefined
    this.line?.close()
  }

  private draw(): void {
    if (this.line === undefined || this.latest === undefined) return
    this.drawnAtMs = this.now()
    const { err = process.stderr, env } = this.options
    const { text, width } = progressLine(this.latest, this.rates, this.line.columns, wantsColour(err, env))
    this.line.draw(text, width)
  }

  private progressPairs({ keys, total, bytes, errors, elapsedMs, last }: Progress): LogPairs {
    const { keysPerSecond, bytesPerSecond } = this.rates
    return {
      keys, total, bytes, keys_per_second: Math.round(keysPerSecond), bytes_per_second: Math.round(bytesPerSecond), errors, elapsed: clockText(elapsedMs),
      eta: total === undefined || keysPerSecond <= 0 ? undefined : clockText((Math.max(0, total - keys) / keysPerSecond) * 1000),
      ...(last !== undefined && this.log.keyPairs('last', last.key)),
    }
  }
}

/** How much went by in the last seconds. */
export class RecentRates {
  private samples: { atMs: number, keys: number, bytes: number }[] = []

  restart(): void {
    this.samples = []
  }

  add({ elapsedMs, keys, bytes }: Progress): void {
    const { samples } = this
    // Many a second are no better than a few: the newest is replaced until it is a quarter second from the one before.
    if (samples.length > 1 && elapsedMs - samples[samples.length - 2].atMs < 250) samples.pop()
    samples.push({ atMs: elapsedMs, keys, bytes })
    while (samples.length > 2 && elapsedMs - samples[1].atMs >= RATE_WINDOW_MS) samples.shift()
  }

  get keysPerSecond(): number {
    return this.rate('keys')
  }

  get bytesPerSecond(): number {
    return this.rate('bytes')
  }

  private rate(what: 'keys' | 'bytes'): number {
    const [first, last] = [this.samples[0], this.samples[this.samples.length - 1]]
    if (first === undefined || last.atMs <= first.atMs) return 0
    return Math.max(0, ((last[what] - first[what]) / (last.atMs - first.atMs)) * 1000)
  }
}

/** The line on a terminal, at most `columns` wide; `width` is that of the text without its colours. */
export function progressLine(progress: Progress, rates: Pick<RecentRates, 'keysPerSecond' | 'bytesPerSecond'>, columns: number, isColoured: boolean): { text: string, width: number } {
  const { phase, keys, total, bytes, errors, elapsedMs } = progress
  const { keysPerSecond, bytesPerSecond } = rates
  const part = total === undefined || total === 0 ? undefined : Math.min(1, keys / total)
  const etaMs = part === undefined || keysPerSecond <= 0 ? undefined : (Math.max(0, (total ?? 0) - keys) / keysPerSecond) * 1000
  // [text, how much it matters]: what matters least goes first.
  const parts: (readonly [string, number])[] = [
    [phase, 7],
    ...(part === undefined ? [] : [[`${String(Math.floor(part * 100)).padStart(3)} %`, 9] as const]),
    [total === undefined ? keysText(keys) : `${countText(keys)} / ${keysText(total)}`, 6],
    [bytesText(bytes), 3],
    [`${countText(keysPerSecond)} keys/s`, 4],
    [`${bytesText(bytesPerSecond)}/s`, 2],
    [etaMs === undefined ? clockText(elapsedMs) : `ETA ${clockText(etaMs)}`, 5],
    ...(errors === 0 ? [] : [[`${countText(errors)} ${plural(errors, 'error')}`, 8] as const]),
  ]
  const widthOf = (): number => parts.reduce((sum, [text]) => sum + text.length + 2, -2)
  while (parts.length > 1 && widthOf() > columns) parts.splice(parts.indexOf(parts.reduce((least, other) => (other[1] < least[1] ? other : least))), 1)
  const texts = parts.map(([text, weight]) => (isColoured && weight === 8 ? `\x1b[31m${text}\x1b[0m` : text))
  if (widthOf() > columns) return { text: parts[0][0].slice(0, columns), width: Math.min(columns, parts[0][0].length) }
  const barColumns = Math.min(BAR_COLUMNS_MAX, columns - widthOf() - 2)
  if (part === undefined || barColumns < BAR_COLUMNS_MIN) return { text: texts.join('  '), width: widthOf() }
  texts.splice(parts[0][0] === phase ? 1 : 0, 0, bar(part, barColumns, isColoured))
  return { text: texts.join('  '), width: widthOf() + barColumns + 2 }
}

// ------------------------------------------------------------------------------------------------ the end

/** What came out, for people. */
export function reportTable(report: Report, isDryRun: boolean, isColoured: boolean): string {
  const { counts, samples, elapsedMs, bytes, keys, interrupted, failed } = report
  const seconds = Math.max(0.001, elapsedMs / 1000)
  const [bold, red, plain] = isColoured ? ['\x1b[1m', '\x1b[31m', '\x1b[0m'] : ['', '', '']
  const copied = COPIED.reduce((sum, outcome) => sum + counts[outcome], 0)
  // Of a run that was not through the number of keys is how many it came to, not how many there are.
  const end = interrupted ? 'Interrupted' : failed ? 'Stopped' : undefined
  const of = end !== undefined ? '' : ` of ${countText(keys)}`
  const title = isDryRun ? `Dry run: ${keysText(copied)}${of} would be copied` : `${keysText(copied)}${of} copied`
  const lines = [`${bold}${end === undefined ? '' : `${end} after ${keysText(keys)}. `}${title}${plain}, ${bytesText(bytes)} in ${durationText(elapsedMs)} (${countText(keys / seconds)} keys/s, ${bytesText(bytes / seconds)}/s)`]
  const shown = OUTCOMES.filter((outcome) => counts[outcome] > 0)
  const digits = Math.max(...shown.map((outcome) => countText(counts[outcome]).length), 0)
  for (const outcome of shown) {
    const row = `  ${outcome.padEnd(11)}  ${countText(counts[outcome]).padStart(digits)}`
    lines.push(FAILURES.includes(outcome) ? `${red}${row}${plain}` : row)
  }
  for (const outcome of FAILURES) {
    const found = samples[outcome] ?? []
    if (found.length === 0) continue
    lines.push('', `${outcome}${counts[outcome] > found.length ? `, the first ${found.length} of ${countText(counts[outcome])}` : ''}:`)
    for (const { ref, reason } of found) lines.push(`  ${keyText(ref.key)}${ref.db === 0 ? '' : ` (database ${ref.db})`}: ${reason}`)
  }
  return `${lines.join('\n')}\n`
}

function reportPairs({ counts, keys, bytes, elapsedMs, interrupted, failed, watermark }: Report): LogPairs {
  return {
    keys, bytes, elapsed_ms: Math.round(elapsedMs), interrupted, failed: failed ? true : undefined, ...(watermark !== undefined && jsonKey('watermark', watermark.key)),
    ...Object.fromEntries(OUTCOMES.map((outcome) => [outcome.replace('-', '_'), counts[outcome] === 0 ? undefined : counts[outcome]])),
  }
}
