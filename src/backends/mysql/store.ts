/**
 * Vault's table in MySQL or MariaDB.
 *
 *     create table `vault` (vault_key varbinary(3072), vault_value mediumblob, primary key (vault_key))
 *
 * The key's column is binary, so the server's order is the order of bytes, and a page of keys is a range of the primary key:
 * no pattern is ever matched, so `%` and `_` in keys are letters like others. What key and value may have is asked of the
 * table, and of the server's `max_allowed_packet`, in which a statement with its values has to fit.
 *
 * Creating only: `insert ignore` tells how many rows it wrote, not which. So rows that are known to be there are left out
 * first; when fewer were written than sent all the same, somebody else was quicker: the statement is rolled back, and each
 * row goes by itself. After a connection broke, a row that is there with our value is taken for our own.
 */
import { isIP } from 'node:net'
import type { Pool, PoolConnection, RowDataPacket, ResultSetHeader } from 'mysql2/promise'
import {
  EntryError, StoreError, keyText,
  type ConflictPolicy, type Entry, type Finding, type KeyRef, type Store, type StoreAccess, type StoreTraits, type WriteOutcome,
} from '../../transfer/store.js'
import { Connections } from '../connections.js'
import { loadDriver } from '../driver.js'
import { isAscending } from '../key-order.js'
import { ReadSize } from '../read-size.js'
import { rowBatches } from '../row-batches.js'
import { faultOf } from './faults.js'

/** The options, read. */
export interface MysqlSettings {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: string
  readonly database: string
  readonly table: string
  /** Certificates of authorities; undefined: not encrypted. */
  readonly ca: string | undefined
  readonly plaintextAllowed: boolean
  readonly requestTimeoutMs: number
  readonly maxParallel: number
  readonly maxIdle: number | undefined
}

const PAGE_KEYS = 2000
/** A range brings so many at a time; a statement that names rows has at most half as many. */
const BATCH_ROWS = 4096
const ROWS_MAX = 2048
/** Fewer keys are asked for by name. */
const RANGE_KEYS = 16
/** How many more rows than keys a range may bring, as a part of the keys. */
const STRANGERS = 1 / 8
/** After a range that brought mostly others, so many reads ask for keys by name. */
const PAUSE_READS = 16
const CONNECT_TIMEOUT_MS = 10_000
/** What a statement takes beside keys and values: its text and a few bytes for each value. */
const STATEMENT_BYTES = 16_384
const ROW_BYTES = 24
/** A little less than the column takes, with the packets that servers have by default. */
const USUAL_VALUE_BYTES = 15 << 20
/** A statement larger than this gains nothing. */
const STATEMENT_MOST_BYTES = 4 << 20

export class MysqlStore implements Store {
  readonly label: string
  readonly #table: string
  #pool: Pool | undefined
  #connections: Connections<PoolConnection> | undefined
  readonly #readSize = new ReadSize(STATEMENT_MOST_BYTES)
  /** Reads until a range is asked for again. */
  #pause = 0
  #keyBytesMax = 3072
  #valueBytesMax = (16 << 20) - 1
  #packetBytes = 16 << 20

  constructor(private readonly settings: MysqlSettings) {
    const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host
    this.label = `mysql://${host}:${settings.port}/${settings.database} (table ${settings.table})`
    this.#table = `${quoted(settings.database)}.${quoted(settings.table)}`
  }

  get traits(): StoreTraits {
    return {
      typed: false, expiry: false, databases: false, ordered: true, createsAtomically: true, writable: true, vaultLayout: true,
      keyBytesMax: this.#keyBytesMax, valueBytesMax: Math.min(this.#valueBytesMax, this.#packetBytes - this.#keyBytesMax - STATEMENT_BYTES),
      batchEntriesMax: BATCH_ROWS, batchBytesMax: STATEMENT_MOST_BYTES, parallelMax: Math.min(this.settings.maxParallel, 16),
    }
  }

