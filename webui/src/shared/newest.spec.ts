import { expect, it } from 'vitest'
import { succeeded } from '../api'
import { Newest } from './newest'

it('takes back the request before, even if its answer was on the way', async () => {
  const newest = new Newest()

  const first = newest.ask(async () => succeeded('old'))
  const second = newest.ask(async () => succeeded('new'))

  expect(await first).toEqual({ ok: false, failure: { kind: 'aborted' } })
  expect(await second).toEqual({ ok: true, value: 'new' })
})
