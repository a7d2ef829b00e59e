/**
 * Checksums, compression, glob patterns and number texts: the small codecs of protocol/.
 *
 * Fixed expectations are answers of valkey-server 8.0; where it is installed, seeded random cases are asked of it
 * as well. KEYFERRY_SEED repeats a run.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { crc16, slotOf } from '../protocol/crc16.js'
import { Crc64, crc64 } from '../protocol/crc64.js'
import { globMatch } from '../protocol/glob.js'
import { addLongDouble, formatLongDouble, parseLongDouble, toLongDouble } from '../protocol/long-double.js'
import { compress, decompress } from '../protocol/lzf.js'
import {
  formatDouble17g, formatScore, integerLength, readDouble, readInt64, readInteger, readRangeBound, writeInt64, writeInteger, writeScore
} from '../protocol/number.js'
import { sha1, sha1OfDigest } from '../protocol/sha1.js'
import { Slice } from '../protocol/slice.js'
import type { Reply, RespClient, Word } from './client.js'
import { Chance } from './fuzz/chance.js'
import { skipWithout, startPeer } from './peers.js'

const SEED = Number(process.env['KEYFERRY_SEED'] ?? 20240817)
t.comment(`seed ${SEED}`)

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const slice = (text: string): Slice => Slice.from(text, 'latin1')

/** The text between two other bytes, so that a reader which leaves its bounds is found out. */
const integerOf = (text: string): number => readInteger(bytes(`x${text}y`), 1, 1 + text.length)
const doubleOf = (text: string): number => readDouble(bytes(`1${text}1`), 1, 1 + text.length)
const boundOf = (text: string): number => readRangeBound(bytes(`1${text}1`), 1, 1 + text.length)

/** Pseudo-random bytes; the middle bits of a linear congruential generator. */
function noise(length: number, seed: number): Buffer {
  const out = Buffer.alloc(length)
  let x = seed
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff
    out[i] = x >> 16
  }
  return out
}

/** The definition of CRC-64/Jones, a bit at a time. */
function slowCrc64(buf: Buffer): bigint {
  let crc = 0n
  for (const byte of buf) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n
  }
  return crc
}

const wordsOf = (crc: Crc64): bigint => (BigInt(crc.hi >>> 0) << 32n) | BigInt(crc.lo >>> 0)

t.test('crc64', async (t) => {
  t.equal(wordsOf(crc64(bytes('123456789'))), 0xe9c6d914c4b8d9can)
  t.equal(wordsOf(crc64(Buffer.alloc(0))), 0n)

  // A DUMP payload carries its own checksum.
  const payload = Buffer.from('0001610a00bffeef9b8f367db4', 'hex')
  const crc = crc64(payload, 0, 5)
  t.ok(crc.matches(payload, 5))
  const footer = Buffer.alloc(10)
  crc.write(footer, 1)
  t.same(footer.subarray(1, 9), payload.subarray(5))
  footer[3] ^= 1
  t.notOk(crc.matches(footer, 1))

  // Each length around the places where the engines, the folding and the windows change over.
  const input = noise(120_000, SEED)
  for (const length of [1, 7, 8, 9, 95, 96, 97, 1000, 3839, 3840, 3841, 4096, 9001]) {
    t.equal(wordsOf(crc64(input, 3, 3 + length)), slowCrc64(input.subarray(3, 3 + length)), `${length} bytes`)
  }
  const chance = new Chance(SEED, 1)
  for (const length of [32767, 32768, 32769, 32832, 36863, 36864, 36865, 65536, 69632, 100_001, 119_000]) {
    const start = chance.below(900)
    const pieces = new Crc64()
    for (let pos = start; pos < start + length; ) {
      const stop = Math.min(start + length, pos + 1 + chance.below(180))
      pieces.update(input, pos, stop)
      pos = stop
    }
    t.equal(wordsOf(crc64(input, start, start + length)), wordsOf(pieces), `${length} bytes, whole and in pieces`)
    const halves = new Crc64().update(input, start, start + 20_000).update(input, start + 20_000, start + length)
    t.equal(wordsOf(halves), wordsOf(pieces), `${length} bytes, in halves`)
  }
  t.equal(wordsOf(crc.reset()), 0n)
})

t.test('crc16 and slots', async (t) => {
  t.equal(crc16(bytes('123456789'), 0, 9), 0x31c3)
  const expected: Readonly<Record<string, number>> = {
    '': 0, 'foo': 12182, 'bar': 5061, '{bar}': 5061, 'foo{bar}x': 5061, 'foo{bar}{foo}': 5061, 'foo{}{bar}': 8363, 'foo{{bar}}zap': 4015,
    'foo}{bar}': 5061, '123456789': 12739
  }
  for (const [key, value] of Object.entries(expected)) t.equal(slotOf(bytes(key), 0, key.length), value, key)
})

