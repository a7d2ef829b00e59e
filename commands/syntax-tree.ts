/**
 * The argument tree of COMMAND DOCS, made from a command's syntax line.
 *
 *     line         := alternative { '|' alternative }
 *     alternative  := { TOKEN | name | '[' line ']' | '<' line '>' | '(' line ')' | '...' }
 *
 * `[x ...]` behind the same x means that x may be repeated; on its own it is optional and may be repeated.
 * A TOKEN in front of a name, a choice or several names belongs to them.
 */
import type { Command } from '../src/engine/command.js'

export interface Argument {
  readonly name: string
  readonly type: 'string' | 'integer' | 'double' | 'key' | 'pattern' | 'unix-time' | 'pure-token' | 'oneof' | 'block'
  readonly token?: string
  readonly optional?: true
  readonly multiple?: true
  readonly multipleToken?: true
  readonly keySpecIndex?: number
  readonly arguments?: readonly Argument[]
}

interface Group {
  readonly optional: boolean
  readonly alternatives: Node[][]
  /** Ends in `...`. */
  readonly repeats: boolean
}

type Node = { readonly word: string } | Group

const isGroup = (node: Node): node is Group => 'alternatives' in node
const isToken = (node: Node): node is { word: string } => !isGroup(node) && /^[A-Z][A-Z0-9-]*$|^[=~$*]$/.test(node.word)

/** The arguments of a command: its syntax line, parsed. */
export function argumentsOf({ fullName, spec }: Command): Argument[] {
  const words = spec.syntax.match(/[[\]<>()|]|[^\s[\]<>()|]+/g) ?? []
  const { group } = readGroup(words, 0, false, '')
  return new TreeBuilder(fullName, spec.keys?.length ?? 0).sequence(group.alternatives.length === 1 ? group.alternatives[0] : [group])
}

const CLOSING: Readonly<Record<string, string>> = { '[': ']', '<': '>', '(': ')' }

function readGroup(words: readonly string[], from: number, optional: boolean, end: string): { group: Group; at: number } {
  const alternatives: Node[][] = [[]]
  let repeats = false
  let at = from
  for (; at < words.length && words[at] !== end; at++) {
    const word = words[at]
    const current = alternatives[alternatives.length - 1]
    if (word === '|') alternatives.push([])
    else if (word === '...') repeats = true
    else if (word in CLOSING) {
      const inner = readGroup(words, at + 1, word === '[', CLOSING[word])
      current.push(inner.group)
      at = inner.at
    } else current.push({ word })
  }
  return { group: { optional, alternatives, repeats }, at }
}

const sameNodes = (a: readonly Node[], b: readonly Node[]): boolean => JSON.stringify(a) === JSON.stringify(b)

class TreeBuilder {
  #nextKey = 0

  constructor(
    readonly command: string,
    readonly keys: number,
  ) {}

