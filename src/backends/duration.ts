/** Options that are times, as texts of a stanza. */
import { StoreError } from '../transfer/store.js'
import { optionOf, type Backend, type StoreOptions } from './backend.js'

/** Milliseconds of a duration: `5s`, `1500ms`, `2m`, or a bare number of seconds. Throws StoreError 'usage'. */
export function durationOf(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions, name: string): number {
  const text = optionOf(backend, options, name) ?? ''
  const parts = /^(\d{1,9})(ms|s|m)?$/.exec(text)
  const ms = parts === null ? 0 : Number(parts[1]) * (parts[2] === 'ms' ? 1 : parts[2] === 'm' ? 60000 : 1000)
  if (ms === 0) throw new StoreError('usage', `option '${name}' of storage "${backend.type}" is '${text}'; it must be a time like 5s or 500ms`)
  return ms
}