t.test('lzf', async (t) => {
  const pack = (input: Buffer, limit = input.length - 4): Buffer | undefined => {
    const out = Buffer.alloc(input.length + 16, 0xee)
    const size = compress(input, 0, input.length, out, 3, limit)
    t.ok(size <= Math.max(0, limit), 'within the limit')
    return size === 0 ? undefined : out.subarray(3, 3 + size)
  }
  const unpack = (packed: Buffer, size: number): Buffer | undefined => {
    const out = Buffer.alloc(size + 2, 0xee)
    const whole = decompress(packed, 0, packed.length, out, 1, size)
    t.ok(out[0] === 0xee && out[size + 1] === 0xee, 'nothing is written outside')
    return whole ? out.subarray(1, size + 1) : undefined
  }

  t.equal(pack(bytes('a'.repeat(21)))?.toString('hex'), '016161e00a00')
  t.equal(pack(noise(1000, 7)), undefined, 'noise does not compress')
  for (const input of [
    bytes('a'.repeat(100_000)), bytes('abcabcabcabcabcabcabcabc'), Buffer.concat([noise(5000, 1), noise(5000, 1), noise(500, 1)]),
    bytes(JSON.stringify(Array.from({ length: 300 }, (_, i) => ({ id: i, name: `user${i}` })))), Buffer.concat([noise(50, 2), Buffer.alloc(300)])
  ]) {
    const packed = pack(input)
    t.ok(packed !== undefined && unpack(packed, input.length)?.equals(input), `${input.length} bytes come back`)
    if (packed === undefined) continue
    t.equal(unpack(packed, input.length - 1), undefined, 'too small a size')
    t.equal(unpack(packed, input.length + 1), undefined, 'too large a size')
    t.equal(unpack(packed.subarray(0, -1), input.length), undefined, 'input cut')
  }
  // A literal run, a short and a long reference that are cut; a reference before the start.
  for (const hex of ['05616263', '20', 'e0', 'e001', '2000', '00612001', '0061e0ff01']) {
    t.equal(unpack(Buffer.from(hex, 'hex'), 300), undefined, hex)
  }
  t.same(unpack(Buffer.from('00612000', 'hex'), 4), bytes('aaaa'))
  t.notOk(decompress(Buffer.from('0061', 'hex'), 0, 2, Buffer.alloc(3), 3, 1), 'output too short')
})

t.test('glob', async (t) => {
  const cases: [pattern: string, text: string, matches: boolean, nocase?: boolean][] = [
    ['', '', true], ['*', '', false], ['**', '', false], ['', 'a', false], ['*', 'a', true], ['a*', 'a', true], ['a**', 'a', true], ['*a*', 'xay', true],
    ['a*b', 'axxb', true], ['a*b', 'axxc', false], ['h?llo', 'hello', true], ['?', '', false], ['h[ae]llo', 'hallo', true],
    ['h[^e]llo', 'hello', false], ['h[^e]llo', 'hallo', true], ['h[a-b]llo', 'hbllo', true], ['h[b-a]llo', 'hallo', true],
    ['[a', 'a', true], ['[', 'a', false], ['[^', 'a', true], ['[]', 'a', false], ['[^]', 'a', true], ['[]a]', ']', false], ['[a-', '-', true],
    ['a\\', 'a\\', true], ['\\*', '*', true], ['\\*', 'a', false], ['[\\]]', ']', true], ['[a\\', '\\', true], ['[\\a-c]', 'b', false],
    ['[\x01-\xff]', '\xff', true], ['[a-\xff]', 'A', true], ['[a-\xff]', 'z', false], ['[a-\xff]', '\x90', false],
    ['A*c', 'aBC', true, true], ['[A-C]x', 'bX', true, true], ['[\\A]', 'a', false, true], ['[Z-a]', 'b', false, true], ['\\A', 'a', true, true],
    ['a*a*a*b', 'a'.repeat(30) + 'b', true], ['*a*b?', 'xaybzb', false], ['*a*b?', 'xaybzbc', true]
  ]
  for (const [pattern, text, matches, nocase] of cases) {
    t.equal(globMatch(slice(pattern), slice(text), nocase), matches, `${pattern} ~ ${text}${nocase ? ' (any case)' : ''}`)
  }
  const many = slice('a'.repeat(1100))
  t.equal(globMatch(slice('*a'.repeat(1000)), many), true)
  t.equal(globMatch(slice('*a'.repeat(1001)), many), false)

  const hard = slice(`${'a*'.repeat(200)}b`)
  const startedAt = performance.now()
  t.notOk(globMatch(hard, slice('a'.repeat(100_000))))
  t.ok(performance.now() - startedAt < 2000, 'no pattern is exponential')
})

