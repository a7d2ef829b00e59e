/**
 * The fuzzer's malformed requests: a few sound commands, inline and multibulk, then bytes that are spoiled somewhere, then
 * the end of the connection. Everything the server says until it closes is compared byte for byte: what it answered, its
 * protocol error, and whether it stopped listening there.
 */
import { ConnectionClosed, RespClient, encodeCommand, quote, show } from '../client.js'
import { Chance } from './chance.js'
import type { Arena } from './round.js'

const FRAGMENTS: readonly string[] = [
  'PING\r\n', 'PING\n', '\r\n', '  \r\n', 'PING "a b"\r\n', "PING 'a b'\r\n", 'PING "unbalanced\r\n', 'PING "a"b\r\n', 'PING "\\x41\\n"\r\n', "PING 'it\\'s'\r\n",
  'SET k v\r\n', 'GET k\r\n', 'ECHO  spaced   out\r\n', 'ECHO one two\r\n', '*0\r\n', '*-1\r\n', '*-5\r\n', '*1\r\n$4\r\nPING\r\n', '*2\r\n$4\r\nECHO\r\n$0\r\n\r\n',
  '*a\r\n', '*\r\n', '*1048577\r\n', '*2147483648\r\n', '*99999999999999999999\r\n', '*1 \r\n', '*+1\r\n$4\r\nPING\r\n', '*01\r\n$4\r\nPING\r\n',
  '*1\r\n$-1\r\n', '*1\r\n$a\r\n', '*1\r\n:4\r\n', '*1\r\nPING\r\n', '*1\r\n$\r\n', '*1\r\n$1048577\r\n', '*1\r\n$99999999999999999999\r\n', '*1\r\n$+4\r\nPING\r\n',
  '*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n', '*1\n$4\nPING\n', '\0\r\n', '\xff\xfe\r\n', '+OK\r\n', '$4\r\nPING\r\n', '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nabc\r\n',
  'POST / HTTP/1.1\r\n', 'HELLO 3\r\n', 'HELLO 2\r\n', 'QUIT\r\n', 'quit\r\nPING\r\n', 'RESET\r\n', 'CLIENT REPLY OFF\r\n', 'CLIENT REPLY SKIP\r\n', 'CLIENT REPLY ON\r\n', 'MULTI\r\n', 'EXEC\r\n',
]

/** Plays one spoiled conversation; a text for people when the servers differ. */
export async function playProtocol(arena: Arena, seed: number): Promise<string | undefined> {
  const chance = new Chance(seed, 77)
  let bytes = Buffer.from(Array.from({ length: chance.between(1, 6) }, () => chance.pick(FRAGMENTS)).join(''), 'latin1')
  if (chance.hits(0.3)) bytes = Buffer.concat([bytes, encodeCommand(['SET', 'k', chance.bytes(chance.between(0, 40))]), encodeCommand(['GET', 'k'])])
  for (let i = chance.below(3); i > 0 && bytes.length > 0; i--) bytes = spoilBytes(chance, bytes)
  const [left, right] = await Promise.all([converse(arena.left.port, bytes), converse(arena.right.port, bytes)])
  if (left === right) return undefined
  return [`malformed request differs (seed ${seed}):`, `  ${quote(bytes)}`, `  ${arena.left.name.padEnd(9)} ${left}`, `  ${arena.right.name.padEnd(9)} ${right}`].join('\n')
}

function spoilBytes(chance: Chance, bytes: Buffer): Buffer<ArrayBuffer> {
  const at = chance.below(bytes.length)
  const spoiled = Buffer.from(bytes)
  switch (chance.below(4)) {
    case 0: return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
    case 1: return Buffer.concat([bytes.subarray(0, at), chance.bytes(1), bytes.subarray(at)])
    case 2: spoiled[at] = chance.pick([0, 10, 13, 32, 36, 42, 48, 57, 255]); return spoiled
    default: return Buffer.from(bytes.subarray(0, at))
  }
}

/** What a server says to these bytes until it closes the connection. */
async function converse(port: number, bytes: Buffer): Promise<string> {
  const client = await RespClient.connect(port)
  await client.call('FLUSHALL')
  await client.sendRaw(bytes)
  client.end()
  const replies: string[] = []
  try {
    // HELLO's reply names the server.
    for (;;) replies.push(show((await client.next()).reply).replace(/[[{]"server".*"modules".*?\[\][\]}]/, '(hello)'))
  } catch (error) {
    if (!(error instanceof ConnectionClosed)) replies.push((error as Error).message)
  }
  return replies.join(' ')
}
