/**
 * What error replies mean for a store: the whole of it can not go on (StoreError), this entry alone (EntryError), it
 * passes (ServerBusy), or the key lives elsewhere (a redirection of a cluster).
 */
import { EntryError, StoreError, type WriteOutcome } from '../../transfer/store.js'
import { ServerBusy, isPassing } from './connections.js'
import type { Refusal } from './reply-reader.js'

/** Where a cluster says a key is. */
export interface Redirection {
  readonly kind: 'moved' | 'ask'
  readonly slot: number
  /** Empty when it is the server that was asked. */
  readonly host: string
  readonly port: number
}

/** What a MOVED or ASK names, or undefined for any other refusal. */
export function redirectionOf(refusal: Refusal): Redirection | undefined {
  const found = /^(MOVED|ASK) (\d{1,5}) (.*):(\d{1,5})$/.exec(refusal.line)
  return found === null ? undefined : { kind: found[1] === 'MOVED' ? 'moved' : 'ask', slot: Number(found[2]), host: found[3], port: Number(found[4]) }
}

/** What became of a written entry; in a cluster it may have to go elsewhere. */
export type WriteResult = WriteOutcome | Redirection

/** The result that a refusal is. Throws as `entryErrorOf` does. */
export function resultOf(refusal: Refusal, label: string): WriteResult {
  return redirectionOf(refusal) ?? entryErrorOf(refusal, label)
}

const STORE_WIDE = /^(OOM|READONLY|MISCONF|NOREPLICAS|NOMASTERLINK)$/

/**
 * What a refusal of one key means. Throws what concerns the whole store: StoreError, ServerBusy. `label` is the store's.
 */
export function entryErrorOf(refusal: Refusal, label: string): EntryError {
  const { code, line } = refusal
  if (isPassing(refusal)) throw new ServerBusy(line)
  if (STORE_WIDE.test(code)) throw new StoreError('refused', `${label} takes no more keys: ${line}; ${ADVICE[code] ?? 'look at its log'}`)
  if (code === 'NOAUTH' || (code === 'NOPERM' && !/\bkeys?\b.*argument|access.*key/i.test(line))) throw new StoreError('denied', `${label} refuses us: ${line}; check username, password and the permissions of that user`)
  if (/exceeds maximum allowed size|invalid bulk length/.test(line)) return new EntryError('too-large', `${label} does not take a value of that size: ${line}`)
  return new EntryError('refused', `${label} refused it: ${line}`)
}

const ADVICE: Readonly<Record<string, string>> = {
  OOM: 'give it more memory (maxmemory), or copy to a larger server',
  READONLY: 'it is a replica; name its primary',
  MISCONF: 'it can not save its data to disk; repair that first',
  NOREPLICAS: 'it has fewer replicas than min-replicas-to-write asks for',
}
