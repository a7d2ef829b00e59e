/** MIGRATE: its words, its checks in Redis' order, and the hold on the keys it moves. */
import { Slice } from '../protocol/slice.js'
import { KeyNames } from '../src/backends/keyspace/restore-batch.js'
import { LinkCache } from '../src/backends/redis/link-cache.js'
import type { Args } from '../src/engine/args.js'
import type { Call } from '../src/engine/call.js'
import { command, key } from '../src/engine/command.js'
import type { Engine } from '../src/engine/engine.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { MigrateJob, type MigrateOrder, type MigrateStats } from './migrate-job.js'

const KEYS_NEED_EMPTY_KEY = replyError('ERR When using MIGRATE KEYS option, the key argument must be set to the empty string')
const BAD_GETKEYS = replyError('ERR Invalid arguments specified for command')
const DEFAULT_TIMEOUT_MS = 1000

/** The links and counters of one engine's migrations. */
export interface Migrations {
  readonly links: LinkCache
  readonly stats: MigrateStats
  readonly texts: { readonly host: WordText, readonly port: WordText, readonly db: WordText }
}

/** The text of a word that is mostly the same as the time before: then no string is made. */
class WordText {
  readonly #last = new Slice()
  #text = ''

  of(word: Slice): string {
    if (word.equals(this.#last)) return this.#text
    const bytes = word.copy()
    this.#last.set(bytes, 0, bytes.length)
    return (this.#text = word.toString())
  }
}

const migrations = new WeakMap<Engine, Migrations>()

export function migrationsOf(engine: Engine): Migrations {
  let found = migrations.get(engine)
  if (found === undefined) {
    found = {
      links: new LinkCache(engine.random),
      stats: { moved: 0, copied: 0, refused: 0, faults: 0, retries: 0, lastError: '' },
      texts: { host: new WordText(), port: new WordText(), db: new WordText() },
    }
    migrations.set(engine, found)
  }
  return found
}

interface Words {
  copy: boolean
  replace: boolean
  user: string | undefined
  password: string | undefined
  /** The first key's position, and the position behind the last one. */
  firstKey: number
  endKey: number
}

function readWords(args: Args): Words {
  const words: Words = { copy: false, replace: false, user: undefined, password: undefined, firstKey: 3, endKey: 4 }
  for (let i = 6; i < args.count; i++) {
    const left = args.count - 1 - i
    if (args.is(i, 'copy')) words.copy = true
    else if (args.is(i, 'replace')) words.replace = true
    else if (args.is(i, 'auth') && left >= 1) words.password = args.at(++i).latin1()
    else if (args.is(i, 'auth2') && left >= 2) {
      words.user = args.at(++i).latin1()
      words.password = args.at(++i).latin1()
    } else if (args.is(i, 'keys')) {
      if (args.at(3).length !== 0) throw KEYS_NEED_EMPTY_KEY
      words.firstKey = i + 1
      words.endKey = args.count
      break
    } else throw SYNTAX
  }
  return words
}

/** Positions of the keys, as COMMAND GETKEYS finds them. */
function findKeys(args: Args): number[] {
  for (let i = 6; i < args.count; i++) {
    if (args.is(i, 'auth')) i++
    else if (args.is(i, 'auth2')) i += 2
    else if (args.is(i, 'keys')) {
      if (args.at(3).length !== 0) throw BAD_GETKEYS
      const positions: number[] = []
      for (let at = i + 1; at < args.count; at++) positions.push(at)
      return positions.length === 0 ? [3] : positions
    }
  }
  return [3]
}

/** Positions of passwords and user names. */
function secrets(args: Args): number[] {
  const positions: number[] = []
  for (let i = 6; i < args.count; i++) {
    if (args.is(i, 'auth')) positions.push(++i)
    else if (args.is(i, 'auth2')) positions.push(++i, ++i)
    else if (args.is(i, 'keys')) break
  }
  return positions.filter((position) => position < args.count)
}

/**
 * MIGRATE host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username
 * password] [KEYS key [key ...]]
 */
export const migrate = command({
  name: 'migrate', arity: -6, flags: 'write movablekeys', acl: 'keyspace dangerous', tips: ['nondeterministic_output'],
  keys: [
    key(3, 'RW ACCESS DELETE'),
    { flags: 'RW ACCESS DELETE INCOMPLETE', begin: { keyword: 'KEYS', from: -2 }, find: { last: -1, step: 1, limit: 0 } },
  ],
  findKeys, secrets,
  group: 'generic', since: '2.6.0', complexity: 'O(N) in the size of the values.',
  summary: 'Moves keys to another server.',
  syntax: 'host port <key | ""> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key [key ...]]',
}, (call) => {
  const { args, engine, db } = call
  const { links, stats, texts } = migrationsOf(engine)
  const words = readWords(args)
  const timeout = args.integer(5)
  args.integer(4)
  const order: MigrateOrder = {
    target: {
      host: texts.host.of(args.at(1)), port: portOf(texts.port.of(args.at(2))), user: words.user, password: words.password,
      tls: engine.config.tlsCluster ? tlsOptions(call) : undefined,
    },
    targetDb: texts.db.of(args.at(4)), timeoutMs: timeout <= 0 ? DEFAULT_TIMEOUT_MS : timeout,
    copy: words.copy, replace: words.replace, asking: engine.config.clusterEnabled,
  }
  const names = holdKeys(call, words)
  if (names.count === 0) return call.reply.simple('NOKEY')
  const { command: { stats: callStats } } = call
  const suspension = call.suspend()
  new MigrateJob(engine, links, stats, db, names, order).run((error) =>
    suspension.finish((reply) => {
      if (error === undefined) return reply.ok()
      reply.error(error.line)
      callStats.failed++
      engine.countError(error.code)
    }))
})

/** Finds the keys and holds those that exist, each once. */
function holdKeys(call: Call, words: Words): KeyNames {
  const { args, db, engine } = call
  const names = new KeyNames()
  for (let i = words.firstKey; i < words.endKey; i++) {
    const name: Slice = args.at(i)
    // A read for the statistics, but not for the access clock, which moves with the key.
    const ref = db.lookup(name)
    if (ref === 0) engine.keyspace.stats.misses++
    else engine.keyspace.stats.hits++
    if (ref === 0 || db.holdOf(ref) !== undefined) continue
    engine.holds.add(db, ref, words.copy ? 'write' : 'all')
    names.add(name, ref)
  }
  return names
}

/** atoi: the digits in front, 0 when there are none. What is no port fails when writing, or, below zero, when connecting. */
function portOf(text: string): number {
  const port = Number.parseInt(text, 10)
  return port < 0 ? -1 : port < 65536 ? port : 0
}

function tlsOptions(call: Call): import('node:tls').ConnectionOptions {
  const { config } = call
  const file = (name: string): Buffer | undefined => (name === '' ? undefined : call.engine.services.readFile(config.pathOf(name)))
  const cert = file(config.tlsClientCertFile === '' ? config.tlsCertFile : config.tlsClientCertFile)
  const keyFile = file(config.tlsClientKeyFile === '' ? config.tlsKeyFile : config.tlsClientKeyFile)
  const ca = file(config.tlsCaCertFile)
  return {
    ...(cert && { cert }), ...(keyFile && { key: keyFile }), ...(ca && { ca }),
    // As in Valkey, the certificate must be signed by the authority, and its name is not looked at.
    checkServerIdentity: () => undefined,
  }
}