  async open(access: StoreAccess): Promise<void> {
    const { host, port, username, password, ca, maxParallel, maxIdle } = this.settings
    const driver = await loadDriver('mysql', 'mysql2', () => import('mysql2/promise'))
    const pool = driver.createPool({
      host, port, user: username, password, connectionLimit: maxParallel, maxIdle: maxIdle ?? maxParallel, idleTimeout: 60_000,
      connectTimeout: CONNECT_TIMEOUT_MS, enableKeepAlive: true, maxPreparedStatements: 64, rowsAsArray: true, charset: 'utf8mb4',
      ...(ca === undefined ? {} : { ssl: { ca, rejectUnauthorized: true, verifyIdentity: isIP(host) === 0 } }),
    })
    // A connection that ends is replaced when the next one is needed; work that is under way on it hears of it by itself.
    pool.on('connection', (connection) => connection.on('error', () => undefined))
    this.#pool = pool
    const connections = new Connections(this.label, this.settings.requestTimeoutMs, {
      take: () => pool.getConnection(),
      give: (connection, broken) => broken ? connection.destroy() : connection.release(),
    }, (error) => faultOf(this.label, error))
    this.#connections = connections
    await connections.once(async (connection) => {
      if (access === 'write') await this.#create(connection)
      await this.#readLimits(connection)
    })
  }

