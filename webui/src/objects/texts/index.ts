import { preferred } from '../../shared/texts/language'
import { en, type ObjectTexts } from './en'
import { hr } from './hr'

export const texts: ObjectTexts = preferred({ en, hr }, en)
