/** Half-written values that a process left when it was killed; they would go by themselves, in minutes. */
import { StoreError } from '../../transfer/store.js'
import type { Connections } from './connections.js'
import { isTemporary } from './pieces.js'
import { Refusal } from './reply-reader.js'
import { scanKeys } from './scan.js'

/** Removes the temporary keys of database `db`; what has such a name and does not expire is somebody's own. Throws StoreError. */
export async function removeLeftovers(connections: Connections, db: number, scanCount: number): Promise<void> {
  for await (const page of scanKeys(connections, db, scanCount)) {
    const temporary = page.filter(({ key }) => isTemporary(key))
    for (const { key } of temporary) {
      await connections.run(db, async (connection) => {
        const left = await connection.call(['PTTL', key])
        const reply = typeof left === 'number' && left > 0 ? await connection.call(['UNLINK', key]) : 0
        if (reply instanceof Refusal) throw new StoreError('refused', `${connections.label} does not delete temporary keys of an earlier run: ${reply.line}`)
      })
    }
  }
}