t.test('integers', async (t) => {
  for (const n of [0, 1, -1, 9, 10, -10, 99, 2 ** 31, -(2 ** 31) - 1, 4294967296, 999999999, 1e9, 1e15, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]) {
    t.equal(integerOf(String(n)), n)
    t.equal(readInt64(bytes(String(n)), 0, String(n).length), BigInt(n))
    t.equal(integerLength(n), String(n).length)
    const out = Buffer.alloc(24)
    t.equal(out.latin1Slice(1, writeInteger(n, out, 1)), String(n))
  }
  for (const text of ['', '-', '+1', ' 1', '1 ', '01', '-0', '-01', '1.0', '1e3', 'a', '1a', '9007199254740992', '-9007199254740992', '9007199254740993', '99999999999999999999']) {
    t.ok(Number.isNaN(integerOf(text)), JSON.stringify(text))
  }
  for (const n of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -(2n ** 53n) - 1n]) {
    t.equal(readInt64(bytes(String(n)), 0, String(n).length), n)
    const out = Buffer.alloc(24)
    t.equal(out.latin1Slice(2, writeInt64(n, out, 2)), String(n))
  }
  for (const text of ['9223372036854775808', '-9223372036854775809', '09223372036854775807', '1234567890123456x', '+1', '-0', '']) {
    t.equal(readInt64(bytes(text), 0, text.length), undefined, text)
  }
  const chance = new Chance(SEED, 2)
  for (let i = 0; i < 2000; i++) {
    const n = (chance.hits(0.5) ? -1 : 1) * Math.floor(chance.bits() * 2 ** chance.between(-30, 20))
    const out = Buffer.alloc(24)
    const end = writeInteger(n, out, 0)
    if (out.latin1Slice(0, end) !== String(n === 0 ? 0 : n) || readInteger(out, 0, end) !== (n === 0 ? 0 : n)) t.fail(`${n}`)
  }
})

t.test('doubles', async (t) => {
  const vectors = JSON.parse(
    gunzipSync(readFileSync(fileURLToPath(new URL('../../test/vectors/score-text.json.gz', import.meta.url)))).toString()
  ) as [bits: string, before: string, now: string][]
  for (const [bits, before, now] of vectors) {
    const d = Buffer.from(bits, 'hex').readDoubleBE(0)
    // A listpack, where these texts come from, holds -0 as the integer 0.
    if (Object.is(d, -0)) continue
    if (formatScore(d) !== now) t.equal(formatScore(d), now, bits)
    if (formatDouble17g(d) !== before) t.equal(formatDouble17g(d), before, bits)
    if (!Object.is(readDouble(bytes(before), 0, before.length), d)) t.fail(`${before} reads as another double`)
  }
  t.ok(vectors.length > 300, `${vectors.length} golden texts`)
  t.equal(formatScore(-0), '-0')
  t.equal(formatScore(NaN), 'nan')
  t.equal(formatDouble17g(-0), '-0')
  const out = Buffer.alloc(40, 0x2e)
  t.equal(out.latin1Slice(2, writeScore(-5.31875e20, out, 2)), '-531875000000000030000')

  const accepted: Readonly<Record<string, number>> = {
    '1': 1, '+5': 5, '-0': -0, '00.5': 0.5, '.5': 0.5, '5.': 5, '1e3': 1000, '1E+3': 1000, 'inf': Infinity, '-InFinity': -Infinity, '+inf': Infinity,
    '0x10': 16, '-0X1.8P1': -3, '0x.8': 0.5, '0x1p-1074': 5e-324, '5e-324': 5e-324, '1e-310': 1e-310, '0e999': 0, '9007199254740993': 9007199254740992,
    '1.7976931348623157e308': Number.MAX_VALUE, '123456789012345678901234567890': 1.2345678901234568e29
  }
  for (const [text, value] of Object.entries(accepted)) t.ok(Object.is(doubleOf(text), value), text)
  for (const text of ['', ' 1', '1 ', '-', '+', '.', 'e1', '1e', '1e+', '0x', '0x.', '0x1p', '1_0', 'nan', 'NaN', 'nan(1)', 'infinit', '1e309', '-1e309', '1e-400', '0x1p1024', '0x1p-1076', '1\0', '--1']) {
    t.ok(Number.isNaN(doubleOf(text)), JSON.stringify(text))
  }
  t.equal(boundOf(''), 0)
  t.equal(boundOf(' \t1'), 1)
  t.equal(boundOf('1e400'), Infinity)
  t.equal(boundOf('1e-400'), 0)
  t.ok(Number.isNaN(boundOf('1 ')))
  t.ok(Number.isNaN(boundOf(' ')))
})

