import { describe, expect, it } from 'vitest'
import { calibrated, measured, outline, thinned, type Place, type Scale } from './figures'

const mm = (across: number, down: number): Scale => ({ basis: 'pixel-spacing', x: { unit: 'mm', per_pixel: across }, y: { unit: 'mm', per_pixel: down }, part: null })
const PIXELS: Scale = { basis: 'none', x: { unit: 'px', per_pixel: 1 }, y: { unit: 'px', per_pixel: 1 }, part: null }
const REGION: Scale = { basis: 'ultrasound-region', x: { unit: 's', per_pixel: 0.005 }, y: { unit: 'mm', per_pixel: 0.2 }, part: [0, 0, 100, 50] }

describe('what is measured', () => {
  it('goes by the distance between columns and between rows', () => {
    expect(measured('length', [[10, 10], [16, 12]], [mm(0.5, 2)])).toEqual([{ name: 'length', value: 5, unit: 'mm' }])
    expect(measured('angle', [[10, 0], [0, 0], [10, 5]], [mm(1, 2)])[0]!.value).toBeCloseTo(45)
    expect(measured('rectangle', [[10, 10], [14, 20]], [mm(0.5, 2)])).toEqual([{ name: 'area', value: 40, unit: 'mm2' }])
    expect(measured('ellipse', [[14, 20], [10, 10]], [mm(0.5, 2)])[0]!.value).toBeCloseTo(10 * Math.PI)
    expect(measured('freehand', [[0, 0], [4, 0], [0, 10]], [mm(0.5, 2)])[0]!.value).toBeCloseTo(20)
  })

  it('is the smaller angle of two lines, however they were drawn', () => {
    const line: Place[] = [[0, 0], [100, 0]]
    expect(measured('cobb', [...line, [0, 50], [100, 150]], [mm(1, 1)])[0]!.value).toBeCloseTo(45)
    expect(measured('cobb', [...line, [100, 150], [0, 50]], [mm(1, 1)])[0]!.value).toBeCloseTo(45)
  })

  it('is told in the units of the region in which all of it lies, and else in pixels', () => {
    const units = (points: Place[]) => measured('length', points, [REGION, PIXELS]).map(({ name, value, unit }) => [name, value, unit])
    expect(units([[0, 0], [80, 10]])).toEqual([['along', 0.4, 's'], ['across', 2, 'mm']])
    expect(units([[0, 0], [300, 400]])).toEqual([['length', 500, 'px']])
    expect(measured('angle', [[0, 0], [10, 0], [10, 10]], [REGION, PIXELS])).toEqual([])
  })

  it('goes by a length that somebody knew', () => {
    const scale = calibrated([[0, 0], [0, 10]], 40, PIXELS)!
    expect(measured('length', [[0, 0], [10, 0]], [scale])).toEqual([{ name: 'length', value: 40, unit: 'mm' }])
    expect(calibrated([[1, 1], [1, 1]], 40, PIXELS)).toBeNull()
  })

  it('is nothing of an arrow and a text', () => {
    expect([measured('arrow', [[0, 0], [1, 1]], [mm(1, 1)]), measured('text', [[0, 0]], [mm(1, 1)])]).toEqual([[], []])
  })
})

describe('a line of the hand', () => {
  it('is thinned to as many points as are kept, and stays where it was', () => {
    const circle = Array.from({ length: 3000 }, (_, index): Place => [100 + 80 * Math.cos(index / 477), 100 + 80 * Math.sin(index / 477)])
    const found = thinned(circle)
    expect(found.length).toBeLessThanOrEqual(256)
    expect(measured('freehand', found, [mm(1, 1)])[0]!.value / (Math.PI * 6400)).toBeCloseTo(1, 2)
    expect(thinned(circle.slice(0, 200))).toHaveLength(200)
  })
})

describe('an outline', () => {
  it('of an ellipse touches its rectangle, of two lines are two lines', () => {
    const { lines, isClosed } = outline('ellipse', [[0, 0], [40, 20]])
    expect(isClosed).toBe(true)
    expect(Math.max(...lines[0]!.map(([x]) => x))).toBeCloseTo(40)
    expect(Math.min(...lines[0]!.map(([, y]) => y))).toBeCloseTo(0)
    expect(outline('cobb', [[0, 0], [1, 0], [0, 5], [1, 5]]).lines).toHaveLength(2)
  })
})
