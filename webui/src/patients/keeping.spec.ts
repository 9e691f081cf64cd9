import { expect, it } from 'vitest'
import type { Failure, Patient } from '../api'
import { asKept, complaintOf, EMPTY, toKeep } from './keeping'

it('keeps the numbers of insurers, and none of an institution', () => {
  const identities = [
    { institution_id: 'clinic', issuer: '', value: '77' },
    { institution_id: '00000000-0000-0000-0000-000000000000', issuer: 'HZZO', value: '1' },
  ]

  expect(asKept({ ...EMPTY, identities } as unknown as Patient).insurance_numbers).toEqual([{ issuer: 'HZZO', value: '1' }])
})

it('leaves out a number that nobody wrote', () => {
  expect(toKeep({ ...EMPTY, insurance_numbers: [{ issuer: ' ', value: '' }, { issuer: 'HZZO', value: '' }] }).insurance_numbers).toHaveLength(1)
})

it('names the institutions that hold something', () => {
  const problem = { type: 'patient-in-use', title: '', status: 409, institution_ids: ['a', 'b'] }
  const failure: Failure = { kind: 'refused', problem, retryAfterS: null }

  expect(complaintOf(failure, (id) => `Clinic ${id}`)).toContain('Clinic a, Clinic b')
  expect(complaintOf({ kind: 'unreachable' }, String)).toBeNull()
})
