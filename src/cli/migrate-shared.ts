/** What `keyferry migrate` and its `undo` have in common. */
import { StoreError } from '../transfer/store.js'

/** Whether an error is of the command line or the configuration. */
export const isUsage = (error: unknown): boolean => error instanceof StoreError && (error.fault === 'usage' || error.fault === 'missing')

/** What -reset says, by the stores whose lock it removed. */
export function resetText(labels: readonly string[]): string {
  return labels.length === 0 ? 'Success! There was no migration lock to reset.\n' : `Success! Migration lock reset in ${labels.join(' and ')}.\n`
}
