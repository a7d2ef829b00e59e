/**
 * Packs elements into list nodes as the servers fill a list by appending: into the last node while that stays
 * within 8 KB, into a new one after, and an element larger than that into a plain node of its own.
 */
import type { Slice } from '../slice.js'
import { ListpackBuilder } from './listpack-builder.js'
import type { ListNode } from './value.js'

/** Bytes of a packed node, as `list-max-listpack-size -2` has it. */
export const LIST_NODE_BYTES = 8192
/** What the servers add to an element's bytes before they compare with the limit. */
const ELEMENT_OVERHEAD = 8

export class ListPacker {
  private readonly nodes: ListNode[] = []
  private readonly node = new ListpackBuilder(LIST_NODE_BYTES)

  /** Appends an element. */
  add(element: Slice): void {
    const size = element.length
    const isPlain = size > LIST_NODE_BYTES
    if (isPlain || this.node.bytes + size + ELEMENT_OVERHEAD > LIST_NODE_BYTES) this.closeNode()
    if (isPlain) this.nodes.push({ packed: false, data: element.copy() })
    else this.node.add(element)
  }

  /** All nodes; the packer is empty after that. */
  finish(): ListNode[] {
    this.closeNode()
    return this.nodes.splice(0)
  }

  private closeNode(): void {
    if (this.node.count > 0) this.nodes.push({ packed: true, data: this.node.finish() })
  }
}
