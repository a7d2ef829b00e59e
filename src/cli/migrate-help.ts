/** What `keyferry migrate --help` says: made from the table of flags, so that it can not forget one. */
import { EXIT_MEANINGS } from './exit-codes.js'
import { PASSWORD_VARIABLES } from './migrate-config.js'
import { FLAGS, FLAG_GROUPS, type FlagSpec } from './migrate-flags.js'

const HEAD = `keyferry migrate: copies a store into another one, in order, and goes on where it was when it is started again.

Usage: keyferry migrate [flags] SOURCE-URL DESTINATION-URL
       keyferry migrate [flags] -config FILE
       keyferry migrate undo [-config FILE] [--on-conflict replace|skip] [--state DIR] [-reset] FILE

Examples
  keyferry migrate redis://127.0.0.1:6379 redis://10.0.0.5:6379
  keyferry migrate --dry-run redis://127.0.0.1 redis-cluster://10.0.0.5:7000
  keyferry migrate --match 'user:*' --db 0:3 --verify full redis://127.0.0.1 redis://10.0.0.5
  keyferry migrate rdb:dump.rdb redis://127.0.0.1       a file of SAVE into a server
  keyferry migrate redis://127.0.0.1 rdb:dump.rdb       a server into such a file
  keyferry migrate -config migrate.hcl                  Vault's stores, with Vault's file:

      storage_source "mysql" {
        username = "user1234"
        password = "secret123!"
        database = "vault"
      }
      storage_destination "consul" {
        address = "127.0.0.1:8500"
        path    = "vault"
      }

  keyferry migrate -config migrate.hcl -start secret/f  by hand from there on
  keyferry migrate -config migrate.hcl -reset           after a migration that was killed
`

const TAIL = `
Flags may be written with one dash or two, with = or a space before the value. Passwords are better kept out of
the command line: options that take one may come from the environment or a file instead (docs/backends.md).
${PASSWORD_VARIABLES.source} and ${PASSWORD_VARIABLES.destination} hold the password, or token, of that end; they go
before the variables of a kind of store, such as KEYFERRY_REDIS_PASSWORD, which are for both ends.
`

/** Columns of flags and their values before the summary begins. */
const COLUMN = 24
const WIDTH = 110

export function migrateHelp(): string {
  const groups = FLAG_GROUPS.map((group) => `\n${group}\n${FLAGS.filter((flag) => flag.group === group).map(flagLine).join('')}`)
  const codes = EXIT_MEANINGS.map(([status, meaning]) => `  ${String(status).padStart(3)}  ${meaning}\n`)
  return `${HEAD}${groups.join('')}${TAIL}\nExit status\n${codes.join('')}`
}

function flagLine(flag: FlagSpec): string {
  const head = `  --${flag.name}${flag.value === undefined ? '' : ` ${flag.value}`}`
  const notes = [
    flag.repeats === true ? 'may be repeated' : undefined,
    flag.default === undefined ? undefined : `default ${flag.default}`,
    flag.env === undefined ? undefined : `environment ${flag.env}`,
  ].filter((note) => note !== undefined)
  const text = notes.length === 0 ? flag.summary : `${flag.summary} (${notes.join('; ')})`
  const lines = wrap(text, WIDTH - COLUMN)
  return `${head.padEnd(COLUMN - 1)} ${lines.join(`\n${' '.repeat(COLUMN)}`)}\n`
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
