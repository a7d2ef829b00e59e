/**
 * keyferry as a library: a Redis/Valkey-compatible server in this process.
 *
 *     import { createServer } from 'keyferry'
 *     const server = await createServer()          // a free port on 127.0.0.1, nothing on disk
 *     new Redis(server.url)
 *     await server.close()
 */
export { createServer, type KeyferryServer, type ServerOptions } from './server/create-server.js'
export type { KeyOutcome } from './server/index.js'
