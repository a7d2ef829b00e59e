/**
 * Files that say, a line a key, what a copy would do (a plan) or what it did away with (an undo log). Lines of JSON:
 * the first names the kind and the task, each further one is a record; keys and values are base64, so that any bytes
 * survive any editor. Names are those of the target.
 *
 *     {"keyferry":"plan","version":1,"task":"..","source":"..","target":".."}
 *     {"db":0,"key":"Zm9v","outcome":"created"}
 *     {"db":0,"key":"YmFy","outcome":"overwritten","digest":"0d.."}            had this value when it was planned
 *     {"keyferry":"undo",...}
 *     {"db":0,"key":"Zm9v","digest":"a3.."}                     was not there: undo removes it
 *     {"db":0,"key":"YmFy","form":"raw","value":"eA==","expiresAtMs":1764300000000,"digest":"a3.."}    was this
 *
 * A plan that came to its end says so in its last line, {"end":RECORDS}: half of one is not followed.
 * The records of a plan are in the order of their keys, as far as renaming keeps that order and HELD_RECORDS are enough.
 *
 * `digest` (and `until`, an expiry time) in an undo log is of what was about to be written, so that undo can tell what was
 * changed since. An undo log is synced before the batch it describes is written. A line that was cut off by a crash belongs
 * to a batch that was never written, and is passed over. A run that goes on after another adds its own head and records;
 * records are undone latest first, so that a key ends as it was before the first.
 */
import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { Fingerprint } from './fingerprint.js'
import type { Outcome } from './report.js'
import { compareKeys, StoreError, type Entry, type KeyRef } from './store.js'

export interface JournalHead {
  readonly keyferry: 'plan' | 'undo'
  readonly version: 1
  readonly task: string
  readonly source: string
  readonly target: string
  /** Names the flags that choose and rename keys. */
  readonly selection?: string | undefined
  /** How the target is opened again: its type and its options but for the secret ones. */
  readonly reopen: { readonly type: string; readonly options: Readonly<Record<string, string>> }
}

/** A key that is to be written; `had`: what the target had under it. */
export interface PlanRecord extends KeyRef {
  readonly had: Fingerprint | undefined
}

/** What a key was before: an entry, or undefined when there was none. `wrote`: what was written then. */
export interface UndoRecord extends KeyRef {
  readonly before: Entry | undefined
  readonly wrote: Fingerprint | undefined
}

interface Line {
  readonly db: number
  readonly key: string
  readonly outcome?: Outcome
  readonly form?: Entry['form']
  readonly value?: string
  readonly expiresAtMs?: number
  readonly digest?: string
  readonly until?: number
}

/** The last line of a plan: how many records there are. */
interface PlanEnd {
  readonly end: number
}

const BUFFERED_BYTES = 65536
/** So many records of a plan wait at most for those before them: batches end in any order. */
const HELD_RECORDS = 100_000

export class JournalWriter {
  #text = ''
  #records = 0
  #held: { readonly ref: KeyRef; readonly line: Line }[] = []
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown

  private constructor(
    readonly file: string,
    readonly handle: FileHandle,
  ) {}

  /** Makes the file; it must not exist (nothing is ever overwritten), but for an undo log of the same task, which is added to. */
  static async create(file: string, head: JournalHead): Promise<JournalWriter> {
    const line = `${JSON.stringify(head)}\n`
    const rest = head.keyferry === 'undo' ? await restOf(file, head, line) : undefined
    const handle = await open(file, rest === undefined ? 'wx' : 'a', 0o600).catch((error: NodeJS.ErrnoException) => {
      throw new StoreError('usage', error.code === 'EEXIST'
        ? `${file} exists already; name another file, or remove it`
        : `can not create ${file}: ${error.message}`)
    })
    const journal = new JournalWriter(file, handle)
    journal.#text = rest ?? line
    journal.#flush()
    return journal
  }

