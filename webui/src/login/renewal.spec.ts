import { expect, it } from 'vitest'
import { isFresh, renewalDelayMs } from './renewal'

it('renews while there is time for several tries', () => expect(renewalDelayMs(600)).toBe(480_000))
it('does not renew without end when a token lives for no time', () => expect(renewalDelayMs(0)).toBe(1000))
it('does not use a token that is about to end', () => {
  expect(isFresh({ value: 't', expiresAt: 10_000 }, 6_000)).toBe(false)
  expect(isFresh({ value: 't', expiresAt: 20_000 }, 6_000)).toBe(true)
  expect(isFresh(null, 0)).toBe(false)
})
