/**
 * A large list: a chain of nodes (list-node.ts), Valkey's quicklist.
 *
 *     head -> [ e e e e ] <-> [ e e e e e ] <-> ( one large element ) <-> [ e e ] <- tail
 *
 * Where one node ends and the next begins can be seen in a DUMP, so every edit here splits, merges and leaves
 * alone exactly the nodes that Valkey 8 does: pushes fill the outermost node, insertions split a full one and
 * try to merge its neighbours, deletions never merge.
 *
 * Invariants: no node is empty; `size` is the sum of the nodes' counts; `bytes` that of their buffers.
 * `fill` is the `list-max-listpack-size` of the moment the list became large and stays with it.
 */
import { lpBytes, lpCount } from '../../protocol/rdb/listpack.js'
import type { Slice } from '../../protocol/slice.js'
import type { ListCursor } from './list-cursor.js'
import { isLargeElement, ListNode } from './list-node.js'
import type { LargeValue } from './types.js'

/** A node as it stands in an RDB file. */
interface ListNodeImage {
  /** `bytes` are one element; otherwise a verified listpack. */
  readonly plain: boolean
  readonly bytes: Buffer
}

export class LargeList implements LargeValue {
  head: ListNode | undefined = undefined
  tail: ListNode | undefined = undefined
  size = 0
  nodeCount = 0
  bytes = 0

  constructor(readonly fill: number) {}

  /**
   * A list with these nodes as they are (an RDB file's; verified); empty ones are left out. The Buffers are
   * taken over. See `storeList` for what Valkey makes of it after loading.
   */
  static fromNodes(fill: number, nodes: readonly ListNodeImage[]): LargeList {
    const list = new LargeList(fill)
    for (const { plain, bytes } of nodes) list.appendNode(plain, bytes)
    return list
  }

  /** Adds a node to the end, as it stands in an RDB file; takes the Buffer over. An empty one is left out. */
  appendNode(plain: boolean, bytes: Buffer): void {
    const count = plain ? 1 : lpCount(bytes, 0)
    if (count === 0) return
    this.#link(new ListNode(plain, bytes, 0, plain ? bytes.length : lpBytes(bytes, 0), count), this.tail, true)
    this.size += count
  }

  /** Hands out every node as it goes into an RDB file: an element, or a listpack with its header. */
  forEachNode(visit: (plain: boolean, buf: Buffer, start: number, end: number) => void): void {
    for (let node = this.head; node !== undefined; node = node.next) {
      node.seal()
      visit(node.plain, node.bytes, node.start, node.end)
    }
  }

  clone(): LargeList {
    const copy = new LargeList(this.fill)
    for (let node = this.head; node !== undefined; node = node.next) copy.#link(node.clone(), copy.tail, true)
    copy.size = this.size
    return copy
  }

  push(value: Slice, atHead: boolean): void {
    const node = atHead ? this.head : this.tail
    if (node !== undefined && node.accepts(value.end - value.start, this.fill)) {
      const capacity = node.bytes.length
      if (atHead) node.prepend(value)
      else node.append(value)
      this.bytes += node.bytes.length - capacity
    } else this.#link(this.#nodeOf(value, atHead), node, !atHead)
    this.size++
  }

  /** Removes the first or the last element. */
  drop(atHead: boolean): void {
    const node = atHead ? this.head : this.tail
    if (node === undefined) return
    this.size--
    if (node.count === 1) this.#unlink(node)
    else if (atHead) node.dropFirst()
    else node.dropLast()
  }

  /** Deletes `count` elements from index `start` on; both must lie within the list. */
  delete(start: number, count: number): void {
    if (count <= 0) return
    let node: ListNode | undefined
    let offset: number
    if (start * 2 <= this.size) {
      node = this.head
      offset = start
      while (node !== undefined && offset >= node.count) {
        offset -= node.count
        node = node.next
      }
    } else {
      node = this.tail
      offset = start - this.size
      while (node !== undefined && (offset += node.count) < 0) node = node.prev
    }
    this.size -= count
    for (let left = count; left > 0 && node !== undefined; offset = 0) {
      const next: ListNode | undefined = node.next
      const here = Math.min(left, node.count - offset)
      if (here === node.count) this.#unlink(node)
      else node.delete(offset, here)
      left -= here
      node = next
    }
  }

  /** Deletes up to `max` elements equal to `value`, from the head on or from the tail on; returns how many. */
  remove(value: Slice, max: number, fromTail: boolean): number {
    let left = max
    let node = fromTail ? this.tail : this.head
    while (node !== undefined && left > 0) {
      const next: ListNode | undefined = fromTail ? node.prev : node.next
      if (node.plain) {
        if (node.isPlainEqual(value)) {
          this.#unlink(node)
          left--
        }
      } else {
        const skip = fromTail ? Math.max(0, node.countOf(value) - left) : 0
        left -= node.remove(value, skip, left)
        if (node.count === 0) this.#unlink(node)
      }
      node = next
    }
    this.size -= max - left
    return max - left
  }

