/**
 * Under which address the picture of a view is asked for (PS3.18 §10.4, Supplement 228; docs/api.md).
 *
 * Of a frame no pixel is asked for that holds no information: where the pane is finer than the source, the picture comes in
 * the size of the source and the canvas enlarges it. It is smaller on the line, and the same for every zoom and every pane.
 * A plane has no pixels of its own: at rest each pixel of the screen is a sample of the server's, and where voxels are finer
 * than the screen several of them are, so that what is one voxel thick does not fall between them.
 */

import type { SliceEntry, Vector } from '../../api'
import { scaleOf, shared, visible, type Rect, type Size } from '../geometry/framing'
import { facingOfPlane, finestSpacingMm, planeOffsetMm, pointInPlane } from '../geometry/planes'
import { pointBeside, towardsEye, upOf, volumeSideMm } from '../geometry/turntable'
import { added, lookOf, scaled } from '../geometry/vectors'
import { extentOf, fusedOver, pixelAspect, type Scene, type Subject, type View, type WindowSetting } from '../view'
import { hasVoi } from '../choices'
import { functionFor } from '../window'
import { FINENESSES, type Fineness } from './pace'

/** A draft is shown while the hand moves; the final one at rest. */
export type Grade = 'draft' | 'final'

export interface PictureRequest {
  /** Tells it from all others, of all grades. */
  readonly key: string
  readonly nodeUrl: string
  readonly path: string
  readonly accept: string
  /** What the picture shows, in view space. */
  readonly footprint: Rect
  readonly grade: Grade
  readonly isLossy: boolean
  /** Of a draft; drafts of one view that differ in it only have the same key. */
  readonly fineness: Fineness | null
}

/** Of the lit volume at rest, whose shading has no true values to lose: a quarter of the lossless bytes. */
const VOLUME_QUALITY = 90
const FINEST = FINENESSES.at(-1)!
/** Longer side of a plane that is finer than its pane, pixels. */
const LARGEST_PLANE_SIDE = 3072
/** Longer side of a draft, pixels. */
const VOLUME_DRAFT_SIDE = 288
const VOLUME_DRAFT_QUALITY = 60
const VOLUME_SIDE = 2048
/** A frame up to this many pixels comes whole and lossless; a larger one in the part and size that is seen. */
const WHOLE_FRAME_PIXELS = 1536 * 1536
/** From the eye to the plane it looks at, mm; parallel projection, so any distance is as good. */
const EYE_DISTANCE_MM = 1000
/** In perspective, in sides of the volume: outside of it, and near enough to tell near from far. */
const EYE_DISTANCE_SIDES = 2

const STORED_VALUES = 'application/vnd.appliance.stored-values'

/** JPEG-LS of one component: the smallest lossless grey, which the page decodes itself. */
export const GREY = 'image/jls'
/** Larger ones would hold up the page too long; the browser's own decoder is a thread of its own. */
const LARGEST_GREY_PIXELS = 1024 * 1024

/** Of all bits behind a frame. */
export interface ValuesRequest {
  readonly key: string
  readonly nodeUrl: string
  readonly path: string
  /** Of what the final picture does not tell of them; null where that has not the frame's own pixels. */
  readonly besidePath: string | null
  readonly accept: string
}

/** null for what is no frame: its values are of the server's making. */
export function valuesRequest(view: View, subject: Subject): ValuesRequest | null {
  const slice = view.scene.kind === 'frame' ? subject.series.slices[view.scene.index] : undefined
  if (!slice) return null
  const path = framePath(subject, slice)
  const query = lookQuery(view, subject)
  query.set('without', 'picture')
  const hasPicture = !subject.series.is_colour && slice.rows * slice.columns <= WHOLE_FRAME_PIXELS && pixelAspect(slice) === 1
  return {
    key: `values ${subject.nodeUrl} ${path}`,
    nodeUrl: subject.nodeUrl,
    path: `${path}?rules=${subject.series.rules}`,
    besidePath: hasPicture ? `${path}?${written(query)}` : null,
    accept: STORED_VALUES,
  }
}

