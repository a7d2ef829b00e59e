/** The sections of INFO, in the order in which they are shown. Names and formats are those that tools read. */
import { arch, release, totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import type { Call } from '../src/engine/call.js'
import type { Command } from '../src/engine/command.js'
import { traffic } from '../src/engine/rates.js'
import { KEYFERRY_VERSION, REDIS_VERSION, VALKEY_VERSION } from '../src/engine/configuration.js'
import type { Database } from '../src/keyspace/database.js'
import { memoryPicture } from './memory.js'
import { migrationsOf } from './migrate.js'

type Line = readonly [name: string, value: string | number]

interface Section {
  readonly name: string
  /** With plain INFO, with `all` only, with `everything` only, or only when named. */
  readonly shown: 'default' | 'all' | 'everything' | 'named'
  readonly lines: (call: Call) => Line[]
}

function server({ engine, config, clock }: Call): Line[] {
  const uptimeSeconds = Math.floor((clock.nowMs - engine.startedMs) / 1000)
  const lines: Line[] = [
    ['redis_version', REDIS_VERSION],
    ['server_name', 'valkey'],
    ['valkey_version', VALKEY_VERSION],
    ['keyferry_version', KEYFERRY_VERSION],
    ['redis_git_sha1', '00000000'],
    ['redis_git_dirty', 0],
    ['redis_build_id', 0],
    ['server_mode', config.clusterEnabled ? 'cluster' : 'standalone'],
    ['os', `${process.platform === 'linux' ? 'Linux' : process.platform} ${release()} ${arch() === 'x64' ? 'x86_64' : arch()}`],
    ['arch_bits', 64],
    ['monotonic_clock', 'node'],
    ['multiplexing_api', 'libuv'],
    ['gcc_version', '0.0.0'],
    ['node_version', process.versions.node],
    ['process_id', process.pid],
    ['process_supervised', 'no'],
    ['run_id', engine.runId],
    ['tcp_port', config.port],
    ['server_time_usec', clock.preciseUs()],
    ['uptime_in_seconds', uptimeSeconds],
    ['uptime_in_days', Math.floor(uptimeSeconds / 86400)],
    ['hz', config.hz],
    ['configured_hz', config.hz],
    ['lru_clock', Math.floor(clock.nowMs / 1000) & 0xffffff],
    ['executable', process.argv[1] ?? process.execPath],
    ['config_file', config.file ?? ''],
    ['io_threads_active', 0],
    ['availability_zone', config.availabilityZone],
  ]
  if (config.port > 0)
    lines.push(['listener0', `name=tcp${config.bind.map((address) => `,bind=${address}`).join('')},port=${config.port}`])
  return lines
}

function clients({ engine, config }: Call): Line[] {
  let blocked = 0
  let watching = 0
  for (const session of engine.sessions.values()) {
    if (session.suspension !== undefined) blocked++
    if (session.watches.length > 0) watching++
  }
  return [
    ['connected_clients', engine.sessions.size],
    ['cluster_connections', 0],
    ['maxclients', config.maxclients],
    ['client_recent_max_input_buffer', 0],
    ['client_recent_max_output_buffer', 0],
    ['blocked_clients', blocked],
    ['tracking_clients', 0],
    ['pubsub_clients', 0],
    ['watching_clients', watching],
    ['clients_in_timeout_table', 0],
    ['total_watched_keys', engine.watches.size],
    ['total_blocking_keys', 0],
    ['total_blocking_keys_on_nokey', 0],
  ]
}

const UNITS = ['B', 'K', 'M', 'G', 'T', 'P']

/** Bytes as INFO writes them for people: `512B`, `1.50K`, `2.00G`. */
function humanBytes(bytes: number): string {
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${Math.floor(bytes)}B` : `${value.toFixed(2)}${UNITS[unit]}`
}

const percent = (part: number, whole: number): string => `${(whole === 0 ? 0 : (part * 100) / whole).toFixed(2)}%`

function memory(call: Call): Line[] {
  const { config } = call
  const picture = memoryPicture(call)
  const heap = getHeapStatistics()
  return [
    ['used_memory', picture.used],
    ['used_memory_human', humanBytes(picture.used)],
    ['used_memory_rss', picture.resident],
    ['used_memory_rss_human', humanBytes(picture.resident)],
    ['used_memory_peak', picture.peak],
    ['used_memory_peak_human', humanBytes(picture.peak)],
    ['used_memory_peak_perc', percent(picture.used, picture.peak)],
    ['used_memory_overhead', picture.overhead],
    ['used_memory_startup', 0],
    ['used_memory_dataset', picture.dataset],
    ['used_memory_dataset_perc', percent(picture.dataset, picture.used)],
    ['allocator_allocated', heap.used_heap_size],
    ['allocator_active', heap.total_heap_size],
    ['allocator_resident', heap.total_physical_size],
    ['allocator_muzzy', 0],
    ['total_system_memory', totalmem()],
    ['total_system_memory_human', humanBytes(totalmem())],
    ['used_memory_lua', 0],
    ['used_memory_vm_eval', 0],
    ['used_memory_lua_human', '0B'],
    ['used_memory_scripts_eval', 0],
    ['number_of_cached_scripts', 0],
    ['number_of_functions', 0],
    ['number_of_libraries', 0],
    ['used_memory_vm_functions', 0],
    ['used_memory_vm_total', 0],
    ['used_memory_vm_total_human', '0B'],
    ['used_memory_functions', 0],
    ['used_memory_scripts', 0],
    ['used_memory_scripts_human', '0B'],
    ['maxmemory', config.maxmemory],
    ['maxmemory_human', humanBytes(config.maxmemory)],
    ['maxmemory_policy', config.maxmemoryPolicy],
    ['allocator_frag_ratio', (heap.total_heap_size / heap.used_heap_size).toFixed(2)],
    ['allocator_frag_bytes', heap.total_heap_size - heap.used_heap_size],
    ['allocator_rss_ratio', (heap.total_physical_size / heap.total_heap_size).toFixed(2)],
    ['allocator_rss_bytes', heap.total_physical_size - heap.total_heap_size],
    ['rss_overhead_ratio', (picture.resident / heap.total_physical_size).toFixed(2)],
    ['rss_overhead_bytes', picture.resident - heap.total_physical_size],
    ['mem_fragmentation_ratio', (picture.resident / picture.used).toFixed(2)],
    ['mem_fragmentation_bytes', picture.resident - picture.used],
    ['mem_not_counted_for_evict', 0],
    ['mem_replication_backlog', 0],
    ['mem_total_replication_buffers', 0],
    ['mem_clients_slaves', 0],
    ['mem_clients_normal', picture.clientBytes],
    ['mem_cluster_links', 0],
    ['mem_aof_buffer', 0],
    ['mem_allocator', `v8-${process.versions.v8}`],
    ['mem_overhead_db_hashtable_rehashing', 0],
    ['active_defrag_running', 0],
    ['lazyfree_pending_objects', 0],
    ['lazyfreed_objects', 0],
  ]
}

function persistence({ engine }: Call): Line[] {
  return [
    ['loading', 0],
    ['async_loading', 0],
    ['current_cow_peak', 0],
    ['current_cow_size', 0],
    ['current_cow_size_age', 0],
    ['current_fork_perc', '0.00'],
    ['current_save_keys_processed', 0],
    ['current_save_keys_total', 0],
    ['rdb_changes_since_last_save', engine.dirty],
    ['rdb_bgsave_in_progress', 0],
    ['rdb_last_save_time', Math.floor(engine.startedMs / 1000)],
    ['rdb_last_bgsave_status', 'ok'],
    ['rdb_last_bgsave_time_sec', -1],
    ['rdb_current_bgsave_time_sec', -1],
    ['rdb_saves', 0],
    ['rdb_last_cow_size', 0],
    ['rdb_last_load_keys_expired', 0],
    ['rdb_last_load_keys_loaded', 0],
    ['aof_enabled', 0],
    ['aof_rewrite_in_progress', 0],
    ['aof_rewrite_scheduled', 0],
    ['aof_last_rewrite_time_sec', -1],
    ['aof_current_rewrite_time_sec', -1],
    ['aof_last_bgrewrite_status', 'ok'],
    ['aof_rewrites', 0],
    ['aof_rewrites_consecutive_failures', 0],
    ['aof_last_write_status', 'ok'],
    ['aof_last_cow_size', 0],
    ['module_fork_in_progress', 0],
    ['module_fork_last_cow_size', 0],
  ]
}

function stats({ engine }: Call): Line[] {
  const { stats: counted, rates, keyspace } = engine
  const { bytesIn, bytesOut } = traffic(counted, engine.sessions)
  return [
    ['total_connections_received', counted.connections],
    ['total_commands_processed', counted.commands],
    ['instantaneous_ops_per_sec', Math.floor(rates.commands.perSecond)],
    ['total_net_input_bytes', bytesIn],
    ['total_net_output_bytes', bytesOut],
    ['total_net_repl_input_bytes', 0],
    ['total_net_repl_output_bytes', 0],
    ['instantaneous_input_kbps', (rates.bytesIn.perSecond / 1024).toFixed(2)],
    ['instantaneous_output_kbps', (rates.bytesOut.perSecond / 1024).toFixed(2)],
    ['instantaneous_input_repl_kbps', '0.00'],
    ['instantaneous_output_repl_kbps', '0.00'],
    ['rejected_connections', counted.rejectedConnections],
    ['sync_full', 0],
    ['sync_partial_ok', 0],
    ['sync_partial_err', 0],
    ['expired_keys', keyspace.stats.expired],
    ['expired_stale_perc', keyspace.stats.expiredStalePercent.toFixed(2)],
    ['expired_time_cap_reached_count', 0],
    ['expire_cycle_cpu_milliseconds', 0],
    ['evicted_keys', keyspace.stats.evicted],
    ['evicted_clients', 0],
    ['evicted_scripts', 0],
    ['total_eviction_exceeded_time', 0],
    ['current_eviction_exceeded_time', 0],
    ['keyspace_hits', keyspace.stats.hits],
    ['keyspace_misses', keyspace.stats.misses],
    ['pubsub_channels', 0],
    ['pubsub_patterns', 0],
    ['pubsubshard_channels', 0],
    ['latest_fork_usec', 0],
    ['total_forks', 0],
    ['migrate_cached_sockets', migrationsOf(engine).links.size],
    ['slave_expires_tracked_keys', 0],
    ['active_defrag_hits', 0],
    ['active_defrag_misses', 0],
    ['active_defrag_key_hits', 0],
    ['active_defrag_key_misses', 0],
    ['total_active_defrag_time', 0],
    ['current_active_defrag_time', 0],
    ['tracking_total_keys', 0],
    ['tracking_total_items', 0],
    ['tracking_total_prefixes', 0],
    ['unexpected_error_replies', counted.unexpectedErrors],
    ['total_error_replies', counted.errorReplies],
    ['dump_payload_sanitizations', 0],
    ['total_reads_processed', counted.reads],
    ['total_writes_processed', counted.writes],
    ['io_threaded_reads_processed', 0],
    ['io_threaded_writes_processed', 0],
    ['client_query_buffer_limit_disconnections', counted.queryLimitCloses],
    ['client_output_buffer_limit_disconnections', counted.outputLimitCloses],
    ['reply_buffer_shrinks', 0],
    ['reply_buffer_expands', 0],
    ['acl_access_denied_auth', counted.deniedAuth],
    ['acl_access_denied_cmd', 0],
    ['acl_access_denied_key', 0],
    ['acl_access_denied_channel', 0],
  ]
}

function replication({ engine, config }: Call): Line[] {
  return [
    ['role', 'master'],
    ['connected_slaves', 0],
    ['replicas_waiting_psync', 0],
    ['master_failover_state', 'no-failover'],
    ['master_replid', engine.replicationId],
    ['master_replid2', '0'.repeat(40)],
    ['master_repl_offset', 0],
    ['second_repl_offset', -1],
    ['repl_backlog_active', 0],
    ['repl_backlog_size', config.replBacklogSize],
    ['repl_backlog_first_byte_offset', 0],
    ['repl_backlog_histlen', 0],
  ]
}

function cpu(): Line[] {
  const { user, system } = process.cpuUsage()
  const seconds = (microseconds: number): string => (microseconds / 1e6).toFixed(6)
  return [
    ['used_cpu_sys', seconds(system)],
    ['used_cpu_user', seconds(user)],
    ['used_cpu_sys_children', seconds(0)],
    ['used_cpu_user_children', seconds(0)],
    ['used_cpu_sys_main_thread', seconds(system)],
    ['used_cpu_user_main_thread', seconds(user)],
  ]
}

/** Every command and subcommand. */
function* everyCommand({ engine }: Call): Generator<Command> {
  for (const one of engine.registry.all.values()) {
    yield one
    yield* one.subcommands?.values() ?? []
  }
}

function commandStats(call: Call): Line[] {
  const lines: Line[] = []
  for (const { fullName, stats: counted } of everyCommand(call)) {
    if (counted.calls === 0 && counted.rejected === 0 && counted.failed === 0) continue
    const each = counted.calls === 0 ? 0 : counted.usec / counted.calls
    lines.push([`cmdstat_${fullName}`,
      `calls=${counted.calls},usec=${Math.round(counted.usec)},usec_per_call=${each.toFixed(2)},` +
      `rejected_calls=${counted.rejected},failed_calls=${counted.failed}`])
  }
  return lines
}

function errorStats({ engine }: Call): Line[] {
  return [...engine.errorCounts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([code, count]) => [`errorstat_${code}`, `count=${count}`])
}

function latencyStats(call: Call): Line[] {
  const lines: Line[] = []
  const wanted = call.config.latencyTrackingInfoPercentiles
  if (!call.config.latencyTracking) return lines
  for (const { fullName, stats: { latency } } of everyCommand(call)) {
    if (latency === undefined) continue
    lines.push([`latency_percentiles_usec_${fullName}`,
      wanted.map((one) => `p${one}=${latency.percentile(one).toFixed(3)}`).join(',')])
  }
  return lines
}

function keyspace({ engine, clock }: Call): Line[] {
  const lines: Line[] = []
  for (const db of engine.databases) {
    if (db.size === 0) continue
    lines.push([`db${db.index}`, `keys=${db.size},expires=${db.volatileSize},avg_ttl=${averageTtlMs(db, engine.random, clock.nowMs)}`])
  }
  return lines
}

const TTL_SAMPLES = 16

/** An estimate from a few keys. */
function averageTtlMs(db: Database, random: Call['random'], nowMs: number): number {
  let sum = 0
  const samples = Math.min(TTL_SAMPLES, db.volatileSize)
  for (let i = 0; i < samples; i++) sum += Math.max(0, db.expiryOf(db.randomVolatile(random)) - nowMs)
  return samples === 0 ? 0 : Math.floor(sum / samples)
}

function migrate({ engine }: Call): Line[] {
  const { links, stats: counted } = migrationsOf(engine)
  return [
    ['migrate_keys_moved', counted.moved],
    ['migrate_keys_copied', counted.copied],
    ['migrate_keys_refused', counted.refused],
    ['migrate_faults', counted.faults],
    ['migrate_retries', counted.retries],
    ['migrate_last_error', counted.lastError],
    ['migrate_keys_in_flight', engine.holds.size],
    ['migrate_waiting_clients', engine.waitingSessions],
    ['migrate_cached_sockets', links.size],
  ]
}

export const SECTIONS: readonly Section[] = [
  { name: 'Server', shown: 'default', lines: server },
  { name: 'Clients', shown: 'default', lines: clients },
  { name: 'Memory', shown: 'default', lines: memory },
  { name: 'Persistence', shown: 'default', lines: persistence },
  { name: 'Stats', shown: 'default', lines: stats },
  { name: 'Replication', shown: 'default', lines: replication },
  { name: 'CPU', shown: 'default', lines: cpu },
  { name: 'Modules', shown: 'default', lines: () => [] },
  { name: 'Commandstats', shown: 'all', lines: commandStats },
  { name: 'Errorstats', shown: 'default', lines: errorStats },
  { name: 'Latencystats', shown: 'all', lines: latencyStats },
  { name: 'Cluster', shown: 'default', lines: ({ config }) => [['cluster_enabled', config.clusterEnabled ? 1 : 0]] },
  { name: 'Keyspace', shown: 'default', lines: keyspace },
  { name: 'Migrate', shown: 'everything', lines: migrate },
]
