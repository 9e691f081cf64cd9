/** The language of the tests is English. */

import { speak, withAccountTexts, withAdministrationTexts, withInboxTexts, withKeepingTexts, withMarkingTexts, withObjectTexts, withOutgoingTexts, withReportTexts, withUploadTexts, withViewingTexts } from '.'

await speak(['en'])
await withAccountTexts(Promise.resolve())
await withAdministrationTexts(Promise.resolve())
await withInboxTexts(Promise.resolve())
await withUploadTexts(Promise.resolve())
await withKeepingTexts(Promise.resolve())
await withMarkingTexts(Promise.resolve())
await withObjectTexts(Promise.resolve())
await withOutgoingTexts(Promise.resolve())
await withReportTexts(Promise.resolve())
await withViewingTexts(Promise.resolve())
