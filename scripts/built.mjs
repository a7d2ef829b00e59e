/**
 * `node scripts/built.mjs FILE [argument ...]`: builds, then runs a compiled program of dist/ in this process' place.
 * SKIP_BUILD=1 takes dist/ as it is.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const [file, ...args] = process.argv.slice(2)
if (process.env.SKIP_BUILD !== '1') {
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL('build.mjs', import.meta.url))], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
const program = new URL(`../dist/${file}`, import.meta.url)
process.argv = [process.argv[0], fileURLToPath(program), ...args]
await import(program.href)
