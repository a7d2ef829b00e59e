/**
 * One directive's value: parsed from text by its type's rules, printed as CONFIG GET prints it, and written as a
 * line of a configuration file. The value itself stands in `ConfigFields`; this file holds no state.
 */

import { quoteArgument } from './arguments.js'
import { fieldOf } from './directives.js'
import type { Directive } from './directives.js'
import type { ConfigFields } from './fields.js'
import { formatMemory, parseInteger, parseLongLong, parseMemory } from './numbers.js'
import { SPECIALS } from './special.js'
import type { Origin, Outcome, RewriteLine } from './special.js'
import { CHECKS } from './validity.js'

type NumberDirective = Extract<Directive, { min: number | bigint }>
type EnumDirective = Extract<Directive, { type: 'enum' }>
type TextDirective = Extract<Directive, { type: 'string' | 'sds' }>

/** The fields by their names at run time. */
type Values = Record<string, unknown>

/** A configuration's fields, and the exact digits of the few numbers that a double cannot hold. */
export interface Holder {
  readonly fields: ConfigFields
  readonly exact: Map<string, bigint>
}

const valuesOf = (fields: ConfigFields): Values => fields as unknown as Values

/** Sets a directive from the words of its value. */
export function setValue(holder: Holder, directive: Directive, words: readonly string[], origin: Origin): Outcome {
  switch (directive.type) {
    case 'bool': {
      const word = upToNul(words[0]).toLowerCase()
      if (word !== 'yes' && word !== 'no') return "argument must be 'yes' or 'no'"
      return CHECKS[directive.name]?.(word) ?? store(holder, directive, word === 'yes')
    }
    case 'enum':
      return setWords(holder, directive, words)
    case 'string':
    case 'sds':
      return setText(holder, directive, words[0])
    case 'special': {
      const special = SPECIALS[directive.name]
      return special.set(holder.fields, special.takesNul ? words : words.map(upToNul), origin)
    }
    default:
      return setNumber(holder, directive, words[0])
  }
}

/** What C sees of a text. Plain numbers and sds are compared whole. */
const upToNul = (text: string): string => {
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}

function store(holder: Holder, directive: Directive, value: unknown): boolean {
  const values = valuesOf(holder.fields)
  const field = fieldOf(directive.name)
  const changed = values[field] !== value
  values[field] = value
  return changed || directive.volatile === true
}

function setText(holder: Holder, directive: TextDirective, text: string): Outcome {
  const value = directive.type === 'string' ? upToNul(text) : text
  return CHECKS[directive.name]?.(directive.name === NODE_NAME ? text : value) ?? store(holder, directive, value)
}

/** Valkey checks this one beyond a NUL. */
const NODE_NAME = 'cluster-announce-human-nodename'

function setWords(holder: Holder, directive: EnumDirective, words: readonly string[]): Outcome {
  const chosen = new Set<string>()
  for (const word of words) {
    const lower = upToNul(word).toLowerCase()
    if (!directive.values.includes(lower)) chosen.clear()
    if (!directive.values.includes(lower) || (!directive.multiArg && words.length > 1)) return enumError(directive)
    chosen.add(directive.synonyms?.[lower] ?? lower)
  }
  if (chosen.size === 0) return enumError(directive)
  // the first word of a set of flags is the one for no flag at all
  if (directive.multiArg && chosen.size > 1) chosen.delete(directive.values[0])
  const value = directive.values.filter(word => chosen.has(word)).join(' ')
  return CHECKS[directive.name]?.(value) ?? store(holder, directive, value)
}

const enumError = (directive: EnumDirective): string =>
  `argument(s) must be one of the following: ${directive.values.join(', ')}`

function setNumber(holder: Holder, directive: NumberDirective, text: string): Outcome {
  const parsed = parseNumber(directive, text)
  if (typeof parsed === 'string') return parsed
  const unsigned = isUnsigned(directive)
  // as C does: the bits of the parsed number, read with or without a sign
  const value = unsigned ? BigInt.asUintN(64, parsed) : BigInt.asIntN(64, parsed)
  const min = BigInt(directive.min)
  const max = BigInt(directive.max)
  if (directive.type === 'percent-memory' && value < 0n) {
    if (value < min) return `percentage argument must be less or equal to ${-min}`
  } else if (value < min || value > max) {
    const base = directive.type === 'octal' ? 8 : 10
    return `argument must be between ${min.toString(base)} and ${max.toString(base)} inclusive`
  }
  const before = numberOf(holder, directive)
  const rounded = Number(value)
  store(holder, directive, rounded)
  if (Number.isSafeInteger(rounded)) holder.exact.delete(directive.name)
  else holder.exact.set(directive.name, value)
  return before !== value
}

const isUnsigned = (directive: NumberDirective): boolean =>
  directive.type === 'uint' || directive.type === 'octal' || (directive.type === 'memory' && directive.unsigned === true)

function parseNumber(directive: NumberDirective, text: string): bigint | string {
  switch (directive.type) {
    case 'memory':
      return parseMemory(upToNul(text)) ?? 'argument must be a memory value'
    case 'percent-memory': {
      const percent = text.endsWith('%') ? parseInteger(text.slice(0, -1)) : undefined
      if (percent !== undefined && percent >= 0n) return -percent
      return parseMemory(upToNul(text)) ?? 'argument must be a memory or percent value'
    }
    case 'octal':
      return parseLongLong(upToNul(text), 8, true) ?? "argument couldn't be parsed as an octal number"
    default:
      return parseInteger(text) ?? "argument couldn't be parsed into an integer"
  }
}

/** The number to the last digit. A field that was assigned to directly holds the truth. */
function numberOf(holder: Holder, directive: NumberDirective): bigint {
  const value = valuesOf(holder.fields)[fieldOf(directive.name)] as number
  const exact = holder.exact.get(directive.name)
  return exact !== undefined && Number(exact) === value ? exact : BigInt(value)
}

/** The value as CONFIG GET prints it, one byte a character. */
export function printValue(holder: Holder, directive: Directive): string {
  if (directive.type === 'special') return SPECIALS[directive.name].print(holder.fields)
  const value = valuesOf(holder.fields)[fieldOf(directive.name)]
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string') return value
  const number = numberOf(holder, directive as NumberDirective)
  if (directive.type === 'octal') return number.toString(8)
  if (directive.type === 'percent-memory' && number < 0n) return `${-number}%`
  // as C prints them: sizes without a sign, all else with one
  return (directive.type === 'memory' ? number : BigInt.asIntN(64, number)).toString()
}

/** The lines of a configuration file that set the value; none where the file must not name the directive. */
export function rewriteLines(holder: Holder, directive: Directive, defaults: Holder): RewriteLine[] {
  if (directive.type === 'special') return SPECIALS[directive.name].lines(holder.fields, defaults.fields)
  let text = printValue(holder, directive)
  const forced = text !== printValue(defaults, directive)
  if (directive.type === 'string' || directive.type === 'sds') {
    if (directive.emptyIsUnset && text === '') return []
    text = quoteArgument(text)
  } else if (directive.type === 'memory' || (directive.type === 'percent-memory' && !text.endsWith('%'))) {
    text = formatMemory(BigInt.asIntN(64, numberOf(holder, directive)))
  }
  return [{ text: `${directive.name} ${text}`, forced }]
}