  /** `had`: what the target has under the key. */
  planned({ db, key }: KeyRef, outcome: Outcome, had?: Fingerprint): void {
    // A key of its own: what it is a part of, and its value, are not kept for it.
    this.#held.push({ ref: { db, key: Buffer.from(key) }, line: { db, key: key.toString('base64'), outcome, ...marks(had) } })
    if (this.#held.length >= HELD_RECORDS) this.settled()
  }

  /** Whatever is up to this key has been planned: its records can be written, in order. Without a key: all that there are. */
  settled(mark?: KeyRef): void {
    this.#held.sort((a, b) => compareKeys(a.ref, b.ref))
    const end = mark === undefined ? -1 : this.#held.findIndex(({ ref }) => compareKeys(ref, mark) > 0)
    for (const { line } of this.#held.splice(0, end < 0 ? this.#held.length : end)) this.#add(line)
  }

  /** All of it is planned. */
  end(): void {
    this.settled()
    this.#text += `${JSON.stringify({ end: this.#records } satisfies PlanEnd)}\n`
  }

  /** Notes pre-images and returns when they are on disk. */
  async before(batch: readonly { readonly entry: KeyRef; readonly before: Entry | undefined; readonly wrote: Fingerprint }[]): Promise<void> {
    for (const { entry, before, wrote } of batch) {
      const line: Line = { db: entry.db, key: entry.key.toString('base64') }
      this.#add(before === undefined ? { ...line, ...marks(wrote) } : {
        ...line, form: before.form, value: before.value.toString('base64'),
        ...(before.expiresAtMs !== undefined && { expiresAtMs: before.expiresAtMs }), ...marks(wrote),
      })
    }
    this.#flush()
    this.#writing = this.#writing.then(() => this.handle.datasync())
    await this.#writing
  }

  #add(line: Line): void {
    this.#records++
    this.#text += `${JSON.stringify(line)}\n`
    if (this.#text.length > BUFFERED_BYTES) this.#flush()
  }

  #flush(): void {
    const text = this.#text
    this.#text = ''
    this.#writing = this.#writing.then(async () => {
      await this.handle.writeFile(text)
    }).catch((error: Error) => {
      this.#failure ??= new StoreError('refused', `can not write ${this.file}: ${error.message}`, { cause: error })
    }).then(() => {
      if (this.#failure !== undefined) throw this.#failure
    })
    // Whoever waits for it is told; nobody need.
    this.#writing.catch(() => undefined)
  }

  async close(): Promise<void> {
    this.settled()
    this.#flush()
    try {
      await this.#writing
      await this.handle.sync()
    } finally {
      await this.handle.close()
    }
  }
}

function marks(print: Fingerprint | undefined): Pick<Line, 'digest' | 'until'> {
  if (print === undefined) return {}
  return { digest: print.digest, ...(print.expiresAtMs !== undefined && { until: print.expiresAtMs }) }
}

const fingerprintOf = ({ digest, until }: Line): Fingerprint | undefined => (digest === undefined ? undefined : { digest, expiresAtMs: until })

/** What is to be added to a journal of the same kind, task and target before its records; undefined when the file is none. */
async function restOf(file: string, { keyferry, task, target }: JournalHead, line: string): Promise<string | undefined> {
  const begun = await beginningOf(file, Buffer.byteLength(line))
  if (begun === undefined) return undefined
  // A run was stopped before it had written all of its head.
  if (begun.length < Buffer.byteLength(line) && line.startsWith(begun.toString())) return Buffer.from(line).subarray(begun.length).toString()
  const head = await readJournalHead(file, keyferry).catch(() => undefined)
  // The last line may have been cut off.
  return head?.task === task && head.target === target ? `\n${line}` : undefined
}

/** The first bytes of a file; undefined when there is none, or none that can be read. */
async function beginningOf(file: string, bytes: number): Promise<Buffer | undefined> {
  const handle = await open(file, 'r').catch(() => undefined)
  try {
    const found = await handle?.read(Buffer.alloc(bytes), 0, bytes, 0)
    return found?.buffer.subarray(0, found.bytesRead)
  } catch {
    return undefined
  } finally {
    await handle?.close()
  }
}

