/**
 * Every directive as a plain property: what the rest of keyferry reads. One property per directive of
 * `directives.ts`, named after it in camelCase (`hash-max-listpack-entries` is `hashMaxListpackEntries`); the
 * initial value is the directive's default. A class with declared fields, rather than an object filled in a
 * loop, because so many properties added by name would turn the object into a slow dictionary.
 *
 * Texts hold one byte a character (latin1), so that no password or name is changed by decoding: write them to a
 * client with 'latin1'; paths are decoded by `Config.pathOf`. Numbers are plain numbers; the few directives
 * whose range passes 2^53 round there (`Config.get` prints the exact digits). Sizes are in bytes.
 */

import { currentFolder } from './files.js'

/** One `save <seconds> <changes>` point. */
export interface SavePoint {
  readonly seconds: number
  readonly changes: number
}

/** The reply buffer limits of one class of clients; 0 means no limit. */
export interface BufferLimit {
  readonly hardBytes: number
  readonly softBytes: number
  readonly softSeconds: number
}

/** The classes of clients with a reply buffer limit of their own, in Valkey's order. */
export const BUFFER_CLASSES = ['normal', 'replica', 'pubsub'] as const
export type BufferClass = (typeof BUFFER_CLASSES)[number]
export type BufferLimits = Readonly<Record<BufferClass, BufferLimit>>

export type MaxmemoryPolicy =
  | 'volatile-lru'
  | 'volatile-lfu'
  | 'volatile-random'
  | 'volatile-ttl'
  | 'allkeys-lru'
  | 'allkeys-lfu'
  | 'allkeys-random'
  | 'noeviction'

export type LogLevel = 'debug' | 'verbose' | 'notice' | 'warning' | 'nothing'

export class ConfigFields {
  // yes or no
  rdbchecksum = true
  daemonize = false
  ioThreadsDoReads = true
  alwaysShowLogo = false
  protectedMode = true
  rdbcompression = true
  rdbDelSyncFiles = false
  activerehashing = true
  stopWritesOnBgsaveError = true
  setProcTitle = true
  dynamicHz = true
  lazyfreeLazyEviction = true
  lazyfreeLazyExpire = true
  lazyfreeLazyServerDel = true
  lazyfreeLazyUserDel = true
  lazyfreeLazyUserFlush = true
  replDisableTcpNodelay = false
  replDisklessSync = true
  dualChannelReplicationEnabled = false
  aofRewriteIncrementalFsync = true
  noAppendfsyncOnRewrite = false
  clusterRequireFullCoverage = true
  rdbSaveIncrementalFsync = true
  aofLoadTruncated = true
  aofUseRdbPreamble = true
  aofTimestampEnabled = false
  clusterReplicaNoFailover = false
  replicaLazyFlush = true
  replicaServeStaleData = true
  replicaReadOnly = true
  replicaIgnoreMaxmemory = true
  jemallocBgThread = true
  activedefrag = false
  syslogEnabled = false
  clusterEnabled = false
  appendonly = false
  clusterAllowReadsWhenDown = false
  clusterAllowPubsubshardWhenDown = true
  crashLogEnabled = true
  crashMemcheckEnabled = true
  useExitOnPanic = false
  disableThp = true
  clusterAllowReplicaMigration = true
  replicaAnnounced = true
  latencyTracking = true
  aofDisableAutoGc = false
  replicaIgnoreDiskWriteErrors = false
  extendedRedisCompatibility = false
  enableDebugAssert = false
  clusterSlotStatsEnabled = false
  hideUserDataFromLog = true

  // texts; empty where Valkey has none
  aclfile = ''
  unixsocket = ''
  unixsocketgroup = ''
  pidfile = ''
  replicaAnnounceIp = ''
  primaryuser = ''
  clusterAnnounceIp = ''
  clusterAnnounceClientIpv4 = ''
  clusterAnnounceClientIpv6 = ''
  clusterConfigFile = 'nodes.conf'
  clusterAnnounceHostname = ''
  clusterAnnounceHumanNodename = ''
  syslogIdent = 'valkey'
  dbfilename = 'dump.rdb'
  appendfilename = 'appendonly.aof'
  appenddirname = 'appendonlydir'
  serverCpulist = ''
  bioCpulist = ''
  aofRewriteCpulist = ''
  bgsaveCpulist = ''
  ignoreWarnings = ''
  procTitleTemplate = '{title} {listen-addr} {server-mode}'
  bindSourceAddr = ''
  logfile = ''
  localeCollate = ''
  debugContext = ''
  primaryauth = ''
  requirepass = ''
  availabilityZone = ''

  // one of a few words, always in the spelling of the table
  supervised: 'upstart' | 'systemd' | 'auto' | 'no' = 'no'
  syslogFacility = 'local0'
  replDisklessLoad: 'disabled' | 'on-empty-db' | 'swapdb' = 'disabled'
  loglevel: LogLevel = 'notice'
  maxmemoryPolicy: MaxmemoryPolicy = 'noeviction'
  appendfsync: 'everysec' | 'always' | 'no' = 'everysec'
  oomScoreAdj: 'no' | 'yes' | 'absolute' = 'no'
  aclPubsubDefault: 'allchannels' | 'resetchannels' = 'resetchannels'
  sanitizeDumpPayload: 'no' | 'yes' | 'clients' = 'no'
  enableProtectedConfigs: 'no' | 'yes' | 'local' = 'no'
  enableDebugCommand: 'no' | 'yes' | 'local' = 'no'
  enableModuleCommand: 'no' | 'yes' | 'local' = 'no'
  clusterPreferredEndpointType: 'ip' | 'hostname' | 'unknown-endpoint' = 'ip'
  propagationErrorBehavior: 'ignore' | 'panic' | 'panic-on-replicas' = 'ignore'
  /** Words of default, save, nosave, now, force, separated by a space. */
  shutdownOnSigint = 'default'
  shutdownOnSigterm = 'default'

