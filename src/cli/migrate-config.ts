/**
 * From the file behind `-config`, or from two URLs, to the two stores of a migration.
 *
 *     storage_source "type" { option = value ... }         exactly one of each, as in Vault; every value becomes a text
 *     storage_destination "type" { option = value ... }
 *     cluster_addr = "https://127.0.0.1:8201"              means something only to Vault's raft, which there is not
 *
 * Everything that is wrong with the file is a ConfigError with its place; no message repeats the value of an option.
 */
import { readFileSync } from 'node:fs'
import { unknownOptions, type Backend, type StoreOptions } from '../backends/backend.js'
import { StoreError, type Store } from '../transfer/store.js'
import { readConfiguration } from './hcl.js'
import { ConfigError, type ConfigItem, type ConfigKey, type ConfigObject, type ConfigValue, type Position } from './hcl-tree.js'
import { suggestion } from './nearest.js'
import { destinationTypes, storeOfType, storeOfUrl, storeTypes } from './stores.js'

/** One end of a migration: what it is and what was said about it. Option values may be secrets. */
export interface MigrateEnd {
  readonly backend: Backend
  readonly options: StoreOptions
  /** What is wrong with an option, at its place in the file; undefined where there is no file. */
  readonly located?: (error: StoreError) => ConfigError
}

export interface MigrateEnds {
  readonly source: MigrateEnd
  readonly destination: MigrateEnd
  /** One sentence each about what was read and has no effect. */
  readonly warnings: readonly string[]
}

const BLOCKS = ['storage_source', 'storage_destination'] as const
const SETTINGS = [...BLOCKS, 'cluster_addr']
/** Options that Vault takes in every storage stanza, for its server; a migration has no use for them. */
const SERVER_OPTIONS = ['redirect_addr', 'cluster_addr', 'disable_clustering']
const LARGEST_FILE_BYTES = 1 << 20

/** Reads the configuration file. Throws ConfigError. */
export async function endsOfFile(file: string): Promise<MigrateEnds> {
  return endsOfText(file, readText(file))
}

/** The same from the file's text; `file` is its name in errors. */
export async function endsOfText(file: string, text: string): Promise<MigrateEnds> {
  const root = readConfiguration(file, text)
  const warnings: string[] = []
  for (const { keys: [key] } of root.items) {
    if (!SETTINGS.includes(key.text)) throw new ConfigError(file, key.position, `a migration has no setting '${key.text}'; it has ${SETTINGS.join(', ')}${suggestion(key.text, SETTINGS)}`)
    if (key.text === 'cluster_addr') warnings.push(`${file}:${key.position.line}: cluster_addr has no effect: it is for a destination of type raft`)
  }
  const source = await readEnd(file, root, 'storage_source', warnings)
  const destination = await readEnd(file, root, 'storage_destination', warnings)
  return { source, destination, warnings }
}

/** The two ends by their URLs. Throws StoreError 'usage'. */
export async function endsOfUrls(source: string, destination: string): Promise<MigrateEnds> {
  return { source: await endOfUrl(source), destination: await endOfUrl(destination), warnings: [] }
}

async function endOfUrl(url: string): Promise<MigrateEnd> {
  const backend = await storeOfUrl(url)
  const options = backend.fromUrl(url)
  const [unknown] = unknownOptions(backend, options)
  const names = backend.options.map((option) => option.name)
  if (unknown !== undefined) throw new StoreError('usage', `a URL of storage "${backend.type}" has no option '${unknown}'; it has ${listed(names)}${suggestion(unknown, names)}`)
  return { backend, options }
}

function readText(file: string): string {
  try {
    const bytes = readFileSync(file)
    if (bytes.length > LARGEST_FILE_BYTES) throw new ConfigError(file, undefined, `is ${bytes.length} bytes long; a configuration has at most ${LARGEST_FILE_BYTES}`)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EISDIR') throw new ConfigError(file, undefined, 'is a directory; -config takes one file')
    if (code === 'ENOENT') throw new ConfigError(file, undefined, 'there is no such file')
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') throw new ConfigError(file, undefined, 'is not UTF-8 text')
    throw new ConfigError(file, undefined, `cannot be read: ${message}`)
  }
}

/** A block with its label, from `name "type" { }`, `name { type { } }` or the JSON forms of both. */
interface Stanza {
  readonly name: ConfigKey
  readonly type: ConfigKey
  readonly body: ConfigObject
}