/** The head of a journal. Throws StoreError 'usage' when the file is none of this kind. */
export async function readJournalHead(file: string, kind: JournalHead['keyferry']): Promise<JournalHead> {
  for await (const line of linesOf(file)) {
    const head = parse(line) as JournalHead | undefined
    if (head?.keyferry === kind && head.version === 1) return head
    break
  }
  throw new StoreError('usage', `${file} is no ${kind === 'plan' ? 'plan' : 'undo log'} of keyferry's`)
}

/** Throws StoreError 'usage' when a plan breaks off before its end. */
export async function checkPlanEnd(file: string): Promise<void> {
  let lines = 0
  let last = ''
  for await (const line of linesOf(file)) {
    if (line === '') continue
    lines++
    last = line
  }
  // Beside the records there are the head and the end.
  if ((parse(last) as PlanEnd | undefined)?.end !== lines - 2) throw new StoreError('usage', `${file} breaks off before its end, so it is not known what else was planned; make a new plan`)
}

/** The keys of a plan with this outcome, in pages. */
export async function* plannedKeys(file: string, outcome: Outcome): AsyncGenerator<readonly PlanRecord[], void, void> {
  let page: PlanRecord[] = []
  for await (const text of linesOf(file)) {
    const line = recordOf(text)
    if (line?.outcome !== outcome) continue
    page.push({ db: line.db, key: Buffer.from(line.key, 'base64'), had: fingerprintOf(line) })
    if (page.length < PAGE_LINES) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

/** The records of an undo log, in pages, the latest first. */
export async function* undoRecords(file: string): AsyncGenerator<readonly UndoRecord[], void, void> {
  const starts = await pageStarts(file)
  for (let i = starts.length - 2; i >= 0; i--) {
    const page: UndoRecord[] = []
    for await (const text of linesOf(file, starts[i], starts[i + 1])) {
      const line = recordOf(text)
      if (line === undefined) continue
      const ref = { db: line.db, key: Buffer.from(line.key, 'base64') }
      const before = line.form === undefined ? undefined : { ...ref, form: line.form, value: Buffer.from(line.value ?? '', 'base64'), expiresAtMs: line.expiresAtMs }
      page.push({ ...ref, before, wrote: fingerprintOf(line) })
    }
    if (page.length > 0) yield page.reverse()
  }
}

const PAGE_LINES = 500
/** A page of large values has fewer lines. */
const PAGE_BYTES = 16 * 1024 * 1024
const NEW_LINE = 0x0a

/** Where each page of lines begins, and where the last one ends. */
async function pageStarts(file: string): Promise<number[]> {
  const starts = [0]
  let size = 0
  let lines = 0
  for await (const chunk of chunksOf<Buffer>(file)) {
    for (let end = chunk.indexOf(NEW_LINE); end >= 0; end = chunk.indexOf(NEW_LINE, end + 1)) {
      const next = size + end + 1
      if (++lines < PAGE_LINES && next - starts[starts.length - 1] < PAGE_BYTES) continue
      starts.push(next)
      lines = 0
    }
    size += chunk.length
  }
  return [...starts, size]
}

/** A line's record; undefined for a head, and for what was cut off. */
function recordOf(text: string): Line | undefined {
  const line = parse(text) as Line | undefined
  return typeof line?.key === 'string' ? line : undefined
}

async function* linesOf(file: string, start = 0, end = Infinity): AsyncGenerator<string, void, void> {
  // A line may be longer than what is read at once: its parts.
  let parts: string[] = []
  for await (const text of chunksOf<string>(file, { encoding: 'utf8', start, end: end - 1 })) {
    const lines = text.split('\n')
    parts.push(lines[0])
    for (const next of lines.slice(1)) {
      yield parts.join('')
      parts = [next]
    }
  }
  if (parts.length > 0) yield parts.join('')
}

/** What is in a file. Throws StoreError 'usage'. */
async function* chunksOf<T>(file: string, options: { readonly encoding?: 'utf8'; readonly start?: number; readonly end?: number } = {}): AsyncGenerator<T, void, void> {
  if (options.start !== undefined && options.end !== undefined && options.end < options.start) return
  try {
    yield* createReadStream(file, options) as AsyncIterable<T>
  } catch (error) {
    throw new StoreError('usage', `can not read ${file}: ${(error as Error).message}`, { cause: error })
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
