/**
 * Links kept open between commands, for 10 seconds after their last use, at most 64 (a random one goes when
 * another is needed). A link is only handed to a command with the same address, credentials and TLS mode,
 * and never to two at once: commands that run at the same time get a link each.
 */
import type { Random } from '../../random.js'
import { LinkFault } from '../../transfer/outcome.js'
import { Link, type Target } from './link.js'

const LINKS_MAX = 64
const KEPT_MS = 10_000

export class LinkCache {
  readonly #idle = new Map<string, Link[]>()
  readonly #inUse = new Set<Link>()
  #closed = false
  #idleCount = 0
  /** The newest payload version each target takes, as far as it has told: address -> version. */
  readonly #versions = new Map<string, number>()

  constructor(readonly random: Random) {}

  /** Links that are open, in use or not. */
  get size(): number {
    return this.#idleCount + this.#inUse.size
  }

  /** An idle link to the target, or a new one that is still connecting. `fresh`: never an idle one. Throws LinkFault. */
  async take(target: Target, timeoutMs: number, fresh = false): Promise<Link> {
    // Node would take an empty name for this machine's, and throws at one with a NUL.
    if (target.host === '' || target.host.includes('\0')) throw new LinkFault('connect', false, 'no host can have that name')
    const links = this.#idle.get(nameOf(target))
    let link: Link | undefined
    while (!fresh && link === undefined && links !== undefined && links.length > 0) {
      const last = links.pop() as Link
      this.#idleCount--
      if (last.isOpen) link = last
    }
    if (link === undefined) {
      if (this.size >= LINKS_MAX) this.#dropRandom()
      const tls = target.tls === undefined ? undefined : (await import('node:tls')).connect
      link = new Link(target, tls)
    }
    this.#inUse.add(link)
    link.acquire(timeoutMs)
    if (this.#closed) link.abort()
    return link
  }

  /** Takes a link back; a closed one is forgotten, and one too many is closed. */
  give(link: Link, nowMs: number): void {
    this.#inUse.delete(link)
    if (!link.isOpen) return
    if (this.size >= LINKS_MAX) return link.close()
    link.release(nowMs)
    const name = nameOf(link.target)
    const links = this.#idle.get(name)
    if (links === undefined) this.#idle.set(name, [link])
    else links.push(link)
    this.#idleCount++
  }

  /** Closes links unused for more than 10 s, and forgets those that the target closed. */
  sweep(nowMs: number): void {
    for (const [name, links] of this.#idle) {
      const kept = links.filter((link) => {
        if (link.isOpen && nowMs - link.lastUsedMs > KEPT_MS) link.close()
        return link.isOpen
      })
      this.#idleCount -= links.length - kept.length
      if (kept.length === 0) this.#idle.delete(name)
      else this.#idle.set(name, kept)
    }
  }

  /** Closes every link for good: what is under way on one fails. */
  close(): void {
    this.#closed = true
    for (const links of this.#idle.values()) for (const link of links) link.close()
    for (const link of this.#inUse) link.abort()
    this.#idle.clear()
    this.#idleCount = 0
  }

  #dropRandom(): void {
    const names = [...this.#idle.keys()]
    if (names.length === 0) return
    const name = names[this.random.below(names.length)]
    const links = this.#idle.get(name) as Link[]
    links.pop()?.close()
    this.#idleCount--
    if (links.length === 0) this.#idle.delete(name)
  }

  /** The payload version to send to this address. */
  versionFor(target: Target, newest: number): number {
    return Math.min(newest, this.#versions.get(addressOf(target)) ?? newest)
  }

  /** The target refused everything above `version`. */
  learnVersion(target: Target, version: number): void {
    const address = addressOf(target)
    if (!this.#versions.has(address) && this.#versions.size >= LINKS_MAX)
      this.#versions.delete(this.#versions.keys().next().value as string)
    this.#versions.set(address, version)
  }
}

function addressOf(target: Target): string {
  return `${target.host}:${target.port}`
}

/** What links must agree on to be shared. */
function nameOf({ host, port, user, password, tls }: Target): string {
  if (password === undefined && tls === undefined) return `${host}:${port}`
  return JSON.stringify([host, port, user, password, tls !== undefined])
}