/** Through which window or table, whether turned over, and by which rules of the server. */
function lookQuery(view: View, subject: Subject): URLSearchParams {
  const query = new URLSearchParams()
  const voi = voiQuery(view, subject)
  if (voi) query.set('voi', voi)
  else if (view.window && view.scene.kind !== 'volume') query.set('window', windowQuery(view.window))
  if (view.invert) query.set('invert', '1')
  query.set('rules', subject.series.rules)
  return query
}

/** `fineness` is of a draft of a frame or a plane. index.html asks for the first one of a study by the same address. */
export function pictureRequest(view: View, subject: Subject, grade: Grade, fineness: Fineness = FINEST): PictureRequest {
  const { path, query, footprint, size } = parts(view, subject, grade, fineness)
  const { accept, quality, isLossy } = encodingOf(view.scene, subject, grade, fineness, size)
  for (const [name, value] of lookQuery(view, subject)) query.set(name, value)
  const fused = fusedOver(view.scene)
  if (fused) query.set('fuse', fused)
  const address = `${path}?${written(query)}${quality ? `&quality=${quality}` : ''}`
  return {
    key: grade === 'draft' ? draftKey(subject.nodeUrl, path, query, footprint) : `${subject.nodeUrl} ${address} ${accept}`,
    nodeUrl: subject.nodeUrl,
    path: address,
    accept,
    footprint,
    grade,
    isLossy,
    fineness: grade === 'draft' && view.scene.kind !== 'volume' && view.scene.kind !== 'mip' ? fineness : null,
  }
}

/** Commas are part of the standard's values and need no escape in a query (RFC 3986 §3.4). */
const written = (query: URLSearchParams): string => query.toString().replaceAll('%2C', ',')

function draftKey(nodeUrl: string, path: string, query: URLSearchParams, { width, height }: Rect): string {
  const shown = new URLSearchParams(query)
  shown.delete('viewport')
  return `draft ${nodeUrl} ${path}?${written(shown)} ${number(width)} ${number(height)}`
}

/** A slice that has no such window or table is seen in the usual way. */
const voiQuery = ({ scene, window, voi }: View, subject: Subject): string | null =>
  !window && voi && scene.kind === 'frame' && hasVoi(scene.index, voi, subject) ? voi : null

const windowQuery = (window: WindowSetting): string =>
  `${exact(window.center)},${exact(window.width)},${functionFor(window)}`

interface Parts {
  path: string
  query: URLSearchParams
  footprint: Rect
  /** Of the picture, pixels. */
  size: Size
}

function parts(view: View, subject: Subject, grade: Grade, { side }: Fineness): Parts {
  const { scene } = view
  const draftSide = grade === 'draft' ? side : null
  if (scene.kind === 'frame') return frameParts(view, scene.index, subject, draftSide)
  if (scene.kind === 'plane') return planeParts(view, scene, subject, draftSide)
  return volumeParts(view, scene, subject, grade)
}

const seriesPath = ({ studyUid, series }: Subject): string => `/dicom-web/studies/${studyUid}/series/${series.series_uid}`

const framePath = (subject: Subject, { instance_uid, frame }: SliceEntry): string =>
  `${seriesPath(subject)}/instances/${instance_uid}/frames/${frame}/rendered`

interface Encoding {
  accept: string
  quality: number | null
  isLossy: boolean
}

function encodingOf(scene: Scene, { series }: Subject, grade: Grade, fineness: Fineness, { width, height }: Size): Encoding {
  const isSpace = scene.kind === 'volume' || scene.kind === 'mip'
  if (grade === 'draft') return { accept: 'image/webp', quality: isSpace ? VOLUME_DRAFT_QUALITY : fineness.quality, isLossy: true }
  if (scene.kind === 'volume') return { accept: 'image/webp', quality: VOLUME_QUALITY, isLossy: true }
  if (series.is_colour || fusedOver(scene)) return { accept: 'image/webp', quality: 100, isLossy: false }
  const isGreyHere = width * height <= LARGEST_GREY_PIXELS
  return { accept: isGreyHere ? `${GREY}, image/png;q=0.9` : 'image/png', quality: null, isLossy: false }
}

