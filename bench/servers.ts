/**
 * The servers of a benchmark: how each role is started, and what runs beside them.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startPeer, type Peer, type PeerName } from '../test/peers.js'
import type { Role, Sheet } from './sheet.js'

/** What every benchmark gets. */
export interface Bench {
  sheet: Sheet
  rounds: number
  /** 1 for a real run; a smoke run shrinks every count by this. */
  scale: number
  roles: readonly Role[]
  /** What plays keyferry: keyferry itself, unless the benchmark is being tested. */
  ours: PeerName
  log: (line: string) => void
}

/** What ships is what is measured: the bundled program, when it has been built. */
const BUNDLE = fileURLToPath(new URL('../bin/keyferry-server.js', import.meta.url))

export function startRole(bench: Bench, role: Role, config: Record<string, string> = {}): Promise<Peer> {
  const name = role === 'keyferry' ? bench.ours : role
  return startPeer(name, {
    config: { 'proto-max-bulk-len': '1gb', ...config },
    ...(name === 'keyferry' && existsSync(BUNDLE) ? { program: BUNDLE } : {}),
  })
}

/** A count for a full run, made smaller for a smoke run but not below `least`. */
export function scaled(bench: Bench, full: number, least = 10): number {
  return Math.max(Math.min(full, least), Math.round(full * bench.scale))
}

/** The roles (or routes), beginning with another one each round, so that no one is always first. */
export function inTurn<T>(roles: readonly T[], round: number): T[] {
  const first = round % roles.length
  return [...roles.slice(first), ...roles.slice(0, first)]
}
