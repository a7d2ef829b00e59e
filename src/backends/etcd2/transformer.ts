/**
 * A program that makes v3 keys of v2 nodes, as `etcdctl migrate --transformer` runs one.
 *
 *     its stdin:   a JSON object per node, directories too, one behind the other without anything between:
 *                  { key, value, dir, expiration, ttl, modifiedIndex, createdIndex }
 *     its stdout:  per key [int64 little-endian: length][KeyValue: 1 key, 2 create and 3 mod revision, 4 version, 5 value, 6 lease]
 *
 * JSON has no bytes, and etcdctl gives U+FFFD for what is not UTF-8: here such nodes are not given to the program but told
 * to `onUntold`, so that none comes back damaged. Expired nodes are not given either. Input and output flow at once, bounded by the pipes; a program that does
 * nothing for the time-out is ended, and so is one that is not needed any more.
 */
import { isUtf8 } from 'node:buffer'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { plural } from '../../transfer/plural.js'
import { StoreError } from '../../transfer/store.js'
import { FieldReader, ProtobufError } from './protobuf.js'
import type { V2Place } from './v2-store.js'

/** A key as the program wants it. */
export interface TransformedKey {
  readonly key: Buffer
  readonly value: Buffer
  /** A lease that it names; 0 for none. No such lease need exist. */
  readonly lease: bigint
}

export interface TransformOptions {
  readonly includeHidden: boolean
  /** What will expire is not given to the program. */
  readonly noTtl: boolean
  readonly nowMs: number
  /** How long the program may neither read nor write. */
  readonly idleMs: number
  /** Told of each key that the program is not given, and what of it is not UTF-8. */
  readonly onUntold: (key: Buffer, what: 'name' | 'value') => void
}

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
const CHUNK_CHARACTERS = 65536
const KEPT_CHARACTERS = 2000

/** Runs the program over the nodes. Throws StoreError: 'missing' without it, 'refused' when it fails or answers wrongly. */
export async function* transform(program: string, places: Iterable<V2Place>, options: TransformOptions): AsyncGenerator<TransformedKey, void> {
  const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'pipe'] })
  const run = new Run(program, child, options.idleMs)
  const feeding = pipeline(Readable.from(jsonOf(places, options, () => run.progress())), child.stdin).then(() => undefined, (error: Error) => error)
  try {
    let held: Buffer = Buffer.alloc(0)
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      run.progress()
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      let at = 0
      for (let size = lengthAt(held, at, program); size !== undefined && held.length - at - 8 >= size; size = lengthAt(held, at, program)) {
        yield keyOf(held.subarray(at + 8, at + 8 + size), program)
        at += 8 + size
        run.progress()
      }
      held = held.subarray(at)
    }
    await run.ended()
    const failure = await feeding
    if (failure !== undefined) throw new StoreError('refused', `transformer ${program} ended before it had read all nodes: ${failure.message}`, { cause: failure })
    if (held.length > 0) throw new StoreError('refused', `transformer ${program} ended within a message (${held.length} ${plural(held.length, 'byte')} of it had come)`)
  } finally {
    run.stop()
  }
}

/** The program's life: its time-out, its end, its last words. */
class Run {
  #words = ''
  #timer: NodeJS.Timeout
  #isIdle = false
  readonly #outcome: Promise<StoreError | undefined>

