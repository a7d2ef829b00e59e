/**
 * Log lines as Vault's logger writes them, for people and for what reads Vault's logs:
 *
 *     2020-05-06T11:32:05.169+0100 [INFO]  copied key: path=logical/a db=3
 *     {"@level":"info","@message":"copied key","@timestamp":"2020-05-06T11:32:05.169000+01:00","db":3,"path":"logical/a"}
 *
 * A value with blanks, quotes or `=` in it is quoted; the pairs of a JSON line are in the order of their names. A key is
 * plain text in JSON. Of one that is not UTF-8 the text has U+FFFD for what is none, and its bytes stand beside it in base64:
 *
 *     [DEBUG] copied key: path="b\xff"
 *     {"@message":"copied key","path":"b\ufffd","path_base64":"Yv8=", ...}
 */
import { isUtf8 } from 'node:buffer'
import { keyText } from '../transfer/store.js'
import type { LogFormat, LogLevel } from './migrate-flags.js'

/** Name and value pairs behind a message; undefined ones are left out. */
export type LogPairs = Readonly<Record<string, string | number | boolean | undefined>>

/** A key as JSON has it. */
export function jsonKey(name: string, key: Buffer): Readonly<Record<string, string>> {
  return { [name]: key.toString(), ...(!isUtf8(key) && { [`${name}_base64`]: key.toString('base64') }) }
}

const RANK: Readonly<Record<LogLevel, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 }
const two = (n: number): string => String(n).padStart(2, '0')

export class MigrateLog {
  /** `write` takes a line without its end; `now` answers milliseconds since 1970. */
  constructor(
    readonly level: LogLevel,
    readonly format: LogFormat,
    private readonly write: (line: string) => void,
    private readonly now: () => number = Date.now,
  ) {}

  isOn(level: LogLevel): boolean {
    return RANK[level] >= RANK[this.level]
  }

  /** The pairs for a key. */
  keyPairs(name: string, key: Buffer): LogPairs {
    return this.format === 'json' ? jsonKey(name, key) : { [name]: keyText(key) }
  }

  log(level: LogLevel, message: string, pairs: LogPairs = {}): void {
    if (!this.isOn(level)) return
    const at = new Date(this.now())
    this.write(this.format === 'json' ? jsonLine(at, level, message, pairs) : standardLine(at, level, message, pairs))
  }
}

function standardLine(at: Date, level: LogLevel, message: string, pairs: LogPairs): string {
  let line = `${localTime(at, zone(at, ''))} ${`[${level.toUpperCase()}]`.padEnd(7)} ${message}`
  let separator = ': '
  for (const [name, value] of Object.entries(pairs)) {
    if (value === undefined) continue
    line += `${separator}${name}=${pairText(value)}`
    separator = ' '
  }
  return line
}

function pairText(value: string | number | boolean): string {
  if (typeof value !== 'string') return String(value)
  // A key that keyText has quoted stays as it is.
  if (/^".*"$/s.test(value) || !/[\s"=\u0000-\u001f]/.test(value)) return value === '' ? '""' : value
  return JSON.stringify(value)
}

function jsonLine(at: Date, level: LogLevel, message: string, pairs: LogPairs): string {
  const named = Object.entries(pairs).filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify({ '@level': level, '@message': message, '@timestamp': localTime(at, `000${zone(at, ':')}`), ...Object.fromEntries(named) })
}

/** `2020-05-06T11:32:05.169` and what `end` adds. */
function localTime(at: Date, end: string): string {
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}${end}`
}

/** The offset of local time: `+0100`, or `+01:00`; in JSON UTC is `Z`, as RFC 3339 has it. */
function zone(at: Date, separator: '' | ':'): string {
  const minutes = -at.getTimezoneOffset()
  if (minutes === 0 && separator === ':') return 'Z'
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${separator}${two(size % 60)}`
}
