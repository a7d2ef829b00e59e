/**
 * Vault's table in PostgreSQL.
 *
 *     create table "vault_kv_store" (parent_path text collate "C" not null, path text collate "C", key text collate "C",
 *       value bytea, primary key (path, key)); and an index on parent_path
 *
 * Keys are text there: UTF-8 without NUL. The order of pages comes from ranges of the primary key (walk.ts), never from a
 * pattern, so `%` and `_` are letters like others. Every comparison says `collate "C"`, should a table have been made
 * without it: slower then, but right.
 */
import type { Pool, PoolClient } from 'pg'
import {
  EntryError, StoreError, keyText,
  type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome,
} from '../../transfer/store.js'
import { Connections } from '../connections.js'
import { loadDriver } from '../driver.js'
import { isAscending } from '../key-order.js'
import { ReadSize } from '../read-size.js'
import { rowBatches } from '../row-batches.js'
import type { PostgresqlAddress } from './connection-url.js'
import { copyIn, encodeRows } from './copy-in.js'
import { faultOf } from './faults.js'
import { columnsOf, isText, keyOf, textBefore, textOf } from './layout.js'
import { walk, type RowPages } from './walk.js'

/** The options, read. */
export interface PostgresqlSettings {
  readonly connection: PostgresqlAddress
  readonly table: string
  readonly createsTable: boolean
  readonly requestTimeoutMs: number
  readonly maxParallel: number
}

const PAGE_ROWS = 1000
/** COPY takes so many at a time; a statement that names rows has fewer. */
const BATCH_ROWS = 4096
const ROWS_MAX = 1024
const STATEMENT_MOST_BYTES = 4 << 20
const ROW_BYTES = 64
/** Four connections take more rows than one process brings; with more of them COPY costs the server an eighth more. */
const PARALLEL_MAX = 4
const CONNECT_TIMEOUT_MS = 10_000
/** A row of the index may have 2,704 bytes, of which lengths and alignment take some. */
const KEY_BYTES_MAX = 2670
/** A value comes as hexadecimal text, and a text of Node's has at most 2^29 characters. */
const VALUE_BYTES_MAX = 255 << 20

/** After rows were there already, so many writes do without COPY; twice as many the next time. */
const PAUSE_WRITES = 16
const PAUSE_WRITES_MOST = 1024

export class PostgresqlStore implements Store {
  readonly label: string
  readonly traits: StoreTraits
  readonly #table: string
  #pool: Pool | undefined
  #connections: Connections<PoolClient> | undefined
  readonly #readSize = new ReadSize(STATEMENT_MOST_BYTES)
  /** Writes until the next COPY, and how many there were to be after it failed last. */
  #pause = 0
  #lastPause = 0

  constructor(private readonly settings: PostgresqlSettings) {
    const { host = process.env['PGHOST'] ?? 'localhost', port = process.env['PGPORT'] ?? 5432, database = process.env['PGDATABASE'] ?? '' } = settings.connection
    this.label = `postgres://${host.includes(':') ? `[${host}]` : host}:${port}/${database} (table ${settings.table})`
    this.#table = quoted(settings.table)
    this.traits = {
      typed: false, expiry: false, databases: false, ordered: true, createsAtomically: true, writable: true, vaultLayout: true,
      keyBytesMax: KEY_BYTES_MAX, valueBytesMax: VALUE_BYTES_MAX, batchEntriesMax: BATCH_ROWS, batchBytesMax: STATEMENT_MOST_BYTES,
      parallelMax: Math.min(settings.maxParallel, PARALLEL_MAX),
    }
  }

  async open(access: StoreAccess): Promise<void> {
    const { default: driver } = await loadDriver('postgresql', 'pg', () => import('pg'))
    const { tls, plaintextAllowed } = this.settings.connection
    try {
      await this.#connect(driver, tls, access)
    } catch (error) {
      if (!plaintextAllowed || tls === false || !/does not support SSL/.test((error as Error).message)) throw error
      await this.#connect(driver, false, access)
    }
  }

