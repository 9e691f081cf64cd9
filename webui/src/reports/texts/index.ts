import { preferred } from '../../shared/texts/language'
import { en, type ReportTexts } from './en'
import { hr } from './hr'

export const texts: ReportTexts = preferred({ en, hr }, en)
