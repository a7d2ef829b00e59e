/** What a store of the Redis protocol can do. */
import type { StoreTraits } from '../../transfer/store.js'
import type { Settings } from './settings.js'

const BATCH_ENTRIES_MAX = 1000
const BATCH_BYTES_MAX = 8 * 1024 * 1024
/** Batches under way on a connection: one that the server works on, one that is on its way. */
const BATCHES_PER_CONNECTION = 2

export function storeTraits(settings: Settings, databases: boolean): StoreTraits {
  return {
    typed: true,
    expiry: true,
    databases,
    ordered: false,
    createsAtomically: true,
    writable: true,
    vaultLayout: false,
    keyBytesMax: 512 * 1024 * 1024,
    valueBytesMax: Infinity,
    batchEntriesMax: BATCH_ENTRIES_MAX,
    batchBytesMax: BATCH_BYTES_MAX,
    parallelMax: settings.connections * BATCHES_PER_CONNECTION,
  }
}
