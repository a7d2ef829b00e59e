/**
 * What is checked of a RESTORE payload while its bytes arrive, so that the last one does not cost the time of all: the
 * checksum, and most of the deep check of a large table. Whoever verifies the payload then (payload.ts, table.ts)
 * finds both under its buffer; what is not there is done as if nothing had been.
 */
import { arrivedChecksums, Crc64 } from '../crc64.js'
import { RdbError } from './error.js'
import { RDB_VERSION } from './payload.js'
import { TableReader } from './table.js'
import { arrivedWalks, TableWalk } from './table-walk.js'

/** Where a payload's own checksum stands. */
const CHECKSUM_BYTES = 8
/** The check of a table begins when so much is there. */
const WALK_BYTES_MIN = 65536

export class PayloadArrival {
  readonly #sum = new Crc64()
  #summed = 0
  #walk: TableWalk | undefined
  #isWalkDue = true

  /** `buf`: where the payload is collected, exactly as large as it. */
  constructor(readonly buf: Buffer) {}

  /** The bytes before `end` are there. */
  take(end: number): void {
    const { buf } = this
    const until = Math.min(end, buf.length - CHECKSUM_BYTES)
    if (until > this.#summed) {
      this.#sum.update(buf, this.#summed, until)
      this.#summed = until
    }
    if (this.#isWalkDue && end >= WALK_BYTES_MIN) {
      this.#isWalkDue = false
      this.#walk = walkOf(buf)
    }
    if (this.#walk?.advance(end) === false) this.#walk = undefined
  }

  /** All bytes are there. */
  finish(): void {
    arrivedChecksums.set(this.buf, this.#sum)
    if (this.#walk !== undefined) arrivedWalks.set(this.buf, this.#walk)
  }
}

function walkOf(buf: Buffer): TableWalk | undefined {
  const [type] = buf
  if (!TableWalk.knows(type)) return undefined
  try {
    const { position, count } = new TableReader(type, buf, 1, buf.length, RDB_VERSION)
    return TableWalk.begin(type, buf, position, buf.length, count)
  } catch (error) {
    // A corrupt head: the verdict comes when all of it is there.
    if (error instanceof RdbError) return undefined
    throw error
  }
}
