/**
 * Reads RESP2 replies strictly and without an object per reply: each is told to a sink as positions in a slab.
 *
 * A slab is filled once and never written again, so a sink may keep views of it; the next slab begins with what the one
 * before left unfinished. A bulk string that is larger than a slab gets one of its own, which grows with what really
 * arrives. Anything that is no reply, or is beyond the limits, is a fault.
 */
const CR = 13
const LF = 10
export const PLUS = 43
export const MINUS = 45
export const COLON = 58
const DOLLAR = 36
const STAR = 42

const SLAB_BYTES = 131072
/** A bulk string up to this size gets its room at once. */
const TRUSTED_BYTES = 64 * 1024 * 1024
const BULK_BYTES_MAX = 4 * 1024 ** 3 - 65536
const LINE_BYTES_MAX = 65536
const DEPTH_MAX = 8
const ITEMS_MAX = 16 * 1024 * 1024

/** Who is told of replies. Positions are good for ever; `buf` is a slab, not a copy. */
export interface ReplySink {
  /** A status (PLUS), an error (MINUS) or an integer (COLON), without its first byte. */
  line(kind: number, buf: Buffer, start: number, end: number): void
  bulk(buf: Buffer, start: number, end: number): void
  nil(): void
  /** So many items follow, each told like a reply. */
  array(count: number): void
}

/** A sink that also hears where a reply ends; false stops the reader. */
export interface ReplyReceiver extends ReplySink {
  replyEnd(): boolean
}

export class ReplyReader {
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #fill = 0
  #at = 0
  /** Items that are still due in each array that is open. */
  #due: number[] = []

  /** Takes bytes; returns why they are no replies, or undefined. */
  feed(chunk: Buffer, bytes: number, receiver: ReplyReceiver): string | undefined {
    for (let from = 0; from < bytes; ) {
      if (this.#fill === this.#slab.length) this.#renewSlab(SLAB_BYTES)
      const taken = Math.min(bytes - from, this.#slab.length - this.#fill)
      chunk.copy(this.#slab, this.#fill, from, from + taken)
      this.#fill += taken
      from += taken
      const fault = this.#parse(receiver)
      if (fault !== undefined) return fault === STOPPED ? undefined : fault
    }
    return undefined
  }

  /** A new slab with what is unfinished at its front. */
  #renewSlab(least: number): void {
    const kept = this.#fill - this.#at
    const slab = Buffer.allocUnsafeSlow(Math.max(least, kept < SLAB_BYTES ? SLAB_BYTES : kept + SLAB_BYTES))
    this.#slab.copy(slab, 0, this.#at, this.#fill)
    this.#slab = slab
    this.#at = 0
    this.#fill = kept
  }

  #parse(receiver: ReplyReceiver): string | undefined {
    while (this.#at < this.#fill) {
      const slab = this.#slab
      const kind = slab[this.#at]
      if (kind !== PLUS && kind !== MINUS && kind !== COLON && kind !== DOLLAR && kind !== STAR) return `what is no reply (it begins with byte ${kind})`
      const start = this.#at + 1
      let end = start
      while (end < this.#fill && slab[end] !== CR) end++
      if (end + 1 >= this.#fill) return end - start > LINE_BYTES_MAX ? 'a line without end' : undefined
      if (slab[end + 1] !== LF) return 'a line that ends in half a line end'
      if (kind === DOLLAR) {
        const length = lengthOf(slab, start, end)
        if (length === -1) receiver.nil()
        else {
          if (!(length >= 0 && length <= BULK_BYTES_MAX)) return 'a bulk string of an impossible length'
          const body = end + 2
          if (body + length + 2 > this.#fill) return this.#makeRoom(body + length + 2)
          if (slab[body + length] !== CR || slab[body + length + 1] !== LF) return 'a bulk string that is longer than it said'
          receiver.bulk(slab, body, body + length)
          end = body + length
        }
      } else if (kind === STAR) {
        const count = lengthOf(slab, start, end)
        if (count === -1) receiver.nil()
        else if (!(count >= 0 && count <= ITEMS_MAX) || this.#due.length >= DEPTH_MAX) return 'an array of an impossible size'
        else {
          receiver.array(count)
          if (count > 0) {
            this.#due.push(count)
            this.#at = end + 2
            continue
          }
        }
      } else receiver.line(kind, slab, start, end)
      this.#at = end + 2
      if (this.#endsReply() && !receiver.replyEnd()) return STOPPED
    }
    return undefined
  }

  /** The unfinished bulk string ends at `needed`: makes room for it, as far as it can be believed. */
  #makeRoom(needed: number): undefined {
    const room = this.#slab.length - this.#at
    const whole = needed - this.#at
    if (room >= whole) return
    const kept = this.#fill - this.#at
    const believed = Math.min(whole, Math.max(TRUSTED_BYTES, 2 * kept))
    // What is there already is copied: while it is little, or when there is no room left.
    if (room < believed && (kept < SLAB_BYTES || this.#fill === this.#slab.length)) this.#renewSlab(believed)
  }

  #endsReply(): boolean {
    const due = this.#due
    while (due.length > 0) {
      if (--due[due.length - 1] > 0) return false
      due.pop()
    }
    return true
  }
}

const STOPPED = 'stopped'

/** A length in decimal digits, -1, or NaN. */
function lengthOf(buf: Buffer, start: number, end: number): number {
  if (end - start === 2 && buf[start] === MINUS && buf[start + 1] === 49) return -1
  if (end === start || end - start > 12) return NaN
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = buf[i] - 48
    if (digit < 0 || digit > 9) return NaN
    value = value * 10 + digit
  }
  return value
}

/** The integer of a COLON line. */
export function integerOf(buf: Buffer, start: number, end: number): number {
  const negative = buf[start] === MINUS
  let value = 0
  for (let i = negative ? start + 1 : start; i < end; i++) value = value * 10 + (buf[i] - 48)
  return negative ? -value : value
}

/** A command's error reply. */
export class Refusal {
  constructor(readonly line: string) {}

  get code(): string {
    return this.line.slice(0, (this.line + ' ').indexOf(' '))
  }
}

/** Replies of commands that are not asked by the thousand. Bulk strings are views of a slab. */
export type Reply = string | number | Buffer | null | Refusal | Reply[]

/** Builds whole replies. */
export class ReplyTree implements ReplySink {
  readonly replies: Reply[] = []
  readonly #open: { items: Reply[]; due: number }[] = []

  line(kind: number, buf: Buffer, start: number, end: number): void {
    if (kind === COLON) this.#add(integerOf(buf, start, end))
    else this.#add(kind === PLUS ? buf.latin1Slice(start, end) : new Refusal(buf.utf8Slice(start, end)))
  }

  bulk(buf: Buffer, start: number, end: number): void {
    this.#add(buf.subarray(start, end))
  }

  nil(): void {
    this.#add(null)
  }

  array(count: number): void {
    const items: Reply[] = []
    this.#add(items)
    if (count > 0) this.#open.push({ items, due: count })
  }

  #add(item: Reply): void {
    const top = this.#open[this.#open.length - 1]
    if (top === undefined) {
      this.replies.push(item)
      return
    }
    top.items.push(item)
    // An array within is counted here too, before its own items come.
    if (--top.due === 0) this.#open.splice(this.#open.indexOf(top), 1)
  }
}