  async #connect(driver: Pick<typeof import('pg'), 'Pool'>, tls: PostgresqlAddress['tls'], access: StoreAccess): Promise<void> {
    const { host, port, user, password, database, applicationName = 'keyferry' } = this.settings.connection
    await this.close()
    const pool = new driver.Pool({
      host, port, user, password, database, application_name: applicationName, ssl: tls, max: this.settings.maxParallel,
      idleTimeoutMillis: 60_000, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true, client_encoding: 'UTF8',
    })
    // A connection that ends is replaced when the next one is needed; work that is under way on it hears of it by itself.
    pool.on('error', () => undefined)
    pool.on('connect', (client) => client.on('error', () => undefined))
    this.#pool = pool
    const connections = new Connections<PoolClient>(this.label, this.settings.requestTimeoutMs, {
      take: () => pool.connect(),
      give: (client, broken) => client.release(broken),
    }, (error) => faultOf(this.label, error))
    this.#connections = connections
    await connections.once(async (client) => {
      const { rows } = await client.query<{ found: string | null }>('select to_regclass($1)::text as found', [this.#table])
      if (rows[0].found !== null) return
      if (access === 'read' || !this.settings.createsTable) throw new StoreError('absent', `${this.label}: there is no such table; look at the options 'connection_url' and 'table'`)
      await client.query(`create table if not exists ${this.#table} (parent_path text collate "C" not null, path text collate "C", key text collate "C", value bytea, primary key (path, key))`)
      await client.query(`create index if not exists ${quoted(`${this.settings.table}_parent_path_idx`)} on ${this.#table} (parent_path)`)
    })
  }

  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    this.#connections?.close()
    await pool?.end().catch(() => undefined)
  }