function frameParts(view: View, index: number, subject: Subject, draftSide: number | null): Parts {
  const slice = subject.series.slices[index]
  if (!slice) throw new RangeError(`there is no slice ${index}`)
  const extent = extentOf(view.scene, subject)
  const footprint = draftSide ? extent : seenOfFrame(view, slice, extent)
  const scale = draftSide ? draftScale(extent, view.pane, draftSide) : finalScale(view, extent, footprint)
  const size = pixels(footprint, scale)
  const aspect = pixelAspect(slice)
  const region = footprint === extent ? [] : [footprint.x, footprint.y / aspect, footprint.width, footprint.height / aspect]
  return {
    path: framePath(subject, slice),
    query: new URLSearchParams({ viewport: [size.width, size.height, ...region.map(number)].join(',') }),
    footprint,
    size,
  }
}

const isSmall = ({ width, height }: Size): boolean => width * height <= WHOLE_FRAME_PIXELS

const draftScale = (extent: Rect, pane: Size, side: number): number =>
  Math.min(1, scaleOf({ center: { x: 0, y: 0 }, zoom: 1 }, extent, pane), side / Math.max(extent.width, extent.height))

const finalScale = (view: View, extent: Rect, footprint: Rect): number =>
  footprint === extent && isSmall(extent) ? 1 : Math.min(1, scaleOf(view.framing, extent, view.pane))

/** The part of a large frame that is seen, on whole pixels of the source; the extent itself if that is all. */
function seenOfFrame(view: View, slice: SliceEntry, extent: Rect): Rect {
  if (isSmall(extent)) return extent
  const seen = shared(visible(view.framing, scaleOf(view.framing, extent, view.pane), view.pane), extent)
  if (!seen) return extent
  const aspect = pixelAspect(slice)
  const left = Math.floor(seen.x)
  const top = Math.floor(seen.y / aspect)
  const right = Math.min(slice.columns, Math.ceil(seen.x + seen.width))
  const bottom = Math.min(slice.rows, Math.ceil((seen.y + seen.height) / aspect))
  if (left === 0 && top === 0 && right === slice.columns && bottom === slice.rows) return extent
  return { x: left, y: top * aspect, width: right - left, height: (bottom - top) * aspect }
}

function planeParts(view: View, scene: Extract<Scene, { kind: 'plane' }>, subject: Subject, draftSide: number | null): Parts {
  const volume = wholeVolume(subject)
  const { footprint, scale } = seenOfSpace(view, subject)
  const size = pixels(footprint, draftSide ? planeDraftScale(footprint, scale, subject, draftSide) : planeScale(footprint, scale, subject))
  const middle = { x: footprint.x + footprint.width / 2, y: footprint.y + footprint.height / 2 }
  const offset = planeOffsetMm(scene.axis, scene.index, volume.size_mm, subject.grid, scene.tilt)
  const facing = facingOfPlane(scene.axis, scene.tilt)
  const lookAt = pointInPlane(scene.axis, volume.center, offset, middle.x, middle.y, scene.tilt)
  const query = cameraQuery(lookAt, scaled(lookOf(facing), -1), scaled(facing.down, -1), footprint, size)
  if (scene.slab.mm > 0) {
    query.set('mprslab', number(scene.slab.mm))
    query.set('renderingmethod', scene.slab.method)
  }
  return { path: `${seriesPath(subject)}/renderedmpr`, query, footprint, size }
}

function planeDraftScale({ width, height }: Rect, scale: number, { grid }: Subject, side: number): number {
  return Math.min(Math.min(scale, 1 / finestSpacingMm(grid)) / 1.5, side / Math.max(width, height))
}