  // whole numbers
  databases = 16
  port = 6379
  ioThreads = 1
  eventsPerIoThread = 2
  prefetchBatchMaxSize = 16
  autoAofRewritePercentage = 100
  clusterReplicaValidityFactor = 10
  /** Elements of a list node, or a size class from -1 (4 KB) to -5 (64 KB). */
  listMaxListpackSize = -2
  tcpKeepalive = 300
  clusterMigrationBarrier = 1
  activeDefragCycleMin = 1
  activeDefragCycleMax = 25
  activeDefragThresholdLower = 10
  activeDefragThresholdUpper = 100
  lfuLogFactor = 10
  lfuDecayTime = 1
  replicaPriority = 100
  replDisklessSyncDelay = 5
  maxmemorySamples = 5
  maxmemoryEvictionTenacity = 10
  /** Seconds a client may be idle; 0: for ever. */
  timeout = 0
  replicaAnnouncePort = 0
  tcpBacklog = 511
  clusterPort = 0
  clusterAnnounceBusPort = 0
  clusterAnnouncePort = 0
  clusterAnnounceTlsPort = 0
  replTimeout = 60
  replPingReplicaPeriod = 10
  listCompressDepth = 0
  rdbKeySaveDelay = 0
  keyLoadDelay = 0
  activeExpireEffort = 1
  hz = 10
  minReplicasToWrite = 0
  minReplicasMaxLag = 10
  watchdogPeriod = 0
  shutdownTimeout = 10
  replDisklessSyncMaxReplicas = 0
  maxclients = 10000
  unixsocketperm = 0
  socketMarkId = 0
  maxNewConnectionsPerCycle = 10
  maxNewTlsConnectionsPerCycle = 1
  activeDefragMaxScanFields = 1000
  slowlogMaxLen = 128
  acllogMaxLen = 128
  clusterBlacklistTtl = 60
  /** Milliseconds. */
  busyReplyThreshold = 5000
  /** Milliseconds. */
  clusterNodeTimeout = 15000
  clusterPingInterval = 0
  /** Microseconds; negative: never. */
  slowlogLogSlowerThan = 10000
  /** Milliseconds. */
  latencyMonitorThreshold = 0
  protoMaxBulkLen = 536_870_912
  streamNodeMaxEntries = 100
  replBacklogSize = 10_485_760
  maxmemory = 0
  clusterLinkSendbufLimit = 0
  hashMaxListpackEntries = 512
  setMaxIntsetEntries = 512
  setMaxListpackEntries = 128
  setMaxListpackValue = 64
  zsetMaxListpackEntries = 128
  activeDefragIgnoreBytes = 104_857_600
  hashMaxListpackValue = 64
  streamNodeMaxBytes = 4096
  zsetMaxListpackValue = 64
  hllSparseMaxBytes = 3000
  trackingTableMaxKeys = 1_000_000
  clientQueryBufferLimit = 1_073_741_824
  /** Bytes, or a percentage of maxmemory when negative. */
  maxmemoryClients = 0
  replBacklogTtl = 3600
  autoAofRewriteMinSize = 67_108_864
  loadingProcessEventsIntervalBytes = 2_097_152

  // TLS
  tlsPort = 0
  tlsSessionCacheSize = 20480
  tlsSessionCacheTimeout = 300
  tlsCluster = false
  tlsReplication = false
  tlsAuthClients: 'no' | 'yes' | 'optional' = 'yes'
  tlsPreferServerCiphers = false
  tlsSessionCaching = true
  tlsCertFile = ''
  tlsKeyFile = ''
  tlsKeyFilePass = ''
  tlsClientCertFile = ''
  tlsClientKeyFile = ''
  tlsClientKeyFilePass = ''
  tlsDhParamsFile = ''
  tlsCaCertFile = ''
  tlsCaCertDir = ''
  tlsProtocols = ''
  tlsCiphers = ''
  tlsCiphersuites = ''

  // directives with a grammar of their own
  /** Absolute path of the folder that relative paths start from. */
  dir = currentFolder()
  save: readonly SavePoint[] = [
    { seconds: 3600, changes: 1 },
    { seconds: 300, changes: 100 },
    { seconds: 60, changes: 10000 }
  ]
  clientOutputBufferLimit: BufferLimits = {
    normal: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
    replica: { hardBytes: 268_435_456, softBytes: 67_108_864, softSeconds: 60 },
    pubsub: { hardBytes: 33_554_432, softBytes: 8_388_608, softSeconds: 60 }
  }
  oomScoreAdjValues: readonly number[] = [0, 200, 800]
  /** Bits of `keyspace-events.ts`. */
  notifyKeyspaceEvents = 0
  /** Addresses to listen on; a leading minus allows the address to be unavailable. */
  bind: readonly string[] = ['*', '-::*']
  replicaof: { readonly host: string; readonly port: number } | undefined = undefined
  latencyTrackingInfoPercentiles: readonly number[] = [50, 99, 99.9]
}
