/** How the server treats a client: CLIENT REPLY, NO-EVICT, NO-TOUCH, PAUSE, UNPAUSE, UNBLOCK, tracking. */
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import type { Session } from '../src/engine/session.js'
import { replyError, SYNTAX } from '../src/errors.js'
import { wrongSubcommand } from './help.js'

const ADMIN = 'admin noscript loading stale'
const PLAIN = 'noscript loading stale'

/** CLIENT REPLY <ON | OFF | SKIP> */
const replyMode = command({
  name: 'reply', arity: 3, flags: PLAIN, acl: 'connection', group: 'connection', since: '3.2.0', complexity: 'O(1)',
  summary: 'Switches replies on or off, or skips the next one.', syntax: '<ON | OFF | SKIP>',
}, ({ args, session, reply }) => {
  if (args.is(2, 'on')) {
    session.replyMode = 'on'
    reply.ok()
  } else if (args.is(2, 'off')) session.replyMode = 'off'
  else if (!args.is(2, 'skip')) throw SYNTAX
  else if (session.replyMode !== 'off') session.replyMode = 'skip-next'
})

function onOff(call: Call): boolean {
  if (call.args.is(2, 'on')) return true
  if (call.args.is(2, 'off')) return false
  throw SYNTAX
}

/** CLIENT NO-EVICT <ON | OFF> */
const noEvict = command({
  name: 'no-evict', arity: 3, flags: ADMIN, acl: 'connection', group: 'connection', since: '7.0.0', complexity: 'O(1)',
  summary: 'Protects this connection from being evicted.', syntax: '<ON | OFF>',
}, (call) => {
  call.session.noEvict = onOff(call)
  call.reply.ok()
})

/** CLIENT NO-TOUCH <ON | OFF> */
const noTouch = command({
  name: 'no-touch', arity: 3, flags: PLAIN, acl: 'connection', group: 'connection', since: '7.2.0', complexity: 'O(1)',
  summary: 'Lets the commands of this connection leave no trace in the access clocks of keys.', syntax: '<ON | OFF>',
}, (call) => {
  call.session.noTouch = onOff(call)
  call.reply.ok()
})

const TIMEOUT_NO_INTEGER = replyError('ERR timeout is not an integer or out of range')
const TIMEOUT_NEGATIVE = replyError('ERR timeout is negative')
const TIMEOUT_TOO_LONG = replyError('ERR timeout is out of range')
const BAD_PAUSE_MODE = replyError('ERR CLIENT PAUSE mode must be WRITE or ALL')
const MOST_INT64 = 2n ** 63n - 1n

/** A time to wait in milliseconds, not negative; throws Valkey's errors. */
export function readTimeoutMs(call: Call, i: number): number {
  const timeout = call.args.int64(i, TIMEOUT_NO_INTEGER)
  if (timeout < 0n) throw TIMEOUT_NEGATIVE
  if (timeout > MOST_INT64 - BigInt(call.clock.nowMs)) throw TIMEOUT_TOO_LONG
  return Number(timeout)
}

/** CLIENT PAUSE timeout [WRITE | ALL] */
const pause = command({
  name: 'pause', arity: -3, flags: ADMIN, acl: 'connection', group: 'connection', since: '3.0.0', complexity: 'O(1)',
  summary: 'Lets the commands of all clients, or those that write, wait for some time.', syntax: 'timeout [WRITE | ALL]',
}, (call) => {
  const { args } = call
  if (args.count > 4) throw wrongSubcommand(call, 'CLIENT')
  const writesOnly = args.count === 4 && args.is(3, 'write')
  if (args.count === 4 && !writesOnly && !args.is(3, 'all')) throw BAD_PAUSE_MODE
  call.engine.pause(call.clock.nowMs + readTimeoutMs(call, 2), writesOnly)
  call.reply.ok()
})

/** CLIENT UNPAUSE */
const unpause = command({
  name: 'unpause', arity: 2, flags: ADMIN, acl: 'connection', group: 'connection', since: '6.2.0',
  complexity: 'O(N), N being the number of waiting clients.', summary: 'Ends a pause.', syntax: '',
}, (call) => {
  call.engine.unpause()
  call.reply.ok()
})

const BAD_UNBLOCK_REASON = replyError('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR')

