/**
 * The terminal side of `keyferry migrate`: its configuration file with every error at its place, its flags, its help, what it
 * shows while it runs (with a clock and a terminal of the test's own), its log lines, and that the documentation is complete.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { destinationTypes, storeOfType, storeTypes } from '../src/cli/stores.js'
import { EXIT, EXIT_MEANINGS } from '../src/cli/exit-codes.js'
import { readConfiguration } from '../src/cli/hcl.js'
import { ConfigError, type ConfigObject, type ConfigValue } from '../src/cli/hcl-tree.js'
import { LiveLine, bar, wantsColour, type TerminalStream } from '../src/cli/live-line.js'
import { endsOfFile, endsOfText, endsOfUrls, storeOfEnd } from '../src/cli/migrate-config.js'
import { FLAGS, UsageError, readMigrateFlags } from '../src/cli/migrate-flags.js'
import { migrateHelp } from '../src/cli/migrate-help.js'
import { MigrateLog } from '../src/cli/migrate-log.js'
import { nearestName } from '../src/cli/nearest.js'
import { MigrateDisplay, RecentRates, progressLine, reportTable } from '../src/cli/progress.js'
import { bytesText, clockText, countText, durationText, keysText } from '../src/cli/quantities.js'
import { OUTCOMES, type Outcome, type Progress, type Report } from '../src/transfer/report.js'
import { keyText, StoreError } from '../src/transfer/store.js'

const folder = mkdtempSync(path.join(tmpdir(), 'keyferry-migrate-cli-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A tree without its positions, short enough to compare: items as [keys, value]. */
type Plain = string | Plain[] | { items: [string, Plain][] }

function plain(value: ConfigValue): Plain {
  if (value.kind === 'object') return { items: value.items.map((item) => [item.keys.map((key) => key.text).join(' '), plain(item.value)]) }
  if (value.kind === 'list') return value.values.map(plain)
  return value.kind === 'text' ? value.text : `${value.kind} ${value.text}`
}

const tree = (text: string): Plain => plain(readConfiguration('f', text))

function errorOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError || error instanceof UsageError) return error.message
    throw error
  }
  return 'no error'
}

async function failure(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
  } catch (error) {
    if (error instanceof ConfigError || error instanceof StoreError) return error.message
    throw error
  }
  return 'no error'
}

// ------------------------------------------------------------------------------------------------ language

t.test('HCL: settings, blocks, lists, comments', async (t) => {
  t.same(tree('# all\n// of\n/* it,\n twice */ a = "x" // end\nb=1\nc = true, d = false\n'), { items: [['a', 'x'], ['b', 'number 1'], ['c', 'boolean true'], ['d', 'boolean false']] })
  t.same(tree('storage "file" {\n  path = "/x"\n  deep { er = [1, "two", [true], { x = -1.5e3 },] }\n}\n"quoted" two "three" {}'), {
    items: [['storage file', { items: [['path', '/x'], ['deep', { items: [['er', ['number 1', 'two', ['boolean true'], { items: [['x', 'number -1.5e3']] }]]] }]] }], ['quoted two three', { items: [] }]],
  })
  t.same(tree('a = 0x1F\r\nb = 007\r\n'), { items: [['a', 'number 0x1F'], ['b', 'number 007']] })
  t.same(tree('\uFEFFa_b-c.d = {\n}'), { items: [['a_b-c.d', { items: [] }]] })
  t.same(tree(''), { items: [] })
  t.same(tree('  # nothing'), { items: [] })
})

t.test('HCL: texts and heredocs', async (t) => {
  t.same(tree(String.raw`a = "q\" b\\ n\n t\t x\x41 o\101 u\u00e9 U\U0001F600"`), { items: [['a', 'q" b\\ n\n t\t xA oA u\u00e9 U\u{1F600}']] })
  t.same(tree('a = "cost $5 and ${ "in" } it"'), { items: [['a', 'cost $5 and ${ "in" } it']] })
  t.same(tree('a = <<END\n  one \\n\n\n two\nEND\nb = 1'), { items: [['a', '  one \\n\n\n two\n'], ['b', 'number 1']] })
  t.same(tree('a = <<-END\n    one\n      two\n    END\nb = 1'), { items: [['a', 'one\n  two\n'], ['b', 'number 1']] })
  t.same(tree('a = <<-END\n  one\n    END\n'), { items: [['a', '  one\n']] })
})

