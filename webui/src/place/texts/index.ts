/** In the language of the browser where there are texts, in English elsewhere. */

import { en, type PlaceTexts } from './en'
import { hr } from './hr'

const LANGUAGES: Record<string, PlaceTexts> = { en, hr }

const known = (globalThis.navigator?.languages ?? []).map((language) => LANGUAGES[language.split('-')[0]!.toLowerCase()])

export const texts: PlaceTexts = known.find(Boolean) ?? en
