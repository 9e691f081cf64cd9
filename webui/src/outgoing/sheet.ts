/** A printed sheet: how large the picture stands on it, and how long its ruler is. Millimetres of paper and of the patient. */

import type { Rect, Size } from '../viewer/geometry/framing'
import type { Subject, View } from '../viewer/view'

/** Of A4 upright, less its margins and what is written above and below. */
export const ROOM_MM: Size = { width: 180, height: 215 }
const RULERS_MM = [200, 100, 50, 20, 10, 5]
/** Of the picture's width that the ruler takes at most. */
const LONGEST_RULER = 0.4
/** A print is finer than a screen: pixels of its longer side, if the source has them. */
const PRINTED_SIDE = 2400

export interface Sheet {
  /** Of the picture on paper. */
  readonly size: Size
  /** null where millimetres have no basis. */
  readonly scale: { readonly rulerMm: number; readonly rulerOnPaperMm: number; readonly ratio: number } | null
}

/** Millimetres of the patient for a unit of view space; null where nothing says it, and of projections, which have no one scale. */
export function millimetresPerUnit({ scene }: View, { series }: Subject): number | null {
  if (scene.kind === 'plane') return 1
  if (scene.kind !== 'frame') return null
  const spacing = series.slices[scene.index]?.pixel_spacing
  return spacing && spacing[1] > 0 ? spacing[1] : null
}

/** In true size where that is wished and fits; else as large as it fits. */
export function sheetOf(footprint: Rect, mmPerUnit: number | null, isTrueSize: boolean, room: Size = ROOM_MM): Sheet {
  const fitting = Math.min(room.width / footprint.width, room.height / footprint.height)
  const onPaper = isTrueSize && mmPerUnit !== null && mmPerUnit <= fitting ? mmPerUnit : fitting
  const size = { width: footprint.width * onPaper, height: footprint.height * onPaper }
  if (mmPerUnit === null) return { size, scale: null }
  const paperMmPerMm = onPaper / mmPerUnit
  const rulerMm = RULERS_MM.find((mm) => mm * paperMmPerMm <= size.width * LONGEST_RULER) ?? RULERS_MM.at(-1)!
  return { size, scale: { rulerMm, rulerOnPaperMm: rulerMm * paperMmPerMm, ratio: 1 / paperMmPerMm } }
}

/** The same view for a finer pane. */
export function printedView(view: View): View {
  const factor = Math.max(1, PRINTED_SIDE / Math.max(view.pane.width, view.pane.height, 1))
  return { ...view, pane: { width: Math.round(view.pane.width * factor), height: Math.round(view.pane.height * factor) } }
}
