/**
 * The headline figures as a picture: one bar per figure on a logarithmic scale, how many times better than redis-server (or
 * than the limit), with a mark where it must be and one where it should be.
 */
import type { Circumstances } from './circumstances.js'
import { formatNumber, type Result } from './sheet.js'

const LABEL_WIDTH = 470
const BAR_WIDTH = 420
const NOTE_WIDTH = 130
const ROW = 22
const TOP = 74
const LOW = 0.25
const HIGH = 64

/** A position on the scale: 1 is redis-server. */
function x(ratio: number): number {
  const clamped = Math.min(HIGH, Math.max(LOW, ratio))
  return LABEL_WIDTH + (BAR_WIDTH * Math.log2(clamped / LOW)) / Math.log2(HIGH / LOW)
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/** What a row shows: a ratio to redis-server, or to the limit that must not be exceeded. */
interface Row {
  label: string
  ratio: number
  must: number
  goal: number
  note: string
  verdict: Result['verdict']
}

function rowOf(result: Result): Row | undefined {
  const { must, goal, values, against, ratio } = result
  if (must === undefined || goal === undefined || values.keyferry === undefined) return undefined
  if (against === 'limit') {
    const turn = (value: number): number => (result.better === 'lower' ? must / Math.max(value, 1e-9) : value / must)
    return { label: result.name, ratio: turn(values.keyferry), must: 1, goal: turn(goal), note: `${formatNumber(values.keyferry)} ${result.unit}`, verdict: result.verdict }
  }
  if (ratio === undefined) return undefined
  return { label: result.name, ratio, must, goal, note: `${ratio.toFixed(2)} x${result.rival === undefined ? '' : ` ${result.rival}`}`, verdict: result.verdict }
}

const COLOURS = { goal: '#2a9d6f', must: '#4c78a8', below: '#d1603d' }

/** The picture, an SVG document. */
export function plot(results: readonly Result[], where: Circumstances): string {
  const rows = results.map(rowOf).filter((row) => row !== undefined)
  const height = TOP + rows.length * ROW + 46
  const width = LABEL_WIDTH + BAR_WIDTH + NOTE_WIDTH
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="16" y="26" font-size="17" font-weight="600" fill="#222">keyferry against redis-server ${escapeXml(where.versions['redis'] ?? '')}</text>`,
    `<text x="16" y="46" fill="#666">${escapeXml(`${where.date}, Node ${where.node}, ${where.cpu}, ${where.cores} cores. Times better than redis-server; for waits, memory growth and start: than the limit.`)}</text>`,
  ]
  for (let tick = LOW; tick <= HIGH; tick *= 2) {
    parts.push(`<line x1="${x(tick)}" y1="${TOP - 8}" x2="${x(tick)}" y2="${height - 36}" stroke="${tick === 1 ? '#888' : '#e4e4e4'}"/>`)
    parts.push(`<text x="${x(tick)}" y="${height - 20}" text-anchor="middle" fill="#666">${tick}</text>`)
  }
  rows.forEach((row, i) => {
    const y = TOP + i * ROW
    const [from, to] = [Math.min(x(1), x(row.ratio)), Math.max(x(1), x(row.ratio))]
    parts.push(`<text x="${LABEL_WIDTH - 10}" y="${y + 13}" text-anchor="end" fill="#222">${escapeXml(row.label)}</text>`)
    parts.push(`<rect x="${from.toFixed(1)}" y="${y + 2}" width="${Math.max(1, to - from).toFixed(1)}" height="14" rx="2" fill="${COLOURS[row.verdict ?? 'must']}"/>`)
    parts.push(`<line x1="${x(row.must).toFixed(1)}" y1="${y}" x2="${x(row.must).toFixed(1)}" y2="${y + 18}" stroke="#222" stroke-width="2"/>`)
    parts.push(`<line x1="${x(row.goal).toFixed(1)}" y1="${y}" x2="${x(row.goal).toFixed(1)}" y2="${y + 18}" stroke="#222" stroke-width="1" stroke-dasharray="2 2"/>`)
    parts.push(`<text x="${LABEL_WIDTH + BAR_WIDTH + 10}" y="${y + 13}" fill="#222">${escapeXml(row.note)}</text>`)
  })
  parts.push(`<text x="16" y="${height - 20}" fill="#666">bar: measured; solid mark: must; dashed mark: goal</text>`, '</svg>')
  return `${parts.join('\n')}\n`
}
