#!/usr/bin/env node
/**
 * The program keyferry: a verb and its words. Each verb is a file of its own, loaded when it is called.
 */

type Verb = (argv: readonly string[]) => Promise<number | undefined>

const VERBS: Readonly<Record<string, () => Promise<Verb>>> = {
  server: serverVerb,
  ping: async () => (await import('./ping.js')).runPing,
  demo: async () => (await import('./demo.js')).runDemo,
  migrate: async () => (await import('./migrate.js')).runMigrate,
  'etcd-migrate': async () => (await import('./etcd-migrate.js')).runEtcdMigrate
}

async function serverVerb(): Promise<Verb> {
  const { runServer } = await import('./serve.js')
  // keyferry-server ends with 1 after its help, as redis-server does; a verb ends with 0.
  return (words) => (words[0] === '--help' || words[0] === '-h' ? runServer(words).then(() => 0) : runServer(words))
}

async function main(argv: readonly string[]): Promise<number | undefined> {
  const [verb, ...words] = argv
  if (verb === '--version' || verb === '-v') {
    process.stdout.write(`keyferry ${(await import('../config/version.js')).KEYFERRY_VERSION}\n`)
    return 0
  }
  if (verb === undefined || verb === '--help' || verb === '-h' || verb === 'help') {
    const { UMBRELLA_HELP } = await import('./help.js')
    ;(verb === undefined ? process.stderr : process.stdout).write(UMBRELLA_HELP)
    return verb === undefined ? 1 : 0
  }
  const load = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
  if (!load) {
    process.stderr.write(`keyferry has no verb '${verb}'; it has ${Object.keys(VERBS).join(', ')}. See keyferry --help.\n`)
    return 1
  }
  return (await load())(words)
}

// Not a top-level await: the program is also bundled as CommonJS, which starts faster.
void main(process.argv.slice(2)).then(status => {
  if (status !== undefined) process.exit(status)
})
