/**
 * One batch over one link: encoding, sending and reading replies overlap, and nothing is waited for that
 * need not be.
 *
 *     entries --write--> chunk (16 to 64 KB) --send--> link ==> target
 *     settle(i, reply) <------------------------ link <== one reply per entry, in order
 *
 * Bounds: what waits to be sent is at most about 1 MB, whatever an entry's size; a turn of the event loop
 * encodes for at most about a millisecond. It knows neither the store that the entries come from nor the
 * protocol of the link.
 */
import { monotonicMs } from '../clock.js'
import type { LinkFault } from './outcome.js'

/** Entries of a batch, by number. */
export interface BatchSource {
  readonly count: number
  /**
   * Writes entry i to `out` from `pos` on and returns the position behind it, or `pos` itself when there is
   * nothing to send for it any more, or -1 when it is too large and `large(i)` must be used. There are
   * `ENTRY_ROOM_BYTES` bytes of room.
   */
  write(i: number, out: Buffer, pos: number): number
  /**
   * A large entry in pieces; an undefined piece means "some work done, nothing to send yet". 'replies' waits
   * until the entries before it are answered, 'refusal' a moment for an early refusal of this one, 'last' comes
   * before the last piece. Told with `next` whether the
   * piece before is still needed: its memory may not be written again.
   */
  large(i: number): Iterator<Piece, void, boolean>
}

export type Piece = Buffer | undefined | 'replies' | 'refusal' | 'last'

/** Who has a batch sent. */
export interface BatchOwner {
  /** The target's answer to an entry: undefined for success, or its error line without the minus. */
  settle(i: number, error: string | undefined): void
  /** The answers that have arrived so far are settled: what follows from them can be told. */
  settledSome(): void
  /**
   * Called once: when every entry has been sent and answered, or with what the source threw, or with a Premature
   * when the target acknowledged what it can not have.
   */
  finished(failure?: unknown): void
  /** The link failed before every answer was there; nothing is sent or settled any more. */
  failed(fault: LinkFault): void
}

/** What a batch asks of the link it goes over. */
export interface BatchLink {
  /** Sends bytes; true when the buffer may be written again at once. */
  send(bytes: Buffer): boolean
  /** Bytes that wait to be sent. */
  readonly waitingBytes: number
  /** Tells the link who sends and listens next: the replies that others still wait for come first. */
  attend(listener: LinkListener): void
  /** So many more replies are expected by who attends last. */
  expect(replies: number): void
  /** Work was done: the idle time-out starts again. */
  progress(): void
}

/** Who listens to a link. */
export interface LinkListener {
  /** One reply: undefined for success, or the error line without its minus. */
  answered(error: string | undefined): void
  /** The replies of one piece of input are through, or the link has failed among them. */
  rested(): void
  /** Bytes that waited have gone out. */
  hasRoom(): void
  /** The link is gone, and with it the replies that have not come. */
  failed(fault: LinkFault): void
}

/** The target acknowledged an entry before it was sent whole: its replies are not to be believed. */
export class Premature extends Error {
  constructor() {
    super('the target acknowledged an entry before it had been sent')
  }
}

/** The room that `BatchSource.write` may rely on. */
const ENTRY_ROOM_BYTES = 131072
const CHUNK_BYTES = 65536
/** The first chunk is small, so that the target begins early; the next ones are twice as large each. */
const FIRST_FLUSH_BYTES = 16384
const WAITING_BYTES_MAX = 1024 * 1024
const TURN_MS = 1
/** How long an early refusal is waited for. */
const REFUSAL_MS = 50
const ENTRIES_PER_CLOCK_READ = 32

/** Chunks between two uses: making one costs more than a small batch. */
const spareChunks: Buffer[] = []
const SPARE_CHUNKS_MAX = 8

function takeChunk(): Buffer {
  return spareChunks.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES + ENTRY_ROOM_BYTES)
}

/** Sends a batch, and tells its owner what becomes of it. */
export class Batch implements LinkListener {
  #next = 0
  /** Entries before this one are with the link, whole. */
  #handed = 0
  #settled = 0
  /** Numbers of the entries sent, in order, when some were left out. */
  #sent: number[] | undefined
  #sentCount = 0
  #chunk = takeChunk()
  #fill = 0
  /** How many bytes are collected before they are sent. */
  #flushAt = FIRST_FLUSH_BYTES
  #pieces: Iterator<Piece, void, boolean> | undefined
  /** The last piece has not left yet. */
  #pieceWaits = false
  /** The pieces wait until the entries before theirs are answered. */
  #awaitsReplies = false
  #scheduled = false
  #stopped = false

  constructor(
    readonly source: BatchSource,
    readonly link: BatchLink,
    readonly owner: BatchOwner,
  ) {
    link.attend(this)
  }

  start(): void {
    this.#pump()
  }

