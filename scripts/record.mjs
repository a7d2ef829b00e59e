/**
 * `node scripts/record.mjs [--out FILE.svg] [--title TEXT] [--width COLUMNS] -- COMMAND ...`
 *
 * Runs a command in a pseudo-terminal (util-linux' `script`) and draws what it wrote as a picture of a terminal, SVG. What is
 * drawn is the final screen: `\r` returns to the start of the line and later text overwrites earlier text, as a terminal does;
 * bold and the sixteen colours are kept, other control sequences are dropped.
 * Default: the demo, into docs/demo.svg.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string', default: 'docs/demo.svg' }, title: { type: 'string', default: 'npm run demo' }, width: { type: 'string', default: '92' } },
})
const command = positionals.length > 0 ? positionals : [process.execPath, path.join(root, 'dist/bin/keyferry.js'), 'demo']

const COLOURS = ['#1e1e1e', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#d4d4d4', '#7f848e', '#ff7b86', '#b5e890', '#ffd68a', '#82c7ff', '#e39af2', '#7ad7e0', '#ffffff']
const PLAIN = { bold: false, colour: '#d4d4d4' }

/** Runs the command in a terminal of that width and gives everything it wrote. */
function record() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'keyferry-record-'))
  const file = path.join(folder, 'typescript')
  const line = `stty cols ${Number(values.width)} rows 60; ${command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')}`
  const { status, error } = spawnSync('script', ['-q', '-e', '-c', line, file], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'], timeout: 120_000, env: { ...process.env, TERM: 'xterm-256color', SHELL: '/bin/sh' } })
  if (error !== undefined) throw error
  const text = readFileSync(file, 'utf8')
  rmSync(folder, { recursive: true, force: true })
  if (status !== 0) throw new Error(`the command ended with ${status}:\n${text.slice(-2000)}`)
  return text.replace(/^Script started[^\n]*\n/, '').replace(/\n?Script done[^\n]*\n?$/, '')
}

/** The screen: lines of cells { char, bold, colour }. */
function screenOf(text) {
  const lines = [[]]
  let column = 0
  let style = PLAIN
  for (const [token, csi, final] of text.matchAll(/\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|[^\x1b]/gu)) {
    if (final === 'm') style = styled(style, csi)
    else if (final === 'K' || final === 'J') lines.at(-1).length = column
    else if (token === '\n') {
      lines.push([])
      column = 0
    } else if (token === '\r') column = 0
    else if (!token.startsWith('\x1b') && token >= ' ') lines.at(-1)[column++] = { char: token, ...style }
  }
  while (lines.length > 0 && lines.at(-1).length === 0) lines.pop()
  return lines
}

function styled(style, csi) {
  let next = style
  for (const code of (csi === '' ? '0' : csi).split(';').map(Number)) {
    if (code === 0) next = PLAIN
    else if (code === 1) next = { ...next, bold: true }
    else if (code >= 30 && code <= 37) next = { ...next, colour: COLOURS[code - 30] }
    else if (code >= 90 && code <= 97) next = { ...next, colour: COLOURS[code - 82] }
    else if (code === 39) next = { ...next, colour: PLAIN.colour }
  }
  return next
}

const escapeXml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** Neighbouring cells of one style become one tspan; its place is given in columns, so that no font can shift it. */
function drawLine(cells, y, cellWidth) {
  const spans = []
  for (let at = 0; at < cells.length;) {
    const { bold, colour } = { ...PLAIN, ...cells[at] }
    let end = at
    let text = ''
    while (end < cells.length && (cells[end]?.bold ?? false) === bold && (cells[end]?.colour ?? PLAIN.colour) === colour) text += cells[end++]?.char ?? ' '
    if (text.trim() !== '') {
      spans.push(`<text x="${16 + at * cellWidth}" y="${y}" fill="${colour}"${bold ? ' font-weight="bold"' : ''} textLength="${(end - at) * cellWidth}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">${escapeXml(text)}</text>`)
    }
    at = end
  }
  return spans.join('\n')
}

function draw(lines) {
  const [cellWidth, lineHeight, top] = [8, 18, 56]
  const width = Number(values.width) * cellWidth + 32
  const height = top + lines.length * lineHeight + 8
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13.3">`,
    `<rect width="${width}" height="${height}" rx="8" fill="#1e1e1e"/>`,
    ...['#ff5f56', '#ffbd2e', '#27c93f'].map((colour, i) => `<circle cx="${20 + 18 * i}" cy="18" r="6" fill="${colour}"/>`),
    `<text x="${width / 2}" y="23" text-anchor="middle" fill="#7f848e">${escapeXml(values.title)}</text>`,
    ...lines.map((cells, i) => drawLine(cells, top + i * lineHeight, cellWidth)).filter((text) => text !== ''),
    '</svg>',
  ].join('\n')}\n`
}

const out = path.resolve(root, values.out)
mkdirSync(path.dirname(out), { recursive: true })
writeFileSync(out, draw(screenOf(record())))
console.log(`written: ${path.relative(root, out)}`)