async function readEnd(file: string, root: ConfigObject, name: (typeof BLOCKS)[number], warnings: string[]): Promise<MigrateEnd> {
  const found = root.items.filter(({ keys }) => keys[0].text === name).flatMap((item) => stanzas(file, item))
  if (found.length === 0) throw new ConfigError(file, undefined, `there is no ${name}; a migration needs one block ${name} "TYPE" { ... }, where TYPE is ${typesFor(name)}`)
  const [{ name: key, type, body }, second] = found
  if (second !== undefined) throw new ConfigError(file, second.name.position, `a second ${name}; the first is in line ${key.position.line}, and a migration has exactly one`)
  const backend = await locate(file, type.position, () => storeOfType(type.text), suggestion(type.text, storeTypes))
  const options = readOptions(file, body, backend, name, warnings)
  for (const spec of backend.options) {
    if (spec.required !== true || options[spec.name] !== undefined || spec.default !== undefined) continue
    if (spec.env !== undefined && process.env[spec.env] !== undefined) continue
    const orEnv = spec.env === undefined ? '' : ` (or the environment variable ${spec.env})`
    throw new ConfigError(file, key.position, `${name} "${backend.type}" needs the option '${spec.name}'${orEnv}: ${spec.summary}`)
  }
  const located = (error: StoreError): ConfigError => {
    const named = /option '(\w+)'/.exec(error.message)?.[1]
    const place = body.items.find(({ keys: [option] }) => option.text === named)?.value.position ?? key.position
    return new ConfigError(file, place, error.message)
  }
  return { backend, options, located }
}

/** Environment variables with the secret of one end; those that backends have are for both. */
export const PASSWORD_VARIABLES = { source: 'KEYFERRY_SOURCE_PASSWORD', destination: 'KEYFERRY_DESTINATION_PASSWORD' } as const

/** What the environment says about the secret of one end, where its options say nothing. */
export function passwordOptions(side: keyof typeof PASSWORD_VARIABLES, { backend, options }: MigrateEnd): StoreOptions {
  const password = process.env[PASSWORD_VARIABLES[side]] ?? ''
  const name = ['password', 'token'].find((one) => backend.options.some((option) => option.name === one && option.secret === true))
  const isGiven = ['password', 'token', 'password_file'].some((one) => (options[one] ?? '') !== '')
  return password === '' || name === undefined || isGiven ? {} : { [name]: password }
}

/** Makes the store of one end; `more` are options beside its own. Throws StoreError 'usage' or ConfigError. */
export function storeOfEnd({ backend, options, located }: MigrateEnd, more: StoreOptions = {}): Store {
  try {
    return backend.create({ ...options, ...more })
  } catch (error) {
    throw error instanceof StoreError && error.fault === 'usage' && located !== undefined ? located(error) : error
  }
}

/** What the block of this name may be. */
function typesFor(block: string): string {
  return listed(block === 'storage_destination' ? destinationTypes : storeTypes)
}

function stanzas(file: string, { keys, value }: ConfigItem): Stanza[] {
  const [name, type] = keys
  if (keys.length > 2) throw new ConfigError(file, keys[2].position, `${name.text} has one label, its type; here is another`)
  const bodies = value.kind === 'list' ? value.values : [value]
  return bodies.flatMap((body): Stanza[] => {
    if (body.kind !== 'object') throw new ConfigError(file, body.position, `${name.text} is a block { ... } of options, not ${kindText(body)}`)
    if (type !== undefined) return [{ name, type, body }]
    if (body.items.length === 0) throw new ConfigError(file, name.position, `${name.text} needs a type: ${name.text} "TYPE" { ... }, where TYPE is ${typesFor(name.text)}`)
    return body.items.flatMap((item) => {
      if (item.value.kind !== 'object' && item.value.kind !== 'list') throw new ConfigError(file, name.position, `${name.text} needs a type before its options: ${name.text} "TYPE" { ... }, where TYPE is ${typesFor(name.text)}`)
      return stanzas(file, { keys: [{ text: name.text, position: item.keys[0].position }, ...item.keys], value: item.value })
    })
  })
}

function readOptions(file: string, body: ConfigObject, backend: Backend, block: string, warnings: string[]): StoreOptions {
  const names = backend.options.map((option) => option.name)
  const options: Record<string, string> = {}
  for (const { keys, value } of body.items) {
    const [{ text: name, position }] = keys
    if (!names.includes(name)) {
      if (!SERVER_OPTIONS.includes(name)) throw new ConfigError(file, position, `storage "${backend.type}" has no option '${name}'; it has ${listed(names)}${suggestion(name, names)}`)
      warnings.push(`${file}:${position.line}: ${name} in ${block} has no effect: it is for Vault's server`)
      continue
    }
    if (Object.hasOwn(options, name)) throw new ConfigError(file, position, `option '${name}' is there twice in ${block}`)
    if (value.kind === 'object' || value.kind === 'list') throw new ConfigError(file, value.position, `option '${name}' must be a text, a number, true or false, not ${kindText(value)}`)
    options[name] = value.text
  }
  return options
}

/** Runs what may fail with a StoreError, and gives its message a place in the file. */
async function locate<T>(file: string, position: Position, run: () => Promise<T>, more: string): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'usage') throw new ConfigError(file, position, error.message + more)
    throw error
  }
}

function kindText(value: ConfigValue): string {
  return { text: 'a text', number: 'a number', boolean: 'true or false', list: 'a list', object: 'a block' }[value.kind]
}

function listed(names: readonly string[]): string {
  return names.length > 1 ? `${names.slice(0, -1).join(', ')} or ${names[names.length - 1]}` : (names[0] ?? 'unknown')
}
