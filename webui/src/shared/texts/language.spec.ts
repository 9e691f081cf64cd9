import { expect, it } from 'vitest'
import { preferred } from './language'

const languages = { en: 'Report', hr: 'Izvješće' }

it('is the first language that is preferred and there', () => {
  expect(preferred(languages, 'Report', ['fr', 'hr-HR', 'en'])).toBe('Izvješće')
  expect(preferred(languages, 'Report', ['en-GB', 'hr'])).toBe('Report')
})

it('is the one for all where none is', () => {
  expect(preferred(languages, 'Report', ['fr'])).toBe('Report')
  expect(preferred(languages, 'Report', [])).toBe('Report')
})
