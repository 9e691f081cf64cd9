/** The letters at the edges of a picture. */

import type { Vector } from '../../api'
import { scaled, type Facing } from './vectors'

/** Of each axis of the patient (x, y, z): the letter of its negative and of its positive direction (PS3.3 C.7.6.1.1.1). */
const LETTERS = [
  ['R', 'L'],
  ['A', 'P'],
  ['F', 'H'],
] as const

/** Cosine from which an axis is named: closer than about 3° to square on it, it says nothing to a reader. */
const SMALLEST_COSINE = 0.05

/** The axes that `direction` follows, the nearest first: "L", "LA", "HLP". Empty if it follows none. */
export function lettersFor(direction: Vector): string {
  return direction
    .map((cosine, axis) => ({ size: Math.abs(cosine), letter: LETTERS[axis]![cosine > 0 ? 1 : 0] }))
    .filter(({ size }) => size >= SMALLEST_COSINE)
    .sort((one, other) => other.size - one.size)
    .map(({ letter }) => letter)
    .join('')
}

export interface EdgeLetters {
  left: string
  right: string
  top: string
  bottom: string
}

export const edgeLetters = ({ right, down }: Facing): EdgeLetters => ({
  left: lettersFor(scaled(right, -1)),
  right: lettersFor(right),
  top: lettersFor(scaled(down, -1)),
  bottom: lettersFor(down),
})

const OPPOSITES = new Map([...LETTERS, ...LETTERS.map(([one, other]) => [other, one] as const)])

/** From Patient Orientation, which says where rows and columns go (PS3.3 C.7.6.1.1.1). */
export function lettersAsSaid([right, bottom]: readonly [string, string]): EdgeLetters {
  const opposite = (letters: string) => [...letters].map((letter) => OPPOSITES.get(letter as 'R') ?? '').join('')
  return { left: opposite(right), right, top: opposite(bottom), bottom }
}

/** How a frame lies, from Image Orientation (Patient) (PS3.3 C.7.6.2.1.1). */
export function facingOfFrame(orientation: readonly number[] | null): Facing | null {
  if (!orientation || orientation.length !== 6) return null
  return { right: orientation.slice(0, 3) as Vector, down: orientation.slice(3) as Vector }
}
