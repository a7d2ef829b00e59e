/**
 * One batch over one link: encoding, sending and reading replies overlap, and nothing is waited for that
 * need not be.
 *
 *     entries --write--> chunk (64 KB) --send--> link ==> target
 *     settle(i, reply) <------------------------ link <== one reply per entry, in order
 *
 * Bounds: what waits to be sent is at most about 1 MB, whatever an entry's size; a turn of the event loop
 * encodes for at most about a millisecond. It knows neither the store that the entries come from nor the
 * protocol of the link.
 */

/** Entries of a batch, by number. */
export interface BatchSource {
  readonly count: number
  /**
   * Writes entry i to `out` from `pos` on and returns the position behind it, or `pos` itself when there is
   * nothing to send for it any more, or -1 when it is too large and `large(i)` must be used. There are
   * `ENTRY_ROOM_BYTES` bytes of room.
   */
  write(i: number, out: Buffer, pos: number): number
  /** A large entry in pieces; an undefined piece means "some work done, nothing to send yet". */
  large(i: number): Iterator<Buffer | undefined>
}

/** The target's answer to an entry: undefined for success, or its error line without the minus. */
export type Settle = (i: number, error: string | undefined) => void

/** What a batch asks of the link it goes over. */
export interface BatchLink {
  /** Sends bytes; true when the buffer may be written again at once. */
  send(bytes: Buffer): boolean
  /** Bytes that wait to be sent. */
  readonly waitingBytes: number
  /** Tells the link which replies to expect: `onReply` per reply, `onRoom` when waiting bytes went out. */
  attend(replies: number, onReply: (error: string | undefined) => void, onRoom: () => void): void
  /** So many more replies are expected. */
  expect(replies: number): void
  /** Work was done: the idle time-out starts again. */
  progress(): void
}

/** The target acknowledged an entry before it was sent whole: its replies are not to be believed. */
export class Premature extends Error {
  constructor() {
    super('the target acknowledged an entry before it had been sent')
  }
}

/** The room that `BatchSource.write` may rely on. */
export const ENTRY_ROOM_BYTES = 131072
const CHUNK_BYTES = 65536
const WAITING_BYTES_MAX = 1024 * 1024
const TURN_MS = 1
const ENTRIES_PER_CLOCK_READ = 32

/**
 * Sends a batch. `finished` is called once: when every entry has been sent and answered, or with what the
 * source threw, or with a Premature when the target acknowledged what it can not have.
 */
export class Batch {
  #next = 0
  /** Entries before this one are with the link, whole. */
  #handed = 0
  #settled = 0
  /** Numbers of the entries sent, in order, when some were left out. */
  #sent: number[] | undefined
  #sentCount = 0
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES + ENTRY_ROOM_BYTES)
  #fill = 0
  #pieces: Iterator<Buffer | undefined> | undefined
  #scheduled = false
  #stopped = false

  constructor(
    readonly source: BatchSource,
    readonly link: BatchLink,
    readonly settle: Settle,
    readonly finished: (failure?: unknown) => void,
  ) {
    link.attend(0, (error) => this.#answered(error), () => this.#pump())
  }

  start(): void {
    this.#pump()
  }

  /** The link is gone: nothing more is sent or settled. */
  stop(): void {
    this.#stopped = true
    this.#pieces?.return?.()
  }

  /** Whether every entry has left this process's hands. */
  get allSent(): boolean {
    return this.#next === this.source.count && this.#fill === 0 && this.link.waitingBytes === 0
  }

  /** Whether the target may have this entry: it was sent, at least in part. */
  wasSent(i: number): boolean {
    return i < this.#next || (i === this.#next && this.#pieces !== undefined)
  }

  #answered(error: string | undefined): void {
    if (this.#stopped) return
    const i = this.#sent === undefined ? this.#settled : this.#sent[this.#settled]
    // An entry may be refused half-way; taken it can only be when all of it has left.
    if (error === undefined && i >= this.#handed) return this.#fail(new Premature())
    this.#settled++
    this.settle(i, error)
    this.#checkFinished()
  }

  #checkFinished(): void {
    if (this.#stopped || this.#next < this.source.count || this.#settled < this.#sentCount) return
    this.#stopped = true
    this.finished()
  }

  #fail(failure: unknown): void {
    this.stop()
    this.finished(failure)
  }

  #pump(): void {
    if (this.#stopped || this.#scheduled) return
    try {
      this.#sendSome()
    } catch (failure) {
      this.#fail(failure)
    }
  }

  #sendSome(): void {
    const until = performance.now() + TURN_MS
    const count = this.source.count
    let unclocked = 0
    while (this.#next < count) {
      if (this.link.waitingBytes > WAITING_BYTES_MAX) return
      if (this.#pieces !== undefined) this.#sendPiece()
      else this.#writeNext()
      if (this.#fill >= CHUNK_BYTES) this.#flush()
      if (++unclocked >= ENTRIES_PER_CLOCK_READ || this.#pieces !== undefined) {
        unclocked = 0
        if (performance.now() > until) return this.#later()
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

  #sendPiece(): void {
    const step = (this.#pieces as Iterator<Buffer | undefined>).next()
    if (step.done === true) {
      this.#pieces = undefined
      this.#handed = ++this.#next
    } else if (step.value !== undefined) this.link.send(step.value)
  }

  #flush(): void {
    this.#handed = this.#next
    if (this.#fill === 0) return
    const reusable = this.link.send(this.#chunk.subarray(0, this.#fill))
    if (!reusable) this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES + ENTRY_ROOM_BYTES)
    this.#fill = 0
  }
}
