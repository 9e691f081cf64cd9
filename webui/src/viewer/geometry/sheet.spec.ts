import { describe, expect, it } from 'vitest'
import type { Series } from '../../api'
import { extentOf, subjectOf, type Scene } from '../view'
import { crossing, depthOf, isParallel, placeOn, pointOn, sheetOf } from './sheet'

const SUBJECT = subjectOf('', '1.1', {
  slices: Array.from({ length: 21 }, (_, index) => ({
    rows: 100,
    columns: 200,
    position: [-99.5, -98, index * 5],
    orientation: [1, 0, 0, 0, 1, 0],
    pixel_spacing: [2, 1],
  })),
  volume: { ok: true, center: [0.5, 1, 50], size_mm: [200, 200, 105], warnings: [] },
} as unknown as Series)

const frame = (index: number): Scene => ({ kind: 'frame', index })
const plane = (axis: 'axial' | 'coronal' | 'sagittal', index: number): Scene => ({ kind: 'plane', axis, index, slab: { mm: 0, method: 'average_ip' } })
const sheet = (scene: Scene) => sheetOf(scene, SUBJECT)!

describe('where a picture lies', () => {
  it('is told of a frame from the centre of its first pixel', () => {
    expect(pointOn(sheet(frame(2)), { x: 0.5, y: 1 })).toEqual([-99.5, -98, 10])
    expect(pointOn(sheet(frame(2)), { x: 199.5, y: 199 })).toEqual([99.5, 100, 10])
  })

  it('is the way back too', () => {
    expect(placeOn(sheet(frame(0)), [-99.5, -98, 77])).toEqual({ x: 0.5, y: 1 })
    expect(depthOf([0, 0, 15], sheet(frame(2)))).toBeCloseTo(5)
  })

  it('is not known without positions', () => {
    const silent = subjectOf('', '1.1', { slices: [{ position: null, orientation: null, pixel_spacing: [1, 1] }], volume: { ok: false } } as unknown as Series)

    expect(sheetOf(frame(0), silent)).toBeNull()
  })

  it('is the same of a frame and of the plane through it', () => {
    expect(isParallel(sheet(frame(0)), sheet(plane('axial', 3)))).toBe(true)
    expect(isParallel(sheet(frame(0)), sheet(plane('coronal', 3)))).toBe(false)
  })
})

describe('a reference line', () => {
  it('is where a frame crosses a plane, as wide as the frame', () => {
    const coronal = plane('coronal', 50)
    const line = crossing(sheet(frame(4)), extentOf(frame(4), SUBJECT), sheet(coronal))!
    const across = line.map(({ x }) => x).sort((a, b) => a - b)

    expect(across[0]).toBeCloseTo(-100.5)
    expect(across[1]).toBeCloseTo(99.5)
    // 20 mm is 30 mm below the middle of the volume, and down in the picture is to the feet.
    expect(line.map(({ y }) => y)).toEqual([30, 30])
  })

  it('is none where they do not meet', () => {
    const outside = { ...sheet(frame(4)), origin: [-100, -99, 500] as [number, number, number] }

    expect(crossing(sheet(frame(4)), extentOf(frame(4), SUBJECT), outside)).toBeNull()
  })
})
