/** A server in the test's own process, whose inside a test may look into: keys, holds, links, time. */
import { Clock } from '../src/clock.js'
import { Config } from '../src/config/index.js'
import type { Database } from '../src/keyspace/database.js'
import { valueDigest } from '../src/keyspace/digest.js'
import { valueOf } from '../src/keyspace/values.js'
import { Slice } from '../protocol/slice.js'
import { migrationsOf, type Migrations } from '../commands/migrate.js'
import { silentLog } from '../src/server/logger.js'
import { Server } from '../src/server/server.js'
import { RespClient } from './client.js'

/** A clock that can be put forward. */
export class ShiftedClock extends Clock {
  shiftMs = 0

  override refresh(): number {
    return (this.nowMs = Date.now() + this.shiftMs)
  }
}

export class LocalServer {
  private constructor(readonly server: Server, readonly clock: ShiftedClock) {}

  /** `directives` by name; listens on a free loopback port. */
  static async start(directives: Readonly<Record<string, string>> = {}): Promise<LocalServer> {
    const config = new Config()
    for (const [name, value] of Object.entries({ save: '', bind: '127.0.0.1', port: '0', ...directives })) {
      const refusal = config.assign(name, value === '' ? [''] : value.split(' '))
      if (typeof refusal === 'string') throw new Error(`${name} ${value}: ${refusal}`)
    }
    const clock = new ShiftedClock()
    const server = new Server(config, silentLog, { clock })
    await server.listen()
    return new LocalServer(server, clock)
  }

  get port(): number {
    return this.server.port
  }

  get migrations(): Migrations {
    return migrationsOf(this.server.engine)
  }

  client(): Promise<RespClient> {
    return RespClient.connect(this.port)
  }

  db(index = 0): Database {
    return this.server.engine.databases[index]
  }

  /** A digest of the key's content, or undefined when it is not there. */
  content(key: string, index = 0): string | undefined {
    const db = this.db(index)
    const ref = db.lookup(Slice.from(key))
    return ref === 0 ? undefined : valueDigest(valueOf(db, ref))
  }

  /** Whether the key is in flight. */
  isHeld(key: string): boolean {
    const db = this.db()
    const ref = db.findKey(Slice.from(key))
    return ref !== 0 && db.holdOf(ref) !== undefined
  }

  /** Contents of all keys of all databases. */
  allContents(): Set<string> {
    const found = new Set<string>()
    for (const db of this.server.engine.databases)
      for (let i = 0; i < db.positions; i++) {
        const ref = db.refAtPosition(i)
        if (ref !== 0) found.add(valueDigest(valueOf(db, ref)))
      }
    return found
  }

  stop(): Promise<void> {
    return this.server.close()
  }
}
