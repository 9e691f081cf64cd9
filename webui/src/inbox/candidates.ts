/** Who a study might belong to: what to search for, and how each patient compares. Offered, never chosen here. */

import type { Patient, PatientAsHeld } from '../api'

export type Verdict = 'same' | 'differs' | 'missing'

export interface Comparison {
  name: Verdict
  birthDate: Verdict
  gender: Verdict
  /** The patient is known by the study's number, at this institution. */
  hasNumber: boolean
}

const MOST_CANDIDATES = 5

/** Texts for the search of patients, the most telling first. */
export function searchesFor({ id, name, birth_date }: PatientAsHeld): string[] {
  const words = wordsOf(name.split('=').find((group) => wordsOf(group).length) ?? '')
  const searches = [id.trim(), words.join(' '), birth_date ? [words[0] ?? '', birth_date].join(' ').trim() : '', birth_date ?? '']
  return [...new Set(searches.filter(Boolean))]
}

export function compare(held: PatientAsHeld, patient: Patient, institutionId: string): Comparison {
  const theirs = sorted(`${patient.family_name} ${patient.given_name}`)
  const ours = held.name.split('=').map(withoutAffixes).map(sorted).filter(Boolean)
  return {
    name: !theirs || !ours.length ? 'missing' : ours.includes(theirs) ? 'same' : 'differs',
    birthDate: verdictOn(held.birth_date, patient.birth_date),
    gender: verdictOn(held.sex, patient.gender),
    hasNumber:
      Boolean(held.id.trim()) &&
      patient.identities.some(
        ({ institution_id, issuer, value }) => institution_id === institutionId && issuer === held.issuer && value === held.id,
      ),
  }
}

/** The likeliest first; those of whom nothing agrees are left out, and nobody comes twice. */
export function ranked(held: PatientAsHeld, patients: Patient[], institutionId: string): Patient[] {
  const unique = [...new Map(patients.map((patient) => [patient.id, patient])).values()]
  return unique
    .map((patient) => ({ patient, points: pointsOf(compare(held, patient, institutionId)) }))
    .filter(({ points }) => points > 0)
    .sort((one, other) => other.points - one.points)
    .slice(0, MOST_CANDIDATES)
    .map(({ patient }) => patient)
}

const pointsOf = ({ hasNumber, birthDate, name }: Comparison): number =>
  (hasNumber ? 4 : 0) + (birthDate === 'same' ? 2 : 0) + (name === 'same' ? 2 : 0)

const verdictOn = (one: string | null, other: string | null): Verdict =>
  !one || !other ? 'missing' : one === other ? 'same' : 'differs'

/** Family, given and middle name; prefix and suffix say nothing about who somebody is (PS3.5 §6.2.1.1). */
const withoutAffixes = (group: string): string => group.split('^').slice(0, 3).join(' ')

const sorted = (name: string): string => wordsOf(name).sort().join(' ')

/** Words without case and marks, as the servers fold them. */
function wordsOf(name: string): string[] {
  const plain = name.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '').replaceAll('đ', 'd').replaceAll('ł', 'l').replaceAll('ø', 'o')
  return plain.match(/[\p{L}\p{N}_]+/gu) ?? []
}
