/** Vectors in patient coordinates (LPS): x to the left, y to the back, z to the head of the patient; millimetres. */

import type { Vector } from '../../api'

export const added = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]

export const scaled = (a: Vector, factor: number): Vector => [a[0] * factor, a[1] * factor, a[2] * factor]

export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]

export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
]

export const length = (a: Vector): number => Math.hypot(...a)

/** What the axes x, y and z become: unit vectors, square to each other. */
export type Rotation = readonly [Vector, Vector, Vector]

export const turned = ([x, y, z]: Vector, [a, b, c]: Rotation): Vector => added(scaled(a, x), added(scaled(b, y), scaled(c, z)))

/** How the edges of a picture lie in the patient; unit vectors. */
export interface Facing {
  /** Along a row of the picture, to the right. */
  right: Vector
  /** Down a column of the picture. */
  down: Vector
}

/** From the eye into the picture, for an eye that keeps right and down as they are. */
export const lookOf = ({ right, down }: Facing): Vector => cross(right, down)
