/**
 * Vault's layout of a folder, to the byte.
 *
 *     key a/b/c      ->  PATH/a/b/_c        folders 0700, files 0600
 *     content        ->  {"Value":"aGVsbG8="}\n       standard base64 with padding; {"Value":null} is an empty value
 *
 * Keys are text in Vault and bytes here: a segment may be any bytes but `/` and NUL. What Vault's own cleaning of paths
 * would move to another name (an empty segment, `.`) or refuse (`..`) is refused, so that what was written is found again
 * under its name.
 *
 * A file name has at most 255 bytes. Vault writes `_c.temp` before it renames, which leaves 249 for the last segment.
 */
import { EntryError, keyText } from '../../transfer/store.js'

export const LAST_SEGMENT_MAX = 249
export const SEGMENT_MAX = 255
/** The longest path that a system call takes. */
export const PATH_MAX = 4095
/** Beside store and key, a path has the `_`, or the name of a temporary file (store.ts) instead of a short last segment. */
export const PATH_ROOM = 48

const SLASH = 0x2f
const DOT = 0x2e

/** Where an entry lies. */
export interface Place {
  /** The folders on the way, from the first below the store's own. */
  readonly folders: readonly Buffer[]
  readonly folder: Buffer
  readonly file: Buffer
}

/** The place of a key in the store at `root`, or why it has none. */
export function placeOf(root: Buffer, key: Buffer): Place | EntryError {
  const refuse = (why: string): EntryError => new EntryError('unsupported', `key ${keyText(key)} has no place in Vault's file layout: ${why}`)
  if (key.length === 0) return refuse('it is empty')
  if (key.includes(0)) return refuse('it contains a NUL byte, which no file name can')
  if (key.includes('..')) return refuse("it contains '..', which Vault refuses")
  const segments: Buffer[] = []
  for (let start = 0; start <= key.length;) {
    const slash = key.indexOf(SLASH, start)
    const end = slash < 0 ? key.length : slash
    segments.push(key.subarray(start, end))
    start = end + 1
  }
  const last = segments.pop() as Buffer
  for (const segment of [...segments, last]) {
    if (segment.length === 0) return refuse("it begins or ends with '/' or contains '//', and Vault would shorten it")
    if (segment.length === 1 && segment[0] === DOT) return refuse("a segment of it is '.', and Vault would leave it out")
  }
  const tooLong = segments.find((segment) => segment.length > SEGMENT_MAX) ?? (last.length > LAST_SEGMENT_MAX ? last : undefined)
  if (tooLong !== undefined)
    return new EntryError('too-large', `key ${keyText(key)} has a segment of ${tooLong.length} bytes; a file name leaves room for ${tooLong === last ? LAST_SEGMENT_MAX : SEGMENT_MAX}`)
  const folders: Buffer[] = []
  let folder = root
  for (const segment of segments) folders.push((folder = join(folder, segment)))
  const file = join(folder, Buffer.concat([UNDERSCORE, last]))
  if (root.length + key.length + PATH_ROOM > PATH_MAX)
    return new EntryError('too-large', `key ${keyText(key)} makes a path of ${file.length} bytes; the system takes ${PATH_MAX - PATH_ROOM}`)
  return { folders, folder, file }
}

const UNDERSCORE = Buffer.from('_')

/** Where the file of a key that has no place would be found by a walk all the same; undefined where none could. */
export function misplacedFileOf(root: Buffer, key: Buffer): Buffer | undefined {
  const segments = key.latin1Slice().split('/')
  if (key.includes(0) || segments.some((segment) => segment === '' || segment === '.' || segment === '..')) return undefined
  const last = segments.length - 1
  return join(root, Buffer.from(segments.map((segment, i) => (i === last ? `_${segment}` : segment)).join('/'), 'latin1'))
}

/** The file of a key, or undefined when it has no place: `placeOf` for those who only read, in a third of the time. */
export function fileOf(root: Buffer, key: Buffer): Buffer | undefined {
  const { length } = key
  let start = 0
  let last = SLASH
  for (let at = 0; at < length; at++) {
    const byte = key[at]
    if (byte === 0 || (byte === DOT && last === DOT)) return undefined
    if (byte === SLASH) {
      if (isNoSegment(at - start, last, SEGMENT_MAX)) return undefined
      start = at + 1
    }
    last = byte
  }
  if (isNoSegment(length - start, last, LAST_SEGMENT_MAX) || root.length + length + PATH_ROOM > PATH_MAX) return undefined
  const file = Buffer.allocUnsafe(root.length + length + 2)
  file.set(root)
  file[root.length] = SLASH
  // Everything one byte further than it stands in the key's last segment, then the folders over it.
  file.set(key, root.length + 2)
  file.set(start === 0 ? EMPTY : key.subarray(0, start), root.length + 1)
  file[root.length + 1 + start] = UNDERSCORE[0]
  return file
}

