// Assembles each .wat and writes it as a base64 constant into a .ts beside it.
// Run it after a change of a .wat: node scripts/wasm.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import initialise from 'wabt'

const wabt = await initialise()
for (const path of ['protocol/crc64', 'protocol/rdb/table-walk']) {
  const name = basename(path)
  const source = readFileSync(new URL(`../${path}.wat`, import.meta.url), 'utf8')
  const module = wabt.parseWat(`${name}.wat`, source, { simd: true, bulk_memory: true })
  module.validate()
  const { buffer } = module.toBinary({ log: false, write_debug_names: false })
  const lines = Buffer.from(buffer)
    .toString('base64')
    .match(/.{1,110}/g)
    .map((line) => `  '${line}'`)

  writeFileSync(
    new URL(`../${path}-wasm.ts`, import.meta.url),
    `/** The assembled ${name}.wat. Written by scripts/wasm.mjs: do not edit. */

/** The WebAssembly module of ${name}.wat, in base64 (${buffer.length} bytes). */
export const ${name.replaceAll('-', '_').toUpperCase()}_WASM =
${lines.join(' +\n')}
`,
  )
}
