/** The word for what is counted: one of it, or more (or none). */

/** plural(1, 'key') is `key`, plural(2, 'key') `keys`; `many` for what does not end in s, or for more than one word. */
export function plural(count: number | bigint, one: string, many = `${one}s`): string {
  return Number(count) === 1 ? one : many
}
