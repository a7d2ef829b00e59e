/** MONITOR: sessions that get a line for every command the server runs. */
import type { Clock } from '../clock.js'
import type { Args } from './args.js'
import type { Command } from './command-spec.js'
import type { Session } from './session.js'

export class Monitor {
  readonly #sessions = new Set<Session>()

  get size(): number {
    return this.#sessions.size
  }

  add(session: Session): void {
    session.monitor = true
    this.#sessions.add(session)
  }

  remove(session: Session): void {
    session.monitor = false
    this.#sessions.delete(session)
  }

  /** Sends one command to all who listen, its secrets hidden. */
  feed(clock: Clock, session: Session, command: Command, args: Args): void {
    if (command.flags.has('skip_monitor') || command.flags.has('admin')) return
    const us = clock.preciseUs()
    const hidden = command.spec.secrets?.(args) ?? []
    let line = `+${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, '0')} [${session.db.index} ${session.link.address}]`
    for (let i = 0; i < args.count; i++)
      line += ` "${hidden.includes(i) ? '(redacted)' : quoted(args.at(i).latin1())}"`
    const bytes = Buffer.from(`${line}\r\n`, 'latin1')
    for (const listener of this.#sessions) listener.link.send(bytes)
  }
}

const ESCAPES: Record<string, string> = {
  '\\': '\\\\', '"': '\\"', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\x07': '\\a', '\b': '\\b',
}

/** Bytes as redis-cli shows them: printable ASCII as it is, the rest escaped. */
export function quoted(text: string): string {
  return text.replace(/[\\"\n\r\t\x07\b]|[^\x20-\x7e]/g, (c) =>
    ESCAPES[c] ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
