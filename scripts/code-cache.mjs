/**
 * `node scripts/code-cache.mjs PROGRAM ...`: starts each program of dist/bin as a server on a free port, talks to it, and has
 * it write the code V8 has compiled by then next to its bundle. Functions that have run are in the cache; those that a start
 * and a first command need are what it is for.
 */
import { fork } from 'node:child_process'
import net from 'node:net'

const COMMANDS = ['PING', 'SET keyferry 1', 'GET keyferry', 'DEL keyferry', 'INFO', 'COMMAND COUNT'].map((line) => `${line}\r\n`).join('')
const TIMEOUT_MS = 10_000

function talk(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(COMMANDS))
    socket.once('error', reject)
    let said = ''
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1')
      if (/\r\n:\d+\r\n$|^-.*\r\n$/m.test(said)) {
        socket.destroy()
        resolve()
      }
    })
  })
}

for (const program of process.argv.slice(2)) {
  const verb = program.endsWith('keyferry.js') ? ['server'] : []
  const child = fork(program, [...verb, '--port', '0', '--bind', '127.0.0.1', '--save', ''], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: { ...process.env, KEYFERRY_CODE_CACHE: '1' } })
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  let output = ''
  const port = await new Promise((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += chunk.toString('latin1')
      const found = /redis:\/\/[\d.]+:(\d+)/.exec(output)
      if (found !== null) resolve(Number(found[1]))
    })
    child.once('exit', () => resolve(0))
  })
  if (port > 0) {
    await talk(port)
    child.send('write')
    await new Promise((resolve) => child.once('exit', resolve))
  } else process.exitCode = 1
  clearTimeout(timer)
}
