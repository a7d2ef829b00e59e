/** Value types and their encodings: Redis' own numbers, so that they fit four bits each of a record. */
export const STRING = 0
export const LIST = 1
export const SET = 2
export const ZSET = 3
export const HASH = 4
export const STREAM = 6

export type ValueType = 0 | 1 | 2 | 3 | 4 | 6

export const RAW = 0
export const INT = 1
export const HASHTABLE = 2
export const INTSET = 6
export const SKIPLIST = 7
export const EMBSTR = 8
export const QUICKLIST = 9
export const STREAM_TREE = 10
export const LISTPACK = 11

export type Encoding = 0 | 1 | 2 | 6 | 7 | 8 | 9 | 10 | 11

/** What TYPE answers. */
export const TYPE_NAMES: Record<number, string> = {
  [STRING]: 'string',
  [LIST]: 'list',
  [SET]: 'set',
  [ZSET]: 'zset',
  [HASH]: 'hash',
  [STREAM]: 'stream',
}

/** What OBJECT ENCODING answers. */
export const ENCODING_NAMES: Record<number, string> = {
  [RAW]: 'raw',
  [INT]: 'int',
  [HASHTABLE]: 'hashtable',
  [INTSET]: 'intset',
  [SKIPLIST]: 'skiplist',
  [EMBSTR]: 'embstr',
  [QUICKLIST]: 'quicklist',
  [STREAM_TREE]: 'stream',
  [LISTPACK]: 'listpack',
}

/** Values of these encodings are one run of bytes; the others are objects. */
export function isBytesEncoding(encoding: number): boolean {
  return encoding === RAW || encoding === INT || encoding === EMBSTR || encoding === INTSET || encoding === LISTPACK
}

/**
 * What a value too large to be packed is held as: one class per type, in `hash.ts`, `set.ts`, `list.ts`,
 * `zset.ts`, `stream.ts`. These are the members that code which treats all types alike relies on.
 */
export interface LargeValue {
  /** Elements: fields, members, list elements, stream entries. */
  readonly size: number
  /** Approximate bytes it occupies. */
  readonly bytes: number
  /** A deep copy, for COPY. */
  clone(): LargeValue
  /** Readies the elements that commands are about to ask for: word 2 of each. */
  approach?(buf: Buffer, bounds: Int32Array, count: number): void
}
