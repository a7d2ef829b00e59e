/** Stands for a store that is not there yet, when nothing is to be made. */
import type { Store } from './store.js'

/** A store of these limits with nothing in it. */
export function emptyLike(store: Store): Store {
  return {
    label: store.label, traits: store.traits, close: () => store.close(),
    open: () => Promise.resolve(),
    async *list() {},
    read: (keys) => Promise.resolve(keys.map(() => undefined)),
    write: (entries) => Promise.resolve(entries.map(() => 'written')),
    ...(store.refusalOf !== undefined && { refusalOf: (entry) => store.refusalOf?.(entry) }),
    remove: () => Promise.resolve(),
  }
}
