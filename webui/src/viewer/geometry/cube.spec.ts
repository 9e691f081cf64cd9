import { describe, expect, it } from 'vitest'
import type { Vector } from '../../api'
import { cubeFaces } from './cube'
import { FROM_THE_FRONT, towardsEye, turnTowards } from './turntable'

const letters = (azimuth: number, elevation: number) =>
  cubeFaces({ azimuth, elevation })
    .map(({ letter }) => letter)
    .sort()
    .join('')

describe('a cube that lies as the patient', () => {
  it('shows the front of whoever is looked at from the front', () => expect(letters(0, 0)).toBe('A'))
  it('shows the sides that the eye sees', () => expect(letters(Math.PI / 4, Math.PI / 8)).toBe('AHL'))
  it('shows the feet from below', () => expect(letters(0, -Math.PI / 2)).toBe('F'))

  it('lays its letters upright and not mirrored', () => {
    const [front] = cubeFaces(FROM_THE_FRONT)

    expect(front?.matrix).toBe('matrix(1 0 0 1 0 0)')
  })

  it.each([
    [1, 0, 0],
    [-1, 0, 0],
    [0, 1, 0],
    [0, -1, 0],
    [0, 0, 1],
    [0, 0, -1],
  ] as Vector[])('turns to the side that was chosen: %d %d %d', (...normal) => {
    const eye = towardsEye(turnTowards(normal))

    normal.forEach((part, axis) => expect(eye[axis]).toBeCloseTo(part))
  })
})
