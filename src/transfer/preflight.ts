/**
 * What is looked for before the first write: what each store finds by itself, and what only shows when both are known.
 */
import { at, type Choice } from './copy.js'
import { plural } from './plural.js'
import type { Finding, Store } from './store.js'

/** Something found before the first write stands against it. */
export class PreflightError extends Error {
  constructor(readonly findings: readonly Finding[]) {
    super(findings.filter(({ level }) => level === 'error').map(({ code, message }) => `${code}: ${message}`).join('\n'))
    this.name = 'PreflightError'
  }
}

/** What was found of both stores, and whether they are one and the same. */
export interface Preflight {
  readonly findings: readonly Finding[]
  readonly isOneStore: boolean
}

/** Looks at both stores, once open. Throws TransferError. */
export async function preflight(source: Store, target: Store, choice: Choice): Promise<Preflight> {
  const own = await at('source', async () => source.identity?.())
  const other = await at('target', async () => target.identity?.())
  const isOneStore = own !== undefined && own === other
  const inner = own !== undefined && other?.startsWith(`${own}/`) === true ? other.slice(own.length + 1) : undefined
  const findings = [
    ...(await at('source', async () => (await source.preflight?.('read')) ?? [])),
    ...(await at('target', async () => (await target.preflight?.('write')) ?? [])),
    ...(await databaseFindings(source, target, choice)),
    ...(isOneStore ? sameFindings(source, target, choice) : inner === undefined ? [] : withinFindings(source, target, choice, inner)),
  ]
  return { findings, isOneStore }
}

/** Keys would be written over those that they are copied from. */
function sameFindings(source: Store, target: Store, choice: Choice): Finding[] {
  if (choice.isApart === true) return []
  const both = source.label === target.label ? `source and destination are both ${source.label}` : `${source.label} and ${target.label} are the same`
  return [{ code: 'same-server', level: 'error', message: `${both}: keys would be copied over those that they come from. Name another destination, or keep the two apart with --prefix-from and --prefix-to${source.traits.databases ? ', or --db FROM:TO' : ''}` }]
}

/** What is written would be listed as the source's, and copied in its turn. `inner`: where the target is in the source. */
function withinFindings(source: Store, target: Store, { keepKey }: Choice, inner: string): Finding[] {
  if (keepKey?.({ db: 0, key: Buffer.from(`${inner}/`) }) === false) return []
  return [{ code: 'same-server', level: 'error', message: `${target.label} lies within ${source.label}: what is written would be copied in its turn. Name a destination outside of it, or choose keys that are not below it with --match or --exclude` }]
}

/** Databases of the source for which the target has no place, where the source tells which it has. */
async function databaseFindings(source: Store, target: Store, { databaseOf = (db: number) => db }: Choice): Promise<Finding[]> {
  const only = target.traits.onlyDatabase ?? (target.traits.databases ? undefined : 0)
  if (only === undefined && target.databaseRefusal === undefined) return []
  const numbers = await at('source', async () => (await source.databases?.()) ?? [])
  if (only === undefined) return missingDatabases(target, numbers.map(databaseOf).filter((db) => db !== undefined))
  const others = numbers.filter((db) => (databaseOf(db) ?? only) !== only)
  if (others.length === 0) return []
  const advice = `copy one at a time, as in --db ${others[0]}:${only} (with --prefix-to where names could meet), or leave them out with --db ${only}`
  return [{ code: 'one-database', level: 'error', message: `${target.label} has database ${only} alone, and ${source.label} has keys in ${plural(others.length, 'database')} ${others.join(', ')}: ${advice}` }]
}

/** Those of these databases that the target does not have; the lower ones are there when the higher one is. */
async function missingDatabases(target: Store, wanted: readonly number[]): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const db of [...new Set(wanted)].sort((a, b) => b - a)) {
    const message = await at('target', async () => target.databaseRefusal?.(db))
    if (message === undefined) break
    findings.push({ code: 'databases', level: 'error', message })
  }
  return findings
}
