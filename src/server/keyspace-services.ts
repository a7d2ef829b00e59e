/** What the databases need of the server around them; the engine's part is filled in once it exists. */
import type { Clock } from '../clock.js'
import type { Config } from '../config/index.js'
import type { KeyspaceServices } from '../keyspace/database.js'
import { materialise } from '../keyspace/payload.js'
import type { Random } from '../random.js'

export function keyspaceServices(clock: Clock, random: Random, config: Config): KeyspaceServices {
  const services: KeyspaceServices = {
    clock,
    random,
    stats: { hits: 0, misses: 0, expired: 0, expiredStalePercent: 0, evicted: 0 },
    lfu: false,
    lfuLogFactor: 10,
    lfuDecayMinutes: 1,
    noTouch: false,
    expiryFrozen: false,
    onExpired: () => undefined,
    materialise: (_db, type, lazy) => materialise(type, lazy),
  }
  const follow = (): void => {
    services.lfu = config.maxmemoryPolicy.endsWith('lfu')
    services.lfuLogFactor = config.lfuLogFactor
    services.lfuDecayMinutes = config.lfuDecayTime
  }
  follow()
  config.onChange(['maxmemory-policy', 'lfu-log-factor', 'lfu-decay-time'], follow)
  return services
}
