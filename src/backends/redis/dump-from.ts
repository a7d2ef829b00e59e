/** DUMP of a key at the target of a link: the one reply of a link that is more than a line. */
import RedisParser from 'redis-parser'
import { LinkFault } from '../../transfer/outcome.js'
import type { Link } from './link.js'

/** The payload, or undefined when the key is not there or the target refuses. Throws LinkFault. */
export function dumpFrom(link: Link, key: Buffer): Promise<Buffer | undefined> {
  return new Promise((done, fail) => {
    const parser = new RedisParser({
      returnBuffers: true,
      returnReply: (reply: unknown) => finish(Buffer.isBuffer(reply) ? Buffer.from(reply) : undefined),
      returnError: () => finish(undefined),
      returnFatalError: () => unreadable(),
    })
    const unreadable = (): void => {
      link.close()
      link.readRaw(undefined)
      fail(new LinkFault('protocol', false, 'the answer to DUMP could not be read'))
    }
    const finish = (payload: Buffer | undefined): void => {
      link.readRaw(undefined)
      done(payload)
    }
    if (link.fault !== undefined) return fail(link.fault)
    link.onFailure((fault) => {
      link.readRaw(undefined)
      fail(fault)
    })
    link.readRaw((chunk) => {
      try {
        parser.execute(chunk)
      } catch {
        unreadable()
      }
    })
    link.sendRequest(['DUMP', key])
  })
}
