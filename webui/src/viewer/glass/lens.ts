/** A magnifier: what lies under the hand, larger, on a glass of its own. */

import { scaleOf, type Framing, type Point, type Size } from '../geometry/framing'
import { extentOf, type Subject, type View } from '../view'

/** So many times larger than the picture beside it. */
export const LENS_FACTOR = 2.5
/** CSS pixels. */
export const LENS_SIDE = 240

/** The view through the lens over a place of view space. */
export function lensView(view: View, subject: Subject, at: Point, glass: Size): View {
  const extent = extentOf(view.scene, subject)
  const fit: Framing = { center: at, zoom: 1 }
  const zoom = (LENS_FACTOR * scaleOf(view.framing, extent, view.pane)) / scaleOf(fit, extent, glass)
  return { ...view, framing: { center: at, zoom }, pane: glass }
}
