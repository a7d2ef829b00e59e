/**
 * The command line of keyferry-server, which is Valkey's: `[file] [-] [--directive value ...] [-]`.
 *
 * Options are turned into lines of a configuration file, each value in quotes, and read after the file and
 * standard input. A word with two minuses begins a directive only when the directive before it has a value, so
 * that a value may begin with minuses; `--save` alone is the exception and means `save ""`.
 */

import { resolve } from 'node:path'
import { quoteArgument, splitArguments } from './arguments.js'

export interface CommandLine {
  /** Absolute path of the configuration file. */
  readonly file: string | undefined
  /** Whether a `-` asks for standard input. */
  readonly stdin: boolean
  /** The options as lines of a configuration file, one byte a character. */
  readonly options: string
}

export function splitCommandLine(argv: readonly string[]): CommandLine {
  const named = argv.length > 0 && !argv[0].startsWith('-')
  let options = ''
  let stdin = false
  let hasValue = true
  const last = argv.length - 1
  for (let i = named ? 1 : 0; i < argv.length; i++) {
    // as bytes, the way a file is read
    const word = Buffer.from(argv[i]).toString('latin1')
    if (word === '-' && (i === 0 || i === last)) {
      stdin = true
    } else if (hasValue && word.startsWith('--')) {
      if (options !== '') options += '\n'
      options += `${word.slice(2)} `
      hasValue = splitArguments(word)?.length !== 1
      if (!hasValue && word.toLowerCase() === '--save' && (i === last || argv[i + 1].startsWith('--'))) {
        options += '""'
        hasValue = i !== last
      }
    } else {
      options += `${quoteArgument(word)} `
      hasValue = true
    }
  }
  return { file: named ? resolve(argv[0]) : undefined, stdin, options }
}
