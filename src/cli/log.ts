/**
 * The log, one line an event, in the form that tools for Redis and Valkey read:
 *
 *     17:M 21 Nov 2026 11:32:32.060 * Ready to accept connections tcp
 *     pid:role    local time        level: . debug, - verbose, * notice, # warning
 *
 * Roles: C while starting, M a primary, S a replica. Lines go to standard output, or to the end of `logfile`,
 * which is opened for every line so that it may be moved away at any time. Level and file are read from the
 * configuration at each line; nothing is buffered, so a line is out before the process can end.
 */

import { appendFileSync, writeSync } from 'node:fs'
import type { Config, LogLevel } from '../config/index.js'

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, verbose: 1, notice: 2, warning: 3, nothing: 4 }
const MARKS = '.-*#'
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const MAX_TEXT = 1024

export type Role = 'C' | 'M' | 'S'

export class Log {
  role: Role = 'C'

  /** `now` answers milliseconds since 1970. */
  constructor(
    readonly config: Config,
    readonly now: () => number
  ) {}

  debug(text: string): void {
    this.#write('debug', text)
  }

  verbose(text: string): void {
    this.#write('verbose', text)
  }

  notice(text: string): void {
    this.#write('notice', text)
  }

  warning(text: string): void {
    this.#write('warning', text)
  }

  /** Text as it is, at level notice. */
  raw(text: string): void {
    if (RANK.notice >= RANK[this.config.loglevel]) this.#out(text)
  }

  #write(level: Exclude<LogLevel, 'nothing'>, text: string): void {
    const rank = RANK[level]
    if (rank < RANK[this.config.loglevel]) return
    const cut = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text
    this.#out(`${process.pid}:${this.role} ${localTime(this.now())} ${MARKS[rank]} ${cut}\n`)
  }

  #out(line: string): void {
    const { logfile } = this.config
    if (logfile === '') return print(line)
    try {
      appendFileSync(this.config.pathOf(logfile), line)
    } catch {
      // A log that is gone must not end the server.
    }
  }
}

/** Text on standard output, read or not: a pipe that is full for the moment takes it later, one that is closed ends nothing. */
export function print(text: string): void {
  try {
    writeSync(1, text)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
    if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => undefined)
    process.stdout.write(text)
  }
}

const two = (n: number): string => String(n).padStart(2, '0')

/** `21 Nov 2026 11:32:32.060`, in the machine's time zone. */
function localTime(ms: number): string {
  const at = new Date(ms)
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  const millis = String(at.getMilliseconds()).padStart(3, '0')
  return `${two(at.getDate())} ${MONTHS[at.getMonth()]} ${at.getFullYear()} ${clock}.${millis}`
}
