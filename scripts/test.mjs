/**
 * `npm test [-- tap arguments]`: builds, makes tap ready, runs the compiled tests.
 *
 * tap generates its Test class from its list of plugins. Ours leaves out the TypeScript plugin, which cannot work beside
 * TypeScript 7 (it wants a compiler API that is no longer there); after a fresh install the class still has it and has to be
 * generated once more. That takes five seconds, so it is done only when the class says so.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const tap = fileURLToPath(new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url))
const testClass = new URL('../node_modules/@tapjs/test/test-built/dist/esm/index.js', import.meta.url)

function run(args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

function isReady() {
  try {
    return !readFileSync(testClass, 'utf8').includes('@tapjs/typescript')
  } catch {
    return false
  }
}

if (process.env.SKIP_BUILD !== '1') run([fileURLToPath(new URL('build.mjs', import.meta.url))])
if (!isReady()) run([tap, 'build'])
run([tap, 'run', ...process.argv.slice(2)])
