/**
 * True size: a millimetre of the patient is one on the screen.
 *
 * No browser tells how large its screen is, so it is asked once with something whose size everybody has at hand: a bank card
 * (ISO/IEC 7810 ID-1). It is kept in the browser for each size of screen that it is used with.
 */

import { scaleOf } from '../geometry/framing'
import type { Stage } from '../stage.svelte'
import type { Scene, Subject } from '../view'

/** mm. */
export const CARD = { width: 85.6, height: 53.98 } as const
/** CSS pixels for a mm of screens that are in use, from a large television to a telephone. */
export const PIXELS_PER_MM: readonly [number, number] = [1, 12]

export interface Screen {
  readonly width: number
  readonly height: number
  readonly devicePixelRatio: number
}

/** Of the screen itself, whatever the page is enlarged by. */
const keyOf = ({ width, height, devicePixelRatio }: Screen): string =>
  `pixels per mm ${Math.round(width * devicePixelRatio)}x${Math.round(height * devicePixelRatio)}`

/** Device pixels for a mm; null where nobody has said. */
export function knownPixelsPerMm(screen: Screen, kept: Pick<Storage, 'getItem'>): number | null {
  const value = Number(kept.getItem(keyOf(screen)))
  return value > 0 && Number.isFinite(value) ? value : null
}

export const keepPixelsPerMm = (screen: Screen, pixelsPerMm: number, kept: Pick<Storage, 'setItem'>): void =>
  kept.setItem(keyOf(screen), pixelsPerMm.toPrecision(6))

/**
 * mm of the patient for a unit of view space; null without a basis for them.
 *
 * Only what lies in the patient (PS3.3 C.7.6.2) has one for sure. The spacing of a projection may be that at its detector,
 * where the shadow is larger than the patient, whatever attribute it is in.
 */
export function mmOfUnit(scene: Scene, { series }: Subject): number | null {
  if (scene.kind === 'plane') return series.volume.ok ? 1 : null
  if (scene.kind !== 'frame') return null
  const slice = series.slices[scene.index]
  const betweenColumns = slice?.position && slice.orientation ? slice.pixel_spacing?.[1] : undefined
  return betweenColumns && betweenColumns > 0 ? betweenColumns : null
}

/** Shows it so large, in the middle of the pane; false where it has no millimetres. */
export function showTrueSize(stage: Stage, pixelsPerMm: number): boolean {
  const mm = mmOfUnit(stage.scene, stage.subject)
  if (mm === null) return false
  const { framing, extent, pane } = stage
  stage.zoom((pixelsPerMm * mm) / scaleOf(framing, extent, pane), { x: pane.width / 2, y: pane.height / 2 })
  return true
}
