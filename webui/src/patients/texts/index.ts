import { preferred } from '../../shared/texts/language'
import { en, type PatientTexts } from './en'
import { hr } from './hr'

export const texts: PatientTexts = preferred({ en, hr }, en)
