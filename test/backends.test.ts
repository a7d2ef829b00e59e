/**
 * The stores: one suite for all of them, then the layouts that only one has, to the byte; and the conversion between stores
 * that know types and stores that know bytes.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { StoreOptions } from '../src/backends/backend.js'
import { backendOfType, backendOfUrl } from '../src/backends/index.js'
import type { Store } from '../src/transfer/store.js'
import { skipWithoutSql, startSql, type SqlPeer, type SqlPeerName } from './peers-sql.js'
import { conform } from './store-conformance.js'

t.setTimeout(120_000)

async function storeOf(type: string, options: StoreOptions): Promise<Store> {
  return (await backendOfType(type)).create(options)
}

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'keyferry-stores-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function sqlServer(t: Test, name: SqlPeerName): Promise<SqlPeer> {
  const peer = await startSql(name)
  t.teardown(() => peer.stop())
  return peer
}

const mysqlOptions = (peer: SqlPeer, table: string): Record<string, string> => ({ username: peer.user, password: peer.password, address: `127.0.0.1:${peer.port}`, database: 'ferry', table })
const postgresUrl = (peer: SqlPeer, password = peer.password, database = 'postgres'): string => `postgres://${peer.user}:${encodeURIComponent(password)}@127.0.0.1:${peer.port}/${database}?sslmode=prefer`
/** Nobody listens there: the port is taken by nobody that a test starts. */
const NOWHERE = '127.0.0.1:1'

const shared = `suite-${process.pid}`
conform(t, { name: 'memory', start: async () => shared, create: (peer, space) => storeOf('inmem', { name: `${peer}-${space}`, max_value_size: '1000000' }) })
conform(t, { name: 'memory, typed', start: async () => shared, create: (peer, space) => storeOf('inmem', { name: `${peer}-typed-${space}`, typed: 'true' }) })
conform(t, { name: 'file', start: async (t) => temporaryFolder(t), create: (peer, space) => storeOf('file', { path: path.join(peer, space) }) })
conform(t, {
  name: 'mysql', skip: skipWithoutSql('mariadb'), start: (t) => sqlServer(t, 'mariadb'), create: (peer, space) => storeOf('mysql', mysqlOptions(peer, space)),
  faults: async (peer) => [
    ['nobody there', await storeOf('mysql', { ...mysqlOptions(peer, 'x'), address: NOWHERE }), 'unreachable'],
    ['wrong password', await storeOf('mysql', { ...mysqlOptions(peer, 'x'), password: 'wrong-secret' }), 'denied'],
    ['unknown user', await storeOf('mysql', { ...mysqlOptions(peer, 'x'), username: 'nobody' }), 'denied'],
  ],
})
conform(t, {
  name: 'postgresql', skip: skipWithoutSql('postgresql'), start: (t) => sqlServer(t, 'postgresql'), create: (peer, space) => storeOf('postgresql', { connection_url: postgresUrl(peer), table: space }),
  faults: async (peer) => [
    ['nobody there', await storeOf('postgresql', { connection_url: `postgres://a:p%40ss@${NOWHERE}/x` }), 'unreachable'],
    ['wrong password', await storeOf('postgresql', { connection_url: postgresUrl(peer, 'wrong-secret') }), 'denied'],
    ['no such database', await storeOf('postgresql', { connection_url: postgresUrl(peer, peer.password, 'nothing') }), 'usage'],
    ['no TLS there', await storeOf('postgresql', { connection_url: postgresUrl(peer).replace('prefer', 'require') }), 'usage'],
    ['no table', await storeOf('postgresql', { connection_url: postgresUrl(peer), table: 'absent', skip_create_table: 'true' }), 'usage'],
  ],
})
