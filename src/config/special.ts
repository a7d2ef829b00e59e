/**
 * The directives with a grammar of their own. Each has a `set`, which takes the words of the value and answers an
 * error text, or whether anything changed; a `print`, which is what CONFIG GET shows; and a `lines`, which is
 * what CONFIG REWRITE writes.
 *
 * Values are replaced whole, never changed in place, so that CONFIG SET can put the old ones back.
 */

import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { quoteArgument } from './arguments.js'
import { BUFFER_CLASSES, ConfigFields } from './fields.js'
import type { BufferClass, BufferLimit, SavePoint } from './fields.js'
import { systemErrorText } from './files.js'
import { parseKeyspaceEvents, printKeyspaceEvents } from './keyspace-events.js'
import { formatMemory, parseDouble, parseLongLong, parseMemory, printDouble, printLong } from './numbers.js'

/** Where a value comes from. In a file, `save` lines add up, and the first of them drops the default. */
export interface Origin {
  readonly file: boolean
  saveSeen: boolean
}

/** An error text, or whether the value differs from before. */
export type Outcome = string | boolean

/** A line for CONFIG REWRITE; one that is not `forced` is written only where the file has such a line. */
export interface RewriteLine {
  readonly text: string
  readonly forced: boolean
}

export interface Special {
  /** Its words are taken whole; without this a NUL ends a word, as in C. */
  readonly takesNul?: true
  set(config: ConfigFields, words: readonly string[], origin: Origin): Outcome
  print(config: ConfigFields): string
  lines(config: ConfigFields, defaults: ConfigFields): RewriteLine[]
}

const WRONG_COUNT = 'wrong number of arguments'

const dir: Special = {
  set(config, words) {
    if (words.length !== 1) return WRONG_COUNT
    const value = Buffer.from(words[0], 'latin1').toString()
    if (value === '') return "dir can't be empty"
    const path = resolve(config.dir, value)
    try {
      if (!statSync(path).isDirectory()) return 'Not a directory'
      accessSync(path, constants.X_OK)
      config.dir = realpathSync(path)
    } catch (error) {
      return systemErrorText(error)
    }
    return true
  },
  print: config => Buffer.from(config.dir).toString('latin1'),
  lines: config => [{ text: `dir ${quoteArgument(dir.print(config))}`, forced: true }]
}

const save: Special = {
  set(config, words, origin) {
    if (words.length === 1 && words[0] === '') {
      config.save = []
      words = []
    }
    const points: SavePoint[] = []
    if (words.length % 2) return 'Invalid save parameters'
    for (let i = 0; i < words.length; i += 2) {
      const seconds = parseLongLong(words[i])
      const changes = parseLongLong(words[i + 1])
      if (seconds === undefined || seconds < 1n) return 'Invalid save parameters'
      if (changes === undefined || changes < 0n) return 'Invalid save parameters'
      points.push({ seconds: Number(seconds), changes: Number(BigInt.asIntN(32, changes)) })
    }
    const adds = origin.file && origin.saveSeen
    origin.saveSeen = true
    config.save = adds ? [...config.save, ...points] : points
    return true
  },
  print: config => config.save.map(point => `${printLong(point.seconds)} ${point.changes}`).join(' '),
  lines: config => [{ text: `save ${save.print(config) || '""'}`, forced: true }]
}

/** The names a client class goes by; CONFIG GET prints the old one of replicas. */
const CLASS_NAMES: Readonly<Record<string, BufferClass>> = {
  normal: 'normal',
  slave: 'replica',
  replica: 'replica',
  pubsub: 'pubsub'
}

const clientOutputBufferLimit: Special = {
  set(config, words) {
    if (words.length % 4) return 'Wrong number of arguments in buffer limit configuration.'
    const limits: Record<BufferClass, BufferLimit> = { ...config.clientOutputBufferLimit }
    for (let i = 0; i < words.length; i += 4) {
      const name = CLASS_NAMES[words[i].toLowerCase()]
      if (name === undefined) return 'Invalid client class specified in buffer limit configuration.'
      const hard = parseMemory(words[i + 1])
      const soft = parseMemory(words[i + 2])
      const parsed = parseLongLong(words[i + 3])
      const seconds = parsed === undefined ? -1n : BigInt.asIntN(32, parsed)
      if (hard === undefined || soft === undefined || seconds < 0n) {
        return 'Error in hard, soft or soft_seconds setting in buffer limit configuration.'
      }
      limits[name] = { hardBytes: Number(hard), softBytes: Number(soft), softSeconds: Number(seconds) }
    }
    config.clientOutputBufferLimit = limits
    return true
  },
  print: config =>
    BUFFER_CLASSES.map(name => {
      const limit = config.clientOutputBufferLimit[name]
      const bytes = `${BigInt(limit.hardBytes)} ${BigInt(limit.softBytes)}`
      return `${name === 'replica' ? 'slave' : name} ${bytes} ${limit.softSeconds}`
    }).join(' '),
  lines: (config, defaults) =>
    BUFFER_CLASSES.map(name => {
      const now = config.clientOutputBufferLimit[name]
      const was = defaults.clientOutputBufferLimit[name]
      const bytes = `${formatMemory(BigInt(now.hardBytes))} ${formatMemory(BigInt(now.softBytes))}`
      const same =
        now.hardBytes === was.hardBytes && now.softBytes === was.softBytes && now.softSeconds === was.softSeconds
      return { text: `client-output-buffer-limit ${name} ${bytes} ${now.softSeconds}`, forced: !same }
    })
}

