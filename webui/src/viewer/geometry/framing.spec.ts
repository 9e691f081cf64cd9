import { describe, expect, it } from 'vitest'
import { fitted, panned, placed, scaleOf, shared, visible, zoomedAt, type Rect } from './framing'

const EXTENT: Rect = { x: 0, y: 0, width: 512, height: 512 }
const PANE = { width: 1000, height: 800 }

describe('a framing', () => {
  it('fits the whole in the middle', () => {
    const framing = fitted(EXTENT)
    const scale = scaleOf(framing, EXTENT, PANE)

    expect(placed(EXTENT, framing, scale, PANE)).toEqual({ x: 100, y: 0, width: 800, height: 800 })
  })

  it('shows what is placed in the pane', () => {
    const framing = { center: { x: 100, y: 200 }, zoom: 3 }
    const scale = scaleOf(framing, EXTENT, PANE)

    expect(placed(visible(framing, scale, PANE), framing, scale, PANE)).toEqual({ x: 0, y: 0, ...PANE })
  })

  it('keeps under the pointer what was under it', () => {
    const before = { center: { x: 250, y: 260 }, zoom: 2 }
    const pointer = { x: 700, y: 150 }
    const under = (framing: typeof before) => {
      const seen = visible(framing, scaleOf(framing, EXTENT, PANE), PANE)
      return [seen.x + (pointer.x / PANE.width) * seen.width, seen.y + (pointer.y / PANE.height) * seen.height]
    }

    const after = zoomedAt(before, 1.5, pointer, EXTENT, PANE)

    expect(under(after)[0]).toBeCloseTo(under(before)[0]!)
    expect(under(after)[1]).toBeCloseTo(under(before)[1]!)
  })

  it('moves with the hand, and never lets the picture go', () => {
    expect(panned(fitted(EXTENT), 10, -20, 2, EXTENT).center).toEqual({ x: 251, y: 266 })
    expect(panned(fitted(EXTENT), 1e6, -1e6, 2, EXTENT).center).toEqual({ x: 0, y: 512 })
  })

  it('is bounded both ways', () => {
    expect(zoomedAt(fitted(EXTENT), 1e9, { x: 0, y: 0 }, EXTENT, PANE).zoom).toBe(40)
    expect(zoomedAt(fitted(EXTENT), 1e-9, { x: 0, y: 0 }, EXTENT, PANE).zoom).toBe(0.2)
  })
})

it('shares nothing with what lies beside', () => {
  expect(shared(EXTENT, { x: 512, y: 0, width: 5, height: 5 })).toBeNull()
  expect(shared(EXTENT, { x: 500, y: -5, width: 50, height: 10 })).toEqual({ x: 500, y: 0, width: 12, height: 5 })
})
