/**
 * Storage "postgresql", `postgres://user:password@host:5432/database?sslmode=verify-full&table=NAME`: Vault's table in PostgreSQL.
 */
import { readFileSync } from 'node:fs'
import { StoreError } from '../../transfer/store.js'
import { numberOf, optionOf, type Backend } from '../backend.js'
import { durationOf } from '../duration.js'
import { parseConnection } from './connection-url.js'
import { PostgresqlStore } from './store.js'

export const backend: Backend = {
  type: 'postgresql',
  schemes: ['postgres', 'postgresql'],
  summary: "Vault's table in PostgreSQL; needs the package pg",
  options: [
    { name: 'connection_url', summary: 'postgres://user:password@host:port/database?sslmode=..., or `host=... user=...`', required: true, env: 'VAULT_PG_CONNECTION_URL', secret: true },
    { name: 'password', summary: 'the password, where connection_url has none', secret: true },
    { name: 'password_file', summary: 'a file with nothing but the password, instead of one in connection_url, PGPASSWORD or ~/.pgpass' },
    { name: 'table', summary: 'the table, created when missing', default: 'vault_kv_store' },
    { name: 'skip_create_table', summary: "'true': a missing table is an error", default: 'false' },
    { name: 'request_timeout', summary: 'how long an answer may take', default: '60s' },
    { name: 'max_parallel', summary: 'the most connections', default: '128' },
    { name: 'max_idle_connections', summary: 'taken for the sake of old files; idle connections end after a minute' },
    { name: 'ha_enabled', summary: 'taken for the sake of old files; the table of locks is not copied' },
    { name: 'ha_table', summary: 'the same' },
  ],
  fromUrl(url) {
    const [address, query = ''] = url.split('?', 2)
    const own: Record<string, string> = {}
    const rest = new URLSearchParams()
    // What is no option of ours belongs to the connection: sslmode, sslrootcert, application_name.
    for (const [name, value] of new URLSearchParams(query)) {
      if (name !== 'connection_url' && backend.options.some((option) => option.name === name)) own[name] = value
      else rest.append(name, value)
    }
    return { connection_url: rest.size === 0 ? address : `${address}?${rest.toString()}`, ...own }
  },
  create(options) {
    const text = (name: string): string => optionOf(backend, options, name) as string
    const connection = parseConnection(text('connection_url'))
    connection.password ??= optionOf(backend, options, 'password')
    const passwordFile = optionOf(backend, options, 'password_file')
    if (passwordFile !== undefined) connection.password = readOption('password_file', passwordFile).replace(/\r?\n$/, '')
    return new PostgresqlStore({
      connection,
      table: text('table'),
      createsTable: text('skip_create_table') !== 'true',
      requestTimeoutMs: durationOf(backend, options, 'request_timeout'),
      maxParallel: numberOf(backend, options, 'max_parallel') as number,
    })
  },
}

function readOption(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new StoreError('usage', `option '${name}' of storage "postgresql": ${(error as Error).message}`, { cause: error })
  }
}
