/**
 * What of a picture is seen in a pane.
 *
 * *View space* is where a picture lies, right and down: for a frame in columns of its source (rows are stretched by the
 * aspect of a pixel), for planes and volumes in millimetres from the middle. A pane counts device pixels.
 */

export interface Point {
  x: number
  y: number
}

export interface Size {
  width: number
  height: number
}

export interface Rect extends Point, Size {}

export interface Framing {
  /** Where the middle of the pane lies, in view space. */
  center: Point
  /** 1: the whole extent just fits. */
  zoom: number
}

const ZOOMS: readonly [number, number] = [0.2, 40]

export const middleOf = ({ x, y, width, height }: Rect): Point => ({ x: x + width / 2, y: y + height / 2 })

export const fitted = (extent: Rect): Framing => ({ center: middleOf(extent), zoom: 1 })

/** Pixels of the pane for a unit of view space. */
export const scaleOf = ({ zoom }: Framing, extent: Size, pane: Size): number =>
  zoom * Math.min(pane.width / extent.width, pane.height / extent.height)

/** Where a rectangle of view space lies in the pane. */
export function placed(rect: Rect, { center }: Framing, scale: number, pane: Size): Rect {
  return {
    x: pane.width / 2 + (rect.x - center.x) * scale,
    y: pane.height / 2 + (rect.y - center.y) * scale,
    width: rect.width * scale,
    height: rect.height * scale,
  }
}

/** The other way: where a point of the pane lies in view space. */
export function placeInView(point: Point, framing: Framing, extent: Size, pane: Size): Point {
  const scale = scaleOf(framing, extent, pane)
  return { x: framing.center.x + (point.x - pane.width / 2) / scale, y: framing.center.y + (point.y - pane.height / 2) / scale }
}

/** What the pane shows of view space. */
export function visible({ center }: Framing, scale: number, pane: Size): Rect {
  const width = pane.width / scale
  const height = pane.height / scale
  return { x: center.x - width / 2, y: center.y - height / 2, width, height }
}

/** The rectangle that both share; null if they share none. */
export function shared(a: Rect, b: Rect): Rect | null {
  const x = Math.max(a.x, b.x)
  const y = Math.max(a.y, b.y)
  const width = Math.min(a.x + a.width, b.x + b.width) - x
  const height = Math.min(a.y + a.height, b.y + b.height) - y
  return width > 0 && height > 0 ? { x, y, width, height } : null
}

/** Moved with the hand by so many pixels; the middle of the pane never leaves the extent. */
export function panned({ center, zoom }: Framing, dx: number, dy: number, scale: number, extent: Rect): Framing {
  const within = (value: number, from: number, size: number) => Math.max(from, Math.min(from + size, value))
  return {
    zoom,
    center: {
      x: within(center.x - dx / scale, extent.x, extent.width),
      y: within(center.y - dy / scale, extent.y, extent.height),
    },
  }
}

/** Larger by `factor`; what lies under `point` (pixels of the pane) stays under it. */
export function zoomedAt(framing: Framing, factor: number, point: Point, extent: Rect, pane: Size): Framing {
  const zoom = Math.max(ZOOMS[0], Math.min(ZOOMS[1], framing.zoom * factor))
  const before = scaleOf(framing, extent, pane)
  const after = scaleOf({ ...framing, zoom }, extent, pane)
  const shift = 1 / before - 1 / after
  const center = {
    x: framing.center.x + (point.x - pane.width / 2) * shift,
    y: framing.center.y + (point.y - pane.height / 2) * shift,
  }
  return panned({ center, zoom }, 0, 0, 1, extent)
}
