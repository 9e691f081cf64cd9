import { beforeEach, describe, expect, it } from 'vitest'
import type { Series } from '../api'
import { Stage } from './stage.svelte'
import { subjectOf } from './view'

const SERIES = {
  series_uid: '1.2',
  is_colour: false,
  volume_presets: ['bone', 'skin'],
  presets: [
    { name: 'Lung', center: -600, width: 1500, function: 'linear' },
    { name: 'Bone', center: 300, width: 1500, function: 'linear' },
  ],
  voi: [
    [
      { name: 'Soft', voi: 'window,1', center: 40, width: 400, function: 'sigmoid' },
      { name: 'Hard', voi: 'lut,1', center: null, width: null, function: null },
    ],
  ],
  slices: Array.from({ length: 21 }, (_, index) => ({
    instance_uid: `1.${index}`,
    frame: 1,
    rows: 100,
    columns: 100,
    position: [0, 0, index],
    orientation: [1, 0, 0, 0, 1, 0],
    pixel_spacing: [1, 1],
    window: [40, 400],
    voi: index === 3 ? 0 : null,
  })),
  volume: { ok: true, center: [0, 0, 10], size_mm: [100, 100, 21], warnings: [] },
} as unknown as Series

let stage: Stage
beforeEach(() => {
  stage = new Stage(subjectOf('', '1.1', SERIES))
  stage.glass = { width: 200, height: 200 }
})

describe('a stage', () => {
  it('opens a volume in its middle', () => expect(stage.index).toBe(10))

  it('opens what is no volume at its first frame', () => {
    const loop = new Stage(subjectOf('', '1.1', { ...SERIES, volume: { ok: false, reason: 'no positions' } }))

    expect(loop.index).toBe(0)
  })

  it('stays within its slices', () => {
    stage.obey({ do: 'scroll', by: 999 })
    expect(stage.index).toBe(20)
    stage.obey({ do: 'scroll-to', end: 'first' })
    expect(stage.index).toBe(0)
  })

  it('looks ahead where the hand is going, and a little behind', () => {
    stage.scrollTo(5)

    const indices = stage.ahead.map(({ scene }) => scene.kind === 'frame' && scene.index)
    expect(indices).toEqual([4, 3, 2, 1, 0, 6, 7])
  })

  it('keeps a place and a framing for each way of looking', () => {
    stage.scrollTo(3)
    stage.zoom(2, { x: 100, y: 100 })
    stage.show('coronal')
    expect([stage.index, stage.framing.zoom]).toEqual([50, 1])

    stage.show('stack')
    expect([stage.index, stage.framing.zoom]).toEqual([3, 2])
  })

  it('shows planes through the window of the slices, and a projection through its own', () => {
    stage.usePreset(1)
    stage.show('axial')
    expect(stage.view.window).toEqual({ center: 300, width: 1500, function: 'linear' })
    stage.show('mip')
    expect(stage.view.window).toBeNull()
  })

  it('sees slices through a table or window of the file until another window is chosen', () => {
    stage.scrollTo(3)
    stage.usePreset(1)
    expect(stage.view).toMatchObject({ window: null, voi: 'lut,1' })

    stage.setWindow({ center: 1, width: 2 })
    expect(stage.view).toMatchObject({ window: { center: 1, width: 2 }, voi: null })
  })

  it('shows planes through what a window of the file means in the slice where it was chosen', () => {
    stage.scrollTo(3)
    stage.usePreset(0)
    expect([stage.view.voi, stage.expectedWindow?.function]).toEqual(['window,1', 'sigmoid'])

    stage.show('axial')
    expect(stage.view).toMatchObject({ window: { center: 40, width: 400, function: 'sigmoid' }, voi: null })
  })

  it('turns only what can be turned', () => {
    stage.take('turn')
    expect(stage.tool).toBe('window')
    stage.show('volume')
    expect(stage.tool).toBe('turn')
    stage.show('stack')
    expect(stage.tool).toBe('window')
  })

  it('points in slices and planes, and reads values of slices', () => {
    stage.take('probe')
    stage.show('coronal')
    expect(stage.tool).toBe('window')
    stage.take('cross')
    stage.show('mip')
    expect(stage.tool).toBe('turn')
  })

  it('begins with a tool that can be used on colour', () => {
    expect(new Stage(subjectOf('', '1.1', { ...SERIES, is_colour: true })).tool).toBe('pan')
  })

  it('begins with the material that is usual for the series', () => expect(stage.material).toBe('bone'))

  it('shows no volume where there is none', () => {
    const loop = new Stage(subjectOf('', '1.1', { ...SERIES, volume: { ok: false, reason: 'no positions' } }))
    loop.show('mip')

    expect(loop.mode).toBe('stack')
  })

  it('shows a pixel of the screen for a pixel of the source, or all of it', () => {
    stage.obey({ do: 'actual' })
    expect(stage.framing.zoom).toBe(0.5)
    stage.obey({ do: 'fit' })
    expect(stage.framing.zoom).toBe(1)
  })

  it('hangs pictures otherwise, each way of looking by itself', () => {
    stage.glass = { width: 300, height: 200 }
    stage.obey({ do: 'rotate' })
    expect([stage.posture.quarters, stage.pane]).toEqual([1, { width: 200, height: 300 }])
    stage.show('coronal')
    expect(stage.posture.quarters).toBe(0)
    stage.show('stack')
    stage.reset()
    expect(stage.posture.quarters).toBe(0)
  })

  it('goes back to the beginning when it is reset', () => {
    stage.usePreset(0)
    stage.obey({ do: 'invert' })
    stage.pan(30, 0)
    stage.reset()

    expect(stage.view).toMatchObject({ window: null, invert: false, framing: { zoom: 1, center: { x: 50, y: 50 } } })
  })
})
