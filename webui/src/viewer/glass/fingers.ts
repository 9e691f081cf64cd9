/** What fingers on a glass mean: two of them enlarge and move a picture, one goes through its slices. */

import type { Point } from '../geometry/framing'

export type Pair = readonly [Point, Point]

export interface Pinch {
  /** So many times larger. */
  readonly factor: number
  /** By how much the middle between the fingers moved. */
  readonly moved: Point
  /** Where it is now. */
  readonly middle: Point
}

/** Fingers nearer than this (pixels) tell no size. */
const NEAREST = 8

const middleOf = ([one, other]: Pair): Point => ({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 })

const apart = ([one, other]: Pair): number => Math.max(NEAREST, Math.hypot(one.x - other.x, one.y - other.y))

export function pinched(before: Pair, now: Pair): Pinch {
  const [from, middle] = [middleOf(before), middleOf(now)]
  return { factor: apart(now) / apart(before), moved: { x: middle.x - from.x, y: middle.y - from.y }, middle }
}

/** CSS pixels for a slice: a whole stack on the height of a pane, but never so fine that the hand cannot stop, nor so coarse that it tires. */
const DRAG_STEP: readonly [number, number] = [4, 24]

/** Slices that a drag by `dy` CSS pixels goes through, down being further. */
export function slicesDragged(dy: number, paneHeight: number, count: number): number {
  const step = Math.max(DRAG_STEP[0], Math.min(DRAG_STEP[1], paneHeight / count))
  return Math.trunc(dy / step)
}
