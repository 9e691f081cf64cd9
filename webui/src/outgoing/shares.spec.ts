import { expect, it } from 'vitest'
import { addressOfShare, secretIn } from './shares'

const SECRET = 'a'.repeat(42) + '_'

it('puts the secret behind the part of an address that is sent, and finds it there', () => {
  const address = new URL(addressOfShare(SECRET, 'https://toplevel.example'))

  expect(address.pathname + address.search).toBe('/shared')
  expect(secretIn(address.hash)).toBe(SECRET)
})

it('takes nothing else for a secret', () => {
  for (const hash of ['', '#', '#short', '#with blanks and more than twenty', `#${'a'.repeat(101)}`]) expect(secretIn(hash)).toBeNull()
})
