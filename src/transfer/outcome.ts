/** How a transfer ends for one entry, and why a link failed. */

/** Where an exchange with the target broke. 'protocol': the target answered what no target may. */
export type FaultKind = 'connect' | 'write' | 'read' | 'protocol'

/** The link to a target is gone; what it had not acknowledged is not known to have arrived. */
export class LinkFault extends Error {
  constructor(
    readonly kind: FaultKind,
    /** Nothing moved for the whole idle time-out. */
    readonly timedOut: boolean,
    message: string,
  ) {
    super(message)
    this.name = 'LinkFault'
  }
}