  /** Inserts an element before or after the one under the cursor, which is void afterwards. */
  insert(cursor: ListCursor, value: Slice, after: boolean): void {
    const node = cursor.node
    if (node === undefined) return
    this.size++
    this.#insert(node, cursor.offset, cursor.pos, value, after)
  }

  #insert(node: ListNode, offset: number, pos: number, value: Slice, after: boolean): void {
    const length = value.end - value.start
    const atEdge = after ? offset === node.count - 1 : offset === 0
    if (isLargeElement(length, this.fill)) {
      if (!node.plain && !atEdge) this.#split(node, after ? offset + 1 : offset)
      this.#link(ListNode.plainOf(value), node, after || (!node.plain && !atEdge))
      return
    }
    if (node.accepts(length, this.fill)) {
      this.#within(node, () => {
        if (!after) node.insertAt(pos, value)
        else if (atEdge) node.append(value)
        else node.insertAt(node.positionOf(offset + 1), value)
      })
      return
    }
    if (atEdge) {
      const beside = after ? node.next : node.prev
      if (beside !== undefined && beside.accepts(length, this.fill))
        this.#within(beside, () => (after ? beside.prepend(value) : beside.append(value)))
      else this.#link(ListNode.packedOf(value, this.fill, !after), node, after)
      return
    }
    // The full node is split at the place of the insertion; the new element joins the half that Valkey
    // makes the new node: the back one of an insertion after, the front one of an insertion before.
    const back = this.#split(node, after ? offset + 1 : offset)
    if (after) this.#within(back, () => back.prepend(value))
    else this.#within(node, () => node.append(value))
    this.#mergeAround(after ? node : back)
  }

  /** Replaces the element under the cursor, which is void afterwards. */
  replace(cursor: ListCursor, value: Slice): void {
    const node = cursor.node
    if (node === undefined) return
    const large = isLargeElement(value.end - value.start, this.fill)
    if (!node.plain && !large) {
      const next = cursor.offset === node.count - 1 ? node.end - 1 : node.positionOf(cursor.offset + 1)
      this.#within(node, () => node.splice(cursor.pos, next, value))
      return
    }
    if (node.plain) {
      if (large) this.#link(ListNode.plainOf(value), node, true)
      else this.#insert(node, 0, 0, value, true)
      this.#unlink(node)
      return
    }
    // A large element breaks its node in two around a node of its own.
    if (cursor.offset !== node.count - 1) this.#split(node, cursor.offset + 1)
    const plain = ListNode.plainOf(value)
    this.#link(plain, node, true)
    if (node.count === 1) this.#unlink(node)
    else {
      node.dropLast()
      this.#mergeAround(plain)
    }
  }

  // ---- nodes ----

  #nodeOf(value: Slice, growsAtHead: boolean): ListNode {
    return isLargeElement(value.end - value.start, this.fill)
      ? ListNode.plainOf(value) : ListNode.packedOf(value, this.fill, growsAtHead)
  }

  /** An edit within a node that may get itself a larger buffer. */
  #within(node: ListNode, edit: () => void): void {
    const capacity = node.bytes.length
    edit()
    this.bytes += node.bytes.length - capacity
  }

  /** Puts a node into the chain behind (or before) `beside`, which is undefined in an empty list only. */
  #link(node: ListNode, beside: ListNode | undefined, after: boolean): void {
    const prev = after ? beside : beside?.prev
    const next = after ? beside?.next : beside
    node.prev = prev
    node.next = next
    if (prev === undefined) this.head = node
    else prev.next = node
    if (next === undefined) this.tail = node
    else next.prev = node
    this.nodeCount++
    this.bytes += node.bytes.length
  }

  #unlink(node: ListNode): void {
    if (node.prev === undefined) this.head = node.next
    else node.prev.next = node.next
    if (node.next === undefined) this.tail = node.prev
    else node.next.prev = node.prev
    this.nodeCount--
    this.bytes -= node.bytes.length
  }

  /** Breaks a node in two before its element `index`; returns the back half. */
  #split(node: ListNode, index: number): ListNode {
    const back = node.splitAt(index)
    this.#link(back, node, true)
    return back
  }

  /** Merges what fits of the two nodes before `center`, the two behind it, and then `center` with both. */
  #mergeAround(center: ListNode): void {
    const { prev, next } = center
    if (prev?.prev !== undefined) this.#merge(prev.prev, prev)
    if (next?.next !== undefined) this.#merge(next, next.next)
    const target = center.prev !== undefined && this.#merge(center.prev, center) ? center.prev : center
    if (target.next !== undefined) this.#merge(target, target.next)
  }

  /** Moves the elements of `back` into `front` if the limit permits. */
  #merge(front: ListNode, back: ListNode): boolean {
    if (!front.accommodates(back, this.fill)) return false
    this.#within(front, () => front.absorb(back))
    this.#unlink(back)
    return true
  }
}
