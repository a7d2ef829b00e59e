/** DEBUG PROTOCOL: a reply of each kind, to try a client with. */
import type { ReplyWriter } from '../protocol/resp/writer.js'
import type { Call } from '../src/engine/call.js'
import { replyError } from '../src/errors.js'

const RESP3_ONLY = replyError('ERR RESP2 is not supported by this command')
const BAD_KIND = replyError(
  'ERR Wrong protocol type name. Please use one of the following: ' +
  'string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false')
const BIG_NUMBER = '1234567999999999999999999999999999999'

const KINDS: Readonly<Record<string, (reply: ReplyWriter) => void>> = {
  string: (reply) => reply.bulkText('Hello World'),
  integer: (reply) => reply.integer(12345),
  double: (reply) => reply.double(3.141),
  null: (reply) => reply.null(),
  array: (reply) => {
    reply.array(3)
    countTo3(reply)
  },
  set: (reply) => {
    reply.set(3)
    countTo3(reply)
  },
  map: (reply) => {
    reply.map(3)
    for (let i = 0; i < 3; i++) {
      reply.integer(i)
      reply.boolean(i === 1)
    }
  },
  attrib: (reply) => {
    if (reply.version === 3) {
      reply.raw(Buffer.from('|1\r\n'))
      reply.bulkText('key-popularity')
      reply.array(2)
      reply.bulkText('key:123')
      reply.integer(90)
    }
    reply.bulkText('Some real reply following the attribute')
  },
  push: (reply) => {
    if (reply.version === 2) throw RESP3_ONLY
    reply.push(2)
    reply.bulkText('server-cpu-usage')
    reply.integer(42)
  },
  verbatim: (reply) => reply.verbatim('This is a verbatim\nstring'),
  bignum: (reply) => {
    if (reply.version === 3) reply.raw(Buffer.from(`(${BIG_NUMBER}\r\n`))
    else reply.bulkText(BIG_NUMBER)
  },
  true: (reply) => reply.boolean(true),
  false: (reply) => reply.boolean(false),
}

function countTo3(reply: ReplyWriter): void {
  for (let i = 0; i < 3; i++) reply.integer(i)
}

/** DEBUG PROTOCOL type */
export function debugProtocol(call: Call): void {
  const write = KINDS[call.args.at(2).latin1().toLowerCase()] as ((reply: ReplyWriter) => void) | undefined
  if (write === undefined) throw BAD_KIND
  write(call.reply)
}
