/** Options that are switched on and off, as texts of a stanza. */
import { StoreError } from '../transfer/store.js'
import { optionOf, type Backend, type StoreOptions } from './backend.js'

/** An option's value as yes or no; no when it is not given. Throws StoreError 'usage'. */
export function flagOf(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions, name: string): boolean {
  const text = optionOf(backend, options, name) ?? ''
  if (text === 'true' || text === '1') return true
  if (text === 'false' || text === '0' || text === '') return false
  throw new StoreError('usage', `option '${name}' of storage "${backend.type}" is '${text}'; it must be true or false`)
}
