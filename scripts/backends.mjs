/**
 * Brings docs/backends.md and docs/backends/*.md up to date with the backends' own declarations: the table of all stores in
 * the one, from what each says of itself, and the line of URL schemes with the table of options in the others, each between
 * its two marks. What else stands there is written by hand and left alone. A backend without a page is an error.
 *
 *   node scripts/backends.mjs [folder of the build, default dist]
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const docs = path.join(root, 'docs')
const { storeOfType, storeTypes } = await import(pathToFileURL(path.resolve(root, process.argv[2] ?? 'dist', 'src/cli/stores.js')).href)

/** Pages that have another name than their backend. */
const PAGES = { inmem: 'memory' }
/** In the order of the table; what is not here comes behind. */
const ORDER = ['redis', 'redis-cluster', 'rdb', 'aof', 'file', 'mysql', 'postgresql', 'consul', 'etcd', 'etcd2', 'inmem']
/** What a store has to be told before it says what it can do; nothing is opened. */
const SAMPLE = { data_dir: 'x', username: 'x', password: 'x', connection_url: 'postgres://x/x' }
/** Options that change what a store is. */
const VARIANTS = { etcd: { path: '' }, consul: { path: '' }, inmem: { typed: 'true' } }

const cell = (text) => text.replaceAll('|', '\\|')
const pageOf = (type) => PAGES[type] ?? type

/** Replaces what stands between the marks of that name. */
function fill(file, name, made) {
  const text = readFileSync(file, 'utf8')
  const old = new RegExp(`<!-- ${name}: made by npm run backends -->[^]*?<!-- end -->`)
  if (!old.test(text)) throw new Error(`${path.relative(root, file)} has no place for '${name}'`)
  writeFileSync(file, text.replace(old, () => `<!-- ${name}: made by npm run backends -->\n${made}\n<!-- end -->`))
}

function declaration({ schemes, options }) {
  const rows = options.map((option) => {
    const preset = option.required ? '**required**' : option.default === undefined ? '' : `\`${cell(option.default)}\``
    const env = option.env === undefined ? '' : ` Environment: \`${option.env}\`.`
    return `| \`${option.name}\` | ${preset} | ${cell(option.summary)}.${env}${option.secret ? ' Secret: never printed.' : ''} |`
  })
  return `URL: ${schemes.map((scheme) => `\`${scheme}:\``).join(', ')}\n\n| option | default | |\n|---|---|---|\n${rows.join('\n')}`
}

/** The package that its code asks loadDriver for. */
function driverOf(type) {
  const folder = path.join(root, 'src/backends', pageOf(type))
  const sources = storeTypes.includes(type) && type !== 'aof' ? readdirSync(folder).map((file) => readFileSync(path.join(folder, file), 'utf8')) : []
  const found = sources.flatMap((source) => [.../loadDriver\('[^']+', '([^']+)'/.exec(source)?.slice(1) ?? []])
  return found.length === 0 ? '' : `\`npm install ${found[0]}\``
}

function row(backend, variant) {
  const names = new Set(backend.options.map(({ name }) => name))
  const known = Object.entries(SAMPLE).filter(([name]) => names.has(name))
  const required = backend.options.filter((option) => option.required && SAMPLE[option.name] === undefined).map(({ name }) => [name, 'x'])
  const { traits, lockFile } = backend.create({ ...Object.fromEntries([...required, ...known]), ...variant })
  const mayKeep = traits.writable && traits.startsOver !== true
  const locks = [...(traits.vaultLayout && traits.writable ? ['source'] : []), ...(mayKeep ? ['destination'] : [])]
  const shown = variant === undefined ? '' : `, ${Object.entries(variant).map(([name, value]) => `${name} = "${value}"`).join(', ')}`
  return [
    `[${backend.type}](backends/${pageOf(backend.type)}.md)${shown}`,
    traits.writable ? 'both' : 'source',
    traits.typed ? 'all' : 'bytes',
    !traits.expiry ? 'in the envelope' : traits.expiryToleranceMs > 0 ? `to ${traits.expiryToleranceMs / 1000} s` : 'to the ms',
    traits.ordered ? 'yes' : 'sorted here',
    lockFile === undefined ? locks.join(', ') : `${traits.writable ? 'source, destination' : 'source'}: a file beside it`,
    !traits.writable ? '' : mayKeep ? 'yes' : 'from the start',
    traits.writable ? (traits.vaultLayout ? 'replace' : 'error') : '',
    driverOf(backend.type),
  ].join(' | ')
}

const backends = await Promise.all([...storeTypes].sort((a, b) => (ORDER.indexOf(a) + 99) % 99 - (ORDER.indexOf(b) + 99) % 99).map((type) => storeOfType(type)))
const rows = backends.flatMap((backend) => [row(backend), ...(VARIANTS[backend.type] === undefined ? [] : [row(backend, VARIANTS[backend.type])])])
const head = '| store | source, destination | types | expiry | listed in order | lock in it as | goes on after a stop | `--on-conflict` | driver |\n|---|---|---|---|---|---|---|---|---|'
fill(path.join(docs, 'backends.md'), 'stores', `${head}\n${rows.map((cells) => `| ${cells} |`).join('\n')}`)
for (const backend of backends) fill(path.join(docs, 'backends', `${pageOf(backend.type)}.md`), backend.type, declaration(backend))
console.log(`docs/backends.md and pages of ${backends.map(({ type }) => type).join(', ')}`)
