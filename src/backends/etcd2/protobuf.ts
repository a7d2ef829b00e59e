/**
 * Reads protocol buffers, as much of them as etcd's files hold: varints, bytes, and the fixed widths to pass over.
 *
 *     tag varint (field << 3 | wire), then: wire 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes
 *
 * Every length is checked before it is used; a malformed message is a ProtobufError with the position in it.
 */
import { plural } from '../../transfer/plural.js'

/** A message that is not one. */
export class ProtobufError extends Error {
  constructor(problem: string, at: number) {
    super(`${problem} at byte ${at} of the message`)
    this.name = 'ProtobufError'
  }
}

/** Walks over the fields of one message: `next`, then exactly one of the reading methods. */
export class FieldReader {
  field = 0
  wire = 0
  #at = 0

  constructor(readonly bytes: Buffer) {}

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.#at >= this.bytes.length) return false
    const tag = this.#varint()
    this.field = Math.floor(tag / 8)
    this.wire = tag % 8
    if (this.field === 0) throw new ProtobufError('field number 0', this.#at)
    return true
  }

  /** An unsigned number; above 2^53 only near it. */
  number(): number {
    this.#expect(0)
    return this.#varint()
  }

  boolean(): boolean {
    return this.number() !== 0
  }

  /** An unsigned 64-bit number, exact. */
  uint64(): bigint {
    this.#expect(0)
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new ProtobufError('a number of more than ten bytes', this.#at)
  }

  /** A signed 64-bit number, exact. */
  int64(): bigint {
    return BigInt.asIntN(64, this.uint64())
  }

  /** Bytes, as a part of the message. */
  slice(): Buffer {
    this.#expect(2)
    const length = this.#varint()
    const end = this.#at + length
    if (end > this.bytes.length) throw new ProtobufError(`a field of ${length} ${plural(length, 'byte')} goes beyond the end`, this.#at)
    const slice = this.bytes.subarray(this.#at, end)
    this.#at = end
    return slice
  }

  /** Bytes as a string of one character per byte. */
  latin1(): string {
    return this.slice().latin1Slice()
  }

  /** Passes over a field that nobody wants. */
  skip(): void {
    if (this.wire === 0) this.#varint()
    else if (this.wire === 2) this.slice()
    else if (this.wire === 1 || this.wire === 5) {
      this.#at += this.wire === 1 ? 8 : 4
      if (this.#at > this.bytes.length) throw new ProtobufError('a field goes beyond the end', this.#at)
    } else throw new ProtobufError(`wire type ${this.wire}`, this.#at)
  }

  #expect(wire: number): void {
    if (this.wire !== wire) throw new ProtobufError(`field ${this.field} has wire type ${this.wire} instead of ${wire}`, this.#at)
  }

  #byte(): number {
    if (this.#at >= this.bytes.length) throw new ProtobufError('ends within a field', this.#at)
    return this.bytes[this.#at++]
  }

  #varint(): number {
    let value = 0
    let weight = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * weight
      if (byte < 0x80) return value
      weight *= 128
    }
    throw new ProtobufError('a number of more than ten bytes', this.#at)
  }
}
