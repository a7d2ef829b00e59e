/** A stream between the keyspace and the RDB codec. */
import { Slice } from '../../protocol/slice.js'
import type {
  PendingEntries, StreamGroup as GroupValue, StreamId as IdValue, StreamNode as NodeValue, StreamValue,
} from '../../protocol/rdb/value.js'
import { canonical } from '../../protocol/uint64.js'
import { LargeStream } from './stream.js'
import { StreamGroup } from './stream-groups.js'
import { StreamId } from './stream-id.js'
import type { LargeValue } from './types.js'

const ID_BYTES = 16

/** What the codec writes of a stream. The nodes' listpacks are views: good until the stream changes. */
export function streamValue(value: LargeValue): StreamValue {
  const stream = value as LargeStream
  const nodes: NodeValue[] = []
  for (let i = 0; i < stream.nodeCount; i++) {
    const node = stream.nodeAt(i)
    nodes.push({ id: { ms: BigInt(node.ms), seq: BigInt(node.seq) }, listpack: node.buf.subarray(0, node.end) })
  }
  return {
    type: 'stream',
    nodes,
    length: stream.size,
    lastId: idValue(stream.lastId),
    firstId: idValue(stream.firstId),
    maxDeletedId: idValue(stream.maxDeletedId),
    entriesAdded: stream.entriesAdded,
    groups: stream.groups.all.map(groupValue),
  }
}

function idValue(id: StreamId): IdValue {
  return { ms: BigInt(id.ms), seq: BigInt(id.seq) }
}

function groupValue(group: StreamGroup): GroupValue {
  const consumers = group.consumers.all
  return {
    name: group.name.copy(),
    lastDeliveredId: idValue(group.lastId),
    entriesRead: group.entriesRead,
    pending: pendingValue(group),
    consumers: consumers.map((consumer) => (
      { name: consumer.name.copy(), seenTimeMs: Number(consumer.seenMs), activeTimeMs: Number(consumer.activeMs) })),
  }
}

function pendingValue(group: StreamGroup): PendingEntries {
  const { pending } = group
  const count = pending.size
  const value: PendingEntries = {
    count,
    ids: Buffer.allocUnsafeSlow(count * ID_BYTES),
    deliveryTimesMs: new Float64Array(count),
    deliveryCounts: new Float64Array(count),
    owners: new Uint32Array(count),
  }
  const places = new Map(group.consumers.all.map((consumer, place) => [consumer, place]))
  const id = new StreamId()
  let at = 0
  for (let more = pending.first(); more; more = pending.advance()) {
    pending.idHere(id)
    value.ids.writeBigUInt64BE(BigInt(id.ms), at * ID_BYTES)
    value.ids.writeBigUInt64BE(BigInt(id.seq), at * ID_BYTES + 8)
    value.deliveryTimesMs[at] = Number(group.deliveredMsHere())
    value.deliveryCounts[at] = Number(group.deliveriesHere())
    value.owners[at] = places.get(group.ownerHere()) ?? 0
    at++
  }
  return value
}

/** The stream that the codec has read. Its bytes were checked; those that are views of a payload are copied. */
export function streamFromValue(value: StreamValue): LargeStream {
  const stream = new LargeStream()
  stream.size = value.length
  setId(stream.lastId, value.lastId)
  setId(stream.firstId, value.firstId)
  setId(stream.maxDeletedId, value.maxDeletedId)
  stream.entriesAdded = value.entriesAdded
  for (const { id, listpack } of value.nodes) {
    const ownsAll = listpack.buffer.byteLength === listpack.length
    stream.addNode(canonical(id.ms), canonical(id.seq), ownsAll ? listpack : new Slice(listpack).copy())
  }
  for (const group of value.groups) stream.groups.add(groupFromValue(group))
  return stream
}

function setId(id: StreamId, value: IdValue): void {
  id.set(canonical(value.ms), canonical(value.seq))
}

/** Counters and times come as doubles: one beyond 2^53 is exact as it stands. */
function integer(value: number): number | bigint {
  return Number.isSafeInteger(value) ? value : canonical(BigInt(value))
}

function groupFromValue(value: GroupValue): StreamGroup {
  const lastId = new StreamId()
  setId(lastId, value.lastDeliveredId)
  const group = new StreamGroup(new Slice(new Slice(value.name).copy()), lastId, value.entriesRead)
  const consumers = value.consumers.map(({ name, seenTimeMs, activeTimeMs }) => {
    const consumer = group.addConsumer(new Slice(name), integer(seenTimeMs))
    consumer.activeMs = integer(activeTimeMs)
    return consumer
  })
  const { pending } = value
  for (let i = 0; i < pending.count; i++) {
    const ms = canonical(pending.ids.readBigUInt64BE(i * ID_BYTES))
    const seq = canonical(pending.ids.readBigUInt64BE(i * ID_BYTES + 8))
    group.assign(ms, seq, consumers[pending.owners[i]])
    group.setDeliveredMsHere(integer(pending.deliveryTimesMs[i]))
    group.setDeliveriesHere(integer(pending.deliveryCounts[i]))
  }
  return group
}
