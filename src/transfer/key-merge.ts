/**
 * Sorted runs as one sorted stream, each key once: a tree of losers with offset-value codes.
 *
 *               winner          the smallest key of all readers' present ones
 *              /      \
 *         loser        loser    of the two halves below: the one that did not win there
 *         /   \        /   \
 *        r0   r1      r2   r3   readers of runs, each at a key
 *
 * When the winner has been handed out its reader goes on, and only the losers between its leaf and the root are met.
 *
 * A reader's code says how its key differs from the one it lost to, its base: in how many bytes they agree, and what
 * its first other byte is. All that is met on the way up from a winner's leaf lost to that winner, so there the smaller
 * code is the smaller key: who agrees with the base for longer comes first, then who has the smaller byte there. Bytes
 * are compared only where two codes are equal, and from that place on. Who loses keeps its code where the codes differed
 * (it is the same for the new base), and gets it anew where they were equal. The code of the key that follows a winner
 * in its own run is what the run's front coding says.
 *
 *     DOUBLE     the same key as the base
 *     LONG       agrees in SHARED_MAX bytes or more: how it goes on only comparing tells
 *     (SHARED_MAX - shared) * 512 + 1 + byte
 *     ENDED      no key any more
 *
 * The idea is W. M. Conner's (Offset Value Coding, IBM Technical Disclosure Bulletin, 1977).
 */
import { SHARED_MAX, sharedBytes, type RunReader } from './key-run.js'

const DOUBLE = 0
const LONG = 1
const ENDED = (1 << 30) - 1

/** A run that is merged. */
export interface MergeSource {
  readonly reader: RunReader
  /** Brings more into the reader's buffer; false at the end of the run. */
  refill(): Promise<boolean>
}

export class KeyMerge {
  /** The reader of the key that `next` went on to. */
  current: RunReader
  /** In how many bytes that key agrees with the one before it, at most SHARED_MAX. */
  shared = 0
  readonly #codes: Int32Array
  /** Losers by node, the root is 1; the winner is at 0. Node `sources.length + i` is the leaf of source i. */
  readonly #tree: Int32Array
  #started = false
  /** The winner has been handed out, and its reader has to go on. */
  #handedOut = false

  /** At least one; of a key that is in several the first one's is handed out. */
  constructor(readonly sources: readonly MergeSource[]) {
    this.current = sources[0].reader
    this.#codes = new Int32Array(sources.length)
    this.#tree = new Int32Array(sources.length)
  }

  /** Goes on to the next key; false when `refill` has to be awaited first. */
  next(): boolean {
    while (this.#started) {
      const winner = this.#tree[0]
      const { reader } = this.sources[winner]
      if (this.#handedOut) {
        if (!reader.next()) return false
        this.#goneOn(winner, codeOf(reader.shared, reader.key))
        continue
      }
      const code = this.#codes[winner]
      if (code === ENDED) return false
      this.#handedOut = true
      if (code === DOUBLE) continue
      this.current = reader
      this.shared = code === LONG ? SHARED_MAX : SHARED_MAX - (code >> 9)
      return true
    }
    return false
  }

  /** Brings in what `next` lacked; false when there is no key any more. */
  async refill(): Promise<boolean> {
    if (!this.#started) {
      for (let i = 0; i < this.sources.length; i++) this.#codes[i] = await this.#codeOfNext(i)
      this.#tree[0] = this.#play(1)
      this.#started = true
    } else if (this.#handedOut) {
      const winner = this.#tree[0]
      this.#goneOn(winner, await this.#codeOfNext(winner))
    }
    return this.#codes[this.#tree[0]] !== ENDED
  }

  async #codeOfNext(i: number): Promise<number> {
    const { reader } = this.sources[i]
    while (!reader.next()) if (!(await this.sources[i].refill())) return ENDED
    return codeOf(reader.shared, reader.key)
  }

  /** The winner of all leaves below a node, the losers put into their nodes. */
  #play(node: number): number {
    const { length } = this.sources
    return node >= length ? node - length : this.#meet(node, this.#play(2 * node), this.#play(2 * node + 1))
  }

  /** A reader is at its next key: up from its leaf. */
  #goneOn(i: number, code: number): void {
    this.#codes[i] = code
    let winner = i
    for (let node = (i + this.sources.length) >> 1; node > 0; node >>= 1) winner = this.#meet(node, winner, this.#tree[node])
    this.#tree[0] = winner
    this.#handedOut = false
  }

  /** Puts the larger of two into the node and returns the smaller. */
  #meet(node: number, a: number, b: number): number {
    const codes = this.#codes
    const winner = codes[a] === codes[b] ? this.#compare(Math.min(a, b), Math.max(a, b)) : codes[a] < codes[b] ? a : b
    this.#tree[node] = winner === a ? b : a
    return winner
  }

  /** The smaller of two with the same code, of doubles the first; the other gets the code that it has for this one. */
  #compare(first: number, second: number): number {
    const code = this.#codes[first]
    if (code === DOUBLE || code === ENDED) return first
    const [x, y] = [this.sources[first].reader, this.sources[second].reader]
    const shared = sharedBytes(x.key, 0, x.length, y.key, 0, y.length, code === LONG ? SHARED_MAX : SHARED_MAX - (code >> 9) + 1)
    const isSecond = shared < x.length && (shared === y.length || y.key[shared] < x.key[shared])
    if (isSecond) this.#codes[first] = codeOf(shared, x.key)
    else this.#codes[second] = shared === y.length ? DOUBLE : codeOf(shared, y.key)
    return isSecond ? second : first
  }
}

function codeOf(shared: number, key: Buffer): number {
  return shared >= SHARED_MAX ? LONG : (SHARED_MAX - shared) * 512 + 1 + key[shared]
}
