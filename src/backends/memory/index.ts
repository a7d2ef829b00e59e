/**
 * Storage "inmem", `memory:` or `memory:NAME`: a store in this process.
 */
import { StoreError } from '../../transfer/store.js'
import { numberOf, optionOf, type Backend } from '../backend.js'
import { decodePart, queryOptions } from '../url.js'
import { MemoryStore } from './store.js'

export const backend: Backend = {
  type: 'inmem',
  schemes: ['memory', 'inmem'],
  summary: 'A store in the memory of this process: for trials and tests',
  options: [
    { name: 'name', summary: 'stores of one name are one store within the process; without a name each is empty and its own' },
    { name: 'max_value_size', summary: 'the longest value it takes, in bytes' },
    { name: 'typed', summary: "'true': keeps Redis types, expiry times and databases, as a Redis server does", default: 'false' },
  ],
  fromUrl(url) {
    const [, name, query] = /^[a-z]+:([^?]*)\??(.*)$/i.exec(url) ?? []
    if (name === undefined) throw new StoreError('usage', `'${url}' is not of the form memory:NAME`)
    const options = queryOptions(backend, new URL(`memory:?${query}`))
    return name === '' ? options : { name: decodePart(name), ...options }
  },
  create(options) {
    const typed = optionOf(backend, options, 'typed')
    if (typed !== 'true' && typed !== 'false') throw new StoreError('usage', `option 'typed' of storage "inmem" is '${typed}'; it must be 'true' or 'false'`)
    return new MemoryStore(optionOf(backend, options, 'name'), typed === 'true', numberOf(backend, options, 'max_value_size'))
  },
}
