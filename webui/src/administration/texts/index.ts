/** The texts of these pages, in the language of the browser where there are some, in English elsewhere. */

import { en, type AdministrationTexts } from './en'
import { hr } from './hr'

const LANGUAGES: Record<string, AdministrationTexts> = { en, hr }

/** The first of the languages that whoever reads prefers (BCP 47) in which there are texts. */
export function textsFor(preferred: readonly string[]): AdministrationTexts {
  const known = preferred.map((language) => LANGUAGES[language.split('-')[0]!.toLowerCase()])
  return known.find(Boolean) ?? en
}

export const texts: AdministrationTexts = textsFor(globalThis.navigator?.languages ?? [])
