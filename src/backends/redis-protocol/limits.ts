/** What a server says of its limits, its memory and its role: asked once, before anything is written. */
import { plural } from '../../transfer/plural.js'
import type { Finding, StoreAccess } from '../../transfer/store.js'
import type { Connection } from './connection.js'
import type { ExpiryCommand } from './dump-batch.js'
import { Refusal, type Reply } from './reply-reader.js'

/** `proto-max-bulk-len` when a server does not tell. */
const USUAL_ARGUMENT_BYTES = 512 * 1024 * 1024
const USUAL_QUERY_BYTES = 1024 * 1024 * 1024
/** What a RESTORE is beside key and payload. */
const COMMAND_BYTES = 1024

export interface Limits {
  /** The longest argument. */
  readonly argumentBytesMax: number
  /** The largest payload that a RESTORE can carry. */
  readonly payloadBytesMax: number
}

/** Asks for the limits; who may not ask gets the usual ones. `chunkBytes`: a lower limit of our own. */
export async function limitsOf(connection: Connection, chunkBytes: number | undefined): Promise<Limits> {
  const [bulk, query] = await connection.callAll([['CONFIG', 'GET', 'proto-max-bulk-len'], ['CONFIG', 'GET', 'client-query-buffer-limit']])
  const argumentBytesMax = configNumber(bulk) ?? USUAL_ARGUMENT_BYTES
  const queryBytesMax = configNumber(query) ?? USUAL_QUERY_BYTES
  return { argumentBytesMax, payloadBytesMax: Math.max(1024, Math.min(argumentBytesMax, queryBytesMax - COMMAND_BYTES, chunkBytes ?? Infinity)) }
}

function configNumber(reply: Reply): number | undefined {
  const value = Array.isArray(reply) ? reply[1] : undefined
  const number = Buffer.isBuffer(value) ? Number(value.latin1Slice()) : NaN
  return number > 0 ? number : undefined
}

/** Keys per database, as INFO keyspace says: `db0:keys=1,expires=0,avg_ttl=0`. */
export async function keysPerDatabase(connection: Connection): Promise<Map<number, number> | Refusal> {
  const info = await connection.call(['INFO', 'keyspace'])
  if (info instanceof Refusal) return info
  const counts = new Map<number, number>()
  const text = Buffer.isBuffer(info) ? info.latin1Slice() : ''
  for (const [, db, keys] of text.matchAll(/^db(\d+):keys=(\d+)/gm)) counts.set(Number(db), Number(keys))
  return counts
}

/** Looks for what would go wrong with this server. `keys`: how many it has. `expiry`: what a source is asked for expiries with. */
export async function findingsOf(connection: Connection, label: string, access: StoreAccess, keys: number, expiry: ExpiryCommand): Promise<Finding[]> {
  const findings: Finding[] = []
  const find = (code: string, level: Finding['level'], message: string): void => void findings.push({ code, level, message })
  const { version, isValkey } = connection.facts
  find('server-version', 'info', version === '' ? `${label} does not tell its version` : `${label} is ${isValkey ? 'Valkey' : 'Redis'} ${version}`)
  if (access === 'read') {
    for (const [command, words] of [...READ_PROBES, ...EXPIRY_PROBES[expiry]]) {
      const reply = await connection.call(words)
      if (!isForbidden(reply)) continue
      const instead = expiry === 'PTTL' && EXPIRY_PROBES.PTTL.some(([name]) => name === command) ? ' (or PEXPIRETIME instead of PTTL and TIME)' : ''
      find('permission-missing', 'error', `${label} refuses ${command}: ${reply.line}; let the user run it${instead}`)
    }
    return findings
  }
  if (keys > 0) find('target-not-empty', 'info', `${label} has ${keys} ${plural(keys, 'key')} already`)
  const info = await connection.call(['INFO'])
  const fields = Buffer.isBuffer(info) ? info.latin1Slice() : ''
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(fields)?.[1]
  if (field('role') === 'slave') find('target-is-replica', 'error', `${label} is a replica of ${field('master_host')}:${field('master_port')}; name that one`)
  const maxmemory = Number(field('maxmemory') ?? 0)
  if (maxmemory > 0) {
    const free = Math.max(0, maxmemory - Number(field('used_memory') ?? 0))
    find('target-memory', free === 0 ? 'error' : 'info', `${label} has ${megabytes(free)} MB of its ${megabytes(maxmemory)} MB free (maxmemory)${free === 0 ? '; give it more' : ''}`)
    const policy = field('maxmemory_policy')
    if (policy !== undefined && policy !== 'noeviction') find('eviction-policy', 'warning', `${label} may drop keys when it is full (maxmemory-policy is ${policy}); set it to noeviction while keys are copied`)
  }
  for (const [command, words] of WRITE_PROBES) {
    const reply = await connection.call(words)
    // Every other refusal means that the command was let through: the words are wrong on purpose.
    if (isForbidden(reply)) find('permission-missing', 'error', `${label} refuses ${command}: ${reply.line}; let the user run it`)
  }
  return findings
}

const PROBE_KEY = 'keyferry:probe'
const READ_PROBES = [['SCAN', ['SCAN', 0, 'COUNT', 1]], ['DUMP', ['DUMP', PROBE_KEY]]] as const
const EXPIRY_PROBES = {
  PEXPIRETIME: [['PEXPIRETIME', ['PEXPIRETIME', PROBE_KEY]]],
  PTTL: [['PTTL', ['PTTL', PROBE_KEY]], ['TIME', ['TIME']]],
} as const
const WRITE_PROBES = [['RESTORE', ['RESTORE', PROBE_KEY, -1, '']]] as const

/** Whether a command may not be run at all; a key that may not be touched is another matter. */
export function isForbidden(reply: Reply): reply is Refusal {
  return reply instanceof Refusal && ((reply.code === 'NOPERM' && /command/.test(reply.line)) || /unknown command/i.test(reply.line))
}

function megabytes(bytes: number): string {
  return (bytes / 1048576).toFixed(bytes < 10485760 ? 1 : 0)
}
