/**
 * What a raft entry does to the v2 store.
 *
 *     entry.data = nothing, or Request (before 3.0: bare), or InternalRaftRequest { 2: Request, 3..: v3 }
 *     Request    = 1 ID, 2 method, 3 path, 4 value, 5 dir, 6 prevValue, 7 prevIndex, 8 prevExist, 9 expiration (ns),
 *                  12 recursive, 15 time (SYNC: the cut-off), 17 refresh
 *
 * Changes of membership count too: they are written into the same tree under /0 and take numbers of the index. v3
 * requests change nothing here, but for the two that carry what v2 requests used to (cluster version, a member's attributes).
 */
import { FieldReader } from './protobuf.js'
import type { V2Store, WriteTerms } from './v2-store.js'

/** Entry types of raft. */
const NORMAL = 0
const CONF_CHANGE = 1

const METHODS: readonly string[] = ['PUT', 'POST', 'DELETE', 'QGET', 'SYNC']
const FOREVER: WriteTerms = { expiresNs: undefined, isRefresh: false }

/** Applies one committed entry. Throws ProtobufError when it can not be read. */
export function applyEntry(store: V2Store, type: number, data: Buffer): void {
  if (data.length === 0) return
  if (type === NORMAL) applyNormal(store, data)
  else if (type === CONF_CHANGE) applyConfChange(store, data)
}

function applyNormal(store: V2Store, data: Buffer): void {
  const fields = new FieldReader(data)
  while (fields.next()) {
    if (fields.field === 2 && fields.wire === 2) {
      const inner = fields.slice()
      // A bare request has the name of its method where the other has the request.
      return applyRequest(store, METHODS.includes(inner.latin1Slice()) ? data : inner)
    }
    if (fields.field === 1300 && fields.wire === 2) {
      fields.skip()
      store.set('/0/version', false, '', FOREVER)
    } else if (fields.field === 1301 && fields.wire === 2) {
      const attributes = new FieldReader(fields.slice())
      while (attributes.next()) {
        if (attributes.field === 1) setMemberAttributes(store, attributes.uint64().toString(16))
        else attributes.skip()
      }
    } else fields.skip()
  }
}

class Request {
  method = ''
  path = ''
  value = ''
  isDirectory = false
  previousValue = ''
  previousIndex = 0
  previousExists: boolean | undefined
  expiration = 0n
  isRecursive = false
  time = 0n
  isRefresh = false

  constructor(data: Buffer) {
    const fields = new FieldReader(data)
    while (fields.next()) {
      switch (fields.field) {
        case 2: this.method = fields.latin1(); break
        case 3: this.path = fields.latin1(); break
        case 4: this.value = fields.latin1(); break
        case 5: this.isDirectory = fields.boolean(); break
        case 6: this.previousValue = fields.latin1(); break
        case 7: this.previousIndex = fields.number(); break
        case 8: this.previousExists = fields.boolean(); break
        case 9: this.expiration = fields.int64(); break
        case 12: this.isRecursive = fields.boolean(); break
        case 15: this.time = fields.int64(); break
        case 17: this.isRefresh = fields.boolean(); break
        default: fields.skip()
      }
    }
  }
}

const MEMBER_ATTRIBUTES = /\/0\/members\/[0-9a-fA-F]{1,16}\/attributes/

function applyRequest(store: V2Store, data: Buffer): void {
  const request = new Request(data)
  const { path, value } = request
  const terms = { expiresNs: request.expiration === 0n ? undefined : request.expiration, isRefresh: request.isRefresh }
  const previous = { index: request.previousIndex, value: request.previousValue }
  const compares = previous.index > 0 || previous.value !== ''
  if (request.method === 'SYNC') store.expire(request.time)
  else if (request.method === 'POST') store.create(path, request.isDirectory, value, true, terms)
  else if (request.method === 'DELETE') {
    if (compares) store.compareAndDelete(path, previous)
    else store.delete(path, request.isDirectory, request.isRecursive)
  } else if (request.method === 'PUT') {
    if (request.previousExists === false) store.create(path, request.isDirectory, value, false, terms)
    else if (compares) store.compareAndSwap(path, previous, value, terms)
    else if (request.previousExists === true) store.update(path, value, terms)
    else if (MEMBER_ATTRIBUTES.test(path)) setMemberAttributes(store, /members\/([0-9a-fA-F]+)/.exec(path)?.[1] as string)
    else store.set(path, request.isDirectory, value, terms)
  }
}

/** The attributes of a member that was removed are passed over. */
function setMemberAttributes(store: V2Store, id: string): void {
  const member = `/0/members/${id.toLowerCase().replace(/^0+(?=.)/, '')}`
  if (store.get(member) !== undefined) store.set(`${member}/attributes`, false, '', FOREVER)
}

/** ConfChange: 2 type (0 add, 1 remove, 2 update, 3 add a learner), 3 member id, 4 the member as JSON. */
function applyConfChange(store: V2Store, data: Buffer): void {
  let type = 0
  let id = '0'
  let context = ''
  const fields = new FieldReader(data)
  while (fields.next()) {
    if (fields.field === 2) type = fields.number()
    else if (fields.field === 3) id = fields.uint64().toString(16)
    else if (fields.field === 4) context = fields.latin1()
    else fields.skip()
  }
  const member = `/0/members/${id}`
  const removed = `/0/removed_members/${id}`
  const isMember = store.get(member) !== undefined
  if (type === 1) {
    if (!isMember || store.get(removed) !== undefined) return
    store.delete(member, true, true)
    store.create(removed, false, '', false, FOREVER)
  } else if (type === 2 || (isMember && /"isPromote"\s*:\s*true/.test(context))) {
    store.update(`${member}/raftAttributes`, '', FOREVER)
  } else if (!isMember && store.get(removed) === undefined) {
    store.create(`${member}/raftAttributes`, false, '', false, FOREVER)
  }
}
