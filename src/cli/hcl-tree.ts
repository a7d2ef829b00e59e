/**
 * What a configuration file says, as a tree in which everything knows where it stood; the error that a file is wrong;
 * and the cursor that both readers (hcl.ts, hcl-json.ts) go over its text with.
 *
 *     key "label" { ... }    an item with the keys [key, label] and an object
 *     key = value            an item with the keys [key] and a literal, list or object
 *
 * No error repeats a value or a bare word of the file: it may be a password.
 */

/** Where something stands, both from 1 on. A column is a character, not a byte. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface ConfigKey {
  readonly text: string
  readonly position: Position
}

export interface ConfigItem {
  readonly keys: readonly ConfigKey[]
  readonly value: ConfigValue
}

/** Text without its quotes and escapes; numbers and booleans as they are written. */
export interface ConfigLiteral {
  readonly kind: 'text' | 'number' | 'boolean'
  readonly text: string
  readonly position: Position
}

export interface ConfigList {
  readonly kind: 'list'
  readonly values: readonly ConfigValue[]
  readonly position: Position
}

export interface ConfigObject {
  readonly kind: 'object'
  readonly items: readonly ConfigItem[]
  readonly position: Position
}

export type ConfigValue = ConfigLiteral | ConfigList | ConfigObject

/** A configuration that can not be used. The message begins with file, line and column where they are known. */
export class ConfigError extends Error {
  constructor(
    readonly file: string,
    readonly position: Position | undefined,
    text: string,
  ) {
    super(position === undefined ? `${file}: ${text}` : `${file}:${position.line}:${position.column}: ${text}`)
    this.name = 'ConfigError'
  }
}

/** How deep lists and objects may be nested. */
const MAX_DEPTH = 100

/** A place in the text of a file. */
export class Cursor {
  at = 0
  private line = 1
  private lineStart = 0
  private depth = 0

  constructor(
    readonly file: string,
    readonly text: string,
  ) {}

  get position(): Position {
    return { line: this.line, column: Array.from(this.text.slice(this.lineStart, this.at)).length + 1 }
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length
  }

  /** The next character, '' at the end. */
  get next(): string {
    return this.text.charAt(this.at)
  }

  startsWith(text: string): boolean {
    return this.text.startsWith(text, this.at)
  }

  /** Moves over `length` UTF-16 units and returns them. */
  take(length: number): string {
    const taken = this.text.slice(this.at, this.at + length)
    for (let i = taken.indexOf('\n'); i >= 0; i = taken.indexOf('\n', i + 1)) {
      this.line++
      this.lineStart = this.at + i + 1
    }
    this.at += taken.length
    return taken
  }

  /** Moves over what a sticky expression matches here, and returns it; '' when it does not match. */
  match(pattern: RegExp): string {
    pattern.lastIndex = this.at
    return this.take(pattern.exec(this.text)?.[0].length ?? 0)
  }

  fail(expected: string, found = this.found(), position = this.position): never {
    throw new ConfigError(this.file, position, `expected ${expected}, found ${found}`)
  }

  /** Runs a reader of a list or object, which may not be nested without end. */
  nested<T>(read: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new ConfigError(this.file, this.position, `lists and blocks are nested more than ${MAX_DEPTH} deep`)
    const result = read()
    this.depth--
    return result
  }

  /** What stands here, by kind: the words of a file may be secret. */
  private found(): string {
    const { next } = this
    if (next === '') return 'the end of the file'
    if (next === '\n' || next === '\r') return 'the end of the line'
    if (next === '"') return 'a text in quotes'
    if (next === '\'') return 'a single quote'
    if (/[\d.+-]/.test(next)) return 'a number'
    if (/[\p{L}_]/u.test(next)) return 'a word without quotes'
    if (/[{}[\]=:,<]/.test(next)) return `'${next}'`
    return 'a character that has no meaning here'
  }
}
