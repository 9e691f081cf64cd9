import { expect, it } from 'vitest'
import { PictureCache } from './cache'

const picture = (name: string, sizeBytes = 10) => ({ name, sizeBytes })

it('forgets what was unused the longest', () => {
  const cache = new PictureCache<ReturnType<typeof picture>>(() => 30)
  for (const name of ['a', 'b', 'c']) cache.put(name, picture(name))
  cache.get('a')

  const forgotten = cache.put('d', picture('d'))

  expect(forgotten.map(({ name }) => name)).toEqual(['b'])
  expect(cache.bytes).toBe(30)
})

it('counts a picture once that is put twice, and gives the first back', () => {
  const cache = new PictureCache<ReturnType<typeof picture>>(() => 100)
  const first = picture('a')
  cache.put('a', first)

  expect(cache.put('a', picture('a', 20))).toEqual([first])
  expect(cache.bytes).toBe(20)
})

it('keeps nothing that is larger than all of it', () => {
  const cache = new PictureCache<ReturnType<typeof picture>>(() => 15)

  expect(cache.put('a', picture('a', 16))).toHaveLength(1)
  expect([cache.has('a'), cache.bytes]).toEqual([false, 0])
})

it('gives everything back when it is cleared', () => {
  const cache = new PictureCache<ReturnType<typeof picture>>(() => 100)
  cache.put('a', picture('a'))
  cache.put('b', picture('b'))

  expect(cache.clear()).toHaveLength(2)
  expect(cache.bytes).toBe(0)
})
