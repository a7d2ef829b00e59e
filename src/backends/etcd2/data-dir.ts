/**
 * Brings up the v2 store that a data directory holds, strictly without changing it: nothing is renamed, created or
 * locked, so a running etcd is not disturbed (what it has not written yet is not seen).
 *
 *     newest sound snapshot that the log knows  ->  entries after it, as far as they are committed  ->  V2Store
 *
 * - An entry is applied once a hard state says it is committed; until then a later one of the same index replaces it.
 *   What is not known to be committed at the end is left out, unless asked for; of a cluster of one member everything
 *   written is committed, though its log says so only with the next write.
 * - A damaged snapshot is passed over, as etcd does, when an older one and the log still give everything.
 * - Snapshots are JSON and have lost every byte that was not UTF-8. When that happened, the store as of the snapshot is
 *   made again from the log's earlier files; if it agrees with the snapshot in everything but those bytes, it is taken.
 */
import path from 'node:path'
import { StoreError, type Finding } from '../../transfer/store.js'
import { FieldReader, ProtobufError } from './protobuf.js'
import { applyEntry } from './replay.js'
import { listSnapshots, lossyText, readSnapshot, SnapshotDamage, type Snapshot, type SnapshotFile } from './snapshot.js'
import { V2Store, type V2Node } from './v2-store.js'
import { ENTRY, HARD_STATE, listWal, METADATA, readWal, SNAPSHOT, type WalFile, type WalRecord } from './wal.js'

export interface DataDirOptions {
  readonly dataDir: string
  readonly walDir: string | undefined
  /** Apply what was written but is not known to be committed. */
  readonly uncommitted: boolean
}

export interface DataDir {
  readonly store: V2Store
  /** What was noticed on the way. */
  readonly findings: readonly Finding[]
}

/** Throws StoreError 'corrupt' with file and offset, 'usage' when there is nothing to read. */
export async function readDataDir(options: DataDirOptions): Promise<DataDir> {
  const findings: Finding[] = []
  const files = await reading(options.walDir ?? path.join(options.dataDir, 'member', 'wal'), listWal)
  const snapshots = await reading(path.join(options.dataDir, 'member', 'snap'), listSnapshots)
  const damages: string[] = []
  for (const file of [...snapshots, undefined]) {
    if (file === undefined && files[0].index !== 0) break
    let snapshot: Snapshot | undefined
    try {
      snapshot = file === undefined ? undefined : await readSnapshot(file)
    } catch (error) {
      if (!(error instanceof SnapshotDamage)) throw error
      damages.push(`${(file as SnapshotFile).path}: ${error.message}`)
      continue
    }
    const log = logAfter(files, snapshot?.index ?? 0)
    if (log.length === 0) continue
    const base = snapshot?.isLossy === true ? await withRawBytes(snapshot, files, snapshots, findings) : (snapshot?.store ?? new V2Store())
    const replay = new Replay(base, snapshot?.index ?? 0, snapshot?.term ?? 0)
    await replay.run(log, options.uncommitted)
    if (!replay.foundStart) {
      if (snapshot !== undefined) damages.push(`${snapshot.path}: the log has no record of it`)
      continue
    }
    for (const damage of damages) findings.push({ code: 'snapshot-passed-over', level: 'warning', message: `${damage}; an older one and the log were used instead` })
    findings.push(...replay.findings)
    return { store: replay.store, findings }
  }
  throw new StoreError(
    'corrupt',
    damages.length > 0
      ? `no snapshot can be used: ${damages.join('; ')}`
      : `the log in ${path.dirname(files[0].path)} begins at entry ${files[0].index}, and ${path.join(options.dataDir, 'member', 'snap')} has no snapshot of what was before it`,
  )
}

