/** What programs use: ioredis against a server in this process, as its users write it. */
import { Redis } from 'ioredis'
import t from 'tap'
import { createServer } from '../src/index.js'

t.test('ioredis', async (t) => {
  const server = await createServer()
  const target = await createServer()
  const redis = new Redis(server.url)
  const other = new Redis(target.url)
  t.teardown(async () => {
    redis.disconnect()
    other.disconnect()
    await Promise.all([server.close(), target.close()])
  })
  await t.test('values come back', async (t) => {
    t.equal(await redis.set('greeting', 'hello', 'EX', 100), 'OK')
    t.equal(await redis.get('greeting'), 'hello')
    t.equal(await redis.get('nothing'), null)
    await redis.hset('user:1', { name: 'Ada', born: 1815 })
    t.same(await redis.hgetall('user:1'), { name: 'Ada', born: '1815' })
    await redis.zadd('scores', '1.5', 'a', '2', 'b')
    t.same(await redis.zrange('scores', '0', '-1'), ['a', 'b'])
    const binary = Buffer.from([0, 255, 13, 10, 128])
    await redis.set(binary, binary)
    t.same(await redis.getBuffer(binary), binary)
    await t.rejects(redis.lpush('greeting', 'x'), /WRONGTYPE/)
  })
  await t.test('pipelines, transactions, watching', async (t) => {
    const replies = await redis.pipeline().set('n', 1).incr('n').incrby('n', 40).get('n').exec()
    t.same(replies?.map(([error, value]) => [error, value]), [[null, 'OK'], [null, 2], [null, 42], [null, '42']])
    t.same(await redis.multi().incr('n').incr('n').exec(), [[null, 43], [null, 44]])
    await redis.watch('n')
    const second = redis.duplicate()
    await second.set('n', 0)
    second.disconnect()
    t.equal(await redis.multi().incr('n').exec(), null)
  })
  await t.test('a walk over all keys', async (t) => {
    await redis.mset(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`walk:${i}`, 'x'])))
    const seen = new Set<string>()
    for await (const keys of redis.scanStream({ match: 'walk:*', count: 50 })) for (const key of keys as string[]) seen.add(key)
    t.equal(seen.size, 500)
  })
  await t.test('MIGRATE, as a program calls it', async (t) => {
    t.equal(await redis.call('MIGRATE', '127.0.0.1', target.port, '', 0, 5000, 'KEYS', 'user:1', 'scores', 'missing'), 'OK')
    t.equal(await redis.exists('user:1', 'scores'), 0)
    t.same(await other.hgetall('user:1'), { name: 'Ada', born: '1815' })
    t.equal(await other.zscore('scores', 'a'), '1.5')
    t.equal(await redis.call('MIGRATE', '127.0.0.1', target.port, 'missing', 0, 5000), 'NOKEY')
  })
})
