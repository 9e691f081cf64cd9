import type { Gender, NewPatient, PatientAsHeld } from '../api'

/** What a study calls its patient, as the beginning of a record that a physician completes. */
export function recordOf({ name, birth_date, sex }: PatientAsHeld): NewPatient {
  const group = name.split('=').find((part) => part.replaceAll('^', '').trim()) ?? ''
  const [family = '', given = '', middle = ''] = group.split('^').map((part) => part.trim())
  return {
    family_name: family,
    given_name: [given, middle].filter(Boolean).join(' '),
    birth_date,
    gender: isGender(sex) ? sex : null,
  }
}

const isGender = (sex: string | null): sex is Gender => sex === 'F' || sex === 'M' || sex === 'O'
