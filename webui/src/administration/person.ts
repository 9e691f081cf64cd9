import type { Account } from '../api'
import type { AccountEntry, PersonToKeep } from './contract'

/** What the form of an account begins with: what is kept, or somebody new at the institution of whoever makes them. */
export function personOf(entry: AccountEntry | null, by: Pick<Account, 'institution_id'>): PersonToKeep {
  if (!entry) {
    const institution_id = by.institution_id
    return { given_name: '', family_name: '', roles: ['physician'], institution_id, email: '', phone: '', address: '', is_doctor: false }
  }
  const { given_name, family_name, roles, institution_id, email, phone, address, is_doctor } = entry
  return { given_name, family_name, roles: [...roles], institution_id, email, phone, address, is_doctor }
}

/** As servers take it: without blanks around, lines of an address ending alike. */
export function trimmed(person: PersonToKeep): PersonToKeep {
  return {
    ...person,
    given_name: person.given_name.trim(),
    family_name: person.family_name.trim(),
    email: person.email.trim(),
    phone: person.phone.trim(),
    address: person.address.replaceAll('\r\n', '\n').trim(),
  }
}
