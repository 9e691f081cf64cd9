/** Parts of the viewer that come after the first picture, each with its texts. */

import { withMarkingTexts, withObjectTexts, withViewingTexts } from '../shared/texts'

export const lineState = () => withViewingTexts(import('./LineState.svelte'))
export const rail = () => withMarkingTexts(withViewingTexts(withKeys(import('./Rail.svelte'))))
export const toolbar = () => withViewingTexts(withKeys(import('./Toolbar.svelte')))
export const markTools = () => withMarkingTexts(import('./marking/MarkTools.svelte'))
export const glass = () => withViewingTexts(import('./glass/Glass.svelte'))
export const studyPanel = () => withObjectTexts(withViewingTexts(import('./StudyPanel.svelte')))
export const place = () => withObjectTexts(import('../objects/Place.svelte'))

/** What tells of keys comes with those of whoever looks. */
async function withKeys<T>(loading: Promise<T>): Promise<T> {
  const [{ useOwnKeys }, part] = await Promise.all([import('./keyboard/own.svelte'), loading])
  useOwnKeys()
  return part
}