  async preflight(access: StoreAccess): Promise<Finding[]> {
    const findings: Finding[] = []
    const { rows } = await this.#run((client) => client.query<{ encoding: string; recovering: boolean; ordered: boolean; writable: boolean }>(
      `select current_setting('server_encoding') as encoding, pg_is_in_recovery() as recovering,
         has_table_privilege($1, 'insert') and has_table_privilege($1, 'update') and has_table_privilege($1, 'delete') as writable,
         not exists (select from pg_attribute a join pg_collation c on c.oid = a.attcollation
           where a.attrelid = to_regclass($1) and a.attname in ('path', 'key') and c.collname <> 'C') as ordered`, [this.#table]))
    const [{ encoding, recovering, ordered, writable }] = rows
    if (encoding !== 'UTF8') findings.push({ code: 'encoding', level: 'error', message: `${this.label}: the database has the encoding ${encoding}, and keys are UTF-8; use a database with the encoding UTF8` })
    if (!ordered) findings.push({ code: 'collation', level: 'warning', message: `${this.label}: the columns path and key have no collate "C", so listing can not use the primary key and is slow; change them with alter table` })
    if (access === 'read') return findings
    if (recovering) findings.push({ code: 'read-only', level: 'error', message: `${this.label}: the server is a standby; connect to the primary` })
    if (!writable) findings.push({ code: 'permission', level: 'error', message: `${this.label}: the user may not insert, update and delete; grant it` })
    findings.push({ code: 'key-limits', level: 'info', message: `${this.label}: keys must be UTF-8 without NUL, of at most ${KEY_BYTES_MAX} bytes` })
    return findings
  }

  /** Tables of one name may be in several schemas, one per user. */
  async identity(): Promise<string> {
    const { rows } = await this.#run((client) => client.query<{ oid: number }>('select to_regclass($1)::oid as oid', [this.#table]))
    return `${this.label} ${rows[0].oid}`
  }

  async count(): Promise<number | undefined> {
    const { rows } = await this.#run((client) => client.query<{ about: number }>('select reltuples::float8 as about from pg_class where oid = to_regclass($1)', [this.#table]))
    // -1: never counted by the server.
    return rows.length === 0 || rows[0].about < 0 ? undefined : rows[0].about
  }

  async *list(from: KeyRef | undefined): AsyncGenerator<readonly KeyRef[]> {
    const start = from?.key ?? Buffer.alloc(0)
    let page: KeyRef[] = []
    for await (const text of walk(this.#pages, textBefore(start))) {
      const key = Buffer.from(text)
      if (key.compare(start) < 0) continue
      page.push({ db: 0, key })
      if (page.length < PAGE_ROWS) continue
      yield page
      page = []
    }
    if (page.length > 0) yield page
  }

  readonly #pages: RowPages = {
    pageRows: PAGE_ROWS,
    rows: async (path, after) => {
      const sql = `select path, key from ${this.#table} where path collate "C" ${after ? '>' : '>='} $1 order by path collate "C", key collate "C" limit ${PAGE_ROWS}`
      const { rows } = await this.#run((client) => client.query<[string, string]>({ text: sql, values: [path], rowMode: 'array' }))
      return rows
    },
    keys: async (path, key, after) => {
      const sql = `select key from ${this.#table} where path = $1 and key collate "C" ${after ? '>' : '>='} $2 order by key collate "C" limit ${PAGE_ROWS}`
      const { rows } = await this.#run((client) => client.query<[string]>({ text: sql, values: [path, key], rowMode: 'array' }))
      return rows.map((row) => row[0])
    },
  }

  read(keys: readonly KeyRef[]): Promise<(Entry | undefined)[]> {
    return this.#readSize.read(keys, async (some) => {
      const texts = some.map(({ key }) => textOf(key))
      const found = await this.#run((client) => this.#select(client, texts.filter((text) => text !== undefined)))
      return some.map(({ key }, i) => {
        const value = found.get(texts[i] ?? '\0')
        return value === undefined ? undefined : { db: 0, key, form: 'raw', value, expiresAtMs: undefined }
      })
    })
  }

  /** The values of these keys, by key. */
  async #select(client: PoolClient, texts: readonly string[]): Promise<Map<string, Buffer>> {
    const columns = texts.map(columnsOf)
    const { rows } = await client.query<[string, string, Buffer | null]>({
      name: 'keyferry-read',
      text: `select t.path, t.key, t.value from unnest($1::text[], $2::text[]) as w(path, key) join ${this.#table} t on t.path = w.path and t.key = w.key`,
      values: [columns.map((one) => one.path), columns.map((one) => one.key)],
      rowMode: 'array',
    })
    return new Map(rows.map(([path, key, value]) => [keyOf(path, key), value ?? Buffer.alloc(0)]))
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    const outcomes = new Map<Entry, WriteOutcome>()
    const fitting = entries.filter((entry) => {
      const error = this.refusalOf(entry)
      if (error !== undefined) outcomes.set(entry, error)
      return error === undefined
    })
    // In the order of their keys: two writers that take locks in one order do not wait for each other in a circle.
    const ordered = isAscending(fitting) ? fitting : sorted(fitting, conflict, outcomes)
    const { copied, again } = await this.#copy(ordered)
    if (!copied) {
      for (const batch of rowBatches(ordered, ROWS_MAX, STATEMENT_MOST_BYTES, bytesOf)) {
        if (conflict === 'replace') await this.#write(batch, outcomes, (client, rows) => this.#replace(client, rows))
        else await this.#write(batch, outcomes, (client, rows, attempt) => this.#insert(client, rows, again || attempt > 0, outcomes))
      }
    }
    return entries.map((entry) => outcomes.get(entry) ?? 'written')
  }

  /**
   * Whether COPY has taken all of them, which it does only when none is there; `again`: it may have though it did not say
   * so, because a connection broke. Whatever else speaks against it (a view, policies for rows, an entry that is refused), the
   * statements tell.
   */
  async #copy(entries: readonly Entry[]): Promise<{ copied: boolean; again: boolean }> {
    let again = false
    if (this.#pause > 0) this.#pause--
    else if (entries.length > 1 && entries.reduce((sum, entry) => sum + bytesOf(entry), 0) <= STATEMENT_MOST_BYTES) {
      const messages = encodeRows(entries)
      const copied = await this.#run(async (client, attempt) => {
        again ||= attempt > 0
        try {
          await copyIn(client, `copy ${this.#table} (parent_path, path, key, value) from stdin (format binary)`, messages)
          return true
        } catch (error) {
          const fault = faultOf(this.label, error)
          if (fault instanceof StoreError && fault.fault === 'unreachable') throw error
          return false
        }
      })
      if (copied) this.#lastPause = 0
      else this.#pause = this.#lastPause = Math.min(PAUSE_WRITES_MOST, Math.max(PAUSE_WRITES, this.#lastPause * 2))
      return { copied, again }
    }
    return { copied: false, again }
  }

  refusalOf(entry: Entry): EntryError | undefined {
    if (isText(entry.key)) return this.#tooLarge(entry)
    return new EntryError('unsupported', `key ${keyText(entry.key)} is not UTF-8 without NUL, and the columns of ${this.label} are text`)
  }

  #tooLarge({ key, value }: Entry): EntryError | undefined {
    if (key.length > KEY_BYTES_MAX) return new EntryError('too-large', `key ${keyText(key)} has ${key.length} bytes; the index of ${this.label} takes ${KEY_BYTES_MAX}`)
    if (value.length > VALUE_BYTES_MAX) return new EntryError('too-large', `the value of key ${keyText(key)} has ${value.length} bytes; ${this.label} takes ${VALUE_BYTES_MAX}`)
    return undefined
  }

  /** An entry that the server refuses is found by sending each by itself. */
  async #write(batch: readonly Entry[], outcomes: Map<Entry, WriteOutcome>, statement: (client: PoolClient, rows: readonly Entry[], attempt: number) => Promise<void>): Promise<void> {
    try {
      await this.#run((client, attempt) => statement(client, batch, attempt))
    } catch (error) {
      if (!(error instanceof EntryError)) throw error
      if (batch.length > 1) for (const row of batch) await this.#write([row], outcomes, statement)
      else outcomes.set(batch[0], new EntryError(error.code, `key ${keyText(batch[0].key)}: ${error.message}`))
    }
  }

  async #replace(client: PoolClient, batch: readonly Entry[]): Promise<void> {
    await client.query({
      name: `keyferry-replace-${batch.length}`,
      text: `insert into ${this.#table} (parent_path, path, key, value) values ${rowMarks(batch.length)} on conflict (path, key) do update set parent_path = excluded.parent_path, value = excluded.value`,
      values: parameters(batch),
    })
  }

  /** After a connection broke (`again`), a row that is there with our value is our own. */
  async #insert(client: PoolClient, batch: readonly Entry[], again: boolean, outcomes: Map<Entry, WriteOutcome>): Promise<void> {
    const { rows } = await client.query<[string, string]>({
      name: `keyferry-insert-${batch.length}`,
      text: `insert into ${this.#table} (parent_path, path, key, value) values ${rowMarks(batch.length)} on conflict (path, key) do nothing returning path, key`,
      values: parameters(batch),
      rowMode: 'array',
    })
    const inserted = new Set(rows.map(([path, key]) => keyOf(path, key)))
    const left = batch.filter(({ key }) => !inserted.has(key.utf8Slice()))
    const there = again && left.length > 0 ? await this.#select(client, left.map(({ key }) => key.utf8Slice())) : new Map<string, Buffer>()
    for (const entry of left) outcomes.set(entry, there.get(entry.key.utf8Slice())?.equals(entry.value) === true ? 'written' : 'exists')
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    const columns = keys.map(({ key }) => textOf(key)).filter((text) => text !== undefined).map(columnsOf)
    if (columns.length === 0) return
    const text = `delete from ${this.#table} t using unnest($1::text[], $2::text[]) as w(path, key) where t.path = w.path and t.key = w.key`
    await this.#run((client) => client.query({ text, values: [columns.map((one) => one.path), columns.map((one) => one.key)] }))
  }

  #run<T>(work: (client: PoolClient, attempt: number) => Promise<T>): Promise<T> {
    if (this.#connections === undefined || this.#connections.closed) return Promise.reject(new StoreError('refused', `${this.label} is closed`))
    return this.#connections.run(work)
  }
}

/** A name between double quotes. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function rowMarks(count: number): string {
  return Array.from({ length: count }, (_, i) => `($${4 * i + 1},$${4 * i + 2},$${4 * i + 3},$${4 * i + 4})`).join(',')
}

function parameters(batch: readonly Entry[]): (string | Buffer)[] {
  return batch.flatMap((entry) => {
    const { parentPath, path, key } = columnsOf(entry.key.utf8Slice())
    return [parentPath, path, key, entry.value]
  })
}

function bytesOf({ key, value }: Entry): number {
  return key.length + value.length + ROW_BYTES
}

/** In the order of their keys, each key once: of two entries the last counts, or the first where nothing is replaced. */
function sorted(entries: readonly Entry[], conflict: ConflictPolicy, outcomes: Map<Entry, WriteOutcome>): Entry[] {
  const rows = new Map<string, Entry>()
  for (const entry of entries) {
    const name = entry.key.latin1Slice()
    if (conflict === 'replace' || !rows.has(name)) rows.set(name, entry)
    else outcomes.set(entry, 'exists')
  }
  return [...rows.values()].sort((a, b) => a.key.compare(b.key))
}
