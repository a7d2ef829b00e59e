/**
 * How many rows go into one SQL statement. The numbers are powers of two, so that a handful of prepared statements serves
 * batches of every size.
 */

/** Cuts rows into runs of 1, 2, 4 ... `mostRows` with at most `mostBytes` together (one row may have more). */
export function rowBatches<T>(rows: readonly T[], mostRows: number, mostBytes: number, bytesOf: (row: T) => number): T[][] {
  const batches: T[][] = []
  for (let at = 0; at < rows.length;) {
    let count = 0
    for (let bytes = 0; count < mostRows && at + count < rows.length; count++) {
      bytes += bytesOf(rows[at + count])
      if (count > 0 && bytes > mostBytes) break
    }
    const size = 2 ** Math.floor(Math.log2(count))
    batches.push(rows.slice(at, at + size))
    at += size
  }
  return batches
}
