import { expect, it } from 'vitest'
import { afterFirst, loadAfterFirst, sayFirst } from './first'

it('goes before what can wait for it, which begins then, or never where it was given up', async () => {
  const done: string[] = []
  const end = afterFirst(() => {
    done.push('began')
    return () => done.push('ended')
  })
  afterFirst(() => void done.push('given up'))()
  const part = loadAfterFirst(async () => done.push('asked for a part'))
  await Promise.resolve()
  expect(done).toEqual([])

  sayFirst()
  await part
  end()

  expect(done).toEqual(['began', 'asked for a part', 'ended'])
})
