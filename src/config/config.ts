/**
 * The configuration of one server: the fields that the code reads, CONFIG GET, CONFIG SET and what follows from
 * it, the configuration file, CONFIG REWRITE.
 *
 * Invariants
 * - The fields inherited from `ConfigFields` are the values; nothing is kept beside them but the digits of
 *   numbers past 2^53. Code may assign to a field (the port that the system chose, say) and CONFIG GET shows it.
 * - `set` is all or nothing: when a value is refused, or a hook refuses to apply it, every field is as before and
 *   the hooks that ran have run again on the old values.
 * - Names and values are one character a byte (latin1) in and out.
 */

import { resolve } from 'node:path'
import { globMatch } from '../../protocol/glob.js'
import { Slice } from '../../protocol/slice.js'
import { errorLine } from '../errors.js'
import { splitCommandLine } from './command-line.js'
import { DIRECTIVES, fieldOf } from './directives.js'
import type { Directive } from './directives.js'
import { ConfigFields } from './fields.js'
import { systemErrorText } from './files.js'
import { loadFile, loadText } from './load.js'
import type { KeptLine, LoadHooks, LoadTarget } from './load.js'
import { rewriteFile } from './rewrite.js'
import type { RewriteOptions } from './rewrite.js'
import type { Origin } from './special.js'
import { locale } from './validity.js'
import { printValue, setValue } from './value.js'
import type { Holder } from './value.js'

/** Makes a new value count; answers an error text to refuse it. It must be done when it returns. */
export type Hook = () => string | undefined | void

/** What CONFIG SET needs to know of the client and the server. */
export interface SetOptions {
  /** The client is on this machine: enable-protected-configs may be `local`. */
  readonly local?: boolean
  /** A data set is being loaded. */
  readonly loading?: boolean
}

/** A directive under one of its names. */
interface Entry {
  readonly name: string
  readonly directive: Directive
}

const ENTRIES = new Map<string, Entry>()
for (const directive of DIRECTIVES) {
  ENTRIES.set(directive.name, { name: directive.name, directive })
  if (directive.alias) ENTRIES.set(directive.alias, { name: directive.alias, directive })
}

const MIN_HZ = 1
const MAX_HZ = 500
const MIN_BACKLOG_BYTES = 16384

export class Config extends ConfigFields implements LoadTarget {
  /** Absolute path of the configuration file, when there is one. */
  file: string | undefined = undefined
  /** `rename-command` lines. */
  readonly renames: KeptLine[] = []
  /** `user` lines. */
  readonly users: KeptLine[] = []
  /** `loadmodule` lines. */
  readonly modules: KeptLine[] = []
  /** Lines with a dot in the name, which are settings of a module. */
  readonly moduleSettings = new Map<string, string>()
  /** What loading found worth a line in the log. */
  readonly warnings: string[] = []

  readonly #holder: Holder = { fields: this, exact: new Map() }
  readonly #hooks = new Map<Directive, Hook[]>()
  readonly #fileOrigin: Origin = { file: true, saveSeen: false }

  constructor() {
    super()
    this.onChange('locale-collate', () => locale(this.localeCollate))
  }

  /** The absolute path of a file that a directive names. */
  pathOf(file: string): string {
    return resolve(this.dir, Buffer.from(file, 'latin1').toString())
  }

  /** The directive of that name or alias, letter case ignored. */
  static directive(name: string): Directive | undefined {
    return ENTRIES.get(name.toLowerCase())?.directive
  }

  /** Whether a directive's value must be kept out of SLOWLOG, MONITOR and logs. */
  static isSensitive(name: string): boolean {
    return Config.directive(name)?.sensitive === true
  }

  /** Runs `hook` when CONFIG SET has changed one of the directives; a hook shared by several runs once. */
  onChange(names: string | readonly string[], hook: Hook): void {
    for (const name of typeof names === 'string' ? [names] : names) {
      const directive = Config.directive(name)
      if (!directive) throw new Error(`no directive is called '${name}'`)
      const hooks = this.#hooks.get(directive)
      if (hooks) hooks.push(hook)
      else this.#hooks.set(directive, [hook])
    }
  }

