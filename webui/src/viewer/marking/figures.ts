/**
 * What is drawn in a picture, and the numbers that follow from its points alone. Points count pixels of the frame: [0, 0] is the
 * outer corner of its first one. What a pixel is worth the node says (`…/scales`); the rules are in `domain/measuring.py`.
 */

export type Place = readonly [column: number, row: number]

export const KINDS = ['length', 'angle', 'cobb', 'rectangle', 'ellipse', 'freehand', 'arrow', 'text', 'calibration'] as const
export type Kind = (typeof KINDS)[number]

/** As `PUT /api/measurements/{id}` takes it. */
export interface Figure {
  readonly study_uid: string
  readonly series_uid: string
  readonly instance_uid: string
  readonly frame: number
  readonly kind: Kind
  readonly points: readonly Place[]
  readonly text: string
  readonly length_mm: number | null
}

export interface Axis {
  readonly unit: string
  readonly per_pixel: number
}

export type Basis =
  | 'pixel-spacing'
  | 'calibrated'
  | 'unspecified'
  | 'magnification'
  | 'detector'
  | 'scanned'
  | 'ultrasound-region'
  | 'manual'
  | 'none'

export interface Scale {
  readonly basis: Basis
  readonly x: Axis
  readonly y: Axis
  readonly part: readonly [left: number, top: number, right: number, bottom: number] | null
}

export interface Quantity {
  readonly name: 'length' | 'angle' | 'area' | 'along' | 'across'
  readonly value: number
  readonly unit: string
}

/** How many points a figure has when it is done; an outline has as many as it takes. */
export const POINTS: Record<Kind, number> = { length: 2, angle: 3, cobb: 4, rectangle: 2, ellipse: 2, freehand: Infinity, arrow: 2, text: 1, calibration: 2 }
export const MOST_POINTS = 256

const REGIONS: ReadonlySet<Kind> = new Set(['rectangle', 'ellipse', 'freehand'])
export const isRegion = (kind: Kind): boolean => REGIONS.has(kind)

/** The first whose part holds all points; the last one holds any. */
export const scaleFor = (points: readonly Place[], scales: readonly Scale[]): Scale | undefined =>
  scales.find(({ part }) => !part || points.every(([x, y]) => x >= part[0] && x <= part[2] && y >= part[1] && y <= part[3]))

const isEven = ({ x, y }: Scale): boolean => x.unit === y.unit && (x.unit === 'mm' || x.unit === 'px')

/** By which two points are so far apart; `pixels` is the last of the node's scales. */
export function calibrated([from, to]: readonly Place[], lengthMm: number, pixels: Scale): Scale | null {
  const mm = lengthMm / distance(from!, to!, pixels)
  if (!Number.isFinite(mm) || mm <= 0) return null
  const axis = ({ per_pixel }: Axis): Axis => ({ unit: 'mm', per_pixel: per_pixel * mm })
  return { basis: 'manual', x: axis(pixels.x), y: axis(pixels.y), part: null }
}

export function measured(kind: Kind, points: readonly Place[], scales: readonly Scale[]): Quantity[] {
  const scale = scaleFor(points, scales)
  if (!scale) return []
  if (kind === 'length' || kind === 'calibration') return lengths(points, scale)
  if (!isEven(scale)) return []
  if (kind === 'angle') return [{ name: 'angle', value: between(step(points[1]!, points[0]!, scale), step(points[1]!, points[2]!, scale)), unit: 'deg' }]
  if (kind === 'cobb') {
    const angle = between(step(points[0]!, points[1]!, scale), step(points[2]!, points[3]!, scale))
    return [{ name: 'angle', value: Math.min(angle, 180 - angle), unit: 'deg' }]
  }
  if (!isRegion(kind)) return []
  return [{ name: 'area', value: areaPx(kind, points) * scale.x.per_pixel * scale.y.per_pixel, unit: `${scale.x.unit}2` }]
}

