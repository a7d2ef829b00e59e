/** Which known name somebody meant who wrote another one. */

/**
 * The known name closest to `word`, when it is close enough to be a slip of the fingers: a third of its letters at most
 * left out, added, changed or swapped with their neighbour. A word that begins or ends a known name is close too.
 */
export function nearestName(word: string, known: readonly string[]): string | undefined {
  const asked = word.toLowerCase()
  let best: string | undefined
  let least = Math.max(1, Math.floor(asked.length / 3)) + 1
  for (const name of known) {
    const edits = editDistance(asked, name.toLowerCase())
    if (edits < least) {
      best = name
      least = edits
    }
  }
  if (best !== undefined || asked.length < 3) return best
  return known.find((name) => name.startsWith(asked) || name.endsWith(asked))
}

/** `; did you mean 'x'?`, or nothing. */
export function suggestion(word: string, known: readonly string[], prefix = ''): string {
  const name = nearestName(word, known)
  return name === undefined ? '' : `; did you mean '${prefix}${name}'?`
}

/** Insertions, deletions, changes and swaps of neighbours that make one word of the other. */
function editDistance(from: string, to: string): number {
  let before: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1]
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (isSame ? 0 : 1))
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) row[j] = Math.min(row[j], before[j - 2] + 1)
    }
    before = last
    last = row
  }
  return last[to.length]
}
