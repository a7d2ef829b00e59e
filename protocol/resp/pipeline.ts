/**
 * The commands of a pipeline, found several at a time: the quick way through requests that look as clients write them,
 *
 *     *2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n *2\r\n$3\r\nGET ...
 *
 * few words, each short and not empty, every length without sign or leading zero, all of the command there. At the first
 * one that looks different, or is cut, it stops; the request parser takes that one apart byte by byte. What is accepted
 * here, the parser would accept with the same words.
 *
 * Knowing several commands at once is worth more than the quick parse: their keys can be looked for together, so that
 * the waits for memory overlap (see Table.lookAhead).
 */

/** Commands with more words, and longer words, are the parser's; both stay within the limits of clients that have not authenticated. */
const WORDS_MAX = 7
const WORD_BYTES_MAX = 16384
/** So many commands are found at a time: what they are about to touch should fit the processor's first cache. */
export const COMMANDS_MAX = 32

const CR = 13
const DOLLAR = 36
const STAR = 42
const ZERO = 48

/** `bounds` has so many numbers for each command, 2 to the power of this. */
export const STRIDE_BITS = 4

export class Pipeline {
  /** For command i, from `i << STRIDE_BITS` on: the number of its words, an unused place, then start and end of each word. */
  readonly bounds = new Int32Array(COMMANDS_MAX << STRIDE_BITS)
  /** How many commands `find` found, and how many of them have been taken. */
  count = 0
  taken = 0

  /** Finds the commands that lie whole in `buf[at..end)`. Their words are no longer than `longest`. */
  find(buf: Buffer, at: number, end: number, longest: number): void {
    const { bounds } = this
    const bytesMax = Math.min(longest, WORD_BYTES_MAX)
    let found = 0
    let pos = at
    // The shortest word is `$1\r\na\r\n`.
    while (found < COMMANDS_MAX && pos + 11 <= end && buf[pos] === STAR && buf[pos + 2] === CR) {
      const words = buf[pos + 1] - ZERO
      if (words < 1 || words > WORDS_MAX) break
      const first = found << STRIDE_BITS
      const last = first + 2 * words
      bounds[first] = words
      pos += 4
      for (let i = first + 2; i <= last; i += 2) {
        if (pos + 7 > end || buf[pos] !== DOLLAR) return this.#set(found)
        let length = buf[pos + 1] - ZERO
        if (length < 1 || length > 9) return this.#set(found)
        pos += 2
        let digit = buf[pos] - ZERO
        while (digit >= 0 && digit <= 9 && length < WORD_BYTES_MAX) {
          length = length * 10 + digit
          digit = buf[++pos] - ZERO
        }
        const start = pos + 2
        pos = start + length + 2
        if (digit !== CR - ZERO || length > bytesMax || pos > end) return this.#set(found)
        bounds[i] = start
        bounds[i + 1] = start + length
      }
      found++
    }
    this.#set(found)
  }

  #set(found: number): void {
    this.count = found
    this.taken = 0
  }
}
