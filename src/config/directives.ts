/**
 * Every directive that Valkey 8.0 knows, as data: name, alias, type, bounds and flags. Defaults are the initial
 * values of `ConfigFields`. `test/config.test.ts` holds this table against an installed valkey-server.
 *
 * | type | set from | printed as |
 * |---|---|---|
 * | bool | yes, no | yes, no |
 * | int, uint | decimal digits, a leading minus | decimal |
 * | octal | octal digits | octal |
 * | memory | digits and b, k (1000), kb (1024), m, mb, g, gb | bytes |
 * | percent-memory | memory, or a whole number with % | bytes, or the percentage |
 * | enum | one of the words, any case; several with multiArg | the words in the order of the table |
 * | string | bytes up to the first NUL | as they are |
 * | sds | bytes | as they are |
 * | special | see special.ts | |
 */

interface Common {
  readonly name: string
  /** An older name for the same directive; both are listed by CONFIG GET. */
  readonly alias?: string
  /** Only from the configuration file or the command line. */
  readonly immutable?: true
  /** Never to be shown in SLOWLOG, MONITOR or a log. */
  readonly sensitive?: true
  /** Takes several words. */
  readonly multiArg?: true
  /** Answered by CONFIG GET to its exact name only. */
  readonly hidden?: true
  /** CONFIG SET needs enable-protected-configs. */
  readonly protected?: true
  /** CONFIG SET is refused while a data set is being loaded. */
  readonly denyLoading?: true
  /** Its hook runs although the text did not change (the file it names may have). */
  readonly volatile?: true
}

interface Bounded {
  readonly min: number | bigint
  readonly max: number | bigint
}

export type Directive = Common &
  (
    | { readonly type: 'bool' }
    | ({ readonly type: 'int' | 'uint' | 'octal' | 'percent-memory' } & Bounded)
    | ({ readonly type: 'memory'; readonly unsigned?: true } & Bounded)
    | {
        readonly type: 'enum'
        readonly values: readonly string[]
        /** Words that are accepted and stand for one of `values`. */
        readonly synonyms?: Readonly<Record<string, string>>
      }
    | {
        readonly type: 'string' | 'sds'
        /** Unset by default and by the empty text: CONFIG REWRITE then leaves it out. */
        readonly emptyIsUnset?: true
      }
    | { readonly type: 'special' }
  )

const INT_MIN = -2147483648
const INT_MAX = 2147483647
const UINT_MAX = 4294967295
const LONG_MAX = 9223372036854775807n
const ULONG_MAX = 18446744073709551615n

const SYSLOG_FACILITIES = ['user', ...Array.from({ length: 8 }, (_, i) => `local${i}`)]
const MAXMEMORY_POLICIES = [
  'volatile-lru',
  'volatile-lfu',
  'volatile-random',
  'volatile-ttl',
  'allkeys-lru',
  'allkeys-lfu',
  'allkeys-random',
  'noeviction'
]

