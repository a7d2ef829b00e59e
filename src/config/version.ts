/**
 * The versions keyferry states: its own, and those of the servers whose behaviour it follows. Clients read
 * `redis_version` to decide which commands they may send, so it is the one Valkey 8.0 itself reports.
 */

/** keyferry's own version: the one of package.json. */
export const KEYFERRY_VERSION = '0.1.0'

/** What INFO and HELLO report as `redis_version` and `version`. */
export const REDIS_VERSION = '7.2.4'

/** What INFO reports as `valkey_version`; it also stands in the banner of a configuration error. */
export const VALKEY_VERSION = '8.0.1'

/** The RDB version that SAVE and DUMP write. */
export const RDB_VERSION = 11
