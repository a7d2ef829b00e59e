/**
 * Rows in the order of their keys, which is how a copy brings them.
 */

/** Whether every key comes after the one before it: then none is there twice either. */
export function isAscending(rows: readonly { readonly key: Buffer }[]): boolean {
  for (let i = 1; i < rows.length; i++) if (rows[i - 1].key.compare(rows[i].key) >= 0) return false
  return true
}
