/**
 * The keyspace against models: the arena against a list of blocks, tables and databases against a JavaScript Map, with
 * random operations. Every failure prints its seed; SEED=n repeats it.
 */
import t from 'tap'
import { encodePayload } from '../protocol/rdb/encode.js'
import { stringLength } from '../protocol/rdb/string.js'
import { Slice } from '../protocol/slice.js'
import { Clock } from '../src/clock.js'
import { Arena, BLOCK_BYTES_MAX, blockBytes, SLAB_BYTES, UNIT_BITS, UNIT_MASK, type Ref } from '../src/keyspace/arena.js'
import { Database, type KeyspaceServices, type LazyPayload } from '../src/keyspace/database.js'
import { ByteMap } from '../src/keyspace/byte-map.js'
import { LargeHash } from '../src/keyspace/hash.js'
import { LargePayload } from '../src/keyspace/payload.js'
import { LargeSet } from '../src/keyspace/set.js'
import { Table } from '../src/keyspace/table.js'
import { valueOf } from '../src/keyspace/values.js'
import { LargeSortedSet } from '../src/keyspace/zset.js'
import { EMBSTR, HASH, HASHTABLE, INT, RAW, SET, SKIPLIST, STRING, ZSET, type Encoding, type LargeValue, type ValueType } from '../src/keyspace/types.js'
import { Random } from '../src/random.js'

const SEED = Number(process.env['SEED'] ?? Date.now() % 1e9)
t.comment(`SEED=${SEED}`)

/** Fails the test on the first difference instead of counting millions of assertions. */
function must(condition: boolean, title: string): asserts condition {
  if (!condition) throw new Error(`${title} (SEED=${SEED})`)
}

// ---- arena ----

interface Block { ref: Ref; bytes: number; fill: number }

t.test('arena: blocks keep their bytes and never overlap', (t) => {
  const random = new Random(SEED)
  const arena = new Arena(1024)
  const blocks: Block[] = []
  let used = 0
  const slice = (block: Block): Buffer => {
    const at = (block.ref & UNIT_MASK) << 3
    return arena.slabs[block.ref >>> UNIT_BITS].subarray(at, at + block.bytes)
  }
  const intact = (block: Block): boolean => slice(block).every((byte) => byte === block.fill)
  for (let step = 0; step < 60000; step++) {
    if (blocks.length === 0 || random.below(100) < (step < 40000 ? 55 : 30)) {
      const scale = [16, 64, 1024, 1300, 20000, BLOCK_BYTES_MAX][random.below(step % 50 === 0 ? 6 : 4)]
      const bytes = 1 + random.below(scale)
      const ref = arena.alloc(bytes)
      must(ref !== 0 && ref === ref >>> 0 && ((ref & UNIT_MASK) << 3) + blockBytes(bytes) <= SLAB_BYTES, `ref ${ref} at step ${step}`)
      const block = { ref, bytes, fill: random.below(256) }
      slice(block).fill(block.fill)
      blocks.push(block)
      used += blockBytes(bytes)
    } else {
      const index = random.below(blocks.length)
      const block = blocks[index]
      must(intact(block), `block of ${block.bytes} bytes damaged at step ${step}`)
      arena.free(block.ref, block.bytes)
      used -= blockBytes(block.bytes)
      blocks[index] = blocks[blocks.length - 1]
      blocks.pop()
    }
    must(arena.usedBytes === used, `usedBytes at step ${step}`)
  }
  for (const block of blocks) must(intact(block), 'a block damaged at the end')
  const ranges = blocks.map(({ ref, bytes }) => ({ from: (ref >>> UNIT_BITS) * SLAB_BYTES + ((ref & UNIT_MASK) << 3), bytes: blockBytes(bytes) }))
  ranges.sort((a, b) => a.from - b.from)
  for (let i = 1; i < ranges.length; i++) must(ranges[i - 1].from + ranges[i - 1].bytes <= ranges[i].from, 'overlap')
  t.ok(arena.slabs.length > 1, `${arena.slabs.length} slabs`)
  t.equal(arena.reservedBytes, arena.slabs.reduce((sum, slab) => sum + slab.length, 0))
  t.end()
})

t.test('arena: size classes', (t) => {
  for (let bytes = 1, last = 0; bytes <= BLOCK_BYTES_MAX; bytes++) {
    const size = blockBytes(bytes)
    must(size >= bytes && size % 8 === 0 && size >= last && size <= Math.max(bytes + 7, bytes * 1.13), `class of ${bytes} is ${size}`)
    last = size
  }
  t.end()
})

