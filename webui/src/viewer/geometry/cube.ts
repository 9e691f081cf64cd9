/** A cube that lies as the patient lies, with a letter on each side (PS3.3 C.7.6.1.1.1). */

import type { Vector } from '../../api'
import { facingOfTurn, towardsEye, type Turn } from './turntable'
import { added, cross, dot, scaled } from './vectors'

export interface CubeFace {
  letter: string
  /** Outwards; an axis of the patient. */
  normal: Vector
  /** Path of an SVG whose unit is half an edge, its middle that of the cube. */
  outline: string
  /** Lays the letter on the face. */
  matrix: string
  /** How much the face looks at the eye, 0 to 1. */
  light: number
}

/** What is up on each face is up in a standing patient; on head and feet, what is behind and before. */
const FACES: { letter: string; normal: Vector; up: Vector }[] = [
  { letter: 'L', normal: [1, 0, 0], up: [0, 0, 1] },
  { letter: 'R', normal: [-1, 0, 0], up: [0, 0, 1] },
  { letter: 'P', normal: [0, 1, 0], up: [0, 0, 1] },
  { letter: 'A', normal: [0, -1, 0], up: [0, 0, 1] },
  { letter: 'H', normal: [0, 0, 1], up: [0, 1, 0] },
  { letter: 'F', normal: [0, 0, -1], up: [0, -1, 0] },
]

/** A face is left out before it is seen from its edge: then its letter cannot be read. */
const SMALLEST_LIGHT = 0.02

/** The faces that are seen, in parallel projection. */
export function cubeFaces(turn: Turn): CubeFace[] {
  const eye = towardsEye(turn)
  const facing = facingOfTurn(turn)
  const at = (point: Vector): [number, number] => [rounded(dot(point, facing.right)), rounded(dot(point, facing.down))]
  return FACES.map(({ letter, normal, up }) => {
    const right = cross(up, normal)
    const corners = [added(right, up), added(right, scaled(up, -1)), added(scaled(right, -1), scaled(up, -1)), added(scaled(right, -1), up)]
    const outline = corners.map((corner, index) => `${index ? 'L' : 'M'}${at(added(normal, corner)).join(' ')}`).join('')
    const matrix = `matrix(${[...at(right), ...at(scaled(up, -1)), ...at(normal)].join(' ')})`
    return { letter, normal, outline: `${outline}Z`, matrix, light: dot(normal, eye) }
  }).filter(({ light }) => light > SMALLEST_LIGHT)
}

const rounded = (value: number): number => Math.round(value * 1e3) / 1e3 || 0
