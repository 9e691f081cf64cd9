/** Panes of one frame of reference, led by each other: by the position in the patient, never by a slice's number. */

import type { Vector } from '../api'
import type { Desk } from './desk.svelte'
import { middleOf, type Point } from './geometry/framing'
import { planeOffsetMm, pointInPlane, travelOfPlane, type Axis } from './geometry/planes'
import { depthOf, isParallel, pointOn, sheetOf, sheetOfFrame } from './geometry/sheet'
import { added, dot, scaled } from './geometry/vectors'
import type { Stage } from './stage.svelte'
import type { Subject } from './view'

/** Others come to where somebody points, in view space of `from`. */
export function pointAt(desk: Desk, from: Stage, place: Point): void {
  const frameOfReferenceUid = from.subject.series.frame_of_reference_uid
  const sheet = sheetOf(from.scene, from.subject)
  if (!frameOfReferenceUid || !sheet) return
  const point = pointOn(sheet, place)
  desk.aim = { point, frameOfReferenceUid }
  for (const stage of othersOf(desk, from)) goTo(stage, point)
}

/** Those that lie as the stage in hand does come to where it is. */
export function follow(desk: Desk): void {
  const stage = desk.stage
  const sheet = stage && sheetOf(stage.scene, stage.subject)
  if (!stage || !sheet || !desk.isLinked) return
  const middle = pointOn(sheet, middleOf(stage.extent))
  for (const other of othersOf(desk, stage)) {
    const theirs = sheetOf(other.scene, other.subject)
    if (theirs && isParallel(sheet, theirs)) goTo(other, middle)
  }
}

function othersOf(desk: Desk, stage: Stage): Stage[] {
  const uid = stage.subject.series.frame_of_reference_uid
  return desk.slots.filter((one): one is Stage => one !== null && one !== stage && uid !== null && one.subject.series.frame_of_reference_uid === uid)
}

/** To the slice or plane that is nearest to a point of the patient (mm). */
function goTo(stage: Stage, point: Vector): void {
  if (stage.isTurnable) return
  const index = stage.mode === 'stack' ? nearestSlice(stage.subject, point) : nearestPlane(stage.subject, stage.mode as Axis, point)
  if (index !== null) stage.scrollTo(index)
}

function nearestSlice({ series }: Subject, point: Vector): number | null {
  const distances = series.slices.map((slice) => {
    const sheet = sheetOfFrame(slice)
    return sheet ? Math.abs(depthOf(point, sheet)) : Infinity
  })
  const nearest = Math.min(...distances)
  return Number.isFinite(nearest) ? distances.indexOf(nearest) : null
}

function nearestPlane({ series, grid }: Subject, axis: Axis, point: Vector): number | null {
  if (!series.volume.ok) return null
  const { center, size_mm } = series.volume
  const first = pointInPlane(axis, center, planeOffsetMm(axis, 0, size_mm, grid), 0, 0)
  const apartMm = planeOffsetMm(axis, 1, size_mm, grid) - planeOffsetMm(axis, 0, size_mm, grid)
  return Math.round(dot(added(point, scaled(first, -1)), travelOfPlane(axis)) / apartMm)
}
