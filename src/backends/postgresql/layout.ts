/**
 * Vault's split of a key into columns, and the order of whole keys over it.
 *
 *     key      parent_path   path     key         a whole key is path without its first '/', then key
 *     top      ''            /        top
 *     core/x   /             /core/   x
 *     a/b/c    /a/           /a/b/    c
 */
import { isUtf8 } from 'node:buffer'

export interface Columns {
  readonly parentPath: string
  readonly path: string
  readonly key: string
}

export function columnsOf(key: string): Columns {
  const slash = key.lastIndexOf('/')
  if (slash < 0) return { parentPath: '', path: '/', key }
  const outer = key.lastIndexOf('/', slash - 1)
  return { parentPath: slash === 0 || outer < 0 ? '/' : `/${key.slice(0, outer + 1)}`, path: `/${key.slice(0, slash + 1)}`, key: key.slice(slash + 1) }
}

export function keyOf(path: string, key: string): string {
  return path.slice(1) + key
}

/** The folders that contain a key: `a/b/c` is in `/`, `/a/` and `/a/b/`. */
export function foldersOf(key: string): string[] {
  const folders = ['/']
  for (let slash = key.indexOf('/'); slash >= 0; slash = key.indexOf('/', slash + 1)) folders.push(`/${key.slice(0, slash + 1)}`)
  return folders
}

/** Whether the columns, which are text, can keep a key. */
export function isText(key: Buffer): boolean {
  for (let at = 0; at < key.length; at++) {
    if (key[at] === 0) return false
    if (key[at] >= 0x80) return !key.includes(0, at) && isUtf8(key)
  }
  return true
}

/** The text of a key, or undefined when the columns, which are text, can not keep it: no UTF-8, or a NUL in it. */
export function textOf(key: Buffer): string | undefined {
  return isText(key) ? key.utf8Slice() : undefined
}

/** As much of a key's beginning as is UTF-8 without a NUL: every text that is not before the key is not before this. */
export function textBefore(key: Buffer): string {
  const nul = key.indexOf(0)
  let end = nul < 0 ? key.length : nul
  while (end > 0 && textOf(key.subarray(0, end)) === undefined) end--
  return key.utf8Slice(0, end)
}

/** Order of the bytes of two texts: that of the server's collation "C". JavaScript's own order differs above U+FFFF. */
export function compareTexts(a: string, b: string): number {
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : a > b ? 1 : 0
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

const SURROGATE = /[\ud800-\udfff]/
