/** The texts of the language of the page. */

import { en, type Texts } from './en'

export const texts: Texts = en
