/**
 * The address of a PostgreSQL server as libpq writes it: a URL, or `name=value` words. What is left out comes from the
 * environment (PGHOST, PGUSER, PGPASSWORD, ...), as with every PostgreSQL client; the driver sees to that.
 *
 *     sslmode       encrypted               certificate checked       host name checked
 *     disable       no
 *     allow, prefer when the server can     no                        no
 *     require       yes                     when sslrootcert is set   no
 *     verify-ca     yes                     yes                       no
 *     verify-full   yes                     yes                       yes
 */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { StoreError } from '../../transfer/store.js'
import { decodePart, parseUrl } from '../url.js'

export interface PostgresqlAddress {
  host: string | undefined
  port: number | undefined
  user: string | undefined
  password: string | undefined
  database: string | undefined
  applicationName: string | undefined
  /** False: not encrypted. */
  tls: ConnectionOptions | false
  /** A server that can not encrypt is talked to all the same. */
  plaintextAllowed: boolean
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']
const WORDS = ['host', 'port', 'user', 'password', 'dbname', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'application_name']
/** Settings that change nothing for a store. */
const IGNORED = ['connect_timeout', 'fallback_application_name', 'target_session_attrs', 'client_encoding', 'pool_max_conns', 'pool_min_conns', 'binary_parameters']

/** Throws StoreError 'usage', without the password. */
export function parseConnection(text: string): PostgresqlAddress {
  const words = /^postgres(ql)?:/i.test(text) ? urlWords(text) : plainWords(text)
  const unknown = [...words.keys()].find((name) => !WORDS.includes(name) && !IGNORED.includes(name))
  if (unknown !== undefined) throw usage(`has the setting '${unknown}', which is not known; there are ${WORDS.join(', ')}`)
  const mode = words.get('sslmode') ?? process.env['PGSSLMODE'] ?? 'prefer'
  if (!MODES.includes(mode)) throw usage(`has the sslmode '${mode}'; there are ${MODES.join(', ')}`)
  const port = words.get('port')
  if (port !== undefined && !/^\d{1,5}$/.test(port)) throw usage(`has the port '${port}'`)
  return {
    host: words.get('host'), port: port === undefined ? undefined : Number(port), user: words.get('user'), password: words.get('password'),
    database: words.get('dbname'), applicationName: words.get('application_name'),
    tls: mode === 'disable' || words.get('host')?.startsWith('/') === true ? false : tlsOptions(mode, words),
    plaintextAllowed: mode === 'allow' || mode === 'prefer',
  }
}

function usage(what: string): StoreError {
  return new StoreError('usage', `option 'connection_url' of storage "postgresql" ${what}`)
}

function urlWords(text: string): Map<string, string> {
  const url = parseUrl(text)
  const words = new Map<string, string>()
  const add = (name: string, value: string): void => { if (value !== '') words.set(name, decodePart(value)); }
  add('user', url.username)
  add('password', url.password)
  add('host', url.hostname.replace(/^\[(.*)\]$/, '$1'))
  add('port', url.port)
  add('dbname', url.pathname.replace(/^\//, ''))
  for (const [name, value] of url.searchParams) words.set(name === 'database' ? 'dbname' : name, value)
  return words
}

/** `name = value` and `name='a value with \' and \\'`. */
function plainWords(text: string): Map<string, string> {
  const words = new Map<string, string>()
  let at = 0
  const word = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)\s*/gy
  while (at < text.length) {
    word.lastIndex = at
    const found = word.exec(text)
    if (found === null) throw usage(`is neither a URL that begins with postgres:// nor words of the form name=value (from character ${at + 1} on)`)
    words.set(found[1] === 'database' ? 'dbname' : found[1], (found[2] ?? found[3]).replace(/\\(.)/g, '$1'))
    at = word.lastIndex
  }
  return words
}

function tlsOptions(mode: string, words: ReadonlyMap<string, string>): ConnectionOptions {
  const file = (name: string): string | undefined => {
    const path = words.get(name)
    if (path === undefined) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw usage(`has the setting ${name}: ${(error as Error).message}`)
    }
  }
  const [ca, cert, key] = [file('sslrootcert'), file('sslcert'), file('sslkey')]
  const checked = mode.startsWith('verify') || (mode === 'require' && ca !== undefined)
  return {
    rejectUnauthorized: checked,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}
