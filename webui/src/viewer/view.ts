/** What can be looked at: complete and frozen, so that the address of its picture follows from it alone. */

import type { Series, SliceEntry, StudyAtNode, Vector, WindowFunction } from '../api'
import type { Framing, Rect, Size } from './geometry/framing'
import { gridOf, planeSizeMm, type Axis, type Grid } from './geometry/planes'
import { volumeSideMm, type Turn } from './geometry/turntable'
import type { Rotation } from './geometry/vectors'

export type SlabMethod = 'average_ip' | 'maximum_ip' | 'minimum_ip'

export interface WindowSetting {
  center: number
  width: number
  /** LINEAR where it does not say. */
  function?: WindowFunction
}

export interface Slab {
  /** 0 is one voxel. */
  mm: number
  method: SlabMethod
}

/** `fuse` is the series that is laid over in colours. */
export type Scene =
  /** One frame of the stack; `index` counts from 0 in the order of the series. */
  | { kind: 'frame'; index: number }
  /** A plane through the volume; `index` counts from 0 along its way of travel. With `tilt` an oblique one. */
  | { kind: 'plane'; axis: Axis; index: number; slab: Slab; fuse?: string; tilt?: Rotation }
  | { kind: 'mip'; turn: Turn; method: SlabMethod; space: Space; fuse?: string }
  /** `material` is one of the series' `volume_presets`. */
  | { kind: 'volume'; turn: Turn; material: string; space: Space }

/** How all of a volume is seen, besides from where. */
export interface Space {
  readonly isPerspective: boolean
  /** Above 1 what is dark becomes lighter. */
  readonly gamma: number
  /** null: nothing is cut away. */
  readonly clip: Clip | null
}

export const WHOLE_SPACE: Space = { isPerspective: false, gamma: 1, clip: null }

/** Two corners of the box that is shown, in parts (0 to 1) of the volume along x, y and z of the patient. */
export interface Clip {
  readonly from: Vector
  readonly to: Vector
}

/** The series that is laid over what is seen; null where there is none. */
export const fusedOver = (scene: Scene): string | null => ('fuse' in scene && scene.fuse) || null

/** How a series is looked at: the choices of the tool bar. */
export type Mode = 'stack' | Axis | 'mip' | 'volume'

export interface View {
  readonly scene: Scene
  /** null: what the file says, or the server finds. */
  readonly window: WindowSetting | null
  /** Of a frame, which of the choices of its file, where there is no `window`; null is the usual one. */
  readonly voi: string | null
  readonly invert: boolean
  readonly framing: Framing
  readonly pane: Size
}

/** A series, where it is kept, and what follows from both. */
export interface Subject {
  readonly nodeUrl: string
  readonly studyUid: string
  readonly series: Series
  readonly grid: Grid
  /** Of a study that was brought beside the one that was opened. */
  readonly origin?: { readonly study: StudyAtNode; readonly institution: string; readonly institutionId: string }
}

export const subjectOf = (nodeUrl: string, studyUid: string, series: Series): Subject => ({
  nodeUrl,
  studyUid,
  series,
  grid: gridOf(series),
})

export const modeOf = (scene: Scene): Mode =>
  scene.kind === 'frame' ? 'stack' : scene.kind === 'plane' ? scene.axis : scene.kind

/** Height of a pixel over its width. */
export function pixelAspect({ pixel_spacing, pixel_aspect_ratio }: SliceEntry): number {
  if (pixel_spacing && pixel_spacing[0] > 0 && pixel_spacing[1] > 0) return pixel_spacing[0] / pixel_spacing[1]
  return pixel_aspect_ratio ?? 1
}

/** The whole of a scene in view space. */
export function extentOf(scene: Scene, { series }: Subject): Rect {
  if (scene.kind === 'frame') {
    const slice = series.slices[scene.index]
    return slice ? { x: 0, y: 0, width: slice.columns, height: slice.rows * pixelAspect(slice) } : UNIT
  }
  if (!series.volume.ok) return UNIT
  const side = volumeSideMm(series.volume.size_mm)
  // An oblique plane keeps the size of the upright one: a picture that grew and shrank under the hand could not be turned.
  const size = scene.kind === 'plane' ? planeSizeMm(scene.axis, series.volume.size_mm) : { width: side, height: side }
  return { x: -size.width / 2, y: -size.height / 2, ...size }
}

const UNIT: Rect = { x: 0, y: 0, width: 1, height: 1 }

/** Whether grey of a picture stands for a value through a window, so that another window can be foretold from it. */
export const isWindowed = (scene: Scene, { series }: Subject): boolean => !series.is_colour && scene.kind !== 'volume'
