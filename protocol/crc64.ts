/**
 * CRC-64/Jones, the checksum of DUMP payloads and RDB files.
 *
 * Width 64, polynomial 0xad93d23594c935a9, reflected in and out, initial value 0, no final xor; the checksum
 * of "123456789" is 0xe9c6d914c4b8d9ca. On the wire and on disk it is 8 bytes, little-endian.
 *
 * The state is two 32-bit words, because a bigint per update would be an allocation and slow. Two engines
 * share the same tables and may take turns on one running checksum:
 *
 * - short input: slicing by 8 in JavaScript (8 table look-ups per 8 bytes);
 * - long input: crc64.wat, which first folds the input down to its last 3 KB with SIMD xors, over a
 *   window that the input is copied into: about 6 GB/s, three times a table alone.
 *
 * Both are made at first use, so importing this file costs nothing. Without WebAssembly (`node --jitless`)
 * everything runs in JavaScript.
 */
import { CRC64_WASM } from './crc64-wasm.js'

/** From this many bytes on, copying into WebAssembly pays. Measured on Node 20. */
const WASM_FROM = 96

/** Addresses in the module's memory; crc64.wat draws the map. */
const TABLES_AT = 0x0000
const STATE_AT = 0x4000
const WINDOW_AT = 0x10000
/** The input's share of each window; with the tables it stays near the processor. Measured. */
const WINDOW_SIZE = 0x8000
/** The last window may not be shorter, and all others are multiples of the step: see crc64.wat. */
const LAST_WINDOW_MIN = 4096
const FOLD_STEP = 64

/** Low and high words of the 8 slicing tables; entry `k << 8 | byte`. Empty until first use. */
let tableLo = new Int32Array(0)
let tableHi = new Int32Array(0)

interface Accelerator {
  /** Takes the window up to `end`; more is to come. */
  fold(end: number): void
  /** Takes the window up to `end`, the last one; the state is the checksum then. */
  finish(end: number): void
  /** The state as two int32, low word first. */
  state: Int32Array
  window: Uint8Array
}

/** `undefined`: not tried yet; `null`: this process has no WebAssembly. */
let accelerator: Accelerator | null | undefined

/**
 * Checksums that were computed while their bytes arrived: over all of a buffer but its last 8 bytes, where a
 * payload's own checksum stands. So the last byte of a 50 MB payload does not cost the time of all of it.
 */
export const arrivedChecksums = new WeakMap<Buffer, Crc64>()

/** A running CRC-64/Jones. `lo` and `hi` are the state's words as signed 32-bit integers. */
export class Crc64 {
  lo = 0
  hi = 0

  /** Starts a new checksum. */
  reset(): this {
    this.lo = 0
    this.hi = 0
    return this
  }

  /** Continues the checksum over `buf[start..end)`. */
  update(buf: Buffer, start: number, end: number): this {
    if (end - start < WASM_FROM) return this.#updateHere(buf, start, end)
    if (accelerator === undefined) accelerator = loadAccelerator()
    if (accelerator === null) return this.#updateHere(buf, start, end)

    const { state, window } = accelerator
    state[0] = this.lo
    state[1] = this.hi
    let pos = start
    while (end - pos > WINDOW_SIZE) {
      const size = Math.min(WINDOW_SIZE, (end - pos - LAST_WINDOW_MIN) & -FOLD_STEP)
      window.set(buf.subarray(pos, pos + size))
      accelerator.fold(WINDOW_AT + size)
      pos += size
    }
    window.set(buf.subarray(pos, end))
    accelerator.finish(WINDOW_AT + end - pos)
    this.lo = state[0]
    this.hi = state[1]
    return this
  }

  /** Writes the 8 bytes of the checksum, little-endian, at `buf[pos]`. */
  write(buf: Buffer, pos: number): void {
    buf.writeInt32LE(this.lo, pos)
    buf.writeInt32LE(this.hi, pos + 4)
  }

  /** Whether the 8 bytes at `buf[pos]` are this checksum. */
  matches(buf: Buffer, pos: number): boolean {
    return buf.readInt32LE(pos) === this.lo && buf.readInt32LE(pos + 4) === this.hi
  }

