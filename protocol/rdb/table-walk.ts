/**
 * The deep check of a table in WebAssembly, several times as fast as in JavaScript: table-walk.wat walks the
 * elements in a window that the payload is copied into piece by piece, notes the keys' hashes, and looks for
 * equal ones at the end.
 *
 * It knows only what is common (sets, hashes and sorted sets whose keys are written as servers write them, two
 * million at most) and its only verdict is `sound`. Everything else, corrupt or merely unusual, it leaves to
 * the check in JavaScript, which is also what there is without WebAssembly (`node --jitless`).
 *
 * Each check that is under way has a memory of its own. One of moderate size is kept for the next check; larger
 * ones are left to the collector.
 */
import { key0, key1 } from './duplicates.js'
import { TYPE } from './payload.js'
import { TABLE_WALK_WASM } from './table-walk-wasm.js'

/** Fewer are as soon checked in JavaScript. */
const FEWEST = 16
/** The hashes of more would take more than 14 MB. */
const MOST = 1 << 21
/** A part has at most so many keys on average; so there are at most 256 parts, of at most 16384 slots. */
const PART_KEYS = 8192
const HASH_BYTES = 6
/** Addresses in the module's memory; table-walk.wat draws the map. */
const POSITION_WORD = 2
const WINDOW_AT = 0x100
const CURSORS_AT = 0x10000
const ENDS_AT = 0x10400
const PARTS_AT = 0x20800
/** Room is left behind the window for the bytes that are read and masked out. */
const WINDOW_SIZE = CURSORS_AT - WINDOW_AT - 16
const PAGE_BYTES = 0x10000
/** A memory of up to this size is kept. */
const KEEP_BYTES = 1 << 20
/** What follows the key, as table-walk.wat counts them. */
const KINDS: Readonly<Record<number, number>> = { [TYPE.SET]: 0, [TYPE.HASH]: 1, [TYPE.ZSET]: 2 }

interface Walker {
  memory: WebAssembly.Memory
  walk(at: number, end: number, left: number, kind: number, partMask: number): number
  settle(at: number, end: number, slotMask: number): number
}

/** `undefined`: not tried yet; `null`: this process has no WebAssembly. */
let module: WebAssembly.Module | null | undefined
let kept: Walker | undefined

/** Checks that were begun while their bytes arrived, by the buffer. */
export const arrivedWalks = new WeakMap<Buffer, TableWalk>()

/** `sound`: all elements are, and no key is there twice. `unsettled`: somebody else has to look. */
export type WalkResult = 'more' | 'sound' | 'unsettled'

/** One check under way. */
export class TableWalk {
  /** Position after the element last taken. */
  position: number
  private left: number
  /** Which part of the payload is in the window. */
  private windowStart = 0
  private windowEnd = 0
  /** Whether the window may hold the element at `position`: not when the last walk stopped there for want of bytes. */
  private holdsElement = false
  private readonly window: Uint8Array
  private readonly words: Int32Array
  private readonly cursors: Uint32Array
  private readonly parts: number
  private readonly partBytes: number
  private readonly slots: number
  private settled = 0
  private isOver = false
  /** How far the bytes are there. */
  private available: number

  private constructor(
    private readonly walker: Walker,
    private readonly kind: number,
    private readonly buf: Buffer,
    private readonly start: number,
    private readonly end: number,
    count: number,
    shape: Shape,
  ) {
    this.position = start
    this.available = end
    this.left = count
    this.parts = shape.parts
    this.partBytes = shape.partBytes
    this.slots = shape.slots
    const { buffer } = walker.memory
    this.window = new Uint8Array(buffer, WINDOW_AT, WINDOW_SIZE)
    this.words = new Int32Array(buffer, 0, POSITION_WORD + 1)
    this.words[0] = key0
    this.words[1] = key1
    this.cursors = new Uint32Array(buffer, CURSORS_AT, this.parts)
    const ends = new Uint32Array(buffer, ENDS_AT, this.parts)
    for (let part = 0; part < this.parts; part++) {
      this.cursors[part] = PARTS_AT + part * this.partBytes
      ends[part] = this.cursors[part] + shape.partKeys * HASH_BYTES
    }
  }

  /**
   * Starts the check of `count` elements in `buf[start..end)`; `undefined` when this table or this process is
   * not one for it. The caller has compared the count with the bytes that are there.
   */
  static begin(type: number, buf: Buffer, start: number, end: number, count: number): TableWalk | undefined {
    if (!TableWalk.knows(type) || count < FEWEST || count > MOST) return undefined
    const shape = shapeFor(count)
    const walker = walkerOf(PARTS_AT + shape.parts * shape.partBytes)
    return walker && new TableWalk(walker, KINDS[type], buf, start, end, count, shape)
  }

