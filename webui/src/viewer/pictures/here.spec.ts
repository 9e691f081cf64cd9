import { describe, expect, it } from 'vitest'
import type { View } from '../view'
import type { PictureRequest } from './address'
import { drawHere, greyTable } from './here'
import type { StoredFrame } from './stored-values'

const frame = (over: Partial<StoredFrame> = {}): StoredFrame => ({
  rows: 1,
  columns: 1,
  samples: 1,
  type: 'uint16',
  bits: 12,
  photometric: 'MONOCHROME2',
  isInverted: false,
  rescale: { slope: 1, intercept: -1024 },
  padding: null,
  isPlain: true,
  isWithoutPicture: false,
  sha256: '',
  values: new Uint16Array(1),
  ...over,
})
const SOFT_TISSUE = { center: 40, width: 400 }
/** Hounsfield units as they are stored. */
const hu = (value: number) => value + 1024

it('leaves to the server what has no table of 16 bits, and what is seen through a curve or a table', () => {
  const drawn = (over: Partial<StoredFrame>, view: Partial<View>) =>
    drawHere({ frame: frame(over), sizeBytes: 2, bodyBytes: 2, isFromLine: true }, { window: SOFT_TISSUE, ...view } as View, {} as PictureRequest)

  expect(drawn({ type: 'float32', values: new Float32Array(1) }, {})).toBeNull()
  expect(drawn({}, { window: { ...SOFT_TISSUE, function: 'sigmoid' } })).toBeNull()
  expect(drawn({}, { window: null, voi: 'lut,1' })).toBeNull()
})

describe('the grey of a value', () => {
  it('is that of PS3.3 C.11.2.1.2.1', () => {
    const table = greyTable(frame(), SOFT_TISSUE, false)

    expect([-160, -159, 40, 239, 240].map((value) => table[hu(value)])).toEqual([0, 1, 128, 255, 255])
  })

  it('is turned over where the file or the physician wants it, and not where both do', () => {
    const black = hu(-500)

    expect(greyTable(frame({ isInverted: true }), SOFT_TISSUE, false)[black]).toBe(255)
    expect(greyTable(frame(), SOFT_TISSUE, true)[black]).toBe(255)
    expect(greyTable(frame({ isInverted: true }), SOFT_TISSUE, true)[black]).toBe(0)
  })

  it('is black of padding, also where low values are white', () => {
    const table = greyTable(frame({ padding: [0, 5], isInverted: true }), SOFT_TISSUE, false)

    expect([table[0], table[5], table[6]]).toEqual([0, 0, 255])
  })

  it('is found for negative stored values', () => {
    const table = greyTable(frame({ type: 'int16', rescale: { slope: 1, intercept: 0 } }), SOFT_TISSUE, false)

    expect([table[-160 & 0xffff], table[240]]).toEqual([0, 255])
  })

  it('is a threshold through a window of width 1', () => {
    const table = greyTable(frame({ rescale: { slope: 1, intercept: 0 } }), { center: 10, width: 1 }, false)

    expect([table[9], table[10]]).toEqual([0, 255])
  })
})
