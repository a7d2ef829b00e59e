/** LATENCY: events that took long, and how the times of commands are spread. */
import type { Call } from '../src/engine/call.js'
import { command, type Command } from '../src/engine/command.js'
import type { LatencyEvent } from '../src/engine/latency.js'
import { replyError } from '../src/errors.js'
import { replyHelp } from './help.js'
import { sparkline } from './sparkline.js'

const ADMIN = 'admin noscript loading stale'
const REPORT = ['nondeterministic_output', 'request_policy:all_nodes', 'response_policy:special']

/** LATENCY LATEST */
const latest = command({
  name: 'latest', arity: 2, flags: ADMIN, acl: '', group: 'server', since: '2.8.13', complexity: 'O(1)', tips: REPORT,
  summary: 'Shows the last sample of each event.', syntax: '',
}, ({ reply, engine }) => {
  const { events } = engine.latency
  reply.array(events.size)
  for (const [name, { samples, worstMs }] of events) {
    const last = samples[samples.length - 1]
    reply.array(4)
    reply.bulkText(name)
    reply.integer(last.atSeconds)
    reply.integer(last.milliseconds)
    reply.integer(worstMs)
  }
})

/** LATENCY HISTORY event */
const history = command({
  name: 'history', arity: 3, flags: ADMIN, acl: '', group: 'server', since: '2.8.13', complexity: 'O(1)', tips: REPORT,
  summary: 'Shows the samples of an event.', syntax: 'event',
}, (call) => {
  const samples = eventOf(call)?.samples ?? []
  call.reply.array(samples.length)
  for (const sample of samples) {
    call.reply.array(2)
    call.reply.integer(sample.atSeconds)
    call.reply.integer(sample.milliseconds)
  }
})

function eventOf(call: Call): LatencyEvent | undefined {
  return call.engine.latency.events.get(call.args.at(2).latin1())
}

const GRAPH_WIDTH = 80

/** LATENCY GRAPH event */
const graph = command({
  name: 'graph', arity: 3, flags: ADMIN, acl: '', group: 'server', since: '2.8.13', complexity: 'O(1)', tips: REPORT,
  summary: 'Draws the samples of an event.', syntax: 'event',
}, (call) => {
  const name = call.args.at(2).latin1()
  const event = eventOf(call)
  if (event === undefined) throw replyError(`ERR No samples available for event '${name}'`)
  const values = event.samples.map((sample) => sample.milliseconds)
  const nowSeconds = Math.floor(call.clock.nowMs / 1000)
  const heading = `${name} - high ${Math.max(...values)} ms, low ${Math.min(...values)} ms (all time high ${event.worstMs} ms)\n`
  const labels = event.samples.map((sample) => age(nowSeconds - sample.atSeconds))
  call.reply.verbatim(heading + `${'-'.repeat(GRAPH_WIDTH)}\n` + sparkline(values, labels))
})

