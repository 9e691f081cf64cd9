/** What is said of a patient. */

import type { Failure, Patient, PatientToKeep } from '../api'
import { isRefusedAs } from '../api'
import { keepingTexts as texts } from '../shared/texts'

/** In the place of the institution, of a number that is not one institution's. */
const EVERYWHERE = '00000000-0000-0000-0000-000000000000'

export const EMPTY: PatientToKeep = {
  family_name: '',
  given_name: '',
  birth_date: null,
  gender: null,
  address: '',
  email: '',
  phone: '',
  insurance_numbers: [],
}

export const asKept = ({ family_name, given_name, birth_date, gender, address, email, phone, identities }: Patient): PatientToKeep => ({
  family_name,
  given_name,
  birth_date,
  gender,
  address,
  email,
  phone,
  insurance_numbers: identities.filter(({ institution_id }) => institution_id === EVERYWHERE).map(({ issuer, value }) => ({ issuer, value })),
})

/** Without the rows of numbers in which nothing was written. */
export const toKeep = (wanted: PatientToKeep): PatientToKeep => ({
  ...wanted,
  insurance_numbers: wanted.insurance_numbers.filter(({ issuer, value }) => issuer.trim() || value.trim()),
})

/** In words of these pages; null where the others have some. */
export function complaintOf(failure: Failure, institutionName: (id: string) => string): string | null {
  if (isRefusedAs(failure, 'changed-meanwhile')) return texts.meanwhile
  if (isRefusedAs(failure, 'number-taken')) return texts.taken
  if (failure.kind === 'refused' && isRefusedAs(failure, 'patient-in-use'))
    return texts.inUse((failure.problem.institution_ids as string[]).map(institutionName).join(', '))
  return null
}
