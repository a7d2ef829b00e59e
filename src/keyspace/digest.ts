/**
 * Whether two values are the same, however they are encoded: a digest that does not depend on the order of
 * fields and members, on packing or on compression. It is Valkey's (DEBUG DIGEST-VALUE): 20 bytes that SHA-1 is
 * folded into in two ways:
 *
 *     mix(digest, bytes)   digest = sha1(digest ^ sha1(bytes))     the order of calls matters
 *     xor(digest, bytes)   digest = digest ^ sha1(bytes)           it does not
 *
 *     string       mix bytes
 *     list         mix each element
 *     set          xor each member
 *     hash         xor mix(mix(0, field), value)
 *     sorted set   xor mix(mix(0, member), score in its shortest digits)
 */
import { MAX_NUMBER_TEXT, writeShortest } from '../../protocol/number.js'
import { encodePayload } from '../../protocol/rdb/encode.js'
import { intsetCount, intsetGet } from '../../protocol/rdb/intset.js'
import { lpFirst, lpGet, lpIsEnd, lpNext } from '../../protocol/rdb/listpack.js'
import { parseScore } from '../../protocol/rdb/score.js'
import type { ListValue, TableSource, Value } from '../../protocol/rdb/value.js'
import { sha1, sha1OfDigest, SHA1_WORDS } from '../../protocol/sha1.js'
import { Slice } from '../../protocol/slice.js'

const hash = new Int32Array(SHA1_WORDS)
const first = Slice.scratch()
const second = Slice.scratch()
const text = Buffer.alloc(MAX_NUMBER_TEXT)

export class Digest {
  readonly words = new Int32Array(SHA1_WORDS)

  /** Folds in bytes whose place among others does not matter. */
  xor(bytes: Slice): void {
    sha1(bytes.buf, bytes.start, bytes.end, hash)
    this.#xorHash()
  }

  /** `xor` of the bytes of another digest. */
  xorDigest(other: Digest): void {
    hash.set(other.words)
    sha1OfDigest(hash)
    this.#xorHash()
  }

  #xorHash(): void {
    for (let i = 0; i < SHA1_WORDS; i++) this.words[i] ^= hash[i]
  }

  /** Folds in bytes that come after what is in there already. */
  mix(bytes: Slice): void {
    this.xor(bytes)
    sha1OfDigest(this.words)
  }

  get hex(): string {
    return [...this.words].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }
}

/** A hexadecimal digest: equal for equal values. Walks the whole value. */
export function valueDigest(value: Value): string {
  const digest = new Digest()
  digest.mix(Slice.from(value.type))
  if (value.type === 'stream') digest.mix(new Slice(encodePayload(value)))
  else mixElements(digest, value)
  return digest.hex
}

/** Folds in what a value holds, as Valkey does. A stream has more to it than elements. */
export function mixElements(digest: Digest, value: Exclude<Value, { type: 'stream' }>): void {
  if (value.type === 'string') digest.mix(new Slice(value.bytes))
  else if (value.type === 'list') mixList(digest, value)
  else if (value.encoding === 'table') mixTable(digest, value.type, value.table)
  else if (value.encoding === 'intset')
    for (let i = 0; i < intsetCount(value.blob, 0); i++) digest.xor(intsetGet(value.blob, 0, i, first, text))
  else mixPacked(digest, value.type, value.blob, value.encoding === 'listpack-ttl')
}

function mixList(digest: Digest, value: ListValue): void {
  if (value.encoding === 'table') {
    while (value.table.next()) digest.mix(value.table.first)
    return
  }
  for (const { packed, data } of value.nodes) {
    if (!packed) digest.mix(first.set(data, 0, data.length))
    else for (let at = lpFirst(data, 0); !lpIsEnd(data, at); at = lpNext(data, at)) digest.mix(lpGet(data, at, first))
  }
}

type Unordered = 'set' | 'hash' | 'zset'

function mixTable(digest: Digest, type: Unordered, table: TableSource): void {
  while (table.next()) {
    if (type === 'set') digest.xor(table.first)
    else xorPair(digest, table.first, type === 'hash' ? table.second : scoreText(table.score))
  }
}

function mixPacked(digest: Digest, type: Unordered, blob: Buffer, hasTimes: boolean): void {
  for (let at = lpFirst(blob, 0); !lpIsEnd(blob, at); at = lpNext(blob, at)) {
    lpGet(blob, at, first)
    if (type === 'set') {
      digest.xor(first)
      continue
    }
    at = lpNext(blob, at)
    lpGet(blob, at, second)
    xorPair(digest, first, type === 'hash' ? second : scoreText(parseScore(second)))
    if (hasTimes) at = lpNext(blob, at)
  }
}

const pair = new Digest()

function xorPair(digest: Digest, name: Slice, value: Slice): void {
  pair.words.fill(0)
  pair.mix(name)
  pair.mix(value)
  digest.xorDigest(pair)
}

function scoreText(score: number): Slice {
  return second.set(text, 0, writeShortest(score, text, 0))
}
