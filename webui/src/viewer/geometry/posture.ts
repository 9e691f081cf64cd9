/**
 * How a picture is hung: turned over, then turned by quarters.
 *
 * The *glass* is the pane as it is on the screen; the *pane* is what it is before the picture is hung, so that all that knows
 * of pictures need not know of this. Both count device pixels.
 */

import type { Point, Size } from './framing'
import type { EdgeLetters } from './orientation'

export interface Posture {
  /** Left for right, before it is turned. */
  readonly isFlipped: boolean
  /** Quarters, clockwise: 0 to 3. */
  readonly quarters: number
}

export const UPRIGHT: Posture = { isFlipped: false, quarters: 0 }

export const rotated = ({ isFlipped, quarters }: Posture): Posture => ({ isFlipped, quarters: (quarters + 1) % 4 })

/** Left for right as it hangs now. */
export const flipped = ({ isFlipped, quarters }: Posture): Posture => ({ isFlipped: !isFlipped, quarters: (4 - quarters) % 4 })

export const isUpright = ({ isFlipped, quarters }: Posture): boolean => !isFlipped && quarters === 0

/** Of the pane, for a glass; and the other way round. */
export const sizeHung = ({ width, height }: Size, { quarters }: Posture): Size => (quarters % 2 ? { width: height, height: width } : { width, height })

const COSINES = [1, 0, -1, 0]

/** a, b, c, d of a canvas' transform, from pane to glass, both counted from their middle. */
export function matrixOf({ isFlipped, quarters }: Posture): [number, number, number, number] {
  const [cos, sin] = [COSINES[quarters]!, COSINES[(quarters + 3) % 4]!]
  const sign = isFlipped ? -1 : 1
  return [cos * sign, sin * sign, -sin, cos]
}

/** A movement on the glass, as one of the pane. */
export function movedInPane({ x, y }: Point, posture: Posture): Point {
  const [a, b, c, d] = matrixOf(posture)
  // The inverse of a rotation and a mirror is its transpose.
  return { x: a * x + b * y, y: c * x + d * y }
}

export function pointInPane({ x, y }: Point, posture: Posture, glass: Size): Point {
  const pane = sizeHung(glass, posture)
  const moved = movedInPane({ x: x - glass.width / 2, y: y - glass.height / 2 }, posture)
  return { x: moved.x + pane.width / 2, y: moved.y + pane.height / 2 }
}

export function pointOnGlass({ x, y }: Point, posture: Posture, glass: Size): Point {
  const pane = sizeHung(glass, posture)
  const [a, b, c, d] = matrixOf(posture)
  const [dx, dy] = [x - pane.width / 2, y - pane.height / 2]
  return { x: a * dx + c * dy + glass.width / 2, y: b * dx + d * dy + glass.height / 2 }
}

export function lettersHung({ left, right, top, bottom }: EdgeLetters, { isFlipped, quarters }: Posture): EdgeLetters {
  const round = isFlipped ? [top, left, bottom, right] : [top, right, bottom, left]
  const [hungTop, hungRight, hungBottom, hungLeft] = [0, 1, 2, 3].map((side) => round[(side - quarters + 4) % 4]!)
  return { left: hungLeft!, right: hungRight!, top: hungTop!, bottom: hungBottom! }
}
