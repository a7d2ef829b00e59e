/**
 * `npm start [-- --directive value ...]`: builds when nothing is built yet, then becomes keyferry-server. Without a
 * configuration file or directives it serves on 6379 and keeps everything in memory.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const server = new URL('../dist/bin/keyferry-server.js', import.meta.url)
if (!existsSync(server)) {
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL('build.mjs', import.meta.url))], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
// The program reads process.argv as if it had been started itself.
process.argv[1] = fileURLToPath(server)
await import(server.href)
