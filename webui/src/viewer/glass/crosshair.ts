/** The lines in which the planes of a volume cross each other, and what becomes of the planes when a hand turns or thickens a line. */

import type { Vector } from '../../api'
import type { Desk } from '../desk.svelte'
import type { Point } from '../geometry/framing'
import { depthOf, normalOf, placeOn, sheetOf, type Sheet } from '../geometry/sheet'
import { added, cross, dot, length, scaled, turned, type Rotation } from '../geometry/vectors'
import { goTo } from '../linking'
import type { Stage } from '../stage.svelte'
import type { Mode } from '../view'

const NONE: Rotation = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
]
export const PLANES: readonly Mode[] = ['axial', 'coronal', 'sagittal']
/** Of a slab, mm. */
export const THICKEST_MM = 100

/** One of the other planes, as it is seen in the view space of a pane. */
export interface CrossingLine {
  readonly stage: Stage
  /** Where all planes meet. */
  readonly middle: Point
  /** Along the line; of length 1. */
  readonly along: Point
}

/** Panes with planes of the same volume, without the one itself. */
export const fellowsOf = (desk: Desk, stage: Stage): Stage[] =>
  PLANES.includes(stage.mode)
    ? desk.slots.filter((one): one is Stage => one !== null && one !== stage && PLANES.includes(one.mode) && one.subject.series.series_uid === stage.subject.series.series_uid)
    : []

/** Where the planes meet, in the patient: the place that somebody pointed at, moved into each plane. */
export function meetingOf(desk: Desk, stage: Stage): Vector | null {
  const volume = stage.subject.series.volume
  if (!volume.ok) return null
  const sheets = [stage, ...fellowsOf(desk, stage)].map((one) => sheetOf(one.scene, one.subject)!)
  const isOfHere = desk.aim?.frameOfReferenceUid === stage.subject.series.frame_of_reference_uid
  // The planes are square to each other: what is moved into one does not leave another.
  return sheets.reduce((point, sheet) => added(point, scaled(normalOf(sheet), -depthOf(point, sheet))), isOfHere ? desk.aim!.point : volume.center)
}

/** null of a plane that lies as this one does. */
export function lineOf(other: Stage, sheet: Sheet, meeting: Vector): CrossingLine | null {
  const theirs = sheetOf(other.scene, other.subject)
  const direction = theirs && cross(normalOf(theirs), normalOf(sheet))
  if (!direction || length(direction) < 0.01) return null
  const middle = placeOn(sheet, meeting)
  const end = placeOn(sheet, added(meeting, direction))
  const size = Math.hypot(end.x - middle.x, end.y - middle.y)
  return { stage: other, middle, along: { x: (end.x - middle.x) / size, y: (end.y - middle.y) / size } }
}

/** By an angle (radians) about a unit vector, as a right hand turns (Rodrigues). */
export function rotationAbout(axis: Vector, radians: number): Rotation {
  const [sin, cos] = [Math.sin(radians), Math.cos(radians)]
  const of = (vector: Vector): Vector =>
    added(added(scaled(vector, cos), scaled(cross(axis, vector), sin)), scaled(axis, dot(axis, vector) * (1 - cos)))
  return [of(NONE[0]), of(NONE[1]), of(NONE[2])]
}

/** First `one`, then `next`. */
const both = (one: Rotation, next: Rotation): Rotation => [turned(one[0], next), turned(one[1], next), turned(one[2], next)]

/** The other planes turn about the line of sight through where all meet, clockwise in this pane; it itself stays as it is. */
export function turnFellows(desk: Desk, stage: Stage, radians: number): void {
  const sheet = sheetOf(stage.scene, stage.subject)
  const meeting = meetingOf(desk, stage)
  if (!sheet || !meeting) return
  const rotation = rotationAbout(normalOf(sheet), radians)
  for (const fellow of fellowsOf(desk, stage)) {
    fellow.lean(both(fellow.tilt ?? NONE, rotation))
    goTo(fellow, meeting)
  }
}

/** The angle between two directions of view space, clockwise on the screen. */
export function angleBetween(from: Point, to: Point): number {
  return Math.atan2(from.x * to.y - from.y * to.x, from.x * to.x + from.y * to.y)
}

/** Thickness of a slab whose edge is pulled to a place of view space, which is in mm. */
export function slabTo({ middle, along }: CrossingLine, place: Point): number {
  const mm = 2 * Math.abs((place.x - middle.x) * along.y - (place.y - middle.y) * along.x)
  return Math.min(THICKEST_MM, Math.round(mm))
}

/** All planes square to the patient again, where they meet. */
export function straighten(desk: Desk, stage: Stage): void {
  const meeting = meetingOf(desk, stage)
  for (const one of [stage, ...fellowsOf(desk, stage)]) {
    if (!one.tilt) continue
    one.lean(undefined)
    if (meeting) goTo(one, meeting)
  }
}