const oomScoreAdjValues: Special = {
  set(config, words) {
    if (words.length !== 3) return WRONG_COUNT
    const values: number[] = []
    for (const word of words) {
      const value = parseLongLong(word)
      if (value === undefined || value < -2000n || value > 2000n) {
        return 'Invalid oom-score-adj-values, elements must be between -2000 and 2000.'
      }
      values.push(Number(value))
    }
    const changed = values.some((value, i) => value !== config.oomScoreAdjValues[i])
    config.oomScoreAdjValues = values
    return changed
  },
  print: config => config.oomScoreAdjValues.join(' '),
  lines(config, defaults) {
    const text = oomScoreAdjValues.print(config)
    return [{ text: `oom-score-adj-values ${text}`, forced: text !== oomScoreAdjValues.print(defaults) }]
  }
}

const notifyKeyspaceEvents: Special = {
  set(config, words) {
    if (words.length !== 1) return WRONG_COUNT
    const bits = parseKeyspaceEvents(words[0])
    if (bits === undefined) return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
    config.notifyKeyspaceEvents = bits
    return true
  },
  print: config => printKeyspaceEvents(config.notifyKeyspaceEvents),
  lines: config => [
    {
      text: `notify-keyspace-events ${quoteArgument(printKeyspaceEvents(config.notifyKeyspaceEvents))}`,
      forced: config.notifyKeyspaceEvents !== 0
    }
  ]
}

const MAX_BIND_ADDRESSES = 16

const bind: Special = {
  set(config, words) {
    if (words.length > MAX_BIND_ADDRESSES) return 'Too many bind addresses specified.'
    config.bind = words.length === 1 && words[0] === '' ? [] : words.slice()
    return true
  },
  print: config => config.bind.join(' '),
  lines(config, defaults) {
    const text = bind.print(config)
    return text === bind.print(defaults) ? [] : [{ text: `bind ${text || '""'}`, forced: true }]
  }
}

const replicaof: Special = {
  set(config, words) {
    if (words.length !== 2) return WRONG_COUNT
    config.replicaof = undefined
    const [host, portText] = words as [string, string]
    if (host.toLowerCase() === 'no' && portText.toLowerCase() === 'one') return true
    const port = parseLongLong(portText)
    if (port === undefined || BigInt.asIntN(32, port) < 0n || BigInt.asIntN(32, port) > 65535n) {
      return 'Invalid primary port'
    }
    config.replicaof = { host, port: Number(BigInt.asIntN(32, port)) }
    return true
  },
  print: config => (config.replicaof ? `${config.replicaof.host} ${config.replicaof.port}` : ''),
  lines: config =>
    config.replicaof && !config.clusterEnabled
      ? [{ text: `replicaof ${replicaof.print(config)}`, forced: true }]
      : []
}

const latencyTrackingInfoPercentiles: Special = {
  takesNul: true,
  set(config, words) {
    const percentiles: number[] = []
    for (const word of words.length === 1 && words[0] === '' ? [] : words) {
      const value = parseDouble(word)
      if (value === undefined) return 'Invalid latency-tracking-info-percentiles parameters'
      if (value > 100 || value < 0) {
        return 'latency-tracking-info-percentiles parameters should sit between [0.0,100.0]'
      }
      percentiles.push(value)
    }
    config.latencyTrackingInfoPercentiles = percentiles
    return true
  },
  print: config => config.latencyTrackingInfoPercentiles.map(printDouble).join(' '),
  lines: config => [
    {
      text: `latency-tracking-info-percentiles ${latencyTrackingInfoPercentiles.print(config) || '""'}`,
      forced: true
    }
  ]
}

export const SPECIALS: Readonly<Record<string, Special>> = {
  'dir': dir,
  'save': save,
  'client-output-buffer-limit': clientOutputBufferLimit,
  'oom-score-adj-values': oomScoreAdjValues,
  'notify-keyspace-events': notifyKeyspaceEvents,
  'bind': bind,
  'replicaof': replicaof,
  'latency-tracking-info-percentiles': latencyTrackingInfoPercentiles
}
