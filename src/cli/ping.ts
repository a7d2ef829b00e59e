/**
 * `keyferry ping [host:port | url]`: connects, says PING (after AUTH when the url has a password) and prints what
 * comes back. Status 0 for PONG, 1 for anything else.
 */

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { systemErrorText } from '../config/files.js'

const TIMEOUT_MS = 5000
const MAX_REPLY_BYTES = 4096

interface Target {
  readonly host: string
  readonly port: number
  readonly path: string | undefined
  readonly tls: boolean
  readonly username: string
  readonly password: string
}

const USAGE = 'Usage: keyferry ping [host:port | redis://host:port | unix:///path]\n'

const HELP = `keyferry ping: connects to a server, says PING and prints what comes back.

${USAGE}
  keyferry ping                                127.0.0.1:6379
  keyferry ping 7777                           another port of this machine
  keyferry ping redis://:secret@10.0.0.5:6379  AUTH first; rediss:// for TLS
  keyferry ping unix:///run/redis.sock

Exit status: 0 after PONG, 1 after anything else.
`

/** Runs the verb and resolves with the exit status. */
export async function runPing(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(HELP)
    return 0
  }
  const text = argv[0] ?? '127.0.0.1:6379'
  const target = argv.length > 1 || text.startsWith('-') ? undefined : parseTarget(text)
  if (!target) {
    process.stderr.write(USAGE)
    return 1
  }
  const place = target.path ?? `${target.host}:${target.port}`
  const start = performance.now()
  try {
    const reply = await ask(target)
    const took = (performance.now() - start).toFixed(1)
    process.stdout.write(`${reply.replace(/^\+/, '')} from ${place} in ${took} ms\n`)
    return reply === '+PONG' ? 0 : 1
  } catch (error) {
    process.stderr.write(`Could not ping ${place}: ${systemErrorText(error)}\n`)
    return 1
  }
}

/** An address in any form the verbs take, or undefined. */
function parseTarget(text: string): Target | undefined {
  const bare = { host: '127.0.0.1', port: 6379, path: undefined, tls: false, username: '', password: '' }
  if (text.startsWith('unix://') || text.startsWith('/')) return { ...bare, path: text.replace(/^unix:\/\//, '') }
  let url: URL
  try {
    url = new URL(text.includes('://') ? text : /^\d+$/.test(text) ? `redis://127.0.0.1:${text}` : `redis://${text}`)
  } catch {
    return undefined
  }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return undefined
  return {
    host: url.hostname.replace(/^\[|\]$/g, '') || bare.host,
    port: url.port === '' ? bare.port : Number(url.port),
    path: undefined,
    tls: url.protocol === 'rediss:',
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password)
  }
}

async function open(target: Target): Promise<Socket> {
  if (target.tls) {
    const tls = await import('node:tls')
    return tls.connect({ host: target.host, port: target.port, rejectUnauthorized: false })
  }
  return target.path === undefined ? connect(target.port, target.host) : connect(target.path)
}

const request = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`

/** The reply line to PING, or to AUTH when that is an error. */
async function ask(target: Target): Promise<string> {
  const socket = await open(target)
  const auth = target.password === '' ? [] : ['AUTH', ...(target.username === '' ? [] : [target.username]), target.password]
  const commands = auth.length > 0 ? [auth, ['PING']] : [['PING']]
  for (const words of commands) socket.write(request(words))
  return await new Promise<string>((resolve, reject) => {
    let received = ''
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no reply within ${TIMEOUT_MS / 1000} seconds`)))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed the connection')))
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      const lines = received.split('\r\n').slice(0, -1)
      const answer = lines.find(line => line.startsWith('-')) ?? lines[commands.length - 1]
      if (answer === undefined && received.length < MAX_REPLY_BYTES) return
      resolve(answer ?? 'an answer that is no reply')
      socket.destroy()
    })
  })
}