/** A folder that can not be read is the configuration's fault. */
async function reading<T>(folder: string, list: (folder: string) => Promise<T>): Promise<T> {
  try {
    return await list(folder)
  } catch (error) {
    if (error instanceof StoreError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? `${folder} does not exist; data_dir must be what etcd was started with as --data-dir` : `${folder} can not be read: ${message}`
    throw new StoreError(code === 'EACCES' || code === 'EPERM' ? 'denied' : code === 'ENOENT' ? 'absent' : 'usage', reason, { cause: error })
  }
}

/** The files with everything after this entry: the last that begins at or before it, and those behind; or all that begin right after it. */
function logAfter(files: readonly WalFile[], index: number): readonly WalFile[] {
  const behind = files.findIndex((file) => file.index > index)
  if (behind === 0) return files[0].index === index + 1 ? files : []
  return files.slice(behind < 0 ? files.length - 1 : behind - 1)
}

/** The snapshot's store with the bytes that it lost, as far as the log still has them. */
async function withRawBytes(snapshot: Snapshot, files: readonly WalFile[], snapshots: readonly SnapshotFile[], findings: Finding[]): Promise<V2Store> {
  try {
    const older = files[0].index === 0 ? undefined : snapshots.filter((file) => file.index >= files[0].index && file.index < snapshot.index).at(-1)
    if (files[0].index === 0 || older !== undefined) {
      const base = older === undefined ? undefined : await readSnapshot(older)
      const replay = new Replay(base?.store ?? new V2Store(), older?.index ?? 0, older?.term ?? 0, snapshot.index)
      await replay.run(logAfter(files, older?.index ?? 0), false)
      if (replay.foundStart && replay.applied === snapshot.index && agrees(snapshot.store, replay.store)) return replay.store
    }
  } catch (error) {
    // Files that etcd itself would not read any more: what they could have told is not known, and said below.
    if (!(error instanceof StoreError) && !(error instanceof SnapshotDamage)) throw error
    findings.push({ code: 'raw-bytes', level: 'warning', message: `the values that the snapshot altered can not be looked up: ${error.message}` })
  }
  return snapshot.store
}

/** Whether two stores are the same but for bytes that JSON replaces. */
function agrees(snapshot: V2Store, replayed: V2Store): boolean {
  if (snapshot.index !== replayed.index) return false
  const stack: [V2Node, V2Node][] = [[snapshot.root, replayed.root]]
  for (let pair = stack.pop(); pair !== undefined; pair = stack.pop()) {
    const [a, b] = pair
    if (a.createdIndex !== b.createdIndex || a.modifiedIndex !== b.modifiedIndex || a.expiresNs !== b.expiresNs) return false
    if (a.children?.size !== b.children?.size) return false
    for (const child of b.children?.values() ?? []) {
      const other = a.children?.get(child.name) ?? a.children?.get(Buffer.from(lossyText(child.name)).latin1Slice())
      if (other === undefined) return false
      stack.push([other, child])
    }
    // What a member is called and where it listens is not kept here, and may differ.
    const isOfUsers = a.parent !== undefined && !isOfCluster(a)
    if (isOfUsers && a.value !== b.value && Buffer.from(lossyText(b.value)).latin1Slice() !== a.value) return false
  }
  return true
}

function isOfCluster(node: V2Node): boolean {
  let top = node
  while (top.parent?.parent !== undefined) top = top.parent
  return top.name === '0'
}

const NOTHING = Buffer.alloc(0)

interface WaitingEntry {
  readonly type: number
  readonly term: number
  readonly data: Buffer
  readonly record: WalRecord
}

/** Applies the log to a store, entry by entry. */
class Replay {
  /** The last entry that was applied. */
  applied: number
  /** The log has a record of the snapshot that it starts from. */
  foundStart = false
  readonly findings: Finding[] = []
  /** Entries behind `applied`, not yet known to be committed, or above `until`. */
  #waiting: WaitingEntry[] = []
  #committed: number
  /** Terms never go down along a log. */
  #appliedTerm: number
  #metadata: Buffer | undefined

  constructor(
    readonly store: V2Store,
    readonly start: number,
    readonly startTerm: number,
    /** Nothing above this entry is applied. */
    readonly until = Infinity,
  ) {
    this.applied = start
    this.#committed = start
    this.#appliedTerm = startTerm
  }

  async run(files: readonly WalFile[], uncommitted: boolean): Promise<void> {
    let end: { readonly torn: string | undefined }
    try {
      end = await readWal(files, (record) => this.#take(record))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      throw new StoreError(error.fault, `${error.message} (read up to there: entries to ${this.applied + this.#waiting.length}, of which those to ${this.applied} are committed; v2 index ${this.store.index})`, { cause: error })
    }
    if (end.torn !== undefined) this.findings.push({ code: 'torn-log', level: 'warning', message: `${end.torn}; it was never acknowledged and is left out` })
    if (this.#waiting.length === 0 || this.until !== Infinity) return
    const first = this.applied + 1
    const last = this.applied + this.#waiting.length
    // What the only member has written is committed: etcd notes that in the log only with the next write.
    const isAlone = this.store.get('/0/members')?.children?.size === 1
    if (uncommitted || isAlone) this.#apply(last)
    if (isAlone) return
    const entries = first === last ? `entry ${first} of the log is` : `entries ${first} to ${last} of the log are`
    const them = first === last ? 'it' : 'them'
    this.findings.push({
      code: 'uncommitted-entries',
      level: uncommitted ? 'info' : 'warning',
      message: uncommitted ? `${entries} not known to be committed, and taken as asked`
        : `${entries} not known to be committed, and left out; if the other members of the cluster have ${them}, uncommitted = "true" takes ${them}`,
    })
  }

  #take(record: WalRecord): void {
    try {
      if (record.type === ENTRY) this.#entry(record)
      else if (record.type === HARD_STATE) this.#hardState(record)
      else if (record.type === SNAPSHOT) this.#snapshot(record)
      else if (record.type === METADATA) {
        if (this.#metadata !== undefined && !record.data.equals(this.#metadata)) throw corrupt(record, 'this record is of another member or cluster than the ones before it')
        this.#metadata = record.data
      } else throw corrupt(record, `a record of type ${record.type}, which there is none`)
    } catch (error) {
      if (error instanceof ProtobufError) throw corrupt(record, `its record can not be read: ${error.message}`)
      throw error
    }
  }

  #entry(record: WalRecord): void {
    let type = 0
    let term = 0
    let index = 0
    let data: Buffer = NOTHING
    const fields = new FieldReader(record.data)
    while (fields.next()) {
      if (fields.field === 1) type = fields.number()
      else if (fields.field === 2) term = fields.number()
      else if (fields.field === 3) index = fields.number()
      else if (fields.field === 4) data = fields.slice()
      else fields.skip()
    }
    if (index <= this.start) return
    const place = index - this.applied - 1
    if (place < 0) throw corrupt(record, `entry ${index} is written again, and it had been committed`)
    if (place > this.#waiting.length) throw corrupt(record, `entry ${index} follows entry ${this.applied + this.#waiting.length}`)
    const termBefore = place === 0 ? this.#appliedTerm : this.#waiting[place - 1].term
    if (type > 2 || term < termBefore || term > Number.MAX_SAFE_INTEGER) throw corrupt(record, `entry ${index} is of type ${type} and term ${term} after one of term ${termBefore}`)
    this.#waiting.length = place
    this.#waiting.push({ type, term, data, record })
    this.#apply(this.#committed)
  }

  #hardState(record: WalRecord): void {
    const fields = new FieldReader(record.data)
    while (fields.next()) {
      // The checksum does not cover what a record is, so what does not look like a hard state is not believed.
      if (fields.field > 3) throw corrupt(record, `a hard state has a field ${fields.field}`)
      if (fields.field === 3) this.#committed = Math.max(this.#committed, fields.number())
      else fields.skip()
    }
    const last = this.applied + this.#waiting.length
    if (this.#committed > last) throw corrupt(record, `entry ${this.#committed} is said to be committed, and there are entries to ${last} only`)
    this.#apply(this.#committed)
  }

  #snapshot(record: WalRecord): void {
    let index = 0
    let term = 0
    const fields = new FieldReader(record.data)
    while (fields.next()) {
      if (fields.field === 1) index = fields.number()
      else if (fields.field === 2) term = fields.number()
      else fields.skip()
    }
    if (index !== this.start) return
    if (term !== this.startTerm) throw corrupt(record, `the snapshot of entry ${index} is of term ${term}, and the file of it of term ${this.startTerm}`)
    this.foundStart = true
  }

  /** Applies what waits, up to this entry. */
  #apply(committed: number): void {
    const count = Math.min(committed, this.until) - this.applied
    if (count <= 0 || this.#waiting.length === 0) return
    for (const { type, term, data, record } of this.#waiting.splice(0, count)) {
      try {
        applyEntry(this.store, type, data)
      } catch (error) {
        if (error instanceof ProtobufError) throw corrupt(record, `entry ${this.applied + 1} can not be read: ${error.message}`)
        throw error
      }
      this.applied++
      this.#appliedTerm = term
    }
  }
}

function corrupt(record: WalRecord, problem: string): StoreError {
  return new StoreError('corrupt', `${record.file.path} at offset ${record.offset}: ${problem}`)
}