t.test('HCL: every error has a place, what was expected and what stood there', async (t) => {
  const errors: Record<string, string> = {
    'a = \n': '1:5: expected a value (a text in double quotes, a number, true, false, a list or a block), found the end of the line',
    'a = secret': '1:5: expected a value (a text in double quotes, a number, true, false, a list or a block), found a word without quotes',
    'a "b" = 1': '1:7: expected \'{\' after the labels of a block, found \'=\'',
    'a': '1:2: expected \'=\', a label in quotes or \'{\', found the end of the file',
    'a b\n{ }': '1:3: expected \'=\' before this value (or, where it is the label of a block, \'{\' behind it), found neither',
    'a {\n  path "/x"\n}': '2:8: expected \'=\' before this value (or, where it is the label of a block, \'{\' behind it), found neither',
    'a {\n  tls true }': '2:7: expected \'=\' before this value (or, where it is the label of a block, \'{\' behind it), found neither',
    'a "b" "c"\n': '1:10: expected another label or \'{\', found the end of the line',
    'a = "x\n"': '1:5: expected a closing double quote, found the end of the line',
    'a = "x': '1:5: expected a closing double quote, found the end of the file',
    'a = \'x\'': '1:5: expected a value (a text in double quotes, a number, true, false, a list or a block), found a single quote',
    'a = "x" b = 1': '1:9: expected a new line, found a word without quotes',
    'x {\n  a = "pass"word"\n}': '2:13: expected a new line, \',\' or \'}\', found a word without quotes',
    'x {\n a = 1': '2:7: expected \'}\' for the block that begins in line 1, found the end of the file',
    'a = [1 2]': '1:8: expected \',\' or \']\' for the list that begins in line 1, found a number',
    'a = 12monkeys': '1:5: expected a number, or a text in quotes, found a number with more behind it',
    'a = 1\n  } ': '2:3: expected the name of a setting or block, found \'}\'',
    '/* a': '1:1: expected the end of the comment, \'*/\', found the end of the file',
    'a = "\\q"': '1:6: expected an escape (\\n \\t \\" \\\\ \\xNN \\uNNNN and others of HCL), found a backslash before another character; a backslash itself is written \\\\',
    'a = "${x"': '1:6: expected \'}\' for the \'${\' in this text, found the end of the line',
    'a = <<E\nx': '1:5: expected the line that ends the heredoc, found the end of the file',
    'a = <b': '1:5: expected a heredoc (<<NAME and a new line), found \'<\'',
    '\u{1F600} = 1': '1:1: expected the name of a setting or block, found a character that has no meaning here',
    '\u00e9\u{10400}\u{10400} != 1': '1:5: expected \'=\', a label in quotes or \'{\', found a character that has no meaning here',
    'a = "\\U00110000"': '1:6: expected a character up to U+10FFFF, found a higher number',
  }
  for (const [text, message] of Object.entries(errors)) t.equal(errorOf(() => readConfiguration('f.hcl', text)), `f.hcl:${message}`, JSON.stringify(text))
  t.match(errorOf(() => readConfiguration('f', `a = ${'['.repeat(200)}`)), /nested more than 100 deep/)
  t.match(errorOf(() => readConfiguration('f', 'a {'.repeat(200))), /nested more than 100 deep/)
})

t.test('HCL: no text is anything but a tree or a ConfigError', async () => {
  const whole = 'storage_source "mysql" { # x\n  a = "p\\"w${x}" /* y */\n  b = [1, <<-E\n  text\n  E\n, true]\n}\n'
  for (let cut = 0; cut <= whole.length; cut++) {
    errorOf(() => readConfiguration('f', whole.slice(0, cut)))
    errorOf(() => readConfiguration('f', whole.slice(cut)))
    errorOf(() => readConfiguration('f', `${whole.slice(0, cut)}{${whole.slice(cut)}`))
    errorOf(() => readConfiguration('f', `{"a": ${JSON.stringify(whole)}, "b": [1, {}]}`.slice(0, cut)))
  }
})

t.test('JSON: the same tree, and errors with a place', async (t) => {
  t.same(tree('{"a": "x\\n\\u00e9\\/", "b": {"c": [1, -2.5e3, true, false, []]}, "b": {}}\n'), { items: [['a', 'x\n\u00e9/'], ['b', { items: [['c', ['number 1', 'number -2.5e3', 'boolean true', 'boolean false', []]]] }], ['b', { items: [] }]] })
  const errors: Record<string, string> = {
    '{"a": 1,}': '1:9: expected a name in double quotes, found \'}\'',
    '{"a" 1}': '1:6: expected \':\', found a number',
    '{"a": nul}': '1:7: expected a value (a text in double quotes, a number, true, false, a list or an object), found a word without quotes',
    '{"a": null}': '1:7: expected a value (a text in double quotes, a number, true, false, a list or an object), found null',
    '{"a": "x': '1:7: expected a closing double quote, found the end of the file',
    '{"a": "x\\q"}': '1:9: expected an escape of JSON (\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uNNNN), found a backslash before another character',
    '{\n "a": [1 2]}': '2:10: expected \',\' or \']\' for what begins in line 2, found a number',
    '{} x': '1:4: expected the end of the file, found a word without quotes',
    '{': '1:2: expected a name in double quotes, found the end of the file',
  }
  for (const [text, message] of Object.entries(errors)) t.equal(errorOf(() => readConfiguration('f.json', text)), `f.json:${message}`, JSON.stringify(text))
})

t.test('everything in the tree knows its place', async (t) => {
  const root: ConfigObject = readConfiguration('f', '\na "b" {\n  c = "d"\n}')
  const [{ keys, value }] = root.items
  t.same(keys.map((key) => key.position), [{ line: 2, column: 1 }, { line: 2, column: 3 }])
  t.same(value.position, { line: 2, column: 7 })
  t.same(value.kind === 'object' && value.items[0].value.position, { line: 3, column: 7 })
})

// ------------------------------------------------------------------------------------------------ configuration

const SOURCE = 'storage_source "rdb" {\n  path = "a.rdb"\n}\n'
const DESTINATION = 'storage_destination "rdb" {\n  path = "b.rdb"\n  version = 10\n  compress = "no"\n}\n'

