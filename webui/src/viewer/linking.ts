/**
 * Panes led by each other: by the position in the patient, never by a slice's number. Those of one frame of reference go to the
 * same place; others, a prior of another day say, keep the distance at which they were linked, since only whoever looks can tell
 * which place is the same.
 */

import type { Vector } from '../api'
import type { Desk } from './desk.svelte'
import { middleOf, type Point } from './geometry/framing'
import { planeOffsetMm, pointInPlane, travelOfPlane, type Axis } from './geometry/planes'
import { depthOf, isParallel, normalOf, pointOn, sheetOf, sheetOfFrame, type Sheet } from './geometry/sheet'
import { added, dot, scaled } from './geometry/vectors'
import type { Stage } from './stage.svelte'
import type { Mode, Subject } from './view'

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
  if (!desk.isLinked) ANCHORS.delete(desk)
  if (!stage || !sheet || !desk.isLinked) return
  const middle = pointOn(sheet, middleOf(stage.extent))
  for (const other of othersOf(desk, stage)) {
    const theirs = sheetOf(other.scene, other.subject)
    if (theirs && isParallel(sheet, theirs)) goTo(other, middle)
  }
  followFromAfar(desk, stage, sheet)
}

/** Where a stage was when it was linked. */
interface Anchor {
  readonly mode: Mode
  readonly sheet: Sheet
  /** In the patient, mm. */
  readonly middle: Vector
}

const ANCHORS = new WeakMap<Desk, Map<Stage, Anchor>>()

function followFromAfar(desk: Desk, stage: Stage, sheet: Sheet): void {
  const near = [stage, ...othersOf(desk, stage)]
  const far = desk.slots.filter((one): one is Stage => one !== null && !near.includes(one))
  const anchors = anchorsOf(desk, [stage, ...far])
  const from = anchors.get(stage)!
  const movedMm = depthOf(pointOn(sheet, middleOf(stage.extent)), from.sheet)
  for (const other of far) {
    const start = anchors.get(other)
    if (!start || !isParallel(start.sheet, from.sheet)) continue
    // Slices may be counted, and looked at, from either end.
    const way = Math.sign(dot(normalOf(from.sheet), normalOf(start.sheet))) * movedMm
    goTo(other, added(start.middle, scaled(normalOf(start.sheet), way)))
  }
}

/** Noted anew where somebody came, or is looked at in another way. */
function anchorsOf(desk: Desk, stages: readonly Stage[]): Map<Stage, Anchor> {
  const before = ANCHORS.get(desk)
  const isOfNow = before && stages.every((one) => before.has(one) ? before.get(one)!.mode === one.mode : !sheetOf(one.scene, one.subject))
  if (isOfNow) return before
  const now = new Map<Stage, Anchor>()
  for (const one of desk.slots) {
    const sheet = one && sheetOf(one.scene, one.subject)
    if (one && sheet) now.set(one, { mode: one.mode, sheet, middle: pointOn(sheet, middleOf(one.extent)) })
  }
  ANCHORS.set(desk, now)
  return now
}

function othersOf(desk: Desk, stage: Stage): Stage[] {
  const uid = stage.subject.series.frame_of_reference_uid
  return desk.slots.filter((one): one is Stage => one !== null && one !== stage && uid !== null && one.subject.series.frame_of_reference_uid === uid)
}

/** To the slice or plane that is nearest to a point of the patient (mm). */
export function goTo(stage: Stage, point: Vector): void {
  if (stage.isTurnable) return
  const index = stage.mode === 'stack' ? nearestSlice(stage.subject, point) : nearestPlane(stage, stage.mode as Axis, point)
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

function nearestPlane({ subject: { series, grid }, tilt }: Stage, axis: Axis, point: Vector): number | null {
  if (!series.volume.ok) return null
  const { center, size_mm } = series.volume
  const first = pointInPlane(axis, center, planeOffsetMm(axis, 0, size_mm, grid, tilt), 0, 0, tilt)
  const apartMm = planeOffsetMm(axis, 1, size_mm, grid, tilt) - planeOffsetMm(axis, 0, size_mm, grid, tilt)
  return Math.round(dot(added(point, scaled(first, -1)), travelOfPlane(axis, tilt)) / apartMm)
}