function lengths([from, to]: readonly Place[], scale: Scale): Quantity[] {
  if (isEven(scale)) return [{ name: 'length', value: distance(from!, to!, scale), unit: scale.x.unit }]
  const parts: Quantity[] = [
    { name: 'along', value: Math.abs(to![0] - from![0]) * scale.x.per_pixel, unit: scale.x.unit },
    { name: 'across', value: Math.abs(to![1] - from![1]) * scale.y.per_pixel, unit: scale.y.unit },
  ]
  return parts.filter(({ unit }) => unit !== 'px')
}

const step = (from: Place, to: Place, { x, y }: Scale): Place => [(to[0] - from[0]) * x.per_pixel, (to[1] - from[1]) * y.per_pixel]

const distance = (from: Place, to: Place, scale: Scale): number => Math.hypot(...step(from, to, scale))

const between = (a: Place, b: Place): number => (Math.abs(Math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1])) * 180) / Math.PI

function areaPx(kind: Kind, points: readonly Place[]): number {
  if (kind === 'freehand') {
    const doubled = points.reduce((sum, [x, y], index) => {
      const [nextX, nextY] = points[(index + 1) % points.length]!
      return sum + x * nextY - y * nextX
    }, 0)
    return Math.abs(doubled) / 2
  }
  const [from, to] = points
  return Math.abs((to![0] - from![0]) * (to![1] - from![1])) * (kind === 'ellipse' ? Math.PI / 4 : 1)
}

/** An outline with so many points at most, each within the least distance (pixels) that allows it from where the hand was. */
export function thinned(points: readonly Place[], most = MOST_POINTS): Place[] {
  let tolerance = 0.25
  let found = [...points]
  while (found.length > most) {
    found = simplified(points, tolerance)
    tolerance *= 1.5
  }
  return found
}

/** Douglas and Peucker: points that lie nearer than `tolerance` to the line between their neighbours are left out. */
function simplified(points: readonly Place[], tolerance: number): Place[] {
  const kept = new Set([0, points.length - 1])
  const open: [number, number][] = [[0, points.length - 1]]
  for (let span = open.pop(); span; span = open.pop()) {
    const [first, last] = span
    let farthest = tolerance
    let at = -1
    for (let index = first + 1; index < last; index += 1) {
      const far = fromLine(points[index]!, points[first]!, points[last]!)
      if (far > farthest) [farthest, at] = [far, index]
    }
    if (at < 0) continue
    kept.add(at)
    open.push([first, at], [at, last])
  }
  return points.filter((_, index) => kept.has(index))
}

function fromLine([x, y]: Place, [fromX, fromY]: Place, [toX, toY]: Place): number {
  const [dx, dy] = [toX - fromX, toY - fromY]
  const length = Math.hypot(dx, dy)
  return length ? Math.abs(dx * (y - fromY) - dy * (x - fromX)) / length : Math.hypot(x - fromX, y - fromY)
}

export const moved = (points: readonly Place[], dx: number, dy: number): Place[] => points.map(([x, y]) => [x + dx, y + dy])

/** Corners of a closed line around what is drawn, or the line itself; an ellipse as a polygon that nobody tells from one. */
export function outline(kind: Kind, points: readonly Place[]): { lines: Place[][]; isClosed: boolean } {
  if (kind === 'rectangle' || kind === 'ellipse') {
    const [[x0, y0], [x1, y1]] = [points[0]!, points[1]!]
    if (kind === 'rectangle') return { lines: [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]], isClosed: true }
    const turns = Array.from({ length: 72 }, (_, index) => (index / 36) * Math.PI)
    const [x, y, wide, high] = [(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2]
    return { lines: [turns.map((turn): Place => [x + wide * Math.cos(turn), y + high * Math.sin(turn)])], isClosed: true }
  }
  if (kind === 'cobb') return { lines: [points.slice(0, 2), points.slice(2, 4)], isClosed: false }
  return { lines: [[...points]], isClosed: kind === 'freehand' }
}
