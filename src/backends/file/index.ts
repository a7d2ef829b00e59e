/**
 * Storage "file", `file:DIR`: a folder in the layout of Vault's file backend.
 */
import path from 'node:path'
import { StoreError } from '../../transfer/store.js'
import { optionOf, type Backend } from '../backend.js'
import { decodePart } from '../url.js'
import { FileStore } from './store.js'

export const backend: Backend = {
  type: 'file',
  schemes: ['file'],
  summary: "A folder in the layout of Vault's file backend",
  options: [{ name: 'path', summary: 'the folder', required: true }],
  fromUrl(url) {
    const found = /^file:(\/\/[^/]*)?(.*)$/is.exec(url)
    if (found === null || found[2] === '') throw new StoreError('usage', `'${url}' names no folder; write file:DIR`)
    const [, host, folder] = found
    if (host !== undefined && host !== '//' && host !== '//localhost') throw new StoreError('usage', `'${url}' names a folder of another machine; write file:DIR`)
    return { path: host === undefined ? folder : decodePart(folder) }
  },
  create(options) {
    return new FileStore(path.resolve(optionOf(backend, options, 'path') as string))
  },
}
