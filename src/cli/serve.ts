/**
 * Running the server as a program: from the words of the command line to the exit status.
 *
 *     words -> configuration -> (background) -> Server.listen -> Ready -> SIGTERM, SIGINT or SHUTDOWN -> 0
 *                   |                              |
 *                   bad directive: 1               port taken: 1
 *                   files under migration: 1
 *
 * Lazy on purpose: the server's modules are being read while the configuration is, and help, version and
 * background are loaded only when asked for.
 */

import { existsSync, fstatSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { Clock } from '../clock.js'
import { Config, ConfigFileError, ConfigOpenError, KEYFERRY_VERSION, checkLocale, systemErrorText } from '../config/index.js'
import { collectLessOften } from './collector.js'
import type { ListenError, Server as RunningServer } from '../server/index.js'
import { Log, print } from './log.js'

/** Runs the server. Resolves with an exit status when it could not start or was only asked a question. */
export async function runServer(argv: readonly string[]): Promise<number | undefined> {
  const answered = await answerQuestion(argv)
  if (answered !== undefined) return answered
  const loading = import('../server/index.js')
  // A refused configuration ends the process before anybody awaits the import.
  loading.catch(() => undefined)

  const clock = new Clock()
  const config = new Config()
  const log = new Log(config, () => clock.refresh())
  let stdin: string | undefined
  try {
    config.loadCommandLine(argv, { stdin: () => (stdin = readStdin(log)) })
  } catch (error) {
    return refuse(error, log)
  }
  if (config.daemonize && config.supervised === 'no') {
    const { inBackground, toBackground } = await import('./daemon.js')
    if (!inBackground()) {
      await toBackground(stdin)
      return 0
    }
  }
  announce(config, log, argv)
  if (checkLocale(config.localeCollate) !== undefined) {
    log.warning('Failed to configure LOCALE for invalid locale name.')
    return 1
  }
  if (unusableModules(config, log)) return 1
  if (await isUnderMigration(config, log)) return 1
  if (config.pidfile !== '') await keepPidFile(config, log)

  log.role = config.replicaof ? 'S' : 'M'
  showLogo(config, log)
  return start(config, log, (await loading).Server)
}

/** --version and the like, which stand alone as the first word. */
async function answerQuestion(argv: readonly string[]): Promise<number | undefined> {
  switch (argv[0]) {
    case '-v':
    case '--version':
      process.stdout.write(
        `keyferry-server v=${KEYFERRY_VERSION} sha=00000000:0 malloc=node-${process.versions.node} bits=64 build=0\n`
      )
      return 0
    case '-h':
    case '--help':
      process.stdout.write((await import('./help.js')).SERVER_HELP)
      return 1
    case '--check-system':
      process.stderr.write('keyferry-server has nothing to check: it forks no child, so no kernel setting endangers it.\n')
      return 1
    case '--test-memory':
      process.stderr.write('keyferry-server does not test memory: use a program made for it, such as memtester.\n')
      return 1
  }
  if (argv.some(word => word.toLowerCase() === '--sentinel')) {
    process.stderr.write('keyferry-server has no sentinel mode.\n')
    return 1
  }
  return undefined
}

function readStdin(log: Log): string {
  log.notice('Reading config from stdin')
  return readFileSync(0).toString('latin1')
}

/** Says why a configuration cannot be used. */
function refuse(error: unknown, log: Log): number {
  if (error instanceof ConfigFileError) process.stderr.write(Buffer.from(error.message, 'latin1'))
  else if (error instanceof ConfigOpenError) log.warning(error.message)
  else throw error
  return 1
}

function announce(config: Config, log: Log, argv: readonly string[]): void {
  for (const warning of config.warnings) log.warning(warning)
  log.notice('oO0OoO0OoO0Oo keyferry is starting oO0OoO0OoO0Oo')
  log.notice(`keyferry version=${KEYFERRY_VERSION}, bits=64, commit=00000000, modified=0, pid=${process.pid}, just started`)
  if (argv.length > 0) {
    log.notice('Configuration loaded')
  } else {
    log.warning(
      'Warning: no config file specified, using the default config. ' +
        'In order to specify a config file use keyferry-server /path/to/redis.conf'
    )
  }
  if (config.syslogEnabled) log.warning('syslog is not supported: the log goes to standard output or to logfile')
  if (config.supervised !== 'no') {
    log.warning(`supervised ${config.supervised} is not supported: let the supervisor start a simple service`)
  }
}

/** Native modules cannot be loaded; a configuration that needs them must not start without them. */
function unusableModules(config: Config, log: Log): boolean {
  const module = config.modules[0]?.words[0]
  if (module !== undefined) {
    log.warning(`Module ${module} failed to load: keyferry runs no native modules`)
    log.warning(`Can't load module from ${module}: server aborting`)
    return true
  }
  for (const name of config.moduleSettings.keys()) log.warning(`Unused Module Configuration: ${name}`)
  if (config.moduleSettings.size === 0) return false
  log.warning('Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting')
  return true
}

/** Whether `keyferry migrate` is at work on the files that are this server's: it left a lock beside them. */
async function isUnderMigration(config: Config, log: Log): Promise<boolean> {
  for (const name of [config.dbfilename, config.appenddirname]) {
    const file = config.pathOf(name)
    const lockFile = `${file}.migration`
    if (!existsSync(lockFile)) continue
    const [{ holderText, lockInFile }, { isAlive }] = await Promise.all([import('../transfer/lock.js'), import('../transfer/is-alive.js')])
    try {
      const lock = await lockInFile(lockFile, { host: hostname(), nowMs: log.now, isAlive })
      if (lock === undefined) continue
      const what = `storage migration of ${file}, ${holderText(lock.holder)} (started: ${lock.holder.start})`
      if (!lock.isStale) {
        log.warning(`A ${what}, is in progress: start the server when it has ended, or remove ${lockFile} if you know that it is gone.`)
        return true
      }
      log.warning(`A ${what}, is gone and left its lock: start it again if it was not through, or remove ${lockFile}.`)
    } catch (error) {
      log.warning((error as Error).message)
    }
  }
  return false
}

async function keepPidFile(config: Config, log: Log): Promise<void> {
  const { writePidFile, removePidFile } = await import('./daemon.js')
  const path = config.pathOf(config.pidfile)
  const error = writePidFile(path)
  if (error !== undefined) {
    log.warning(`Failed to write PID file: ${systemErrorText(error)}`)
    return
  }
  process.on('exit', () => {
    log.notice('Removing the pid file.')
    removePidFile(path)
  })
}

/** Mode, port and process id, as a picture on a terminal or where always-show-logo asks for it. */
function showLogo(config: Config, log: Log): void {
  const mode = config.clusterEnabled ? 'cluster' : 'standalone'
  if (config.alwaysShowLogo || (config.logfile === '' && onTerminal())) {
    log.raw(`
       |\\        keyferry ${KEYFERRY_VERSION}
       | \\
    ___|__\\___   Running in ${mode} mode
    \\  o  o  /   Port: ${config.port === 0 ? 'a free one' : config.port}
  ~~~\\______/~~  PID: ${process.pid}

`)
    return
  }
  log.notice(`Running mode=${mode}, port=${config.port}.`)
  log.notice(`PID: ${process.pid}`)
}

/** Whether standard output is a terminal; asked of the descriptor, because a stream for it costs milliseconds. */
function onTerminal(): boolean {
  try {
    return fstatSync(1).isCharacterDevice() && process.env['TERM'] !== undefined
  } catch {
    return false
  }
}

/** The name under which ps shows the server. */
function showTitle(config: Config): void {
  if (!config.setProcTitle) return
  const address = config.port > 0 ? `${config.bind[0] ?? '*'}:${config.port}` : `unixsocket:${config.unixsocket}`
  const parts: Readonly<Record<string, string>> = {
    'title': 'keyferry-server',
    'listen-addr': address,
    'server-mode': config.clusterEnabled ? '[cluster]' : '',
    'port': String(config.port),
    'tls-port': String(config.tlsPort),
    'unixsocket': config.unixsocket,
    'config-file': config.file ?? ''
  }
  const title = config.procTitleTemplate.replace(/\{\{|\{([^{}]*)\}/g, (token, name?: string) =>
    name === undefined ? '{' : (parts[name] ?? token)
  )
  process.title = title.trim()
}

async function start(config: Config, log: Log, Server: typeof RunningServer): Promise<number | undefined> {
  const freePort = config.port === 0
  let server: RunningServer
  try {
    server = new Server(config, log)
    collectLessOften()
    closeOnSignals(server, log)
    server.onShutdown = () => process.exit(0)
    await server.listen()
  } catch (error) {
    if (error instanceof ConfigFileError) return refuse(error, log)
    return explainListenError(error, config, log)
  }
  if (freePort) config.port = server.port
  showTitle(config)
  config.onChange('proc-title-template', () => showTitle(config))
  log.notice('Server initialized')
  if (server.port > 0) log.notice('Ready to accept connections tcp')
  if (config.tlsPort > 0) log.notice('Ready to accept connections tls')
  if (config.unixsocket !== '') log.notice('Ready to accept connections unix')
  if (freePort && server.port > 0) print(`keyferry is at redis://127.0.0.1:${server.port}\n`)
  process.on('exit', code => {
    if (code === 0) log.warning('keyferry is now ready to exit, bye bye...')
  })
  return undefined
}

/** A port or a path that cannot be listened on, in Valkey's words; any other fault of the system in its own. */
function explainListenError(error: unknown, config: Config, log: Log): number {
  const cause = error as Partial<ListenError> & NodeJS.ErrnoException
  if (cause.code === undefined) throw error
  const reason = systemErrorText(error)
  if (cause.port === undefined) {
    log.warning(cause.syscall === 'listen' ? `Failed opening Unix socket: bind: ${reason}` : `Cannot start: ${cause.message}`)
    return 1
  }
  const unknownHost = /^getaddrinfo \w+ (.*)/.exec(cause.message)?.[1]
  const named = unknownHost ?? / (\S+):\d+$/.exec(cause.message)?.[1] ?? config.bind[0] ?? '*'
  const address = named === '0.0.0.0' && config.bind.includes('*') ? '*' : named
  const kind = cause.port === config.tlsPort && cause.port !== config.port ? 'tls' : 'tcp'
  log.warning(
    `Warning: Could not create server ${kind.toUpperCase()} listening socket ${address}:${cause.port}: ` +
      (unknownHost === undefined ? `bind: ${reason}` : reason)
  )
  log.warning(`Failed listening on port ${cause.port} (${kind}), aborting.`)
  return 1
}

/** SIGTERM and SIGINT end the server in order, a second one at once; SIGHUP means nothing to it. */
function closeOnSignals(server: RunningServer, log: Log): void {
  let closing = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (closing) {
        log.warning('You insist... exiting now.')
        process.exit(1)
      }
      closing = true
      log.warning(`Received ${signal} scheduling shutdown...`)
      log.notice('User requested shutdown...')
      server.close().then(
        () => process.exit(0),
        (error: unknown) => {
          log.warning(`Closing failed: ${systemErrorText(error)}`)
          process.exit(1)
        }
      )
    })
  }
  process.on('SIGHUP', () => undefined)
}
