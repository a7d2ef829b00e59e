/** Placeholder until the external sort arrives. */
import type { KeyRef } from './store.js'
export async function* sortedKeys(pages: AsyncIterable<readonly KeyRef[]>, _options: { readonly folder: string }): AsyncIterable<readonly KeyRef[]> {
  yield* pages
}
