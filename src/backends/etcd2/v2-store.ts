/**
 * etcd's v2 store: a tree of directories and values in memory, changed exactly as etcd changes it.
 *
 *     /0  what the cluster knows of itself     /1  the users' keys     /2  users and roles
 *
 * Invariants
 * - The index grows by one with each change that succeeds, and only then: names of in-order keys and later
 *   comparisons depend on it, so every rule that lets a request fail is here.
 * - Names and values are strings of one character per byte: nothing decodes them, and `<` compares bytes.
 * - Times are nanoseconds, exact, because which of two nodes expires first decides what the index counts.
 * - Nothing recurses: a path may have any number of segments.
 */

/** A file or a directory. */
export class V2Node {
  createdIndex: number
  modifiedIndex: number
  /** When it expires, in nanoseconds since 1970; undefined when never. */
  expiresNs: bigint | undefined
  /** A directory's entries; undefined for a file. */
  readonly children: Map<string, V2Node> | undefined
  isRemoved = false
  /** Its value was read from a snapshot that had replaced bytes of it. */
  isLossy = false

  constructor(
    readonly name: string,
    readonly parent: V2Node | undefined,
    isDirectory: boolean,
    public value: string,
    index: number,
    expiresNs: bigint | undefined,
  ) {
    this.createdIndex = index
    this.modifiedIndex = index
    this.expiresNs = expiresNs
    this.children = isDirectory ? new Map() : undefined
  }
}

/** A node with its place in the users' tree. */
export interface V2Place {
  /** From the users' root on, beginning with '/'. */
  readonly path: string
  readonly node: V2Node
  /** The earliest expiry of the node and the directories above it. */
  readonly expiresNs: bigint | undefined
  /** It, or a directory above it, has a name that begins with '_'. */
  readonly isHidden: boolean
}

export interface WriteTerms {
  readonly expiresNs: bigint | undefined
  /** Keep the value, change the expiry. */
  readonly isRefresh: boolean
}

/** What was there before, for a request that compares; 0 and '' do not compare. */
export interface Previous {
  readonly index: number
  readonly value: string
}

/** An expiry before this is taken as none when a node is created: 2000-01-01. */
const EXPIRY_LEAST_NS = 946684800n * 1000000000n

export class V2Store {
  readonly root = new V2Node('', undefined, true, '', 0, undefined)
  index = 0
  readonly #expiries = new ExpiryQueue()

  constructor() {
    for (const space of ['0', '1']) this.root.children?.set(space, new V2Node(space, this.root, true, '', 0, undefined))
  }

  /** The node, undefined when there is none. */
  get(path: string): V2Node | undefined {
    let node: V2Node | undefined = this.root
    for (const name of segmentsOf(path)) {
      node = node.children?.get(name)
      if (node === undefined) return undefined
    }
    return node
  }

  /** Adds a node from a snapshot. */
  adopt(node: V2Node): void {
    node.parent?.children?.set(node.name, node)
    if (node.expiresNs !== undefined) this.#expiries.add(node)
  }

  /** Each of these returns whether it succeeded. */
  set(path: string, isDirectory: boolean, value: string, terms: WriteTerms): boolean {
    const there = this.get(path)
    if (terms.isRefresh && there === undefined) return false
    return this.#put(segmentsOf(path), isDirectory, terms.isRefresh ? (there as V2Node).value : value, true, terms.expiresNs)
  }

  create(path: string, isDirectory: boolean, value: string, isInOrder: boolean, terms: WriteTerms): boolean {
    const name = isInOrder ? `${path}/${String(this.index + 1).padStart(20, '0')}` : path
    return this.#put(segmentsOf(name), isDirectory, value, false, terms.expiresNs)
  }

  update(path: string, value: string, terms: WriteTerms): boolean {
    const node = this.#changeable(path)
    if (node === undefined || (node.children !== undefined && value !== '')) return false
    this.index++
    this.#rewrite(node, value, terms)
    return true
  }

  compareAndSwap(path: string, previous: Previous, value: string, terms: WriteTerms): boolean {
    const node = this.#changeable(path)
    if (node === undefined || !matches(node, previous)) return false
    this.index++
    this.#rewrite(node, value, terms)
    return true
  }

  delete(path: string, isDirectory: boolean, isRecursive: boolean): boolean {
    const node = this.#changeable(path)
    if (node === undefined) return false
    if (node.children !== undefined && ((!isDirectory && !isRecursive) || (node.children.size > 0 && !isRecursive))) return false
    this.index++
    remove(node)
    return true
  }

  compareAndDelete(path: string, previous: Previous): boolean {
    const node = this.get(path)
    if (node === undefined || !matches(node, previous)) return false
    this.index++
    remove(node)
    return true
  }