export const DIRECTIVES: readonly Directive[] = [
  { name: 'rdbchecksum', type: 'bool', immutable: true },
  { name: 'daemonize', type: 'bool', immutable: true },
  { name: 'io-threads-do-reads', type: 'bool', immutable: true },
  { name: 'always-show-logo', type: 'bool', immutable: true },
  { name: 'protected-mode', type: 'bool' },
  { name: 'rdbcompression', type: 'bool' },
  { name: 'rdb-del-sync-files', type: 'bool' },
  { name: 'activerehashing', type: 'bool' },
  { name: 'stop-writes-on-bgsave-error', type: 'bool' },
  { name: 'set-proc-title', type: 'bool', immutable: true },
  { name: 'dynamic-hz', type: 'bool' },
  { name: 'lazyfree-lazy-eviction', type: 'bool' },
  { name: 'lazyfree-lazy-expire', type: 'bool' },
  { name: 'lazyfree-lazy-server-del', type: 'bool' },
  { name: 'lazyfree-lazy-user-del', type: 'bool' },
  { name: 'lazyfree-lazy-user-flush', type: 'bool' },
  { name: 'repl-disable-tcp-nodelay', type: 'bool' },
  { name: 'repl-diskless-sync', type: 'bool' },
  { name: 'dual-channel-replication-enabled', type: 'bool' },
  { name: 'aof-rewrite-incremental-fsync', type: 'bool' },
  { name: 'no-appendfsync-on-rewrite', type: 'bool' },
  { name: 'cluster-require-full-coverage', type: 'bool' },
  { name: 'rdb-save-incremental-fsync', type: 'bool' },
  { name: 'aof-load-truncated', type: 'bool' },
  { name: 'aof-use-rdb-preamble', type: 'bool' },
  { name: 'aof-timestamp-enabled', type: 'bool' },
  { name: 'cluster-replica-no-failover', alias: 'cluster-slave-no-failover', type: 'bool' },
  { name: 'replica-lazy-flush', alias: 'slave-lazy-flush', type: 'bool' },
  { name: 'replica-serve-stale-data', alias: 'slave-serve-stale-data', type: 'bool' },
  { name: 'replica-read-only', alias: 'slave-read-only', type: 'bool' },
  { name: 'replica-ignore-maxmemory', alias: 'slave-ignore-maxmemory', type: 'bool' },
  { name: 'jemalloc-bg-thread', type: 'bool' },
  { name: 'activedefrag', type: 'bool' },
  { name: 'syslog-enabled', type: 'bool', immutable: true },
  { name: 'cluster-enabled', type: 'bool', immutable: true },
  { name: 'appendonly', type: 'bool', denyLoading: true },
  { name: 'cluster-allow-reads-when-down', type: 'bool' },
  { name: 'cluster-allow-pubsubshard-when-down', type: 'bool' },
  { name: 'crash-log-enabled', type: 'bool' },
  { name: 'crash-memcheck-enabled', type: 'bool' },
  { name: 'use-exit-on-panic', type: 'bool', hidden: true },
  { name: 'disable-thp', type: 'bool', immutable: true },
  { name: 'cluster-allow-replica-migration', type: 'bool' },
  { name: 'replica-announced', type: 'bool' },
  { name: 'latency-tracking', type: 'bool' },
  { name: 'aof-disable-auto-gc', type: 'bool', hidden: true },
  { name: 'replica-ignore-disk-write-errors', type: 'bool' },
  { name: 'extended-redis-compatibility', type: 'bool' },
  { name: 'enable-debug-assert', type: 'bool', immutable: true, hidden: true },
  { name: 'cluster-slot-stats-enabled', type: 'bool' },
  { name: 'hide-user-data-from-log', type: 'bool' },
  { name: 'aclfile', type: 'string', immutable: true },
  { name: 'unixsocket', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'unixsocketgroup', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'pidfile', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'replica-announce-ip', alias: 'slave-announce-ip', type: 'string', emptyIsUnset: true },
  { name: 'primaryuser', alias: 'masteruser', type: 'string', emptyIsUnset: true, sensitive: true },
  { name: 'cluster-announce-ip', type: 'string', emptyIsUnset: true },
  { name: 'cluster-announce-client-ipv4', type: 'string', emptyIsUnset: true },
  { name: 'cluster-announce-client-ipv6', type: 'string', emptyIsUnset: true },
  { name: 'cluster-config-file', type: 'string', immutable: true },
  { name: 'cluster-announce-hostname', type: 'string', emptyIsUnset: true },
  { name: 'cluster-announce-human-nodename', type: 'string', emptyIsUnset: true },
  { name: 'syslog-ident', type: 'string', immutable: true },
  { name: 'dbfilename', type: 'string', protected: true },
  { name: 'appendfilename', type: 'string', immutable: true },
  { name: 'appenddirname', type: 'string', immutable: true },
  { name: 'server-cpulist', alias: 'server_cpulist', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'bio-cpulist', alias: 'bio_cpulist', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'aof-rewrite-cpulist', alias: 'aof_rewrite_cpulist', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'bgsave-cpulist', alias: 'bgsave_cpulist', type: 'string', emptyIsUnset: true, immutable: true },
  { name: 'ignore-warnings', type: 'string' },
  { name: 'proc-title-template', type: 'string' },
  { name: 'bind-source-addr', type: 'string', emptyIsUnset: true },
  { name: 'logfile', type: 'string', immutable: true },
  { name: 'locale-collate', type: 'string' },
  { name: 'debug-context', type: 'string', hidden: true },
  { name: 'primaryauth', alias: 'masterauth', type: 'sds', emptyIsUnset: true, sensitive: true },
  { name: 'requirepass', type: 'sds', emptyIsUnset: true, sensitive: true },
  { name: 'availability-zone', type: 'sds' },
  { name: 'supervised', type: 'enum', values: ['upstart', 'systemd', 'auto', 'no'], immutable: true },
  { name: 'syslog-facility', type: 'enum', values: SYSLOG_FACILITIES, immutable: true },
  { name: 'repl-diskless-load', type: 'enum', values: ['disabled', 'on-empty-db', 'swapdb'], denyLoading: true },
  { name: 'loglevel', type: 'enum', values: ['debug', 'verbose', 'notice', 'warning', 'nothing'] },
  { name: 'maxmemory-policy', type: 'enum', values: MAXMEMORY_POLICIES },
  { name: 'appendfsync', type: 'enum', values: ['everysec', 'always', 'no'] },
  { name: 'oom-score-adj', type: 'enum', values: ['no', 'yes', 'relative', 'absolute'], synonyms: { relative: 'yes' } },
  { name: 'acl-pubsub-default', type: 'enum', values: ['allchannels', 'resetchannels'] },
  { name: 'sanitize-dump-payload', type: 'enum', values: ['no', 'yes', 'clients'] },
  { name: 'enable-protected-configs', type: 'enum', values: ['no', 'yes', 'local'], immutable: true },
  { name: 'enable-debug-command', type: 'enum', values: ['no', 'yes', 'local'], immutable: true },
  { name: 'enable-module-command', type: 'enum', values: ['no', 'yes', 'local'], immutable: true },
  { name: 'cluster-preferred-endpoint-type', type: 'enum', values: ['ip', 'hostname', 'unknown-endpoint'] },
  { name: 'propagation-error-behavior', type: 'enum', values: ['ignore', 'panic', 'panic-on-replicas'] },
  { name: 'shutdown-on-sigint', type: 'enum', values: ['default', 'save', 'nosave', 'now', 'force'], multiArg: true },
  { name: 'shutdown-on-sigterm', type: 'enum', values: ['default', 'save', 'nosave', 'now', 'force'], multiArg: true },
  { name: 'databases', type: 'int', min: 1, max: INT_MAX, immutable: true },
  { name: 'port', type: 'int', min: 0, max: 65535 },
  { name: 'io-threads', type: 'int', min: 1, max: 128, immutable: true },
  { name: 'events-per-io-thread', type: 'int', min: 0, max: INT_MAX },
  { name: 'prefetch-batch-max-size', type: 'int', min: 0, max: 128 },
  { name: 'auto-aof-rewrite-percentage', type: 'int', min: 0, max: INT_MAX },
  { name: 'cluster-replica-validity-factor', alias: 'cluster-slave-validity-factor', type: 'int', min: 0, max: INT_MAX },
  { name: 'list-max-listpack-size', alias: 'list-max-ziplist-size', type: 'int', min: INT_MIN, max: INT_MAX },
  { name: 'tcp-keepalive', type: 'int', min: 0, max: INT_MAX },
  { name: 'cluster-migration-barrier', type: 'int', min: 0, max: INT_MAX },
  { name: 'active-defrag-cycle-min', type: 'int', min: 1, max: 99 },
  { name: 'active-defrag-cycle-max', type: 'int', min: 1, max: 99 },
  { name: 'active-defrag-threshold-lower', type: 'int', min: 0, max: 1000 },
  { name: 'active-defrag-threshold-upper', type: 'int', min: 0, max: 1000 },
  { name: 'lfu-log-factor', type: 'int', min: 0, max: INT_MAX },
  { name: 'lfu-decay-time', type: 'int', min: 0, max: INT_MAX },
  { name: 'replica-priority', alias: 'slave-priority', type: 'int', min: 0, max: INT_MAX },
  { name: 'repl-diskless-sync-delay', type: 'int', min: 0, max: INT_MAX },
  { name: 'maxmemory-samples', type: 'int', min: 1, max: 64 },
  { name: 'maxmemory-eviction-tenacity', type: 'int', min: 0, max: 100 },
  { name: 'timeout', type: 'int', min: 0, max: INT_MAX },
  { name: 'replica-announce-port', alias: 'slave-announce-port', type: 'int', min: 0, max: 65535 },
  { name: 'tcp-backlog', type: 'int', min: 0, max: INT_MAX, immutable: true },
  { name: 'cluster-port', type: 'int', min: 0, max: 65535, immutable: true },
  { name: 'cluster-announce-bus-port', type: 'int', min: 0, max: 65535 },
  { name: 'cluster-announce-port', type: 'int', min: 0, max: 65535 },
  { name: 'cluster-announce-tls-port', type: 'int', min: 0, max: 65535 },
  { name: 'repl-timeout', type: 'int', min: 1, max: INT_MAX },
  { name: 'repl-ping-replica-period', alias: 'repl-ping-slave-period', type: 'int', min: 1, max: INT_MAX },
  { name: 'list-compress-depth', type: 'int', min: 0, max: INT_MAX },
  { name: 'rdb-key-save-delay', type: 'int', min: INT_MIN, max: INT_MAX, hidden: true },
  { name: 'key-load-delay', type: 'int', min: INT_MIN, max: INT_MAX, hidden: true },
  { name: 'active-expire-effort', type: 'int', min: 1, max: 10 },
  { name: 'hz', type: 'int', min: 0, max: INT_MAX },
  { name: 'min-replicas-to-write', alias: 'min-slaves-to-write', type: 'int', min: 0, max: INT_MAX },
  { name: 'min-replicas-max-lag', alias: 'min-slaves-max-lag', type: 'int', min: 0, max: INT_MAX },
  { name: 'watchdog-period', type: 'int', min: 0, max: INT_MAX, hidden: true },
  { name: 'shutdown-timeout', type: 'int', min: 0, max: INT_MAX },
  { name: 'repl-diskless-sync-max-replicas', type: 'int', min: 0, max: INT_MAX },
  { name: 'maxclients', type: 'uint', min: 1, max: UINT_MAX },
  { name: 'unixsocketperm', type: 'octal', min: 0, max: 0o777, immutable: true },
  { name: 'socket-mark-id', type: 'uint', min: 0, max: UINT_MAX, immutable: true },
  { name: 'max-new-connections-per-cycle', type: 'uint', min: 1, max: 1000 },
  { name: 'max-new-tls-connections-per-cycle', type: 'uint', min: 1, max: 1000 },
  { name: 'active-defrag-max-scan-fields', type: 'uint', min: 1, max: LONG_MAX },
  { name: 'slowlog-max-len', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'acllog-max-len', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'cluster-blacklist-ttl', type: 'uint', min: 0, max: ULONG_MAX },
  { name: 'busy-reply-threshold', alias: 'lua-time-limit', type: 'int', min: 0, max: LONG_MAX },
  { name: 'cluster-node-timeout', type: 'int', min: 0, max: LONG_MAX },
  { name: 'cluster-ping-interval', type: 'int', min: 0, max: LONG_MAX, hidden: true },
  { name: 'slowlog-log-slower-than', type: 'int', min: -1, max: LONG_MAX },
  { name: 'latency-monitor-threshold', type: 'int', min: 0, max: LONG_MAX },
  { name: 'proto-max-bulk-len', type: 'memory', min: 1_048_576, max: LONG_MAX },
  { name: 'stream-node-max-entries', type: 'int', min: 0, max: LONG_MAX },
  { name: 'repl-backlog-size', type: 'memory', min: 1, max: LONG_MAX },
  { name: 'maxmemory', type: 'memory', unsigned: true, min: 0, max: ULONG_MAX },
  { name: 'cluster-link-sendbuf-limit', type: 'memory', unsigned: true, min: 0, max: ULONG_MAX },
  { name: 'hash-max-listpack-entries', alias: 'hash-max-ziplist-entries', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'set-max-intset-entries', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'set-max-listpack-entries', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'set-max-listpack-value', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'zset-max-listpack-entries', alias: 'zset-max-ziplist-entries', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'active-defrag-ignore-bytes', type: 'memory', unsigned: true, min: 1, max: LONG_MAX },
  { name: 'hash-max-listpack-value', alias: 'hash-max-ziplist-value', type: 'memory', unsigned: true, min: 0, max: LONG_MAX },
  { name: 'stream-node-max-bytes', type: 'memory', unsigned: true, min: 0, max: LONG_MAX },
  { name: 'zset-max-listpack-value', alias: 'zset-max-ziplist-value', type: 'memory', unsigned: true, min: 0, max: LONG_MAX },
  { name: 'hll-sparse-max-bytes', type: 'memory', unsigned: true, min: 0, max: LONG_MAX },
  { name: 'tracking-table-max-keys', type: 'uint', min: 0, max: LONG_MAX },
  { name: 'client-query-buffer-limit', type: 'memory', unsigned: true, min: 1_048_576, max: LONG_MAX },
  { name: 'maxmemory-clients', type: 'percent-memory', min: -100, max: LONG_MAX },
  { name: 'repl-backlog-ttl', type: 'int', min: 0, max: LONG_MAX },
  { name: 'auto-aof-rewrite-min-size', type: 'memory', min: 0, max: LONG_MAX },
  { name: 'loading-process-events-interval-bytes', type: 'int', min: 1024, max: INT_MAX, hidden: true },
  { name: 'tls-port', type: 'int', min: 0, max: 65535 },
  { name: 'tls-session-cache-size', type: 'int', min: 0, max: INT_MAX },
  { name: 'tls-session-cache-timeout', type: 'int', min: 0, max: INT_MAX },
  { name: 'tls-cluster', type: 'bool' },
  { name: 'tls-replication', type: 'bool' },
  { name: 'tls-auth-clients', type: 'enum', values: ['no', 'yes', 'optional'] },
  { name: 'tls-prefer-server-ciphers', type: 'bool' },
  { name: 'tls-session-caching', type: 'bool' },
  { name: 'tls-cert-file', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-key-file', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-key-file-pass', type: 'string', emptyIsUnset: true, sensitive: true },
  { name: 'tls-client-cert-file', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-client-key-file', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-client-key-file-pass', type: 'string', emptyIsUnset: true, sensitive: true },
  { name: 'tls-dh-params-file', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-ca-cert-file', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-ca-cert-dir', type: 'string', emptyIsUnset: true, volatile: true },
  { name: 'tls-protocols', type: 'string', emptyIsUnset: true },
  { name: 'tls-ciphers', type: 'string', emptyIsUnset: true },
  { name: 'tls-ciphersuites', type: 'string', emptyIsUnset: true },
  { name: 'dir', type: 'special', protected: true, denyLoading: true },
  { name: 'save', type: 'special', multiArg: true },
  { name: 'client-output-buffer-limit', type: 'special', multiArg: true },
  { name: 'oom-score-adj-values', type: 'special', multiArg: true },
  { name: 'notify-keyspace-events', type: 'special' },
  { name: 'bind', type: 'special', multiArg: true },
  { name: 'replicaof', alias: 'slaveof', type: 'special', immutable: true, multiArg: true },
  { name: 'latency-tracking-info-percentiles', type: 'special', multiArg: true },]

/** `hash-max-listpack-entries` -> `hashMaxListpackEntries`: where `ConfigFields` keeps a directive. */
export const fieldOf = (name: string): string => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())
