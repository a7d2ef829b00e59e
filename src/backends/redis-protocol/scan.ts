/**
 * The keys of one database of one server, by SCAN: all that are there from beginning to end, some perhaps twice.
 *
 * A cursor means something only to the process that gave it: after a restart of the server the walk starts over. The
 * next page is asked for while the consumer has the one before; nothing is read ahead beyond that.
 */
import { StoreError, type KeyRef } from '../../transfer/store.js'
import type { Connection } from './connection.js'
import { ServerBusy, isPassing, type Connections } from './connections.js'
import { MINUS, Refusal, type ReplySink } from './reply-reader.js'

/** A cluster or a proxy could send us round for ever. */
const RESTARTS_MAX = 20

interface Page {
  readonly cursor: string
  readonly refs: readonly KeyRef[]
  readonly runId: string
}

/** Pages of the keys of database `db`. Throws StoreError. */
export async function* scanKeys(connections: Connections, db: number, count: number): AsyncGenerator<readonly KeyRef[], void, void> {
  let restarts = 0
  let runId: string | undefined
  let next: Promise<Page> | undefined = ask(connections, db, '0', count)
  while (next !== undefined) {
    const page: Page = await next
    runId ??= page.runId
    if (page.runId !== runId) {
      if (++restarts > RESTARTS_MAX) throw new StoreError('unreachable', `${connections.label} was started again ${restarts} times while its keys were listed`)
      runId = page.runId
      next = ask(connections, db, '0', count)
      continue
    }
    next = page.cursor === '0' ? undefined : ask(connections, db, page.cursor, count)
    // Its failure is met when it is awaited; nobody awaits it when the consumer stops here.
    next?.catch(() => undefined)
    if (page.refs.length > 0) yield page.refs
  }
}

function ask(connections: Connections, db: number, cursor: string, count: number): Promise<Page> {
  return connections.run(db, async (connection: Connection) => {
    const sink = new ScanSink(db)
    await connection.exchange([Buffer.from(`*4\r\n$4\r\nSCAN\r\n$${cursor.length}\r\n${cursor}\r\n$5\r\nCOUNT\r\n$${String(count).length}\r\n${count}\r\n`)], 1, sink)
    const { refusal } = sink
    if (refusal !== undefined) {
      if (isPassing(refusal)) throw new ServerBusy(refusal.line)
      throw refusal.code === 'NOPERM' || refusal.code === 'NOAUTH' ? connection.denied(refusal) : new StoreError('refused', `${connections.label} does not list its keys: ${refusal.line}`)
    }
    return { cursor: sink.cursor, refs: sink.refs, runId: connection.facts.runId }
  })
}

class ScanSink implements ReplySink {
  cursor = ''
  readonly refs: KeyRef[] = []
  refusal: Refusal | undefined
  #arrays = 0

  constructor(readonly db: number) {}

  array(): void {
    this.#arrays++
  }

  bulk(buf: Buffer, start: number, end: number): void {
    if (this.#arrays === 1) this.cursor = buf.latin1Slice(start, end)
    else this.refs.push({ db: this.db, key: buf.subarray(start, end) })
  }

  line(kind: number, buf: Buffer, start: number, end: number): void {
    this.refusal = new Refusal(kind === MINUS ? buf.utf8Slice(start, end) : 'ERR an answer that SCAN does not have')
  }

  nil(): void {
    this.refusal = new Refusal('ERR an answer that SCAN does not have')
  }
}
