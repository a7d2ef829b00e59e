/**
 * Store URLs: what is common to those that name a server. Options go behind a question mark by their own names:
 * `mysql://user:password@host:3306/vault?table=secrets&tls_ca_file=/etc/ca.pem`.
 */
import { StoreError } from '../transfer/store.js'
import type { Backend } from './backend.js'

/** A URL without what stands between `//` and `@`, and without its options: a name that is misspelt may stand before a secret. */
export function withoutSecrets(url: string): string {
  return url.replace(/\/\/.*@/s, '//***@').replace(/\?.*/s, '?...')
}

/** A URL, or another word of a command line, that was understood: only what is known to be a secret is taken out. */
export function withoutPassword(word: string): string {
  // Alone before a Consul it is a token; elsewhere a name alone is no secret, and what is neither may be one.
  const login = (whole: string, user: string): string => {
    if (/^[^:/?#@]*$/.test(user)) return /^consuls?:/i.test(word) ? '//***@' : whole
    return `//${/^[^:/?#@]*:/.exec(user)?.[0] ?? ''}***@`
  }
  return word.replace(/\/\/(.*)@/s, login).replace(/(password|token)=[^&]*/gi, '$1=***')
}

/** The parts of a URL. Throws StoreError 'usage'. */
export function parseUrl(url: string): URL {
  try {
    return new URL(url)
  } catch {
    throw new StoreError('usage', `'${withoutSecrets(url)}' is no URL; characters such as @ : / # in a password have to be written as %40 %3A %2F %23`)
  }
}

/** The options behind the question mark. Throws StoreError 'usage' for one that the backend does not have. */
export function queryOptions(backend: Pick<Backend, 'type' | 'options'>, url: URL): Record<string, string> {
  const options: Record<string, string> = {}
  for (const [name, value] of url.searchParams) {
    if (!backend.options.some((option) => option.name === name))
      throw new StoreError('usage', `storage "${backend.type}" has no option '${name}'; it has ${backend.options.map((option) => option.name).join(', ')}`)
    options[name] = value
  }
  return options
}

/** A part of a URL with its %XX resolved. Throws StoreError 'usage'. */
export function decodePart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new StoreError('usage', 'a part of the URL has a % that is not followed by two hexadecimal digits; a % itself is written %25')
  }
}
