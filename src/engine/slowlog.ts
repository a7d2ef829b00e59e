/** SLOWLOG: the last commands that took longer than `slowlog-log-slower-than` microseconds. */
import type { Clock } from '../clock.js'
import type { Config } from '../config/index.js'
import type { Args } from './args.js'
import type { Command } from './command-spec.js'
import type { Session } from './session.js'

const WORDS_MAX = 32
const WORD_BYTES_MAX = 128

export interface SlowEntry {
  readonly id: number
  readonly atSeconds: number
  readonly microseconds: number
  readonly words: readonly Buffer[]
  readonly address: string
  readonly clientName: string
}

export class SlowLog {
  /** Newest first. */
  readonly entries: SlowEntry[] = []
  #nextId = 0

  constructor(readonly config: Config) {}

  consider(clock: Clock, session: Session, command: Command, args: Args, microseconds: number): void {
    const threshold = this.config.slowlogLogSlowerThan
    if (threshold < 0 || microseconds < threshold || command.flags.has('skip_slowlog')) return
    const words = slowWords(args, command.spec.secrets?.(args) ?? [])
    this.entries.unshift({
      id: this.#nextId++, atSeconds: Math.floor(clock.nowMs / 1000), microseconds: Math.floor(microseconds), words,
      address: session.link.address, clientName: session.name,
    })
    if (this.entries.length > this.config.slowlogMaxLen) this.entries.length = this.config.slowlogMaxLen
  }
}

function slowWords(args: Args, hidden: readonly number[]): Buffer[] {
  const shown = Math.min(args.count, WORDS_MAX)
  const words: Buffer[] = []
  for (let i = 0; i < shown; i++) {
    if (shown !== args.count && i === shown - 1) words.push(Buffer.from(`... (${args.count - shown + 1} more arguments)`))
    else if (hidden.includes(i)) words.push(Buffer.from('(redacted)'))
    else {
      const word = args.at(i)
      if (word.length <= WORD_BYTES_MAX) words.push(word.copy())
      else {
        const rest = `... (${word.length - WORD_BYTES_MAX} more bytes)`
        words.push(Buffer.concat([word.view().subarray(0, WORD_BYTES_MAX), Buffer.from(rest)]))
      }
    }
  }
  return words
}
