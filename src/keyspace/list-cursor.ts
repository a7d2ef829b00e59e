/**
 * A place in a list, packed or large, that can be moved and read without an allocation. Any change of the
 * list (and for a packed list, of any key) makes it void.
 */
import { lpCount, lpEntrySize, lpEquals, lpGet, LP_HEADER, lpPrev } from '../../protocol/rdb/listpack.js'
import type { Slice } from '../../protocol/slice.js'
import type { ListNode, NodeChain } from './list-node.js'

const END = 0xff
const NOTHING = Buffer.alloc(0)

export class ListCursor {
  /** The node of a large list; undefined in a packed one. */
  node: ListNode | undefined = undefined
  #buf: Buffer = NOTHING
  #start = 0
  #end = 0
  #plain = false
  /** The element's position in its node or listpack (0 for a plain node), and its number there. */
  pos = 0
  offset = 0
  /** False before the first move and past either end. */
  valid = false

  /** For `scratch`: lets go of all it points to. */
  forget(): void {
    this.node = undefined
    this.valid = false
    this.#enter(NOTHING, 0, 0, false)
  }

  /** Moves to element `index` (0 to size - 1) of a listpack of `count` elements. */
  seekPacked(bytes: Slice, index: number): void {
    this.node = undefined
    this.#enter(bytes.buf, bytes.start, bytes.end, false)
    this.#seekWithin(index, lpCount(bytes.buf, bytes.start))
  }

  /** Moves to element `index` (0 to size - 1) of a large list, from the nearer end. */
  seekLarge(list: NodeChain, index: number): void {
    let node: ListNode | undefined
    let offset: number
    if (index * 2 <= list.size) {
      node = list.head
      offset = index
      while (node !== undefined && offset >= node.count) {
        offset -= node.count
        node = node.next
      }
    } else {
      node = list.tail
      offset = index - list.size
      while (node !== undefined && (offset += node.count) < 0) node = node.prev
    }
    this.valid = node !== undefined
    if (node === undefined) return
    this.#enterNode(node)
    this.#seekWithin(offset, node.count)
  }

  #enter(buf: Buffer, start: number, end: number, plain: boolean): void {
    this.#buf = buf
    this.#start = start
    this.#end = end
    this.#plain = plain
  }

  #enterNode(node: ListNode): void {
    this.node = node
    this.#enter(node.bytes, node.start, node.end, node.plain)
  }

  #seekWithin(index: number, count: number): void {
    this.valid = true
    this.offset = index
    if (this.#plain) return
    const buf = this.#buf
    let pos: number
    if (index * 2 <= count) {
      pos = this.#start + LP_HEADER
      for (let i = 0; i < index; i++) pos += lpEntrySize(buf, pos)
    } else {
      pos = this.#end - 1
      for (let i = count; i > index; i--) pos = lpPrev(buf, this.#start, pos)
    }
    this.pos = pos
  }

  /** Moves one element towards the tail. */
  next(): void {
    this.offset++
    if (!this.#plain) {
      this.pos += lpEntrySize(this.#buf, this.pos)
      if (this.#buf[this.pos] !== END) return
    }
    const node = this.node?.next
    this.valid = node !== undefined
    if (node === undefined) return
    this.#enterNode(node)
    this.offset = 0
    this.pos = node.plain ? 0 : node.first
  }

  /** Moves one element towards the head. */
  prev(): void {
    this.offset--
    if (!this.#plain) {
      const pos = lpPrev(this.#buf, this.#start, this.pos)
      if (pos >= 0) {
        this.pos = pos
        return
      }
    }
    const node = this.node?.prev
    this.valid = node !== undefined
    if (node === undefined) return
    this.#enterNode(node)
    this.offset = node.count - 1
    this.pos = node.plain ? 0 : lpPrev(node.bytes, node.start, node.end - 1)
  }

  /** Points `out` at the element's bytes; good until the list changes or 63 more integers were read. */
  get(out: Slice): Slice {
    if (this.#plain) return out.set(this.#buf, this.#start, this.#end)
    return lpGet(this.#buf, this.pos, out)
  }

  equals(value: Slice): boolean {
    if (this.#plain) return this.#buf.compare(value.buf, value.start, value.end, this.#start, this.#end) === 0
    return lpEquals(this.#buf, this.pos, value)
  }
}
