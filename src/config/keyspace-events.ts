/**
 * The classes of keyspace events that `notify-keyspace-events` selects, as bits, and their letters.
 */

const NOTIFY_KEYSPACE = 1 << 0
const NOTIFY_KEYEVENT = 1 << 1
const NOTIFY_GENERIC = 1 << 2
const NOTIFY_STRING = 1 << 3
const NOTIFY_LIST = 1 << 4
const NOTIFY_SET = 1 << 5
const NOTIFY_HASH = 1 << 6
const NOTIFY_ZSET = 1 << 7
const NOTIFY_EXPIRED = 1 << 8
const NOTIFY_EVICTED = 1 << 9
const NOTIFY_STREAM = 1 << 10
const NOTIFY_KEY_MISS = 1 << 11
const NOTIFY_MODULE = 1 << 13
const NOTIFY_NEW = 1 << 14

/** What `A` stands for: every class of event but misses and new keys. */
const NOTIFY_ALL =
  NOTIFY_GENERIC |
  NOTIFY_STRING |
  NOTIFY_LIST |
  NOTIFY_SET |
  NOTIFY_HASH |
  NOTIFY_ZSET |
  NOTIFY_EXPIRED |
  NOTIFY_EVICTED |
  NOTIFY_STREAM |
  NOTIFY_MODULE

/** In the order in which they are printed. */
const CLASSES: readonly (readonly [string, number])[] = [
  ['g', NOTIFY_GENERIC],
  ['$', NOTIFY_STRING],
  ['l', NOTIFY_LIST],
  ['s', NOTIFY_SET],
  ['h', NOTIFY_HASH],
  ['z', NOTIFY_ZSET],
  ['x', NOTIFY_EXPIRED],
  ['e', NOTIFY_EVICTED],
  ['t', NOTIFY_STREAM],
  ['d', NOTIFY_MODULE],
  ['n', NOTIFY_NEW]
]

const CHANNELS: readonly (readonly [string, number])[] = [
  ['K', NOTIFY_KEYSPACE],
  ['E', NOTIFY_KEYEVENT],
  ['m', NOTIFY_KEY_MISS]
]

const LETTERS = new Map([...CLASSES, ...CHANNELS, ['A', NOTIFY_ALL] as const])

/** The bits of a text of letters, or undefined when one is unknown. */
export function parseKeyspaceEvents(letters: string): number | undefined {
  let bits = 0
  for (const letter of letters) {
    const bit = LETTERS.get(letter)
    if (bit === undefined) return undefined
    bits |= bit
  }
  return bits
}

/** The letters of the bits. Valkey drops `n` where it prints `A`, and so does this. */
export function printKeyspaceEvents(bits: number): string {
  const pick = (classes: typeof CLASSES): string =>
    classes.map(([letter, bit]) => (bits & bit ? letter : '')).join('')
  return ((bits & NOTIFY_ALL) === NOTIFY_ALL ? 'A' : pick(CLASSES)) + pick(CHANNELS)
}
