/**
 * Builds everything that ships, into dist/:
 *
 *   dist/{src,protocol,commands,test,bench}   the ESM build with types: one file per source file (tsc)
 *   dist/bin/*.js                             the two programs: launcher, one bundled file, V8's code cache
 *   dist/cjs/                                 the library for require(): one bundle, and the types as CommonJS declarations
 *
 * The programs are bundled because opening a hundred small modules costs more than the rest of the start.
 * Options: --types-only stops after tsc.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = path.join(root, 'dist')

/** Packages that are loaded only when a configuration asks for them stay outside the bundles. */
const EXTERNAL = ['mysql2', 'pg', 'etcd3', '@aws-sdk/*']

function compile() {
  // By path: another package may claim the name `tsc` in node_modules/.bin.
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', path.join(root, 'tsconfig.json')], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/**
 * dist/bin: each program is a launcher and a bundle of everything it may need. Modules inside a bundle still run only when
 * they are imported; what is saved is finding, opening and compiling files. The launcher hands V8 the code it compiled at
 * build time (`.cache`), which V8 takes only when its own version and the source are the same, and ignores otherwise.
 */
async function bundlePrograms(esbuild) {
  const folder = path.join(dist, 'bin')
  rmSync(folder, { recursive: true, force: true })
  const programs = ['keyferry', 'keyferry-server'].filter((name) => existsSync(path.join(dist, `src/cli/${name}.js`)))
  if (programs.length === 0) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "commonjs" }\n')
  for (const name of programs) {
    await esbuild.build({
      entryPoints: [path.join(dist, `src/cli/${name}.js`)],
      outfile: path.join(folder, `${name}.bundle.js`),
      bundle: true,
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      minify: true,
      keepNames: true,
      legalComments: 'none',
      external: EXTERNAL,
      // A script that comes out of V8's code cache has no import().
      supported: { 'dynamic-import': false },
      define: { 'import.meta.url': 'keyferryUrl' },
      banner: { js: "const keyferryUrl=require('node:url').pathToFileURL(__filename).href;" },
      logLevel: 'warning',
    })
    const bundle = path.join(folder, `${name}.bundle.js`)
    writeFileSync(bundle, readFileSync(bundle, 'utf8').replace(/^#!.*\n/, ''))
    writeFileSync(path.join(folder, `${name}.js`), LAUNCHER)
    chmodSync(path.join(folder, `${name}.js`), 0o755)
  }
  const { status } = spawnSync(process.execPath, [path.join(root, 'scripts/code-cache.mjs'), ...programs.map((name) => path.join(folder, `${name}.js`))], { stdio: 'inherit', timeout: 30_000 })
  if (status !== 0) console.error('build: no code cache; the programs start a little slower')
}

const LAUNCHER = `#!/usr/bin/env node
'use strict';
const fs = require('node:fs');
const vm = require('node:vm');
const bundle = __filename.replace(/\\.js$/, '.bundle.js');
let cachedData;
try { cachedData = fs.readFileSync(bundle + '.cache'); } catch {}
const source = '(function (exports, require, module, __filename, __dirname) {' + fs.readFileSync(bundle, 'latin1') + '\\n})';
const script = new vm.Script(source, { filename: bundle, cachedData });
if (process.env.KEYFERRY_CODE_CACHE) process.once('message', () => { fs.writeFileSync(bundle + '.cache', script.createCachedData()); process.exit(0); });
script.runInThisContext()(exports, require, module, bundle, __dirname);
`

/** dist/cjs: a package of its own with type commonjs, so that the copied declarations are CommonJS declarations. */
async function bundleCommonJs(esbuild) {
  const target = path.join(dist, 'cjs')
  rmSync(target, { recursive: true, force: true })
  if (!existsSync(path.join(dist, 'src/index.js'))) return
  mkdirSync(target, { recursive: true })
  await esbuild.build({
    entryPoints: [path.join(dist, 'src/index.js')],
    outfile: path.join(target, 'index.js'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    define: { 'import.meta.url': 'keyferryUrl' },
    banner: { js: "const keyferryUrl = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
  })
  writeFileSync(path.join(target, 'package.json'), '{ "type": "commonjs" }\n')
  for (const folder of ['src', 'protocol', 'commands']) {
    cpSync(path.join(dist, folder), path.join(target, folder), { recursive: true, filter: (file) => !/\.(js|map)$/.test(file) })
  }
}

compile()
if (!process.argv.includes('--types-only')) {
  const esbuild = await import('esbuild')
  await bundlePrograms(esbuild)
  await bundleCommonJs(esbuild)
}
