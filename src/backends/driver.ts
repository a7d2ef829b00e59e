/**
 * Drivers of databases are loaded when a configuration names their store: optional peers of this package.
 */
import { StoreError } from '../transfer/store.js'

/** The driver, or StoreError 'missing' that says what to install. `load` is the import() itself, so that bundlers see it. */
export async function loadDriver<T>(storage: string, name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') throw error
    throw new StoreError('missing', `storage "${storage}" needs the package ${name}, which is not installed; run: npm install ${name}`, { cause: error })
  }
}
