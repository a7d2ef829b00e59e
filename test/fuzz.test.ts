/**
 * The differential fuzzer for a few seconds: keyferry against valkey, another seed every day (FUZZ_SEED repeats one).
 * And the fuzzer itself, against a server it has to find fault with.
 */
import t from 'tap'
import { fuzz } from './fuzz/fuzzer.js'
import { parseSyntax, produce } from './fuzz/grammar.js'
import { Chance } from './fuzz/chance.js'
import { peerInstalled, skipWithout } from './peers.js'

const SECONDS = 12
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Date.now() / 86_400_000) * 100_000)

t.test('syntax lines', async (t) => {
  const context = () => ({ chance: new Chance(7), prefix: 's', lastCount: 1, payloads: [], now: 0 })
  const syntax = parseSyntax('3x SET $key (a | b) [NX | XX] <$key>')
  t.equal(syntax.weight, 3)
  t.same(produce(syntax, context()), produce(syntax, context()), 'the same seed makes the same command')
  t.throws(() => parseSyntax('GET $nothing'), /unknown/)
  t.throws(() => parseSyntax('GET [a'), /missing/)
})

t.test('finds the differences between redis 7.0 and valkey', { skip: skipWithout('redis') || skipWithout('valkey') }, async (t) => {
  const { failures } = await fuzz({ seconds: 10, seed: 3, left: 'redis', right: 'valkey', groups: ['set'] })
  t.equal(failures.length, 1, 'a difference')
  t.match(failures[0], /again: npm run fuzz -- --seed \d+/)
})

t.test(`keyferry answers as valkey does (seed ${seed})`, { skip: !peerInstalled('keyferry') ? 'not built' : skipWithout('valkey'), timeout: 120_000 }, async (t) => {
  const { rounds, commands, failures } = await fuzz({ seconds: SECONDS, seed })
  t.comment(`${rounds} rounds, ${commands} commands`)
  t.same(failures, [], 'no differences')
})