t.test('long doubles', async (t) => {
  const sum = (a: string, b: string): string => {
    const x = parseLongDouble(slice(a))
    const y = parseLongDouble(slice(b))
    if (x === undefined || y === undefined) return 'not a float'
    return formatLongDouble(addLongDouble(x, y))
  }
  const cases: [string, string, string][] = [
    ['0.1', '0.2', '0.3'], ['3', '1e3', '1003'], ['10.5', '0.1', '10.6'], ['5.0e3', '2.0e2', '5200'], ['1', '-1', '0'], ['-0', '-0', '0'], ['-0.5', '0.25', '-0.25'],
    ['17179869184.0000000001', '0', '17179869184'], ['1e-18', '0', '0'], ['-1e-18', '0', '0'], ['9007199254740993', '0', '9007199254740993'],
    ['18446744073709551615', '1', '18446744073709551616'], ['18446744073709551616', '1', '18446744073709551616'], ['0x10', '0x.8', '16.5'],
    ['inf', '1', 'inf'], ['inf', '-inf', 'nan'], ['-infinity', '-5', '-inf'], ['1e4932', '1e4932', 'inf'], ['1e4933', '0', 'not a float'], ['1e-5000', '0', 'not a float'],
    ['', '1', 'not a float'], [' 1', '1', 'not a float'], ['1 ', '1', 'not a float'], ['nan', '1', 'not a float'], ['1e', '1', 'not a float'], ['0x', '1', 'not a float']
  ]
  for (const [a, b, expected] of cases) t.equal(sum(a, b), expected, `${a} + ${b}`)
  t.equal(parseLongDouble(slice(`0.${'0'.repeat(5118)}`)), undefined, 'too long a text')
  t.equal(formatLongDouble(toLongDouble(13.36138933897018433)), '13.36138933897018433')
  t.equal(formatLongDouble(toLongDouble(-5e-324)), '0')
  t.equal(formatLongDouble(toLongDouble(-Infinity)), '-inf')
  t.equal(toLongDouble(NaN).kind, 'nan')
})

const DIGITS = ['', '0', '1', '12', '9007199254740993', '.', '.5', '5.', '+', '-', 'e', 'E-', 'e+', '5', '18', '308', '309', '324', '0x', '1f', 'p', '-1074', 'inf', 'infinity', 'nan', ' ', '_']

/** A text that is a number, nearly one, or none. */
function numberText(chance: Chance): string {
  switch (chance.below(4)) {
    case 0: return Array.from({ length: chance.between(1, 4) }, () => DIGITS[chance.below(DIGITS.length)]).join('')
    case 1: return String((chance.bits() - 2 ** 31) / 10 ** chance.below(12))
    case 2: return `${chance.below(1000)}.${chance.bits()}${chance.bits()}e${chance.between(-330, 310)}`
    default: return `0x${chance.bits().toString(16)}.${chance.bits().toString(16)}p${chance.between(-1100, 1050)}`
  }
}

const replyText = (reply: Reply): string => {
  if (reply.type === 'error') return 'error'
  return reply.type === 'bulk' ? reply.bytes.latin1Slice() : reply.type
}

t.test('as valkey-server answers', { skip: skipWithout('valkey') }, async (t) => {
  const peer = await startPeer('valkey')
  t.teardown(() => peer.stop())
  const client = await peer.client()
  t.teardown(() => client.close())

  await t.test('scores', (t) => compareScores(t, client))
  await t.test('increments by a float', (t) => compareIncrements(t, client))
  await t.test('patterns', (t) => comparePatterns(t, client))
  await t.test('compressed payloads', (t) => comparePayloads(t, client))
})

async function compareScores(t: Test, client: RespClient): Promise<void> {
  const chance = new Chance(SEED, 3)
  const texts = Array.from({ length: 3000 }, () => numberText(chance))
  // In a listpack -0 would turn into 0; as the reply to ZADD INCR it does not.
  const replies = await client.pipeline(texts.flatMap((text): Word[][] => [['DEL', 'z'], ['ZADD', 'z', 'INCR', bytes(text), 'm']]))
  texts.forEach((text, i) => {
    const score = readDouble(bytes(text), 0, text.length)
    const ours = Number.isNaN(score) ? 'error' : formatScore(score)
    const theirs = replyText(replies[2 * i + 1].reply)
    if (ours !== theirs) t.equal(ours, theirs, JSON.stringify(text))
  })
  t.pass(`${texts.length} texts`)
}

