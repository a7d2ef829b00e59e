/**
 * The arena: where keys and small values live as bytes, outside the JavaScript heap.
 *
 * A block is named by a `Ref`, an unsigned 32-bit number: the upper 11 bits say which slab, the lower 21
 * where in it, in units of 8 bytes.
 *
 *     ref   [ slab 11 | unit 21 ]        slab = ref >>> 21, byte offset = (ref & 0x1fffff) << 3
 *
 * The first slab starts small and doubles, copied, up to 1 MB, so that a small collection with an arena of
 * its own costs a small arena; the following ones are as large as all before them, up to 16 MB, and cost
 * memory only where they are written. 2,048 slabs bound an arena to 32 GB. Ref 0 is never given out and
 * means "none".
 *
 * Freed blocks go to a list per size class (every 8 bytes up to 1 KB, then eight classes a doubling); there
 * is no compaction: a store that shrinks returns its memory when its arena is dropped whole.
 *
 * Beware: `alloc` may move the first slab while it is still growing. Read `slabs`/`words` again after it.
 */
export type Ref = number

const SLAB_BITS = 24
export const SLAB_BYTES = 1 << SLAB_BITS
export const UNIT_BITS = 21
/** The first slab grows, by being copied, up to here. */
const FIRST_SLAB_BYTES_MAX = 1 << 20
export const UNIT_MASK = (1 << UNIT_BITS) - 1
const SMALL_LIMIT = 1024
const SMALL_CLASSES = SMALL_LIMIT / 8 + 1
const CLASSES = SMALL_CLASSES + 8 * 10
const SLABS_MAX = 1 << 11

/** The largest block; what is larger gets a Buffer of its own. */
export const BLOCK_BYTES_MAX = FIRST_SLAB_BYTES_MAX / 8

class ArenaFullError extends Error {
  constructor() {
    super('the arena is full at 32 GB; spread the keys over several servers')
  }
}

export class Arena {
  /** Slab i as bytes, and over the same memory as 32-bit words and as a DataView (see Slice.copyTo). */
  readonly slabs: Buffer[] = []
  readonly words: Int32Array[] = []
  readonly views: DataView[] = []
  /** Bytes in blocks that are in use, and bytes reserved from the system. */
  usedBytes = 0
  reservedBytes = 0
  /** No block was ever freed: the blocks can be walked one after the other, as they lie in memory. */
  isGapless = true
  #free = new Uint32Array(CLASSES)
  /** How far the slabs before the last one are filled. */
  readonly #fills: number[] = []
  #slab = -1
  #next = 0
  #end = 0

  /** `firstBytes`: the size of the first slab, a power of two. */
  constructor(firstBytes = 1024) {
    this.#addSlab(firstBytes)
    this.#next = 8
  }

  /** A block of at least `bytes` (1 to BLOCK_BYTES_MAX); its content is undefined. */
  alloc(bytes: number): Ref {
    let size: number
    let list: number
    if (bytes <= SMALL_LIMIT) {
      size = (bytes + 7) & ~7
      list = size >>> 3
    } else {
      list = largeClass(bytes)
      size = classBytes(list)
    }
    const ref = this.#free[list]
    if (ref !== 0) {
      this.usedBytes += size
      this.#free[list] = this.words[ref >>> UNIT_BITS][(ref & UNIT_MASK) << 1]
      return ref
    }
    // May throw: nothing has been changed yet.
    if (this.#next + size > this.#end) this.#grow(size)
    this.usedBytes += size
    const offset = this.#next
    this.#next = offset + size
    return ((this.#slab << UNIT_BITS) | (offset >>> 3)) >>> 0
  }

  /** Gives a block back; `bytes` is what it was asked for with. */
  free(ref: Ref, bytes: number): void {
    const list = bytes <= SMALL_LIMIT ? (bytes + 7) >>> 3 : largeClass(bytes)
    this.usedBytes -= list < SMALL_CLASSES ? list << 3 : classBytes(list)
    this.words[ref >>> UNIT_BITS][(ref & UNIT_MASK) << 1] = this.#free[list]
    this.#free[list] = ref
    this.isGapless = false
  }

  /** Where the blocks of a slab begin and end, in bytes: while `isGapless` they fill it without a gap. */
  blocksFrom(slab: number): number {
    return slab === 0 ? 8 : 0
  }

  blocksTo(slab: number): number {
    return slab === this.#slab ? this.#next : this.#fills[slab]
  }

  /** Whether a block of `have` bytes can hold `want` without waste of a class. */
  sameClass(have: number, want: number): boolean {
    return blockBytes(have) === blockBytes(want)
  }

  #grow(size: number): void {
    const last = this.#slab
    if (last === 0 && this.slabs[0].length < FIRST_SLAB_BYTES_MAX) {
      let bytes = this.slabs[0].length
      while (bytes < this.#next + size && bytes < FIRST_SLAB_BYTES_MAX) bytes *= 2
      if (bytes > this.slabs[0].length) {
        const old = this.slabs[0]
        const memory = new ArrayBuffer(bytes)
        this.reservedBytes += bytes - old.length
        this.slabs[0] = Buffer.from(memory)
        this.words[0] = new Int32Array(memory)
        this.views[0] = new DataView(memory)
        old.copy(this.slabs[0], 0, 0, this.#next)
        this.#end = bytes
        if (this.#next + size <= bytes) return
      }
    }
    this.#addSlab(Math.min(SLAB_BYTES, Math.max(FIRST_SLAB_BYTES_MAX, this.reservedBytes)))
  }

  #addSlab(bytes: number): void {
    if (this.slabs.length === SLABS_MAX) throw new ArenaFullError()
    // May throw: nothing has been changed yet.
    const memory = new ArrayBuffer(bytes)
    this.slabs.push(Buffer.from(memory))
    this.words.push(new Int32Array(memory))
    this.views.push(new DataView(memory))
    if (this.#slab >= 0) this.#fills.push(this.#next)
    this.reservedBytes += bytes
    this.#slab = this.slabs.length - 1
    this.#next = 0
    this.#end = bytes
  }
}

/** What a block asked for with `bytes` really takes. */
export function blockBytes(bytes: number): number {
  return bytes <= SMALL_LIMIT ? (bytes + 7) & ~7 : classBytes(largeClass(bytes))
}

function largeClass(bytes: number): number {
  const exponent = 31 - Math.clz32(bytes - 1)
  const step = ((bytes - 1) >>> (exponent - 3)) & 7
  return SMALL_CLASSES + (exponent - 10) * 8 + step
}

function classBytes(list: number): number {
  const large = list - SMALL_CLASSES
  const exponent = (large >>> 3) + 10
  return (9 + (large & 7)) << (exponent - 3)
}