  /** As Vault does it: asks first, so that a user without the right to create can use what is there. */
  async #create(connection: PoolConnection): Promise<void> {
    const { database, table } = this.settings
    const [databases] = await connection.query<RowDataPacket[]>('select 1 from information_schema.schemata where schema_name = ?', [database])
    if (databases.length === 0) await connection.query(`create database if not exists ${quoted(database)}`)
    const [tables] = await connection.query<RowDataPacket[]>('select 1 from information_schema.tables where table_schema = ? and table_name = ?', [database, table])
    if (tables.length === 0) await connection.query(`create table if not exists ${this.#table} (vault_key varbinary(3072), vault_value mediumblob, primary key (vault_key))`)
  }

  async #readLimits(connection: PoolConnection): Promise<void> {
    const { database, table } = this.settings
    const [columns] = await connection.query<RowDataPacket[]>('select column_name, character_maximum_length from information_schema.columns where table_schema = ? and table_name = ?', [database, table])
    const limits = new Map(columns.map((row) => [String(row[0]).toLowerCase(), Number(row[1])]))
    const keyBytes = limits.get('vault_key')
    const valueBytes = limits.get('vault_value')
    if (keyBytes === undefined || valueBytes === undefined) {
      const what = limits.size === 0 ? 'there is no such table, or the user may not see it' : 'the table has no columns vault_key and vault_value'
      throw new StoreError(limits.size === 0 ? 'absent' : 'usage', `${this.label}: ${what}; look at the options 'database' and 'table'`)
    }
    const [[packet]] = await connection.query<RowDataPacket[]>('select @@max_allowed_packet')
    this.#keyBytesMax = keyBytes
    this.#valueBytesMax = valueBytes
    this.#packetBytes = Number(packet[0])
  }

  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    this.#connections?.close()
    await pool?.end().catch(() => undefined)
  }

  async preflight(access: StoreAccess): Promise<Finding[]> {
    const findings: Finding[] = []
    const { ca, plaintextAllowed, host } = this.settings
    if (ca === undefined && !plaintextAllowed && !/^(localhost|127\.|::1$)/.test(host))
      findings.push({ code: 'plaintext', level: 'warning', message: `${this.label}: the connection is not encrypted; set 'tls_ca_file', or 'plaintext_connection_allowed' to true` })
    // mysql2 compares names only.
    if (ca !== undefined && isIP(host) !== 0)
      findings.push({ code: 'certificate-name', level: 'warning', message: `${this.label}: the certificate is checked against 'tls_ca_file', but not whether it belongs to ${host}; give the host's name in 'address'` })
    if (access === 'read') return findings
    const readOnly = await this.#run(async (connection) => (await connection.query<RowDataPacket[]>('select @@global.read_only'))[0])
    if (Number(readOnly[0][0]) !== 0) findings.push({ code: 'read-only', level: 'error', message: `${this.label}: the server is read-only (read_only); connect to the primary` })
    if (this.traits.valueBytesMax < this.#valueBytesMax)
      findings.push({ code: 'value-limit', level: this.traits.valueBytesMax < USUAL_VALUE_BYTES ? 'warning' : 'info', message: `${this.label}: values may have ${this.traits.valueBytesMax} bytes, because max_allowed_packet of the server is ${this.#packetBytes}; the column would take ${this.#valueBytesMax}` })
    return findings
  }

  async identity(): Promise<string> {
    return this.label
  }

  async count(): Promise<number | undefined> {
    const { database, table } = this.settings
    const rows = await this.#run(async (connection) =>
      (await connection.query<RowDataPacket[]>('select table_rows from information_schema.tables where table_schema = ? and table_name = ?', [database, table]))[0])
    return rows.length === 0 ? undefined : Number(rows[0][0])
  }

  async *list(from: KeyRef | undefined, withValues = false): AsyncGenerator<readonly KeyRef[]> {
    let pending = this.#page(withValues, '>=', from?.key ?? EMPTY)
    for (;;) {
      const { refs, isLast } = await pending
      if (refs.length === 0) return
      if (isLast) return yield refs
      // The next page is on its way while this one is dealt with.
      pending = this.#page(withValues, '>', refs[refs.length - 1].key)
      // Nobody may ask for it any more.
      pending.catch(() => undefined)
      yield refs
    }
  }

  /** Keys in order from one on (`>`: behind it), with their values or without. */
  async #page(withValues: boolean, operator: '>=' | '>', start: Buffer): Promise<{ refs: readonly KeyRef[]; isLast: boolean }> {
    const rows = withValues ? Math.min(BATCH_ROWS, 2 ** Math.floor(Math.log2(this.#readSize.mostKeys))) : PAGE_KEYS
    const sql = `select vault_key${withValues ? ', vault_value' : ''} from ${this.#table} where vault_key ${operator} ? order by vault_key limit ${rows}`
    const [found] = await this.#run((connection) => connection.execute<RowDataPacket[]>(sql, [start]))
    const isLast = found.length < rows
    if (!withValues) return { refs: found.map((row) => ({ db: 0, key: row[0] as Buffer })), isLast }
    const entries = found.map((row) => entryOf(row[0] as Buffer, row[1] as Buffer | null))
    this.#readSize.saw(entries)
    return { refs: entries, isLast }
  }

  read(keys: readonly KeyRef[]): Promise<(Entry | undefined)[]> {
    return this.#readSize.read(keys, async (some) => {
      const found = await this.#run((connection) => this.#select(connection, some))
      return some.map(({ key }, i) => {
        const value = found[i]
        return value === undefined ? undefined : entryOf(key, value)
      })
    })
  }

  /** The values of these keys, in their order. */
  async #select(connection: PoolConnection, keys: readonly KeyRef[]): Promise<(Buffer | undefined)[]> {
    const values = new Array<Buffer | undefined>(keys.length)
    let rest = keys
    if (this.#pause > 0) this.#pause--
    else if (keys.length >= RANGE_KEYS && isAscending(keys)) rest = await this.#selectRange(connection, keys, values)
    if (rest.length === 0) return values
    const found = new Map<string, Buffer>()
    for (const batch of rowBatches(rest, ROWS_MAX, this.#statementBytes, ({ key }) => key.length + ROW_BYTES)) {
      const sql = `select vault_key, vault_value from ${this.#table} where vault_key in (${marks(batch.length)})`
      const [rows] = await connection.execute<RowDataPacket[]>(sql, batch.map(({ key }) => key))
      for (const row of rows) found.set((row[0] as Buffer).latin1Slice(), (row[1] as Buffer | null) ?? EMPTY)
    }
    for (let i = 0; i < keys.length; i++) values[i] ??= found.get(keys[i].key.latin1Slice())
    return values
  }

  /**
   * What lies between the first key and the last, for a seventh of what asking for each key costs the server; the keys that
   * are to be looked for all the same. Where most of it was not asked for, the next ones are asked for by name.
   */
  async #selectRange(connection: PoolConnection, keys: readonly KeyRef[], values: (Buffer | undefined)[]): Promise<readonly KeyRef[]> {
    const most = 2 ** Math.ceil(Math.log2(keys.length)) * (1 + STRANGERS)
    const sql = `select vault_key, vault_value from ${this.#table} where vault_key >= ? and vault_key <= ? order by vault_key limit ${most}`
    const [rows] = await connection.execute<RowDataPacket[]>(sql, [keys[0].key, keys[keys.length - 1].key])
    let [at, strangers] = [0, 0]
    for (const row of rows) {
      const key = row[0] as Buffer
      let order = -1
      while (at < keys.length && (order = keys[at].key.compare(key)) < 0) at++
      if (order === 0) values[at++] = (row[1] as Buffer | null) ?? EMPTY
      else strangers++
    }
    if (strangers > rows.length / 2) this.#pause = PAUSE_READS
    // Without strangers the rows were all there are, and in the order of bytes.
    return strangers === 0 && rows.length < most ? [] : keys.filter((_, i) => values[i] === undefined)
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    const outcomes = new Map<Entry, WriteOutcome>()
    const fitting = entries.filter((entry) => {
      const error = this.#tooLarge(entry)
      if (error !== undefined) outcomes.set(entry, error)
      return error === undefined
    })
    if (conflict === 'replace') await this.#run((connection) => this.#replace(connection, fitting))
    else for (const [entry, outcome] of await this.#run((connection, attempt) => this.#insert(connection, fitting, attempt > 0))) outcomes.set(entry, outcome)
    return entries.map((entry) => outcomes.get(entry) ?? 'written')
  }

  #tooLarge({ key, value }: Entry): EntryError | undefined {
    const { keyBytesMax, valueBytesMax } = this.traits
    if (key.length > keyBytesMax) return new EntryError('too-large', `key ${keyText(key)} has ${key.length} bytes; ${this.label} takes ${keyBytesMax}`)
    if (value.length > valueBytesMax) return new EntryError('too-large', `the value of key ${keyText(key)} has ${value.length} bytes; ${this.label} takes ${valueBytesMax}`)
    return undefined
  }

  async #replace(connection: PoolConnection, entries: readonly Entry[]): Promise<void> {
    for (const batch of this.#batches(entries))
      await connection.execute(`insert into ${this.#table} (vault_key, vault_value) values ${rowMarks(batch.length)} on duplicate key update vault_value = values(vault_value)`, parameters(batch))
  }

  async #insert(connection: PoolConnection, entries: readonly Entry[], again: boolean): Promise<Map<Entry, WriteOutcome>> {
    const outcomes = new Map<Entry, WriteOutcome>()
    const there = await this.#select(connection, entries)
    const absent = entries.filter((entry, i) => {
      const value = there[i]
      if (value !== undefined) outcomes.set(entry, again && value.equals(entry.value) ? 'written' : 'exists')
      return value === undefined
    })
    for (const batch of this.#batches(absent)) {
      if (batch.length > 1 && (await this.#insertAll(connection, batch))) continue
      for (const entry of batch) if ((await this.#insertIgnore(connection, [entry])) === 0) outcomes.set(entry, 'exists')
    }
    return outcomes
  }

  /** Inserts all of them, or none and false. */
  async #insertAll(connection: PoolConnection, batch: readonly Entry[]): Promise<boolean> {
    await connection.beginTransaction()
    const complete = (await this.#insertIgnore(connection, batch)) === batch.length
    if (complete) await connection.commit()
    else await connection.rollback()
    return complete
  }

  /** How many of them were not there before. */
  async #insertIgnore(connection: PoolConnection, batch: readonly Entry[]): Promise<number> {
    const [result] = await connection.execute<ResultSetHeader>(`insert ignore into ${this.#table} (vault_key, vault_value) values ${rowMarks(batch.length)}`, parameters(batch))
    return result.affectedRows
  }

  async remove(keys: readonly KeyRef[]): Promise<void> {
    await this.#run(async (connection) => {
      for (const batch of rowBatches(keys, ROWS_MAX, this.#statementBytes, ({ key }) => key.length + ROW_BYTES))
        await connection.execute(`delete from ${this.#table} where vault_key in (${marks(batch.length)})`, batch.map(({ key }) => key))
    })
  }

  /** In the order of their keys: two writers that take locks in one order do not wait for each other in a circle. */
  #batches(entries: readonly Entry[]): Entry[][] {
    const ordered = isAscending(entries) ? entries : [...entries].sort((a, b) => a.key.compare(b.key))
    return rowBatches(ordered, ROWS_MAX, this.#statementBytes, ({ key, value }) => key.length + value.length + ROW_BYTES)
  }

  get #statementBytes(): number {
    return Math.min(STATEMENT_MOST_BYTES, this.#packetBytes - STATEMENT_BYTES)
  }

  #run<T>(work: (connection: PoolConnection, attempt: number) => Promise<T>): Promise<T> {
    if (this.#connections === undefined || this.#connections.closed) return Promise.reject(new StoreError('refused', `${this.label} is closed`))
    return this.#connections.run(work)
  }
}

const EMPTY = Buffer.alloc(0)

/** A row as an entry; no value is an empty one. */
function entryOf(key: Buffer, value: Buffer | null): Entry {
  return { db: 0, key, form: 'raw', value: value ?? EMPTY, expiresAtMs: undefined }
}

/** A name between backticks. */
function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

function marks(count: number): string {
  return `${'?,'.repeat(count - 1)}?`
}

function rowMarks(count: number): string {
  return `${'(?,?),'.repeat(count - 1)}(?,?)`
}

function parameters(batch: readonly Entry[]): Buffer[] {
  const values: Buffer[] = []
  for (const { key, value } of batch) values.push(key, value)
  return values
}
