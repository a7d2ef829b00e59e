/**
 * `npm run bench:micro`: the primitives one by one, in this process: checksum, compression, number text, request parser, and
 * RESTORE's deep check. Not a headline figure: for whoever changes one of them and wants to see what it did.
 */
import Benchmark from 'benchmark'
import { crc64 } from '../protocol/crc64.js'
import { compress, decompress } from '../protocol/lzf.js'
import { formatScore } from '../protocol/number.js'
import { verify } from '../protocol/rdb/decode.js'
import { encodePayload } from '../protocol/rdb/encode.js'
import { TYPE } from '../protocol/rdb/payload.js'
import { TableReader } from '../protocol/rdb/table.js'
import { RequestParser } from '../protocol/resp/request.js'

const text = Buffer.from('{"name":"keyferry","moves":"keys","of":["every","type"]} '.repeat(1200))
const packed = Buffer.alloc(text.length)
const packedBytes = compress(text, 0, text.length, packed, 0, text.length)
const unpacked = Buffer.alloc(text.length)

/** A hash of so many fields as a payload. */
function hashPayload(fields: number): Buffer {
  const body = Array.from({ length: fields }, (_, i) => [`field:${i}`, `value:${i}`]).flat()
  const bytes = [Buffer.from([TYPE.HASH, 0x80, 0, 0, fields >> 8, fields & 255])]
  for (const word of body) bytes.push(Buffer.from([word.length]), Buffer.from(word))
  const raw = Buffer.concat([...bytes, Buffer.alloc(10)])
  return encodePayload({ type: 'hash', encoding: 'table', table: new TableReader(TYPE.HASH, raw, 1, raw.length, 11) })
}

const hash = hashPayload(10_000)
const requests = Buffer.from('*3\r\n$3\r\nSET\r\n$8\r\nkey:1234\r\n$5\r\nvalue\r\n'.repeat(64))
const parser = new RequestParser()

new Benchmark.Suite()
  .add('crc64 of 64 KB', () => crc64(text, 0, 65536))
  .add('LZF compress 68 KB of JSON', () => compress(text, 0, text.length, packed, 0, text.length))
  .add('LZF decompress it', () => decompress(packed, 0, packedBytes, unpacked, 0, text.length))
  .add('text of a score', () => formatScore(Math.PI))
  .add('parse 64 pipelined SETs', () => {
    parser.feed(requests, 0, requests.length)
    while (parser.next() === 'command');
    parser.keep()
  })
  .add('deep check of a 10,000-field hash', () => {
    if (!verify(TYPE.HASH, hash, 1, hash.length)) throw new Error('the payload is refused')
  })
  .on('cycle', ({ target }: Benchmark.Event) => console.log(`${target.name}: ${Math.round(target.hz ?? 0).toLocaleString('en')} a second`))
  .run()