  /** Whether tables of this type are walked. */
  static knows(type: number): boolean {
    return type in KINDS
  }

  /** The bytes before `available` are there: takes what fills windows. False when somebody else has to look. */
  advance(available: number): boolean {
    this.available = available
    return this.left === 0 || this.step(this.left) === 'more'
  }

  /** Goes on with a check of these elements that has come this far: the bytes are all there now. */
  resume(type: number, start: number, end: number): this | undefined {
    if (this.kind !== KINDS[type] || this.start !== start || this.end !== end) return undefined
    this.available = end
    return this
  }

  /** Takes up to `elements` more. After anything but `more` the check is over. */
  step(elements: number): WalkResult {
    let due = Math.min(elements, this.left)
    const rest = elements - due
    this.left -= due
    while (due > 0) {
      // Beyond the window after a long value, or before its end where an element is cut.
      if (this.position >= this.windowEnd || !this.holdsElement) {
        if (this.available < Math.min(this.end, this.position + WINDOW_SIZE)) {
          this.left += due
          return 'more'
        }
        this.fill()
      }
      const from = WINDOW_AT + this.position - this.windowStart
      const still = this.walker.walk(from, WINDOW_AT + this.windowEnd - this.windowStart, due, this.kind, this.parts - 1)
      if (still < 0) return this.finish('unsettled')
      this.position = this.windowStart + this.words[POSITION_WORD] - WINDOW_AT
      this.holdsElement = still === 0
      // The bytes are not enough, or one key is more than a window.
      if (this.position > this.end) return this.finish('unsettled')
      if (still > 0 && (this.windowEnd === this.end || (still === due && from === WINDOW_AT))) return this.finish('unsettled')
      due = still
    }
    return this.left > 0 ? 'more' : this.settle(rest)
  }

  private fill(): void {
    const { buf, position, end } = this
    this.windowStart = position
    this.windowEnd = Math.min(end, position + WINDOW_SIZE)
    this.window.set(buf.subarray(position, this.windowEnd))
  }

  /** Looks for equal keys in parts with about `keys` keys. */
  private settle(keys: number): WalkResult {
    for (let left = keys; left > 0 && this.settled < this.parts; this.settled++) {
      const from = PARTS_AT + this.settled * this.partBytes
      const until = this.cursors[this.settled]
      if (this.walker.settle(from, until, this.slots - 1) === 0) return this.finish('unsettled')
      left -= (until - from) / HASH_BYTES
    }
    return this.settled < this.parts ? 'more' : this.finish('sound')
  }

  private finish(result: WalkResult): WalkResult {
    if (!this.isOver && this.walker.memory.buffer.byteLength <= KEEP_BYTES) kept = this.walker
    this.isOver = true
    return result
  }
}

interface Shape {
  parts: number
  /** Room of a part. */
  partKeys: number
  partBytes: number
  slots: number
}

function shapeFor(count: number): Shape {
  let parts = 1
  while (parts * PART_KEYS < count) parts *= 2
  const average = Math.ceil(count / parts)
  // Six standard deviations more than the average: chance alone practically never fills a part.
  const partKeys = parts === 1 ? count : Math.ceil(average + 6 * Math.sqrt(average))
  let slots = 32
  while (slots < 1.5 * average) slots *= 2
  return { parts, partKeys, partBytes: (partKeys * HASH_BYTES + 9) & -8, slots }
}

/** A walker with so many bytes of memory; `undefined` when there is no WebAssembly, or no memory for it. */
function walkerOf(bytes: number): Walker | undefined {
  if (module === undefined) module = compile()
  if (module === null) return undefined
  try {
    let walker: Walker | undefined
    if (bytes <= KEEP_BYTES) {
      walker = kept
      kept = undefined
    }
    walker ??= new WebAssembly.Instance(module).exports as unknown as Walker
    const missing = bytes - walker.memory.buffer.byteLength
    if (missing > 0) walker.memory.grow(Math.ceil(missing / PAGE_BYTES))
    return walker
  } catch {
    return undefined
  }
}

function compile(): WebAssembly.Module | null {
  if (typeof WebAssembly === 'undefined') return null
  return new WebAssembly.Module(Buffer.from(TABLE_WALK_WASM, 'base64'))
}
