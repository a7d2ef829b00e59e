/**
 * Reads a configuration in JSON into the tree of hcl-tree.ts, so that an error has a line and a column (JSON.parse names
 * neither). Two of one name in an object are both kept: the configuration says what that means.
 */
import type { ConfigItem, ConfigObject, ConfigValue, Cursor } from './hcl-tree.js'

const SPACE = /[ \t\r\n]+/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const PLAIN_TEXT = /[^"\\\u0000-\u001f]+/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y
const WORD = /[A-Za-z]+/y

/** The object that begins at the cursor, and nothing but blanks behind it. Throws ConfigError. */
export function readJson(cursor: Cursor): ConfigObject {
  const object = readObject(cursor)
  cursor.match(SPACE)
  if (!cursor.isAtEnd) cursor.fail('the end of the file')
  return object
}

function readObject(cursor: Cursor): ConfigObject {
  const { position } = cursor
  const items: ConfigItem[] = []
  readBetween(cursor, '}', () => {
    const key = { position: cursor.position, text: cursor.next === '"' ? readText(cursor) : cursor.fail('a name in double quotes') }
    cursor.match(SPACE)
    if (cursor.next !== ':') cursor.fail('\':\'')
    cursor.take(1)
    cursor.match(SPACE)
    items.push({ keys: [key], value: readValue(cursor) })
  })
  return { kind: 'object', items, position }
}

/** From the opening bracket at the cursor to behind the closing one, with commas between what `readOne` reads. */
function readBetween(cursor: Cursor, closing: string, readOne: () => void): void {
  cursor.nested(() => {
    const { line } = cursor.position
    cursor.take(1)
    cursor.match(SPACE)
    let isFirst = true
    while (cursor.next !== closing) {
      if (!isFirst) {
        if (cursor.next !== ',') cursor.fail(`',' or '${closing}' for what begins in line ${line}`)
        cursor.take(1)
        cursor.match(SPACE)
      }
      readOne()
      cursor.match(SPACE)
      isFirst = false
    }
    cursor.take(1)
  })
}

function readValue(cursor: Cursor): ConfigValue {
  const { position, next } = cursor
  if (next === '"') return { kind: 'text', text: readText(cursor), position }
  if (next === '{') return readObject(cursor)
  if (next === '[') {
    const values: ConfigValue[] = []
    readBetween(cursor, ']', () => values.push(readValue(cursor)))
    return { kind: 'list', values, position }
  }
  const number = cursor.match(NUMBER)
  if (number !== '') return { kind: 'number', text: number, position }
  const word = cursor.match(WORD)
  if (word === 'true' || word === 'false') return { kind: 'boolean', text: word, position }
  const expected = 'a value (a text in double quotes, a number, true, false, a list or an object)'
  return word === '' ? cursor.fail(expected) : cursor.fail(expected, word === 'null' ? 'null' : 'a word without quotes', position)
}

function readText(cursor: Cursor): string {
  const { position, at } = cursor
  cursor.take(1)
  while (cursor.match(PLAIN_TEXT) !== '' || cursor.match(ESCAPE) !== '');
  if (cursor.next === '\\') cursor.fail('an escape of JSON (\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uNNNN)', 'a backslash before another character')
  if (cursor.next !== '"') cursor.fail('a closing double quote', cursor.isAtEnd ? 'the end of the file' : 'the end of the line', position)
  cursor.take(1)
  return JSON.parse(cursor.text.slice(at, cursor.at)) as string
}
