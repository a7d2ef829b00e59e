/** Who a session speaks for: what AUTH and HELLO share. There is one user, `default`, with `requirepass`. */
import { timingSafeEqual } from 'node:crypto'
import type { Slice } from '../protocol/slice.js'
import type { Call } from '../src/engine/call.js'
import { WRONG_PASS } from '../src/errors.js'

/** Lets the session speak for the user; throws WRONGPASS. */
export function authenticate(call: Call, user: Slice, password: Slice): void {
  const { session, config } = call
  const wanted = Buffer.from(config.requirepass, 'latin1')
  if (user.latin1() !== 'default' || (wanted.length > 0 && !sameBytes(wanted, password.view()))) {
    call.engine.stats.deniedAuth++
    throw WRONG_PASS
  }
  session.user = 'default'
  session.authenticated = true
}

/** Compares in a time that does not tell how much of a guess was right. */
function sameBytes(wanted: Buffer, given: Buffer): boolean {
  const padded = Buffer.alloc(wanted.length)
  given.copy(padded)
  return timingSafeEqual(wanted, padded) && given.length === wanted.length
}
