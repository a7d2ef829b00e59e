/** DUMP, RESTORE, RESTORE-ASKING and MIGRATE: keys leaving and arriving. */
import type { Slice } from '../protocol/slice.js'
import type { Int64 } from '../protocol/uint64.js'
import { rerun, type Call } from '../src/engine/call.js'
import { command, key, type Command, type CommandSpec } from '../src/engine/command.js'
import { BAD_PAYLOAD, BAD_PAYLOAD_FOOTER, BUSY_KEY, replyError, SYNTAX } from '../src/errors.js'
import { dumpPayload, ELEMENTS_PER_TURN, SlicedCheck, verifyPayload, type Verdict } from '../src/keyspace/payload.js'
import { RDB_VERSION } from '../protocol/rdb/payload.js'
import { migrate } from './migrate.js'

const BAD_TTL = replyError('ERR Invalid TTL value, must be >= 0')
const BAD_IDLE = replyError('ERR Invalid IDLETIME value, must be >= 0')
const BAD_FREQUENCY = replyError('ERR Invalid FREQ value, must be >= 0 and <= 255')

/** DUMP key */
const dump = command({
  name: 'dump', arity: 2, flags: 'readonly', acl: 'keyspace', keys: [key(1, 'RO ACCESS')], tips: ['nondeterministic_output'],
  group: 'generic', since: '2.6.0', complexity: 'O(N) in the size of the value.',
  summary: 'Returns a serialized form of the value of a key.', syntax: 'key',
}, (call) => {
  const ref = call.db.lookupRead(call.args.at(1))
  if (ref === 0) return call.reply.null()
  const payload = dumpPayload(call.db, ref, { version: RDB_VERSION, compressed: call.config.rdbcompression })
  call.reply.bulkRange(payload, 0, payload.length)
})

interface RestoreWords {
  replace: boolean
  absolute: boolean
  idleSeconds: number
  frequency: number
}

function readRestoreWords(call: Call): RestoreWords {
  const { args } = call
  const words: RestoreWords = { replace: false, absolute: false, idleSeconds: -1, frequency: -1 }
  for (let i = 4; i < args.count; i++) {
    const left = args.count - 1 - i
    if (args.is(i, 'replace')) words.replace = true
    else if (args.is(i, 'absttl')) words.absolute = true
    else if (args.is(i, 'idletime') && left >= 1 && words.frequency === -1) {
      words.idleSeconds = args.integer(++i)
      if (words.idleSeconds < 0) throw BAD_IDLE
    } else if (args.is(i, 'freq') && left >= 1 && words.idleSeconds === -1) {
      words.frequency = args.integer(++i)
      if (words.frequency < 0 || words.frequency > 255) throw BAD_FREQUENCY
    } else throw SYNTAX
  }
  return words
}

/** RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency] */
function restore(call: Call): void {
  const { args, db, engine } = call
  const name = args.at(1)
  const words = readRestoreWords(call)
  if (!words.replace && db.lookup(name) !== 0) throw BUSY_KEY
  const ttl = args.exactInteger(2)
  if (ttl < 0) throw BAD_TTL
  const payload = args.at(3)
  const verdict = verifyPayload(payload, call.config, engine.skipChecksum)
  if (!(verdict instanceof SlicedCheck)) return store(call, name, ttl, words, verdict)
  const first = verdict.step(ELEMENTS_PER_TURN)
  if (first !== undefined || call.session.inExec) return store(call, name, ttl, words, first ?? (verdict.step(Infinity) as Verdict))
  storeLater(call, ttl, words, verdict)
}

function store(call: Call, name: Slice, ttl: Int64, words: RestoreWords, verdict: Verdict): void {
  if (verdict === 'footer') throw BAD_PAYLOAD_FOOTER
  if (verdict === 'data') throw BAD_PAYLOAD
  const { db, engine } = call
  const existed = words.replace && db.lookup(name) !== 0
  const now = call.clock.nowMs
  const at = ttl === 0 ? undefined : BigInt.asIntN(64, BigInt(ttl) + (words.absolute ? 0n : BigInt(now)))
  if (at !== undefined && at <= BigInt(now)) {
    if (existed) {
      db.delete(name)
      call.changed(name, 'g', 'del')
      call.propagateAs([engine.config.lazyfreeLazyServerDel ? 'UNLINK' : 'DEL', name.copy()])
    }
    return call.reply.ok()
  }
  if (existed) db.delete(name)
  let ref = verdict(db, name)
  if (at !== undefined) ref = db.setExpiry(ref, at)
  const { lfu } = engine.keyspace
  if (lfu && words.frequency >= 0) db.setFrequency(ref, words.frequency)
  if (!lfu && words.idleSeconds >= 0) db.setIdleSeconds(ref, words.idleSeconds)
  call.changed(name, 'g', 'restore')
  if (at !== undefined && !words.absolute && engine.services.propagate !== undefined) {
    const args = call.args.copy()
    args[2] = Buffer.from(at.toString())
    call.propagateAs([...args, 'ABSTTL'])
  }
  call.reply.ok()
}

/** A payload whose check takes long is checked a turn at a time, the session waiting; then it is stored at once. */
function storeLater(call: Call, ttl: Int64, words: RestoreWords, check: SlicedCheck): void {
  const { engine, session } = call
  const copied: Buffer[] = []
  for (let i = 0; i < call.args.count; i++) copied.push(i === 3 ? check.payload.buf : call.args.at(i).copy())
  const { command: restoring } = call
  const suspension = call.suspend()
  let cancelled = false
  suspension.onCancel = () => {
    cancelled = true
  }
  const turn = (): void => {
    if (cancelled) return
    const verdict = check.step(ELEMENTS_PER_TURN)
    if (verdict === undefined) {
      setImmediate(turn)
      return
    }
    engine.whenFree(session, restoring, () => suspension.finish((reply) => rerun(engine, session, restoring, copied, reply, (later) => {
      const key = later.args.at(1)
      // Meanwhile the key may have been created, or be on its way to another server.
      const busy = engine.holds.get(later.db, key) !== undefined || (!words.replace && later.db.lookup(key) !== 0)
      if (busy) throw BUSY_KEY
      store(later, key, ttl, words, verdict)
    })))
  }
  setImmediate(turn)
}

const RESTORE_SPEC: Omit<CommandSpec, 'name' | 'flags' | 'since' | 'summary'> = {
  arity: -4, acl: 'keyspace dangerous', keys: [key(1, 'OW UPDATE')], group: 'generic',
  complexity: 'O(N) in the size of the value; O(N*log(N)) for sorted sets.',
  syntax: 'key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]',
}

export const transferCommands: readonly Command[] = [
  dump,
  command({ ...RESTORE_SPEC, name: 'restore', flags: 'write denyoom', since: '2.6.0', summary: 'Creates a key from a serialized value.' }, restore),
  command({
    ...RESTORE_SPEC, name: 'restore-asking', group: 'server', flags: 'write denyoom asking', since: '3.0.0',
    summary: 'Creates a key from a serialized value on a cluster node that is importing its slot.',
  }, restore),
  migrate,
]
