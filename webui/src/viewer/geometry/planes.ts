/** The three planes through a volume that are square to the axes of the patient, and what becomes of them when they are turned. */

import type { Series, SliceEntry, Vector } from '../../api'
import { added, cross, dot, length, scaled, turned, type Facing, type Rotation } from './vectors'

export type Axis = 'axial' | 'coronal' | 'sagittal'

interface PlaneKind extends Facing {
  /** Where the next plane lies. */
  travel: Vector
}

/** As films hang: axial seen from the feet, coronal from the front, sagittal from the left of the patient. */
const KINDS: Record<Axis, PlaneKind> = {
  axial: { right: [1, 0, 0], down: [0, 1, 0], travel: [0, 0, -1] },
  coronal: { right: [1, 0, 0], down: [0, 0, -1], travel: [0, 1, 0] },
  sagittal: { right: [0, 1, 0], down: [0, 0, -1], travel: [1, 0, 0] },
}

/** With `tilt`, of an oblique plane: what the plane becomes by that rotation. */
export const facingOfPlane = (axis: Axis, tilt?: Rotation): Facing => kindOf(axis, tilt)

/** Where the next plane lies; a unit vector. */
export const travelOfPlane = (axis: Axis, tilt?: Rotation): Vector => kindOf(axis, tilt).travel

function kindOf(axis: Axis, tilt?: Rotation): PlaneKind {
  const { right, down, travel } = KINDS[axis]
  return tilt ? { right: turned(right, tilt), down: turned(down, tilt), travel: turned(travel, tilt) } : KINDS[axis]
}

const sizeAlong = (direction: Vector, sizeMm: Vector): number => dot(direction.map(Math.abs) as Vector, sizeMm)

/** Width and height of the whole volume seen square to the plane, mm. */
export function planeSizeMm(axis: Axis, sizeMm: Vector): { width: number; height: number } {
  const { right, down } = KINDS[axis]
  return { width: sizeAlong(right, sizeMm), height: sizeAlong(down, sizeMm) }
}

/** The distances of the voxels along the three axes of their own grid. */
export interface Grid {
  axes: { direction: Vector; spacingMm: number }[]
}

/** The grid of a series from its slices; without enough of them, 1 mm each way. */
export function gridOf({ slices }: Pick<Series, 'slices'>): Grid {
  const placed = slices.filter((slice) => slice.position && slice.orientation && slice.pixel_spacing)
  const first = placed[0]
  if (!first) return { axes: [] }
  const along = first.orientation!.slice(0, 3) as Vector
  const down = first.orientation!.slice(3) as Vector
  const normal = cross(along, down)
  const [betweenRows, betweenColumns] = first.pixel_spacing!
  return {
    axes: [
      { direction: along, spacingMm: betweenColumns },
      { direction: down, spacingMm: betweenRows },
      { direction: normal, spacingMm: sliceSpacingMm(placed, normal) },
    ],
  }
}

/** The median, which one missing slice does not change. */
function sliceSpacingMm(slices: SliceEntry[], normal: Vector): number {
  const heights = slices.map((slice) => dot(slice.position!, normal)).sort((one, other) => one - other)
  const gaps = heights.slice(1).map((height, index) => height - heights[index]!)
  const sorted = gaps.filter((gap) => gap > 1e-4).sort((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 1
}

/** The distance of the voxels along the axis of the grid that is nearest to `direction`. */
export function spacingAlong(direction: Vector, { axes }: Grid): number {
  const nearest = axes.toSorted((one, other) => Math.abs(dot(other.direction, direction)) - Math.abs(dot(one.direction, direction)))
  return nearest[0]?.spacingMm ?? 1
}

export const finestSpacingMm = ({ axes }: Grid): number => Math.min(1, ...axes.map(({ spacingMm }) => spacingMm))

/** How many planes there are, one voxel apart. */
export function planeCount(axis: Axis, sizeMm: Vector, grid: Grid, tilt?: Rotation): number {
  const travel = travelOfPlane(axis, tilt)
  return Math.max(1, Math.round(sizeAlong(travel, sizeMm) / spacingAlong(travel, grid)))
}

/** How far plane `index` (from 0) lies from the centre of the volume, along the way of travel, mm. */
export function planeOffsetMm(axis: Axis, index: number, sizeMm: Vector, grid: Grid, tilt?: Rotation): number {
  const middle = (planeCount(axis, sizeMm, grid, tilt) - 1) / 2
  return (index - middle) * spacingAlong(travelOfPlane(axis, tilt), grid)
}

/** The point of the plane that lies `right` and `down` (mm) of its middle. */
export function pointInPlane(axis: Axis, center: Vector, offsetMm: number, right: number, down: number, tilt?: Rotation): Vector {
  const kind = kindOf(axis, tilt)
  return added(added(center, scaled(kind.travel, offsetMm)), added(scaled(kind.right, right), scaled(kind.down, down)))
}

/** The coordinate of the patient that stays the same all over the plane, mm (LPS). */
export function planePositionMm(axis: Axis, center: Vector, offsetMm: number): number {
  const { travel } = KINDS[axis]
  return dot(pointInPlane(axis, center, offsetMm, 0, 0), travel.map(Math.abs) as Vector)
}

/** How far the frame lies along its own normal, mm; null where it does not say. */
export function framePositionMm({ position, orientation }: SliceEntry): number | null {
  if (!position || !orientation) return null
  const normal = cross(orientation.slice(0, 3) as Vector, orientation.slice(3) as Vector)
  return length(normal) > 0 ? dot(position, normal) : null
}
