import { describe, expect, it } from 'vitest'
import type { Series } from '../api'
import { appliedWindow, startingWindow } from './applied'
import type { Shown } from './pictures/pipeline'
import { subjectOf, type WindowSetting } from './view'

const subject = (over: Partial<Series>) => subjectOf('', '1', { slices: [{ window: [40, 400] }], presets: [], ...over } as unknown as Series)

const shown = (asked: WindowSetting | null, found: WindowSetting | null, kind = 'frame') =>
  ({ view: { scene: { kind, index: 0 }, window: asked }, picture: { window: found } }) as unknown as Shown

const A = { center: 1, width: 2 }
const B = { center: 3, width: 4 }

describe('the window of a picture', () => {
  it('is the one asked for, else the one found, else the one of the file', () => {
    expect(appliedWindow(shown(A, B), subject({}))).toEqual(A)
    expect(appliedWindow(shown(null, B), subject({}))).toEqual(B)
    expect(appliedWindow(shown(null, null), subject({}))).toEqual({ center: 40, width: 400 })
  })

  it('is none of a table, whatever window the file has besides', () => {
    const { view, picture } = shown(null, null)

    expect(appliedWindow({ view: { ...view, voi: 'lut,1' }, picture, turn: 1 }, subject({}))).toBeNull()
  })

  it('is not known of a projection that nobody describes', () => {
    expect(appliedWindow(shown(null, null, 'mip'), subject({}))).toBeNull()
  })
})

describe('a drag', () => {
  it('begins at the window of the file where that of the picture is not known', () => {
    expect(startingWindow(null, shown(null, null, 'mip'), subject({}))).toEqual({ center: 40, width: 400 })
  })
  it('begins at a preset where the file says nothing', () => {
    const silent = subject({ slices: [{ window: null }] as unknown as Series['slices'], presets: [{ name: 'p', ...A, function: 'sigmoid' }] })
    expect(startingWindow(null, null, silent)).toEqual({ ...A, function: 'sigmoid' })
  })
  it('has no beginning where nobody says anything', () => {
    expect(startingWindow(null, null, subject({ slices: [], presets: [] }))).toBeNull()
  })
})
