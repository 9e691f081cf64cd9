/** Parts of the viewer that come after the first picture, each with its texts. */

import { withViewingTexts } from '../shared/texts'

export const lineState = () => withViewingTexts(import('./LineState.svelte'))
export const rail = () => withViewingTexts(import('./Rail.svelte'))
export const toolbar = () => withViewingTexts(import('./Toolbar.svelte'))
export const glass = () => withViewingTexts(import('./glass/Glass.svelte'))
export const studyPanel = () => withViewingTexts(import('./StudyPanel.svelte'))
