/**
 * Commands from syntax lines. A line of `groups.ts` such as
 *
 *   SET $key $value [NX | XX] [GET] [EX $seconds | PXAT $atMs | KEEPTTL]
 *
 * is the syntax of a command, and this file makes random commands of that syntax:
 *
 *   WORD       itself                       [a | b]   nothing, or one of the alternatives
 *   $name      a word from `alphabet.ts`    (a | b)   one of the alternatives
 *   <a>        a count, then that many `a`  {a}       `a` one or more times, now and then hundreds of times
 *
 * A line may begin with `5x`, its weight among the lines of its group.
 */
import { words, type Context } from './alphabet.js'
import type { Word } from '../client.js'

type Node =
  | { kind: 'literal'; text: string }
  | { kind: 'word'; name: string }
  | { kind: 'choice'; optional: boolean; options: Node[][] }
  | { kind: 'repeat' | 'counted'; body: Node[] }

/** A parsed syntax line. */
export interface Syntax {
  line: string
  weight: number
  nodes: Node[]
}

const CLOSERS: Record<string, string> = { '[': ']', '(': ')', '{': '}', '<': '>' }

/** Parses a syntax line. Throws on unbalanced brackets and unknown names. */
export function parseSyntax(line: string): Syntax {
  const tokens = line.match(/[[\](){}<>|]|[^\s[\](){}<>|]+/g) ?? []
  let at = 0
  let weight = 1
  const weighted = /^(\d+)x$/.exec(tokens[0] ?? '')
  if (weighted) {
    weight = Number(weighted[1])
    at = 1
  }
  const sequence = (closer: string | undefined): Node[][] => {
    const options: Node[][] = [[]]
    for (; at < tokens.length; at++) {
      const token = tokens[at]
      if (token === closer) return options
      if (token === '|') options.push([])
      else options[options.length - 1].push(node(token))
    }
    if (closer !== undefined) throw new Error(`missing ${closer} in: ${line}`)
    return options
  }
  const node = (token: string): Node => {
    const closer = CLOSERS[token]
    if (closer !== undefined) {
      at++
      const options = sequence(closer)
      if (token === '[' || token === '(') return { kind: 'choice', optional: token === '[', options }
      return { kind: token === '{' ? 'repeat' : 'counted', body: options[0] }
    }
    if (!token.startsWith('$')) return { kind: 'literal', text: token }
    if (!(token.slice(1) in words)) throw new Error(`unknown ${token} in: ${line}`)
    return { kind: 'word', name: token.slice(1) }
  }
  return { line, weight, nodes: sequence(undefined)[0] }
}

/** A random command of this syntax. */
export function produce(syntax: Syntax, context: Context): Word[] {
  const out: Word[] = []
  emit(syntax.nodes, context, out)
  return out
}

function emit(nodes: readonly Node[], context: Context, out: Word[]): void {
  const { chance } = context
  for (const node of nodes) {
    switch (node.kind) {
      case 'literal':
        out.push(node.text)
        break
      case 'word':
        out.push(words[node.name](context))
        break
      case 'choice':
        if (!node.optional || chance.hits(0.4)) emit(chance.pick(node.options), context, out)
        break
      case 'counted': {
        const count = chance.between(1, 3)
        context.lastCount = count
        out.push(chance.hits(0.97) ? String(count) : words['integer'](context))
        for (let i = 0; i < count; i++) emit(node.body, context, out)
        break
      }
      case 'repeat':
        for (let i = repeats(context); i > 0; i--) emit(node.body, context, out)
        break
    }
  }
}

/** Mostly few; now and then enough to pass every default limit of a packed encoding. */
function repeats({ chance }: Context): number {
  const luck = chance.below(200)
  if (luck < 170) return chance.between(1, 4)
  return luck < 198 ? chance.between(5, 20) : chance.between(100, 600)
}

/** Spoils a command, as a careless client would: wrong arity, a word that is garbage, a key of another type. */
export function spoil(command: Word[], context: Context): Word[] {
  const { chance } = context
  const spoiled = [...command]
  const at = chance.between(1, Math.max(1, spoiled.length - 1))
  switch (chance.below(6)) {
    case 0: spoiled.splice(at, 1); break
    case 1: spoiled.splice(at, 0, words['garbage'](context)); break
    case 2: spoiled.push(words['garbage'](context)); break
    case 3: if (at < spoiled.length) spoiled[at] = words['garbage'](context); break
    case 4: if (spoiled.length > 1) spoiled[1] = words['any'](context); break
    default: spoiled.length = Math.min(spoiled.length, at); break
  }
  return spoiled
}
