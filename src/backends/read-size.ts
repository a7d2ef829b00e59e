/**
 * How many keys to ask for at once where the answer comes whole: as many as have values of so many bytes together, going by
 * those that came last. The first answer is a small one.
 */

/** How many keys the first answer may have. */
const FIRST_KEYS = 128

export class ReadSize {
  #bytesPerKey: number

  constructor(private readonly mostBytes: number) {
    this.#bytesPerKey = mostBytes / FIRST_KEYS
  }

  /** The first of these keys, at least one. */
  take<T>(keys: readonly T[]): readonly T[] {
    const most = Math.max(1, Math.floor(this.mostBytes / this.#bytesPerKey))
    return keys.length <= most ? keys : keys.slice(0, most)
  }

  /** So many keys had so many bytes. Values grow at once and shrink bit by bit. */
  saw(keys: number, bytes: number): void {
    if (keys > 0) this.#bytesPerKey = Math.max(this.#bytesPerKey / 4, bytes / keys, 1)
  }
}
