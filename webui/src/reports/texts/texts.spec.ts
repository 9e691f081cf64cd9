import { expect, it } from 'vitest'
import { hr } from './hr'

it('counts as Croatian does', () => {
  expect([1, 2, 5, 21].map(hr.count)).toEqual(['1 slika', '2 slike', '5 slika', '21 slika'])
})
