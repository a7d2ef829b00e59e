/**
 * The figures of a benchmark run: what is measured, on whom, and what it should be.
 *
 * A figure is measured on keyferry, redis-server and valkey-server in turn, once per round, so that a machine that is slow
 * for a while is slow for all of them. What is reported is the median, and the ratio of keyferry to redis-server, turned so
 * that more than 1 is better than Redis.
 */

/** Who was measured. */
export type Role = 'keyferry' | 'redis' | 'valkey'

/** One thing that is measured. */
export interface Figure {
  name: string
  unit: string
  better: 'lower' | 'higher'
  /**
   * What it is held against: `ratio` to redis-server, or `limit`, an absolute number: what is better lower must not exceed it,
   * what is better higher must reach it. A figure without `must` is there for information.
   */
  against: 'ratio' | 'limit'
  /** Who stands in the place of redis-server (role 'redis'), where it is somebody else. */
  rival?: string
  must?: number
  goal?: number
}

/** A figure with its medians. */
export interface Result extends Figure {
  values: Partial<Record<Role, number>>
  rounds: number
  /** keyferry against redis-server, more is better; undefined when either was not measured. */
  ratio: number | undefined
  verdict: 'goal' | 'must' | 'below' | undefined
}

export class Sheet {
  private readonly figures = new Map<string, { figure: Figure; samples: Record<Role, number[]> }>()

  constructor(private readonly log: (line: string) => void) {}

  record(figure: Figure, role: Role, value: number): void {
    let entry = this.figures.get(figure.name)
    if (entry === undefined) {
      entry = { figure, samples: { keyferry: [], redis: [], valkey: [] } }
      this.figures.set(figure.name, entry)
    }
    entry.samples[role].push(value)
    this.log(`  ${figure.name.padEnd(56)} ${(role === 'redis' ? (figure.rival ?? role) : role).padEnd(9)} ${formatNumber(value).padStart(10)} ${figure.unit}`)
  }

  results(): Result[] {
    return [...this.figures.values()].map(({ figure, samples }) => {
      const values: Partial<Record<Role, number>> = {}
      for (const role of ['keyferry', 'redis', 'valkey'] as const) if (samples[role].length > 0) values[role] = median(samples[role])
      const { keyferry, redis } = values
      const ratio = keyferry === undefined || redis === undefined ? undefined : figure.better === 'lower' ? redis / keyferry : keyferry / redis
      return { ...figure, values, rounds: Math.max(samples.keyferry.length, samples.redis.length), ratio, verdict: judge(figure, keyferry, ratio) }
    })
  }
}

function judge(figure: Figure, keyferry: number | undefined, ratio: number | undefined): Result['verdict'] {
  const { must, goal } = figure
  if (must === undefined || keyferry === undefined) return undefined
  const within = (bar: number): boolean => (figure.better === 'lower' ? keyferry <= bar : keyferry >= bar)
  const reaches = (bar: number): boolean => (figure.against === 'limit' ? within(bar) : ratio !== undefined && ratio >= bar)
  if (goal !== undefined && reaches(goal)) return 'goal'
  return reaches(must) ? 'must' : 'below'
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Three significant digits, thousands apart. */
export function formatNumber(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(3)))
}