/** A sample for each pixel of the pane, or as many each way as make them finer than the voxels: the canvas takes their mean. */
function planeScale({ width, height }: Rect, scale: number, { grid }: Subject): number {
  const wanted = Math.ceil(1 / (finestSpacingMm(grid) * scale) - 1e-6)
  const possible = Math.floor(LARGEST_PLANE_SIDE / (Math.max(width, height) * scale))
  return scale * Math.max(1, Math.min(wanted, possible))
}

function volumeParts(view: View, scene: Extract<Scene, { turn: unknown }>, subject: Subject, grade: Grade): Parts {
  const volume = wholeVolume(subject)
  const { footprint, scale } = seenOfSpace(view, subject)
  const side = grade === 'draft' ? VOLUME_DRAFT_SIDE : VOLUME_SIDE
  const size = pixels(footprint, Math.min(scale, side / Math.max(footprint.width, footprint.height)))
  const middle = { x: footprint.x + footprint.width / 2, y: footprint.y + footprint.height / 2 }
  const lookAt = pointBeside(scene.turn, volume.center, middle.x, middle.y)
  const { isPerspective, gamma, clip } = scene.space
  const eyeMm = isPerspective ? EYE_DISTANCE_SIDES * volumeSideMm(volume.size_mm) : EYE_DISTANCE_MM
  const query = cameraQuery(lookAt, towardsEye(scene.turn), upOf(scene.turn), footprint, size, eyeMm)
  query.set('renderingmethod', scene.kind === 'mip' ? scene.method : 'volume_rendered')
  if (scene.kind === 'volume' && scene.material) query.set('preset', scene.material)
  if (isPerspective) query.set('perspective', '1')
  if (gamma !== 1) query.set('gamma', number(gamma))
  if (clip) query.set('clip', [...cornerOf(clip.from, volume), ...cornerOf(clip.to, volume)].map(number).join(','))
  if (grade === 'draft') query.set('interactive', '1')
  return { path: `${seriesPath(subject)}/rendered3d`, query, footprint, size }
}

/** Patient coordinates of a corner that is told in parts of the volume. */
const cornerOf = (part: Vector, { center, size_mm }: { center: Vector; size_mm: Vector }): Vector =>
  center.map((middle, axis) => middle + (part[axis]! - 0.5) * size_mm[axis]!) as Vector

function wholeVolume({ series }: Subject) {
  if (!series.volume.ok) throw new RangeError('the series has no volume')
  return series.volume
}

/** Planes and volumes fill the pane: what is seen is what is asked for. */
function seenOfSpace(view: View, subject: Subject): { footprint: Rect; scale: number } {
  const scale = scaleOf(view.framing, extentOf(view.scene, subject), view.pane)
  return { footprint: visible(view.framing, scale, view.pane), scale }
}

function cameraQuery(lookAt: Vector, towards: Vector, up: Vector, footprint: Rect, size: Size, eyeMm = EYE_DISTANCE_MM): URLSearchParams {
  const position = added(lookAt, scaled(towards, eyeMm))
  return new URLSearchParams({
    viewport: `${size.width},${size.height}`,
    viewpointposition: vector(position),
    viewpointlookat: vector(lookAt),
    viewpointup: vector(up),
    fieldofview: number(footprint.height),
  })
}

const pixels = ({ width, height }: Size, scale: number): Size => ({
  width: Math.max(1, Math.round(width * scale)),
  height: Math.max(1, Math.round(height * scale)),
})

/** Six significant digits: windows over fractions are narrow. No exponent: the standard's numbers have none in a URL. */
const SIX_DIGITS = new Intl.NumberFormat('en', { useGrouping: false, maximumSignificantDigits: 6 })
const exact = (value: number): string => SIX_DIGITS.format(Number(value.toPrecision(6)))

/** Thousandths are finer than any voxel; no exponent and no negative zero. */
const number = (value: number): string => String(Math.round(value * 1000) / 1000 || 0)

const vector = (value: Vector): string => value.map((part) => String(Math.round(part * 1e5) / 1e5 || 0)).join(',')