t.test('arena: a full one changes nothing and stays whole', (t) => {
  const arena = new Arena(SLAB_BYTES)
  const seen = new Set<Ref>()
  while (SLAB_BYTES - seen.size * 3072 > 8 + 3072) seen.add(arena.alloc(3000))
  // No memory for another slab, as often as one likes.
  const { push } = arena.slabs
  arena.slabs.push = () => { throw new RangeError('Array buffer allocation failed') }
  const used = arena.usedBytes
  for (let i = 0; i < 3; i++) t.throws(() => arena.alloc(100000), RangeError)
  t.equal(arena.usedBytes, used)
  arena.slabs.push = push
  for (let i = 0; i < 300; i++) {
    const ref = arena.alloc(1024)
    must(!seen.has(ref), 'a block given out twice')
    seen.add(ref)
  }
  t.end()
})

// ---- keys and values ----

/** Few keys of many shapes, so that they meet again: short, at the word and probe limits, too long for a record. */
function randomKey(random: Random, distinct: number): string {
  const n = random.below(distinct)
  const length = [0, 1, 3, 4, 7, 8, 12, 61, 63, 64, 65, 100][n % 12]
  if (n % 97 === 96) return `long${n}`.padEnd([4096, 4097, 9000][n % 3], 'k')
  return n === 0 ? '' : `${n}`.padEnd(length, '\xff\x00z')
}

const VALUE_SIZES = [0, 1, 5, 8, 20, 44, 100, 1000, 1030, 5000, 16383, 16384, 16385, 40000]

function randomValue(random: Random): string {
  const length = VALUE_SIZES[random.below(random.below(10) === 0 ? VALUE_SIZES.length : 7)]
  return String.fromCharCode(random.below(256)).repeat(length)
}

const bytesOf = (text: string): Slice => Slice.from(text, 'latin1')

// ---- ByteMap ----

class Probe extends ByteMap {
  constructor() {
    super(true)
  }

  /** Whether an old table is still being moved out of. */
  get isMoving(): boolean {
    return this.oldSlots !== null
  }

  get sideItems(): number {
    return this.side.filter((item) => item !== undefined).length
  }
}

function checkMap(map: Probe, model: Map<string, string>, title: string): void {
  const key = new Slice()
  const value = new Slice()
  must(map.size === model.size, `${title}: size ${map.size}, not ${model.size}`)
  const seen = new Set<string>()
  map.forEach((ref) => {
    const name = map.keyAt(ref, key).latin1()
    must(!seen.has(name), `${title}: twice ${name}`)
    seen.add(name)
    must(map.valueAt(ref, value).latin1() === model.get(name), `${title}: value of ${name.slice(0, 20)}`)
    must(map.findKey(bytesOf(name)) === ref, `${title}: find ${name.slice(0, 20)}`)
  })
  must(seen.size === model.size, `${title}: forEach saw ${seen.size} of ${model.size}`)
  let atPositions = 0
  for (let i = 0; i < map.positions; i++) if (map.refAtPosition(i) !== 0) atPositions++
  must(atPositions === model.size, `${title}: ${atPositions} of ${model.size} at positions`)
  const aside = [...model].reduce((sum, [k, v]) => sum + Number(k.length > 4096) + Number(v.length > 16384), 0)
  must(map.sideItems === aside, `${title}: ${map.sideItems} side items, not ${aside}`)
  const rdbBytes = [...model].reduce((sum, [k, v]) => sum + stringLength(bytesOf(k)) + stringLength(bytesOf(v)), 0)
  must(map.rdbBytes === rdbBytes, `${title}: ${map.rdbBytes} bytes of strings, not ${rdbBytes}`)
}

