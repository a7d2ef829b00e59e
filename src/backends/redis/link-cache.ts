/**
 * Links kept open between commands, for 10 seconds after their last use, at most 64 (a random one goes when
 * another is needed). A link is only handed to a command with the same address, credentials and TLS mode. Commands that
 * run at the same time get a link each, unless the one before has sent all of a small batch and offers its own: then the
 * next one sends behind it.
 */
import type { Random } from '../../random.js'
import { LinkFault } from '../../transfer/outcome.js'
import { Link, type Target } from './link.js'

const LINKS_MAX = 64
const KEPT_MS = 10_000

export class LinkCache {
  readonly #idle = new Map<string, Link[]>()
  /** All of them, in use or not. */
  readonly #links = new Set<Link>()
  #closed = false
  /** How many commands have sent behind others. */
  joined = 0
  /** The target asked for last and what is known of it: most commands name the same one again and again. */
  #lastTarget: Target | undefined
  #lastIdle: Link[] = []
  #lastVersion: number | undefined
  /** A link in use that its user offers to the next command. */
  #offered: Link | undefined
  /** The newest payload version each target takes, as far as it has told: address -> version. */
  readonly #versions = new Map<string, number>()

  constructor(readonly random: Random) {}

  /** Links that are open, in use or not. */
  get size(): number {
    return this.#links.size
  }

  /**
   * A link over which keys for this database may be sent at once, one that is offered or an idle one, or undefined: then
   * `take` one and prepare it.
   */
  takeReady(target: Target, timeoutMs: number, db: string): Link | undefined {
    const offered = this.#offered
    if (offered !== undefined && isSame(offered.target, target)) {
      this.#offered = undefined
      if (offered.uses > 0 && offered.isJoinable(db, timeoutMs)) {
        offered.join()
        this.joined++
        return offered
      }
    }
    const idle = this.#idleFor(target)
    if (idle.length === 0 || !idle[idle.length - 1].isReadyFor(db)) return undefined
    const link = idle.pop() as Link
    link.acquire(timeoutMs)
    return link
  }

  /** All of a batch has been sent over this link: the next one may go behind it. */
  offer(link: Link): void {
    this.#offered = link
  }

  /** The link for its user alone from now on; undefined when others share it: then it is given back. */
  keep(link: Link, nowMs: number): Link | undefined {
    if (this.#offered === link) this.#offered = undefined
    if (link.uses === 1 || !link.isOpen) return link
    this.give(link, nowMs)
    return undefined
  }

  /** The idle links to a target, the one used last at the end. */
  #idleFor(target: Target): Link[] {
    if (this.#lastTarget !== undefined && isSame(this.#lastTarget, target)) return this.#lastIdle
    const name = nameOf(target)
    let idle = this.#idle.get(name)
    if (idle === undefined) this.#idle.set(name, (idle = []))
    this.#lastTarget = target
    this.#lastVersion = this.#versions.get(addressOf(target))
    return (this.#lastIdle = idle)
  }

  /** An idle link to the target, or a new one that is still connecting. `fresh`: never an idle one. Throws LinkFault. */
  async take(target: Target, timeoutMs: number, fresh = false): Promise<Link> {
    // Node would take an empty name for this machine's, and throws at one with a NUL.
    if (target.host === '' || target.host.includes('\0')) throw new LinkFault('connect', false, 'no host can have that name')
    if (target.port < 0) throw new LinkFault('connect', false, 'no port can have that number')
    const idle = this.#idleFor(target)
    let link: Link | undefined
    while (!fresh && link === undefined && idle.length > 0) {
      const last = idle.pop() as Link
      if (last.isOpen) link = last
      else this.#links.delete(last)
    }
    if (link === undefined) {
      if (this.size >= LINKS_MAX) this.#dropRandom()
      const tls = target.tls === undefined ? undefined : (await import('node:tls')).connect
      link = new Link(target, tls)
      this.#links.add(link)
    }
    link.acquire(timeoutMs)
    if (this.#closed) link.abort()
    return link
  }

  /** Takes a link back; a closed one is forgotten, and one too many is closed. */
  give(link: Link, nowMs: number): void {
    link.release(nowMs)
    if (link.uses > 0 && link.isOpen) return
    if (this.#offered === link) this.#offered = undefined
    if (this.size > LINKS_MAX) link.close()
    if (!link.isOpen) {
      this.#links.delete(link)
      return
    }
    this.#idleFor(link.target).push(link)
  }

  /** Closes links unused for more than 10 s, and forgets those that the target closed. */
  sweep(nowMs: number): void {
    for (const [name, links] of this.#idle) {
      const kept = links.filter((link) => {
        if (link.isOpen && nowMs - link.lastUsedMs > KEPT_MS) link.close()
        if (!link.isOpen) this.#links.delete(link)
        return link.isOpen
      })
      if (kept.length === 0) this.#idle.delete(name)
      else this.#idle.set(name, kept)
    }
    this.#lastTarget = undefined
  }

  /** Closes every link for good: what is under way on one fails. */
  close(): void {
    this.#closed = true
    for (const link of this.#links) link.abort()
    this.#links.clear()
    this.#idle.clear()
    this.#lastTarget = this.#offered = undefined
  }

  #dropRandom(): void {
    const idle = [...this.#idle.values()].filter((links) => links.length > 0)
    if (idle.length === 0) return
    const link = idle[this.random.below(idle.length)].pop() as Link
    link.close()
    this.#links.delete(link)
  }

  /** The payload version to send to this address. */
  versionFor(target: Target, newest: number): number {
    this.#idleFor(target)
    return Math.min(newest, this.#lastVersion ?? newest)
  }

  /** The target refused everything above `version`. */
  learnVersion(target: Target, version: number): void {
    const address = addressOf(target)
    if (!this.#versions.has(address) && this.#versions.size >= LINKS_MAX)
      this.#versions.delete(this.#versions.keys().next().value as string)
    this.#versions.set(address, version)
    this.#lastTarget = undefined
  }
}

function addressOf(target: Target): string {
  return `${target.host}:${target.port}`
}

/** Whether two commands may share a link: the same as equal names, and cheaper. */
function isSame(a: Target, b: Target): boolean {
  return a.port === b.port && a.host === b.host && a.user === b.user && a.password === b.password &&
    (a.tls === undefined) === (b.tls === undefined)
}

/** What links must agree on to be shared. */
function nameOf({ host, port, user, password, tls }: Target): string {
  if (password === undefined && tls === undefined) return `${host}:${port}`
  return JSON.stringify([host, port, user, password, tls !== undefined])
}
