/**
 * What a text directive refuses beyond its type, with Valkey's words for it. Each check answers the error text or
 * undefined. Values hold one byte a character.
 */

import { isIPv4, isIPv6 } from 'node:net'

export type Check = (value: string) => string | undefined

const plainName =
  (name: string, kind: string): Check =>
  value => {
    if (value === '') return `${name} can't be empty`
    return value.includes('/') || value.includes('\\') ? `${name} can't be a path, just a ${kind}` : undefined
  }

const HOSTNAME_BYTES = 256

function hostname(value: string): string | undefined {
  if (value.length >= HOSTNAME_BYTES) return `Hostnames must be less than ${HOSTNAME_BYTES} characters`
  return /^[A-Za-z0-9.-]*$/.test(value)
    ? undefined
    : 'Hostnames may only contain alphanumeric characters, hyphens or dots'
}

/** A node name travels in nodes.conf and in the cluster bus: without blanks and separators of theirs. */
const nodeName: Check = value =>
  /[\0!#$%&()*+;<>?@[\]^{|}~]/.test(value) ? 'Announced human node name contained invalid character' : undefined

/** What a process title may name, and whether its text can be empty. */
const TITLE_PARTS: Readonly<Record<string, boolean>> = {
  'title': true,
  'server-mode': true,
  'unixsocket': true,
  'listen-addr': false,
  'port': false,
  'tls-port': false,
  'config-file': false
}

/** `{name}` for the names above; `{{` is a brace. The title must not come out blank. */
function processTitle(template: string): string | undefined {
  const rest = template.replace(/\{\{|\{([^{}]*)\}/g, (token, name: string | undefined) => {
    if (name === undefined) return 'x'
    const mayBeEmpty = TITLE_PARTS[name]
    return mayBeEmpty === undefined ? token : mayBeEmpty ? '' : 'x'
  })
  return rest.includes('{') || /^ *$/.test(rest)
    ? 'template format is invalid or contains unknown variables'
    : undefined
}

/** The locales every Debian has; keyferry collates bytes whichever is named. Found wrong only when applied. */
export const locale: Check = value =>
  /^(?:C|POSIX|C\.(?:UTF-?8|utf-?8))?$/.test(value) ? undefined : 'Invalid locale name'

const signalWords: Check = value =>
  /\bnosave\b/.test(value) && /\bsave\b/.test(value)
    ? "shutdown options SAVE and NOSAVE can't be used simultaneously"
    : undefined

/** Refused by the servers of Debian too, which are not built with the allocator it needs. */
const defragmentation: Check = value =>
  value === 'yes'
    ? 'Active defragmentation cannot be enabled: it requires a server compiled with a modified Jemalloc like the one ' +
      'shipped by default with the source distribution'
    : undefined

export const CHECKS: Readonly<Record<string, Check>> = {
  'activedefrag': defragmentation,
  'appenddirname': plainName('appenddirname', 'dirname'),
  'appendfilename': plainName('appendfilename', 'filename'),
  'cluster-announce-client-ipv4': value => (value === '' || isIPv4(value) ? undefined : 'Invalid IPv4 address'),
  'cluster-announce-client-ipv6': value => (value === '' || (isIPv6(value) && !value.includes('%')) ? undefined : 'Invalid IPv6 address'),
  'cluster-announce-hostname': hostname,
  'cluster-announce-human-nodename': nodeName,
  'cluster-config-file': value => (value === '' ? "cluster-config-file can't be empty" : undefined),
  'dbfilename': plainName('dbfilename', 'filename'),
  'proc-title-template': processTitle,
  'shutdown-on-sigint': signalWords,
  'shutdown-on-sigterm': signalWords
}
