/** The layout that somebody last chose for a modality, in this browser. */

import { LAYOUTS, type Layout } from './desk.svelte'

const keyOf = (accountId: string, modality: string): string => `layout ${accountId} ${modality}`

const written = ({ rows, columns }: Layout): string => `${rows}x${columns}`

/** null where nobody chose one, or none that there is. */
export const rememberedLayout = (accountId: string, modality: string, kept: Pick<Storage, 'getItem'>): Layout | null =>
  LAYOUTS.find((layout) => written(layout) === kept.getItem(keyOf(accountId, modality))) ?? null

export const rememberLayout = (accountId: string, modality: string, layout: Layout, kept: Pick<Storage, 'setItem'>): void =>
  kept.setItem(keyOf(accountId, modality), written(layout))
