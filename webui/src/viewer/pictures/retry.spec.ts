import { expect, it } from 'vitest'
import type { Failure } from '../../api'
import { subsequentDelayMs } from './retry'

const refused = (status: number, retryAfterS: number | null = null): Failure => ({
  kind: 'refused',
  problem: { type: '', title: '', status },
  retryAfterS,
})

it('waits longer each time, but not for ever', () => {
  expect([0, 1, 2, 9].map((tries) => subsequentDelayMs({ kind: 'unreachable' }, tries))).toEqual([1000, 2000, 4000, 15000])
})
it('does not ask again for what would be refused again', () => expect(subsequentDelayMs(refused(404), 0)).toBeNull())
it('waits as long as the server asks for', () => expect(subsequentDelayMs(refused(503, 30), 0)).toBe(30_000))