t.test('ByteMap against a Map, growing and shrinking', (t) => {
  for (let round = 0; round < 6; round++) {
    const random = new Random(SEED + round)
    const map = new Probe()
    const model = new Map<string, string>()
    const distinct = [20, 100, 600, 3000, 3000, 20000][round]
    for (let step = 0; step < 30000; step++) {
      const name = randomKey(random, distinct)
      const key = bytesOf(name)
      // Waves: mostly adding, then mostly deleting.
      const adding = Math.floor(step / (distinct * 2)) % 2 === 0
      const dice = random.below(100)
      if (dice < (adding ? 70 : 15)) {
        const value = randomValue(random)
        must(map.set(key, bytesOf(value)) === !model.has(name), `set at ${step}`)
        model.set(name, value)
      } else if (dice < (adding ? 75 : 85)) {
        must(map.delete(key) === model.delete(name), `delete at ${step}`)
      } else if (dice < 90) {
        const value = randomValue(random)
        const ref = map.findOrAdd(key, bytesOf(value))
        must(map.added === !model.has(name), `findOrAdd at ${step}`)
        if (map.added) model.set(name, value)
        must(map.valueAt(ref, new Slice()).latin1() === model.get(name), `findOrAdd's value at ${step}`)
      } else if (dice < 92) map.move(1 + random.below(40))
      else {
        const ref = map.findKey(key)
        must((ref !== 0) === model.has(name), `find at ${step}`)
        if (ref !== 0) must(map.valueAt(ref, new Slice()).latin1() === model.get(name), `value at ${step}`)
      }
      if (step % 997 === 0) checkMap(map, model, `round ${round} step ${step}`)
    }
    checkMap(map, model, `round ${round} end`)
    for (const name of model.keys()) must(map.delete(bytesOf(name)), 'delete the rest')
    model.clear()
    while (map.move(1000)) continue
    checkMap(map, model, `round ${round} empty`)
    t.ok(map.capacity <= 64, `empty again: ${map.capacity} slots`)
    t.equal(map.arena.usedBytes, 0, 'every block given back')
  }
  t.end()
})

t.test('refs beyond 2^31', (t) => {
  // The slabs below are there in name only, so that the next one gets a number with the sign bit.
  const arena = new Arena(SLAB_BYTES)
  const blank = Buffer.alloc(0)
  for (let i = arena.slabs.length; i < 2 ** (32 - UNIT_BITS) * 0.6; i++) {
    arena.slabs.push(blank)
    arena.words.push(new Int32Array(0))
  }
  while (arena.alloc(BLOCK_BYTES_MAX) >>> UNIT_BITS === 0) continue
  class High extends Probe {
    constructor() {
      super()
      this.arena = arena
    }
  }
  const map = new High()
  const model = new Map<string, string>()
  const random = new Random(SEED)
  for (let step = 0; step < 20000; step++) {
    const name = randomKey(random, 800)
    if (random.below(3) > 0) {
      const value = randomValue(random)
      map.set(bytesOf(name), bytesOf(value))
      model.set(name, value)
    } else must(map.delete(bytesOf(name)) === model.delete(name), `delete at ${step}`)
  }
  checkMap(map, model, 'high refs')
  let high = 0
  map.forEach((ref) => { if (ref >= 2 ** 31) high++ })
  t.ok(high > 0, `${high} of ${map.size} refs are beyond 2^31`)
  const seen = new Set<string>()
  let cursor = 0
  do cursor = map.scanStep(cursor, (ref) => { seen.add(map.keyAt(ref, new Slice()).latin1()) })
  while (cursor !== 0)
  t.equal(seen.size, model.size)
  t.end()
})

t.test('scan returns what stays, while the table grows and shrinks', (t) => {
  let resized = 0
  for (let round = 0; round < 28; round++) {
    const random = new Random(SEED + round)
    const map = new Probe()
    const none = bytesOf('')
    const start = 1 << (3 + (round % 7))
    const stays = Array.from({ length: Math.ceil(start / 8) }, (_, i) => `stays${i}`)
    for (const name of stays) map.set(bytesOf(name), none)
    for (let i = 0; i < start; i++) map.set(bytesOf(`other${i}`), none)
    const seen = new Set<string>()
    let cursor = 0
    let others = start
    let calls = 0
    const grow = round % 2 === 0
    do {
      const before = map.capacity
      for (let i = random.below(grow === (calls % 97 < 60) ? 24 : 3); i > 0; i--) map.set(bytesOf(`other${others++}`), none)
      for (let i = random.below(grow === (calls % 97 < 60) ? 3 : 24); i > 0 && others > 0; i--) map.delete(bytesOf(`other${--others}`))
      if (random.below(4) === 0) map.move(random.below(64))
      if (map.capacity !== before || map.isMoving) resized++
      cursor = map.scanStep(cursor, (ref) => { seen.add(map.keyAt(ref, new Slice()).latin1()) })
      must(++calls < 1e6, 'the scan does not end')
    } while (cursor !== 0)
    const missing = stays.filter((name) => !seen.has(name))
    must(missing.length === 0, `round ${round}: ${missing.length} of ${stays.length} missing`)
  }
  t.ok(resized > 100, `${resized} steps with a table on the move`)
  t.end()
})