  #stop(): void {
    this.#stopped = true
    this.#pieces?.return?.()
  }

  failed(fault: LinkFault): void {
    // Every entry has its answer: this is about what came behind.
    if (this.#stopped || this.isComplete) return
    this.#stop()
    this.owner.failed(fault)
  }

  /** Whether all of it is with the link, though perhaps not with the system: others may send behind it. */
  get isHanded(): boolean {
    return this.#next === this.source.count && this.#fill === 0 && this.#pieces === undefined
  }

  /** Whether every entry has left this process's hands. */
  get allSent(): boolean {
    return this.isHanded && this.link.waitingBytes === 0
  }

  /** Whether the target may have this entry: it was sent, at least in part. */
  wasSent(i: number): boolean {
    return i < this.#next || (i === this.#next && this.#pieces !== undefined)
  }

  /** A large entry had been begun and was not finished. */
  get brokeWithin(): boolean {
    return this.#pieces !== undefined
  }

  /** Every entry has been sent and answered. */
  get isComplete(): boolean {
    return this.#next === this.source.count && this.#settled === this.#sentCount
  }

  answered(error: string | undefined): void {
    if (this.#stopped) return
    const i = this.#sent === undefined ? this.#settled : this.#sent[this.#settled]
    // An entry may be refused half-way; taken it can only be when all of it has left.
    if (error === undefined && i >= this.#handed && !this.#hasJustEnded(i)) return this.#fail(new Premature())
    this.#settled++
    this.owner.settle(i, error)
    if (this.#awaitsReplies) this.#pump()
  }

  /** Only now is the batch finished: what else stood in the same piece of input has been looked at. */
  rested(): void {
    this.owner.settledSome()
    this.#checkFinished()
  }

  hasRoom(): void {
    this.#pump()
  }

  /** Whether entry i is a large one whose last piece has been sent: its iterator had no turn to say so. */
  #hasJustEnded(i: number): boolean {
    if (i !== this.#next || this.#pieces?.next().done !== true) return false
    this.#pieces = undefined
    this.#handed = ++this.#next
    return true
  }

  #checkFinished(): void {
    if (this.#stopped || !this.isComplete) return
    this.#stopped = true
    if (spareChunks.length < SPARE_CHUNKS_MAX) spareChunks.push(this.#chunk)
    this.owner.finished()
  }

  #fail(failure: unknown): void {
    this.#stop()
    this.owner.finished(failure)
  }

  #pump(): void {
    if (this.#stopped || this.#scheduled) return
    if (this.#awaitsReplies && this.#settled < this.#sentCount - 1) return
    this.#awaitsReplies = false
    try {
      this.#sendSome()
    } catch (failure) {
      this.#fail(failure)
    }
  }

  #sendSome(): void {
    const until = monotonicMs() + TURN_MS
    const count = this.source.count
    let unclocked = 0
    while (this.#next < count) {
      if (this.link.waitingBytes > WAITING_BYTES_MAX) return
      if (this.#pieces !== undefined) {
        if (!this.#sendPiece()) return
      } else this.#writeNext()
      if (this.#fill >= this.#flushAt) this.#flush()
      if (++unclocked >= ENTRIES_PER_CLOCK_READ || this.#pieces !== undefined) {
        unclocked = 0
        if (monotonicMs() > until) return this.#later()
      }
    }
    this.#flush()
    this.#checkFinished()
  }

  #later(): void {
    this.#flush()
    this.#scheduled = true
    this.link.progress()
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #writeNext(): void {
    const i = this.#next
    const at = this.source.write(i, this.#chunk, this.#fill)
    if (at === -1) {
      this.#flush()
      // Counted before it is sent whole: a target that refuses it half-way answers before its end.
      this.#countSent(i)
      this.#pieces = this.source.large(i)
      return
    }
    if (at === this.#fill) {
      // Left out: from here on the replies' numbers are not the entries'.
      this.#sent ??= Array.from({ length: this.#sentCount }, (_, n) => n)
    } else this.#countSent(i)
    this.#fill = at
    this.#next++
  }

  #countSent(i: number): void {
    this.#sent?.push(i)
    this.#sentCount++
    this.link.expect(1)
  }

  /** False when it must be waited before the next one. */
  #sendPiece(): boolean {
    const { done, value } = (this.#pieces as Iterator<Piece, void, boolean>).next(this.#pieceWaits)
    if (done === true) {
      this.#pieces = undefined
      this.#handed = ++this.#next
    } else if (value === 'refusal') {
      this.#scheduled = true
      setTimeout(() => {
        this.#scheduled = false
        this.#pump()
      }, REFUSAL_MS)
      return false
    } else if (value === 'replies') {
      this.#awaitsReplies = this.#settled < this.#sentCount - 1
      return !this.#awaitsReplies
    } else if (value === 'last') this.#handed = this.#next + 1
    else if (value !== undefined) this.#pieceWaits = !this.link.send(value)
    return true
  }

  #flush(): void {
    this.#handed = Math.max(this.#handed, this.#next)
    if (this.#fill === 0) return
    const reusable = this.link.send(this.#chunk.subarray(0, this.#fill))
    if (!reusable) this.#chunk = takeChunk()
    this.#fill = 0
    this.#flushAt = Math.min(CHUNK_BYTES, this.#flushAt * 2)
  }
}
