/**
 * A line of a configuration file as words, and a word as it is written into one. The grammar is that of
 * Valkey's inline commands too:
 *
 *     line   = blanks [ word { blanks word } ]
 *     word   = { plain | "quoted" | 'quoted' }     a closing quote ends the word
 *     "..."  \n \r \t \b \a \xHH, and \c for any other c
 *     '...'  \' alone
 */

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

const isBlank = (c: string | undefined): boolean =>
  c === ' ' || c === '\t' || c === '\n' || c === '\r' || c === '\v' || c === '\f'

/** What ends a plain word: a vertical tab or form feed does not, though it separates words. */
const endsWord = (c: string | undefined): boolean =>
  c === undefined || c === ' ' || c === '\t' || c === '\n' || c === '\r' || c === '\0'

/** The words of a line (one byte a character), or undefined when its quotes do not match. */
export function splitArguments(line: string): string[] | undefined {
  const words: string[] = []
  let at = 0
  for (;;) {
    while (isBlank(line[at])) at++
    if (at >= line.length || line[at] === '\0') return words
    let word = ''
    while (!endsWord(line[at])) {
      const c = line[at]
      if (c !== '"' && c !== "'") {
        word += c
        at++
        continue
      }
      const quoted = c === '"' ? doubleQuoted(line, at + 1) : singleQuoted(line, at + 1)
      if (quoted === undefined) return undefined
      word += quoted.text
      at = quoted.end
      break
    }
    words.push(word)
  }
}

interface Quoted {
  readonly text: string
  /** Where the scan goes on: behind the closing quote. */
  readonly end: number
}

function doubleQuoted(line: string, start: number): Quoted | undefined {
  let text = ''
  for (let at = start; at < line.length; at++) {
    const c = line[at]
    if (c === '"') return closed(line, text, at)
    if (c !== '\\') {
      text += c
      continue
    }
    const hex = /^x([0-9a-f]{2})/i.exec(line.slice(at + 1, at + 4))
    if (hex) {
      text += String.fromCharCode(parseInt(hex[1], 16))
      at += 3
    } else if (at + 1 < line.length) {
      const escaped = line[++at]
      text += ESCAPES[escaped] ?? escaped
    } else {
      return undefined
    }
  }
  return undefined
}

function singleQuoted(line: string, start: number): Quoted | undefined {
  let text = ''
  for (let at = start; at < line.length; at++) {
    const c = line[at]
    if (c === "'") return closed(line, text, at)
    if (c === '\\' && line[at + 1] === "'") {
      text += "'"
      at++
    } else {
      text += c
    }
  }
  return undefined
}

/** A closing quote must stand before a blank or the end of the line. */
const closed = (line: string, text: string, at: number): Quoted | undefined =>
  at + 1 >= line.length || line[at + 1] === '\0' || isBlank(line[at + 1]) ? { text, end: at + 1 } : undefined

const ESCAPED: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\x07': '\\a',
  '\b': '\\b'
}

/** A word in double quotes that `splitArguments` reads back; whatever is not printable ASCII as \xHH. */
export function quoteArgument(word: string): string {
  const escaped = word.replace(/[\\"]|[^\x20-\x7e]/g, c => ESCAPED[c] ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
  return `"${escaped}"`
}
