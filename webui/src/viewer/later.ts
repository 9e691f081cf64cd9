/** Parts of the viewer that come after the first picture, each with its texts. */

import { withViewingTexts } from '../shared/texts'

export const lineState = () => withViewingTexts(import('./LineState.svelte'))
export const rail = () => withViewingTexts(withKeys(import('./Rail.svelte')))
export const modeTools = () => withViewingTexts(import('./ModeTools.svelte'))
export const spaceOptions = () => withViewingTexts(import('./SpaceOptions.svelte'))
export const orientationCube = () => withViewingTexts(import('./OrientationCube.svelte'))
export const keyboardMap = () => withViewingTexts(import('./KeyboardMap.svelte'))
export const toolbar = () => withViewingTexts(withKeys(import('./Toolbar.svelte')))
export const tools = () => withViewingTexts(withKeys(import('./Tools.svelte')))
export const probe = () => withViewingTexts(import('./Probe.svelte'))
export const place = () => import('../objects/Place.svelte')
export const seriesStrip = () => import('./SeriesStrip.svelte')

/** What tells of keys comes with those of whoever looks. */
async function withKeys<T>(loading: Promise<T>): Promise<T> {
  const [{ useOwnKeys }, part] = await Promise.all([import('./keyboard/own.svelte'), loading])
  useOwnKeys()
  return part
}
