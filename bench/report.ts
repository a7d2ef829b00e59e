/**
 * What a benchmark run leaves behind: the numbers as JSON, a Markdown table, and a plot.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Circumstances } from './circumstances.js'
import { plot } from './plot.js'
import { formatNumber, type Result } from './sheet.js'

/** The table as Markdown. Ratios are keyferry to redis-server, more than 1 is better than Redis. */
export function table(results: readonly Result[], where: Circumstances): string {
  const versions = Object.entries(where.versions).map(([name, version]) => `${name} ${version}`).join(', ')
  const lines = [
    `Measured ${where.date}: ${versions}, Node ${where.node}; ${where.cpu}, ${where.cores} cores, ${where.memoryGb} GB, ${where.system}, load average ${where.loadAverage} at the start. Medians; the servers take turns. A ratio above 1 is better than redis-server, or than who is named in its place.`,
    '',
    '| figure | keyferry | redis | valkey | unit | ratio | must | goal | |',
    '|---|---:|---:|---:|---|---:|---:|---:|---|',
  ]
  for (const result of results) {
    const cell = (value: number | undefined): string => (value === undefined ? '' : formatNumber(value))
    const { values } = result
    const ratio = result.ratio === undefined ? '' : result.ratio.toFixed(2)
    const bar = (value: number | undefined): string => (value === undefined ? '' : `${result.against === 'ratio' ? '' : result.better === 'lower' ? '≤ ' : '≥ '}${formatNumber(value)}`)
    const verdict = result.verdict === undefined ? '' : { goal: 'goal', must: 'ok', below: '**below**' }[result.verdict]
    lines.push(`| ${result.name} | ${cell(values.keyferry)} | ${cell(values.redis)}${result.rival === undefined ? '' : ` (${result.rival})`} | ${cell(values.valkey)} | ${result.unit} | ${ratio} | ${bar(result.must)} | ${bar(result.goal)} | ${verdict} |`)
  }
  return `${lines.join('\n')}\n`
}

/** Writes NAME.json, NAME.md and NAME.svg into `folder`. */
export function writeReport(folder: string, name: string, results: readonly Result[], where: Circumstances): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify({ ...where, results }, undefined, 1)}\n`)
  writeFileSync(path.join(folder, `${name}.md`), table(results, where))
  writeFileSync(path.join(folder, `${name}.svg`), plot(results, where))
}
