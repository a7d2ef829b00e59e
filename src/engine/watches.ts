/** WATCH: which sessions fail their EXEC when a key changes. */
import { Slice } from '../../protocol/slice.js'
import type { Database } from '../keyspace/database.js'
import type { Session, Watch } from './session.js'

export class Watches {
  readonly #watched = new Map<Database, Map<string, Set<Session>>>()
  /** How many keys are watched. */
  size = 0

  /** Begins to watch a key for a session; once per key and session. */
  add(session: Session, db: Database, key: Slice): void {
    const name = key.latin1()
    if (session.watches.some((watch) => watch.db === db && watch.key === name)) return
    const ref = db.findKey(key)
    session.watches.push({ db, key: name, wasExpired: ref !== 0 && db.isExpired(ref) })
    let keys = this.#watched.get(db)
    if (keys === undefined) this.#watched.set(db, (keys = new Map<string, Set<Session>>()))
    let sessions = keys.get(name)
    if (sessions === undefined) {
      keys.set(name, (sessions = new Set<Session>()))
      this.size++
    }
    sessions.add(session)
  }

  /** A key was changed. */
  touch(db: Database, key: Slice): void {
    const name = key.latin1()
    const sessions = this.#watched.get(db)?.get(name)
    if (sessions === undefined) return
    for (const session of sessions) {
      if (session.watchBroken) continue
      const watch = watchOf(session, db, name)
      // What was expired already is merely removed.
      if (watch?.wasExpired === true && db.findKey(key) === 0) watch.wasExpired = false
      else session.watchBroken = true
    }
  }

  /**
   * A whole database was emptied or exchanged: watched keys that exist in it (or in what takes its place)
   * count as changed.
   */
  touchAll(db: Database, replacement?: Database): void {
    for (const [name, sessions] of this.#watched.get(db) ?? []) {
      const key = Slice.from(name, 'latin1')
      const existed = db.findKey(key) !== 0
      const after = replacement === undefined ? 0 : replacement.findKey(key)
      if (!existed && after === 0) continue
      const expiredAfter = after !== 0 && (replacement as Database).isExpired(after)
      for (const session of sessions) {
        const watch = watchOf(session, db, name)
        // A key that was, stays or becomes expired is one that is not there.
        if (watch?.wasExpired === true && (after === 0 || expiredAfter)) watch.wasExpired = after !== 0
        else if (watch?.wasExpired === false && !existed && expiredAfter) watch.wasExpired = true
        else session.watchBroken = true
      }
    }
  }

  /** Whether a key that this session watches has expired since (EXEC checks it). */
  hasExpired(session: Session): boolean {
    return session.watches.some((watch) => {
      const ref = watch.db.findKey(Slice.from(watch.key, 'latin1'))
      return !watch.wasExpired && ref !== 0 && watch.db.isExpired(ref)
    })
  }

  /** Ends all watches of a session. */
  forget(session: Session): void {
    for (const watch of session.watches) {
      const keys = this.#watched.get(watch.db)
      const sessions = keys?.get(watch.key)
      if (keys === undefined || sessions === undefined) continue
      sessions.delete(session)
      if (sessions.size === 0) {
        keys.delete(watch.key)
        this.size--
        if (keys.size === 0) this.#watched.delete(watch.db)
      }
    }
    session.watches = []
    session.watchBroken = false
  }
}

function watchOf(session: Session, db: Database, name: string): Watch | undefined {
  return session.watches.find((watch) => watch.db === db && watch.key === name)
}