  /**
   * CONFIG GET: names and values of what matches the patterns. A pattern without wildcards is a name, whose
   * spelling is kept, and the only way to see a hidden directive.
   */
  get(...patterns: readonly string[]): [name: string, value: string][] {
    const found = new Map<string, Directive>()
    for (const pattern of patterns) {
      if (!/[*?[]/.test(pattern)) {
        const entry = ENTRIES.get(pattern.toLowerCase())
        if (entry && !hasName(found, pattern)) found.set(pattern, entry.directive)
        continue
      }
      const glob = Slice.from(pattern, 'latin1')
      for (const { name, directive } of ENTRIES.values()) {
        if (directive.hidden || hasName(found, name)) continue
        if (globMatch(glob, Slice.from(name), true)) found.set(name, directive)
      }
    }
    return Array.from(found, ([name, directive]) => [name, printValue(this.#holder, directive)])
  }

  /** One directive's printed value, or undefined when there is no such directive. */
  value(name: string): string | undefined {
    const directive = Config.directive(name)
    return directive && printValue(this.#holder, directive)
  }

  /** CONFIG SET: sets all pairs and applies them, or none. Answers the error line (with its code) or undefined. */
  set(pairs: readonly (readonly [name: string, value: string])[], options: SetOptions = {}): string | undefined {
    const entries: Entry[] = []
    const refusal = this.#resolve(pairs, options, entries)
    if (refusal) return refusal
    const before = entries.map(entry => this.#snapshot(entry.directive))
    const restore = (): void => before.forEach(undo => undo())
    const hooks = new Map<Hook, string>()
    for (let i = 0; i < entries.length; i++) {
      const { name, directive } = entries[i]
      const outcome = setValue(this.#holder, directive, wordsOf(directive, pairs[i][1]), { file: false, saveSeen: false })
      if (typeof outcome === 'string') {
        restore()
        return setError(name, outcome)
      }
      if (outcome) for (const hook of this.#hooks.get(directive) ?? []) if (!hooks.has(hook)) hooks.set(hook, name)
    }
    this.#clamp()
    if (entries.some(entry => entry.name === 'repl-backlog-size')) {
      this.replBacklogSize = Math.max(MIN_BACKLOG_BYTES, this.replBacklogSize)
    }
    for (const [hook, name] of hooks) {
      const reason = hook()
      if (reason === undefined) continue
      restore()
      for (const again of hooks.keys()) again()
      return setError(name, reason)
    }
    return undefined
  }

  /** The first half of CONFIG SET: the directives, or why the names cannot be set. */
  #resolve(pairs: readonly (readonly [string, string])[], options: SetOptions, entries: Entry[]): string | undefined {
    const protectedAllowed =
      this.enableProtectedConfigs === 'yes' || (this.enableProtectedConfigs === 'local' && options.local === true)
    for (const [given] of pairs) {
      const entry = ENTRIES.get(given.toLowerCase())
      if (!entry) {
        return errorLine(`ERR Unknown option or number of arguments for CONFIG SET - '${cText(given)}'`)
      }
      const { directive } = entry
      if (directive.immutable) return setError(given, "can't set immutable config")
      if (directive.protected && !protectedAllowed) return setError(given, "can't set protected config")
      if (directive.denyLoading && options.loading) return 'LOADING Valkey is loading the dataset in memory'
      if (entries.includes(entry)) return setError(given, 'duplicate parameter')
      entries.push(entry)
    }
    return undefined
  }

  #snapshot(directive: Directive): () => void {
    const values = this as unknown as Record<string, unknown>
    const field = fieldOf(directive.name)
    const value = values[field]
    const exact = this.#holder.exact.get(directive.name)
    return () => {
      values[field] = value
      if (exact === undefined) this.#holder.exact.delete(directive.name)
      else this.#holder.exact.set(directive.name, exact)
    }
  }

  /** Some values are wishes: out of range they are brought into range, not refused. */
  #clamp(): void {
    this.hz = Math.min(MAX_HZ, Math.max(MIN_HZ, this.hz))
  }

  /** Sets a directive from a line of a file; undefined when there is no such directive. */
  assign(name: string, words: readonly string[]): string | boolean | undefined {
    const directive = Config.directive(name)
    return directive && setValue(this.#holder, directive, words, this.#fileOrigin)
  }

  /**
   * Loads the text of a configuration file.
   * @throws {ConfigFileError} with the report that Valkey writes to stderr before it exits with 1
   * @throws {ConfigOpenError} when a file it includes cannot be opened
   */
  load(text: string, hooks: LoadHooks = {}): void {
    loadText(this, text, hooks)
    this.#clamp()
  }

  /**
   * Loads what a command line asks for: the file it names, standard input for `-`, and `--directive value ...`,
   * in this order, so that what comes later wins.
   * @throws as `load`
   */
  loadCommandLine(argv: readonly string[], hooks: LoadHooks = {}): void {
    const line = splitCommandLine(argv)
    loadFile(this, line, hooks)
    this.#clamp()
  }

  /** CONFIG REWRITE. Answers the error line or undefined. */
  rewrite(options: RewriteOptions = {}): string | undefined {
    if (this.file === undefined) return 'ERR The server is running without a config file'
    try {
      rewriteFile(this.file, this.#holder, options)
      return undefined
    } catch (error) {
      return `ERR Rewriting config file: ${systemErrorText(error)}`
    }
  }
}

/** The words CONFIG SET makes of a value: it splits at each space, without quotes; no text is no word. */
function wordsOf(directive: Directive, value: string): string[] {
  if (!directive.multiArg) return [value]
  return value === '' ? [] : value.split(' ')
}

const setError = (name: string, reason: string): string =>
  errorLine(`ERR CONFIG SET failed (possibly related to argument '${cText(name)}') - ${reason}`)

/** A text as C prints it: to its first NUL. */
const cText = (text: string): string => text.split('\0', 1)[0]

/** The names already found count whatever their letter case. */
function hasName(found: ReadonlyMap<string, Directive>, name: string): boolean {
  if (found.has(name)) return true
  for (const other of found.keys()) if (other.toLowerCase() === name.toLowerCase()) return true
  return false
}
