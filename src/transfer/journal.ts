/**
 * Files that say, a line a key, what a copy would do (a plan) or what it did away with (an undo log). Lines of JSON:
 * the first names the kind and the task, each further one is a record; keys and values are base64, so that any bytes
 * survive any editor.
 *
 *     {"keyferry":"plan","version":1,"task":"..","source":"..","target":".."}
 *     {"db":0,"key":"Zm9v","outcome":"created"}
 *     {"keyferry":"undo",...}
 *     {"db":0,"key":"Zm9v"}                                     was not there: undo removes it
 *     {"db":0,"key":"YmFy","form":"raw","value":"eA==","expiresAtMs":1764300000000}    was this
 *
 * An undo log is synced before the batch it describes is written. A last line that was cut off by a crash belongs to
 * a batch that was never written, and is passed over. A run that goes on after another adds its own head and records;
 * they are undone latest run first, so that a key ends as it was before the first.
 */
import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { Outcome } from './report.js'
import { StoreError, type Entry, type KeyRef } from './store.js'

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

export interface PlanRecord extends KeyRef {
  readonly outcome: Outcome
}

/** What a key was before: an entry, or undefined when there was none. */
export interface UndoRecord extends KeyRef {
  readonly before: Entry | undefined
}

interface Line {
  readonly db: number
  readonly key: string
  readonly outcome?: Outcome
  readonly form?: Entry['form']
  readonly value?: string
  readonly expiresAtMs?: number
}

const BUFFERED_BYTES = 65536

export class JournalWriter {
  #text = ''
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown

  private constructor(
    readonly file: string,
    readonly handle: FileHandle,
  ) {}

  /**
   * Makes the file; it must not exist (a plan or an undo log is never overwritten by chance), but for one of the same task
   * that a run which `goesOn` adds to.
   */
  static async create(file: string, head: JournalHead, goesOn = false): Promise<JournalWriter> {
    const adds = goesOn && (await isOfTask(file, head))
    const handle = await open(file, adds ? 'a' : 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      throw new StoreError('usage', error.code === 'EEXIST'
        ? `${file} exists already; name another file, or remove it`
        : `can not create ${file}: ${error.message}`)
    })
    const journal = new JournalWriter(file, handle)
    // The last line may have been cut off.
    journal.#text = `${adds ? '\n' : ''}${JSON.stringify(head)}\n`
    return journal
  }

  planned({ db, key }: KeyRef, outcome: Outcome): void {
    this.#add({ db, key: key.toString('base64'), outcome })
  }

  /** Notes pre-images and returns when they are on disk. */
  async before(batch: readonly { readonly entry: KeyRef; readonly before: Entry | undefined }[]): Promise<void> {
    for (const { entry, before } of batch) {
      const line: Line = { db: entry.db, key: entry.key.toString('base64') }
      this.#add(before === undefined ? line : {
        ...line, form: before.form, value: before.value.toString('base64'),
        ...(before.expiresAtMs !== undefined && { expiresAtMs: before.expiresAtMs }),
      })
    }
    this.#flush()
    this.#writing = this.#writing.then(() => this.handle.datasync())
    await this.#writing
  }

  #add(line: Line): void {
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
    this.#flush()
    try {
      await this.#writing
      await this.handle.sync()
    } finally {
      await this.handle.close()
    }
  }
}

/** Whether the file is a journal of the same kind, task and target. */
async function isOfTask(file: string, { keyferry, task, target }: JournalHead): Promise<boolean> {
  const head = await readJournalHead(file, keyferry).catch(() => undefined)
  return head?.task === task && head.target === target
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

/** The keys of a plan that it wanted to write, by outcome, in pages. */
export async function* plannedKeys(file: string, outcome: Outcome): AsyncGenerator<readonly KeyRef[], void, void> {
  for await (const page of records(file)) {
    const keys = page.filter((line) => line.outcome === outcome).map((line) => ({ db: line.db, key: Buffer.from(line.key, 'base64') }))
    if (keys.length > 0) yield keys
  }
}

/** The pre-images of an undo log, in pages, those of the latest run first. */
export async function* undoRecords(file: string): AsyncGenerator<readonly UndoRecord[], void, void> {
  let runs = 0
  for await (const line of linesOf(file)) if (isHead(line)) runs++
  for (let run = runs; run > 0; run--) yield* undoRecordsOf(file, run)
}

async function* undoRecordsOf(file: string, run: number): AsyncGenerator<readonly UndoRecord[], void, void> {
  for await (const page of records(file, run)) {
    yield page.map((line) => {
      const ref = { db: line.db, key: Buffer.from(line.key, 'base64') }
      const before = line.form === undefined ? undefined : { ...ref, form: line.form, value: Buffer.from(line.value ?? '', 'base64'), expiresAtMs: line.expiresAtMs }
      return { ...ref, before }
    })
  }
}

const PAGE_LINES = 500

const isHead = (line: string): boolean => line.startsWith('{"keyferry":')

/** The records of one of the runs that wrote the file; the first is 1. */
async function* records(file: string, wanted = 1): AsyncGenerator<readonly Line[], void, void> {
  let page: Line[] = []
  let run = 0
  for await (const text of linesOf(file)) {
    if (isHead(text)) run++
    else if (run !== wanted) continue
    const line = isHead(text) ? undefined : (parse(text) as Line | undefined)
    // Only the last line of a run can have been cut off.
    if (line === undefined) continue
    page.push(line)
    if (page.length < PAGE_LINES) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

async function* linesOf(file: string): AsyncGenerator<string, void, void> {
  // A line may be longer than what is read at once: its parts.
  let parts: string[] = []
  try {
    for await (const text of createReadStream(file, 'utf8') as AsyncIterable<string>) {
      const lines = text.split('\n')
      parts.push(lines[0])
      for (const next of lines.slice(1)) {
        yield parts.join('')
        parts = [next]
      }
    }
  } catch (error) {
    throw new StoreError('usage', `can not read ${file}: ${(error as Error).message}`, { cause: error })
  }
  if (parts.length > 0) yield parts.join('')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
