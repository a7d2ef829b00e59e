/** What the tests of migrations share: stores with troubles, a migration between two stores, and the program in a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { conversion, sameEntry } from '../src/backends/convert.js'
import { MemoryStore } from '../src/backends/memory/store.js'
import { fingerprintOf, fits } from '../src/cli/fingerprints.js'
import { Random } from '../src/random.js'
import type { Fingerprint } from '../src/transfer/fingerprint.js'
import { CHECKPOINT_NAME } from '../src/transfer/checkpoint.js'
import { LOCK_NAME } from '../src/transfer/lock-place.js'
import { Migration, type MigrationOptions } from '../src/transfer/migration.js'
import type { ConflictPolicy, Entry, EntryError, KeyRef, Store, StoreAccess, StoreTraits, WriteOutcome } from '../src/transfer/store.js'

/** What may go wrong: asked before every read and write. */
export interface Trouble {
  /** Throws, or waits, or does nothing. */
  before(what: 'read' | 'write', count: number): Promise<void> | void
}

/** A memory store that several may use at once, and that has troubles. */
export class TroubledStore implements Store {
  readonly label: string
  readonly traits: StoreTraits
  calls = 0
  writes = 0

  constructor(readonly inner: MemoryStore, public trouble: Trouble, traits: Partial<StoreTraits> = {}) {
    this.label = inner.label
    this.traits = { ...inner.traits, parallelMax: 8, batchEntriesMax: 20, ...traits }
  }

  open(_access: StoreAccess): Promise<void> { return this.inner.open() }
  close(): Promise<void> { return this.inner.close() }
  count(): Promise<number> { return this.inner.count() }
  list(from: KeyRef | undefined): AsyncIterable<readonly KeyRef[]> { return this.inner.list(from) }
  remove(keys: readonly KeyRef[]): Promise<void> { return this.inner.remove(keys) }

  async read(keys: readonly KeyRef[]): Promise<(Entry | EntryError | undefined)[]> {
    await this.trouble.before('read', this.calls++)
    return this.inner.read(keys)
  }

  async write(entries: readonly Entry[], conflict: ConflictPolicy): Promise<WriteOutcome[]> {
    await this.trouble.before('write', this.calls++)
    this.writes += entries.length
    return this.inner.write(entries, conflict)
  }
}

export const LOCK_REF: KeyRef = { db: 0, key: LOCK_NAME }
export const CHECKPOINT_REF: KeyRef = { db: 0, key: CHECKPOINT_NAME }
export const NO_TROUBLE: Trouble = { before: () => undefined }

/** How a value is known again. */
export const UNDO = {
  fingerprint: fingerprintOf, fits: (print: Fingerprint, entry: Entry): boolean => fits(print, entry, 0), same: (a: Entry, b: Entry): boolean => sameEntry(a, b), nowMs: Date.now,
}

export function migration(source: Store, target: Store, options: Partial<MigrationOptions> = {}): Migration {
  const forms = { ...UNDO, convert: conversion(source.traits, target.traits), bytesOf: (entry: Entry) => entry.value }
  return new Migration(source, target, forms, {
    choice: {}, parallel: 4, batchEntries: 10, unordered: false, dryRun: false, verify: 'none', repair: false, spillFolder: tmpdir(),
    owner: { id: new Random().hex(16), host: hostname(), pid: process.pid, task: 'a test' },
    reopen: { type: 'inmem', options: {} }, isAlive: () => true, nowMs: Date.now, ...options,
  })
}

export const entry = (key: string, value: string, db = 0): Entry => ({ db, key: Buffer.from(key), form: 'raw', value: Buffer.from(value), expiresAtMs: undefined })

export async function filled(count: number, value: (i: number) => string = (i) => `value ${i}`): Promise<MemoryStore> {
  const store = new MemoryStore(undefined, false)
  await store.write(Array.from({ length: count }, (_, i) => entry(`key:${String(i).padStart(6, '0')}`, value(i))), 'replace')
  return store
}

/** What a store holds as text lines, the lock and checkpoint left out. */
export async function contentOf(store: Store): Promise<string[]> {
  await store.open('read')
  const lines: string[] = []
  for await (const page of store.list(undefined))
    for (const found of await store.read(page))
      if (found !== undefined && !(found instanceof Error) && !found.key.toString().startsWith('core/migration')) lines.push(`${found.db} ${found.key.toString()}=${found.value.toString()}`)
  return lines
}

// ------------------------------------------------------------------------------------------------ the program

const PROGRAM = fileURLToPath(new URL('../bin/keyferry.js', import.meta.url))

export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'keyferry-migration-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface Ended { status: number | string; out: string; err: string }

export function start(words: readonly string[], onStart?: (child: ChildProcess) => void, more: Readonly<Record<string, string>> = {}, verb = 'migrate'): Promise<Ended> {
  const env = { ...process.env, ...more }
  delete env['NODE_OPTIONS']
  const child = spawn(process.execPath, [PROGRAM, verb, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  onStart?.(child)
  return new Promise((done) => { child.once('close', (code, signal) => done({ status: signal ?? code ?? -1, out, err })) })
}

/** Vault's file layout with `count` keys. */
export function vaultFolder(folder: string, count: number): void {
  for (let i = 0; i < count; i++) {
    const dir = path.join(folder, `dir${i % 17}`)
    if (i < 17) mkdirSync(dir, { recursive: true })
    writeFileSync(path.join(dir, `_k${i}`), `{"Value":"${Buffer.from(`value ${i}`).toString('base64')}"}\n`)
  }
}

export const filesOf = (folder: string): string[] => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((file) => file.isFile()).map((file) => path.relative(folder, path.join(file.parentPath, file.name))).sort()