function age(seconds: number): string {
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86400)}d`
}

/** LATENCY DOCTOR */
const doctor = command({
  name: 'doctor', arity: 2, flags: ADMIN, acl: '', group: 'server', since: '2.8.13', complexity: 'O(1)', tips: REPORT,
  summary: 'Says in words what took long and what may help.', syntax: '',
}, (call) => call.reply.verbatim(diagnosis(call)))

function diagnosis({ engine, config }: Call): string {
  const { events } = engine.latency
  if (events.size === 0)
    return config.latencyMonitorThreshold === 0
      ? 'The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> switches it on.\n'
      : 'Nothing has taken long since the latency monitor was switched on.\n'
  let text = 'Some events took long:\n\n'
  let number = 1
  for (const [name, { samples, worstMs }] of events) {
    const mean = samples.reduce((sum, sample) => sum + sample.milliseconds, 0) / samples.length
    const deviation = samples.reduce((sum, sample) => sum + Math.abs(sample.milliseconds - mean), 0) / samples.length
    text += `${number++}. ${name}: ${samples.length} times, ${mean.toFixed(0)} ms on average ` +
      `(mean deviation ${deviation.toFixed(0)} ms), ${worstMs} ms at worst.\n`
  }
  if (events.has('command') || events.has('fast-command')) {
    const thresholdUs = config.latencyMonitorThreshold * 1000
    text += '\nSLOWLOG GET shows which commands they were'
    text += config.slowlogLogSlowerThan < 0 || config.slowlogLogSlowerThan > thresholdUs
      ? ` once slowlog-log-slower-than is ${thresholdUs} or less.\n` : '.\n'
  }
  return text
}

/** LATENCY RESET [event [event ...]] */
const reset = command({
  name: 'reset', arity: -2, flags: ADMIN, acl: '', group: 'server', since: '2.8.13', complexity: 'O(1)',
  tips: ['request_policy:all_nodes', 'response_policy:agg_sum'], summary: 'Forgets the samples of events, or of all.',
  syntax: '[event [event ...]]',
}, ({ args, reply, engine }) => {
  let count = 0
  if (args.count === 2) count = engine.latency.reset()
  else for (let i = 2; i < args.count; i++) count += engine.latency.reset(args.at(i).latin1())
  reply.integer(count)
})

/** LATENCY HISTOGRAM [command [command ...]] */
const histogram = command({
  name: 'histogram', arity: -2, flags: ADMIN, acl: '', group: 'server', since: '7.0.0', tips: REPORT,
  complexity: 'O(N), N being the number of commands.', summary: 'Shows how the times of commands are spread.',
  syntax: '[command [command ...]]',
}, (call) => {
  const { args, reply, engine } = call
  const wanted: Command[] = []
  if (args.count === 2) wanted.push(...engine.registry.all.values())
  for (let i = 2; i < args.count; i++) {
    const [name, sub] = args.at(i).latin1().toLowerCase().split('|', 2)
    const found = engine.registry.findByName(name)
    const exact = sub === undefined ? found : found?.subcommands?.get(sub)
    if (exact !== undefined) wanted.push(exact)
  }
  const timed = wanted.flatMap((one) => [one, ...(one.subcommands?.values() ?? [])]).filter((one) => one.stats.latency !== undefined)
  reply.map(timed.length)
  for (const one of timed) {
    const buckets = one.stats.latency?.powersOfTwo() ?? []
    reply.bulkText(one.fullName)
    reply.map(2)
    reply.bulkText('calls')
    reply.integer(one.stats.latency?.count ?? 0)
    reply.bulkText('histogram_usec')
    reply.map(buckets.length)
    for (const [microseconds, count] of buckets) {
      reply.integer(microseconds)
      reply.integer(count)
    }
  }
})

/** LATENCY HELP */
const help = command({
  name: 'help', arity: 2, flags: 'loading stale', acl: '', group: 'server', since: '2.8.13', complexity: 'O(1)', syntax: '',
  summary: 'Explains the subcommands.',
}, (call) => replyHelp(call, 'LATENCY', [
  'DOCTOR',
  '    Return a human readable latency analysis report.',
  'GRAPH <event>',
  '    Return an ASCII latency graph for the <event> class.',
  'HISTORY <event>',
  '    Return time-latency samples for the <event> class.',
  'LATEST',
  '    Return the latest latency samples for all events.',
  'RESET [<event> ...]',
  '    Reset latency data of one or more <event> classes.',
  '    (default: reset all data for all event classes)',
  'HISTOGRAM [COMMAND ...]',
  '    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.',
  '    If no commands are specified then all histograms are replied.',
]))

/** LATENCY and its subcommands. */
export const latencyCommand: Command = command({
  name: 'latency', arity: -2, flags: '', acl: '', group: 'server', since: '2.8.13', complexity: 'Depends on the subcommand.',
  syntax: '', summary: 'Tells what took long.', subcommands: [latest, history, graph, doctor, reset, histogram, help],
})