t.test('an untouched table: scan sees each record once, any cursor is safe', (t) => {
  const map = new Probe()
  for (let i = 0; i < 1000; i++) map.set(bytesOf(`k${i}`), bytesOf('v'))
  while (map.move(1000)) continue
  let count = 0
  let cursor = 0
  do cursor = map.scanStep(cursor, () => { count++ })
  while (cursor !== 0)
  t.equal(count, 1000)
  for (const odd of [2 ** 32 - 1, 2 ** 31, 123456789, 2 ** 32, 2 ** 53])
    t.ok(map.scanStep(odd, () => undefined) >= 0, `cursor ${odd}`)
  t.end()
})

t.test('randomRef reaches every record, in nearly empty tables too', (t) => {
  const random = new Random(SEED)
  const map = new Probe()
  for (let i = 0; i < 100; i++) map.set(bytesOf(`k${i}`), bytesOf(''))
  const hits = new Map<Ref, number>()
  for (let i = 0; i < 20000; i++) {
    const ref = map.randomRef(random)
    hits.set(ref, (hits.get(ref) ?? 0) + 1)
  }
  t.equal(hits.size, 100)
  t.ok(Math.min(...hits.values()) > 100 && Math.max(...hits.values()) < 320, 'about 200 times each')
  // A table deleted down to little shrinks by its own moves: nobody hunts for the last key.
  for (let i = 0; i < 50000; i++) map.set(bytesOf(`many${i}`), bytesOf(''))
  for (let i = 1; i < 50000; i++) map.delete(bytesOf(`many${i}`))
  for (let i = 0; i < 100; i++) map.delete(bytesOf(`k${i}`))
  while (map.move(100)) continue
  t.ok(map.capacity <= 64, `${map.capacity} slots for one record`)
  t.not(map.randomRef(random), 0)
  map.delete(bytesOf('many0'))
  t.equal(map.randomRef(random), 0)
  t.end()
})

// ---- Database ----

function services(seed: number): KeyspaceServices & { expired: string[] } {
  const clock = new Clock()
  clock.nowMs = 1_700_000_000_000
  const expired: string[] = []
  return {
    clock, random: new Random(seed), expired,
    stats: { hits: 0, misses: 0, expired: 0, expiredStalePercent: 0, evicted: 0 },
    lfu: false, lfuLogFactor: 10, lfuDecayMinutes: 1, expiryFrozen: false,
    onExpired: (_db, key) => expired.push(key.latin1()),
    materialise: (_db, _type, lazy) => new Thing(`thawed ${lazy.payload.toString('latin1')}`),
  }
}

/** A large value that is only a text. */
class Thing implements LargeValue {
  readonly size = 1
  readonly bytes = 100
  constructor(readonly text: string) {}
  clone(): Thing {
    return new Thing(`${this.text}'`)
  }
}

interface Entry { type: ValueType; encoding: Encoding; value: string | Thing | LazyPayload; expiry: bigint | undefined }

class Pair {
  readonly services: ReturnType<typeof services>
  readonly dbs: [Database, Database]
  readonly models: [Map<string, Entry>, Map<string, Entry>] = [new Map<string, Entry>(), new Map<string, Entry>()]
  readonly random: Random
  readonly #scratch = new Slice()

  constructor(seed: number, readonly distinct: number) {
    this.services = services(seed)
    this.random = new Random(seed + 1)
    this.dbs = [new Database(0, this.services), new Database(1, this.services)]
  }

