/** The language of the tests is English. */

import { speak, withAccountTexts, withAdministrationTexts, withViewingTexts } from '.'

await speak(['en'])
await withAccountTexts(Promise.resolve())
await withAdministrationTexts(Promise.resolve())
await withViewingTexts(Promise.resolve())
