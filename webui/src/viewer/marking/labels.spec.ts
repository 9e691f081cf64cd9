import { describe, expect, it } from 'vitest'
import { linesOf } from './labels'
import type { Figure, Scale } from './figures'

const figure = (kind: Figure['kind'], points: Figure['points']): Figure => ({ study_uid: '1', series_uid: '1', instance_uid: '1', frame: 1, kind, points, text: '', length_mm: null })
const scale = (basis: Scale['basis'], unit: string): Scale => ({ basis, x: { unit, per_pixel: 0.5 }, y: { unit, per_pixel: 0.5 }, part: null })
const HU = { count: 4, mean: 40.25, standard_deviation: 12.5, minimum: -10, maximum: 1064, unit: 'HU', uptake: null }

describe('beside a figure', () => {
  it('stands its length, and what that rests on where it is not the patient', () => {
    const line = figure('length', [[0, 0], [30, 40]])
    expect(linesOf(line, [scale('pixel-spacing', 'mm')], null)).toEqual(['25 mm'])
    expect(linesOf(line, [scale('detector', 'mm')], null)).toEqual(['25 mm', 'at the detector'])
    expect(linesOf(line, [scale('none', 'px')], null)).toEqual(['25 px', 'no scale: pixels'])
  })

  it('stand the values of a region with their unit, and its area', () => {
    const lines = linesOf(figure('rectangle', [[0, 0], [2, 2]]), [scale('pixel-spacing', 'mm')], HU)
    expect(lines).toEqual(['Mean 40.3 HU, SD 12.5', 'Min / max −10 / 1064 HU', 'Area 1 mm²'])
  })

  it('stands what a text says', () => {
    expect(linesOf({ ...figure('text', [[0, 0]]), text: 'two\nlines' }, [], null)).toEqual(['two', 'lines'])
  })
})