  step(): void {
    const { random } = this
    const which = random.below(5) === 0 ? 1 : 0
    const db = this.dbs[which]
    const model = this.models[which]
    const name = randomKey(random, this.distinct)
    const key = bytesOf(name)
    const entry = model.get(name)
    const ref = db.findKey(key)
    must((ref !== 0) === (entry !== undefined), `find ${name.slice(0, 20)}`)
    switch (random.below(17)) {
      case 0: case 1: case 2: this.#setBytes(db, model, name, entry); break
      case 3: case 4: must(db.delete(key) === model.delete(name), 'delete'); break
      case 5: if (entry !== undefined) this.#expire(db, ref, entry); break
      case 6:
        if (entry === undefined) break
        db.clearExpiry(ref)
        entry.expiry = undefined
        break
      case 7: this.#setObject(db, model, name, entry); break
      case 8: this.#setLazy(db, model, name); break
      case 9: if (entry !== undefined) this.#replace(db, ref, entry); break
      case 10: this.#resize(db, ref, entry); break
      case 11: this.#alias(db, model, name, entry); break
      case 12: if (entry !== undefined) this.#rename(which, name, entry); break
      case 13: if (entry !== undefined) this.#copy(which, name, entry); break
      case 14:
        if (entry?.value !== undefined && isLazy(entry.value)) {
          const thing = db.objectOf(ref)
          entry.value = new Thing(`thawed ${entry.value.payload.toString('latin1')}`)
          must((thing as Thing).text === entry.value.text, 'materialised')
        }
        break
      case 15: db.move(random.below(30)); break
      default: this.#odd(which)
    }
  }

