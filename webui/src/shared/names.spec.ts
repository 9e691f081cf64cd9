import { expect, it } from 'vitest'
import { fullName, writtenPersonName } from './names'

it('writes the family name first', () => {
  expect(fullName({ family_name: 'Doe', given_name: 'Jane' })).toBe('Doe, Jane')
})
it('leaves no lonely comma', () => expect(fullName({ family_name: 'Doe', given_name: '' })).toBe('Doe'))
it('reads the parts of a DICOM name', () => expect(writtenPersonName('Doe^Jane^M^Dr')).toBe('Doe, Jane M'))
it('takes the first group that is written', () => expect(writtenPersonName('=山田^太郎')).toBe('山田, 太郎'))
it('says that a name is not known', () => expect(writtenPersonName('^^')).toBe('Name not known'))
