/**
 * How many keys to ask for where the answer comes whole, however large it is: as many as have so many bytes together, going
 * by the values that came last. Values that are suddenly large are too many once: so the first answer is a small one, and
 * only so many keys are under way at once.
 */
import type { Entry, KeyRef } from '../transfer/store.js'

/** How many keys the first answer may have. */
const FIRST_KEYS = 128
const KEYS_AT_ONCE = 8192

export class ReadSize {
  #bytesPerKey: number
  #underWay = 0
  readonly #waiting: (() => void)[] = []

  constructor(private readonly mostBytes: number) {
    this.#bytesPerKey = mostBytes / FIRST_KEYS
  }

  /** Has the first of these keys read, at least one. */
  async read(keys: readonly KeyRef[], ask: (some: readonly KeyRef[]) => Promise<(Entry | undefined)[]>): Promise<(Entry | undefined)[]> {
    let some = this.#take(keys)
    while (this.#underWay > 0 && this.#underWay + some.length > KEYS_AT_ONCE) {
      await new Promise<void>((resume) => { this.#waiting.push(resume) })
      some = this.#take(keys)
    }
    this.#underWay += some.length
    try {
      const found = await ask(some)
      this.saw(found)
      return found
    } finally {
      this.#underWay -= some.length
      for (const resume of this.#waiting.splice(0)) resume()
    }
  }

  /** How many keys the next answer may have. */
  get mostKeys(): number {
    return Math.max(1, Math.floor(this.mostBytes / this.#bytesPerKey))
  }

  #take(keys: readonly KeyRef[]): readonly KeyRef[] {
    const most = this.mostKeys
    return keys.length <= most ? keys : keys.slice(0, most)
  }

  /** What came. Values grow at once and shrink bit by bit. */
  saw(found: readonly (Entry | undefined)[]): void {
    let [count, bytes] = [0, 0]
    for (const entry of found) {
      if (entry === undefined) continue
      count++
      bytes += entry.value.length
    }
    if (count > 0) this.#bytesPerKey = Math.max(this.#bytesPerKey / 4, bytes / count, 1)
  }
}
