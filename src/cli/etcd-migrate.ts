/**
 * `keyferry etcd-migrate`: the keys of etcd's v2 API into a running etcd, with the flags of etcdctl 3.4's `migrate` and
 * those of `keyferry migrate`.
 */
import { backendOfType } from '../backends/index.js'
import { StoreError } from '../transfer/store.js'
import { EXIT } from './exit-codes.js'
import { runEnds } from './migrate.js'
import { readMigrateFlags, UsageError, type MigrateFlags } from './migrate-flags.js'

/** Flags with a value, and the option of the source or destination that they set. */
const VALUES = { 'data-dir': 'data_dir', 'wal-dir': 'wal_dir', transformer: 'transformer', endpoints: 'address' } as const
const SWITCHES = { 'no-ttl': 'no_ttl', 'include-hidden': 'include_hidden', uncommitted: 'uncommitted' } as const

const ETCD_MIGRATE_HELP = `keyferry etcd-migrate: copies the keys of etcd's v2 API into the v3 keys of a running etcd.

Usage: keyferry etcd-migrate --data-dir DIR [--wal-dir DIR] [--endpoints URL] [flags]

  keyferry etcd-migrate --data-dir default.etcd --endpoints http://127.0.0.1:2379
  keyferry etcd-migrate --data-dir default.etcd --endpoints http://127.0.0.1:2379 --dry-run
  keyferry migrate etcd2:default.etcd redis://127.0.0.1:6379        any other destination

  --data-dir DIR        what etcd was started with as --data-dir; it is only read (default default.etcd)
  --wal-dir DIR         what it was started with as --wal-dir (default DIR/member/wal)
  --endpoints URL       the etcd to write to; several with commas (default http://127.0.0.1:2379)
  --no-ttl              leave out keys that will expire
  --include-hidden      copy hidden keys (a name that begins with '_') too
  --uncommitted         take what was written to the log but is not known to be committed
  --transformer PROGRAM makes v3 keys of v2 nodes, with the protocol of etcdctl's --transformer

Every flag of keyferry migrate may follow (--dry-run, --verify, --on-conflict, --undo-log ...; see
keyferry migrate --help). A key with a time to live gets a lease with what is left of it, its directories' included;
a key that etcd has already under the same name is left alone unless --on-conflict replace says otherwise.
`

/** Runs the verb; returns its exit status. */
export async function runEtcdMigrate(words: readonly string[]): Promise<number> {
  process.title = 'keyferry etcd-migrate'
  try {
    if (words.includes('--help') || words.includes('-h')) {
      process.stdout.write(ETCD_MIGRATE_HELP)
      return EXIT.done
    }
    const { options, rest } = split(words)
    const { address, ...from } = options
    const source = { backend: await backendOfType('etcd2'), options: { data_dir: 'default.etcd', ...from } }
    const destination = { backend: await backendOfType('etcd'), options: { address: address ?? 'http://127.0.0.1:2379', path: '' } }
    // The flags want two ends; these are given already.
    const flags: MigrateFlags = readMigrateFlags(['etcd2:', 'etcd:', ...rest])
    return await runEnds(flags, { source, destination, warnings: [] }, words, 'etcd-migrate')
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof StoreError)) throw error
    process.stderr.write(`keyferry etcd-migrate: ${error.message}\n`)
    return EXIT.usage
  }
}

function split(words: readonly string[]): { options: Record<string, string>; rest: string[] } {
  const options: Record<string, string> = {}
  const rest: string[] = []
  for (let i = 0; i < words.length; i++) {
    const [, name = '', value] = /^--?([a-z-]+)(?:=(.*))?$/s.exec(words[i]) ?? []
    if (Object.hasOwn(SWITCHES, name)) options[SWITCHES[name as keyof typeof SWITCHES]] = value ?? 'true'
    else if (Object.hasOwn(VALUES, name)) {
      const given = value ?? words[++i]
      if (given === undefined) throw new UsageError(`flag --${name} needs a value; see keyferry etcd-migrate --help`)
      options[VALUES[name as keyof typeof VALUES]] = given
    } else rest.push(words[i])
  }
  return { options, rest }
}
