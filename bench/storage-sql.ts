/**
 * `keyferry migrate` into MariaDB and PostgreSQL, each against that server's own bulk load (LOAD DATA INFILE, COPY FROM) of a
 * file with the same rows, in turns. Both fill a fresh table of the layout of keyferry's own, rows in the order of the key, and the
 * prepared file lies where the server reads it itself: nothing that it could wait for. The servers are durable and on a disk, with
 * the settings they have by default.
 */
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { finished } from 'node:stream/promises'
import mysql from 'mysql2/promise'
import { Client } from 'pg'
import { quickFolder, skipWithoutSql, startSql, type SqlPeer } from '../test/peers-sql.js'
import { runMigrate } from './program.js'
import { inTurn, scaled, type Bench } from './servers.js'
import type { Figure } from './sheet.js'

/** Files take 5 KB each, whatever is in them. */
const FILES = 200_000
const ROWS = 500_000
const FOLDER_ROWS = 1000
const VALUE_BYTES = 100

const TO_MYSQL: Figure = { name: 'keyferry migrate file: mysql:, 200,000 keys of 100 B', unit: 'keys/s', better: 'higher', against: 'ratio', rival: 'LOAD DATA', must: 0.8, goal: 1 }
const TO_POSTGRESQL: Figure = { name: 'keyferry migrate mysql: postgresql:, 500,000 keys of 100 B', unit: 'keys/s', better: 'higher', against: 'ratio', rival: 'COPY', must: 0.8, goal: 1 }

interface Row {
  readonly folder: string
  readonly name: string
  readonly value: string
}

/** Row `i`; rows are in the order of their keys. */
function rowOf(i: number): Row {
  return { folder: `secret/${String(Math.floor(i / FOLDER_ROWS)).padStart(4, '0')}`, name: `key-${String(i).padStart(8, '0')}`, value: `${i} `.padEnd(VALUE_BYTES, 'value of this key ') }
}

export async function storageSql(bench: Bench): Promise<void> {
  const missing = (['mariadb', 'postgresql'] as const).map((name) => skipWithoutSql(name))
  for (const reason of missing) if (reason !== false) bench.log(`  skipped: ${reason}`)
  if (missing[0] !== false) return
  const [files, rows] = [scaled(bench, FILES, 200), scaled(bench, ROWS, 500)]
  const folder = mkdtempSync(path.join(quickFolder(), 'keyferry-rows-'))
  chmodSync(folder, 0o755)
  const mariadb = await startSql('mariadb', true)
  const postgresql = missing[1] === false ? await startSql('postgresql', true) : undefined
  try {
    await prepare(folder, files, rows)
    await toMysql(bench, mariadb, folder, files)
    if (postgresql !== undefined) await toPostgresql(bench, mariadb, postgresql, folder, rows)
  } finally {
    await mariadb.stop()
    await postgresql?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first rows as Vault's folder and as a file for MariaDB, all of them as a file for each server. */
async function prepare(folder: string, files: number, count: number): Promise<void> {
  const [few, ...all] = ['few.mysql', 'rows.mysql', 'rows.postgresql'].map((name) => createWriteStream(path.join(folder, name)))
  for (let i = 0; i < count; i++) {
    const { folder: within, name, value } = rowOf(i)
    const row = `${within}/${name}\t${value}\n`
    if (i < files) {
      if (i % FOLDER_ROWS === 0) mkdirSync(path.join(folder, 'store', within), { recursive: true })
      writeFileSync(path.join(folder, 'store', within, `_${name}`), `{"Value":"${Buffer.from(value).toString('base64')}"}\n`)
      few.write(row)
    }
    all[0].write(row)
    all[1].write(`/secret/\t/${within}/\t${name}\t\\\\x${Buffer.from(value).toString('hex')}\n`)
  }
  for (const stream of [few, ...all]) await finished(stream.end())
}

async function toMysql(bench: Bench, mariadb: SqlPeer, folder: string, count: number): Promise<void> {
  const connection = await mysql.createConnection({ host: '127.0.0.1', port: mariadb.port, user: mariadb.user, password: mariadb.password })
  const fresh = async (database: string): Promise<void> => {
    await connection.query(`drop database if exists ${database}`)
    await connection.query(`create database ${database}`)
    await connection.query(`create table ${database}.vault (vault_key varbinary(3072), vault_value mediumblob, primary key (vault_key))`)
  }
  const check = async (database: string): Promise<void> => {
    const [rows] = await connection.query<mysql.RowDataPacket[]>(`select count(*) as n, sum(length(vault_value)) as bytes from ${database}.vault`)
    if (Number(rows[0]['n']) !== count || Number(rows[0]['bytes']) !== count * VALUE_BYTES) throw new Error(`${database} has ${rows[0]['n']} rows of ${count}`)
  }
  try {
    await race(bench, TO_MYSQL, count, { fresh, check }, [`file:${path.join(folder, 'store')}`, urlOf('mysql', mariadb, 'ours')], () => connection.query(`load data infile '${path.join(folder, 'few.mysql')}' into table theirs.vault`))
    // What is copied from there next.
    await fresh('ours')
    await connection.query(`load data infile '${path.join(folder, 'rows.mysql')}' into table ours.vault`)
  } finally {
    await connection.end()
  }
}

async function toPostgresql(bench: Bench, mariadb: SqlPeer, postgresql: SqlPeer, folder: string, count: number): Promise<void> {
  const client = new Client({ host: '127.0.0.1', port: postgresql.port, user: postgresql.user, password: postgresql.password, database: 'postgres' })
  await client.connect()
  const fresh = async (table: string): Promise<void> => {
    await client.query(`drop table if exists ${table}`)
    await client.query(`create table ${table} (parent_path text collate "C" not null, path text collate "C", key text collate "C", value bytea, primary key (path, key))`)
    await client.query(`create index ${table}_parent_path_idx on ${table} (parent_path)`)
  }
  const check = async (table: string): Promise<void> => {
    const { rows } = await client.query<{ n: string; bytes: string }>(`select count(*) as n, sum(length(value)) as bytes from ${table}`)
    if (Number(rows[0].n) !== count || Number(rows[0].bytes) !== count * VALUE_BYTES) throw new Error(`${table} has ${rows[0].n} rows of ${count}`)
  }
  try {
    await race(bench, TO_POSTGRESQL, count, { fresh, check }, [urlOf('mysql', mariadb, 'ours'), `${urlOf('postgres', postgresql, 'postgres')}?table=ours`], () => client.query(`copy theirs from '${path.join(folder, 'rows.postgresql')}'`))
  } finally {
    await client.end()
  }
}

function urlOf(scheme: string, { user, password, port }: SqlPeer, database: string): string {
  return `${scheme}://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`
}

/** Fills a fresh table of ours by the program with these words, and one of theirs by the server's own load, in turns. */
async function race(bench: Bench, figure: Figure, count: number, table: { fresh(name: string): Promise<void>; check(name: string): Promise<void> }, words: readonly string[], load: () => Promise<unknown>): Promise<void> {
  for (let round = 0; round < bench.rounds; round++) {
    for (const role of inTurn(['keyferry', 'redis'] as const, round)) {
      const name = role === 'keyferry' ? 'ours' : 'theirs'
      await table.fresh(name)
      const elapsedMs = role === 'keyferry' ? (await runMigrate(words)).report.report.elapsedMs : await timed(load)
      await table.check(name)
      bench.sheet.record(figure, role, (count / elapsedMs) * 1000)
    }
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}
