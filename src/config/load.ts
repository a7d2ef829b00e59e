/**
 * Reading a configuration file: one directive a line, `#` begins a comment, the first word (any letter case) is
 * the directive, the rest its value. `include` reads another file, or those a wildcard matches, in its place; a
 * relative path starts from `dir` as it stands at that line.
 */

import { appendFileSync } from 'node:fs'
import { splitArguments } from './arguments.js'
import type { CommandLine } from './command-line.js'
import { DIRECTIVES } from './directives.js'
import { expandWildcards, hasWildcard, readBytes, systemErrorText } from './files.js'
import { VALKEY_VERSION } from './version.js'

/** A line of the file that the configuration keeps for the part of the server that understands it. */
export interface KeptLine {
  /** The words after the directive. */
  readonly words: readonly string[]
  /** The line's number and text, for `ConfigFileError`. */
  readonly line: number
  readonly text: string
}

/** What a file is loaded into; `Config` is one. */
export interface LoadTarget {
  file: string | undefined
  readonly logfile: string
  readonly clusterEnabled: boolean
  readonly replicaof: { readonly host: string; readonly port: number } | undefined
  databases: number
  readonly renames: KeptLine[]
  readonly users: KeptLine[]
  readonly modules: KeptLine[]
  readonly moduleSettings: Map<string, string>
  readonly warnings: string[]
  pathOf(file: string): string
  /** Sets a directive: an error text, whether it changed, or undefined when there is no such directive. */
  assign(name: string, words: readonly string[]): string | boolean | undefined
}

/** What the configuration does not know by itself. A hook for lines answers an error text or undefined. */
export interface LoadHooks {
  /** A `rename-command` line; checks that the command exists. */
  readonly rename?: (from: string, to: string) => string | undefined
  /** A `user` line, from the user's name on. */
  readonly user?: (words: readonly string[]) => string | undefined
  /** Reads standard input to its end, one character a byte, when the command line asks for it. */
  readonly stdin?: () => string
}

/** A file that cannot be loaded. The message is what Valkey writes to stderr; the exit status is 1. */
export class ConfigFileError extends Error {
  constructor(
    readonly reason: string,
    /** The line's number and text, unless the file as a whole is at fault. */
    readonly line?: number,
    readonly text?: string
  ) {
    const place = line === undefined ? '' : `Reading the configuration file, at line ${line}\n>>> '${text ?? ''}'\n`
    super(`\n*** FATAL CONFIG FILE ERROR (Version ${VALKEY_VERSION}) ***\n${place}${reason}\n`)
    this.name = 'ConfigFileError'
  }
}

/** A file that cannot be opened. The message is the line Valkey logs; the exit status is 1. */
export class ConfigOpenError extends Error {
  constructor(path: string, cause: unknown) {
    super(`Fatal error, can't open config file '${path}': ${systemErrorText(cause)}`)
    this.name = 'ConfigOpenError'
  }
}

/** Directives of old that are read and ignored. */
const FORGOTTEN = new Set(['list-max-ziplist-entries', 'list-max-ziplist-value', 'lua-replicate-commands'])

const NAMES = new Set(DIRECTIVES.flatMap(d => [d.name, d.alias ?? d.name]))
const MULTI_ARG = new Set(DIRECTIVES.filter(d => d.multiArg).flatMap(d => [d.name, d.alias ?? d.name]))

/** Files including one another end here instead of going on for ever. */
const MAX_INCLUDE_DEPTH = 32

/** Loads the files and options of a command line. */
export function loadFile(config: LoadTarget, line: CommandLine, hooks: LoadHooks): void {
  let text = ''
  if (line.file !== undefined) {
    text = readIncluded(config, line.file)
    config.file = line.file
  }
  if (line.stdin) text += hooks.stdin?.() ?? readBytes(0)
  loadText(config, `${text}\n${line.options}`, hooks)
}

/** Loads the text of a configuration file. */
export function loadText(config: LoadTarget, text: string, hooks: LoadHooks, depth = 0): void {
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].replace(/^[ \t\r]+|[ \t\r]+$/g, '')
    if (line === '' || line[0] === '#') continue
    const words = splitArguments(line)
    const reason = words ? loadLine(config, { words, line: i + 1, text: line }, hooks, depth) : UNBALANCED
    if (reason !== undefined) throw new ConfigFileError(reason, i + 1, line)
  }
  settle(config)
}

const UNBALANCED = 'Unbalanced quotes in configuration line'

/** One line; answers the reason when it is refused. */
function loadLine(config: LoadTarget, line: KeptLine, hooks: LoadHooks, depth: number): string | undefined {
  const [first, ...values] = line.words
  if (first === undefined) return undefined
  const name = first.toLowerCase()
  if (!NAMES.has(name)) return loadOther(config, name, { ...line, words: values }, hooks, depth)
  const multiArg = MULTI_ARG.has(name)
  if (!multiArg && values.length !== 1) return 'wrong number of arguments'
  // several words may also stand within one pair of quotes
  const split = multiArg && values.length === 1 && values[0] !== '' ? (splitArguments(values[0]) ?? []) : values
  const outcome = config.assign(name, split)
  return typeof outcome === 'string' ? outcome : undefined
}

/** What only a file may say. `kept.words` are the values. */
function loadOther(config: LoadTarget, name: string, kept: KeptLine, hooks: LoadHooks, depth: number): string | undefined {
  const values = kept.words
  if (FORGOTTEN.has(name) && values.length === 1) return undefined
  if (name === 'include' && values.length === 1) {
    if (depth >= MAX_INCLUDE_DEPTH) return 'Too many levels of included files'
    loadText(config, readIncluded(config, values[0]), hooks, depth + 1)
  } else if (name === 'rename-command' && values.length === 2) {
    config.renames.push(kept)
    return hooks.rename?.(values[0], values[1])
  } else if (name === 'user' && values.length >= 1) {
    config.users.push(kept)
    return hooks.user?.(values)
  } else if (name === 'loadmodule' && values.length >= 1) {
    config.modules.push(kept)
  } else if (name.includes('.')) {
    if (values.length === 0) return 'Module config specified without value'
    config.moduleSettings.set(name, values.join(' '))
  } else if (name === 'sentinel') {
    return values.length > 0 ? 'sentinel directive while not in sentinel mode' : undefined
  } else {
    return 'Bad directive or wrong number of arguments'
  }
  return undefined
}

/** The text of a file, or of all files a wildcard matches, one behind the other. */
function readIncluded(config: LoadTarget, named: string): string {
  const path = config.pathOf(named)
  const files = hasWildcard(named) ? expandWildcards(path) : [path]
  return files
    .map(file => {
      try {
        return readBytes(file)
      } catch (error) {
        throw new ConfigOpenError(hasWildcard(named) ? file : named, error)
      }
    })
    .join('')
}

/** What must hold of the whole: checked behind the last line of every file. */
function settle(config: LoadTarget): void {
  if (config.logfile !== '') {
    try {
      appendFileSync(config.pathOf(config.logfile), '')
    } catch (error) {
      throw new ConfigFileError(`Can't open the log file: ${systemErrorText(error)}`)
    }
  }
  if (config.clusterEnabled && config.replicaof) {
    throw new ConfigFileError('replicaof directive not allowed in cluster mode')
  }
  if (config.clusterEnabled && config.databases > 1) {
    config.warnings.push(`WARNING: Changing databases number from ${config.databases} to 1 since we are in cluster mode`)
    config.databases = 1
  }
}
