/**
 * The configuration's view of the file system: error texts as the C library words them, the current folder,
 * reading files as bytes, and the wildcards of `include`.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ERROR_TEXTS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EEXIST: 'File exists',
  EHOSTUNREACH: 'No route to host',
  EINVAL: 'Invalid argument',
  EIO: 'Input/output error',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMFILE: 'Too many open files',
  ENAMETOOLONG: 'File name too long',
  ENETUNREACH: 'Network is unreachable',
  ENOENT: 'No such file or directory',
  ENOSPC: 'No space left on device',
  ENOTDIR: 'Not a directory',
  ENOTFOUND: 'Name or service not known',
  EPERM: 'Operation not permitted',
  EROFS: 'Read-only file system',
  ETIMEDOUT: 'Connection timed out'
}

/** What strerror() says about a failed system call; the error's own message where it is none. */
export function systemErrorText(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return (code && ERROR_TEXTS[code]) ?? (error instanceof Error ? error.message : String(error))
}

/** The current folder, or the empty text when it has been removed. */
export function currentFolder(): string {
  try {
    return process.cwd()
  } catch {
    return ''
  }
}

/** A whole file, or standard input (descriptor 0), one character a byte. */
export const readBytes = (file: string | 0): string => readFileSync(file).toString('latin1')

/** Whether an include names files by pattern. */
export const hasWildcard = (path: string): boolean => /[*?[]/.test(path)

/**
 * The files that an absolute path with wildcards stands for, sorted, as glob(3) finds them: a wildcard matches
 * within one folder level, and a leading dot only where the pattern writes it.
 */
export function expandWildcards(pattern: string): string[] {
  let found = ['/']
  for (const part of pattern.split('/').filter(Boolean)) {
    found = hasWildcard(part) ? found.flatMap(folder => matchesIn(folder, part)) : found.map(f => join(f, part))
  }
  return found.filter(exists)
}

function matchesIn(folder: string, part: string): string[] {
  const expression = wildcardExpression(part)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names
    .filter(name => (name[0] !== '.' || part[0] === '.') && expression.test(name))
    .sort((a, b) => (a < b ? -1 : 1))
    .map(name => join(folder, name))
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch {
    return false
  }
}

/** One level of a pattern as a regular expression: `*`, `?`, `[a-z]`, `[!a]`, and a backslash before any of them. */
function wildcardExpression(part: string): RegExp {
  const tokens = /\\(.)|\[([!^]?)((?:\]?)[^\]]*)\]|\*|\?|[.+^${}()|[\]\\]/g
  const source = part.replace(tokens, (token, escaped?: string, not?: string, set?: string) => {
    if (escaped !== undefined) return escaped.replace(/\W/, '\\$&')
    if (set !== undefined) return `[${not ? '^' : ''}${set.replace(/[\\\]]/g, '\\$&')}]`
    if (token === '*') return '.*'
    return token === '?' ? '.' : `\\${token}`
  })
  return new RegExp(`^${source}$`, 's')
}