/** CLIENT UNBLOCK client-id [TIMEOUT | ERROR] */
const unblock = command({
  name: 'unblock', arity: -3, flags: ADMIN, acl: 'connection', group: 'connection', since: '5.0.0', complexity: 'O(1)',
  summary: 'Ends the waiting of a client that a blocking command holds.', syntax: 'client-id [TIMEOUT | ERROR]',
}, (call) => {
  const { args } = call
  if (args.count > 4) throw wrongSubcommand(call, 'CLIENT')
  const withError = args.count === 4 && args.is(3, 'error')
  if (args.count === 4 && !withError && !args.is(3, 'timeout')) throw BAD_UNBLOCK_REASON
  const end = call.engine.sessions.get(args.integer(2))?.suspension?.onUnblock
  call.reply.integer(end === undefined ? 0 : 1)
  end?.(withError ? 'error' : 'timeout')
})

// ---- tracking: keyferry does not track, so only what holds without it ----

const OPTIN_AND_OPTOUT = replyError("ERR You can't specify both OPTIN mode and OPTOUT mode")
const OPT_WITH_BCAST = replyError('ERR OPTIN and OPTOUT are not compatible with BCAST')
const PREFIX_WITHOUT_BCAST = replyError('ERR PREFIX option requires BCAST mode to be enabled')
const REDIRECT_TWICE = replyError('ERR A client can only redirect to a single other client')
const REDIRECT_TO_NOBODY = replyError('ERR The client ID you want redirect to does not exist')
const NO_TRACKING = replyError('ERR CLIENT TRACKING ON is not supported')
const CACHING_WITHOUT_TRACKING = replyError(
  'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled')

interface TrackingWords {
  broadcast: boolean
  optIn: boolean
  optOut: boolean
  prefixes: number
  redirect: Session | undefined
}

function readTracking(call: Call): TrackingWords {
  const { args, engine } = call
  const words: TrackingWords = { broadcast: false, optIn: false, optOut: false, prefixes: 0, redirect: undefined }
  for (let i = 3; i < args.count; i++) {
    const more = i + 1 < args.count
    if (args.is(i, 'redirect') && more) {
      if (words.redirect !== undefined) throw REDIRECT_TWICE
      words.redirect = engine.sessions.get(args.integer(++i))
      if (words.redirect === undefined) throw REDIRECT_TO_NOBODY
    } else if (args.is(i, 'bcast')) words.broadcast = true
    else if (args.is(i, 'optin')) words.optIn = true
    else if (args.is(i, 'optout')) words.optOut = true
    else if (args.is(i, 'prefix') && more) {
      i++
      words.prefixes++
    } else if (!args.is(i, 'noloop')) throw SYNTAX
  }
  return words
}

/** CLIENT TRACKING <ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP] */
const tracking = command({
  name: 'tracking', arity: -3, flags: PLAIN, acl: 'connection', group: 'connection', since: '6.0.0', complexity: 'O(1)',
  summary: 'Switches client-side caching off; switching it on is not supported.', missing: 'only OFF',
  syntax: '<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]',
}, (call) => {
  const words = readTracking(call)
  if (call.args.is(2, 'off')) return call.reply.ok()
  if (!call.args.is(2, 'on')) throw SYNTAX
  if (!words.broadcast && words.prefixes > 0) throw PREFIX_WITHOUT_BCAST
  if (words.broadcast && (words.optIn || words.optOut)) throw OPT_WITH_BCAST
  if (words.optIn && words.optOut) throw OPTIN_AND_OPTOUT
  throw NO_TRACKING
})

/** CLIENT CACHING <YES | NO> */
const caching = command({
  name: 'caching', arity: 3, flags: PLAIN, acl: 'connection', group: 'connection', since: '6.0.0', complexity: 'O(1)',
  summary: 'Chooses whether the keys of the next command are tracked.', missing: 'there is no tracking', syntax: '<YES | NO>',
}, () => {
  throw CACHING_WITHOUT_TRACKING
})

/** CLIENT GETREDIR */
const getRedirection = command({
  name: 'getredir', arity: 2, flags: PLAIN, acl: 'connection', group: 'connection', since: '6.0.0', complexity: 'O(1)',
  summary: 'Tells which client gets the invalidations of this one.', syntax: '',
}, (call) => call.reply.integer(-1))

/** CLIENT TRACKINGINFO */
const trackingInfo = command({
  name: 'trackinginfo', arity: 2, flags: PLAIN, acl: 'connection', group: 'connection', since: '6.2.0', complexity: 'O(1)',
  summary: 'Tells how this connection is tracked.', syntax: '',
}, ({ reply }) => {
  reply.map(3)
  reply.bulkText('flags')
  reply.set(1)
  reply.bulkText('off')
  reply.bulkText('redirect')
  reply.integer(-1)
  reply.bulkText('prefixes')
  reply.array(0)
})

/** The subcommands of this file. */
export const clientModes: readonly Command[] =
  [replyMode, noEvict, noTouch, pause, unpause, unblock, tracking, caching, getRedirection, trackingInfo]