  /** Removes what has expired by then, the earliest first. */
  expire(byNs: bigint): void {
    for (let node = this.#expiries.takeUntil(byNs); node !== undefined; node = this.#expiries.takeUntil(byNs)) {
      this.index++
      remove(node)
    }
  }

  /** The nodes of the users' tree, its root first, in the byte order of their paths (directories as if they ended in '/'). */
  *places(): Generator<V2Place, void> {
    const root = this.root.children?.get('1')
    if (root === undefined) return
    const stack: V2Place[] = [{ path: '', node: root, expiresNs: root.expiresNs, isHidden: false }]
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      yield place
      const { path, expiresNs, isHidden } = place
      if (place.node.children === undefined) continue
      const inOrder = [...place.node.children.values()].sort((a, b) => (orderName(a) < orderName(b) ? 1 : -1))
      for (const node of inOrder) {
        stack.push({ path: `${path}/${node.name}`, node, expiresNs: earlier(expiresNs, node.expiresNs), isHidden: isHidden || node.name.startsWith('_') })
      }
    }
  }

  /** A node that requests may change: there, and no root of a name space. */
  #changeable(path: string): V2Node | undefined {
    const segments = segmentsOf(path)
    return isReadOnly(segments) ? undefined : this.get(path)
  }

  #rewrite(node: V2Node, value: string, terms: WriteTerms): void {
    // A directory keeps its index when only its expiry changes: etcd refuses to write a value into it.
    if (node.children === undefined) {
      if (!terms.isRefresh) {
        node.value = value
        node.isLossy = false
      }
      node.modifiedIndex = this.index
    }
    node.expiresNs = terms.expiresNs
    if (node.expiresNs !== undefined) this.#expiries.add(node)
  }

  #put(segments: readonly string[], isDirectory: boolean, value: string, replaces: boolean, expiresNs: bigint | undefined): boolean {
    if (isReadOnly(segments)) return false
    let parent = this.root
    for (let i = 0; i < segments.length - 1; i++) {
      let child = parent.children?.get(segments[i])
      if (child === undefined) {
        child = new V2Node(segments[i], parent, true, '', this.index + 1, undefined)
        parent.children?.set(child.name, child)
      } else if (child.children === undefined) return false
      parent = child
    }
    const name = segments[segments.length - 1]
    const there = parent.children?.get(name)
    if (there !== undefined) {
      if (!replaces || there.children !== undefined) return false
      remove(there)
    }
    const node = new V2Node(name, parent, isDirectory, isDirectory ? '' : value, ++this.index, expiresNs !== undefined && expiresNs < EXPIRY_LEAST_NS ? undefined : expiresNs)
    this.adopt(node)
    return true
  }
}

function matches(node: V2Node, previous: Previous): boolean {
  return node.children === undefined && (previous.value === '' || node.value === previous.value) && (previous.index === 0 || node.modifiedIndex === previous.index)
}

function remove(node: V2Node): void {
  node.parent?.children?.delete(node.name)
  const stack = [node]
  for (let gone = stack.pop(); gone !== undefined; gone = stack.pop()) {
    gone.isRemoved = true
    for (const child of gone.children?.values() ?? []) stack.push(child)
  }
}

const orderName = (node: V2Node): string => (node.children === undefined ? node.name : `${node.name}/`)

function earlier(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a < b ? a : b
}

const isReadOnly = (segments: readonly string[]): boolean => segments.length === 0 || (segments.length === 1 && (segments[0] === '0' || segments[0] === '1'))

/** The names in a path, as etcd cleans it: no empty ones, no '.', and '..' takes one away. */
function segmentsOf(path: string): string[] {
  const segments: string[] = []
  for (const name of path.split('/')) {
    if (name === '..') segments.pop()
    else if (name !== '' && name !== '.') segments.push(name)
  }
  return segments
}

/**
 * Nodes by expiry: a binary heap. What is removed or given another expiry stays in it until its turn comes, and is then
 * passed over.
 */
class ExpiryQueue {
  readonly #heap: { readonly ns: bigint; readonly node: V2Node }[] = []

  add(node: V2Node): void {
    const heap = this.#heap
    const entry = { ns: node.expiresNs as bigint, node }
    let at = heap.push(entry) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (heap[above].ns <= entry.ns) break
      heap[at] = heap[above]
      at = above
    }
    heap[at] = entry
  }

  /** Takes the first node that expires by then. */
  takeUntil(byNs: bigint): V2Node | undefined {
    while (this.#heap.length > 0 && this.#heap[0].ns <= byNs) {
      const { ns, node } = this.#takeFirst()
      if (!node.isRemoved && node.expiresNs === ns) return node
    }
    return undefined
  }

  #takeFirst(): { readonly ns: bigint; readonly node: V2Node } {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop() as typeof first
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && heap[below + 1].ns < heap[below].ns) below++
      if (heap[below].ns >= last.ns) break
      heap[at] = heap[below]
      at = below
    }
    heap[at] = last
    return first
  }
}
