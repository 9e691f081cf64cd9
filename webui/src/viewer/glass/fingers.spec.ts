import { describe, expect, it } from 'vitest'
import { pinched, slicesDragged } from './fingers'

describe('two fingers', () => {
  it('enlarge by how much farther apart they are', () => {
    const { factor } = pinched([{ x: 100, y: 100 }, { x: 200, y: 100 }], [{ x: 50, y: 100 }, { x: 250, y: 100 }])

    expect(factor).toBe(2)
  })

  it('move by their middle', () => {
    const { moved, middle, factor } = pinched([{ x: 0, y: 0 }, { x: 100, y: 0 }], [{ x: 10, y: 20 }, { x: 110, y: 20 }])

    expect(moved).toEqual({ x: 10, y: 20 })
    expect(middle).toEqual({ x: 60, y: 20 })
    expect(factor).toBe(1)
  })

  it('on one place enlarge nothing', () => {
    expect(pinched([{ x: 5, y: 5 }, { x: 5, y: 5 }], [{ x: 5, y: 5 }, { x: 7, y: 5 }]).factor).toBe(1)
  })
})

describe('one finger', () => {
  it('goes through all of a stack on the height of the pane', () => expect(slicesDragged(800, 800, 160)).toBe(160))

  it('can stop at each slice of a long one', () => expect(slicesDragged(40, 800, 2000)).toBe(10))

  it('need not go far in a short one', () => expect(slicesDragged(-48, 800, 3)).toBe(-2))
})
