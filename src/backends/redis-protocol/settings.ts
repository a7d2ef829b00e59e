/** The options that every backend of a Redis protocol has, and what they mean. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { StoreError } from '../../transfer/store.js'
import { numberOf, optionOf, type Backend, type OptionSpec, type StoreOptions } from '../backend.js'

export interface Settings {
  /** Host and port; a cluster may be named by several. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  readonly user: string | undefined
  readonly password: string | undefined
  readonly tls: ConnectionOptions | undefined
  readonly timeoutMs: number
  readonly scanCount: number
  readonly connections: number
  readonly chunkBytes: number | undefined
}

const DEFAULT_PORT = 6379

export const sharedOptions: readonly OptionSpec[] = [
  { name: 'username', summary: 'user of the access control list; without it the default user' },
  { name: 'password', summary: 'password', env: 'KEYFERRY_REDIS_PASSWORD', secret: true },
  { name: 'password_file', summary: 'file whose first line is the password' },
  { name: 'tls', summary: 'true: an encrypted connection', default: 'false' },
  { name: 'tls_ca_file', summary: 'certificates that the server is checked against, instead of the usual ones' },
  { name: 'tls_cert_file', summary: 'our own certificate' },
  { name: 'tls_key_file', summary: 'the key of our own certificate' },
  { name: 'tls_server_name', summary: 'name that the certificate of the server must have, when it is not the host' },
  { name: 'tls_skip_verify', summary: 'true: the certificate of the server is not checked', default: 'false' },
  { name: 'timeout', summary: 'how long nothing may move: 500ms, 10s, 2m', default: '10s' },
  { name: 'scan_count', summary: 'keys that are asked for at once when keys are listed', default: '1000' },
  { name: 'connections', summary: 'connections to each server', default: '2' },
  { name: 'chunk_bytes', summary: 'values larger than this are written in pieces of about this size; without it only those that the target would refuse' },
]

/** Reads the options. Throws StoreError 'usage'. */
export function settingsOf(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions): Settings {
  const bad = (name: string, why: string): StoreError => new StoreError('usage', `option '${name}' of storage "${backend.type}" ${why}`)
  const flag = (name: string): boolean => {
    const value = optionOf(backend, options, name)
    if (value !== 'true' && value !== 'false') throw bad(name, `is '${value}'; it must be true or false`)
    return value === 'true'
  }
  const file = (name: string): string | undefined => {
    const path = optionOf(backend, options, name)
    if (path === undefined || path === '') return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw bad(name, `names a file that can not be read: ${(error as Error).message}`)
    }
  }
  const text = (name: string): string | undefined => optionOf(backend, options, name) || undefined
  // A file that is named goes before the environment, and the option itself before both.
  const password = (options['password'] || undefined) ?? file('password_file')?.split(/\r?\n/, 1)[0] ?? text('password')
  return {
    addresses: (text('address') ?? '').split(',').map((address) => addressOf(address.trim(), (why) => bad('address', why))),
    user: text('username'),
    password,
    tls: flag('tls') ? tlsOf({ ca: file('tls_ca_file'), cert: file('tls_cert_file'), key: file('tls_key_file'), servername: text('tls_server_name') }, flag('tls_skip_verify')) : undefined,
    timeoutMs: millisecondsOf(text('timeout') ?? '', (why) => bad('timeout', why)),
    scanCount: numberOf(backend, options, 'scan_count') ?? 1000,
    connections: numberOf(backend, options, 'connections') ?? 2,
    chunkBytes: numberOf(backend, options, 'chunk_bytes', 1024),
  }
}

function tlsOf(given: { ca: string | undefined; cert: string | undefined; key: string | undefined; servername: string | undefined }, skipVerify: boolean): ConnectionOptions {
  const set = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...Object.fromEntries(set), rejectUnauthorized: !skipVerify }
}

function addressOf(address: string, bad: (why: string) => StoreError): { host: string; port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(address)
  const host = found?.[1] ?? found?.[2]
  const port = Number(found?.[3] ?? DEFAULT_PORT)
  if (!host || port < 1 || port > 65535 || host.includes('\0')) throw bad(`is '${address}'; it must be host:port`)
  return { host, port }
}

function millisecondsOf(text: string, bad: (why: string) => StoreError): number {
  const found = /^(\d{1,9})(ms|s|m)?$/.exec(text)
  const ms = found === null ? 0 : Number(found[1]) * (found[2] === 'ms' ? 1 : found[2] === 'm' ? 60_000 : 1000)
  if (ms <= 0) throw bad(`is '${text}'; it must be a time such as 500ms, 10s or 2m`)
  return ms
}

/** The options in a URL: `scheme://[user[:password]@]host[:port][,host...][/db][?option=value&...]`. Throws StoreError 'usage'. */
export function optionsOfUrl(url: string, options: readonly OptionSpec[], tls: boolean): StoreOptions {
  const found = /^[^:]+:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(url)
  // Without its options: a name that is misspelt may stand before a secret.
  const bad = (why: string): StoreError => new StoreError('usage', `'${url.replace(/\/\/[^/]*@/, '//***@').replace(/\?.*/s, '?...')}' ${why}`)
  if (found === null) throw bad('is no URL of the form scheme://[user:password@]host:port/db')
  const [, login, address, path, query] = found
  const out: Record<string, string> = { address: address === '' ? '127.0.0.1:6379' : address }
  if (tls) out['tls'] = 'true'
  try {
    if (login !== undefined) {
      const colon = login.indexOf(':')
      const user = decodeURIComponent(colon < 0 ? login : login.slice(0, colon))
      if (user !== '') out['username'] = user
      if (colon >= 0) out['password'] = decodeURIComponent(login.slice(colon + 1))
    }
    if (path !== undefined && path !== '') out['db'] = decodeURIComponent(path)
    for (const [name, value] of new URLSearchParams(query ?? '')) out[name] = value
  } catch {
    throw bad('has a % that is not followed by two hexadecimal digits')
  }
  const unknown = Object.keys(out).find((name) => !options.some((option) => option.name === name))
  if (unknown !== undefined) throw bad(unknown === 'db' ? 'names a database, and there is only one' : `has the option '${unknown}'; there are ${options.map(({ name }) => name).join(', ')}`)
  return out
}
