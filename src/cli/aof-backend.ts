/**
 * Append-only files as a source of `keyferry migrate`. Other than the backends of src/backends it needs an engine, which
 * only the programs may make.
 */
import { optionOf, numberOf, type Backend } from '../backends/backend.js'
import { Clock } from '../clock.js'
import { Config } from '../config/index.js'
import { AofStore } from '../persistence/aof-store.js'
import { silentLog } from '../server/logger.js'
import { Server } from '../server/index.js'
import { StoreError } from '../transfer/store.js'

export const backend: Backend = {
  type: 'aof',
  schemes: ['aof'],
  summary: 'an append-only file, as a source',
  options: [
    { name: 'path', required: true, summary: 'the folder with the manifest (appendonlydir), a manifest, or a single file' },
    { name: 'databases', default: '16', summary: 'how many databases the server had that wrote it' },
  ],
  fromUrl(url) {
    const path = url.slice(url.indexOf(':') + 1).replace(/^\/\/(?=\/)/, '')
    if (path === '' || path.startsWith('//')) throw new StoreError('usage', `'${url}' names no file; an append-only file is aof:PATH`)
    return { path }
  },
  create(options) {
    const path = optionOf(backend, options, 'path') ?? ''
    if (path === '') throw new StoreError('usage', 'option \'path\' of storage "aof" is empty; it must name a folder or file')
    const databases = numberOf(backend, options, 'databases') ?? 16
    return new AofStore(path, () => {
      const config = new Config()
      const refusal = config.assign('databases', [String(databases)])
      if (typeof refusal === 'string') throw new StoreError('usage', `option 'databases' of storage "aof": ${refusal}`)
      return new Server(config, silentLog, { clock: new StoppedClock() }).engine
    })
  },
}

/** Nothing expires while a file is applied. */
class StoppedClock extends Clock {
  override nowMs = 0

  override refresh(): number {
    return 0
  }
}
