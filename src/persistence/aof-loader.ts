/**
 * Applies append-only files to an engine: the state at the beginning from an RDB file, and then command after command.
 *
 * - The engine's clock must stand at 0 meanwhile: a key that has expired by now may have been made persistent by a later
 *   command, and a key that really expired is deleted by one.
 * - Only what a server writes there is run: commands that write, MULTI, EXEC and SELECT. Function libraries are counted and
 *   passed over. Anything else, and a command that fails, is an error with its place; nothing is left out in silence.
 * - The last file may end in the middle of a command or transaction, as after a crash; it counts up to there.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { decode } from '../../protocol/rdb/decode.js'
import { RdbError } from '../../protocol/rdb/error.js'
import { RdbFileReader, acceptsKnownFiles, type KeyRecord } from '../../protocol/rdb/file-reader.js'
import { RequestParser } from '../../protocol/resp/request.js'
import { Args } from '../engine/args.js'
import type { Engine } from '../engine/engine.js'
import type { Session, SessionLink } from '../engine/session.js'
import { loadOldForm, loadValue } from '../keyspace/load.js'
import { StoreError } from '../transfer/store.js'

const READ_BYTES = 256 * 1024
const NOT_WRITING: readonly string[] = ['multi', 'exec', 'select']

const NO_LINK: SessionLink = {
  address: '', localAddress: '', descriptor: -1, queryBytes: 0, queryFreeBytes: 0, outputBytes: 0,
  closeAfterReply: () => undefined, destroy: () => undefined, send: () => undefined, sendReply: () => undefined, resume: () => undefined,
  forget: () => undefined, limitOutput: () => undefined,
}

export class AofLoader {
  commands = 0
  functions = 0
  /** What the last file had behind its last whole command or transaction, in words; undefined when nothing. */
  tail: string | undefined

  constructor(
    private readonly label: string,
    private readonly engine: Engine,
  ) {}

  /** Throws StoreError. */
  async load(paths: readonly string[]): Promise<void> {
    for (const [i, path] of paths.entries()) await this.loadFile(path, i === paths.length - 1)
  }

  private async loadFile(location: string, isLast: boolean): Promise<void> {
    const path = basename(location)
    const file = await open(location, 'r').catch((error: unknown) => {
      throw new StoreError('unreachable', `${this.label}: ${path} cannot be opened: ${(error as Error).message}`, { cause: error })
    })
    const session = this.engine.openSession(NO_LINK)
    try {
      const head = Buffer.alloc(6)
      const { bytesRead } = await file.read(head, 0, 6, 0)
      const isRdb = /^(REDIS|VALKEY)/.test(head.toString('latin1', 0, bytesRead))
      const start = isRdb ? await this.loadRdb(file, path) : 0
      const end = await this.loadCommands(file, path, start, session)
      const size = (await file.stat()).size
      const isWhole = end === size && session.queue === undefined
      if (isWhole) return
      const tail = `${path} ends in the middle of a ${session.queue === undefined ? 'command' : 'transaction'}, which counts up to byte ${end} of ${size}`
      if (!isLast) throw new StoreError('corrupt', `${this.label}: ${tail}; only the last file may end so`)
      this.tail = tail
    } finally {
      this.engine.closeSession(session)
      await file.close()
    }
  }

  /** Loads the RDB file that begins here, and gives the place behind it. */
  private async loadRdb(file: FileHandle, path: string): Promise<number> {
    const reader = new RdbFileReader({ accept: acceptsKnownFiles, databases: this.engine.databases.length })
    const chunk = Buffer.allocUnsafeSlow(READ_BYTES)
    try {
      for (let pos = 0; ;) {
        for (let record = reader.next(); record !== undefined; record = reader.next()) {
          if (record.kind === 'key') this.loadKey(record, reader.version)
          else if (record.kind === 'function') this.functions++
          else if (record.kind === 'end') return reader.nextPosition
        }
        const { bytesRead } = await file.read(chunk, 0, READ_BYTES, pos)
        pos += bytesRead
        if (bytesRead === 0) reader.end()
        else reader.push(chunk.subarray(0, bytesRead))
      }
    } catch (error) {
      if (!(error instanceof RdbError)) throw error
      throw new StoreError('corrupt', `${this.label}: ${path} is damaged in the record at byte ${reader.position}: ${error.message}`, { cause: error })
    }
  }

  private loadKey({ db, key, type, body, expireMs }: KeyRecord, version: number): void {
    const { databases: { [db]: database }, config } = this.engine
    try {
      const value = decode(type, body.buf, body.start, body.end, version)
      const ref = loadOldForm(database, key, type, value, config) ?? loadValue(database, key, value, config)
      if (expireMs !== -1) database.setExpiry(ref, expireMs)
    } catch (error) {
      if (!(error instanceof RdbError && error.kind === 'empty')) throw error
    }
  }

  /** Runs the commands from `start` on, and gives the place behind the last whole one outside a transaction. */
  private async loadCommands(file: FileHandle, path: string, start: number, session: Session): Promise<number> {
    const parser = new RequestParser()
    const args = new Args(parser.words)
    const chunk = Buffer.allocUnsafeSlow(READ_BYTES)
    let [at, settled] = [start, start]
    for (let pos = start; ;) {
      const { bytesRead } = await file.read(chunk, 0, READ_BYTES, pos)
      if (bytesRead === 0) return settled
      pos += bytesRead
      parser.feed(chunk, 0, bytesRead)
      this.engine.enter(session)
      let found = parser.next()
      for (; found === 'command'; found = parser.next()) {
        args.count = parser.count
        this.run(session, args, `${this.label}: ${path}, byte ${at}`)
        at += wireBytes(args)
        if (session.queue === undefined) settled = at
      }
      this.engine.leave(() => undefined)
      if (found === 'error') throw new StoreError('corrupt', `${this.label}: ${path} is damaged at byte ${at}: ${printable(parser.errorText)}`)
      parser.keep()
    }
  }

  private run(session: Session, args: Args, where: string): void {
    const { engine } = this
    const name = args.at(0)
    // An annotation: #TS:1700000000
    if (name.length > 0 && name.buf[name.start] === 0x23) return
    const shown = name.buf.latin1Slice(name.start, Math.min(name.end, name.start + 40)).toLowerCase()
    if (shown === 'function') {
      this.functions++
      return
    }
    const command = engine.registry.find(name)
    if (command === undefined) throw new StoreError('refused', `${where}: keyferry has no command ${JSON.stringify(shown)}; load the file with a Redis or Valkey server and copy from there`)
    const sub = command.subcommands === undefined || args.count < 2 ? undefined : command.subcommands.get(args.at(1).toString().toLowerCase())
    if ((!(sub ?? command).flags.has('write') || shown === 'migrate') && !NOT_WRITING.includes(shown)) throw new StoreError('corrupt', `${where}: there is the command ${JSON.stringify(shown)}, which no server writes into such a file`)
    const before = engine.stats.errorReplies
    const outcome = engine.execute(session, args)
    const { reply } = engine
    const text = engine.stats.errorReplies > before ? reply.buf.latin1Slice(0, Math.min(reply.pos, 200)).split('\r\n')[0] : undefined
    reply.pos = 0
    if (outcome !== 'done') throw new StoreError('corrupt', `${where}: ${shown} does not end`)
    if (text !== undefined) throw new StoreError('corrupt', `${where}: ${shown} failed: ${printable(text.replace(/^-/, ''))}`)
    this.commands++
  }
}

/** Text with bytes of the file in it, each on one line: \x0a where one of them is no character to print. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** Bytes of a command as servers write it; of an annotation those of its line. */
function wireBytes(args: Args): number {
  const first = args.at(0)
  if (first.buf[first.start] === 0x23) return first.length + 2
  let bytes = String(args.count).length + 3
  for (let i = 0; i < args.count; i++) bytes += String(args.at(i).length).length + args.at(i).length + 5
  return bytes
}
