/** What a value is known again by, without being kept: a digest of what it holds, however it is encoded, and its expiry time. */
export interface Fingerprint {
  readonly digest: string
  readonly expiresAtMs: number | undefined
}
