/** MEMORY: what is used by a key, and by the whole. The figures are those of this process, not of Valkey's allocator. */
import { getHeapStatistics } from 'node:v8'
import type { ReplyWriter } from '../protocol/resp/writer.js'
import type { Call } from '../src/engine/call.js'
import { command, key, type Command } from '../src/engine/command.js'
import { SYNTAX } from '../src/errors.js'
import { replyHelp } from './help.js'
import { peek } from './peek.js'

const SHARD_REPORT = ['nondeterministic_output', 'request_policy:all_shards', 'response_policy:special']
const MOST_SAMPLES = 2 ** 63

/** MEMORY USAGE key [SAMPLES count] */
const usage = command({
  name: 'usage', arity: -3, flags: 'readonly', acl: '', keys: [key(2, 'RO')], group: 'server', since: '4.0.0', complexity: 'O(1)',
  summary: 'Tells how many bytes a key and its value take.', syntax: 'key [SAMPLES count]',
}, (call) => {
  const { args, db } = call
  for (let i = 3; i < args.count; i++) {
    if (!args.is(i, 'samples') || i + 1 >= args.count) throw SYNTAX
    // Values know their size, so nothing is sampled; the number is only checked.
    const samples = args.integer(++i)
    if (samples < 0 || samples > MOST_SAMPLES) throw SYNTAX
  }
  const ref = peek(call, args.at(2))
  if (ref === 0) call.reply.null()
  else call.reply.integer(db.recordBytes(ref))
})

/** The bytes of the whole, by purpose. */
interface MemoryPicture {
  readonly used: number
  readonly peak: number
  readonly resident: number
  /** Keys and values with the tables that hold them. */
  readonly dataset: number
  readonly overhead: number
  readonly keys: number
  readonly clientBytes: number
}

/** How memory is used now. */
export function memoryPicture(call: Call): MemoryPicture {
  const { engine } = call
  const used = engine.services.usedMemory()
  const measured = engine.services.memoryUse?.()
  let dataset = 0
  let keys = 0
  for (const db of engine.databases) {
    dataset += db.usedBytes
    keys += db.size
  }
  let clientBytes = 0
  for (const { link, queueBytes } of engine.sessions.values())
    clientBytes += link.queryBytes + link.queryFreeBytes + link.outputBytes + queueBytes
  return {
    used, dataset, keys, clientBytes,
    peak: Math.max(used, measured?.peakBytes ?? used),
    resident: measured?.residentBytes ?? used,
    overhead: Math.max(0, used - dataset),
  }
}

/** MEMORY STATS */
const stats = command({
  name: 'stats', arity: 2, flags: '', acl: '', group: 'server', since: '4.0.0', complexity: 'O(1)', tips: SHARD_REPORT,
  summary: 'Tells how memory is used, figure by figure.', syntax: '',
}, (call) => {
  const { reply, engine } = call
  const memory = memoryPicture(call)
  const before: Figure[] = [
    ['peak.allocated', memory.peak],
    ['total.allocated', memory.used],
    ['startup.allocated', 0],
    ['replication.backlog', 0],
    ['clients.slaves', 0],
    ['clients.normal', memory.clientBytes],
    ['cluster.links', 0],
    ['aof.buffer', 0],
    ['lua.caches', 0],
    ['functions.caches', 0],
  ]
  const after = wholeFigures(memory)
  const used = engine.databases.filter((db) => db.size > 0)
  reply.map(before.length + used.length + after.length)
  replyFigures(reply, before)
  for (const db of used) {
    reply.bulkText(`db.${db.index}`)
    reply.map(2)
    replyFigures(reply, [['overhead.hashtable.main', db.slotBytes], ['overhead.hashtable.expires', db.volatileSize * 4]])
  }
  replyFigures(reply, after)
})

/** A name with an integer, or with a ratio. */
type Figure = readonly [name: string, value: number, kind?: 'ratio']

