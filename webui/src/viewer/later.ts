/** Parts of the viewer that come after the first picture, each with its texts. */

import { withViewingTexts } from '../shared/texts'

export const lineState = () => withViewingTexts(import('./LineState.svelte'))
export const rail = () => withViewingTexts(import('./Rail.svelte'))
export const modeTools = () => withViewingTexts(import('./ModeTools.svelte'))
export const spaceOptions = () => withViewingTexts(import('./SpaceOptions.svelte'))
export const orientationCube = () => withViewingTexts(import('./OrientationCube.svelte'))
export const keyboardMap = () => withViewingTexts(import('./KeyboardMap.svelte'))
export const toolbar = () => withViewingTexts(import('./Toolbar.svelte'))
export const tools = () => withViewingTexts(import('./Tools.svelte'))
export const probe = () => withViewingTexts(import('./Probe.svelte'))
export const place = () => import('../objects/Place.svelte')
export const seriesStrip = () => import('./SeriesStrip.svelte')
