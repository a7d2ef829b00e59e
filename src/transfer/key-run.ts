/**
 * A sorted run of keys, each once: in memory, or a file.
 *
 *     | 2 * shared + hasAt, rest: varints | at f64le, if hasAt | rest bytes of (db u32be, key) | ...
 *
 * It is front-coded: `shared` says in how many bytes a key agrees with the one before it (at most SHARED_MAX), and only
 * the others follow. Neighbours in order agree in most of their bytes, so a run is a fraction of its keys; and whoever
 * merges runs finds there what it would otherwise have to compare for (key-merge.ts), for which it must be exact.
 */

export const SHARED_MAX = 1 << 20
/** A record's numbers, at most: two varints and `at`. */
export const RECORD_HEAD_MAX = 5 + 5 + 8

/** Writes the records of a run into a buffer. */
export class RunWriter {
  bytes: Buffer
  fill = 0

  constructor(sizeBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(sizeBytes)
  }

  /** Whether a record of a key of this length may still have room. */
  hasRoomFor(length: number): boolean {
    return this.bytes.length - this.fill >= RECORD_HEAD_MAX + length
  }

  /** Adds a key that is in `from` and has `shared` bytes in common with the one before it; `at` is NaN when it has none. */
  add(from: Buffer, start: number, length: number, shared: number, at: number): void {
    const { bytes } = this
    const hasAt = at === at
    let fill = writeVarint(2 * shared + (hasAt ? 1 : 0), bytes, this.fill)
    fill = writeVarint(length - shared, bytes, fill)
    if (hasAt) fill = bytes.writeDoubleLE(at, fill)
    copyBytes(from, start + shared, start + length, bytes, fill)
    this.fill = fill + length - shared
  }
}

/** Seven bits to a byte, the low ones first, the eighth set when more follow. */
function writeVarint(value: number, to: Buffer, at: number): number {
  while (value >= 0x80) {
    to[at++] = (value & 0x7f) | 0x80
    value = Math.floor(value / 128)
  }
  to[at++] = value
  return at
}

/** Reads the records of a run out of a buffer that may end in the middle of one. */
export class RunReader {
  /** The key, database first, and what it is. */
  key = Buffer.allocUnsafeSlow(64)
  length = 0
  /** Bytes that it has in common with the one before it. */
  shared = 0
  at = NaN
  bytes: Buffer
  position = 0
  fill: number
  /** How long the record was that did not fit, as far as that is known. */
  neededBytes = 0

  constructor(bytes: Buffer, fill = bytes.length) {
    this.bytes = bytes
    this.fill = fill
  }

  /** Where the varint read last ends. */
  #after = 0

  /** The value of a varint of several bytes, the first of which has been read; -1 when the buffer ends within it. */
  #longVarint(first: number, at: number): number {
    let value = first & 0x7f
    for (let unit = 128; at < this.fill; unit *= 128) {
      const byte = this.bytes[at++]
      value += (byte & 0x7f) * unit
      if (byte >= 0x80) continue
      this.#after = at
      return value
    }
    this.#after = at
    return -1
  }

  /** Goes on to the next key; false when its record is not there in full. */
  next(): boolean {
    const { bytes, fill } = this
    let at = this.position
    this.neededBytes = RECORD_HEAD_MAX
    if (fill - at < 2) return false
    let head = bytes[at++]
    if (head >= 0x80) {
      head = this.#longVarint(head, at)
      at = this.#after
    }
    if (at === fill) return false
    let rest = bytes[at++]
    if (rest >= 0x80) {
      rest = this.#longVarint(rest, at)
      if (rest < 0) return false
      at = this.#after
    }
    const hasAt = head % 2 === 1
    const shared = (head - (head % 2)) / 2
    const end = at + (hasAt ? 8 : 0) + rest
    this.neededBytes = end - this.position
    if (end > fill) return false
    if (shared + rest > this.key.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (shared + rest))
      this.key.copy(larger, 0, 0, shared)
      this.key = larger
    }
    this.at = hasAt ? bytes.readDoubleLE(at) : NaN
    copyBytes(bytes, end - rest, end, this.key, shared)
    this.shared = shared
    this.length = shared + rest
    this.position = end
    return true
  }
}

/** Bytes handled one by one before the native call, which costs as much as thirty of them, takes over. */
const LOOP_BYTES = 48

/** Copies bytes: a short key costs less in a loop than the native copy takes to begin. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > LOOP_BYTES) from.copy(to, at, start, end)
  else for (let i = start, n = at; i < end; i++) to[n++] = from[i]
}

/** In how many bytes two keys agree from their first on; that they do in `least` is known. */
export function sharedBytes(a: Buffer, aStart: number, aBytes: number, b: Buffer, bStart: number, bBytes: number, least: number): number {
  const most = Math.min(aBytes, bBytes)
  let shared = least
  while (shared < most && a[aStart + shared] === b[bStart + shared]) shared++
  return shared
}
