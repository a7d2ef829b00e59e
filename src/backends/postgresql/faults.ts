/**
 * What an error of pg, or of the server behind it (its SQLSTATE), means for a store.
 */
import { EntryError, StoreError } from '../../transfer/store.js'

/** The store's error for a driver's: an EntryError where one row is to blame. `label` names the store. */
export function faultOf(label: string, error: unknown): StoreError | EntryError {
  if (error instanceof StoreError || error instanceof EntryError) return error
  const { message, code = '' } = error as Error & { code?: string }
  const make = (fault: StoreError['fault'], advice: string): StoreError => new StoreError(fault, `${label}: ${message}; ${advice}`, { cause: error })
  // Too long for the index; characters or bytes that the database's encoding does not have.
  if (code === '54000') return new EntryError('too-large', message)
  if (/^22(P0[2-5]|021)$/.test(code)) return new EntryError('unsupported', message)
  if (/^(28|42501)/.test(code) || /password|SASL/.test(message)) return make('denied', "look at user and password in 'connection_url' and at the user's rights")
  if (/^(ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|CERT_)/.test(code)) return make('denied', 'look at sslmode and sslrootcert in the connection_url and at the server\'s certificate')
  if (code === '25006') return make('denied', 'connect to the primary to write')
  if (/^(3D000|42P01|3F000)/.test(code)) return make('absent', "look at the options 'connection_url' and 'table'")
  if (code === '42703') return make('usage', "look at the options 'connection_url' and 'table'")
  if (/does not support SSL/.test(message)) return make('usage', 'set sslmode=disable in the connection_url, or make the server encrypt')
  if (/^XX00[12]/.test(code)) return make('corrupt', 'check the table in the server')
  if (/^(08|40|53300|57P|55P03|57014)/.test(code)) return make('unreachable', 'look at the load of the server and at locks')
  if (/^E[A-Z]/.test(code) || code === '' && /connect|terminat|timeout|ended|socket/i.test(message)) return make('unreachable', 'look whether the server runs and the address is right')
  return make('refused', 'the server says why')
}
