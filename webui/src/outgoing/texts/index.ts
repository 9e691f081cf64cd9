import { preferred } from '../../shared/texts/language'
import { en, type OutgoingTexts } from './en'
import { hr } from './hr'

export const texts: OutgoingTexts = preferred({ en, hr }, en)