  #updateHere(buf: Buffer, start: number, end: number): this {
    if (tableLo.length === 0) buildTables()
    const tLo = tableLo
    const tHi = tableHi
    let lo = this.lo
    let hi = this.hi
    let i = start
    for (const last = end - 8; i <= last; i += 8) {
      lo ^= buf[i] | (buf[i + 1] << 8) | (buf[i + 2] << 16) | (buf[i + 3] << 24)
      hi ^= buf[i + 4] | (buf[i + 5] << 8) | (buf[i + 6] << 16) | (buf[i + 7] << 24)
      const b0 = 1792 | (lo & 255)
      const b1 = 1536 | ((lo >>> 8) & 255)
      const b2 = 1280 | ((lo >>> 16) & 255)
      const b3 = 1024 | (lo >>> 24)
      const b4 = 768 | (hi & 255)
      const b5 = 512 | ((hi >>> 8) & 255)
      const b6 = 256 | ((hi >>> 16) & 255)
      const b7 = hi >>> 24
      lo = tLo[b0] ^ tLo[b1] ^ tLo[b2] ^ tLo[b3] ^ tLo[b4] ^ tLo[b5] ^ tLo[b6] ^ tLo[b7]
      hi = tHi[b0] ^ tHi[b1] ^ tHi[b2] ^ tHi[b3] ^ tHi[b4] ^ tHi[b5] ^ tHi[b6] ^ tHi[b7]
    }
    for (; i < end; i++) {
      const slot = (lo ^ buf[i]) & 255
      lo = ((lo >>> 8) | (hi << 24)) ^ tLo[slot]
      hi = (hi >>> 8) ^ tHi[slot]
    }
    this.lo = lo
    this.hi = hi
    return this
  }
}

/** The checksum of `buf[start..end)`. */
export function crc64(buf: Buffer, start = 0, end = buf.length): Crc64 {
  return new Crc64().update(buf, start, end)
}

function buildTables(): void {
  const tLo = new Int32Array(8 * 256)
  const tHi = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let lo = byte
    let hi = 0
    for (let bit = 0; bit < 8; bit++) {
      const out = lo & 1
      lo = (lo >>> 1) | (hi << 31)
      hi >>>= 1
      if (out) {
        // The polynomial with its bits reversed: 0x95ac9329ac4bc9b5.
        lo ^= 0xac4bc9b5
        hi ^= 0x95ac9329
      }
    }
    tLo[byte] = lo
    tHi[byte] = hi
  }
  for (let i = 256; i < 8 * 256; i++) {
    const lo = tLo[i - 256]
    const hi = tHi[i - 256]
    tLo[i] = ((lo >>> 8) | (hi << 24)) ^ tLo[lo & 255]
    tHi[i] = (hi >>> 8) ^ tHi[lo & 255]
  }
  tableLo = tLo
  tableHi = tHi
}

function loadAccelerator(): Accelerator | null {
  if (typeof WebAssembly === 'undefined') return null
  if (tableLo.length === 0) buildTables()
  const code = Buffer.from(CRC64_WASM, 'base64')
  // A processor without the vector instructions that SIMD is compiled to counts as no WebAssembly.
  if (!WebAssembly.validate(code)) return null
  const module = new WebAssembly.Module(code)
  const { memory, fold, finish } = new WebAssembly.Instance(module).exports as unknown as {
    memory: { buffer: ArrayBuffer }
    fold: Accelerator['fold']
    finish: Accelerator['finish']
  }

  const tables = new Int32Array(memory.buffer, TABLES_AT, 2 * 8 * 256)
  for (let i = 0; i < 8 * 256; i++) {
    tables[2 * i] = tableLo[i]
    tables[2 * i + 1] = tableHi[i]
  }
  return {
    fold,
    finish,
    state: new Int32Array(memory.buffer, STATE_AT, 2),
    window: new Uint8Array(memory.buffer, WINDOW_AT, WINDOW_SIZE),
  }
}
