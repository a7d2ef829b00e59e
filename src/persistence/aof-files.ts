/**
 * Which files an append-only file consists of.
 *
 *     appendonlydir/appendonly.aof.manifest      file NAME seq N type b|i|h, a line each
 *     appendonlydir/appendonly.aof.1.base.rdb    b: the state to begin with, as RDB or as commands
 *     appendonlydir/appendonly.aof.1.incr.aof    i: commands since then, in order; h: history, no longer needed
 *
 * Or a single file, as before Redis 7: commands, perhaps behind an RDB file.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { StoreError } from '../transfer/store.js'

/** The paths, in the order to be applied. Throws StoreError. */
export function aofFiles(label: string, location: string): string[] {
  let names: string[]
  try {
    if (!statSync(location).isDirectory()) return location.endsWith('.manifest') ? filesOf(label, location) : [location]
    names = readdirSync(location)
  } catch (error) {
    if (error instanceof StoreError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw new StoreError(code === 'EACCES' ? 'denied' : 'unreachable', `${label} cannot be read: ${code === 'ENOENT' ? 'there is no such file or folder' : message}`, { cause: error })
  }
  const manifests = names.filter((name) => name.endsWith('.manifest'))
  if (manifests.length === 1) return filesOf(label, path.join(location, manifests[0]))
  const inside = names.includes('appendonlydir') ? '; is the folder appendonlydir in it meant?' : ''
  throw new StoreError('usage', `${label} is a folder with ${manifests.length === 0 ? 'no manifest' : `${manifests.length} manifests; name one of them`}${inside}`)
}

function filesOf(label: string, manifest: string): string[] {
  const files: string[] = []
  for (const [i, line] of readFileSync(manifest, 'utf8').split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue
    const found = /^file (?:"((?:[^"\\]|\\.)*)"|(\S+)) seq \d+ type ([bih])(?: |$)/.exec(line.trimEnd())
    const name = found?.[1]?.replace(/\\(.)/g, '$1') ?? found?.[2]
    // As the servers have it: the files lie beside the manifest, nowhere else.
    if (found === null || name === undefined || name.includes('/')) throw new StoreError('corrupt', `${label}: line ${i + 1} of its manifest is no line "file NAME seq N type b|i|h"`)
    if (found[3] !== 'h') files.push(path.join(path.dirname(manifest), name))
  }
  return files
}