  constructor(readonly program: string, readonly child: ChildProcessByStdio<Writable, Readable, Readable>, idleMs: number) {
    this.#timer = setTimeout(() => {
      this.#isIdle = true
      child.kill('SIGKILL')
    }, idleMs)
    child.stderr.on('data', (chunk: Buffer) => { this.#words = (this.#words + chunk.toString('utf8')).slice(-KEPT_CHARACTERS) })
    this.#outcome = new Promise((done) => {
      child.once('error', (error) => done(new StoreError('missing', `transformer ${program} can not be run: ${error.message}`, { cause: error })))
      child.once('close', (code, signal) => {
        const words = this.#words.trim() === '' ? '' : `: ${this.#words.trim()}`
        if (this.#isIdle) done(new StoreError('refused', `transformer ${program} did nothing for ${idleMs} ms and was ended${words}`))
        else done(code === 0 ? undefined : new StoreError('refused', `transformer ${program} ended with ${code === null ? `signal ${signal}` : `code ${code}`}${words}`))
      })
    })
  }

  progress(): void {
    this.#timer.refresh()
  }

  /** Waits for the end. Throws StoreError when it was no good one. */
  async ended(): Promise<void> {
    const failure = await this.#outcome
    if (failure !== undefined) throw failure
  }

  stop(): void {
    clearTimeout(this.#timer)
    if (this.child.exitCode === null) this.child.kill('SIGKILL')
    this.child.stdout.destroy()
  }
}

/** The nodes as JSON, in chunks. */
function* jsonOf(places: Iterable<V2Place>, { includeHidden, noTtl, nowMs, onUntold }: TransformOptions, progress: () => void): Generator<string, void> {
  const nowNs = BigInt(Math.floor(nowMs)) * 1000000n
  let chunk = ''
  for (const { path, node, expiresNs, isHidden } of places) {
    if ((isHidden && !includeHidden) || (expiresNs !== undefined && (noTtl || expiresNs <= nowNs))) continue
    const isDirectory = node.children !== undefined
    const [key, value] = [path, node.value].map((text) => Buffer.from(text, 'latin1'))
    const untold = !isUtf8(key) ? 'name' : !isDirectory && !isUtf8(value) ? 'value' : undefined
    if (untold !== undefined) {
      if (!isDirectory) onUntold(key, untold)
      continue
    }
    chunk += JSON.stringify({
      key: path === '' ? '/' : key.toString(),
      ...(isDirectory ? { dir: true } : { value: value.toString() }),
      ...(node.expiresNs === undefined ? {} : { expiration: timeOf(node.expiresNs), ttl: Number((node.expiresNs - nowNs + 999999999n) / 1000000000n) }),
      modifiedIndex: node.modifiedIndex,
      createdIndex: node.createdIndex,
    })
    if (chunk.length < CHUNK_CHARACTERS) continue
    progress()
    yield chunk
    chunk = ''
  }
  if (chunk !== '') yield chunk
}

/** RFC 3339 with nanoseconds, as Go writes it. */
function timeOf(ns: bigint): string {
  const fraction = String(ns % 1000000000n).padStart(9, '0').replace(/0+$/, '')
  return `${new Date(Number(ns / 1000000000n) * 1000).toISOString().slice(0, 19)}${fraction === '' ? '' : `.${fraction}`}Z`
}

/** The length that stands here; undefined when it has not come whole. */
function lengthAt(bytes: Buffer, at: number, program: string): number | undefined {
  if (bytes.length - at < 8) return undefined
  const size = bytes.readBigInt64LE(at)
  if (size < 0n || size > BigInt(MESSAGE_BYTES_MAX)) throw new StoreError('refused', `transformer ${program} announces a message of ${size} bytes; it may have ${MESSAGE_BYTES_MAX}`)
  return Number(size)
}

function keyOf(message: Buffer, program: string): TransformedKey {
  let key = Buffer.alloc(0)
  let value = Buffer.alloc(0)
  let lease = 0n
  try {
    const fields = new FieldReader(message)
    while (fields.next()) {
      if (fields.field === 1) key = Buffer.from(fields.slice())
      else if (fields.field === 5) value = Buffer.from(fields.slice())
      else if (fields.field === 6) lease = fields.int64()
      else fields.skip()
    }
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error
    throw new StoreError('refused', `transformer ${program} wrote a message that is no KeyValue: ${error.message}`, { cause: error })
  }
  return { key, value, lease }
}