  #setBytes(db: Database, model: Map<string, Entry>, name: string, entry: Entry | undefined): void {
    const value = randomValue(this.random)
    const keep = this.random.below(2) === 0
    const encoding = ([RAW, EMBSTR, INT] as const)[this.random.below(3)]
    if (this.random.below(6) === 0 && value.length > 0) db.setOwnBytes(bytesOf(name), STRING, RAW, new Slice(bytesOf(value).copy()), keep)
    else db.setBytes(bytesOf(name), STRING, encoding, bytesOf(value), keep)
    const own = db.encodingOf(db.findKey(bytesOf(name)))
    model.set(name, { type: STRING, encoding: own, value, expiry: keep ? entry?.expiry : undefined })
  }

  #setObject(db: Database, model: Map<string, Entry>, name: string, entry: Entry | undefined): void {
    const value = new Thing(`t${this.random.below(1000)}`)
    const keep = this.random.below(2) === 0
    db.setObject(bytesOf(name), HASH, HASHTABLE, value, keep)
    model.set(name, { type: HASH, encoding: HASHTABLE, value, expiry: keep ? entry?.expiry : undefined })
  }

  #setLazy(db: Database, model: Map<string, Entry>, name: string): void {
    const value: LazyPayload = { payload: Buffer.alloc(this.random.below(50000), 'p'), version: 11, size: 1 }
    db.setLazy(bytesOf(name), HASH, HASHTABLE, value)
    model.set(name, { type: HASH, encoding: HASHTABLE, value, expiry: undefined })
  }

  #replace(db: Database, ref: Ref, entry: Entry): void {
    if (this.random.below(3) === 0) {
      entry.value = new Thing('replaced')
      entry.encoding = HASHTABLE
      db.replaceObject(ref, HASHTABLE, entry.value)
    } else {
      entry.value = randomValue(this.random)
      entry.encoding = RAW
      if (this.random.below(4) === 0) db.replaceOwnBytes(ref, RAW, new Slice(bytesOf(entry.value).copy()))
      else db.replaceBytes(ref, RAW, bytesOf(entry.value))
    }
  }

  #expire(db: Database, ref: Ref, entry: Entry): void {
    const { random } = this
    const times = [0n, 1n, -1n, -(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n + 1n, 2n ** 32n, 2n ** 32n - 1n, 2n ** 31n, -(2n ** 32n) - 5n, 1_700_000_000_001n + BigInt(random.below(1e9))]
    const at = times[random.below(times.length)]
    const asNumber = random.below(2) === 0 && at <= 2n ** 53n && at >= -(2n ** 53n)
    const to = db.setExpiry(ref, asNumber ? Number(at) : at)
    must(db.exactExpiryOf(to) === at, `expiry ${at} reads ${db.exactExpiryOf(to)}`)
    if (asNumber) must(db.expiryOf(to) === Number(at), `expiry ${at} reads ${db.expiryOf(to)}`)
    entry.expiry = at
  }

  #resize(db: Database, ref: Ref, entry: Entry | undefined): void {
    if (typeof entry?.value !== 'string') return
    const length = VALUE_SIZES[this.random.below(VALUE_SIZES.length)]
    const before = entry.value
    const to = db.resizeBytes(ref, RAW, length)
    const now = db.bytesOf(to, this.#scratch)
    must(now.length === length, 'resized length')
    must(now.latin1().slice(0, before.length) === before.slice(0, length), 'resized bytes')
    if (length > before.length) now.buf.fill(0x7a, now.start + before.length, now.end)
    entry.value = before.slice(0, length).padEnd(length, 'z')
    entry.encoding = RAW
  }

  /** A value, or a part of it, becomes the value of this or another key without a copy in between. */
  #alias(db: Database, model: Map<string, Entry>, name: string, entry: Entry | undefined): void {
    if (typeof entry?.value !== 'string') return
    const from = this.random.below(entry.value.length + 1)
    const to = from + this.random.below(entry.value.length - from + 1)
    const target = this.random.below(2) === 0 ? name : randomKey(this.random, this.distinct)
    const value = db.bytesOf(db.findKey(bytesOf(name)), new Slice())
    value.set(value.buf, value.start + from, value.start + to)
    const keep = this.random.below(2) === 0
    const text = entry.value.slice(from, to)
    // The key may stand in the database as well.
    const known = db.findKey(bytesOf(target))
    const key = known !== 0 && this.random.below(2) === 0 ? db.keyAt(known, new Slice()) : bytesOf(target)
    const expiry = keep ? model.get(target)?.expiry : undefined
    db.setBytes(key, STRING, RAW, value, keep)
    model.set(target, { type: STRING, encoding: RAW, value: text, expiry })
  }

  #rename(which: number, name: string, entry: Entry): void {
    const other = this.random.below(3) === 0 ? 1 - which : which
    const to = randomKey(this.random, this.distinct)
    if (other === which && to === name) return
    const ref = this.dbs[which].moveKey(bytesOf(name), this.dbs[other], bytesOf(to))
    must(this.dbs[other].findKey(bytesOf(to)) === ref, 'moveKey returns the record')
    this.models[which].delete(name)
    this.models[other].set(to, entry)
  }

  #copy(which: number, name: string, entry: Entry): void {
    const other = this.random.below(2)
    const to = randomKey(this.random, this.distinct)
    if (other === which && to === name) return
    this.dbs[which].copyKey(bytesOf(name), this.dbs[other], bytesOf(to))
    const value = entry.value instanceof Thing ? entry.value.clone() : entry.value
    this.models[other].set(to, { ...entry, value })
  }

  #odd(which: number): void {
    const dice = this.random.below(3000)
    if (dice === 0) {
      this.dbs[which].clear()
      this.models[which].clear()
    } else if (dice === 1) {
      this.dbs[0].takeFrom(this.dbs[1])
      this.models.reverse()
    } else if (dice < 50) {
      const ref = this.dbs[which].randomVolatile(this.random)
      must((ref === 0) === (this.dbs[which].volatileSize === 0), 'randomVolatile')
      if (ref !== 0) must(this.dbs[which].expiryOf(ref) !== Infinity, 'a volatile key has an expiry')
    }
  }

  check(title: string): void {
    for (const which of [0, 1]) {
      const db = this.dbs[which]
      const model = this.models[which]
      must(db.size === model.size, `${title}: size ${db.size}, not ${model.size}`)
      let seen = 0
      let volatile = 0
      let side = 0
      const key = new Slice()
      db.forEach((ref) => {
        const name = db.keyAt(ref, key).latin1()
        const entry = model.get(name)
        must(entry !== undefined, `${title}: ${name.slice(0, 20)} should be gone`)
        must(db.findKey(bytesOf(name)) === ref, `${title}: finds ${name.slice(0, 20)}`)
        must(db.typeOf(ref) === entry.type && db.encodingOf(ref) === entry.encoding, `${title}: type of ${name.slice(0, 20)}`)
        must(db.exactExpiryOf(ref) === entry.expiry, `${title}: expiry of ${name.slice(0, 20)}: ${db.exactExpiryOf(ref)}, not ${entry.expiry}`)
        if (entry.expiry !== undefined) volatile++
        if (typeof entry.value === 'string') {
          must(db.bytesOf(ref, this.#scratch).latin1() === entry.value, `${title}: value of ${name.slice(0, 20)}`)
          side += db.ownBytesOf(ref)?.buf.length ?? 0
        } else if (isLazy(entry.value)) {
          must(db.lazyOf(ref) === entry.value, `${title}: payload of ${name.slice(0, 20)}`)
          side += entry.value.payload.length
        } else must(db.lazyOf(ref) === undefined && (db.objectOf(ref) as Thing).text === entry.value.text, `${title}: object of ${name.slice(0, 20)}`)
        must(db.recordBytes(ref) > 0 && db.idleSeconds(ref) === 0, `${title}: figures of ${name.slice(0, 20)}`)
        seen++
      })
      must(seen === model.size, `${title}: forEach saw ${seen}`)
      must(db.volatileSize === volatile, `${title}: ${db.volatileSize} volatile, not ${volatile}`)
      must(db.sideBytes === side, `${title}: sideBytes ${db.sideBytes}, not ${side}`)
    }
  }
}

function isLazy(value: Entry['value']): value is LazyPayload {
  return typeof value === 'object' && 'payload' in value
}

t.test('Database against a Map', (t) => {
  for (let round = 0; round < 8; round++) {
    const pair = new Pair(SEED + round * 1000, [10, 60, 60, 500, 500, 2000, 3000, 9000][round])
    for (let step = 0; step < 25000; step++) {
      try {
        pair.step()
      } catch (error) {
        throw new Error(`round ${round} step ${step} (SEED=${SEED}): ${(error as Error).message}`, { cause: error })
      }
      if (step % 1999 === 0) pair.check(`round ${round} step ${step}`)
    }
    pair.check(`round ${round} end`)
    for (const which of [0, 1]) {
      for (const name of pair.models[which].keys()) must(pair.dbs[which].delete(bytesOf(name)), 'delete')
      t.equal(pair.dbs[which].arena.usedBytes, 0, 'every block given back')
      t.equal(pair.dbs[which].sideBytes, 0, 'no side bytes left')
      t.equal(pair.dbs[which].volatileSize, 0, 'no volatile key left')
    }
  }
  t.end()
})

t.test('lookup expires, counts and touches', (t) => {
  const s = services(SEED)
  const db = new Database(0, s)
  const key = bytesOf('k')
  t.equal(db.lookupRead(key), 0)
  db.setExpiry(db.setBytes(key, STRING, RAW, bytesOf('v')), s.clock.nowMs)
  t.not(db.lookupRead(key), 0, 'the last millisecond still counts')
  s.clock.nowMs++
  s.expiryFrozen = true
  t.equal(db.lookupRead(key), 0, 'frozen: hidden')
  t.equal(db.size, 1, 'frozen: but there')
  s.expiryFrozen = false
  const ref = db.findKey(key)
  db.hold(ref, 'all')
  t.equal(db.lookupWrite(key), 0, 'in flight: hidden')
  t.equal(db.size, 1, 'in flight: but there')
  db.hold(ref, undefined)
  // The key asked for may stand in the record that goes.
  t.equal(db.lookupWrite(db.keyAt(ref, new Slice())), 0)
  t.equal(db.size, 0)
  t.same(s.expired, ['k'])
  t.same(s.stats, { hits: 1, misses: 2, expired: 1, expiredStalePercent: 0, evicted: 0 })
  t.end()
})

t.test('holds survive whatever moves the record', (t) => {
  const db = new Database(0, services(SEED))
  for (const mode of ['all', 'write'] as const) {
    let ref = db.setBytes(bytesOf('k'), STRING, RAW, bytesOf('v'))
    db.hold(ref, mode)
    ref = db.setExpiry(ref, 5)
    ref = db.replaceBytes(ref, RAW, bytesOf('x'.repeat(3000)))
    ref = db.replaceBytes(ref, RAW, bytesOf('x'.repeat(30000)))
    ref = db.replaceObject(ref, HASHTABLE, new Thing('o'))
    ref = db.clearExpiry(ref)
    t.equal(db.holdOf(ref), mode)
    db.hold(ref, undefined)
    t.equal(db.holdOf(ref), undefined)
    db.delete(bytesOf('k'))
  }
  t.end()
})

t.test('access clocks', (t) => {
  const s = services(SEED)
  const db = new Database(0, s)
  let ref = db.setBytes(bytesOf('k'), STRING, RAW, bytesOf('v'))
  s.clock.nowMs += 10_000
  t.equal(db.idleSeconds(ref), 10)
  db.setIdleSeconds(ref, 1234)
  t.equal(db.idleSeconds(ref), 1234)
  db.touch(ref)
  t.equal(db.idleSeconds(ref), 0)
  // The clock has 24 bits: it comes round every 194 days, and the 32-bit seconds end in 2038.
  s.clock.nowMs = 2_147_483_640_000
  db.touch(ref)
  s.clock.nowMs += 20_000
  t.equal(db.idleSeconds(ref), 20)
  t.equal(db.typeOf(ref), STRING)
  s.lfu = true
  ref = db.setBytes(bytesOf('l'), STRING, RAW, bytesOf('v'))
  t.equal(db.frequency(ref), 5, 'a new key is not the first to go')
  s.clock.nowMs += 3 * 60_000
  t.equal(db.frequency(ref), 2)
  s.clock.nowMs += 60 * 60_000
  t.equal(db.frequency(ref), 0)
  s.lfuDecayMinutes = 0
  for (let i = 0; i < 100_000; i++) db.touch(ref)
  t.ok(db.frequency(ref) > 100 && db.frequency(ref) < 180, `100,000 accesses count ${db.frequency(ref)}`)
  for (let i = 0; i < 50; i++) {
    db.setFrequency(ref, 255)
    db.touch(ref)
  }
  t.equal(db.frequency(ref), 255)
  db.setFrequency(ref, 7)
  t.equal(db.frequency(ref), 7)
  t.equal(db.encodingOf(ref), RAW)
  t.end()
})

t.test('a table loads half a million keys without a long stall', (t) => {
  const table = new ByteMap()
  const key = Buffer.alloc(16)
  const slice = new Slice(key)
  const value = bytesOf('12345678')
  let worst = 0
  for (let i = 0; i < 500_000; i += 1000) {
    const start = performance.now()
    for (let j = i; j < i + 1000; j++) {
      key.writeUInt32LE(j, 4)
      table.set(slice, value)
    }
    worst = Math.max(worst, performance.now() - start)
  }
  t.equal(table.size, 500_000)
  t.ok(table instanceof Table)
  t.ok(worst < 250, `worst thousand took ${worst.toFixed(1)} ms`)
  t.end()
})

// ---- large values in pieces ----

/** The payload as a reader gets it who keeps a piece now and then; the announced length must be right. */
function inPieces(db: Database, ref: Ref, version: number, random: Random): Buffer {
  const payload = new LargePayload(db, ref, version)
  const measure = payload.measure()
  let measured = measure.next()
  while (measured.done !== true) measured = measure.next()
  const kept: Buffer[] = []
  const pieces = payload.pieces()
  for (let step = pieces.next(false); step.done !== true;) {
    const isKept = random.below(2) === 0
    kept.push(isKept ? step.value : Buffer.from(step.value))
    step = pieces.next(isKept)
  }
  const whole = Buffer.concat(kept)
  must(whole.length === measured.value, `${measured.value} bytes announced, ${whole.length} written`)
  return whole
}

t.test('large hashes, sets and sorted sets in pieces are what the encoder writes', (t) => {
  const random = new Random(SEED)
  const db = new Database(0, services(SEED))
  const names = ['hash', 'set', 'zset'].map(bytesOf)
  for (let round = 0; round < 12; round++) {
    const distinct = [1, 3, 200, 5000][round % 4]
    const [hash, set, zset] = [new LargeHash(), new LargeSet(), new LargeSortedSet()]
    const values = [...'0 -7 127 -128 128 32767 -32769 2147483647 -2147483648 2147483648 007 -0 - 12345678901 1a'.split(' '), 'v'.repeat(161), 'w'.repeat(63), 'x'.repeat(64)]
    for (let step = 0; step < distinct * 3; step++) {
      const key = bytesOf(random.below(4) === 0 ? values[random.below(values.length)] : randomKey(random, distinct))
      hash.fields.set(key, bytesOf(random.below(2) === 0 ? values[random.below(values.length)] : randomValue(random)))
      set.add(key)
      const score = [0, -0, Infinity, -Infinity, random.unit(), random.below(50)][random.below(6)]
      const ref = zset.findOrAdd(key, score)
      if (!zset.added) zset.setScore(ref, score)
      // In the first rounds nothing is deleted: those are walked as they lie in memory.
      if (round >= 4 && random.below(3) === 0) {
        const gone = bytesOf(randomKey(random, distinct))
        hash.delete(gone)
        set.delete(gone)
        zset.delete(gone)
      }
    }
    const refs = [db.setObject(names[0], HASH, HASHTABLE, hash), db.setObject(names[1], SET, HASHTABLE, set), db.setObject(names[2], ZSET, SKIPLIST, zset)]
    for (const [i, ref] of refs.entries())
      for (const version of [11, 9]) {
        const wanted = encodePayload(valueOf(db, ref), { version, compressed: false })
        must(inPieces(db, ref, version, random).equals(wanted), `round ${round}, ${names[i].latin1()}, version ${version}`)
      }
    for (const name of names) db.delete(name)
  }
  t.end()
})
