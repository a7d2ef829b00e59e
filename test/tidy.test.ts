/**
 * The house rules, read from the source text: who may import whom, no cycles, sizes, names, leftovers.
 *
 * The table below is the architecture. An arrow that is not in it fails here, and the remedy is to move the code to where it
 * belongs, or to change the table together with ARCHITECTURE.md.
 */
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/** The repository: where package.json really lies, also when the tests were compiled elsewhere. */
const root = path.dirname(realpathSync(fileURLToPath(new URL('../../package.json', import.meta.url))))

/** Part -> the parts it may import, besides itself. A part is a folder or a file; the longest that fits a path counts. */
const LEAVES = ['src/errors', 'src/clock', 'src/random']
const CORE = ['protocol', ...LEAVES, 'src/socket-writer', 'src/config', 'src/keyspace', 'src/engine', 'commands', 'src/transfer', 'src/backends', 'src/persistence', 'src/replication', 'src/cluster']
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'protocol': [],
  'src/errors': [],
  'src/clock': [],
  'src/random': [],
  'src/socket-writer': [],
  'src/config': ['src/errors', 'protocol'],
  'src/keyspace': ['protocol', ...LEAVES],
  'src/engine': ['src/keyspace', 'protocol', 'src/config', ...LEAVES],
  'commands': ['src/engine', 'src/keyspace', 'protocol', 'src/errors'],
  'commands/migrate': ['src/engine', 'src/keyspace', 'protocol', 'src/errors', 'commands', 'src/transfer', 'src/backends/keyspace', 'src/backends/redis'],
  'src/transfer': ['src/errors', 'src/clock'],
  'src/backends': ['src/transfer', 'protocol', 'src/errors', 'src/clock'],
  'src/backends/index': ['src/backends', 'src/transfer'],
  'src/backends/redis-protocol': ['src/backends/backend', 'src/transfer', 'protocol', 'src/errors', 'src/clock', 'src/random'],
  'src/backends/redis': ['src/backends/backend', 'src/backends/redis-protocol', 'src/transfer', 'protocol', 'src/errors', 'src/clock', 'src/random', 'src/socket-writer'],
  'src/backends/redis-cluster': ['src/backends/backend', 'src/backends/redis-protocol', 'src/transfer', 'protocol', 'src/errors', 'src/clock'],
  'src/backends/keyspace': ['src/keyspace', 'src/transfer', 'protocol', 'src/errors', 'src/clock'],
  'src/persistence': ['src/engine', 'src/keyspace', 'protocol', 'src/transfer', ...LEAVES],
  'src/replication': ['src/engine', 'src/keyspace', 'protocol', 'src/transfer', ...LEAVES],
  'src/cluster': ['src/engine', 'src/keyspace', 'protocol', 'src/transfer', ...LEAVES],
  'src/server': CORE,
  'src/workflow': ['src/transfer', 'src/backends', ...LEAVES],
  'src/bundle': ['src/transfer', 'src/backends', ...LEAVES],
  'src/testing': [...CORE, 'src/server'],
  'src/cli': [...CORE, 'src/server', 'src/workflow', 'src/bundle', 'src/testing', 'src/index'],
  'src/index': ['src/server', 'src/testing', 'src/workflow', 'src/bundle', 'src/transfer', 'src/errors'],
  'test': ['*'],
  'bench': ['*'],
}

const MAX_FILE_LINES = 500
/** Test files are few and large: each costs the runner most of a second. */
const MAX_TEST_LINES = 1000
const MAX_FUNCTION_LINES = 80
/** Tables of data, where splitting would only scatter them. */
const LONG_DATA: readonly string[] = []

const BANNED_NAMES = /^(utils?|helpers?|commons?|managers?|misc)$/
const LEFTOVERS = /\b(TODO|FIXME|HACK)\b|\bnot (yet )?implemented\b|\bdebugger\b/i
/** Modules through which bytes leave the process: nothing for `protocol`. */
const IO_MODULES = /^node:(net|tls|fs|fs\/promises|http|https|dgram|child_process|worker_threads|dns|os|timers|timers\/promises)$/

