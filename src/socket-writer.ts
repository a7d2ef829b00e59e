/**
 * Writes to a socket with one system call and without a stream's bookkeeping in between.
 *
 * A reply of five bytes costs Node's Writable about a microsecond before it reaches the system. The socket's
 * handle can be written to directly; only the request object it wants has no public constructor, so it is
 * learnt from the first write that goes the usual way. Where the handle does not look as expected (TLS,
 * another Node), every write goes the usual way.
 *
 * The handle keeps writes in order, whichever way they came; `end` sends what waits first.
 */
import type { Socket } from 'node:net'

interface WriteRequest {
  handle: unknown
  buffer: Buffer
  async: boolean
  oncomplete: (status: number) => void
}

interface Handle {
  writeBuffer: (request: WriteRequest, bytes: Buffer) => number
  readonly writeQueueSize: number
}

let makeRequest: (new () => WriteRequest) | undefined

export class SocketWriter {
  readonly #handle: Handle | undefined
  /** Bytes handed to the handle that the system has not taken yet. */
  #waiting = 0

  /** `onRoom` is called when bytes that waited have gone out. */
  constructor(
    readonly socket: Socket,
    readonly onRoom: () => void,
    direct: boolean,
  ) {
    const handle = (socket as unknown as { _handle?: Handle })._handle
    if (direct && handle !== undefined && typeof handle.writeBuffer === 'function' && 'writeQueueSize' in handle) this.#handle = handle
    socket.on('drain', onRoom)
  }

  /** Bytes that wait to be sent. */
  get waitingBytes(): number {
    return this.#waiting + this.socket.writableLength
  }

  /** Bytes that the handle has not handed to the system: unlike `waitingBytes` it falls while one large write goes out. */
  get queuedBytes(): number {
    return this.#handle?.writeQueueSize ?? 0
  }

  /** Sends bytes. True when they are with the system: the buffer may be written again. */
  write(bytes: Buffer): boolean {
    const handle = this.#handle
    if (handle === undefined || this.socket.writableLength > 0 || this.socket.destroyed) return this.#writeStream(bytes)
    if (makeRequest === undefined) {
      learnRequest(handle)
      return this.#writeStream(bytes)
    }
    const request = new makeRequest()
    request.handle = handle
    request.buffer = bytes
    const failure = handle.writeBuffer(request, bytes)
    if (failure !== 0) {
      this.socket.destroy()
      return true
    }
    if (handle.writeQueueSize === 0) return true
    this.#waiting += bytes.length
    request.oncomplete = (status) => {
      this.#waiting -= bytes.length
      if (status < 0) this.socket.destroy()
      else this.onRoom()
    }
    return false
  }

  #writeStream(bytes: Buffer): boolean {
    this.socket.write(bytes)
    return this.socket.writableLength === 0
  }
}

/** Looks at the next request that Node makes for this handle. */
function learnRequest(handle: Handle): void {
  const { writeBuffer } = handle
  handle.writeBuffer = (request, bytes) => {
    makeRequest = request.constructor as new () => WriteRequest
    handle.writeBuffer = writeBuffer
    return writeBuffer.call(handle, request, bytes)
  }
}
