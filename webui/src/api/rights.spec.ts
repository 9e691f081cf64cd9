import { describe, expect, it } from 'vitest'
import type { Account } from './contract'
import { whyNot, whyNotShare } from './rights'

const ANA: Account = {
  id: 'ana',
  username: 'ana',
  given_name: 'Ana',
  family_name: 'Anić',
  roles: ['physician'],
  institution_id: 'clinic',
  rights: { everywhere: ['view', 'share studies'], at_home: ['measure', 'report'] },
}

describe('what somebody may do', () => {
  it('is at their own institution what they may there', () => {
    expect(whyNot(ANA, 'measure', 'clinic')).toBeNull()
  })

  it('is refused elsewhere, where it is only theirs at home', () => {
    expect(whyNot(ANA, 'measure', 'hospital')).toBe('other-institution')
    expect(whyNot(ANA, 'measure', null)).toBe('other-institution')
  })

  it('is refused everywhere, where no server says that they may', () => {
    expect(whyNot(ANA, 'make anonymised copies', 'clinic')).toBe('missing-right')
  })

  it('is theirs everywhere, where a server says so', () => {
    expect(whyNot({ ...ANA, institution_id: null }, 'share studies', 'hospital')).toBeNull()
  })

  it('is to share what their own institution holds', () => {
    expect(whyNotShare(ANA, 'clinic')).toBeNull()
    expect(whyNotShare(ANA, 'hospital')).toBe('other-institution')
    expect(whyNotShare({ ...ANA, rights: { everywhere: ['view'], at_home: [] } }, 'clinic')).toBe('missing-right')
  })
})