function wholeFigures(memory: MemoryPicture): Figure[] {
  const heap = getHeapStatistics()
  return [
    ['overhead.db.hashtable.lut', 0],
    ['overhead.db.hashtable.rehashing', 0],
    ['overhead.total', memory.overhead],
    ['db.dict.rehashing.count', 0],
    ['keys.count', memory.keys],
    ['keys.bytes-per-key', memory.keys === 0 ? 0 : Math.floor(memory.dataset / memory.keys)],
    ['dataset.bytes', memory.dataset],
    ['dataset.percentage', (memory.dataset * 100) / memory.used, 'ratio'],
    ['peak.percentage', (memory.used * 100) / memory.peak, 'ratio'],
    ['allocator.allocated', heap.used_heap_size],
    ['allocator.active', heap.total_heap_size],
    ['allocator.resident', heap.total_physical_size],
    ['allocator.muzzy', 0],
    ['allocator-fragmentation.ratio', heap.total_heap_size / heap.used_heap_size, 'ratio'],
    ['allocator-fragmentation.bytes', heap.total_heap_size - heap.used_heap_size],
    ['allocator-rss.ratio', heap.total_physical_size / heap.total_heap_size, 'ratio'],
    ['allocator-rss.bytes', heap.total_physical_size - heap.total_heap_size],
    ['rss-overhead.ratio', memory.resident / heap.total_physical_size, 'ratio'],
    ['rss-overhead.bytes', memory.resident - heap.total_physical_size],
    ['fragmentation', memory.resident / memory.used, 'ratio'],
    ['fragmentation.bytes', memory.resident - memory.used],
  ]
}

function replyFigures(reply: ReplyWriter, figures: readonly Figure[]): void {
  for (const [name, value, kind] of figures) {
    reply.bulkText(name)
    if (kind === 'ratio') reply.double(value)
    else reply.integer(value)
  }
}

const LITTLE_BYTES = 5 * 1024 * 1024

/** MEMORY DOCTOR */
const doctor = command({
  name: 'doctor', arity: 2, flags: '', acl: '', group: 'server', since: '4.0.0', complexity: 'O(1)', tips: SHARD_REPORT,
  summary: 'Says in words whether memory is used well.', syntax: '',
}, (call) => call.reply.verbatim(diagnosis(memoryPicture(call))))

function diagnosis(memory: MemoryPicture): string {
  if (memory.dataset < LITTLE_BYTES) return 'There is hardly any data here, so there is nothing to say about how it uses memory.\n'
  const findings: string[] = []
  if (memory.peak > memory.used * 1.5)
    findings.push(' * Peak: much more memory was in use at one time than is now. The system may not have got it back.')
  if (memory.resident > memory.used * 1.4)
    findings.push(' * Fragmentation: the process holds much more memory than its data needs.')
  if (memory.clientBytes > memory.dataset)
    findings.push(' * Clients: the buffers of the clients take more memory than the data.')
  if (findings.length === 0) return 'Memory is used as it should be.\n'
  return `What could be better:\n\n${findings.join('\n\n')}\n`
}

/** MEMORY PURGE */
const purge = command({
  name: 'purge', arity: 2, flags: '', acl: '', group: 'server', since: '4.0.0', complexity: 'Depends on what is free.',
  tips: ['request_policy:all_shards', 'response_policy:all_succeeded'], summary: 'Gives free memory back to the system.', syntax: '',
}, (call) => {
  // Without --expose-gc the collector can not be asked; it gives memory back by itself.
  ;(globalThis as { gc?: () => void }).gc?.()
  call.reply.ok()
})

/** MEMORY MALLOC-STATS */
const mallocStats = command({
  name: 'malloc-stats', arity: 2, flags: '', acl: '', group: 'server', since: '4.0.0', complexity: 'O(1)', tips: SHARD_REPORT,
  summary: "Shows the allocator's own figures.", syntax: '',
}, (call) => {
  const lines = Object.entries(getHeapStatistics()).map(([name, value]) => `${name}: ${value}`)
  call.reply.verbatim(`___ V8 heap ___\n${lines.join('\n')}\n`)
})

/** MEMORY HELP */
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: '', group: 'server', since: '4.0.0', complexity: 'O(1)', syntax: '',
  summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'MEMORY', [
  'DOCTOR',
  '    Return memory problems reports.',
  'MALLOC-STATS',
  '    Return internal statistics report from the memory allocator.',
  'PURGE',
  '    Attempt to purge dirty pages for reclamation by the allocator.',
  'STATS',
  '    Return information about the memory usage of the server.',
  'USAGE <key> [SAMPLES <count>]',
  '    Return memory in bytes used by <key> and its value. Nested values are',
  '    sampled up to <count> times (default: 5, 0 means sample all).',
]))

/** MEMORY and its subcommands. */
export const memoryCommand: Command = command({
  name: 'memory', arity: -2, flags: '', acl: '', group: 'server', since: '4.0.0', complexity: 'Depends on the subcommand.',
  syntax: '', summary: 'Tells what memory is used for.', subcommands: [usage, stats, doctor, purge, mallocStats, help],
})
