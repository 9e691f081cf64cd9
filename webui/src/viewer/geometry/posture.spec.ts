import { describe, expect, it } from 'vitest'
import { flipped, lettersHung, pointInPane, pointOnGlass, rotated, sizeHung, UPRIGHT, type Posture } from './posture'

const LETTERS = { left: 'R', right: 'L', top: 'A', bottom: 'P' }
const GLASS = { width: 600, height: 400 }
const ALL: Posture[] = [false, true].flatMap((isFlipped) => [0, 1, 2, 3].map((quarters) => ({ isFlipped, quarters })))

describe('a picture that is hung otherwise', () => {
  it('has its letters where its edges are', () => {
    expect(lettersHung(LETTERS, rotated(UPRIGHT))).toEqual({ top: 'R', right: 'A', bottom: 'L', left: 'P' })
    expect(lettersHung(LETTERS, flipped(UPRIGHT))).toEqual({ left: 'L', right: 'R', top: 'A', bottom: 'P' })
  })

  it('is turned over as it hangs, also when it lies on its side', () => {
    expect(lettersHung(LETTERS, flipped(rotated(UPRIGHT)))).toEqual({ top: 'R', right: 'P', bottom: 'L', left: 'A' })
  })

  it('puts its corner where the letters say', () => {
    const turned = rotated(UPRIGHT)

    expect(sizeHung(GLASS, turned)).toEqual({ width: 400, height: 600 })
    expect(pointOnGlass({ x: 0, y: 0 }, turned, GLASS)).toEqual({ x: 600, y: 0 })
    expect(pointOnGlass({ x: 0, y: 0 }, flipped(UPRIGHT), GLASS)).toEqual({ x: 600, y: 0 })
  })

  it.each(ALL)('finds the way back: %j', (posture) => {
    const { x, y } = pointInPane(pointOnGlass({ x: 12, y: 345 }, posture, GLASS), posture, GLASS)

    expect([x, y]).toEqual([12, 345])
  })

  it('is as before after four quarters, or two turns over', () => {
    expect(rotated(rotated(rotated(rotated(UPRIGHT))))).toEqual(UPRIGHT)
    expect(flipped(flipped(rotated(UPRIGHT)))).toEqual(rotated(UPRIGHT))
  })
})
