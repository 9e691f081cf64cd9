import { expect, it } from 'vitest'
import { writtenBytes, writtenNumber } from './amounts'

it('writes bytes in the largest unit that leaves a digit', () => {
  expect([0, 999, 1000, 532_480, 2_500_000_000].map(writtenBytes)).toEqual(['0 B', '999 B', '1 kB', '532 kB', '2.5 GB'])
})
it('writes no negative zero', () => expect(writtenNumber(-0.04, 1)).toBe('0'))
it('writes a true minus', () => expect(writtenNumber(-12.34, 1)).toBe('−12.3'))
