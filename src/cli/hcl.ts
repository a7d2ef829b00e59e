/**
 * Reads the configuration language of Vault (HCL, first version), as far as its migrate configuration uses it, and the
 * JSON form of the same file, which is recognised by the brace it begins with.
 *
 *     # comment     // comment     / * comment * /
 *     key = value         a value is "text", <<HEREDOC, a number, true, false, [list, ...] or { block }
 *     key "label" { ... } a block; labels are texts or words, and there is no = before the brace
 *
 * Texts: \n \r \t \a \b \f \v \\ \" \NNN \xNN \uNNNN \UNNNNNNNN; between ${ and } everything is taken as it is. A
 * heredoc is taken as it is; one that begins with <<- loses the indentation of its end mark. Stricter than HCL where it
 * would guess: two settings are separated by a new line or a comma, so that a quote too many in a password is found where
 * it stands.
 */
import { Cursor, type ConfigItem, type ConfigKey, type ConfigLiteral, type ConfigObject, type ConfigValue } from './hcl-tree.js'
import { readJson } from './hcl-json.js'

const SPACE = /[ \t\r\n\uFEFF]+/y
const LINE_SPACE = /[ \t]+/y
const LINE_COMMENT = /(?:#|\/\/)[^\n]*/y
const WORD = /[\p{L}_][\p{L}\p{N}_.-]*/uy
const NUMBER = /-?(?:0[xX][\da-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/y
const HEREDOC = /<<(-?)([\p{L}\p{N}_.-]+)[ \t]*\r?\n/uy
const PLAIN_TEXT = /[^"\\\n$]+/y

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b', f: '\f', v: '\v', '\\': '\\', '"': '"',
}
const CODED_ESCAPE = /\\(?:([0-7]{3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8}))/y

/** The tree of a file's text. `file` is its name in errors. Throws ConfigError. */
export function readConfiguration(file: string, text: string): ConfigObject {
  const cursor = new Cursor(file, text)
  cursor.match(SPACE)
  if (cursor.next === '{') return readJson(cursor)
  const { position } = cursor
  const items: ConfigItem[] = []
  for (skipBlank(cursor); !cursor.isAtEnd; skipBlank(cursor)) {
    items.push(readItem(cursor))
    endOfItem(cursor, 'end')
  }
  return { kind: 'object', items, position }
}

function skipBlank(cursor: Cursor): void {
  for (;;) {
    cursor.match(SPACE)
    if (!skipComment(cursor)) return
  }
}

/** Spaces and comments, but not the end of the line. */
function skipLineBlank(cursor: Cursor): void {
  do cursor.match(LINE_SPACE)
  while (skipComment(cursor))
}

function skipComment(cursor: Cursor): boolean {
  if (cursor.match(LINE_COMMENT) !== '') return true
  if (!cursor.startsWith('/*')) return false
  const { position, at, text } = cursor
  const end = text.indexOf('*/', at + 2)
  if (end < 0) cursor.fail('the end of the comment, \'*/\'', 'the end of the file', position)
  cursor.take(end + 2 - at)
  return true
}

function readItem(cursor: Cursor): ConfigItem {
  const keys: ConfigKey[] = []
  for (;;) {
    const { position } = cursor
    if (cursor.next === '"') keys.push({ text: readText(cursor), position })
    else {
      const word = cursor.match(WORD)
      if (word === '') return failAfter(cursor, keys)
      keys.push({ text: word, position })
    }
    skipLineBlank(cursor)
    if (cursor.next === '{') return { keys, value: readObject(cursor) }
    if (cursor.next !== '=') continue
    if (keys.length > 1) cursor.fail('\'{\' after the labels of a block')
    cursor.take(1)
    skipLineBlank(cursor)
    return { keys, value: readValue(cursor) }
  }
}

/** No further key is here, nor what would end them. */
function failAfter(cursor: Cursor, keys: readonly ConfigKey[]): never {
  if (keys.length === 0) cursor.fail('the name of a setting or block')
  if (keys.length === 1) cursor.fail('\'=\', a label in quotes or \'{\'')
  if (keys.length > 2) cursor.fail('another label or \'{\'')
  // `path "/x"`: more likely a value than a label.
  cursor.fail('\'=\' before this value (or, where it is the label of a block, \'{\' behind it)', 'neither', keys[1].position)
}

/** Behind a setting comes a new line, a comma, or what closes what it stands in. */
function endOfItem(cursor: Cursor, closing: '}' | 'end'): void {
  skipLineBlank(cursor)
  if (cursor.next === ',') cursor.take(1)
  else if (!cursor.isAtEnd && !/[\r\n]/.test(cursor.next) && !(closing === '}' && cursor.next === '}')) {
    cursor.fail(closing === '}' ? 'a new line, \',\' or \'}\'' : 'a new line')
  }
}

function readObject(cursor: Cursor): ConfigObject {
  const { position } = cursor
  return cursor.nested(() => {
    cursor.take(1)
    const items: ConfigItem[] = []
    for (;;) {
      skipBlank(cursor)
      if (cursor.isAtEnd) cursor.fail(`'}' for the block that begins in line ${position.line}`)
      if (cursor.next === '}') break
      items.push(readItem(cursor))
      endOfItem(cursor, '}')
    }
    cursor.take(1)
    return { kind: 'object', items, position }
  })
}

function readValue(cursor: Cursor): ConfigValue {
  const { position, next } = cursor
  if (next === '"') return { kind: 'text', text: readText(cursor), position }
  if (next === '{') return readObject(cursor)
  if (next === '[') return readList(cursor)
  if (next === '<') return readHeredoc(cursor)
  const number = cursor.match(NUMBER)
  if (number !== '') {
    if (/[\p{L}\p{N}_.]/u.test(cursor.next)) cursor.fail('a number, or a text in quotes', 'a number with more behind it', position)
    return { kind: 'number', text: number, position }
  }
  const word = cursor.match(WORD)
  if (word === 'true' || word === 'false') return { kind: 'boolean', text: word, position }
  const expected = 'a value (a text in double quotes, a number, true, false, a list or a block)'
  return word === '' ? cursor.fail(expected) : cursor.fail(expected, 'a word without quotes', position)
}

function readList(cursor: Cursor): ConfigValue {
  const { position } = cursor
  return cursor.nested(() => {
    cursor.take(1)
    const values: ConfigValue[] = []
    for (;;) {
      skipBlank(cursor)
      if (cursor.next === ']') break
      values.push(readValue(cursor))
      skipBlank(cursor)
      if (cursor.next === ',') cursor.take(1)
      else if (cursor.next !== ']') cursor.fail(`',' or ']' for the list that begins in line ${position.line}`)
    }
    cursor.take(1)
    return { kind: 'list', values, position }
  })
}

function readText(cursor: Cursor): string {
  const { position } = cursor
  cursor.take(1)
  let text = ''
  for (;;) {
    text += cursor.match(PLAIN_TEXT)
    if (cursor.next === '"') break
    if (cursor.startsWith('${')) text += readExpression(cursor)
    else if (cursor.next === '$') text += cursor.take(1)
    else if (cursor.next === '\\') text += readEscape(cursor)
    else cursor.fail('a closing double quote', cursor.isAtEnd ? 'the end of the file' : 'the end of the line', position)
  }
  cursor.take(1)
  return text
}

/** `${ ... }`, taken as it is with all braces and quotes in it. */
function readExpression(cursor: Cursor): string {
  const { position, text, at } = cursor
  let depth = 0
  for (let end = at + 1; end < text.length && text[end] !== '\n'; end++) {
    if (text[end] === '{') depth++
    else if (text[end] === '}' && --depth === 0) return cursor.take(end + 1 - at)
  }
  return cursor.fail('\'}\' for the \'${\' in this text', 'the end of the line', position)
}

function readEscape(cursor: Cursor): string {
  const { position } = cursor
  const coded = cursor.match(CODED_ESCAPE)
  if (coded !== '') {
    const code = /[xuU]/.test(coded[1]) ? Number.parseInt(coded.slice(2), 16) : Number.parseInt(coded.slice(1), 8)
    if (code > 0x10FFFF) cursor.fail('a character up to U+10FFFF', 'a higher number', position)
    return String.fromCodePoint(code)
  }
  const known = Object.hasOwn(ESCAPES, cursor.text.charAt(cursor.at + 1)) ? ESCAPES[cursor.text.charAt(cursor.at + 1)] : undefined
  if (known === undefined) cursor.fail('an escape (\\n \\t \\" \\\\ \\xNN \\uNNNN and others of HCL)', 'a backslash before another character; a backslash itself is written \\\\', position)
  cursor.take(2)
  return known
}

function readHeredoc(cursor: Cursor): ConfigLiteral {
  const { position } = cursor
  HEREDOC.lastIndex = cursor.at
  const opening = HEREDOC.exec(cursor.text)
  if (opening === null) return cursor.fail('a heredoc (<<NAME and a new line)', '\'<\'')
  cursor.take(opening[0].length)
  const [, dash, mark] = opening
  const lines: string[] = []
  for (;;) {
    if (cursor.isAtEnd) cursor.fail('the line that ends the heredoc', 'the end of the file', position)
    const line = cursor.match(/[^\n]*/y)
    const [, indentation, word] = /^([ \t]*)(.*?)\r?$/.exec(line) ?? []
    if (word === mark && (dash === '-' || indentation === '')) {
      const isIndented = lines.every((other) => other.startsWith(indentation))
      return { kind: 'text', text: lines.map((other) => `${isIndented ? other.slice(indentation.length) : other}\n`).join(''), position }
    }
    lines.push(line)
    cursor.take(1)
  }
}
