/** With which status `keyferry migrate` ends. The table is what --help and docs/migrate.md show. */

export const EXIT = {
  done: 0,
  usage: 1,
  failed: 2,
  locked: 3,
  sourceUnreachable: 4,
  destinationUnreachable: 5,
  conflicts: 6,
  differences: 7,
  partial: 8,
  interrupted: 130,
} as const

/** What each status means, in the order of its number. */
export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [EXIT.done, 'everything is copied, and verified as far as asked'],
  [EXIT.usage, 'the command line or the configuration is wrong; nothing was done'],
  [EXIT.failed, 'the migration failed'],
  [EXIT.locked, 'another migration holds the lock, or the lock of this one was taken away'],
  [EXIT.sourceUnreachable, 'the source can not be reached, or is not there'],
  [EXIT.destinationUnreachable, 'the destination can not be reached, or is not there'],
  [EXIT.conflicts, 'the destination has other values under some keys, and --on-conflict is error'],
  [EXIT.differences, 'the verification found differences'],
  [EXIT.partial, 'some keys were not copied; the command that goes on is printed'],
  [EXIT.interrupted, 'interrupted; the same command goes on where it was'],
]
