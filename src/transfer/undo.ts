/** Puts a store back to what an undo log says it was: what was overwritten is written again, what was new is removed. */
import { undoRecords } from './journal.js'
import { StoreError, type Entry, type Store } from './store.js'

export interface UndoReport {
  readonly restored: number
  readonly removed: number
  /** Keys whose former value the store did not take, with the reason: at most ten. */
  readonly failed: readonly { readonly entry: Entry; readonly reason: string }[]
}

const FAILED_MAX = 10

/** Throws StoreError when the store or the log can not be used; what was put back by then stays. */
export async function undo(store: Store, file: string, onProgress?: (keys: number) => void): Promise<UndoReport> {
  if (store.traits.startsOver === true) throw new StoreError('usage', `${store.label} can not be put back: it is written as a whole`)
  let restored = 0
  let removed = 0
  const failed: { entry: Entry; reason: string }[] = []
  for await (const page of undoRecords(file)) {
    const created = page.filter(({ before }) => before === undefined)
    const former = page.flatMap(({ before }) => (before === undefined ? [] : [before]))
    for (let at = 0; at < created.length; at += store.traits.batchEntriesMax) await store.remove(created.slice(at, at + store.traits.batchEntriesMax))
    removed += created.length
    for (let at = 0; at < former.length; at += store.traits.batchEntriesMax) {
      const batch = former.slice(at, at + store.traits.batchEntriesMax)
      const outcomes = await store.write(batch, 'replace')
      for (let i = 0; i < batch.length; i++) {
        const outcome = outcomes[i]
        if (outcome === 'written') restored++
        else if (failed.length < FAILED_MAX) failed.push({ entry: batch[i], reason: outcome instanceof Error ? outcome.message : 'not taken' })
      }
    }
    onProgress?.(restored + removed)
  }
  return { restored, removed, failed }
}
