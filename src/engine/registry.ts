/** The command table: finds a command by the bytes of its name, letter case ignored, without a string. */
import type { Slice } from '../../protocol/slice.js'
import { newStats, type Command } from './command-spec.js'

export class Registry {
  readonly #all = new Map<string, Command>()
  readonly #mask = 1023
  readonly #table: (Command | undefined)[] = new Array<Command | undefined>(1024).fill(undefined)
  /** The name each command of `#table` is called by. */
  readonly #names: string[] = new Array<string>(1024).fill('')
  /** Where `find` found the last one. */
  #last = 0

  constructor(commands: readonly Command[]) {
    for (const command of commands) this.add(withOwnStats(command))
  }

  /** Every command by its lower-case name, in the order they were added. */
  get all(): ReadonlyMap<string, Command> {
    return this.#all
  }

  add(command: Command, name = command.spec.name): void {
    this.#all.set(name, command)
    const bytes = Buffer.from(name, 'latin1')
    let at = nameHash(bytes, 0, bytes.length) & this.#mask
    while (this.#table[at] !== undefined) at = (at + 1) & this.#mask
    this.#table[at] = command
    this.#names[at] = name
  }

  /**
   * Gives a command another name; with '' nobody can call it any more. For the configuration, before clients
   * come. Answers why not, in Valkey's words.
   */
  rename(from: string, to: string): string | undefined {
    const command = this.findByName(from)
    if (command === undefined) return 'No such command in rename-command'
    const kept = new Map(this.#all)
    kept.delete(from.toLowerCase())
    const name = to.toLowerCase()
    if (kept.has(name)) return 'Target command name already exists'
    if (name !== '') kept.set(name, command)
    this.#all.clear()
    this.#table.fill(undefined)
    this.#names.fill('')
    for (const [known, each] of kept) this.add(each, known)
    return undefined
  }

  find(name: Slice): Command | undefined {
    // A pipeline mostly repeats its command.
    const last = this.#last
    if (name.is(this.#names[last])) return this.#table[last]
    let at = nameHash(name.buf, name.start, name.end) & this.#mask
    for (;;) {
      const command = this.#table[at]
      if (command === undefined) return undefined
      if (name.is(this.#names[at])) {
        this.#last = at
        return command
      }
      at = (at + 1) & this.#mask
    }
  }

  findByName(name: string): Command | undefined {
    return this.#all.get(name.toLowerCase())
  }
}

function nameHash(buf: Buffer, start: number, end: number): number {
  let h = end - start
  for (let i = start; i < end; i++) h = (Math.imul(h, 31) + (buf[i] | 32)) | 0
  return h ^ (h >>> 10)
}

/** The same command counting for itself: several servers in one process share the table, not the statistics. */
function withOwnStats(command: Command): Command {
  const { subcommands } = command
  if (subcommands === undefined) return { ...command, stats: newStats() }
  return { ...command, stats: newStats(), subcommands: new Map([...subcommands].map(([name, sub]) => [name, withOwnStats(sub)])) }
}