/** Whether a segment of so many bytes that ends with `last` is none. */
function isNoSegment(length: number, last: number, most: number): boolean {
  return length === 0 || length > most || (length === 1 && last === DOT)
}

const EMPTY = Buffer.alloc(0)

/** A name below a folder. */
export function join(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from([SLASH]), name])
}

// ------------------------------------------------------------------------------------------------ content

const HEAD = Buffer.from('{"Value":"')
const TAIL = Buffer.from('"}\n')
/** Bytes of a value that are turned into base64 in one go; divisible by 3. */
const PIECE = 3 << 18

/** The content of a file in pieces, so that the base64 of a large value is never there as a whole. */
export function* contentOf(value: Buffer): Generator<Buffer> {
  if (value.length <= PIECE) {
    yield Buffer.concat([HEAD, Buffer.from(value.toString('base64'), 'latin1'), TAIL])
    return
  }
  yield HEAD
  for (let at = 0; at < value.length; at += PIECE) yield Buffer.from(value.toString('base64', at, Math.min(at + PIECE, value.length)), 'latin1')
  yield TAIL
}

/** The value in the content of a file; undefined when it is not whole or not right. */
export function valueOf(content: Buffer): Buffer | undefined {
  return ownForm(content, content.length) ?? anyJson(content)
}

/**
 * The value when the first `length` bytes are exactly as we and Vault write them; undefined when not. That form tells by
 * itself that it is whole.
 */
export function ownForm(content: Buffer, length: number): Buffer | undefined {
  const end = length - TAIL.length
  if (end < HEAD.length || content[end] !== TAIL[0] || content[end + 1] !== TAIL[1] || content[end + 2] !== TAIL[2]) return undefined
  for (let at = 0; at < HEAD.length; at++) if (content[at] !== HEAD[at]) return undefined
  return fromBase64(content, HEAD.length, end)
}
/** As Vault's decoder takes it: letter case of the field does not matter, other fields neither, null is empty. */
function anyJson(content: Buffer): Buffer | undefined {
  let json: unknown
  try {
    json = JSON.parse(content.toString())
  } catch {
    return undefined
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
  let value: unknown = null
  for (const [name, field] of Object.entries(json)) if (name.toLowerCase() === 'value') value = field
  if (value === null) return Buffer.alloc(0)
  if (typeof value !== 'string') return undefined
  const base64 = Buffer.from(value.replace(/[\r\n]/g, ''), 'latin1')
  return fromBase64(base64, 0, base64.length)
}

/** Standard base64 with padding, and nothing else; Node's own decoder takes anything. */
function fromBase64(text: Buffer, start: number, end: number): Buffer | undefined {
  const length = end - start
  if (length % 4 !== 0) return undefined
  const padding = length === 0 || text[end - 1] !== PAD ? 0 : text[end - 2] === PAD ? 2 : 1
  const value = Buffer.allocUnsafe((length / 4) * 3 - padding)
  if (length <= SHORT) return decodeShort(text, start, end - padding, value) ? value : undefined
  const piece = (PIECE / 3) * 4
  for (let at = start, to = 0; at < end; at += piece) {
    const words = text.latin1Slice(at, Math.min(at + piece, end))
    if (!(at + piece < end ? STRICT_INNER : STRICT).test(words)) return undefined
    to += value.write(words, to, 'base64')
  }
  return value
}

/** The digits before the padding, one by one: for a short text sooner done than the calls it takes to have it done. */
function decodeShort(text: Buffer, start: number, end: number, value: Buffer): boolean {
  let at = start
  let to = 0
  let wrong = 0
  for (; at + 4 <= end; at += 4) {
    const a = DIGITS[text[at]]
    const b = DIGITS[text[at + 1]]
    const c = DIGITS[text[at + 2]]
    const d = DIGITS[text[at + 3]]
    wrong |= a | b | c | d
    value[to++] = (a << 2) | (b >> 4)
    value[to++] = (b << 4) | (c >> 2)
    value[to++] = (c << 6) | d
  }
  if (at < end) {
    const a = DIGITS[text[at]]
    const b = DIGITS[text[at + 1]]
    const c = at + 2 < end ? DIGITS[text[at + 2]] : 0
    wrong |= a | b | c
    value[to++] = (a << 2) | (b >> 4)
    if (at + 2 < end) value[to] = (b << 4) | (c >> 2)
  }
  return wrong < NO_DIGIT
}

/** Characters that are decoded one by one. */
const SHORT = 512
const NO_DIGIT = 64
const DIGITS = new Uint8Array(256).fill(NO_DIGIT)
for (const [digit, character] of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/').entries()) DIGITS[character] = digit

const PAD = 0x3d
const STRICT = /^[A-Za-z0-9+/]*={0,2}$/
const STRICT_INNER = /^[A-Za-z0-9+/]*$/
