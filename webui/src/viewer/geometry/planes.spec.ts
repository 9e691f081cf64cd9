import { describe, expect, it } from 'vitest'
import type { SliceEntry, Vector } from '../../api'
import { edgeLetters } from './orientation'
import { facingOfPlane, framePositionMm, gridOf, planeCount, planeOffsetMm, planePositionMm, planeSizeMm, pointInPlane } from './planes'

const SIZE: Vector = [400, 300, 250]
const CENTER: Vector = [10, -20, 125]

/** An axial CT: 0.8 mm pixels, a slice each 2.5 mm. */
const axialSlices = Array.from({ length: 100 }, (_, index) => ({
  position: [0, 0, index * 2.5],
  orientation: [1, 0, 0, 0, 1, 0],
  pixel_spacing: [0.8, 0.5],
})) as unknown as SliceEntry[]
const GRID = gridOf({ slices: axialSlices })

describe('planes through a volume', () => {
  it('hang as films do', () => {
    expect(edgeLetters(facingOfPlane('axial'))).toEqual({ left: 'R', right: 'L', top: 'A', bottom: 'P' })
    expect(edgeLetters(facingOfPlane('coronal'))).toEqual({ left: 'R', right: 'L', top: 'H', bottom: 'F' })
    expect(edgeLetters(facingOfPlane('sagittal'))).toEqual({ left: 'A', right: 'P', top: 'H', bottom: 'F' })
  })

  it('show the sides of the volume that lie in them', () => {
    expect(planeSizeMm('axial', SIZE)).toEqual({ width: 400, height: 300 })
    expect(planeSizeMm('coronal', SIZE)).toEqual({ width: 400, height: 250 })
    expect(planeSizeMm('sagittal', SIZE)).toEqual({ width: 300, height: 250 })
  })

  it('are one voxel apart, rows and columns not mistaken for each other', () => {
    expect(planeCount('axial', SIZE, GRID)).toBe(100)
    expect(planeCount('coronal', SIZE, GRID)).toBe(375)
    expect(planeCount('sagittal', SIZE, GRID)).toBe(800)
  })

  it('begin at the head, the front and the right of the patient', () => {
    expect(planePositionMm('axial', CENTER, planeOffsetMm('axial', 0, SIZE, GRID))).toBeCloseTo(125 + 123.75)
    expect(planePositionMm('coronal', CENTER, planeOffsetMm('coronal', 0, SIZE, GRID))).toBeCloseTo(-20 - 149.6)
    expect(planePositionMm('sagittal', CENTER, planeOffsetMm('sagittal', 0, SIZE, GRID))).toBeCloseTo(10 - 199.75)
  })

  it('move in their own directions', () => {
    expect(pointInPlane('coronal', CENTER, 5, 1, 2)).toEqual([11, -15, 123])
  })
})

describe('the grid of a series', () => {
  it('does not mind a missing slice', () => {
    expect(gridOf({ slices: axialSlices.filter((_, index) => index !== 40) }).axes[2]?.spacingMm).toBe(2.5)
  })
  it('is a millimetre each way where nothing is known', () => expect(planeCount('axial', SIZE, gridOf({ slices: [] }))).toBe(250))
})

it('measures a frame along its own normal', () => {
  expect(framePositionMm({ position: [1, 2, 3], orientation: [1, 0, 0, 0, 0, -1] } as SliceEntry)).toBe(2)
  expect(framePositionMm({ position: null, orientation: null } as SliceEntry)).toBeNull()
})
