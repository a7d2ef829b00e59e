// Assembles protocol/crc64.wat and writes it as a base64 constant into protocol/crc64-wasm.ts.
// Run it after a change of the .wat: node scripts/wasm.mjs
import { readFileSync, writeFileSync } from 'node:fs'
import initialise from 'wabt'

const source = new URL('../protocol/crc64.wat', import.meta.url)
const target = new URL('../protocol/crc64-wasm.ts', import.meta.url)

const wabt = await initialise()
const module = wabt.parseWat('crc64.wat', readFileSync(source, 'utf8'), { simd: true, bulk_memory: true })
module.validate()
const { buffer } = module.toBinary({ log: false, write_debug_names: false })
const lines = Buffer.from(buffer)
  .toString('base64')
  .match(/.{1,110}/g)
  .map((line) => `  '${line}'`)

writeFileSync(
  target,
  `/** The assembled crc64.wat. Written by scripts/wasm.mjs: do not edit. */

/** The WebAssembly module of crc64.wat, in base64 (${buffer.length} bytes). */
export const CRC64_WASM =
${lines.join(' +\n')}
`,
)
