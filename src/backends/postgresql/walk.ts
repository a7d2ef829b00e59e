/**
 * The keys of the table in the order of their bytes, from two range queries over its primary key (path, key), with the
 * memory of a page for each folder on the way.
 *
 * A folder's path ends in '/', so the order of paths is the order in which folders are entered by a walk that is sorted by
 * whole keys: `/a!/`, `/a/`, `/a/b/`. And all keys below a folder stand together, between two keys of the folder around it.
 * So the rows, read by (path, key), bring the folders in the right order, and a folder's keys wait on a stack until those
 * folders inside it have been walked that come before them:
 *
 *     rows        /: k1 k2 k3     /a/: k4     /a/b/: k5     /c/: k6
 *     stack       / { k1 k2 k3 }, /a/ { k4 }, ...
 *
 *     next folder F  ->  keys of the stack's top that are before F are yielded; a top that does not contain F is emptied
 *                        and taken off; then F is put on
 *
 * A folder with more keys than a page is cut there: its next keys are asked for when they are due, and the rows go on with
 * the path after it.
 */
import { compareTexts, foldersOf, keyOf } from './layout.js'

/** A row's path and key. */
export type RowKey = readonly [path: string, key: string]

/** What the walk asks of the table; both in order, at most a page; the end of it when there are fewer. */
export interface RowPages {
  readonly pageRows: number
  /** Rows of paths that are not before `path` (`after`: that come after it). */
  rows(path: string, after: boolean): Promise<readonly RowKey[]>
  /** Keys of one path that are not before `key` (`after`: that come after it). */
  keys(path: string, key: string, after: boolean): Promise<readonly string[]>
}

/** A folder whose keys are not all yielded. */
interface Folder {
  readonly path: string
  keys: readonly string[]
  at: number
  /** There are more keys than those here. */
  more: boolean
}

/** Every whole key that is not before `from`. */
export async function* walk(pages: RowPages, from: string): AsyncGenerator<string> {
  const stack: Folder[] = []
  // The folders around the first key; their keys from there on.
  const around = foldersOf(from)
  for (const path of around) {
    const keys = await pages.keys(path, from.slice(path.length - 1), false)
    if (keys.length > 0) stack.push({ path, keys, at: 0, more: keys.length === pages.pageRows })
  }
  for await (const folder of folders(pages, `/${from}`, around.includes(`/${from}`))) {
    yield* drain(pages, stack, folder.path)
    stack.push(folder)
  }
  yield* drain(pages, stack, undefined)
}

/** Yields what comes before the folder `next`, and leaves on the stack the folders that contain it. */
async function* drain(pages: RowPages, stack: Folder[], next: string | undefined): AsyncGenerator<string> {
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const contains = next !== undefined && next.startsWith(top.path)
    yield* keysBefore(pages, top, contains ? next.slice(1) : undefined)
    if (contains) return
    stack.pop()
  }
}

/** The keys of a folder up to `limit`, whole. */
async function* keysBefore(pages: RowPages, folder: Folder, limit: string | undefined): AsyncGenerator<string> {
  for (;;) {
    for (; folder.at < folder.keys.length; folder.at++) {
      const key = keyOf(folder.path, folder.keys[folder.at])
      if (limit !== undefined && compareTexts(key, limit) > 0) return
      yield key
    }
    if (!folder.more) return
    folder.keys = await pages.keys(folder.path, folder.keys[folder.keys.length - 1], true)
    folder.at = 0
    folder.more = folder.keys.length === pages.pageRows
  }
}

/** The folders from `start` on (`afterStart`: that come after it) that have keys, in order, with their first keys. */
async function* folders(pages: RowPages, start: string, afterStart: boolean): AsyncGenerator<Folder> {
  let path = start
  for (let after = afterStart; ; after = true) {
    const rows = await pages.rows(path, after)
    for (let at = 0; at < rows.length;) {
      path = rows[at][0]
      const keys: string[] = []
      while (at < rows.length && rows[at][0] === path) keys.push(rows[at++][1])
      yield { path, keys, at: 0, more: at === rows.length && rows.length === pages.pageRows }
    }
    if (rows.length < pages.pageRows) return
  }
}
