/**
 * RDB files, as SAVE and BGSAVE write them: every version as a source, 9 to 12 and 80 as a destination.
 *
 *     rdb:dump.rdb    rdb:/var/lib/redis/dump.rdb    rdb:out.rdb?version=10&compress=no
 */
import { StoreError } from '../../transfer/store.js'
import { optionOf, type Backend, type StoreOptions } from '../backend.js'
import { RdbStore } from './store.js'

const VERSIONS = [9, 10, 11, 12, 80]

export const backend: Backend = {
  type: 'rdb',
  schemes: ['rdb'],
  summary: 'a file of SAVE or BGSAVE',
  options: [
    { name: 'path', required: true, summary: 'the file; a destination that exists is replaced when the copy is complete' },
    { name: 'version', default: '11', summary: 'RDB version to write: 9 (Redis 5 and 6), 10 (Redis 7.0), 11 (Redis 7.2, Valkey 7.2 to 8), 12 (Redis 7.4 and 8), 80 (Valkey 9)' },
    { name: 'compress', default: 'yes', summary: 'whether plain strings over 20 bytes are written compressed, yes or no; other values keep the form they come in' },
  ],
  fromUrl,
  create(options) {
    const path = optionOf(backend, options, 'path') ?? ''
    if (path === '') throw new StoreError('usage', 'option \'path\' of storage "rdb" is empty; it must name a file')
    const version = Number(optionOf(backend, options, 'version'))
    if (!VERSIONS.includes(version)) throw new StoreError('usage', `option 'version' of storage "rdb" is '${options['version']}'; it must be one of ${VERSIONS.join(', ')}`)
    const compress = optionOf(backend, options, 'compress')
    if (compress !== 'yes' && compress !== 'no') throw new StoreError('usage', `option 'compress' of storage "rdb" is '${compress}'; it must be yes or no`)
    return new RdbStore(path, version, compress === 'yes')
  },
}

/** `rdb:PATH`, the path as it is; behind a `?` come options, unless the file's name goes on like that. */
function fromUrl(url: string): StoreOptions {
  let path = url.slice(url.indexOf(':') + 1)
  if (path.startsWith('//')) {
    if (!path.startsWith('///')) throw new StoreError('usage', `'${url}' names a host; an RDB file is rdb:PATH or rdb:///PATH`)
    path = path.slice(2)
  }
  const options: Record<string, string> = {}
  const query = /\?((?:version|compress)=.*)$/.exec(path)
  if (query !== null) {
    path = path.slice(0, query.index)
    for (const [name, value] of new URLSearchParams(query[1])) {
      if (name !== 'version' && name !== 'compress') throw new StoreError('usage', `'${url}' has an option '${name}'; there are version and compress`)
      options[name] = value
    }
  }
  if (path === '') throw new StoreError('usage', `'${url}' names no file; an RDB file is rdb:PATH`)
  return { ...options, path }
}
