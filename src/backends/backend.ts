/**
 * How a backend presents itself: its name in a configuration file (`storage_source "NAME" { ... }`), the URL schemes
 * that mean it, its options, and how a store is made of them.
 *
 * As in Vault every option of a stanza is a text. A backend checks them when the store is made: a missing or
 * malformed one is a StoreError 'usage' that names it. Unknown names are found by comparing with `options`.
 */
import { StoreError, type Store } from '../transfer/store.js'

/** Values of a stanza, or what a URL says, by option name. */
export type StoreOptions = Readonly<Record<string, string>>

export interface OptionSpec {
  readonly name: string
  /** One line for --help and the documentation. */
  readonly summary: string
  readonly required?: boolean
  /** What it is when it is left out. */
  readonly default?: string
  /** An environment variable that is asked where the option is not given. */
  readonly env?: string
  /** Never printed. */
  readonly secret?: boolean
}

export interface Backend {
  /** As a configuration file names it. */
  readonly type: string
  /** URL schemes, without colon: `redis`, `rediss`. */
  readonly schemes: readonly string[]
  readonly summary: string
  readonly options: readonly OptionSpec[]
  /** Reads a URL of one of its schemes. Throws StoreError 'usage'. */
  fromUrl(url: string): StoreOptions
  /** Makes the store; nothing is opened yet. Throws StoreError 'usage'. */
  create(options: StoreOptions): Store
}

/** An option's value: as given, from its environment variable, or its default. Throws StoreError 'usage' when it is required. */
export function optionOf(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions, name: string): string | undefined {
  const spec = backend.options.find((option) => option.name === name)
  const value = options[name] ?? (spec?.env === undefined ? undefined : process.env[spec.env]) ?? spec?.default
  if (value === undefined && spec?.required === true)
    throw new StoreError('usage', `storage "${backend.type}" needs the option '${name}' (${spec.summary})`)
  return value
}

/** The same as a whole number of at least `least`. Throws StoreError 'usage'. */
export function numberOf(backend: Pick<Backend, 'type' | 'options'>, options: StoreOptions, name: string, least = 1): number | undefined {
  const text = optionOf(backend, options, name)
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text) || Number(text) < least)
    throw new StoreError('usage', `option '${name}' of storage "${backend.type}" is '${text}'; it must be a whole number from ${least} on`)
  return Number(text)
}

/** Names that the backend does not know; '' (Vault's own spelling of "not set") included. */
export function unknownOptions(backend: Backend, options: StoreOptions): string[] {
  return Object.keys(options).filter((name) => !backend.options.some((option) => option.name === name))
}