async function compareIncrements(t: Test, client: RespClient): Promise<void> {
  const chance = new Chance(SEED, 4)
  const pairs = Array.from({ length: 2000 }, () => [numberText(chance), numberText(chance)] as const)
  const replies = await client.pipeline(pairs.flatMap(([a, b]): Word[][] => [['SET', 'f', bytes(a)], ['INCRBYFLOAT', 'f', bytes(b)]]))
  pairs.forEach(([a, b], i) => {
    const x = parseLongDouble(slice(a))
    const y = parseLongDouble(slice(b))
    const sum = x && y && addLongDouble(x, y)
    const ours = sum?.kind === 'finite' ? formatLongDouble(sum) : 'error'
    const theirs = replyText(replies[2 * i + 1].reply)
    if (ours !== theirs) t.equal(ours, theirs, JSON.stringify([a, b]))
  })
  t.pass(`${pairs.length} sums`)
}

async function comparePatterns(t: Test, client: RespClient): Promise<void> {
  const chance = new Chance(SEED, 5)
  const letters = [...'abcABZ-^][\\*?z!\xff\x80']
  const word = (most: number): string => Array.from({ length: chance.between(0, most) }, () => letters[chance.below(letters.length)]).join('')
  const keys = [...new Set(Array.from({ length: 150 }, () => word(5)))]
  await client.call('FLUSHALL')
  await client.call('MSET', ...keys.flatMap((key) => [bytes(key), '1']))
  const patterns = Array.from({ length: 800 }, () => word(8)).filter((pattern) => pattern !== '*')
  const replies = await client.pipeline(patterns.map((pattern) => ['KEYS', bytes(pattern)]))
  patterns.forEach((pattern, i) => {
    const { reply } = replies[i]
    const theirs = reply.type === 'array' ? reply.items.map(replyText).sort() : []
    const ours = keys.filter((key) => globMatch(slice(pattern), slice(key))).sort()
    if (ours.join('\n') !== theirs.join('\n')) t.same(ours, theirs, JSON.stringify(pattern))
  })
  t.pass(`${patterns.length} patterns x ${keys.length} keys`)
}

/** DUMP of a long string is type 0, then, when LZF helps, 0xc3, two lengths and the compressed bytes. */
async function comparePayloads(t: Test, client: RespClient): Promise<void> {
  const chance = new Chance(SEED, 6)
  const inputs = Array.from({ length: 400 }, () => {
    const alphabet = chance.between(1, 60)
    const words = Array.from({ length: chance.between(1, 30) }, () => noise(chance.between(1, 40), chance.bits()).map((byte) => byte % alphabet))
    return Buffer.concat(Array.from({ length: chance.between(5, 80) }, () => words[chance.below(words.length)])).subarray(0, 4000)
  }).filter((input) => input.length > 20)
  const replies = await client.pipeline(inputs.flatMap((input): Word[][] => [['SET', 's', input], ['DUMP', 's']]))
  inputs.forEach((input, i) => {
    const { reply } = replies[2 * i + 1]
    if (reply.type !== 'bulk') return t.fail('no payload')
    const payload = reply.bytes
    t.ok(crc64(payload, 0, payload.length - 8).matches(payload, payload.length - 8))
    const out = Buffer.alloc(input.length)
    const size = compress(input, 0, input.length, out, 0, input.length - 4)
    const ours = size === 0 ? input : out.subarray(0, size)
    const theirs = payload.subarray(payload.length - 10 - ours.length, -10)
    if (!theirs.equals(ours) || (payload[1] === 0xc3) !== (size !== 0)) t.same(ours, theirs, `value ${i}`)
  })
}

t.test('SHA-1 of every short length is Node\'s', async (t) => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 167 + 13) & 255))
  const words = new Int32Array(5)
  const hex = (): string => [...words].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  for (let length = 0; length < 900; length++) {
    const node = createHash('sha1').update(bytes.subarray(7, 7 + length)).digest()
    sha1(bytes, 7, 7 + length, words)
    if (hex() !== node.toString('hex')) t.equal(hex(), node.toString('hex'), `${length} bytes`)
    sha1OfDigest(words)
    const again = createHash('sha1').update(node).digest('hex')
    if (hex() !== again) t.equal(hex(), again, `the digest of ${length} bytes`)
  }
  t.equal(hex().length, 40)
})
