import { describe, expect, it } from 'vitest'
import type { Statement } from './contract'
import { written } from './statements'

const BARE: Statement = {
  kind: 'TEXT', relation: 'CONTAINS', name: null, text: '', code: null, number: '', unit: null, missing: null,
  pointer: null, shape: '', points: [], same_as: '', children: [],
}
const code = (value: string, scheme: string, meaning: string) => ({ value, scheme, meaning })

describe('a statement in plain words', () => {
  it('has the digits of the file and a short unit', () => {
    expect(written({ ...BARE, kind: 'NUM', number: '12.50', unit: code('mm', 'UCUM', 'millimeter') })).toBe('12.50 mm')
    expect(written({ ...BARE, kind: 'NUM', number: '-119.07', unit: code("[hnsf'U]", 'UCUM', 'Hounsfield unit') })).toBe('-119.07 Hounsfield unit')
    expect(written({ ...BARE, kind: 'NUM', number: '3', unit: code('1', 'UCUM', 'no units') })).toBe('3')
  })

  it('says why there is no number', () => {
    expect(written({ ...BARE, kind: 'NUM', missing: code('114006', 'DCM', 'Measurement failure') })).toBe('Measurement failure')
  })

  it('names people and days as the page does everywhere', () => {
    expect(written({ ...BARE, kind: 'PNAME', text: 'Doe^John' })).toBe('Doe, John')
    expect(written({ ...BARE, kind: 'DATE', text: '20001206' })).toBe('06 Dec 2000')
  })

  it('says how many points a shape has, in the plane and in space', () => {
    expect(written({ ...BARE, kind: 'SCOORD', shape: 'POLYLINE', points: [1, 2, 3, 4] })).toBe('POLYLINE (2)')
    expect(written({ ...BARE, kind: 'SCOORD3D', shape: 'POLYGON', points: [1, 2, 3, 4, 5, 6] })).toBe('POLYGON (2)')
  })
})
