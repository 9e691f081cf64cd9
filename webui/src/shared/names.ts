/** Names of people as they are written and as DICOM keeps them. */

import { texts } from './texts'

export interface Named {
  family_name: string
  given_name: string
}

export function fullName({ family_name, given_name }: Named): string {
  return [family_name, given_name].filter((part) => part.trim()).join(', ') || texts.patients.unknownName
}

/**
 * A value of VR PN for reading: family, given, middle of its first component group that has anything (PS3.5 §6.2.1).
 * Prefix and suffix are left out, as on the label of a film.
 */
export function writtenPersonName(value: string): string {
  const group = value.split('=').find((part) => part.replaceAll('^', '').trim()) ?? ''
  const [family = '', given = '', middle = ''] = group.split('^').map((part) => part.trim())
  const first = [given, middle].filter(Boolean).join(' ')
  return [family, first].filter(Boolean).join(', ') || texts.patients.unknownName
}
