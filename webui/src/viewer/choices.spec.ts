import { describe, expect, it } from 'vitest'
import type { Series, VoiEntry } from '../api'
import { choicesOf, hasVoi, windowOfVoi } from './choices'
import { subjectOf, type Scene } from './view'

const window = (place: number, name: string, center: number): VoiEntry => ({ name, voi: `window,${place}`, center, width: 400, function: 'sigmoid' })
const table = (place: number, name: string): VoiEntry => ({ name, voi: `lut,${place}`, center: null, width: null, function: null })

const SUBJECT = subjectOf('', '1', {
  presets: [
    { name: 'NORMAL', center: 40, width: 400, function: 'sigmoid' },
    { name: 'Lung', center: -600, width: 1500, function: 'linear' },
  ],
  voi: [[window(1, 'NORMAL', 40), window(2, 'HARDER', 50), table(1, 'NORMAL')], [window(1, 'NORMAL', 45)]],
  slices: [{ voi: 0 }, { voi: 1 }, { voi: null }],
} as unknown as Series)
const frame = (index: number): Scene => ({ kind: 'frame', index })

describe('the choices of a frame', () => {
  it('are those of its file, and the windows of its modality that are not among them', () => {
    expect(choicesOf(frame(0), SUBJECT).map(({ name, voi }) => [name, voi])).toEqual([
      ['NORMAL', 'window,1'],
      ['HARDER', 'window,2'],
      ['NORMAL', 'lut,1'],
      ['Lung', null],
    ])
  })

  it('have a window unless they are a table', () => {
    expect(choicesOf(frame(0), SUBJECT).map(({ window }) => window?.function ?? null)).toEqual(['sigmoid', 'sigmoid', null, 'linear'])
  })

  it('are windows by name where the file leaves nothing to choose', () => {
    expect(choicesOf(frame(2), SUBJECT).map(({ name }) => name)).toEqual(['NORMAL', 'Lung'])
  })
})

it('offers only windows over a plane', () => {
  const plane: Scene = { kind: 'plane', axis: 'axial', index: 0, slab: { mm: 0, method: 'average_ip' } }

  expect(choicesOf(plane, SUBJECT).every(({ voi, window }) => voi === null && window !== null)).toBe(true)
})

describe('a choice of the file', () => {
  it('is another window in another slice', () => {
    expect([0, 1, 2].map((index) => windowOfVoi(index, 'window,1', SUBJECT)?.center)).toEqual([40, 45, undefined])
  })

  it('is not there in every slice', () => {
    expect([0, 1, 2].map((index) => hasVoi(index, 'lut,1', SUBJECT))).toEqual([true, false, false])
  })
})