interface SourceFile {
  /** From the repository's root, without `.ts`. */
  name: string
  part: string
  text: string
  lines: string[]
  imports: string[]
}

function listFiles(folder: string): string[] {
  if (!existsSync(path.join(root, folder))) return []
  return readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts'))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
}

function partOf(name: string): string {
  const fitting = Object.keys(MAY_IMPORT).filter((part) => name === part || name.startsWith(`${part}/`) || (part === 'commands/migrate' && name.startsWith(part)))
  return fitting.sort((a, b) => b.length - a.length)[0] ?? name
}

function readSource(file: string): SourceFile {
  const text = readFileSync(path.join(root, file), 'utf8')
  const name = file.replace(/\.ts$/, '')
  const specifiers = [...text.matchAll(/^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm)]
  const imports = specifiers.map((match) => match[1] ?? match[2] ?? match[3])
  return { name, part: partOf(name), text, lines: text.split('\n'), imports }
}

const files = ['src', 'protocol', 'commands', 'test', 'bench'].flatMap(listFiles).map(readSource)
const byName = new Map(files.map((file) => [file.name, file]))
const shipped = files.filter((file) => file.part !== 'test' && file.part !== 'bench')

/** The file a relative import means, or undefined for a package. */
function resolveImport(from: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  return path.join(path.dirname(from.name), specifier).replace(/\.js$/, '')
}

function isAllowed(file: SourceFile, target: string): boolean {
  const part = partOf(target)
  const allowed = MAY_IMPORT[file.part] ?? []
  if (part === file.part || allowed.includes('*')) return true
  // A command's file may use its neighbours; the migrating one is a part of its own only for what else it may use.
  if (file.part === 'commands' && part === 'commands/migrate') return true
  return allowed.some((name) => target === name || target.startsWith(`${name}/`) || (name === 'commands' && part === 'commands'))
}

t.test('imports go down only', (t) => {
  const wrong: string[] = []
  for (const file of files) {
    for (const specifier of file.imports) {
      const target = resolveImport(file, specifier)
      if (target === undefined) continue
      if (!byName.has(target)) wrong.push(`${file.name}: ${specifier} does not exist`)
      else if (!isAllowed(file, target)) wrong.push(`${file.name} (${file.part}) may not import ${target}`)
    }
  }
  t.same(wrong, [])
  t.same(files.filter((file) => !(file.part in MAY_IMPORT)).map((file) => file.name), [], 'every file is in the table')
  t.end()
})

t.test('packages: only what package.json says', (t) => {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string> | undefined>
  const runTime = { ...manifest['dependencies'], ...manifest['peerDependencies'] }
  const wrong: string[] = []
  for (const file of files) {
    for (const specifier of file.imports) {
      if (specifier.startsWith('.')) continue
      if (specifier.startsWith('node:')) {
        if (file.part === 'protocol' && IO_MODULES.test(specifier)) wrong.push(`${file.name}: protocol does no I/O (${specifier})`)
        continue
      }
      const packageName = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
      const known = shipped.includes(file) ? runTime : { ...runTime, ...manifest['devDependencies'] }
      if (!(packageName in known)) wrong.push(`${file.name}: ${specifier}`)
    }
  }
  t.same(wrong, [])
  const lock = readFileSync(path.join(root, 'package-lock.json'), 'utf8')
  t.notMatch(lock, /"resolved"/, 'the lock file names no registry')
  t.end()
})

t.test('no cycles, not even of types', (t) => {
  const cycles: string[] = []
  const state = new Map<string, 'open' | 'done'>()
  const visit = (name: string, trail: string[]): void => {
    if (state.get(name) === 'done') return
    if (state.get(name) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(name)), name].join(' -> '))
      return
    }
    state.set(name, 'open')
    const file = byName.get(name)
    for (const specifier of file?.imports ?? []) {
      const target = file === undefined ? undefined : resolveImport(file, specifier)
      if (target !== undefined && byName.has(target)) visit(target, [...trail, name])
    }
    state.set(name, 'done')
  }
  for (const file of files) visit(file.name, [])
  t.same(cycles, [])
  t.end()
})

