import { expect, it } from 'vitest'
import { pathOf } from './qr'

it('draws each run of dark modules as one rectangle', () => {
  expect(pathOf(['1101', '0000', '0111'])).toBe('M0 0h2v1h-2zM3 0h1v1h-1zM1 2h3v1h-3z')
})
it('draws nothing where all is light', () => expect(pathOf(['00', '00'])).toBe(''))
