/** The texts of keeping patients' records, in Croatian. */

import type { PatientTexts } from './en'

export const hr: PatientTexts = {
  add: 'Novi pacijent',
  added: (name) => `Dodano: ${name}.`,
  open: 'Otvori karton',
  edit: 'Uredi',
  save: 'Spremi',
  saving: 'Spremam …',
  cancel: 'Odustani',
  familyName: 'Prezime',
  givenName: 'Ime',
  birthDate: 'Datum rođenja',
  gender: 'Spol',
  genders: { F: 'Žensko', M: 'Muško', O: 'Drugo' },
  unknown: 'nije poznato',
  address: 'Adresa',
  email: 'E-pošta',
  phone: 'Telefon',
  numbers: 'Brojevi osiguranja',
  issuer: 'Osiguravatelj',
  value: 'Broj',
  addNumber: 'Još jedan broj',
  removeNumber: 'Ukloni broj',
  meanwhile: 'Netko je u međuvremenu promijenio ovog pacijenta. Ponovno otvorite karton.',
  taken: 'Ovaj broj pripada drugom pacijentu.',

  merge: 'Spoji duplikat',
  mergeExplained: 'Što pripada duplikatu, od tada pripada ovom pacijentu: brojevi, studije i izvješća, u svim ustanovama.',
  mergeSearch: 'Potraži duplikat',
  mergeNone: 'Nijedan drugi pacijent ne odgovara.',
  mergeInto: (duplicate, kept) => `Spojiti ${duplicate} s pacijentom ${kept}?`,
  mergeYes: 'Da, to je ista osoba',
  choose: 'Odaberi',

  remove: 'Izbriši',
  removeSure: 'Izbrisati ovog pacijenta?',
  removeYes: 'Da, izbriši',
  removed: 'Pacijent je izbrisan.',
  inUse: (institutions) => `Nije izbrisano: nešto od ovog pacijenta nalazi se u: ${institutions}.`,
}
