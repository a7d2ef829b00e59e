/** The rows of a hash listpack with expiries (field, value, expiry) as a table. */
import { Slice } from '../slice.js'
import { LP_HEADER, lpCount, lpGet, lpGetInteger, lpIsEnd, lpNext } from './listpack.js'
import type { TableSource } from './value.js'

export class TripleSource implements TableSource {
  readonly count: number
  readonly hasExpiry = true
  readonly first = new Slice()
  readonly second = new Slice()
  readonly score = 0
  expireMs = -1
  private readonly blob: Buffer
  private readonly firstScratch = Buffer.allocUnsafeSlow(24)
  private readonly secondScratch = Buffer.allocUnsafeSlow(24)
  private pos = LP_HEADER

  /** `blob` is a checked listpack of triples, as in `HashValue` of encoding `listpack-ttl`. */
  constructor(blob: Buffer) {
    this.blob = blob
    this.count = lpCount(blob, 0) / 3
  }

  next(): boolean {
    const { blob } = this
    if (lpIsEnd(blob, this.pos)) return false
    lpGet(blob, this.pos, this.first, this.firstScratch)
    const value = lpNext(blob, this.pos)
    lpGet(blob, value, this.second, this.secondScratch)
    const expiry = lpNext(blob, value)
    const expireMs = lpGetInteger(blob, expiry)
    this.expireMs = expireMs === 0 ? -1 : expireMs
    this.pos = lpNext(blob, expiry)
    return true
  }

  rewind(): void {
    this.pos = LP_HEADER
  }
}