t.test('configuration: two stores, in both languages', async (t) => {
  const wanted = [{ path: 'a.rdb' }, { path: 'b.rdb', version: '10', compress: 'no' }]
  for (const text of [
    SOURCE + DESTINATION,
    DESTINATION + SOURCE,
    'storage_source { rdb { path = "a.rdb" } }\nstorage_destination = { rdb = { path = "b.rdb", version = "10", compress = "no" } }',
    '{"storage_source": {"rdb": {"path": "a.rdb"}}, "storage_destination": {"rdb": {"path": "b.rdb", "version": 10, "compress": "no"}}}',
    '{"storage_source": [{"rdb": [{"path": "a.rdb"}]}], "storage_destination": {"rdb": {"path": "b.rdb", "version": 10, "compress": "no"}}}',
  ]) {
    const { source, destination, warnings } = await endsOfText('f', text)
    t.same([source.options, destination.options, source.backend.type, destination.backend.type, warnings], [...wanted, 'rdb', 'rdb', []], text.slice(0, 30))
  }
  const file = path.join(folder, 'm.hcl')
  writeFileSync(file, SOURCE + DESTINATION)
  t.same((await endsOfFile(file)).source.options, { path: 'a.rdb' })
})

t.test('configuration: what has no effect is told', async (t) => {
  const { warnings } = await endsOfText('f', `cluster_addr = "https://x"\n${SOURCE}${DESTINATION.replace('version = 10', 'redirect_addr = "x"')}`)
  t.same(warnings, ['f:1: cluster_addr has no effect: it is for a destination of type raft', 'f:7: redirect_addr in storage_destination has no effect: it is for Vault\'s server'])
})

t.test('configuration: errors name what is wrong and where', async (t) => {
  const types = `${storeTypes.slice(0, -1).join(', ')} or ${storeTypes.at(-1)}`
  const writable = `${destinationTypes.slice(0, -1).join(', ')} or ${destinationTypes.at(-1)}`
  t.notMatch(writable, /aof|etcd2/)
  const errors: Record<string, string> = {
    [DESTINATION]: `f: there is no storage_source; a migration needs one block storage_source "TYPE" { ... }, where TYPE is ${types}`,
    [SOURCE]: `f: there is no storage_destination; a migration needs one block storage_destination "TYPE" { ... }, where TYPE is ${writable}`,
    [SOURCE + SOURCE + DESTINATION]: 'f:4:1: a second storage_source; the first is in line 1, and a migration has exactly one',
    [`${SOURCE.replace('rdb', 'rbd')}${DESTINATION}`]: `f:1:16: there is no storage "rbd"; there are ${storeTypes.join(', ')}; did you mean 'rdb'?`,
    [`storage_sorce "rdb" {}\n${DESTINATION}`]: 'f:1:1: a migration has no setting \'storage_sorce\'; it has storage_source, storage_destination, cluster_addr; did you mean \'storage_source\'?',
    [`${SOURCE.replace('path', 'paht')}${DESTINATION}`]: 'f:2:3: storage "rdb" has no option \'paht\'; it has path, version or compress; did you mean \'path\'?',
    [`storage_source "rdb" {}\n${DESTINATION}`]: 'f:1:1: storage_source "rdb" needs the option \'path\': the file; a destination that exists is replaced when the copy is complete',
    [`storage_source {}\n${DESTINATION}`]: `f:1:1: storage_source needs a type: storage_source "TYPE" { ... }, where TYPE is ${types}`,
    [`storage_source { path = "a" }\n${DESTINATION}`]: `f:1:1: storage_source needs a type before its options: storage_source "TYPE" { ... }, where TYPE is ${types}`,
    [`storage_source "rdb" "x" {}\n${DESTINATION}`]: 'f:1:22: storage_source has one label, its type; here is another',
    [`storage_source = "rdb"\n${DESTINATION}`]: 'f:1:18: storage_source is a block { ... } of options, not a text',
    [`storage_source "rdb" {\n path = ["a"]\n}\n${DESTINATION}`]: 'f:2:9: option \'path\' must be a text, a number, true or false, not a list',
    [`storage_source "rdb" {\n path = "a"\n path = "b"\n}\n${DESTINATION}`]: 'f:3:2: option \'path\' is there twice in storage_source',
  }
  for (const [text, message] of Object.entries(errors)) t.equal(await failure(() => endsOfText('f', text)), message)
})

t.test('configuration: a bad value is told with its place, when the store is made', async (t) => {
  const { source, destination } = await endsOfText('f', `storage_source "redis" {\n  tls = "perhaps"\n}\n${DESTINATION}`)
  t.equal(await failure(async () => storeOfEnd(source)), 'f:2:9: option \'tls\' of storage "redis" is \'perhaps\'; it must be true or false')
  t.equal(await failure(async () => storeOfEnd(destination, { version: '13' })), 'f:6:13: option \'version\' of storage "rdb" is \'13\'; it must be one of 9, 10, 11, 12, 80')
})

t.test('configuration: an append-only file is a source, by name and by URL', async (t) => {
  t.same((await endsOfText('f', SOURCE.replace('rdb', 'aof') + DESTINATION)).source.backend.type, 'aof')
  t.same((await endsOfText('f', `${SOURCE}storage_destination "memory" {}`)).destination.backend.type, 'inmem')
  t.same((await endsOfUrls('aof:/x/appendonlydir', 'rdb:b')).source.options, { path: '/x/appendonlydir' })
})

