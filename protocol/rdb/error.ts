/**
 * The one error of this folder. Corrupt or unsupported bytes, in a payload or in a file, never surface as
 * anything else, whatever they are.
 *
 * - `corrupt`: the bytes cannot be right.
 * - `truncated`: they ended too early; with more of them the same read may succeed.
 * - `empty`: a collection without elements. RESTORE refuses it, a file loader leaves the key out.
 * - `unsupported`: a type, an opcode or a version that this reader does not know or that cannot carry a value.
 */
export type RdbErrorKind = 'corrupt' | 'truncated' | 'empty' | 'unsupported'

export class RdbError extends Error {
  readonly kind: RdbErrorKind

  constructor(message: string, kind: RdbErrorKind = 'corrupt') {
    super(message)
    this.name = 'RdbError'
    this.kind = kind
  }
}
