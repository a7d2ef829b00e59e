/**
 * LZF, the compression of long strings in RDB files and DUMP payloads.
 *
 * A compressed text is a row of items, told apart by their first byte c:
 *
 *   000lllll  l+1 bytes                literal bytes (1 to 32)
 *   lllooooo  oooooooo                 back-reference: l+2 bytes (l = 1 to 6) from o+1 bytes back
 *   111ooooo  llllllll  oooooooo       back-reference: l+9 bytes
 *
 * The lengths of compressed and original text are kept outside. A back-reference may overlap what it
 * produces (distance 1 repeats one byte).
 *
 * The compressor makes the choices of the servers' own, so that its output is theirs to the byte: one
 * candidate per hash of three bytes, the nearest, never position 0; after a match only its last two
 * positions enter the table; it gives up as soon as the limit is in sight. A pleasant consequence is that
 * payloads of equal values can be compared.
 */

const HASH_SIZE = 1 << 16
const MAX_LITERALS = 32
const MAX_DISTANCE = 8192
const MAX_MATCH = 264

/**
 * The last position of each hash, counted from a start of each call's own that lies further above all earlier
 * entries than a reference reaches. So they never match, and the table need not be cleared (256 KiB) per call.
 */
let positions = new Int32Array(0)
let epoch = 1

/**
 * Compresses `input[start..end)` into `output` from `outStart` on, in at most `limit` bytes.
 * Returns the number of bytes written, or 0 when it gave up; the bytes there are then undefined.
 * The servers use a limit of the length minus 4 for strings, and only try strings longer than 20 bytes.
 */
export function compress(input: Buffer, start: number, end: number, output: Buffer, outStart: number, limit: number): number {
  const length = end - start
  const base = openEpoch(length) - start
  const table = positions
  const outEnd = outStart + limit
  const lastStart = end - 2
  // A literal run keeps a place for its control byte: `out` is always past it.
  let out = outStart + 1
  let literals = 0
  let i = start

  // The three bytes at i, high byte first.
  let word = 0
  if (i < lastStart) {
    // Position 0 is never a reference, so it does not enter the table.
    if (out >= outEnd) return 0
    word = (input[i] << 16) | (input[i + 1] << 8) | input[i + 2]
    output[out++] = input[i++]
    literals = 1
  }

  while (i < lastStart) {
    word = ((word << 8) | input[i + 2]) & 0xffffff
    const slot = hash(word)
    const distance = (base + i - table[slot]) | 0
    table[slot] = base + i
    const from = i - distance
    if (distance <= MAX_DISTANCE && ((input[from] << 16) | (input[from + 1] << 8) | input[from + 2]) === word) {
      const run = literals === 0 ? 1 : 0
      if (out - run + 4 >= outEnd) return 0
      output[out - literals - 1] = literals - 1
      out -= run

      const size = matchLength(input, from, i, end)
      if (size < 9) {
        output[out++] = ((size - 2) << 5) | ((distance - 1) >> 8)
      } else {
        output[out++] = 0xe0 | ((distance - 1) >> 8)
        output[out++] = size - 9
      }
      output[out++] = (distance - 1) & 255

      literals = 0
      out++
      i += size
      if (i >= lastStart) break
      word = (input[i - 2] << 16) | (input[i - 1] << 8) | input[i]
      table[hash(word)] = base + i - 2
      word = ((word << 8) | input[i + 1]) & 0xffffff
      table[hash(word)] = base + i - 1
    } else {
      if (out >= outEnd) return 0
      output[out++] = word >> 16
      i++
      if (++literals === MAX_LITERALS) {
        output[out - MAX_LITERALS - 1] = MAX_LITERALS - 1
        literals = 0
        out++
      }
    }
  }

  if (out + 3 > outEnd) return 0
  for (; i < end; i++) {
    output[out++] = input[i]
    if (++literals === MAX_LITERALS) {
      output[out - MAX_LITERALS - 1] = MAX_LITERALS - 1
      literals = 0
      out++
    }
  }
  if (literals === 0) return out - 1 - outStart
  output[out - literals - 1] = literals - 1
  return out - outStart
}

/**
 * Decompresses `input[start..end)` into exactly `size` bytes of `output` from `outStart` on. Returns whether
 * the input was whole and well-formed; nothing outside those `size` bytes is written either way.
 */
export function decompress(input: Buffer, start: number, end: number, output: Buffer, outStart: number, size: number): boolean {
  const outEnd = outStart + size
  if (outEnd > output.length) return false
  let out = outStart
  let i = start
  while (i < end) {
    const control = input[i++]
    if (control < MAX_LITERALS) {
      const stop = i + control + 1
      if (stop > end || out + control >= outEnd) return false
      while (i < stop) output[out++] = input[i++]
      continue
    }

    let count = (control >> 5) + 2
    if (count === 9) {
      if (i >= end) return false
      count += input[i++]
    }
    if (i >= end) return false
    let from = out - (((control & 31) << 8) | input[i++]) - 1
    const stop = out + count
    if (from < outStart || stop > outEnd) return false
    if (count > 32 && from + count <= out) {
      output.copyWithin(out, from, from + count)
      out = stop
    } else {
      while (out < stop) output[out++] = output[from++]
    }
  }
  return out === outEnd
}

/** The table slot of three bytes, the first in bits 16 to 23. */
function hash(word: number): number {
  return ((word >> 8) - 5 * word) & (HASH_SIZE - 1)
}

/**
 * How many bytes at `i` repeat those at `from`, given that three do. The servers' loop compares 16 bytes
 * without a look at the limit when more than 16 may follow, which is why a match can end up to 2 bytes
 * past the limit of a match near the end of the input.
 */
function matchLength(input: Buffer, from: number, i: number, end: number): number {
  const limit = Math.min(end - i - 2, MAX_MATCH)
  let size = 3
  if (limit > 16) {
    while (size < 19 && input[from + size] === input[i + size]) size++
    if (size < 19) return size
  }
  while (size < limit && input[from + size] === input[i + size]) size++
  return size
}

/** Reserves `length` table values, further from all earlier ones than a reference reaches, and returns the first. */
function openEpoch(length: number): number {
  if (positions.length === 0) positions = new Int32Array(HASH_SIZE)
  let first = epoch + MAX_DISTANCE
  if (first + length > 0x7fffffff) {
    positions.fill(0)
    first = MAX_DISTANCE + 1
  }
  epoch = first + length
  return first
}
