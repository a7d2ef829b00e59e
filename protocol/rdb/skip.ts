/**
 * Finds where a value ends without looking deeper than its lengths: how a file is cut into keys whose bodies
 * are decoded later, or never.
 */
import { RdbError } from './error.js'
import type { RdbInput } from './input.js'
import { TYPE, familyOf, readerKnows } from './payload.js'
import { skipString } from './string.js'

const MODULE_END = 0
const MODULE_FLOAT = 3
const MODULE_DOUBLE = 4
const MODULE_STRING = 5

/** Moves `input` past the body of a value of this type. Throws RdbError. */
export function skipBody(input: RdbInput, type: number, version: number): void {
  if (!readerKnows(version, type)) throw new RdbError(`unknown type ${type}`, 'unsupported')
  switch (type) {
    case TYPE.LIST:
    case TYPE.SET:
    case TYPE.LIST_QUICKLIST:
      return skipStrings(input, input.count(1))
    case TYPE.HASH:
      return skipStrings(input, 2 * input.count(2))
    case TYPE.ZSET:
      return skipEach(input, input.count(9), skipScored)
    case TYPE.ZSET_TEXT:
      return skipEach(input, input.count(2), skipTextScored)
    case TYPE.LIST_QUICKLIST_2:
      return skipEach(input, input.count(2), skipContained)
    case TYPE.STREAM_1:
    case TYPE.STREAM_2:
    case TYPE.STREAM_3:
      return skipStream(input, type)
    case TYPE.HASH_TTL_VALKEY:
      return skipEach(input, input.count(3), familyOf(version) === 'valkey' ? skipExpiring : skipRelative)
    case TYPE.HASH_TTL:
      input.take(8)
      return skipEach(input, input.count(3), skipRelative)
    case TYPE.HASH_LISTPACK_TTL:
      input.take(8)
      return skipString(input)
    case TYPE.MODULE_2:
      input.length64()
      return skipModuleValues(input)
    default:
      return skipString(input)
  }
}

/** Moves past the values of a module up to and with the end mark. */
export function skipModuleValues(input: RdbInput): void {
  for (;;) {
    const opcode = input.length()
    if (opcode === MODULE_END) return
    if (opcode === MODULE_FLOAT) input.take(4)
    else if (opcode === MODULE_DOUBLE) input.take(8)
    else if (opcode === MODULE_STRING) skipString(input)
    else if (opcode < MODULE_FLOAT) input.length64()
    else throw new RdbError('unknown part of a module value')
  }
}

function skipStrings(input: RdbInput, count: number): void {
  for (let i = 0; i < count; i++) skipString(input)
}

function skipEach(input: RdbInput, count: number, skipOne: (input: RdbInput) => void): void {
  for (let i = 0; i < count; i++) skipOne(input)
}

function skipScored(input: RdbInput): void {
  skipString(input)
  input.take(8)
}

function skipTextScored(input: RdbInput): void {
  skipString(input)
  const size = input.byte()
  if (size < 253) input.take(size)
}

function skipContained(input: RdbInput): void {
  input.length()
  skipString(input)
}

function skipExpiring(input: RdbInput): void {
  skipString(input)
  skipString(input)
  input.take(8)
}

function skipRelative(input: RdbInput): void {
  input.length64()
  skipString(input)
  skipString(input)
}

function skipStream(input: RdbInput, type: number): void {
  skipStrings(input, 2 * input.count(2))
  for (let i = type === TYPE.STREAM_1 ? 3 : 8; i > 0; i--) input.length64()
  const groups = input.count(5)
  for (let i = 0; i < groups; i++) {
    skipString(input)
    for (let j = type === TYPE.STREAM_1 ? 2 : 3; j > 0; j--) input.length64()
    for (let pending = input.count(25); pending > 0; pending--) {
      input.take(24)
      input.length64()
    }
    for (let consumers = input.count(10); consumers > 0; consumers--) {
      skipString(input)
      input.take(type === TYPE.STREAM_3 ? 16 : 8)
      input.take(16 * input.count(16))
    }
  }
}
