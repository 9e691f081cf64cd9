import { describe, expect, it } from 'vitest'
import type { AccountEntry } from './contract'
import { personOf, trimmed } from './person'

const ADAM: AccountEntry = {
  id: '9',
  username: 'adam',
  given_name: 'Adam',
  family_name: 'Adamić',
  roles: ['administrator'],
  institution_id: '1',
  email: '',
  phone: '1',
  address: 'Ilica 1',
  is_doctor: true,
  is_active: true,
}

describe('the form of an account', () => {
  it('begins with somebody new as a physician of the same institution', () => {
    expect(personOf(null, ADAM)).toMatchObject({ roles: ['physician'], institution_id: '1', family_name: '' })
  })

  it('holds what is kept, and nothing that cannot be changed', () => {
    const { id, username, is_active, ...kept } = ADAM

    expect(personOf(ADAM, ADAM)).toEqual(kept)
    expect([id, username, is_active]).toEqual(['9', 'adam', true])
  })

  it('does not share its roles with the list', () => {
    expect(personOf(ADAM, ADAM).roles).not.toBe(ADAM.roles)
  })

  it('sends no blanks around what was written', () => {
    expect(trimmed({ ...personOf(ADAM, ADAM), family_name: ' Adamić ', address: 'Ilica 1\r\nZagreb\n' })).toMatchObject({
      family_name: 'Adamić',
      address: 'Ilica 1\nZagreb',
    })
  })
})
