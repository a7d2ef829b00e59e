/**
 * What a copy tells while it runs and when it is through: one outcome per key, counts of them, bytes, time.
 *
 * | outcome       | what became of the key (in a dry run: what would become of it)                     |
 * |---------------|------------------------------------------------------------------------------------|
 * | `created`     | written; the target did not have it (as far as asked: see below)                   |
 * | `overwritten` | written over what the target had                                                   |
 * | `written`     | written, without having asked what was there                                       |
 * | `identical`   | the target had the same value and expiry time already; not written                 |
 * | `skipped`     | the target has another value under that key, and the policy is to leave it         |
 * | `conflict`    | the same, and the policy is to call it an error                                    |
 * | `too-large`   | larger than the target takes                                                       |
 * | `unsupported` | of a type, or a form, that the target can not keep                                 |
 * | `corrupt`     | its value is damaged in the source                                                 |
 * | `refused`     | the target refused it; the reason is with it                                       |
 * | `expired`     | its time had come before it could be written                                       |
 * | `vanished`    | deleted in the source between listing and reading                                  |
 */
import type { KeyRef } from './store.js'

export const OUTCOMES = [
  'created', 'overwritten', 'written', 'identical', 'skipped', 'conflict', 'too-large', 'unsupported', 'corrupt', 'refused', 'expired', 'vanished',
] as const

export type Outcome = (typeof OUTCOMES)[number]

/** Outcomes that make a copy incomplete. */
export const FAILURES: readonly Outcome[] = ['conflict', 'too-large', 'unsupported', 'corrupt', 'refused']

/** How far a copy or comparison is. Times in milliseconds of the monotonic clock. */
export interface Progress {
  readonly phase: 'counting' | 'sorting' | 'copying' | 'verifying' | 'repairing'
  /** Keys dealt with, out of `total` where that is known. */
  readonly keys: number
  readonly total: number | undefined
  readonly bytes: number
  readonly errors: number
  readonly elapsedMs: number
  /** The key dealt with last, for a line that shows where it is. */
  readonly last: KeyRef | undefined
}

/** Who is told while a copy runs. Every method is optional; none may throw. */
export interface Listener {
  /** What became of one key; `reason` with the outcomes that have one. Called once per key: keep it cheap. */
  key?(ref: KeyRef, outcome: Outcome, reason?: string): void
  /** At most ten times a second. */
  progress?(progress: Progress): void
  /** Something worth a line: a retry, a stale lock, a resume. */
  note?(level: 'info' | 'warning', text: string): void
}

/** How a copy ended. */
export interface Report {
  readonly counts: Readonly<Record<Outcome, number>>
  readonly keys: number
  readonly bytes: number
  readonly elapsedMs: number
  /** The first keys of each failure, with their reasons: at most ten of each. */
  readonly samples: Readonly<Partial<Record<Outcome, readonly { readonly ref: KeyRef; readonly reason: string }[]>>>
  /** It was told to stop before it was through. */
  readonly interrupted: boolean
  /** A store could not go on before it was through. */
  readonly failed: boolean
  /** Everything up to this key is done; undefined when nothing is, or all is. */
  readonly watermark: KeyRef | undefined
}
