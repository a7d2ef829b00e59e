/**
 * Brings docs/backends.md up to date with the backends' own declarations: the line of URL schemes and the table of options
 * in each section, between its two marks. A backend without a section gets one at the end; what else stands in a section is
 * written by hand and left alone.
 *
 *   node scripts/backends.mjs [folder of the build, default dist]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const page = path.join(root, 'docs/backends.md')
const { storeOfType, storeTypes } = await import(pathToFileURL(path.resolve(root, process.argv[2] ?? 'dist', 'src/cli/stores.js')).href)

const cell = (text) => text.replaceAll('|', '\\|')

function declaration({ type, schemes, options }) {
  const urls = schemes.length === 0 ? 'No URL: only in a configuration file.' : `URL: ${schemes.map((scheme) => `\`${scheme}:\``).join(', ')}`
  const rows = options.map((option) => {
    const preset = option.required ? '**required**' : option.default === undefined ? '' : `\`${cell(option.default)}\``
    const env = option.env === undefined ? '' : ` Environment: \`${option.env}\`.`
    return `| \`${option.name}\` | ${preset} | ${cell(option.summary)}.${env}${option.secret ? ' Secret: never printed.' : ''} |`
  })
  return `<!-- ${type}: made by npm run backends -->\n${urls}\n\n| option | default | |\n|---|---|---|\n${rows.join('\n')}\n<!-- end -->`
}

let text = readFileSync(page, 'utf8')
for (const type of storeTypes) {
  const backend = await storeOfType(type)
  const made = declaration(backend)
  const old = new RegExp(`<!-- ${type}: made by npm run backends -->[^]*?<!-- end -->`)
  if (old.test(text)) text = text.replace(old, () => made)
  else text += `\n## ${type}\n\n${backend.summary[0].toUpperCase()}${backend.summary.slice(1)}.\n\n${made}\n`
}
writeFileSync(page, text)
console.log(`docs/backends.md: ${storeTypes.join(', ')}`)
