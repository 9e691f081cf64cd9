import { describe, expect, it } from 'vitest'
import { sheetOf } from './sheet'

const slice = { x: 0, y: 0, width: 512, height: 512 }
const room = { width: 180, height: 215 }

describe('a printed sheet', () => {
  it('has the picture as large as it fits', () => {
    expect(sheetOf(slice, 0.5, false, room).size).toEqual({ width: 180, height: 180 })
  })

  it('has a ruler of a round length that is true on paper', () => {
    const { scale } = sheetOf(slice, 0.5, false, room)

    // 256 mm of the patient on 180 mm of paper.
    expect(scale!.rulerMm).toBe(100)
    expect(scale!.rulerOnPaperMm).toBeCloseTo((100 * 180) / 256)
    expect(scale!.ratio).toBeCloseTo(256 / 180)
  })

  it('is in true size where that is wished and fits', () => {
    const { size, scale } = sheetOf({ ...slice, width: 300, height: 200 }, 0.5, true, room)

    expect(size).toEqual({ width: 150, height: 100 })
    expect(scale!.ratio).toBe(1)
    expect(scale!.rulerOnPaperMm).toBe(scale!.rulerMm)
  })

  it('is made smaller where the true size does not fit, and says by how much', () => {
    expect(sheetOf(slice, 0.5, true, room).scale!.ratio).toBeGreaterThan(1)
  })

  it('has no ruler and no scale without millimetres', () => {
    expect(sheetOf(slice, null, true, room).scale).toBeNull()
  })
})
