import { describe, expect, it } from 'vitest'
import type { Patient, PatientAsHeld } from '../api'
import { compare, ranked, searchesFor } from './candidates'

const CLINIC = 'clinic'
const HELD: PatientAsHeld = { name: 'Müller^Anna^Maria', id: '4711', issuer: '', birth_date: '1970-01-31', sex: 'F' }

function patient(id: string, given: Partial<Patient> = {}): Patient {
  return { id, family_name: 'Müller', given_name: 'Anna Maria', birth_date: '1970-01-31', gender: 'F', identities: [], institution_ids: [], address: '', email: '', phone: '', tag: '1', ...given }
}

const numbered = (value: string, institution_id = CLINIC) => [{ institution_id, issuer: '', value }]

describe('a comparison', () => {
  it('finds a name the same without case, marks and order', () => {
    expect(compare(HELD, patient('1', { family_name: 'MULLER-ANNA', given_name: 'Maria' }), CLINIC).name).toBe('same')
    expect(compare({ ...HELD, name: 'Müller^Anna^Maria^Dr.=山田' }, patient('1'), CLINIC).name).toBe('same')
  })

  it('says what differs', () => {
    const other = patient('1', { given_name: 'Anna', birth_date: '1970-01-30', gender: 'M' })

    expect(compare(HELD, other, CLINIC)).toEqual({ name: 'differs', birthDate: 'differs', gender: 'differs', hasNumber: false })
  })

  it('never takes two blanks for the same', () => {
    const blank = patient('1', { family_name: '', given_name: ' ', birth_date: null, gender: null, identities: numbered('') })
    const nothing: PatientAsHeld = { name: '^^', id: '', issuer: '', birth_date: null, sex: null }

    expect(compare(nothing, blank, CLINIC)).toEqual({ name: 'missing', birthDate: 'missing', gender: 'missing', hasNumber: false })
  })

  it('knows a number only of this institution', () => {
    expect(compare(HELD, patient('1', { identities: numbered('4711') }), CLINIC).hasNumber).toBe(true)
    expect(compare(HELD, patient('1', { identities: numbered('4711', 'other') }), CLINIC).hasNumber).toBe(false)
  })
})

describe('candidates', () => {
  it('come with the likeliest first, each once, and without those who have nothing in common', () => {
    const stranger = patient('stranger', { family_name: 'Bauer', birth_date: '1980-02-01' })
    const sameName = patient('name', { birth_date: null })
    const sameNumber = patient('number', { family_name: 'Bauer', birth_date: null, identities: numbered('4711') })
    const all = patient('all', { identities: numbered('4711') })

    const found = ranked(HELD, [stranger, sameName, sameNumber, all, sameName], CLINIC)

    expect(found.map(({ id }) => id)).toEqual(['all', 'number', 'name'])
  })

  it('are searched for by number, name and birth date', () => {
    expect(searchesFor(HELD)).toEqual(['4711', 'muller anna maria', 'muller 1970-01-31', '1970-01-31'])
  })

  it('are not searched for by nothing, which would find everybody', () => {
    expect(searchesFor({ name: '^', id: ' ', issuer: '', birth_date: null, sex: null })).toEqual([])
  })
})
