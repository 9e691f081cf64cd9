import { describe, expect, it } from 'vitest'
import { edgeLetters, facingOfFrame, lettersAsSaid, lettersFor } from './orientation'

describe('orientation letters', () => {
  it('put the right of the patient on the left of an axial picture', () => {
    const facing = facingOfFrame([1, 0, 0, 0, 1, 0])

    expect(facing && edgeLetters(facing)).toEqual({ left: 'R', right: 'L', top: 'A', bottom: 'P' })
  })

  it('name two axes of an oblique picture, the nearer first', () => {
    expect(lettersFor([Math.cos(0.4), Math.sin(0.4), 0])).toBe('LP')
    expect(lettersFor([-Math.sin(0.4), Math.cos(0.4), 0])).toBe('PR')
  })

  it('name three axes where three count', () => expect(lettersFor([0.5, -0.3, 0.8])).toBe('HLA'))

  it('do not name an axis for a tilt that nobody sees', () => expect(lettersFor([0.9998, 0.02, 0])).toBe('L'))

  it('are not there when the picture does not say how it lies', () => expect(facingOfFrame(null)).toBeNull())

  it('are as the file of a projection says them', () => {
    expect(lettersAsSaid(['P', 'FL'])).toEqual({ left: 'A', right: 'P', top: 'HR', bottom: 'FL' })
  })
})
