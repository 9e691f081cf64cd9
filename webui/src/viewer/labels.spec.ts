import { expect, it } from 'vitest'
import type { Series, SliceEntry } from '../api'
import { lossOf, placeOf, positionOf, slabOf, wholenessOf, windowOf } from './labels'
import type { Picture } from './pictures/load'
import { subjectOf, type View } from './view'

const SUBJECT = subjectOf('', '1.1', {
  slices: [
    { position: [0, 0, -12.34], orientation: [1, 0, 0, 0, 1, 0], pixel_spacing: [1, 1] },
    { position: null, orientation: null, pixel_spacing: null },
  ],
  volume: { ok: true, center: [0, 0, 50], size_mm: [100, 100, 100], warnings: [] },
} as unknown as Series)

const view = (scene: View['scene']) => ({ scene }) as View
const plane = view({ kind: 'plane', axis: 'axial', index: 0, slab: { mm: 10, method: 'maximum_ip' } })

it('says which slice of how many, and where it lies', () => {
  expect(placeOf(view({ kind: 'frame', index: 0 }), SUBJECT)).toBe('Slice 1 / 2')
  expect(positionOf(view({ kind: 'frame', index: 0 }), SUBJECT)).toBe('Position −12.3 mm')
})
it('says no millimetres without a basis', () => expect(positionOf(view({ kind: 'frame', index: 1 }), SUBJECT)).toBe(''))
it('says where a plane lies and how thick it is', () => {
  expect([placeOf(plane, SUBJECT), positionOf(plane, SUBJECT), slabOf(plane)]).toEqual([
    'Plane 1 / 100',
    'Position 99.5 mm',
    'Slab 10 mm maximum',
  ])
})
it('says how much of the volume a picture has, and turns when that is all', () => {
  const picture = (over: Partial<Picture>, grade = 'final') => ({ completeness: 1, reduced: null, request: { grade }, ...over }) as Picture

  expect(wholenessOf(plane, picture({ completeness: 0.4267, reduced: [1, 4, 4] }))).toEqual({ text: '42 % of the volume', isWhole: false })
  expect(wholenessOf(plane, picture({ reduced: [1, 2, 2] }))).toEqual({ text: 'Reduced volume: 1 × 2 × 2 voxels as one', isWhole: false })
  expect(wholenessOf(plane, picture({}))).toEqual({ text: 'Whole volume', isWhole: true })
  expect(wholenessOf(plane, picture({}, 'draft'))).toBeNull()
  expect(wholenessOf(view({ kind: 'frame', index: 0 }), picture({}))).toBeNull()
})
it('writes a window with its unit, in as many decimals as it has', () => {
  expect(windowOf({ center: -600, width: 1500 }, 'HU')).toBe('C −600\u2002W 1500 HU')
  expect(windowOf({ center: 2.66, width: 5.16 }, '')).toBe('C 2.66\u2002W 5.16')
  expect(windowOf(null, 'HU')).toBe('Window from the file')
})
it('tells what was lost in coding as far as the file does', () => {
  const slice = (...lossy: NonNullable<SliceEntry['lossy']>) => ({ lossy }) as unknown as SliceEntry

  expect(lossOf(slice({ method: 'ISO_10918_1', ratio: 20.414 }))).toBe('JPEG 20.4 : 1')
  expect(lossOf(slice({ method: '', ratio: 16 }, { method: 'OF_OUR_OWN', ratio: null }))).toBe('16 : 1, OF_OUR_OWN')
  expect(lossOf(slice())).toBe('')
})
