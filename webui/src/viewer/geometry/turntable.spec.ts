import { describe, expect, it } from 'vitest'
import type { Vector } from '../../api'
import { edgeLetters } from './orientation'
import { facingOfTurn, FROM_THE_FRONT, towardsEye, turnedBy, upOf } from './turntable'
import { cross, dot, length, scaled } from './vectors'

const close = (actual: Vector, expected: Vector) => actual.forEach((part, index) => expect(part).toBeCloseTo(expected[index]!))
const TURNS = [0, 1, -2, 3].flatMap((azimuth) => [-Math.PI / 2, -0.3, 0, 1, Math.PI / 2].map((elevation) => ({ azimuth, elevation })))

describe('a turntable', () => {
  it('begins at the front, with the right of the patient on the left', () => {
    close(towardsEye(FROM_THE_FRONT), [0, -1, 0])
    expect(edgeLetters(facingOfTurn(FROM_THE_FRONT))).toEqual({ left: 'R', right: 'L', top: 'H', bottom: 'F' })
  })

  it('shows the left side after a drag of half the pane to the left', () => {
    const turn = turnedBy(FROM_THE_FRONT, -100, 0, 200)

    close(towardsEye(turn), [1, 0, 0])
    expect(edgeLetters(facingOfTurn(turn))).toMatchObject({ left: 'A', right: 'P' })
  })

  it('shows the head after a drag down', () => {
    const turn = turnedBy(FROM_THE_FRONT, 0, 100, 200)

    close(towardsEye(turn), [0, 0, 1])
    expect(edgeLetters(facingOfTurn(turn))).toEqual({ left: 'R', right: 'L', top: 'P', bottom: 'A' })
  })

  it('does not go over the poles', () => expect(turnedBy(FROM_THE_FRONT, 0, 900, 200).elevation).toBeCloseTo(Math.PI / 2))

  it('goes back the way it came', () => {
    const there = turnedBy({ azimuth: 0.4, elevation: 0.2 }, 37, -12, 500)
    const back = turnedBy(there, -37, 12, 500)

    expect(back.azimuth).toBeCloseTo(0.4)
    expect(back.elevation).toBeCloseTo(0.2)
  })

  it.each(TURNS)('keeps sight, up and right square to each other at $azimuth, $elevation', (turn) => {
    const eye = towardsEye(turn)
    const up = upOf(turn)

    expect(dot(eye, up)).toBeCloseTo(0)
    expect(length(eye)).toBeCloseTo(1)
    close(facingOfTurn(turn).right, cross(scaled(eye, -1), up))
  })
})
