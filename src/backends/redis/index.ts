/** The backend `redis`: one server of Redis, Valkey or keyferry, with all its databases or one of them. */
import type { Backend } from '../backend.js'
import { optionsOfUrl, sharedOptions } from '../redis-protocol/settings.js'
import { redisStore } from './store.js'

export const backend: Backend = {
  type: 'redis',
  schemes: ['redis', 'rediss', 'valkey', 'valkeys'],
  summary: 'a Redis or Valkey server: every type as it is, expiry times too',
  options: [
    { name: 'address', summary: 'host:port of the server', default: '127.0.0.1:6379' },
    { name: 'db', summary: 'the one database to use; without it all of them' },
    ...sharedOptions,
  ],
  fromUrl: (url) => optionsOfUrl(url, backend.options, /^(rediss|valkeys):/i.test(url)),
  create: (options) => redisStore(backend, options),
}
