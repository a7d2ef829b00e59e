/**
 * Storage "mysql", `mysql://user:password@host:3306/database?table=vault`: Vault's table in MySQL or MariaDB.
 */
import { readFileSync } from 'node:fs'
import { StoreError } from '../../transfer/store.js'
import { numberOf, optionOf, type Backend, type StoreOptions } from '../backend.js'
import { durationOf } from '../duration.js'
import { decodePart, parseUrl, queryOptions } from '../url.js'
import { MysqlStore } from './store.js'

export const backend: Backend = {
  type: 'mysql',
  schemes: ['mysql', 'mariadb'],
  summary: "Vault's table in MySQL or MariaDB; needs the package mysql2",
  options: [
    { name: 'username', summary: 'who logs in', required: true, env: 'MYSQL_USERNAME' },
    { name: 'password', summary: 'the password', env: 'MYSQL_PASSWORD', secret: true },
    { name: 'password_file', summary: 'a file with nothing but the password, instead of it' },
    { name: 'address', summary: 'host:port', default: '127.0.0.1:3306' },
    { name: 'database', summary: 'the database, created when missing', default: 'vault' },
    { name: 'table', summary: 'the table, created when missing', default: 'vault' },
    { name: 'tls_ca_file', summary: 'certificates of the authorities that may vouch for the server; the connection is encrypted then' },
    { name: 'plaintext_connection_allowed', summary: "'true': no warning about a connection that is not encrypted", default: 'false' },
    { name: 'request_timeout', summary: 'how long an answer may take', default: '60s' },
    { name: 'max_parallel', summary: 'the most connections', default: '128' },
    { name: 'max_idle_connections', summary: 'connections that are kept when there is nothing to do' },
    { name: 'max_connection_lifetime', summary: 'taken for the sake of old files; without effect here' },
    { name: 'ha_enabled', summary: "taken for the sake of old files; the table of locks is not copied" },
    { name: 'lock_table', summary: 'the same' },
  ],
  fromUrl(url) {
    const parsed = parseUrl(url)
    const options: Record<string, string> = queryOptions(backend, parsed)
    if (parsed.username !== '') options['username'] = decodePart(parsed.username)
    if (parsed.password !== '') options['password'] = decodePart(parsed.password)
    if (parsed.hostname !== '') options['address'] = parsed.port === '' ? `${parsed.hostname}:3306` : parsed.host
    if (parsed.pathname.length > 1) options['database'] = decodePart(parsed.pathname.slice(1))
    return options
  },
  create(options) {
    const text = (name: string): string => optionOf(backend, options, name) as string
    const address = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text('address'))
    if (address === null) throw new StoreError('usage', `option 'address' of storage "mysql" is '${text('address')}'; it must be host:port`)
    const caFile = optionOf(backend, options, 'tls_ca_file') ?? ''
    return new MysqlStore({
      host: address[1] ?? address[2],
      port: Number(address[3] ?? 3306),
      username: text('username'),
      password: passwordOf(options),
      database: text('database'),
      table: text('table'),
      ca: caFile === '' ? undefined : readOption('tls_ca_file', caFile),
      plaintextAllowed: text('plaintext_connection_allowed') === 'true',
      requestTimeoutMs: durationOf(backend, options, 'request_timeout'),
      maxParallel: numberOf(backend, options, 'max_parallel') as number,
      maxIdle: numberOf(backend, options, 'max_idle_connections', 0),
    })
  },
}

function passwordOf(options: StoreOptions): string {
  const file = options['password'] === undefined ? optionOf(backend, options, 'password_file') : undefined
  const password = file === undefined ? optionOf(backend, options, 'password') : readOption('password_file', file).replace(/\r?\n$/, '')
  if (password === undefined) throw new StoreError('usage', `storage "mysql" needs the option 'password' or 'password_file', or MYSQL_PASSWORD in the environment`)
  return password
}

function readOption(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new StoreError('usage', `option '${name}' of storage "mysql": ${(error as Error).message}`, { cause: error })
  }
}
