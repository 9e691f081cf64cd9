/** The texts of keeping patients' records, in English. Another language is another file of this shape. */

export const en = {
  add: 'New patient',
  added: (name: string) => `${name} was added.`,
  open: 'Open the record',
  edit: 'Edit',
  save: 'Save',
  saving: 'Saving …',
  cancel: 'Cancel',
  familyName: 'Family name',
  givenName: 'Given name',
  birthDate: 'Birth date',
  gender: 'Gender',
  genders: { F: 'Female', M: 'Male', O: 'Other' },
  unknown: 'not known',
  address: 'Address',
  email: 'E-mail',
  phone: 'Phone',
  numbers: 'Insurance numbers',
  issuer: 'Insurer',
  value: 'Number',
  addNumber: 'One more number',
  removeNumber: 'Remove the number',
  meanwhile: 'Somebody has changed this patient meanwhile. Open the record again.',
  taken: 'This number is another patient’s.',

  merge: 'Merge a duplicate',
  mergeExplained: 'What belongs to the duplicate belongs to this patient from then on: numbers, studies and reports, at all institutions.',
  mergeSearch: 'Search the duplicate',
  mergeNone: 'No other patient matches.',
  mergeInto: (duplicate: string, kept: string) => `Merge ${duplicate} into ${kept}?`,
  mergeYes: 'Yes, this is the same person',
  choose: 'Choose',

  remove: 'Delete',
  removeSure: 'Delete this patient?',
  removeYes: 'Yes, delete',
  removed: 'The patient was deleted.',
  inUse: (institutions: string) => `Not deleted: something of this patient is held at ${institutions}.`,
}

export type PatientTexts = typeof en
