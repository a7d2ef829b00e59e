/** The command table: finds a command by the bytes of its name, letter case ignored, without a string. */
import type { Slice } from '../../protocol/slice.js'
import type { Command } from './command.js'

export class Registry {
  readonly #all = new Map<string, Command>()
  #mask = 1023
  #table: (Command | undefined)[] = new Array<Command | undefined>(1024).fill(undefined)

  constructor(commands: readonly Command[]) {
    for (const command of commands) this.add(command)
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
  }

  find(name: Slice): Command | undefined {
    let at = nameHash(name.buf, name.start, name.end) & this.#mask
    for (;;) {
      const command = this.#table[at]
      if (command === undefined) return undefined
      if (name.is(command.spec.name)) return command
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