t.test('configuration: files that are none', async (t) => {
  t.equal(await failure(() => endsOfFile(folder)), `${folder}: is a directory; -config takes one file`)
  t.equal(await failure(() => endsOfFile(path.join(folder, 'none'))), `${path.join(folder, 'none')}: there is no such file`)
  writeFileSync(path.join(folder, 'bytes'), Buffer.from([0x61, 0xff]))
  t.equal(await failure(() => endsOfFile(path.join(folder, 'bytes'))), `${path.join(folder, 'bytes')}: is not UTF-8 text`)
})

t.test('no secret in an error, wherever the file breaks', async (t) => {
  const secret = 'Pa55word'
  const text = `storage_source "rdb" {\n  path = "${secret}"\n  version = ${secret}\n}\n`
  for (const broken of [text, text.replace(/"/g, ''), text.replace(`"${secret}"`, `"${secret}`), text.replace(`"${secret}"`, `"x" ${secret}`), text.replace(`"${secret}"`, `["${secret}"]`), text.replace('path', 'paht').replace(`version = ${secret}\n`, '\n')])
    t.notMatch(await failure(() => endsOfText('f', broken)), /Pa55/)
  t.notMatch(await failure(() => endsOfUrls(`nostore://me:${secret}@x`, 'rdb:x')), /Pa55/)
  for (const url of ['redis://host?pasword=', 'redis-cluster://host?db=', 'mysql://u@host/d?pw=', 'etcd://host?key=', 'nostore://host?pw='])
    t.notMatch(await failure(() => endsOfUrls(`${url}${secret}`, 'rdb:x')), /Pa55|no error/)
  t.notMatch(errorOf(() => readMigrateFlags([`redis://me:${secret}@host`], {})), /Pa55/)
  t.notMatch(errorOf(() => readMigrateFlags(['-config', `redis://me:${secret}@host`], {})), /Pa55/)
})

t.test('configuration: two URLs', async (t) => {
  const { source, destination } = await endsOfUrls('rdb:a.rdb', 'rdb:b.rdb?version=9')
  t.same([source.options, destination.options], [{ path: 'a.rdb' }, { path: 'b.rdb', version: '9' }])
  t.match(await failure(() => endsOfUrls('a.rdb', 'rdb:b')), /'a\.rdb' is no store.* aof:$/)
})

t.test('the nearest name', async (t) => {
  const names = ['config', 'max-parallel', 'on-conflict', 'verify', 'undo-log']
  t.same(['confg', 'ocnfig', 'max-paralel', 'conflict', 'parallel', 'verfy', 'undo', 'zzz', 'x'].map((word) => nearestName(word, names)), ['config', 'config', 'max-parallel', 'on-conflict', 'max-parallel', 'verify', 'undo-log', undefined, undefined])
})

// ------------------------------------------------------------------------------------------------ flags

t.test('flags: Vault\'s, with one dash and two', async (t) => {
  for (const words of ['-config m.hcl -start a/b -max-parallel 4', '-config=m.hcl -start=a/b -max-parallel=4', '--config m.hcl --start=a/b --max-parallel 4'])
    t.match(readMigrateFlags(words.split(' '), {}), { config: 'm.hcl', start: 'a/b', maxParallel: 4, reset: false, logLevel: 'info', logFormat: 'standard', urls: undefined })
  t.match(readMigrateFlags(['-config', 'm', '-reset', '-log-level=DEBUG', '-log-format', 'json'], {}), { reset: true, logLevel: 'debug', logFormat: 'json' })
  t.match(readMigrateFlags(['-config', 'm', '-reset=false'], {}), { reset: false })
  t.match(readMigrateFlags(['-config', 'm'], { VAULT_LOG_LEVEL: 'warn' }), { logLevel: 'warn', maxParallel: 10 })
  t.match(readMigrateFlags(['-config', 'm', '-log-level', 'error'], { VAULT_LOG_LEVEL: 'warn' }), { logLevel: 'error' })
  t.match(readMigrateFlags(['-config', 'm', '-start', '-x', '--start='], {}), { start: '' })
})

t.test('flags: all others', async (t) => {
  const words = 'rdb:a --state d --on-conflict skip --apply p --verify full --undo-log u --match a* --match b* --exclude c --type string,hash --type zset --db 0:3 --db 2 '
    + '--prefix-from x: --prefix-to y: --rate 5000,10MB --batch 500 --unordered --chunk-bytes 64mb --report r rdb:b'
  t.same(readMigrateFlags(words.split(' '), {}), {
    help: false, undo: undefined, urls: { source: 'rdb:a', destination: 'rdb:b' }, config: undefined, start: undefined, reset: false, maxParallel: 10, logLevel: 'info', logFormat: 'standard',
    state: 'd', onConflict: 'skip', dryRun: false, plan: undefined, apply: 'p', verify: 'full', repair: false, undoLog: 'u', match: ['a*', 'b*'], exclude: ['c'],
    types: ['string', 'hash', 'zset'], databases: [{ from: 0, to: 3 }, { from: 2, to: 2 }], prefixFrom: 'x:', prefixTo: 'y:', keysPerSecond: 5000, bytesPerSecond: 10 * 1024 * 1024,
    batch: 500, unordered: true, chunkBytes: 64 * 1024 * 1024, report: 'r',
  })
  t.match(readMigrateFlags(['a:', 'b:', '--rate', '10MB/s'], {}), { keysPerSecond: undefined, bytesPerSecond: 10 * 1024 * 1024 })
  t.match(readMigrateFlags(['a:', 'b:', '--rate', '100', '--rate', '1.5KB'], {}), { keysPerSecond: 100, bytesPerSecond: 1536 })
  t.match(readMigrateFlags(['a:', 'b:', '--plan', 'p', '--verify', 'none', '--repair=false'], {}), { plan: 'p', verify: 'none', repair: false })
  t.match(readMigrateFlags(['a:', 'b:', '--dry-run=false', '--verify', 'full'], {}), { dryRun: false, verify: 'full' })
  t.match(readMigrateFlags(['--', '-a', '-b'], {}), { urls: { source: '-a', destination: '-b' } })
  t.match(readMigrateFlags(['undo', 'u.log', '--on-conflict', 'skip', '-reset'], {}), { undo: 'u.log', urls: undefined, onConflict: 'skip', reset: true })
  t.equal(readMigrateFlags(['-h'], {}).help && readMigrateFlags(['--help'], {}).help && readMigrateFlags(['-help', 'x'], {}).help, true)
})

t.test('flags: a bad one is named, with what is allowed', async (t) => {
  const errors: Record<string, string> = {
    '--confg x': 'there is no flag \'--confg\'; did you mean \'--config\'?',
    '-zzz=secret': 'there is no flag \'-zzz\'',
    'a b --on-conflict=overwrite': '--on-conflict is \'overwrite\'; it must be one of replace, skip, error',
    'a b --verify ful': '--verify is \'ful\'; it must be one of none, quick, full; did you mean \'full\'?',
    'a b --max-parallel 0': '--max-parallel is \'0\'; it must be a whole number from 1 to 1000',
    'a b --batch many': '--batch is \'many\'; it must be a whole number from 1 to 1000000',
    'a b --chunk-bytes 5XB': '--chunk-bytes is \'5XB\'; it must be a size, such as 4096, 512KB, 64MB or 1GB',
    'a b --rate fast': '--rate is \'fast\'; it must be keys a second (5000), bytes a second (10MB), or both (5000,10MB)',
    'a b --rate 0': '--rate is \'0\'; it must be keys a second (5000), bytes a second (10MB), or both (5000,10MB)',
    'a b --db x': '--db is \'x\'; it must be the number of a database (2), or from:to (0:3)',
    'a b --db 1 --db 1:2': '--db names database 1 twice',
    'a b --type strings': '--type is \'strings\'; it must be one of string, list, set, zset, hash, stream; did you mean \'string\'?',
    'a b --dry-run=maybe': 'flag --dry-run takes no value but true or false, not \'maybe\'',
    'a b --state': 'flag --state needs a value: --state DIR (folder for the checkpoint from which the same command goes on)',
    'a b --state --dry-run': 'flag --state needs a value, and the flag \'--dry-run\' follows; if that is the value, write --state=--dry-run',
    'a': '\'a\' stands alone; keyferry migrate takes two URLs, the source and the destination, or none and -config FILE',
    'a b c': 'there are 3 words beside the flags; keyferry migrate takes two URLs, the source and the destination, or none and -config FILE',
    'a b -config c': 'both -config and two URLs name the source and the destination; give one of them',
    '': 'nothing says what to copy: give -config FILE, or two URLs, the source and the destination (see keyferry migrate --help)',
    'undo u --dry-run': 'undo has no flag --dry-run: the log says what is put back; there are --config, --on-conflict, --state, --reset',
    'undo u --on-conflict skip --match a*': 'undo has no flag --match: the log says what is put back; there are --config, --on-conflict, --state, --reset',
    'undo': 'undo takes one file: keyferry migrate undo FILE, where FILE is what --undo-log wrote',
    'a b --plan p --apply p': '--plan and --apply exclude each other: a plan is either made or followed',
    'a b --repair --on-conflict error': '--repair and --on-conflict error exclude each other: a repair writes over what differs',
    'a b --repair --on-conflict=skip': '--repair and --on-conflict skip exclude each other: a repair writes over what differs',
    'a b --dry-run --apply p': '--dry-run and --apply exclude each other: a dry run writes nothing',
    'a b --dry-run --verify full': '--dry-run and --verify exclude each other: nothing is copied that could be verified. Leave --verify out: what would be copied is what is missing (created) or differs (overwritten, conflict)',
    'a b --plan p --verify quick': '--plan and --verify exclude each other: nothing is copied that could be verified. Leave --verify out: what would be copied is what is missing (created) or differs (overwritten, conflict)',
    'a b --plan p --repair': '--plan and --repair exclude each other: nothing is written. Leave --repair out: what would be copied is what is missing (created) or differs (overwritten, conflict)',
    'a b --plan p --undo-log u': '--plan and --undo-log exclude each other: nothing is overwritten that could be undone',
    'a b --reset --plan p': '-reset only removes the lock; it goes with no --dry-run, --plan or --apply',
  }
  for (const [words, message] of Object.entries(errors)) t.equal(errorOf(() => readMigrateFlags(words === '' ? [] : words.split(' '), {})), message, words)
  t.equal(errorOf(() => readMigrateFlags(['a', 'b'], { VAULT_LOG_LEVEL: 'loud' })), 'VAULT_LOG_LEVEL is \'loud\'; it must be one of trace, debug, info, warn, error')
})

t.test('help: examples first, every flag, every status, no line too long', async (t) => {
  const help = migrateHelp()
  t.ok(help.indexOf('Examples') < help.indexOf('--config'))
  for (const { name, value } of FLAGS) t.ok(help.includes(`  --${name}${value === undefined ? '' : ` ${value}`} `), name)
  for (const status of Object.values(EXIT)) t.match(help, new RegExp(`^ +${status}  \\w`, 'm'))
  t.equal(EXIT_MEANINGS.length, Object.keys(EXIT).length)
  t.same(help.split('\n').filter((line) => line.length > 115), [])
})

// ------------------------------------------------------------------------------------------------ showing

/** A terminal that keeps what was written to it, and what a person would see of it. */
class Screen implements TerminalStream {
  written = ''
  listeners: (() => void)[] = []

  constructor(
    readonly isTTY: boolean,
    public columns = 100,
  ) {}

  write(text: string): void {
    this.written += text
  }

  on(_event: 'resize', listener: () => void): void {
    this.listeners.push(listener)
  }

  off(_event: 'resize', listener: () => void): void {
    this.listeners = this.listeners.filter((other) => other !== listener)
  }

  /** The lines left standing: what was drawn over is gone. Takes no account of wrapping. */
  get lines(): string[] {
    return this.written.split('\n').map((line) => line.split('\r').at(-1)?.replace(/\x1b\[[\d;]*[A-Za-z]/g, '') ?? '')
  }
}

const progressOf = (more: Partial<Progress> = {}): Progress => ({ phase: 'copying', keys: 12_345, total: 21_000, bytes: 3_500_000, errors: 0, elapsedMs: 10_000, last: undefined, ...more })
const RATES = { keysPerSecond: 8123, bytesPerSecond: 2_200_000 }

t.test('the line on a terminal fits it, and tells what matters longest', async (t) => {
  t.equal(progressLine(progressOf({ errors: 2 }), RATES, 120, false).text, 'copying  ██████████████████░░░░░░░░░░░░   58 %  12,345 / 21,000 keys  3.3 MB  8,123 keys/s  2.1 MB/s  ETA 0:01  2 errors')
  t.equal(progressLine(progressOf(), RATES, 79, false).text, 'copying   58 %  12,345 / 21,000 keys  3.3 MB  8,123 keys/s  2.1 MB/s  ETA 0:01')
  t.equal(progressLine(progressOf({ total: undefined, errors: 1 }), RATES, 100, false).text, 'copying  12,345 keys  3.3 MB  8,123 keys/s  2.1 MB/s  0:10  1 error')
  t.equal(progressLine(progressOf({ keys: 0, total: 0 }), { keysPerSecond: 0, bytesPerSecond: 0 }, 100, false).text, 'copying  0 / 0 keys  3.3 MB  0 keys/s  0 B/s  0:10')
  t.equal(progressLine(progressOf({ errors: 2 }), RATES, 30, false).text, 'copying   58 %  2 errors')
  t.equal(progressLine(progressOf(), RATES, 39, false).text, 'copying   58 %  12,345 / 21,000 keys')
  t.equal(progressLine(progressOf({ errors: 2 }), RATES, 60, false).text, 'copying   58 %  12,345 / 21,000 keys  ETA 0:01  2 errors')
  t.equal(progressLine(progressOf({ errors: 2 }), RATES, 3, false).text, ' 58')
  for (let columns = 1; columns < 200; columns++) {
    const { text, width } = progressLine(progressOf({ errors: 7, keys: 30_000 }), RATES, columns, true)
    const seen = text.replace(/\x1b\[\d+m/g, '')
    if (seen.length > columns || seen.length !== width) t.fail(`${columns} columns: ${seen.length}, said ${width}`)
  }
  t.equal(bar(0.5, 10, false), '█████░░░░░')
  t.equal(bar(7, 2, true), '\x1b[32m██\x1b[90m\x1b[0m')
})

t.test('rates are those of the last seconds', async (t) => {
  const rates = new RecentRates()
  t.equal(rates.keysPerSecond, 0)
  for (let ms = 0; ms <= 10_000; ms += 100) rates.add(progressOf({ elapsedMs: ms, keys: ms < 4000 ? ms : 4000 + (ms - 4000) * 2, bytes: 0 }))
  t.ok(Math.abs(rates.keysPerSecond - 2000) < 50, String(rates.keysPerSecond))
  rates.restart()
  t.equal(rates.bytesPerSecond, 0)
})

const summary = (counts: Partial<Record<Outcome, number>>, more: Partial<Report> = {}): Report => ({
  counts: { ...(Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>), ...counts },
  keys: Object.values(counts).reduce((a, b) => a + b, 0), bytes: 5_000_000, elapsedMs: 2500, samples: {}, interrupted: false, failed: false, watermark: undefined, ...more,
})

t.test('a terminal: drawn at most ten times a second, lines above, nothing left at the end', async (t) => {
  const err = new Screen(true)
  const out = new Screen(true)
  let now = 1_000_000
  const display = new MigrateDisplay({ level: 'info', format: 'standard', out, err, env: { NO_COLOR: '1' }, now: () => now })
  for (let i = 0; i < 100; i++, now += 10) display.progress(progressOf({ keys: i * 100, elapsedMs: i * 10 }))
  t.equal(err.written.split('\r').length - 1, 10)
  t.notMatch(err.written, /\x1b\[\d*m/, 'no colour')
  display.note('warning', 'trying again')
  t.match(err.lines, [/^\S+ \[WARN\] {2}trying again$/, /^copying .* 47 %/])
  err.columns = 40
  err.listeners[0]()
  t.ok((err.lines.at(-1) ?? '').length < 40)
  display.key({ db: 0, key: Buffer.from('a') }, 'created')
  display.report(summary({ created: 3 }))
  display.close()
  display.close()
  t.equal(err.lines.at(-1), '')
  t.same(err.listeners, [])
  t.equal(out.written, '3 keys of 3 copied, 4.8 MB in 2.5 s (1 keys/s, 1.9 MB/s)\n  created      3\n')
})

t.test('elsewhere: a line every ten seconds', async (t) => {
  const err = new Screen(false)
  let now = Date.UTC(2020, 4, 6, 11, 32, 5, 169)
  const display = new MigrateDisplay({ level: 'info', format: 'standard', out: new Screen(false), err, env: {}, now: () => now })
  for (let i = 0; i <= 200; i++, now += 100) display.progress(progressOf({ keys: i * 100, elapsedMs: i * 100, last: { db: 0, key: Buffer.from('a b') } }))
  const lines = err.written.trimEnd().split('\n')
  t.equal(lines.length, 2)
  t.match(lines[1], /^2020-05-06T\d\d:\d\d:25\.169[+-]\d{4} \[INFO\] {2}copying: keys=20000 total=21000 bytes=3500000 keys_per_second=1000 bytes_per_second=0 errors=0 elapsed=0:20 eta=0:01 last="a b"$/)
  display.close()
})

t.test('levels: a line per key with debug, only what matters with warn, one object per line with json', async (t) => {
  const shown = (options: { level: 'debug' | 'warn' | 'error' | 'info', format: 'standard' | 'json', isDryRun?: boolean }): [string[], string] => {
    const [err, out] = [new Screen(true), new Screen(true)]
    const display = new MigrateDisplay({ ...options, out, err, env: {}, now: () => 0 })
    display.progress(progressOf())
    display.key({ db: 0, key: Buffer.from('logical/a') }, 'written')
    display.key({ db: 3, key: Buffer.from('b\0') }, 'conflict', 'the destination has another value')
    display.key({ db: 0, key: Buffer.from('c') }, 'identical')
    display.note('info', 'going on')
    display.note('warning', 'trying again')
    display.report(summary({ written: 1, conflict: 1 }))
    display.close()
    return [err.written.replace(/\S+T\S+ /g, '').trimEnd().split('\n'), out.written]
  }
  const [lines] = shown({ level: 'debug', format: 'standard' })
  t.same(lines, [
    '[DEBUG] copied key: path=logical/a', '[DEBUG] failed key: path="b\\x00" db=3 outcome=conflict reason="the destination has another value"', '[DEBUG] passed over key: path=c outcome=identical',
    '[INFO]  going on', '[WARN]  trying again',
  ])
  t.equal(shown({ level: 'debug', format: 'standard', isDryRun: true })[0][0], '[DEBUG] would copy key: path=logical/a')
  t.same(shown({ level: 'warn', format: 'standard' })[0], ['[WARN]  trying again'])
  t.match(shown({ level: 'warn', format: 'standard' })[1], /1 key of 2 copied/)
  t.same(shown({ level: 'error', format: 'standard' }), [[''], ''])
  const [objects, table] = shown({ level: 'info', format: 'json' })
  t.equal(table, '')
  t.match(objects.map((line) => JSON.parse(line) as unknown), [
    { '@level': 'info', '@message': 'going on', '@timestamp': /^1970-01-01T00:00:00\.000000Z$|^19\d\d-\S+[+-]\d\d:\d\d$/ }, { '@level': 'warn', '@message': 'trying again' },
    { '@level': 'info', '@message': 'migration ended', keys: 2, written: 1, conflict: 1, interrupted: false },
  ])
})

t.test('log lines as Vault writes them', async (t) => {
  const lines: string[] = []
  const log = new MigrateLog('trace', 'standard', (line) => lines.push(line), () => new Date(2020, 4, 6, 11, 32, 5, 9).getTime())
  for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) log.log(level, 'message', { a: 1, empty: '', gone: undefined, text: 'two words', equal: 'a=b', truth: true })
  t.match(lines[0], /^2020-05-06T11:32:05\.009[+-]\d{4} \[TRACE\] message: a=1 empty="" text="two words" equal="a=b" truth=true$/)
  t.same(lines.map((line) => /\[.*?\] +/.exec(line)?.[0]), ['[TRACE] ', '[DEBUG] ', '[INFO]  ', '[WARN]  ', '[ERROR] '])
})

t.test('keys in the log: plain text in JSON, quoted elsewhere, and every byte of them known', async (t) => {
  const shown = (format: 'standard' | 'json', key: Buffer): string => {
    const err = new Screen(false)
    const display = new MigrateDisplay({ level: 'debug', format, out: new Screen(false), err, env: {}, now: () => 0 })
    display.key({ db: 0, key }, 'created')
    display.report(summary({ created: 1 }, { interrupted: true, watermark: { db: 0, key } }))
    display.close()
    return err.written.trimEnd()
  }
  const long = Buffer.from(`${'a'.repeat(199)}üx`)
  for (const [key, text] of [['ü x', '"ü x"'], ['logical/ü', 'logical/ü'], ['😀 "\\', '"😀 \\"\\\\"'], ['a\0\x85b', '"a\\x00\\xc2\\x85b"'], ['\ufffd', '\ufffd']] as const) {
    t.ok(shown('standard', Buffer.from(key)).endsWith(`copied key: path=${text}`), text)
    const lines = shown('json', Buffer.from(key)).split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    t.same([lines[0]['path'], lines[1]['watermark'], 'path_base64' in lines[0], 'watermark_base64' in lines[1]], [key, key, false, false], text)
  }
  const odd = Buffer.from([0x62, 0xff, 0x20, 0xc3, 0xbc])
  t.ok(shown('standard', odd).endsWith('path="b\\xff \\xc3\\xbc"'))
  t.match(shown('json', odd).split('\n').map((line) => JSON.parse(line) as unknown), [{ path: 'b\ufffd ü', path_base64: odd.toString('base64') }, { watermark: 'b\ufffd ü', watermark_base64: odd.toString('base64') }])
  t.equal(keyText(long), `${'a'.repeat(199)}... (202 bytes)`, 'not cut within a character')
  t.match(JSON.parse(shown('json', long).split('\n')[0]), { path: long.toString() })
})

t.test('the table at the end', async (t) => {
  const report = summary({ created: 1234, overwritten: 6, 'too-large': 12, conflict: 1 }, {
    elapsedMs: 61_000, interrupted: true,
    samples: { conflict: [{ ref: { db: 0, key: Buffer.from('user:1') }, reason: 'another value' }], 'too-large': [{ ref: { db: 3, key: Buffer.from('a b') }, reason: '17 MB' }] },
  })
  t.equal(reportTable(report, false, false), `Interrupted after 1,253 keys. 1,240 keys copied, 4.8 MB in 1:01 min (21 keys/s, 80.0 KB/s)
  created      1,234
  overwritten      6
  conflict         1
  too-large       12

conflict:
  user:1: another value

too-large, the first 1 of 12:
  "a b" (database 3): 17 MB
`)
  t.match(reportTable(report, true, true), /Interrupted after 1,253 keys\. Dry run: 1,240 keys would be copied/)
  t.match(reportTable(report, false, true), /\x1b\[31m {2}conflict/)
})

t.test('quantities', async (t) => {
  t.same([0, 999, 1000, 1024, 150_000, 5_000_000, 3e9, 5e12].map(bytesText), ['0 B', '999 B', '1.0 KB', '1.0 KB', '146 KB', '4.8 MB', '2.8 GB', '4.5 TB'])
  t.same([0, 7400, 754_000, 11_554_000, 443_554_000].map(clockText), ['0:00', '0:07', '12:34', '3:12:34', '5 d 3:12:34'])
  t.same([850, 12_340, 754_000, 11_554_000].map(durationText), ['850 ms', '12.3 s', '12:34 min', '3:12:34 h'])
  t.same([keysText(1), keysText(1234), countText(1e6)], ['1 key', '1,234 keys', '1,000,000'])
})

t.test('colour: only on a terminal, and nobody said NO_COLOR', async (t) => {
  t.same([wantsColour({ isTTY: true, write() {} }, {}), wantsColour({ isTTY: true, write() {} }, { NO_COLOR: '1' }), wantsColour({ write() {} }, {}), wantsColour({ isTTY: true, write() {} }, { TERM: 'dumb' })], [true, false, false, false])
})

t.test('a line that was wrapped by a narrower terminal is cleared with all its rows', async (t) => {
  const screen = new Screen(true, 80)
  const line = new LiveLine(screen)
  line.draw('x'.repeat(79), 79)
  screen.columns = 30
  screen.written = ''
  line.draw('y', 1)
  t.equal(screen.written, '\r\x1b[2Ay\x1b[J')
  line.keep()
  line.close()
  t.equal(screen.written.endsWith('y\x1b[J\n'), true)
})

// ------------------------------------------------------------------------------------------------ documentation

t.test('the documentation names every flag, status, backend and option', async (t) => {
  const docs = (name: string): string => readFileSync(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8')
  const page = docs('migrate.md')
  for (const { name } of FLAGS) t.match(page, new RegExp(`\`--?${name}\\b`), `--${name}`)
  for (const [status, meaning] of EXIT_MEANINGS) t.ok(page.includes(`| ${status} | ${meaning} |`), `status ${status}`)
  for (const type of storeTypes) {
    const { options, schemes } = await storeOfType(type)
    const section = docs(`backends/${type === 'inmem' ? 'memory' : type}.md`)
    t.match(docs('backends.md'), `[${type}](backends/`, `${type} is in the table`)
    for (const option of options) t.match(section, new RegExp(`^\\| \`${option.name}\``, 'm'), `${type}: ${option.name}`)
    for (const scheme of schemes) t.match(section, `${scheme}:`, `${type}: ${scheme}:`)
  }
})
