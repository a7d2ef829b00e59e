/** A small graph of text: one column per value, a label written downwards under each. */
const ROWS = 4
/** Three heights within a row. */
const MARKS = '_-`'

/** The graph, its lines ended by newlines. */
export function sparkline(values: readonly number[], labels: readonly string[]): string {
  const low = Math.min(...values)
  const span = Math.max(1, Math.max(...values) - low)
  const steps = ROWS * MARKS.length
  const heights = values.map((value) => Math.min(steps - 1, Math.floor(((value - low) / span) * steps)))
  const lines: string[] = []
  for (let row = ROWS - 1; row >= 0; row--)
    lines.push(heights.map((height) => MARKS[height - row * MARKS.length] ?? ' ').join(''))
  const depth = Math.max(0, ...labels.map((label) => label.length))
  lines.push(' '.repeat(values.length))
  for (let i = 0; i < depth; i++) lines.push(labels.map((label) => label[i] ?? ' ').join(''))
  return `${lines.join('\n')}\n`
}
