import { expect, it } from 'vitest'
import { recordOf } from './record'

const held = (name: string, sex: string | null = 'F') => ({ name, id: '1', issuer: '', birth_date: '1970-01-31', sex })

it('begins a record with what the study says', () => {
  expect(recordOf(held('Müller^Anna^Maria^Dr.'))).toEqual({
    family_name: 'Müller',
    given_name: 'Anna Maria',
    birth_date: '1970-01-31',
    gender: 'F',
  })
})

it('takes the first group of a name that has any, and no gender that is none', () => {
  expect(recordOf(held('=山田^太郎', 'X'))).toEqual({ family_name: '山田', given_name: '太郎', birth_date: '1970-01-31', gender: null })
})
