/** What is written on a picture, from the view that it is of. */

import type { SeriesSummary, SliceEntry } from '../api'
import { writtenNumber } from '../shared/amounts'
import { texts } from '../shared/texts'
import { scaleOf } from './geometry/framing'
import { edgeLetters, facingOfFrame, lettersAsSaid, type EdgeLetters } from './geometry/orientation'
import { facingOfPlane, framePositionMm, planeCount, planeOffsetMm, planePositionMm } from './geometry/planes'
import { facingOfTurn } from './geometry/turntable'
import { extentOf, type Subject, type View, type WindowSetting } from './view'
import { decimalsFor } from './window'
import type { Picture } from './pictures/load'

export function lettersOf({ scene }: View, { series }: Subject): EdgeLetters | null {
  if (scene.kind === 'plane') return edgeLetters(facingOfPlane(scene.axis, scene.tilt))
  if (scene.kind !== 'frame') return edgeLetters(facingOfTurn(scene.turn))
  const slice = series.slices[scene.index]
  const facing = facingOfFrame(slice?.orientation ?? null)
  return facing ? edgeLetters(facing) : (slice?.patient_orientation && lettersAsSaid(slice.patient_orientation)) || null
}

/** "Slice 12 / 160", "Plane 30 / 375"; empty for a volume. */
export function placeOf({ scene }: View, { series, grid }: Subject): string {
  if (scene.kind === 'frame') return texts.viewer.slice(scene.index + 1, series.slices.length)
  if (scene.kind !== 'plane' || !series.volume.ok) return ''
  return texts.viewer.plane(scene.index + 1, planeCount(scene.axis, series.volume.size_mm, grid, scene.tilt))
}

/** Only where there is a basis for millimetres. */
export function positionOf({ scene }: View, { series, grid }: Subject): string {
  const mm = scene.kind === 'frame' ? frameMm(series.slices[scene.index]) : scene.kind === 'plane' ? planeMm(scene) : null
  return mm === null ? '' : texts.viewer.position(writtenNumber(mm, 1))

  function planeMm({ axis, index, tilt }: Extract<View['scene'], { kind: 'plane' }>): number | null {
    // Of an oblique plane no coordinate of the patient is the same all over.
    if (!series.volume.ok || tilt) return null
    return planePositionMm(axis, series.volume.center, planeOffsetMm(axis, index, series.volume.size_mm, grid))
  }
}

const frameMm = (slice: Subject['series']['slices'][number] | undefined): number | null => (slice ? framePositionMm(slice) : null)

export const slabOf = ({ scene }: View): string =>
  scene.kind === 'plane' && scene.slab.mm > 0
    ? `${texts.viewer.slabNote(scene.slab.mm)} ${texts.viewer.slabMethods[scene.slab.method].toLowerCase()}`
    : ''

/** Pixels of the screen for a pixel of the source; for planes and volumes, against the whole. */
export function zoomOf(view: View, subject: Subject): string {
  const isFrame = view.scene.kind === 'frame'
  const factor = isFrame ? scaleOf(view.framing, extentOf(view.scene, subject), view.pane) : view.framing.zoom
  return texts.viewer.zoomLabel(isFrame ? `${writtenNumber(factor * 100)} %` : `${writtenNumber(factor, 2)} ×`)
}

export function windowOf(window: WindowSetting | null, unit: string): string {
  if (!window) return texts.viewer.windowAuto
  const decimals = decimalsFor(window.width)
  return texts.viewer.windowLabel(writtenNumber(window.center, decimals), writtenNumber(window.width, decimals), unit)
}

/** How much of the volume a picture has, and whether that is all of it; null of what is no picture of a volume. */
export function wholenessOf({ scene }: View, { completeness, reduced, request }: Picture): { text: string; isWhole: boolean } | null {
  if (scene.kind === 'frame') return null
  if (completeness < 1) return { text: texts.viewer.part(Math.floor(completeness * 100)), isWhole: false }
  if (reduced) return { text: texts.viewer.reduced(reduced.join(' × ')), isWhole: false }
  return request.grade === 'final' ? { text: texts.viewer.whole, isWhole: true } : null
}

export const nameOfSeries = ({ description, number, modality }: SeriesSummary): string =>
  description || `${modality} ${texts.viewer.seriesNumber(number)}`.trim()

/** Defined terms of PS3.3 C.7.6.1.1.5.1 that people know by another name. */
const METHODS: Record<string, string> = {
  ISO_10918_1: 'JPEG',
  ISO_14495_1: 'JPEG-LS',
  ISO_15444_1: 'JPEG 2000',
  ISO_15444_15: 'HTJ2K',
  ISO_18181_1: 'JPEG XL',
  ISO_13818_2: 'MPEG-2',
  ISO_14496_10: 'H.264',
  ISO_23008_2: 'H.265',
}

/** By which method, and how many bytes became one, as far as the file tells: `JPEG 20.4 : 1`. */
export const lossOf = ({ lossy = [] }: SliceEntry): string =>
  lossy.map(({ method, ratio }) => [METHODS[method] ?? method, ratio && `${writtenNumber(ratio, 1)} : 1`].filter(Boolean).join(' ')).join(', ')
