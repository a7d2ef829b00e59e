/** What commands may know of the configuration: they see the engine, and src/config only through it. */
export { Config, KEYFERRY_VERSION, RDB_VERSION, REDIS_VERSION, VALKEY_VERSION } from '../config/index.js'
