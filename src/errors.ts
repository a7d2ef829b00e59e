/**
 * Every error line that a client can get, word for word as Valkey 8.0 sends it. A command throws one of
 * these; the engine writes it as the reply. The constants are built once: throwing one costs no stack.
 */
export class ReplyError extends Error {
  /** `line` is the reply without its leading minus: code, space, text. */
  constructor(readonly line: string) {
    super(line)
    this.name = 'ReplyError'
  }

  /** The first word: ERR, WRONGTYPE, BUSYKEY ... as INFO errorstats counts it. */
  get code(): string {
    const space = this.line.indexOf(' ')
    return space < 0 ? this.line : this.line.slice(0, space)
  }
}

const fixed = (line: string): ReplyError => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new ReplyError(line)
  Error.stackTraceLimit = limit
  return error
}

export const WRONG_TYPE = fixed('WRONGTYPE Operation against a key holding the wrong kind of value')
export const SYNTAX = fixed('ERR syntax error')
export const NOT_INTEGER = fixed('ERR value is not an integer or out of range')
export const NOT_POSITIVE = fixed('ERR value is out of range, must be positive')
export const NOT_FLOAT = fixed('ERR value is not a valid float')
export const NAN_OR_INFINITY = fixed('ERR increment would produce NaN or Infinity')
export const OVERFLOW = fixed('ERR increment or decrement would overflow')
export const NO_SUCH_KEY = fixed('ERR no such key')
export const INDEX_OUT_OF_RANGE = fixed('ERR index out of range')
export const OUT_OF_RANGE = fixed('ERR value is out of range')
export const SAME_OBJECT = fixed('ERR source and destination objects are the same')
export const BAD_DB_INDEX = fixed('ERR DB index is out of range')
export const BUSY_KEY = fixed('BUSYKEY Target key name already exists.')
export const BAD_PAYLOAD_FOOTER = fixed('ERR DUMP payload version or checksum are wrong')
export const BAD_PAYLOAD = fixed('ERR Bad data format')
export const OUT_OF_MEMORY = fixed("OOM command not allowed when used memory > 'maxmemory'.")
export const NO_AUTH = fixed('NOAUTH Authentication required.')
export const WRONG_PASS = fixed('WRONGPASS invalid username-password pair or user is disabled.')
export const NO_PROTO = fixed('NOPROTO unsupported protocol version')
export const EXEC_ABORT = fixed('EXECABORT Transaction discarded because of previous errors.')
export const STRING_TOO_LONG = fixed('ERR string exceeds maximum allowed size (proto-max-bulk-len)')

/** `ERR wrong number of arguments for 'name' command` (`name|sub` for subcommands). */
export const wrongArity = (name: string): ReplyError => fixed(`ERR wrong number of arguments for '${name}' command`)

/** An error with a text made for the occasion; `line` starts with its code. */
export const replyError = (line: string): ReplyError => fixed(line)

/** CR and LF may not stand in an error line: Valkey sends spaces in their place. */
export const errorLine = (text: string): string => text.replace(/[\r\n]/g, ' ')
