import { expect, it } from 'vitest'
import { completenessIn, windowIn } from './load'

it('takes a picture that does not say for a whole one', () => {
  expect(completenessIn(new Headers())).toBe(1)
  expect(completenessIn(new Headers({ 'Volume-Complete': '0.42' }))).toBe(0.42)
  expect(completenessIn(new Headers({ 'Volume-Complete': '0' }))).toBe(0)
})

it('reads the window that the server found', () => {
  expect(windowIn(new Headers({ 'Rendered-Window': '-600,1500,sigmoid' }))).toEqual({ center: -600, width: 1500, function: 'sigmoid' })
  expect(windowIn(new Headers())).toBeNull()
})