t.test('sizes', (t) => {
  const long = files.filter((file) => file.lines.length > (file.part === 'test' ? MAX_TEST_LINES : MAX_FILE_LINES) + 1 && !LONG_DATA.includes(file.name))
  t.same(long.map((file) => `${file.name}: ${file.lines.length - 1} lines`), [], `files of at most ${MAX_FILE_LINES} lines, tests of ${MAX_TEST_LINES}`)
  t.same(files.flatMap(longFunctions), [], `functions of at most ${MAX_FUNCTION_LINES} lines`)
  t.end()
})

/** Functions and methods by their layout: from the line that opens one to the brace at the same depth. */
function longFunctions(file: SourceFile): string[] {
  const found: string[] = []
  file.lines.forEach((line, start) => {
    const opening = /^(\s*)(?:export |default |private |protected |public |static |override |async |get |set )*(?:function\*? ?(\w*)|(?:const|let) (\w+) = (?:async )?\(.*=>|([\w#]+)(?:<[^(]*>)?\()/.exec(line)
    if (opening === null || !/\{\s*$/.test(line) || /^\s*(if|for|while|switch|catch|do|else|return|await|throw)\b/.test(line)) return
    const end = file.lines.findIndex((other, i) => i > start && (other === `${opening[1]}}` || other === `${opening[1]}},`))
    if (end - start + 1 > MAX_FUNCTION_LINES) found.push(`${file.name}:${start + 1} ${opening[2] ?? opening[3] ?? opening[4]}: ${end - start + 1} lines`)
  })
  return found
}

t.test('names and leftovers', (t) => {
  const badNames = files.filter((file) => file.name.split('/').some((word) => BANNED_NAMES.test(word))).map((file) => file.name)
  t.same(badNames, [], 'nothing is called utils, helpers, manager or common')
  const leftovers: string[] = []
  for (const file of files) {
    if (file.name === 'test/tidy.test') continue
    file.lines.forEach((line, i) => {
      if (LEFTOVERS.test(line)) leftovers.push(`${file.name}:${i + 1}: ${line.trim().slice(0, 100)}`)
    })
  }
  t.same(leftovers, [], 'nothing left to do')
  const headless = shipped.filter((file) => !/^(#!.*\n)?\/\*\*/.test(file.text)).map((file) => file.name)
  t.same(headless, [], 'every file begins with a comment that says what it is')
  t.end()
})

t.test('what is exported is used', (t) => {
  const users = new Map<string, Set<string>>()
  for (const file of files) {
    for (const [word] of file.text.matchAll(/[A-Za-z_$][\w$]*/g)) {
      const known = users.get(word)
      if (known === undefined) users.set(word, new Set([file.name]))
      else known.add(file.name)
    }
  }
  const unused: string[] = []
  for (const file of shipped) {
    for (const [, name] of file.text.matchAll(/^export (?:async )?(?:function\*?|const|let|class|abstract class) (\w+)/gm)) {
      if ((users.get(name)?.size ?? 0) < 2) unused.push(`${file.name}: ${name}`)
    }
  }
  t.same(unused, [], 'nothing is exported that nobody else mentions')
  t.end()
})

t.test('time and chance have one door each', (t) => {
  const wrong: string[] = []
  for (const file of shipped) {
    if (file.part === 'src/cli' || file.name === 'src/clock' || file.name === 'src/random') continue
    file.lines.forEach((line, i) => {
      const code = line.replace(/\/\/.*$|^\s*\*.*$/, '')
      if (/\b(Date\.now|new Date\(\)|performance\.now|process\.hrtime|Math\.random|randomBytes|getRandomValues|randomUUID)\b/.test(code)) wrong.push(`${file.name}:${i + 1}: ${line.trim()}`)
    })
  }
  t.same(wrong, [])
  t.end()
})