  sequence(nodes: readonly Node[]): Argument[] {
    const built: Argument[] = []
    for (let i = 0; i < nodes.length; ) {
      const repeated = repeatedFrom(nodes, i)
      if (repeated > 0) {
        built.push(this.#repeated(nodes.slice(i, i + repeated)))
        i += repeated + 1
        continue
      }
      const node = nodes[i++]
      const following = nodes[i] as Node | undefined
      const names = isToken(node) ? namesFrom(nodes, i) : 0
      if (isToken(node) && repeatedFrom(nodes, i) > 0) {
        // What may be repeated behind a token goes on to the end: `STREAMS key [key ...] id [id ...]`.
        built.push(withToken(node.word, this.sequence(nodes.slice(i))))
        i = nodes.length
      } else if (isToken(node) && names > 0) {
        built.push(withToken(node.word, this.sequence(nodes.slice(i, i + names))))
        i += names
      } else if (isToken(node) && following !== undefined && isGroup(following) && !following.optional) {
        built.push({ ...this.#group(following), token: node.word })
        i++
      } else built.push(this.#single(node))
    }
    return built
  }

  #repeated(nodes: readonly Node[]): Argument {
    const [argument, ...more] = this.sequence(nodes)
    if (more.length > 0) return { name: 'data', type: 'block', multiple: true, arguments: [argument, ...more] }
    return { ...argument, multiple: true, ...(argument.token !== undefined && argument.type !== 'pure-token' && { multipleToken: true as const }) }
  }

  #single(node: Node): Argument {
    if (isGroup(node)) return this.#group(node)
    if (isToken(node)) return { name: SIGN_NAMES[node.word] ?? node.word.toLowerCase(), type: 'pure-token', token: node.word }
    return this.#named(node.word)
  }

  #named(word: string): Argument {
    if (word === '""') return { name: 'empty-string', type: 'pure-token', token: '' }
    const name = word
    const type = TYPE_EXCEPTIONS[`${this.command} ${name}`] ?? typeOfName(name, this.keys > 0)
    if (type !== 'key') return { name, type }
    return { name, type, keySpecIndex: Math.min(this.#nextKey++, this.keys - 1) }
  }

  #group({ optional, alternatives, repeats }: Group): Argument {
    const flags = { ...(optional && { optional: true as const }), ...(repeats && { multiple: true as const }) }
    if (alternatives.length > 1) {
      const choices = alternatives.map((nodes) => this.#one(nodes))
      return { name: choices.map((choice) => choice.name).slice(0, 2).join('-or-'), type: 'oneof', ...flags, arguments: choices }
    }
    return { ...this.#one(alternatives[0]), ...flags }
  }

  /** Several nodes as one argument. */
  #one(nodes: readonly Node[]): Argument {
    const built = this.sequence(nodes)
    if (built.length === 1) return built[0]
    return { name: built[0].name, type: 'block', arguments: built }
  }
}

/** A token with what it announces: one argument, or a block of several. */
function withToken(token: string, built: readonly Argument[]): Argument {
  if (built.length === 1) return { ...built[0], token }
  return { name: token.toLowerCase(), type: 'block', token, arguments: built }
}

/** How many plain names stand from `from` on, up to a token, a group or what may be repeated. */
function namesFrom(nodes: readonly Node[], from: number): number {
  let at = from
  while (at < nodes.length && !isGroup(nodes[at]) && !isToken(nodes[at]) && repeatedFrom(nodes, at) === 0) at++
  return at - from
}

const SIGN_NAMES: Readonly<Record<string, string>> = { '=': 'equal', '~': 'approximately', '*': 'auto-id', '$': 'last-id' }

/** How many nodes from `from` on are repeated by the group behind them; 0 for none. */
function repeatedFrom(nodes: readonly Node[], from: number): number {
  for (let i = from + 1; i < nodes.length; i++) {
    const group = nodes[i]
    if (!isGroup(group) || !group.optional || !group.repeats || group.alternatives.length !== 1) continue
    return sameNodes(group.alternatives[0], nodes.slice(from, i)) ? i - from : 0
  }
  return 0
}

const KEY_NAMES = new Set(['key', 'newkey', 'source', 'destination', 'destkey', 'key1', 'key2', 'srckey', 'dstkey', 'sourcekey', 'dst', 'src'])
const DOUBLE_NAMES = new Set(['score'])
const INTEGER_NAMES = new Set([
  'seconds', 'milliseconds', 'timeout', 'count', 'cursor', 'offset', 'start', 'stop', 'end', 'numkeys', 'index', 'index1', 'index2',
  'db', 'destination-db', 'increment', 'decrement', 'bit', 'rank', 'num-matches', 'len', 'frequency', 'limit', 'ttl', 'version',
  'client-id', 'protover', 'port', 'numreplicas', 'numlocal', 'maxage', 'min-match-len', 'entries-read', 'entries-added', 'size', 'weight',
])

/** Where a name means something else than it does elsewhere. */
const TYPE_EXCEPTIONS: Readonly<Record<string, Argument['type'] | undefined>> = {
  'incrbyfloat increment': 'double', 'hincrbyfloat increment': 'double',
  'zrange start': 'string', 'zrange stop': 'string', 'zrangestore min': 'string', 'zrangestore max': 'string',
  'zrangebyscore min': 'double', 'zrangebyscore max': 'double', 'zrevrangebyscore min': 'double', 'zrevrangebyscore max': 'double',
  'zcount min': 'double', 'zcount max': 'double', 'zremrangebyscore min': 'double', 'zremrangebyscore max': 'double',
  'xrange start': 'string', 'xrange end': 'string', 'xrevrange start': 'string', 'xrevrange end': 'string',
  'xpending start': 'string', 'xpending end': 'string', 'xautoclaim start': 'string', 'xclaim ms': 'integer', 'xpending min-idle-time': 'integer',
}

function typeOfName(name: string, hasKeys: boolean): Argument['type'] {
  if (hasKeys && KEY_NAMES.has(name)) return 'key'
  if (name === 'pattern') return 'pattern'
  if (name.startsWith('unix-time')) return 'unix-time'
  if (DOUBLE_NAMES.has(name)) return 'double'
  return INTEGER_NAMES.has(name) ? 'integer' : 'string'
}
