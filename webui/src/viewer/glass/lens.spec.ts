import { describe, expect, it } from 'vitest'
import type { Series } from '../../api'
import { placeInView, scaleOf } from '../geometry/framing'
import { pictureRequest } from '../pictures/address'
import { Stage } from '../stage.svelte'
import { extentOf, subjectOf } from '../view'
import { LENS_FACTOR, lensView } from './lens'

const MAMMOGRAM = {
  series_uid: '1.2',
  is_colour: false,
  volume_presets: [],
  presets: [],
  voi: [],
  slices: [{ instance_uid: '1.3', frame: 1, rows: 4000, columns: 3000, position: null, orientation: null, pixel_spacing: null, window: null }],
  volume: { ok: false, reason: '' },
  rules: '7',
} as unknown as Series

const stage = new Stage(subjectOf('', '1.1', MAMMOGRAM))
stage.glass = { width: 750, height: 1000 }
const glass = { width: 240, height: 240 }
const through = lensView(stage.view, stage.subject, { x: 1000, y: 2000 }, glass)

describe('a lens', () => {
  it('has the place under the hand in its middle', () => {
    const extent = extentOf(through.scene, stage.subject)

    expect(placeInView({ x: 120, y: 120 }, through.framing, extent, glass)).toEqual({ x: 1000, y: 2000 })
  })

  it('shows it so many times larger than the picture beside it', () => {
    const extent = extentOf(through.scene, stage.subject)

    expect(scaleOf(through.framing, extent, glass)).toBeCloseTo(LENS_FACTOR * scaleOf(stage.framing, extent, stage.pane))
  })

  it('asks for the region under it of a picture too large to be here whole', () => {
    const viewport = new URLSearchParams(pictureRequest(through, stage.subject, 'final').path.split('?')[1]).get('viewport')

    // 240 pixels of glass, at 2.5 times a quarter.
    expect(viewport).toBe('240,240,808,1808,384,384')
  })
})
