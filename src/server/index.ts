/** The server: the door of src/server. */
export { Server, ListenError } from './server.js'
export type { Logger } from './logger.js'
export type { KeyOutcome } from '../engine/services.js'
