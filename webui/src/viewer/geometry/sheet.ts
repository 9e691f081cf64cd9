/** Where view space lies in the patient: what a frame or plane has in common with others of its frame of reference. */

import type { SliceEntry, Vector } from '../../api'
import type { Scene, Subject } from '../view'
import type { Point, Rect } from './framing'
import { facingOfPlane, planeOffsetMm, pointInPlane } from './planes'
import { added, cross, dot, length, scaled } from './vectors'

export interface Sheet {
  /** Of the patient (LPS, mm), where view space has its (0, 0). */
  origin: Vector
  /** mm for a unit of view space to the right, and down. */
  right: Vector
  down: Vector
}

/** null where there is no basis for millimetres. */
export function sheetOf(scene: Scene, { series, grid }: Subject): Sheet | null {
  if (scene.kind === 'frame') return sheetOfFrame(series.slices[scene.index])
  if (scene.kind !== 'plane' || !series.volume.ok) return null
  const { center, size_mm } = series.volume
  const { axis, index, tilt } = scene
  const { right, down } = facingOfPlane(axis, tilt)
  return { origin: pointInPlane(axis, center, planeOffsetMm(axis, index, size_mm, grid, tilt), 0, 0, tilt), right, down }
}

/** View space of a frame counts columns, and rows in the width of a column; its (0, 0) is the corner of the first pixel. */
export function sheetOfFrame(slice: SliceEntry | undefined): Sheet | null {
  if (!slice?.position || !slice.orientation || !slice.pixel_spacing) return null
  const [betweenRows, betweenColumns] = slice.pixel_spacing
  if (!(betweenRows > 0 && betweenColumns > 0)) return null
  const along = slice.orientation.slice(0, 3) as Vector
  const down = slice.orientation.slice(3) as Vector
  const corner = added(slice.position, added(scaled(along, -betweenColumns / 2), scaled(down, -betweenRows / 2)))
  return { origin: corner, right: scaled(along, betweenColumns), down: scaled(down, betweenColumns) }
}

export const pointOn = ({ origin, right, down }: Sheet, { x, y }: Point): Vector => added(origin, added(scaled(right, x), scaled(down, y)))

/** Unit vector, away from whoever looks. */
export function normalOf({ right, down }: Sheet): Vector {
  const normal = cross(right, down)
  return scaled(normal, 1 / length(normal))
}

/** How far the point lies behind the sheet, mm. */
export const depthOf = (point: Vector, sheet: Sheet): number => dot(added(point, scaled(sheet.origin, -1)), normalOf(sheet))

/** Where the point lies, or is seen, in the view space of the sheet. */
export function placeOn({ origin, right, down }: Sheet, point: Vector): Point {
  const from = added(point, scaled(origin, -1))
  return { x: dot(from, right) / dot(right, right), y: dot(from, down) / dot(down, down) }
}

export const isParallel = (one: Sheet, other: Sheet): boolean => Math.abs(dot(normalOf(one), normalOf(other))) > PARALLEL_COSINE

/** About 8°: slices of one study that lie more askew show other anatomy beside the same. */
const PARALLEL_COSINE = 0.99

/** The line in which the part `extent` of one sheet crosses another, in the view space of that; null if it does not reach it. */
export function crossing(sheet: Sheet, { x, y, width, height }: Rect, on: Sheet): [Point, Point] | null {
  const corners = [
    { x, y },
    { x: x + width, y },
    { x: x + width, y: y + height },
    { x, y: y + height },
  ].map((corner) => pointOn(sheet, corner))
  const depths = corners.map((corner) => depthOf(corner, on))
  const ends: Point[] = []
  for (let index = 0; index < 4; index += 1) {
    const next = (index + 1) % 4
    const [here, there] = [depths[index]!, depths[next]!]
    if (here < 0 === there < 0) continue
    const part = here / (here - there)
    ends.push(placeOn(on, added(corners[index]!, scaled(added(corners[next]!, scaled(corners[index]!, -1)), part))))
  }
  return ends.length === 2 ? [ends[0]!, ends[1]!] : null
}
