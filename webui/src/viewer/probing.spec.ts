import { describe, expect, it } from 'vitest'
import type { SliceEntry } from '../api'
import { pixelAt, writtenValue } from './probing'

const slice = { rows: 100, columns: 200, pixel_spacing: [2, 1] } as SliceEntry

describe('the pixel under a pointer', () => {
  it('is told by its corner, and is as high as its aspect says', () => {
    expect(pixelAt({ x: 10.99, y: 3.99 }, slice)).toEqual({ row: 1, column: 10 })
    expect(pixelAt({ x: 199.9, y: 199.9 }, slice)).toEqual({ row: 99, column: 199 })
  })

  it('is none beside the picture', () => {
    expect([pixelAt({ x: -0.1, y: 0 }, slice), pixelAt({ x: 0, y: 200 }, slice)]).toEqual([null, null])
  })
})

describe('a value', () => {
  it('is written with its unit', () => {
    expect(writtenValue({ stored: [1064], value: 40, unit: 'HU', is_padding: false })).toBe('40 HU')
    expect(writtenValue({ stored: [3], value: 1.25, unit: '', is_padding: false })).toBe('1.25')
  })
  it('is a colour, or none', () => {
    expect(writtenValue({ stored: [1, 2, 3], value: null, unit: '', is_padding: false })).toBe('RGB 1, 2, 3')
    expect(writtenValue({ stored: [0], value: null, unit: 'HU', is_padding: true })).toBe('No value here')
  })
})
