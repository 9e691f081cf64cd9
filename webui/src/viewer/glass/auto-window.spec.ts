import { describe, expect, it } from 'vitest'
import type { Series } from '../../api'
import { Stage } from '../stage.svelte'
import { subjectOf } from '../view'
import { canFindWindow, windowPath } from './auto-window'

const SERIES = {
  series_uid: '1.2',
  is_colour: false,
  volume_presets: [],
  presets: [],
  voi: [],
  slices: [{ instance_uid: '1.3', frame: 2, rows: 100, columns: 200, position: null, orientation: null, pixel_spacing: null, window: null }],
  volume: { ok: false, reason: '' },
} as unknown as Series

const stageOf = (series: Series) => {
  const stage = new Stage(subjectOf('', '1.1', series))
  stage.glass = { width: 400, height: 400 }
  return stage
}

describe('the window of what is seen', () => {
  it('is that of the whole where the whole is seen', () => {
    expect(windowPath(stageOf(SERIES))).toBe('/api/studies/1.1/series/1.2/instances/1.3/frames/2/window?region=0,0,200,100')
  })

  it('is that of a part where a part is seen', () => {
    const stage = stageOf(SERIES)
    stage.zoom(4, { x: 200, y: 200 })

    expect(windowPath(stage)).toContain('region=75,25,50,50')
  })

  it('is none of colours', () => expect(canFindWindow(stageOf({ ...SERIES, is_colour: true }))).toBe(false))
})
