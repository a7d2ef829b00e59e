/**
 * Whether two values are the same, however they are encoded: a digest that does not depend on the order of
 * fields and members, on packing or on compression.
 */
import { createHash } from 'node:crypto'
import { lpFirst, lpGet, lpIsEnd, lpNext } from '../../protocol/rdb/listpack.js'
import { intsetAt, intsetCount } from '../../protocol/rdb/intset.js'
import { parseScore } from '../../protocol/rdb/score.js'
import { encodePayload } from '../../protocol/rdb/encode.js'
import type { TableSource, Value } from '../../protocol/rdb/value.js'
import { Slice } from '../../protocol/slice.js'

/** A hexadecimal digest: equal for equal values. Walks the whole value. */
export function valueDigest(value: Value): string {
  switch (value.type) {
    case 'string':
      return sha1([value.bytes]).toString('hex')
    case 'list':
      return listDigest(value)
    case 'stream':
      return sha1([encodePayload(value)]).toString('hex')
    default:
      return unorderedDigest(value)
  }
}

function listDigest(value: Extract<Value, { type: 'list' }>): string {
  const hash = createHash('sha1')
  const element = new Slice()
  const add = (slice: Slice): void => void hash.update(`${slice.length}:`).update(slice.view())
  if (value.encoding === 'table') while (value.table.next()) add(value.table.first)
  else
    for (const node of value.nodes) {
      if (!node.packed) add(element.set(node.data, 0, node.data.length))
      else for (let at = lpFirst(node.data, 0); !lpIsEnd(node.data, at); at = lpNext(node.data, at)) add(lpGet(node.data, at, element))
    }
  return hash.digest('hex')
}

/** XOR of the digests of the elements: the order does not matter. */
function unorderedDigest(value: Extract<Value, { type: 'set' | 'hash' | 'zset' }>): string {
  const sum = Buffer.alloc(20)
  const add = (...parts: Buffer[]): void => {
    const digest = sha1(parts)
    for (let i = 0; i < 20; i++) sum[i] ^= digest[i]
  }
  if (value.encoding === 'table') addTable(value.type, value.table, add)
  else if (value.encoding === 'intset')
    for (let i = 0; i < intsetCount(value.blob, 0); i++) add(Buffer.from(String(intsetAt(value.blob, 0, i))))
  else addPacked(value.type, value.blob, add)
  return sum.toString('hex')
}

function addTable(type: string, table: TableSource, add: (...parts: Buffer[]) => void): void {
  while (table.next()) {
    if (type === 'set') add(table.first.view())
    else add(table.first.view(), type === 'hash' ? table.second.view() : scoreBytes(table.score))
  }
}

function addPacked(type: string, blob: Buffer, add: (...parts: Buffer[]) => void): void {
  const first = new Slice()
  const second = new Slice()
  for (let at = lpFirst(blob, 0); !lpIsEnd(blob, at); at = lpNext(blob, at)) {
    lpGet(blob, at, first)
    if (type === 'set') {
      add(first.view())
      continue
    }
    at = lpNext(blob, at)
    lpGet(blob, at, second)
    add(first.view(), type === 'hash' ? second.view() : scoreBytes(parseScore(second)))
  }
}

function scoreBytes(score: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeDoubleLE(score === 0 ? 0 : score)
  return bytes
}

function sha1(parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest()
}
