/**
 * LCS: the longest common subsequence of two strings, by the table of lengths
 *
 *     length(i, j) = a[i-1] = b[j-1] ?  length(i-1, j-1) + 1  :  max(length(i-1, j), length(i, j-1))
 *
 * walked back from its far corner. The walk needs of each cell only whether the maximum was the one above, so
 * two rows of lengths and one bit a cell are kept instead of four bytes a cell: 16 MB for the largest strings
 * that Valkey takes, which refuses a table (of four bytes a cell) above `proto-max-bulk-len`. A request for
 * the length alone keeps no bits.
 */
import { command, keys } from '../src/engine/command.js'
import type { Call } from '../src/engine/call.js'
import { replyError, SYNTAX } from '../src/errors.js'
import type { Ref } from '../src/keyspace/arena.js'
import { STRING } from '../src/keyspace/types.js'
import { Slice } from '../protocol/slice.js'

const NOT_STRINGS = replyError('ERR The specified keys must contain string values')
const LEN_AND_IDX = replyError('ERR If you want both the length and indexes, please just use IDX.')
const TOO_LARGE = replyError('ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len')

const UP = 1

interface LcsTable {
  /** One bit a cell, row by row: go up from here when the bytes differ. Undefined when not asked for. */
  readonly bits: Uint8Array | undefined
  /** Length of the longest common subsequence. */
  readonly length: number
}

/** Calculates the table; `keepBits` for a walk back. */
function lcsTable(a: Buffer, b: Buffer, keepBits: boolean): LcsTable {
  const columns = b.length
  const bits = keepBits ? new Uint8Array(Math.ceil((a.length * columns) / 8)) : undefined
  let above = new Uint32Array(columns + 1)
  let row = new Uint32Array(columns + 1)
  let cell = 0
  for (let i = 0; i < a.length; i++) {
    const byte = a[i]
    let left = 0
    for (let j = 0; j < columns; j++, cell++) {
      const up = above[j + 1]
      if (b[j] === byte) left = above[j] + 1
      else if (up > left) {
        left = up
        if (bits !== undefined) bits[Math.floor(cell / 8)] |= UP << (cell & 7)
      }
      row[j + 1] = left
    }
    const swap = above
    above = row
    row = swap
  }
  return { bits, length: above[columns] }
}

/** Tells every run of bytes that both strings share on the walk back: inclusive ends in `a` and in `b`. */
function walkBack(
  a: Buffer, b: Buffer, bits: Uint8Array, visit: (startA: number, endA: number, startB: number, endB: number) => void,
): void {
  let i = a.length
  let j = b.length
  while (i > 0 && j > 0) {
    const endA = i - 1
    const endB = j - 1
    while (i > 0 && j > 0 && a[i - 1] === b[j - 1]) {
      i--
      j--
    }
    if (i <= endA) visit(i, endA, j, endB)
    if (i === 0 || j === 0) return
    const cell = (i - 1) * b.length + (j - 1)
    if (((bits[Math.floor(cell / 8)] >> (cell & 7)) & UP) !== 0) i--
    else j--
  }
}

function stringOf(call: Call, ref: Ref): Buffer {
  return ref === 0 ? Buffer.alloc(0) : call.db.bytesOf(ref, new Slice()).view()
}

/** LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN] */
export const lcs = command({
  name: 'lcs', arity: -3, flags: 'readonly', acl: 'string', keys: [keys(1, 1, 1, 'RO ACCESS')],
  group: 'string', since: '7.0.0', complexity: 'O(N*M) where N and M are the lengths of the strings.',
  syntax: 'key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]',
  summary: 'Finds the longest common subsequence of two strings.',
}, (call) => {
  const { args, db, reply } = call
  const first = db.lookupRead(args.at(1))
  const second = db.lookupRead(args.at(2))
  if ((first !== 0 && db.typeOf(first) !== STRING) || (second !== 0 && db.typeOf(second) !== STRING)) throw NOT_STRINGS
  let wantsIndexes = false
  let wantsLength = false
  let withLengths = false
  let minLength = 0
  for (let i = 3; i < args.count; i++) {
    if (args.is(i, 'idx')) wantsIndexes = true
    else if (args.is(i, 'len')) wantsLength = true
    else if (args.is(i, 'withmatchlen')) withLengths = true
    else if (args.is(i, 'minmatchlen') && i + 1 < args.count) minLength = args.integer(++i)
    else throw SYNTAX
  }
  if (wantsIndexes && wantsLength) throw LEN_AND_IDX
  const a = stringOf(call, first)
  const b = stringOf(call, second)
  if (4 * (a.length + 1) * (b.length + 1) > call.config.protoMaxBulkLen) throw TOO_LARGE
  const { bits, length } = lcsTable(a, b, !wantsLength)
  if (bits === undefined) return reply.integer(length)
  if (wantsIndexes) return replyIndexes(call, a, b, bits, length, minLength, withLengths)
  const text = Buffer.allocUnsafeSlow(length)
  let at = length
  walkBack(a, b, bits, (start, end) => {
    at -= end + 1 - start
    a.copy(text, at, start, end + 1)
  })
  reply.bulkRange(text, 0, length)
})

function replyIndexes(
  call: Call, a: Buffer, b: Buffer, bits: Uint8Array, length: number, minLength: number, withLengths: boolean,
): void {
  const { reply } = call
  reply.map(2)
  reply.bulkText('matches')
  const mark = reply.begin()
  let runs = 0
  walkBack(a, b, bits, (startA, endA, startB, endB) => {
    const run = endA - startA + 1
    if (run < minLength) return
    runs++
    reply.array(withLengths ? 3 : 2)
    reply.array(2)
    reply.integer(startA)
    reply.integer(endA)
    reply.array(2)
    reply.integer(startB)
    reply.integer(endB)
    if (withLengths) reply.integer(run)
  })
  reply.endArray(mark, runs)
  reply.bulkText('len')
  reply.integer(length)
}
