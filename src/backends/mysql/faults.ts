/**
 * What an error of mysql2, or of the server behind it, means for a store.
 */
import { EntryError, StoreError } from '../../transfer/store.js'

/** Numbers of the server that say: not now, or no more on this connection. */
const UNREACHABLE = new Set([1040, 1053, 1129, 1130, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226, 1927, 3024, 4031])
const DENIED = new Set([1044, 1045, 1142, 1143, 1227, 1251, 1410, 1698, 3118, 3159, 4151])
/** The server, or the transaction, only reads. */
const READ_ONLY = new Set([1290, 1792, 1836])
/** No such database or table. */
const ABSENT = new Set([1049, 1146])
/** No such column; names that can not be. */
const USAGE = new Set([1054, 1102, 1103])
const CORRUPT = new Set([1034, 1035, 1194, 1195, 1712])
const TLS = /^(ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_|HANDSHAKE_)/

interface DriverError extends Error {
  readonly code?: string
  readonly errno?: number
  readonly fatal?: boolean
}

/** The store's error for a driver's. `label` names the store. */
export function faultOf(label: string, error: unknown): StoreError | EntryError {
  if (error instanceof StoreError || error instanceof EntryError) return error
  const { message, code = '', errno = 0 } = error as DriverError
  const make = (fault: StoreError['fault'], advice: string): StoreError => new StoreError(fault, `${label}: ${message}; ${advice}`, { cause: error })
  if (DENIED.has(errno)) return make('denied', "look at the options 'username' and 'password' and at the user's rights")
  if (TLS.test(code)) return make('denied', "look at the option 'tls_ca_file' and at the server's certificate")
  if (READ_ONLY.has(errno)) return make('denied', 'connect to the primary to write')
  if (ABSENT.has(errno)) return make('absent', "look at the options 'database' and 'table'")
  if (USAGE.has(errno)) return make('usage', "look at the options 'database' and 'table'")
  if (CORRUPT.has(errno)) return make('corrupt', 'check the table in the server')
  if (UNREACHABLE.has(errno) || (errno <= 0 && code !== '') || (error as DriverError).fatal === true) return make('unreachable', 'look whether the server runs and the address is right')
  return make('refused', 'the server says why')
}
